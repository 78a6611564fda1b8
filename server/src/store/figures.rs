//! What the store is busy with, for whoever watches it: [`StoreFigures`] and how long transactions take.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use prometheus_client::metrics::histogram::Histogram;

/// Upper bounds in seconds: from a row in the page cache to a statement that runs into its limit.
const BUCKETS: [f64; 10] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 10.0,
];

/// The store at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StoreFigures {
    /// Whether it takes writes.
    pub healthy: bool,
    /// Writes that wait for their turn.
    pub writes_waiting: usize,
    /// Rows of the call log that were answered for and are not durable yet.
    pub audit_rows_waiting: usize,
    /// How long the oldest of them has waited.
    pub audit_lag: Duration,
}

/// How long transactions took, from the call to the durable answer. Clones share their figures.
#[derive(Clone, Debug)]
pub struct Durations {
    /// Reading ones.
    pub reads: Histogram,
    /// Writing ones.
    pub writes: Histogram,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            reads: Histogram::new(BUCKETS),
            writes: Histogram::new(BUCKETS),
        }
    }
}

/// Rows on their way to being durable.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    rows: AtomicUsize,
    since: Mutex<Option<Instant>>,
}

impl Waiting {
    /// One more is queued.
    pub(crate) fn queued(&self) {
        let mut since = self.since.lock();
        if self.rows.fetch_add(1, Ordering::AcqRel) == 0 {
            *since = Some(Instant::now());
        }
    }

    /// So many were committed in a group that was closed at `began`: the oldest that is left came later.
    pub(crate) fn done(&self, rows: usize, began: Instant) {
        let mut since = self.since.lock();
        let before = self.rows.fetch_sub(rows, Ordering::AcqRel);
        *since = (before > rows).then_some(began);
    }

    /// So many were given up with their callers told. Those that are left have waited all the while.
    pub(crate) fn given_up(&self, rows: usize) {
        let mut since = self.since.lock();
        if self.rows.fetch_sub(rows, Ordering::AcqRel) == rows {
            *since = None;
        }
    }

    /// How many, and since when at the latest.
    pub(crate) fn now(&self) -> (usize, Duration) {
        let since = self.since.lock().map_or(Duration::ZERO, |since| since.elapsed());
        (self.rows.load(Ordering::Acquire), since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_wait_until_they_are_done() {
        let waiting = Waiting::default();
        assert_eq!(waiting.now(), (0, Duration::ZERO));
        waiting.queued();
        waiting.queued();
        std::thread::sleep(Duration::from_millis(2));
        let (rows, lag) = waiting.now();
        assert!(rows == 2 && lag >= Duration::from_millis(2));
        let began = Instant::now();
        waiting.queued();
        std::thread::sleep(Duration::from_millis(2));
        waiting.given_up(1);
        assert!(
            waiting.now().1 >= lag + Duration::from_millis(2),
            "who is left waited all the while"
        );
        waiting.done(1, began);
        let (rows, left) = waiting.now();
        assert!(rows == 1 && left >= Duration::from_millis(2) && left < waiting.now().1 + lag);
        waiting.done(1, began);
        assert_eq!(waiting.now(), (0, Duration::ZERO));
    }
}
