//! Finding the server's era (protocol.md §3.6, B-51 to B-53), and the answer to `initialize` (X-21, X-22).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::{DONE, crossed, discovered, initialize, manners, modern_only, request};
use crate::harness::{Bridge, Stub, legacy_manners, modern};

#[test]
fn b51_a_legacy_hosts_initialize_becomes_the_probe() {
    let stub = modern_only(|request, wire| {
        if !manners(request, wire) {
            wire.result(request, DONE);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&initialize("2025-11-25", "{}"));
    bridge.json();
    let probe = stub.last();
    assert_eq!(stub.requests().len(), 1);
    assert_eq!(probe.rpc(), "server/discover");
    assert_eq!(
        probe.json()["params"]["_meta"]["io.modelcontextprotocol/clientInfo"],
        json!({"name": "host", "version": "9"})
    );
}

#[test]
fn b51_a_legacy_server_gets_the_initialize_as_it_is() {
    for (status, body) in [
        (
            400,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no session"}}"#,
        ),
        (400, "no session"),
        (404, "nothing here"),
        (405, ""),
        (
            200,
            r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"unknown"}}"#,
        ),
        (
            404,
            r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"unknown"}}"#,
        ),
        (
            400,
            r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32022,"message":"x","data":{"supported":["2025-11-25"]}}}"#,
        ),
        (200, r#"{"jsonrpc":"2.0","id":ID,"result":{}}"#),
    ] {
        let stub = Stub::start(move |request, wire| {
            if request.rpc() == "server/discover" {
                let body = body.replace("ID", &request.id());
                let kind = if body.starts_with('{') {
                    "application/json"
                } else {
                    "text/plain"
                };
                return wire.respond(status, &[&format!("content-type: {kind}")], body.as_bytes());
            }
            if !legacy_manners(request, wire) {
                wire.result(request, r#"{"content":[],"resultType":"kept"}"#);
            }
        });
        let mut bridge = Bridge::to(&stub);
        let line = initialize("2025-11-25", r#"{"x":1.50}"#);
        bridge.send(&line);
        assert_eq!(
            bridge.json()["result"]["serverInfo"]["name"],
            "s",
            "{status} {body}"
        );
        assert_eq!(stub.last().text(), line);
        bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        bridge.send(&request("1", "tools/call", r#"{"name":"t"}"#));
        // Plain passage, nothing taken out.
        assert_eq!(bridge.json()["result"]["resultType"], "kept");
        assert_eq!(stub.wait_rpc("tools/call").header("mcp-session-id"), Some("s-1"));
        // What is known is not asked again.
        bridge.send(&initialize("2025-11-25", "{}").replace("init", "again"));
        assert_eq!(bridge.json()["id"], "again");
        assert_eq!(stub.count("server/discover"), 1);
    }
}

#[test]
fn b51_an_undecided_server_that_refuses_the_handshake_too_was_modern() {
    let stub = Stub::start(|request, wire| {
        let (status, message) = match request.rpc().as_str() {
            "server/discover" => (404, "first"),
            _ => (400, "second"),
        };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32601,"message":"{message}"}}}}"#,
            request.id()
        );
        wire.json(status, &body);
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&initialize("2025-11-25", "{}"));
    let answer = bridge.json();
    assert_eq!(
        (&answer["id"], &answer["error"]["message"]),
        (&json!("init"), &json!("first"))
    );
    assert_eq!(stub.count("initialize"), 1);
}

#[test]
fn b51_a_recognised_modern_error_proves_the_era_and_the_probe_is_repeated_once() {
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let stub = Stub::start(move |request, wire| {
        if turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
            return wire.result(request, &discovered("{}"));
        }
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32020,"message":"x"}}}}"#,
            request.id()
        );
        wire.json(400, &body);
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&initialize("2025-11-25", "{}"));
    assert_eq!(bridge.json()["result"]["serverInfo"]["name"], "stub");
    assert_eq!((stub.count("server/discover"), stub.count("initialize")), (2, 0));
}

#[test]
fn x22_a_probe_that_says_nothing_is_an_error_and_no_fallback() {
    for (status, body, code) in [
        (401, "", -31006),
        (403, "", -31006),
        (500, "", -31002),
        (503, "", -31002),
        (307, "", -31002),
    ] {
        let stub = Stub::start(move |_, wire| wire.respond(status, &[], body.as_bytes()));
        let mut bridge = Bridge::to(&stub);
        bridge.send(&initialize("2025-11-25", "{}"));
        let answer = bridge.json();
        assert_eq!(answer["id"], "init");
        assert!(
            answer["error"]["code"] == code || (status == 403 && answer["error"]["code"] == -31002),
            "{answer}"
        );
        assert_eq!(stub.count("initialize"), 0, "{status}");
    }
}

#[test]
fn x22_a_server_of_versions_nobody_here_knows_is_named_as_such() {
    let stub = Stub::start(|request, wire| wire.result(request, r#"{"supportedVersions":["2031-01-01"]}"#));
    let mut bridge = Bridge::to(&stub);
    bridge.send(&initialize("2025-11-25", "{}"));
    bridge.error("\"init\"", -31008);
}

#[test]
fn b51_the_operator_may_say_what_the_server_speaks() {
    let stub = Stub::start(|request, wire| {
        legacy_manners(request, wire);
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_UPSTREAM", "legacy")]);
    bridge.send(&initialize("2025-11-25", "{}"));
    assert_eq!(bridge.json()["result"]["serverInfo"]["name"], "s");
    assert_eq!(stub.count("server/discover"), 0);

    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_UPSTREAM", "modern")]);
    bridge.send(&initialize("2025-11-25", "{}"));
    assert_eq!(bridge.json()["error"]["message"], "Bad Request: no session");
    assert_eq!(stub.count("initialize"), 1);
}

#[test]
fn b52_a_hosts_own_probe_passes_at_once_and_needs_no_other() {
    let stub = modern_only(|request, wire| wire.result(request, DONE));
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "server/discover", ""));
    let answer = bridge.json();
    assert_eq!(answer["result"]["supportedVersions"][0], "2026-07-28");
    assert_eq!(stub.requests().len(), 1);
}

#[test]
fn b53_a_host_that_probes_and_then_initializes_is_normal() {
    let stub = modern_only(|request, wire| {
        if !manners(request, wire) {
            wire.result(request, DONE);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "server/discover", ""));
    bridge.json();
    bridge.send(&initialize("2025-06-18", "{}"));
    assert_eq!(bridge.json()["result"]["protocolVersion"], "2025-06-18");
    // Without a claim: crossed. With one: passed as it is.
    bridge.send(&request("2", "tools/call", r#"{"name":"t"}"#));
    assert!(bridge.json()["result"].get("resultType").is_none());
    bridge.send(&modern("3", "tools/call", r#""name":"t","#));
    assert_eq!(bridge.json()["result"]["resultType"], "complete");
}

#[test]
fn x21_initialize_is_answered_from_discover() {
    let stub = modern_only(|request, wire| {
        manners(request, wire);
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&initialize("2025-06-18", "{}"));
    assert_eq!(
        bridge.json()["result"],
        json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {
                "tools": {"listChanged": true},
                "resources": {"listChanged": true, "subscribe": true},
                "prompts": {}, "completions": {}, "logging": {},
            },
            "serverInfo": {"name": "stub", "version": "3"},
            "instructions": "Be kind.",
        })
    );
    crossed(&stub, "2025-03-26", "{}");
}

/// A server that is one of `eras` in turn, from one `notifications/turn` of the test to the next.
fn turning(modern_first: bool) -> (Stub, Arc<AtomicBool>) {
    let modern_now = Arc::new(AtomicBool::new(modern_first));
    let state = Arc::clone(&modern_now);
    let stub = Stub::start(move |request, wire| {
        if state.load(Ordering::SeqCst) {
            let claim =
                request.json()["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"].is_string();
            match request.rpc().as_str() {
                _ if !claim => {
                    let error = format!(
                        r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32022,"message":"No.","data":{{"supported":["2026-07-28"]}}}}}}"#,
                        request.id()
                    );
                    wire.json(400, &error);
                }
                "server/discover" => wire.result(request, &discovered("{}")),
                _ => wire.result(request, DONE),
            }
        } else if legacy_manners(request, wire) {
        } else if request.header("mcp-session-id").is_some() {
            wire.result(request, r#"{"content":[]}"#);
        } else {
            wire.json(
                400,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: no session"}}"#,
            );
        }
    });
    (stub, modern_now)
}

#[test]
fn b51_a_server_that_turns_legacy_is_probed_once_more_and_gets_its_handshake() {
    let (stub, modern_now) = turning(true);
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request("1", "tools/call", r#"{"name":"t"}"#));
    assert_eq!(bridge.json()["result"]["content"][0]["text"], "done");
    modern_now.store(false, Ordering::SeqCst);
    let call = request("2", "tools/call", r#"{"name":"t"}"#);
    bridge.send(&call);
    assert_eq!(
        bridge.line(),
        r#"{"jsonrpc":"2.0","id":2,"result":{"content":[]}}"#
    );
    stub.wait_rpc("GET");
    assert_eq!(stub.wait_rpc("initialize").text(), initialize("2025-11-25", "{}"));
    assert_eq!(
        (
            stub.count("server/discover"),
            stub.count("notifications/initialized")
        ),
        (2, 1)
    );
    stub.wait_for(|request| request.text() == call);
    // Plain passage from now on.
    bridge.send(r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#);
    assert_eq!(bridge.json()["id"], 3);
    stub.wait_rpc("ping");
}

#[test]
fn b51_a_server_that_turns_modern_is_probed_again_by_the_next_handshake() {
    let (stub, modern_now) = turning(false);
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    stub.wait_rpc("GET");
    modern_now.store(true, Ordering::SeqCst);
    bridge.send(&request("1", "tools/call", r#"{"name":"t"}"#));
    assert_eq!(bridge.json()["error"]["code"], -32022);
    bridge.send(&initialize("2025-11-25", "{}"));
    assert_eq!(bridge.json()["result"]["serverInfo"]["name"], "stub");
    bridge.send(&request("2", "tools/call", r#"{"name":"t"}"#));
    assert_eq!(bridge.json()["result"]["content"][0]["text"], "done");
}
