//! Whether the store takes writes, and why not (security.md A2).

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::StoreError;

/// Turned bad by a failed commit, good by the next one that succeeds.
#[derive(Default)]
pub(crate) struct Health {
    bad: AtomicBool,
    reason: Mutex<String>,
    since: Mutex<Option<Instant>>,
}

impl Health {
    pub(crate) fn is_good(&self) -> bool {
        !self.bad.load(Ordering::Acquire)
    }

    /// How long it has been bad.
    pub(crate) fn bad_for(&self) -> Duration {
        let since = self.since.lock().filter(|_| !self.is_good());
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Refuses while the store is bad, in the words of the failure that made it so.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.is_good() {
            Ok(())
        } else {
            Err(StoreError::Refusing {
                reason: self.reason.lock().clone(),
            })
        }
    }

    pub(crate) fn good(&self) {
        if self.bad.load(Ordering::Relaxed) && self.bad.swap(false, Ordering::AcqRel) {
            tracing::info!("the store takes writes again");
        }
    }

    pub(crate) fn bad(&self, error: &StoreError) {
        *self.reason.lock() = error.to_string();
        // Told once per outage, not once per refused commit.
        if !self.bad.swap(true, Ordering::AcqRel) {
            *self.since.lock() = Some(Instant::now());
            tracing::error!(error = %error, cause = ?std::error::Error::source(error), "the store refuses writes");
        }
    }
}
