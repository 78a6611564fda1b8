//! Answers that are streams, answers that nobody waits for, and `subscriptions/listen`.

use std::{sync::atomic::Ordering, time::Duration};

use footbridge_server::{
    store::{StoreError, Topic},
    vocabulary::TenantId,
};
use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::schema::Schema;
use crate::house::{House, Post, Reply, read_all, read_until};

fn stepping(house: &House, key: &str, steps: u32, pause_ms: u32, token: Value) -> Post {
    let arguments = json!({ "steps": steps, "pause_ms": pause_ms });
    let params = json!({ "name": "progress", "arguments": arguments, "_meta": { "progressToken": token } });
    house.modern(key, "tools/call", params)
}

#[tokio::test]
async fn progress_turns_an_answer_into_a_stream() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    for token in [json!("p"), json!(7)] {
        let reply = stepping(&house, &key, 3, 20, token.clone()).send().await;
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
        assert_eq!(reply.header("x-accel-buffering"), Some("no"));
        assert!(!reply.text().contains("\nid:") && !reply.text().contains("retry:"));
        let events = reply.events();
        let (answer, notes) = events.split_last().unwrap();
        let told: Vec<_> = notes
            .iter()
            .map(|n| n["params"]["progress"].as_f64().unwrap())
            .collect();
        assert_eq!(
            told,
            [1.0, 2.0, 3.0],
            "strictly increasing and all before the answer"
        );
        for note in notes {
            assert_eq!(note["method"], "notifications/progress");
            assert_eq!(note["params"]["progressToken"], token);
            assert_eq!(note["params"]["total"], 3);
        }
        assert_eq!(answer["result"]["structuredContent"], json!({ "steps": 3 }));
    }
    let hasty = stepping(&house, &key, 40, 1, json!("p")).send().await.events();
    assert!(
        (2..=6).contains(&hasty.len()),
        "a burst of four and no more: {}",
        hasty.len()
    );
    assert_eq!(hasty.last().unwrap()["id"], 1);
}

#[tokio::test]
async fn without_progress_or_without_leave_the_answer_is_json() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let silent = stepping(&house, &key, 0, 0, json!("p"));
    let unasked = house.call(&key, "progress", json!({ "steps": 2, "pause_ms": 1 }));
    let unread = stepping(&house, &key, 2, 1, json!("p")).set("accept", "application/json");
    let vague = stepping(&house, &key, 2, 1, json!("p")).set("accept", "*/*");
    for post in [silent, unasked, unread, vague] {
        let reply = post.send().await;
        assert_eq!(
            reply.header("content-type"),
            Some("application/json"),
            "{reply:?}"
        );
        assert_eq!(reply.json()["id"], 1);
    }
    let only_events = house
        .call(&key, "plain", json!({}))
        .set("accept", "text/event-stream")
        .send()
        .await;
    assert_eq!(only_events.events().len(), 1);
    assert_eq!(
        only_events.events()[0]["result"]["structuredContent"],
        json!({ "ok": true })
    );
    let error = house
        .modern(&key, "nowhere", json!({}))
        .set("accept", "text/event-stream")
        .send()
        .await;
    assert_eq!(
        error.outcome(),
        (404, Some(-32601)),
        "an error keeps its status, which no stream could carry"
    );
}

#[tokio::test]
async fn legacy_callers_get_progress_too() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let params = json!({ "name": "progress", "arguments": { "steps": 2, "pause_ms": 20 }, "_meta": { "progressToken": 1 } });
    let events = house
        .legacy(&key, "2025-11-25", "tools/call", params)
        .send()
        .await
        .events();
    assert_eq!(events.len(), 3);
    Schema::of("2025-11-25").check("ProgressNotification", &events[0]);
}

#[tokio::test]
async fn a_modern_call_ends_with_its_caller_and_a_legacy_one_does_not() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let arguments = json!({ "milliseconds": 700 });
    let modern = house.call(&key, "slow", arguments.clone()).open().await;
    house.noticed.reach(|n| &n.started, 1).await;
    drop(modern);
    house.noticed.reach(|n| &n.stopped, 1).await;
    let params = json!({ "name": "slow", "arguments": arguments });
    let legacy = house
        .legacy(&key, "2025-06-18", "tools/call", params)
        .open()
        .await;
    house.noticed.reach(|n| &n.started, 2).await;
    drop(legacy);
    house.noticed.reach(|n| &n.finished, 1).await;
    assert_eq!(house.noticed.stopped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn callers_that_leave_at_any_stage_leave_nothing_behind() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let whole = stepping(&house, &key, 50, 30, json!("p")).bytes(false);
    let head = whole.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    for cut in [0, 10, head, head + 4, head + 20, whole.len() - 1, whole.len()] {
        let mut stream = house.connect().await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, &whole[..cut])
            .await
            .unwrap();
        if cut == whole.len() {
            read_until(&mut stream, "notifications/progress").await;
        }
        drop(stream);
    }
    let settled = async {
        loop {
            let figures = house.get("/metrics").send().await.text();
            // The one under way is the one that asks.
            if figures.contains("footbridge_requests_in_flight 1\n")
                && figures.contains("footbridge_connections 1\n")
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), settled)
        .await
        .expect("nothing is left under way");
}

fn listen(house: &House, key: &str, filter: Value) -> Post {
    house.modern(key, "subscriptions/listen", json!({ "notifications": filter }))
}

async fn announce(house: &House, topic: Topic) {
    let told: Result<(), StoreError> = house
        .store
        .system_write(move |tx| async move { tx.announce(topic).await }.boxed())
        .await;
    told.unwrap();
}

#[tokio::test]
async fn a_listener_is_acknowledged_first_and_hears_of_changes_folded() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let mut schema = Schema::of("2026-07-28");
    let filter = json!({ "toolsListChanged": true, "promptsListChanged": true });
    let mut stream = listen(&house, &key, filter).open().await;
    let opening = read_until(&mut stream, "\n\n").await;
    assert!(opening.starts_with("HTTP/1.1 200"), "{opening}");
    for _ in 0..5 {
        announce(&house, Topic::Catalogue).await;
    }
    let mut heard = opening + &read_until(&mut stream, "list_changed").await;
    house.stop();
    heard.push_str(&String::from_utf8_lossy(&read_all(&mut stream).await));
    let messages = Reply::parse(heard.as_bytes()).events();
    assert_eq!(messages[0]["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(
        messages[0]["params"]["notifications"],
        json!({ "toolsListChanged": true })
    );
    schema.check("SubscriptionsAcknowledgedNotification", &messages[0]);
    let (answer, notices) = messages[1..].split_last().unwrap();
    assert!(
        (1..=2).contains(&notices.len()),
        "five changes at once are one or two notices: {messages:?}"
    );
    for notice in notices {
        schema.check("ToolListChangedNotification", notice);
        assert_eq!(
            notice["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
            1
        );
    }
    schema.check("SubscriptionsListenResultResponse", answer);
    assert_eq!(
        answer["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
        1
    );
    assert_eq!(answer["id"], 1);
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_told() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let mut stream = listen(&house, &key, json!({ "promptsListChanged": true }))
        .open()
        .await;
    let opening = read_until(&mut stream, "\n\n").await;
    assert!(opening.contains(r#""notifications":{}"#), "{opening}");
    announce(&house, Topic::Catalogue).await;
    let quiet = timeout(
        Duration::from_millis(600),
        read_until(&mut stream, "list_changed"),
    )
    .await;
    assert!(quiet.is_err(), "{quiet:?}");
    let not_json = listen(&house, &key, json!({}))
        .set("accept", "application/json")
        .send()
        .await;
    assert_eq!(not_json.status, 406);
    let malformed = house.modern(&key, "subscriptions/listen", json!({})).send().await;
    assert_eq!(malformed.outcome(), (200, Some(-32602)));
    let malformed = listen(&house, &key, json!({ "toolsListChanged": 7 }))
        .send()
        .await;
    assert_eq!(malformed.outcome(), (200, Some(-32602)));
}

#[tokio::test]
async fn a_revoked_key_hears_no_more() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let mut stream = listen(&house, &key, json!({ "toolsListChanged": true }))
        .open()
        .await;
    read_until(&mut stream, "acknowledged").await;
    let prefix = key[.."test_".len() + 6].to_owned();
    let revoked: Result<bool, StoreError> = house
        .store
        .write(&TenantId::new("local").unwrap(), move |tx| {
            async move {
                let found = tx.keys().find_by_prefix(&prefix).await?;
                tx.keys().revoke(&found[0].id).await
            }
            .boxed()
        })
        .await;
    assert!(revoked.unwrap());
    let rest = String::from_utf8_lossy(&read_all(&mut stream).await).into_owned();
    assert!(
        rest.contains("resultType") && !rest.contains("list_changed"),
        "{rest}"
    );
}

#[tokio::test]
async fn listen_streams_are_counted_per_key_and_end_in_time() {
    let house = House::with(|s| {
        s.listen_streams = 2;
        s.listen_ms = 1500;
        s.keep_alive_ms = 400;
    })
    .await;
    let (key, other) = (house.key("t:read").await, house.key("t:read").await);
    let filter = json!({ "toolsListChanged": true });
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = listen(&house, &key, filter.clone()).open().await;
        read_until(&mut stream, "acknowledged").await;
        streams.push(stream);
    }
    let refused = listen(&house, &key, filter.clone()).send().await;
    assert_eq!(refused.outcome(), (429, Some(-32012)));
    assert_eq!(refused.json()["id"], 1);
    let mut stream = listen(&house, &other, filter.clone()).open().await;
    read_until(&mut stream, "acknowledged").await;
    for stream in &mut streams {
        let rest = String::from_utf8_lossy(&read_all(stream).await).into_owned();
        assert!(
            rest.contains("\r\n:\n\r\n"),
            "quiet streams are kept alive: {rest}"
        );
        assert!(rest.contains(r#""resultType":"complete""#), "{rest}");
    }
    let mut again = listen(&house, &key, filter).open().await;
    read_until(&mut again, "acknowledged").await;
}
