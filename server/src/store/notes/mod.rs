//! The context edition's tables: sources, what was found in them, cut into chunks (catalogue.md §7.1).

mod chunks;
mod sources;
mod vectors;

pub use chunks::{Chunk, Entity, EntityMark, NewChunk, NewEntity};
pub use sources::{Source, SourceCount};
pub use vectors::{StoredVector, VectorShelf};

use super::{
    Session, StoreError,
    row::params,
    text::{Shelf, TextHit, TextQuery},
};
use crate::vocabulary::TenantId;

/// Notes of one tenant.
pub struct Notes<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

impl Notes<'_> {
    /// Chunks that hold the words asked for, best first, of one source or of all.
    pub async fn text_candidates(
        &mut self,
        query: &TextQuery,
        source: Option<&str>,
        limit: u32,
    ) -> Result<Vec<TextHit>, StoreError> {
        self.session
            .find_text(self.tenant, Shelf::Chunks, query, source.as_slice(), limit)
            .await
    }

    /// Takes or prolongs the lock of that name until `ttl_ms` from now. `false`: somebody else holds it.
    pub async fn try_lock(&mut self, name: &str, owner: &str, ttl_ms: u32) -> Result<bool, StoreError> {
        const LOCK: &str = "INSERT INTO sync_locks (tenant_id, name, owner, expires_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id, name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
            WHERE sync_locks.owner = excluded.owner OR sync_locks.expires_at <= $5";
        let now = self.session.now;
        let params = params![
            self.tenant.as_str(),
            name,
            owner,
            now.plus_millis(ttl_ms.into()),
            now
        ];
        Ok(self.session.execute(LOCK, params).await? > 0)
    }

    /// Gives a lock back; `false` when `owner` does not hold it (any more).
    pub async fn unlock(&mut self, name: &str, owner: &str) -> Result<bool, StoreError> {
        const UNLOCK: &str = "DELETE FROM sync_locks WHERE tenant_id = $1 AND name = $2 AND owner = $3";
        Ok(self
            .session
            .execute(UNLOCK, params![self.tenant.as_str(), name, owner])
            .await?
            > 0)
    }
}
