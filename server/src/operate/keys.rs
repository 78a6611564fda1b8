//! Minting, listing and revoking API keys (catalogue.md §2.2).

use futures_util::FutureExt;
use serde::Serialize;

use super::{OperateError, note, people::prepare_tenant};
use crate::{
    access::ApiKey,
    catalogue::Edition,
    store::{Key, KeyLimits, NewKey, Store, TenantTx, User},
    vocabulary::{KeyId, Role, Scope, TenantId, Timestamp, UserId, new_id},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Longest life of a key in days (catalogue.md §2.2).
const LONGEST_DAYS: u32 = 730;

/// What a key is to be.
#[derive(Clone, Debug)]
pub struct MintRequest {
    /// The tenant whose rows it opens.
    pub tenant: TenantId,
    /// The address of the person who owns it; absent: the tenant's first owner.
    pub owner: Option<String>,
    /// A name for people.
    pub name: String,
    /// Rights it holds.
    pub scopes: Vec<Scope>,
    /// Days until it expires; absent: never.
    pub expires_in_days: Option<u32>,
    /// What narrows it.
    pub limits: KeyLimits,
}

/// The reply that shows a key, once.
#[derive(Debug, Serialize)]
pub struct MintedKey {
    /// Its row.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// Its visible beginning.
    pub prefix: String,
    /// The key itself. It is not stored and cannot be shown again.
    pub key: String,
    /// The edition it opens.
    pub edition: String,
    /// Rights it holds.
    pub scopes: Vec<Scope>,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The person who owns it.
    pub owner_id: UserId,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Calls a month; absent: shares the tenant's budget.
    pub monthly_cap: Option<u64>,
    /// When it was minted.
    pub created_at: Timestamp,
}

/// Mints a key for one edition.
///
/// A store that knows no tenant yet gets the tenant `local` with its owner: whoever holds the data folder owns it.
///
/// # Errors
/// When a scope is unknown or not for the owner's role, the tenant or owner does not exist, or the expiry is out
/// of range.
pub async fn mint(store: &Store, edition: &Edition, request: MintRequest) -> Result<MintedKey, OperateError> {
    check(edition, &request)?;
    let plain = ApiKey::mint(&edition.key_prefix)?;
    let (hash, prefix) = (plain.hash(), plain.shown_prefix());
    let gates: Vec<(Scope, Vec<Role>)> = request
        .scopes
        .iter()
        .filter_map(|scope| {
            edition
                .scopes
                .roles(scope)
                .map(|roles| (scope.clone(), roles.to_vec()))
        })
        .collect();
    let edition_name = edition.name.clone();
    let key: Key = store
        .system_write(move |tx| {
            async move {
                prepare_tenant(tx, &request.tenant).await?;
                let mut tx = tx.within(&request.tenant);
                let owner = find_owner(&mut tx, request.owner.as_deref()).await?;
                if let Some((scope, _)) = gates.iter().find(|(_, roles)| !roles.contains(&owner.role)) {
                    return Err(OperateError::Rule(format!(
                        "scope `{scope}` is not for the role {} of {}",
                        owner.role.as_str(),
                        owner.email
                    )));
                }
                let now = tx.now();
                let new = NewKey {
                    id: KeyId::new(&new_id("key", now))?,
                    hash,
                    prefix,
                    name: request.name,
                    owner: owner.id,
                    scopes: request.scopes,
                    editions: vec![edition_name],
                    limits: request.limits,
                    expires_at: request
                        .expires_in_days
                        .map(|days| now.plus_millis(i64::from(days) * DAY_MS)),
                };
                let key = tx.keys().insert(&new).await?;
                note(&mut tx, "key.mint", key.id.as_str())?;
                Ok(key)
            }
            .boxed()
        })
        .await?;
    Ok(MintedKey {
        id: key.id.to_string(),
        name: key.name,
        prefix: key.prefix,
        key: plain.reveal().to_owned(),
        edition: edition.name.to_string(),
        scopes: key.scopes,
        tenant_id: key.tenant,
        owner_id: key.owner,
        expires_at: key.expires_at,
        monthly_cap: key.limits.monthly_cap,
        created_at: key.created_at,
    })
}

fn check(edition: &Edition, request: &MintRequest) -> Result<(), OperateError> {
    if request.scopes.is_empty() {
        return Err(OperateError::Rule(format!(
            "name at least one scope: {}",
            scope_list(edition)
        )));
    }
    if let Some(unknown) = request
        .scopes
        .iter()
        .find(|s| s.as_str() != "*" && !edition.scopes.knows(s))
    {
        return Err(OperateError::Rule(format!(
            "edition `{}` has no scope `{unknown}`; it has {}",
            edition.name,
            scope_list(edition)
        )));
    }
    if request
        .expires_in_days
        .is_some_and(|days| !(1..=LONGEST_DAYS).contains(&days))
    {
        return Err(OperateError::Rule(format!(
            "a key lives 1 to {LONGEST_DAYS} days"
        )));
    }
    if request.limits.rate_per_minute == Some(0) {
        return Err(OperateError::Rule(
            "a key with a rate of 0 could never be used; revoke it instead".to_owned(),
        ));
    }
    let tools = request
        .limits
        .tools_allow
        .iter()
        .chain(&request.limits.tools_deny);
    if let Some(unknown) = tools.into_iter().find(|name| edition.find(name).is_none()) {
        return Err(OperateError::Rule(format!(
            "edition `{}` has no tool `{unknown}`",
            edition.name
        )));
    }
    Ok(())
}

fn scope_list(edition: &Edition) -> String {
    edition
        .scopes
        .titles()
        .map(|(scope, _)| scope)
        .collect::<Vec<_>>()
        .join(", ")
}

async fn find_owner(tx: &mut TenantTx<'_>, email: Option<&str>) -> Result<User, OperateError> {
    match email {
        Some(email) => tx.users().find_by_email(email).await?.ok_or_else(|| {
            OperateError::NotFound(format!(
                "there is nobody called `{email}` in tenant `{}`; add them with `footbridge-server user add`",
                tx.tenant()
            ))
        }),
        None => {
            let owners = tx
                .users()
                .list()
                .await?
                .into_iter()
                .filter(|u| u.disabled_at.is_none());
            owners.into_iter().find(|u| u.role == Role::Owner).ok_or_else(|| {
                OperateError::NotFound(format!(
                    "tenant `{}` has no owner yet; add one with `footbridge-server user add --role owner`",
                    tx.tenant()
                ))
            })
        }
    }
}

/// The keys of a tenant, newest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(store: &Store, tenant: &TenantId) -> Result<Vec<Key>, OperateError> {
    store
        .read(tenant, |tx| async move { Ok(tx.keys().list().await?) }.boxed())
        .await
}

/// One key, by its id or by its visible beginning.
///
/// # Errors
/// When there is none, or several begin like that.
pub async fn show(store: &Store, tenant: &TenantId, name: &str) -> Result<Key, OperateError> {
    let name = name.to_owned();
    store
        .read(tenant, move |tx| async move { find(tx, &name).await }.boxed())
        .await
}

/// Revokes a key for good.
///
/// # Errors
/// When there is none of that name, or it was revoked before.
pub async fn revoke(store: &Store, tenant: &TenantId, name: &str) -> Result<Key, OperateError> {
    let name = name.to_owned();
    store
        .write(tenant, move |tx| {
            async move {
                let key = find(tx, &name).await?;
                if !tx.keys().revoke(&key.id).await? {
                    return Err(OperateError::Rule(format!("key {} was revoked before", key.id)));
                }
                note(tx, "key.revoke", key.id.as_str())?;
                Ok(key)
            }
            .boxed()
        })
        .await
}

async fn find(tx: &mut TenantTx<'_>, name: &str) -> Result<Key, OperateError> {
    if let Ok(id) = KeyId::new(name)
        && let Some(key) = tx.keys().find(&id).await?
    {
        return Ok(key);
    }
    let mut found = tx.keys().find_by_prefix(name).await?;
    match found.len() {
        1 => found.pop().ok_or_else(|| no_key(name)),
        0 => Err(no_key(name)),
        many => Err(OperateError::Rule(format!(
            "{many} keys begin with `{name}`; name one by its id"
        ))),
    }
}

fn no_key(name: &str) -> OperateError {
    OperateError::NotFound(format!(
        "there is no key `{name}` in this tenant; see `footbridge-server key list`"
    ))
}
