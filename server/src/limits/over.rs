//! Refusals, each with when to come back.

use std::time::Duration;

use super::RateState;
use crate::store::StoreError;

/// A limit was reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    /// Too many requests in the last minute or hour.
    #[error("retry in {} s", seconds(*.retry_after))]
    Rate {
        /// When the next one will pass.
        retry_after: Duration,
        /// Requests that pass in that time.
        limit: u32,
    },
    /// Too many calls at once.
    #[error("{most} calls are already running for this key; wait for one to finish")]
    Concurrency {
        /// Calls that may run at once.
        most: u32,
    },
    /// The month's calls are used up.
    #[error("monthly cap {cap} reached, resets {resets}")]
    Cap {
        /// Calls that pass in a month.
        cap: u64,
        /// When the next month begins.
        resets: String,
        /// The time until then.
        retry_after: Duration,
    },
}

impl OverLimit {
    /// Seconds for `Retry-After`, at least one.
    pub fn retry_after_seconds(&self) -> u64 {
        match self {
            Self::Rate { retry_after, .. } | Self::Cap { retry_after, .. } => seconds(*retry_after),
            Self::Concurrency { .. } => 1,
        }
    }
}

impl OverLimit {
    /// The rate that refuses, with nothing left of it.
    pub fn rate(&self) -> Option<RateState> {
        match self {
            Self::Rate { retry_after, limit } => Some(RateState {
                limit: *limit,
                remaining: 0,
                reset: *retry_after,
            }),
            Self::Concurrency { .. } | Self::Cap { .. } => None,
        }
    }
}

/// Whole seconds after which so much time has surely passed, at least one.
fn seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// Why a month's calls give none.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CapError {
    /// They are used up.
    #[error(transparent)]
    Over(OverLimit),
    /// The counter cannot be asked, so nothing passes.
    #[error(transparent)]
    Store(StoreError),
}
