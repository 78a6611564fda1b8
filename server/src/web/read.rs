//! Bodies and queries of REST requests as typed values; what cannot be read is answered here, in one shape.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::{Serialize, de::DeserializeOwned};

use super::RestError;
use crate::{edge::BodyTooSlow, pipeline::Refused};

/// A JSON body, read within the edge's size and time; as an answer, JSON too.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &S) -> Result<Self, RestError> {
        if !is(request.headers(), "application/json") {
            return Err(RestError::new(
                Refused::UNSUPPORTED_MEDIA_TYPE,
                "Send the body as JSON, with `Content-Type: application/json`.",
            ));
        }
        let bytes = body(request, state).await?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| RestError::invalid(format!("The body is not what is expected here: {error}.")))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The query of the target, `?name=value&…`.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, RestError> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|error| RestError::invalid(format!("The query cannot be read: {}.", error.body_text())))
    }
}

/// Whether the content type is this one, whatever its parameters.
pub(super) fn is(headers: &HeaderMap, expected: &str) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next();
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected))
}

/// The whole body. It is bounded by the edge, which also gives it its time.
pub(super) async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, RestError> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if is_too_slow(&rejection) {
            return RestError::too_slow();
        }
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => RestError::too_large(),
            _ => RestError::invalid("The body broke off."),
        }
    })
}

/// Whether a body did not arrive in time.
pub(super) fn is_too_slow(error: &(dyn std::error::Error + 'static)) -> bool {
    has_cause::<BodyTooSlow>(error)
}

/// Whether an error of this type is among an error's causes.
pub(super) fn has_cause<E: std::error::Error + 'static>(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<E>() {
            return true;
        }
        cause = error.source();
    }
    false
}
