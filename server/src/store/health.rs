//! Whether the store takes writes, and why not (security.md A2).

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::StoreError;

/// Turned bad by a failed commit, good by the next one that succeeds.
#[derive(Default)]
pub(crate) struct Health {
    bad: AtomicBool,
    reason: Mutex<String>,
}

impl Health {
    pub(crate) fn is_good(&self) -> bool {
        !self.bad.load(Ordering::Acquire)
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
            tracing::error!(error = %error, cause = ?std::error::Error::source(error), "the store refuses writes");
        }
    }
}
