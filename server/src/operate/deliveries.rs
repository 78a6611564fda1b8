//! What the outbox has sent, is trying to send and could not send, and what a person may do about it.

use futures_util::FutureExt;
use serde::Serialize;

use super::{Actor, OperateError, note};
use crate::{
    outbox::{ATTEMPTS, Parcel, QUEUE},
    store::{Job, JobState, Store},
    vocabulary::{TenantId, Timestamp},
};

/// Deliveries of one state that are listed at once.
const MOST_LISTED: u32 = 200;

/// One delivery, as it is shown. What it says stays in the outbox.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// Identity.
    pub id: String,
    /// What is told, e.g. `review.pending`.
    pub event: String,
    /// Who is told: `webhook` or an address.
    pub to: String,
    /// Where it stands: `queued`, `leased`, `done`, `failed` or `cancelled`.
    pub state: &'static str,
    /// Attempts so far.
    pub attempt: u32,
    /// Attempts until it has failed for good.
    pub max_attempts: u32,
    /// When the next attempt is due, while one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Delivery {
    fn of(job: Job) -> Self {
        let parcel: Option<Parcel> = serde_json::from_value(job.payload).ok();
        let (event, to) = parcel.map_or_else(Default::default, |parcel| {
            (parcel.event().to_owned(), parcel.destination().to_owned())
        });
        Self {
            id: job.id,
            event,
            to,
            state: job.state.as_str(),
            attempt: job.attempt,
            // What is leased after the last attempt sends nothing.
            max_attempts: job.max_attempts.min(ATTEMPTS),
            next_attempt_at: (job.state == JobState::Queued).then_some(job.run_at),
            last_error: job.last_error,
            created_at: job.created_at,
            updated_at: job.updated_at,
        }
    }
}

/// The deliveries of a tenant in these states, last changed first; for those who see everybody.
///
/// # Errors
/// When they may not be seen, or the store cannot be read.
pub async fn list(
    store: &Store,
    tenant: &TenantId,
    by: &Actor,
    states: &'static [JobState],
) -> Result<Vec<Delivery>, OperateError> {
    let by = by.clone();
    store
        .read(tenant, move |tx| {
            async move {
                if !by.standing(tx).await?.sees_everybody() {
                    return Err(OperateError::Forbidden(
                        "owners, admins and auditors see what is sent".to_owned(),
                    ));
                }
                let mut found = Vec::new();
                for state in states {
                    let jobs = tx.jobs().list(QUEUE, *state, MOST_LISTED).await?;
                    found.extend(jobs.into_iter().map(Delivery::of));
                }
                found.sort_by_key(|delivery| std::cmp::Reverse(delivery.updated_at));
                Ok(found)
            }
            .boxed()
        })
        .await
}

/// Sends again what had failed for good or was called off.
///
/// # Errors
/// When there is none of that id in such a state, or the actor does not manage the tenant.
pub async fn retry(store: &Store, tenant: &TenantId, by: &Actor, id: &str) -> Result<(), OperateError> {
    act(store, tenant, by, id, Act::Retry).await
}

/// Calls off what waits for its next attempt.
///
/// # Errors
/// When there is none of that id that waits, or the actor does not manage the tenant.
pub async fn cancel(store: &Store, tenant: &TenantId, by: &Actor, id: &str) -> Result<(), OperateError> {
    act(store, tenant, by, id, Act::Cancel).await
}

#[derive(Clone, Copy)]
enum Act {
    Retry,
    Cancel,
}

async fn act(store: &Store, tenant: &TenantId, by: &Actor, id: &str, act: Act) -> Result<(), OperateError> {
    let (by, id) = (by.clone(), id.to_owned());
    store
        .write(tenant, move |tx| {
            async move {
                let standing = by.standing(tx).await?;
                standing.must_manage()?;
                let job = tx.jobs().find(&id).await?.filter(|job| job.queue == QUEUE);
                let job = job.ok_or_else(|| {
                    OperateError::NotFound(format!("there is no delivery `{id}`; see `outbox list`"))
                })?;
                let (done, action, rule) = match act {
                    Act::Retry => (
                        tx.jobs().retry(&id).await?,
                        "outbox.retry",
                        "only what has failed or was cancelled is sent again",
                    ),
                    Act::Cancel => (
                        tx.jobs().cancel(&id).await?,
                        "outbox.cancel",
                        "only what waits for an attempt can be cancelled",
                    ),
                };
                if !done {
                    let state = job.state.as_str();
                    return Err(OperateError::Rule(format!("the delivery is {state}: {rule}")));
                }
                note(tx, &standing, action, &id, None, None);
                Ok(())
            }
            .boxed()
        })
        .await
}
