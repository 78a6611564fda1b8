//! The writing side of a pass over one source: what the reader found, in transactions small enough to let
//! other writers in between.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    OnProgress, SourceReport, SyncError, SyncProgress,
    batch::Batch,
    reader::{Found, Reader, Walked},
};
use crate::{
    domain::context::{
        Context, entity_uri,
        scan::ScanError,
        source::{SourceSpec, SourceState, SyncState},
    },
    store::{EntityMark, Store, StoreError},
    vocabulary::TenantId,
};

/// Vanished files that leave the index in one transaction.
const BURIED_AT_ONCE: usize = 32;
/// Files that are cut and wait to be written.
const READ_AHEAD: usize = 64;
/// What the index remembers is read in pages of this many files.
const MARKS_AT_ONCE: u32 = 1_000;
/// How often whoever watches is told.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// How often the state row says that the work goes on, and that words counted before are out of date.
const NOTE_EVERY: Duration = Duration::from_secs(10);
/// A state that was not noted for this long belongs to a pass that died.
pub(in crate::domain::context) const NOTE_LASTS_MS: i64 = 60_000;
/// Problems listed; the rest is a number.
const MOST_ERRORS: usize = 20;

/// A pass over one source.
pub(super) struct Pass<'c> {
    store: &'c Store,
    tenant: &'c TenantId,
    spec: &'c SourceSpec,
    /// Whether to pause after each transaction, so that another process gets at the store. Within one process
    /// the store takes turns by itself.
    polite: bool,
    stop: &'c CancellationToken,
    on_progress: &'c OnProgress,
    root: std::path::PathBuf,
    report: SourceReport,
    more_errors: u64,
    /// Whether chunks changed since it was last noted.
    changed: bool,
    noted: Instant,
    looked_at: Arc<AtomicU64>,
    known: u64,
}

impl<'c> Pass<'c> {
    pub(super) fn new(
        context: &'c Context,
        tenant: &'c TenantId,
        spec: &'c SourceSpec,
        polite: bool,
        stop: &'c CancellationToken,
        on_progress: &'c OnProgress,
    ) -> Self {
        Self {
            store: &context.store,
            tenant,
            spec,
            polite,
            stop,
            on_progress,
            root: spec.root(&context.folder, tenant),
            report: SourceReport {
                source: spec.name.clone(),
                ..SourceReport::default()
            },
            more_errors: 0,
            changed: false,
            noted: Instant::now(),
            looked_at: Arc::default(),
            known: 0,
        }
    }

    /// Brings the index up to the folder; `None` when the source was removed meanwhile.
    pub(super) async fn run(mut self) -> Result<Option<SourceReport>, SyncError> {
        if !self.note(SyncState::Syncing).await? {
            return Ok(None);
        }
        let marks = self.marks().await?;
        self.known = marks.len() as u64;
        let reader = Reader {
            source: self.spec.name.clone(),
            connector: self.spec.connector,
            root: self.root.clone(),
            include: self.spec.config.include.clone(),
            exclude: self.spec.config.exclude.clone(),
            marks,
            looked_at: Arc::clone(&self.looked_at),
        };
        let (found, mut work) = mpsc::channel(READ_AHEAD);
        let walk = tokio::task::spawn_blocking(move || reader.walk(&found));
        // Without a taker the walk ends at what it finds next; a folder that does not answer is not waited for.
        if !self.write_all(&mut work).await? {
            return Ok(None);
        }
        let walked = walk.await.map_err(|_| StoreError::Work("panicked"))?;
        let state = match walked {
            Ok(Some(Walked { vanished })) => {
                if !self.bury(vanished).await? {
                    return Ok(None);
                }
                SyncState::Ok
            }
            Ok(None) => return Err(SyncError::Stopped),
            Err(error) => {
                self.report.errors = vec![told(&error, &self.spec.name)];
                SyncState::Error
            }
        };
        if self.more_errors > 0 {
            let more = format!("and {} more", self.more_errors);
            self.report.errors.push(more);
        }
        if !self.note(state).await? {
            return Ok(None);
        }
        self.tell();
        Ok(Some(self.report))
    }

    async fn marks(&self) -> Result<Vec<EntityMark>, SyncError> {
        let mut marks: Vec<EntityMark> = Vec::new();
        loop {
            let after = marks.last().map(|mark| mark.path.clone()).unwrap_or_default();
            let source = self.spec.name.clone();
            let page = self
                .store
                .read(self.tenant, move |tx| {
                    Box::pin(async move { tx.notes().marks(&source, &after, MARKS_AT_ONCE).await })
                })
                .await?;
            if page.is_empty() {
                return Ok(marks);
            }
            marks.extend(page);
        }
    }

    /// Writes what comes until nothing more does; `false` when the source is gone.
    async fn write_all(&mut self, work: &mut mpsc::Receiver<Found>) -> Result<bool, SyncError> {
        let mut tell = tokio::time::interval(TELL_EVERY);
        tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Batch::default();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(SyncError::Stopped),
                _ = tell.tick() => self.tell(),
                found = work.recv() => {
                    match found {
                        Some(Found::Problem(text)) => self.problem(text),
                        Some(found) => batch.push(found),
                        None => return self.commit(&mut batch).await,
                    }
                    if batch.is_full() && !self.commit(&mut batch).await? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    async fn commit(&mut self, batch: &mut Batch) -> Result<bool, SyncError> {
        if batch.is_empty() {
            return Ok(true);
        }
        let began = Instant::now();
        let Some(written) = batch.commit(self.store, self.tenant, &self.spec.name).await? else {
            return Ok(false);
        };
        if self.polite {
            tokio::time::sleep(began.elapsed() / 2).await;
        }
        self.report.added += written.added;
        self.report.updated += written.updated;
        self.changed |= written.added + written.updated > 0;
        self.note_if_due().await
    }

    async fn bury(&mut self, vanished: Vec<String>) -> Result<bool, SyncError> {
        for some in vanished.chunks(BURIED_AT_ONCE) {
            if self.stop.is_cancelled() {
                return Err(SyncError::Stopped);
            }
            let some = some.to_vec();
            let buried = self
                .store
                .write(self.tenant, move |tx| {
                    Box::pin(async move {
                        let mut buried = 0_u64;
                        for id in &some {
                            buried += u64::from(tx.notes().bury(id).await?);
                            tx.resources().touch(&entity_uri(id)).await?;
                        }
                        Ok::<_, StoreError>(buried)
                    })
                })
                .await?;
            self.report.removed += buried;
            self.changed |= buried > 0;
            if !self.note_if_due().await? {
                return Ok(false);
            }
            self.tell();
        }
        Ok(true)
    }

    async fn note_if_due(&mut self) -> Result<bool, SyncError> {
        if self.noted.elapsed() < NOTE_EVERY {
            return Ok(true);
        }
        self.note(SyncState::Syncing).await
    }

    /// Writes the state row; `false` when the source is gone.
    async fn note(&mut self, state: SyncState) -> Result<bool, SyncError> {
        let changed = std::mem::take(&mut self.changed);
        self.noted = Instant::now();
        let (name, errors) = (self.spec.name.clone(), self.report.errors.clone());
        let noted = self
            .store
            .write(self.tenant, move |tx| {
                Box::pin(async move {
                    let Some(before) = tx.notes().find_source(&name).await?.and_then(SourceSpec::of) else {
                        return Ok(false);
                    };
                    let before = before.state;
                    let next = SourceState {
                        state,
                        last_sync: if state == SyncState::Ok {
                            Some(tx.now())
                        } else {
                            before.last_sync
                        },
                        // While it goes on, what the last one said still stands.
                        errors: if state == SyncState::Syncing {
                            before.errors
                        } else {
                            errors
                        },
                        generation: before.generation + u64::from(changed),
                    };
                    let next = serde_json::to_value(&next)
                        .map_err(|_| StoreError::Work("wrote a state that has no JSON form"))?;
                    tx.notes().set_source_state(&name, &next).await
                })
            })
            .await?;
        Ok(noted)
    }

    fn problem(&mut self, text: String) {
        if self.report.errors.len() < MOST_ERRORS {
            self.report.errors.push(text);
        } else {
            self.more_errors += 1;
        }
    }

    fn tell(&self) {
        (self.on_progress)(&SyncProgress {
            report: self.report.clone(),
            files: self.looked_at.load(Ordering::Relaxed),
            known: self.known,
            waiting: false,
        });
    }
}

/// Why the folder as a whole could not be read, without saying where it is: callers of tools read this.
fn told(error: &ScanError, source: &str) -> String {
    let fix = format!("bring it back, or remove the source with `footbridge-server source remove {source}`");
    match error {
        ScanError::Glob { glob, .. } => format!("the glob `{glob}` cannot be read; add the source anew"),
        ScanError::Missing { .. } => {
            format!("the folder does not exist; nothing was removed from the index; {fix}")
        }
        ScanError::NotAFolder { .. } => format!("what should be the folder is a file; {fix}"),
        ScanError::Unreadable { source: error, .. } => format!(
            "the folder cannot be read ({}); let the server's user read it",
            error.kind()
        ),
    }
}
