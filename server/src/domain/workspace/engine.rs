//! The engine of one process: what the handlers share, and the table of them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{
    flow::{
        hook::Hooks,
        pump,
        worker::{FlowWorker, Part},
    },
    handlers,
    sla::timers,
};
use crate::{
    domain::{DomainError, Handlers},
    outbox::Dispatcher,
    outgoing::OutgoingError,
    policy::SealKey,
    store::{Store, StoreError},
};

/// What the handlers share.
pub(crate) struct Desk {
    pub(crate) store: Store,
    /// Seals cursors.
    pub(crate) seal: Arc<SealKey>,
    /// What an operator decides.
    pub(crate) settings: WorkspaceSettings,
}

/// What an operator decides about the edition.
#[derive(Clone, Debug)]
pub struct WorkspaceSettings {
    /// Runs of flows that a tenant may have in an hour (catalogue.md §3.5).
    pub flow_runs_per_hour: u32,
    /// What links to the server begin with: scheme and authority. Empty: there is nothing to follow, so that the bot sends no
    /// links, and addresses of articles are paths.
    pub base_url: String,
    /// Whether webhooks may be at loopback and private addresses, by plain `http` too.
    pub allow_private: bool,
}

impl Default for WorkspaceSettings {
    fn default() -> Self {
        Self {
            flow_runs_per_hour: 1_000,
            base_url: String::new(),
            allow_private: false,
        }
    }
}

/// The workspace edition's engine.
pub struct Workspace {
    desk: Arc<Desk>,
}

impl Workspace {
    /// An engine over `store`. `seal` seals the cursors of lists; it is the same on every replica.
    pub fn new(store: Store, seal: SealKey) -> Arc<Self> {
        Self::with(store, seal, WorkspaceSettings::default())
    }

    /// The same as an operator wants it.
    pub fn with(store: Store, seal: SealKey, settings: WorkspaceSettings) -> Arc<Self> {
        Arc::new(Self {
            desk: Arc::new(Desk {
                store,
                seal: Arc::new(seal),
                settings,
            }),
        })
    }

    /// Registers the functions behind the tools.
    pub fn register(&self, table: &mut Handlers) {
        handlers::register(&self.desk, table);
    }

    /// Does what is to be done without anybody calling, until it is stopped.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(
            self.carry_out(stop.clone()),
            timers::run(self.desk.store.clone(), stop.clone()),
            self.keep_up(stop)
        );
    }

    async fn carry_out(&self, stop: CancellationToken) {
        match self.flow_worker() {
            Ok(worker) => pump::run(Arc::new(worker), stop).await,
            Err(error) => {
                error!(%error, "flows are not carried out");
                stop.cancelled().await;
            }
        }
    }

    /// Carries out what is due of flows now; gives how many jobs that were.
    ///
    /// # Errors
    /// When no client can be made, or the store fails.
    pub async fn carry_out_flows(&self) -> Result<usize, DomainError> {
        let worker = self.flow_worker().map_err(DomainError::internal)?;
        let mut count = 0;
        for part in [Part::Events, Part::Runs] {
            let jobs = worker.lease(part, 100).await?;
            count += jobs.len();
            for job in jobs {
                worker.work(part, job).await?;
            }
        }
        Ok(count)
    }

    fn flow_worker(&self) -> Result<FlowWorker, OutgoingError> {
        let settings = &self.desk.settings;
        Ok(FlowWorker {
            store: self.desk.store.clone(),
            hooks: Hooks::new(Arc::clone(&self.desk.seal), settings.allow_private)?,
            runs_per_hour: settings.flow_runs_per_hour,
        })
    }

    /// Who signs messages to people outside, and follows them.
    pub fn dispatcher(&self) -> Arc<dyn Dispatcher> {
        Arc::clone(&self.desk) as Arc<dyn Dispatcher>
    }

    /// Looks at every clock that is due, once; gives how many that were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look_at_clocks(&self) -> Result<usize, StoreError> {
        timers::run_due(&self.desk.store).await
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.desk
    }

    pub(super) fn store(&self) -> &Store {
        &self.desk.store
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workspace({:?})", self.desk.store)
    }
}
