//! Carries flows out: an event becomes a run in each flow that waits for it, a run goes on step by step.
//!
//! ```text
//! jobs of events ─→ runs, carried out up to a pause or a webhook ─→ most of them are over
//!                   └─ a job for each of the others ─→ steps ─→ the run is over, its job goes
//!                                                      └─ a pause or another attempt: the job is put off
//! ```
//!
//! Any replica may do either part; [`begin`](super::begin) has the first one. What a step does to the store is in the transaction that notes it; a webhook whose worker
//! died is sent again under the id of its step.

use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::{
    carry::{Stopped, carry, next},
    gather::Seen,
    hook::{HookError, Hooks},
    pace,
    run::{Orders, Run, StepStatus},
    step::{Step, duration_ms},
};
use crate::{
    domain::{
        DomainError,
        workspace::{
            events,
            record::{Kind, Stored},
        },
    },
    store::{Draft, Field, Job, Store, StoreError, TenantTx},
    vocabulary::{Timestamp, new_id},
};

/// The queue of runs.
pub(crate) const RUNS: &str = "workspace.run";
/// Longer than any part of a run may take; what is held longer was lost.
const LEASE_MS: u32 = 60_000;
/// Attempts at a job whose worker dies or whose store fails. Attempts at a step are counted in its run.
pub(super) const ATTEMPTS: u32 = 20;
/// How long a job is left alone whose store failed.
const RETRY_MS: i64 = 5_000;
pub(super) const HOUR_MS: i64 = 60 * 60 * 1000;
/// The counter of a tenant's runs in an hour.
pub(super) const HOURLY: &str = "workspace.runs";
/// Who changes runs, in their history.
pub(super) const ACTOR: &str = "flow";

/// What carries flows out.
#[derive(Debug)]
pub(crate) struct FlowWorker {
    pub(crate) store: Store,
    pub(crate) hooks: Hooks,
    /// Runs of a tenant in an hour.
    pub(crate) runs_per_hour: u32,
}

/// Which jobs are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Events.
    Events,
    /// Runs.
    Runs,
}

impl Part {
    /// The queue.
    pub(crate) fn queue(self) -> &'static str {
        match self {
            Self::Events => events::QUEUE,
            Self::Runs => RUNS,
        }
    }
}

/// What became of the local steps of a run.
enum Local {
    /// They are done, and the run goes on with a step of another kind, or is over.
    Done,
    /// This one breaks a rule.
    Broken(usize, String),
}

impl FlowWorker {
    /// Leases what is due now.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn lease(&self, part: Part, most: u32) -> Result<Vec<Job>, StoreError> {
        let owner = new_id("flow", self.store.clock().now());
        self.store
            .system_write(move |tx| {
                async move { tx.jobs().lease(part.queue(), &owner, LEASE_MS, most).await }.boxed()
            })
            .await
    }

    /// Carries on the run of a job; what the store refuses is tried again later.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn work(&self, job: Job) -> Result<(), StoreError> {
        match self.go_on(&job).await {
            Ok(()) => Ok(()),
            Err(error) => self.put_back(job, &error).await,
        }
    }

    /// Leaves a job for a later attempt.
    pub(super) async fn put_back(&self, job: Job, error: &DomainError) -> Result<(), StoreError> {
        tracing::warn!(tenant.id = %job.tenant, job.id = %job.id, %error, "a flow could not go on");
        let (tenant, error) = (job.tenant.clone(), error.to_string());
        self.store
            .write(&tenant, move |tx| {
                async move {
                    let again = tx.now().plus_millis(RETRY_MS);
                    tx.jobs().fail(&job, &error, Some(again)).await.map(|_| ())
                }
                .boxed()
            })
            .await
    }

    /// Carries a run on as far as it goes now.
    async fn go_on(&self, job: &Job) -> Result<(), DomainError> {
        let orders: Orders = serde_json::from_value(job.payload.clone()).map_err(DomainError::internal)?;
        let orders = Arc::new(orders);
        loop {
            let broken = match self.local(job, &orders, None).await? {
                Local::Done => None,
                Local::Broken(at, why) => Some((at, why)),
            };
            if broken.is_some() {
                self.local(job, &orders, broken).await?;
                return Ok(());
            }
            let Some(run) = self.find(job, &orders.run_id).await? else {
                return Ok(());
            };
            let Some((at, step)) = next(&run, &orders) else {
                return Ok(());
            };
            let gone_on = match step {
                Step::Wait { duration } => self.wait(job, run, at, &duration).await?,
                Step::Webhook { url } => self.post(job, &orders, run, at, &url).await?,
                _ => true,
            };
            if !gone_on {
                return Ok(());
            }
        }
    }

    /// Carries out the local steps that come next, in one transaction, and ends the job with the run. With `broken` it
    /// stops at that step and notes why.
    async fn local(
        &self,
        job: &Job,
        orders: &Arc<Orders>,
        broken: Option<(usize, String)>,
    ) -> Result<Local, DomainError> {
        let (tenant, job, orders) = (job.tenant.clone(), job.clone(), Arc::clone(orders));
        let work = self.store.write(&tenant, move |tx| {
            async move {
                let Some(mut run) = read(tx, &orders.run_id).await? else {
                    tx.jobs().remove(&job).await?;
                    return Ok(());
                };
                let before = run.clone();
                carry(tx, &mut run, &orders, &mut Seen::default(), broken.as_ref()).await?;
                if run != before {
                    save(tx, &orders.run_id, &run).await?;
                }
                if run.status.is_over() {
                    tx.jobs().remove(&job).await?;
                }
                Ok(())
            }
            .boxed()
        });
        match work.await {
            Ok(()) => Ok(Local::Done),
            Err(Stopped::Broken(at, why)) => Ok(Local::Broken(at, why)),
            Err(Stopped::Failed(error)) => Err(error),
        }
    }

    async fn find(&self, job: &Job, id: &str) -> Result<Option<Run>, DomainError> {
        let id = id.to_owned();
        self.store
            .lookup(&job.tenant, move |tx| async move { read(tx, &id).await }.boxed())
            .await
    }

    /// Begins a pause, or ends it. `false`: the job is put off.
    async fn wait(&self, job: &Job, mut run: Run, at: usize, duration: &str) -> Result<bool, DomainError> {
        let now = self.store.clock().now();
        let begun = run
            .steps
            .get(at)
            .is_some_and(|step| step.status == StepStatus::Waiting);
        if begun {
            run.succeed(at, Value::Null, now);
            self.keep(job, run, None).await?;
            return Ok(true);
        }
        let pause = duration_ms(duration).unwrap_or_default();
        run.attempt(at, json!({ "duration": duration }));
        run.wait(at, None);
        self.keep(job, run, Some(now.plus_millis(pause))).await?;
        Ok(false)
    }

    /// Posts a webhook. `false`: the job is put off, or the run is over.
    async fn post(
        &self,
        job: &Job,
        orders: &Orders,
        mut run: Run,
        at: usize,
        url: &str,
    ) -> Result<bool, DomainError> {
        let now = self.store.clock().now();
        // A receiver that remembers the id acts once, however often a step is tried.
        let id = format!("{}.{}", orders.run_id, at + 1);
        let input = Step::Webhook { url: url.to_owned() }.redacted();
        run.attempt(at, input);
        let posted = self
            .hooks
            .post(&job.tenant, url, (&id, &run.cause), &orders.facts.after, now)
            .await;
        let now = self.store.clock().now();
        match posted {
            Ok(mut output) => {
                if let Some(output) = output.as_object_mut().filter(|_| job.was_lost()) {
                    output.insert("repeated".to_owned(), true.into());
                }
                run.succeed(at, output, now);
                self.keep(job, run, None).await?;
                Ok(true)
            }
            Err(HookError::Never(why)) => {
                run.fail(at, &why, now);
                self.keep(job, run, None).await?;
                Ok(false)
            }
            Err(HookError::Later(why)) => {
                let attempts = run.steps.get(at).map_or(1, |step| step.attempts);
                let pause = pace::after(attempts, random());
                match pause {
                    Some(pause) => {
                        run.wait(at, Some(why));
                        let pause = i64::try_from(pause.as_millis()).unwrap_or(HOUR_MS);
                        self.keep(job, run, Some(now.plus_millis(pause))).await?;
                    }
                    None => {
                        run.fail(at, &why, now);
                        self.keep(job, run, None).await?;
                    }
                }
                Ok(false)
            }
        }
    }

    /// Writes a run down; puts its job off, or ends it with the run.
    async fn keep(&self, job: &Job, run: Run, put_off: Option<Timestamp>) -> Result<(), DomainError> {
        let (tenant, job) = (job.tenant.clone(), job.clone());
        self.store
            .write(&tenant, move |tx| {
                async move {
                    save(tx, &job.id, &run).await?;
                    match put_off {
                        Some(until) => tx.jobs().put_off(&job, until).await?,
                        None if run.status.is_over() => tx.jobs().remove(&job).await?,
                        None => true,
                    };
                    Ok(())
                }
                .boxed()
            })
            .await
    }
}

pub(super) fn draft(run: &Run) -> Result<Draft, StoreError> {
    Ok(Draft::of(run)?
        .with(Field::new("flow_id", run.flow_id.as_str()))
        .with(Field::new("status", run.status.as_str())))
}

async fn read(tx: &mut TenantTx<'_>, id: &str) -> Result<Option<Run>, DomainError> {
    let found = tx.records(Run::NAME).find(id).await?;
    let run = found.as_ref().map(Stored::<Run>::of).transpose()?;
    Ok(run.map(|run| run.doc.fields))
}

async fn save(tx: &mut TenantTx<'_>, id: &str, run: &Run) -> Result<(), StoreError> {
    tx.records(Run::NAME)
        .update(id, &draft(run)?, None, ACTOR)
        .await
        .map(|_| ())
}

/// Where the machine gives no random bytes, all wait the shortest pause.
fn random() -> u8 {
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte);
    u8::from_le_bytes(byte)
}
