//! A new key: what it is to hold, and the page that shows it once.

use askama::Template;
use axum::{
    Extension, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

use crate::{
    access::role_in,
    catalogue::{Edition, ScopeRule, Tool},
    edge::Visit,
    operate::{
        OperateError,
        keys::{self, MintRequest, MintedKey},
        people,
    },
    store::KeyLimits,
    vocabulary::{EditionName, Role, Scope},
    web::{
        Query, Web,
        console::{
            Fields, Frame, PageError, Person, Posted,
            clients::{self, Snippet},
            connect::{Tick, edition_url, tick_of},
            page::status_of,
            render, text,
            toolsets::{self, Toolset},
        },
    },
};

pub(super) fn router() -> Router<Web> {
    Router::new().route("/console/keys/new", get(new_page).post(mint))
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
    toolsets: Vec<Toolset>,
    discover: bool,
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
    person.must_act()?;
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
    let listing = toolsets::picked(filled);
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
        chosen: choose(
            chosen,
            role_in(&chosen.name, person.role(), &person.session().groups),
            filled,
        ),
        name: filled.get("name").to_owned(),
        days: DAYS,
        toolsets: toolsets::of(chosen, &listing),
        discover: listing.discover,
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
            listing: toolsets::picked(fields),
            ..KeyLimits::default()
        },
    })
}

async fn mint(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
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
            let problem = text::sentence(&error.to_string());
            let page = new_key_page(&web, &person, fields.get("edition"), &fields, problem).await?;
            Ok((status_of(&error), render(&page)?).into_response())
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

/// The page that shows a key, once. `grace` says what became of the key before it.
pub(super) async fn fresh(
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
