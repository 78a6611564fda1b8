//! How much of the notes one key may read in an hour (catalogue.md §2.11): an assistant at work never meets
//! it, a program that copies everything through `search` and `get` does.
//!
//! A key that was minted with a higher rate than the usual one reads that many times more: its operator meant a
//! program. Counted per process: with several replicas a key has the budget on each.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::{
    access::{Credential, Principal},
    domain::DomainError,
    vocabulary::Timestamp,
};

/// The rate of a key that says nothing, which the budget is made for.
const USUAL_RATE: u32 = 60;
/// Chunks and memories an hour.
const MOST_CHUNKS: u64 = 5_000;
/// Bytes of their text an hour.
const MOST_BYTES: u64 = 50 * 1024 * 1024;
const HOUR_MS: i64 = 60 * 60 * 1000;

/// What every key has read in its current hour, which begins with its first reading.
#[derive(Debug, Default)]
pub(super) struct ReadBudget {
    hours: Mutex<HashMap<String, Hour>>,
}

#[derive(Debug, Clone, Copy)]
struct Hour {
    began: Timestamp,
    chunks: u64,
    bytes: u64,
}

impl ReadBudget {
    /// Whether this principal may read on.
    ///
    /// # Errors
    /// [`DomainError::Exhausted`] once an hour's budget is used up, with the seconds until the next hour.
    pub(super) fn check(&self, principal: &Principal, now: Timestamp) -> Result<(), DomainError> {
        let hours = self.hours.lock();
        let Some(hour) = hours.get(name(principal)).filter(|hour| hour.lasts(now)) else {
            return Ok(());
        };
        let times = u64::from((principal.facts().rate_per_minute / USUAL_RATE).max(1));
        let (most_chunks, most_bytes) = (MOST_CHUNKS * times, MOST_BYTES * times);
        let what = if hour.chunks >= most_chunks {
            format!("{most_chunks} passages")
        } else if hour.bytes >= most_bytes {
            format!("{} MiB of text", most_bytes / 1024 / 1024)
        } else {
            return Ok(());
        };
        let left_ms = hour.began.plus_millis(HOUR_MS).0 - now.0;
        let seconds = u64::try_from(left_ms).unwrap_or(0).div_ceil(1000).max(1);
        Err(DomainError::Exhausted {
            message: format!(
                "this key has read {what} within an hour; retry in {seconds} s, and ask for less with narrower queries"
            ),
            retry_after_seconds: seconds,
        })
    }

    /// Notes what an answer holds. The answer that goes beyond the budget is still given.
    pub(super) fn charge(&self, principal: &Principal, now: Timestamp, chunks: usize, bytes: usize) {
        let mut hours = self.hours.lock();
        let fresh = Hour {
            began: now,
            chunks: 0,
            bytes: 0,
        };
        let hour = match hours.get_mut(name(principal)) {
            Some(hour) => hour,
            None => hours.entry(name(principal).to_owned()).or_insert(fresh),
        };
        if !hour.lasts(now) {
            *hour = fresh;
        }
        hour.chunks = hour.chunks.saturating_add(chunks as u64);
        hour.bytes = hour.bytes.saturating_add(bytes as u64);
    }

    /// Forgets hours that are over.
    pub(super) fn tidy(&self, now: Timestamp) {
        self.hours.lock().retain(|_, hour| hour.lasts(now));
    }
}

impl Hour {
    fn lasts(&self, now: Timestamp) -> bool {
        now < self.began.plus_millis(HOUR_MS)
    }
}

/// The key, or the person where a local process has none. Both ids are unique across tenants.
fn name(principal: &Principal) -> &str {
    match &principal.facts().credential {
        Credential::ApiKey { id, .. } => id.as_str(),
        Credential::Token { .. } | Credential::LegacyToken | Credential::Session | Credential::Local => {
            principal.facts().user.as_str()
        }
    }
}
