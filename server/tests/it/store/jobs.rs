//! Jobs and their leases, and exact counters.

use std::collections::HashSet;

use footbridge_server::store::{Job, JobState, NewJob, Store};
use serde_json::json;

use super::harness::{START, for_each_engine, read, write};

async fn enqueue(store: &Store, owner: &str, id: &str, max_attempts: u32) -> bool {
    let job = NewJob {
        id: id.to_owned(),
        queue: "hooks".into(),
        payload: json!({ "url": "https://example.test" }),
        run_at: START,
        max_attempts,
    };
    write(store, owner, |tx| {
        Box::pin(async move { tx.jobs().enqueue(&job).await })
    })
    .await
}

async fn lease(store: &Store, owner: &'static str, limit: u32) -> Vec<Job> {
    let leased = store.system_write(move |tx| {
        Box::pin(async move { tx.jobs().lease("hooks", owner, 10_000, limit).await })
    });
    leased.await.unwrap()
}

#[test]
fn a_job_is_queued_once_leased_once_and_finished() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        assert!(enqueue(&store, "acme", "job_1", 3).await);
        assert!(!enqueue(&store, "acme", "job_1", 3).await);
        assert!(
            enqueue(&store, "globex", "job_1", 3).await,
            "ids belong to tenants"
        );
        let leased = lease(&store, "w1", 10).await;
        assert_eq!(leased.len(), 2);
        assert!(lease(&store, "w2", 10).await.is_empty());
        let mine = leased
            .into_iter()
            .find(|job| job.tenant.as_str() == "acme")
            .unwrap();
        assert_eq!(
            (mine.attempt, mine.was_lost(), mine.payload["url"].as_str()),
            (1, false, Some("https://example.test"))
        );
        let copy = mine.clone();
        assert!(
            write(&store, "acme", move |tx| Box::pin(async move {
                tx.jobs().complete(&copy, &json!(7)).await
            }))
            .await
        );
        assert!(
            !write(&store, "acme", move |tx| Box::pin(async move {
                tx.jobs().complete(&mine, &json!(8)).await
            }))
            .await
        );
        let done = read(&store, "acme", |tx| {
            Box::pin(async move { tx.jobs().find("job_1").await })
        })
        .await
        .unwrap();
        assert_eq!((done.state, done.result), (JobState::Done, Some(json!(7))));
    });
}

#[test]
fn a_lost_lease_is_told_to_the_next_worker_and_refused_to_the_first() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        enqueue(&store, "acme", "job_1", 2).await;
        let first = lease(&store, "w1", 1).await.remove(0);
        place.clock.advance(9_000);
        let kept = first.clone();
        assert!(
            write(&store, "acme", move |tx| Box::pin(async move {
                tx.jobs().extend(&kept, 10_000).await
            }))
            .await
        );
        place.clock.advance(9_000);
        assert!(lease(&store, "w2", 1).await.is_empty(), "the lease was extended");
        place.clock.advance(1_000);
        let second = lease(&store, "w2", 1).await.remove(0);
        assert_eq!((second.attempt, second.was_lost()), (2, true));
        let late = write(&store, "acme", move |tx| {
            Box::pin(async move {
                let completed = tx.jobs().complete(&first, &json!(1)).await?;
                let extended = tx.jobs().extend(&first, 1000).await?;
                Ok((completed, extended, tx.jobs().fail(&first, "late", None).await?))
            })
        });
        assert_eq!(late.await, (false, false, None));
        // The last attempt is lost too: the job has failed, and says why.
        place.clock.advance(60_000);
        assert!(lease(&store, "w3", 1).await.is_empty());
        let job = read(&store, "acme", |tx| {
            Box::pin(async move { tx.jobs().find("job_1").await })
        })
        .await
        .unwrap();
        assert_eq!((job.state, job.was_lost()), (JobState::Failed, true));
    });
}

#[test]
fn a_failed_attempt_comes_back_at_its_moment_until_none_is_left() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        enqueue(&store, "acme", "job_1", 2).await;
        for (attempt, expected) in [(1, JobState::Queued), (2, JobState::Failed)] {
            let job = lease(&store, "w1", 1).await.remove(0);
            assert_eq!((job.attempt, job.was_lost()), (attempt, false));
            let retry_at = job.updated_at.plus_millis(5_000);
            let state = write(&store, "acme", move |tx| {
                Box::pin(async move { tx.jobs().fail(&job, "502 Bad Gateway", Some(retry_at)).await })
            });
            assert_eq!(state.await, Some(expected));
            assert!(lease(&store, "w1", 1).await.is_empty(), "not before its moment");
            place.clock.advance(5_000);
        }
        let due = store
            .system_read(|tx| Box::pin(async move { tx.jobs().next_due("hooks").await }))
            .await
            .unwrap();
        assert_eq!(due, None);
        place.clock.advance(1);
        let purged = store.system_write(|tx| {
            Box::pin(async move {
                let now = tx.now();
                tx.jobs().purge(now, 10).await
            })
        });
        assert_eq!(purged.await.unwrap(), 1);
    });
}

#[test]
fn a_queued_job_is_called_off_and_a_leased_one_is_not() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        enqueue(&store, "acme", "job_1", 1).await;
        assert!(
            write(&store, "acme", |tx| Box::pin(async move {
                tx.jobs().cancel("job_1").await
            }))
            .await
        );
        assert!(lease(&store, "w1", 1).await.is_empty());
        enqueue(&store, "acme", "job_2", 1).await;
        assert_eq!(lease(&store, "w1", 1).await.len(), 1);
        assert!(
            !write(&store, "acme", |tx| Box::pin(async move {
                tx.jobs().cancel("job_2").await
            }))
            .await
        );
        let cancelled = read(&store, "acme", |tx| {
            Box::pin(async move { tx.jobs().list("hooks", JobState::Cancelled, 10).await })
        });
        assert_eq!(cancelled.await.len(), 1);
    });
}

#[test]
fn many_workers_never_share_a_job() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        for number in 0..60 {
            enqueue(&store, "acme", &format!("job_{number}"), 1).await;
        }
        let workers: Vec<_> = ["w0", "w1", "w2", "w3", "w4", "w5"]
            .into_iter()
            .map(|owner| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut ids = Vec::new();
                    loop {
                        let leased = lease(&store, owner, 3).await;
                        if leased.is_empty() {
                            return ids;
                        }
                        ids.extend(leased.into_iter().map(|job| job.id));
                    }
                })
            })
            .collect();
        let mut ids = Vec::new();
        for worker in workers {
            ids.extend(worker.await.unwrap());
        }
        assert_eq!(ids.len(), 60);
        assert_eq!(ids.into_iter().collect::<HashSet<_>>().len(), 60);
    });
}

#[test]
fn counters_are_exact_and_stop_at_their_cap() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        let callers: Vec<_> = (0..40)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    write(&store, "acme", |tx| {
                        Box::pin(async move { tx.counters().add("calls", "2026-11", 1, Some(25)).await })
                    })
                    .await
                })
            })
            .collect();
        let mut counted = Vec::new();
        for caller in callers {
            counted.extend(caller.await.unwrap());
        }
        counted.sort_unstable();
        assert_eq!(counted, (1..=25).collect::<Vec<_>>());
        let rest = write(&store, "acme", |tx| {
            Box::pin(async move {
                let mut counters = tx.counters();
                Ok((
                    counters.get("calls", "2026-11").await?,
                    counters.add("calls", "2026-12", 26, Some(25)).await?,
                    counters.get("calls", "2026-12").await?,
                    counters.next("ticket").await?,
                    counters.next("ticket").await?,
                ))
            })
        });
        assert_eq!(rest.await, (25, None, 0, 1, 2));
        assert_eq!(
            write(&store, "globex", |tx| Box::pin(async move {
                tx.counters().next("ticket").await
            }))
            .await,
            1
        );
    });
}
