//! The engine of one process: what the handlers share, and the table of them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    budget::ReadBudget,
    handlers,
    lexicons::{Lexicons, Request},
};
use crate::{domain::Handlers, store::Store, vocabulary::TenantId};

/// Held by the one pass over a source that this process makes at a time.
type Pass = Arc<tokio::sync::Mutex<()>>;

/// The context edition's engine: a store, a data folder, and what is kept in memory between calls.
pub struct Context {
    pub(super) store: Store,
    pub(super) folder: PathBuf,
    pub(super) lexicons: Lexicons,
    pub(super) budget: ReadBudget,
    /// Cancelled when the engine stops: passes under way end between two transactions.
    pub(super) stopping: CancellationToken,
    /// Synchronisations that outlive the call that began them.
    pub(super) tasks: TaskTracker,
    pub(super) requests: Mutex<Option<mpsc::Receiver<Request>>>,
    /// Sources that a pass of this process is reading: the next one waits and finds little left to do.
    pub(super) passes: Mutex<HashMap<(TenantId, String), Pass>>,
}

impl Context {
    /// An engine over `store`. `folder` is the server's data folder: a tenant's inbox lies in it.
    pub fn new(store: Store, folder: &Path) -> Arc<Self> {
        let (lexicons, requests) = Lexicons::new();
        Arc::new(Self {
            store,
            // Paths of the inbox are compared with those of sources, which are absolute.
            folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
            lexicons,
            budget: ReadBudget::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            requests: Mutex::new(Some(requests)),
            passes: Mutex::default(),
        })
    }

    /// Registers the functions behind the tools.
    pub fn register(self: &Arc<Self>, table: &mut Handlers) {
        handlers::register(self, table);
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({:?})", self.store)
    }
}

/// A fresh random UUID (version 4), as entities are named (catalogue.md §2.14).
pub(super) fn new_uuid() -> String {
    let mut bytes = [0_u8; 16];
    // A machine without random bytes cannot have minted the key this call came with. If it lost them since,
    // ids repeat, and the store's primary key refuses the second.
    let _ = getrandom::fill(&mut bytes);
    let mut bits = u128::from_be_bytes(bytes);
    bits = (bits & !(0xF << 76)) | (4 << 76);
    bits = (bits & !(0x3 << 62)) | (2 << 62);
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_of_version_4_and_differ() {
        let (one, other) = (new_uuid(), new_uuid());
        assert_ne!(one, other);
        for id in [one, other] {
            assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert_eq!(&id[14..15], "4");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
    }
}
