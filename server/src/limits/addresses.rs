//! What strangers have used of a limit, by address or by what else they are known by: failed sign-ins, requests before
//! anybody looks at a credential, messages of visitors.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::OverLimit;

/// Addresses that are told apart, 32 bytes each. Whoever comes on top shares one count until a minute is over.
const MOST_ADDRESSES: usize = 65_536;
const MINUTE_MS: u64 = 60_000;

/// Counts of this minute and the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    minute: u64,
    now: u32,
    before: u32,
}

impl Counts {
    /// Counts one at this moment; `Err` is the time until one passes.
    fn count(&mut self, now_ms: u64, limit: u32) -> Result<(), Duration> {
        let minute = now_ms / MINUTE_MS;
        if minute != self.minute {
            self.before = if minute == self.minute + 1 { self.now } else { 0 };
            (self.minute, self.now) = (minute, 0);
        }
        let into = now_ms % MINUTE_MS;
        // The share of the minute before that still lies within the last sixty seconds.
        let before = u64::from(self.before) * (MINUTE_MS - into) / MINUTE_MS;
        if before + u64::from(self.now) >= limit.into() {
            let wait = if self.now >= limit {
                MINUTE_MS - into
            } else {
                let needed = before + u64::from(self.now) - u64::from(limit) + 1;
                (needed * MINUTE_MS).div_ceil(u64::from(self.before).max(1))
            };
            return Err(Duration::from_millis(wait.max(1)));
        }
        self.now += 1;
        Ok(())
    }

    fn is_quiet(&self, now_ms: u64) -> bool {
        now_ms / MINUTE_MS > self.minute + 1
    }
}

/// The meters of all who are told apart by a `K`.
#[derive(Debug)]
pub struct Meters<K> {
    table: Mutex<Table<K>>,
    per_minute: u32,
    started: Instant,
}

#[derive(Debug)]
struct Table<K> {
    by_key: HashMap<K, Counts>,
    others: Counts,
}

/// The meters of all addresses.
#[derive(Debug)]
pub struct AddressMeters(Meters<IpAddr>);

impl AddressMeters {
    /// Passes `per_minute` for each address.
    pub fn new(per_minute: u32) -> Self {
        Self(Meters::new(per_minute))
    }

    /// Counts one.
    ///
    /// # Errors
    /// When the address has used up its minute.
    pub fn count(&self, address: IpAddr) -> Result<(), OverLimit> {
        self.0.count(network(address))
    }

    /// Whether an address has used up its minute; it counts nothing.
    pub fn is_used_up(&self, address: IpAddr) -> bool {
        self.0.is_used_up_at(&network(address), self.0.now_ms())
    }

    /// Forgets addresses that have been quiet, so that the table does not grow with every stranger.
    pub fn forget_quiet(&self) {
        self.0.forget_quiet();
    }
}

impl<K: Eq + Hash> Meters<K> {
    /// Passes `per_minute` for each.
    pub fn new(per_minute: u32) -> Self {
        Self {
            table: Mutex::new(Table {
                by_key: HashMap::new(),
                others: Counts::default(),
            }),
            per_minute,
            started: Instant::now(),
        }
    }

    /// Counts one.
    ///
    /// # Errors
    /// When its minute is used up.
    pub fn count(&self, key: K) -> Result<(), OverLimit> {
        self.count_at(key, self.now_ms())
    }

    fn count_at(&self, key: K, now_ms: u64) -> Result<(), OverLimit> {
        let mut table = self.table.lock();
        let Table { by_key, others } = &mut *table;
        if by_key.len() >= MOST_ADDRESSES && !by_key.contains_key(&key) {
            by_key.retain(|_, counts| !counts.is_quiet(now_ms));
        }
        let counts = if by_key.len() < MOST_ADDRESSES || by_key.contains_key(&key) {
            by_key.entry(key).or_default()
        } else {
            others
        };
        counts
            .count(now_ms, self.per_minute)
            .map_err(|retry_after| OverLimit::Rate {
                retry_after,
                limit: self.per_minute,
            })
    }

    fn is_used_up_at(&self, key: &K, now_ms: u64) -> bool {
        let table = self.table.lock();
        let mut counts = table.by_key.get(key).copied().unwrap_or_default();
        counts.count(now_ms, self.per_minute).is_err()
    }

    /// Forgets who has been quiet, so that the table does not grow with every stranger.
    pub fn forget_quiet(&self) {
        self.forget_quiet_at(self.now_ms());
    }

    fn forget_quiet_at(&self, now_ms: u64) {
        let mut table = self.table.lock();
        table.by_key.retain(|_, counts| !counts.is_quiet(now_ms));
        table.by_key.shrink_to_fit();
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What is counted as one address: whoever has one of version 6 has the 2^64 beside it, too.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn failures_of_one_address_do_not_touch_another() {
        let failures = Meters::new(1);
        failures.count_at(address(1), 0).unwrap();
        assert!(failures.count_at(address(1), 0).is_err());
        assert!(failures.count_at(address(2), 0).is_ok());
    }

    #[test]
    fn to_look_whether_a_minute_is_used_up_uses_nothing() {
        let failures = Meters::new(2);
        for _ in 0..3 {
            assert!(!failures.is_used_up_at(&address(1), 0));
        }
        failures.count_at(address(1), 0).unwrap();
        failures.count_at(address(1), 0).unwrap();
        assert!(failures.is_used_up_at(&address(1), 0));
        assert!(!failures.is_used_up_at(&address(2), 0));
        assert!(!failures.is_used_up_at(&address(1), 2 * MINUTE_MS));
    }

    #[test]
    fn the_minute_slides() {
        let meters = Meters::new(60);
        for _ in 0..60 {
            meters.count_at(address(1), 59_000).unwrap();
        }
        let OverLimit::Rate { retry_after, .. } = meters.count_at(address(1), 60_000).unwrap_err() else {
            panic!("a rate");
        };
        assert_eq!(retry_after, Duration::from_secs(1));
        meters.count_at(address(1), 61_000).unwrap();
        assert!(meters.count_at(address(1), 61_000).is_err());
        meters.count_at(address(1), 180_000).unwrap();
    }

    #[test]
    fn one_network_of_version_six_is_one_address() {
        let meters = Meters::new(1);
        let at = |text: &str| network(text.parse().unwrap());
        meters.count_at(at("2001:db8::1"), 0).unwrap();
        assert!(meters.count_at(at("2001:db8::ffff:2"), 0).is_err());
        assert!(meters.count_at(at("2001:db8:0:1::1"), 0).is_ok());
        meters.count_at(at("::ffff:10.0.0.1"), 0).unwrap();
        assert!(meters.count_at(at("10.0.0.1"), 0).is_err());
    }

    #[test]
    fn the_table_is_bounded_and_forgets() {
        let meters = Meters::new(2);
        let most = u32::try_from(MOST_ADDRESSES).unwrap();
        for number in 0..most + 2 {
            meters.count_at(address(number), 0).unwrap();
        }
        assert!(
            meters.count_at(address(most + 9), 0).is_err(),
            "strangers share what is left"
        );
        meters.count_at(address(3), 0).unwrap();
        assert_eq!(meters.table.lock().by_key.len(), MOST_ADDRESSES);
        meters.forget_quiet_at(120_000);
        assert_eq!(meters.table.lock().by_key.len(), 0);
    }
}
