//! Keys as people see them: never the key, never its hash.

use futures_util::FutureExt;
use serde::Serialize;

use crate::{
    operate::{Actor, OperateError, Standing},
    store::{Key, KeyConfirm, Store, TenantTx},
    vocabulary::{EditionName, KeyId, Listing, NameStyle, Scope, TenantId, Timestamp, UserId},
};

/// Most keys that one page lists.
pub const MOST_LISTED: u32 = 1000;

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
    /// How much of the catalogue it is shown.
    #[serde(flatten)]
    pub listing: Listing,
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
            listing: key.limits.listing,
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

pub(super) async fn find(tx: &mut TenantTx<'_>, by: &Standing, name: &str) -> Result<Key, OperateError> {
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
