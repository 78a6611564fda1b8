//! Narrowing a key: every change of its rights is a step down, judged in the transaction that writes it.

use std::sync::Arc;

use futures_util::FutureExt;

use super::{KeyView, check_days, check_limits, check_scopes, choose, find};
use crate::{
    catalogue::Edition,
    operate::{Actor, OperateError, logged, note, words},
    store::{Key, KeyConfirm, KeyRights, Store},
    vocabulary::{EditionName, NameStyle, Scope, TenantId, Timestamp},
};

/// What is to become of a key. What is absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct KeyNarrowing {
    /// A name for people. Not a right: it changes freely.
    pub name: Option<String>,
    /// Spelling of tool names. Not a right either.
    pub names: Option<NameStyle>,
    /// Groups of tools that it lists; none: all. No right: what is not listed can be called all the same.
    pub toolsets: Option<Vec<String>>,
    /// Whether it lists three tools that find and call the others. Not a right either.
    pub discover: Option<bool>,
    /// All scopes it keeps.
    pub scopes: Option<Vec<Scope>>,
    /// All editions it keeps.
    pub editions: Option<Vec<EditionName>>,
    /// Days from now until it expires; not later than it does now.
    pub expires_in_days: Option<u32>,
    /// Calls a month; not more than now.
    pub monthly_cap: Option<u64>,
    /// Calls a minute; not more than now.
    pub rate_per_minute: Option<u32>,
    /// Calls an hour; not more than now.
    pub rate_per_hour: Option<u32>,
    /// Only tools that read, from now on.
    pub read_only: Option<bool>,
    /// How it asks for confirmation; not laxer than now.
    pub confirm: Option<KeyConfirm>,
    /// All tools it keeps.
    pub tools_allow: Option<Vec<String>>,
    /// All tools it is denied, those denied now included.
    pub tools_deny: Option<Vec<String>>,
}

/// Narrows a key. `default_rate` is what a key that says nothing may do in a minute.
///
/// # Errors
/// When a wish would widen the key, naming the field and what it may be; when the key is dead or not the actor's to
/// restrain.
pub async fn narrow(
    store: &Store,
    editions: &[Arc<Edition>],
    actor: &Actor,
    tenant: &TenantId,
    name: &str,
    wish: KeyNarrowing,
    default_rate: u32,
) -> Result<KeyView, OperateError> {
    check_days(wish.expires_in_days)?;
    let (actor, name, served) = (actor.clone(), name.to_owned(), editions.to_vec());
    store
        .write(tenant, move |tx| {
            async move {
                // Invariant: two who narrow one key at once do so one after the other, each from what the other left.
                tx.keys().lock().await?;
                let by = actor.standing(tx).await?;
                let key = find(tx, &by, &name).await?;
                by.must_restrain(&key.owner)?;
                let now = tx.now();
                if key.revoked_at.is_some() || key.expires_at.is_some_and(|at| at <= now) {
                    return Err(OperateError::Rule(format!(
                        "key {} is dead already; nothing of it can be narrowed",
                        key.id
                    )));
                }
                let rights = narrowed(&key, &served, wish, default_rate, now)?;
                tx.keys().narrow(&key.id, &rights).await?;
                let after = KeyView::new(find(tx, &by, key.id.as_str()).await?, now);
                let before = KeyView::new(key, now);
                note(
                    tx,
                    &by,
                    "key.narrow",
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

fn wider(field: &str, most: impl std::fmt::Display) -> OperateError {
    OperateError::Rule(format!(
        "{field}: a key only gets narrower; it has {most}. Mint a new key for more"
    ))
}

/// The key's rights after the wish.
fn narrowed(
    key: &Key,
    served: &[Arc<Edition>],
    wish: KeyNarrowing,
    default_rate: u32,
    now: Timestamp,
) -> Result<KeyRights, OperateError> {
    let mut rights = KeyRights {
        name: key.name.clone(),
        scopes: key.scopes.clone(),
        editions: key.editions.clone(),
        limits: key.limits.clone(),
        expires_at: key.expires_at,
    };
    if let Some(name) = wish.name {
        rights.name = words::name("name", &name)?;
    }
    if let Some(names) = wish.names {
        rights.limits.names = names;
    }
    if let Some(editions) = wish.editions {
        if !editions.iter().all(|edition| key.editions.contains(edition)) {
            return Err(wider("editions", list(&key.editions)));
        }
        rights.editions = editions;
    }
    let chosen = choose(served, &rights.editions)?;
    if let Some(scopes) = wish.scopes {
        let held = |scope: &Scope| {
            chosen
                .iter()
                .all(|edition| edition.scopes.includes(&key.scopes, scope))
        };
        if !scopes.iter().all(held) {
            return Err(wider("scopes", list(&key.scopes)));
        }
        check_scopes(&chosen, &scopes)?;
        rights.scopes = scopes;
    }
    if let Some(days) = wish.expires_in_days {
        let end = now.plus_millis(i64::from(days) * super::DAY_MS);
        if let Some(present) = key.expires_at.filter(|present| *present < end) {
            return Err(wider("expires_in_days", present));
        }
        rights.expires_at = Some(end);
    }
    let limits = &mut rights.limits;
    if let Some(toolsets) = wish.toolsets {
        limits.listing.toolsets = toolsets;
    }
    limits.listing.discover = wish.discover.unwrap_or(limits.listing.discover);
    lower("monthly_cap", &mut limits.monthly_cap, wish.monthly_cap, None)?;
    lower(
        "rate_per_minute",
        &mut limits.rate_per_minute,
        wish.rate_per_minute,
        Some(default_rate),
    )?;
    lower(
        "rate_per_hour",
        &mut limits.rate_per_hour,
        wish.rate_per_hour,
        None,
    )?;
    match wish.read_only {
        Some(false) if limits.read_only => return Err(wider("read_only", "true")),
        Some(read_only) => limits.read_only = read_only,
        None => {}
    }
    if let Some(confirm) = wish.confirm {
        if confirm < limits.confirm {
            return Err(wider("confirm", limits.confirm.as_str()));
        }
        limits.confirm = confirm;
    }
    // Both spellings of a tool's name mean the same tool.
    let same = |one: &str, other: &str| one == other || one.replace('.', "_") == other.replace('.', "_");
    if let Some(allow) = wish.tools_allow {
        let kept = |name: &String| limits.tools_allow.iter().any(|have| same(have, name));
        if allow.is_empty() && !limits.tools_allow.is_empty()
            || !limits.tools_allow.is_empty() && !allow.iter().all(kept)
        {
            return Err(wider("tools_allow", limits.tools_allow.join(", ")));
        }
        limits.tools_allow = allow;
    }
    if let Some(deny) = wish.tools_deny {
        if !limits
            .tools_deny
            .iter()
            .all(|have| deny.iter().any(|name| same(have, name)))
        {
            return Err(wider("tools_deny", limits.tools_deny.join(", ")));
        }
        limits.tools_deny = deny;
    }
    check_limits(&chosen, limits)?;
    Ok(rights)
}

/// Takes a wished limit over, if it is not above the present one, or above `otherwise` where there is none.
fn lower<N: Copy + Ord + std::fmt::Display>(
    field: &str,
    present: &mut Option<N>,
    wish: Option<N>,
    otherwise: Option<N>,
) -> Result<(), OperateError> {
    let Some(wish) = wish else { return Ok(()) };
    if let Some(most) = present.or(otherwise).filter(|most| wish > *most) {
        return Err(wider(field, most));
    }
    *present = Some(wish);
    Ok(())
}

fn list(names: &[impl std::fmt::Display]) -> String {
    names
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
