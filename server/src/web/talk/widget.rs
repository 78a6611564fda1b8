//! Chat windows on other sites: `GET /widget/<tenant>/<id>` says what one looks like, `POST …/messages` takes what a visitor
//! wrote, `GET …/messages` shows what was said. Pages of the widget's own list of origins alone may ask; a visitor is who
//! holds the token that their first message brought.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, Request},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::{Open, Talk};
use crate::{
    domain::workspace::{Guest, WidgetView},
    pipeline::Refused,
    web::{Json, RestError, Web, key::too_many, read},
};

/// The script that sites embed.
const SCRIPT: &[u8] = include_bytes!("../../../assets/widget.js");
/// How long browsers keep the script: a new version reaches every site within an hour.
const SCRIPT_KEPT: &str = "public, max-age=3600";
/// How long browsers remember what an origin may send.
const PREFLIGHT_KEPT: &str = "600";
/// Largest message with its address, in bytes.
const MOST_BODY: usize = 128 * 1024;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/widget.js", get(script))
        .route("/widget/{tenant}/{id}", get(look).options(preflight))
        .route(
            "/widget/{tenant}/{id}/messages",
            get(messages).post(write).options(preflight),
        )
}

async fn script(_: Open) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, SCRIPT_KEPT),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "cross-origin",
        ),
    ];
    (headers, SCRIPT).into_response()
}

/// A window, and the origin that may have it.
struct Opened {
    widget: WidgetView,
    origin: HeaderValue,
}

/// Opens a window for the page that asks.
async fn open(
    talk: &Arc<Talk>,
    (tenant, id): &(String, String),
    headers: &HeaderMap,
) -> Result<Opened, RestError> {
    let Some(widget) = talk.workspace.widget(tenant, id).await? else {
        return Err(RestError::no_such_path());
    };
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (Some(origin), None) => origin.clone(),
        _ => return Err(strange_origin()),
    };
    if !origin.to_str().is_ok_and(|origin| widget.allows(origin)) {
        return Err(strange_origin());
    }
    Ok(Opened { widget, origin })
}

fn strange_origin() -> RestError {
    RestError::new(
        Refused::ORIGIN,
        "This chat window may not be opened from this site. Add the site's origin to the widget's allowed_origins.",
    )
}

impl Opened {
    /// An answer, or a refusal, that the page may read.
    fn answer(&self, answer: Result<Response, RestError>) -> Response {
        let mut response = answer.unwrap_or_else(IntoResponse::into_response);
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("cross-origin"),
        );
        response
    }
}

async fn preflight(
    Open(talk): Open,
    Path((tenant, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let opened = open(&talk, &(tenant, id), &headers).await?;
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_KEPT),
    ];
    Ok(opened.answer(Ok((StatusCode::NO_CONTENT, allowed).into_response())))
}

async fn look(
    Open(talk): Open,
    Path((tenant, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let opened = open(&talk, &(tenant, id), &headers).await?;
    Ok(opened.answer(Ok(Json(opened.widget.look()).into_response())))
}

/// The visitor whose token a request carries.
fn guest(headers: &HeaderMap) -> Option<Guest> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Guest::of(value.strip_prefix("Bearer ")?)
}

/// The visitor who writes, if they wrote before. A token that was made up is none: its holder is counted with all who begin,
/// or as many could begin as there are tokens.
async fn known(talk: &Talk, widget: &WidgetView, headers: &HeaderMap) -> Result<Option<Guest>, RestError> {
    let Some(guest) = guest(headers) else {
        return Ok(None);
    };
    let counted = talk.messages.count(guest.name().to_owned());
    counted.map_err(|limit| too_many(&limit))?;
    Ok(widget.knows(&guest).await?.then_some(guest))
}

async fn messages(
    Open(talk): Open,
    Path((tenant, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let opened = open(&talk, &(tenant, id), &headers).await?;
    let shown = async {
        let Some(guest) = guest(&headers) else {
            return Ok(Json(json!({ "messages": [] })).into_response());
        };
        let counted = talk.looks.count(guest.name().to_owned());
        counted.map_err(|limit| too_many(&limit))?;
        Ok(Json(opened.widget.messages(&guest).await?).into_response())
    };
    Ok(opened.answer(shown.await))
}

/// What a visitor wrote.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    text: String,
    email: Option<String>,
    name: Option<String>,
}

async fn write(
    Open(talk): Open,
    Path((tenant, id)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, RestError> {
    let opened = open(&talk, &(tenant, id.clone()), &headers).await?;
    let answer = async {
        // Counted before the body is read.
        let (guest, token) = match known(&talk, &opened.widget, &headers).await? {
            Some(guest) => (guest, None),
            None => {
                let counted = talk.new_visitors.count(id);
                counted.map_err(|limit| too_many(&limit))?;
                let (guest, token) = Guest::new()?;
                (guest, Some(token))
            }
        };
        if !read::is(request.headers(), "application/json") {
            return Err(RestError::new(
                Refused::UNSUPPORTED_MEDIA_TYPE,
                "Send the message as JSON, with `Content-Type: application/json`.",
            ));
        }
        let body = read::body(request, &()).await?;
        if body.len() > MOST_BODY {
            return Err(RestError::too_large());
        }
        let written: Written = serde_json::from_slice(&body).map_err(|error| {
            RestError::invalid(format!("The message is not what is expected here: {error}."))
        })?;
        let (email, name) = (written.email.as_deref(), written.name.as_deref());
        let mut said = opened.widget.write(&guest, &written.text, email, name).await?;
        if let (Some(token), Some(said)) = (token, said.as_object_mut()) {
            said.insert("visitor".to_owned(), token.expose_secret().into());
        }
        Ok((StatusCode::CREATED, Json(said)).into_response())
    };
    Ok(opened.answer(answer.await))
}
