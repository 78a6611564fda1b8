//! The guard: settings from the store become resources, tokens become principals.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use jsonwebtoken::{DecodingKey, Validation};
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::{
    fetch::Fetcher,
    issuer::Issuer,
    lane::Lane,
    limits::OAuthLimits,
    people::{Identity, principal, user_of},
    resource::Resource,
    signature,
    token::{Claims, Expected, TokenFault, Unverified, claimed_issuer},
    turns::Turns,
    verified::{Digest, Verified},
};
use crate::{
    access::{AuthError, Credential, Principal},
    catalogue::{Catalogue, Edition},
    store::{OAuthRow, Store, StoreError, Topic},
    vocabulary::{EditionName, Timestamp},
};

/// Of the unknown tokens of an address that sends too many that are forged, one in so many is looked at. The others
/// would take the time of everybody's calls; and whoever shares the address and comes with a good token, as behind a proxy,
/// is let in at one of the next tries. Tokens that were verified before are known without a check.
const SUSPECTS_PER_CHECK: u64 = 8;

/// What editions ask of access tokens, now.
pub struct OAuth {
    pub(super) store: Store,
    pub(super) limits: OAuthLimits,
    fetcher: Arc<Fetcher>,
    lane: Lane,
    turns: Turns,
    state: ArcSwap<State>,
    /// Counts tokens of suspects.
    suspects: AtomicU64,
    /// Grows with every change of users and tenants: principals made before are made anew.
    epoch: AtomicU64,
}

/// Where a token comes from.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The address.
    pub address: IpAddr,
    /// Whether it has sent so many bad credentials that most of what is new from there is not looked at.
    pub is_suspect: &'a (dyn Fn() -> bool + Send + Sync),
}

impl From<IpAddr> for Origin<'_> {
    /// Of an address that nothing is held against.
    fn from(address: IpAddr) -> Self {
        Self {
            address,
            is_suspect: &|| false,
        }
    }
}

/// A way in at which tokens are taken.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// What they must have been made for.
    pub resource: Arc<Resource>,
    /// The endpoint for keys, which takes no tokens but those of catalogue.md §4.6.
    pub legacy_only: bool,
}

impl Entrance {
    /// The resource, where challenges may name its metadata.
    pub fn advertised(&self) -> Option<&Resource> {
        (!self.legacy_only).then_some(&*self.resource)
    }
}

#[derive(Clone, Default)]
struct State {
    /// Scheme and authority that clients see.
    base: String,
    rows: Vec<OAuthRow>,
    editions: Vec<Arc<Edition>>,
    resources: Vec<Arc<Resource>>,
    /// Those of the console's sign-in, and those of the resources.
    issuers: Vec<Arc<Issuer>>,
}

impl OAuth {
    /// Loads the settings that are in force.
    ///
    /// # Errors
    /// When the store cannot be read, or the file of authorities.
    pub async fn load(
        store: Store,
        catalogue: &Catalogue,
        limits: OAuthLimits,
    ) -> Result<Arc<Self>, StoreError> {
        signature::install();
        let fetcher = Fetcher::new(&limits).map_err(|e| StoreError::Invalid {
            what: format!("access tokens, [oauth]: {e}"),
        })?;
        let guard = Self {
            lane: Lane::new(limits.checks(), limits.signature_queue),
            turns: Turns::default(),
            store,
            limits,
            fetcher: Arc::new(fetcher),
            state: ArcSwap::from_pointee(State {
                editions: catalogue.editions().to_vec(),
                ..State::default()
            }),
            suspects: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
        };
        guard.reload().await?;
        Ok(Arc::new(guard))
    }

    /// Says under which scheme and authority clients reach this server, e.g. `https://mcp.example.com`. Until then no
    /// edition takes tokens: their audience is not known.
    pub fn reached_at(&self, base: &str) {
        self.rebuild(|state| base.clone_into(&mut state.base));
    }

    /// Judges tokens by another catalogue from now on.
    pub fn adopt(&self, catalogue: &Catalogue) {
        self.rebuild(|state| state.editions = catalogue.editions().to_vec());
    }

    /// Reads the settings anew.
    ///
    /// # Errors
    /// When the store cannot be read; what was known stays.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let rows = self
            .store
            .system_read(|tx| async move { tx.oauth().enabled().await }.boxed())
            .await?;
        if self.state.load().rows != rows {
            self.rebuild(|state| state.rows.clone_from(&rows));
        }
        Ok(())
    }

    /// Resources whose settings did not change go on with the tokens they know; providers with their keys.
    fn rebuild(&self, change: impl Fn(&mut State)) {
        self.state.rcu(|old| {
            let mut next = State::clone(old);
            change(&mut next);
            next.resources = match next.base.is_empty() {
                // The audience of tokens is not known yet.
                true => Vec::new(),
                false => {
                    let rows = next.rows.clone();
                    rows.iter()
                        .filter_map(|row| self.resource(row, &mut next, old))
                        .collect()
                }
            };
            next
        });
    }

    fn resource(&self, row: &OAuthRow, next: &mut State, old: &State) -> Option<Arc<Resource>> {
        let edition = next.editions.iter().find(|edition| edition.name == row.edition)?;
        let same = |known: &&Arc<Resource>| old.base == next.base && known.is_of(row, edition);
        if let Some(same) = old.resources.iter().find(same) {
            return Some(Arc::clone(same));
        }
        let edition = Arc::clone(edition);
        let url = row.settings.issuer.as_deref().unwrap_or_default();
        let known = next.issuers.iter().find(|issuer| issuer.url == url).cloned();
        let issuer = match known {
            Some(known) => known,
            None => match Issuer::new(url, Arc::clone(&self.fetcher), self.limits.clone()) {
                Ok(made) => {
                    next.issuers.push(Arc::clone(&made));
                    made
                }
                Err(fault) => {
                    warn!(edition = %row.edition, "failed to use the issuer: {fault}");
                    return None;
                }
            },
        };
        let made = Resource::new(row.clone(), &edition, issuer, &next.base, &self.limits);
        Some(Arc::new(made))
    }

    /// The resource of an edition, if it takes tokens.
    pub fn find(&self, edition: &EditionName) -> Option<Arc<Resource>> {
        let state = self.state.load();
        state
            .resources
            .iter()
            .find(|one| one.edition() == edition)
            .cloned()
    }

    /// Every resource there is.
    pub fn resources(&self) -> Vec<Arc<Resource>> {
        self.state.load().resources.clone()
    }

    /// A provider by its address, known from before or not.
    pub(super) fn issuer(&self, url: &str) -> Result<Arc<Issuer>, AuthError> {
        let known = self.state.load();
        if let Some(known) = known.issuers.iter().find(|issuer| issuer.url == url) {
            return Ok(Arc::clone(known));
        }
        let made = Issuer::new(url, Arc::clone(&self.fetcher), self.limits.clone())
            .map_err(|_| AuthError::Token(TokenFault::Issuer))?;
        self.state.rcu(|old| {
            let mut next = State::clone(old);
            next.issuers.push(Arc::clone(&made));
            next
        });
        Ok(made)
    }

    /// The way into an edition at this path, where tokens are taken.
    pub fn entrance(&self, edition: &EditionName, path: &str) -> Option<Entrance> {
        let resource = self.find(edition)?;
        let legacy_only = resource.path() != path;
        (!legacy_only || resource.takes_legacy()).then_some(Entrance {
            resource,
            legacy_only,
        })
    }

    /// Finds out who presents this token. `None`: it is not a token of this resource's provider, so the key path is to
    /// judge it (catalogue.md §2.18, "dual accept").
    ///
    /// # Errors
    /// Why the token does not open the edition.
    pub async fn admit(
        &self,
        entrance: &Entrance,
        edition: &Edition,
        token: &str,
        origin: Origin<'_>,
        now: Timestamp,
    ) -> Result<Option<Principal>, AuthError> {
        let principal = self
            .find_out(&entrance.resource, edition, token, origin, now)
            .await?;
        let is_legacy = |principal: &Principal| principal.facts().credential == Credential::LegacyToken;
        match principal {
            Some(principal) if entrance.legacy_only && !is_legacy(&principal) => {
                Err(TokenFault::Audience.into())
            }
            principal => Ok(principal),
        }
    }

    async fn find_out(
        &self,
        resource: &Resource,
        edition: &Edition,
        token: &str,
        origin: Origin<'_>,
        now: Timestamp,
    ) -> Result<Option<Principal>, AuthError> {
        // A key has no dots: it does not pay for tokens.
        if !token.contains('.') {
            return Ok(None);
        }
        let digest: Digest = Sha256::digest(token).into();
        if let Some(known) = self.known(resource, edition, digest, now).await? {
            return Ok(Some(known));
        }
        // Before a byte of it is decoded: to read a token costs more than everything else about a refusal. One that was
        // verified some time ago is no stranger's.
        if !resource.verified.has_seen(&digest) && (origin.is_suspect)() && !self.is_chosen() {
            return Err(TokenFault::Unchecked.into());
        }
        if claimed_issuer(token).as_deref() != Some(resource.issuer_url()) {
            return Ok(None);
        }
        let epoch = self.epoch.load(Ordering::Acquire);
        let expected = Expected {
            issuer: resource.issuer_url(),
            audience: resource.uri(),
            now,
            skew_seconds: self.limits.skew_seconds(),
        };
        let verified = self.verify(&resource.issuer, expected, token, origin.address);
        let claims = Arc::new(verified.await?);
        let principal = self.principal(resource, edition, &claims).await?;
        let longest = i64::try_from(self.limits.verified_seconds)
            .unwrap_or(60)
            .min(3600);
        let until = now
            .plus_millis(longest * 1000)
            .min(Timestamp(claims.expires_at.saturating_mul(1000)));
        resource.verified.add(
            digest,
            Verified {
                claims,
                principal: principal.clone(),
                epoch,
                serial: edition.serial,
                until,
            },
        );
        Ok(Some(principal))
    }

    /// Who a token is that was verified a moment ago.
    async fn known(
        &self,
        resource: &Resource,
        edition: &Edition,
        digest: Digest,
        now: Timestamp,
    ) -> Result<Option<Principal>, AuthError> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let Some(known) = resource.verified.find(&digest, now) else {
            return Ok(None);
        };
        if known.epoch == epoch && known.serial == edition.serial {
            return Ok(Some(known.principal));
        }
        let principal = self.principal(resource, edition, &known.claims).await?;
        let fresh = Verified {
            principal: principal.clone(),
            epoch,
            serial: edition.serial,
            ..known
        };
        resource.verified.add(digest, fresh);
        Ok(Some(principal))
    }

    async fn principal(
        &self,
        resource: &Resource,
        edition: &Edition,
        claims: &Claims,
    ) -> Result<Principal, AuthError> {
        let who = Identity::of(claims, resource.groups_claim());
        let (user, cap) = user_of(&self.store, resource.tenant(), &who).await?;
        Ok(principal(
            resource,
            edition,
            &user,
            claims,
            self.limits.requests_per_minute,
            cap,
        ))
    }

    /// Whether the next token of a suspect is looked at.
    fn is_chosen(&self) -> bool {
        let before = self.suspects.fetch_add(1, Ordering::Relaxed);
        before.is_multiple_of(SUSPECTS_PER_CHECK)
    }

    /// Believes a token or does not: first what costs nothing, then the key, then the signature.
    pub(super) async fn verify(
        &self,
        issuer: &Arc<Issuer>,
        expected: Expected<'_>,
        token: &str,
        address: IpAddr,
    ) -> Result<Claims, AuthError> {
        let read = Unverified::read(token)?;
        read.claims.check(expected)?;
        let keys = issuer
            .candidates(read.key_id.as_deref(), read.algorithm, Instant::now())
            .await?;
        if keys.is_empty() {
            return Err(TokenFault::UnknownKey.into());
        }
        // The library checks once more what it can: algorithm, key family, critical headers, issuer, audience. Times
        // were checked with our own clock.
        let mut rules = Validation::new(read.algorithm);
        rules.set_issuer(&[expected.issuer]);
        rules.set_audience(&[expected.audience]);
        rules.required_spec_claims = ["iss", "aud"].map(str::to_owned).into();
        rules.validate_exp = false;
        // A turn lasts as long as a check and no longer: whoever waits in line must not wait for a provider or a store.
        let _turn = self.turns.of(Sha256::digest(token).into()).await;
        let text = token.to_owned();
        let fits = move || keys.iter().any(|key| is_signed(&text, key, &rules));
        match self.lane.run(address, fits).await {
            Ok(true) => Ok(read.claims),
            Ok(false) => Err(TokenFault::Signature.into()),
            Err(_) => Err(AuthError::Busy),
        }
    }

    /// Follows the store's notices until the store is closed.
    pub async fn follow(self: Arc<Self>) {
        let topics = [Topic::Settings, Topic::Users, Topic::Tenants];
        let mut changes = self.store.listen_since_opened(&topics);
        while let Some(topic) = changes.next().await {
            if topic != Topic::Settings {
                self.epoch.fetch_add(1, Ordering::AcqRel);
            } else if let Err(error) = self.reload().await {
                warn!(error = %error, "OAuth settings not refreshed");
            }
        }
    }
}

fn is_signed(token: &str, key: &DecodingKey, rules: &Validation) -> bool {
    jsonwebtoken::decode::<IgnoredAny>(token, key, rules).is_ok()
}
