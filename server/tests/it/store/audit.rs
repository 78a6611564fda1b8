//! The audit chain: order, durability, and that no edit stays unseen.

use std::time::Duration;

use footbridge_server::{
    store::{AuditFilter, AuditHead, AuditRecord, AuditStatus, AuditVerdict, ScopeKind, Store, StoreError},
    vocabulary::{KeyId, ToolName, UserId},
};

use super::harness::{Place, START, eventually, for_each_engine, read, tenant, write};

pub(super) fn event(tool: &str, status: AuditStatus) -> AuditRecord {
    let mut event = AuditRecord::new(START, status, ScopeKind::ApiKey);
    event.tool_name = Some(ToolName::new(tool).unwrap());
    event.api_key_id = Some(KeyId::new("key_a").unwrap());
    event.client_name = Some("Zoë's \"client\"\n".into());
    event
}

pub(super) async fn verify(store: &Store, name: &str, kept: Option<AuditHead>) -> AuditVerdict {
    read(store, name, move |tx| {
        Box::pin(async move { tx.audit_log().verify(kept.as_ref()).await })
    })
    .await
}

async fn filled(place: &Place) -> Store {
    let store = place.open_with(&["acme", "globex"]).await;
    for number in 0..12 {
        let name = if number % 3 == 0 { "globex" } else { "acme" };
        store
            .append_audit(
                &tenant(name),
                event(&format!("tool_{number}"), AuditStatus::Allow),
            )
            .await
            .unwrap();
    }
    store.flush().await.unwrap();
    store
}

#[test]
fn rows_of_every_kind_of_append_form_one_chain_per_tenant() {
    for_each_engine(|place| async move {
        let store = filled(&place).await;
        store
            .append_audit_durable(&tenant("acme"), event("durable", AuditStatus::DenyScope))
            .await
            .unwrap();
        store
            .write(&tenant("acme"), |tx| {
                Box::pin(async move {
                    tx.audit(event("first", AuditStatus::Intent))?;
                    tx.audit(event("second", AuditStatus::Allow))
                })
            })
            .await
            .unwrap();
        let listed = read(&store, "acme", |tx| {
            Box::pin(async move { Ok(tx.audit_log().list(&AuditFilter::default(), None, 4).await?.rows) })
        });
        let listed = listed.await;
        let names: Vec<_> = listed
            .iter()
            .map(|e| {
                (
                    e.seq,
                    e.id.as_str(),
                    e.record.tool_name.as_ref().unwrap().as_str(),
                )
            })
            .collect();
        assert_eq!(
            names,
            [
                (11, "aud_11", "second"),
                (10, "aud_10", "first"),
                (9, "aud_9", "durable"),
                (8, "aud_8", "tool_11")
            ]
        );
        assert_eq!(listed[0].record, event("second", AuditStatus::Allow));
        for (name, rows) in [("acme", 11), ("globex", 4), ("nobody", 0)] {
            let verdict = verify(&store, name, None).await;
            assert_eq!((verdict.rows, verdict.fault), (rows, None), "{name}");
        }
    });
}

#[test]
fn the_log_is_filtered_and_followed() {
    for_each_engine(|place| async move {
        let store = filled(&place).await;
        store
            .append_audit_durable(&tenant("acme"), event("tool_1", AuditStatus::Blocked))
            .await
            .unwrap();
        let (by_tool, by_status, after) = store
            .read(&tenant("acme"), |tx| {
                Box::pin(async move {
                    let tool = AuditFilter {
                        tool_name: Some(ToolName::new("tool_1").unwrap()),
                        ..Default::default()
                    };
                    let status = AuditFilter {
                        status: Some(AuditStatus::Blocked),
                        ..Default::default()
                    };
                    let none = AuditFilter {
                        from: Some(START.plus_millis(1)),
                        ..Default::default()
                    };
                    assert!(tx.audit_log().list(&none, None, 10).await?.rows.is_empty());
                    Ok::<_, StoreError>((
                        tx.audit_log().list(&tool, None, 10).await?.rows,
                        tx.audit_log().list(&status, Some(9), 10).await?.rows,
                        tx.audit_log().follow(&AuditFilter::default(), 7, 10).await?.rows,
                    ))
                })
            })
            .await
            .unwrap();
        assert_eq!(by_tool.iter().map(|e| e.seq).collect::<Vec<_>>(), [9, 1]);
        assert!(
            by_status.is_empty(),
            "the blocked row is number 9, and only earlier ones were asked for"
        );
        assert_eq!(after.iter().map(|e| e.seq).collect::<Vec<_>>(), [8, 9]);
    });
}

#[test]
fn calls_are_summed_by_day_for_everybody_and_for_one_person() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        let first = START.as_millis().div_euclid(DAY);
        for (owner, day, user, status, latency) in [
            ("acme", 0, "usr_ada", AuditStatus::Allow, Some(30)),
            ("acme", 0, "usr_ada", AuditStatus::DenyScope, None),
            ("acme", 0, "usr_ben", AuditStatus::Preview, Some(12)),
            ("acme", 0, "usr_ben", AuditStatus::Intent, Some(999)),
            ("acme", 2, "usr_ben", AuditStatus::Exception, Some(1)),
            ("globex", 0, "usr_ada", AuditStatus::Allow, Some(7)),
        ] {
            let mut row = event("tool", status);
            row.ts = START.plus_millis(day * DAY);
            row.latency_ms = latency;
            row.user_id = Some(UserId::new(user).unwrap());
            // What a caller wrote is no reason to take the row for another's.
            row.args = Some(serde_json::json!({ "user_id": "usr_ada", "latency_ms": 5 }));
            store.append_audit_durable(&tenant(owner), row).await.unwrap();
        }
        let days = async |since: i64, user: Option<&'static str>| {
            let user = user.map(|user| UserId::new(user).unwrap());
            let since = START.plus_millis(since);
            let days = read(&store, "acme", move |tx| {
                Box::pin(async move { tx.call_view().days(since, user.as_ref()).await })
            });
            let days = days.await.into_iter();
            days.map(|day| (day.day - first, day.calls, day.errors, day.latency_ms, day.timed))
                .collect::<Vec<_>>()
        };
        assert_eq!(days(0, None).await, [(0, 3, 1, 42, 2), (2, 1, 1, 1, 1)]);
        assert_eq!(days(0, Some("usr_ada")).await, [(0, 2, 1, 30, 1)]);
        assert_eq!(days(1, Some("usr_ben")).await, [(2, 1, 1, 1, 1)]);
        assert_eq!(days(0, Some("usr_nobody")).await, []);
    });
}

#[test]
fn a_filter_asks_the_body_and_a_page_says_where_to_go_on() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        for number in 0..6_u8 {
            let mut row = event("tool", AuditStatus::Invalid);
            row.user_id = Some(UserId::new(if number % 2 == 0 { "usr_even" } else { "usr_odd" }).unwrap());
            row.error_class = Some(format!("50%_Off{number}").into());
            row.args = Some(serde_json::json!({ "user_id": "usr_even", "error_class": "nothing" }));
            store.append_audit_durable(&tenant("acme"), row).await.unwrap();
        }
        let list = async |filter: AuditFilter, before: Option<i64>, limit: u32| {
            let page = read(&store, "acme", move |tx| {
                Box::pin(async move { tx.audit_log().list(&filter, before, limit).await })
            });
            let page = page.await;
            let numbers: Vec<_> = page.rows.iter().map(|row| row.seq).collect();
            (numbers, page.more.then_some(page.go_on))
        };
        let odd = || AuditFilter {
            user_id: Some(UserId::new("usr_odd").unwrap()),
            ..AuditFilter::default()
        };
        assert_eq!(list(odd(), None, 2).await, (vec![6, 4], Some(4)));
        assert_eq!(list(odd(), Some(4), 2).await, (vec![2], None));
        assert_eq!(list(odd(), None, 3).await, (vec![6, 4, 2], None));
        for (part, expected) in [
            ("%_OFF3", vec![4]),
            ("50%_off", vec![6, 5, 4, 3, 2, 1]),
            ("5_%", vec![]),
            ("'", vec![]),
            ("nothing", vec![]),
        ] {
            let filter = AuditFilter {
                error: Some(part.to_owned()),
                ..AuditFilter::default()
            };
            assert_eq!(list(filter, None, 10).await, (expected, None), "{part}");
        }
        let (on, more) = read(&store, "acme", move |tx| {
            Box::pin(async move {
                let page = tx.audit_log().follow(&odd(), 2, 1).await?;
                let last = tx.audit_log().follow(&odd(), page.go_on, 1).await?;
                Ok((vec![page.go_on, last.go_on], last.more))
            })
        })
        .await;
        assert_eq!((on, more), (vec![4, 6], false));
    });
}

#[test]
fn a_row_nobody_waits_for_is_committed_by_itself() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        store
            .append_audit(&tenant("acme"), event("quiet", AuditStatus::Allow))
            .await
            .unwrap();
        let other = place.open().await;
        eventually(
            "the row is seen by another process",
            Duration::from_secs(5),
            async || (verify(&other, "acme", None).await.rows == 1).then_some(()),
        )
        .await;
    });
}

#[test]
fn verify_finds_every_edit_gap_and_truncation() {
    let edits = [
        (
            "an edited body",
            "UPDATE audit_log SET body = replace(body, 'tool_4', 'tool_5') WHERE tenant_id = 'acme' AND seq = 3",
            3,
        ),
        (
            "an edited column",
            "UPDATE audit_log SET status = 'blocked' WHERE tenant_id = 'acme' AND seq = 4",
            4,
        ),
        (
            "an edited moment",
            "UPDATE audit_log SET ts = ts + 1 WHERE tenant_id = 'acme' AND seq = 4",
            4,
        ),
        (
            "a removed key",
            "UPDATE audit_log SET api_key_id = NULL WHERE tenant_id = 'acme' AND seq = 4",
            4,
        ),
        (
            "a gap",
            "DELETE FROM audit_log WHERE tenant_id = 'acme' AND seq = 2",
            2,
        ),
        (
            "a lost beginning",
            "DELETE FROM audit_log WHERE tenant_id = 'acme' AND seq = 1",
            1,
        ),
        (
            "a lost end",
            "DELETE FROM audit_log WHERE tenant_id = 'acme' AND seq = 8",
            7,
        ),
        ("a lost log", "DELETE FROM audit_log WHERE tenant_id = 'acme'", 0),
        (
            "a row of another tenant",
            "UPDATE audit_log SET seq = 99 WHERE tenant_id = 'acme' AND seq = 8;
             UPDATE audit_log SET tenant_id = 'acme', seq = 8 WHERE tenant_id = 'globex' AND seq = 1",
            8,
        ),
        (
            "a row put in front",
            "UPDATE audit_log SET tenant_id = 'acme', seq = -1 WHERE tenant_id = 'globex' AND seq = 1",
            1,
        ),
    ];
    for (what, sql, seq) in edits {
        for_each_engine(|place| async move {
            let store = filled(&place).await;
            assert_eq!(verify(&store, "acme", None).await.fault, None);
            place.tamper(sql).await;
            let verdict = verify(&store, "acme", None).await;
            assert_eq!(verdict.fault.map(|fault| fault.seq), Some(seq), "{what}");
        });
    }
}

#[test]
fn a_truncation_that_mends_the_head_is_found_by_a_kept_head() {
    for_each_engine(|place| async move {
        let store = filled(&place).await;
        let kept = verify(&store, "acme", None).await.head;
        assert_eq!(verify(&store, "acme", Some(kept.clone())).await.fault, None);
        place
            .tamper(
                "UPDATE audit_heads SET seq = 7, hash = (SELECT hash FROM audit_log WHERE tenant_id = 'acme' AND seq = 7)
                 WHERE tenant_id = 'acme'; DELETE FROM audit_log WHERE tenant_id = 'acme' AND seq = 8",
            )
            .await;
        assert_eq!(verify(&store, "acme", None).await.fault, None);
        assert!(verify(&store, "acme", Some(kept.clone())).await.fault.is_some());
        // Growing past the old number does not hide it either.
        store
            .append_audit_durable(&tenant("acme"), event("cover", AuditStatus::Allow))
            .await
            .unwrap();
        assert!(verify(&store, "acme", Some(kept)).await.fault.is_some());
    });
}

#[test]
fn retention_drops_the_beginning_and_the_rest_still_verifies() {
    for_each_engine(|place| async move {
        let store = filled(&place).await;
        let mut late = event("late", AuditStatus::Allow);
        late.ts = START.plus_millis(1000);
        store.append_audit_durable(&tenant("acme"), late).await.unwrap();
        let drop_before = async |millis| {
            write(&store, "acme", move |tx| {
                Box::pin(async move { tx.audit_log().drop_before(START.plus_millis(millis), 1000).await })
            })
            .await
        };
        assert_eq!(drop_before(0).await, 0);
        assert_eq!(drop_before(1000).await, 8);
        assert_eq!(
            (
                verify(&store, "acme", None).await.rows,
                verify(&store, "acme", None).await.fault
            ),
            (1, None)
        );
        assert_eq!(drop_before(2000).await, 1);
        let verdict = verify(&store, "acme", None).await;
        assert_eq!((verdict.rows, verdict.head.seq, verdict.fault), (0, 9, None));
        store
            .append_audit_durable(&tenant("acme"), event("next", AuditStatus::Allow))
            .await
            .unwrap();
        assert_eq!(verify(&store, "acme", None).await.head.seq, 10);
        assert_eq!(verify(&store, "globex", None).await.rows, 4);
    });
}
