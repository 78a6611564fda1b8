//! The engine of one process: what the handlers share, and the table of them.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{custom, handlers, refs, restore};
use crate::{
    domain::{DomainError, Handlers},
    policy::SealKey,
    store::{Store, StoreError},
    vocabulary::TenantId,
};

/// How often what was deleted too long ago is removed.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

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
        let _ = stop.run_until_cancelled(self.tidy()).await;
    }

    async fn tidy(&self) {
        let mut interval = tokio::time::interval(TIDY_EVERY);
        loop {
            interval.tick().await;
            if let Err(error) = self.tidy_once().await {
                warn!("failed to remove what was deleted too long ago: {error}");
            }
        }
    }

    /// One pass over all tenants, each in a transaction of its own.
    async fn tidy_once(&self) -> Result<(), StoreError> {
        let store = &self.desk.store;
        let tenants = store
            .system_read(|tx| async move { tx.tenants().list().await }.boxed())
            .await?;
        let now = store.clock().now();
        for tenant in tenants {
            store
                .write(&tenant.id, move |tx| restore::tidy(tx, now).boxed())
                .await?;
        }
        Ok(())
    }

    /// Brings a deleted record of the CRM back. `false`: there is none of that id to bring back.
    ///
    /// # Errors
    /// When the kind cannot be restored, or a value that must be unique was taken meanwhile.
    pub async fn restore(&self, tenant: &TenantId, kind: &str, id: &str) -> Result<bool, DomainError> {
        let (kind, id) = (kind.to_owned(), id.to_owned());
        self.desk
            .store
            .write(tenant, move |tx| {
                async move { restore::restore(tx, &kind, &id).await }.boxed()
            })
            .await
    }

    /// Declares the own fields of a tenant's records, in place of those declared before: kind of record → field →
    /// `{"type": "text" | "number" | "boolean" | "date" | "choice", "choices": […]}`.
    ///
    /// # Errors
    /// What of the declaration cannot be.
    pub async fn declare_fields(&self, tenant: &TenantId, fields: Value) -> Result<(), DomainError> {
        let declared = custom::Declared::deserialize(&fields)
            .map_err(|error| DomainError::argument(format!("fields: {error}")))?;
        for (kind, fields) in &declared {
            refs::kind(kind)?;
            for name in fields.keys() {
                custom::check_name(name)?;
            }
        }
        self.desk
            .store
            .write(tenant, move |tx| {
                async move { Ok(tx.settings().set(custom::SETTING, &declared).await?) }.boxed()
            })
            .await
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workspace({:?})", self.desk.store)
    }
}
