//! Why a request never became a message (gate rows 1 to 5), and what is said to it.

use footbridge_protocol::{codes, jsonrpc::ErrorObject};
use http::StatusCode;
use serde::Serialize;

use super::{challenge, gate::TwoCredentials, reply::Reply};
use crate::{
    access::{
        AuthError,
        oauth::{Resource, TokenFault},
    },
    limits::OverLimit,
};

/// Why a request never became a message (gate rows 1 to 5).
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Nothing is served at this path.
    #[error("Nothing is served at this path.")]
    NotFound,
    /// `Host` is none of our names.
    #[error("Host is not a name of this server; its operator can add it to `public_names`.")]
    Host,
    /// A page that is not on the list sent this.
    #[error("Origin is not allowed; the server's operator can add it to `allowed_origins`.")]
    Origin,
    /// Another method than POST.
    #[error(
        "This endpoint speaks Streamable HTTP (POST). In Cline set \"type\": \"streamableHttp\"; in other clients \
         choose HTTP, not SSE."
    )]
    Method,
    /// The session is over, or was never this caller's.
    #[error("404 Not Found: this session is over; send `initialize` for another.")]
    SessionOver,
    /// The principal sends too much.
    #[error("429 Too Many Requests: {0}")]
    Rate(OverLimit),
    /// The server is on its way out.
    #[error("503 Service Unavailable: the server is restarting; try again.")]
    Draining,
    /// Too much is under way.
    #[error("503 Service Unavailable: too many requests are under way; try again.")]
    Overloaded,
    /// The address sends too much.
    #[error("429 Too Many Requests: {0}")]
    Address(OverLimit),
    /// Two credentials, of which either might be meant.
    #[error("400 Bad Request: send one credential, in `Authorization` or in `X-API-Key`.")]
    TwoCredentials,
    /// The credential does not open the door.
    #[error("{}: {error}", auth_status(error))]
    Credential {
        /// Why.
        error: AuthError,
        /// Whether there was one at all.
        presented: bool,
    },
    /// Not `application/json`.
    #[error("415 Unsupported Media Type: Content-Type must be application/json.")]
    MediaType,
    /// A compressed body.
    #[error("415 Unsupported Media Type: send the body without Content-Encoding.")]
    Encoding,
    /// The client reads nothing that we can write.
    #[error("406 Not Acceptable: Accept must allow application/json or text/event-stream.")]
    Accept,
    /// The body is too large.
    #[error("413 Content Too Large: a request body may have at most {limit} bytes.")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// The body did not come to its end in time.
    #[error("408 Request Timeout: the body did not arrive in time.")]
    TooSlow,
    /// The body broke off or is not well-formed HTTP.
    #[error("400 Bad Request: the body broke off.")]
    BrokenBody,
}

impl From<TwoCredentials> for Refusal {
    fn from(_: TwoCredentials) -> Self {
        Self::TwoCredentials
    }
}

/// The status that says why a credential does not open the door.
pub fn auth_status(error: &AuthError) -> StatusCode {
    match error {
        AuthError::Missing
        | AuthError::NotRecognised(_)
        | AuthError::Token(_)
        | AuthError::Revoked
        | AuthError::Expired
        | AuthError::WrongEdition(_)
        | AuthError::OtherTenant
        | AuthError::NoEdition => StatusCode::UNAUTHORIZED,
        // Another credential would not help, so no challenge (protocol.md A-15).
        AuthError::Suspended | AuthError::NoEmail | AuthError::EmailTaken(_) => StatusCode::FORBIDDEN,
        AuthError::Unavailable(_) | AuthError::Provider(_) | AuthError::Busy => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::SessionOver => StatusCode::NOT_FOUND,
            Self::Host | Self::Origin => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Draining | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Address(_) | Self::Rate(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TwoCredentials | Self::BrokenBody => StatusCode::BAD_REQUEST,
            Self::Credential { error, .. } => auth_status(error),
            Self::MediaType | Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Accept => StatusCode::NOT_ACCEPTABLE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// The word for programs in the answers of REST endpoints.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Host => "unknown_host",
            Self::Origin => "foreign_origin",
            Self::Method => "method_not_allowed",
            Self::Draining | Self::Overloaded => "unavailable",
            Self::SessionOver => "session_over",
            Self::Address(_) | Self::Rate(_) => "too_many_requests",
            Self::TwoCredentials => "two_credentials",
            Self::Credential { .. } => "unauthorized",
            Self::MediaType | Self::Encoding => "unsupported_media_type",
            Self::Accept => "not_acceptable",
            Self::TooLarge { .. } => "too_large",
            Self::TooSlow => "too_slow",
            Self::BrokenBody => "broken_body",
        }
    }

    fn code(&self) -> i64 {
        match self.status() {
            StatusCode::UNAUTHORIZED => codes::UNAUTHORIZED,
            StatusCode::FORBIDDEN => codes::FORBIDDEN,
            StatusCode::TOO_MANY_REQUESTS => codes::RATE_LIMITED,
            StatusCode::SERVICE_UNAVAILABLE => codes::INTERNAL_ERROR,
            _ => codes::INVALID_REQUEST,
        }
    }

    /// Whether the rest of the request is unread or unreadable, so that the connection cannot go on.
    pub(super) fn closes(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::TooSlow | Self::BrokenBody)
    }

    /// `WWW-Authenticate` of a 401, at the entrance to this resource.
    pub(super) fn challenge(&self, resource: Option<&Resource>) -> Option<String> {
        match self {
            Self::Credential { presented, .. } if self.status() == StatusCode::UNAUTHORIZED => {
                Some(challenge::unauthorized(resource, *presented))
            }
            _ => None,
        }
    }

    /// What the operator reads besides the text: the caller may not know it.
    pub(super) fn reason(&self) -> Option<TokenFault> {
        match self {
            Self::Credential {
                error: AuthError::Token(fault),
                ..
            } => Some(*fault),
            _ => None,
        }
    }

    /// The answer: a JSON-RPC error without an id, since no message was read.
    pub(super) fn to_reply(&self) -> Reply {
        if let Self::Address(limit) | Self::Rate(limit) = self {
            return Reply::over_limit(None, limit);
        }
        let error = ErrorObject::new(self.code(), self.to_string());
        self.timed(Reply::error(self.status(), None, &error))
    }

    /// The answer of a REST endpoint, or of a page.
    pub(super) fn to_rest(&self) -> Reply {
        #[derive(Serialize)]
        struct Said {
            error: String,
            code: &'static str,
        }
        let said = Said {
            error: self.to_string(),
            code: self.word(),
        };
        // Invariant: texts serialise.
        let said = serde_json::to_vec(&said).unwrap_or_default();
        self.timed(Reply::raw(self.status().as_u16(), said))
    }

    /// The same answer, with the time to come back where that helps.
    fn timed(&self, reply: Reply) -> Reply {
        match self {
            Self::Address(limit) | Self::Rate(limit) => reply.once_within(limit),
            Self::Draining
            | Self::Overloaded
            | Self::Credential {
                error: AuthError::Unavailable(_) | AuthError::Provider(_) | AuthError::Busy,
                ..
            } => reply.soon(),
            _ => reply,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::store::StoreError;

    #[test]
    fn each_refusal_has_its_status_and_challenge() {
        let credential = |error, presented| Refusal::Credential { error, presented };
        let table: Vec<(Refusal, u16, i64, Option<&str>, &str)> = vec![
            (Refusal::NotFound, 404, -32600, None, "Nothing"),
            (
                Refusal::SessionOver,
                404,
                -32600,
                None,
                "404 Not Found: this session is over",
            ),
            (Refusal::Host, 403, -32011, None, "Host"),
            (Refusal::Origin, 403, -32011, None, "Origin"),
            (Refusal::Draining, 503, -32603, None, "503 Service Unavailable: "),
            (Refusal::TwoCredentials, 400, -32600, None, "400 Bad Request: "),
            (
                credential(AuthError::Missing, false),
                401,
                -32010,
                Some("Bearer"),
                "401 Unauthorized: missing access token",
            ),
            (
                credential(AuthError::NotRecognised(None), true),
                401,
                -32010,
                Some("Bearer error=\"invalid_token\""),
                "401 Unauthorized: key not recognised",
            ),
            (
                credential(AuthError::Revoked, true),
                401,
                -32010,
                Some("Bearer error=\"invalid_token\""),
                "401 Unauthorized: key revoked",
            ),
            (
                credential(AuthError::Suspended, true),
                403,
                -32011,
                None,
                "403 Forbidden: ",
            ),
            (
                credential(AuthError::Unavailable(StoreError::Closed), true),
                503,
                -32603,
                None,
                "503 Service Unavailable: ",
            ),
            (Refusal::MediaType, 415, -32600, None, "415 "),
            (Refusal::Accept, 406, -32600, None, "406 "),
            (
                Refusal::TooLarge { limit: 9 },
                413,
                -32600,
                None,
                "413 Content Too Large: a request body may have at most 9",
            ),
            (Refusal::TooSlow, 408, -32600, None, "408 "),
        ];
        for (refusal, status, code, challenge, text) in table {
            assert_eq!(
                (refusal.status().as_u16(), refusal.challenge(None).as_deref()),
                (status, challenge),
                "{refusal}"
            );
            let message: Value = serde_json::from_slice(&refusal.to_reply().into_bytes()).unwrap();
            assert_eq!(message["error"]["code"], code, "{message}");
            assert!(message.get("id").is_none(), "no id was read: {message}");
            assert!(
                message["error"]["message"].as_str().unwrap().starts_with(text),
                "{message}"
            );
        }
    }
}
