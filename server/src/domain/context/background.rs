//! What the engine does by itself: synchronises by the clock and on file events, forgets what has expired,
//! counts words. Everything here may happen on several replicas at once; locks and the store decide.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::broadcast::error::RecvError, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Context,
    sync::{SyncError, SyncMode, Synced},
    watch::SourceWatch,
};
use crate::{
    store::{StoreError, Topic},
    vocabulary::TenantId,
};

/// The sync that guarantees, where file events only make it quick (catalogue.md §7.1).
const SYNC_EVERY: Duration = Duration::from_secs(15 * 60);
/// How often expired memories and old tombstones go (catalogue.md §7.1).
const PURGE_EVERY: Duration = Duration::from_secs(60 * 60);
/// Before a source is tried again that another synchronisation held.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How long an entity that vanished is remembered.
const TOMBSTONES_LAST_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Expired memories removed in one transaction.
const PURGED_AT_ONCE: u32 = 200;
/// Entities of a removed source buried in one transaction.
const BURIED_AT_ONCE: u32 = 32;

/// A source of a tenant.
type Name = (TenantId, String);

impl Context {
    /// Runs until `stop`; then ends what is under way and returns.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let counting = tokio::spawn(Arc::clone(&self).count_words());
        Background::new(Arc::clone(&self)).run(&stop).await;
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        counting.abort();
    }

    /// Makes the lexicons that searches asked for, one at a time.
    async fn count_words(self: Arc<Self>) {
        // The second run of one engine has nothing to count for: the first still does it.
        let Some(mut requests) = self.requests.lock().take() else {
            return;
        };
        while let Some(request) = requests.recv().await {
            if let Err(error) = self.lexicons.make(&self.store, &request).await {
                warn!(%error, "failed to count words");
            }
        }
    }

    /// Every tenant's name.
    async fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let tenants = self
            .store
            .system_read(|tx| Box::pin(async move { tx.tenants().list().await }))
            .await?;
        Ok(tenants.into_iter().map(|tenant| tenant.id).collect())
    }

    /// Removes what has expired: memories, tombstones, entities whose source is gone.
    pub(super) async fn purge(&self) -> Result<(), StoreError> {
        self.budget.tidy(self.store.clock().now());
        for tenant in self.tenants().await? {
            loop {
                let purged = self
                    .store
                    .write(&tenant, |tx| {
                        Box::pin(async move { tx.memory().purge_expired(PURGED_AT_ONCE).await })
                    })
                    .await?;
                if purged < PURGED_AT_ONCE as usize {
                    break;
                }
            }
            self.store
                .write(&tenant, |tx| {
                    Box::pin(async move {
                        let before = tx.now().plus_millis(-TOMBSTONES_LAST_MS);
                        tx.notes().purge_tombstones(before).await
                    })
                })
                .await?;
            self.bury_orphans(&tenant).await?;
        }
        Ok(())
    }

    /// Buries the entities of sources that are no more. Removing a source does so at once; this finds what an
    /// interrupted removal left.
    ///
    /// # Errors
    /// When the store fails; what was buried before stays so.
    pub async fn bury_orphans(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let mut buried = 0;
        loop {
            let some = self
                .store
                .write(tenant, |tx| {
                    Box::pin(async move {
                        let sources: BTreeSet<_> = tx
                            .notes()
                            .sources()
                            .await?
                            .into_iter()
                            .map(|source| source.id)
                            .collect();
                        let counts = tx.notes().source_counts().await?;
                        let Some(orphaned) = counts.into_iter().find(|count| !sources.contains(&count.id))
                        else {
                            return Ok(0);
                        };
                        let marks = tx.notes().marks(&orphaned.id, "", BURIED_AT_ONCE).await?;
                        let mut buried = 0_u64;
                        for mark in &marks {
                            buried += u64::from(tx.notes().bury(&mark.id).await?);
                        }
                        Ok::<_, StoreError>(buried)
                    })
                })
                .await?;
            if some == 0 {
                return Ok(buried);
            }
            buried += some;
        }
    }
}

/// The state of the loop.
struct Background {
    context: Arc<Context>,
    /// Every source with its folder, as last read.
    sources: BTreeMap<Name, PathBuf>,
    watch: Option<(SourceWatch, tokio::sync::mpsc::Receiver<String>)>,
    /// Sources to synchronise, and when at the earliest.
    due: BTreeMap<Name, Instant>,
    running: Option<(Name, JoinHandle<bool>)>,
}

impl Background {
    fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            sources: BTreeMap::new(),
            watch: None,
            due: BTreeMap::new(),
            running: None,
        }
    }

    async fn run(mut self, stop: &CancellationToken) {
        let mut changes = self.context.store.changes();
        self.read_sources().await;
        let mut sync = tokio::time::interval(SYNC_EVERY);
        let mut purge = tokio::time::interval(PURGE_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = sync.tick() => {
                    let now = Instant::now();
                    self.due.extend(self.sources.keys().map(|name| (name.clone(), now)));
                }
                _ = purge.tick() => {
                    if let Err(error) = self.context.purge().await {
                        warn!(%error, "failed to remove what has expired");
                    }
                }
                change = changes.recv() => match change {
                    Ok(change) if change.topic == Topic::Sources => self.read_sources().await,
                    Ok(_) => {}
                    // Too much at once: anything may have changed.
                    Err(RecvError::Lagged(_)) => self.read_sources().await,
                    Err(RecvError::Closed) => break,
                },
                Some(name) = next_event(&mut self.watch) => self.note(&name),
                () = next_due(&self.due, self.running.is_some()) => self.start(),
                ended = ended(&mut self.running) => self.finish(ended),
            }
        }
        self.context.stopping.cancel();
        if let Some((_, running)) = self.running {
            // Ends between two transactions; what it has written is whole.
            let _ = running.await;
        }
    }

    /// Reads the list of sources; watches their folders anew if it has changed.
    async fn read_sources(&mut self) {
        let read = async {
            let mut all = BTreeMap::new();
            for tenant in self.context.tenants().await? {
                for spec in self.context.sources(&tenant).await? {
                    let root = spec.root(&self.context.folder, &tenant);
                    all.insert((tenant.clone(), spec.name), root);
                }
            }
            Ok::<_, StoreError>(all)
        };
        let all = match read.await {
            Ok(all) => all,
            Err(error) => {
                warn!(%error, "failed to read the list of sources");
                return;
            }
        };
        if all == self.sources {
            return;
        }
        self.sources = all;
        let watched: Vec<(String, PathBuf)> = self
            .sources
            .iter()
            .filter(|(_, root)| root.is_dir())
            .map(|((tenant, source), root)| (format!("{tenant}/{source}"), root.clone()))
            .collect();
        // The watcher walks every folder once: not on a thread of the runtime.
        self.watch = None;
        match tokio::task::spawn_blocking(move || SourceWatch::start(&watched)).await {
            Ok(Ok((watch, events))) => {
                for (name, reason) in &watch.unwatched {
                    info!(source.name = %name, %reason, "this folder is synchronised by the clock only");
                }
                self.watch = Some((watch, events));
            }
            Ok(Err(error)) => {
                info!(%error, "no file events here; folders are synchronised by the clock only")
            }
            Err(error) => warn!(%error, "failed to watch folders"),
        }
        // What changed while nobody watched has left no event. Where whoever added a source reads it right now,
        // the lock says so.
        let now = Instant::now();
        self.due = self.sources.keys().map(|name| (name.clone(), now)).collect();
    }

    /// Notes an event of `tenant/source`.
    fn note(&mut self, name: &str) {
        let Some((tenant, source)) = name.split_once('/') else {
            return;
        };
        if let Ok(tenant) = TenantId::new(tenant) {
            self.due.insert((tenant, source.to_owned()), Instant::now());
        }
    }

    /// Begins with the source that has been due longest.
    fn start(&mut self) {
        let Some(name) = self
            .due
            .iter()
            .min_by_key(|(_, at)| **at)
            .map(|(name, _)| name.clone())
        else {
            return;
        };
        self.due.remove(&name);
        let context = Arc::clone(&self.context);
        let (tenant, source) = name.clone();
        let work = tokio::spawn(async move {
            let nobody = Arc::new(|_: &_| {});
            match context
                .sync_source(&tenant, Some(&source), SyncMode::Skip, nobody)
                .await
            {
                Ok(Synced::Done(report)) => {
                    debug!(tenant.id = %tenant, source.name = %source, duration_ms = report.duration_ms, "synchronised");
                    true
                }
                Ok(Synced::Skipped) => false,
                // The server stops; the next start goes on from there.
                Err(SyncError::Stopped) => true,
                Err(error) => {
                    warn!(tenant.id = %tenant, source.name = %source, %error, "failed to synchronise");
                    true
                }
            }
        });
        self.running = Some((name, work));
    }

    fn finish(&mut self, (name, done): (Name, bool)) {
        self.running = None;
        if !done && self.sources.contains_key(&name) {
            self.due.entry(name).or_insert(Instant::now() + TRY_AGAIN);
        }
    }
}

async fn next_event(
    watch: &mut Option<(SourceWatch, tokio::sync::mpsc::Receiver<String>)>,
) -> Option<String> {
    match watch {
        Some((_, events)) => events.recv().await,
        None => std::future::pending().await,
    }
}

/// Waits until a source is due and nothing runs.
async fn next_due(due: &BTreeMap<Name, Instant>, busy: bool) {
    match due.values().min() {
        Some(at) if !busy => tokio::time::sleep_until(*at).await,
        _ => std::future::pending().await,
    }
}

/// Waits for the synchronisation under way; says whether it is done or was held by another.
async fn ended(running: &mut Option<(Name, JoinHandle<bool>)>) -> (Name, bool) {
    match running {
        Some((name, work)) => {
            // A panic has told its story; the clock brings the source back.
            let done = work.await.unwrap_or(true);
            (name.clone(), done)
        }
        None => std::future::pending().await,
    }
}
