//! Records: versions, unique fields, conditions, stable pages, history.

use footbridge_server::store::{
    Condition, Draft, Extract, Field, FieldValue, Matching, RecordQuery, Store, StoreError, TextQuery, Total,
    within,
};
use proptest::{prelude::*, test_runner::Config};
use serde_json::json;

use super::harness::{START, for_each_engine, on_postgres, read, tenant, write};

fn lead(name: &str, status: &str, value: i64) -> Draft {
    Draft::of(&json!({ "name": name, "status": status, "value_cents": value }))
        .unwrap()
        .with(Field::new("status", status))
        .with(Field::new("value_cents", value))
        .with(Field::unique(
            "email",
            format!("{}@example.test", name.to_lowercase()),
        ))
        .with_words(&name.to_lowercase(), status)
}

async fn insert(store: &Store, owner: &str, id: &str, draft: Draft) -> Result<u32, StoreError> {
    let (id, owner) = (id.to_owned(), tenant(owner));
    let work = store.write(&owner, move |tx| {
        Box::pin(async move {
            tx.records("lead")
                .insert(&id, &draft, "usr_ada")
                .await
                .map(|record| record.version)
        })
    });
    work.await
}

async fn ids(store: &Store, query: RecordQuery) -> Vec<String> {
    let page = read(store, "acme", move |tx| {
        Box::pin(async move { tx.records("lead").list(&query).await })
    })
    .await;
    page.records.into_iter().map(|record| record.id).collect()
}

#[test]
fn a_record_is_made_changed_deleted_and_restored() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        insert(&store, "acme", "lead_1", lead("Ada", "new", 5))
            .await
            .unwrap();
        place.clock.advance(10);
        let (stale, changed, missing) = write(&store, "acme", |tx| {
            Box::pin(async move {
                let draft = lead("Ada", "working", 7);
                let stale = tx
                    .records("lead")
                    .update("lead_1", &draft, Some(2), "usr_bob")
                    .await;
                let changed = tx
                    .records("lead")
                    .update("lead_1", &draft, Some(1), "usr_bob")
                    .await?;
                Ok((
                    stale,
                    changed,
                    tx.records("lead")
                        .update("lead_9", &draft, None, "usr_bob")
                        .await?,
                ))
            })
        })
        .await;
        assert!(
            matches!(stale, Err(StoreError::Conflict { what }) if what.contains("version 1 now, 2 given"))
        );
        let changed = changed.unwrap();
        assert_eq!(
            (changed.version, changed.created_at, changed.updated_at),
            (2, START, START.plus_millis(10))
        );
        assert_eq!(changed.parse::<serde_json::Value>().unwrap()["value_cents"], 7);
        assert_eq!(missing, None);
        let by = |status: &str| RecordQuery {
            conditions: vec![Condition::is("status", status)],
            ..Default::default()
        };
        assert!(ids(&store, by("new")).await.is_empty());
        assert_eq!(ids(&store, by("working")).await, ["lead_1"]);

        let deleted = write(&store, "acme", |tx| {
            Box::pin(async move { tx.records("lead").delete("lead_1", None, "usr_bob").await })
        });
        assert!(deleted.await);
        assert!(ids(&store, RecordQuery::default()).await.is_empty());
        insert(&store, "acme", "lead_2", lead("Ada", "new", 1))
            .await
            .expect("the e-mail is free again");
        let taken = store
            .write(&tenant("acme"), |tx| {
                Box::pin(async move { tx.records("lead").restore("lead_1", "usr_bob").await })
            })
            .await;
        assert!(matches!(taken, Err(StoreError::Conflict { .. })));
        let restored = write(&store, "acme", |tx| {
            Box::pin(async move {
                tx.records("lead").delete("lead_2", Some(1), "usr_bob").await?;
                tx.records("lead").restore("lead_1", "usr_bob").await
            })
        });
        assert!(restored.await);
        let (history, found) = read(&store, "acme", |tx| {
            Box::pin(async move {
                Ok((
                    tx.records("lead").history("lead_1", 9).await?,
                    tx.records("lead").find("lead_1").await?,
                ))
            })
        })
        .await;
        let told: Vec<_> = history
            .iter()
            .map(|c| (c.version, c.change.as_str(), c.before.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                (4, "restore", true),
                (3, "delete", true),
                (2, "update", true),
                (1, "create", false)
            ]
        );
        assert_eq!(found.unwrap().version, 4);
        place.clock.advance(10);
        let purged = write(&store, "acme", |tx| {
            Box::pin(async move {
                let now = tx.now();
                tx.records("lead").purge(now).await
            })
        });
        assert_eq!(purged.await, 1);
    });
}

#[test]
fn a_unique_field_names_one_record_of_its_kind_and_tenant() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        insert(&store, "acme", "lead_1", lead("Ada", "new", 1))
            .await
            .unwrap();
        insert(&store, "globex", "lead_1", lead("Ada", "new", 1))
            .await
            .unwrap();
        let twin = insert(&store, "acme", "lead_2", lead("ADA", "new", 1)).await;
        assert!(matches!(twin, Err(StoreError::Conflict { what }) if what == "the email of this lead"));
        let again = insert(&store, "acme", "lead_1", lead("Bob", "new", 1)).await;
        assert!(matches!(again, Err(StoreError::Conflict { .. })));
        let found = read(&store, "acme", |tx| {
            Box::pin(async move {
                let mut leads = tx.records("lead");
                Ok((
                    leads
                        .find_unique("email", &"ada@example.test".into())
                        .await?
                        .map(|r| r.id),
                    leads
                        .find_unique("email", &"bob@example.test".into())
                        .await?
                        .map(|r| r.id),
                ))
            })
        });
        assert_eq!(
            found.await,
            (Some("lead_1".to_owned()), None),
            "a refused record claims nothing"
        );
    });
}

#[test]
fn conditions_are_met_together() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        for (number, status) in ["new", "working", "new", "lost", "new"].into_iter().enumerate() {
            let value = i64::try_from(number).unwrap() * 10 - 20;
            insert(
                &store,
                "acme",
                &format!("lead_{number}"),
                lead(&format!("n{number}"), status, value),
            )
            .await
            .unwrap();
        }
        let value = |v: i64| Some(FieldValue::Int(v));
        let cases = [
            (
                vec![Condition::is("status", "new")],
                vec!["lead_0", "lead_2", "lead_4"],
            ),
            (
                vec![Condition::OneOf(
                    "status".into(),
                    vec!["lost".into(), "working".into()],
                )],
                vec!["lead_1", "lead_3"],
            ),
            (
                vec![Condition::Between("value_cents".into(), value(-10), value(10))],
                vec!["lead_1", "lead_2"],
            ),
            (
                vec![Condition::Between("value_cents".into(), None, value(-10))],
                vec!["lead_0"],
            ),
            (
                vec![Condition::Between("value_cents".into(), value(10), None)],
                vec!["lead_3", "lead_4"],
            ),
            (
                vec![
                    Condition::is("status", "new"),
                    Condition::Between("value_cents".into(), value(0), None),
                ],
                vec!["lead_2", "lead_4"],
            ),
            (vec![Condition::OneOf("status".into(), Vec::new())], vec![]),
            (vec![Condition::is("nonsense", 1)], vec![]),
        ];
        for (conditions, expected) in cases {
            let query = RecordQuery {
                conditions: conditions.clone(),
                sort: "value_cents".into(),
                descending: false,
                ..Default::default()
            };
            assert_eq!(ids(&store, query).await, expected, "{conditions:?}");
            let count = read(&store, "acme", move |tx| {
                Box::pin(async move { tx.records("lead").count(&conditions, 100).await })
            });
            assert_eq!(count.await, i64::try_from(expected.len()).unwrap());
        }
        let found = read(&store, "acme", |tx| {
            Box::pin(async move {
                let hits = tx
                    .records("lead")
                    .text_candidates(&TextQuery::any_of(["n3", "working"]), 10)
                    .await?;
                let other = tx
                    .records("ticket")
                    .text_candidates(&TextQuery::any_of(["n3"]), 10)
                    .await?;
                assert!(other.is_empty(), "words of one kind are not found in another");
                let rows: Vec<i64> = hits.iter().map(|hit| hit.row_id).collect();
                Ok(tx
                    .records("lead")
                    .find_rows(&rows)
                    .await?
                    .into_iter()
                    .map(|r| r.id)
                    .collect::<Vec<_>>())
            })
        });
        assert_eq!(
            found.await,
            ["lead_3", "lead_1"],
            "a word in the title weighs more"
        );
    });
}

proptest! {
    #![proptest_config(Config { cases: 12, failure_persistence: None, ..Config::default() })]

    /// Pages of any size, with records made in between, list each old record exactly once and in order.
    #[test]
    fn pages_are_stable(values in proptest::collection::vec(0_i64..6, 1..25), size in 1_u32..7, descending: bool) {
        let values = &values;
        for_each_engine(|place| {
            let values = values.clone();
            async move {
                let store = place.open_with(&["acme"]).await;
                for (number, value) in values.iter().enumerate() {
                    insert(&store, "acme", &format!("lead_{number:03}"), lead(&format!("a{number}"), "new", *value)).await.unwrap();
                }
                let mut expected: Vec<_> =
                    values.iter().enumerate().map(|(number, value)| (*value, format!("lead_{number:03}"))).collect();
                expected.sort();
                if descending {
                    expected.reverse();
                }
                let (mut listed, mut after, mut extra) = (Vec::new(), None, 0);
                loop {
                    let query = RecordQuery { sort: "value_cents".into(), descending, after, limit: size, ..Default::default() };
                    let page = read(&store, "acme", move |tx| Box::pin(async move { tx.records("lead").list(&query).await })).await;
                    assert!(page.records.len() <= size as usize, "a page is larger than asked for");
                    listed.extend(page.records.into_iter().map(|record| record.id));
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                    // Only a few: one more a page would keep the end out of reach.
                    if extra < 5 {
                        insert(&store, "acme", &format!("zzz_{extra:03}"), lead(&format!("z{extra}"), "new", 3)).await.unwrap();
                        extra += 1;
                    }
                }
                listed.retain(|id| id.starts_with("lead_"));
                let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
                assert_eq!(listed, expected);
            }
        });
    }
}

#[test]
fn records_add_up_over_whatever_meets_the_conditions() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "zeta"]).await;
        // Two of these sums are beyond what either engine counts to.
        const MUCH: i64 = 9_000_000_000_000_000;
        let deal = |stage: &str, doc: serde_json::Value, cents: i64| {
            Draft::of(&doc)
                .unwrap()
                .with(Field::new("stage", stage))
                .with(Field::new("cents", cents))
        };
        let whole = |cents: i64, factor: i64| json!({ "cents": cents, "factor": factor, "unit": if cents == 333 { "b" } else { "a" } });
        for (owner, id, stage, cents, doc) in [
            ("acme", "a", "open", 333, whole(333, 40)),
            ("acme", "b", "open", 1_000_007, whole(1_000_007, 3)),
            ("acme", "c", "won", MUCH, whole(MUCH, 1_000)),
            ("acme", "d", "won", MUCH, whole(MUCH, 1_000)),
            ("acme", "e", "open", 5, json!({ "cents": 5, "factor": null })),
            ("acme", "f", "open", 7, whole(7, 7)),
            ("zeta", "a", "open", 1, whole(1, 1)),
        ] {
            insert(&store, owner, id, deal(stage, doc, cents)).await.unwrap();
            place.clock.advance(10);
        }
        write(&store, "acme", |tx| {
            Box::pin(async move { tx.records("lead").delete("f", None, "usr_ada").await.map(drop) })
        })
        .await;
        let totals = async |conditions: Vec<Condition>, most: u32| {
            read(&store, "acme", move |tx| {
                Box::pin(async move {
                    let mut records = tx.records("lead");
                    records
                        .totals(&conditions, ("cents", "factor"), "unit", most)
                        .await
                })
            })
            .await
        };
        let total = async |conditions: Vec<Condition>, most: u32| {
            let apart = totals(conditions, most).await;
            apart.iter().fold(Total::default(), |all, (_, one)| Total {
                count: all.count + one.count,
                sum: all.sum + one.sum,
                product: all.product + one.product,
            })
        };
        let of = |count: i64, sum: i128, product: i128| Total { count, sum, product };
        let (much, open) = (i128::from(MUCH), Condition::is("stage", "open"));
        let above = |cents: i64| Condition::Between("cents".to_owned(), Some(cents.into()), None);
        let made_before =
            Condition::Between("created_at".to_owned(), None, Some(START.plus_millis(15).into()));
        for (conditions, expected) in [
            (Vec::new(), of(5, 1_000_345 + 2 * much, 3_013_341 + 2_000 * much)),
            (vec![open.clone()], of(3, 1_000_345, 3_013_341)),
            (vec![above(300), open.clone()], of(2, 1_000_340, 3_013_341)),
            (vec![open.clone(), made_before], of(2, 1_000_340, 3_013_341)),
            (vec![Condition::is("stage", "lost")], of(0, 0, 0)),
            (
                vec![open, Condition::OneOf("stage".to_owned(), Vec::new())],
                of(0, 0, 0),
            ),
        ] {
            assert_eq!(total(conditions.clone(), 100).await, expected, "{conditions:?}");
        }
        assert_eq!(total(Vec::new(), 2).await.count, 2);
        let apart = totals(vec![Condition::is("stage", "open")], 100).await;
        assert_eq!(
            apart,
            [
                (String::new(), of(1, 5, 0)),
                ("a".to_owned(), of(1, 1_000_007, 3_000_021)),
                ("b".to_owned(), of(1, 333, 13_320)),
            ]
        );
    });
}

#[test]
fn values_are_taken_out_of_many_records_at_once() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "zeta"]).await;
        let draft = |status: &str, doc: serde_json::Value| {
            Draft::of(&doc).unwrap().with(Field::new("status", status))
        };
        let deep =
            json!({ "status": "new", "late": true, "count": 3, "sla": { "state": "met" }, "tags": ["a"] });
        insert(&store, "acme", "lead_1", draft("new", deep))
            .await
            .unwrap();
        place.clock.advance(10);
        let flat = json!({ "status": "old", "late": false, "sla": null });
        insert(&store, "acme", "lead_2", draft("old", flat))
            .await
            .unwrap();
        insert(&store, "zeta", "lead_3", draft("new", json!({})))
            .await
            .unwrap();
        insert(&store, "acme", "lead_4", draft("new", json!({})))
            .await
            .unwrap();
        write(&store, "acme", |tx| {
            Box::pin(async move {
                tx.records("lead")
                    .delete("lead_4", None, "usr_ada")
                    .await
                    .map(|_| ())
            })
        })
        .await;
        let extract = |field: &'static str, one_of: Vec<FieldValue>, from: Option<i64>| {
            let store = store.clone();
            async move {
                let mut rows = read(&store, "acme", move |tx| {
                    Box::pin(async move {
                        let wanted = Extract {
                            field,
                            one_of,
                            from: from.map(FieldValue::Int),
                            to: None,
                            paths: &["status", "late", "count", "sla.state", "tags"],
                            most: 10,
                        };
                        tx.records("lead").extract(&wanted).await
                    })
                })
                .await;
                rows.sort_by(|a, b| a.id.cmp(&b.id));
                rows
            }
        };
        let all = extract("created_at", Vec::new(), None).await;
        let text =
            |row: usize| -> Vec<Option<&str>> { all[row].values.iter().map(Option::as_deref).collect() };
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].id.as_str(), all[0].created_at), ("lead_1", START));
        let tags = all[0].values[4].as_deref().unwrap().replace(' ', "");
        assert_eq!(text(0)[..4], [Some("new"), Some("true"), Some("3"), Some("met")]);
        assert_eq!(tags, "[\"a\"]");
        assert_eq!(text(1), [Some("old"), Some("false"), None, None, None]);
        let later = extract("created_at", Vec::new(), Some(START.0 + 1)).await;
        assert_eq!(
            later.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(),
            ["lead_2"]
        );
        let new = extract("status", vec!["new".into(), "none".into()], None).await;
        assert_eq!(
            new.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(),
            ["lead_1"]
        );
    });
}

fn spoken(words: &str) -> Draft {
    Draft::of(&json!({})).unwrap().with_words("", words)
}

/// What holds the words asked for, newest first.
async fn holding(store: &Store, terms: &[&[&str]], most: u32) -> Vec<String> {
    let query = TextQuery {
        terms: terms
            .iter()
            .map(|term| term.iter().map(|&word| word.to_owned()).collect())
            .collect(),
        matching: Matching::All,
        prefix_last: true,
        ..TextQuery::default()
    };
    let found = read(store, "acme", move |tx| {
        Box::pin(async move {
            let rows = tx.newest_words(&[("lead", most)], &query).await?.concat();
            tx.records("lead").find_rows(&rows).await
        })
    });
    found.await.into_iter().map(|record| record.id).collect()
}

#[test]
fn the_newest_with_a_word_are_found_however_many_hold_it() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "bert"]).await;
        write(&store, "acme", |tx| {
            Box::pin(async move {
                for n in 0..90_i64 {
                    let rare = if n % 40 == 3 { "needle in hay" } else { "hay" };
                    let words = format!("everywhere odd{} {rare}", n % 2);
                    tx.records("lead")
                        .insert(&format!("lead_{n:02}"), &spoken(&words), "usr")
                        .await?;
                    // Of another kind, which nobody asks for.
                    tx.records("note")
                        .insert(&format!("note_{n:02}"), &spoken("needle everywhere"), "usr")
                        .await?;
                }
                Ok(())
            })
        })
        .await;
        write(&store, "bert", |tx| {
            Box::pin(async move {
                let needle = spoken("needle everywhere");
                tx.records("lead")
                    .insert("lead_99", &needle, "usr")
                    .await
                    .map(drop)
            })
        })
        .await;
        // As if an era had a few records: what is found must not depend on where one ends.
        if place.is_postgres() {
            place
                .tamper("UPDATE texts SET era = row_id / 10 WHERE tenant_id = 'acme'")
                .await;
        }
        let ids = |numbers: &[u32]| -> Vec<String> {
            numbers.iter().map(|number| format!("lead_{number:02}")).collect()
        };
        assert_eq!(
            holding(&store, &[&["everywhere"]], 4).await,
            ids(&[89, 88, 87, 86])
        );
        assert_eq!(holding(&store, &[&["every"]], 2).await, ids(&[89, 88]));
        assert_eq!(holding(&store, &[&["everywhere"]], 200).await.len(), 90);
        assert_eq!(holding(&store, &[&["needle"]], 9).await, ids(&[83, 43, 3]));
        assert_eq!(holding(&store, &[&["needle"]], 1).await, ids(&[83]));
        assert_eq!(holding(&store, &[&["odd0"], &["hay"]], 2).await, ids(&[88, 86]));
        assert_eq!(
            holding(&store, &[&["odd1"], &["needle"]], 9).await,
            ids(&[83, 43, 3])
        );
        assert_eq!(holding(&store, &[&["odd0"], &["needle"]], 9).await, ids(&[]));
        // Words in sequence.
        assert_eq!(
            holding(&store, &[&["needle", "in", "ha"]], 9).await,
            ids(&[83, 43, 3])
        );
        assert_eq!(holding(&store, &[&["hay", "in"]], 9).await, ids(&[]));
        // A record stays found by its words when they change, and by no old ones.
        write(&store, "acme", |tx| {
            Box::pin(async move {
                let draft = spoken("thimble everywhere");
                tx.records("lead").update("lead_43", &draft, None, "usr").await?;
                tx.records("lead").delete("lead_83", None, "usr").await.map(drop)
            })
        })
        .await;
        assert_eq!(holding(&store, &[&["needle"]], 9).await, ids(&[3]));
        assert_eq!(
            holding(&store, &[&["thimble"], &["everywhere"]], 9).await,
            ids(&[43])
        );
    });
}

#[test]
fn a_full_era_of_words_is_followed_by_the_next() {
    on_postgres(|place| async move {
        let store = place.open_with(&["acme"]).await;
        insert(&store, "acme", "lead_0", lead("Ada", "new", 0))
            .await
            .unwrap();
        place
            .tamper(
                "INSERT INTO texts (tenant_id, shelf, row_id, lexemes, era)
                 SELECT 'acme', 'records/lead', -n, to_tsvector('simple', 'old'), 0 FROM generate_series(1, 5000) AS n",
            )
            .await;
        // Of so many, some look whether the era is full.
        write(&store, "acme", |tx| {
            Box::pin(async move {
                for n in 0..600 {
                    let id = format!("lead_new{n}");
                    // One by one, and many in one statement.
                    if n < 300 {
                        tx.records("lead").insert(&id, &spoken("new"), "usr").await?;
                    } else {
                        tx.records("lead").insert_new(&id, &spoken("new"), "usr").await?;
                    }
                }
                Ok(())
            })
        })
        .await;
        let texts = place.dump(&["records", "record_fields", "record_history"]).await;
        let of_era = |era: &str| texts.iter().filter(|row| row.ends_with(era)).count();
        assert!(of_era(",1)") > 0, "the first era was full");
        assert_eq!(of_era(",2)"), 0, "and the second is not");
        assert_eq!(holding(&store, &[&["new"]], 1_000).await.len(), 601);
    });
}

#[test]
fn new_records_are_there_for_whatever_is_asked_next() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "bert"]).await;
        // More than one statement takes, of two kinds and two tenants.
        let seen = store.system_write(|tx| {
            Box::pin(async move {
                for tenant in ["acme", "bert"] {
                    let mut tx = tx.within(&super::harness::tenant(tenant));
                    for n in 0..150_i64 {
                        let draft = spoken("said quoted").with(Field::new("n", n));
                        tx.records("lead")
                            .insert_new(&format!("lead_{n:03}"), &draft, "usr")
                            .await?;
                        let draft = Draft::of(&json!({ "n": n, "text": "a\u{0}b \"c\" ü" }))?;
                        tx.records("note")
                            .insert_new(&format!("note_{n:03}"), &draft, "flow")
                            .await?;
                    }
                }
                let mut acme = tx.within(&super::harness::tenant("acme"));
                let found = acme.records("note").find("note_149").await?;
                let count = acme.records("lead").count(&[], 1_000).await?;
                Ok::<_, StoreError>((found.map(|record| (record.version, record.doc)), count))
            })
        });
        assert_eq!(
            seen.await.unwrap(),
            (
                Some((1, r#"{"n":149,"text":"a\u0000b \"c\" ü"}"#.to_owned())),
                150
            )
        );
        for owner in ["acme", "bert"] {
            let (ids, rows, history) = read(&store, owner, |tx| {
                Box::pin(async move {
                    let query = RecordQuery {
                        conditions: vec![Condition::is("n", 7)],
                        ..RecordQuery::default()
                    };
                    let ids = tx.records("lead").list(&query).await?.records;
                    let words = TextQuery::any_of(["quoted"]);
                    let rows = tx.newest_words(&[("lead", 1_000)], &words).await?.concat();
                    Ok((ids, rows, tx.records("note").history("note_003", 5).await?))
                })
            })
            .await;
            assert_eq!(
                ids.iter().map(|record| record.id.as_str()).collect::<Vec<_>>(),
                ["lead_007"]
            );
            assert_eq!(rows.len(), 150);
            let history: Vec<_> = history
                .iter()
                .map(|one| (one.change.as_str(), one.actor.as_str()))
                .collect();
            assert_eq!(history, [("create", "flow")]);
        }
    });
}

#[test]
fn a_new_record_whose_id_is_taken_undoes_its_transaction() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        insert(&store, "acme", "lead_1", lead("Ada", "new", 5))
            .await
            .unwrap();
        let before = place.dump(&[]).await;
        let work = store.write(&tenant("acme"), |tx| {
            Box::pin(async move {
                tx.records("lead")
                    .insert_new("lead_0", &spoken("first"), "usr")
                    .await?;
                // Where it waits, the end of the transaction finds out.
                tx.records("lead")
                    .insert_new("lead_1", &spoken("again"), "usr")
                    .await
            })
        });
        let refused = work.await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
        assert_eq!(place.dump(&[]).await, before);
    });
}

#[test]
fn records_of_before_are_kept_apart_too() {
    for_each_engine(|place| async move {
        let owned = |owner: &str, value: i64, apart: bool| {
            let draft = spoken("")
                .with(Field::new("owner", owner))
                .with(Field::new("value_cents", value));
            if apart {
                draft.with(Field::new(&within("owner", owner, "value_cents"), value))
            } else {
                draft
            }
        };
        let of = |owner: &'static str| RecordQuery {
            conditions: vec![Condition::is("owner", owner)],
            sort: "value_cents".to_owned(),
            apart: vec!["owner".to_owned()],
            ..RecordQuery::default()
        };
        let store = place.open_with(&["acme"]).await;
        for (id, value) in [("lead_1", 3), ("lead_2", 9), ("lead_3", 5)] {
            insert(&store, "acme", id, owned("usr_ada", value, false))
                .await
                .unwrap();
        }
        write(&store, "acme", |tx| {
            Box::pin(async move { tx.records("lead").delete("lead_3", None, "usr").await })
        })
        .await;
        assert_eq!(ids(&store, of("usr_ada")).await, Vec::<String>::new());
        // What an upgrade does to a store that has them already.
        place
            .tamper(if place.is_postgres() {
                include_str!("../../../migrations/postgres/V19__entries_apart.sql")
            } else {
                include_str!("../../../migrations/sqlite/V19__entries_apart.sql")
            })
            .await;
        assert_eq!(ids(&store, of("usr_ada")).await, ["lead_2", "lead_1"]);
        let draft = owned("usr_bob", 9, true);
        write(&store, "acme", move |tx| {
            Box::pin(async move {
                tx.records("lead").update("lead_2", &draft, None, "usr").await?;
                tx.records("lead").restore("lead_3", "usr").await
            })
        })
        .await;
        assert_eq!(ids(&store, of("usr_ada")).await, ["lead_3", "lead_1"]);
        assert_eq!(ids(&store, of("usr_bob")).await, ["lead_2"]);
    });
}

#[test]
fn of_many_records_with_a_word_the_newest_are_ranked_by_where_they_hold_it() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        write(&store, "acme", |tx| {
            Box::pin(async move {
                for n in 0..600_i64 {
                    let (title, text) = if n % 50 == 0 {
                        ("common", "")
                    } else {
                        ("", "common")
                    };
                    let draft =
                        Draft::of(&json!({}))?.with_words(title, &format!("{text} word{n} commonest"));
                    tx.records("lead")
                        .insert(&format!("lead_{n:03}"), &draft, "usr")
                        .await?;
                }
                let rare = Draft::of(&json!({}))?.with_words("", "common among notes");
                tx.records("note")
                    .insert("note_1", &rare, "usr")
                    .await
                    .map(|_| ())
            })
        })
        .await;
        let find = |words: &'static [&'static str], prefix_last: bool| {
            let query = TextQuery {
                terms: words.iter().map(|&word| vec![word.to_owned()]).collect(),
                matching: Matching::All,
                prefix_last,
                ..TextQuery::default()
            };
            let found = read(&store, "acme", move |tx| {
                Box::pin(async move { tx.find_words(&["lead", "note"], &query, 500).await })
            });
            async { found.await.into_iter().map(|one| one.id).collect::<Vec<_>>() }
        };
        let found = find(&["common"], false).await;
        assert_eq!(found.len(), 201);
        assert_eq!(
            found.get(..6).unwrap(),
            [
                "lead_550", "lead_500", "lead_450", "lead_400", "note_1", "lead_599"
            ]
        );
        assert_eq!(find(&["common", "word555"], false).await, ["lead_555"]);
        // As it is being typed, letter by letter.
        for typed in [&["com"], &["comm"], &["commo"]] {
            let found = find(typed, true).await;
            assert_eq!(found.len(), 201, "{typed:?}");
            assert_eq!(
                found.get(..4).unwrap(),
                ["lead_550", "lead_500", "lead_450", "lead_400"],
                "{typed:?}"
            );
        }
        assert_eq!(find(&["common", "word59"], true).await.len(), 11);
        assert_eq!(find(&["common", "nowhere"], true).await, Vec::<String>::new());
    });
}
