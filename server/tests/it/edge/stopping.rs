//! Stopping loses no call (security.md S12).

use std::time::Duration;

use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use crate::house::{House, Reply, exchange, read_all, read_until};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[tokio::test]
async fn calls_under_way_end_and_new_ones_are_told_to_come_back() {
    let mut house = House::start().await;
    let key = house.key("t:read").await;
    let mut idle = house.connect().await;
    idle.write_all(&house.post(&key, PING).bytes(false))
        .await
        .unwrap();
    read_until(&mut idle, "result").await;
    let mut running = house
        .call(&key, "slow", json!({ "milliseconds": 1200 }))
        .open()
        .await;
    let params = json!({ "name": "slow", "arguments": { "milliseconds": 1000 } });
    let left_alone = house
        .legacy(&key, "2025-06-18", "tools/call", params)
        .open()
        .await;
    let filter = json!({ "notifications": { "toolsListChanged": true } });
    let mut listening = house.modern(&key, "subscriptions/listen", filter).open().await;
    read_until(&mut listening, "acknowledged").await;
    house.noticed.reach(|n| &n.started, 2).await;
    drop(left_alone);

    assert_eq!(house.get("/readyz").send().await.status, 200);
    house.stop();
    assert!(
        read_all(&mut idle).await.is_empty(),
        "an idle connection is closed without a word"
    );
    let ready = house.get("/readyz").send().await;
    assert_eq!((ready.status, &ready.json()["draining"]), (503, &json!(true)));
    let refused = house.post(&key, PING).send().await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
    let rest = String::from_utf8_lossy(&read_all(&mut listening).await).into_owned();
    assert!(
        rest.contains(r#""resultType":"complete""#),
        "the stream ends with its result: {rest}"
    );
    let reply = Reply::parse(&read_all(&mut running).await);
    assert_eq!(
        (
            reply.status,
            &reply.json()["result"]["structuredContent"]["slept"]
        ),
        (200, &json!(1200))
    );
    house.stopped().await;
    assert_eq!(
        house.noticed.finished.load(std::sync::atomic::Ordering::SeqCst),
        2,
        "the one nobody waited for too"
    );
    assert!(
        TcpStream::connect(house.address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_call_that_does_not_end_is_given_up() {
    let mut house = House::with(|s| s.drain_ms = 300).await;
    let key = house.key("t:read").await;
    let mut running = house
        .call(&key, "slow", json!({ "milliseconds": 15_000 }))
        .open()
        .await;
    house.noticed.reach(|n| &n.started, 1).await;
    house.stop();
    tokio::select! {
        () = house.stopped() => {}
        () = sleep(Duration::from_secs(10)) => panic!("a stuck call holds the server up"),
    }
    assert!(read_all(&mut running).await.is_empty());
}

#[tokio::test]
async fn while_it_leaves_it_says_so_and_still_serves() {
    let mut house = House::with(|s| s.drain_delay_ms = 1500).await;
    let key = house.key("t:read").await;
    let mut kept = house.connect().await;
    kept.write_all(&house.post(&key, PING).bytes(false))
        .await
        .unwrap();
    read_until(&mut kept, "result").await;
    house.stop();
    let mut ready = house.get("/health/ready").send().await;
    while ready.status == 200 {
        ready = house.get("/health/ready").send().await;
    }
    let health = house.get("/health").send().await;
    assert_eq!((health.status, &health.json()["draining"]), (503, &json!(true)));
    assert_eq!(house.get("/health/live").send().await.status, 200, "it lives");
    // A connection that was there before, and a new one: both are served, and closed after their answer.
    let on_the_kept = exchange(&mut kept, &house.post(&key, PING).bytes(false)).await;
    let mut fresh = house.connect().await;
    let on_a_fresh = exchange(&mut fresh, &house.post(&key, PING).bytes(false)).await;
    for reply in [on_the_kept, on_a_fresh] {
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    }
    house.stopped().await;
}
