//! The engine of one process: what the handlers share, and the table of them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{handlers, sla::timers};
use crate::{
    domain::Handlers,
    outbox::Dispatcher,
    policy::SealKey,
    store::{Store, StoreError},
};

/// What the handlers share.
pub(crate) struct Desk {
    pub(crate) store: Store,
    /// Seals cursors.
    pub(crate) seal: SealKey,
}

/// The workspace edition's engine.
pub struct Workspace {
    desk: Arc<Desk>,
}

impl Workspace {
    /// An engine over `store`. `seal` seals the cursors of lists; it is the same on every replica.
    pub fn new(store: Store, seal: SealKey) -> Arc<Self> {
        Arc::new(Self {
            desk: Arc::new(Desk { store, seal }),
        })
    }

    /// Registers the functions behind the tools.
    pub fn register(&self, table: &mut Handlers) {
        handlers::register(&self.desk, table);
    }

    /// Does what is to be done without anybody calling, until it is stopped.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        timers::run(self.desk.store.clone(), stop).await;
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
