//! Who the subject of a verified token is here, and what they may do.
//!
//! A person is known by issuer and subject, never by address (security.md K8). The first token makes the user; later
//! ones refresh name and groups.

use std::borrow::Cow;

use futures_util::FutureExt;

use super::{resource::Resource, token::Claims};
use crate::{
    access::{AuthError, CapOf, Credential, MonthlyCap, Principal, PrincipalFacts},
    catalogue::Edition,
    store::{
        AuditRecord, AuditStatus, KeyConfirm, NewUser, ScopeKind, Store, StoreError, Tenant, TenantStatus,
        TenantTx, User,
    },
    vocabulary::{Listing, NameStyle, Role, Scope, TenantId, ToolName, UserId, new_id},
};

/// Longest name in characters.
const LONGEST_NAME: usize = 200;
/// Groups of one person that are looked at, and the longest name of one.
const MOST_GROUPS: usize = 200;
const LONGEST_GROUP: usize = 200;

/// A person as their provider describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// Who they are there.
    pub subject: String,
    /// Their address, unless the provider says that nobody checked it.
    pub email: Option<String>,
    /// Their name.
    pub name: Option<String>,
    /// Their groups; `None` when the provider does not say.
    pub groups: Option<Vec<String>>,
}

impl Identity {
    pub(super) fn of(claims: &Claims, groups_claim: &str) -> Self {
        let unchecked = claims
            .all
            .get("email_verified")
            .is_some_and(|v| *v == serde_json::Value::Bool(false));
        let email = claims
            .label("email", 201)
            .filter(|email| is_address(email) && !unchecked);
        let groups = claims.all.contains_key(groups_claim).then(|| {
            let named = claims.list(groups_claim).into_iter().take(MOST_GROUPS);
            named
                .filter(|group| group.len() <= LONGEST_GROUP && !group.chars().any(char::is_control))
                .collect()
        });
        Self {
            issuer: claims.issuer.clone(),
            subject: claims.subject.clone(),
            email,
            name: claims.label("name", LONGEST_NAME),
            groups,
        }
    }
}

fn is_address(text: &str) -> bool {
    text.len() <= 200
        && !text.contains(char::is_whitespace)
        && text
            .split_once('@')
            .is_some_and(|(left, right)| !left.is_empty() && !right.is_empty())
}

/// The user that an identity is in a tenant, found or made at first sight, and the calls a month that the tenant's
/// people share.
pub(super) async fn user_of(
    store: &Store,
    tenant: &TenantId,
    who: &Identity,
) -> Result<(User, Option<i64>), AuthError> {
    let (found, known) = find(store, tenant, who).await?;
    let active = known.filter(|tenant| tenant.status == TenantStatus::Active);
    let cap = active.ok_or(AuthError::Suspended)?.monthly_cap;
    let user = match found {
        Some(user) => user,
        None => match first_sight(store, tenant, who).await {
            // Somebody else's first call was quicker.
            Err(AuthError::Unavailable(StoreError::Conflict { .. })) => {
                find(store, tenant, who).await?.0.ok_or(AuthError::Suspended)?
            }
            result => result?,
        },
    };
    if user.disabled_at.is_some() {
        return Err(AuthError::Suspended);
    }
    Ok((refresh(store, tenant, user, who).await?, cap))
}

async fn find(
    store: &Store,
    tenant: &TenantId,
    who: &Identity,
) -> Result<(Option<User>, Option<Tenant>), AuthError> {
    let (tenant, who) = (tenant.clone(), who.clone());
    store
        .system_read(move |tx| {
            async move {
                let known = tx.tenants().find(&tenant).await?;
                let mut tx = tx.within(&tenant);
                let user = match tx.oauth().user_of(&who.issuer, &who.subject).await? {
                    Some(id) => tx.users().find(&id).await?,
                    None => None,
                };
                Ok::<_, StoreError>((user, known))
            }
            .boxed()
        })
        .await
        .map_err(AuthError::Unavailable)
}

async fn first_sight(store: &Store, tenant: &TenantId, who: &Identity) -> Result<User, AuthError> {
    let email = who.email.clone().ok_or(AuthError::NoEmail)?;
    let who = who.clone();
    store
        .write(tenant, move |tx| {
            async move {
                let found = tx.oauth().user_of(&who.issuer, &who.subject).await?;
                if let Some(id) = found {
                    return tx.users().find(&id).await?.ok_or(AuthError::Suspended);
                }
                if tx.users().find_by_email(&email).await?.is_some() {
                    return Err(AuthError::EmailTaken(email));
                }
                let id = new_id("usr", tx.now());
                let new = NewUser {
                    id: UserId::new(&id).map_err(|e| StoreError::Row(e.to_string()))?,
                    name: who.name.clone().unwrap_or_else(|| email.clone()),
                    email,
                    role: Role::Member,
                    groups: who.groups.clone().unwrap_or_default(),
                    password_hash: None,
                };
                let user = tx.users().insert(&new).await?;
                tx.oauth().link(&who.issuer, &who.subject, &user.id).await?;
                note(tx, "user.add", &user.id)?;
                Ok(user)
            }
            .boxed()
        })
        .await
}

/// Takes over name and groups. The role stays: an admin is none the less one for a token without the group.
async fn refresh(
    store: &Store,
    tenant: &TenantId,
    mut user: User,
    who: &Identity,
) -> Result<User, AuthError> {
    let name = who.name.clone().filter(|name| *name != user.name);
    let groups = who.groups.clone().filter(|groups| *groups != user.groups);
    if name.is_none() && groups.is_none() {
        return Ok(user);
    }
    let (id, new_name, new_groups) = (user.id.clone(), name.clone(), groups.clone());
    store
        .write(tenant, move |tx| {
            async move {
                if let Some(name) = new_name {
                    tx.users().set_name(&id, &name).await?;
                }
                if let Some(groups) = new_groups {
                    tx.users().set_groups(&id, &groups).await?;
                }
                note(tx, "user.refresh", &id)
            }
            .boxed()
        })
        .await
        .map_err(AuthError::Unavailable)?;
    user.name = name.unwrap_or(user.name);
    user.groups = groups.unwrap_or(user.groups);
    Ok(user)
}

fn note(tx: &mut TenantTx<'_>, what: &str, user: &UserId) -> Result<(), StoreError> {
    let mut record = AuditRecord::new(tx.now(), AuditStatus::Allow, ScopeKind::Jwt);
    record.tool_name = ToolName::new(what).ok();
    record.kind = Some(Cow::Borrowed("sign-in"));
    record.user_id = Some(user.clone());
    record.record_ids = vec![user.to_string()];
    tx.audit(record)
}

/// The principal that a token stands for.
pub(super) fn principal(
    resource: &Resource,
    edition: &Edition,
    user: &User,
    claims: &Claims,
    rate_per_minute: u32,
    tenant_cap: Option<i64>,
) -> Principal {
    let settings = &resource.row.settings;
    let groups = claims.list(resource.groups_claim());
    let is_admin = resource
        .admin_group()
        .is_some_and(|group| groups.iter().any(|g| g == group));
    let role = if is_admin && !user.role.is_admin() {
        Role::Admin
    } else {
        user.role
    };
    let named: Option<Vec<Scope>> = claims.scopes().map(|words| {
        words
            .iter()
            .filter_map(|word| edition_scope(edition, word))
            .collect()
    });
    let legacy = settings.legacy_jwt && settings.scope_map.is_empty() && named.is_none();
    let (scopes, credential) = if legacy {
        let all = edition
            .scopes
            .titles()
            .filter_map(|(scope, _)| Scope::new(scope).ok());
        (all.collect(), Credential::LegacyToken)
    } else if settings.scope_map.is_empty() {
        (named.unwrap_or_default(), Credential::Token { reachable: None })
    } else {
        let reachable: Vec<Scope> = groups
            .iter()
            .filter_map(|group| settings.scope_map.get(group))
            .flatten()
            .cloned()
            .collect();
        let narrowed = named.filter(|named| !named.is_empty());
        let held = match narrowed {
            // The client was given less than the person may have.
            Some(named) => named
                .into_iter()
                .filter(|scope| edition.scopes.satisfies(&reachable, scope))
                .collect(),
            None => reachable.clone(),
        };
        let reachable = Some(reachable);
        (held, Credential::Token { reachable })
    };
    let facts = PrincipalFacts {
        tenant: resource.row.tenant.clone(),
        user: user.id.clone(),
        email: user.email.clone(),
        role,
        credential,
        edition: edition.name.clone(),
        scopes,
        read_only: role == Role::Auditor,
        tools_allow: Vec::new(),
        tools_deny: Vec::new(),
        confirm: KeyConfirm::default(),
        names: NameStyle::Auto,
        listing: Listing::default(),
        rate_per_minute,
        rate_per_hour: None,
        monthly_cap: tenant_cap
            .and_then(|calls| u64::try_from(calls).ok())
            .map(|calls| MonthlyCap {
                calls,
                of: CapOf::Tenant,
            }),
    };
    Principal::new(facts, edition)
}

/// A scope of this edition. `*` is for keys of operators alone (catalogue.md §2.3).
fn edition_scope(edition: &Edition, word: &str) -> Option<Scope> {
    let scope = Scope::new(word).ok()?;
    (word != "*" && edition.scopes.knows(&scope)).then_some(scope)
}
