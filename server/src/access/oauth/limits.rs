//! Sizes and times of OAuth, with their defaults and reasons.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

/// `[oauth]` of the configuration. What an edition asks of tokens stands in the store: see
/// `footbridge-server admin mcp auth`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OAuthLimits {
    /// Requests a minute of one person who comes with a token (catalogue.md §2.11).
    pub requests_per_minute: u32,
    /// Seconds that our clock and the provider's may differ. More than 60 count as 60 (protocol.md A-12): an expired
    /// token must not live on.
    pub clock_skew_seconds: u64,
    /// Seconds after which the provider's documents are fetched anew (catalogue.md §2.18).
    pub keys_fresh_seconds: u64,
    /// Hours that known keys go on while the provider cannot be reached. A key that its provider withdrew meanwhile is
    /// accepted no longer than this.
    pub keys_stale_hours: u64,
    /// Seconds between two fetches that a token with an unknown key may cause: strangers can make up key names.
    pub refetch_seconds: u64,
    /// Milliseconds for one document of a provider, connecting included.
    pub fetch_timeout_ms: u64,
    /// Largest document of a provider. Key sets of large providers have about 10 KB.
    pub document_bytes: usize,
    /// PEM file of certificate authorities to trust besides the public ones: for a provider inside a company.
    pub ca_file: Option<PathBuf>,
    /// Verified tokens remembered for each edition, so that a hot client's are not verified with every call. About
    /// 1 KB each.
    pub verified_tokens: usize,
    /// Seconds a verified token is remembered, at most until it expires.
    pub verified_seconds: u64,
    /// Signatures checked at once; 0: half of the machine's cores. Forged tokens cannot take more than that.
    pub signature_checks: usize,
    /// Tokens that may wait for a check; one address may have an eighth of them.
    pub signature_queue: u32,
}

impl Default for OAuthLimits {
    fn default() -> Self {
        Self {
            requests_per_minute: 60,
            clock_skew_seconds: 30,
            keys_fresh_seconds: 300,
            keys_stale_hours: 24,
            refetch_seconds: 60,
            fetch_timeout_ms: 5000,
            document_bytes: 256 * 1024,
            ca_file: None,
            verified_tokens: 10_000,
            verified_seconds: 60,
            signature_checks: 0,
            signature_queue: 256,
        }
    }
}

impl OAuthLimits {
    pub(super) fn skew_seconds(&self) -> i64 {
        i64::try_from(self.clock_skew_seconds.min(60)).unwrap_or(60)
    }

    pub(super) fn fresh(&self) -> Duration {
        Duration::from_secs(self.keys_fresh_seconds)
    }

    pub(super) fn stale(&self) -> Duration {
        Duration::from_secs(self.keys_stale_hours.saturating_mul(3600))
    }

    pub(super) fn refetch(&self) -> Duration {
        Duration::from_secs(self.refetch_seconds)
    }

    pub(super) fn checks(&self) -> usize {
        match self.signature_checks {
            0 => std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)),
            chosen => chosen,
        }
    }
}
