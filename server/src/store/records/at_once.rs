//! A new record in one statement, on PostgreSQL: there, what a statement costs is its way to the server and back, and a record
//! with its entries, its words and its history would take four.

use super::{COLUMNS, Draft, Record, Records, record};
use crate::store::{
    StoreError,
    row::{Param, params},
    text::RecordWords,
};

impl Records<'_> {
    /// Adds a record, and what it is found by. `None`: its id is taken, and nothing was added.
    pub(super) async fn insert_at_once(
        &mut self,
        id: &str,
        draft: &Draft,
        entries: &str,
        actor: &str,
    ) -> Result<Option<Record>, StoreError> {
        let mut sql = format!(
            "WITH made AS (
                INSERT INTO records (tenant_id, kind, id, version, doc, fields, created_at, updated_at)
                VALUES ($1, $2, $3, 1, $4, $5, $6, $6) ON CONFLICT DO NOTHING RETURNING {COLUMNS}
             ), listed AS (
                INSERT INTO record_fields (tenant_id, kind, field, value, at, id)
                SELECT $1, $2, entry.name, decode(entry.value, 'hex'), $6, $3
                FROM made, json_to_recordset(CAST(CAST($5 AS TEXT) AS JSON)) AS entry (name TEXT, value TEXT)
                ON CONFLICT DO NOTHING
             ), noted AS (
                INSERT INTO record_history (tenant_id, kind, id, version, at, actor, change)
                SELECT $1, $2, $3, 1, $6, $7, 'create' FROM made
             )"
        );
        let now = self.session.now;
        let mut values: Vec<Param<'_>> = params![
            self.tenant.as_str(),
            self.kind,
            id,
            &draft.doc,
            entries,
            now,
            actor
        ]
        .to_vec();
        let words = draft
            .words
            .as_ref()
            .map(|(title, text)| RecordWords::of(self.kind, title, text));
        if let Some(words) = &words {
            sql.push_str(&format!(
                ", worded AS (INSERT INTO texts (tenant_id, shelf, row_id, lexemes, era)
                   SELECT $1, $8, made.row_id, {} FROM made)",
                RecordWords::columns(8, "made.row_id")
            ));
            values.extend(words.params());
        }
        sql.push_str(&format!(" SELECT {COLUMNS} FROM made"));
        self.session.query_one(&sql, &values, record).await
    }
}
