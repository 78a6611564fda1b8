//! Keys: listed, minted, shown once, rotated, narrowed, revoked.

use std::collections::HashMap;

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::StatusCode;
use serde::Deserialize;

use super::{
    Fields, Frame, PageError, Person, Posted,
    clients::{self, Snippet},
    connect::{Tick, edition_url, tick_of},
    render, text,
};
use crate::{
    catalogue::{Edition, ScopeRule, Tool},
    edge::Visit,
    operate::{
        OperateError,
        keys::{self, KeyNarrowing, KeyPage, KeyView, MintRequest, MintedKey, Rotation},
        people,
    },
    store::KeyLimits,
    vocabulary::{EditionName, KeyId, Role, Scope},
    web::{Query, Web},
};

/// Keys on one page.
const PER_PAGE: u32 = 100;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/keys", get(list))
        .route("/console/keys/new", get(new_page).post(mint))
        .route("/console/keys/{id}", get(show))
        .route("/console/keys/{id}/revoke", get(revoke_page).post(revoke))
        .route("/console/keys/{id}/rotate", axum::routing::post(rotate))
        .route("/console/keys/{id}/narrow", axum::routing::post(narrow))
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

fn may_mint(role: Role) -> bool {
    !matches!(role, Role::Auditor | Role::Agent)
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
        may_mint: may_mint(person.role()),
        keys: found.iter().map(|key| KeyRow::new(key, &owners)).collect(),
        older: last.filter(|_| more).unwrap_or_default(),
    };
    Ok(render(&page)?.into_response())
}

struct EditionOption {
    name: String,
    title: String,
}

struct ScopeRow {
    name: String,
    title: String,
    roles: String,
    tools: usize,
    picked: bool,
    closed: bool,
}

struct Chosen {
    name: String,
    title: String,
    scopes: Vec<ScopeRow>,
}

#[derive(Template)]
#[template(path = "console/key_new.html")]
struct NewPage {
    frame: Frame,
    problem: String,
    editions: Vec<EditionOption>,
    chosen: Chosen,
    name: String,
    days: [(&'static str, &'static str); 6],
    owners: Vec<(String, String, bool)>,
}

const DAYS: [(&str, &str); 6] = [
    ("7", "in a week"),
    ("30", "in 30 days"),
    ("90", "in 90 days"),
    ("365", "in a year"),
    ("730", "in two years"),
    ("", "never"),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NewQuery {
    edition: String,
}

async fn new_page(
    State(web): State<Web>,
    person: Person,
    Query(query): Query<NewQuery>,
) -> Result<Response, PageError> {
    if !may_mint(person.role()) {
        return Err(PageError::role_required("owner, admin or member"));
    }
    let page = new_key_page(&web, &person, &query.edition, &Fields::default(), String::new()).await?;
    Ok(render(&page)?.into_response())
}

async fn new_key_page(
    web: &Web,
    person: &Person,
    edition: &str,
    filled: &Fields,
    problem: String,
) -> Result<NewPage, PageError> {
    let served = web.editions();
    let chosen = served
        .iter()
        .find(|known| known.name.as_str() == edition)
        .or(served.first())
        .ok_or_else(|| PageError::not_found("This server serves no edition."))?;
    let mut owners = Vec::new();
    if person.role().is_admin() {
        for user in people::users(web.store(), &person.actor(), person.tenant()).await? {
            let may = user.id == *person.user() || user.role != Role::Owner || person.role() == Role::Owner;
            if may && user.disabled_at.is_none() && user.role != Role::Agent {
                let is_me = user.id == *person.user();
                owners.push((user.id.to_string(), text::name_or(&user.name, &user.email), is_me));
            }
        }
    }
    Ok(NewPage {
        frame: Frame::new(person, "Keys", None),
        problem,
        editions: served
            .iter()
            .map(|edition| EditionOption {
                name: edition.name.to_string(),
                title: edition.title.clone(),
            })
            .collect(),
        chosen: choose(chosen, person.role(), filled),
        name: filled.get("name").to_owned(),
        days: DAYS,
        owners,
    })
}

fn choose(edition: &Edition, role: Role, filled: &Fields) -> Chosen {
    let scopes = edition
        .scopes
        .titles()
        .filter_map(|(name, title)| {
            let scope = Scope::new(name).ok()?;
            let roles = edition.scopes.roles(&scope);
            let alone = std::slice::from_ref(&scope);
            let opens = |tool: &Tool| match &tool.scope {
                ScopeRule::All(needed) => needed.iter().all(|one| edition.scopes.satisfies(alone, one)),
                ScopeRule::Any(needed) => needed.iter().any(|one| edition.scopes.satisfies(alone, one)),
            };
            Some(ScopeRow {
                name: name.to_owned(),
                title: title.to_owned(),
                roles: roles.map_or(String::new(), |roles| {
                    roles
                        .iter()
                        .map(|role| role.as_str())
                        .collect::<Vec<_>>()
                        .join(", ")
                }),
                tools: edition.tools().iter().filter(|tool| opens(tool)).count(),
                picked: filled.all("scope").any(|picked| picked == name),
                // Whoever mints for somebody else may name a scope that they do not hold; the owner's role decides.
                closed: !role.is_admin() && roles.is_some_and(|roles| !roles.contains(&role)),
            })
        })
        .collect();
    Chosen {
        name: edition.name.to_string(),
        title: edition.title.clone(),
        scopes,
    }
}

fn mint_request(person: &Person, fields: &Fields) -> Result<MintRequest, OperateError> {
    let number = |problem: String| OperateError::Invalid(problem);
    let scopes = fields
        .all("scope")
        .map(Scope::new)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(MintRequest {
        tenant: person.tenant().clone(),
        owner: Some(fields.get("owner").to_owned()).filter(|owner| !owner.is_empty()),
        name: fields.get("name").to_owned(),
        editions: vec![EditionName::new(fields.get("edition"))?],
        scopes,
        expires_in_days: fields.number("days", "Expires").map_err(number)?,
        limits: KeyLimits {
            monthly_cap: fields.number("monthly_cap", "Calls a month").map_err(number)?,
            rate_per_minute: fields
                .number("rate_per_minute", "Calls a minute")
                .map_err(number)?,
            read_only: fields.is_ticked("read_only"),
            ..KeyLimits::default()
        },
    })
}

async fn mint(
    State(web): State<Web>,
    axum::Extension(visit): axum::Extension<Visit>,
    posted: Posted<Person>,
) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    let minted = match mint_request(&person, &fields) {
        Ok(request) => keys::mint(web.store(), &web.editions(), &person.actor(), request).await,
        Err(error) => Err(error),
    };
    match minted {
        Ok(minted) => fresh(&web, &visit, &person, &minted, String::new()).await,
        Err(error) if error.is_for_the_caller() => {
            let (status, _) = error.status_and_code();
            let problem = text::sentence(&error.to_string());
            let page = new_key_page(&web, &person, fields.get("edition"), &fields, problem).await?;
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            Ok((status, render(&page)?).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "console/key_fresh.html")]
struct FreshPage<'a> {
    frame: Frame,
    id: &'a str,
    name: &'a str,
    key: &'a str,
    grace: String,
    tick: Tick,
    url: String,
    clients: Vec<Snippet>,
}

async fn fresh(
    web: &Web,
    visit: &Visit,
    person: &Person,
    minted: &MintedKey,
    grace: String,
) -> Result<Response, PageError> {
    let url = edition_url(web, visit, minted.view.editions.first().map(EditionName::as_str));
    let page = FreshPage {
        frame: Frame::new(person, "Keys", None),
        id: minted.view.id.as_str(),
        name: &minted.view.name,
        key: &minted.key,
        grace,
        tick: tick_of(web, person, &minted.view.id).await?,
        clients: clients::snippets(&url),
        url,
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
        may_mint: may_mint(person.role()) && (mine || person.role().is_admin()),
        may_restrain: person.role().is_admin() || mine,
    })
}

/// The key's page again, with what is wrong; or the error's own page.
async fn again(web: &Web, person: &Person, id: &str, error: OperateError) -> Result<Response, PageError> {
    if !error.is_for_the_caller() || matches!(error, OperateError::NotFound(_) | OperateError::Forbidden(_)) {
        return Err(error.into());
    }
    let status = StatusCode::from_u16(error.status_and_code().0).unwrap_or(StatusCode::BAD_REQUEST);
    let page = key_page(web, person, id, None, text::sentence(&error.to_string())).await?;
    Ok((status, render(&page)?).into_response())
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
    axum::Extension(visit): axum::Extension<Visit>,
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
