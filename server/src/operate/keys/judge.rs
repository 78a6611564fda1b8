//! Who may hand out which key, and which values a key may have.

use std::sync::Arc;

use super::MintRequest;
use crate::{
    access::role_in,
    catalogue::Edition,
    operate::{OperateError, Standing, people::person},
    store::{KeyLimits, TenantTx, User},
    vocabulary::{EditionName, Role, Scope},
};

/// Longest life of a key in days (catalogue.md §2.2).
pub const LONGEST_DAYS: u32 = 730;
/// Most scopes of one key; more than any edition has.
const MOST_SCOPES: usize = 100;
/// Most tools named in one list of a key; as many as an edition may have.
const MOST_TOOLS_NAMED: usize = 512;
/// Most living keys of one owner that people mint; the operator at the command line is not bounded.
const MOST_LIVE_KEYS: i64 = 200;

/// The editions of these names.
pub(super) fn choose(
    editions: &[Arc<Edition>],
    names: &[EditionName],
) -> Result<Vec<Arc<Edition>>, OperateError> {
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

/// A scope that an edition keeps to certain roles.
pub(super) struct Gate {
    scope: Scope,
    edition: EditionName,
    roles: Vec<Role>,
}

/// The scopes that are kept to certain roles.
pub(super) fn gates(editions: &[Arc<Edition>], scopes: &[Scope]) -> Vec<Gate> {
    let of = |edition: &Arc<Edition>| {
        let gated = scopes.iter().filter_map(|scope| {
            Some(Gate {
                scope: scope.clone(),
                edition: edition.name.clone(),
                roles: edition.scopes.roles(scope)?.to_vec(),
            })
        });
        gated.collect::<Vec<_>>()
    };
    editions.iter().flat_map(of).collect()
}

/// Whether this actor may hand out a key of this owner with these scopes.
pub(super) async fn judge_minting(
    tx: &mut TenantTx<'_>,
    by: &Standing,
    owner: &User,
    scopes: &[Scope],
    gates: &[Gate],
) -> Result<(), OperateError> {
    by.must_mint_for(owner)?;
    if owner.disabled_at.is_some() {
        return Err(OperateError::Rule(format!(
            "`{}` is disabled; enable them before they get a key",
            owner.email
        )));
    }
    let closed = |gate: &&Gate| {
        !gate
            .roles
            .contains(&role_in(&gate.edition, owner.role, &owner.groups))
    };
    if let Some(Gate { scope, roles, .. }) = gates.iter().find(closed) {
        let role = owner.role.as_str();
        let said = format!("scope `{scope}` is not for the role {role} of {}", owner.email);
        // Whoever asks for themselves lacks the access; whoever asks for somebody else has named the wrong person.
        return Err(if by.is(&owner.id) && roles.contains(&Role::Admin) {
            OperateError::Forbidden(format!("admin access required: {said}"))
        } else {
            OperateError::Rule(said)
        });
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

pub(super) fn check(editions: &[Arc<Edition>], request: &MintRequest) -> Result<(), OperateError> {
    check_scopes(editions, &request.scopes)?;
    check_days(request.expires_in_days)?;
    check_limits(editions, &request.limits)
}

pub(super) fn check_scopes(editions: &[Arc<Edition>], scopes: &[Scope]) -> Result<(), OperateError> {
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

pub(super) fn check_days(days: Option<u32>) -> Result<(), OperateError> {
    if days.is_some_and(|days| !(1..=LONGEST_DAYS).contains(&days)) {
        return Err(OperateError::Invalid(format!(
            "expires_in_days: a key lives 1 to {LONGEST_DAYS} days"
        )));
    }
    Ok(())
}

pub(super) fn check_limits(editions: &[Arc<Edition>], limits: &KeyLimits) -> Result<(), OperateError> {
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
    let unknown = |name: &&String| {
        let one = std::slice::from_ref(*name);
        !editions.iter().any(|edition| edition.toolsets(one).is_ok())
    };
    if let Some(unknown) = limits.listing.toolsets.iter().find(unknown) {
        let unknown: String = unknown.chars().take(128).collect();
        return Err(OperateError::Invalid(format!(
            "toolsets: none of the key's editions has tools in a group `{unknown}`"
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

pub(super) async fn find_owner(
    tx: &mut TenantTx<'_>,
    by: &Standing,
    who: Option<&str>,
) -> Result<User, OperateError> {
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
