//! Keeps the worker of flows busy: takes what is due from its two queues, as much as it may do at once.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    run::Run,
    worker::{FlowWorker, Part},
};
use crate::{
    domain::workspace::record::Kind,
    store::{Store, StoreError, Topic},
    vocabulary::TenantId,
};

/// Runs carried on at once. Most of them wait: for the store's next commit, or for a receiver.
const AT_ONCE: usize = 128;
/// Events leased at once. Those of one tenant are done one after the other, in the order in which they happened.
const EVENTS_AT_ONCE: u32 = 32;
/// How often a queue is looked at when nobody said that something is in it.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long a store that failed is left alone.
const RETRY_STORE: Duration = Duration::from_secs(5);
/// How often old runs are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long a run is kept for those who look for it.
const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Runs that are forgotten in one transaction.
const SWEPT_AT_ONCE: u32 = 500;

/// Works until told to stop. What is under way then is finished first.
pub(crate) async fn run(worker: Arc<FlowWorker>, stop: CancellationToken) {
    let sweeping = stop.run_until_cancelled(sweep(&worker.store));
    tokio::join!(
        pump(&worker, Part::Events, &stop),
        pump(&worker, Part::Runs, &stop),
        sweeping,
    );
}

async fn pump(worker: &Arc<FlowWorker>, part: Part, stop: &CancellationToken) {
    let mut changes = worker.store.listen(&[Topic::Jobs]);
    let mut tasks = JoinSet::new();
    while !stop.is_cancelled() {
        while tasks.try_join_next().is_some() {}
        let free = match part {
            Part::Events => EVENTS_AT_ONCE,
            Part::Runs => u32::try_from(AT_ONCE - tasks.len()).unwrap_or(0),
        };
        if free == 0 {
            tasks.join_next().await;
            continue;
        }
        let leased = worker.lease(part, free).await;
        let pause = match leased {
            Ok(jobs) if jobs.is_empty() => due_in(&worker.store, part).await,
            Ok(jobs) if part == Part::Events => {
                if let Err(error) = worker.begin(jobs).await {
                    warn!(%error, "events that start flows are left until their leases end");
                }
                continue;
            }
            Ok(jobs) => {
                for job in jobs {
                    let worker = Arc::clone(worker);
                    tasks.spawn(async move {
                        if let Err(error) = worker.work(job).await {
                            warn!(%error, "a run of a flow is left until its lease ends");
                        }
                    });
                }
                continue;
            }
            Err(error) => Err(error),
        };
        let (pause, listens) = match pause {
            Ok(pause) => (pause, true),
            Err(error) => {
                warn!(%error, "flows cannot be carried out");
                (RETRY_STORE, false)
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            _ = changes.next(), if listens => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// How long until something is due; at most [`LOOK_EVERY`].
async fn due_in(store: &Store, part: Part) -> Result<Duration, StoreError> {
    let next = store
        .system_read(move |tx| async move { tx.jobs().next_due(part.queue()).await }.boxed())
        .await?;
    let Some(at) = next else { return Ok(LOOK_EVERY) };
    let wait = at.as_millis().saturating_sub(store.clock().now().as_millis());
    Ok(Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(LOOK_EVERY))
}

async fn sweep(store: &Store) {
    let mut interval = tokio::time::interval(SWEEP_EVERY);
    loop {
        interval.tick().await;
        if let Err(error) = forget_old_runs(store).await {
            warn!(%error, "old runs of flows not forgotten");
        }
    }
}

async fn forget_old_runs(store: &Store) -> Result<(), StoreError> {
    let tenants = store
        .system_read(|tx| async move { tx.tenants().list().await }.boxed())
        .await?;
    for tenant in tenants {
        while forget_some(store, &tenant.id).await? == SWEPT_AT_ONCE as usize {}
    }
    Ok(())
}

async fn forget_some(store: &Store, tenant: &TenantId) -> Result<usize, StoreError> {
    store
        .write(tenant, |tx| {
            async move {
                let since = tx.now().plus_millis(-KEPT_MS);
                tx.records(Run::NAME).purge_unchanged(since, SWEPT_AT_ONCE).await
            }
            .boxed()
        })
        .await
}
