//! Which resources changed, for subscriptions on any replica: a row for each, raised in the transaction of the change.

use super::{Session, StoreError, Topic, row::params};
use crate::vocabulary::{TenantId, Timestamp};

/// Resources of one tenant that changed.
pub struct ResourceChanges<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// The same of all tenants.
pub struct SystemResourceChanges<'t> {
    pub(super) session: &'t mut Session,
}

/// How a resource stands: differs from an earlier one when the resource changed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceStamp {
    version: i64,
    changed_at: Timestamp,
}

impl ResourceChanges<'_> {
    /// Notes that what is read at a URI changed; subscribers on every replica hear of it after the commit.
    pub async fn touch(&mut self, uri: &str) -> Result<(), StoreError> {
        const TOUCH: &str =
            "INSERT INTO resource_changes (tenant_id, uri, version, changed_at) VALUES ($1, $2, 1, $3)
            ON CONFLICT (tenant_id, uri) DO UPDATE SET version = resource_changes.version + 1,
                changed_at = excluded.changed_at";
        let params = params![self.tenant.as_str(), uri, self.session.now];
        self.session.execute(TOUCH, params).await?;
        // Once is enough for a transaction, however much it changes.
        if !self
            .session
            .raised
            .iter()
            .any(|(topic, _)| *topic == Topic::Resources)
        {
            self.session.raise(Topic::Resources).await?;
        }
        Ok(())
    }

    /// How a resource stands; `None` when it has not changed for as long as changes are remembered.
    pub async fn stamp(&mut self, uri: &str) -> Result<Option<ResourceStamp>, StoreError> {
        const STAMP: &str =
            "SELECT version, changed_at FROM resource_changes WHERE tenant_id = $1 AND uri = $2";
        self.session
            .query_one(STAMP, params![self.tenant.as_str(), uri], |row| {
                Ok(ResourceStamp {
                    version: row.int(0)?,
                    changed_at: row.time(1)?,
                })
            })
            .await
    }
}

impl SystemResourceChanges<'_> {
    /// Forgets changes before a moment, at most `limit` rows; gives how many.
    pub async fn purge(&mut self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM resource_changes WHERE (tenant_id, uri) IN (
            SELECT tenant_id, uri FROM resource_changes WHERE changed_at < $1 ORDER BY changed_at LIMIT $2)";
        self.session.execute(PURGE, params![before, limit]).await
    }
}
