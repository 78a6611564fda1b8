//! What one principal has used, and its places among the running calls.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    CapOf, Month, OverLimit, RateState,
    caps::{Budget, Reservation},
    window::Window,
};
use crate::vocabulary::{TenantId, Timestamp};

/// What one principal has used.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) tenant: TenantId,
    /// As its counters in the store are named.
    pub(super) name: String,
    pub(super) used: Mutex<Used>,
    running: Arc<AtomicU32>,
    pub(super) of_key: OnceLock<Arc<Budget>>,
    pub(super) of_tenant: OnceLock<Arc<Budget>>,
}

#[derive(Debug)]
pub(super) struct Used {
    minute: Window,
    hour: Option<Box<Window>>,
    /// Calls not written down yet: those of the key, and those among them that a tenant without a cap counts too.
    pub(super) tally: (u64, u64),
    pub(super) month: Month,
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

/// One call of the month. Dropped, nothing was used; [`Ticket::spend`] makes it count.
#[derive(Debug)]
#[must_use = "a call counts when its ticket is spent"]
pub struct Ticket {
    pub(super) meter: Arc<Meter>,
    pub(super) reservation: Option<Reservation>,
    pub(super) cap: Option<CapOf>,
    pub(super) now: Timestamp,
}

impl Ticket {
    /// The call is let through to its handler or answered with a preview: it counts.
    pub fn spend(self) {
        if self.cap != Some(CapOf::Key) {
            self.meter.tally(self.cap.is_none(), self.now);
        }
        if let Some(reservation) = self.reservation {
            reservation.spend();
        }
    }
}

impl Meter {
    pub(super) fn new(tenant: TenantId, name: &str) -> Self {
        Self {
            tenant,
            name: name.to_owned(),
            used: Mutex::new(Used {
                minute: Window::of(Duration::from_secs(60)),
                hour: None,
                tally: (0, 0),
                month: Month::of(Timestamp(0)),
            }),
            running: Arc::default(),
            of_key: OnceLock::new(),
            of_tenant: OnceLock::new(),
        }
    }

    pub(super) fn count(
        &self,
        now_ms: u64,
        per_minute: u32,
        per_hour: Option<u32>,
    ) -> Result<RateState, OverLimit> {
        let over = |limit| move |retry_after| OverLimit::Rate { retry_after, limit };
        let mut used = self.used.lock();
        let mut state = used.minute.look(now_ms, per_minute).map_err(over(per_minute))?;
        if let Some(per_hour) = per_hour {
            let hour = used
                .hour
                .get_or_insert_with(|| Box::new(Window::of(Duration::from_secs(3600))));
            let of_hour = hour.look(now_ms, per_hour).map_err(over(per_hour))?;
            hour.count();
            if of_hour.remaining < state.remaining {
                state = of_hour;
            }
        }
        used.minute.count();
        state.remaining = state.remaining.saturating_sub(1);
        Ok(state)
    }

    pub(super) fn enter(&self, most: u32) -> Result<Slot, OverLimit> {
        let free = |running| (running < most).then_some(running + 1);
        match self
            .running
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free)
        {
            Ok(_) => Ok(Slot {
                running: Arc::clone(&self.running),
            }),
            Err(_) => Err(OverLimit::Concurrency { most }),
        }
    }

    pub(super) fn tally(&self, for_tenant: bool, now: Timestamp) {
        let mut used = self.used.lock();
        if !used.month.contains(now) && used.tally == (0, 0) {
            used.month = Month::of(now);
        }
        // In the few seconds in which the old month's are not written down yet, the new one's go with them.
        used.tally.0 += 1;
        used.tally.1 += u64::from(for_tenant);
    }

    pub(super) fn is_quiet(&self, now_ms: u64) -> bool {
        let mut used = self.used.lock();
        used.tally == (0, 0)
            && self.running.load(Ordering::Acquire) == 0
            && used.minute.is_empty(now_ms)
            && used.hour.as_mut().is_none_or(|hour| hour.is_empty(now_ms))
    }
}
