//! Sessions of people who signed in: opened after a password or an identity provider vouched for them, found again
//! by the secret that their browser or program holds, ended by them, by time, or by shutting the person out.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::OperateError;
use crate::{
    store::{NewSignIn, SignIn, SignInKind, Store, TenantTx},
    vocabulary::{TenantId, Timestamp, UserId, new_id},
};

/// How exactly the last use is kept: a write for every click would be a load for nothing.
const TOUCH_EVERY_MS: i64 = 60 * 1000;
/// Longest secret that is looked at. Ours are 47 characters long.
const LONGEST_SECRET: usize = 100;

/// How long a session lasts.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// Without being used.
    pub idle: Duration,
    /// In any case.
    pub whole: Duration,
}

/// A session just opened. The secret is shown once: only its hash is stored.
#[derive(Debug)]
pub struct Opened {
    /// What the browser or the program keeps.
    pub secret: SecretString,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// Opens a session. Whoever calls has made sure that this is the person.
///
/// # Errors
/// When the store or the machine's randomness fails.
pub async fn open(
    store: &Store,
    tenant: &TenantId,
    user: &UserId,
    kind: SignInKind,
    lifetime: Lifetime,
) -> Result<Opened, OperateError> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random)?;
    let prefix = match kind {
        SignInKind::Browser => "fbc_",
        SignInKind::Token => "fbt_",
    };
    let secret = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random));
    let (hash, tenant, user) = (hash(&secret), tenant.clone(), user.clone());
    let expires_at = store
        .system_write(move |tx| {
            async move {
                // Now and then is often enough, and this is now and then.
                tx.sign_ins().purge().await?;
                let mut tx = tx.within(&tenant);
                let now = tx.now();
                let new = NewSignIn {
                    id: new_id("ses", now),
                    hash,
                    user,
                    kind,
                    expires_at: now.plus_millis(millis(lifetime.whole)),
                };
                tx.sign_ins().insert(&new).await?;
                Ok::<_, OperateError>(new.expires_at)
            }
            .boxed()
        })
        .await?;
    Ok(Opened {
        secret: secret.into(),
        expires_at,
    })
}

/// Who holds this secret, with the role they have now. `None` for every reason why it is of no use.
///
/// # Errors
/// When the store fails.
pub async fn find(
    store: &Store,
    secret: &SecretString,
    kind: SignInKind,
    lifetime: Lifetime,
) -> Result<Option<SignIn>, OperateError> {
    let secret = secret.expose_secret();
    if secret.len() > LONGEST_SECRET {
        return Ok(None);
    }
    let hash = hash(secret);
    let idle = millis(lifetime.idle);
    let found: Option<(SignIn, Timestamp)> = store
        .system_read(move |tx| {
            async move {
                let now = tx.now();
                let found = tx.sign_ins().find(&hash, kind, now.plus_millis(-idle)).await?;
                Ok::<_, OperateError>(found.map(|session| (session, now)))
            }
            .boxed()
        })
        .await?;
    let Some((session, now)) = found else {
        return Ok(None);
    };
    if now.0.saturating_sub(session.used_at.0) >= TOUCH_EVERY_MS {
        let id = session.id.clone();
        store
            .write(&session.tenant, move |tx| {
                async move { Ok::<_, OperateError>(tx.sign_ins().touch(&id).await?) }.boxed()
            })
            .await?;
    }
    Ok(Some(session))
}

/// Ends a session, as when its person signs out.
///
/// # Errors
/// When the store fails.
pub async fn end(store: &Store, session: &SignIn) -> Result<(), OperateError> {
    let id = session.id.clone();
    store
        .write(&session.tenant, move |tx| {
            async move {
                tx.sign_ins().end(&id).await?;
                Ok(())
            }
            .boxed()
        })
        .await
}

/// Ends every session of a person in the transaction that gives a reason for it, as a new password does.
///
/// # Errors
/// When the store fails.
pub async fn end_all(tx: &mut TenantTx<'_>, user: &UserId) -> Result<(), OperateError> {
    tx.sign_ins().end_all(user).await?;
    Ok(())
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
