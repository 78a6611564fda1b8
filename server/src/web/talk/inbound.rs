//! `POST /in/<secret>`: a mail as its bytes, or a message as JSON. The secret opens a channel before a byte of the body is
//! waited for; a mail is skimmed while it arrives, so that its size costs no memory.

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, Request},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError};

use super::Open;
use crate::{
    domain::workspace::Skim,
    edge::Visit,
    pipeline::Refused,
    web::{
        Json, RestError, Web,
        key::too_many,
        read::{has_cause, is, is_too_slow},
    },
};

/// Largest message as JSON, in bytes: the longest text with every character escaped.
const MOST_JSON: usize = 256 * 1024;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/in/{secret}", post(receive))
}

async fn receive(
    Open(talk): Open,
    Extension(visit): Extension<Visit>,
    Path(secret): Path<String>,
    request: Request,
) -> Result<Response, RestError> {
    let counted = talk.inbound.count(visit.address);
    counted.map_err(|limit| too_many(&limit))?;
    let Some(knock) = talk.workspace.knock(&secret).await? else {
        return Err(RestError::no_such_path());
    };
    let (parts, body) = request.into_parts();
    let received = if is(&parts.headers, "application/json") {
        knock.json(&whole(body).await?).await?
    } else if is_mail(&parts.headers) {
        knock.mail(skim(body).await?).await?
    } else {
        return Err(RestError::new(
            Refused::UNSUPPORTED_MEDIA_TYPE,
            "Send a mail's bytes with `Content-Type: message/rfc822`, or a message with `Content-Type: application/json`.",
        ));
    };
    Ok((StatusCode::ACCEPTED, Json(received)).into_response())
}

/// Whether the body is a mail: mail servers that run a program to post it often say nothing of its type.
fn is_mail(headers: &HeaderMap) -> bool {
    let types = ["message/rfc822", "text/plain", "application/octet-stream"];
    !headers.contains_key(header::CONTENT_TYPE) || types.iter().any(|kind| is(headers, kind))
}

async fn whole(mut body: Body) -> Result<Vec<u8>, RestError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() {
            if bytes.len() + data.len() > MOST_JSON {
                return Err(RestError::too_large());
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

async fn skim(mut body: Body) -> Result<Skim, RestError> {
    let mut mail = Skim::default();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() {
            mail.push(&data);
        }
    }
    Ok(mail)
}

fn broken(error: &axum::Error) -> RestError {
    if is_too_slow(error) {
        RestError::too_slow()
    } else if has_cause::<LengthLimitError>(error) {
        RestError::too_large()
    } else {
        RestError::invalid("The body broke off.")
    }
}
