//! Months that are over leave both logs of every tenant, and what stays still verifies.

use footbridge_server::{
    operate::retention,
    store::{Actor, AuditFilter, AuditHead, AuditStatus, ChangeFilter, NewChange, Store},
    vocabulary::Timestamp,
};

use super::{
    audit::{event, verify},
    harness::{for_each_engine, read, tenant, write},
};

const DAY: i64 = 24 * 60 * 60 * 1000;

async fn fill(store: &Store, owner: &str, days_ago: i64, rows: usize) {
    for _ in 0..rows {
        let mut row = event("tool", AuditStatus::Allow);
        row.ts = store.clock().now().plus_millis(-days_ago * DAY);
        store.append_audit(&tenant(owner), row).await.unwrap();
    }
    store.flush().await.unwrap();
}

async fn kept(store: &Store, owner: &str) -> (usize, Option<AuditHead>) {
    let page = read(store, owner, |tx| {
        Box::pin(async move { tx.audit_log().list(&AuditFilter::default(), None, 1000).await })
    });
    let page = page.await;
    let head = page.rows.last().map(|row| AuditHead {
        seq: row.seq,
        hash: row.hash.clone(),
    });
    (page.rows.len(), head)
}

#[test]
fn a_month_that_is_over_goes_from_every_tenant_and_the_chains_hold() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        for (owner, days_ago, rows) in [
            ("acme", 900, 7),
            ("acme", 0, 3),
            ("globex", 500, 2),
            ("globex", 30, 4),
        ] {
            fill(&store, owner, days_ago, rows).await;
        }
        let (_, oldest) = kept(&store, "acme").await;
        // What is as old as retention allows stays until its whole month is over.
        let cut = retention::cut(store.clock().now(), 400);
        assert!(cut <= store.clock().now().plus_millis(-400 * DAY));
        assert!(cut > store.clock().now().plus_millis(-432 * DAY));
        assert_eq!(retention::apply(&store, 400).await.unwrap(), 9);
        for (owner, rows, head) in [("acme", 3, 10), ("globex", 4, 6)] {
            assert_eq!(kept(&store, owner).await.0, rows, "{owner}");
            let verdict = verify(&store, owner, None).await;
            assert_eq!(
                (verdict.rows, verdict.head.seq, verdict.fault),
                (rows as u64, head, None),
                "{owner}"
            );
        }
        // A head of a dropped row proves nothing any more, and that is said.
        let fault = verify(&store, "acme", oldest).await.fault.unwrap();
        assert!(fault.what.contains("retention dropped"), "{}", fault.what);
        let (_, newer) = kept(&store, "acme").await;
        assert_eq!(verify(&store, "acme", newer).await.fault, None);
        // The chain goes on, and the next look has nothing to do.
        fill(&store, "acme", 0, 1).await;
        assert_eq!(verify(&store, "acme", None).await.head.seq, 11);
        assert_eq!(retention::apply(&store, 400).await.unwrap(), 0);
        // Another setting is another cut; of the rest, what is younger stays.
        assert_eq!(retention::apply(&store, 1).await.unwrap(), 4);
        let noted = read(&store, "acme", |tx| {
            Box::pin(async move {
                let dropped = ChangeFilter {
                    action: Some("audit.drop".to_owned()),
                    ..ChangeFilter::default()
                };
                tx.change_log().list(&dropped, None, 10).await
            })
        });
        let noted = noted.await.rows;
        assert_eq!((noted.len(), noted[0].record.object_id.as_str()), (1, "call_log"));
        assert_eq!(noted[0].record.after.as_ref().unwrap()["rows"], 7);
    });
}

#[test]
fn one_row_changed_after_a_month_went_is_still_found() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        fill(&store, "acme", 900, 2).await;
        fill(&store, "acme", 0, 3).await;
        retention::apply(&store, 400).await.unwrap();
        place
            .tamper("UPDATE audit_log SET body = replace(body, 'allow', 'alloy') WHERE seq = 4")
            .await;
        let fault = verify(&store, "acme", None).await.fault.unwrap();
        assert_eq!((fault.seq, fault.what), (4, "the row or its hash was changed"));
    });
}

#[test]
fn the_change_log_and_the_servers_own_go_by_the_same_rule() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let change = || NewChange::new(Actor::operator(), "key.mint", "key", "key_1");
        write(&store, "acme", move |tx| {
            tx.log_change(change());
            Box::pin(async { Ok(()) })
        })
        .await;
        // Nothing is a month old yet; nothing goes.
        assert_eq!(retention::apply(&store, 400).await.unwrap(), 0);
        let later = Timestamp(store.clock().now().as_millis() + 40 * DAY);
        let dropped = write(&store, "acme", move |tx| {
            Box::pin(async move { tx.change_log().drop_before(later, 1000).await })
        });
        assert!(dropped.await >= 1);
        let verdict = read(&store, "acme", |tx| {
            Box::pin(async move { tx.change_log().verify(None).await })
        });
        assert_eq!(verdict.await.fault, None);
    });
}
