//! What happens to a piece of work: group commit, failure, panic, waiting, the caller's leaving.

use std::{sync::Arc, time::Duration};

use footbridge_server::store::{AuditStatus, Store, StoreError};

use super::{
    audit::{event, verify},
    harness::{eventually, for_each_engine, read, tenant, write},
};

#[derive(Debug)]
enum Refused {
    ByRule,
    ByStore(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::ByStore(error)
    }
}

async fn setting(store: &Store, name: &'static str) -> Option<i64> {
    read(store, "acme", move |tx| {
        Box::pin(async move { tx.settings().get::<i64>(name).await })
    })
    .await
}

#[test]
fn of_many_writes_at_once_only_the_failing_ones_are_undone() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let writes: Vec<_> = (0..90_i64)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    store
                        .write(&tenant("acme"), move |tx| {
                            Box::pin(async move {
                                tx.settings().set(&format!("n{number}"), &number).await?;
                                tx.audit(event("write", AuditStatus::Allow))?;
                                assert!(number % 9 != 0, "number {number} panics");
                                if number % 3 == 0 {
                                    Err(Refused::ByRule)
                                } else {
                                    Ok(number)
                                }
                            })
                        })
                        .await
                })
            })
            .collect();
        for (number, write) in (0_i64..).zip(writes) {
            match write.await.unwrap() {
                Ok(answer) => assert!(answer == number && number % 3 != 0),
                Err(Refused::ByRule) => assert!(number % 3 == 0 && number % 9 != 0),
                Err(Refused::ByStore(StoreError::Work("panicked"))) => assert!(number % 9 == 0),
                Err(Refused::ByStore(other)) => panic!("{number}: {other}"),
            }
        }
        let list = read(&store, "acme", |tx| {
            Box::pin(async move { tx.settings().list().await })
        })
        .await;
        assert_eq!(list.len(), 60);
        assert!(list.iter().all(|(_, value)| value.as_i64().unwrap() % 3 != 0));
        let verdict = verify(&store, "acme", None).await;
        assert_eq!(
            (verdict.rows, verdict.fault),
            (60, None),
            "effect and audit row, or neither"
        );
    });
}

#[test]
fn a_failed_statement_undoes_its_work_even_if_nobody_looks() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let ended = store
            .write(&tenant("acme"), |tx| {
                Box::pin(async move {
                    tx.settings().set("before", &1).await?;
                    let broken = tx.settings().set("before", &f64::NAN).await;
                    drop(broken); // NaN is written as null by JSON: this one is fine.
                    // An owner that does not exist breaks a constraint.
                    let mut key = super::tables::new_key("key_a", 1);
                    key.owner = footbridge_server::vocabulary::UserId::new("usr_ghost").unwrap();
                    assert!(tx.keys().insert(&key).await.is_err());
                    let _ = tx.settings().set("after", &1).await;
                    Ok::<_, StoreError>(())
                })
            })
            .await;
        assert!(ended.is_err());
        let list = read(&store, "acme", |tx| {
            Box::pin(async move { tx.settings().list().await })
        })
        .await;
        assert!(list.is_empty(), "{list:?}");
    });
}

#[test]
fn a_reader_cannot_write() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let refused = store
            .read(&tenant("acme"), |tx| {
                Box::pin(async move { tx.settings().set("x", &1).await })
            })
            .await;
        assert!(refused.is_err());
        assert_eq!(setting(&store, "x").await, None);
        assert!(store.healthy(), "it was the work's mistake, not the store's");
    });
}

#[test]
fn a_read_is_one_snapshot() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        write(&store, "acme", |tx| {
            Box::pin(async move { tx.settings().set("x", &1).await })
        })
        .await;
        let (began, begun) = std::sync::mpsc::channel::<()>();
        let (go_on, going_on) = std::sync::mpsc::channel::<()>();
        let reader = {
            let store = store.clone();
            tokio::spawn(async move {
                read(&store, "acme", move |tx| {
                    Box::pin(async move {
                        let first = tx.settings().get::<i64>("x").await?;
                        began.send(()).unwrap();
                        going_on.recv().unwrap(); // Blocks a store thread, as only a test may.
                        Ok((first, tx.settings().get::<i64>("x").await?))
                    })
                })
                .await
            })
        };
        tokio::task::spawn_blocking(move || begun.recv().unwrap())
            .await
            .unwrap();
        write(&store, "acme", |tx| {
            Box::pin(async move { tx.settings().set("x", &2).await })
        })
        .await;
        go_on.send(()).unwrap();
        assert_eq!(reader.await.unwrap(), (Some(1), Some(1)));
        assert_eq!(setting(&store, "x").await, Some(2));
    });
}

#[test]
fn work_outlives_its_caller() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let (began, begun) = tokio::sync::oneshot::channel::<()>();
        let (go_on, going_on) = std::sync::mpsc::channel::<()>();
        let caller = {
            let store = store.clone();
            tokio::spawn(async move {
                let owner = tenant("acme");
                let work = store.write(&owner, move |tx| {
                    Box::pin(async move {
                        began.send(()).unwrap();
                        going_on.recv().unwrap();
                        tx.settings().set("x", &1).await
                    })
                });
                work.await
            })
        };
        begun.await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        go_on.send(()).unwrap();
        eventually("the write is committed", Duration::from_secs(5), async || {
            setting(&store, "x").await
        })
        .await;
    });
}

#[test]
fn sqlite_work_that_waits_for_something_else_fails_alone() {
    super::harness::run(async {
        let store = super::harness::Place::sqlite();
        let store = store.open_with(&["acme"]).await;
        let never = Arc::new(tokio::sync::Notify::new());
        let waiting = store
            .write(&tenant("acme"), move |tx| {
                Box::pin(async move {
                    tx.settings().set("x", &1).await?;
                    never.notified().await;
                    Ok::<_, StoreError>(())
                })
            })
            .await;
        assert!(matches!(waiting, Err(StoreError::Work(_))), "{waiting:?}");
        assert_eq!(setting(&store, "x").await, None);
        write(&store, "acme", |tx| {
            Box::pin(async move { tx.settings().set("y", &1).await })
        })
        .await;
    });
}

#[test]
fn a_closed_store_has_committed_everything_and_takes_nothing_more() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        for _ in 0..50 {
            store
                .append_audit(&tenant("acme"), event("late", AuditStatus::Allow))
                .await
                .unwrap();
        }
        let other = store.clone();
        store.close().await;
        let refused = other
            .write(&tenant("acme"), |tx| {
                Box::pin(async move { tx.settings().set("x", &1).await })
            })
            .await;
        assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
        assert!(
            other
                .append_audit(&tenant("acme"), event("late", AuditStatus::Allow))
                .await
                .is_err()
        );
        let again = place.open().await;
        assert_eq!(verify(&again, "acme", None).await.rows, 50);
    });
}
