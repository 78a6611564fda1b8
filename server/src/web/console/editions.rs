//! What this server serves, and what of it a chosen key sees. The same judge decides as for calls.

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

use super::{Frame, PageError, Person, render, text};
use crate::{
    access::{Credential, PrincipalFacts, role_in, visible_tools},
    catalogue::{Edition, Tool, ToolSet},
    operate::{
        keys::{self, KeyPage, KeyView},
        people,
    },
    store::User,
    vocabulary::Effect,
    web::{Query, Web},
};

/// Keys that can be chosen from.
const MOST_KEYS: u32 = 200;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/console/editions", get(page))
}

struct ToolRow {
    name: String,
    description: String,
    scopes: Vec<String>,
    effect: &'static str,
    seen: bool,
    listed: bool,
}

struct EditionPart {
    name: String,
    title: String,
    path: String,
    seen: String,
    tools: Vec<ToolRow>,
}

#[derive(Template)]
#[template(path = "console/editions.html")]
struct EditionsPage {
    frame: Frame,
    chosen: String,
    key_name: String,
    keys: Vec<(String, String)>,
    editions: Vec<EditionPart>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EditionsQuery {
    key: String,
}

async fn page(
    State(web): State<Web>,
    person: Person,
    Query(query): Query<EditionsQuery>,
) -> Result<Response, PageError> {
    let actor = person.actor();
    let all = KeyPage {
        before: None,
        limit: MOST_KEYS,
    };
    let known = keys::list(web.store(), &actor, person.tenant(), all).await?;
    let chosen = match query.key.as_str() {
        "" => None,
        id => Some(keys::show(web.store(), &actor, person.tenant(), id).await?),
    };
    let owner = match &chosen {
        Some(key) => {
            let owner =
                people::find_user(web.store(), &actor, person.tenant(), key.owner_id.as_str()).await?;
            Some(owner)
        }
        None => None,
    };
    let editions = web
        .editions()
        .iter()
        .map(|edition| part(edition, chosen.as_ref().zip(owner.as_ref())))
        .collect();
    let name = |key: &KeyView| text::name_or(&key.name, &key.prefix);
    let page = EditionsPage {
        frame: Frame::new(&person, "Editions and tools", None),
        key_name: chosen.as_ref().map(name).unwrap_or_default(),
        chosen: chosen.map_or_else(String::new, |key| key.id.to_string()),
        keys: known.iter().map(|key| (key.id.to_string(), name(key))).collect(),
        editions,
    };
    Ok(render(&page)?.into_response())
}

fn part(edition: &Edition, key: Option<(&KeyView, &User)>) -> EditionPart {
    let seen: Option<ToolSet> = key.map(|(key, owner)| {
        if key.state != "active" || !key.editions.contains(&edition.name) {
            return ToolSet::default();
        }
        visible_tools(edition, &facts_of(edition, key, owner))
    });
    let is_seen = |tool: &Tool| seen.as_ref().is_none_or(|seen| seen.contains(tool.index));
    // Rights decide what can be called, the key's own choice what is listed of it.
    let listing = key.map(|(key, _)| &key.listing);
    let listed = listing.filter(|listing| listing.discover || !listing.toolsets.is_empty());
    let listed = listed.map(|listing| match listing.discover {
        true => ToolSet::default(),
        // A group that an edition has no more lists nothing, as its list would be refused.
        false => edition.toolsets(&listing.toolsets).unwrap_or_default(),
    });
    let is_listed = |tool: &Tool| listed.as_ref().is_none_or(|listed| listed.contains(tool.index));
    let tools: Vec<ToolRow> = edition
        .tools()
        .iter()
        .map(|tool| ToolRow {
            name: tool.name.to_string(),
            description: tool.description.clone(),
            scopes: tool.scope.scopes().iter().map(ToString::to_string).collect(),
            effect: match tool.effect {
                Effect::Read => "reads",
                Effect::Create => "adds",
                Effect::Update => "changes",
                Effect::Delete => "deletes",
                Effect::Execute => "runs something",
            },
            seen: is_seen(tool),
            listed: is_listed(tool),
        })
        .collect();
    let count = tools.iter().filter(|tool| tool.seen).count();
    EditionPart {
        name: edition.name.to_string(),
        title: edition.title.clone(),
        path: edition.path(),
        seen: match key {
            Some(_) => format!("{count} of {} tools", tools.len()),
            None => format!("{} tools", tools.len()),
        },
        tools,
    }
}

/// The facts that a call with this key would be judged by.
fn facts_of(edition: &Edition, key: &KeyView, owner: &User) -> PrincipalFacts {
    PrincipalFacts {
        tenant: key.tenant_id.clone(),
        user: key.owner_id.clone(),
        email: String::new(),
        role: role_in(&edition.name, owner.role, &owner.groups),
        credential: Credential::ApiKey {
            id: key.id.clone(),
            shown_prefix: key.prefix.clone(),
        },
        edition: edition.name.clone(),
        scopes: key.scopes.clone(),
        read_only: key.read_only,
        confirm: key.confirm,
        tools_allow: key.tools_allow.clone(),
        tools_deny: key.tools_deny.clone(),
        names: key.names,
        listing: key.listing.clone(),
        // How often it may call says nothing of which tools it sees.
        rate_per_minute: key.rate_per_minute.unwrap_or(u32::MAX),
        rate_per_hour: key.rate_per_hour,
        monthly_cap: None,
    }
}
