//! Articles of the knowledge base for everybody: `GET /kb/<tenant>/<slug>`, a page without session, form or script, that
//! caches may keep. Archived articles lead on to those that took their place.

use askama::Template;
use axum::{
    Extension, Router,
    extract::Path,
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Open;
use crate::{
    domain::workspace::{OnShelf, page_html},
    edge::Visit,
    vocabulary::{hexadecimal, sha256},
    web::{PageError, RestError, Web, console, key::too_many},
};

/// How long caches keep an article: what is taken back is gone everywhere after five minutes.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

pub(super) fn router() -> Router<Web> {
    Router::new().route("/kb/{tenant}/{slug}", get(read))
}

#[derive(Template)]
#[template(path = "article.html")]
struct ArticlePage {
    title: String,
    body: String,
    updated: String,
}

async fn read(
    open: Result<Open, RestError>,
    Extension(visit): Extension<Visit>,
    Path((tenant, slug)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let missing = || PageError::not_found("There is no such article.");
    let Open(talk) = open.map_err(|_| missing())?;
    if let Err(limit) = talk.readers.count(visit.address) {
        return Ok(too_many(&limit).into_response());
    }
    let article = match talk.workspace.on_shelf(&tenant, &slug).await? {
        Some(OnShelf::Here(article)) => article,
        Some(OnShelf::Moved(slug)) => {
            // The slug is letters, digits and dashes; the tenant is one that was found.
            let moved = Redirect::temporary(&format!("/kb/{tenant}/{slug}"));
            return Ok(([(header::CACHE_CONTROL, KEPT)], moved).into_response());
        }
        None => return Err(missing()),
    };
    // Of the text and not of the version alone: another store's article may have the same.
    let digest = sha256(&format!(
        "{}\0{}\0{}",
        article.version, article.title, article.body_markdown
    ));
    let tag = format!("\"{}\"", hexadecimal(digest.get(..12).unwrap_or_default()));
    let tag = HeaderValue::from_str(&tag).map_err(|error| PageError::internal(&error))?;
    let kept = [(header::CACHE_CONTROL, KEPT), (header::ETAG, tag.clone())];
    if headers.get(header::IF_NONE_MATCH) == Some(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    let page = ArticlePage {
        body: page_html(&article.body_markdown),
        updated: console::day(article.updated_at),
        title: article.title,
    };
    let page = page.render().map_err(|error| PageError::internal(&error))?;
    Ok((kept, Html(page)).into_response())
}
