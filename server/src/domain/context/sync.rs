//! Keeps the index true to the folders: which sources, under which lock, with what result.
//!
//! One pass over a source (`pass`) is two sides of a channel. A blocking thread walks the folder, compares
//! stamps and digests with what the index remembers and cuts what changed (`reader`); an asynchronous side
//! writes it in small transactions, so that other writers come in between. The lock row (`lock`) keeps two
//! processes from doing the same work; it protects no data: two passes at once end with the same index,
//! because each transaction looks again at what it is about to change.

use std::{sync::Arc, time::Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Context, source::SourceSpec};
use crate::{domain::DomainError, store::StoreError, vocabulary::TenantId};

mod batch;
mod lock;
mod pass;
mod reader;

use lock::{LOOK_AGAIN, Lock};
pub(super) use pass::NOTE_LASTS_MS;

/// What to do when another synchronisation of the tenant holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// Leave the work to it.
    Skip,
    /// Wait until it has ended.
    Wait,
    /// Begin all the same, without a lock.
    Now,
}

/// What a synchronisation did to one source: an entry of `connectors`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// The source.
    pub source: String,
    /// Files that came into the index.
    pub added: u64,
    /// Files whose content or place changed.
    pub updated: u64,
    /// Files that vanished.
    pub removed: u64,
    /// What could not be read, and why. Paths are below the source's folder.
    pub errors: Vec<String>,
}

/// What a synchronisation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// Source by source, in order of their names.
    pub connectors: Vec<SourceReport>,
    /// How long it took.
    pub duration_ms: u64,
}

/// How a synchronisation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synced {
    /// It was done.
    Done(SyncReport),
    /// Another one holds the lock.
    Skipped,
}

/// How far a synchronisation is.
#[derive(Clone, Debug)]
pub struct SyncProgress {
    /// What was done to the source at hand so far.
    pub report: SourceReport,
    /// Its files looked at so far.
    pub files: u64,
    /// Its files that the index knew before: about as many as there will be, except the first time.
    pub known: u64,
    /// Whether another synchronisation is being waited for.
    pub waiting: bool,
}

/// Is told how far a synchronisation is, a few times a second and after each source.
pub type OnProgress = Arc<dyn Fn(&SyncProgress) + Send + Sync>;

/// Why a synchronisation did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The tenant has no such source.
    #[error("there is no source `{0}`")]
    NoSource(String),
    /// The server stops, or somebody else took the lock over.
    #[error("the synchronisation was stopped before its end; the next one goes on from there")]
    Stopped,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SyncError> for DomainError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::NoSource(name) => Self::not_found("source", name),
            SyncError::Stopped => Self::Conflict(error.to_string()),
            SyncError::Store(error) => Self::Store(error),
        }
    }
}

impl Context {
    /// Reads what changed in one source of a tenant, or in all of them, into the index.
    ///
    /// A folder that cannot be read, or single files, are reported in the result; the other sources go on.
    ///
    /// # Errors
    /// [`SyncError::NoSource`] when there is no source of that name, [`SyncError::Stopped`] when the engine
    /// stops meanwhile, or the store's failure. What was committed before stays.
    pub async fn sync_source(
        &self,
        tenant: &TenantId,
        source: Option<&str>,
        mode: SyncMode,
        on_progress: OnProgress,
    ) -> Result<Synced, SyncError> {
        let began = Instant::now();
        // Asked before the lock: a wrong name is no reason to wait, and `skipped` would be no answer to it.
        self.chosen(tenant, source).await?;
        let stop = self.stopping.child_token();
        let lock = match mode {
            SyncMode::Now => None,
            SyncMode::Skip => match Lock::take(&self.store, tenant, &stop).await? {
                Some(lock) => Some(lock),
                None => return Ok(Synced::Skipped),
            },
            SyncMode::Wait => Some(self.wait_for_lock(tenant, &stop, &on_progress).await?),
        };
        // Whoever waits is a command beside a server that has writes of its own.
        let polite = mode == SyncMode::Wait;
        let done = self.sync_all(tenant, source, polite, &stop, &on_progress).await;
        if let Some(lock) = lock {
            lock.release().await?;
        }
        Ok(Synced::Done(SyncReport {
            connectors: done?,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }))
    }

    async fn wait_for_lock(
        &self,
        tenant: &TenantId,
        stop: &CancellationToken,
        on_progress: &OnProgress,
    ) -> Result<Lock, SyncError> {
        loop {
            if let Some(lock) = Lock::take(&self.store, tenant, stop).await? {
                return Ok(lock);
            }
            on_progress(&SyncProgress {
                report: SourceReport::default(),
                files: 0,
                known: 0,
                waiting: true,
            });
            if stop
                .run_until_cancelled(tokio::time::sleep(LOOK_AGAIN))
                .await
                .is_none()
            {
                return Err(SyncError::Stopped);
            }
        }
    }

    async fn sync_all(
        &self,
        tenant: &TenantId,
        source: Option<&str>,
        polite: bool,
        stop: &CancellationToken,
        on_progress: &OnProgress,
    ) -> Result<Vec<SourceReport>, SyncError> {
        let sources = self.chosen(tenant, source).await?;
        let mut reports = Vec::with_capacity(sources.len());
        for spec in sources {
            // Two passes of one process over one source would read and cut everything twice.
            let place = self.pass_over(tenant, &spec.name);
            let Some(_alone) = stop.run_until_cancelled(place.lock()).await else {
                return Err(SyncError::Stopped);
            };
            let pass = pass::Pass::new(self, tenant, &spec, polite, stop, on_progress);
            // A source that was removed meanwhile has nothing to report.
            reports.extend(pass.run().await?);
        }
        Ok(reports)
    }

    fn pass_over(&self, tenant: &TenantId, source: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut passes = self.passes.lock();
        // Those that nobody holds or waits for are not needed to find each other.
        passes.retain(|_, place| Arc::strong_count(place) > 1);
        Arc::clone(passes.entry((tenant.clone(), source.to_owned())).or_default())
    }

    /// All sources of a tenant, or the one of that name.
    async fn chosen(&self, tenant: &TenantId, source: Option<&str>) -> Result<Vec<SourceSpec>, SyncError> {
        let mut sources = self.sources(tenant).await?;
        if let Some(name) = source {
            sources.retain(|spec| spec.name == name);
            if sources.is_empty() {
                return Err(SyncError::NoSource(name.to_owned()));
            }
        }
        Ok(sources)
    }

    /// The sources of a tenant that this version can read, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sources(&self, tenant: &TenantId) -> Result<Vec<SourceSpec>, StoreError> {
        let rows = self
            .store
            .read(tenant, |tx| Box::pin(async move { tx.notes().sources().await }))
            .await?;
        Ok(rows.into_iter().filter_map(SourceSpec::of).collect())
    }
}
