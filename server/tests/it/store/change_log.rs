//! The change log: what is kept of a change, whose chain it joins, and that no edit stays unseen.

use footbridge_server::{
    store::{Actor, AuditVerdict, ChangeFilter, NewChange, Store, StoreError},
    vocabulary::UserId,
};
use serde_json::json;

use super::harness::{Place, for_each_engine, read, tenant, write};

fn change(action: &'static str, id: &str) -> NewChange {
    NewChange::new(Actor::person(UserId::new("usr_ada").unwrap()), action, "key", id)
        .before(json!({"name": "it's \"mine\"; DROP TABLE change_log", "secret": "s3cret"}))
        .after(json!({"name": "Zoë's", "secret": "other"}))
}

async fn verify(store: &Store, name: &str) -> AuditVerdict {
    read(store, name, |tx| {
        Box::pin(async move { tx.change_log().verify(None).await })
    })
    .await
}

async fn filled(place: &Place) -> Store {
    let store = place.open_with(&["acme", "globex"]).await;
    for number in 0..4 {
        write(&store, "acme", move |tx| {
            Box::pin(async move {
                tx.log_change(change("key.narrow", &format!("key_{number}")));
                tx.log_change(change("key.revoke", &format!("key_{number}")));
                Ok(())
            })
        })
        .await;
    }
    let across = store.system_write(|tx| {
        Box::pin(async move {
            tx.log_change(change("setting.set", "server"));
            for name in ["globex", "acme"] {
                tx.within(&tenant(name)).log_change(change("tenant.update", name));
            }
            Ok::<_, StoreError>(())
        })
    });
    across.await.unwrap();
    store
}

#[test]
fn changes_join_the_chain_of_their_owner_without_their_secrets() {
    for_each_engine(|place| async move {
        let store = filled(&place).await;
        for (name, rows) in [("acme", 9), ("globex", 1), ("nobody", 0)] {
            let verdict = verify(&store, name).await;
            assert_eq!((verdict.rows, verdict.fault), (rows, None), "{name}");
        }
        let of_server = store.system_read(|tx| {
            Box::pin(async move {
                Ok::<_, StoreError>(
                    tx.change_log()
                        .list(&ChangeFilter::default(), None, 10)
                        .await?
                        .rows,
                )
            })
        });
        assert_eq!(of_server.await.unwrap()[0].record.object_id, "server");
        let listed = read(&store, "acme", |tx| {
            Box::pin(async move {
                Ok(tx
                    .change_log()
                    .list(&ChangeFilter::default(), None, 2)
                    .await?
                    .rows)
            })
        });
        let listed = listed.await;
        assert_eq!((listed[0].seq, listed[0].id.as_str()), (9, "chg_9"));
        let record = &listed[1].record;
        assert_eq!(
            (record.action.as_str(), record.object_id.as_str()),
            ("key.revoke", "key_3")
        );
        assert_eq!(record.actor.user_id, Some(UserId::new("usr_ada").unwrap()));
        let before = record.before.as_ref().unwrap();
        assert_eq!(before["name"], "it's \"mine\"; DROP TABLE change_log");
        assert_eq!(before["secret"], "[redacted]");
        assert!(!listed[1].body.contains("s3cret"));
    });
}

#[test]
fn a_change_that_does_not_take_place_leaves_no_row() {
    for_each_engine(|place| async move {
        let store = filled(&place).await;
        let refused: Result<(), StoreError> = store
            .write(&tenant("acme"), |tx| {
                Box::pin(async move {
                    tx.log_change(change("key.revoke", "key_9"));
                    Err(StoreError::OutcomeUnknown)
                })
            })
            .await;
        assert!(refused.is_err());
        assert_eq!(verify(&store, "acme").await.rows, 9);
    });
}

#[test]
fn every_filter_takes_whatever_it_is_given_as_a_value() {
    let hostile = "' OR '1'='1'; DROP TABLE change_log; --";
    for_each_engine(|place| async move {
        let store = filled(&place).await;
        let by = |filter: ChangeFilter| {
            let store = store.clone();
            async move {
                let found = read(&store, "acme", move |tx| {
                    Box::pin(async move { Ok(tx.change_log().follow(&filter, 0, 100).await?.rows) })
                });
                found.await.len()
            }
        };
        let filter = ChangeFilter::default;
        let table = [
            (filter(), 9),
            (
                ChangeFilter {
                    action: Some("key.revoke".into()),
                    ..filter()
                },
                4,
            ),
            (
                ChangeFilter {
                    object_id: Some("key_2".into()),
                    ..filter()
                },
                2,
            ),
            (
                ChangeFilter {
                    object_kind: Some("user".into()),
                    ..filter()
                },
                0,
            ),
            (
                ChangeFilter {
                    user_id: Some(UserId::new("usr_ada").unwrap()),
                    ..filter()
                },
                9,
            ),
            (
                ChangeFilter {
                    to: Some(super::harness::START),
                    ..filter()
                },
                0,
            ),
            (
                ChangeFilter {
                    action: Some(hostile.into()),
                    ..filter()
                },
                0,
            ),
            (
                ChangeFilter {
                    object_kind: Some(hostile.into()),
                    ..filter()
                },
                0,
            ),
            (
                ChangeFilter {
                    object_id: Some(hostile.into()),
                    ..filter()
                },
                0,
            ),
        ];
        for (filter, rows) in table {
            let shown = format!("{filter:?}");
            assert_eq!(by(filter).await, rows, "{shown}");
        }
        assert_eq!(verify(&store, "acme").await.rows, 9);
    });
}

#[test]
fn verify_finds_every_edit_and_retention_keeps_the_rest_whole() {
    let edits = [
        (
            "UPDATE change_log SET body = replace(body, 'key_1', 'key_7') WHERE tenant_id = 'acme' AND seq = 3",
            3,
        ),
        (
            "UPDATE change_log SET action = 'x' WHERE tenant_id = 'acme' AND seq = 4",
            4,
        ),
        (
            "UPDATE change_log SET user_id = NULL WHERE tenant_id = 'acme' AND seq = 5",
            5,
        ),
        (
            "UPDATE change_log SET object_id = 'x' WHERE tenant_id = 'acme' AND seq = 6",
            6,
        ),
        (
            "UPDATE change_log SET ts = ts + 1 WHERE tenant_id = 'acme' AND seq = 7",
            7,
        ),
        ("DELETE FROM change_log WHERE tenant_id = 'acme' AND seq = 2", 2),
        ("DELETE FROM change_log WHERE tenant_id = 'acme' AND seq = 9", 8),
    ];
    for_each_engine(|place| async move {
        for (sql, seq) in edits {
            let store = filled(&place).await;
            place.tamper(sql).await;
            let fault = verify(&store, "acme").await.fault;
            assert_eq!(fault.map(|fault| fault.seq), Some(seq), "{sql}");
            place
                .tamper("DELETE FROM change_log; DELETE FROM change_heads; DELETE FROM users; DELETE FROM tenants")
                .await;
        }
        let store = filled(&place).await;
        let dropped = write(&store, "acme", |tx| {
            Box::pin(async move {
                let later = tx.now().plus_millis(1);
                tx.change_log().drop_before(later, 4).await
            })
        });
        assert_eq!(dropped.await, 4);
        let verdict = verify(&store, "acme").await;
        assert_eq!((verdict.rows, verdict.head.seq, verdict.fault), (5, 9, None));
    });
}
