//! API keys (catalogue.md §2.2): minting, listing, rotating, narrowing, revoking.
//!
//! A key is shown in the reply that mints it and nowhere else. It acts with its owner's role, which is looked up at
//! each use; what it holds itself only ever narrows. No tool does any of this: these functions stand behind the
//! command line, REST and the console.

mod change;
mod narrow;

use std::sync::Arc;

use futures_util::FutureExt;
use serde::Serialize;

pub use change::{DEFAULT_GRACE_MINUTES, Rotation, revoke, rotate};
pub use narrow::{KeyNarrowing, narrow};

use super::{
    Actor, OperateError, Standing, logged, note,
    people::{person, prepare_tenant},
    words,
};
use crate::{
    access::ApiKey,
    catalogue::Edition,
    store::{Key, KeyConfirm, KeyLimits, NewKey, Store, TenantTx, User},
    vocabulary::{EditionName, KeyId, NameStyle, Role, Scope, TenantId, Timestamp, UserId, new_id},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Longest life of a key in days (catalogue.md §2.2).
pub const LONGEST_DAYS: u32 = 730;
/// Most scopes of one key; more than any edition has.
const MOST_SCOPES: usize = 100;
/// Most tools named in one list of a key; as many as an edition may have.
const MOST_TOOLS_NAMED: usize = 512;
/// Most living keys of one owner that people mint; the operator at the command line is not bounded.
const MOST_LIVE_KEYS: i64 = 200;
/// Most keys that one page lists.
pub const MOST_LISTED: u32 = 1000;

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

/// A key as lists and replies show it: never the key, never its hash.
#[derive(Clone, Debug, Serialize)]
pub struct KeyView {
    /// Its row.
    pub id: KeyId,
    /// A name for people.
    pub name: String,
    /// Its visible beginning.
    pub prefix: String,
    /// `active`, `expired` or `revoked`.
    pub state: &'static str,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The person who owns it.
    pub owner_id: UserId,
    /// Editions it may enter.
    pub editions: Vec<EditionName>,
    /// Rights it holds.
    pub scopes: Vec<Scope>,
    /// Only tools that read.
    pub read_only: bool,
    /// How it asks for confirmation.
    pub confirm: KeyConfirm,
    /// How it spells tool names.
    pub names: NameStyle,
    /// Only these tools; empty: all.
    pub tools_allow: Vec<String>,
    /// Not these tools.
    pub tools_deny: Vec<String>,
    /// Calls a month; absent: shares the tenant's budget.
    pub monthly_cap: Option<u64>,
    /// Calls a minute; absent: the server's default.
    pub rate_per_minute: Option<u32>,
    /// Calls an hour; absent: unlimited.
    pub rate_per_hour: Option<u32>,
    /// When it was minted.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// By which client.
    pub last_used_client: Option<String>,
    /// Calls it made this calendar month of UTC, as of the last half minute; only where keys are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_this_month: Option<i64>,
    /// The key it was minted in place of.
    pub replaces: Option<KeyId>,
}

impl KeyView {
    /// The key as it stands at this moment.
    pub fn new(key: Key, now: Timestamp) -> Self {
        let state = match (key.revoked_at, key.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(at)) if at <= now => "expired",
            _ => "active",
        };
        Self {
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            state,
            tenant_id: key.tenant,
            owner_id: key.owner,
            editions: key.editions,
            scopes: key.scopes,
            read_only: key.limits.read_only,
            confirm: key.limits.confirm,
            names: key.limits.names,
            tools_allow: key.limits.tools_allow,
            tools_deny: key.limits.tools_deny,
            monthly_cap: key.limits.monthly_cap,
            rate_per_minute: key.limits.rate_per_minute,
            rate_per_hour: key.limits.rate_per_hour,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
            last_used_client: key.last_used_client,
            calls_this_month: None,
            replaces: key.replaces,
        }
    }
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

/// The editions of these names.
fn choose(editions: &[Arc<Edition>], names: &[EditionName]) -> Result<Vec<Arc<Edition>>, OperateError> {
    let known = || {
        editions
            .iter()
            .map(|e| e.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    if names.is_empty() {
        return Err(OperateError::Invalid(format!(
            "editions: name at least one; there are: {}",
            known()
        )));
    }
    if names
        .iter()
        .enumerate()
        .any(|(at, name)| names.iter().skip(at + 1).any(|other| other == name))
    {
        return Err(OperateError::Invalid("editions: name each once".to_owned()));
    }
    names
        .iter()
        .map(|name| {
            let found = editions.iter().find(|edition| edition.name == *name);
            found.cloned().ok_or_else(|| {
                OperateError::Invalid(format!("there is no edition `{name}`; there are: {}", known()))
            })
        })
        .collect()
}

/// The scopes that are kept to certain roles, with those roles.
fn gates(editions: &[Arc<Edition>], scopes: &[Scope]) -> Vec<(Scope, Vec<Role>)> {
    let of = |edition: &Arc<Edition>| {
        let rules = &edition.scopes;
        let gated = scopes
            .iter()
            .filter_map(|scope| Some((scope.clone(), rules.roles(scope)?.to_vec())));
        gated.collect::<Vec<_>>()
    };
    editions.iter().flat_map(of).collect()
}

/// Whether this actor may hand out a key of this owner with these scopes.
async fn judge_minting(
    tx: &mut TenantTx<'_>,
    by: &Standing,
    owner: &User,
    scopes: &[Scope],
    gates: &[(Scope, Vec<Role>)],
) -> Result<(), OperateError> {
    by.must_mint_for(owner)?;
    if owner.disabled_at.is_some() {
        return Err(OperateError::Rule(format!(
            "`{}` is disabled; enable them before they get a key",
            owner.email
        )));
    }
    if let Some((scope, _)) = gates.iter().find(|(_, roles)| !roles.contains(&owner.role)) {
        return Err(OperateError::Rule(format!(
            "scope `{scope}` is not for the role {} of {}",
            owner.role.as_str(),
            owner.email
        )));
    }
    if by.user().is_some() {
        if scopes.iter().any(|scope| scope.as_str() == "*") {
            return Err(OperateError::Forbidden(
                "scope `*` is for keys of the operator; name the scopes that the key needs".to_owned(),
            ));
        }
        if tx.keys().count_live(&owner.id).await? >= MOST_LIVE_KEYS {
            return Err(OperateError::Rule(format!(
                "{} has {MOST_LIVE_KEYS} living keys; revoke some first",
                owner.email
            )));
        }
    }
    Ok(())
}

fn check(editions: &[Arc<Edition>], request: &MintRequest) -> Result<(), OperateError> {
    check_scopes(editions, &request.scopes)?;
    check_days(request.expires_in_days)?;
    check_limits(editions, &request.limits)
}

fn check_scopes(editions: &[Arc<Edition>], scopes: &[Scope]) -> Result<(), OperateError> {
    if scopes.is_empty() || scopes.len() > MOST_SCOPES {
        return Err(OperateError::Invalid(format!(
            "scopes: name at least one and at most {MOST_SCOPES}: {}",
            scope_list(editions)
        )));
    }
    let unknown = |scope: &&Scope| !editions.iter().any(|edition| edition.scopes.knows(scope));
    match scopes.iter().find(unknown) {
        None => Ok(()),
        Some(unknown) => Err(OperateError::Invalid(format!(
            "edition `{}` has no scope `{unknown}`; it has {}",
            editions
                .iter()
                .map(|e| e.name.as_str())
                .collect::<Vec<_>>()
                .join("`, `"),
            scope_list(editions)
        ))),
    }
}

fn check_days(days: Option<u32>) -> Result<(), OperateError> {
    if days.is_some_and(|days| !(1..=LONGEST_DAYS).contains(&days)) {
        return Err(OperateError::Invalid(format!(
            "expires_in_days: a key lives 1 to {LONGEST_DAYS} days"
        )));
    }
    Ok(())
}

fn check_limits(editions: &[Arc<Edition>], limits: &KeyLimits) -> Result<(), OperateError> {
    for (what, none) in [
        ("rate_per_minute", limits.rate_per_minute == Some(0)),
        ("rate_per_hour", limits.rate_per_hour == Some(0)),
        ("monthly_cap", limits.monthly_cap == Some(0)),
    ] {
        if none {
            return Err(OperateError::Invalid(format!(
                "{what}: a key with 0 could never be used; revoke it instead"
            )));
        }
    }
    // The store counts in 64 bits with a sign.
    if limits.monthly_cap.is_some_and(|cap| i64::try_from(cap).is_err()) {
        return Err(OperateError::Invalid(format!(
            "monthly_cap: at most {}",
            i64::MAX
        )));
    }
    for (what, tools) in [
        ("tools_allow", &limits.tools_allow),
        ("tools_deny", &limits.tools_deny),
    ] {
        if tools.len() > MOST_TOOLS_NAMED {
            return Err(OperateError::Invalid(format!(
                "{what}: at most {MOST_TOOLS_NAMED} tools"
            )));
        }
        let unknown = |name: &&String| !editions.iter().any(|edition| edition.find(name).is_some());
        if let Some(unknown) = tools.iter().find(unknown) {
            let unknown: String = unknown.chars().take(128).collect();
            return Err(OperateError::Invalid(format!(
                "{what}: edition `{}` has no tool `{unknown}`",
                editions
                    .iter()
                    .map(|e| e.name.as_str())
                    .collect::<Vec<_>>()
                    .join("`, `"),
            )));
        }
    }
    Ok(())
}

fn scope_list(editions: &[Arc<Edition>]) -> String {
    let all = editions.iter().flat_map(|edition| edition.scopes.titles());
    let mut names: Vec<_> = all.map(|(scope, _)| scope).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

async fn find_owner(tx: &mut TenantTx<'_>, by: &Standing, who: Option<&str>) -> Result<User, OperateError> {
    match (who, by) {
        (None, Standing::Person(user)) => Ok((**user).clone()),
        // Whom one may not see cannot be told from nobody.
        (Some(who), Standing::Person(user)) if !by.sees_everybody() => {
            let is_me = who == user.id.as_str() || who.to_lowercase() == user.email.to_lowercase();
            by.must_mint_for(user)?;
            if is_me {
                Ok((**user).clone())
            } else {
                by.must_manage().map(|()| (**user).clone())
            }
        }
        (Some(who), _) => person(tx, who).await.map_err(|error| match error {
            OperateError::NotFound(_) => OperateError::NotFound(format!(
                "there is nobody called `{}` in tenant `{}`; add them with `footbridge-server user add`",
                who.chars().take(80).collect::<String>(),
                tx.tenant()
            )),
            other => other,
        }),
        (None, Standing::Operator) => {
            let mut all = tx.users().list().await?.into_iter();
            let owner = all.find(|u| u.disabled_at.is_none() && u.role == Role::Owner);
            owner.ok_or_else(|| {
                OperateError::NotFound(format!(
                    "tenant `{}` has no owner yet; add one with `footbridge-server user add --role owner`",
                    tx.tenant()
                ))
            })
        }
    }
}

/// Which keys to list.
#[derive(Clone, Debug)]
pub struct KeyPage {
    /// Keys minted before this one; absent: from the newest on.
    pub before: Option<KeyId>,
    /// Most keys, up to [`MOST_LISTED`].
    pub limit: u32,
}

impl Default for KeyPage {
    fn default() -> Self {
        Self {
            before: None,
            limit: MOST_LISTED,
        }
    }
}

/// The keys of a tenant, newest first, dead ones included. Members see their own.
///
/// # Errors
/// When the actor is shut out, or the store cannot be read.
pub async fn list(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    page: KeyPage,
) -> Result<Vec<KeyView>, OperateError> {
    let actor = actor.clone();
    store
        .read(tenant, move |tx| {
            async move {
                let by = actor.standing(tx).await?;
                let owner = if by.sees_everybody() {
                    None
                } else {
                    by.user().map(|user| &user.id)
                };
                let limit = page.limit.clamp(1, MOST_LISTED);
                let now = tx.now();
                let keys = tx.keys().page(owner, page.before.as_ref(), limit).await?;
                let calls = tx.keys().all_calls(&now.month()).await?;
                let view = |key: Key| {
                    let made = calls.get(key.id.as_str()).copied().unwrap_or(0);
                    KeyView {
                        calls_this_month: Some(made),
                        ..KeyView::new(key, now)
                    }
                };
                Ok(keys.into_iter().map(view).collect())
            }
            .boxed()
        })
        .await
}

/// One key, by its id or by its visible beginning. One that the actor may not see is answered like none.
///
/// # Errors
/// When there is none, or several begin like that.
pub async fn show(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    name: &str,
) -> Result<KeyView, OperateError> {
    let (actor, name) = (actor.clone(), name.to_owned());
    store
        .read(tenant, move |tx| {
            async move {
                let by = actor.standing(tx).await?;
                let now = tx.now();
                let key = find(tx, &by, &name).await?;
                let calls = tx.keys().calls(&key.id, &now.month()).await?;
                Ok(KeyView {
                    calls_this_month: Some(calls),
                    ..KeyView::new(key, now)
                })
            }
            .boxed()
        })
        .await
}

async fn find(tx: &mut TenantTx<'_>, by: &Standing, name: &str) -> Result<Key, OperateError> {
    let visible = |key: &Key| by.sees_everybody() || by.is(&key.owner);
    if let Ok(id) = KeyId::new(name)
        && let Some(key) = tx.keys().find(&id).await?.filter(visible)
    {
        return Ok(key);
    }
    let mut found = tx.keys().find_by_prefix(name).await?;
    found.retain(visible);
    match found.len() {
        1 => found.pop().ok_or_else(|| no_key(name)),
        0 => Err(no_key(name)),
        many => Err(OperateError::Conflict(format!(
            "{many} keys begin with `{name}`; name one by its id"
        ))),
    }
}

fn no_key(name: &str) -> OperateError {
    // Somebody may have pasted a whole key: what is repeated is no longer than what lists show.
    let shown: String = name.chars().take(32).collect();
    let more = if shown.len() < name.len() { "…" } else { "" };
    OperateError::NotFound(format!(
        "there is no key `{shown}{more}` in this tenant; see `footbridge-server key list`"
    ))
}
