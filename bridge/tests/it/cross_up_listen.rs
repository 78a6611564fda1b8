//! A modern host's `subscriptions/listen` in front of a handshake-era server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::cross_up::{legacy_only, translating};
use crate::harness::{Bridge, Gate, Stub, modern};

const FILTER: &str = r#""notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["file:///a","file:///b"]},"#;

/// A server that sends these lines on its own stream once the gate is open, and keeps the stream.
fn announcing(lines: &'static [&'static str]) -> (Stub, Gate) {
    let gate = Gate::default();
    let open = gate.clone();
    let stub = legacy_only(move |request, wire| {
        if request.rpc() == "GET" {
            wire.stream();
            open.pass();
            for line in lines {
                wire.event(line);
            }
            wire.wait_closed();
            return true;
        }
        let refused = request.rpc() == "resources/subscribe" && request.text().contains("file:///b");
        if refused {
            wire.json(
                200,
                &format!(
                    r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32002,"message":"no"}}}}"#,
                    request.id()
                ),
            );
        }
        refused
    });
    (stub, gate)
}

fn discover(bridge: &mut Bridge) {
    bridge.send(&modern("0", "server/discover", ""));
    bridge.json();
}

fn subscription(line: &Value) -> &Value {
    &line["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"]
}

#[test]
fn x05_changes_on_the_servers_stream_reach_the_hosts_listen() {
    let (stub, gate) = announcing(&[
        r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
    ]);
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&modern(
        "\"l\"",
        "subscriptions/listen",
        r#""notifications":{"toolsListChanged":true,"promptsListChanged":true},"#,
    ));
    let acknowledged = bridge.json();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    // The server has not said that its prompts change.
    assert_eq!(
        acknowledged["params"]["notifications"],
        json!({"toolsListChanged": true})
    );
    assert_eq!(*subscription(&acknowledged), "l");
    gate.open();
    let changed = bridge.json();
    assert_eq!(changed["method"], "notifications/tools/list_changed");
    assert_eq!(*subscription(&changed), "l");
    // A listen does not keep the process.
    assert!(bridge.end().lines.is_empty());
}

#[test]
fn x05_a_change_that_is_told_on_a_calls_stream_counts_as_well() {
    let stub = legacy_only(|request, wire| {
        match (request.rpc().as_str(), request.header("mcp-session-id")) {
            ("GET", _) => {
                wire.stream();
                wire.wait_closed();
            }
            ("tools/call", Some(_)) => {
                wire.stream();
                wire.event(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
                wire.event(&format!(
                    r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#,
                    request.id()
                ));
            }
            _ => return false,
        }
        true
    });
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&modern(
        "7",
        "subscriptions/listen",
        r#""notifications":{"toolsListChanged":true},"#,
    ));
    assert_eq!(*subscription(&bridge.json()), 7);
    bridge.send(&modern("8", "tools/call", r#""name":"t","#));
    assert_eq!(*subscription(&bridge.json()), 7);
    assert_eq!(bridge.json()["id"], 8);
}

#[test]
fn x06_resources_are_subscribed_to_once_and_given_up_with_the_last_listen() {
    let (stub, gate) = announcing(&[
        r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///b"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///a"}}"#,
    ]);
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    for id in ["1", "2"] {
        bridge.send(&modern(id, "subscriptions/listen", FILTER));
        let acknowledged = bridge.json();
        assert_eq!(
            acknowledged["params"]["notifications"],
            json!({"toolsListChanged": true, "resourceSubscriptions": ["file:///a"]}),
            "what the server refuses is not honoured"
        );
    }
    let subscribed = |method: &str| {
        stub.requests()
            .iter()
            .filter(|request| request.rpc() == method && request.json()["params"]["uri"] == "file:///a")
            .count()
    };
    assert_eq!(subscribed("resources/subscribe"), 1);
    gate.open();
    let mut told = [bridge.json(), bridge.json()].map(|line| {
        assert_eq!(line["params"]["uri"], "file:///a");
        subscription(&line).to_string()
    });
    told.sort();
    assert_eq!(told, ["1", "2"]);
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    bridge.send(&modern("3", "tools/list", ""));
    bridge.json();
    assert_eq!(
        subscribed("resources/unsubscribe"),
        0,
        "the other listen still wants it"
    );
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#);
    stub.wait_rpc("resources/unsubscribe");
}

#[test]
fn x05_a_server_without_a_stream_honours_nothing_and_one_without_changes_has_no_listen() {
    let stub = legacy_only(|_, _| false);
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    stub.wait_rpc("GET");
    bridge.send(&modern("1", "subscriptions/listen", FILTER));
    assert_eq!(bridge.json()["params"]["notifications"], json!({}));
    bridge.send(&modern("2", "subscriptions/listen", ""));
    assert_eq!(bridge.json()["error"]["code"], -32602);

    let stub = legacy_only(|request, wire| {
        let opens = request.rpc() == "initialize";
        if opens {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{"protocolVersion":"2025-06-18","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"s","version":"1"}}}}}}"#,
                request.id()
            );
            wire.respond(
                200,
                &["content-type: application/json", "Mcp-Session-Id: s"],
                body.as_bytes(),
            );
        }
        opens
    });
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&modern("1", "subscriptions/listen", FILTER));
    assert_eq!(bridge.json()["error"]["code"], -32601);
}

#[test]
fn x05_the_stream_is_reopened_and_what_may_have_been_missed_is_told_once() {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let gate = Gate::default();
    let breaks = gate.clone();
    let stub = legacy_only(move |request, wire| {
        if request.rpc() != "GET" {
            return false;
        }
        wire.stream();
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            breaks.pass();
        } else {
            wire.wait_closed();
        }
        true
    });
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&modern(
        "1",
        "subscriptions/listen",
        r#""notifications":{"toolsListChanged":true},"#,
    ));
    bridge.json();
    gate.open();
    assert_eq!(bridge.json()["method"], "notifications/tools/list_changed");
}

#[test]
fn x47_a_listen_outlives_its_session() {
    let stub = legacy_only(|request, wire| {
        match (request.rpc().as_str(), request.header("mcp-session-id")) {
            ("GET", _) => {
                wire.stream();
                wire.wait_closed();
            }
            ("tools/call", Some("s-1")) => wire.respond(404, &[], b""),
            _ => return false,
        }
        true
    });
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&modern(
        "1",
        "subscriptions/listen",
        r#""notifications":{"resourceSubscriptions":["file:///a"]},"#,
    ));
    bridge.json();
    bridge.send(&modern("2", "tools/call", r#""name":"t","#));
    let lines = [bridge.json(), bridge.json()];
    let told = lines
        .iter()
        .find(|line| line["method"] == "notifications/resources/updated")
        .unwrap();
    assert_eq!(
        (subscription(told), &told["params"]["uri"]),
        (&json!(1), &json!("file:///a"))
    );
    assert!(
        lines
            .iter()
            .any(|line| line["result"]["resultType"] == "complete")
    );
    let again = stub.wait_for(|request| {
        request.rpc() == "resources/subscribe" && request.header("mcp-session-id") == Some("s-2")
    });
    assert_eq!(again.json()["params"]["uri"], "file:///a");
}
