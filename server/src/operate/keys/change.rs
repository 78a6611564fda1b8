//! Rotating and revoking a key.

use std::sync::Arc;

use futures_util::FutureExt;

use super::{KeyView, MintedKey, check_days, choose, find, fresh, gates, judge_minting};
use crate::{
    catalogue::Edition,
    operate::{Actor, OperateError, logged, note},
    store::{NewKey, Store},
    vocabulary::{KeyId, TenantId, new_id},
};

const MINUTE_MS: i64 = 60 * 1000;
/// Minutes that the old key goes on working when nothing is said (catalogue.md §2.2).
pub const DEFAULT_GRACE_MINUTES: u32 = 60;
/// Longest grace: a week, so that a forgotten rotation does not leave two keys for good.
const LONGEST_GRACE_MINUTES: u32 = 7 * 24 * 60;

/// What a rotation is to do.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    /// Minutes that the old key goes on working, 0 to 10 080; absent: 60.
    pub grace_minutes: Option<u32>,
    /// Days that the new key lives, 1 to 730; absent: as long as the old one was made for.
    pub expires_in_days: Option<u32>,
}

/// Mints a twin of a key, with the same owner, rights and limits, and lets the old one expire after a grace. A key is
/// rotated once; its twin can be rotated again.
///
/// # Errors
/// When the key is dead or was rotated before, its scopes are no longer for its owner's role, or the actor may not
/// mint for its owner.
pub async fn rotate(
    store: &Store,
    editions: &[Arc<Edition>],
    actor: &Actor,
    tenant: &TenantId,
    name: &str,
    rotation: Rotation,
) -> Result<MintedKey, OperateError> {
    let grace = rotation.grace_minutes.unwrap_or(DEFAULT_GRACE_MINUTES);
    if grace > LONGEST_GRACE_MINUTES {
        return Err(OperateError::Invalid(format!(
            "grace_minutes: 0 to {LONGEST_GRACE_MINUTES}"
        )));
    }
    check_days(rotation.expires_in_days)?;
    let (actor, name, served) = (actor.clone(), name.to_owned(), editions.to_vec());
    let (view, plain) = store
        .write(tenant, move |tx| {
            async move {
                tx.keys().lock().await?;
                let by = actor.standing(tx).await?;
                let old = find(tx, &by, &name).await?;
                let now = tx.now();
                if old.revoked_at.is_some() || old.expires_at.is_some_and(|at| at <= now) {
                    return Err(OperateError::Rule(format!(
                        "key {} is dead already; mint a new one",
                        old.id
                    )));
                }
                if let Some(twin) = tx.keys().find_successor(&old.id).await? {
                    return Err(OperateError::Conflict(format!(
                        "key {} was rotated before; rotate its successor {}",
                        old.id, twin.id
                    )));
                }
                let chosen = choose(&served, &old.editions)?;
                let owner = crate::operate::people::person(tx, old.owner.as_str()).await?;
                judge_minting(tx, &by, &owner, &old.scopes, &gates(&chosen, &old.scopes)).await?;
                let plain = fresh(&chosen)?;
                let lifetime = match (rotation.expires_in_days, old.expires_at) {
                    (Some(days), _) => Some(i64::from(days) * super::DAY_MS),
                    (None, Some(end)) => Some(end.as_millis().saturating_sub(old.created_at.as_millis())),
                    (None, None) => None,
                };
                let new = NewKey {
                    id: KeyId::new(&new_id("key", now))?,
                    hash: plain.hash(),
                    prefix: plain.shown_prefix(),
                    name: old.name,
                    owner: old.owner,
                    scopes: old.scopes,
                    editions: old.editions,
                    limits: old.limits,
                    expires_at: lifetime.map(|millis| now.plus_millis(millis)),
                    replaces: Some(old.id.clone()),
                };
                let twin = tx.keys().insert(&new).await?;
                // A key that would die sooner anyway keeps its own end.
                let end = now.plus_millis(i64::from(grace) * MINUTE_MS);
                tx.keys().expire_at(&old.id, end).await?;
                let view = KeyView::new(twin, now);
                note(tx, &by, "key.rotate", view.id.as_str(), None, logged(&view));
                Ok((view, plain))
            }
            .boxed()
        })
        .await?;
    Ok(MintedKey {
        view,
        key: plain.reveal().to_owned(),
    })
}

/// Revokes a key for good: calls that run finish, none begins within a second, on any replica.
///
/// # Errors
/// When there is none of that name, it was revoked before, or it is not the actor's to revoke.
pub async fn revoke(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    name: &str,
) -> Result<KeyView, OperateError> {
    let (actor, name) = (actor.clone(), name.to_owned());
    store
        .write(tenant, move |tx| {
            async move {
                let by = actor.standing(tx).await?;
                let key = find(tx, &by, &name).await?;
                by.must_restrain(&key.owner)?;
                if !tx.keys().revoke(&key.id).await? {
                    return Err(OperateError::Conflict(format!(
                        "key {} was revoked before",
                        key.id
                    )));
                }
                let now = tx.now();
                let after = KeyView::new(find(tx, &by, key.id.as_str()).await?, now);
                let before = KeyView::new(key, now);
                note(
                    tx,
                    &by,
                    "key.revoke",
                    after.id.as_str(),
                    logged(&before),
                    logged(&after),
                );
                Ok(after)
            }
            .boxed()
        })
        .await
}
