//! New records on PostgreSQL, any number in one statement: there, what a statement costs is its way to the server and back, and a
//! record with its entries, its words and its history would take four.

use serde::Serialize;

use super::{Draft, Record, Records, change::entries};
use crate::{
    store::{
        Session, StoreError,
        row::{params, to_json},
        text::{RecordWords, cut},
    },
    vocabulary::TenantId,
};

/// New records that one statement writes; more are written before the next one is taken.
const MOST_AT_ONCE: usize = 200;

/// A new record on its way to the table.
#[derive(Debug, Serialize)]
pub(in crate::store) struct Fresh {
    #[serde(skip)]
    tenant: TenantId,
    kind: String,
    id: String,
    actor: String,
    /// Texts within a text: PostgreSQL refuses a NUL in JSON that it reads, and documents may hold one.
    doc: String,
    fields: String,
    title: Option<String>,
    body: Option<String>,
}

impl Fresh {
    pub(super) fn of(records: &Records<'_>, id: &str, draft: &Draft, listed: String, actor: &str) -> Self {
        let words = draft.words.as_ref();
        Self {
            tenant: records.tenant.clone(),
            kind: records.kind.to_owned(),
            id: id.to_owned(),
            actor: actor.to_owned(),
            doc: draft.doc.clone(),
            fields: listed,
            title: words.map(|(title, _)| cut(title).to_owned()),
            body: words.map(|(_, body)| cut(body).to_owned()),
        }
    }
}

impl Records<'_> {
    /// Adds a record that nothing can be in the way of: nobody else has its id, and it has no unique field. Where a statement
    /// takes its way to a server, it is written together with others before the transaction says anything else.
    ///
    /// # Errors
    /// When the store fails. [`StoreError::Conflict`], now or from a later statement of the transaction, when the id is taken all
    /// the same.
    pub async fn insert_new(&mut self, id: &str, draft: &Draft, actor: &str) -> Result<(), StoreError> {
        if !self.session.is_postgres() || draft.fields.iter().any(|field| field.unique) {
            return self.insert(id, draft, actor).await.map(|_| ());
        }
        let now = self.session.now;
        let listed = to_json(&entries(draft, now, now)?)?;
        let fresh = Fresh::of(self, id, draft, listed, actor);
        if self.session.fresh.len() >= MOST_AT_ONCE {
            self.session.write_fresh().await?;
        }
        self.session.fresh.push(fresh);
        Ok(())
    }

    /// Adds a record now. `None`: its id is taken, and nothing was added.
    pub(super) async fn insert_now(
        &mut self,
        id: &str,
        draft: &Draft,
        listed: String,
        actor: &str,
    ) -> Result<Option<Record>, StoreError> {
        let fresh = Fresh::of(self, id, draft, listed, actor);
        self.session.write_fresh().await?;
        let now = self.session.now;
        let made = self.session.write_all(self.tenant, &[fresh]).await?;
        Ok(made.first().map(|row_id| Record {
            row_id: *row_id,
            id: id.to_owned(),
            version: 1,
            doc: draft.doc.clone(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }))
    }
}

impl Session {
    /// Writes the new records that wait. Whatever else a transaction says to the store comes after them.
    pub(in crate::store) async fn write_fresh(&mut self) -> Result<(), StoreError> {
        let fresh = std::mem::take(&mut self.fresh);
        for of_one in fresh.chunk_by(|one, other| one.tenant == other.tenant) {
            let Some(first) = of_one.first() else { continue };
            let made = self.write_all(&first.tenant, of_one).await?;
            if made.len() != of_one.len() {
                return self.noted(Err(StoreError::conflict("the id of a new record")));
            }
        }
        Ok(())
    }

    /// Writes new records of one tenant; gives the row numbers of those whose ids were not taken.
    async fn write_all(&mut self, tenant: &TenantId, fresh: &[Fresh]) -> Result<Vec<i64>, StoreError> {
        let sql = format!(
            "WITH given AS MATERIALIZED (
                SELECT * FROM json_to_recordset(CAST(CAST($2 AS TEXT) AS JSON))
                    AS new (kind TEXT, id TEXT, actor TEXT, doc TEXT, fields TEXT, title TEXT, body TEXT)
             ), made AS (
                INSERT INTO records (tenant_id, kind, id, version, doc, fields, created_at, updated_at)
                SELECT $1, kind, id, 1, doc, fields, $3, $3 FROM given
                ON CONFLICT DO NOTHING RETURNING row_id, kind, id
             ), new AS (
                SELECT made.row_id, given.* FROM made JOIN given ON given.kind = made.kind AND given.id = made.id
             ), listed AS (
                INSERT INTO record_fields (tenant_id, kind, field, value, at, id)
                SELECT $1, new.kind, entry.name, decode(entry.value, 'hex'), $3, new.id
                FROM new, json_to_recordset(CAST(new.fields AS JSON)) AS entry (name TEXT, value TEXT)
                ON CONFLICT DO NOTHING
             ), noted AS (
                INSERT INTO record_history (tenant_id, kind, id, version, at, actor, change)
                SELECT $1, kind, id, 1, $3, actor, 'create' FROM new
             ), {}
             SELECT row_id FROM made ORDER BY row_id",
            RecordWords::of_all_new()
        );
        let listed = to_json(&fresh)?;
        let params = params![tenant.as_str(), &listed, self.now];
        self.say(&sql, params, |row| row.int(0)).await
    }
}
