//! A key that is there: revoked, rotated, narrowed.

use askama::Template;
use axum::{
    Extension, Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};

use super::{again, mint::fresh};
use crate::{
    edge::Visit,
    operate::{
        OperateError,
        keys::{self, KeyNarrowing, Rotation},
    },
    vocabulary::Scope,
    web::{
        Web,
        console::{Frame, PageError, Person, Posted, render, text},
    },
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/keys/{id}/revoke", get(revoke_page).post(revoke))
        .route("/console/keys/{id}/rotate", post(rotate))
        .route("/console/keys/{id}/narrow", post(narrow))
}

#[derive(Template)]
#[template(path = "console/confirm.html")]
struct ConfirmPage {
    frame: Frame,
    title: String,
    text: &'static str,
    action: String,
    fields: Vec<(&'static str, String)>,
    verb: &'static str,
    back: String,
}

async fn revoke_page(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let key = keys::show(web.store(), &person.actor(), person.tenant(), &id).await?;
    let page = ConfirmPage {
        frame: Frame::new(&person, "Keys", None),
        title: format!("Revoke {}?", text::name_or(&key.name, &key.prefix)),
        text: "Calls that run now end; within a second none begins any more, on any replica. This cannot be undone: \
               whoever uses the key needs another one.",
        action: format!("/console/keys/{}/revoke", key.id),
        fields: Vec::new(),
        verb: "Revoke the key",
        back: format!("/console/keys/{}", key.id),
    };
    Ok(render(&page)?.into_response())
}

async fn revoke(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted<Person>,
) -> Result<Response, PageError> {
    let person = posted.by;
    match keys::revoke(web.store(), &person.actor(), person.tenant(), &id).await {
        Ok(key) => Ok(Redirect::to(&format!("/console/keys/{}?done=revoked", key.id)).into_response()),
        Err(error) => again(&web, &person, &id, error).await,
    }
}

async fn rotate(
    State(web): State<Web>,
    Path(id): Path<String>,
    Extension(visit): Extension<Visit>,
    posted: Posted<Person>,
) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    let rotation = fields
        .number("grace", "This key ends")
        .map_err(OperateError::Invalid)
        .map(|grace_minutes| Rotation {
            grace_minutes,
            expires_in_days: None,
        });
    let rotated = match rotation {
        Ok(rotation) => {
            keys::rotate(
                web.store(),
                &web.editions(),
                &person.actor(),
                person.tenant(),
                &id,
                rotation,
            )
            .await
        }
        Err(error) => Err(error),
    };
    match rotated {
        Ok(minted) => {
            let grace = match fields.get("grace") {
                "0" => "The key before it has ended.".to_owned(),
                minutes => {
                    format!("The key before it works for {minutes} more minutes, so that you can replace it.")
                }
            };
            fresh(&web, &visit, &person, &minted, grace).await
        }
        Err(error) => again(&web, &person, &id, error).await,
    }
}

async fn narrow(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted<Person>,
) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    let scopes: Result<Vec<Scope>, _> = fields.all("scope").map(Scope::new).collect();
    let narrowed = match scopes {
        Ok(scopes) => {
            let wish = KeyNarrowing {
                name: Some(fields.get("name").to_owned()),
                scopes: Some(scopes),
                read_only: fields.is_ticked("read_only").then_some(true),
                ..KeyNarrowing::default()
            };
            let (actor, served) = (person.actor(), web.editions());
            keys::narrow(
                web.store(),
                &served,
                &actor,
                person.tenant(),
                &id,
                wish,
                web.house().usual_rate(),
            )
            .await
        }
        Err(error) => Err(error.into()),
    };
    match narrowed {
        Ok(key) => Ok(Redirect::to(&format!("/console/keys/{}?done=narrowed", key.id)).into_response()),
        Err(error) => again(&web, &person, &id, error).await,
    }
}
