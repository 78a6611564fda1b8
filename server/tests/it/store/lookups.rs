//! Reads of a few rows by their keys, which are answered on the asker's own thread from snapshots that are held for a moment.

use std::time::Duration;

use footbridge_server::store::{AuditStatus, Store, StoreError};
use tokio::task::JoinHandle;

use super::{
    audit::event,
    harness::{Place, for_each_engine, run, tenant, write},
};

const NAME: &str = "count";

async fn set(store: &Store, number: u32) {
    write(store, "acme", move |tx| {
        Box::pin(async move { tx.settings().set(NAME, &number).await })
    })
    .await;
}

async fn look(store: &Store) -> Option<u32> {
    store
        .lookup(&tenant("acme"), |tx| {
            Box::pin(async move { tx.settings().get::<u32>(NAME).await })
        })
        .await
        .unwrap()
}

/// Somebody looks all the while.
fn keep_looking(store: &Store) -> JoinHandle<()> {
    let store = store.clone();
    tokio::spawn(async move {
        loop {
            look(&store).await;
            tokio::task::yield_now().await;
        }
    })
}

#[test]
fn a_lookup_sees_every_commit_that_came_before_it() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        // Others look all the while, and hold what they see.
        let looking = keep_looking(&store);
        for number in 0..300 {
            set(&store, number).await;
            assert_eq!(look(&store).await, Some(number));
        }
        looking.abort();
    });
}

#[test]
fn what_another_process_commits_is_seen_a_moment_later() {
    for_each_engine(|place| async move {
        let (store, other) = (place.open_with(&["acme"]).await, place.open().await);
        for number in 0..10 {
            set(&other, number).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(look(&store).await, Some(number));
        }
    });
}

#[test]
fn the_log_begins_anew_although_somebody_always_looks() {
    run(async {
        let place = Place::sqlite();
        let store = place.open_with(&["acme"]).await;
        let looking = keep_looking(&store);
        let mut log = place.file().into_os_string();
        log.push("-wal");
        for _ in 0..2_500 {
            store
                .append_audit_durable(&tenant("acme"), event("t", AuditStatus::Allow))
                .await
                .unwrap();
        }
        looking.abort();
        // Some 2000 pages of 4 KiB, and what comes until the next snapshot is let go of. All these commits have 25 MB.
        let bytes = std::fs::metadata(&log).unwrap().len();
        assert!(bytes < 12 << 20, "{bytes}");
    });
}

#[test]
fn a_lookup_that_fails_or_panics_leaves_its_connection_to_the_next() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        set(&store, 7).await;
        for _ in 0..20 {
            let failed = store.lookup(&tenant("acme"), |tx| {
                Box::pin(async move { tx.settings().get::<String>(NAME).await })
            });
            assert!(failed.await.is_err(), "a number is no text");
            let written = store.lookup(&tenant("acme"), |tx| {
                Box::pin(async move { tx.settings().set(NAME, &8_u32).await })
            });
            assert!(written.await.is_err(), "a lookup writes nothing");
            let panicked = store.lookup(&tenant("acme"), |_| {
                Box::pin(async move {
                    std::panic::resume_unwind(Box::new("a bug"));
                    #[expect(unreachable_code, reason = "the type of the work")]
                    Ok::<(), StoreError>(())
                })
            });
            assert!(panicked.await.is_err());
            assert_eq!(look(&store).await, Some(7));
        }
    });
}
