//! Tasks of the server behind one call of the host: X-11, X-35.

use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{answer, crossed, manners, modern_only, request};
use crate::harness::{Request, Stub, Wire};

/// A server whose calls are tasks; `get` answers the looks at it, counted from zero.
fn with_task(get: impl Fn(usize) -> String + Send + Sync + 'static) -> Stub {
    let looks = AtomicUsize::new(0);
    modern_only(move |request: &Request, wire: &mut Wire<'_>| {
        match request.rpc().as_str() {
        "tools/call" => wire.result(
            request,
            r#"{"resultType":"task","taskId":"t-1","status":"working","createdAt":"x","lastUpdatedAt":"x","ttlMs":null,"pollIntervalMs":1,"statusMessage":"begun"}"#,
        ),
        "tasks/get" => {
            assert_eq!(request.header("mcp-name"), Some("t-1"));
            let look = looks.fetch_add(1, Ordering::SeqCst);
            wire.result(
                request,
                &format!(r#"{{"resultType":"complete","taskId":"t-1","pollIntervalMs":1,{}}}"#, get(look)),
            );
        }
        "tasks/update" | "tasks/cancel" => wire.result(request, r#"{"resultType":"complete"}"#),
        _ => {
            manners(request, wire);
        }
    }
    })
}

#[test]
fn x35_a_task_is_one_long_call() {
    let stub = with_task(|look| {
        match look {
        0 => r#""status":"working","statusMessage":"half""#.to_owned(),
        1 => r#""status":"input_required","inputRequests":{"k":{"method":"roots/list"}}"#.to_owned(),
        _ => r#""status":"completed","result":{"content":[],"structuredContent":{"n":1.50},"_meta":{"io.modelcontextprotocol/serverInfo":{}}}"#.to_owned(),
    }
    });
    let mut bridge = crossed(&stub, "2025-11-25", r#"{"roots":{}}"#);
    bridge.send(&request(
        "1",
        "tools/call",
        r#"{"name":"t","_meta":{"progressToken":7}}"#,
    ));
    let (first, second) = (bridge.json(), bridge.json());
    assert_eq!(
        first["params"],
        json!({"progressToken": 7, "progress": 0, "message": "begun"})
    );
    assert_eq!(
        second["params"],
        json!({"progressToken": 7, "progress": 1, "message": "half"})
    );
    let question = bridge.json();
    assert_eq!(question["method"], "roots/list");
    bridge.send(&answer(&question, &json!({"roots": []})));
    assert_eq!(
        bridge.line(),
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"n":1.50}}}"#
    );
    assert_eq!(
        stub.wait_rpc("tasks/update").json()["params"]["inputResponses"],
        json!({"k": {"roots": []}})
    );
    assert_eq!((stub.count("tools/call"), stub.count("tasks/cancel")), (1, 0));
}

#[test]
fn x35_a_failed_task_is_the_calls_error() {
    let stub = with_task(|_| r#""status":"failed","error":{"code":-7,"message":"broke"}"#.to_owned());
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request("1", "tools/call", r#"{"name":"t"}"#));
    assert_eq!(
        bridge.line(),
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-7,"message":"broke"}}"#
    );
}

#[test]
fn x35_a_cancelled_call_cancels_its_task() {
    let stub = with_task(|_| r#""status":"working""#.to_owned());
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request("1", "tools/call", r#"{"name":"t"}"#));
    stub.wait_rpc("tasks/get");
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    let cancel = stub.wait_rpc("tasks/cancel");
    assert_eq!(cancel.header("mcp-name"), Some("t-1"));
    assert!(bridge.end().lines.is_empty());
}
