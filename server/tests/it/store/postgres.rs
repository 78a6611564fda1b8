//! PostgreSQL going away in the middle, and refusing at the door.

use std::time::Duration;

use footbridge_server::store::{AuditStatus, Store, StoreError, StoreSettings, StoreUrl, Topic};

use super::{
    audit::{event, verify},
    harness::{Place, eventually, on_postgres, read, run, tenant, write},
};

fn database(place: &Place) -> String {
    let StoreUrl::Postgres(url) = &place.url else {
        panic!("on PostgreSQL")
    };
    url.rsplit('/').next().unwrap().to_owned()
}

/// Ends every connection of the store, as a restart of the server would.
async fn cut_all(place: &Place) {
    let name = database(place);
    place
        .tamper(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND usename = 'footbridge'"
        ))
        .await;
}

#[test]
fn a_connection_cut_in_the_middle_undoes_its_work_and_the_next_goes_on() {
    on_postgres(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let (began, begun) = tokio::sync::oneshot::channel::<()>();
        let (go_on, going_on) = tokio::sync::oneshot::channel::<()>();
        let cut = {
            let store = store.clone();
            tokio::spawn(async move {
                let owner = tenant("acme");
                let work = store.write(&owner, move |tx| {
                    Box::pin(async move {
                        tx.settings().set("x", &1).await?;
                        tx.audit(event("cut", AuditStatus::Allow))?;
                        began.send(()).unwrap();
                        going_on.await.unwrap();
                        tx.settings().set("y", &1).await
                    })
                });
                work.await
            })
        };
        begun.await.unwrap();
        cut_all(&place).await;
        go_on.send(()).unwrap();
        let error = cut.await.unwrap().unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
        write(&store, "acme", |tx| {
            Box::pin(async move { tx.settings().set("z", &1).await })
        })
        .await;
        let names = read(&store, "acme", |tx| {
            Box::pin(async move { tx.settings().list().await })
        })
        .await;
        assert_eq!(
            names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["z"]
        );
        assert_eq!(verify(&store, "acme", None).await.rows, 0);
        assert!(store.healthy());
    });
}

#[test]
fn under_cuts_every_acknowledged_write_is_there_once_and_the_chain_is_whole() {
    on_postgres(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let writers: Vec<_> = (0..6_i64)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    let (mut sure, mut unsure) = (Vec::new(), Vec::new());
                    for number in 0..40_i64 {
                        let name = format!("{writer}-{number}");
                        let key = name.clone();
                        let owner = tenant("acme");
                        let work = store.write(&owner, move |tx| {
                            Box::pin(async move {
                                tx.settings().set(&name, &1).await?;
                                let mut event = event("write", AuditStatus::Allow);
                                event.request_id = Some(name.into());
                                tx.audit(event)
                            })
                        });
                        match work.await {
                            Ok(()) => sure.push(key),
                            Err(StoreError::OutcomeUnknown) => unsure.push(key),
                            Err(StoreError::Unreachable { .. } | StoreError::Contended) => {}
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                    (sure, unsure)
                })
            })
            .collect();
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_millis(15)).await;
            cut_all(&place).await;
        }
        let (mut sure, mut unsure) = (Vec::new(), Vec::new());
        for writer in writers {
            let (some, others) = writer.await.unwrap();
            sure.extend(some);
            unsure.extend(others);
        }
        let stored = eventually("the store answers again", Duration::from_secs(10), async || {
            let owner = tenant("acme");
            let listed = store.read(&owner, |tx| Box::pin(async move { tx.settings().list().await }));
            listed
                .await
                .ok()
                .map(|rows: Vec<_>| rows.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        })
        .await;
        assert!(
            sure.iter().all(|name| stored.contains(name)),
            "an acknowledged write is gone"
        );
        assert!(
            stored
                .iter()
                .all(|name| sure.contains(name) || unsure.contains(name)),
            "a refused write took effect"
        );
        let verdict = verify(&store, "acme", None).await;
        assert_eq!(
            (verdict.rows, verdict.fault),
            (stored.len() as u64, None),
            "effect and row, or neither"
        );
    });
}

#[test]
fn quiet_audit_rows_survive_cut_connections() {
    on_postgres(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let mut taken = 0_u64;
        for round in 0..200 {
            if store
                .append_audit(&tenant("acme"), event("quiet", AuditStatus::Allow))
                .await
                .is_ok()
            {
                taken += 1;
            }
            if round % 50 == 25 {
                cut_all(&place).await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        eventually("the store recovers", Duration::from_secs(10), async || {
            store.flush().await.ok()
        })
        .await;
        let verdict = verify(&store, "acme", None).await;
        assert_eq!(verdict.fault, None);
        assert!(
            verdict.rows >= taken,
            "{} of {taken} rows are there",
            verdict.rows
        );
    });
}

#[test]
fn changes_are_heard_again_after_the_listening_connection_was_cut() {
    on_postgres(|place| async move {
        let (store, other) = (place.open_with(&["acme"]).await, place.open().await);
        let mut heard = other.listen(&[Topic::Catalogue]);
        cut_all(&place).await;
        write(&store, "acme", |tx| {
            Box::pin(async move { tx.announce(Topic::Catalogue).await })
        })
        .await;
        let change = tokio::time::timeout(Duration::from_secs(5), heard.next()).await;
        assert_eq!(change.expect("heard"), Some(Topic::Catalogue));
    });
}

#[test]
fn a_door_that_stays_shut_is_named() {
    on_postgres(|place| async move {
        let StoreUrl::Postgres(url) = &place.url else {
            panic!("on PostgreSQL")
        };
        let try_open = async |url: String| {
            Store::open(&StoreUrl::Postgres(url), &place.settings, place.clock.clone())
                .await
                .expect_err("refused")
        };
        let name = database(&place);
        let error = try_open(url.replace(&name, "no_such_database")).await;
        assert!(matches!(error, StoreError::NoDatabase { .. }), "{error:?}");
        let error = try_open(url.replace("//footbridge@", "//stranger:hunter2@")).await;
        assert!(matches!(error, StoreError::LoginRefused { .. }), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    });
    run(async {
        // Port 1 of the loopback answers nobody.
        let url: StoreUrl = "postgres://ada:hunter2@127.0.0.1:1/x".parse().unwrap();
        let place = Place::sqlite();
        let error = Store::open(&url, &StoreSettings::default(), place.clock.clone())
            .await
            .expect_err("refused");
        assert!(
            matches!(&error, StoreError::Unreachable { host, .. } if host == "127.0.0.1:1"),
            "{error:?}"
        );
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    });
}

#[test]
fn a_demand_for_encryption_is_refused_and_not_ignored() {
    run(async {
        let url: StoreUrl = "postgres://ada@127.0.0.1:1/x?sslmode=require".parse().unwrap();
        let place = Place::sqlite();
        let error = Store::open(&url, &StoreSettings::default(), place.clock.clone())
            .await
            .expect_err("refused");
        assert!(error.to_string().contains("TLS"), "{error}");
    });
}

#[test]
fn a_store_that_only_a_transaction_found_ill_recovers_without_being_asked() {
    on_postgres(|mut place| async move {
        place.settings.connections = 2;
        let store = place.open_with(&["acme"]).await;
        let (go_on, going_on) = tokio::sync::watch::channel(false);
        // Both connections are held until the third caller has waited in vain.
        let holders: Vec<_> = (0..2)
            .map(|_| {
                let (store, mut going_on) = (store.clone(), going_on.clone());
                tokio::spawn(async move {
                    read(&store, "acme", move |tx| {
                        Box::pin(async move {
                            tx.users().list().await?;
                            going_on.wait_for(|free| *free).await.unwrap();
                            Ok(())
                        })
                    })
                    .await;
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let owner = tenant("acme");
        let refused = store
            .write(&owner, |tx| {
                Box::pin(async move { tx.settings().set("x", &1).await })
            })
            .await;
        assert!(matches!(refused, Err(StoreError::TimedOut { .. })), "{refused:?}");
        assert!(!store.healthy());
        go_on.send(true).unwrap();
        for holder in holders {
            holder.await.unwrap();
        }
        eventually(
            "the store recovers by itself",
            Duration::from_secs(10),
            async || store.healthy().then_some(()),
        )
        .await;
    });
}
