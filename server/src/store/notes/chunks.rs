//! Entities (files, mostly) and the chunks they are cut into.

use super::Notes;
use crate::{
    store::{
        StoreError,
        memory::{IN_LIST, IN_SLOTS_FROM_3, in_list, in_order},
        row::{Param, RowRef, params, to_json},
        text::Shelf,
    },
    vocabulary::Timestamp,
};

/// An entity to be stored, with everything that hangs on it.
#[derive(Clone, Debug)]
pub struct NewEntity {
    /// Identity.
    pub id: String,
    /// The source it was found in.
    pub source: String,
    /// Its place in the source; one entity a place.
    pub path: String,
    /// Its address for people.
    pub uri: String,
    /// Its title.
    pub title: String,
    /// Free words.
    pub tags: Vec<String>,
    /// Free values.
    pub metadata: serde_json::Value,
    /// Size of the file.
    pub bytes: u64,
    /// When the file was changed, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    /// Folded words of the title, indexed with each chunk and weighing more than its text.
    pub title_words: String,
    /// The chunks in order.
    pub chunks: Vec<NewChunk>,
}

/// A chunk to be stored.
#[derive(Clone, Debug)]
pub struct NewChunk {
    /// What it is cut from, as `text` or `code`.
    pub kind: String,
    /// The headings above it.
    pub heading: String,
    /// Its text.
    pub content: String,
    /// Where it starts in the entity's text, in characters.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
    /// Folded words of its text, for the full-text index.
    pub words: String,
}

/// An entity as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// Identity.
    pub id: String,
    /// The source it was found in.
    pub source: String,
    /// Its place in the source.
    pub path: String,
    /// Its address for people.
    pub uri: String,
    /// Its title.
    pub title: String,
    /// Free words.
    pub tags: Vec<String>,
    /// Free values.
    pub metadata: serde_json::Value,
    /// Number of its chunks.
    pub chunks: u32,
    /// When it last changed here.
    pub updated_at: Timestamp,
}

/// What a sync compares a file with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityMark {
    /// The entity.
    pub id: String,
    /// Its place in the source.
    pub path: String,
    /// Size of the file.
    pub bytes: u64,
    /// When the file was changed, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// SHA-256 of the file.
    pub digest: [u8; 32],
}

/// A chunk as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its number in full-text and vector indexes.
    pub row_id: i64,
    /// The entity it belongs to.
    pub entity: String,
    /// Its place among the entity's chunks, from 0.
    pub position: u32,
    /// The source of the entity.
    pub source: String,
    /// What it is cut from.
    pub kind: String,
    /// The headings above it.
    pub heading: String,
    /// Its text.
    pub content: String,
    /// Where it starts in the entity's text, in characters.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
}

const ENTITY: &str = "entity_id, source_id, path, uri, title, tags_json, metadata_json, chunks, updated_at";
const CHUNK: &str = "row_id, entity_id, position, source_id, kind, heading, content, start_at, end_at";
const MARK: &str = "entity_id, path, bytes, modified_at, digest";

fn entity(row: &RowRef<'_>) -> Result<Entity, StoreError> {
    Ok(Entity {
        id: row.text(0)?,
        source: row.text(1)?,
        path: row.text(2)?,
        uri: row.text(3)?,
        title: row.text(4)?,
        tags: row.json(5)?,
        metadata: row.json(6)?,
        chunks: row.count(7)?,
        updated_at: row.time(8)?,
    })
}

fn chunk(row: &RowRef<'_>) -> Result<Chunk, StoreError> {
    Ok(Chunk {
        row_id: row.int(0)?,
        entity: row.text(1)?,
        position: row.count(2)?,
        source: row.text(3)?,
        kind: row.text(4)?,
        heading: row.text(5)?,
        content: row.text(6)?,
        start: row.count(7)?,
        end: row.count(8)?,
    })
}

fn mark(row: &RowRef<'_>) -> Result<EntityMark, StoreError> {
    Ok(EntityMark {
        id: row.text(0)?,
        path: row.text(1)?,
        bytes: row.int(2)?.unsigned_abs(),
        modified_ns: row.int(3)?,
        digest: row.digest(4)?,
    })
}

impl Notes<'_> {
    /// Stores an entity in place of what stood under its id, and gives the row numbers of its chunks. A
    /// tombstone comes back to life. [`StoreError::Conflict`]: another entity has its path.
    pub async fn put_entity(&mut self, new: &NewEntity) -> Result<Vec<i64>, StoreError> {
        const PUT: &str = "INSERT INTO entities (tenant_id, entity_id, source_id, path, uri, title, tags_json, metadata_json,
                bytes, modified_at, digest, chunks, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            ON CONFLICT (tenant_id, entity_id) DO UPDATE SET source_id = excluded.source_id, path = excluded.path,
                uri = excluded.uri, title = excluded.title, tags_json = excluded.tags_json,
                metadata_json = excluded.metadata_json, bytes = excluded.bytes, modified_at = excluded.modified_at,
                digest = excluded.digest, chunks = excluded.chunks, updated_at = excluded.updated_at, deleted_at = NULL";
        const ADD: &str = "INSERT INTO chunks (tenant_id, entity_id, position, source_id, kind, heading, content, start_at, end_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING row_id";
        self.free_path(new).await?;
        self.drop_chunks(&new.id).await?;
        let (tags, metadata) = (to_json(&new.tags)?, to_json(&new.metadata)?);
        let count = i64::try_from(new.chunks.len()).unwrap_or(i64::MAX);
        let params = params![
            self.tenant.as_str(),
            &new.id,
            &new.source,
            &new.path,
            &new.uri,
            &new.title,
            &tags,
            &metadata,
            i64::try_from(new.bytes).unwrap_or(i64::MAX),
            new.modified_ns,
            &new.digest[..],
            count,
            self.session.now,
        ];
        self.session.execute(PUT, params).await?;
        let mut rows = Vec::with_capacity(new.chunks.len());
        for (position, chunk) in (0_i64..).zip(&new.chunks) {
            let params = params![
                self.tenant.as_str(),
                &new.id,
                position,
                &new.source,
                &chunk.kind,
                &chunk.heading,
                &chunk.content,
                chunk.start,
                chunk.end
            ];
            let row = self.session.query_one(ADD, params, |row| row.int(0)).await?;
            let row = row.ok_or_else(|| StoreError::Row("a chunk was not stored".into()))?;
            let words = (
                new.title_words.as_str(),
                chunk.words.as_str(),
                new.source.as_str(),
            );
            self.session
                .index_text(self.tenant, Shelf::Chunks, row, words, true)
                .await?;
            rows.push(row);
        }
        Ok(rows)
    }

    /// A tombstone at the same path gives way; a living entity is in the way.
    async fn free_path(&mut self, new: &NewEntity) -> Result<(), StoreError> {
        const HOLDER: &str =
            "SELECT entity_id, CAST(CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) FROM entities
            WHERE tenant_id = $1 AND source_id = $2 AND path = $3";
        let params = params![self.tenant.as_str(), &new.source, &new.path];
        let holder = self
            .session
            .query_one(HOLDER, params, |row| Ok((row.text(0)?, row.flag(1)?)))
            .await?;
        match holder {
            Some((id, true)) if id != new.id => self.forget(&id).await,
            Some((id, false)) if id != new.id => {
                Err(StoreError::conflict(format!("the path `{}`", new.path)))
            }
            _ => Ok(()),
        }
    }

    /// Notes that a file was looked at and has not changed, or has moved.
    pub async fn mark_entity(&mut self, new: &EntityMark, uri: &str) -> Result<bool, StoreError> {
        const MARK: &str =
            "UPDATE entities SET path = $1, uri = $2, bytes = $3, modified_at = $4, digest = $5
            WHERE tenant_id = $6 AND entity_id = $7 AND deleted_at IS NULL";
        let params = params![
            &new.path,
            uri,
            i64::try_from(new.bytes).unwrap_or(i64::MAX),
            new.modified_ns,
            &new.digest[..],
            self.tenant.as_str(),
            &new.id
        ];
        Ok(self.session.execute(MARK, params).await? > 0)
    }

    /// What is known of a source's files, by path, those after `after`.
    pub async fn marks(
        &mut self,
        source: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<EntityMark>, StoreError> {
        let sql = format!(
            "SELECT {MARK} FROM entities WHERE tenant_id = $1 AND source_id = $2 AND path > $3 AND deleted_at IS NULL
             ORDER BY path LIMIT $4"
        );
        self.session
            .query(&sql, params![self.tenant.as_str(), source, after, limit], mark)
            .await
    }

    /// The entity of that id, unless it is a tombstone.
    pub async fn find_entity(&mut self, id: &str) -> Result<Option<Entity>, StoreError> {
        let sql = format!(
            "SELECT {ENTITY} FROM entities WHERE tenant_id = $1 AND entity_id = $2 AND deleted_at IS NULL"
        );
        self.session
            .query_one(&sql, params![self.tenant.as_str(), id], entity)
            .await
    }

    /// The entity at that place, unless it is a tombstone.
    pub async fn find_entity_at(&mut self, source: &str, path: &str) -> Result<Option<Entity>, StoreError> {
        let sql = format!(
            "SELECT {ENTITY} FROM entities WHERE tenant_id = $1 AND source_id = $2 AND path = $3 AND deleted_at IS NULL"
        );
        self.session
            .query_one(&sql, params![self.tenant.as_str(), source, path], entity)
            .await
    }

    /// Chunks of an entity from position `from` up to and including `to`.
    pub async fn chunks(&mut self, entity: &str, from: u32, to: u32) -> Result<Vec<Chunk>, StoreError> {
        let sql = format!(
            "SELECT {CHUNK} FROM chunks WHERE tenant_id = $1 AND entity_id = $2 AND position >= $3 AND position <= $4
             ORDER BY position"
        );
        self.session
            .query(&sql, params![self.tenant.as_str(), entity, from, to], chunk)
            .await
    }

    /// Chunks by their row numbers, in the order of the numbers given.
    pub async fn chunk_rows(&mut self, row_ids: &[i64]) -> Result<Vec<Chunk>, StoreError> {
        let mut found = Vec::with_capacity(row_ids.len());
        let by_number = self.session.by_row_number();
        for some in row_ids.chunks(IN_LIST) {
            // The second parameter keeps the slots where the other lists have them.
            let sql = format!(
                "SELECT {CHUNK} FROM chunks{by_number} WHERE tenant_id = $1 AND row_id >= $2
                 AND row_id IN ({IN_SLOTS_FROM_3})"
            );
            let mut params = vec![Param::Text(self.tenant.as_str()), Param::Int(0)];
            params.extend(in_list(some));
            found.extend(self.session.query(&sql, &params, chunk).await?);
        }
        Ok(in_order(row_ids, found, |chunk| chunk.row_id))
    }

    /// All chunks by row number, those after `after`: what an index in memory is filled from.
    pub async fn all_chunks(&mut self, after: i64, limit: u32) -> Result<Vec<Chunk>, StoreError> {
        let sql = format!(
            "SELECT {CHUNK} FROM chunks{} WHERE tenant_id = $1 AND row_id > $2 ORDER BY row_id LIMIT $3",
            self.session.by_row_number()
        );
        self.session
            .query(&sql, params![self.tenant.as_str(), after, limit], chunk)
            .await
    }

    /// Row numbers of an entity's chunks.
    pub async fn chunk_numbers(&mut self, entity: &str) -> Result<Vec<i64>, StoreError> {
        const NUMBERS: &str =
            "SELECT row_id FROM chunks WHERE tenant_id = $1 AND entity_id = $2 ORDER BY position";
        self.session
            .query(NUMBERS, params![self.tenant.as_str(), entity], |row| row.int(0))
            .await
    }

    /// Makes a tombstone of an entity that vanished: its chunks go, its row stays. `false`: none of that id.
    pub async fn bury(&mut self, id: &str) -> Result<bool, StoreError> {
        const BURY: &str = "UPDATE entities SET deleted_at = $1, chunks = 0
            WHERE tenant_id = $2 AND entity_id = $3 AND deleted_at IS NULL";
        let buried = self
            .session
            .execute(BURY, params![self.session.now, self.tenant.as_str(), id])
            .await?
            > 0;
        if buried {
            self.drop_chunks(id).await?;
        }
        Ok(buried)
    }

    /// Removes tombstones made before a moment; gives how many.
    pub async fn purge_tombstones(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM entities WHERE tenant_id = $1 AND deleted_at < $2";
        self.session
            .execute(PURGE, params![self.tenant.as_str(), before])
            .await
    }

    async fn forget(&mut self, id: &str) -> Result<(), StoreError> {
        const FORGET: &str = "DELETE FROM entities WHERE tenant_id = $1 AND entity_id = $2";
        self.session
            .execute(FORGET, params![self.tenant.as_str(), id])
            .await
            .map(|_| ())
    }

    async fn drop_chunks(&mut self, entity: &str) -> Result<(), StoreError> {
        let tenant = self.tenant.as_str();
        for row in self.chunk_numbers(entity).await? {
            self.session
                .forget_text(self.tenant, Shelf::Chunks, row, "")
                .await?;
            self.session
                .execute(
                    "DELETE FROM vectors WHERE tenant_id = $1 AND shelf = 'chunks' AND row_id = $2",
                    params![tenant, row],
                )
                .await?;
        }
        self.session
            .execute(
                "DELETE FROM chunks WHERE tenant_id = $1 AND entity_id = $2",
                params![tenant, entity],
            )
            .await
            .map(|_| ())
    }
}
