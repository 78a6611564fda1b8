//! Pages behind links that work once: an invitation, and a new password.
//!
//! The token stands behind the `#` of the link, so that no server is sent it and no log has it: a script puts it into
//! the form, or a person pastes it.

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::StatusCode;
use secrecy::SecretString;

use super::{PageError, Posted, Visitor, entry::enter, page::status_of, person::HoldsForm, render, text};
use crate::{
    operate::{OperateError, invitations, new_password},
    web::Web,
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/invitation", get(invitation_page).post(accept))
        .route("/console/invitation/open", post(open_invitation))
        .route("/console/password", get(password_page).post(set_password))
        .route("/console/password/open", post(open_password))
}

/// A kind of link.
struct Kind {
    heading: &'static str,
    label: &'static str,
    action: &'static str,
    begins: &'static str,
}

const INVITATION: Kind = Kind {
    heading: "Accept an invitation",
    label: "Invitation",
    action: "/console/invitation/open",
    begins: invitations::TOKEN_BEGINS,
};
const PASSWORD: Kind = Kind {
    heading: "Choose a new password",
    label: "Text of the link",
    action: "/console/password/open",
    begins: new_password::TOKEN_BEGINS,
};

/// The page that takes a token, from whoever has no script to do it.
#[derive(Template)]
#[template(path = "console/token.html")]
struct TokenPage<'a> {
    form: &'a str,
    problem: String,
    kind: Kind,
}

fn token_page(visitor: &Visitor, kind: Kind) -> Result<Response, PageError> {
    let page = TokenPage {
        form: visitor.form(),
        problem: String::new(),
        kind,
    };
    Ok((visitor.remember(), render(&page)?).into_response())
}

/// The page that takes a token again, for one that is worth nothing.
fn worthless(visitor: &Visitor, kind: Kind, error: OperateError) -> Result<Response, PageError> {
    if !error.is_for_the_caller() {
        return Err(error.into());
    }
    let page = TokenPage {
        form: visitor.form(),
        problem: text::sentence(&error.to_string()),
        kind,
    };
    Ok((status_of(&error), render(&page)?).into_response())
}

fn said(problem: Option<&OperateError>) -> (StatusCode, String) {
    match problem {
        None => (StatusCode::OK, String::new()),
        Some(error) => (status_of(error), text::sentence(&error.to_string())),
    }
}

async fn invitation_page(visitor: Visitor) -> Result<Response, PageError> {
    token_page(&visitor, INVITATION)
}

#[derive(Template)]
#[template(path = "console/invitation.html")]
struct InvitationPage<'a> {
    form: &'a str,
    problem: String,
    token: &'a str,
    tenant: &'a str,
    role: &'static str,
    email: &'a str,
    name: &'a str,
}

async fn open_invitation(State(web): State<Web>, posted: Posted<Visitor>) -> Result<Response, PageError> {
    let Posted { by: visitor, fields } = posted;
    show_invitation(&web, &visitor, fields.get("token"), "", None).await
}

async fn show_invitation(
    web: &Web,
    visitor: &Visitor,
    token: &str,
    name: &str,
    problem: Option<&OperateError>,
) -> Result<Response, PageError> {
    let (tenant, invitation) = match invitations::look(web.store(), token).await {
        Ok(found) => found,
        Err(error) => return worthless(visitor, INVITATION, error),
    };
    let (status, problem) = said(problem);
    let page = InvitationPage {
        form: visitor.form(),
        problem,
        token,
        tenant: tenant.as_str(),
        role: invitation.role.as_str(),
        email: &invitation.email,
        name,
    };
    Ok((status, render(&page)?).into_response())
}

async fn accept(State(web): State<Web>, posted: Posted<Visitor>) -> Result<Response, PageError> {
    let Posted { by: visitor, fields } = posted;
    let (token, name) = (fields.get("token"), fields.get("name"));
    let password = SecretString::from(fields.exact("password"));
    match invitations::accept(web.store(), token, name, password).await {
        Ok((tenant, user)) => enter(&web, &visitor, &tenant, &user.id, "/console/connect").await,
        Err(error) if error.is_for_the_caller() => {
            show_invitation(&web, &visitor, token, name, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn password_page(visitor: Visitor) -> Result<Response, PageError> {
    token_page(&visitor, PASSWORD)
}

#[derive(Template)]
#[template(path = "console/new_password.html")]
struct PasswordPage<'a> {
    form: &'a str,
    problem: String,
    token: &'a str,
    tenant: &'a str,
    email: &'a str,
}

async fn open_password(State(web): State<Web>, posted: Posted<Visitor>) -> Result<Response, PageError> {
    let Posted { by: visitor, fields } = posted;
    show_password(&web, &visitor, fields.get("token"), None).await
}

async fn show_password(
    web: &Web,
    visitor: &Visitor,
    token: &str,
    problem: Option<&OperateError>,
) -> Result<Response, PageError> {
    let (tenant, user) = match new_password::look(web.store(), token).await {
        Ok(found) => found,
        Err(error) => return worthless(visitor, PASSWORD, error),
    };
    let (status, problem) = said(problem);
    let page = PasswordPage {
        form: visitor.form(),
        problem,
        token,
        tenant: tenant.as_str(),
        email: &user.email,
    };
    Ok((status, render(&page)?).into_response())
}

/// Whoever followed a link signs in with what they chose: the link alone opens no session.
async fn set_password(State(web): State<Web>, posted: Posted<Visitor>) -> Result<Response, PageError> {
    let Posted { by: visitor, fields } = posted;
    let (token, password) = (fields.get("token"), SecretString::from(fields.exact("password")));
    match new_password::follow(web.store(), token, password).await {
        Ok(_) => Ok(Redirect::to("/console/sign-in?done=new-password").into_response()),
        Err(error) if error.is_for_the_caller() => show_password(&web, &visitor, token, Some(&error)).await,
        Err(error) => Err(error.into()),
    }
}
