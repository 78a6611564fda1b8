//! A sliding window of requests, counted in slots: the requests of any window's length never exceed the limit.

use std::time::Duration;

/// Slots of a window. A request is forgotten when its slot has left, so at most a sixtieth later than it could be.
const SLOTS: u64 = 60;
/// One more than the window has: the slot that is being filled reaches back beyond its own beginning.
const KEPT: usize = 61;

/// What is left of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateState {
    /// Requests that a window takes.
    pub limit: u32,
    /// Requests that would pass now.
    pub remaining: u32,
    /// Until one more would pass.
    pub reset: Duration,
}

impl RateState {
    /// Seconds until one more surely passes.
    pub fn reset_seconds(&self) -> u64 {
        self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0)
    }
}

/// Requests of the last minute, or of the last hour.
#[derive(Clone, Debug)]
pub(super) struct Window {
    slot_ms: u64,
    /// Number of the newest slot since the beginning of time.
    newest: u64,
    slots: [u32; KEPT],
    total: u32,
}

impl Window {
    /// A window of this length; moments are milliseconds of a clock that only moves forward.
    pub(super) fn of(length: Duration) -> Self {
        Self {
            slot_ms: (u64::try_from(length.as_millis()).unwrap_or(u64::MAX) / SLOTS).max(1),
            newest: 0,
            slots: [0; KEPT],
            total: 0,
        }
    }

    /// Looks whether a request passes, without counting it.
    ///
    /// # Errors
    /// When the next one would.
    pub(super) fn look(&mut self, now_ms: u64, limit: u32) -> Result<RateState, Duration> {
        self.advance(now_ms);
        if self.total >= limit {
            return Err(self.until_left(now_ms, self.total - limit + 1));
        }
        Ok(RateState {
            limit,
            remaining: limit - self.total,
            reset: if self.total == 0 {
                Duration::ZERO
            } else {
                self.until_left(now_ms, 1)
            },
        })
    }

    /// Counts a request that passed.
    pub(super) fn count(&mut self) {
        if let Some(slot) = self.slots.get_mut(Self::place(self.newest)) {
            *slot = slot.saturating_add(1);
            self.total = self.total.saturating_add(1);
        }
    }

    /// Whether nothing is counted any more.
    pub(super) fn is_empty(&mut self, now_ms: u64) -> bool {
        self.advance(now_ms);
        self.total == 0
    }

    fn place(slot: u64) -> usize {
        usize::try_from(slot % KEPT as u64).unwrap_or(0)
    }

    fn advance(&mut self, now_ms: u64) {
        let slot = now_ms / self.slot_ms;
        if slot <= self.newest {
            return;
        }
        if slot - self.newest >= KEPT as u64 {
            self.slots = [0; KEPT];
            self.total = 0;
        } else {
            for gone in self.newest + 1..=slot {
                if let Some(count) = self.slots.get_mut(Self::place(gone)) {
                    self.total = self.total.saturating_sub(*count);
                    *count = 0;
                }
            }
        }
        self.newest = slot;
    }

    /// The time until so many requests have left the window.
    fn until_left(&self, now_ms: u64, wanted: u32) -> Duration {
        let mut left = 0_u32;
        let oldest = self.newest.saturating_sub(SLOTS);
        for slot in oldest..=self.newest {
            left = left.saturating_add(self.slots.get(Self::place(slot)).copied().unwrap_or(0));
            if left >= wanted {
                let free_at = (slot + KEPT as u64).saturating_mul(self.slot_ms);
                return Duration::from_millis(free_at.saturating_sub(now_ms));
            }
        }
        Duration::from_millis(self.slot_ms.saturating_mul(KEPT as u64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn pass(window: &mut Window, now_ms: u64, limit: u32) -> bool {
        let passes = window.look(now_ms, limit).is_ok();
        if passes {
            window.count();
        }
        passes
    }

    #[test]
    fn the_request_after_the_last_is_told_when_one_passes() {
        let mut window = Window::of(MINUTE);
        for moment in [0, 500, 30_000] {
            assert!(pass(&mut window, moment, 3));
        }
        let wait = window.look(40_000, 3).unwrap_err();
        assert_eq!(wait, Duration::from_millis(61_000 - 40_000));
        assert!(window.look(60_999, 3).is_err());
        let state = window.look(61_000, 3).unwrap();
        assert_eq!((state.limit, state.remaining), (3, 2));
        assert_eq!(state.reset, Duration::from_millis(91_000 - 61_000));
    }

    #[test]
    fn a_limit_that_was_lowered_holds_at_once() {
        let mut window = Window::of(MINUTE);
        for second in 0..10 {
            assert!(pass(&mut window, second * 1000, 10));
        }
        let wait = window.look(9_999, 4).unwrap_err();
        assert_eq!(wait, Duration::from_millis((6 + 61) * 1000 - 9_999));
        assert!(window.look(500_000, 4).is_ok() && window.is_empty(500_000));
    }

    proptest! {
        #[test]
        fn no_window_of_its_length_holds_more_than_the_limit(
            steps in prop::collection::vec(0_u64..4000, 1..400), limit in 1_u32..20,
        ) {
            let (mut window, mut now, mut passed) = (Window::of(MINUTE), 0, Vec::new());
            for step in steps {
                now += step;
                match window.look(now, limit) {
                    Ok(_) => {
                        window.count();
                        passed.push(now);
                    }
                    Err(wait) => {
                        let later = now + u64::try_from(wait.as_millis()).unwrap();
                        prop_assert!(window.clone().look(later, limit).is_ok());
                    }
                }
            }
            for (position, start) in passed.iter().enumerate() {
                let within = passed[position..].iter().filter(|at| **at - start < 60_000).count();
                prop_assert!(within <= limit as usize);
            }
        }
    }
}
