//! API keys: `/v1/keys`. People see and mint their own keys within their role; owners, admins and auditors see all,
//! owners and admins mint for others and restrain anybody's. An API key opens none of this.
//!
//! | Request | Does |
//! |---|---|
//! | `GET /v1/keys?limit=&before=` | lists, newest first; `next_before` goes on |
//! | `POST /v1/keys` | mints; the reply is the only one that shows the key |
//! | `GET /v1/keys/{id}` | shows one |
//! | `POST /v1/keys/{id}/rotate` | mints a twin; the old key expires after `grace_minutes` |
//! | `PATCH /v1/keys/{id}` | narrows |
//! | `DELETE /v1/keys/{id}` | revokes, for good |

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    catalogue::Edition,
    operate::keys::{self, KeyNarrowing, KeyPage, KeyView, MOST_LISTED, MintRequest, MintedKey, Rotation},
    store::{KeyConfirm, KeyLimits},
    vocabulary::{EditionName, KeyId, Listing, NameStyle, Scope},
    web::{Json, Query, RestError, SignedIn, Web},
};

/// Keys on a page when nothing is said.
const PAGE: u32 = 100;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/v1/keys", get(list).post(mint))
        .route("/v1/keys/{id}", get(show).patch(narrow).delete(revoke))
        .route("/v1/keys/{id}/rotate", post(rotate))
}

/// The editions in force now.
fn served(web: &Web) -> Vec<Arc<Edition>> {
    let bound = web.house().editions();
    bound.iter().map(|bound| Arc::clone(&bound.edition)).collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    limit: Option<u32>,
    before: Option<KeyId>,
}

async fn list(
    State(web): State<Web>,
    signed_in: SignedIn,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, RestError> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=MOST_LISTED).contains(&limit) {
        return Err(RestError::invalid(format!("limit: 1 to {MOST_LISTED}")));
    }
    let page = KeyPage {
        before: query.before,
        limit,
    };
    let keys = keys::list(web.store(), &signed_in.actor(), signed_in.tenant(), page).await?;
    let is_full = u32::try_from(keys.len()) == Ok(limit);
    let next = keys.last().filter(|_| is_full).map(|key| key.id.clone());
    Ok(Json(json!({ "items": keys, "next_before": next })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MintBody {
    #[serde(default)]
    name: String,
    owner: Option<String>,
    /// Absent: the one edition that is served.
    editions: Option<Vec<EditionName>>,
    scopes: Vec<Scope>,
    expires_in_days: Option<u32>,
    monthly_cap: Option<u64>,
    rate_per_minute: Option<u32>,
    rate_per_hour: Option<u32>,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    confirm: KeyConfirm,
    #[serde(default)]
    names: NameStyle,
    #[serde(default)]
    tools_allow: Vec<String>,
    #[serde(default)]
    tools_deny: Vec<String>,
    #[serde(default)]
    toolsets: Vec<String>,
    #[serde(default)]
    discover: bool,
}

async fn mint(
    State(web): State<Web>,
    signed_in: SignedIn,
    Json(body): Json<MintBody>,
) -> Result<(StatusCode, Json<MintedKey>), RestError> {
    let served = served(&web);
    let editions = match (body.editions, served.as_slice()) {
        (Some(editions), _) => editions,
        (None, [one]) => vec![one.name.clone()],
        (None, _) => Vec::new(),
    };
    let request = MintRequest {
        tenant: signed_in.tenant().clone(),
        owner: body.owner,
        name: body.name,
        editions,
        scopes: body.scopes,
        expires_in_days: body.expires_in_days,
        limits: KeyLimits {
            monthly_cap: body.monthly_cap,
            rate_per_minute: body.rate_per_minute,
            rate_per_hour: body.rate_per_hour,
            read_only: body.read_only,
            confirm: body.confirm,
            names: body.names,
            tools_allow: body.tools_allow,
            tools_deny: body.tools_deny,
            listing: Listing {
                toolsets: body.toolsets,
                discover: body.discover,
            },
        },
    };
    let minted = keys::mint(web.store(), &served, &signed_in.actor(), request).await?;
    Ok((StatusCode::CREATED, Json(minted)))
}

async fn show(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<KeyView>, RestError> {
    let key = keys::show(web.store(), &signed_in.actor(), signed_in.tenant(), &id).await?;
    Ok(Json(key))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    grace_minutes: Option<u32>,
    expires_in_days: Option<u32>,
}

async fn rotate(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Json(body): Json<RotateBody>,
) -> Result<(StatusCode, Json<MintedKey>), RestError> {
    let rotation = Rotation {
        grace_minutes: body.grace_minutes,
        expires_in_days: body.expires_in_days,
    };
    let (served, by) = (served(&web), signed_in.actor());
    let minted = keys::rotate(web.store(), &served, &by, signed_in.tenant(), &id, rotation).await?;
    Ok((StatusCode::CREATED, Json(minted)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NarrowBody {
    name: Option<String>,
    names: Option<NameStyle>,
    scopes: Option<Vec<Scope>>,
    editions: Option<Vec<EditionName>>,
    expires_in_days: Option<u32>,
    monthly_cap: Option<u64>,
    rate_per_minute: Option<u32>,
    rate_per_hour: Option<u32>,
    read_only: Option<bool>,
    confirm: Option<KeyConfirm>,
    tools_allow: Option<Vec<String>>,
    tools_deny: Option<Vec<String>>,
    toolsets: Option<Vec<String>>,
    discover: Option<bool>,
}

async fn narrow(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Json(body): Json<NarrowBody>,
) -> Result<Json<KeyView>, RestError> {
    let wish = KeyNarrowing {
        name: body.name,
        names: body.names,
        toolsets: body.toolsets,
        discover: body.discover,
        scopes: body.scopes,
        editions: body.editions,
        expires_in_days: body.expires_in_days,
        monthly_cap: body.monthly_cap,
        rate_per_minute: body.rate_per_minute,
        rate_per_hour: body.rate_per_hour,
        read_only: body.read_only,
        confirm: body.confirm,
        tools_allow: body.tools_allow,
        tools_deny: body.tools_deny,
    };
    let (served, by) = (served(&web), signed_in.actor());
    let tenant = signed_in.tenant();
    let key = keys::narrow(
        web.store(),
        &served,
        &by,
        tenant,
        &id,
        wish,
        web.house().usual_rate(),
    )
    .await?;
    Ok(Json(key))
}

async fn revoke(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<KeyView>, RestError> {
    let key = keys::revoke(web.store(), &signed_in.actor(), signed_in.tenant(), &id).await?;
    Ok(Json(key))
}
