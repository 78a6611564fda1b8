//! From a credential to a [`Principal`]: the keys of all tenants, held in memory behind an atomic pointer.
//!
//! A lookup is one SHA-256 and one hash-map probe (design.md D22). Changes made by any process or replica arrive
//! through the store's notices and are applied here well within the second that revocation may take.

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tracing::warn;

use super::{
    api_key::{ApiKey, Fault},
    oauth::{ProviderFault, TokenFault},
    principal::{Credential, Principal, local_principal},
    table::{Entry, Table, keys_since, load_people},
};
use crate::{
    catalogue::{Catalogue, Edition},
    store::{Key, Store, StoreError, Topic},
    vocabulary::{EditionName, KeyId, TenantId, Timestamp, UserId},
};

/// Why a credential does not open the door. The texts are those of catalogue.md §2.10.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// None was presented.
    #[error("missing access token")]
    Missing,
    /// It is no key of this server; the reason is one that its text alone shows.
    #[error("key not recognised{}", .0.map(|f| format!(": {f}")).unwrap_or_default())]
    NotRecognised(Option<Fault>),
    /// Its owner revoked it.
    #[error("key revoked")]
    Revoked,
    /// Its time is over.
    #[error("key expired")]
    Expired,
    /// It is good, but not for this edition.
    #[error("this key may not enter the edition `{0}`")]
    WrongEdition(EditionName),
    /// It is good, and the endpoint is another tenant's.
    #[error("key belongs to another tenant")]
    OtherTenant,
    /// It is good, and none of the editions it may enter is served here.
    #[error("this key may enter no edition that is served here")]
    NoEdition,
    /// The tenant or the key's owner was suspended.
    #[error("this account is suspended")]
    Suspended,
    /// It is a token of the right provider, and not good. One text for every reason (protocol.md A-14).
    #[error(
        "the access token is not valid here: it has expired, or was made for something else; sign in again"
    )]
    Token(#[from] TokenFault),
    /// A person's first token came without an address.
    #[error(
        "your access token carries no verified e-mail address; ask the people who run your identity provider to \
         release `email` in access tokens"
    )]
    NoEmail,
    /// A person's first token came with an address that is somebody's already.
    #[error(
        "an account with the address {0} exists here and is not linked to this sign-in; ask an admin to run \
         `footbridge-server admin mcp auth link`"
    )]
    EmailTaken(String),
    /// The provider's keys are not at hand.
    #[error("access tokens cannot be checked right now: {0}")]
    Provider(#[from] ProviderFault),
    /// Too many tokens wait for a check.
    #[error("too many access tokens are being checked right now")]
    Busy,
    /// The store that knows the key cannot be asked.
    #[error("keys cannot be checked right now")]
    Unavailable(#[from] StoreError),
}

impl AuthError {
    /// Whether it counts against the address it came from: guesses do, a known key that is out of date does not.
    pub fn counts_as_failure(&self) -> bool {
        match self {
            Self::NotRecognised(_) => true,
            Self::Token(fault) => fault.is_suspicious(),
            _ => false,
        }
    }
}

/// Who may come in.
pub struct Keyring {
    door: Door,
    prefixes: ArcSwap<Vec<String>>,
    rate_per_minute: u32,
    used: Mutex<HashMap<KeyId, Use>>,
    /// Held while people are read and put in place, so that what was read later stands.
    reloading: tokio::sync::Mutex<()>,
}

/// How soon what could not be read is tried again: well within the second in which a revocation must act.
const RETRY: Duration = Duration::from_millis(200);

struct Use {
    tenant: TenantId,
    at: Timestamp,
    client: Option<String>,
    calls: u32,
}

enum Door {
    Keys {
        store: Store,
        table: ArcSwap<Table>,
    },
    /// Everybody is the same local principal. Test fixtures only.
    Open(TenantId, UserId),
}

impl Keyring {
    /// Requests a minute of a key that says nothing itself.
    pub fn usual_rate(&self) -> u32 {
        self.rate_per_minute
    }

    /// Loads all keys. `rate_per_minute` holds for keys that say nothing themselves.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(
        store: Store,
        catalogue: &Catalogue,
        rate_per_minute: u32,
    ) -> Result<Arc<Self>, StoreError> {
        let people = load_people(&store).await?;
        let (keys, version) = keys_since(&store, 0).await?;
        let mut table = Table {
            version,
            people,
            by_hash: HashMap::with_capacity(keys.len()),
        };
        table.add(keys);
        Ok(Arc::new(Self {
            door: Door::Keys {
                store,
                table: ArcSwap::from_pointee(table),
            },
            prefixes: ArcSwap::from_pointee(prefixes_of(catalogue)),
            rate_per_minute,
            used: Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
        }))
    }

    /// A keyring that asks nobody for anything. For test fixtures: no configuration leads here.
    pub fn without_credentials(tenant: TenantId, user: UserId, rate_per_minute: u32) -> Arc<Self> {
        Arc::new(Self {
            door: Door::Open(tenant, user),
            prefixes: ArcSwap::default(),
            rate_per_minute,
            used: Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
        })
    }

    /// Finds out who presents this credential at this edition.
    ///
    /// # Errors
    /// Why it does not open the edition.
    pub async fn authenticate(
        &self,
        credential: Option<&str>,
        edition: &Edition,
        now: Timestamp,
    ) -> Result<Principal, AuthError> {
        if let Door::Open(tenant, user) = &self.door {
            let (tenant, user) = (tenant.clone(), user.clone());
            return Ok(local_principal(edition, tenant, user, self.rate_per_minute));
        }
        let entry = self.find(credential).await?;
        entry.admit(edition, now, self.rate_per_minute)
    }

    /// Finds out who presents this key, whatever the edition: as whom they enter each of `editions`, and the key's row.
    /// There is one edition at least.
    ///
    /// # Errors
    /// Why it opens none of them.
    pub async fn recognise(
        &self,
        credential: Option<&str>,
        editions: &[Arc<Edition>],
        now: Timestamp,
    ) -> Result<(Key, Vec<Principal>), AuthError> {
        let entry = self.find(credential).await?;
        let mut entered = Vec::new();
        for edition in editions {
            match entry.admit(edition, now, self.rate_per_minute) {
                Ok(principal) => entered.push(principal),
                Err(AuthError::WrongEdition(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if entered.is_empty() {
            return Err(AuthError::NoEdition);
        }
        Ok((Key::clone(&entry.key), entered))
    }

    /// The key of a credential, good or not any more.
    async fn find(&self, credential: Option<&str>) -> Result<Arc<Entry>, AuthError> {
        let Door::Keys { store, table } = &self.door else {
            return Err(AuthError::NotRecognised(None));
        };
        let prefixes = self.prefixes.load();
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        let key = ApiKey::parse(credential.ok_or(AuthError::Missing)?, &prefixes)
            .map_err(|fault| AuthError::NotRecognised((fault != Fault::Prefix).then_some(fault)))?;
        let hash = key.hash();
        let known = table.load().by_hash.get(&hash).cloned();
        let entry = match known {
            Some(entry) => entry,
            None => Box::pin(self.find_new(store, table, hash)).await?,
        };
        Ok(entry)
    }

    /// Minted a moment ago by another process, perhaps: the store is asked before the answer is no.
    async fn find_new(
        &self,
        store: &Store,
        table: &ArcSwap<Table>,
        hash: [u8; 32],
    ) -> Result<Arc<Entry>, AuthError> {
        let found = store
            .system_read(move |tx| async move { tx.keys().find_by_hash(&hash).await }.boxed())
            .await
            .map_err(AuthError::Unavailable)?;
        if found.is_none() {
            return Err(AuthError::NotRecognised(None));
        }
        let known = || table.load().by_hash.get(&hash).cloned();
        self.refresh().await.map_err(AuthError::Unavailable)?;
        if known().is_some_and(|entry| entry.is_orphan()) {
            // Its owner or tenant may be as new as the key.
            self.reload_people().await.map_err(AuthError::Unavailable)?;
        }
        known().ok_or(AuthError::NotRecognised(None))
    }

    /// Notes that a key was used, for people who look for unused ones. Written now and then, not with each call.
    pub fn note_use(&self, principal: &Principal, client: Option<&str>, now: Timestamp) {
        self.note(principal, client, now, 0);
    }

    /// Notes that a tool was called with a key. What lists show of it is as old as the last writing; caps, which must
    /// be exact, are counted elsewhere.
    pub fn note_call(&self, principal: &Principal, client: Option<&str>, now: Timestamp) {
        self.note(principal, client, now, 1);
    }

    fn note(&self, principal: &Principal, client: Option<&str>, now: Timestamp, calls: u32) {
        let Credential::ApiKey { id, .. } = &principal.facts().credential else {
            return;
        };
        let mut used = self.used.lock();
        match used.get_mut(id) {
            Some(entry) => {
                entry.at = now;
                entry.calls = entry.calls.saturating_add(calls);
                if let Some(client) = client
                    && entry.client.as_deref() != Some(client)
                {
                    entry.client = Some(client.to_owned());
                }
            }
            None => {
                let entry = Use {
                    tenant: principal.tenant().clone(),
                    at: now,
                    client: client.map(str::to_owned),
                    calls,
                };
                used.insert(id.clone(), entry);
            }
        }
    }

    /// Applies what changed since the last look.
    ///
    /// # Errors
    /// When the store cannot be read; the keys known so far stay.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let Door::Keys { store, table } = &self.door else {
            return Ok(());
        };
        let seen = table.load().version;
        let (keys, version) = keys_since(store, seen).await?;
        if version == seen {
            return Ok(());
        }
        // Who was added together with a key may be heard of after it.
        if keys.iter().any(|key| !table.load().people.know(key)) {
            self.reload_people().await?;
        }
        // Two refreshes may race: each starts from the newest table, and adding a key twice changes nothing.
        table.rcu(|old| {
            let mut next = Table {
                by_hash: old.by_hash.clone(),
                version: version.max(old.version),
                people: old.people.clone(),
            };
            next.add(keys.clone());
            next
        });
        Ok(())
    }

    /// Judges keys by another catalogue from now on.
    pub fn adopt(&self, catalogue: &Catalogue) {
        self.prefixes.store(Arc::new(prefixes_of(catalogue)));
        if let Door::Keys { table, .. } = &self.door {
            table.rcu(|old| old.with_people(old.people.clone()));
        }
    }

    async fn reload_people(&self) -> Result<(), StoreError> {
        let Door::Keys { store, table } = &self.door else {
            return Ok(());
        };
        let _reloading = self.reloading.lock().await;
        let people = load_people(store).await?;
        table.rcu(|old| old.with_people(people.clone()));
        Ok(())
    }

    /// Follows the store's notices until the store is closed, and writes down uses.
    pub async fn follow(self: Arc<Self>) {
        let Door::Keys { store, .. } = &self.door else {
            return;
        };
        let mut changes = store.listen_since_opened(&[Topic::Keys, Topic::Users, Topic::Tenants]);
        // Often enough for a list to look alive, seldom enough not to be a load.
        let mut uses = tokio::time::interval(Duration::from_secs(30));
        // Invariant: a change that was heard of stays due until it was read. A store that is away for a moment must
        // not leave a revoked key alive.
        let (mut keys_due, mut people_due) = (false, false);
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(Topic::Keys) => keys_due = true,
                    Some(_) => people_due = true,
                    None => return,
                },
                () = tokio::time::sleep(RETRY), if keys_due || people_due => {}
                _ = uses.tick() => if let Err(error) = self.write_uses(store).await {
                    warn!(error = %error, "last uses of keys not written");
                },
            }
            if keys_due {
                keys_due = still_due(&self.refresh().await);
            }
            if people_due {
                people_due = still_due(&self.reload_people().await);
            }
        }
    }

    /// Writes down how keys were used since the last time. Called before a server stops.
    ///
    /// # Errors
    /// When the store refuses; what was not written is kept for the next time.
    pub async fn write_down(&self) -> Result<(), StoreError> {
        let Door::Keys { store, .. } = &self.door else {
            return Ok(());
        };
        self.write_uses(store).await
    }

    async fn write_uses(&self, store: &Store) -> Result<(), StoreError> {
        let used = mem::take(&mut *self.used.lock());
        let mut written = Ok(());
        for (id, entry) in used {
            if written.is_ok() {
                written = write_use(store, id.clone(), &entry).await;
            }
            if written.is_err() {
                self.keep(id, entry);
            }
        }
        written
    }

    /// Puts back what could not be written; newer uses win.
    fn keep(&self, id: KeyId, entry: Use) {
        let mut used = self.used.lock();
        match used.get_mut(&id) {
            Some(newer) => newer.calls = newer.calls.saturating_add(entry.calls),
            None => drop(used.insert(id, entry)),
        }
    }
}

async fn write_use(store: &Store, id: KeyId, entry: &Use) -> Result<(), StoreError> {
    let (at, client, calls) = (entry.at, entry.client.clone(), i64::from(entry.calls));
    let work = store.write(&entry.tenant, move |tx| {
        async move {
            tx.keys().touch(&id, at, client.as_deref()).await?;
            if calls > 0 {
                tx.keys().count_calls(&id, &at.month(), calls).await?;
            }
            Ok(())
        }
        .boxed()
    });
    work.await
}

/// Whether something must be read again, because this time it could not be.
fn still_due(read: &Result<(), StoreError>) -> bool {
    if let Err(error) = read {
        warn!(error = %error, "keys and people not refreshed, trying again");
    }
    read.is_err()
}

fn prefixes_of(catalogue: &Catalogue) -> Vec<String> {
    let editions = catalogue.editions().iter();
    editions.map(|edition| edition.key_prefix.clone()).collect()
}
