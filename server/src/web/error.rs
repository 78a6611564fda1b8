//! What a REST endpoint says when it says no: `{"error": "<a sentence>", "code": "<a word>"}`.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use tracing::error;

use crate::{
    domain::workspace::Refused,
    operate::OperateError,
    store::StoreError,
    vocabulary::{Clock, new_id},
};

/// A refusal, or a fault of ours, as the caller reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestError {
    status: StatusCode,
    code: &'static str,
    text: String,
    /// Seconds.
    retry_after: Option<u64>,
    besides: Box<Besides>,
}

/// What few answers have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Besides {
    members: Map<String, Value>,
    headers: HeaderMap,
}

impl RestError {
    /// A refusal. `code` is a word for programs, `text` a sentence for people that says what to do.
    pub fn new(status: StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            code,
            text: text.into(),
            retry_after: None,
            besides: Box::default(),
        }
    }

    /// The same, with one more member in the answer.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.besides.members.insert(name.to_owned(), value);
        self
    }

    /// The same, with these header fields.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.besides.headers = headers;
        self
    }

    /// When to come back, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// What the caller sent cannot be used.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_arguments", text)
    }

    /// Nobody is signed in.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Sign in first: POST your e-mail address and password to /v1/login, and send the token it gives as \
             `Authorization: Bearer <token>`.",
        )
    }

    /// Signed in, but not for this.
    pub fn role_required(needs: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "role_required",
            format!("This needs the role {needs}."),
        )
    }

    /// Nothing is there.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", text)
    }

    /// The body is larger than what is read.
    pub(super) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "The body is larger than this server takes.",
        )
    }

    /// The body took too long.
    pub(super) fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "The body did not arrive in time.",
        )
    }

    pub(super) fn no_such_path() -> Self {
        Self::not_found("Nothing is served at this path.")
    }

    pub(super) fn no_such_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This path is there, but not for this method.",
        )
    }

    /// A fault of ours: the cause goes to the log, its reference to the caller.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        let reference = new_id("ref", Clock::System.now());
        error!(request.id = reference, "failed to answer a REST request: {cause}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!(
                "Internal error, reference `{reference}`. Its operator finds the cause in the server's log."
            ),
        )
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl From<OperateError> for RestError {
    fn from(error: OperateError) -> Self {
        if let OperateError::Store(error) = error {
            return error.into();
        }
        if !error.is_for_the_caller() {
            return Self::internal(&error);
        }
        let (status, code) = error.status_and_code();
        let refused = Self::new(
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            code,
            error.to_string(),
        );
        match error.retry_after_seconds() {
            Some(seconds) => refused.retry_after(seconds),
            None => refused,
        }
    }
}

impl From<Refused> for RestError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(text) => Self::invalid(text),
            Refused::Rule(text) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "rule_violation", text),
            Refused::Gone => Self::no_such_path(),
            Refused::Store(error) => error.into(),
            Refused::Internal(cause) => Self::internal(&cause),
        }
    }
}

impl From<StoreError> for RestError {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Conflict { .. }) {
            return Self::new(StatusCode::CONFLICT, "conflict", error.to_string());
        }
        if error.is_outage() || error.is_retryable() {
            let reference = new_id("ref", Clock::System.now());
            error!(
                request.id = reference,
                "the store failed during a REST request: {error}"
            );
            let text =
                format!("The store cannot be reached at this moment; try again. Reference `{reference}`.");
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text).retry_after(2);
        }
        Self::internal(&error)
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": self.text, "code": self.code });
        if let Some(members) = body.as_object_mut() {
            members.extend(self.besides.members);
        }
        let mut response = (self.status, self.besides.headers, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
