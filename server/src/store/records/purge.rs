//! Records go for good, with their history.

use super::{FieldValue, Records};
use crate::{
    store::{StoreError, row::params},
    vocabulary::Timestamp,
};

impl Records<'_> {
    /// Removes records deleted before a moment for good, with their history; gives how many.
    pub async fn purge(&mut self, before: Timestamp) -> Result<usize, StoreError> {
        const DELETED: &str = "SELECT id FROM records WHERE tenant_id = $1 AND kind = $2 AND deleted_at < $3";
        let params = params![self.tenant.as_str(), self.kind, before];
        let ids = self.session.query(DELETED, params, |row| row.text(0)).await?;
        for id in &ids {
            self.remove(id).await?;
        }
        Ok(ids.len())
    }

    /// Removes records that nobody changed since a moment for good, with their history, at most `most` of them; gives how
    /// many.
    pub async fn purge_unchanged(&mut self, since: Timestamp, most: u32) -> Result<usize, StoreError> {
        const OLD: &str = "SELECT id FROM record_fields
            WHERE tenant_id = $1 AND kind = $2 AND field = 'updated_at' AND value < $3 ORDER BY value LIMIT $4";
        let before = FieldValue::from(since).to_bytes()?;
        let params = params![self.tenant.as_str(), self.kind, before.as_slice(), most];
        let ids = self.session.query(OLD, params, |row| row.text(0)).await?;
        for id in &ids {
            // Takes its index entries and words along.
            self.delete(id, None, "retention").await?;
            self.remove(id).await?;
        }
        Ok(ids.len())
    }

    async fn remove(&mut self, id: &str) -> Result<(), StoreError> {
        for table in ["record_history", "records"] {
            let sql = format!("DELETE FROM {table} WHERE tenant_id = $1 AND kind = $2 AND id = $3");
            let params = params![self.tenant.as_str(), self.kind, id];
            self.session.execute(&sql, params).await?;
        }
        Ok(())
    }
}
