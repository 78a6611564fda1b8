//! One provider: its discovery document and its keys, fetched when needed and kept.
//!
//! A key's name comes in; keys to check with go out. However many ask, one fetch is under way at a time; a stranger's
//! made-up key name causes at most one a minute; keys that are known go on while the provider is away (security.md K7).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::SecretString;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, Semaphore};
use tracing::{info, warn};

use super::{
    fetch::{FetchFault, Fetcher, host_of},
    key_set::KeySet,
    limits::OAuthLimits,
};

/// Requests that may wait for a fetch. The others are told to come back: they would fill the server meanwhile.
const MOST_WAITING: usize = 64;
/// Time between two attempts while the provider fails.
const RETRY: Duration = Duration::from_secs(5);

/// Why a provider's keys are not at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFault {
    /// It was asked and gave nothing usable; the log has the reason.
    #[error("the identity provider cannot be reached")]
    Away,
    /// Too many wait for its answer already.
    #[error("the identity provider is slow to answer")]
    Slow,
}

/// A provider.
pub(super) struct Issuer {
    pub(super) url: String,
    host: String,
    fetcher: Arc<Fetcher>,
    limits: OAuthLimits,
    known: ArcSwapOption<Known>,
    flight: Mutex<Flight>,
    waiting: Semaphore,
    refreshing: AtomicBool,
}

/// What it published.
pub(super) struct Known {
    pub(super) keys: KeySet,
    /// Its discovery document.
    pub(super) metadata: Map<String, Value>,
    at: Instant,
}

#[derive(Default)]
struct Flight {
    failed_at: Option<Instant>,
    /// When a made-up key name last caused a fetch.
    asked_at: Option<Instant>,
}

impl Issuer {
    pub(super) fn new(
        url: &str,
        fetcher: Arc<Fetcher>,
        limits: OAuthLimits,
    ) -> Result<Arc<Self>, FetchFault> {
        Ok(Arc::new(Self {
            host: host_of(url)?,
            url: url.to_owned(),
            fetcher,
            limits,
            known: ArcSwapOption::empty(),
            flight: Mutex::default(),
            waiting: Semaphore::new(MOST_WAITING),
            refreshing: AtomicBool::new(false),
        }))
    }

    /// Sends a form to one of the provider's endpoints, and gives its answer. `client` is who we are, with the secret.
    pub(super) async fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        client: Option<(&str, &SecretString)>,
    ) -> Result<Vec<u8>, FetchFault> {
        self.fetcher.post_form(url, &self.host, form, client).await
    }

    /// Gets one of the provider's documents that is for whoever holds this token.
    pub(super) async fn get_with(&self, url: &str, token: &SecretString) -> Result<Vec<u8>, FetchFault> {
        self.fetcher.get_with(url, &self.host, token).await
    }

    /// The keys that a token may be signed with; none, when the provider has no such key.
    pub(super) async fn candidates(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: Algorithm,
        now: Instant,
    ) -> Result<Vec<DecodingKey>, ProviderFault> {
        let known = self.known(now).await?;
        if known.keys.knows(id) {
            return Ok(known.keys.candidates(id, algorithm));
        }
        self.fetch(Some(known.at), now).await?;
        let known = self.known.load_full();
        Ok(known.map_or_else(Vec::new, |known| known.keys.candidates(id, algorithm)))
    }

    /// What the provider published, at most a day ago. Fetched when nothing is known; refreshed behind the caller's
    /// back when it is no longer fresh.
    pub(super) async fn known(self: &Arc<Self>, now: Instant) -> Result<Arc<Known>, ProviderFault> {
        if let Some(known) = self.known.load_full() {
            let age = now.saturating_duration_since(known.at);
            if age < self.limits.stale() {
                if age >= self.limits.fresh() {
                    self.refresh(known.at, now);
                }
                return Ok(known);
            }
        }
        self.fetch(None, now).await?;
        self.known.load_full().ok_or(ProviderFault::Away)
    }

    fn refresh(self: &Arc<Self>, seen: Instant, now: Instant) {
        if self.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let issuer = Arc::clone(self);
        tokio::spawn(async move {
            let mut flight = issuer.flight.lock().await;
            let newer = issuer.known.load_full().is_some_and(|known| known.at > seen);
            let failed = flight
                .failed_at
                .is_some_and(|at| now.saturating_duration_since(at) < RETRY);
            if !newer && !failed {
                // Whoever asks goes on with the keys that are known.
                let _ = issuer.fetch_now(&mut flight, now).await;
            }
            drop(flight);
            issuer.refreshing.store(false, Ordering::Release);
        });
    }

    /// Fetches, unless somebody did while we waited. `seen`: the age of what does not suffice; `None`: nothing does.
    async fn fetch(&self, seen: Option<Instant>, now: Instant) -> Result<(), ProviderFault> {
        let _place = self.waiting.try_acquire().map_err(|_| ProviderFault::Slow)?;
        let mut flight = self.flight.lock().await;
        if let Some(known) = self.known.load_full() {
            let suffices = match seen {
                Some(seen) => known.at > seen,
                None => now.saturating_duration_since(known.at) < self.limits.stale(),
            };
            if suffices {
                return Ok(());
            }
        }
        if seen.is_some() {
            let recently = |at| now.saturating_duration_since(at) < self.limits.refetch();
            if flight.asked_at.is_some_and(recently) {
                return Ok(());
            }
            flight.asked_at = Some(now);
        } else if flight
            .failed_at
            .is_some_and(|at| now.saturating_duration_since(at) < RETRY)
        {
            return Err(ProviderFault::Away);
        }
        match self.fetch_now(&mut flight, now).await {
            // What is known goes on.
            Err(_) if seen.is_some() => Ok(()),
            result => result,
        }
    }

    async fn fetch_now(&self, flight: &mut Flight, now: Instant) -> Result<(), ProviderFault> {
        match self.documents().await {
            Ok((keys, metadata)) => {
                flight.failed_at = None;
                info!(issuer = %self.url, keys = keys.len(), "fetched the provider's keys");
                self.known.store(Some(Arc::new(Known {
                    keys,
                    metadata,
                    at: now,
                })));
                Ok(())
            }
            Err(fault) => {
                flight.failed_at = Some(now);
                warn!(issuer = %self.url, "failed to fetch the provider's keys: {fault}");
                Err(ProviderFault::Away)
            }
        }
    }

    async fn documents(&self) -> Result<(KeySet, Map<String, Value>), FetchFault> {
        let metadata = self.discover().await?;
        // Byte for byte (RFC 8414 §3.3): else one provider could speak for another.
        if metadata.get("issuer").and_then(Value::as_str) != Some(&self.url) {
            return Err(FetchFault::Document(
                "the discovery document names another issuer",
            ));
        }
        let keys = metadata
            .get("jwks_uri")
            .and_then(Value::as_str)
            .ok_or_else(|| FetchFault::Document("the discovery document names no jwks_uri"))?;
        let keys = self.fetcher.get(keys, &self.host).await?;
        let keys = KeySet::read(&keys)
            .filter(|keys| keys.len() > 0)
            .ok_or_else(|| FetchFault::Document("the key set holds no usable key"))?;
        Ok((keys, metadata))
    }

    /// OpenID Connect's place, then that of RFC 8414.
    async fn discover(&self) -> Result<Map<String, Value>, FetchFault> {
        let base = self.url.trim_end_matches('/');
        let first = format!("{base}/.well-known/openid-configuration");
        let text = match self.fetcher.get(&first, &self.host).await {
            Err(FetchFault::Status(status)) if status == http::StatusCode::NOT_FOUND => {
                let second = well_known(base, "oauth-authorization-server");
                self.fetcher.get(&second, &self.host).await?
            }
            result => result?,
        };
        serde_json::from_slice(&text)
            .map_err(|_| FetchFault::Document("the discovery document is no JSON object"))
    }
}

/// The address of a well-known document: its name stands between host and path (RFC 8615, RFC 8414 §3.1).
pub(super) fn well_known(url: &str, name: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let split = url
        .get(start..)
        .and_then(|rest| rest.find('/'))
        .map_or(url.len(), |at| start + at);
    let (origin, path) = url.split_at_checked(split).unwrap_or((url, ""));
    format!("{origin}/.well-known/{name}{}", path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests;
