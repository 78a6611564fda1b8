//! How often, how many at once, and how many in a month: a principal comes in, a [`Slot`] and a [`Ticket`] go out.
//!
//! Every refusal says when to come back. Rates and places are counted in this process; caps are exact over all
//! processes (see `caps.rs`). What is kept for each key is a kilobyte, and goes when the key has been quiet for an hour.

mod addresses;
mod caps;
mod meter;
mod month;
mod over;
mod window;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use tracing::warn;

pub use addresses::{AddressMeters, Meters};
pub use caps::Usage;
pub use meter::{Slot, Ticket};
pub use month::Month;
pub use over::{CapError, OverLimit};
pub use window::RateState;

use caps::Budget;
use meter::Meter;

use crate::{
    access::{CapOf, Credential, Principal},
    store::{Store, StoreError, Topic},
    vocabulary::{TenantId, Timestamp, new_id},
};

/// How often counts that need not be exact are written down, and leases looked after.
const TALLY: Duration = Duration::from_secs(5);
/// The name of a tenant's counter; a key's is `calls:<key id>`.
const CALLS: &str = "calls";

/// The meters of all principals.
#[derive(Debug)]
pub struct Limits {
    meters: RwLock<HashMap<String, Arc<Meter>>>,
    budgets: Mutex<HashMap<(TenantId, String), Arc<Budget>>>,
    most_running: u32,
    store: Store,
    /// This process, as leases name it.
    holder: Arc<str>,
    started: Instant,
}

/// What a principal's counts of this process are found under: user ids, unlike those of keys, are not the only ones of
/// their kind in all tenants.
fn meter_key(principal: &Principal) -> Cow<'_, str> {
    match &principal.facts().credential {
        Credential::Token { .. } | Credential::LegacyToken | Credential::Session => {
            Cow::Owned(format!("{}/{}", principal.tenant(), principal.facts().user))
        }
        Credential::ApiKey { .. } | Credential::Local => Cow::Borrowed(meter_name(principal)),
    }
}

/// What a tenant's counters of a principal are named after: a key's id, or nothing for whoever has none.
fn meter_name(principal: &Principal) -> &str {
    match &principal.facts().credential {
        Credential::ApiKey { id, .. } => id.as_str(),
        Credential::Token { .. } | Credential::LegacyToken | Credential::Session => {
            principal.facts().user.as_str()
        }
        Credential::Local => "",
    }
}

impl Limits {
    /// Lets each principal have `most_running` calls at once; caps are counted in `store`.
    pub fn new(most_running: u32, store: Store) -> Self {
        Self {
            meters: RwLock::default(),
            budgets: Mutex::default(),
            most_running,
            holder: new_id("rep", store.clock().now()).into(),
            store,
            started: Instant::now(),
        }
    }

    fn meter(&self, principal: &Principal) -> Arc<Meter> {
        let key = meter_key(principal);
        if let Some(meter) = self.meters.read().get(key.as_ref()) {
            return Arc::clone(meter);
        }
        let new = || Arc::new(Meter::new(principal.tenant().clone(), meter_name(principal)));
        Arc::clone(self.meters.write().entry(key.into_owned()).or_insert_with(new))
    }

    /// Counts one request against the rates of a principal.
    ///
    /// # Errors
    /// When this minute's or this hour's are used up, with the time until the next will pass.
    pub fn count_request(&self, principal: &Principal) -> Result<RateState, OverLimit> {
        let facts = principal.facts();
        self.meter(principal)
            .count(self.now_ms(), facts.rate_per_minute, facts.rate_per_hour)
    }

    /// Takes a place among the running calls of a principal.
    ///
    /// # Errors
    /// When all are taken.
    pub fn enter(&self, principal: &Principal) -> Result<Slot, OverLimit> {
        self.meter(principal).enter(self.most_running)
    }

    /// Takes one of the month's calls.
    ///
    /// # Errors
    /// When they are used up, or the store cannot be asked.
    pub async fn reserve(&self, principal: &Principal, now: Timestamp) -> Result<Ticket, CapError> {
        let meter = self.meter(principal);
        let cap = principal.facts().monthly_cap;
        let reservation = match cap {
            None => None,
            Some(cap) => Some(
                self.budget(&meter, principal, cap.of)
                    .take(cap.calls, now)
                    .await?,
            ),
        };
        Ok(Ticket {
            meter,
            reservation,
            cap: cap.map(|cap| cap.of),
            now,
        })
    }

    fn budget<'m>(&self, meter: &'m Meter, principal: &Principal, of: CapOf) -> &'m Arc<Budget> {
        let cell = match of {
            CapOf::Key => &meter.of_key,
            CapOf::Tenant => &meter.of_tenant,
        };
        cell.get_or_init(|| {
            let name = match of {
                CapOf::Key => format!("{CALLS}:{}", meter_name(principal)),
                CapOf::Tenant => CALLS.to_owned(),
            };
            let tenant = principal.tenant();
            let mut budgets = self.budgets.lock();
            let budget = budgets.entry((tenant.clone(), name.clone())).or_insert_with(|| {
                let (holder, store) = (Arc::clone(&self.holder), self.store.clone());
                Arc::new(Budget::new(tenant.clone(), name, holder, store))
            });
            Arc::clone(budget)
        })
    }

    /// How much of its month's calls a principal has used; `None` without a cap, or before the first call.
    pub fn usage(&self, principal: &Principal, now: Timestamp) -> Option<Usage> {
        let cap = principal.facts().monthly_cap?;
        let meter = self.meter(principal);
        self.budget(&meter, principal, cap.of).usage(now)
    }

    /// Calls that a key has made this month, whether it has a cap or not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn used_by_key(&self, principal: &Principal, now: Timestamp) -> Result<u64, StoreError> {
        let name = format!("{CALLS}:{}", meter_name(principal));
        let period = Month::of(now).name();
        let counted = self.store.read(principal.tenant(), move |tx| {
            Box::pin(async move { tx.counters().get(&name, &period).await })
        });
        let counted = u64::try_from(counted.await?).unwrap_or(0);
        let meter = self.meter(principal);
        let unspent = match principal.facts().monthly_cap {
            Some(cap) if cap.of == CapOf::Key => self.budget(&meter, principal, cap.of).unspent(now),
            _ => 0,
        };
        let tallied = meter.used.lock().tally.0;
        Ok(counted.saturating_sub(unspent) + tallied)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Forgets principals that have been quiet. Their counts are in the store.
    pub fn tidy(&self) {
        let now_ms = self.now_ms();
        let mut meters = self.meters.write();
        // A meter that somebody holds is about to be used.
        meters.retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.is_quiet(now_ms));
        meters.shrink_to_fit();
        drop(meters);
        self.budgets
            .lock()
            .retain(|_, budget| Arc::strong_count(budget) > 1 || !budget.is_quiet());
    }

    /// Looks after what is shared with other processes until the store is closed: brings calls back that others ask
    /// for, and writes counts down.
    pub async fn follow(self: Arc<Self>) {
        let mut changes = self.store.listen_since_opened(&[Topic::Caps]);
        let mut ticks = tokio::time::interval(TALLY);
        loop {
            let done = tokio::select! {
                change = changes.next() => match change {
                    Some(_) => self.answer_recall().await,
                    None => return,
                },
                _ = ticks.tick() => self.write_down().await,
            };
            if let Err(error) = done {
                warn!(error = %error, "monthly counts not exchanged with the store");
            }
        }
    }

    async fn answer_recall(&self) -> Result<(), StoreError> {
        let holder = Arc::clone(&self.holder);
        let recalled = self
            .store
            .system_read(move |tx| Box::pin(async move { tx.caps().recalled_from(&holder).await }));
        for name in recalled.await? {
            let budget = self.budgets.lock().get(&name).cloned();
            if let Some(budget) = budget {
                budget.bring_back().await?;
            }
        }
        Ok(())
    }

    async fn write_down(&self) -> Result<(), StoreError> {
        let budgets: Vec<_> = self.budgets.lock().values().cloned().collect();
        for budget in budgets {
            budget.renew().await?;
        }
        self.write_tallies().await
    }

    async fn write_tallies(&self) -> Result<(), StoreError> {
        let meters: Vec<_> = self
            .meters
            .read()
            .values()
            .filter(|meter| meter.used.lock().tally != (0, 0))
            .cloned()
            .collect();
        for meter in meters {
            let name = meter.name.clone();
            let (tally, month) = {
                let mut used = meter.used.lock();
                (std::mem::take(&mut used.tally), used.month)
            };
            let period = month.name();
            let written = self.store.write(&meter.tenant, move |tx| {
                Box::pin(async move {
                    let as_count = |calls| i64::try_from(calls).unwrap_or(i64::MAX);
                    if !name.is_empty() {
                        let of_key = format!("{CALLS}:{name}");
                        tx.counters()
                            .add(&of_key, &period, as_count(tally.0), None)
                            .await?;
                    }
                    if tally.1 > 0 {
                        tx.counters().add(CALLS, &period, as_count(tally.1), None).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            });
            if let Err(error) = written.await {
                // Perhaps they were written after all: these counts bound nothing, so twice is better than never.
                let mut used = meter.used.lock();
                used.tally.0 += tally.0;
                used.tally.1 += tally.1;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Brings everything back that was taken in advance, and writes down every count: before the process ends.
    ///
    /// # Errors
    /// When the store cannot be written; the calls held are then spent.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let budgets: Vec<_> = self.budgets.lock().values().cloned().collect();
        for budget in budgets {
            budget.bring_back().await?;
        }
        self.write_tallies().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_slot_makes_room() {
        let meter = Meter::new(TenantId::new("acme").unwrap(), "key_1");
        let first = meter.enter(2).unwrap();
        let _second = meter.enter(2).unwrap();
        assert_eq!(meter.enter(2).unwrap_err(), OverLimit::Concurrency { most: 2 });
        drop(first);
        assert!(meter.enter(2).is_ok());
    }

    #[test]
    fn the_tighter_of_two_rates_refuses_and_is_shown() {
        let meter = Meter::new(TenantId::new("acme").unwrap(), "key_1");
        let shown = |state: RateState| (state.limit, state.remaining);
        assert_eq!(meter.count(0, 10, Some(3)).map(shown), Ok((3, 2)));
        assert_eq!(meter.count(0, 2, Some(3)).map(shown), Ok((2, 0)));
        let refused = meter.count(0, 2, Some(3)).unwrap_err();
        assert_eq!(refused.to_string(), "retry in 61 s");
        assert_eq!(meter.count(61_000, 2, Some(3)).map(shown), Ok((3, 0)));
        let refused = meter.count(61_000, 2, Some(3)).unwrap_err();
        assert_eq!(refused.retry_after_seconds(), 3660 - 61);
    }

    #[test]
    fn a_warning_comes_from_nine_tenths_on() {
        let month = Month::of(Timestamp::parse("2026-11-20").unwrap());
        let usage = |used| Usage { used, cap: 10, month };
        assert!(!usage(8).is_near() && usage(9).is_near());
        assert_eq!(
            usage(9).warning(),
            "9 of 10 calls of this month are used; the cap resets 2026-12-01T00:00:00Z"
        );
    }
}
