//! What a REST endpoint says when it says no: `{"error": "<a sentence>", "code": "<a word>"}`.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use tracing::error;

use crate::{
    domain::workspace,
    operate::OperateError,
    pipeline::{self, Refused},
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
    /// A refusal of the vocabulary. `text` is a sentence for people that says what to do.
    pub fn new(refused: Refused, text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::from_u16(refused.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: refused.code,
            text: text.into(),
            retry_after: None,
            besides: Box::default(),
        }
    }

    /// A refusal by its code.
    pub(super) fn of(code: &str, text: impl Into<String>) -> Self {
        match pipeline::refused(code) {
            Some(refused) => Self::new(*refused, text),
            None => Self::internal(&format!("`{code}` is no code of the vocabulary")),
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
        Self::new(Refused::INVALID_ARGUMENTS, text)
    }

    /// Nobody is signed in.
    pub fn unauthorized() -> Self {
        Self::new(
            Refused::UNAUTHORIZED,
            "Sign in first: POST your e-mail address and password to /v1/login, and send the token it gives as \
             `Authorization: Bearer <token>`.",
        )
    }

    /// Signed in, but not for this.
    pub fn role_required(needs: &str) -> Self {
        Self::new(Refused::ROLE_REQUIRED, format!("This needs the role {needs}."))
    }

    /// Nothing is there.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(Refused::NOT_FOUND, text)
    }

    /// The body is larger than what is read.
    pub(super) fn too_large() -> Self {
        Self::new(Refused::TOO_LARGE, "The body is larger than this server takes.")
    }

    /// The body took too long.
    pub(super) fn too_slow() -> Self {
        Self::new(Refused::TOO_SLOW, "The body did not arrive in time.")
    }

    pub(super) fn no_such_path() -> Self {
        Self::not_found("Nothing is served at this path.")
    }

    pub(super) fn no_such_method() -> Self {
        Self::new(
            Refused::METHOD_NOT_ALLOWED,
            "This path is there, but not for this method.",
        )
    }

    /// A fault of ours: the cause goes to the log, its reference to the caller.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        let reference = new_id("ref", Clock::System.now());
        error!(request.id = reference, "failed to answer a REST request: {cause}");
        Self::new(
            Refused::INTERNAL,
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
        let refused = Self::new(error.refused(), error.to_string());
        match error.retry_after_seconds() {
            Some(seconds) => refused.retry_after(seconds),
            None => refused,
        }
    }
}

impl From<workspace::Refused> for RestError {
    fn from(refused: workspace::Refused) -> Self {
        match refused {
            workspace::Refused::Invalid(text) => Self::invalid(text),
            workspace::Refused::Rule(text) => Self::new(Refused::RULE_VIOLATION, text),
            workspace::Refused::Gone => Self::no_such_path(),
            workspace::Refused::Store(error) => error.into(),
            workspace::Refused::Internal(cause) => Self::internal(&cause),
        }
    }
}

impl From<StoreError> for RestError {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Conflict { .. }) {
            return Self::new(Refused::CONFLICT, error.to_string());
        }
        if error.is_outage() || error.is_retryable() {
            let reference = new_id("ref", Clock::System.now());
            error!(
                request.id = reference,
                "the store failed during a REST request: {error}"
            );
            let text =
                format!("The store cannot be reached at this moment; try again. Reference `{reference}`.");
            return Self::new(Refused::UNAVAILABLE, text).retry_after(2);
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
