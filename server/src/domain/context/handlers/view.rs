//! What answers show of the store's rows.

use serde::Serialize;
use serde_json::Value;

use crate::{
    domain::context::chunk::chunk_id,
    store::{Chunk, Memory},
    vocabulary::Timestamp,
};

/// A passage.
#[derive(Debug, Serialize)]
pub(super) struct ChunkView {
    pub(super) chunk_id: String,
    pub(super) content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<f64>,
    pub(super) char_offset_start: u32,
    pub(super) char_offset_end: u32,
    pub(super) chunk_type: String,
}

impl ChunkView {
    pub(super) fn of(chunk: Chunk, score: Option<f64>) -> Self {
        Self {
            chunk_id: chunk_id(&chunk.entity, chunk.position),
            content: chunk.content,
            score,
            char_offset_start: chunk.start,
            char_offset_end: chunk.end,
            chunk_type: chunk.kind,
        }
    }
}

/// A memory.
#[derive(Debug, Serialize)]
pub(super) struct MemoryView {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) content: String,
    pub(super) tags: Vec<String>,
    pub(super) metadata: Value,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Timestamp>,
}

impl From<Memory> for MemoryView {
    fn from(memory: Memory) -> Self {
        Self {
            id: memory.id,
            key: memory.key,
            content: memory.content,
            tags: memory.tags,
            metadata: memory.metadata,
            created_at: memory.created_at,
            updated_at: memory.updated_at,
            expires_at: memory.expires_at,
        }
    }
}
