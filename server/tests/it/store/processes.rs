//! Several processes or replicas on one store: files shared, changes heard, no chain broken.

use std::{path::Path, process::Command, time::Duration};

use footbridge_server::store::{AuditStatus, Store, StoreUrl, Topic};

use futures_util::FutureExt;

use super::{
    audit::{event, verify},
    harness::{Place, add_tenant, for_each_engine, read, run, tenant, write},
    tables::new_key,
};

#[test]
fn a_second_store_hears_of_changes_within_a_second() {
    for_each_engine(|place| async move {
        let first = place.open_with(&["acme"]).await;
        let second = place.open().await;
        let keys = &[Topic::Keys];
        let (mut here, mut there) = (first.listen(keys), second.listen(keys));
        for round in 1..4_u8 {
            let new = new_key(&format!("key_{round}"), round);
            write(&first, "acme", move |tx| {
                Box::pin(async move { tx.keys().insert(&new).await })
            })
            .await;
            for heard in [&mut here, &mut there] {
                let change = tokio::time::timeout(Duration::from_secs(1), heard.next()).await;
                assert_eq!(change.expect("within 1 s"), Some(Topic::Keys));
            }
            let (keys, version) = second
                .system_read(move |tx| {
                    Box::pin(async move { tx.keys().changed_since(i64::from(round) - 1).await })
                })
                .await
                .unwrap();
            assert_eq!((keys.len(), version), (1, round.into()));
        }
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(
            here.next().now_or_never().is_none() && there.next().now_or_never().is_none(),
            "each change is told once"
        );
    });
}

#[test]
fn what_was_undone_is_not_told() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let other = place.open().await;
        let topics = &[Topic::Catalogue, Topic::Settings];
        let (mut here, mut there) = (store.listen(topics), other.listen(topics));
        let undone = store
            .write(&tenant("acme"), |tx| {
                Box::pin(async move {
                    tx.announce(Topic::Catalogue).await?;
                    Err::<(), _>(footbridge_server::store::StoreError::Work("changed its mind"))
                })
            })
            .await;
        assert!(undone.is_err());
        write(&store, "acme", |tx| {
            Box::pin(async move { tx.announce(Topic::Settings).await })
        })
        .await;
        for heard in [&mut here, &mut there] {
            let change = tokio::time::timeout(Duration::from_secs(1), heard.next()).await;
            assert_eq!(change.unwrap(), Some(Topic::Settings));
        }
    });
}

#[test]
fn two_stores_append_to_one_chain() {
    for_each_engine(|place| async move {
        let first = place.open_with(&["acme", "globex"]).await;
        let second = place.open().await;
        let append = |store: Store, durable: bool| {
            tokio::spawn(async move {
                for number in 0..60 {
                    let name = if number % 2 == 0 { "acme" } else { "globex" };
                    if durable {
                        store
                            .append_audit_durable(&tenant(name), event("durable", AuditStatus::Allow))
                            .await
                            .unwrap();
                    } else {
                        store
                            .append_audit(&tenant(name), event("quiet", AuditStatus::Allow))
                            .await
                            .unwrap();
                    }
                }
                store.flush().await.unwrap();
            })
        };
        let appenders = [
            append(first.clone(), false),
            append(second.clone(), false),
            append(first.clone(), true),
            append(second, true),
        ];
        for appender in appenders {
            appender.await.unwrap();
        }
        for name in ["acme", "globex"] {
            let verdict = verify(&first, name, None).await;
            assert_eq!((verdict.rows, verdict.fault), (120, None));
        }
    });
}

const ROLE: &str = "FOOTBRIDGE_TEST_SECOND_PROCESS";

/// Not a test of its own: what the second process of the next test runs.
#[test]
fn second_process() {
    let Some(file) = std::env::var_os(ROLE) else {
        return;
    };
    let place = Place::sqlite();
    run(async {
        let url = StoreUrl::Sqlite(Path::new(&file).to_owned());
        let store = Store::open(&url, &place.settings, place.clock.clone())
            .await
            .unwrap();
        for _ in 0..100 {
            store
                .append_audit_durable(&tenant("acme"), event("second", AuditStatus::Allow))
                .await
                .unwrap();
        }
        add_tenant(&store, "made-by-second").await;
        store.close().await;
    });
}

#[test]
fn two_processes_share_one_sqlite_file() {
    run(async {
        let place = Place::sqlite();
        let store = place.open_with(&["acme"]).await;
        let mut heard = store.listen(&[Topic::Tenants]);
        let mut second = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::processes::second_process"])
            .env(ROLE, place.file())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut rows = 0;
        while second.try_wait().unwrap().is_none() {
            store
                .append_audit_durable(&tenant("acme"), event("first", AuditStatus::Allow))
                .await
                .unwrap();
            rows += 1;
        }
        assert!(second.wait().unwrap().success());
        let verdict = verify(&store, "acme", None).await;
        assert_eq!((verdict.rows, verdict.fault), (rows + 100, None));
        let change = tokio::time::timeout(Duration::from_secs(2), heard.next()).await;
        assert_eq!(change.unwrap(), Some(Topic::Tenants));
        let users = read(&store, "made-by-second", |tx| {
            Box::pin(async move { tx.users().list().await })
        })
        .await;
        assert_eq!(users.len(), 1);
    });
}

#[test]
fn two_stores_may_be_made_at_the_same_moment() {
    for_each_engine(|place| async move {
        let place = std::sync::Arc::new(place);
        let opening: Vec<_> = (0..4)
            .map(|_| {
                let place = std::sync::Arc::clone(&place);
                tokio::spawn(async move { drop(place.open().await) })
            })
            .collect();
        for opened in opening {
            opened.await.unwrap();
        }
        place.open_with(&["acme"]).await;
    });
}
