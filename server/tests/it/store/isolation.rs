//! No tenant's work reaches or reveals another tenant's rows (security.md T1).

use footbridge_server::store::{
    AuditFilter, AuditStatus, Draft, Field, JobState, NewJob, NewMemory, NewUser, RecordQuery, Store,
    StoreError, TextQuery, VectorShelf,
};
use footbridge_server::vocabulary::{KeyId, Role, UserId};
use proptest::{prelude::*, test_runner::Config};
use serde_json::json;

use super::{
    audit::{event, verify},
    harness::{for_each_engine, on_postgres, read, run, tenant, write},
    notes::entity,
    tables::new_key,
};

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];

/// One write by one tenant. Ids are few, so tenants meet on the same ones all the time.
#[derive(Clone, Debug)]
struct Op {
    by: usize,
    what: u8,
    id: u8,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(
        (0_usize..3, 0_u8..14, 0_u8..3).prop_map(|(by, what, id)| Op { by, what, id }),
        1..50,
    )
}

/// A word that only this tenant ever writes.
fn canary(name: &str) -> String {
    format!("canary{name}")
}

async fn apply(store: &Store, op: &Op, number: usize) {
    let name = TENANTS[op.by];
    let word = canary(name);
    let (what, id) = (op.what, op.id);
    let owner = tenant(name);
    let done = store.write(&owner, move |tx| {
        Box::pin(async move {
            let draft = Draft::of(&json!({ "word": word }))?
                .with(Field::unique("slug", format!("slug-{id}")))
                .with(Field::new("status", "open"))
                .with_words(&word, "shared");
            let record = format!("rec_{id}");
            let user = UserId::new(&format!("usr_{id}")).unwrap();
            match what {
                0 => drop(tx.records("lead").insert(&record, &draft, &word).await?),
                1 => drop(tx.records("lead").update(&record, &draft, None, &word).await?),
                2 => drop(tx.records("lead").delete(&record, None, &word).await?),
                3 => drop(tx.records("lead").restore(&record, &word).await?),
                4 => {
                    let new = NewMemory {
                        id: format!("mem_{number}"),
                        key: format!("key-{id}"),
                        content: word.clone(),
                        tags: vec![word.clone()],
                        metadata: json!({ "word": word }),
                        expires_at: None,
                        words: ("shared".into(), word.clone()),
                    };
                    tx.memory().put(&new).await?;
                }
                5 => {
                    let texts = [word.as_str(), "shared words"];
                    let rows = tx
                        .notes()
                        .put_entity(&entity(&format!("e{id}"), "vault", &format!("{id}.md"), &texts))
                        .await?;
                    tx.notes()
                        .put_vector(VectorShelf::Chunks, "m", rows[0], word.as_bytes())
                        .await?;
                }
                6 => drop(tx.notes().bury(&format!("e{id}")).await?),
                7 => {
                    let new = NewUser {
                        id: user,
                        email: format!("{id}@shared.test"),
                        name: word.clone(),
                        role: Role::Member,
                        groups: Vec::new(),
                        password_hash: None,
                    };
                    tx.users().insert(&new).await?;
                }
                8 => drop(tx.users().set_name(&user, &word).await?),
                9 => {
                    let payload = json!({ "word": word });
                    let now = tx.now();
                    let new = NewJob {
                        id: format!("job_{id}"),
                        queue: "q".into(),
                        payload,
                        run_at: now,
                        max_attempts: 1,
                    };
                    tx.jobs().enqueue(&new).await?;
                }
                10 => drop(tx.jobs().cancel(&format!("job_{id}")).await?),
                11 => tx.settings().set("word", &word).await?,
                12 => drop(
                    tx.keys()
                        .revoke(&KeyId::new(&format!("key_{id}")).unwrap())
                        .await?,
                ),
                _ => {
                    let mut event = event("op", AuditStatus::Allow);
                    event.error_class = Some(word.into());
                    tx.audit(event)?;
                }
            }
            Ok::<_, StoreError>(())
        })
    });
    match done.await {
        Ok(()) | Err(StoreError::Conflict { .. }) => {}
        Err(other) => panic!("{op:?}: {other:?}"),
    }
}

/// Everything a tenant can get to see, as text.
async fn everything(store: &Store, name: &str) -> String {
    read(store, name, |tx| {
        Box::pin(async move {
            let mut seen = String::new();
            let mut see = |what: &dyn std::fmt::Debug| seen.push_str(&format!("{what:?}\n"));
            see(&tx
                .records("lead")
                .list(&RecordQuery {
                    limit: 1000,
                    ..Default::default()
                })
                .await?);
            see(&tx.settings().list().await?);
            for key in tx.keys().list().await? {
                see(&(key.name, key.revoked_at, key.version));
            }
            see(&tx.jobs().list("q", JobState::Queued, 100).await?);
            see(&tx.jobs().list("q", JobState::Cancelled, 100).await?);
            see(&tx.notes().sources().await?);
            see(&tx.notes().source_counts().await?);
            see(&tx.notes().all_chunks(0, 1000).await?);
            see(&tx.notes().vectors(VectorShelf::Chunks, "m", 0, 1000).await?);
            see(&tx.notes().marks("vault", "", 1000).await?);
            for user in tx.users().list().await? {
                see(&user.name);
            }
            for entry in tx
                .audit_log()
                .list(&AuditFilter::default(), None, 1000)
                .await?
                .rows
            {
                see(&entry.body);
            }
            // Row numbers are shared between tenants: every one is tried, stolen or not.
            let rows: Vec<i64> = (1..200).collect();
            see(&tx.memory().find_rows(&rows).await?);
            see(&tx.notes().chunk_rows(&rows).await?);
            see(&tx.records("lead").find_rows(&rows).await?);
            for id in 0..3 {
                see(&tx.records("lead").find(&format!("rec_{id}")).await?);
                see(&tx
                    .records("lead")
                    .find_unique("slug", &format!("slug-{id}").into())
                    .await?);
                see(&tx.records("lead").history(&format!("rec_{id}"), 100).await?);
                see(&tx.memory().find_by_key(&format!("key-{id}")).await?);
                see(&tx.notes().chunks(&format!("e{id}"), 0, 9).await?);
                see(&tx.jobs().find(&format!("job_{id}")).await?);
            }
            for number in 0..60 {
                see(&tx.memory().versions(&format!("mem_{number}")).await?);
            }
            // Searches for everybody's canary find rows of one's own alone, and ranks that others do not move.
            for asked in ["shared", "canaryacme", "canaryglobex", "canaryinitech"] {
                let query = TextQuery::any_of([asked]);
                see(&tx.notes().text_candidates(&query, None, 100).await?.len());
                let hits: Vec<i64> = tx
                    .memory()
                    .text_candidates(&query, 100)
                    .await?
                    .iter()
                    .map(|hit| hit.row_id)
                    .collect();
                assert_eq!(
                    tx.memory().find_rows(&hits).await?.len(),
                    hits.len(),
                    "a hit is not one's own row"
                );
                let hits: Vec<i64> = tx
                    .records("lead")
                    .text_candidates(&query, 100)
                    .await?
                    .iter()
                    .map(|hit| hit.row_id)
                    .collect();
                assert_eq!(
                    tx.records("lead").find_rows(&hits).await?.len(),
                    hits.len(),
                    "a hit is not one's own row"
                );
                let hits: Vec<i64> = tx
                    .notes()
                    .text_candidates(&query, None, 100)
                    .await?
                    .iter()
                    .map(|hit| hit.row_id)
                    .collect();
                assert_eq!(
                    tx.notes().chunk_rows(&hits).await?.len(),
                    hits.len(),
                    "a hit is not one's own row"
                );
            }
            Ok(seen)
        })
    })
    .await
}

proptest! {
    #![proptest_config(Config { cases: 16, failure_persistence: None, ..Config::default() })]

    /// After any writes by three tenants, nobody sees a word of another; and what one tenant sees is the same
    /// as if the others had never been.
    #[test]
    fn tenants_do_not_see_each_other(ops in ops()) {
        let ops = &ops;
        for_each_engine(|place| {
            let ops = ops.clone();
            async move {
                let store = place.open_with(&TENANTS).await;
                for name in TENANTS {
                    let mut key = new_key("key_0", name.as_bytes()[0]);
                    key.name = canary(name);
                    write(&store, name, move |tx| Box::pin(async move { tx.keys().insert(&key).await })).await;
                }
                for (number, op) in ops.iter().enumerate() {
                    let others = [TENANTS[(op.by + 1) % 3], TENANTS[(op.by + 2) % 3]];
                    let sampled = number % 10 == 0;
                    let before = if sampled { Some(everything(&store, others[0]).await) } else { None };
                    apply(&store, op, number).await;
                    if let Some(before) = before {
                        assert_eq!(before, everything(&store, others[0]).await, "{op:?} changed what {} sees", others[0]);
                    }
                }
                for name in TENANTS {
                    let seen = everything(&store, name).await;
                    assert!(seen.contains(&canary(name)));
                    for other in TENANTS.into_iter().filter(|other| *other != name) {
                        // The tenant's own questions are not in the text; only rows are.
                        assert!(!seen.contains(&canary(other)), "{name} sees {other}: {seen}");
                    }
                    assert_eq!(verify(&store, name, None).await.fault, None);
                }
            }
        });
    }
}

#[test]
fn postgres_itself_refuses_rows_of_another_tenant() {
    on_postgres(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        write(&store, "acme", |tx| {
            Box::pin(async move { tx.settings().set("word", &"mine").await })
        })
        .await;
        let footbridge_server::store::StoreUrl::Postgres(url) = &place.url else {
            panic!("on PostgreSQL")
        };
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        for (scope, users, settings) in [("acme", 1, 1), ("globex", 1, 0), ("nobody", 0, 0), ("*", 2, 1)] {
            let set = format!("BEGIN; SET LOCAL footbridge.tenant = '{scope}'");
            client.batch_execute(&set).await.unwrap();
            let count = async |table| -> i64 {
                client
                    .query_one(&format!("SELECT COUNT(*) FROM {table}"), &[])
                    .await
                    .unwrap()
                    .get(0)
            };
            assert_eq!(
                (count("users").await, count("settings").await),
                (users, settings),
                "{scope}"
            );
            client.batch_execute("ROLLBACK").await.unwrap();
        }
        let unset: i64 = client
            .query_one("SELECT COUNT(*) FROM users", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(unset, 0, "without a scope nothing is seen");
    });
}

#[test]
fn each_tenant_has_full_text_tables_of_its_own_in_sqlite() {
    run(async {
        let place = super::harness::Place::sqlite();
        let store = place.open_with(&["acme", "globex"]).await;
        for name in ["acme", "globex"] {
            super::notes::put(&store, name, entity("e1", "vault", "a.md", &["word"])).await;
        }
        store.close().await;
        let raw = rusqlite::Connection::open(place.file()).unwrap();
        let tables: i64 = raw
            .query_row(
                "SELECT COUNT(*) FROM sqlite_schema WHERE name IN ('fts_chunks_1', 'fts_chunks_2')",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(tables, 2);
    });
}
