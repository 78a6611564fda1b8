//! Forgetting: expired memories, tombstones that are old enough, and what a removed source left behind.

use std::collections::BTreeSet;

use super::{Context, entity_uri};
use crate::{store::StoreError, vocabulary::TenantId};

/// How long an entity that vanished is remembered.
const TOMBSTONES_LAST_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Expired memories removed in one transaction.
const PURGED_AT_ONCE: u32 = 200;
/// Entities of a removed source buried in one transaction.
const BURIED_AT_ONCE: u32 = 32;

impl Context {
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
                            tx.resources().touch(&entity_uri(&mark.id)).await?;
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
