//! Rooms 9 and 10: a permitted call runs in the kind of transaction its handler asks for, with its audit event
//! where design.md D9 puts it.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;

use super::{CallError, House, unknown_outcome};
use crate::{
    audit::{Draft, note_outcome},
    catalogue::Tool,
    domain::{Call, DomainError, Handler, Outcome, TenantStore, ToolResult},
    limits::Slot,
    store::{AuditStatus, Kind},
    telemetry::Room,
};

/// Longest structured result in bytes (protocol.md L-02).
const LONGEST_RESULT: usize = 1024 * 1024;

/// How a handler came to its end.
pub(super) enum End<T> {
    Returned(Result<T, DomainError>),
    Panicked,
    TimedOut,
}

/// Waits for a handler, no longer than its limit, whatever it does. No `async fn`: that would hold the work twice, as what
/// it was given and as what it waits for.
pub(super) fn bounded<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, DomainError>>,
) -> impl Future<Output = End<T>> {
    tokio::time::timeout(limit, AssertUnwindSafe(work).catch_unwind()).map(|ended| match ended {
        Ok(Ok(result)) => End::Returned(result),
        Ok(Err(_)) => End::Panicked,
        Err(_) => End::TimedOut,
    })
}

impl House {
    pub(super) async fn run(
        &self,
        handler: &Handler,
        tool: &Tool,
        call: Call,
        draft: &mut Draft,
        slot: Slot,
    ) -> Result<Outcome, CallError> {
        let limit = tool
            .timeout_seconds
            .map_or(self.call_timeout, Duration::from_secs);
        let tenant = call.permit.principal().tenant().clone();
        let (end, on_timeout) = match handler {
            Handler::Plain(run) => {
                let work = draft.rooms().within(Room::Domain, run(call));
                (bounded(limit, work).await, "nothing was changed")
            }
            Handler::Read(run) | Handler::Lookup(run) => {
                let kind = match handler {
                    Handler::Lookup(_) => Kind::Lookup,
                    _ => Kind::Read,
                };
                let (store, run) = (draft.enter(Room::Store), Arc::clone(run));
                let inside = store.inside();
                let work = self.store.of_tenant(&tenant, kind, move |tx| {
                    inside.within(Room::Domain, run(tx, call))
                });
                let end = bounded(limit, work).await;
                store.leave();
                (end, "nothing was changed")
            }
            Handler::Write(run) => {
                let (store, run) = (draft.enter(Room::Store), Arc::clone(run));
                let inside = store.inside();
                let event = draft.entrust(AuditStatus::Allow);
                let work = self.store.write(&tenant, move |tx| {
                    async move {
                        let domain = inside.enter(Room::Domain);
                        let outcome = run(tx, call).await?;
                        domain.leave();
                        event.write(tx, |event| note_outcome(event, &outcome))?;
                        Ok(outcome)
                    }
                    .boxed()
                });
                let end = bounded(limit, work).await;
                store.leave();
                if matches!(end, End::Returned(Ok(_))) {
                    draft.already_written(AuditStatus::Allow);
                }
                (end, "look whether the change was made before you try again")
            }
            Handler::Task(run) => {
                if let Some(intent) = draft.to_record(AuditStatus::Intent) {
                    let _audit = draft.enter(Room::Audit);
                    self.store.append_audit_durable(&tenant, intent).await?;
                }
                draft.require_durable();
                let cancelled = call.cancelled.clone();
                let work = run(TenantStore::new(self.store.clone(), tenant), call);
                let work = draft.rooms().within(Room::Domain, work);
                // A task of its own finishes what it began although nobody waits any more.
                let task = tokio::spawn(async move {
                    let _slot = slot;
                    work.await
                });
                let end = match tokio::time::timeout(limit, task).await {
                    Ok(Ok(Err(DomainError::Store(error)))) => {
                        let reference = draft.reference().unwrap_or_default();
                        End::Returned(Err(unknown_outcome(&error, reference).into()))
                    }
                    Ok(Ok(result)) => End::Returned(result),
                    Ok(Err(_)) => End::Panicked,
                    Err(_) => {
                        cancelled.cancel();
                        End::TimedOut
                    }
                };
                (end, "part of the work may have been done")
            }
            // Goes through `consent.rs`, which alone can show a preview.
            Handler::Planned(_) => return Err(CallError::NoPreview),
        };
        match end {
            End::Returned(Ok(outcome)) => {
                check_size(&outcome)?;
                draft.outcome(&outcome);
                Ok(outcome)
            }
            End::Returned(Err(error)) => Err(error.into()),
            End::Panicked => Err(CallError::Panicked),
            End::TimedOut => Err(CallError::Timeout {
                limit_seconds: limit.as_secs(),
                effect: on_timeout,
            }),
        }
    }
}

fn check_size(outcome: &Outcome) -> Result<(), CallError> {
    match outcome {
        Outcome::Done(result) => check_result(result),
        Outcome::InputRequired(_) => Ok(()),
    }
}

/// Refuses results that no client should have to take.
pub(super) fn check_result(result: &ToolResult) -> Result<(), CallError> {
    if result
        .structured
        .as_ref()
        .is_some_and(|json| json.get().len() > LONGEST_RESULT)
    {
        return Err(CallError::Domain(DomainError::Rule(
            "the result is larger than 1 MiB; ask for less with a smaller limit or a filter".to_owned(),
        )));
    }
    Ok(())
}
