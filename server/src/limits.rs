//! How often and how many at once: a principal comes in, a [`Slot`] goes out and is released when dropped.
//!
//! Every refusal says when to come back. Counting is per replica; caps that must be exact are the store's.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use parking_lot::RwLock;

use crate::access::{Credential, Principal};

/// A limit was reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    /// Too many requests in the last minute.
    #[error("retry in {} s", .retry_after.as_secs().max(1))]
    Rate {
        /// When the next one will pass.
        retry_after: Duration,
        /// Requests a minute that pass.
        per_minute: u32,
    },
    /// Too many calls at once.
    #[error("{most} calls are already running for this key; wait for one to finish")]
    Concurrency {
        /// Calls that may run at once.
        most: u32,
    },
}

impl OverLimit {
    /// Seconds for `Retry-After`, at least one.
    pub fn retry_after_seconds(&self) -> u64 {
        match self {
            Self::Rate { retry_after, .. } => {
                retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0)
            }
            Self::Concurrency { .. } => 1,
        }
        .max(1)
    }
}

/// The meters of all principals. Never more than there are keys.
#[derive(Debug)]
pub struct Limits {
    meters: RwLock<HashMap<String, Arc<Meter>>>,
    most_running: u32,
}

impl Limits {
    /// Lets each principal have `most_running` calls at once.
    pub fn new(most_running: u32) -> Self {
        Self {
            meters: RwLock::default(),
            most_running,
        }
    }

    /// The meter of a principal, made anew when its rate was changed.
    pub fn meter(&self, principal: &Principal) -> Arc<Meter> {
        let facts = principal.facts();
        let name = match &facts.credential {
            Credential::ApiKey { id, .. } => id.as_str(),
            Credential::Token { .. } | Credential::LegacyToken => facts.user.as_str(),
            Credential::Local => "",
        };
        if let Some(meter) = self
            .meters
            .read()
            .get(name)
            .filter(|m| m.per_minute == facts.rate_per_minute)
        {
            return Arc::clone(meter);
        }
        let meter = Arc::new(Meter::new(facts.rate_per_minute, self.most_running));
        self.meters.write().insert(name.to_owned(), Arc::clone(&meter));
        meter
    }
}

/// What one principal has used.
#[derive(Debug)]
pub struct Meter {
    rate: DefaultDirectRateLimiter,
    per_minute: u32,
    running: Arc<AtomicU32>,
    most_running: u32,
}

/// A place among the running calls of a principal; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    running: Arc<AtomicU32>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Meter {
    /// A meter that passes `per_minute` requests in a sliding minute and `most_running` calls at once.
    pub fn new(per_minute: u32, most_running: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        Self {
            rate: RateLimiter::direct(quota),
            per_minute,
            running: Arc::new(AtomicU32::new(0)),
            most_running,
        }
    }

    /// Requests a minute that pass.
    pub fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// Counts one request.
    ///
    /// # Errors
    /// When this minute's are used up, with the time until the next will pass.
    pub fn count_request(&self) -> Result<(), OverLimit> {
        self.rate.check().map_err(|not_until| OverLimit::Rate {
            retry_after: not_until.wait_time_from(DefaultClock::default().now()),
            per_minute: self.per_minute,
        })
    }

    /// Takes a place among the running calls.
    ///
    /// # Errors
    /// When all are taken.
    pub fn enter(&self) -> Result<Slot, OverLimit> {
        let taken = self
            .running
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |running| {
                (running < self.most_running).then_some(running + 1)
            });
        match taken {
            Ok(_) => Ok(Slot {
                running: Arc::clone(&self.running),
            }),
            Err(_) => Err(OverLimit::Concurrency {
                most: self.most_running,
            }),
        }
    }
}

/// What addresses have used of a limit: failed sign-ins, or requests before anybody looks at a credential.
#[derive(Debug)]
pub struct AddressMeters {
    by_address: DefaultKeyedRateLimiter<IpAddr>,
    per_minute: u32,
}

impl AddressMeters {
    /// Passes `per_minute` for each address.
    pub fn new(per_minute: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        Self {
            by_address: RateLimiter::keyed(quota),
            per_minute,
        }
    }

    /// Counts one.
    ///
    /// # Errors
    /// When the address has used up its minute.
    pub fn count(&self, address: IpAddr) -> Result<(), OverLimit> {
        self.by_address
            .check_key(&address)
            .map_err(|not_until| OverLimit::Rate {
                retry_after: not_until.wait_time_from(DefaultClock::default().now()),
                per_minute: self.per_minute,
            })
    }

    /// Forgets addresses that have been quiet, so that the table does not grow with every stranger.
    pub fn forget_quiet(&self) {
        self.by_address.retain_recent();
        self.by_address.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_after_the_last_is_told_when_to_come_back() {
        let meter = Meter::new(3, 8);
        for _ in 0..3 {
            meter.count_request().unwrap();
        }
        let refusal = meter.count_request().unwrap_err();
        assert!((1..=20).contains(&refusal.retry_after_seconds()), "{refusal:?}");
        assert!(refusal.to_string().starts_with("retry in "));
    }

    #[test]
    fn a_dropped_slot_makes_room() {
        let meter = Meter::new(60, 2);
        let first = meter.enter().unwrap();
        let _second = meter.enter().unwrap();
        assert_eq!(meter.enter().unwrap_err(), OverLimit::Concurrency { most: 2 });
        drop(first);
        assert!(meter.enter().is_ok());
    }

    #[test]
    fn failures_of_one_address_do_not_touch_another() {
        let failures = AddressMeters::new(1);
        let (one, two) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        failures.count(one).unwrap();
        assert!(failures.count(one).is_err());
        assert!(failures.count(two).is_ok());
    }
}
