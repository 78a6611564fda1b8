//! Connecting an assistant: a key, a snippet, and a tick that lights up at the first call.

use askama::Template;
use axum::{
    Extension, Router,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::FutureExt;
use serde::Deserialize;

use super::{
    Frame, PageError, Person,
    clients::{self, Snippet},
    render, text,
    toolsets::{self, Toolset},
};
use crate::{
    edge::Visit,
    operate::keys::{self, KeyPage, KeyView},
    store::AuditFilter,
    vocabulary::{EditionName, KeyId, Listing},
    web::{Query, Web},
};

/// Keys that can be chosen from. Whoever has more finds the others on their own pages.
const MOST_KEYS: u32 = 200;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/connect", get(page))
        .route("/console/connect/{key}/tick", get(tick))
}

/// Whether a key was used yet.
#[derive(Debug, Default)]
pub(super) struct Tick {
    pub(super) key_id: String,
    pub(super) lit: bool,
    pub(super) tool: String,
    pub(super) when: String,
    pub(super) client: String,
}

/// Looks for the newest call of a key, which the person may see.
pub(super) async fn tick_of(web: &Web, person: &Person, key: &KeyId) -> Result<Tick, PageError> {
    let filter = AuditFilter {
        api_key_id: Some(key.clone()),
        ..AuditFilter::default()
    };
    let newest = web
        .store()
        .read(person.tenant(), move |tx| {
            async move { tx.audit_log().list(&filter, None, 1).await }.boxed()
        })
        .await?;
    let Some(call) = newest.rows.into_iter().next() else {
        return Ok(Tick {
            key_id: key.to_string(),
            ..Tick::default()
        });
    };
    Ok(Tick {
        key_id: key.to_string(),
        lit: true,
        tool: call
            .record
            .tool_name
            .map_or_else(|| "a tool".to_owned(), |name| name.to_string()),
        when: text::when_exactly(call.record.ts),
        client: call
            .record
            .client_name
            .map_or_else(String::new, std::borrow::Cow::into_owned),
    })
}

/// Where an edition is reached.
pub(super) fn edition_url(web: &Web, visit: &Visit, edition: Option<&str>) -> String {
    let served = web.editions();
    let found = served
        .iter()
        .find(|known| Some(known.name.as_str()) == edition)
        .or(served.first());
    let path = found.map_or_else(|| "/mcp".to_owned(), |edition| edition.path());
    format!("{}{path}", visit.site.base)
}

#[derive(Template)]
#[template(path = "console/tick.html")]
struct TickPart {
    tick: Tick,
}

async fn tick(
    State(web): State<Web>,
    person: Person,
    Path(key): Path<String>,
) -> Result<Response, PageError> {
    let key = keys::show(web.store(), &person.actor(), person.tenant(), &key).await?;
    let part = TickPart {
        tick: tick_of(&web, &person, &key.id).await?,
    };
    Ok(render(&part)?.into_response())
}

struct KeyOption {
    id: String,
    name: String,
    prefix: String,
}

#[derive(Template)]
#[template(path = "console/connect.html")]
struct ConnectPage {
    frame: Frame,
    may_mint: bool,
    keys: Vec<KeyOption>,
    chosen: String,
    editions: Vec<String>,
    edition_chosen: String,
    tick: Tick,
    url: String,
    clients: Vec<Snippet>,
    toolsets: Vec<Toolset>,
    discover: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConnectQuery {
    key: String,
    edition: String,
    discover: String,
}

async fn page(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    person: Person,
    Query(query): Query<ConnectQuery>,
    RawQuery(raw): RawQuery,
) -> Result<Response, PageError> {
    let all = KeyPage {
        before: None,
        limit: MOST_KEYS,
    };
    let mut mine = keys::list(web.store(), &person.actor(), person.tenant(), all).await?;
    mine.retain(|key| key.state == "active" && key.owner_id == *person.user());
    let mut chosen = mine.iter().find(|key| key.id.as_str() == query.key).cloned();
    // An admin comes here from another's key too.
    if chosen.is_none() && !query.key.is_empty() {
        let other = keys::show(web.store(), &person.actor(), person.tenant(), &query.key).await?;
        mine.insert(0, other.clone());
        chosen = Some(other);
    }
    let chosen: Option<KeyView> = chosen.or_else(|| mine.first().cloned());
    let editions: Vec<String> = chosen
        .iter()
        .flat_map(|key| key.editions.iter().map(EditionName::to_string))
        .collect();
    let wanted = editions
        .iter()
        .find(|name| **name == query.edition)
        .or(editions.first());
    let edition_chosen = wanted.cloned().unwrap_or_default();
    // Boxes of one name come more than once.
    let listing = Listing {
        toolsets: form_urlencoded::parse(raw.unwrap_or_default().as_bytes())
            .filter(|(name, _)| name == "toolset")
            .map(|(_, value)| value.into_owned())
            .collect(),
        discover: query.discover == "yes",
    };
    let served = web.editions();
    let edition = served.iter().find(|known| known.name.as_str() == edition_chosen);
    let groups = edition.map_or_else(Vec::new, |edition| toolsets::of(edition, &listing));
    // A stranger's word in the address is no group, and stands in no snippet.
    let listing = Listing {
        toolsets: groups
            .iter()
            .filter(|one| one.picked)
            .map(|one| one.name.clone())
            .collect(),
        ..listing
    };
    let url = toolsets::address(&edition_url(&web, &visit, Some(&edition_chosen)), &listing);
    let tick = match &chosen {
        Some(key) => tick_of(&web, &person, &key.id).await?,
        None => Tick::default(),
    };
    let page = ConnectPage {
        frame: Frame::new(&person, "Connect", None),
        may_mint: person.may_act(),
        chosen: chosen.map_or_else(String::new, |key| key.id.to_string()),
        keys: mine
            .into_iter()
            .map(|key| KeyOption {
                id: key.id.to_string(),
                name: text::name_or(&key.name, &key.prefix),
                prefix: key.prefix,
            })
            .collect(),
        editions,
        edition_chosen,
        tick,
        clients: clients::snippets(&url),
        toolsets: groups,
        discover: listing.discover,
        url,
    };
    Ok(render(&page)?.into_response())
}
