//! Which words a shelf holds, and in how many rows each stands: what nearness of words is worked out from.

use crate::{
    store::{Memories, Notes, Session, StoreError, row::RowRef, row::params, text::Shelf},
    vocabulary::TenantId,
};

impl Session {
    /// The `most` most frequent words of a shelf with the number of rows each stands in. Tags of rows are
    /// among them, as words that nobody asks for.
    async fn word_counts(
        &mut self,
        tenant: &TenantId,
        shelf: Shelf,
        most: u32,
    ) -> Result<Vec<(String, u32)>, StoreError> {
        let counted = |row: &RowRef<'_>| Ok((row.text(0)?, row.count(1)?));
        if self.is_postgres() {
            // Invariant: a tenant's name is a slug and a shelf's a fixed word, so neither can end the text.
            let sql = format!(
                "SELECT word, CAST(ndoc AS BIGINT) FROM ts_stat(
                    'SELECT lexemes FROM texts WHERE tenant_id = ''{tenant}'' AND shelf = ''{}''')
                 ORDER BY ndoc DESC, word LIMIT $1",
                shelf.as_str()
            );
            return self.query(&sql, params![most], counted).await;
        }
        let Some(table) = self.whole_shelf(tenant, shelf).await? else {
            return Ok(Vec::new());
        };
        let sql = format!("SELECT term, doc FROM {table}_words ORDER BY doc DESC, term LIMIT $1");
        self.query(&sql, params![most], counted).await
    }
}

impl Notes<'_> {
    /// The most frequent words of all chunks, with the number of chunks each stands in.
    pub async fn word_counts(&mut self, most: u32) -> Result<Vec<(String, u32)>, StoreError> {
        self.session.word_counts(self.tenant, Shelf::Chunks, most).await
    }
}

impl Memories<'_> {
    /// The most frequent words of all memories, with the number of memories each stands in.
    pub async fn word_counts(&mut self, most: u32) -> Result<Vec<(String, u32)>, StoreError> {
        self.session.word_counts(self.tenant, Shelf::Memory, most).await
    }
}
