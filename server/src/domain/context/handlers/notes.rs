//! `search`, `get` and `get_chunk`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MOST_TEXT, memories::shortened, view::ChunkView};
use crate::{
    domain::{
        Call, DomainError, HandlerResult, Outcome,
        context::{
            Context,
            chunk::parse_chunk_id,
            fuse::{MAX_CHUNKS, MAX_OFFSET, parse_cursor},
            lexicons::Shelf,
            query,
            ranking::{Lists, Ranked, Row},
            source::SourceSpec,
        },
    },
    store::{Chunk, Memory, StoreError, TenantTx},
    vocabulary::Timestamp,
};

/// Rows read at once while a ranking is walked.
const ROWS_AT_ONCE: usize = 32;
/// Chunks of an entity read at once by `get`: more than fit into an answer.
const CHUNKS_AT_ONCE: u32 = 256;

#[derive(Debug, Deserialize)]
struct SearchArguments {
    query: String,
    limit: usize,
    source: Option<String>,
    cursor: Option<String>,
    types: Vec<ResultType>,
    #[serde(default)]
    include_memory: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ResultType {
    Entity,
    Memory,
}

#[derive(Debug, Serialize)]
struct SearchAnswer {
    results: Vec<SearchResult>,
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

#[derive(Debug, Serialize)]
struct SearchResult {
    result_type: ResultType,
    entity_id: String,
    entity_title: String,
    source: String,
    uri: String,
    updated_at: Timestamp,
    score: f64,
    chunks: Vec<ChunkView>,
}

/// Finds passages by words and by likeness, grouped by note.
pub(super) async fn search(context: &Context, tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let principal = call.permit.principal();
    context.budget.check(principal, call.now)?;
    let arguments: SearchArguments = call.arguments.parse()?;
    let terms = query::parse(&arguments.query).map_err(|error| DomainError::argument(error.to_string()))?;
    let offset = match arguments.cursor.as_deref() {
        None => 0,
        Some(cursor) => parse_cursor(cursor).ok_or_else(|| {
            DomainError::argument(format!(
                "cursor: must be next_cursor of the page before, a number up to {MAX_OFFSET}; to see more, narrow the query"
            ))
        })?,
    };
    let wants = |kind| arguments.types.contains(&kind);
    let sources: Vec<SourceSpec> = tx
        .notes()
        .sources()
        .await?
        .into_iter()
        .filter_map(SourceSpec::of)
        .collect();
    if let Some(name) = &arguments.source
        && !sources.iter().any(|source| source.name == *name)
    {
        return Err(DomainError::not_found("source", name));
    }
    let mut lists = Lists::default();
    if wants(ResultType::Entity) {
        let words = context.lexicons.of_notes(tx, &sources).await?;
        lists
            .ask(tx, Shelf::Notes, &terms, &words, arguments.source.as_deref())
            .await?;
    }
    // A memory belongs to no source, so naming one leaves memories out.
    if (wants(ResultType::Memory) || arguments.include_memory) && arguments.source.is_none() {
        let words = context.lexicons.of_memory(tx).await?;
        lists.ask(tx, Shelf::Memory, &terms, &words, None).await?;
    }
    let groups = group(tx, &lists.rank(), offset + arguments.limit + 1).await?;
    let answer = show(tx, groups, offset, arguments.limit).await?;

    let chunks = answer.results.iter().flat_map(|result| &result.chunks);
    let (count, bytes) = chunks.fold((0, 0), |(count, bytes), chunk| {
        (count + 1, bytes + chunk.content.len())
    });
    context.budget.charge(principal, call.now, count, bytes);
    let touched: Vec<String> = answer
        .results
        .iter()
        .map(|result| result.entity_id.clone())
        .collect();
    Ok(Outcome::structured(&answer)?.touching(touched))
}

/// An entity or a memory with what was found of it.
enum Group {
    Entity {
        id: String,
        score: f64,
        chunks: Vec<(Chunk, f64)>,
    },
    Memory {
        memory: Box<Memory>,
        score: f64,
    },
}

/// Walks a ranking until `wanted` groups are found. Rows that are gone by now are passed over.
async fn group(tx: &mut TenantTx<'_>, ranked: &[Ranked], wanted: usize) -> Result<Vec<Group>, StoreError> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for some in ranked.chunks(ROWS_AT_ONCE) {
        let (mut chunk_rows, mut memory_rows) = (Vec::new(), Vec::new());
        for ranked in some {
            match ranked.row {
                Row::Chunk(row) => chunk_rows.push(row),
                Row::Memory(row) => memory_rows.push(row),
            }
        }
        let chunks = tx.notes().chunk_rows(&chunk_rows).await?;
        let mut chunks: HashMap<i64, Chunk> = chunks.into_iter().map(|chunk| (chunk.row_id, chunk)).collect();
        let memories = tx.memory().find_rows(&memory_rows).await?;
        let mut memories: HashMap<i64, Memory> = memories
            .into_iter()
            .map(|memory| (memory.row_id, memory))
            .collect();
        for Ranked { row, score } in some {
            match row {
                Row::Memory(row) => groups.extend(memories.remove(row).map(|memory| Group::Memory {
                    memory: Box::new(memory),
                    score: *score,
                })),
                Row::Chunk(row) => {
                    let Some(chunk) = chunks.remove(row) else { continue };
                    let place = places.get(&chunk.entity).and_then(|place| groups.get_mut(*place));
                    if let Some(Group::Entity { chunks, .. }) = place {
                        if chunks.len() < MAX_CHUNKS {
                            chunks.push((chunk, *score));
                        }
                    } else {
                        places.insert(chunk.entity.clone(), groups.len());
                        groups.push(Group::Entity {
                            id: chunk.entity.clone(),
                            score: *score,
                            chunks: vec![(chunk, *score)],
                        });
                    }
                }
            }
        }
        if groups.len() >= wanted {
            break;
        }
    }
    Ok(groups)
}

/// The page of `limit` groups from `offset`, cut where the answer would hold more than [`MOST_TEXT`].
async fn show(
    tx: &mut TenantTx<'_>,
    groups: Vec<Group>,
    offset: usize,
    limit: usize,
) -> Result<SearchAnswer, StoreError> {
    let found = groups.len();
    let mut results: Vec<SearchResult> = Vec::new();
    let mut bytes = 0;
    let mut end = offset;
    let mut truncated = false;
    for group in groups.into_iter().skip(offset).take(limit) {
        let result = match group {
            Group::Memory { memory, score } => Some(of_memory(*memory, score)),
            Group::Entity { id, score, chunks } => of_entity(tx, id, score, chunks).await?,
        };
        let Some(result) = result else {
            end += 1;
            continue;
        };
        bytes += result
            .chunks
            .iter()
            .map(|chunk| chunk.content.len())
            .sum::<usize>();
        if bytes > MOST_TEXT && !results.is_empty() {
            truncated = true;
            break;
        }
        results.push(result);
        end += 1;
    }
    let more = found > end && end <= MAX_OFFSET;
    Ok(SearchAnswer {
        results,
        next_cursor: more.then(|| end.to_string()),
        truncated,
    })
}

/// `None` when the entity went while its chunks were read.
async fn of_entity(
    tx: &mut TenantTx<'_>,
    id: String,
    score: f64,
    chunks: Vec<(Chunk, f64)>,
) -> Result<Option<SearchResult>, StoreError> {
    let entity = tx.notes().find_entity(&id).await?;
    Ok(entity.map(|entity| SearchResult {
        result_type: ResultType::Entity,
        entity_id: id,
        entity_title: entity.title,
        source: entity.source,
        uri: entity.uri,
        updated_at: entity.updated_at,
        score,
        chunks: chunks
            .into_iter()
            .map(|(chunk, score)| ChunkView::of(chunk, Some(score)))
            .collect(),
    }))
}

/// A memory in the shape of a note of one passage: its key is its title, and `memory_get` reads all of it.
fn of_memory(memory: Memory, score: f64) -> SearchResult {
    let content = shortened(&memory.content);
    let characters = u32::try_from(content.chars().count()).unwrap_or(u32::MAX);
    SearchResult {
        result_type: ResultType::Memory,
        uri: format!("memory://{}", memory.id),
        source: "memory".to_owned(),
        updated_at: memory.updated_at,
        score,
        chunks: vec![ChunkView {
            chunk_id: format!("{}:0", memory.id),
            content: content.to_owned(),
            score: Some(score),
            char_offset_start: 0,
            char_offset_end: characters,
            chunk_type: "text".to_owned(),
        }],
        entity_title: memory.key,
        entity_id: memory.id,
    }
}

#[derive(Debug, Deserialize)]
struct GetArguments {
    entity_id: String,
}

#[derive(Debug, Serialize)]
struct EntityView {
    id: String,
    title: String,
    source: String,
    uri: String,
    tags: Vec<String>,
    metadata: Value,
    updated_at: Timestamp,
    chunks: Vec<ChunkView>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// Reads a note with its chunks, as far as they fit into an answer.
pub(super) async fn get(context: &Context, tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let principal = call.permit.principal();
    context.budget.check(principal, call.now)?;
    let GetArguments { entity_id } = call.arguments.parse()?;
    let entity = tx
        .notes()
        .find_entity(&entity_id)
        .await?
        .ok_or_else(|| DomainError::not_found("entity", &entity_id))?;
    let mut chunks: Vec<ChunkView> = Vec::new();
    let mut bytes = 0;
    let mut truncated = entity.chunks > CHUNKS_AT_ONCE;
    for chunk in tx.notes().chunks(&entity_id, 0, CHUNKS_AT_ONCE - 1).await? {
        if bytes + chunk.content.len() > MOST_TEXT && !chunks.is_empty() {
            truncated = true;
            break;
        }
        bytes += chunk.content.len();
        chunks.push(ChunkView::of(chunk, None));
    }
    context.budget.charge(principal, call.now, chunks.len(), bytes);
    let view = EntityView {
        id: entity.id,
        title: entity.title,
        source: entity.source,
        uri: entity.uri,
        tags: entity.tags,
        metadata: entity.metadata,
        updated_at: entity.updated_at,
        chunks,
        truncated,
    };
    Ok(Outcome::structured(&serde_json::json!({ "entity": view }))?.touching([entity_id]))
}

#[derive(Debug, Deserialize)]
struct GetChunkArguments {
    chunk_id: String,
    context_chunks: u32,
}

#[derive(Debug, Serialize)]
struct ChunkAnswer {
    chunk: ChunkView,
    before: Vec<ChunkView>,
    after: Vec<ChunkView>,
}

/// Reads one chunk with its neighbours.
pub(super) async fn get_chunk(context: &Context, tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let principal = call.permit.principal();
    context.budget.check(principal, call.now)?;
    let arguments: GetChunkArguments = call.arguments.parse()?;
    let missing = || DomainError::not_found("chunk", &arguments.chunk_id);
    let (entity, index) = parse_chunk_id(&arguments.chunk_id).ok_or_else(missing)?;
    // An entity without its row is a tombstone whose chunks are on their way out.
    tx.notes().find_entity(entity).await?.ok_or_else(missing)?;
    let (from, to) = (
        index.saturating_sub(arguments.context_chunks),
        index.saturating_add(arguments.context_chunks),
    );
    let found = tx.notes().chunks(entity, from, to).await?;
    let (count, bytes) = (found.len(), found.iter().map(|chunk| chunk.content.len()).sum());
    let (mut before, mut after, mut asked) = (Vec::new(), Vec::new(), None);
    for chunk in found {
        let position = chunk.position;
        let view = ChunkView::of(chunk, None);
        match position.cmp(&index) {
            std::cmp::Ordering::Less => before.push(view),
            std::cmp::Ordering::Equal => asked = Some(view),
            std::cmp::Ordering::Greater => after.push(view),
        }
    }
    let chunk = asked.ok_or_else(missing)?;
    context.budget.charge(principal, call.now, count, bytes);
    let answer = ChunkAnswer { chunk, before, after };
    Ok(Outcome::structured(&answer)?.touching([entity.to_owned()]))
}
