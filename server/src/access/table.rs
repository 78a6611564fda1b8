//! The keys of all tenants with the people who own them, as one immutable table in memory.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use futures_util::FutureExt;

use super::{
    groups::role_in,
    keyring::AuthError,
    principal::{CapOf, Credential, MonthlyCap, Principal, PrincipalFacts},
};
use crate::{
    catalogue::Edition,
    store::{Key, Store, StoreError, Tenant, TenantStatus, User},
    vocabulary::{EditionName, TenantId, Timestamp, UserId},
};

/// One key, with what decides over it.
pub(super) struct Entry {
    pub(super) key: Arc<Key>,
    owner: Option<Arc<User>>,
    active: bool,
    /// Calls a month that the tenant's keys share.
    tenant_cap: Option<u64>,
    /// One for each edition the key may enter, made at its first use, with the edition it was made for.
    principals: Vec<(EditionName, OnceLock<(u64, Principal)>)>,
}

impl Entry {
    /// Whether owner or tenant were not known when the entry was made: they may be as new as the key.
    pub(super) fn is_orphan(&self) -> bool {
        self.owner.is_none() || !self.active
    }

    /// The principal that the key stands for in this edition. `rate_per_minute` holds for keys that say nothing.
    pub(super) fn admit(
        &self,
        edition: &Edition,
        now: Timestamp,
        rate_per_minute: u32,
    ) -> Result<Principal, AuthError> {
        let key = &self.key;
        if key.revoked_at.is_some() {
            return Err(AuthError::Revoked);
        }
        if key.expires_at.is_some_and(|at| at <= now) {
            return Err(AuthError::Expired);
        }
        let owner = self
            .owner
            .as_ref()
            .filter(|user| self.active && user.disabled_at.is_none());
        let owner = owner.ok_or(AuthError::Suspended)?;
        let cell = self
            .principals
            .iter()
            .find(|(name, _)| *name == edition.name)
            .map(|(_, cell)| cell);
        let cell = cell.ok_or_else(|| AuthError::WrongEdition(edition.name.clone()))?;
        let made = || {
            (
                edition.serial,
                principal(key, owner, edition, rate_per_minute, self.tenant_cap),
            )
        };
        let (serial, known) = cell.get_or_init(made);
        // Around a reload one catalogue's edition may meet what was kept for the other's.
        Ok(if *serial == edition.serial {
            known.clone()
        } else {
            made().1
        })
    }
}

/// All keys as of one moment.
#[derive(Default)]
pub(super) struct Table {
    pub(super) by_hash: HashMap<[u8; 32], Arc<Entry>>,
    pub(super) version: i64,
    pub(super) people: People,
}

type PeopleMap = HashMap<(TenantId, UserId), Arc<User>>;

/// Users, and the tenants that are not suspended, with the calls a month that their keys share.
#[derive(Clone, Default)]
pub(super) struct People {
    users: Arc<PeopleMap>,
    active_tenants: Arc<HashMap<TenantId, Option<u64>>>,
}

impl People {
    /// Whether a key's tenant and owner are among them.
    pub(super) fn know(&self, key: &Key) -> bool {
        self.active_tenants.contains_key(&key.tenant)
            && self.users.contains_key(&(key.tenant.clone(), key.owner.clone()))
    }
}

impl Table {
    /// The same keys with everything else about them worked out anew.
    pub(super) fn with_people(&self, people: People) -> Self {
        let mut next = Self {
            by_hash: HashMap::with_capacity(self.by_hash.len()),
            version: self.version,
            people,
        };
        let keys = self.by_hash.values();
        next.add(keys.map(|entry| Arc::clone(&entry.key)).collect());
        next
    }

    /// Adds keys, or replaces what was known of them.
    pub(super) fn add(&mut self, keys: Vec<Arc<Key>>) {
        for key in keys {
            let owner = self
                .people
                .users
                .get(&(key.tenant.clone(), key.owner.clone()))
                .cloned();
            let tenant = self.people.active_tenants.get(&key.tenant);
            let (active, tenant_cap) = (tenant.is_some(), tenant.copied().flatten());
            let principals = key
                .editions
                .iter()
                .map(|name| (name.clone(), OnceLock::new()))
                .collect();
            self.by_hash.insert(
                key.hash,
                Arc::new(Entry {
                    key,
                    owner,
                    active,
                    tenant_cap,
                    principals,
                }),
            );
        }
    }
}

fn principal(
    key: &Key,
    owner: &User,
    edition: &Edition,
    rate_per_minute: u32,
    tenant_cap: Option<u64>,
) -> Principal {
    let cap = |calls: Option<u64>, of| calls.map(|calls| MonthlyCap { calls, of });
    let facts = PrincipalFacts {
        tenant: key.tenant.clone(),
        user: owner.id.clone(),
        email: owner.email.clone(),
        role: role_in(&edition.name, owner.role, &owner.groups),
        credential: Credential::ApiKey {
            id: key.id.clone(),
            shown_prefix: key.prefix.clone(),
        },
        edition: edition.name.clone(),
        scopes: key.scopes.clone(),
        read_only: key.limits.read_only,
        tools_allow: key.limits.tools_allow.clone(),
        tools_deny: key.limits.tools_deny.clone(),
        confirm: key.limits.confirm,
        names: key.limits.names,
        listing: key.limits.listing.clone(),
        rate_per_minute: key.limits.rate_per_minute.unwrap_or(rate_per_minute),
        rate_per_hour: key.limits.rate_per_hour,
        monthly_cap: cap(key.limits.monthly_cap, CapOf::Key).or_else(|| cap(tenant_cap, CapOf::Tenant)),
    };
    Principal::new(facts, edition)
}

/// Keys changed after `version`, and the version to go on from.
pub(super) async fn keys_since(store: &Store, version: i64) -> Result<(Vec<Arc<Key>>, i64), StoreError> {
    store
        .system_read(move |tx| async move { tx.keys().changed_since(version).await }.boxed())
        .await
}

/// Everybody who owns a key, or might.
pub(super) async fn load_people(store: &Store) -> Result<People, StoreError> {
    let (users, tenants): (Vec<(TenantId, User)>, Vec<Tenant>) = store
        .system_read(|tx| {
            async move {
                let users = tx.users().all().await?;
                Ok::<_, StoreError>((users, tx.tenants().list().await?))
            }
            .boxed()
        })
        .await?;
    let users = users
        .into_iter()
        .map(|(tenant, user)| ((tenant, user.id.clone()), Arc::new(user)))
        .collect();
    let active = tenants
        .into_iter()
        .filter(|t| t.status == TenantStatus::Active)
        // A cap below zero lets nothing pass.
        .map(|t| (t.id, t.monthly_cap.map(|cap| u64::try_from(cap).unwrap_or(0))))
        .collect();
    Ok(People {
        users: Arc::new(users),
        active_tenants: Arc::new(active),
    })
}
