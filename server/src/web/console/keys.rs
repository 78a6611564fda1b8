//! Keys: listed and shown; minted, shown once, rotated, narrowed, revoked.

mod change;
mod mint;

use std::collections::HashMap;

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

use super::{Frame, PageError, Person, page::status_of, render, text};
use crate::{
    operate::{
        OperateError,
        keys::{self, KeyPage, KeyView},
        people,
    },
    vocabulary::{EditionName, KeyId},
    web::{Query, Web},
};

/// Keys on one page.
const PER_PAGE: u32 = 100;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/keys", get(list))
        .route("/console/keys/{id}", get(show))
        .merge(mint::router())
        .merge(change::router())
}

/// A key as pages show it.
#[derive(Debug)]
pub(super) struct KeyRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) prefix: String,
    owner: String,
    editions: String,
    scopes: Vec<String>,
    read_only: bool,
    limits: String,
    created: String,
    last_used: String,
    last_client: String,
    expires: String,
    state: &'static str,
    state_class: &'static str,
    alive: bool,
}

impl KeyRow {
    fn new(key: &KeyView, owners: &HashMap<String, String>) -> Self {
        let owner = owners.get(key.owner_id.as_str());
        Self {
            id: key.id.to_string(),
            name: text::name_or(&key.name, &key.prefix),
            prefix: key.prefix.clone(),
            owner: owner.cloned().unwrap_or_else(|| key.owner_id.to_string()),
            editions: joined(&key.editions),
            scopes: key.scopes.iter().map(ToString::to_string).collect(),
            read_only: key.read_only,
            limits: limits(key),
            created: text::when(key.created_at),
            last_used: key.last_used_at.map_or_else(|| "never".to_owned(), text::when),
            last_client: key.last_used_client.clone().unwrap_or_default(),
            expires: key.expires_at.map_or_else(|| "never".to_owned(), text::when),
            state: key.state,
            state_class: match key.state {
                "active" => "good",
                "revoked" => "bad",
                _ => "warn",
            },
            alive: key.state == "active",
        }
    }
}

fn joined(editions: &[EditionName]) -> String {
    editions
        .iter()
        .map(EditionName::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn limits(key: &KeyView) -> String {
    let mut parts = Vec::new();
    parts.extend(key.monthly_cap.map(|calls| format!("{calls} calls a month")));
    parts.extend(key.rate_per_hour.map(|calls| format!("{calls} calls an hour")));
    parts.push(match key.rate_per_minute {
        Some(calls) => format!("{calls} calls a minute"),
        None => "the server's usual calls a minute".to_owned(),
    });
    if !key.tools_allow.is_empty() {
        parts.push(format!("only the tools {}", key.tools_allow.join(", ")));
    }
    if !key.tools_deny.is_empty() {
        parts.push(format!("not the tools {}", key.tools_deny.join(", ")));
    }
    parts.join("; ")
}

/// People's names by their ids, as far as this person sees them.
pub(super) async fn names(web: &Web, person: &Person) -> Result<HashMap<String, String>, PageError> {
    let users = people::users(web.store(), &person.actor(), person.tenant()).await?;
    let named = users
        .into_iter()
        .map(|user| (user.id.to_string(), text::name_or(&user.name, &user.email)));
    Ok(named.collect())
}

#[derive(Template)]
#[template(path = "console/keys.html")]
struct ListPage {
    frame: Frame,
    everybody: bool,
    may_mint: bool,
    keys: Vec<KeyRow>,
    older: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    before: String,
    done: String,
}

async fn list(
    State(web): State<Web>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    let page = KeyPage {
        before: KeyId::new(&query.before).ok(),
        limit: PER_PAGE,
    };
    let found = keys::list(web.store(), &person.actor(), person.tenant(), page).await?;
    let owners = names(&web, &person).await?;
    let more = found.len() == PER_PAGE as usize;
    let last = found.last().map(|key| format!("/console/keys?before={}", key.id));
    let page = ListPage {
        frame: Frame::new(&person, "Keys", Some(&query.done)),
        everybody: person.sees_everybody(),
        may_mint: person.may_act(),
        keys: found.iter().map(|key| KeyRow::new(key, &owners)).collect(),
        older: last.filter(|_| more).unwrap_or_default(),
    };
    Ok(render(&page)?.into_response())
}

#[derive(Template)]
#[template(path = "console/key.html")]
struct ShowPage {
    frame: Frame,
    problem: String,
    key: KeyRow,
    may_mint: bool,
    may_restrain: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DoneQuery {
    done: String,
}

async fn show(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, PageError> {
    let page = key_page(&web, &person, &id, Some(&query.done), String::new()).await?;
    Ok(render(&page)?.into_response())
}

async fn key_page(
    web: &Web,
    person: &Person,
    id: &str,
    done: Option<&str>,
    problem: String,
) -> Result<ShowPage, PageError> {
    let key = keys::show(web.store(), &person.actor(), person.tenant(), id).await?;
    let owners = names(web, person).await?;
    let mine = key.owner_id == *person.user();
    Ok(ShowPage {
        frame: Frame::new(person, "Keys", done),
        problem,
        key: KeyRow::new(&key, &owners),
        may_mint: person.may_act() && (mine || person.role().is_admin()),
        may_restrain: person.role().is_admin() || mine,
    })
}

/// The key's page again, with what is wrong; or the error's own page.
async fn again(web: &Web, person: &Person, id: &str, error: OperateError) -> Result<Response, PageError> {
    if !error.is_for_the_caller() || matches!(error, OperateError::NotFound(_) | OperateError::Forbidden(_)) {
        return Err(error.into());
    }
    let page = key_page(web, person, id, None, text::sentence(&error.to_string())).await?;
    Ok((status_of(&error), render(&page)?).into_response())
}
