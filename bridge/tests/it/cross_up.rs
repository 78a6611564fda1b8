//! A modern host in front of a handshake-era server: eras, sessions, and the shapes of requests and answers.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::{Bridge, INITIALIZE, Request, Stub, Wire, call, modern};

/// What the server says it can do.
pub(crate) const CAPABILITIES: &str = r#"{"tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"logging":{},"tasks":{"list":{}}}"#;

/// A server that only knows revisions with a handshake, and nothing without a session. What `script` does not answer gets
/// an empty result. Sessions are `s-1`, `s-2`, …
pub(crate) fn legacy_only(script: impl Fn(&Request, &mut Wire<'_>) -> bool + Send + Sync + 'static) -> Stub {
    let sessions = AtomicUsize::new(0);
    Stub::start(move |request, wire| {
        if script(request, wire) {
            return;
        }
        let rpc = request.rpc();
        if rpc == "initialize" {
            let number = sessions.fetch_add(1, Ordering::SeqCst) + 1;
            wire.respond(
                200,
                &["content-type: application/json", &format!("Mcp-Session-Id: s-{number}")],
                format!(
                    r#"{{"jsonrpc":"2.0","id":{},"result":{{"protocolVersion":"2025-11-25","capabilities":{CAPABILITIES},"serverInfo":{{"name":"old","version":"1"}},"instructions":"Be kind."}}}}"#,
                    request.id()
                )
                .as_bytes(),
            );
        } else if request.header("mcp-session-id").is_none() {
            wire.json(
                400,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: no valid session"}}"#,
            );
        } else if rpc.starts_with("notifications/") || is_answer(request) {
            wire.respond(202, &[], b"");
        } else if rpc == "GET" {
            wire.respond(405, &[], b"");
        } else if rpc == "DELETE" {
            wire.respond(200, &[], b"");
        } else {
            wire.result(request, "{}");
        }
    })
}

/// Says whether a POST carries an answer to a request of the server.
pub(crate) fn is_answer(request: &Request) -> bool {
    let json = request.json();
    json.get("result").is_some() || json.get("error").is_some()
}

/// A bridge that translates.
pub(crate) fn translating(stub: &Stub) -> Bridge {
    Bridge::to_with(stub, &[("FOOTBRIDGE_TRANSLATE", "1")])
}

/// A modern request with these capabilities and further members of `_meta`, each with a comma before it.
pub(crate) fn ask(id: &str, method: &str, params: &str, capabilities: &str, meta: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{capabilities}{meta}}}}}}}"#
    )
}

/// The requests of one JSON-RPC method that came in a session.
pub(crate) fn sent(stub: &Stub, rpc: &str) -> Vec<Request> {
    stub.requests()
        .into_iter()
        .filter(|request| request.rpc() == rpc && request.header("mcp-session-id").is_some())
        .collect()
}

#[test]
fn x40_without_translation_a_claim_is_refused_at_once_and_the_host_falls_back() {
    let stub = legacy_only(|_, _| false);
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "server/discover", ""));
    let error = bridge.error("1", -31008);
    assert_eq!(error["data"]["sent"], false);
    let posts = stub.requests().len();
    bridge.send(&modern("2", "tools/list", ""));
    bridge.error("2", -31008);
    assert_eq!(stub.requests().len(), posts, "what is known is not asked again");
    bridge.handshake();
    bridge.send(&call("3", "t"));
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":3,"result":{}}"#);
    assert_eq!(
        sent(&stub, "tools/call")[0].text(),
        call("3", "t"),
        "plain passthrough"
    );
}

#[test]
fn x40_every_refusal_that_means_the_older_era_is_one() {
    for (status, body) in [
        (400, "Bad Request"),
        (404, "Not Found"),
        (405, ""),
        (
            406,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"no"}}"#,
        ),
        (
            200,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#,
        ),
        (
            400,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"no","data":{"supported":["2025-06-18"]}}}"#,
        ),
    ] {
        let stub = Stub::start(move |_, wire| {
            let kind = if body.starts_with('{') {
                "application/json"
            } else {
                "text/plain"
            };
            wire.respond(status, &[&format!("content-type: {kind}")], body.as_bytes());
        });
        let mut bridge = Bridge::to(&stub);
        bridge.send(&modern("1", "server/discover", ""));
        bridge.error("1", -31008);
    }
}

#[test]
fn x40_errors_that_prove_nothing_or_the_modern_era_pass() {
    for (status, body, code) in [
        (
            500,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no"}}"#,
            -32603,
        ),
        (
            401,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32010,"message":"no"}}"#,
            -32010,
        ),
        (
            400,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"no"}}"#,
            -32020,
        ),
        (
            404,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#,
            -32601,
        ),
    ] {
        let stub = Stub::start(move |_, wire| wire.json(status, body));
        let mut bridge = Bridge::to(&stub);
        bridge.send(&modern("1", "server/discover", ""));
        assert_eq!(bridge.json()["error"]["code"], code);
    }
}

#[test]
fn x40_a_refused_first_request_is_told_from_a_refused_era() {
    let stub = Stub::start(|request, wire| {
        match request.rpc().as_str() {
        "server/discover" => wire.result(
            request,
            r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},"ttlMs":0,"cacheScope":"private"}"#,
        ),
        _ => wire.json(
            400,
            &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32600,"message":"bad"}}}}"#, request.id()),
        ),
    }
    });
    let mut bridge = translating(&stub);
    for id in ["1", "2", "3"] {
        bridge.send(&modern(id, "tools/list", ""));
        assert_eq!(bridge.json()["error"]["code"], -32600);
    }
    assert_eq!(stub.count("server/discover"), 2, "one probe, and one doubt");
    let probe = stub.wait_rpc("server/discover");
    assert_eq!(probe.header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(probe.header("mcp-method"), Some("server/discover"));
    // A first request that a handshake-era server refuses is carried after all.
    let stub = legacy_only(|_, _| false);
    let mut bridge = translating(&stub);
    bridge.send(&modern("1", "tools/list", ""));
    assert_eq!(bridge.json()["result"]["resultType"], "complete");
    assert_eq!(sent(&stub, "tools/list").len(), 1);
}

#[test]
fn x40_an_operator_who_knows_the_era_spares_the_probe() {
    let stub = legacy_only(|_, _| false);
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_UPSTREAM", "legacy")]);
    bridge.send(&modern("1", "server/discover", ""));
    bridge.error("1", -31008);
    assert!(stub.requests().is_empty());
}

#[test]
fn x02_the_envelope_is_taken_off_and_nothing_else() {
    let stub = legacy_only(|_, _| false);
    let mut bridge = translating(&stub);
    bridge.send(&ask(
        "1",
        "tools/call",
        r#""name":"t","arguments":{"n": 1.0,"big":12345678901234567890123},"#,
        "{}",
        r#","io.modelcontextprotocol/logLevel":"info","progressToken":"p","vendor/x":[1, 2]"#,
    ));
    bridge.json();
    let request = sent(&stub, "tools/call").remove(0);
    let params = request.text().split_once(r#""params":"#).unwrap().1.to_owned();
    assert_eq!(
        params,
        r#"{"name":"t","arguments":{"n": 1.0,"big":12345678901234567890123},"_meta":{"progressToken":"p","vendor/x":[1, 2]}}}"#
    );
    for header in ["mcp-method", "mcp-name"] {
        assert_eq!(request.header(header), None);
    }
    assert_eq!(request.header("mcp-protocol-version"), Some("2025-11-25"));
}

#[test]
fn x03_results_are_completed_by_their_kind() {
    let stub = legacy_only(|request, wire| {
        let result = match request.rpc().as_str() {
            "tools/list" => {
                r#"{"tools":[{"name":"a","inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"}}],"nextCursor":"c"}"#
            }
            "tools/call" => {
                r#"{"content":[{"type":"text","text":"1.0"}],"structuredContent":{"n":1.0},"_meta":{"x":1}}"#
            }
            _ => return false,
        };
        let in_session = request.header("mcp-session-id").is_some();
        if in_session {
            wire.result(request, result);
        }
        in_session
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("1", "tools/list", ""));
    assert_eq!(
        bridge.json()["result"],
        json!({
            "tools": [{"name": "a", "inputSchema": {"type": "object"}}],
            "nextCursor": "c",
            "resultType": "complete",
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "old", "version": "1"}},
        })
    );
    bridge.send(&modern("2", "tools/call", r#""name":"a","#));
    let line = bridge.line();
    assert!(line.contains(r#""structuredContent":{"n":1.0}"#), "{line}");
    let result: Value = serde_json::from_str::<Value>(&line).unwrap()["result"].clone();
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["_meta"]["x"], 1);
    assert!(result.get("ttlMs").is_none() && result.get("cacheScope").is_none());
    bridge.send(&modern("3", "resources/read", r#""uri":"file:///a","#));
    assert_eq!(bridge.json()["result"]["ttlMs"], 0);
}

#[test]
fn x07_the_servers_ping_is_answered_and_the_hosts_is_unknown() {
    let stub = legacy_only(|request, wire| {
        if request.rpc() == "GET" {
            wire.stream();
            wire.event(r#"{"jsonrpc":"2.0","id":"ping-1","method":"ping"}"#);
            wire.wait_closed();
            return true;
        }
        false
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("1", "server/discover", ""));
    bridge.json();
    let answer = stub.wait_for(is_answer);
    assert_eq!(
        answer.json(),
        json!({"jsonrpc": "2.0", "id": "ping-1", "result": {}})
    );
    assert_eq!(answer.header("mcp-session-id"), Some("s-1"));
    for (id, method) in [("2", "ping"), ("3", "logging/setLevel"), ("4", "tasks/list")] {
        bridge.send(&modern(id, method, ""));
        assert_eq!(bridge.json()["error"]["code"], -32601, "{method}");
    }
}

#[test]
fn x08_the_level_is_set_when_it_changes_and_only_wanted_messages_pass() {
    let stub = legacy_only(|request, wire| {
        if request.rpc() != "tools/call" || request.header("mcp-session-id").is_none() {
            return false;
        }
        wire.stream();
        for level in ["debug", "error"] {
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"{level}","data":1}}}}"#
            ));
        }
        wire.event(&format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#,
            request.id()
        ));
        true
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("0", "server/discover", ""));
    bridge.json();
    for (id, level) in [("1", "warning"), ("2", "warning"), ("3", "debug"), ("4", "")] {
        let meta = match level {
            "" => String::new(),
            level => format!(r#","io.modelcontextprotocol/logLevel":"{level}""#),
        };
        bridge.send(&ask(id, "tools/call", r#""name":"t","#, "{}", &meta));
        let expected: &[&str] = match level {
            "warning" => &["error"],
            "debug" => &["debug", "error"],
            _ => &[],
        };
        for level in expected {
            assert_eq!(bridge.json()["params"]["level"], *level);
        }
        assert_eq!(bridge.json()["id"].to_string(), id);
    }
    let set: Vec<_> = sent(&stub, "logging/setLevel")
        .iter()
        .map(|request| request.json()["params"]["level"].clone())
        .collect();
    assert_eq!(set, ["warning", "debug"]);
}

#[test]
fn x09_a_cancellation_is_posted_under_the_servers_id_and_nothing_more_is_written() {
    let stub = legacy_only(|request, wire| {
        if request.rpc() == "tools/call" && request.header("mcp-session-id").is_some() {
            wire.stream();
            wire.event(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#);
            wire.wait_closed();
            return true;
        }
        false
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("0", "server/discover", ""));
    bridge.json();
    bridge.send(&modern("\"c\"", "tools/call", r#""name":"t","#));
    let called = stub.wait_rpc("tools/call");
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c"}}"#);
    let cancelled = stub.wait_rpc("notifications/cancelled");
    assert_eq!(cancelled.json()["params"]["requestId"].to_string(), called.id());
    assert_eq!(cancelled.header("mcp-session-id"), Some("s-1"));
    bridge.send(&modern("2", "tools/list", ""));
    assert_eq!(bridge.json()["id"], 2);
    assert!(bridge.end().lines.is_empty());
}

#[test]
fn x09_what_runs_at_the_end_is_called_off_before_its_session() {
    let stub = legacy_only(|request, wire| {
        if request.rpc() == "tools/call" && request.header("mcp-session-id").is_some() {
            wire.stream();
            wire.wait_closed();
            return true;
        }
        false
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("0", "server/discover", ""));
    bridge.json();
    bridge.send(&modern("1", "tools/call", r#""name":"t","#));
    stub.wait_rpc("tools/call");
    assert!(bridge.end().status.success());
    let order: Vec<_> = stub.requests().iter().map(Request::rpc).collect();
    assert_eq!(order[order.len() - 2..], ["notifications/cancelled", "DELETE"]);
    assert_eq!(stub.count("notifications/cancelled"), 1);
}

#[test]
fn x10_progress_passes_on_the_stream_of_its_request_and_no_other() {
    let stub = legacy_only(|request, wire| {
        if request.rpc() != "tools/call" || request.header("mcp-session-id").is_none() {
            return false;
        }
        wire.stream();
        for token in ["\"mine\"", "\"other\"", "1"] {
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1.50}}}}"#
            ));
        }
        wire.event(&format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#,
            request.id()
        ));
        true
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("0", "server/discover", ""));
    bridge.json();
    bridge.send(&ask(
        "1",
        "tools/call",
        r#""name":"t","#,
        "{}",
        r#","progressToken":"mine""#,
    ));
    assert_eq!(
        bridge.line(),
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"mine","progress":1.50}}"#
    );
    assert_eq!(bridge.json()["id"], 1);
}

#[test]
fn x11_tools_that_run_as_tasks_only_are_not_listed() {
    let stub = legacy_only(|request, wire| {
        let lists = request.rpc() == "tools/list" && request.header("mcp-session-id").is_some();
        if lists {
            wire.result(
                request,
                r#"{"tools":[{"name":"a","execution":{"taskSupport":"required"}},{"name":"b"}]}"#,
            );
        }
        lists
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("1", "tools/list", ""));
    assert_eq!(bridge.json()["result"]["tools"], json!([{"name": "b"}]));
    assert!(bridge.end().stderr.contains("left a tool out of the list"));
}

#[test]
fn x12_errors_come_in_codes_of_the_modern_era_whatever_their_status() {
    let stub = legacy_only(|request, wire| {
        if request.rpc() != "resources/read" || request.header("mcp-session-id").is_none() {
            return false;
        }
        let code = if request.text().contains("gone") {
            -32002
        } else {
            -32021
        };
        wire.json(
            if code == -32002 { 200 } else { 400 },
            &format!(
                r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":{code},"message":"m"}}}}"#,
                request.id()
            ),
        );
        true
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("0", "server/discover", ""));
    bridge.json();
    bridge.send(&modern("1", "resources/read", r#""uri":"file:///gone","#));
    assert_eq!(
        bridge.json()["error"],
        json!({"code": -32602, "message": "m", "data": {"uri": "file:///gone"}})
    );
    bridge.send(&modern("2", "resources/read", r#""uri":"file:///x","#));
    assert_eq!(bridge.json()["error"]["code"], -32603);
    bridge.send(&modern("3", "tools/list", "").replace("2026-07-28", "2027-01-01"));
    let error = bridge.json()["error"].clone();
    assert_eq!(
        (&error["code"], &error["data"]["supported"]),
        (&json!(-32022), &json!(["2026-07-28"]))
    );
}

#[test]
fn x46_notifications_of_the_host_are_dropped() {
    let stub = legacy_only(|_, _| false);
    let mut bridge = translating(&stub);
    bridge.send(&modern("1", "server/discover", ""));
    bridge.json();
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#);
    bridge.send(
        &modern("2", "tools/list", "")
            .replace(r#""id":2,"#, "")
            .replace("tools/list", "notifications/x"),
    );
    bridge.send(&modern("3", "tools/list", ""));
    assert_eq!(bridge.json()["id"], 3);
    bridge.end();
    assert_eq!(
        stub.count("notifications/roots/list_changed") + stub.count("notifications/x"),
        0
    );
}

#[test]
fn a_host_of_the_older_era_is_carried_as_ever_though_translation_is_on() {
    let stub = legacy_only(|_, _| false);
    let mut bridge = translating(&stub);
    bridge.send(INITIALIZE);
    let answer = bridge.json();
    assert_eq!(
        (&answer["id"], &answer["result"]["protocolVersion"]),
        (&json!("init"), &json!("2025-11-25"))
    );
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
}
