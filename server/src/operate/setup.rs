//! The first run of a server that nobody owns yet: a one-time token, never an open page or a default password.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::{
    OperateError, Standing, logged, note, passwords,
    people::{NewPerson, PersonView, insert},
};
use crate::{
    store::{NewTenant, Store, SystemTx, User},
    vocabulary::{Role, TenantId},
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

/// Who is to own a server that nobody owns yet.
#[derive(Debug)]
pub struct FirstOwner {
    /// The tenant to own; made if it does not exist.
    pub tenant: TenantId,
    /// Their e-mail address.
    pub email: String,
    /// Their name; empty: the address up to its `@`.
    pub name: String,
    /// The password they will sign in with; absent: they only use the command line for now.
    pub password: Option<SecretString>,
}

/// Uses the token up and makes the first owner, with their tenant.
///
/// # Errors
/// When the token is unknown, used or expired (all three read the same), somebody owns the server already, or the
/// password is too weak.
pub async fn redeem(store: &Store, token: &str, owner: FirstOwner) -> Result<User, OperateError> {
    let hash: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
    let tenant = owner.tenant;
    let person = NewPerson {
        email: owner.email,
        name: owner.name,
        role: Role::Owner,
        groups: Vec::new(),
    }
    .checked()?;
    if has_owner(store).await? {
        return Err(owned());
    }
    let password_hash = match owner.password {
        None => None,
        Some(password) => {
            // Looked at first, so that a stranger without the token costs no hash.
            if !token_is_good(store, hash).await? {
                return Err(worthless());
            }
            passwords::check(&password, &[&person.email, &person.name])?;
            Some(passwords::hash(password).await?)
        }
    };
    store
        .system_write(move |tx| {
            async move {
                // Two tokens may be about, one from each start; the lock lets one of them find nobody.
                tx.within(&tenant).users().lock().await?;
                if tx.setup_tokens().redeem(&hash).await?.as_deref() != Some(PURPOSE) {
                    return Err(worthless());
                }
                if is_owned(tx).await? {
                    return Err(owned());
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
                let owner = insert(&mut tx, person, password_hash).await?;
                note(
                    &mut tx,
                    &Standing::Person(Box::new(owner.clone())),
                    "user.first_owner",
                    owner.id.as_str(),
                    None,
                    logged(&PersonView::from(&owner)),
                );
                Ok(owner)
            }
            .boxed()
        })
        .await
}

fn worthless() -> OperateError {
    OperateError::Rule("the setup token is not valid; start the server again to get a new one".to_owned())
}

fn owned() -> OperateError {
    OperateError::Rule("this server has an owner already".to_owned())
}

async fn token_is_good(store: &Store, hash: [u8; 32]) -> Result<bool, OperateError> {
    store
        .system_read(move |tx| async move { Ok(tx.setup_tokens().is_good(&hash, PURPOSE).await?) }.boxed())
        .await
}

/// Whether some tenant has an active owner. Until then the server takes a setup token.
///
/// # Errors
/// When the store cannot be read.
pub async fn has_owner(store: &Store) -> Result<bool, OperateError> {
    store
        .system_read(|tx| async move { is_owned(tx).await }.boxed())
        .await
}

async fn is_owned(tx: &mut SystemTx<'_>) -> Result<bool, OperateError> {
    Ok(tx.users().has_active(Role::Owner).await?)
}
