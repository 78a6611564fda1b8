//! The session a bridge keeps for a modern host, and what goes wrong in it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::cross_up::{ask, legacy_only, sent, translating};
use crate::harness::{Bridge, Gate, Request, Stub, modern};

fn error(request: &Request, code: i64, message: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":{code},"message":"{message}"}}}}"#,
        request.id()
    )
}

/// The sessions in which calls were made.
fn sessions_of_calls(stub: &Stub) -> Vec<String> {
    stub.requests()
        .iter()
        .filter(|request| request.rpc() == "tools/call")
        .filter_map(|request| request.header("mcp-session-id").map(str::to_owned))
        .collect()
}

#[test]
fn x41_discover_is_answered_from_a_session_of_the_bridges_own_which_is_ended() {
    let stub = legacy_only(|_, _| false);
    let mut bridge = translating(&stub);
    bridge.send(&ask(
        "\"d\"",
        "server/discover",
        "",
        r#"{"elicitation":{},"roots":{"listChanged":true},"extensions":{"x":{}}}"#,
        r#","io.modelcontextprotocol/clientInfo":{"name":"host","version":"7"}"#,
    ));
    let line = bridge.json();
    assert_eq!(line["id"], "d");
    assert_eq!(
        line["result"],
        json!({
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": {
                "tools": {"listChanged": true},
                "resources": {"subscribe": true, "listChanged": true},
                "logging": {},
            },
            "instructions": "Be kind.",
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "old", "version": "1"}},
        })
    );
    let opened = stub.wait_rpc("initialize");
    assert!(opened.header("mcp-session-id").is_none() && opened.header("mcp-protocol-version").is_none());
    assert_eq!(
        opened.json()["params"],
        json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"elicitation": {}, "roots": {}},
            "clientInfo": {"name": "host", "version": "7"},
        })
    );
    let initialized = stub.wait_rpc("notifications/initialized");
    assert_eq!(initialized.header("mcp-session-id"), Some("s-1"));
    assert_eq!(initialized.header("mcp-protocol-version"), Some("2025-11-25"));
    assert!(bridge.end().status.success());
    let ended = stub.last();
    assert_eq!(
        (ended.method.as_str(), ended.header("mcp-session-id")),
        ("DELETE", Some("s-1"))
    );
}

#[test]
fn x41_each_set_of_capabilities_has_a_session_up_to_four() {
    let stub = legacy_only(|_, _| false);
    let mut bridge = translating(&stub);
    let sets: Vec<String> = (0..5)
        .map(|n| format!(r#"{{"experimental":{{"x-{n}":{{}}}}}}"#))
        .collect();
    for (n, set) in sets.iter().take(4).enumerate() {
        for method in ["server/discover", "tools/list"] {
            bridge.send(&ask(&n.to_string(), method, "", set, ""));
            assert_eq!(bridge.json()["result"]["resultType"], "complete");
        }
    }
    assert_eq!(stub.count("initialize"), 4);
    bridge.send(&ask("9", "tools/list", "", &sets[4], ""));
    bridge.error("9", -31008);
    bridge.send(&ask("10", "tools/list", "", &sets[0].replace(':', " : "), ""));
    assert_eq!(bridge.json()["id"], 10, "spacing makes no other set");
    let mut used: Vec<_> = sent(&stub, "tools/list")
        .iter()
        .map(|request| request.header("mcp-session-id").unwrap().to_owned())
        .collect();
    used.sort();
    assert_eq!(used, ["s-1", "s-1", "s-2", "s-3", "s-4"]);
    assert!(bridge.end().status.success());
    assert_eq!(stub.count("DELETE"), 4);
}

#[test]
fn x01_a_failed_handshake_is_the_hosts_to_see() {
    let stub = legacy_only(|request, wire| {
        let refuses = request.rpc() == "initialize";
        if refuses {
            wire.json(
                200,
                &format!(
                    r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32000,"message":"full"}}}}"#,
                    request.id()
                ),
            );
        }
        refuses
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("1", "server/discover", ""));
    assert_eq!(bridge.json()["error"]["message"], "full");
}

#[test]
fn x41_where_the_probe_leaves_the_era_open_the_handshake_decides() {
    for opens in [true, false] {
        let stub = legacy_only(move |request, wire| {
            let rpc = request.rpc();
            if rpc != "server/discover" && (opens || rpc != "initialize") {
                return false;
            }
            let code = if rpc == "initialize" { -32000 } else { -32601 };
            wire.json(
                404,
                &format!(
                    r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":{code},"message":"m"}}}}"#,
                    request.id()
                ),
            );
            true
        });
        let mut bridge = translating(&stub);
        bridge.send(&modern("1", "server/discover", ""));
        let line = bridge.json();
        if opens {
            assert_eq!(line["result"]["resultType"], "complete");
        } else {
            assert_eq!(line["error"]["code"], -32601, "the first error is reported");
        }
    }
}

#[test]
fn b51_a_server_that_changes_its_era_is_found_out() {
    let changed = AtomicBool::new(false);
    let stub = legacy_only(move |request, wire| {
        if changed.load(Ordering::SeqCst) {
            return false;
        }
        let result = r#"{"resultType":"complete","supportedVersions":["2026-07-28"]}"#;
        wire.result(request, result);
        changed.store(request.rpc() == "tools/list", Ordering::SeqCst);
        true
    });
    let mut bridge = translating(&stub);
    for (id, method) in [("1", "server/discover"), ("2", "tools/list"), ("3", "tools/list")] {
        bridge.send(&modern(id, method, ""));
        assert_eq!(bridge.json()["result"]["resultType"], "complete");
    }
    assert_eq!(stub.count("initialize"), 1);
    assert_eq!(stub.count("server/discover"), 2);
}

#[test]
fn b51_a_server_that_goes_away_before_it_tells_its_era_is_tried_with_a_handshake() {
    let stub = legacy_only(|request, wire| {
        let is_probe = request.rpc() == "server/discover";
        if is_probe {
            wire.json(503, "{}");
        }
        is_probe
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("1", "tools/list", ""));
    assert_eq!(bridge.json()["result"]["resultType"], "complete");
    assert_eq!((stub.count("server/discover"), stub.count("initialize")), (1, 1));
    // Without a translation the host reads what the server said.
    let mut plain = Bridge::to(&stub);
    plain.send(&modern("1", "tools/list", ""));
    let refusal = plain.json();
    assert!(
        refusal["error"]["code"].is_i64() && refusal["error"]["code"] != -31008,
        "{refusal}"
    );
    assert_eq!(stub.count("initialize"), 1);
}

#[test]
fn x13_a_lost_session_is_replaced_and_the_refused_request_sent_again() {
    let calls = AtomicUsize::new(0);
    let stub = legacy_only(move |request, wire| {
        let lost = request.rpc() == "tools/call"
            && request.header("mcp-session-id") == Some("s-1")
            && calls.fetch_add(1, Ordering::SeqCst) > 0;
        if lost {
            wire.json(
                404,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#,
            );
        }
        lost
    });
    let mut bridge = translating(&stub);
    for id in ["1", "2", "3"] {
        bridge.send(&modern(id, "tools/call", r#""name":"t","#));
        let line = bridge.json();
        assert_eq!(
            (line["id"].to_string().as_str(), &line["result"]["resultType"]),
            (id, &json!("complete"))
        );
    }
    let used: Vec<_> = sent(&stub, "tools/call")
        .iter()
        .map(|request| request.header("mcp-session-id").unwrap().to_owned())
        .collect();
    assert_eq!(used, ["s-1", "s-1", "s-2", "s-2"]);
    assert_eq!(stub.count("initialize"), 2);
}

#[test]
fn m5_an_answer_may_come_on_the_servers_own_stream() {
    let called = Gate::default();
    let answers = called.clone();
    let stub = legacy_only(move |request, wire| {
        match request.rpc().as_str() {
            "GET" => {
                wire.stream();
                called.pass();
                wire.event(r#"{"jsonrpc":"2.0","id":99,"result":{"content":"nobody's"}}"#);
                wire.event(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#);
                wire.wait_closed();
            }
            "tools/call" if request.header("mcp-session-id").is_some() => {
                assert_eq!(request.id(), "1");
                wire.respond(202, &[], b"");
                answers.open();
            }
            _ => return false,
        }
        true
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("0", "server/discover", ""));
    bridge.json();
    bridge.send(&modern("7", "tools/call", r#""name":"t","#));
    let line = bridge.json();
    assert_eq!((&line["id"], &line["result"]["content"]), (&json!(7), &json!([])));
}

#[test]
fn m11_a_short_pause_the_server_asks_for_is_kept() {
    let calls = AtomicUsize::new(0);
    let stub = legacy_only(move |request, wire| {
        let busy = request.rpc() == "tools/call"
            && request.header("mcp-session-id").is_some()
            && calls.fetch_add(1, Ordering::SeqCst) != 1;
        if busy {
            wire.respond(429, &["retry-after: 0", "content-type: text/plain"], b"later");
        }
        busy
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("0", "server/discover", ""));
    bridge.json();
    bridge.send(&modern("1", "tools/call", r#""name":"t","#));
    assert_eq!(bridge.json()["result"]["resultType"], "complete");
    bridge.send(&modern("2", "tools/call", r#""name":"t","#));
    assert_eq!(
        bridge.error("2", -31002)["data"]["httpStatus"],
        429,
        "asked again once"
    );
}

#[test]
fn b43_a_404_that_is_about_the_path_or_the_method_ends_no_session() {
    let stub = legacy_only(|request, wire| {
        match request.rpc().as_str() {
            "GET" => wire.respond(404, &["content-type: text/html"], b"Cannot GET /mcp"),
            "completion/complete" if request.header("mcp-session-id").is_some() => {
                wire.json(404, &error(request, -32601, "unknown"));
            }
            _ => return false,
        }
        true
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("0", "server/discover", ""));
    bridge.json();
    stub.wait_rpc("GET");
    bridge.send(&modern("1", "completion/complete", ""));
    assert_eq!(bridge.json()["error"]["code"], -32601);
    bridge.send(&modern("2", "tools/call", r#""name":"t","#));
    assert_eq!(bridge.json()["result"]["resultType"], "complete");
    assert_eq!(stub.count("initialize"), 1);
}

#[test]
fn b43_a_session_is_lost_in_several_ways_and_one_server_that_keeps_none_is_given_up() {
    for (status, code, message) in [
        (404, 0, ""),
        (404, -32001, "Session not found"),
        (400, -32000, "No valid session ID"),
    ] {
        let stub = legacy_only(move |request, wire| {
            let lost = request.rpc() == "tools/call" && request.header("mcp-session-id") == Some("s-1");
            if lost && code == 0 {
                wire.respond(status, &[], b"");
            } else if lost {
                wire.json(status, &error(request, code, message));
            }
            lost
        });
        let mut bridge = translating(&stub);
        bridge.send(&modern("0", "server/discover", ""));
        bridge.json();
        bridge.send(&modern("1", "tools/call", r#""name":"t","#));
        assert_eq!(
            bridge.json()["result"]["resultType"],
            "complete",
            "{status} {code}"
        );
        assert_eq!(sessions_of_calls(&stub), ["s-1", "s-2"]);
    }
    let stub = legacy_only(|request, wire| {
        let lost = request.rpc() == "tools/call" && request.header("mcp-session-id").is_some();
        if lost {
            wire.respond(404, &[], b"");
        }
        lost
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("0", "server/discover", ""));
    bridge.json();
    bridge.send(&modern("1", "tools/call", r#""name":"t","#));
    assert_eq!(bridge.error("1", -31001)["data"]["sent"], false);
    assert_eq!(sessions_of_calls(&stub), ["s-1", "s-2"], "bounded");
}

#[test]
fn b46_a_call_that_takes_too_long_is_called_off() {
    let stub = legacy_only(|request, wire| {
        let hangs = request.rpc() == "tools/call" && request.header("mcp-session-id").is_some();
        if hangs {
            wire.stream();
            wire.wait_closed();
        }
        hangs
    });
    let mut bridge = Bridge::to_with(
        &stub,
        &[("FOOTBRIDGE_TRANSLATE", "1"), ("FOOTBRIDGE_CALL_TIMEOUT", "0.2")],
    );
    bridge.send(&modern("0", "server/discover", ""));
    bridge.json();
    bridge.send(&modern("1", "tools/call", r#""name":"t","#));
    assert_eq!(bridge.error("1", -31004)["data"]["sent"], true);
    stub.wait_rpc("notifications/cancelled");
}

#[test]
fn b04_what_is_no_message_never_reaches_the_host() {
    let stub = legacy_only(|request, wire| {
        if request.header("mcp-session-id").is_none() {
            return false;
        }
        match request.rpc().as_str() {
            "tools/list" => wire.json(200, "not json"),
            "prompts/list" => wire.respond(200, &["content-type: text/plain"], b"hello"),
            "resources/list" => wire.json(200, r#"{"jsonrpc":"2.0","id":"another","result":{}}"#),
            _ => return false,
        }
        true
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("0", "server/discover", ""));
    bridge.json();
    for (id, method, code) in [
        ("1", "tools/list", -31005),
        ("2", "prompts/list", -31005),
        ("3", "resources/list", -31005),
    ] {
        bridge.send(&modern(id, method, ""));
        bridge.error(id, code);
    }
}

#[test]
fn m8_a_refused_key_is_named() {
    let stub = Stub::start(|request, wire| {
        if request.rpc() == "initialize" {
            wire.respond(401, &[], b"");
        } else {
            wire.respond(400, &[], b"");
        }
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("1", "server/discover", ""));
    assert_eq!(bridge.error("1", -31006)["data"]["setting"], "FOOTBRIDGE_KEY");
}
