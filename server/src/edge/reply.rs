//! The one table from what happened to status, code and text (catalogue.md §2.10, protocol.md §1.6).
//!
//! | What happened | HTTP | JSON-RPC | Where |
//! |---|---|---|---|
//! | no credential, or one that does not open the door | 401 | −32010 | [`Refusal`](super::refusal::Refusal) |
//! | scope, role, read-only | 200, tool error; 403 for bare callers and access tokens | −32011 | [`of_call_error`] |
//! | over a rate · the monthly cap | 429 | −32012 · −32013 | both |
//! | arguments, rules, not found, time-out | 200, tool error | – | [`of_call_error`] |
//! | unknown tool, bad parameters | 200 | −32602 | [`of_call_error`] |
//! | headers differ, capability missing | 400 | −32020, −32021 | [`of_call_error`] |
//! | the log or store cannot be written | 503 | −32603 | both |
//! | our fault | 500 | −32603 | [`of_call_error`], [`Reply::broken`] |

use std::{error::Error, fmt};

use bytes::Bytes;
use footbridge_protocol::{
    codes,
    jsonrpc::{ErrorObject, Id, write_error, write_result_with},
};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json, value::to_raw_value};
use tracing::{error, info};

use super::{
    Logged,
    body::Outgoing,
    challenge::{self, Stepping},
    envelope::Dialect,
    shape,
};
use crate::{
    access::Denial,
    domain::DomainError,
    limits::{OverLimit, RateState, Usage},
    pipeline::CallError,
    vocabulary::Scope,
};

/// When a server that cannot take a call now asks to be called again, in seconds.
const SOON: u64 = 2;

/// An answer, not yet HTTP: stdio writes its bytes and drops the rest.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// Seconds.
    pub(super) retry_after: Option<u64>,
    /// The rate that was exceeded.
    pub(super) rate: Option<RateState>,
    /// How much of the month's calls is used, when that is worth saying.
    pub(super) usage: Option<Usage>,
    /// The id of the session that begins.
    pub(super) session: Option<String>,
    /// `WWW-Authenticate`.
    pub(super) challenge: Option<String>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Nothing,
    Text(Vec<u8>),
    /// Large shared bytes between what is written anew each time.
    Around {
        head: Vec<u8>,
        middle: Bytes,
        tail: Bytes,
    },
}

impl Reply {
    fn with(status: StatusCode, content: Content) -> Self {
        Self {
            status,
            retry_after: None,
            rate: None,
            usage: None,
            session: None,
            challenge: None,
            content,
        }
    }

    /// 202: taken note of, nothing to say.
    pub(super) fn accepted() -> Self {
        Self::with(StatusCode::ACCEPTED, Content::Nothing)
    }

    /// A whole message that is written already.
    pub(super) fn raw(status: u16, message: Vec<u8>) -> Self {
        Self::with(
            StatusCode::from_u16(status).unwrap_or_default(),
            Content::Text(message),
        )
    }

    /// A result; `write` appends one JSON value.
    pub(super) fn result(id: Id<'_>, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut out = Vec::with_capacity(512);
        write_result_with(&mut out, id, write);
        Self::with(StatusCode::OK, Content::Text(out))
    }

    /// A result around shared bytes: `opening`, `middle` and `tail` together are one JSON value.
    pub(super) fn around(id: Id<'_>, opening: &[u8], middle: Bytes, tail: Bytes) -> Self {
        let mut head = Vec::with_capacity(64 + opening.len());
        write_result_with(&mut head, id, |out| out.extend_from_slice(opening));
        // The writer closed the message; it closes after the tail instead.
        head.pop();
        Self::with(StatusCode::OK, Content::Around { head, middle, tail })
    }

    /// An error with the status that goes with it.
    pub(super) fn error(status: StatusCode, id: Option<Id<'_>>, error: &ErrorObject) -> Self {
        let mut out = Vec::with_capacity(192);
        write_error(&mut out, id, error);
        Self::with(status, Content::Text(out))
    }

    /// A parameter of the protocol is wrong (row 16): 200, since 400 would look like a legacy server (S-55).
    pub(super) fn bad_params(id: Id<'_>, message: impl Into<String>) -> Self {
        Self::error(
            StatusCode::OK,
            Some(id),
            &ErrorObject::new(codes::INVALID_PARAMS, message.into()),
        )
    }

    /// The edge itself failed.
    pub(super) fn broken() -> Self {
        let reference = super::http::request_id();
        error!(request.id = reference, "the edge panicked");
        Self::internal(None, &reference)
    }

    fn internal(id: Option<Id<'_>>, reference: &str) -> Self {
        let error = ErrorObject::new(
            codes::INTERNAL_ERROR,
            format!("500 Internal Error: request {reference}"),
        );
        Self::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            id,
            &error.with_data(&json!({ "ref": reference })),
        )
    }

    /// A limit was reached.
    pub(super) fn over_limit(id: Option<Id<'_>>, limit: &OverLimit) -> Self {
        let (code, word) = match limit {
            OverLimit::Rate { .. } | OverLimit::Concurrency { .. } => (codes::RATE_LIMITED, "rate_limited"),
            OverLimit::Cap { .. } => (codes::CAP_REACHED, "cap_reached"),
        };
        Self {
            rate: limit.rate(),
            ..Self::too_many(id, (code, word), limit, limit.retry_after_seconds())
        }
    }

    /// 429 with a message and the time to wait.
    pub(super) fn later(id: Option<Id<'_>>, message: &str, retry_after: u64) -> Self {
        Self::too_many(id, (codes::RATE_LIMITED, "rate_limited"), &message, retry_after)
    }

    fn too_many(
        id: Option<Id<'_>>,
        (code, word): (i64, &'static str),
        message: &dyn fmt::Display,
        retry_after: u64,
    ) -> Self {
        /// What programs read of it. In one pass, and not by way of a `Value`: whoever floods is told thousands of times a second.
        #[derive(Serialize)]
        struct Data {
            code: &'static str,
            retry_after_seconds: u64,
        }
        let data = Data {
            code: word,
            retry_after_seconds: retry_after,
        };
        let error = ErrorObject {
            // Invariant: a word and a number serialise.
            data: to_raw_value(&data).ok(),
            ..ErrorObject::new(code, format!("429 Too Many Requests: {message}"))
        };
        Self {
            retry_after: Some(retry_after),
            ..Self::error(StatusCode::TOO_MANY_REQUESTS, id, &error)
        }
    }

    /// The same, with what is left of the month's calls.
    pub(super) fn with_usage(self, usage: Option<Usage>) -> Self {
        Self { usage, ..self }
    }

    /// The same, with the time when a limit lets more through.
    pub(super) fn once_within(self, limit: &OverLimit) -> Self {
        Self {
            retry_after: Some(limit.retry_after_seconds()),
            rate: limit.rate(),
            ..self
        }
    }

    /// The same, with the wish to be asked again in a moment.
    pub(super) fn soon(self) -> Self {
        Self {
            retry_after: Some(SOON),
            ..self
        }
    }

    /// Whether there is a message at all.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.content, Content::Nothing)
    }

    /// A copy of the message in one piece.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match &self.content {
            Content::Nothing => Vec::new(),
            Content::Text(text) => text.clone(),
            Content::Around { head, middle, tail } => {
                [head.as_slice(), middle.as_ref(), tail.as_ref(), b"}"].concat()
            }
        }
    }

    /// The message in one piece.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self.content {
            Content::Nothing => Vec::new(),
            Content::Text(text) => text,
            Content::Around {
                mut head,
                middle,
                tail,
            } => {
                head.extend_from_slice(&middle);
                head.extend_from_slice(&tail);
                head.push(b'}');
                head
            }
        }
    }

    /// The message as a body; nothing large is copied.
    pub(super) fn into_body(self) -> Outgoing {
        match self.content {
            Content::Nothing => Outgoing::empty(),
            Content::Text(text) => Outgoing::of(text),
            Content::Around { head, middle, tail } => {
                Outgoing::parts(vec![head.into(), middle, tail, Bytes::from_static(b"}")])
            }
        }
    }
}

/// Whom a failed call is answered to.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) id: Id<'a>,
    pub(super) dialect: Dialect,
    /// Somebody with an access token, whom a new one may help.
    pub(super) stepping: Option<Stepping<'a>>,
    /// The request's id; what internal failures show instead of their cause.
    pub(super) reference: &'a str,
    /// What ends every result.
    pub(super) tail: &'a [u8],
}

/// A call that was not answered with an outcome.
pub(super) fn of_call_error(error: &CallError, asker: Asker<'_>) -> Reply {
    let id = Some(asker.id);
    let protocol = |status, code, message: String| Reply::error(status, id, &ErrorObject::new(code, message));
    log(error, asker.reference);
    match error {
        CallError::UnknownTool(name) => {
            let name: String = name.chars().take(128).collect();
            Reply::bad_params(asker.id, format!("Unknown tool: {name}"))
        }
        CallError::Params(message) | CallError::Domain(DomainError::Protocol(message)) => {
            Reply::bad_params(asker.id, message.clone())
        }
        CallError::Headers(mismatch) => Reply::error(StatusCode::BAD_REQUEST, id, &mismatch.to_error()),
        CallError::OverLimit(limit) => Reply::over_limit(id, limit),
        CallError::Domain(DomainError::Exhausted {
            message,
            retry_after_seconds,
        }) => Reply::later(id, message, *retry_after_seconds),
        CallError::Denied(denial) if asker.dialect.bare || asker.stepping.is_some() => {
            let error = ErrorObject::new(codes::FORBIDDEN, error.text(asker.reference));
            let challenge = match (denial, asker.stepping) {
                (Denial::MissingScope(missing), Some(stepping)) => stepping.challenge(missing),
                (Denial::MissingScope(missing), None) => Some(challenge::insufficient(None, missing)),
                _ => None,
            };
            Reply {
                challenge,
                ..Reply::error(StatusCode::FORBIDDEN, id, &error.with_data(&denial_data(denial)))
            }
        }
        CallError::Domain(DomainError::MissingCapability(missing)) if asker.dialect.is_modern() => {
            let error = ErrorObject::new(
                codes::MISSING_CLIENT_CAPABILITY,
                format!("Not possible: {error}."),
            );
            let data = json!({ "requiredCapabilities": missing });
            Reply::error(StatusCode::BAD_REQUEST, id, &error.with_data(&data))
        }
        CallError::Unavailable(_) | CallError::Domain(DomainError::Store(_)) => {
            let text = error.text(asker.reference);
            protocol(StatusCode::SERVICE_UNAVAILABLE, codes::INTERNAL_ERROR, text).soon()
        }
        CallError::Domain(DomainError::Internal(_)) | CallError::Panicked => {
            Reply::internal(id, asker.reference)
        }
        CallError::Arguments(_)
        | CallError::CannotAsk
        | CallError::NoAnswer(_)
        | CallError::NoPreview
        | CallError::Denied(_)
        | CallError::Timeout { .. }
        | CallError::Domain(
            DomainError::Arguments(_)
            | DomainError::NotFound { .. }
            | DomainError::Conflict(_)
            | DomainError::ConflictWith { .. }
            | DomainError::Rule(_)
            | DomainError::MissingCapability(_)
            | DomainError::Upstream(_)
            | DomainError::Cancelled,
        ) => Reply::result(asker.id, |out| {
            let text = error.text(asker.reference);
            let structured = tool_error(error, asker.reference);
            shape::write_tool_error(out, asker.dialect, asker.tail, &text, &structured);
        }),
    }
}

/// `structuredContent` of a tool error.
fn tool_error(error: &CallError, reference: &str) -> String {
    let mut inner = Map::new();
    inner.insert("code".to_owned(), json!(error.code()));
    inner.insert("message".to_owned(), json!(error.to_string()));
    if let Some(details) = details(error) {
        inner.insert("details".to_owned(), details);
    }
    if let CallError::Domain(DomainError::Upstream(fault)) = error
        && let Some(seconds) = fault.retry_after_seconds
    {
        inner.insert("retry_after_seconds".to_owned(), json!(seconds));
    }
    inner.insert("request_id".to_owned(), json!(reference));
    json!({ "error": inner }).to_string()
}

/// What a program can use of an error besides its text.
pub fn details(error: &CallError) -> Option<Value> {
    match error {
        CallError::Arguments(e) | CallError::Domain(DomainError::Arguments(e)) => {
            Some(json!({ "faults": e.faults }))
        }
        CallError::Denied(Denial::MissingScope(scopes)) => Some(json!({ "missing_scopes": texts(scopes) })),
        CallError::Domain(DomainError::ConflictWith { details, .. }) => Some(details.clone()),
        CallError::Domain(DomainError::MissingCapability(missing)) => {
            Some(json!({ "required_capabilities": missing }))
        }
        _ => None,
    }
}

pub(super) fn denial_data(denial: &Denial) -> Value {
    match denial {
        // All scopes at once, so that a host can ask for them in one go (protocol.md A-24).
        Denial::MissingScope(scopes) => json!({ "code": "missing_scope", "requiredScopes": texts(scopes) }),
        Denial::RoleRequired | Denial::NotOnKey(_) => json!({ "code": "role_required" }),
        Denial::ReadOnly => json!({ "code": "read_only" }),
    }
}

fn texts(scopes: &[Scope]) -> Vec<&str> {
    scopes.iter().map(Scope::as_str).collect()
}

/// Logs a failure. Each is logged once, where it is answered.
pub fn log(error: &CallError, reference: &str) {
    match error {
        CallError::Unavailable(_)
        | CallError::Panicked
        | CallError::Domain(DomainError::Internal(_) | DomainError::Store(_)) => {
            error!(
                request.id = reference,
                code = error.code(),
                "call failed: {}",
                Logged(&chain(error))
            );
        }
        refused => {
            info!(
                request.id = reference,
                code = error.code(),
                "call refused: {}",
                Logged(&refused.to_string())
            );
        }
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
