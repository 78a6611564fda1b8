//! A person's own account, and where this server is.

use askama::Template;
use axum::{
    Extension, Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use futures_util::FutureExt;
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;

use super::{Frame, PageError, Person, Posted, page::status_of, person::forget, render, text};
use crate::{
    edge::Visit,
    operate::{
        OperateError, new_password,
        people::{self, PersonChange},
        sessions,
    },
    web::{Query, Web},
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/settings", get(page))
        .route("/console/settings/name", post(rename))
        .route("/console/settings/password", post(change_password))
        .route("/console/settings/sign-out-everywhere", post(sign_out_everywhere))
}

#[derive(Template)]
#[template(path = "console/settings.html")]
struct SettingsPage<'a> {
    frame: Frame,
    problem: String,
    email: &'a str,
    groups: String,
    since: String,
    until: String,
    base: &'a str,
    version: &'static str,
    store: &'static str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DoneQuery {
    done: String,
}

async fn page(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    person: Person,
    Query(query): Query<DoneQuery>,
) -> Result<Response, PageError> {
    settings_page(&web, &visit, &person, Some(&query.done), None)
}

fn settings_page(
    web: &Web,
    visit: &Visit,
    person: &Person,
    done: Option<&str>,
    problem: Option<&OperateError>,
) -> Result<Response, PageError> {
    let session = person.session();
    let groups = session.groups.join(", ");
    let page = SettingsPage {
        frame: Frame::new(person, "Settings", done),
        problem: problem.map_or(String::new(), |error| match error {
            OperateError::WrongPassword => "The present password is wrong.".to_owned(),
            error => text::sentence(&error.to_string()),
        }),
        email: &session.email,
        groups: if groups.is_empty() {
            "none".to_owned()
        } else {
            groups
        },
        since: text::when(session.created_at),
        until: text::when(session.expires_at),
        base: &visit.site.base,
        version: env!("CARGO_PKG_VERSION"),
        store: web.store().kind(),
    };
    let status = match problem {
        None => StatusCode::OK,
        Some(OperateError::WrongPassword) => StatusCode::UNPROCESSABLE_ENTITY,
        Some(error) => status_of(error),
    };
    Ok((status, render(&page)?).into_response())
}

async fn rename(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    posted: Posted<Person>,
) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    let wish = PersonChange {
        name: Some(fields.get("name").to_owned()),
        ..PersonChange::default()
    };
    let (actor, me) = (person.actor(), person.user().to_string());
    match people::change_user(web.store(), &actor, person.tenant(), &me, wish).await {
        Ok(_) => Ok(Redirect::to("/console/settings?done=changed").into_response()),
        Err(error) if error.is_for_the_caller() => settings_page(&web, &visit, &person, None, Some(&error)),
        Err(error) => Err(error.into()),
    }
}

async fn change_password(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    posted: Posted<Person>,
) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    // A session that somebody took over must not be of use for guessing either.
    let attempt = crate::operate::sign_in::Attempt {
        email: person.session().email.clone(),
        password: SecretString::from(fields.exact("present")),
        tenant: Some(person.tenant().clone()),
        address: visit.address,
    };
    let present = SecretString::from(fields.exact("present"));
    let new = SecretString::from(fields.exact("new"));
    let changed = match web.password_check().sign_in(attempt).await {
        Ok(_) => {
            new_password::change_own_password(web.store(), person.tenant(), person.user(), present, new).await
        }
        Err(error) => Err(error),
    };
    match changed {
        Ok(_) => end_all(&web, &visit, &person, "/console/sign-in?done=password").await,
        Err(error) if error.is_for_the_caller() => settings_page(&web, &visit, &person, None, Some(&error)),
        Err(error) => Err(error.into()),
    }
}

async fn sign_out_everywhere(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    posted: Posted<Person>,
) -> Result<Response, PageError> {
    end_all(&web, &visit, &posted.by, "/console/sign-in?done=signed-out").await
}

async fn end_all(web: &Web, visit: &Visit, person: &Person, next: &str) -> Result<Response, PageError> {
    let user = person.user().clone();
    web.store()
        .write(person.tenant(), move |tx| {
            async move { sessions::end_all(tx, &user).await }.boxed()
        })
        .await?;
    Ok((forget(&visit.site), Redirect::to(next)).into_response())
}
