//! What agents remember: one text per key, its older versions, its end of life (catalogue.md §7.1).
//!
//! An expired memory is invisible at once, whoever asks; [`Memories::purge_expired`] removes it later.

use super::{
    Session, StoreError,
    row::{Param, RowRef, params, to_json},
    text::{Shelf, TextHit, TextQuery},
};
use crate::vocabulary::{TenantId, Timestamp};

/// A memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// Its number in full-text and vector indexes.
    pub row_id: i64,
    /// Identity, for good.
    pub id: String,
    /// The name it is found by.
    pub key: String,
    /// From 1, one more with each replacement.
    pub version: u32,
    /// The text.
    pub content: String,
    /// Free words.
    pub tags: Vec<String>,
    /// Free values.
    pub metadata: serde_json::Value,
    /// When the key was first written.
    pub created_at: Timestamp,
    /// When this version was written.
    pub updated_at: Timestamp,
    /// From when on it is invisible.
    pub expires_at: Option<Timestamp>,
}

/// A memory to be stored.
#[derive(Clone, Debug)]
pub struct NewMemory {
    /// Identity, used when the key is new.
    pub id: String,
    /// The name it is found by.
    pub key: String,
    /// The text.
    pub content: String,
    /// Free words.
    pub tags: Vec<String>,
    /// Free values.
    pub metadata: serde_json::Value,
    /// From when on it is invisible.
    pub expires_at: Option<Timestamp>,
    /// Folded words of the key (they weigh more) and of the text, for the full-text index.
    pub words: (String, String),
}

/// An older version of a memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryVersion {
    /// Its number.
    pub version: u32,
    /// The text.
    pub content: String,
    /// Free words.
    pub tags: Vec<String>,
    /// Free values.
    pub metadata: serde_json::Value,
    /// When it was written.
    pub updated_at: Timestamp,
}

/// Memories of one tenant.
pub struct Memories<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// What a statement selects for [`memory`]; a macro, so that statements that are asked all the time need no formatting.
macro_rules! columns {
    () => {
        "row_id, memory_id, key, version, content, tags_json, metadata_json, created_at, updated_at, expires_at"
    };
}
const COLUMNS: &str = columns!();

fn memory(row: &RowRef<'_>) -> Result<Memory, StoreError> {
    Ok(Memory {
        row_id: row.int(0)?,
        id: row.text(1)?,
        key: row.text(2)?,
        version: row.count(3)?,
        content: row.text(4)?,
        tags: row.json(5)?,
        metadata: row.json(6)?,
        created_at: row.time(7)?,
        updated_at: row.time(8)?,
        expires_at: row.opt_time(9)?,
    })
}

impl Memories<'_> {
    /// Stores a memory under its key. A living one is replaced and its old version kept (`true`); an expired
    /// one is gone for good before, as if it had never been.
    pub async fn put(&mut self, new: &NewMemory) -> Result<(Memory, bool), StoreError> {
        // Of two transactions that make the same key at once, one comes second and finds the other's row.
        for _ in 0..3 {
            let lock = if self.session.is_postgres() {
                " FOR UPDATE"
            } else {
                ""
            };
            let sql = format!("SELECT {COLUMNS} FROM memory WHERE tenant_id = $1 AND key = $2{lock}");
            let old = self
                .session
                .query_one(&sql, params![self.tenant.as_str(), &new.key], memory)
                .await?;
            let now = self.session.now;
            let stored = match old {
                Some(old) if old.expires_at.is_none_or(|end| end > now) => {
                    self.replace(&old, new).await?.map(|memory| (memory, true))
                }
                old => {
                    if let Some(old) = old {
                        self.remove(old.row_id, &old.id).await?;
                    }
                    self.create(new).await?.map(|memory| (memory, false))
                }
            };
            if let Some((memory, replaced)) = stored {
                let words = (new.words.0.as_str(), new.words.1.as_str(), "");
                self.session
                    .index_text(self.tenant, Shelf::Memory, memory.row_id, words, !replaced)
                    .await?;
                return Ok((memory, replaced));
            }
        }
        Err(StoreError::Contended)
    }

    async fn create(&mut self, new: &NewMemory) -> Result<Option<Memory>, StoreError> {
        let sql = format!(
            "INSERT INTO memory (tenant_id, memory_id, key, version, content, tags_json, metadata_json, created_at,
                updated_at, expires_at)
             VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $7, $8) ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
        );
        let (tags, metadata) = (to_json(&new.tags)?, to_json(&new.metadata)?);
        let params = params![
            self.tenant.as_str(),
            &new.id,
            &new.key,
            &new.content,
            &tags,
            &metadata,
            self.session.now,
            new.expires_at
        ];
        self.session.query_one(&sql, params, memory).await
    }

    async fn replace(&mut self, old: &Memory, new: &NewMemory) -> Result<Option<Memory>, StoreError> {
        const KEEP: &str = "INSERT INTO memory_versions (tenant_id, memory_id, version, content, tags_json, metadata_json, updated_at)
            SELECT tenant_id, memory_id, version, content, tags_json, metadata_json, updated_at
            FROM memory WHERE tenant_id = $1 AND row_id = $2";
        self.session
            .execute(KEEP, params![self.tenant.as_str(), old.row_id])
            .await?;
        let sql = format!(
            "UPDATE memory SET version = version + 1, content = $1, tags_json = $2, metadata_json = $3, updated_at = $4,
                expires_at = $5 WHERE tenant_id = $6 AND row_id = $7 RETURNING {COLUMNS}"
        );
        let (tags, metadata) = (to_json(&new.tags)?, to_json(&new.metadata)?);
        let params = params![
            &new.content,
            &tags,
            &metadata,
            self.session.now,
            new.expires_at,
            self.tenant.as_str(),
            old.row_id
        ];
        self.session.query_one(&sql, params, memory).await
    }

    async fn remove(&mut self, row_id: i64, id: &str) -> Result<(), StoreError> {
        let tenant = self.tenant.as_str();
        self.session
            .execute(
                "DELETE FROM memory_versions WHERE tenant_id = $1 AND memory_id = $2",
                params![tenant, id],
            )
            .await?;
        self.session
            .execute(
                "DELETE FROM vectors WHERE tenant_id = $1 AND shelf = 'memory' AND row_id = $2",
                params![tenant, row_id],
            )
            .await?;
        self.session
            .execute(
                "DELETE FROM memory WHERE tenant_id = $1 AND row_id = $2",
                params![tenant, row_id],
            )
            .await?;
        self.session
            .forget_text(self.tenant, Shelf::Memory, row_id, "")
            .await
    }

    /// The living memory of that key.
    pub async fn find_by_key(&mut self, key: &str) -> Result<Option<Memory>, StoreError> {
        const BY_KEY: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM memory WHERE tenant_id = $1 AND key = $2 AND (expires_at IS NULL OR expires_at > $3)"
        );
        self.find(BY_KEY, key).await
    }

    /// The living memory of that id.
    pub async fn find_by_id(&mut self, id: &str) -> Result<Option<Memory>, StoreError> {
        const BY_ID: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM memory WHERE tenant_id = $1 AND memory_id = $2 AND (expires_at IS NULL OR expires_at > $3)"
        );
        self.find(BY_ID, id).await
    }

    async fn find(&mut self, sql: &'static str, value: &str) -> Result<Option<Memory>, StoreError> {
        let params = params![self.tenant.as_str(), value, self.session.now];
        self.session.query_one(sql, params, memory).await
    }

    /// Living memories by their row numbers, in the order of the numbers given.
    pub async fn find_rows(&mut self, row_ids: &[i64]) -> Result<Vec<Memory>, StoreError> {
        let mut found = Vec::with_capacity(row_ids.len());
        let by_number = self.session.by_row_number();
        for some in row_ids.chunks(IN_LIST) {
            let sql = format!(
                "SELECT {COLUMNS} FROM memory{by_number} WHERE tenant_id = $1 AND (expires_at IS NULL OR expires_at > $2)
                 AND row_id IN ({IN_SLOTS_FROM_3})"
            );
            let mut params = vec![Param::Text(self.tenant.as_str()), self.session.now.into()];
            params.extend(in_list(some));
            found.extend(self.session.query(&sql, &params, memory).await?);
        }
        Ok(in_order(row_ids, found, |memory| memory.row_id))
    }

    /// Older versions of a memory, newest first.
    pub async fn versions(&mut self, id: &str) -> Result<Vec<MemoryVersion>, StoreError> {
        const VERSIONS: &str =
            "SELECT version, content, tags_json, metadata_json, updated_at FROM memory_versions
            WHERE tenant_id = $1 AND memory_id = $2 ORDER BY version DESC";
        self.session
            .query(VERSIONS, params![self.tenant.as_str(), id], |row| {
                Ok(MemoryVersion {
                    version: row.count(0)?,
                    content: row.text(1)?,
                    tags: row.json(2)?,
                    metadata: row.json(3)?,
                    updated_at: row.time(4)?,
                })
            })
            .await
    }

    /// How many memories live.
    pub async fn count(&mut self) -> Result<i64, StoreError> {
        const COUNT: &str =
            "SELECT COUNT(*) FROM memory WHERE tenant_id = $1 AND (expires_at IS NULL OR expires_at > $2)";
        let params = params![self.tenant.as_str(), self.session.now];
        Ok(self
            .session
            .query_one(COUNT, params, |row| row.int(0))
            .await?
            .unwrap_or(0))
    }

    /// Forgets a memory and its versions; `false` when there is none of that id.
    pub async fn delete(&mut self, id: &str) -> Result<bool, StoreError> {
        let Some(memory) = self.find_by_id(id).await? else {
            return Ok(false);
        };
        self.remove(memory.row_id, id).await.map(|()| true)
    }

    /// Removes what has expired, at most `limit` of it; gives how many.
    pub async fn purge_expired(&mut self, limit: u32) -> Result<usize, StoreError> {
        const EXPIRED: &str = "SELECT row_id, memory_id FROM memory
            WHERE tenant_id = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3";
        let params = params![self.tenant.as_str(), self.session.now, limit];
        let expired = self
            .session
            .query(EXPIRED, params, |row| Ok((row.int(0)?, row.text(1)?)))
            .await?;
        for (row_id, id) in &expired {
            self.remove(*row_id, id).await?;
        }
        Ok(expired.len())
    }

    /// Memories that hold the words asked for, best first. Expired ones may be among them:
    /// [`Memories::find_rows`] leaves them out.
    pub async fn text_candidates(
        &mut self,
        query: &TextQuery,
        limit: u32,
    ) -> Result<Vec<TextHit>, StoreError> {
        self.session
            .find_text(self.tenant, Shelf::Memory, query, &[], limit)
            .await
    }
}

/// How many row numbers one statement asks for. Always the same, so that there is one statement to prepare.
pub(super) const IN_LIST: usize = 16;
/// The slots for them, after two other parameters.
pub(super) const IN_SLOTS_FROM_3: &str =
    "$3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18";

/// At most [`IN_LIST`] row numbers, filled up with one that no row has.
pub(super) fn in_list<'p>(row_ids: &[i64]) -> impl Iterator<Item = Param<'p>> {
    let filled = row_ids.iter().copied().chain(std::iter::repeat(-1));
    filled
        .take(IN_LIST)
        .map(Param::Int)
        .collect::<Vec<_>>()
        .into_iter()
}

/// Puts rows into the order in which their numbers were asked for.
pub(super) fn in_order<T>(row_ids: &[i64], rows: Vec<T>, number: impl Fn(&T) -> i64) -> Vec<T> {
    let mut by_number: std::collections::HashMap<i64, T> =
        rows.into_iter().map(|row| (number(&row), row)).collect();
    row_ids
        .iter()
        .filter_map(|row_id| by_number.remove(row_id))
        .collect()
}
