//! The audit chain: order, durability, and that no edit stays unseen.

use std::time::Duration;

use footbridge_server::{
    store::{AuditFilter, AuditHead, AuditRecord, AuditStatus, AuditVerdict, ScopeKind, Store, StoreError},
    vocabulary::{KeyId, ToolName},
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
            Box::pin(async move { tx.audit_log().list(&AuditFilter::default(), None, 4).await })
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
                    assert!(tx.audit_log().list(&none, None, 10).await?.is_empty());
                    Ok::<_, StoreError>((
                        tx.audit_log().list(&tool, None, 10).await?,
                        tx.audit_log().list(&status, Some(9), 10).await?,
                        tx.audit_log().follow(&AuditFilter::default(), 7, 10).await?,
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
