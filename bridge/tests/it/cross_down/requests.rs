//! One request across the eras: what is added on the way, what is taken off on the way back, what is answered here.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{DONE, crossed, crossed_with, manners, modern_only, request};
use crate::harness::{Gate, Stub};

/// A server that answers every request with `result`.
fn answering(result: impl Into<String>) -> Stub {
    let result = result.into();
    modern_only(move |request, wire| {
        if !manners(request, wire) {
            wire.result(request, &result);
        }
    })
}

#[test]
fn x02_x23_every_request_carries_the_hosts_handshake() {
    let stub = answering(DONE);
    let mut bridge = crossed(
        &stub,
        "2025-06-18",
        r#"{"elicitation":{},"roots":{"listChanged":true},"experimental":{"a":{}}}"#,
    );
    bridge.send(&request(
        "1",
        "tools/call",
        r#"{"name":"tö", "arguments":{"n": 1.50},"_meta":{"progressToken":"p"},"task":{"ttl":1}}"#,
    ));
    bridge.json();
    let sent = stub.wait_rpc("tools/call");
    assert!(
        sent.text().contains(r#""arguments":{"n": 1.50}"#),
        "{}",
        sent.text()
    );
    let body = sent.json();
    assert!(body["params"].get("task").is_none());
    assert_eq!(
        body["params"]["_meta"],
        json!({
            "progressToken": "p",
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {
                "elicitation": {"form": {}}, "roots": {}, "extensions": {"io.modelcontextprotocol/tasks": {}},
            },
            "io.modelcontextprotocol/clientInfo": {"name": "host", "version": "9"},
        })
    );
    assert_eq!(sent.header("mcp-name"), Some("=?base64?dMO2?="));
}

#[test]
fn x03_results_lose_what_only_the_modern_era_knows() {
    let stub = answering(
        r#"{"contents":[{"uri":"u","n":1.50}],"resultType":"complete","ttlMs":5,"cacheScope":"public"}"#,
    );
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request("\"a\"", "resources/read", r#"{"uri":"u"}"#));
    assert_eq!(
        bridge.line(),
        r#"{"jsonrpc":"2.0","id":"a","result":{"contents":[{"uri":"u","n":1.50}]}}"#
    );
}

/// Large values are written from where they were received (`cross::splice`).
#[test]
fn x03_large_results_lose_no_more_than_small_ones() {
    let blocks = r#"{"type":"text","text":"ö\n"} , "#.repeat(40_000);
    let blocks = format!(r#"[{blocks}{{"n":1.50}}]"#);
    let stub = answering(format!(
        "{{\"resultType\":\"complete\",\n\"content\":{},\"ttlMs\":5,\"structuredContent\":{{\"a\":{blocks}}},\"isError\":false}}",
        blocks.replace(" , ", "\n,\n")
    ));
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request("7", "tools/call", r#"{"name":"t"}"#));
    let expected = format!(
        r#"{{"jsonrpc":"2.0","id":7,"result":{{"content":{blocks},"structuredContent":{{"a":{blocks}}},"isError":false}}}}"#
    );
    assert!(bridge.line() == expected);
}

#[test]
fn x07_x24_ping_is_answered_here_even_while_a_call_runs() {
    let gate = Gate::default();
    let held = gate.clone();
    let stub = modern_only(move |request, wire| {
        if !manners(request, wire) {
            held.pass();
            wire.result(request, DONE);
        }
    });
    let mut bridge = crossed_with(&stub, "2025-11-25", "{}", &[("FOOTBRIDGE_MAX_IN_FLIGHT", "1")]);
    bridge.send(&request("1", "tools/call", r#"{"name":"t"}"#));
    stub.wait_rpc("tools/call");
    bridge.send(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#);
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":2,"result":{}}"#);
    gate.open();
    assert_eq!(bridge.json()["id"], 1);
}

#[test]
fn x24_notifications_of_the_older_era_are_swallowed() {
    let stub = answering(DONE);
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#);
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/surprise"}"#);
    bridge.send(&request("1", "tools/call", r#"{"name":"t"}"#));
    bridge.json();
    assert!(
        stub.requests()
            .iter()
            .all(|request| !request.rpc().starts_with("notifications/"))
    );
    let ended = bridge.end();
    assert!(
        ended.stderr.contains("notifications/surprise"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("roots/list_changed"), "{}", ended.stderr);
}

#[test]
fn x08_the_log_level_goes_with_each_request() {
    let stub = answering(DONE);
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request("1", "logging/setLevel", r#"{"level":"loud"}"#));
    bridge.error("1", -32602);
    bridge.send(&request("2", "logging/setLevel", r#"{"level":"warning"}"#));
    assert_eq!(bridge.json(), json!({"jsonrpc": "2.0", "id": 2, "result": {}}));
    bridge.send(&request("3", "tools/call", r#"{"name":"t"}"#));
    bridge.json();
    assert_eq!(
        stub.wait_rpc("tools/call").json()["params"]["_meta"]["io.modelcontextprotocol/logLevel"],
        "warning"
    );
    assert_eq!(stub.count("logging/setLevel"), 0);
}

#[test]
fn x09_a_cancellation_closes_the_exchange() {
    let closed = Gate::default();
    let seen = closed.clone();
    let stub = modern_only(move |request, wire| {
        if request.json()["params"]["name"] == "slow" {
            wire.stream();
            wire.wait_closed();
            seen.open();
        } else if !manners(request, wire) {
            wire.result(request, DONE);
        }
    });
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request("1", "tools/call", r#"{"name":"slow"}"#));
    stub.wait_rpc("tools/call");
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    closed.pass();
    bridge.send(&request("2", "tools/call", r#"{"name":"t"}"#));
    assert_eq!(bridge.json()["id"], 2);
    assert_eq!(stub.count("notifications/cancelled"), 0);
}

#[test]
fn x10_x32_progress_passes_under_the_hosts_token_and_only_grows() {
    let stub = modern_only(|request, wire| {
        if manners(request, wire) {
            return;
        }
        wire.stream();
        let round = request.json()["params"]["requestState"].is_string();
        for value in if round { [1.0, 2.5] } else { [0.5, 2.0] } {
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"p","progress":{value}}}}}"#
            ));
        }
        let result = if round {
            DONE
        } else {
            r#"{"resultType":"input_required","requestState":"s"}"#
        };
        wire.event(&format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#,
            request.id()
        ));
    });
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request(
        "1",
        "tools/call",
        r#"{"name":"t","_meta":{"progressToken":"p"}}"#,
    ));
    let values: Vec<Value> = (0..3)
        .map(|_| bridge.json()["params"]["progress"].clone())
        .collect();
    assert_eq!(values, [json!(0.5), json!(2), json!(2.5)]);
    assert_eq!(bridge.json()["id"], 1);
}

#[test]
fn x33_tools_and_results_are_shaped_for_the_revision() {
    let stub = modern_only(|request, wire| {
        match request.rpc().as_str() {
        "tools/list" => wire.result(
            request,
            r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{"name":"t","title":"T","inputSchema":{"type":"object"},"outputSchema":{"type":"array"},"icons":[]},{"name":"bad","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"no good"}}}}]}"#,
        ),
        "tools/call" => wire.result(
            request,
            r#"{"resultType":"complete","content":[{"type":"resource_link","name":"N","uri":"u:1"}],"structuredContent":[1.0]}"#,
        ),
        _ => {
            manners(request, wire);
        }
    }
    });
    for (revision, tool, content) in [
        (
            "2025-11-25",
            r#"{"name":"t","title":"T","inputSchema":{"type":"object"},"icons":[]}"#,
            r#"[{"type":"resource_link","name":"N","uri":"u:1"},{"type":"text","text":"[1.0]"}]"#,
        ),
        (
            "2025-06-18",
            r#"{"name":"t","title":"T","inputSchema":{"type":"object"}}"#,
            r#"[{"type":"resource_link","name":"N","uri":"u:1"},{"type":"text","text":"[1.0]"}]"#,
        ),
        (
            "2025-03-26",
            r#"{"name":"t","inputSchema":{"type":"object"}}"#,
            r#"[{"type":"text","text":"N: u:1"},{"type":"text","text":"[1.0]"}]"#,
        ),
    ] {
        let mut bridge = crossed(&stub, revision, "{}");
        bridge.send(&request("1", "tools/list", "{}"));
        assert_eq!(
            bridge.line(),
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tool}]}}}}"#)
        );
        bridge.send(&request("2", "tools/call", r#"{"name":"t"}"#));
        assert_eq!(
            bridge.line(),
            format!(r#"{{"jsonrpc":"2.0","id":2,"result":{{"content":{content}}}}}"#)
        );
    }
}

#[test]
fn x33_marked_parameters_are_learnt_and_sent() {
    let stub = modern_only(|request, wire| {
        match request.rpc().as_str() {
        "tools/list" => wire.result(
            request,
            r#"{"resultType":"complete","tools":[{"name":"t","inputSchema":{"type":"object","properties":{"city":{"type":"string","x-mcp-header":"City"}}}}]}"#,
        ),
        "tools/call" => wire.result(request, DONE),
        _ => {
            manners(request, wire);
        }
    }
    });
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request("1", "tools/list", "{}"));
    assert!(bridge.line().contains("x-mcp-header"));
    bridge.send(&request(
        "2",
        "tools/call",
        r#"{"name":"t","arguments":{"city":"Bonn"}}"#,
    ));
    bridge.json();
    assert_eq!(stub.wait_rpc("tools/call").header("mcp-param-city"), Some("Bonn"));
}

#[test]
fn x34_codes_are_those_a_legacy_host_knows() {
    let stub = modern_only(|request, wire| {
        if manners(request, wire) {
            return;
        }
        let (status, error) = match request.json()["params"]["name"].as_str() {
            Some("capability") => (
                400,
                r#"{"code":-32021,"message":"No.","data":{"requiredCapabilities":{"sampling":{}}}}"#,
            ),
            Some("version") => (400, r#"{"code":-32022,"message":"No."}"#),
            Some("own") => (200, r#"{"code":-5,"message":"Mine.","data":{"n":1.50}}"#),
            _ => (200, r#"{"code":-32602,"message":"None.","data":{"uri":"u"}}"#),
        };
        wire.json(
            status,
            &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, request.id()),
        );
    });
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request("1", "tools/call", r#"{"name":"capability"}"#));
    let error = bridge.error("1", -31008);
    assert_eq!(error["data"]["requiredCapabilities"], json!({"sampling": {}}));
    bridge.send(&request("2", "tools/call", r#"{"name":"version"}"#));
    bridge.error("2", -31005);
    bridge.send(&request("3", "tools/call", r#"{"name":"own"}"#));
    assert_eq!(
        bridge.line(),
        r#"{"jsonrpc":"2.0","id":3,"error":{"code":-5,"message":"Mine.","data":{"n":1.50}}}"#
    );
    bridge.send(&request("4", "resources/read", r#"{"uri":"u"}"#));
    let answer = bridge.json();
    assert_eq!(
        answer["error"],
        json!({"code": -32002, "message": "None.", "data": {"uri": "u"}})
    );
}

#[test]
fn x11_methods_of_the_older_tasks_are_unknown() {
    let stub = answering(DONE);
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    for (id, method) in [
        ("1", "tasks/get"),
        ("2", "tasks/list"),
        ("3", "subscriptions/listen"),
    ] {
        bridge.send(&request(id, method, "{}"));
        bridge.error(id, -32601);
    }
}

#[test]
fn x36_no_answer_is_served_twice() {
    let turn = AtomicUsize::new(0);
    let stub = modern_only(move |request, wire| {
        if !manners(request, wire) {
            let turn = turn.fetch_add(1, Ordering::SeqCst);
            wire.result(
                request,
                &format!(r#"{{"resultType":"complete","ttlMs":3600000,"cacheScope":"public","prompts":[],"n":{turn}}}"#),
            );
        }
    });
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    for turn in 0..2 {
        bridge.send(&request("1", "prompts/list", "{}"));
        assert_eq!(bridge.json()["result"]["n"], turn);
    }
}

#[test]
fn x13_there_is_no_session_and_nothing_to_end() {
    let stub = answering(DONE);
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request("1", "tools/call", r#"{"name":"t"}"#));
    bridge.json();
    assert!(bridge.end().status.success());
    assert!(stub.requests().iter().all(|request| request.method == "POST"));
}

#[test]
fn b34_headers_of_a_crossed_call_are_repaired_from_a_fresh_listing() {
    let stub = modern_only(|request, wire| {
        match request.rpc().as_str() {
        "tools/list" => wire.result(
            request,
            r#"{"resultType":"complete","tools":[{"name":"t","inputSchema":{"type":"object","properties":{"city":{"type":"string","x-mcp-header":"City"}}}}]}"#,
        ),
        "tools/call" if request.header("mcp-param-city") == Some("Bonn") => wire.result(request, DONE),
        "tools/call" => {
            let error = format!(
                r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32020,"message":"Header."}}}}"#,
                request.id()
            );
            wire.json(400, &error);
        }
        _ => {
            manners(request, wire);
        }
    }
    });
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request(
        "1",
        "tools/call",
        r#"{"name":"t","arguments":{"city":"Bonn"}}"#,
    ));
    assert_eq!(bridge.json()["result"]["content"][0]["text"], "done");
    assert_eq!((stub.count("tools/call"), stub.count("tools/list")), (2, 1));
}

#[test]
fn b07_a_crossed_host_reads_errors_without_an_id_if_its_revision_has_them() {
    let stub = answering(DONE);
    for (revision, told) in [("2025-11-25", true), ("2025-06-18", false)] {
        let mut bridge = crossed(&stub, revision, "{}");
        bridge.send("{");
        bridge.send(&request("1", "ping", "{}"));
        let first = bridge.json();
        assert_eq!(first["error"]["code"] == -32700, told, "{first}");
    }
}
