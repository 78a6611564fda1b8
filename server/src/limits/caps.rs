//! Monthly caps: exactly so many calls pass, over any number of processes, and hardly any of them asks the store.
//!
//! A [`Budget`] holds calls that the store's counter has spent in advance (see [`crate::store::Caps`]). A call takes
//! one as a [`Reservation`], spends it when it is let through to its handler, and brings it back when a later room
//! refuses. Only when none is left the counter is asked, by one task for all who wait. Near the cap the counter hands
//! out no more than what waits, and asks other processes to bring back what stands idle with them; so nobody is told
//! that the cap is reached while a call of it is left.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{CapError, Month, OverLimit};
use crate::{
    store::{CapAsk, CapGrant, Store, StoreError},
    vocabulary::{TenantId, Timestamp},
};

/// Fewest and most calls taken in advance. The least keeps a slow key from one commit a call; the most covers what one
/// process can serve while it asks for more.
const BLOCKS: (u64, u64) = (16, 1024);
/// A block that lasts less than this was too small, one that lasts longer than a hundred times this too large.
const BLOCK_LASTS: Duration = Duration::from_millis(100);
/// How long calls wait for what other processes hold. They answer a recall within milliseconds; only one that was
/// killed lets anybody wait so long.
const RECALL: Duration = Duration::from_secs(2);
/// How long a reached cap is taken for reached without asking again.
const CLOSED: Duration = Duration::from_secs(1);
/// A process that has not spoken for so long is taken for dead: nobody waits for its calls any more.
const LEASE_MS: i64 = 60_000;
/// How often a process says that it still holds calls.
pub(super) const RENEW: Duration = Duration::from_secs(15);
/// Calls that nobody made use of for so long go back.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// How much of a month's calls is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Calls made, those included that other processes may still make.
    pub used: u64,
    /// Calls that pass in the month.
    pub cap: u64,
    /// The month.
    pub month: Month,
}

impl Usage {
    /// Whether people should hear of it: from 90 % on.
    pub fn is_near(&self) -> bool {
        self.used.saturating_mul(10) >= self.cap.saturating_mul(9)
    }

    /// What they hear.
    pub fn warning(&self) -> String {
        format!(
            "{} of {} calls of this month are used; the cap resets {}",
            self.used,
            self.cap,
            self.month.resets()
        )
    }
}

/// The calls of one counter: a key's, or those that a tenant's keys share.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) tenant: TenantId,
    /// The counter.
    pub(super) name: String,
    holder: Arc<str>,
    store: Store,
    state: Mutex<State>,
    /// Something came back, or the counter answered.
    changed: Notify,
    /// One exchange with the counter at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    month: Month,
    cap: u64,
    /// Calls that may be made without asking.
    held: u64,
    /// Calls under way that may still come back.
    pending: u64,
    /// Callers who wait for one.
    waiting: u64,
    /// The counter as it was last heard of.
    used: u64,
    /// What is asked for next, when it differs from the above.
    wanted: (u64, Month),
    /// A task is asking.
    asking: bool,
    /// Until when the cap is reached without asking.
    closed: Option<Instant>,
    /// How often the counter was asked, and how the last time failed.
    asked: u64,
    failure: Option<StoreError>,
    /// The last grant, its moment, and what is asked for in advance.
    granted: u64,
    granted_at: Instant,
    block: u64,
    used_at: Instant,
}

/// What came of an attempt to take a call.
enum Taken {
    Yes { ask: bool },
    Reached,
    Wait { ask: bool },
}

impl State {
    fn take(&mut self, cap: u64, now: Timestamp, at: Instant) -> Taken {
        if !self.month.contains(now) || self.cap != cap {
            self.wanted = (cap, Month::of(now));
            return Taken::Wait { ask: true };
        }
        if let Some(left) = self.held.checked_sub(1) {
            self.held = left;
            self.pending += 1;
            self.used_at = at;
            // More is fetched while half of the last block lasts. A small grant says that the cap is near.
            let ask = self.granted >= BLOCKS.0 && self.held * 2 < self.granted;
            return Taken::Yes { ask };
        }
        if self.closed.is_some_and(|until| at < until) {
            // A call under way may yet come back, and then this one passes.
            return match self.pending {
                0 => Taken::Reached,
                _ => Taken::Wait { ask: false },
            };
        }
        Taken::Wait { ask: true }
    }

    fn usage(&self) -> Usage {
        Usage {
            used: self.used.saturating_sub(self.held),
            cap: self.cap,
            month: self.month,
        }
    }
}

impl Budget {
    pub(super) fn new(tenant: TenantId, name: String, holder: Arc<str>, store: Store) -> Self {
        let nothing = Month {
            from: Timestamp(0),
            until: Timestamp(0),
        };
        let now = Instant::now();
        Self {
            tenant,
            name,
            holder,
            store,
            state: Mutex::new(State {
                month: nothing,
                cap: 0,
                held: 0,
                pending: 0,
                waiting: 0,
                used: 0,
                wanted: (0, nothing),
                asking: false,
                closed: None,
                asked: 0,
                failure: None,
                granted: 0,
                granted_at: now,
                block: BLOCKS.0,
                used_at: now,
            }),
            changed: Notify::new(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Takes one call out of `cap`, waiting for the counter where need be.
    ///
    /// # Errors
    /// When the cap is reached, or when the counter cannot be asked: then nothing passes.
    pub(super) async fn take(self: &Arc<Self>, cap: u64, now: Timestamp) -> Result<Reservation, CapError> {
        let mut waiter: Option<Waiter> = None;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no notice is missed.
            changed.as_mut().enable();
            {
                let mut state = self.state.lock();
                if let Some(waiter) = &waiter
                    && state.asked > waiter.asked
                    && let Some(failure) = &state.failure
                {
                    return Err(CapError::Store(failure.clone()));
                }
                let taken = state.take(cap, now, Instant::now());
                let ask = match taken {
                    Taken::Yes { ask } | Taken::Wait { ask } => ask && !state.asking,
                    Taken::Reached => false,
                };
                if ask {
                    state.asking = true;
                    tokio::spawn(Arc::clone(self).ask());
                }
                match taken {
                    Taken::Yes { .. } => return Ok(Reservation::new(self, state.month)),
                    Taken::Reached => return Err(reached(&state, now)),
                    Taken::Wait { .. } if waiter.is_none() => {
                        state.waiting += 1;
                        waiter = Some(Waiter {
                            budget: Arc::clone(self),
                            asked: state.asked,
                        });
                    }
                    Taken::Wait { .. } => {}
                }
            }
            changed.await;
        }
    }

    /// Asks the counter for more, and other processes through it, for everybody who waits.
    async fn ask(self: Arc<Self>) {
        let give_up = Instant::now() + RECALL;
        let mut pause = Duration::from_millis(2);
        let mut answer = self.exchange(false).await;
        while let Ok((_, grant)) = &answer
            && grant.elsewhere
            && Instant::now() < give_up
            && self.state.lock().waiting > 0
        {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(80));
            answer = self.exchange(false).await;
        }
        let mut state = self.state.lock();
        state.asking = false;
        state.asked += 1;
        match answer {
            Ok((waited, grant)) => {
                state.failure = None;
                // Asked in advance, nothing was given because little is left; that is not nothing.
                if waited && grant.calls == 0 && state.held == 0 {
                    state.closed = Some(Instant::now() + CLOSED);
                }
            }
            Err(error) => state.failure = Some(error),
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// One exchange with the counter: brings back what is not needed, and takes what is asked for unless `leaving`.
    /// Says with the answer whether calls waited for it.
    async fn exchange(&self, leaving: bool) -> Result<(bool, CapGrant), StoreError> {
        let _turn = self.turn.lock().await;
        let old = {
            let mut state = self.state.lock();
            let (_, month) = state.wanted;
            (state.month != month && !leaving).then(|| {
                let unspent = std::mem::take(&mut state.held);
                let ask = self.word(&state, unspent, 0);
                (state.month, state.used, state.granted) = (month, 0, 0);
                ask
            })
        };
        // What was taken out above is not put back on an error: it is lost rather than spent twice.
        if let Some(old) = old.filter(|old| old.unspent > 0) {
            self.settle(old).await?;
        }
        let ask = {
            let mut state = self.state.lock();
            let (cap, _) = state.wanted;
            let unspent = if leaving || state.cap != cap {
                std::mem::take(&mut state.held)
            } else {
                0
            };
            if !leaving {
                state.cap = cap;
            }
            let mut ask = self.word(&state, unspent, state.held + state.pending);
            if !leaving {
                ask.waiting = state.waiting.saturating_sub(state.held);
                ask.block = state.block;
            }
            ask
        };
        let waited = ask.waiting > 0;
        let grant = self.settle(ask).await?;
        let mut state = self.state.lock();
        state.held += grant.calls;
        state.used = grant.used;
        if grant.calls > 0 {
            state.closed = None;
            let lasted = state.granted_at.elapsed();
            if lasted < BLOCK_LASTS {
                state.block = (state.block * 2).min(BLOCKS.1);
            } else if lasted > BLOCK_LASTS * 100 {
                state.block = (state.block / 2).max(BLOCKS.0);
            }
            state.granted_at = Instant::now();
        }
        state.granted = grant.calls;
        Ok((waited, grant))
    }

    fn word(&self, state: &State, unspent: u64, kept: u64) -> CapAsk {
        CapAsk {
            name: self.name.clone(),
            period: state.month.name(),
            holder: self.holder.to_string(),
            unspent,
            kept,
            waiting: 0,
            block: 0,
            cap: state.cap,
            expires_at: self.store.clock().now().plus_millis(LEASE_MS),
        }
    }

    async fn settle(&self, ask: CapAsk) -> Result<CapGrant, StoreError> {
        self.store
            .write(&self.tenant, move |tx| {
                Box::pin(async move { tx.caps().settle(&ask).await })
            })
            .await
    }

    /// Brings back every call that is not under way, waiting a moment for those that are.
    pub(super) async fn bring_back(&self) -> Result<(), StoreError> {
        let give_up = Instant::now() + RECALL;
        loop {
            if self.state.lock().month.until == Timestamp(0) {
                return Ok(());
            }
            self.exchange(true).await?;
            self.changed.notify_waiters();
            let rest = {
                let state = self.state.lock();
                // Whoever waits has asked anew meanwhile, and what it holds now is needed here.
                state.pending + state.held > 0 && state.waiting == 0
            };
            if !rest || Instant::now() >= give_up {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Keeps the lease alive, or lets it go when nobody made use of it.
    pub(super) async fn renew(&self) -> Result<(), StoreError> {
        let (holds, idle, due) = {
            let state = self.state.lock();
            let holds = state.held + state.pending > 0;
            (
                holds,
                state.used_at.elapsed() >= IDLE,
                state.granted_at.elapsed() >= RENEW,
            )
        };
        match (holds, idle, due) {
            (true, true, _) => self.bring_back().await,
            (true, false, true) => {
                let _turn = self.turn.lock().await;
                let ask = {
                    let state = self.state.lock();
                    self.word(&state, 0, state.held + state.pending)
                };
                self.settle(ask).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Whether nothing of it would be missed.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        state.held + state.pending + state.waiting == 0 && state.used_at.elapsed() >= IDLE
    }

    /// How much of the month's calls is used, when the counter was asked this month.
    pub(super) fn usage(&self, now: Timestamp) -> Option<Usage> {
        let state = self.state.lock();
        state.month.contains(now).then(|| state.usage())
    }

    /// Calls that this process holds and has not made.
    pub(super) fn unspent(&self, now: Timestamp) -> u64 {
        let state = self.state.lock();
        if state.month.contains(now) { state.held } else { 0 }
    }

    fn settled(&self, month: Month, came_back: bool) {
        let mut state = self.state.lock();
        state.pending = state.pending.saturating_sub(1);
        // A call of a month that is over belongs to that month.
        let came_back = came_back && state.month == month;
        if came_back {
            state.held += 1;
        }
        let tell = state.waiting > 0 && (came_back || state.pending == 0);
        drop(state);
        if tell {
            self.changed.notify_waiters();
        }
    }
}

fn reached(state: &State, now: Timestamp) -> CapError {
    let wait = state.month.until.0.saturating_sub(now.0).max(0);
    CapError::Over(OverLimit::Cap {
        cap: state.cap,
        resets: state.month.resets(),
        retry_after: Duration::from_millis(wait.unsigned_abs()),
    })
}

/// Somebody who waits for a call, counted until they are gone.
struct Waiter {
    budget: Arc<Budget>,
    asked: u64,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut state = self.budget.state.lock();
        state.waiting = state.waiting.saturating_sub(1);
    }
}

/// One call of a month. Dropped, it goes back: the call was refused in a later room.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Budget>,
    month: Month,
    spent: bool,
}

impl Reservation {
    fn new(budget: &Arc<Budget>, month: Month) -> Self {
        Self {
            budget: Arc::clone(budget),
            month,
            spent: false,
        }
    }

    /// The call passes: it is made, whatever comes of it.
    pub(super) fn spend(mut self) {
        self.spent = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.settled(self.month, !self.spent);
    }
}
