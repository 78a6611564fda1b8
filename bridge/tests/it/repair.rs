//! Calls that are refused for their headers (B-33, B-34, M-10).

use serde_json::json;

use crate::harness::{Bridge, Request, Stub, Wire, modern};

const MARKED: &str = r#"{"name":"weather","inputSchema":{"type":"object","properties":{"city":{"type":"string","x-mcp-header":"City"}}}}"#;
const CALL: &str = r#""name":"weather","arguments":{"city":"Köln"},"#;

/// Accepts a call with the header its tool marks, and refuses any other as the revision says.
fn strict(request: &Request, wire: &mut Wire<'_>) {
    if request.header("mcp-param-city").is_some() {
        return wire.result(request, r#"{"content":[]}"#);
    }
    mismatch(request, wire);
}

fn mismatch(request: &Request, wire: &mut Wire<'_>) {
    wire.json(
        400,
        &format!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32020,"message":"Mcp-Param-City is missing"}}}}"#,
            request.id()
        ),
    );
}

#[test]
fn b34_a_call_refused_for_its_headers_is_sent_again_with_those_of_a_fresh_listing() {
    let stub = Stub::start(|request, wire| match request.rpc().as_str() {
        // Two pages, the second as an event stream with a word before the answer.
        "tools/list" if request.json()["params"]["cursor"].is_null() => {
            wire.result(request, r#"{"tools":[],"nextCursor":"page \"2\""}"#);
        }
        "tools/list" => {
            wire.stream();
            wire.event(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#);
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{"tools":[{MARKED}]}}}}"#,
                request.id()
            ));
        }
        _ => strict(request, wire),
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "tools/call", CALL));
    assert_eq!(
        bridge.line(),
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#
    );
    let requests = stub.requests();
    let seen: Vec<String> = requests.iter().map(Request::rpc).collect();
    assert_eq!(seen, ["tools/call", "tools/list", "tools/list", "tools/call"]);
    assert_eq!(requests[2].json()["params"]["cursor"], "page \"2\"");
    for listing in &requests[1..3] {
        assert_eq!(
            listing.json()["params"]["_meta"],
            requests[0].json()["params"]["_meta"]
        );
        assert_eq!(listing.header("mcp-method"), Some("tools/list"));
        assert_eq!(listing.header("mcp-protocol-version"), Some("2026-07-28"));
    }
    assert_eq!(requests[3].header("mcp-param-city"), Some("=?base64?S8O2bG4=?="));
    assert_eq!(requests[3].body, requests[0].body);
    // What was learnt serves the next call.
    bridge.send(&modern("2", "tools/call", CALL));
    bridge.json();
    assert_eq!(stub.requests().len(), 5);
    assert!(bridge.end().lines.is_empty());
}

#[test]
fn m10_a_mismatch_that_stays_is_the_answer() {
    // Refused again; and a listing that fails, ends badly, or never ends.
    for listing in ["refused", "error", "endless", "none"] {
        let stub = Stub::start(move |request, wire| match (request.rpc().as_str(), listing) {
            ("tools/list", "refused") => wire.respond(500, &[], b""),
            ("tools/list", "error") => wire.json(
                200,
                &format!(
                    r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":1,"message":"no"}}}}"#,
                    request.id()
                ),
            ),
            ("tools/list", "endless") => wire.result(request, r#"{"tools":[],"nextCursor":"again"}"#),
            ("tools/list", _) => wire.result(request, r#"{"tools":[]}"#),
            _ => mismatch(request, wire),
        });
        let mut bridge = Bridge::to(&stub);
        bridge.send(&modern("1", "tools/call", CALL));
        let answer = bridge.json();
        assert_eq!(
            answer["error"],
            json!({"code":-32020,"message":"Mcp-Param-City is missing"})
        );
        let calls = if matches!(listing, "refused" | "error") {
            1
        } else {
            2
        };
        assert_eq!(stub.count("tools/call"), calls, "{listing}");
        assert!(stub.count("tools/list") <= 100);
        assert!(bridge.end().lines.is_empty());
    }
}

#[test]
fn m10_only_calls_are_repaired() {
    let stub = Stub::start(mismatch);
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "prompts/get", r#""name":"weather","#));
    assert_eq!(bridge.json()["error"]["code"], -32020);
    assert_eq!(stub.requests().len(), 1);
}

#[test]
fn b33_marks_end_with_the_list_they_are_from() {
    let stub = Stub::start(|request, wire| match request.rpc().as_str() {
        "tools/list" => wire.result(request, &format!(r#"{{"tools":[{MARKED}]}}"#)),
        "prompts/list" => {
            wire.stream();
            wire.event(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#,
                request.id()
            ));
        }
        _ => wire.result(request, "{}"),
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "tools/list", ""));
    bridge.json();
    bridge.send(&modern("2", "tools/call", CALL));
    bridge.json();
    assert!(stub.last().header("mcp-param-city").is_some());
    bridge.send(&modern("3", "prompts/list", ""));
    assert_eq!(bridge.json()["method"], "notifications/tools/list_changed");
    bridge.json();
    bridge.send(&modern("4", "tools/call", CALL));
    bridge.json();
    assert!(stub.last().header("mcp-param-city").is_none());
}
