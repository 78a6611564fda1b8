//! What a workspace needs without anybody calling a tool, and what its operator does with it.

use std::time::Duration;

use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Workspace, custom, demo, refs, restore, start};
use crate::{
    domain::DomainError,
    store::{StoreError, Topic},
    vocabulary::{TenantId, Timestamp},
};

/// How often what was deleted too long ago is removed.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

impl Workspace {
    /// Prepares every tenant's workspace, new ones' too, and removes what is past its time, until it is stopped.
    pub(super) async fn keep_up(&self, stop: CancellationToken) {
        let mut changes = self.desk().store.listen(&[Topic::Tenants]);
        while !stop.is_cancelled() {
            if let Err(error) = self.tidy().await {
                warn!("failed to prepare workspaces and remove what was deleted too long ago: {error}");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tokio::time::timeout(TIDY_EVERY, changes.next()) => {}
            }
        }
    }

    /// One pass over all tenants, each in a transaction of its own.
    async fn tidy(&self) -> Result<(), DomainError> {
        let store = &self.desk().store;
        let tenants = store
            .system_read(|tx| async move { tx.tenants().list().await }.boxed())
            .await
            .map_err(|error: StoreError| DomainError::from(error))?;
        for tenant in tenants {
            self.prepare(&tenant.id).await?;
            let now = store.clock().now();
            store
                .write(&tenant.id, move |tx| restore::tidy(tx, now).boxed())
                .await?;
        }
        Ok(())
    }

    /// Makes a tenant's first channel, bot and widget, unless that was done. `false`: it was.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prepare(&self, tenant: &TenantId) -> Result<bool, DomainError> {
        let store = &self.desk().store;
        store
            .write(tenant, |tx| async move { start::ensure(tx).await }.boxed())
            .await
    }

    /// Fills a tenant's workspace for a first walk, as it would be at `until`. The store's clock must be set by hand.
    ///
    /// # Errors
    /// When the workspace is not empty, or the clock goes by itself.
    pub async fn fill(&self, tenant: &TenantId, until: Timestamp) -> Result<demo::Filled, DomainError> {
        demo::fill(self.desk(), tenant, until).await
    }

    /// Brings a deleted record of the CRM back. `false`: there is none of that id to bring back.
    ///
    /// # Errors
    /// When the kind cannot be restored, or a value that must be unique was taken meanwhile.
    pub async fn restore(&self, tenant: &TenantId, kind: &str, id: &str) -> Result<bool, DomainError> {
        let (kind, id) = (kind.to_owned(), id.to_owned());
        let store = &self.desk().store;
        store
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
        let store = &self.desk().store;
        store
            .write(tenant, move |tx| {
                async move { Ok(tx.settings().set(custom::SETTING, &declared).await?) }.boxed()
            })
            .await
    }
}
