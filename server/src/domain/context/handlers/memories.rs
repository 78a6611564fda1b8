//! `memory_get`, `memory_put` and `memory_search`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{MOST_METADATA, MOST_TEXT, view::MemoryView};
use crate::{
    domain::{
        Apply, Call, Change, DomainError, HandlerResult, Outcome, Plan, PlanCall, ToolResult,
        context::{
            Context,
            lexicons::Shelf,
            memory_uri, query,
            ranking::{Lists, Row},
            words::index_text,
        },
    },
    store::{NewMemory, ReadTx, TenantTx},
    vocabulary::{Scope, Timestamp, new_id},
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

/// One memory.
#[derive(Debug, Serialize)]
struct Found {
    memory: MemoryView,
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
    let found = Found {
        memory: memory.into(),
    };
    Ok(Outcome::structured(&found)?.touching([id]))
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

/// A memory to be stored, on its way from the plan to what carries it out.
#[derive(Debug, Serialize, Deserialize)]
struct Put {
    key: String,
    content: String,
    tags: Vec<String>,
    metadata: Map<String, Value>,
    expires_at: Option<Timestamp>,
    /// The version that this one will have.
    version: u32,
}

/// Plans to store a memory under its key; the one that was there becomes an older version.
pub(super) async fn plan_put(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let reader = call.reader(&Scope::new("memory.read").map_err(DomainError::internal)?);
    let arguments: PutArguments = call.arguments.parse()?;
    check_metadata(&arguments.metadata)?;
    let expires_at = expiry(arguments.ttl_days, arguments.expires_at.as_deref(), call.now)?;
    let old = tx.memory().find_by_key(&arguments.key).await?;
    let new = Put {
        key: arguments.key,
        content: arguments.content,
        tags: arguments.tags,
        metadata: arguments.metadata,
        expires_at,
        version: old.as_ref().map_or(1, |old| old.version + 1),
    };
    let verb = if old.is_some() { "Replace" } else { "Store" };
    let mut plan = Plan::new(format!("{verb} the memory {:?}", new.key));
    let fields = |content: &str, tags: &[String], metadata: &Value, expires_at: Option<Timestamp>| {
        [
            ("content", json!(content)),
            ("tags", json!(tags)),
            ("metadata", metadata.clone()),
            ("expires_at", json!(expires_at)),
        ]
    };
    let to = fields(&new.content, &new.tags, &json!(new.metadata), new.expires_at);
    match &old {
        None => {
            let empty = [json!([]), json!({}), Value::Null];
            for (field, to) in to.into_iter().filter(|(_, to)| !empty.contains(to)) {
                plan = plan.with(Change::create("memory", field, to));
            }
        }
        Some(old) => {
            let from = fields(&old.content, &old.tags, &old.metadata, old.expires_at);
            for ((field, from), (_, to)) in from.into_iter().zip(to).filter(|((_, from), (_, to))| from != to)
            {
                plan = plan.with(Change::update(
                    "memory",
                    old.id.as_str(),
                    field,
                    reader.show(from),
                    to,
                ));
            }
            plan = plan
                .on("memory", old.id.as_str(), old.version)
                .with_effect("the old version is kept in history");
        }
    }
    plan.carrying(&new)
}

/// Stores what was planned.
pub(super) async fn put(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let planned: Put = apply.plan.payload()?;
    let mut words = index_text(&planned.content);
    for tag in &planned.tags {
        words.push(' ');
        words.push_str(&index_text(tag));
    }
    let new = NewMemory {
        id: new_id("mem", tx.now()),
        words: (index_text(&planned.key), words),
        key: planned.key,
        content: planned.content,
        tags: planned.tags,
        metadata: planned.metadata.into(),
        expires_at: planned.expires_at,
    };
    let (memory, replaced) = tx.memory().put(&new).await?;
    tx.resources().touch(&memory_uri(&memory.key)).await?;
    // Two writers of one key may both be right; but what somebody agreed to, happens exactly or not at all.
    if apply.agreed && memory.version != planned.version {
        return Err(DomainError::Conflict(
            "the memory was changed at the same moment; look at it and call again".to_owned(),
        ));
    }
    let id = memory.id.clone();
    let answer = json!({ "memory": MemoryView::from(memory), "replaced": replaced });
    Ok(ToolResult::structured(&answer)?.touching([id]))
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
