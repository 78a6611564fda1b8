//! Ways to a new password: the operator sets it, its owner changes it, or follows a link that somebody made for them.
//!
//! Whichever it is, the sessions of before end, and so does a link that is still open. A link is good once, for a day;
//! its token is shown when it is made and never again, the store keeps its hash. Whether whoever made it may still
//! command that person is asked a second time when it is followed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    Actor, OperateError, Standing, note, passwords,
    people::{find_user, nobody, person, who_is},
    sessions, sign_in,
};
use crate::{
    store::{PasswordReset, Store, TenantTx, User},
    vocabulary::{TenantId, Timestamp, UserId},
};

/// Milliseconds for which a link is good: handed over today, followed by tomorrow.
const LINK_MS: i64 = 24 * 60 * 60 * 1000;
/// What the token of a link begins with.
pub const TOKEN_BEGINS: &str = "fbr_";

/// The reply that shows a link's token, once.
#[derive(Clone, Serialize)]
pub struct PasswordLink {
    /// Whose password it sets.
    pub email: String,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
    /// What the link carries. It is not stored and cannot be shown again.
    pub token: String,
}

/// Sets a person's password as the operator, without asking for the old one. Their sessions end.
///
/// # Errors
/// When there is nobody of that name, or the password is too weak.
pub async fn set_password(
    store: &Store,
    tenant: &TenantId,
    who: &str,
    password: SecretString,
) -> Result<User, OperateError> {
    let user = find_user(store, &Actor::Operator, tenant, who).await?;
    passwords::check(&password, &[&user.email, &user.name])?;
    write_password(store, &Actor::Operator, tenant, user.id, password).await
}

/// Changes the password of the person who asks, who proves to know the present one. All their sessions end, this one
/// included: the door opens a new one.
///
/// # Errors
/// [`OperateError::WrongPassword`] when they do not; when the new one is too weak.
pub async fn change_own_password(
    store: &Store,
    tenant: &TenantId,
    id: &UserId,
    present: SecretString,
    new: SecretString,
) -> Result<User, OperateError> {
    let user = who_is(store, tenant, id).await?;
    passwords::check(&new, &[&user.email, &user.name])?;
    // Somebody may have found an open browser: guessing from inside is bounded like guessing from outside.
    let subject = format!("present@{tenant}/{id}");
    let counted = store.system_write(move |tx| {
        async move { Ok::<_, OperateError>(sign_in::count_pair(tx, &subject).await?) }.boxed()
    });
    counted.await?.map_err(OperateError::TooManyAttempts)?;
    if !passwords::verify(present, user.password_hash).await? {
        return Err(OperateError::WrongPassword);
    }
    write_password(store, &Actor::Person(id.clone()), tenant, user.id, new).await
}

async fn write_password(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    id: UserId,
    password: SecretString,
) -> Result<User, OperateError> {
    let (actor, hash) = (actor.clone(), passwords::hash(password).await?);
    store
        .write(tenant, move |tx| {
            async move {
                let by = actor.standing(tx).await?;
                if !tx.users().set_password_hash(&id, Some(&hash)).await? {
                    return Err(nobody(id.as_str()));
                }
                end_what_was(tx, &id).await?;
                note(tx, &by, "user.password", id.as_str(), None, None);
                person(tx, id.as_str()).await
            }
            .boxed()
        })
        .await
}

/// Whoever knew the old password may be signed in, or hold a link of before.
async fn end_what_was(tx: &mut TenantTx<'_>, user: &UserId) -> Result<(), OperateError> {
    tx.password_resets().end(user).await?;
    sessions::end_all(tx, user).await
}

/// Makes a link with which somebody else chooses a new password. Their older link stops working.
///
/// # Errors
/// When there is nobody of that name, they are shut out or the one who asks, or the actor may not command them.
pub async fn make_link(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    who: &str,
) -> Result<PasswordLink, OperateError> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random)?;
    let token = format!("{TOKEN_BEGINS}{}", URL_SAFE_NO_PAD.encode(random));
    let (actor, who, hash) = (actor.clone(), who.to_owned(), hash_of(&token));
    let (email, expires_at) = store
        .write(tenant, move |tx| {
            async move {
                tx.users().lock().await?;
                let by = actor.standing(tx).await?;
                by.must_manage()?;
                let user = person(tx, &who).await?;
                by.must_command(user.role)?;
                // A session that somebody took over must not become the account for good.
                if by.is(&user.id) {
                    return Err(OperateError::Rule(
                        "a link is for somebody else; change your own password under Settings, or ask another admin"
                            .to_owned(),
                    ));
                }
                if user.disabled_at.is_some() {
                    return Err(OperateError::Rule(format!(
                        "`{}` is shut out; let them in again first",
                        user.email
                    )));
                }
                let reset = PasswordReset {
                    user: user.id.clone(),
                    made_by: by.user().map(|user| user.id.clone()),
                    expires_at: tx.now().plus_millis(LINK_MS),
                };
                tx.password_resets().set(&hash, &reset).await?;
                let after = Some(json!({ "expires_at": reset.expires_at }));
                note(tx, &by, "user.password_link", user.id.as_str(), None, after);
                Ok((user.email, reset.expires_at))
            }
            .boxed()
        })
        .await?;
    Ok(PasswordLink {
        email,
        expires_at,
        token,
    })
}

/// Whose password a link sets, for the page that asks for one. Unknown, used, replaced and expired look alike.
///
/// # Errors
/// When it stands for nothing.
pub async fn look(store: &Store, token: &str) -> Result<(TenantId, User), OperateError> {
    let hash = hash_of(token);
    store
        .system_read(move |tx| {
            async move {
                let (tenant, reset) = tx.password_resets().find(&hash).await?.ok_or_else(worthless)?;
                let user = standing_of(&mut tx.within(&tenant), &reset).await?;
                Ok((tenant, user))
            }
            .boxed()
        })
        .await
}

/// Sets the password that whoever follows a link chose. Works once; of two that try, one succeeds.
///
/// # Errors
/// When the link is worth nothing any more, or the password is too weak.
pub async fn follow(
    store: &Store,
    token: &str,
    password: SecretString,
) -> Result<(TenantId, User), OperateError> {
    // Looked at first, so that a stranger without a token costs no hash.
    let (_, user) = look(store, token).await?;
    passwords::check(&password, &[&user.email, &user.name])?;
    let (hash, new) = (hash_of(token), passwords::hash(password).await?);
    store
        .system_write(move |tx| {
            async move {
                let (tenant, reset) = tx.password_resets().redeem(&hash).await?.ok_or_else(worthless)?;
                let mut tx = tx.within(&tenant);
                tx.users().lock().await?;
                let user = standing_of(&mut tx, &reset).await?;
                tx.users().set_password_hash(&user.id, Some(&new)).await?;
                end_what_was(&mut tx, &user.id).await?;
                let by = Standing::Person(Box::new(user.clone()));
                let after = Some(json!({ "through": "link" }));
                note(&mut tx, &by, "user.password", user.id.as_str(), None, after);
                Ok((tenant, user))
            }
            .boxed()
        })
        .await
}

/// The person of a link, as long as they may come in and whoever made it may command them.
async fn standing_of(tx: &mut TenantTx<'_>, reset: &PasswordReset) -> Result<User, OperateError> {
    let user = Actor::Person(reset.user.clone()).standing(tx).await;
    let maker = match &reset.made_by {
        None => Actor::Operator,
        Some(id) => Actor::Person(id.clone()),
    };
    let maker = maker.standing(tx).await;
    match (user, maker) {
        (Ok(Standing::Person(user)), Ok(maker)) if maker.must_command(user.role).is_ok() => Ok(*user),
        (Err(OperateError::Store(error)), _) | (_, Err(OperateError::Store(error))) => Err(error.into()),
        _ => Err(worthless()),
    }
}

/// Forgets links that have expired. Called now and then.
///
/// # Errors
/// When the store refuses.
pub async fn tidy(store: &Store) -> Result<(), OperateError> {
    store
        .system_write(|tx| async move { Ok(tx.password_resets().purge().await.map(drop)?) }.boxed())
        .await
}

fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token.trim().as_bytes()).into()
}

fn worthless() -> OperateError {
    OperateError::NotFound(
        "this link is not valid: it was used, replaced or has expired; ask for a new one".to_owned(),
    )
}
