//! One question over records of several kinds.

use crate::{
    store::{StoreError, TenantTx, TextQuery, memory::in_order, row::params, text::Shelf},
    vocabulary::Timestamp,
};

/// A record that holds words, without its document.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its number in the full-text index.
    pub row_id: i64,
    /// Its kind.
    pub kind: String,
    /// Identity within its kind.
    pub id: String,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How well it matches: higher is better. Comparable within one answer only.
    pub rank: f64,
}

impl TenantTx<'_> {
    /// Row numbers of the newest records of some kinds that hold the words asked for, so many of each, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn newest_words(
        &mut self,
        wanted: &[(&str, u32)],
        query: &TextQuery,
    ) -> Result<Vec<Vec<i64>>, StoreError> {
        let (session, tenant) = self.parts();
        session.newest_text(&tenant, query, wanted).await
    }

    /// Records of these kinds that hold the words asked for, best first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_words(
        &mut self,
        kinds: &[&str],
        query: &TextQuery,
        limit: u32,
    ) -> Result<Vec<Found>, StoreError> {
        let (session, tenant) = self.parts();
        let hits = session
            .find_text(&tenant, Shelf::Records, query, kinds, limit)
            .await?;
        let row_ids: Vec<i64> = hits.iter().map(|hit| hit.row_id).collect();
        let sql = format!(
            "SELECT row_id, kind, id, updated_at FROM records{} WHERE tenant_id = $1 AND deleted_at IS NULL
             AND {}",
            session.by_row_number(),
            session.is_among("row_id", 2)
        );
        let numbers = session.numbers(&row_ids);
        let found = session
            .query(&sql, params![tenant.as_str(), &numbers], |row| {
                Ok(Found {
                    row_id: row.int(0)?,
                    kind: row.text(1)?,
                    id: row.text(2)?,
                    updated_at: row.time(3)?,
                    rank: 0.0,
                })
            })
            .await?;
        let ranks: std::collections::HashMap<i64, f64> =
            hits.iter().map(|hit| (hit.row_id, hit.rank)).collect();
        let mut found = in_order(&row_ids, found, |found| found.row_id);
        for one in &mut found {
            one.rank = ranks.get(&one.row_id).copied().unwrap_or_default();
        }
        Ok(found)
    }
}
