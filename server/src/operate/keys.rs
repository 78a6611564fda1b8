//! API keys (catalogue.md §2.2): minting, listing, rotating, narrowing, revoking.
//!
//! A key is shown in the reply that mints it and nowhere else. It acts with its owner's role, which is looked up at
//! each use; what it holds itself only ever narrows. No tool does any of this: these functions stand behind the
//! command line, REST and the console.

mod change;
mod judge;
mod narrow;
mod view;

use std::sync::Arc;

use futures_util::FutureExt;
use serde::Serialize;

pub use change::{DEFAULT_GRACE_MINUTES, Rotation, revoke, rotate};
pub use judge::LONGEST_DAYS;
use judge::{check, check_days, check_limits, check_scopes, choose, find_owner, gates, judge_minting};
pub use narrow::{KeyNarrowing, narrow};
use view::find;
pub use view::{KeyPage, KeyView, MOST_LISTED, list, show};

use super::{Actor, OperateError, logged, note, tenants::prepare_tenant, words};
use crate::{
    access::ApiKey,
    catalogue::Edition,
    store::{KeyLimits, NewKey, Store},
    vocabulary::{EditionName, KeyId, Scope, TenantId, new_id},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What a key is to be.
#[derive(Clone, Debug)]
pub struct MintRequest {
    /// The tenant whose rows it opens.
    pub tenant: TenantId,
    /// The person who owns it, by id or e-mail address; absent: whoever mints, for the operator the first owner.
    pub owner: Option<String>,
    /// A name for people.
    pub name: String,
    /// Editions that it may enter; the first one gives it its prefix.
    pub editions: Vec<EditionName>,
    /// Rights it holds.
    pub scopes: Vec<Scope>,
    /// Days until it expires, 1 to 730; absent: never.
    pub expires_in_days: Option<u32>,
    /// What narrows it.
    pub limits: KeyLimits,
}

/// The reply that shows a key, once.
#[derive(Serialize)]
pub struct MintedKey {
    /// What lists show of it from now on.
    #[serde(flatten)]
    pub view: KeyView,
    /// The key itself. It is not stored and cannot be shown again.
    pub key: String,
}

/// Mints a key. `editions` are those that this server serves.
///
/// For the operator, a store that knows no tenant yet gets the tenant `local` with its owner: whoever holds the data
/// folder owns it.
///
/// # Errors
/// When an edition or scope is unknown, a scope is not for the owner's role, the owner does not exist or is not one
/// for whom the actor may mint, or a value is out of range.
pub async fn mint(
    store: &Store,
    editions: &[Arc<Edition>],
    actor: &Actor,
    request: MintRequest,
) -> Result<MintedKey, OperateError> {
    let chosen = choose(editions, &request.editions)?;
    check(&chosen, &request)?;
    let name = words::name("name", &request.name)?;
    let plain = fresh(&chosen)?;
    let (hash, prefix) = (plain.hash(), plain.shown_prefix());
    let gates = gates(&chosen, &request.scopes);
    let actor = actor.clone();
    let view = store
        .system_write(move |tx| {
            async move {
                if actor == Actor::Operator {
                    prepare_tenant(tx, &request.tenant).await?;
                }
                let mut tx = tx.within(&request.tenant);
                let by = actor.standing(&mut tx).await?;
                let owner = find_owner(&mut tx, &by, request.owner.as_deref()).await?;
                judge_minting(&mut tx, &by, &owner, &request.scopes, &gates).await?;
                let now = tx.now();
                let new = NewKey {
                    id: KeyId::new(&new_id("key", now))?,
                    hash,
                    prefix,
                    name,
                    owner: owner.id,
                    scopes: request.scopes,
                    editions: request.editions,
                    limits: request.limits,
                    expires_at: request
                        .expires_in_days
                        .map(|days| now.plus_millis(i64::from(days) * DAY_MS)),
                    replaces: None,
                };
                let key = tx.keys().insert(&new).await?;
                let view = KeyView::new(key, now);
                note(&mut tx, &by, "key.mint", view.id.as_str(), None, logged(&view));
                Ok::<_, OperateError>(view)
            }
            .boxed()
        })
        .await?;
    Ok(MintedKey {
        view,
        key: plain.reveal().to_owned(),
    })
}

/// A fresh key with the prefix of the first edition it enters.
fn fresh(editions: &[Arc<Edition>]) -> Result<ApiKey, OperateError> {
    let prefix = editions.first().map_or("", |edition| edition.key_prefix.as_str());
    Ok(ApiKey::mint(prefix)?)
}
