//! Events become runs, several events in one transaction, and a run that only changes records is over within it.
//!
//! A tenant's events are taken in the order in which they happened. When one of them cannot be done with the others, because a
//! step of some flow breaks a rule, nothing of the transaction stays: each event is done by itself, and if that fails, too, its
//! runs get jobs of their own, so that what one flow breaks is noted in its run and keeps no other from going on.

use std::collections::BTreeMap;

use futures_util::{FutureExt, future::join_all};

use super::{
    book::{self, Enabled},
    carry::{Stopped, carry},
    gather::Seen,
    run::{Cause, DEEPEST, Orders, Run, Subject, run_id},
    worker::{ACTOR, ATTEMPTS, FlowWorker, HOUR_MS, HOURLY, RUNS, draft},
};
use crate::{
    domain::{
        DomainError,
        workspace::{events::Event, record::Kind},
    },
    store::{Job, NewJob, StoreError, TenantTx},
    vocabulary::{TenantId, Timestamp},
};

/// Runs after which a transaction takes no further event: a commit costs little beside so many, and SQLite's one writer is not
/// kept from others for long.
const RUNS_AT_ONCE: usize = 64;

/// Who carries the steps of new runs out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Steps {
    /// The transaction that makes the run, as far as they are local.
    Here,
    /// A job of the run's.
    Later,
}

impl FlowWorker {
    /// Does events that one call leased.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn begin(&self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let mut of_tenants: BTreeMap<TenantId, Vec<Job>> = BTreeMap::new();
        for job in jobs {
            of_tenants.entry(job.tenant.clone()).or_default().push(job);
        }
        let all = of_tenants.values().map(|jobs| self.begin_all(jobs));
        join_all(all).await.into_iter().collect()
    }

    async fn begin_all(&self, mut jobs: &[Job]) -> Result<(), StoreError> {
        while let Some((first, others)) = jobs.split_first() {
            match self.make_runs(jobs, Steps::Here).await {
                Ok(done) => jobs = jobs.get(done..).unwrap_or_default(),
                Err(Stopped::Failed(DomainError::Store(error))) if error.is_outage() => return Err(error),
                Err(_) if others.is_empty() => return self.begin_slowly(first).await,
                Err(_) => {
                    for job in jobs {
                        if self
                            .make_runs(std::slice::from_ref(job), Steps::Here)
                            .await
                            .is_err()
                        {
                            self.begin_slowly(job).await?;
                        }
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Leaves the steps to jobs of their runs.
    async fn begin_slowly(&self, job: &Job) -> Result<(), StoreError> {
        match self.make_runs(std::slice::from_ref(job), Steps::Later).await {
            Ok(_) => Ok(()),
            Err(Stopped::Failed(error)) => self.put_back(job.clone(), &error).await,
            Err(Stopped::Broken(_, why)) => self.put_back(job.clone(), &DomainError::Rule(why)).await,
        }
    }

    /// Makes a run in every flow that events of one tenant start, as many events as one transaction takes; gives how many.
    async fn make_runs(&self, jobs: &[Job], steps: Steps) -> Result<usize, Stopped> {
        let Some(tenant) = jobs.first().map(|job| job.tenant.clone()) else {
            return Ok(0);
        };
        let (jobs, most) = (jobs.to_vec(), self.runs_per_hour);
        self.store
            .write(&tenant, move |tx| {
                async move {
                    let mut flows = Enabled::default();
                    let mut runs: BTreeMap<String, i64> = BTreeMap::new();
                    let mut done = 0;
                    for job in &jobs {
                        let made = make_runs_of(tx, job, &mut flows, most, steps).await?;
                        for flow in made {
                            *runs.entry(flow).or_default() += 1;
                        }
                        done += 1;
                        let count: i64 = runs.values().sum();
                        if usize::try_from(count).unwrap_or(usize::MAX) >= RUNS_AT_ONCE {
                            break;
                        }
                    }
                    let counters = runs
                        .iter()
                        .map(|(flow, count)| (book::runs_counter(flow), *count));
                    tx.counters().add_each(&counters.collect()).await?;
                    tx.jobs().remove_all(jobs.get(..done).unwrap_or_default()).await?;
                    Ok(done)
                }
                .boxed()
            })
            .await
    }
}

/// Makes the runs of one event; gives their flows.
async fn make_runs_of(
    tx: &mut TenantTx<'_>,
    job: &Job,
    flows: &mut Enabled,
    most: u32,
    steps: Steps,
) -> Result<Vec<String>, Stopped> {
    let event: Event = serde_json::from_value(job.payload.clone()).map_err(DomainError::internal)?;
    let mut seen = Seen::default();
    let found = flows.matching(&mut tx.reading(), &event, &mut seen).await?;
    let id = |found: &book::Match| run_id(&job.id, job.created_at, &found.id);
    // The event's worker may have died after its transaction: then its runs are there.
    let ids: Vec<String> = found.iter().map(id).collect();
    let taken = tx.records(Run::NAME).taken(&ids).await?;
    let new: Vec<_> = ids
        .into_iter()
        .zip(found)
        .filter(|(id, _)| !taken.contains(id))
        .collect();
    let now = tx.now();
    let is_loop = event.depth >= DEEPEST;
    let allowed = if is_loop {
        0
    } else {
        allowed(tx, new.len(), most, now).await?
    };
    let mut made = Vec::with_capacity(new.len());
    for (number, (id, found)) in new.into_iter().enumerate() {
        made.push(found.id.clone());
        let mut run = Run::begin(&found.id, &found.definition, cause(job, &event), now);
        if is_loop {
            run = run.skipped("loop", now);
        } else if number >= allowed {
            run = run.skipped(&format!("more than {most} runs in an hour"), now);
        }
        let orders = Orders {
            run_id: id.clone(),
            steps: found.definition.steps.clone(),
            facts: found.facts,
        };
        if steps == Steps::Here {
            carry(tx, &mut run, &orders, &mut seen, None).await?;
        }
        tx.records(Run::NAME)
            .insert_new(&id, &draft(&run)?, ACTOR)
            .await?;
        if run.status.is_over() {
            continue;
        }
        let job = NewJob {
            id,
            queue: RUNS.to_owned(),
            payload: serde_json::to_value(&orders).map_err(DomainError::internal)?,
            run_at: now,
            max_attempts: ATTEMPTS,
        };
        tx.jobs().enqueue(&job).await?;
    }
    Ok(made)
}

/// How many of so many runs the hour still has room for; they are counted.
async fn allowed(
    tx: &mut TenantTx<'_>,
    wanted: usize,
    most: u32,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let hour = (now.as_millis() / HOUR_MS).to_string();
    let all = i64::try_from(wanted).unwrap_or(i64::MAX);
    if wanted == 0
        || tx
            .counters()
            .add(HOURLY, &hour, all, Some(most.into()))
            .await?
            .is_some()
    {
        return Ok(wanted);
    }
    for number in 0..wanted {
        if tx
            .counters()
            .add(HOURLY, &hour, 1, Some(most.into()))
            .await?
            .is_none()
        {
            return Ok(number);
        }
    }
    Ok(wanted)
}

fn cause(job: &Job, event: &Event) -> Cause {
    let (kind, subject) = &event.subject;
    Cause {
        id: job.id.clone(),
        event: event.name.clone(),
        created_at: job.created_at,
        subject: (!subject.is_empty()).then(|| Subject {
            kind: kind.clone(),
            id: subject.clone(),
        }),
        depth: event.depth,
    }
}
