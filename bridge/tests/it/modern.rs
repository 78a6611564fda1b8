//! Modern messages: headers from the message itself, marked parameters, cancellation, what a modern host is never sent.

use serde_json::json;

use crate::harness::{Bridge, KEY, Stub, call, legacy_manners, modern};

#[test]
fn b11_every_post_carries_what_it_must() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let mut bridge = Bridge::to(&stub);
    let lines = [
        modern("1", "tools/call", r#""name":"t","#),
        crate::harness::call("2", "t"),
        r#"{"jsonrpc":"2.0","method":"notifications/x"}"#.to_owned(),
    ];
    for line in &lines {
        bridge.send(line);
    }
    for line in &lines {
        let request = stub.wait_for(|request| request.text() == line);
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("POST", "/mcp")
        );
        for (name, value) in [
            ("content-type", Some("application/json")),
            ("accept", Some("application/json, text/event-stream")),
            ("authorization", Some(&*format!("Bearer {KEY}"))),
            ("host", Some(&*stub.address.to_string())),
            ("origin", None),
        ] {
            assert_eq!(request.header(name), value, "{name}");
        }
        assert!(request.header("user-agent").unwrap().starts_with("footbridge/"));
    }
}

#[test]
fn b15_headers_of_one_era_never_travel_with_the_other() {
    let stub = Stub::start(|request, wire| {
        if !legacy_manners(request, wire) {
            wire.result(request, "{}");
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    stub.wait_rpc("GET");
    bridge.send(&modern(
        "1",
        "tools/call",
        r#""name":"Hello, 世界","arguments":{},"#,
    ));
    bridge.json();
    let request = stub.wait_rpc("tools/call");
    for (name, value) in [
        ("mcp-protocol-version", Some("2026-07-28")),
        ("mcp-method", Some("tools/call")),
        ("mcp-name", Some("=?base64?SGVsbG8sIOS4lueVjA==?=")),
        ("mcp-session-id", None),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }

    bridge.send(&call("2", "t"));
    bridge.json();
    let request = stub.last();
    for (name, value) in [
        ("mcp-protocol-version", Some("2025-11-25")),
        ("mcp-session-id", Some("s-1")),
        ("mcp-method", None),
        ("mcp-name", None),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
}

#[test]
fn b12_names_travel_encoded_and_nothing_is_remembered_from_message_to_message() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let mut bridge = Bridge::to(&stub);
    for (method, params, name) in [
        ("tools/call", r#""name":"us-west1","#, Some("us-west1")),
        (
            "prompts/get",
            r#""name":" padded ","#,
            Some("=?base64?IHBhZGRlZCA=?="),
        ),
        (
            "resources/read",
            r#""uri":"line1\nline2","#,
            Some("=?base64?bGluZTEKbGluZTI=?="),
        ),
        (
            "tasks/get",
            r#""taskId":"=?base64?literal?=","#,
            Some("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ),
        ("tools/call", r#""name":"","#, Some("")),
        ("tools/call", "", None),
        ("tools/list", r#""name":"ignored","#, None),
    ] {
        bridge.send(&modern("1", method, params));
        bridge.json();
        assert_eq!(stub.last().header("mcp-name"), name, "{method} {params}");
        assert_eq!(stub.last().header("mcp-method"), Some(method));
    }
}

#[test]
fn b12_what_no_header_can_carry_is_refused_before_it_leaves() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let mut bridge = Bridge::to(&stub);
    let versioned = |version: &str| modern("1", "tools/list", "").replace("2026-07-28", version);
    for line in [
        modern("1", r"tools/list\r\nX-Evil: 1", ""),
        modern("1", r"tools/list\u0000", ""),
        modern("1", "tööls", ""),
        versioned(r"2026-07-28\r\nX-Evil: 1"),
        versioned(""),
    ] {
        bridge.send(&line);
        assert_eq!(bridge.error("1", -32600)["data"]["sent"], false);
    }
    assert_eq!(stub.requests().len(), 0);
}

const MARKED: &str = r#"{"name":"weather","inputSchema":{"type":"object","properties":{"city":{"type":"string","x-mcp-header":"City"},"days":{"type":"integer","x-mcp-header":"Days"},"raw":{"type":"boolean","x-mcp-header":"Raw"}}}}"#;
const BROKEN: &str = r#"{"name":"broken","inputSchema":{"type":"object","properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}}"#;
const PLAIN: &str = r#"{"name":"plain","inputSchema":{"type":"object"}}"#;

#[test]
fn b33_marked_parameters_are_learnt_from_the_list_and_broken_tools_left_out() {
    let stub = Stub::start(|request, wire| match request.rpc().as_str() {
        "tools/list" => wire.result(
            request,
            &format!(r#"{{"tools":[{BROKEN},{MARKED}, {PLAIN}],"ttlMs":0}}"#),
        ),
        _ => wire.result(request, "{}"),
    });
    let mut bridge = Bridge::to(&stub);
    let weather = r#""name":"weather","arguments":{"city":"Köln","days":2.0,"raw":null},"#;
    bridge.send(&modern("0", "tools/call", weather));
    bridge.json();
    assert!(
        stub.last()
            .headers
            .keys()
            .all(|name| !name.starts_with("mcp-param")),
        "not known yet"
    );

    bridge.send(&modern("1", "tools/list", ""));
    assert!(
        bridge
            .line()
            .ends_with(&format!(r#""result":{{"tools":[{MARKED},{PLAIN}],"ttlMs":0}}}}"#))
    );
    bridge.send(&modern("2", "tools/call", weather));
    bridge.json();
    let request = stub.last();
    assert_eq!(request.header("mcp-param-city"), Some("=?base64?S8O2bG4=?="));
    assert_eq!(request.header("mcp-param-days"), Some("2"));
    assert_eq!(request.header("mcp-param-raw"), None);
    bridge.send(&modern(
        "3",
        "tools/call",
        r#""name":"plain","arguments":{"city":"Köln"},"#,
    ));
    bridge.json();
    assert_eq!(stub.last().header("mcp-param-city"), None);
    let ended = bridge.end();
    assert!(
        ended.stderr.contains("left a tool out of the list: `broken`"),
        "{}",
        ended.stderr
    );
}

#[test]
fn m15_a_cancelled_request_is_closed_and_never_heard_of_again() {
    let stub = Stub::start(|request, wire| {
        if request.rpc() == "tools/list" {
            return wire.result(request, "{}");
        }
        wire.stream();
        wire.event(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#);
        wire.wait_closed();
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "tools/call", r#""name":"slow","#));
    assert_eq!(bridge.json()["method"], "notifications/progress");
    bridge.send(&modern("2", "subscriptions/listen", r#""notifications":{},"#));
    assert_eq!(bridge.json()["method"], "notifications/progress");
    for id in [1, 2, 99] {
        bridge.send(
            &json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":id}})
                .to_string(),
        );
    }
    // The id is free at once.
    bridge.send(&modern("1", "tools/list", ""));
    let answer = bridge.json();
    assert!(answer["id"] == 1 && answer["result"].is_object(), "{answer}");
    assert!(bridge.end().lines.is_empty());
    assert_eq!(
        stub.count("notifications/cancelled"),
        0,
        "closing the exchange is the cancellation"
    );
}

#[test]
fn b08_a_modern_host_is_never_sent_a_request() {
    let stub = Stub::start(|request, wire| {
        wire.stream();
        wire.event(r#"{"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{}}"#);
        wire.event(r#"{"jsonrpc":"2.0","id":"other","result":{}}"#);
        wire.event(&format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#,
            request.id()
        ));
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "tools/call", r#""name":"t","#));
    assert_eq!(bridge.json()["id"], 1);
    let ended = bridge.end();
    assert!(ended.lines.is_empty() && ended.stderr.contains("dropped a request of the server"));
}

#[test]
fn m6_the_answer_of_a_server_of_the_other_era_passes() {
    let stub = Stub::start(|_, wire| {
        wire.json(
            400,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: not initialized"}}"#,
        );
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("\"probe\"", "server/discover", ""));
    assert_eq!(
        bridge.line(),
        r#"{"jsonrpc":"2.0","id":"probe","error":{"code":-32000,"message":"Bad Request: not initialized"}}"#
    );
}
