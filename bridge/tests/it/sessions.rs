//! Sessions the server forgets (B-43, M-9).

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::harness::{Bridge, Gate, INITIALIZE, Request, Stub, Wire, call, legacy_manners};

/// A server with numbered sessions that can be made to forget them.
#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    count: usize,
    alive: HashSet<String>,
}

impl Sessions {
    fn forget(&self) {
        self.0.lock().unwrap().alive.clear();
    }

    /// Answers `initialize` with a new session, and everything of a session that is not alive with 404. Says whether it did.
    fn serve(&self, request: &Request, wire: &mut Wire<'_>, result: impl Fn(usize) -> String) -> bool {
        if request.rpc() == "initialize" {
            assert_eq!(request.header("mcp-session-id"), None);
            assert_eq!(request.header("mcp-protocol-version"), None);
            let mut known = self.0.lock().unwrap();
            known.count += 1;
            let session = format!("s-{}", known.count);
            known.alive.insert(session.clone());
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{}}}"#,
                request.id(),
                result(known.count)
            );
            wire.respond(
                200,
                &[
                    "content-type: application/json",
                    &format!("mcp-session-id: {session}"),
                ],
                body.as_bytes(),
            );
            return true;
        }
        let session = request.header("mcp-session-id").unwrap_or_default().to_owned();
        if self.0.lock().unwrap().alive.contains(&session) {
            return false;
        }
        wire.json(
            404,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#,
        );
        true
    }
}

fn same(_: usize) -> String {
    r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{}}}"#.to_owned()
}

#[test]
fn b43_a_lost_session_is_opened_anew_and_the_refused_request_sent_once_more() {
    let sessions = Sessions::default();
    let server = sessions.clone();
    let stub = Stub::start(move |request, wire| {
        if server.serve(request, wire, same) || legacy_manners(request, wire) {
            return;
        }
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_UPSTREAM", "legacy")]);
    bridge.handshake();
    stub.wait_rpc("GET");
    sessions.forget();
    bridge.send(&call("1", "t"));
    // What may have changed is announced, as far as the server does that.
    assert_eq!(
        bridge.line(),
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#
    );
    assert_eq!(
        bridge.line(),
        r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#
    );
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    let seen: Vec<(String, Option<String>)> = stub
        .requests()
        .iter()
        .filter(|request| request.method == "POST")
        .map(|request| (request.rpc(), request.header("mcp-session-id").map(str::to_owned)))
        .collect();
    let of = |session: &str| Some(session.to_owned());
    assert_eq!(
        seen,
        [
            ("initialize".to_owned(), None),
            ("notifications/initialized".to_owned(), of("s-1")),
            ("tools/call".to_owned(), of("s-1")),
            ("initialize".to_owned(), None),
            ("notifications/initialized".to_owned(), of("s-2")),
            ("tools/call".to_owned(), of("s-2")),
        ]
    );
    let replayed = stub
        .requests()
        .into_iter()
        .rfind(|request| request.rpc() == "initialize")
        .unwrap();
    assert_eq!(replayed.text(), INITIALIZE);
    // The stream is opened again in the new session.
    stub.wait_for(|request| request.method == "GET" && request.header("mcp-session-id") == Some("s-2"));
    assert!(bridge.end().lines.is_empty());
}

#[test]
fn b43_a_new_session_is_asked_again_for_what_the_old_one_had_granted() {
    let sessions = Sessions::default();
    let server = sessions.clone();
    let plain = |_| {
        r#"{"protocolVersion":"2025-11-25","capabilities":{"logging":{},"resources":{"subscribe":true}}}"#
            .to_owned()
    };
    let stub = Stub::start(move |request, wire| {
        if server.serve(request, wire, plain) || legacy_manners(request, wire) {
            return;
        }
        if request.text().contains("a:refused") {
            let error = r#"{"code":-32602,"message":"no such resource"}"#;
            let id = request.id();
            return wire.json(200, &format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#));
        }
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_UPSTREAM", "legacy")]);
    bridge.handshake();
    for (id, method, params) in [
        (1, "logging/setLevel", r#"{"level":"info"}"#),
        (2, "resources/subscribe", r#"{"uri":"a:gone"}"#),
        (3, "resources/subscribe", r#"{"uri":"a:kept"}"#),
        (4, "resources/subscribe", r#"{"uri":"a:refused"}"#),
        (5, "resources/unsubscribe", r#"{"uri":"a:gone"}"#),
    ] {
        bridge.send(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#
        ));
        assert_eq!(bridge.json()["id"], id);
    }
    sessions.forget();
    bridge.send(&call("6", "t"));
    let mut lines = [bridge.line(), bridge.line()];
    lines.sort();
    assert_eq!(
        lines,
        [
            r#"{"jsonrpc":"2.0","id":6,"result":{}}"#,
            // What happened to it in between was announced to nobody.
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:kept"}}"#,
        ]
    );
    let mut wishes: Vec<(String, String)> = stub
        .requests()
        .iter()
        .filter(|request| request.header("mcp-session-id") == Some("s-2") && request.method == "POST")
        .filter(|request| request.rpc() != "tools/call" && request.rpc() != "notifications/initialized")
        .map(|request| (request.rpc(), request.json()["params"].to_string()))
        .collect();
    wishes.sort();
    assert_eq!(
        wishes,
        [
            ("logging/setLevel".to_owned(), r#"{"level":"info"}"#.to_owned()),
            ("resources/subscribe".to_owned(), r#"{"uri":"a:kept"}"#.to_owned()),
        ]
    );
    assert!(bridge.end().lines.is_empty());
}

#[test]
fn m9_requests_refused_at_the_same_time_join_one_recovery() {
    let sessions = Sessions::default();
    let server = sessions.clone();
    let refused = Arc::new(std::sync::Barrier::new(16));
    let stub = Stub::start(move |request, wire| {
        // All have left before the first is refused.
        if request.rpc() == "tools/call" && request.header("mcp-session-id") == Some("s-1") {
            refused.wait();
        }
        if server.serve(request, wire, same) || legacy_manners(request, wire) {
            return;
        }
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    // `initialized` has been accepted.
    stub.wait_rpc("GET");
    sessions.forget();
    for id in 0..16 {
        bridge.send(&call(&id.to_string(), "t"));
    }
    let mut ids: Vec<i64> = (0..18).filter_map(|_| bridge.json()["id"].as_i64()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..16).collect::<Vec<i64>>());
    assert_eq!(stub.count("initialize"), 2);
    assert_eq!(stub.count("tools/call"), 32);
    assert!(bridge.end().lines.is_empty());
}

#[test]
fn m9_a_second_refusal_is_the_answer() {
    let stub = Stub::start(|request, wire| {
        if !legacy_manners(request, wire) {
            wire.respond(404, &[], b"");
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send(&call("1", "t"));
    let error = bridge.error("1", -31002);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("no longer knows this session"),
        "{error}"
    );
    assert_eq!(stub.count("initialize"), 2);
    assert_eq!(stub.count("tools/call"), 2);
}

#[test]
fn m9_an_unknown_method_is_no_lost_session() {
    let stub = Stub::start(|request, wire| {
        if !legacy_manners(request, wire) {
            wire.json(
                404,
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#,
            );
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["error"]["code"], -32601);
    assert_eq!(stub.count("initialize"), 1);
}

#[test]
fn b43_a_recovery_that_fails_is_named_and_tried_again_by_the_next_request() {
    let sessions = Sessions::default();
    let server = sessions.clone();
    let turn = AtomicUsize::new(0);
    let stub = Stub::start(move |request, wire| {
        if request.rpc() == "initialize" && turn.fetch_add(1, Ordering::SeqCst) == 1 {
            return wire.respond(500, &[], b"");
        }
        if server.serve(request, wire, same) || legacy_manners(request, wire) {
            return;
        }
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    // `initialized` has been accepted.
    stub.wait_rpc("GET");
    sessions.forget();
    bridge.send(&call("1", "t"));
    let error = bridge.error("1", -31002);
    assert!(error["message"].as_str().unwrap().contains("500"), "{error}");
    assert_eq!(error["data"]["sent"], false);
    bridge.send(&call("2", "t"));
    let ids: Vec<_> = (0..3).map(|_| bridge.json()["id"].clone()).collect();
    assert_eq!(ids[2], 2);
}

#[test]
fn b43_another_version_ends_the_bridge() {
    let sessions = Sessions::default();
    let server = sessions.clone();
    let gate = Gate::default();
    let held = gate.clone();
    let stub = Stub::start(move |request, wire| {
        let result = |turn| {
            let version = ["2025-11-25", "2025-06-18"][turn - 1];
            format!(r#"{{"protocolVersion":"{version}","capabilities":{{}}}}"#)
        };
        if request.json()["params"]["name"] == "open" {
            held.pass();
        }
        if server.serve(request, wire, result) || legacy_manners(request, wire) {
            return;
        }
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send(&call("1", "open"));
    stub.wait_rpc("tools/call");
    sessions.forget();
    bridge.send(&call("2", "t"));
    let error = bridge.error("2", -31008);
    assert_eq!(error["data"]["sent"], false);
    assert!(
        error["message"].as_str().unwrap().contains("2025-06-18"),
        "{error}"
    );
    // What was open is answered as well, and says that it may have run.
    assert_eq!(bridge.error("1", -31008)["data"]["sent"], true);
    // stdin is still open: only the bridge itself can have ended.
    let ended = bridge.wait();
    assert!(
        !ended.status.success() && ended.stderr.contains("stopped:"),
        "{}",
        ended.stderr
    );
    assert!(ended.lines.is_empty(), "{:?}", ended.lines);
    gate.open();
}

#[test]
fn b43_fewer_capabilities_fail_the_request() {
    let sessions = Sessions::default();
    let server = sessions.clone();
    let stub = Stub::start(move |request, wire| {
        let result = |turn| {
            let capabilities = [
                r#"{"tools":{},"prompts":{}}"#,
                r#"{"tools":{}}"#,
                r#"{"tools":{},"prompts":{}}"#,
            ][turn - 1];
            format!(r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities}}}"#)
        };
        if server.serve(request, wire, result) || legacy_manners(request, wire) {
            return;
        }
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    // `initialized` has been accepted.
    stub.wait_rpc("GET");
    sessions.forget();
    bridge.send(&call("1", "t"));
    bridge.error("1", -31008);
    // The session that was opened to find out is not kept, and the server may become itself again.
    assert_eq!(stub.wait_rpc("DELETE").header("mcp-session-id"), Some("s-2"));
    bridge.send(&call("2", "t"));
    assert_eq!(bridge.json()["id"], 2);
    assert!(bridge.end().status.success());
}

#[test]
fn b43_a_notification_is_sent_again_in_the_new_session_and_an_answer_is_not() {
    let sessions = Sessions::default();
    let server = sessions.clone();
    let gate = Gate::default();
    let held = gate.clone();
    let stub = Stub::start(move |request, wire| {
        let result = |_| r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#.to_owned();
        if server.serve(request, wire, result) {
            return;
        }
        if request.json().get("result").is_some() {
            wire.respond(202, &[], b"");
        } else if request.rpc() == "tools/call" {
            wire.stream();
            wire.event(r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#);
            held.pass();
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#,
                request.id()
            ));
        } else {
            legacy_manners(request, wire);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["method"], "roots/list");
    sessions.forget();
    bridge.send(r#"{"jsonrpc":"2.0","id":"q","result":{"roots":[]}}"#);
    // The stream is asked for once the new session stands: to forget it earlier would end its handshake instead.
    stub.wait_for(|request| request.method == "GET" && request.header("mcp-session-id") == Some("s-2"));
    sessions.forget();
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#);
    stub.wait_for(|request| {
        request.rpc() == "notifications/roots/list_changed" && request.header("mcp-session-id") == Some("s-3")
    });
    // The open one runs on.
    gate.open();
    assert_eq!(bridge.json()["id"], 1);
    bridge.end();
    let answers = stub
        .requests()
        .iter()
        .filter(|request| request.json().get("result").is_some())
        .count();
    assert_eq!(answers, 1);
}

#[test]
fn b44_a_session_lost_on_the_servers_own_stream_is_opened_anew() {
    let sessions = Sessions::default();
    let server = sessions.clone();
    let stub = Stub::start(move |request, wire| {
        if server.serve(request, wire, same) {
            return;
        }
        if request.method == "GET" {
            let session = request.header("mcp-session-id").unwrap();
            wire.stream();
            wire.raw(b"retry: 1\n\n");
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","method":"n","params":{{"session":"{session}"}}}}"#
            ));
            if session == "s-1" {
                server.forget();
            } else {
                wire.wait_closed();
            }
        } else {
            legacy_manners(request, wire);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    assert_eq!(bridge.json()["params"]["session"], "s-1");
    let mut seen = Vec::new();
    for _ in 0..3 {
        let line = bridge.json();
        seen.push(line["params"]["session"].as_str().unwrap_or("list").to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["list", "list", "s-2"]);
    assert!(bridge.end().status.success());
}

#[test]
fn b44_a_server_that_answers_404_to_the_stream_has_none() {
    let stub = Stub::start(|request, wire| match request.rpc().as_str() {
        "GET" => wire.respond(404, &[], b""),
        "tools/call" => wire.result(request, "{}"),
        _ => {
            legacy_manners(request, wire);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    stub.wait_rpc("GET");
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["id"], 1);
    bridge.end();
    assert_eq!((stub.count("initialize"), stub.count("GET")), (1, 1));
}

#[test]
fn m9_a_server_that_has_no_sessions_any_more_is_not_sent_one() {
    let turn = AtomicUsize::new(0);
    let stub = Stub::start(move |request, wire| {
        if request.rpc() == "initialize" && turn.fetch_add(1, Ordering::SeqCst) == 1 {
            return wire.handshake(request, "2025-11-25", "{}");
        }
        if request.rpc() == "tools/call" {
            return match request.header("mcp-session-id") {
                Some(_) => wire.respond(404, &[], b""),
                None => wire.result(request, "{}"),
            };
        }
        legacy_manners(request, wire);
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    stub.wait_rpc("GET");
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    assert_eq!(stub.last().header("mcp-protocol-version"), Some("2025-11-25"));
    bridge.end();
    assert_eq!(stub.count("DELETE"), 0);
}

#[test]
fn b43_a_new_session_that_does_not_come_about_leaves_the_old_one() {
    let sessions = Sessions::default();
    let server = sessions.clone();
    let refusals = AtomicUsize::new(0);
    let stub = Stub::start(move |request, wire| {
        if request.rpc() == "notifications/initialized"
            && request.header("mcp-session-id") != Some("s-1")
            && refusals.fetch_add(1, Ordering::SeqCst) == 0
        {
            return wire.respond(500, &[], b"");
        }
        if server.serve(request, wire, same) || legacy_manners(request, wire) {
            return;
        }
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    stub.wait_rpc("GET");
    sessions.forget();
    bridge.send(&call("1", "t"));
    bridge.error("1", -31002);
    bridge.send(&call("2", "t"));
    // Behind the two lists that may have changed.
    let answers: Vec<_> = (0..3).map(|_| bridge.json()["id"].clone()).collect();
    assert_eq!(answers[2], 2);
    assert_eq!(stub.last().header("mcp-session-id"), Some("s-3"));
}

#[test]
fn m9_servers_that_say_400_for_a_lost_session_are_understood() {
    let turn = AtomicUsize::new(0);
    let refusal = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}"#;
    let stub = Stub::start(move |request, wire| {
        if request.rpc() != "tools/call" {
            legacy_manners(request, wire);
        } else if turn.fetch_add(1, Ordering::SeqCst) == 1 {
            wire.result(request, "{}");
        } else {
            wire.json(400, refusal);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    stub.wait_rpc("GET");
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    assert_eq!(stub.count("initialize"), 2);
    // If a new session does not help, the server's own words are the answer.
    bridge.send(&call("2", "t"));
    assert_eq!(bridge.json()["error"]["code"], -32000);
    assert_eq!(stub.count("initialize"), 3);
    assert!(bridge.end().lines.is_empty());
}

#[test]
fn b44_a_stream_the_server_still_thinks_open_or_cannot_go_on_with_is_asked_for_again() {
    let turn = AtomicUsize::new(0);
    let stub = Stub::start(move |request, wire| {
        if request.method != "GET" {
            legacy_manners(request, wire);
            return;
        }
        let turn = turn.fetch_add(1, Ordering::SeqCst);
        match turn {
            1 => return wire.respond(409, &[], b""),
            2 => return wire.respond(400, &[], b""),
            _ => wire.stream(),
        }
        wire.raw(b"retry: 1\nid: 7\n");
        wire.event(&format!(
            r#"{{"jsonrpc":"2.0","method":"n","params":{{"turn":{turn}}}}}"#
        ));
        if turn > 0 {
            wire.wait_closed();
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    assert_eq!(bridge.json()["params"]["turn"], 0);
    assert_eq!(bridge.json()["params"]["turn"], 3);
    let ids: Vec<_> = stub
        .requests()
        .iter()
        .filter(|request| request.method == "GET")
        .map(|request| request.header("last-event-id").map(str::to_owned))
        .collect();
    assert_eq!(ids, [None, Some("7".to_owned()), Some("7".to_owned()), None]);
}
