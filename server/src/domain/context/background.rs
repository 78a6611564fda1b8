//! What the engine does by itself: synchronises by the clock and on file events, forgets what has expired,
//! counts words. Everything here may happen on several replicas at once; locks and the store decide.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};
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
    pub(super) async fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let tenants = self
            .store
            .system_read(|tx| Box::pin(async move { tx.tenants().list().await }))
            .await?;
        Ok(tenants.into_iter().map(|tenant| tenant.id).collect())
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
        let mut changes = self.context.store.listen(&[Topic::Sources]);
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
                change = changes.next() => match change {
                    Some(_) => self.read_sources().await,
                    None => break,
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
                info!(%error, "no file events here; folders are synchronised by the clock only");
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
