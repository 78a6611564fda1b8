//! Signing in at an identity provider: to it, and back from it.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;

use super::{
    PageError, Visitor,
    entry::{enter, own_page},
    person::HoldsForm,
};
use crate::{
    operate::oidc::{Browser, Returned, SignInProvider},
    web::{Query, Web},
};

/// Where the provider sends browsers back to; it is registered there.
pub(super) const CALLBACK: &str = "/console/sign-in/callback";

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/sign-in/provider", get(begin))
        .route(CALLBACK, get(finish))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BeginQuery {
    next: String,
}

fn provider(web: &Web) -> Result<&SignInProvider, PageError> {
    web.provider()
        .ok_or_else(|| PageError::not_found("This server signs nobody in at an identity provider."))
}

async fn begin(
    State(web): State<Web>,
    visitor: Visitor,
    Query(query): Query<BeginQuery>,
) -> Result<Response, PageError> {
    let callback = format!("{}{CALLBACK}", visitor.visit().site.base);
    let url = provider(&web)?
        .begin(web.house(), browser(&visitor, &callback), own_page(&query.next))
        .await?;
    Ok((visitor.remember(), Redirect::to(&url)).into_response())
}

async fn finish(
    State(web): State<Web>,
    visitor: Visitor,
    Query(returned): Query<Returned>,
) -> Result<Response, PageError> {
    let provider = provider(&web)?;
    // Each answer is a request to the provider: one address makes as many as it may try passwords.
    web.password_check().count(visitor.visit().address)?;
    let callback = format!("{}{CALLBACK}", visitor.visit().site.base);
    let (tenant, user, next) = provider
        .finish(web.house(), browser(&visitor, &callback), returned)
        .await?;
    let next = if next.is_empty() { "/console" } else { &next };
    enter(&web, &visitor, &tenant, &user.id, next).await
}

fn browser<'a>(visitor: &'a Visitor, callback: &'a str) -> Browser<'a> {
    Browser {
        visit: visitor.form(),
        callback,
        address: visitor.visit().address,
    }
}
