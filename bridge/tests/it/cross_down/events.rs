//! Change events: X-05, X-06, X-31 and B-48 on a stream of the bridge's own.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{DONE, acknowledge, crossed, modern_only, request};
use crate::harness::Request;

fn event(request: &Request, method: &str, params: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"{method}","params":{{{params}"_meta":{{"io.modelcontextprotocol/subscriptionId":{}}}}}}}"#,
        request.id()
    )
}

#[test]
fn x31_changes_of_listings_reach_the_host_without_their_subscription() {
    let stub = modern_only(|request, wire| {
        acknowledge(request, wire);
        wire.event(&event(request, "notifications/tools/list_changed", ""));
        wire.wait_closed();
    });
    let bridge = crossed(&stub, "2025-11-25", "{}");
    assert_eq!(
        bridge.line(),
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#
    );
    assert_eq!(
        stub.wait_rpc("subscriptions/listen").json()["params"]["notifications"],
        json!({"toolsListChanged": true, "resourcesListChanged": true})
    );
    // The stream does not keep the process.
    assert!(bridge.end().status.success());
}

#[test]
fn x06_x31_a_subscription_is_answered_after_it_is_acknowledged() {
    let stub = modern_only(|request, wire| {
        if request.rpc() != "subscriptions/listen" {
            return wire.result(request, DONE);
        }
        let filter = request.json()["params"]["notifications"].clone();
        let refused = filter["resourceSubscriptions"]
            .as_array()
            .is_some_and(|uris| uris.contains(&Value::from("u:no")));
        if refused {
            wire.stream();
            wire.event(&event(
                request,
                "notifications/subscriptions/acknowledged",
                r#""notifications":{"toolsListChanged":true},"#,
            ));
        } else {
            acknowledge(request, wire);
            if filter["resourceSubscriptions"] == json!(["u:1"]) {
                wire.event(&event(
                    request,
                    "notifications/resources/updated",
                    r#""uri":"u:1","#,
                ));
            }
        }
        wire.wait_closed();
    });
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    stub.wait_rpc("subscriptions/listen");
    bridge.send(&request("1", "resources/subscribe", r#"{"uri":"u:1"}"#));
    let mut lines = [bridge.line(), bridge.line()];
    lines.sort();
    assert_eq!(
        lines,
        [
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"u:1"}}"#,
        ]
    );
    assert_eq!(stub.count("subscriptions/listen"), 2);
    // Known already: no new stream.
    bridge.send(&request("2", "resources/subscribe", r#"{"uri":"u:1"}"#));
    assert_eq!(bridge.json(), json!({"jsonrpc": "2.0", "id": 2, "result": {}}));
    bridge.send(&request("3", "resources/subscribe", r#"{"uri":"u:no"}"#));
    bridge.error("3", -32602);
    bridge.send(&request("4", "resources/subscribe", "{}"));
    bridge.error("4", -32602);
    bridge.send(&request("5", "resources/unsubscribe", r#"{"uri":"u:1"}"#));
    assert_eq!(bridge.json(), json!({"jsonrpc": "2.0", "id": 5, "result": {}}));
    let last = stub.last().json();
    assert!(
        last["params"]["notifications"]
            .get("resourceSubscriptions")
            .is_none()
    );
    bridge.send(&request("6", "resources/unsubscribe", r#"{"uri":"u:1"}"#));
    assert_eq!(bridge.json()["id"], 6);
    assert_eq!(stub.count("subscriptions/listen"), 4);
}

#[test]
fn b48_a_broken_stream_is_opened_again_and_what_was_missed_is_told() {
    let turn = AtomicUsize::new(0);
    let stub = modern_only(move |request, wire| {
        acknowledge(request, wire);
        // The first stream breaks, the second is ended by the server, the third stays.
        match turn.fetch_add(1, Ordering::SeqCst) {
            0 => {}
            1 => wire.event(&format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete"}}}}"#,
                request.id()
            )),
            _ => wire.wait_closed(),
        }
    });
    let bridge = crossed(&stub, "2025-11-25", "{}");
    for _ in 0..2 {
        let mut methods = [
            bridge.json()["method"].to_string(),
            bridge.json()["method"].to_string(),
        ];
        methods.sort();
        assert_eq!(
            methods,
            [
                "\"notifications/resources/list_changed\"",
                "\"notifications/tools/list_changed\""
            ]
        );
    }
    stub.wait_for(|request| request.rpc() == "subscriptions/listen");
    assert!(stub.count("subscriptions/listen") >= 3);
}

#[test]
fn x31_a_server_that_refuses_the_stream_is_left_alone() {
    let stub = modern_only(|request, wire| {
        if request.rpc() == "subscriptions/listen" {
            let error = format!(
                r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32601,"message":"no"}}}}"#,
                request.id()
            );
            return wire.json(404, &error);
        }
        wire.result(request, DONE);
    });
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    stub.wait_rpc("subscriptions/listen");
    bridge.send(&request("1", "tools/call", r#"{"name":"t"}"#));
    assert_eq!(bridge.json()["id"], 1);
    bridge.send(&request("2", "resources/subscribe", r#"{"uri":"u:1"}"#));
    bridge.error("2", -32602);
}
