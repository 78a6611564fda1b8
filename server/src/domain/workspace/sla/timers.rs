//! Wakes when a clock has something to say: a job for each such moment, written with the change that set the clock, taken by
//! any replica. What is said and what is stored are one commit, so everything is said once.

use std::time::Duration;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Sla;
use crate::{
    domain::{
        DomainError,
        workspace::{
            events::{self, Event},
            kinds::{conversation::Conversation, ticket::Ticket},
            record::{self, Kind, Stored, Who},
        },
    },
    store::{Job, NewJob, Store, StoreError, TenantTx, Topic},
    vocabulary::new_id,
};

/// The queue of moments.
pub(crate) const QUEUE: &str = "workspace.sla";
/// How often a moment is tried before a person has to look. Nothing but a store that fails can be in the way.
const ATTEMPTS: u32 = 20;
/// Moments taken at once.
const AT_ONCE: u32 = 32;
/// Longer than any of them takes.
const LEASE_MS: u32 = 60_000;
/// How often the queue is looked at when nobody said that something is in it.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long a store that failed is left alone, and a moment that failed.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_MS: i64 = 5_000;

/// A kind of record that has clocks.
pub(crate) trait Timed: Kind {
    /// Its clocks.
    fn clocks(&self) -> Option<&Sla>;
    /// Sets its clocks, and what is shown of them.
    fn set_clocks(&mut self, sla: Sla);
}

/// A moment at which a record's clocks want to be looked at.
#[derive(Debug, Serialize, Deserialize)]
struct Moment {
    kind: String,
    id: String,
}

/// Asks to be woken for a record when its clocks say so. Whoever writes clocks calls this in the same transaction.
///
/// # Errors
/// When the store fails.
pub(crate) async fn schedule<K: Timed>(
    tx: &mut TenantTx<'_>,
    id: &str,
    fields: &K,
) -> Result<(), DomainError> {
    let Some(at) = fields.clocks().and_then(Sla::wakes_at) else {
        return Ok(());
    };
    let moment = Moment {
        kind: K::NAME.to_owned(),
        id: id.to_owned(),
    };
    let job = NewJob {
        // One record is woken once at a moment, however often that is asked for. Whoever was woken has said all that was
        // to say by then, so its next moment is a later one.
        id: format!("sla.{id}.{}", at.as_millis()),
        queue: QUEUE.to_owned(),
        payload: serde_json::to_value(&moment).map_err(DomainError::internal)?,
        run_at: at,
        max_attempts: ATTEMPTS,
    };
    tx.jobs().enqueue(&job).await?;
    Ok(())
}

/// Looks at a record's clocks, says what is new, and asks to be woken again.
async fn look<K: Timed>(tx: &mut TenantTx<'_>, id: &str) -> Result<(), DomainError> {
    let Some(before) = record::find::<K>(&mut tx.reading(), id).await? else {
        return Ok(());
    };
    let Some(mut sla) = before.fields().clocks().cloned() else {
        return Ok(());
    };
    let news = sla.tick(tx.now());
    let mut doc = before.doc.clone();
    doc.fields.set_clocks(sla);
    if !news.is_empty() {
        let who = Who::system("sla");
        let changed: Option<Stored<K>> = record::update(tx, id, &doc, Some(before.version), &who).await?;
        let Some(changed) = changed else { return Ok(()) };
        for (clock, news) in news {
            let mut data = changed.view()?;
            if let Some(map) = data.as_object_mut() {
                map.insert("clock".to_owned(), clock.into());
            }
            let event = Event {
                name: news.event().to_owned(),
                subject: (K::NAME.to_owned(), id.to_owned()),
                data,
                before: Some(before.view()?),
                depth: 0,
                flow: None,
            };
            events::emit(tx, event).await?;
        }
    }
    schedule(tx, id, &doc.fields).await
}

/// Handles what is due now, once; gives how many moments that were.
///
/// # Errors
/// When the store fails.
pub(crate) async fn run_due(store: &Store) -> Result<usize, StoreError> {
    let owner = new_id("timer", store.clock().now());
    let due = store
        .system_write(move |tx| {
            async move { tx.jobs().lease(QUEUE, &owner, LEASE_MS, AT_ONCE).await }.boxed()
        })
        .await?;
    let count = due.len();
    for job in due {
        if let Err(error) = handle(store, job.clone()).await {
            warn!(tenant.id = %job.tenant, "failed to look at a clock: {error}");
            put_off(store, job).await?;
        }
    }
    Ok(count)
}

async fn handle(store: &Store, job: Job) -> Result<(), DomainError> {
    let moment: Moment = serde_json::from_value(job.payload.clone()).map_err(DomainError::internal)?;
    let tenant = job.tenant.clone();
    store
        .write(&tenant, move |tx| {
            async move {
                // First, so that a lease that was lost changes nothing.
                if !tx.jobs().complete(&job, &serde_json::Value::Null).await? {
                    return Ok(());
                }
                match moment.kind.as_str() {
                    Ticket::NAME => look::<Ticket>(tx, &moment.id).await,
                    Conversation::NAME => look::<Conversation>(tx, &moment.id).await,
                    _ => Ok(()),
                }
            }
            .boxed()
        })
        .await
}

async fn put_off(store: &Store, job: Job) -> Result<(), StoreError> {
    let tenant = job.tenant.clone();
    store
        .write(&tenant, move |tx| {
            async move {
                let again = tx.now().plus_millis(RETRY_MS);
                tx.jobs()
                    .fail(&job, "the clock could not be looked at", Some(again))
                    .await
                    .map(|_| ())
            }
            .boxed()
        })
        .await
}

/// Wakes for every moment until told to stop.
pub(crate) async fn run(store: Store, stop: CancellationToken) {
    let mut changes = store.listen(&[Topic::Jobs]);
    while !stop.is_cancelled() {
        let pause = match due_in(&store).await {
            Ok(pause) if pause.is_zero() => match run_due(&store).await {
                Ok(_) => continue,
                Err(error) => given_up(&error),
            },
            Ok(pause) => pause,
            Err(error) => given_up(&error),
        };
        tokio::select! {
            () = stop.cancelled() => {}
            _ = changes.next() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn due_in(store: &Store) -> Result<Duration, StoreError> {
    let next = store
        .system_read(|tx| async move { tx.jobs().next_due(QUEUE).await }.boxed())
        .await?;
    let Some(at) = next else { return Ok(LOOK_EVERY) };
    let wait = at.as_millis().saturating_sub(store.clock().now().as_millis());
    Ok(Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(LOOK_EVERY))
}

fn given_up(error: &StoreError) -> Duration {
    warn!(error = %error, "clocks cannot be looked at");
    RETRY
}
