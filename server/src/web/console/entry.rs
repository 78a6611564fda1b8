//! Ways in and out: signing in and out, and the first owner of a server that nobody owns.

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    PageError, Person, Posted, Visitor,
    page::status_of,
    person::{HoldsForm, forget},
    render, text,
};
use crate::{
    operate::{
        oidc::SignInProvider,
        sessions,
        setup::{self, FirstOwner},
        sign_in::Attempt,
        tenants::LOCAL_TENANT,
    },
    store::SignInKind,
    vocabulary::{TenantId, UserId},
    web::{Query, Web},
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/sign-in", get(sign_in_page).post(sign_in))
        .route("/console/sign-out", post(sign_out))
        .route("/console/setup", get(setup_page).post(set_up))
}

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage<'a> {
    form: &'a str,
    problem: String,
    done: &'static str,
    next: &'a str,
    email: &'a str,
    tenant: &'a str,
    unowned: bool,
    /// What the identity provider is called; empty: there is none.
    provider: &'a str,
    provider_link: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SignInQuery {
    next: String,
    done: String,
}

async fn sign_in_page(
    State(web): State<Web>,
    visitor: Visitor,
    Query(query): Query<SignInQuery>,
) -> Result<Response, PageError> {
    let page = SignInPage {
        form: visitor.form(),
        problem: String::new(),
        done: text::done(&query.done),
        next: own_page(&query.next),
        email: "",
        tenant: "",
        unowned: !setup::has_owner(web.store()).await?,
        provider: web.provider().map_or("", SignInProvider::title),
        provider_link: provider_link(own_page(&query.next)),
    };
    Ok((visitor.remember(), render(&page)?).into_response())
}

fn provider_link(next: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("next", next)
        .finish();
    format!("/console/sign-in/provider?{query}")
}

/// A page of ours, to go on to after signing in; nothing for whatever else a link may say.
pub(super) fn own_page(next: &str) -> &str {
    let good = next.starts_with("/console/")
        && next.len() <= 2000
        && !next.contains("//")
        && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if good { next } else { "" }
}

async fn sign_in(State(web): State<Web>, posted: Posted<Visitor>) -> Result<Response, PageError> {
    let Posted { by: visitor, fields } = posted;
    let tenant = fields.get("tenant");
    let attempt = Attempt {
        email: fields.get("email").to_owned(),
        password: SecretString::from(fields.exact("password")),
        tenant: TenantId::new(tenant).ok(),
        address: visitor.visit().address,
    };
    match web.password_check().sign_in(attempt).await {
        Ok((tenant, user)) => {
            let next = own_page(fields.get("next"));
            let next = if next.is_empty() { "/console" } else { next };
            enter(&web, &visitor, &tenant, &user.id, next).await
        }
        Err(error) if error.is_for_the_caller() => {
            let page = SignInPage {
                form: visitor.form(),
                problem: text::sentence(&error.to_string()),
                done: "",
                next: fields.get("next"),
                email: fields.get("email"),
                tenant,
                unowned: false,
                provider: web.provider().map_or("", SignInProvider::title),
                provider_link: provider_link(own_page(fields.get("next"))),
            };
            Ok((status_of(&error), render(&page)?).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens a session and goes on to a page.
pub(super) async fn enter(
    web: &Web,
    visitor: &Visitor,
    tenant: &TenantId,
    user: &UserId,
    next: &str,
) -> Result<Response, PageError> {
    let opened = sessions::open(web.store(), tenant, user, SignInKind::Browser, web.lifetime()).await?;
    Ok((visitor.admit(&opened.secret), Redirect::to(next)).into_response())
}

async fn sign_out(
    State(web): State<Web>,
    visitor: Visitor,
    posted: Posted<Person>,
) -> Result<Response, PageError> {
    sessions::end(web.store(), posted.by.session()).await?;
    let gone = forget(&visitor.visit().site);
    Ok((gone, Redirect::to("/console/sign-in?done=signed-out")).into_response())
}

#[derive(Template)]
#[template(path = "console/setup.html")]
struct SetupPage<'a> {
    form: &'a str,
    problem: String,
    email: &'a str,
    name: &'a str,
    tenant: &'a str,
}

async fn setup_page(State(web): State<Web>, visitor: Visitor) -> Result<Response, PageError> {
    if setup::has_owner(web.store()).await? {
        return Ok(Redirect::to("/console/sign-in").into_response());
    }
    let page = SetupPage {
        form: visitor.form(),
        problem: String::new(),
        email: "",
        name: "",
        tenant: LOCAL_TENANT,
    };
    Ok((visitor.remember(), render(&page)?).into_response())
}

async fn set_up(State(web): State<Web>, posted: Posted<Visitor>) -> Result<Response, PageError> {
    let Posted { by: visitor, fields } = posted;
    let made = match TenantId::new(fields.get("tenant")) {
        Ok(tenant) => {
            let owner = FirstOwner {
                tenant: tenant.clone(),
                email: fields.get("email").to_owned(),
                name: fields.get("name").to_owned(),
                password: Some(SecretString::from(fields.exact("password"))),
            };
            setup::redeem(web.store(), fields.get("token"), owner)
                .await
                .map(|user| (tenant, user))
        }
        Err(error) => Err(error.into()),
    };
    match made {
        Ok((tenant, user)) => enter(&web, &visitor, &tenant, &user.id, "/console/connect").await,
        Err(error) if error.is_for_the_caller() => {
            let page = SetupPage {
                form: visitor.form(),
                problem: text::sentence(&error.to_string()),
                email: fields.get("email"),
                name: fields.get("name"),
                tenant: fields.get("tenant"),
            };
            Ok((status_of(&error), render(&page)?).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::own_page;

    #[test]
    fn signing_in_leads_to_pages_of_ours_alone() {
        assert_eq!(own_page("/console/keys?x=1"), "/console/keys?x=1");
        for strange in [
            "",
            "//evil.example",
            "https://evil.example",
            "/console/../x//evil.example",
            "/console/\\evil",
            "/console/\r\nset-cookie: a=b",
            "/mcp",
        ] {
            assert_eq!(own_page(strange), "", "{strange:?}");
        }
    }
}
