//! `memory_get`, `memory_put` and `memory_search`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{MOST_METADATA, MOST_TEXT, view::MemoryView};
use crate::{
    domain::{
        Call, DomainError, HandlerResult, Outcome,
        context::{
            Context,
            lexicons::Shelf,
            query,
            ranking::{Lists, Row},
            words::index_text,
        },
    },
    store::{NewMemory, TenantTx},
    vocabulary::{Timestamp, new_id},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Bytes of a memory that `search` shows: about a chunk. `memory_get` reads the whole.
const SHOWN_BYTES: usize = 1_600;
/// Memories read at once while a ranking is walked.
const ROWS_AT_ONCE: usize = 32;

/// The beginning of a memory, as `search` shows it.
pub(super) fn shortened(content: &str) -> &str {
    content
        .get(..content.floor_char_boundary(SHOWN_BYTES))
        .unwrap_or(content)
}

#[derive(Debug, Deserialize)]
struct GetArguments {
    id: Option<String>,
    key: Option<String>,
}

/// Reads one memory by id or key.
pub(super) async fn get(context: &Context, tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let principal = call.permit.principal();
    context.budget.check(principal, call.now)?;
    let arguments: GetArguments = call.arguments.parse()?;
    let (found, name) = match (arguments.id, arguments.key) {
        (Some(id), None) => (tx.memory().find_by_id(&id).await?, id),
        (None, Some(key)) => (tx.memory().find_by_key(&key).await?, key),
        _ => return Err(DomainError::argument("id, key: give exactly one of the two")),
    };
    let memory = found.ok_or_else(|| DomainError::not_found("memory", name))?;
    context
        .budget
        .charge(principal, call.now, 1, memory.content.len());
    let id = memory.id.clone();
    Ok(Outcome::structured(&serde_json::json!({ "memory": MemoryView::from(memory) }))?.touching([id]))
}

#[derive(Debug, Deserialize)]
struct PutArguments {
    key: String,
    content: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
    ttl_days: Option<i64>,
    expires_at: Option<String>,
}

/// Stores a memory under its key; the one that was there becomes an older version.
pub(super) async fn put(tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let arguments: PutArguments = call.arguments.parse()?;
    check_metadata(&arguments.metadata)?;
    let expires_at = expiry(arguments.ttl_days, arguments.expires_at.as_deref(), tx.now())?;
    let mut words = index_text(&arguments.content);
    for tag in &arguments.tags {
        words.push(' ');
        words.push_str(&index_text(tag));
    }
    let new = NewMemory {
        id: new_id("mem", tx.now()),
        words: (index_text(&arguments.key), words),
        key: arguments.key,
        content: arguments.content,
        tags: arguments.tags,
        metadata: arguments.metadata.into(),
        expires_at,
    };
    let (memory, replaced) = tx.memory().put(&new).await?;
    let id = memory.id.clone();
    let answer = serde_json::json!({ "memory": MemoryView::from(memory), "replaced": replaced });
    Ok(Outcome::structured(&answer)?.touching([id]))
}

/// Refuses metadata beyond what a record carries.
pub(super) fn check_metadata(metadata: &Map<String, Value>) -> Result<(), DomainError> {
    let bytes = serde_json::to_string(metadata).map_or(usize::MAX, |json| json.len());
    if bytes > MOST_METADATA {
        return Err(DomainError::argument(format!(
            "metadata: must be at most {MOST_METADATA} bytes as JSON; it is {bytes}"
        )));
    }
    Ok(())
}

fn expiry(
    ttl_days: Option<i64>,
    expires_at: Option<&str>,
    now: Timestamp,
) -> Result<Option<Timestamp>, DomainError> {
    match (ttl_days, expires_at) {
        (Some(_), Some(_)) => Err(DomainError::argument("ttl_days, expires_at: give one of the two")),
        (Some(days), None) => Ok(Some(now.plus_millis(days.saturating_mul(DAY_MS)))),
        (None, Some(text)) => {
            let moment = Timestamp::parse(text).ok_or_else(|| {
                DomainError::argument("expires_at: must be a moment like 2030-01-31T12:00:00Z or a date")
            })?;
            if moment <= now {
                return Err(DomainError::argument("expires_at: must be in the future"));
            }
            Ok(Some(moment))
        }
        (None, None) => Ok(None),
    }
}

#[derive(Debug, Deserialize)]
struct SearchArguments {
    query: String,
    limit: usize,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Debug, Serialize)]
struct SearchAnswer {
    results: Vec<Hit>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

#[derive(Debug, Serialize)]
struct Hit {
    memory: MemoryView,
    score: f64,
}

/// Finds memories by words and by likeness.
pub(super) async fn search(context: &Context, tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let principal = call.permit.principal();
    context.budget.check(principal, call.now)?;
    let arguments: SearchArguments = call.arguments.parse()?;
    let terms = query::parse(&arguments.query).map_err(|error| DomainError::argument(error.to_string()))?;
    let words = context.lexicons.of_memory(tx).await?;
    let mut lists = Lists::default();
    lists.ask(tx, Shelf::Memory, &terms, &words, None).await?;
    let ranked: Vec<(i64, f64)> = lists
        .rank()
        .into_iter()
        .filter_map(|ranked| match ranked.row {
            Row::Memory(row) => Some((row, ranked.score)),
            Row::Chunk(_) => None,
        })
        .collect();
    let mut answer = SearchAnswer {
        results: Vec::new(),
        truncated: false,
    };
    let mut bytes = 0;
    'pages: for some in ranked.chunks(ROWS_AT_ONCE) {
        let rows: Vec<i64> = some.iter().map(|(row, _)| *row).collect();
        for memory in tx.memory().find_rows(&rows).await? {
            if !arguments.tags.iter().all(|tag| memory.tags.contains(tag)) {
                continue;
            }
            if answer.results.len() == arguments.limit {
                break 'pages;
            }
            let length = memory.content.len();
            if bytes + length > MOST_TEXT && !answer.results.is_empty() {
                answer.truncated = true;
                break 'pages;
            }
            bytes += length;
            let score = some
                .iter()
                .find(|(row, _)| *row == memory.row_id)
                .map_or(0.0, |(_, score)| *score);
            answer.results.push(Hit {
                memory: memory.into(),
                score,
            });
        }
    }
    context
        .budget
        .charge(principal, call.now, answer.results.len(), bytes);
    let touched: Vec<String> = answer.results.iter().map(|hit| hit.memory.id.clone()).collect();
    Ok(Outcome::structured(&answer)?.touching(touched))
}
