//! The first run of a server that nobody owns yet: a one-time token, never an open page or a default password.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt;
use sha2::{Digest, Sha256};

use super::{OperateError, note};
use crate::{
    store::{NewTenant, NewUser, Store, User},
    vocabulary::{Role, TenantId, UserId, new_id},
};

/// What the token is for, as the store remembers it.
const PURPOSE: &str = "first-owner";
/// How long a printed token can be used: a working day.
const LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

/// A fresh setup token if no tenant has an owner; `None` once somebody owns this server.
///
/// # Errors
/// When the store or the machine's randomness fails.
pub async fn token_if_unowned(store: &Store) -> Result<Option<String>, OperateError> {
    if has_owner(store).await? {
        return Ok(None);
    }
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random)?;
    let token = format!("fbs_{}", URL_SAFE_NO_PAD.encode(random));
    let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    store
        .system_write(move |tx| {
            async move {
                tx.setup_tokens().purge().await?;
                let expires_at = tx.now().plus_millis(LIFETIME_MS);
                Ok::<_, OperateError>(tx.setup_tokens().insert(&hash, PURPOSE, expires_at).await?)
            }
            .boxed()
        })
        .await?;
    Ok(Some(token))
}

/// Uses the token up and makes the first owner, with their tenant.
///
/// # Errors
/// When the token is unknown, used or expired (all three read the same), or somebody owns the server already.
pub async fn redeem(store: &Store, token: &str, tenant: &str, email: &str) -> Result<User, OperateError> {
    let hash: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
    let (tenant, email) = (TenantId::new(tenant)?, email.to_owned());
    if has_owner(store).await? {
        return Err(OperateError::Rule("this server has an owner already".to_owned()));
    }
    store
        .system_write(move |tx| {
            async move {
                if tx.setup_tokens().redeem(&hash).await?.as_deref() != Some(PURPOSE) {
                    return Err(OperateError::Rule(
                        "the setup token is not valid; start the server again to get a new one".to_owned(),
                    ));
                }
                if tx.tenants().find(&tenant).await?.is_none() {
                    let new = NewTenant {
                        id: tenant.clone(),
                        name: tenant.to_string(),
                        monthly_cap: None,
                    };
                    tx.tenants().insert(&new).await?;
                }
                let mut tx = tx.within(&tenant);
                let id = UserId::new(&new_id("usr", tx.now()))?;
                let name = email.split('@').next().unwrap_or_default().to_owned();
                let owner = NewUser {
                    id,
                    email,
                    name,
                    role: Role::Owner,
                    groups: Vec::new(),
                    password_hash: None,
                };
                let owner = tx.users().insert(&owner).await?;
                note(&mut tx, "setup.owner", owner.id.as_str())?;
                Ok(owner)
            }
            .boxed()
        })
        .await
}

async fn has_owner(store: &Store) -> Result<bool, OperateError> {
    let users = store
        .system_read(|tx| async move { Ok::<_, OperateError>(tx.users().all().await?) }.boxed())
        .await?;
    Ok(users
        .iter()
        .any(|(_, user)| user.role == Role::Owner && user.disabled_at.is_none()))
}
