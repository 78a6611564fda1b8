//! Time limits that cost a call nothing.
//!
//! A timer of the runtime that is set earlier than all others wakes the reactor, which is two more system calls for each
//! limit of each call. Limits here are entries in a table with one timer behind it; since limits are long and alike, that timer
//! hardly ever has to be set anew.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The limit passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// The table of limits and its timer. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Alarm(Arc<Shared>);

#[derive(Default)]
struct Shared {
    table: Mutex<Table>,
    /// The timer has to be set earlier than it is.
    earlier: Notify,
}

#[derive(Default)]
struct Table {
    /// Who waits, by deadline and number. The timer takes out what is due: an entry that is gone has elapsed.
    waiting: BTreeMap<Key, Waker>,
    numbers: u64,
    /// When the timer goes off. May be earlier than every deadline, never later.
    set_to: Option<Instant>,
}

type Key = (Instant, u64);

/// One entry, taken out when it is dropped.
struct Entry<'a> {
    alarm: &'a Alarm,
    key: Key,
}

impl Alarm {
    /// An empty table, its timer running in the background. Needs the runtime.
    pub(crate) fn start() -> Alarm {
        let alarm = Alarm::default();
        tokio::spawn(alarm.clone().run());
        alarm
    }

    /// Runs `future` for at most `limit`.
    pub(crate) async fn within<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        let mut entry: Option<Entry<'_>> = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            match &entry {
                None => entry = Some(self.add(Instant::now() + limit, cx)),
                Some(entry) if entry.has_elapsed(cx) => return Poll::Ready(Err(Elapsed)),
                Some(_) => {}
            }
            Poll::Pending
        })
        .await
    }

    fn add(&self, deadline: Instant, cx: &Context<'_>) -> Entry<'_> {
        let mut table = self.table();
        table.numbers += 1;
        let key = (deadline, table.numbers);
        table.waiting.insert(key, cx.waker().clone());
        if table.set_to.is_none_or(|set_to| deadline < set_to) {
            self.0.earlier.notify_one();
        }
        Entry { alarm: self, key }
    }

    async fn run(self) {
        loop {
            match self.wake_due() {
                None => self.0.earlier.notified().await,
                Some(next) => {
                    let _ = tokio::time::timeout_at(next, self.0.earlier.notified()).await;
                }
            }
        }
    }

    /// Wakes everyone whose deadline has passed; returns the next one.
    fn wake_due(&self) -> Option<Instant> {
        let mut table = self.table();
        let later = table.waiting.split_off(&(Instant::now(), u64::MAX));
        let due = std::mem::replace(&mut table.waiting, later);
        table.set_to = table
            .waiting
            .first_key_value()
            .map(|((deadline, _), _)| *deadline);
        let next = table.set_to;
        drop(table);
        due.into_values().for_each(Waker::wake);
        next
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry<'_> {
    fn has_elapsed(&self, cx: &Context<'_>) -> bool {
        match self.alarm.table().waiting.get_mut(&self.key) {
            Some(waker) => {
                waker.clone_from(cx.waker());
                false
            }
            None => true,
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.alarm.table().waiting.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(test);
    }

    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn what_ends_in_time_ends_and_leaves_nothing_behind() {
        run(async {
            let alarm = Alarm::start();
            assert_eq!(alarm.within(LONG, async { 7 }).await, Ok(7));
            assert_eq!(alarm.within(LONG, tokio::time::sleep(SHORT)).await, Ok(()));
            assert!(alarm.table().waiting.is_empty());
        });
    }

    #[test]
    fn a_shorter_limit_is_kept_though_a_longer_one_came_first() {
        run(async {
            let alarm = Alarm::start();
            let long = alarm.clone();
            let long = tokio::spawn(async move { long.within(LONG, std::future::pending::<()>()).await });
            tokio::task::yield_now().await;
            for _ in 0..3 {
                assert_eq!(
                    alarm.within(SHORT, std::future::pending::<()>()).await,
                    Err(Elapsed)
                );
            }
            assert!(!long.is_finished());
            assert_eq!(alarm.table().waiting.len(), 1);
        });
    }

    #[test]
    fn limits_hold_within_limits() {
        run(async {
            let alarm = Alarm::start();
            let inner = alarm.within(LONG, std::future::pending::<()>());
            assert_eq!(alarm.within(SHORT, inner).await, Err(Elapsed));
            let inner = alarm.within(SHORT, std::future::pending::<()>());
            assert_eq!(alarm.within(LONG, inner).await, Ok(Err(Elapsed)));
        });
    }
}
