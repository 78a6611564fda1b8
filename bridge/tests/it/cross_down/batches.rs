//! Arrays of messages: X-14.

use serde_json::{Value, json};

use super::{DONE, crossed, initialize, manners, modern_only, request};
use crate::harness::{Bridge, Stub, legacy_manners_of};

fn ids(line: &str) -> Vec<Value> {
    let answers: Vec<Value> = serde_json::from_str(line).unwrap();
    let mut ids: Vec<Value> = answers.iter().map(|answer| answer["id"].clone()).collect();
    ids.sort_by_key(Value::to_string);
    ids
}

#[test]
fn x14_an_array_is_split_and_its_answers_gathered() {
    let stub = modern_only(|request, wire| {
        if !manners(request, wire) {
            wire.result(request, DONE);
        }
    });
    let mut bridge = crossed(&stub, "2025-03-26", "{}");
    let array = [
        request("1", "tools/call", r#"{"name":"a"}"#),
        request("\"1\"", "ping", "{}"),
        r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#.to_owned(),
        request("2", "tools/call", r#"{"name":"b"}"#),
        request("3", "initialize", "{}"),
    ]
    .join(",");
    bridge.send(&format!("[{array}]"));
    assert_eq!(bridge.json()["error"]["code"], -32600);
    assert_eq!(ids(&bridge.raw()), [json!("1"), json!(1), json!(2)]);
    assert_eq!(stub.count("tools/call"), 2);
    // The next message is on its own again.
    bridge.send(&request("4", "ping", "{}"));
    assert_eq!(bridge.json()["id"], 4);
    bridge.send("[]");
    assert!(bridge.end().lines.is_empty());
}

#[test]
fn x14_a_cancelled_request_of_an_array_is_not_waited_for() {
    let stub = modern_only(|request, wire| {
        if request.json()["params"]["name"] == "slow" {
            wire.stream();
            wire.wait_closed();
        } else if !manners(request, wire) {
            wire.result(request, DONE);
        }
    });
    let mut bridge = crossed(&stub, "2025-03-26", "{}");
    bridge.send(&format!(
        "[{},{}]",
        request("1", "tools/call", r#"{"name":"slow"}"#),
        request("2", "tools/call", r#"{"name":"t"}"#)
    ));
    stub.wait_for(|request| request.json()["params"]["name"] == "slow");
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    assert_eq!(ids(&bridge.raw()), [json!(2)]);
}

#[test]
fn x14_arrays_are_split_for_a_legacy_server_too() {
    let stub = Stub::start(|request, wire| {
        if !legacy_manners_of("2025-03-26", request, wire) {
            wire.result(request, "{}");
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&initialize("2025-03-26", "{}"));
    bridge.json();
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    bridge.send(&format!(
        "[{},{}]",
        request("1", "tools/list", "{}"),
        request("2", "ping", "{}")
    ));
    assert_eq!(ids(&bridge.raw()), [json!(1), json!(2)]);
    assert_eq!((stub.count("tools/list"), stub.count("ping")), (1, 1));
}

#[test]
fn x14_no_other_revision_has_arrays() {
    let stub = modern_only(|request, wire| {
        manners(request, wire);
    });
    for revision in ["2025-06-18", "2024-11-05"] {
        let mut bridge = crossed(&stub, revision, "{}");
        bridge.send(&format!("[{}]", request("1", "ping", "{}")));
        bridge.send(&request("2", "ping", "{}"));
        assert_eq!(bridge.json()["id"], 2);
    }
}
