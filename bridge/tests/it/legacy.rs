//! Handshake-era connections: session, version, the server's own stream, its requests, cancellation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::harness::{Bridge, Gate, Stub, call, legacy_manners, legacy_manners_of};

#[test]
fn b14_session_and_version_follow_the_handshake_and_the_session_is_ended() {
    let stub = Stub::start(|request, wire| {
        if !legacy_manners(request, wire) {
            wire.result(request, "{}");
        }
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_UPSTREAM", "legacy")]);
    bridge.handshake();
    stub.wait_rpc("GET");
    bridge.send(&call("1", "t"));
    bridge.json();
    let ended = bridge.end();
    assert!(ended.status.success());
    for request in stub.requests() {
        let after = request.rpc() != "initialize";
        assert_eq!(
            request.header("mcp-session-id"),
            after.then_some("s-1"),
            "{}",
            request.rpc()
        );
        assert_eq!(
            request.header("mcp-protocol-version"),
            after.then_some("2025-11-25"),
            "{}",
            request.rpc()
        );
    }
    assert_eq!(stub.last().method, "DELETE");
    assert_eq!(stub.count("GET"), 1, "405 is final");
}

#[test]
fn b14_a_session_id_of_other_bytes_is_not_used() {
    for session in ["with blank", "caf\u{e9}", ""] {
        let stub = Stub::start(move |request, wire| {
            if request.rpc() == "initialize" {
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":{},"result":{{"protocolVersion":"2025-11-25","capabilities":{{}}}}}}"#,
                    request.id()
                );
                wire.respond(
                    200,
                    &[
                        "content-type: application/json",
                        &format!("mcp-session-id: {session}"),
                    ],
                    body.as_bytes(),
                );
            } else if !legacy_manners(request, wire) {
                wire.result(request, "{}");
            }
        });
        let mut bridge = Bridge::to(&stub);
        bridge.handshake();
        bridge.send(&call("1", "t"));
        bridge.json();
        assert_eq!(
            stub.wait_rpc("tools/call").header("mcp-session-id"),
            None,
            "{session:?}"
        );
        bridge.end();
        assert_eq!(stub.count("DELETE"), 0, "{session:?}");
    }
}

#[test]
fn m18_the_servers_own_stream_is_asked_for_once_the_handshake_is_accepted() {
    for (status, opens) in [(202, true), (200, true), (500, false)] {
        let stub = Stub::start(move |request, wire| match request.rpc().as_str() {
            "notifications/initialized" => wire.respond(status, &[], b""),
            "tools/call" => wire.result(request, "{}"),
            _ => {
                legacy_manners(request, wire);
            }
        });
        let mut bridge = Bridge::to(&stub);
        bridge.handshake();
        if opens {
            let request = stub.wait_rpc("GET");
            assert_eq!(request.header("accept"), Some("text/event-stream"));
            assert_eq!(request.header("mcp-session-id"), Some("s-1"));
            assert_eq!(request.header("mcp-protocol-version"), Some("2025-11-25"));
            assert_eq!(request.header("last-event-id"), None);
        }
        bridge.send(&call("1", "t"));
        bridge.json();
        bridge.end();
        assert_eq!(stub.count("GET"), usize::from(opens));
    }
}

#[test]
fn m12_an_accepted_notification_has_no_answer_whatever_the_server_says() {
    let stub = Stub::start(|request, wire| match request.rpc().as_str() {
        "notifications/a" => wire.json(200, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
        "notifications/b" => wire.respond(204, &[], b""),
        "notifications/c" => {
            wire.stream();
            wire.event(r#"{"jsonrpc":"2.0","method":"n"}"#);
        }
        "tools/call" => wire.result(request, "{}"),
        _ => {
            legacy_manners(request, wire);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    for name in ["a", "b", "c"] {
        bridge.send(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/{name}"}}"#));
    }
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["id"], 1);
    let ended = bridge.end();
    assert!(
        ended.lines.is_empty() && !ended.stderr.contains("not delivered"),
        "{}",
        ended.stderr
    );
}

#[test]
fn b13_the_version_of_the_result_goes_with_all_that_follows_and_not_with_the_handshake() {
    let stub = Stub::start(|request, wire| {
        if !legacy_manners_of("2025-06-18", request, wire) {
            wire.result(request, "{}");
        }
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_UPSTREAM", "legacy")]);
    // The host asks for 2025-11-25.
    bridge.handshake();
    stub.wait_rpc("GET");
    bridge.send(&call("1", "t"));
    bridge.json();
    assert!(bridge.end().status.success());
    let seen: Vec<(String, Option<String>)> = stub
        .requests()
        .iter()
        .map(|request| {
            (
                request.rpc(),
                request.header("mcp-protocol-version").map(str::to_owned),
            )
        })
        .collect();
    for (rpc, version) in &seen {
        let expected = (rpc != "initialize").then_some("2025-06-18");
        assert_eq!(version.as_deref(), expected, "{rpc}");
    }
    for rpc in [
        "initialize",
        "notifications/initialized",
        "GET",
        "tools/call",
        "DELETE",
    ] {
        assert!(seen.iter().any(|(name, _)| name == rpc), "no {rpc} in {seen:?}");
    }
}

#[test]
fn b13_a_second_handshake_starts_from_nothing() {
    let stub = Stub::start(|request, wire| {
        legacy_manners(request, wire);
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    stub.wait_rpc("GET");
    bridge.handshake();
    let second = stub
        .requests()
        .into_iter()
        .filter(|request| request.rpc() == "initialize")
        .nth(1)
        .unwrap();
    assert!(second.header("mcp-session-id").is_none() && second.header("mcp-protocol-version").is_none());
}

#[test]
fn b44_the_servers_own_stream_is_read_and_reopened_where_it_broke() {
    let opened = Arc::new(AtomicUsize::new(0));
    let stub = Stub::start(move |request, wire| {
        if request.method != "GET" {
            legacy_manners(request, wire);
            return;
        }
        assert_eq!(request.header("accept"), Some("text/event-stream"));
        wire.stream();
        let turn = opened.fetch_add(1, Ordering::SeqCst);
        wire.raw(format!("retry: 1\nid: e-{turn}\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"n\",\"params\":{{\"turn\":{turn}}}}}\n\n").as_bytes());
        if turn == 2 {
            wire.wait_closed();
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    for turn in 0..3 {
        assert_eq!(bridge.json()["params"]["turn"], turn);
    }
    let resumed: Vec<_> = stub
        .requests()
        .iter()
        .filter(|request| request.method == "GET")
        .map(|request| request.header("last-event-id").map(str::to_owned))
        .collect();
    assert_eq!(resumed, [None, Some("e-0".to_owned()), Some("e-1".to_owned())]);
    // An open stream does not keep the process.
    assert!(bridge.end().status.success());
}

#[test]
fn m14_requests_of_the_server_reach_the_host_and_its_answers_go_back() {
    let answered = Gate::default();
    let gate = answered.clone();
    let stub = Stub::start(move |request, wire| {
        if request.rpc() == "tools/call" {
            wire.stream();
            wire.event(
                r#"{"jsonrpc":"2.0","id":"ask","method":"elicitation/create","params":{"message":"?"}}"#,
            );
            gate.pass();
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#,
                request.id()
            ));
        } else if request.json().get("result").is_some() {
            wire.respond(202, &[], b"");
        } else {
            legacy_manners(request, wire);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["method"], "elicitation/create");
    let answer = r#"{"jsonrpc":"2.0","id":"ask","result":{"action":"accept","content":{"n":1.0}}}"#;
    bridge.send(answer);
    let posted = stub.wait_for(|request| request.json().get("result").is_some());
    assert_eq!(posted.text(), answer);
    assert_eq!(posted.header("mcp-session-id"), Some("s-1"));
    answered.open();
    assert_eq!(bridge.json()["id"], 1);
    // Answered once is answered.
    bridge.send(answer);
    bridge.send(&call("2", "t"));
    bridge.json();
    assert_eq!(
        stub.requests()
            .iter()
            .filter(|request| request.json().get("result").is_some())
            .count(),
        1
    );
}

#[test]
fn m16_a_cancellation_is_posted_and_a_late_answer_dropped() {
    let cancelled = Gate::default();
    let gate = cancelled.clone();
    let stub = Stub::start(move |request, wire| match request.rpc().as_str() {
        "notifications/cancelled" => {
            wire.respond(202, &[], b"");
            gate.open();
        }
        "tools/call" if request.json()["params"]["name"] == "slow" => {
            gate.pass();
            wire.result(request, r#"{"late":true}"#);
        }
        "tools/call" => wire.result(request, "{}"),
        _ => {
            legacy_manners(request, wire);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send(&call("1", "slow"));
    stub.wait_rpc("tools/call");
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    // Unknown and finished requests are ignored.
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"1"}}"#);
    bridge.send(&call("2", "quick"));
    assert_eq!(bridge.json()["id"], 2);
    assert!(bridge.end().lines.is_empty());
    assert_eq!(stub.count("notifications/cancelled"), 1);
    assert_eq!(
        stub.wait_rpc("notifications/cancelled").json()["params"]["requestId"],
        1
    );
}

#[test]
fn m5_an_accepted_request_is_answered_on_the_servers_own_stream() {
    let accepted = Gate::default();
    let gate = accepted.clone();
    let stub = Stub::start(move |request, wire| match request.rpc().as_str() {
        "GET" => {
            wire.stream();
            wire.event(r#"{"jsonrpc":"2.0","method":"open"}"#);
            gate.pass();
            wire.event(r#"{"jsonrpc":"2.0","id":"nobody","result":{}}"#);
            wire.event(r#"{"jsonrpc":"2.0","id":1,"result":{"on":"stream"}}"#);
            wire.wait_closed();
        }
        "tools/call" => {
            wire.respond(202, &[], b"");
            accepted.open();
        }
        _ => {
            legacy_manners(request, wire);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    assert_eq!(bridge.json()["method"], "open");
    bridge.send(&call("1", "t"));
    assert_eq!(
        bridge.json(),
        json!({"jsonrpc":"2.0","id":1,"result":{"on":"stream"}})
    );
}

#[test]
fn m5_an_accepted_request_without_such_a_stream_is_an_error() {
    for status in [202, 204] {
        let stub = Stub::start(move |_, wire| wire.respond(status, &[], b""));
        let mut bridge = Bridge::to(&stub);
        bridge.send(&call("1", "t"));
        assert_eq!(bridge.error("1", -31005)["data"]["sent"], true);
    }
}

#[test]
fn b04_arrays_of_messages_are_several_in_the_one_revision_that_has_them() {
    for (revision, answered) in [("2025-03-26", true), ("2025-06-18", false)] {
        let stub = Stub::start(move |request, wire| {
            if !crate::harness::legacy_manners_of(revision, request, wire) {
                wire.json(200, &format!(
                    r#"[{{"jsonrpc":"2.0","method":"n"}},{{"jsonrpc":"2.0","id":{},"result":{{"x": 1.0}}}}]"#,
                    request.id()
                ));
            }
        });
        let mut bridge = Bridge::to(&stub);
        bridge.handshake();
        bridge.send(&call("1", "t"));
        if answered {
            assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","method":"n"}"#);
            assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":1,"result":{"x": 1.0}}"#);
        } else {
            bridge.error("1", -31005);
        }
    }
}
