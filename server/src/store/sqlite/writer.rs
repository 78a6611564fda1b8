//! The one thread that writes, with group commit (design.md D21).
//!
//! Work and audit rows are queued by any task. The thread takes whatever is queued, runs each piece of work
//! inside its own SAVEPOINT of one transaction, commits once, then answers everyone. It waits for more
//! only while nobody waits for it: audit rows of reads are committed at the latest when the oldest is
//! `audit_linger` old.

use std::{
    collections::VecDeque,
    future::Future,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{SqliteConnection, lookups::Lookups};
use crate::{
    store::{
        Engine, Health, Session, StoreError, StoreSettings, Topic, audit::SealedAudit, changes::Changes,
        work::Work,
    },
    vocabulary::{Clock, TenantId},
};

/// Most pieces of work in one commit: bounds how long the first of them waits for the last.
const MOST_WORK: usize = 256;
/// Most audit rows in one commit, for the same reason; some 15 ms of inserting.
const MOST_ROWS: usize = 2048;
/// How often a store that cannot write tries again while nobody asks it to.
const PROBE: Duration = Duration::from_millis(500);
/// Work that waits for anything else would hold up every writer.
const WAITED: StoreError = StoreError::Work("awaited something other than its transaction");

/// A piece of work and who waits for it.
struct Piece {
    work: Option<Work>,
    /// What became of it: whether its effects are kept, or why it did not run to its end.
    result: Result<bool, StoreError>,
    reply: oneshot::Sender<Result<(), StoreError>>,
    _slot: OwnedSemaphorePermit,
}

impl Piece {
    /// Runs it in the session. `true`: keep its effects.
    fn run(&mut self, session: &mut Session) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let ran = std::panic::catch_unwind(AssertUnwindSafe(|| finish_now(work(session))));
        let result = match ran {
            Ok(Some(keep)) => Ok(keep),
            Ok(None) => Err(WAITED),
            Err(_) => Err(StoreError::Work("panicked")),
        };
        // A failed statement undoes its transaction even if the work looked away (see `Session`).
        self.result = match (result, session.take_failure()) {
            (Ok(true), Some(failure)) => Err(failure),
            (result, _) => result,
        };
        matches!(self.result, Ok(true))
    }

    /// Answers whoever waits; `group` says whether the commit took place. Work that failed by an error of its own has left
    /// that to its caller, whatever became of the group.
    fn answer(self, group: Result<(), StoreError>) {
        let answer = match (self.result, group) {
            (Err(own), _) => Err(own),
            (Ok(true), group) => group,
            (Ok(false), _) => Ok(()),
        };
        // The asker may have gone; what was committed stays committed.
        let _ = self.reply.send(answer);
    }
}

/// Drives a future that waits for nothing. `None`: it did wait, which would have stopped every writer.
pub(super) fn finish_now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

struct Row {
    tenant: TenantId,
    row: SealedAudit,
    reply: Option<oneshot::Sender<Result<(), StoreError>>>,
}

#[derive(Default)]
struct State {
    work: VecDeque<Piece>,
    rows: VecDeque<Row>,
    /// When the oldest row that nobody waits for was queued.
    oldest: Option<Instant>,
    /// Rows that are being committed now, and when the oldest of them was queued.
    taken: (usize, Option<Instant>),
    /// Somebody waits for a row or a flush.
    hurry: bool,
    /// Each is answered once every row queued before it is committed.
    flushes: Vec<oneshot::Sender<Result<(), StoreError>>>,
    closed: bool,
}

/// What the rest of the server queues for the writer thread.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    work_slots: Arc<Semaphore>,
    row_slots: Semaphore,
    linger: Duration,
}

impl Queue {
    pub(super) fn new(settings: &StoreSettings) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            work_slots: Arc::new(Semaphore::new(settings.work_queue)),
            row_slots: Semaphore::new(settings.audit_queue),
            linger: settings.audit_linger,
        }
    }

    pub(super) async fn write(&self, work: Work) -> Result<(), StoreError> {
        let Ok(slot) = Arc::clone(&self.work_slots).acquire_owned().await else {
            return Err(StoreError::Closed);
        };
        let (reply, answered) = oneshot::channel();
        let piece = Piece {
            work: Some(work),
            result: Err(StoreError::Work("was never run")),
            reply,
            _slot: slot,
        };
        self.queue(|state| state.work.push_back(piece))?;
        self.wake.notify_one();
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    fn queue(&self, push: impl FnOnce(&mut State)) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(StoreError::Closed);
        }
        push(&mut state);
        Ok(())
    }

    /// Returns once the row is queued.
    pub(super) async fn append(&self, tenant: TenantId, row: SealedAudit) -> Result<(), StoreError> {
        self.row_slots
            .acquire()
            .await
            .map_err(|_| StoreError::Closed)?
            .forget();
        let mut first = false;
        self.queue(|state| {
            state.rows.push_back(Row {
                tenant,
                row,
                reply: None,
            });
            // While a row lingers already, the thread wakes by itself; only a full group is worth a call.
            first = state.oldest.is_none() || state.rows.len() == MOST_ROWS;
            state.oldest.get_or_insert_with(Instant::now);
        })?;
        if first {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Returns once the row is committed.
    pub(super) async fn append_durable(&self, tenant: TenantId, row: SealedAudit) -> Result<(), StoreError> {
        self.row_slots
            .acquire()
            .await
            .map_err(|_| StoreError::Closed)?
            .forget();
        let (reply, answered) = oneshot::channel();
        self.queue(|state| {
            state.rows.push_back(Row {
                tenant,
                row,
                reply: Some(reply),
            });
            state.hurry = true;
        })?;
        self.wake.notify_one();
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Returns once every row queued before is committed.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let (reply, answered) = oneshot::channel();
        self.queue(|state| {
            state.flushes.push(reply);
            state.hurry = true;
        })?;
        self.wake.notify_one();
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Writes that wait; rows of the call log that wait, and for how long.
    pub(super) fn waiting(&self) -> (usize, (usize, Duration)) {
        let state = self.state.lock();
        let (taken, since) = state.taken;
        let oldest = since.or(state.oldest);
        let lag = oldest.map_or(Duration::ZERO, |since| since.elapsed());
        (state.work.len(), (state.rows.len() + taken, lag))
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.work_slots.close();
        self.wake.notify_all();
    }

    /// Waits until a group should be committed and takes it. `None`: closed and empty.
    fn next(&self, healthy: bool) -> Option<Group> {
        let mut state = self.state.lock();
        loop {
            let waited = state.oldest.map(|since| since.elapsed());
            let due = waited.is_some_and(|waited| waited >= self.linger) || state.rows.len() >= MOST_ROWS;
            if !state.work.is_empty() || state.hurry || state.closed || due {
                break;
            }
            let timeout = match (waited, healthy) {
                (Some(waited), _) => Some(self.linger.saturating_sub(waited)),
                (None, false) => Some(PROBE),
                (None, true) => None,
            };
            match timeout {
                Some(timeout) => {
                    let over = self.wake.wait_for(&mut state, timeout).timed_out();
                    if over && !healthy && state.oldest.is_none() {
                        break; // Nothing asked; the empty group probes.
                    }
                }
                None => self.wake.wait(&mut state),
            }
        }
        let work: Vec<_> = {
            let most = state.work.len().min(MOST_WORK);
            state.work.drain(..most).collect()
        };
        let rows: Vec<_> = {
            let most = state.rows.len().min(MOST_ROWS);
            state.rows.drain(..most).collect()
        };
        let flushes = if state.rows.is_empty() {
            std::mem::take(&mut state.flushes)
        } else {
            Vec::new()
        };
        let more = !state.rows.is_empty();
        state.taken = (rows.len(), state.oldest);
        state.oldest = if more { state.oldest } else { None };
        state.hurry = more && state.hurry;
        if state.closed && work.is_empty() && rows.is_empty() && flushes.is_empty() {
            return None;
        }
        Some(Group { work, rows, flushes })
    }

    /// Puts rows that could not be committed back in front, for the next attempt.
    fn put_back(&self, rows: Vec<Row>) {
        let mut state = self.state.lock();
        let (_, since) = std::mem::take(&mut state.taken);
        if rows.is_empty() {
            return;
        }
        for row in rows.into_iter().rev() {
            state.rows.push_front(row);
        }
        // They have waited since they were queued, not since the attempt that failed.
        state.oldest = since.or(state.oldest).or_else(|| Some(Instant::now()));
    }
}

struct Group {
    work: Vec<Piece>,
    rows: Vec<Row>,
    flushes: Vec<oneshot::Sender<Result<(), StoreError>>>,
}

/// Who is told of commits.
pub(super) struct Told {
    pub(super) lookups: Arc<Lookups>,
    pub(super) changes: Arc<Changes>,
    pub(super) health: Arc<Health>,
}

/// Starts the thread.
pub(super) fn start(
    connection: SqliteConnection,
    queue: &Arc<Queue>,
    clock: &Clock,
    told: Told,
) -> Result<JoinHandle<()>, StoreError> {
    let mut writer = Writer {
        session: Session::new(Engine::Sqlite(connection), clock.now()),
        queue: Arc::clone(queue),
        clock: clock.clone(),
        told,
    };
    std::thread::Builder::new()
        .name("store-write".into())
        .spawn(move || writer.serve())
        .map_err(|e| StoreError::Io {
            detail: e.to_string(),
        })
}

struct Writer {
    session: Session,
    queue: Arc<Queue>,
    clock: Clock,
    told: Told,
}

impl Writer {
    fn serve(&mut self) {
        while let Some(mut group) = self.queue.next(self.told.health.is_good()) {
            let mut raised = Vec::new();
            let outcome = self.commit(&mut group, &mut raised);
            match &outcome {
                Ok(()) => {
                    self.told.lookups.committed();
                    self.told.health.good();
                }
                Err(error) => self.told.health.bad(error),
            }
            for (topic, version) in raised {
                self.told.changes.tell(topic, version);
            }
            for piece in group.work {
                piece.answer(outcome.clone());
            }
            let (mut kept, mut free, mut lost) = (Vec::new(), 0, 0_u32);
            for row in group.rows {
                match (row.reply, &outcome) {
                    // Nobody waits for it and its call was answered: it must not be lost.
                    (None, Err(_)) if !self.is_closing() => kept.push(Row { reply: None, ..row }),
                    (reply, outcome) => {
                        free += 1;
                        match reply {
                            // The asker may have gone.
                            Some(reply) => drop(reply.send(outcome.clone())),
                            None if outcome.is_err() => lost += 1,
                            None => {}
                        }
                    }
                }
            }
            if lost > 0 {
                tracing::error!(
                    rows = lost,
                    "closed the store without being able to commit audit rows"
                );
            }
            self.queue.put_back(kept);
            self.queue.row_slots.add_permits(free);
            for flush in group.flushes {
                let _ = flush.send(outcome.clone());
            }
            if outcome.is_err() {
                // A failing disk is not asked in a tight loop.
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn is_closing(&self) -> bool {
        self.queue.state.lock().closed
    }

    fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        match &mut self.session.engine {
            Engine::Sqlite(connection) => Ok(connection),
            Engine::Postgres(_) => Err(StoreError::Work("runs on the wrong engine")),
        }
    }

    /// One physical transaction.
    fn commit(&mut self, group: &mut Group, raised: &mut Vec<(Topic, i64)>) -> Result<(), StoreError> {
        let outcome = self.try_commit(group, raised);
        self.session.later.clear();
        let connection = self.connection()?;
        connection.forget();
        if outcome.is_err() {
            raised.clear();
            if !connection.raw.is_autocommit() {
                connection.execute("ROLLBACK", &[])?;
            }
        }
        outcome
    }

    fn try_commit(&mut self, group: &mut Group, raised: &mut Vec<(Topic, i64)>) -> Result<(), StoreError> {
        // IMMEDIATE: the lock is taken before anything is read, so no work has to be undone for a lock.
        self.connection()?.execute("BEGIN IMMEDIATE", &[])?;
        self.connection()?
            .append(group.rows.iter().map(|row| (&row.tenant, &row.row)))?;
        let alone = group.work.len() == 1;
        for piece in &mut group.work {
            if !self.run_piece(piece, alone, raised)? && alone {
                self.connection()?.execute("ROLLBACK", &[])?;
                self.connection()?.forget();
                self.connection()?.execute("BEGIN IMMEDIATE", &[])?;
                self.connection()?
                    .append(group.rows.iter().map(|row| (&row.tenant, &row.row)))?;
            }
        }
        finish_now(self.session.index_now()).unwrap_or(Err(WAITED))?;
        if group.work.is_empty() && group.rows.is_empty() && !self.told.health.is_good() {
            // A probe must really write: a full disk lets an empty transaction commit.
            const PROBE_WRITE: &str = "INSERT INTO changes (topic, counter) VALUES ('probe', 1)
                ON CONFLICT (topic) DO UPDATE SET counter = changes.counter + 1";
            self.connection()?.execute(PROBE_WRITE, &[])?;
        }
        let connection = self.connection()?;
        connection.save_heads()?;
        connection.execute("COMMIT", &[])?;
        Ok(())
    }

    /// Runs one piece of work between SAVEPOINT and RELEASE, or without them when it is alone in its group, whose rows are
    /// then easily written a second time. An error from here fails the whole group; the work's own error does not.
    /// `true`: its effects are kept.
    fn run_piece(
        &mut self,
        piece: &mut Piece,
        alone: bool,
        raised: &mut Vec<(Topic, i64)>,
    ) -> Result<bool, StoreError> {
        self.session.reset(self.clock.now());
        if !alone {
            self.connection()?.execute("SAVEPOINT piece", &[])?;
        }
        self.session.later.begin();
        let keep = piece.run(&mut self.session);
        self.session.later.end(keep);
        if keep {
            finish_now(self.session.append_changes()).unwrap_or(Err(WAITED))?;
        }
        // A full disk or a failing one ends SQLite's transaction, and with it everybody's work.
        if self.connection()?.raw.is_autocommit() {
            return Err(self.session.take_failure().unwrap_or(StoreError::DiskFull));
        }
        if keep {
            let rows = std::mem::take(&mut self.session.audits);
            self.connection()?
                .append(rows.iter().map(|(tenant, row)| (tenant, row)))?;
            raised.append(&mut self.session.raised);
        }
        if !alone {
            if !keep {
                self.connection()?.execute("ROLLBACK TO piece", &[])?;
            }
            self.connection()?.execute("RELEASE piece", &[])?;
        }
        Ok(keep)
    }
}
