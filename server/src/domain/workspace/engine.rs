//! The engine of one process: what the handlers share, and the table of them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::handlers;
use crate::{domain::Handlers, policy::SealKey, store::Store};

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
        stop.cancelled().await;
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workspace({:?})", self.desk.store)
    }
}
