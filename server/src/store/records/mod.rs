//! Domain records: JSON documents with declared, indexed fields (design.md D8).
//!
//! A kind of record needs no table of its own. Whoever writes a record says by which fields it is found and
//! sorted; the store keeps those beside the document and swaps them with it. Every change leaves a row of
//! history with what was there before.

mod across;
mod among;
mod change;
mod condition;
mod extract;
mod field;
mod fresh;
mod purge;
mod query;
mod statement;
mod total;

use serde::{Serialize, de::DeserializeOwned};

pub use across::Found;
pub use among::NamedBy;
pub use condition::Condition;
pub use extract::{Extract, Extracted};
pub(crate) use field::{Entry, UnreadEntry};
pub use field::{Field, FieldValue};
pub(in crate::store) use fresh::Fresh;
pub use query::{RecordCursor, RecordPage, RecordQuery, within};
pub use total::Total;

use super::{
    Session, StoreError,
    row::{RowRef, from_json, params, to_json},
    text::{Shelf, TextHit, TextQuery},
};
use crate::vocabulary::{TenantId, Timestamp};

/// A record as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number in the full-text index.
    pub row_id: i64,
    /// Identity within its kind.
    pub id: String,
    /// From 1, one more with each change.
    pub version: u32,
    /// The document, JSON text.
    pub doc: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was deleted; it can be restored until it is purged.
    pub deleted_at: Option<Timestamp>,
}

impl Record {
    /// The document as a Rust type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        from_json(&self.doc)
    }
}

/// What a record shall be.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The document, JSON text.
    pub doc: String,
    /// By what it is found and sorted. `created_at` and `updated_at` are always among them.
    pub fields: Vec<Field>,
    /// Folded words of its title (they weigh more) and text, for the full-text index.
    pub words: Option<(String, String)>,
}

impl Draft {
    /// A draft of a document without further fields.
    pub fn of<T: Serialize>(doc: &T) -> Result<Self, StoreError> {
        Ok(Self {
            doc: to_json(doc)?,
            ..Self::default()
        })
    }

    /// Its document as a Rust type.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        from_json(&self.doc)
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// Adds words for the full-text index.
    #[must_use]
    pub fn with_words(mut self, title: &str, text: &str) -> Self {
        self.words = Some((title.to_owned(), text.to_owned()));
        self
    }
}

/// One change of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordChange {
    /// The version that the change made.
    pub version: u32,
    /// When.
    pub at: Timestamp,
    /// By whom, as the caller named them.
    pub actor: String,
    /// `create`, `update`, `delete` or `restore`.
    pub change: String,
    /// The document it replaced; `None` for `create`.
    pub before: Option<String>,
}

/// Records of one kind and tenant.
pub struct Records<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
    pub(super) kind: &'t str,
}

const COLUMNS: &str = "row_id, id, version, doc, created_at, updated_at, deleted_at";
/// The same, where records are joined as `r`.
const JOINED: &str = "r.row_id, r.id, r.version, r.doc, r.created_at, r.updated_at, r.deleted_at";

fn record(row: &RowRef<'_>) -> Result<Record, StoreError> {
    record_at(row, 0)
}

/// The same, from a column on.
fn record_at(row: &RowRef<'_>, from: usize) -> Result<Record, StoreError> {
    Ok(Record {
        row_id: row.int(from)?,
        id: row.text(from + 1)?,
        version: row.count(from + 2)?,
        doc: row.text(from + 3)?,
        created_at: row.time(from + 4)?,
        updated_at: row.time(from + 5)?,
        deleted_at: row.opt_time(from + 6)?,
    })
}

impl Records<'_> {
    /// The record of that id, unless it is deleted.
    pub async fn find(&mut self, id: &str) -> Result<Option<Record>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM records WHERE tenant_id = $1 AND kind = $2 AND id = $3 AND deleted_at IS NULL"
        );
        self.session
            .query_one(&sql, params![self.tenant.as_str(), self.kind, id], record)
            .await
    }

    /// The record whose unique field has that value.
    pub async fn find_unique(
        &mut self,
        field: &str,
        value: &FieldValue,
    ) -> Result<Option<Record>, StoreError> {
        let sql = format!(
            "SELECT {JOINED} FROM record_uniques AS u
             JOIN records AS r ON r.tenant_id = u.tenant_id AND r.kind = u.kind AND r.id = u.id
             WHERE u.tenant_id = $1 AND u.kind = $2 AND u.field = $3 AND u.value = $4"
        );
        let value = value.to_bytes()?;
        let params = params![self.tenant.as_str(), self.kind, field, value.as_slice()];
        self.session.query_one(&sql, params, record).await
    }

    /// What happened to a record, newest first.
    pub async fn history(&mut self, id: &str, limit: u32) -> Result<Vec<RecordChange>, StoreError> {
        const HISTORY: &str = "SELECT version, at, actor, change, before FROM record_history
            WHERE tenant_id = $1 AND kind = $2 AND id = $3 ORDER BY version DESC LIMIT $4";
        let params = params![self.tenant.as_str(), self.kind, id, limit];
        self.session
            .query(HISTORY, params, |row| {
                Ok(RecordChange {
                    version: row.count(0)?,
                    at: row.time(1)?,
                    actor: row.text(2)?,
                    change: row.text(3)?,
                    before: row.opt_text(4)?,
                })
            })
            .await
    }

    /// Records of this kind that hold the words asked for, best first.
    pub async fn text_candidates(
        &mut self,
        query: &TextQuery,
        limit: u32,
    ) -> Result<Vec<TextHit>, StoreError> {
        self.session
            .find_text(self.tenant, Shelf::Records, query, &[self.kind], limit)
            .await
    }
}
