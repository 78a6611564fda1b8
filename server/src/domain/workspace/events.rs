//! What happened, for flows: a job in the transaction of the change itself, so that no event is lost and none tells of
//! something that did not happen.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    domain::DomainError,
    store::{NewJob, TenantTx},
};

/// The queue of events.
pub(crate) const QUEUE: &str = "workspace.event";
/// How often the one who reads an event may fail before a person looks at it.
const ATTEMPTS: u32 = 6;

/// Something that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    /// One of catalogue.md §3.5, or `custom.…`.
    pub(crate) name: String,
    /// Kind and id of the record it happened to.
    pub(crate) subject: (String, String),
    /// The record as it is, as answers show it.
    pub(crate) data: Value,
    /// The record as it was; `None` for a new one.
    pub(crate) before: Option<Value>,
    /// How many flows stand between a person and this event.
    pub(crate) depth: u32,
    /// The flow that caused it.
    pub(crate) flow: Option<String>,
}

/// Says that something happened; gives the event's id.
///
/// # Errors
/// When the store fails.
pub(crate) async fn emit(tx: &mut TenantTx<'_>, event: Event) -> Result<String, DomainError> {
    let id = tx.new_id("evt");
    let job = NewJob {
        id: id.clone(),
        queue: QUEUE.to_owned(),
        payload: serde_json::to_value(&event).map_err(DomainError::internal)?,
        run_at: tx.now(),
        max_attempts: ATTEMPTS,
    };
    tx.jobs().enqueue(&job).await?;
    Ok(id)
}
