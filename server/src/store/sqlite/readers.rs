//! A few threads that answer reads, on connections that cannot write.

use std::{collections::VecDeque, panic::AssertUnwindSafe, path::Path, sync::Arc, thread::JoinHandle};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Semaphore, oneshot};

use super::{
    SqliteConnection, WordCounts,
    open::{Role, connect},
    writer::finish_now,
};
use crate::{
    store::{Engine, Session, StoreError, StoreSettings, work::Work},
    vocabulary::Clock,
};

type Task = Box<dyn FnOnce(&mut Session) + Send>;

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    slots: Arc<Semaphore>,
}

/// The reading threads' queue.
pub(super) struct Readers {
    shared: Arc<Shared>,
}

impl Readers {
    pub(super) fn start(
        path: &Path,
        settings: &StoreSettings,
        clock: &Clock,
        counts: &Arc<WordCounts>,
        threads: &mut Vec<JoinHandle<()>>,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            slots: Arc::new(Semaphore::new(settings.work_queue)),
        });
        for number in 0..settings.readers.max(1) {
            let connection =
                SqliteConnection::new(connect(path, settings, Role::Reader)?, Arc::clone(counts));
            let (shared, clock) = (Arc::clone(&shared), clock.clone());
            let thread = std::thread::Builder::new()
                .name(format!("store-read-{number}"))
                .spawn(move || serve(connection, &shared, &clock))
                .map_err(|e| StoreError::Io {
                    detail: e.to_string(),
                })?;
            threads.push(thread);
        }
        Ok(Self { shared })
    }

    /// Queues `work`, waiting while the queue is full, and gives its answer.
    pub(super) async fn read(&self, work: Work) -> Result<(), StoreError> {
        let Ok(slot) = Arc::clone(&self.shared.slots).acquire_owned().await else {
            return Err(StoreError::Closed);
        };
        let (answer, answered) = oneshot::channel();
        let task: Task = Box::new(move |session| {
            // The asker may have gone; then its answer is dropped. Its place is given back either way.
            let _ = answer.send(on_snapshot(session, work));
            drop(slot);
        });
        {
            let mut state = self.shared.state.lock();
            if state.closed {
                return Err(StoreError::Closed);
            }
            state.tasks.push_back(task);
        }
        self.shared.wake.notify_one();
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) fn close(&self) {
        self.shared.state.lock().closed = true;
        self.shared.slots.close();
        self.shared.wake.notify_all();
    }
}

fn serve(connection: SqliteConnection, shared: &Shared, clock: &Clock) {
    let mut session = Session::new(Engine::Sqlite(connection), clock.now());
    loop {
        let task = {
            let mut state = shared.state.lock();
            loop {
                if let Some(task) = state.tasks.pop_front() {
                    break task;
                }
                if state.closed {
                    return;
                }
                shared.wake.wait(&mut state);
            }
        };
        session.reset(clock.now());
        task(&mut session);
    }
}

fn on_snapshot(session: &mut Session, work: Work) -> Result<(), StoreError> {
    begin_or_end(session, "BEGIN")?;
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| finish_now(work(session))));
    // Nothing was written, so it does not matter how the transaction ends, only that it does.
    begin_or_end(session, "ROLLBACK")?;
    match result {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(StoreError::Work("awaited something other than its transaction")),
        Err(_) => Err(StoreError::Work("panicked")),
    }
}

fn begin_or_end(session: &mut Session, sql: &str) -> Result<(), StoreError> {
    let Engine::Sqlite(connection) = &mut session.engine else {
        return Ok(());
    };
    if sql == "ROLLBACK" && connection.raw.is_autocommit() {
        return Ok(()); // SQLite ended it already, after an I/O error.
    }
    connection.execute(sql, &[]).map(|_| ())
}
