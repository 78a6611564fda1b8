//! What comes out of the hall, and what each refusal is called (catalogue.md §2.10).

use footbridge_protocol::headers::Mismatch;

use super::{
    NoAnswer,
    refused::{Refused, refused},
};
use crate::{
    access::{AuthError, Denial},
    catalogue::{ArgumentError, http::FaultCode},
    domain::{DomainError, InputRequest, ToolResult},
    limits::{CapError, OverLimit},
    store::{AuditStatus, StoreError},
};

/// A call's answer.
#[derive(Debug)]
pub enum Answer {
    /// The tool ran.
    Done(ToolResult),
    /// The client must answer first.
    InputRequired {
        /// What is asked, by key.
        requests: Vec<(String, InputRequest)>,
        /// The sealed state to bring back.
        request_state: Option<String>,
    },
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The credential does not open the edition.
    #[error(transparent)]
    Credential(#[from] AuthError),
    /// The address failed too often in the last minute. Valid keys are not held up.
    #[error("too many failed sign-ins from this address; {0}")]
    TooManyFailures(OverLimit),
}

/// Why a call was not answered with an outcome, ordered by who can mend it.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No such tool here, or not for this caller's edition: the two look the same.
    #[error("Unknown tool: {0}")]
    UnknownTool(String),
    /// A parameter of the protocol is wrong.
    #[error("{0}")]
    Params(String),
    /// An `Mcp-Param-*` header does not say what the arguments say.
    #[error(transparent)]
    Headers(Mismatch),
    /// The arguments do not satisfy the tool's schema.
    #[error(transparent)]
    Arguments(#[from] ArgumentError),
    /// The tool needs to ask, and this client's era has no way to be asked inside a result.
    #[error(
        "this tool has to ask the user, and this client cannot be asked; use a client that declares elicitation, and that \
         sends the session id it is given"
    )]
    CannotAsk,
    /// The tool asked, and there is no answer.
    #[error("this tool has to ask, and {0}; nothing was done")]
    NoAnswer(NoAnswer),
    /// A preview is asked for, and what the tool does cannot be foretold.
    #[error(
        "a confirmation is asked for before this call, and this tool cannot show what it would do; use a key whose \
         confirm setting is inherit, or another tool"
    )]
    NoPreview,
    /// The principal may not call this tool.
    #[error("{0}")]
    Denied(Denial),
    /// A limit was reached.
    #[error("{0}")]
    OverLimit(#[from] OverLimit),
    /// The handler refused or failed.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The call took longer than it may.
    #[error("the call took longer than {limit_seconds} s and was stopped; {effect}")]
    Timeout {
        /// The limit.
        limit_seconds: u64,
        /// Whether anything was changed.
        effect: &'static str,
    },
    /// The store or the audit log cannot be written, so nothing runs (security.md A2).
    #[error("the server cannot record calls right now")]
    Unavailable(#[from] StoreError),
    /// A handler panicked. The process goes on.
    #[error("internal failure")]
    Panicked,
}

impl CallError {
    /// The vocabulary's code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownTool(_) => "unknown_tool",
            Self::Params(_) | Self::Headers(_) | Self::Arguments(_) => "invalid_arguments",
            Self::CannotAsk | Self::NoAnswer(_) | Self::NoPreview => "rule_violation",
            Self::Denied(Denial::MissingScope(_)) => "missing_scope",
            Self::Denied(Denial::RoleRequired | Denial::NotOnKey(_)) => "role_required",
            Self::Denied(Denial::ReadOnly) => "read_only",
            Self::OverLimit(OverLimit::Cap { .. }) => "cap_reached",
            Self::OverLimit(OverLimit::Rate { .. } | OverLimit::Concurrency { .. }) => "rate_limited",
            Self::Domain(error) => match error {
                DomainError::Arguments(_) | DomainError::Protocol(_) => "invalid_arguments",
                DomainError::NotFound { .. } => "not_found",
                DomainError::Conflict(_) | DomainError::ConflictWith { .. } => "conflict",
                DomainError::Rule(_) | DomainError::MissingCapability(_) => "rule_violation",
                DomainError::Exhausted { .. } => "rate_limited",
                DomainError::Upstream(fault) => match fault.code {
                    FaultCode::InvalidArguments => "invalid_arguments",
                    FaultCode::NotFound => "not_found",
                    FaultCode::Conflict => "conflict",
                    FaultCode::RuleViolation => "rule_violation",
                    FaultCode::PaymentRequired => "payment_required",
                    FaultCode::RateLimited => "rate_limited",
                    FaultCode::UpstreamError => "upstream_error",
                    FaultCode::Timeout => "timeout",
                },
                DomainError::Cancelled => "cancelled",
                DomainError::Store(_) => "unavailable",
                DomainError::Internal(_) => "internal",
            },
            Self::Timeout { .. } => "timeout",
            Self::Unavailable(_) => "unavailable",
            Self::Panicked => "internal",
        }
    }

    fn refused(&self) -> Refused {
        // No code is without a row (`tests/it/refusals.rs`).
        refused(self.code())
            .copied()
            .unwrap_or(Refused::INVALID_ARGUMENTS)
    }

    /// The HTTP status that says the same.
    pub fn http_twin(&self) -> u16 {
        self.refused().http
    }

    /// What the call log says of it.
    pub fn status(&self) -> AuditStatus {
        if let Self::Domain(DomainError::Upstream(fault)) = self {
            return match fault.status {
                Some(400..=499) => AuditStatus::Upstream4xx,
                Some(_) => AuditStatus::Upstream5xx,
                None => AuditStatus::NetworkError,
            };
        }
        match self.code() {
            "missing_scope" => AuditStatus::DenyScope,
            "role_required" | "read_only" => AuditStatus::DenyRole,
            "rate_limited" => AuditStatus::DenyRate,
            "cap_reached" => AuditStatus::DenyCap,
            "unavailable" | "timeout" | "internal" => AuditStatus::Exception,
            "cancelled" => AuditStatus::ClientGone,
            _ => AuditStatus::Invalid,
        }
    }

    /// Seconds after which the same call may pass, where that is known.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::OverLimit(limit) => Some(limit.retry_after_seconds()),
            Self::Domain(DomainError::Exhausted {
                retry_after_seconds, ..
            }) => Some(*retry_after_seconds),
            Self::Domain(DomainError::Upstream(fault)) => fault.retry_after_seconds,
            Self::Unavailable(_) | Self::Domain(DomainError::Store(_)) => Some(2),
            _ => None,
        }
    }

    /// Whether nobody can say if the call took effect. "Not run" would be a guess, and the caller would run it twice.
    fn outcome_is_unknown(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(StoreError::OutcomeUnknown)
                | Self::Domain(DomainError::Store(StoreError::OutcomeUnknown))
        )
    }

    /// The line that a model and a person read alike: `<http> <Title>: <message>`. Failures of ours show the
    /// reference only.
    pub fn text(&self, reference: &str) -> String {
        match self.code() {
            "internal" => format!("{}: request {reference}", self.heading()),
            "unavailable" if self.outcome_is_unknown() => format!(
                "{}: the change may have been made, the store went away before it said so; look before you try again \
                 (request {reference})",
                self.heading()
            ),
            "unavailable" => {
                let heading = self.heading();
                format!("{heading}: the call was not run; try again soon (request {reference})")
            }
            _ => format!("{}: {self}", self.heading()),
        }
    }

    fn heading(&self) -> String {
        let refused = self.refused();
        format!("{} {}", refused.http, refused.title)
    }
}

impl From<CapError> for CallError {
    fn from(error: CapError) -> Self {
        match error {
            CapError::Over(limit) => Self::OverLimit(limit),
            CapError::Store(error) => Self::Unavailable(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::Scope;

    #[test]
    fn texts_begin_as_the_catalogue_says() {
        let missing = CallError::Denied(Denial::MissingScope(vec![Scope::new("tickets:write").unwrap()]));
        let table = [
            (missing, "403 Forbidden: missing scope tickets:write"),
            (
                CallError::Denied(Denial::RoleRequired),
                "403 Forbidden: admin access required",
            ),
            (
                CallError::Denied(Denial::ReadOnly),
                "403 Forbidden: this key is read-only",
            ),
            (
                ArgumentError::one("priority: must be one of low, high").into(),
                "400 Bad Request: priority: must be one of low, high",
            ),
            (
                DomainError::not_found("ticket", "tkt_1").into(),
                "404 Not Found: ticket tkt_1",
            ),
            (
                OverLimit::Rate {
                    retry_after: std::time::Duration::from_millis(11_001),
                    limit: 60,
                }
                .into(),
                "429 Too Many Requests: retry in 12 s",
            ),
            (
                OverLimit::Cap {
                    cap: 10_000,
                    resets: "2026-12-01T00:00:00Z".to_owned(),
                    retry_after: std::time::Duration::from_secs(9),
                }
                .into(),
                "429 Too Many Requests: monthly cap 10000 reached, resets 2026-12-01T00:00:00Z",
            ),
            (DomainError::Conflict("x".into()).into(), "409 Conflict: x"),
            (DomainError::Rule("x".into()).into(), "422 Unprocessable: x"),
            (
                DomainError::Store(StoreError::OutcomeUnknown).into(),
                "503 Service Unavailable: the change may have been made, the store went away before it said so; look before \
                 you try again (request 7Q2K)",
            ),
            (
                StoreError::Closed.into(),
                "503 Service Unavailable: the call was not run; try again soon (request 7Q2K)",
            ),
            (
                DomainError::internal(std::io::Error::other("secret path")).into(),
                "500 Internal Error: request 7Q2K",
            ),
        ];
        for (error, expected) in table {
            assert_eq!(error.text("7Q2K"), expected);
        }
    }
}
