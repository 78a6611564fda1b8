//! The embedded engine: one SQLite file in WAL mode, one writer thread, a few reading threads.
//!
//! Other processes may have the same file open (the command line beside a running server). So nothing
//! they could change is kept in memory from one transaction to the next.

mod connection;
mod counts;
mod lookups;
pub(in crate::store) mod open;
mod readers;
mod watch;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

pub(crate) use connection::SqliteConnection;
use counts::WordCounts;

use super::{Health, StoreError, StoreSettings, audit::SealedAudit, changes::Changes, work::Work};
use crate::vocabulary::{Clock, TenantId};

/// A running engine. Dropping it commits what is queued and ends its threads.
pub(crate) struct SqliteEngine {
    path: PathBuf,
    writer: Arc<writer::Queue>,
    readers: readers::Readers,
    lookups: Arc<lookups::Lookups>,
    clock: Clock,
    changes: Arc<Changes>,
    /// The writer's thread comes last, so that it is the last to close its connection: that one folds the
    /// write-ahead log into the file, which is whole by itself then.
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    watch: Mutex<Option<watch::Stop>>,
}

impl SqliteEngine {
    /// Opens the file, migrates it and starts the threads. Blocks; called on a blocking thread.
    pub(crate) fn open(
        path: &Path,
        settings: &StoreSettings,
        clock: &Clock,
        health: &Arc<Health>,
    ) -> Result<Self, StoreError> {
        let connection = open::open(path, settings)?;
        let counters = connection.counters()?;
        let changes = Arc::new(Changes::new(
            counters
                .into_iter()
                .filter_map(|(word, n)| Some((super::Topic::parse(&word)?, n))),
        ));
        let writer = Arc::new(writer::Queue::new(settings));
        let mut threads = Vec::new();
        let counts = Arc::default();
        let readers = readers::Readers::start(path, settings, clock, &counts, &mut threads)?;
        let lookups = Arc::new(lookups::Lookups::open(path, settings, clock, &counts)?);
        let (stop, watcher) = watch::start(
            open::connect(path, settings, open::Role::Reader)?,
            &changes,
            &lookups,
            settings,
        )?;
        threads.push(watcher);
        let told = writer::Told {
            lookups: Arc::clone(&lookups),
            changes: Arc::clone(&changes),
            health: Arc::clone(health),
        };
        threads.push(writer::start(connection, &writer, clock, told)?);
        Ok(Self {
            path: path.to_owned(),
            writer,
            readers,
            lookups,
            clock: clock.clone(),
            changes,
            threads: Mutex::new(threads),
            watch: Mutex::new(Some(stop)),
        })
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Runs `work` on the writer thread and resolves after its group's commit.
    pub(crate) async fn write(&self, work: Work) -> Result<(), StoreError> {
        self.writer.write(work).await
    }

    /// Runs `work` on a reading thread, on one snapshot.
    pub(crate) async fn read(&self, work: Work) -> Result<(), StoreError> {
        self.readers.read(work).await
    }

    /// The same for work that reads a few rows by their keys: on this thread, where a connection is free.
    pub(crate) async fn lookup(&self, work: Work) -> Result<(), StoreError> {
        match self.lookups.run(work, self.clock.now()) {
            Ok(done) => done,
            // Every connection is in use: a reading thread answers.
            Err(work) => self.readers.read(work).await,
        }
    }

    pub(crate) async fn append(&self, tenant: TenantId, row: SealedAudit) -> Result<(), StoreError> {
        self.writer.append(tenant, row).await
    }

    pub(crate) async fn append_durable(&self, tenant: TenantId, row: SealedAudit) -> Result<(), StoreError> {
        self.writer.append_durable(tenant, row).await
    }

    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        self.writer.flush().await
    }

    /// Copies the database into a new file while others go on reading and writing. Blocks.
    pub(crate) fn backup(&self, to: &Path) -> Result<(), StoreError> {
        open::backup(&self.path, to)
    }

    /// Writes that wait; rows of the call log that wait, and for how long.
    pub(crate) fn waiting(&self) -> (usize, (usize, std::time::Duration)) {
        self.writer.waiting()
    }

    /// Commits what is queued and ends the threads. Blocks.
    pub(crate) fn stop(&self) {
        self.readers.close();
        self.lookups.close();
        drop(self.watch.lock().take());
        let mut threads = std::mem::take(&mut *self.threads.lock());
        let writer = threads.pop();
        threads.into_iter().for_each(wait_for);
        self.writer.close();
        writer.into_iter().for_each(wait_for);
    }
}

fn wait_for(thread: std::thread::JoinHandle<()>) {
    // The engine may be dropped by work that runs on one of these threads; it cannot wait for itself.
    if thread.thread().id() != std::thread::current().id() {
        // A panicked thread has told its story already.
        let _ = thread.join();
    }
}

impl Drop for SqliteEngine {
    fn drop(&mut self) {
        self.stop();
    }
}
