//! `sync`, `sync_run` and `sync_status`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    domain::{
        Apply, Call, Change, DomainError, HandlerResult, Outcome, Plan, PlanCall, TenantStore, ToolResult,
        context::{
            Context,
            source::{SourceSpec, SyncState},
            sync::{NOTE_LASTS_MS, OnProgress, SourceReport, SyncError, SyncMode, SyncProgress, Synced},
        },
    },
    store::{ReadTx, TenantTx},
    vocabulary::Timestamp,
};

/// After this long the caller is told how far it is while the work goes on: the call itself may take 55 s, and
/// the first synchronisation of a large folder longer.
const ANSWER_AFTER: Duration = Duration::from_secs(50);

#[derive(Debug, Serialize, Deserialize)]
struct SyncArguments {
    source: Option<String>,
}

/// Plans a synchronisation. What it will find in the folders is not known before.
pub(super) async fn plan(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let arguments: SyncArguments = call.arguments.parse()?;
    let known = tx.notes().sources().await?;
    let summary = match &arguments.source {
        Some(name) if known.iter().all(|source| source.id != *name) => {
            return Err(DomainError::not_found("source", name));
        }
        Some(name) => format!("Synchronise the source {name:?}"),
        None => "Synchronise every source".to_owned(),
    };
    Plan::new(summary)
        .with(Change::run("synchronisation", arguments.source.clone()))
        .with_effect("notes that changed on disk are indexed anew, those that are gone are forgotten")
        .carrying(&arguments)
}

/// Synchronises unless another synchronisation holds the lock.
pub(super) async fn run_under_lock(
    context: Arc<Context>,
    store: TenantStore,
    apply: Apply,
) -> Result<ToolResult, DomainError> {
    run(context, store, apply, SyncMode::Skip).await
}

/// Synchronises, whoever holds the lock.
pub(super) async fn run_now(
    context: Arc<Context>,
    store: TenantStore,
    apply: Apply,
) -> Result<ToolResult, DomainError> {
    run(context, store, apply, SyncMode::Now).await
}

async fn run(
    context: Arc<Context>,
    store: TenantStore,
    apply: Apply,
    mode: SyncMode,
) -> Result<ToolResult, DomainError> {
    let SyncArguments { source } = apply.plan.payload()?;
    let began = std::time::Instant::now();
    let so_far: Arc<Mutex<BTreeMap<String, (SourceReport, u64)>>> = Arc::default();
    let progress = apply.progress.clone();
    let reports = Arc::clone(&so_far);
    let on_progress: OnProgress = Arc::new(move |now: &SyncProgress| {
        let name = &now.report.source;
        let files: u64 = {
            let mut reports = reports.lock();
            reports.insert(name.clone(), (now.report.clone(), now.files));
            // Of all sources together: progress must grow, and they come one after the other.
            reports.values().map(|(_, files)| files).sum()
        };
        #[allow(clippy::cast_precision_loss)]
        progress.report(
            files as f64,
            None,
            Some(format!("{name}: {} files read", now.files)),
        );
    });
    let engine = Arc::clone(&context);
    // A task of its own: whoever stops waiting, what was begun is brought to its end.
    let work = context.tasks.spawn(async move {
        engine
            .sync_source(store.tenant(), source.as_deref(), mode, on_progress)
            .await
    });
    match tokio::time::timeout(ANSWER_AFTER, work).await {
        Ok(joined) => match joined.unwrap_or(Err(SyncError::Stopped))? {
            Synced::Skipped => ToolResult::structured(&json!({ "skipped": true, "reason": "lock" })),
            Synced::Done(report) => ToolResult::structured(&report),
        },
        Err(_) => {
            let connectors: Vec<SourceReport> =
                so_far.lock().values().map(|(report, _)| report.clone()).collect();
            let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            ToolResult::structured(
                &json!({ "connectors": connectors, "duration_ms": duration_ms, "running": true }),
            )
        }
    }
}

#[derive(Debug, Serialize)]
struct ConnectorView {
    source: String,
    entities: i64,
    chunks: i64,
    last_sync: Option<Timestamp>,
    state: SyncState,
    errors: Vec<String>,
}

/// Shows how true the index is to the folders.
pub(super) async fn status(context: &Context, tx: &mut TenantTx<'_>, _: Call) -> HandlerResult {
    let sources: Vec<SourceSpec> = tx
        .notes()
        .sources()
        .await?
        .into_iter()
        .filter_map(SourceSpec::of)
        .collect();
    let counts = tx.notes().source_counts().await?;
    let all_chunks: i64 = counts.iter().map(|count| count.chunks).sum();
    // Nearness of words is worked out anew as a whole, so either all of it is pending or nothing.
    let pending = if all_chunks == 0 || context.lexicons.is_current(tx.tenant(), &sources) {
        0
    } else {
        all_chunks
    };
    let now = tx.now();
    let connectors: Vec<ConnectorView> = sources
        .into_iter()
        .map(|source| {
            let count = counts.iter().find(|count| count.id == source.name);
            let (state, errors) = shown(&source, now);
            ConnectorView {
                entities: count.map_or(0, |count| count.entities),
                chunks: count.map_or(0, |count| count.chunks),
                last_sync: source.state.last_sync,
                source: source.name,
                state,
                errors,
            }
        })
        .collect();
    Outcome::structured(&json!({
        "connectors": connectors,
        "embeddings": { "provider": "ngram", "pending": pending },
    }))
}

/// A synchronisation that died wrote no end; its silence is told from one that goes on.
fn shown(source: &SourceSpec, now: Timestamp) -> (SyncState, Vec<String>) {
    let silent = source.updated_at.plus_millis(NOTE_LASTS_MS) < now;
    if source.state.state == SyncState::Syncing && silent {
        let text = "the last synchronisation did not come to its end; the next one goes on from there";
        return (SyncState::Error, vec![text.to_owned()]);
    }
    (source.state.state, source.state.errors.clone())
}
