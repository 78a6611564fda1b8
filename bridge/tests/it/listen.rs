//! Subscriptions that outlive their streams (B-48, M-17).

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::harness::{Bridge, Gate, Request, Stub, Wire, modern};

const FILTER: &str = r#""notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["a:1","a:2"]},"#;

/// A server that acknowledges `subset` to the first request and then ends the stream; what it does with those that follow is
/// for `next`, which is told how many there were.
fn breaking(
    subset: &'static str,
    next: impl Fn(usize, &Request, &mut Wire<'_>) + Send + Sync + 'static,
) -> Stub {
    let turn = AtomicUsize::new(0);
    Stub::start(move |request, wire| {
        if request.rpc() != "subscriptions/listen" {
            return wire.result(request, "{}");
        }
        match turn.fetch_add(1, Ordering::SeqCst) {
            0 => {
                wire.stream();
                wire.acknowledge(request, subset);
            }
            turn => next(turn, request, wire),
        }
    })
}

#[test]
fn b48_a_broken_subscription_is_had_again_and_what_may_be_missed_is_said_once() {
    let stub = breaking(
        r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1","a:2"]}"#,
        |turn, request, wire| match turn {
            // A failure that passes, and a stream that breaks before it is acknowledged.
            1 => wire.respond(503, &[], b""),
            _ => {
                wire.stream();
                wire.acknowledge(request,
                    r#"{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["a:2","a:1"]}"#,
                );
                wire.event(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"fresh":true}}"#);
                wire.event(&format!(
                    r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete"}}}}"#,
                    request.id()
                ));
            }
        },
    );
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("\"sub\"", "subscriptions/listen", FILTER));
    assert_eq!(
        bridge.json()["method"],
        "notifications/subscriptions/acknowledged"
    );
    let meta = json!({"io.modelcontextprotocol/subscriptionId": "sub"});
    assert_eq!(
        bridge.json(),
        json!({"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":meta}})
    );
    for uri in ["a:1", "a:2"] {
        assert_eq!(
            bridge.json(),
            json!({"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":uri,"_meta":meta}})
        );
    }
    assert_eq!(bridge.json()["params"]["fresh"], true);
    // The server's closing result is the response.
    assert_eq!(bridge.json()["result"]["resultType"], "complete");
    let requests = stub.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert_eq!(request.body, requests[0].body);
        assert_eq!(request.header("mcp-method"), Some("subscriptions/listen"));
    }
    // The id is free again.
    bridge.send(&modern("\"sub\"", "tools/list", ""));
    assert_eq!(bridge.json()["id"], "sub");
    assert!(bridge.end().lines.is_empty());
}

#[test]
fn b48_a_subscription_that_is_refused_for_good_ends_with_a_cancellation() {
    let subset = r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1","a:2"]}"#;
    let refusals: [fn(&Request, &mut Wire<'_>); 6] = [
        |_, wire| wire.respond(403, &[], b""),
        |_, wire| wire.respond(404, &[], b""),
        |request, wire| {
            wire.json(
                400,
                &format!(
                    r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32602,"message":"no"}}}}"#,
                    request.id()
                ),
            );
        },
        |request, wire| {
            wire.json(
                200,
                &format!(
                    r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32602,"message":"no"}}}}"#,
                    request.id()
                ),
            );
        },
        // Less than before counts as refused.
        |request, wire| {
            wire.stream();
            wire.acknowledge(
                request,
                r#"{"toolsListChanged":true,"resourceSubscriptions":["a:2"]}"#,
            );
            wire.wait_closed();
        },
        |_, wire| wire.respond(302, &["location: /elsewhere"], b""),
    ];
    for (index, refuse) in refusals.into_iter().enumerate() {
        let stub = breaking(subset, move |_, request, wire| refuse(request, wire));
        let mut bridge = Bridge::to(&stub);
        bridge.send(&modern("7", "subscriptions/listen", FILTER));
        bridge.json();
        let line = bridge.json();
        assert_eq!(line["method"], "notifications/cancelled", "{index}: {line}");
        assert_eq!(line["params"]["requestId"], 7, "{line}");
        let ended = bridge.end();
        assert!(ended.lines.is_empty(), "{index}: {:?}", ended.lines);
        assert_eq!(stub.requests().len(), 2);
    }
}

#[test]
fn b48_the_servers_own_cancellation_ends_it() {
    let stub = Stub::start(|request, wire| {
        wire.stream();
        wire.acknowledge(request, "{}");
        wire.event(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"7"}}"#);
        wire.event(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#);
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("7", "subscriptions/listen", FILTER));
    bridge.json();
    assert_eq!(
        bridge.json()["params"]["requestId"],
        "7",
        "another subscription's"
    );
    assert_eq!(bridge.json()["params"]["requestId"], 7);
    bridge.end();
    assert_eq!(stub.count("subscriptions/listen"), 1);
}

#[test]
fn b47_a_cancelled_subscription_is_not_had_again() {
    let again = Gate::default();
    let reopened = again.clone();
    let stub = breaking(r#"{"toolsListChanged":true}"#, move |_, request, wire| {
        wire.stream();
        wire.acknowledge(request, r#"{"toolsListChanged":true}"#);
        reopened.open();
        wire.wait_closed();
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "subscriptions/listen", FILTER));
    bridge.json();
    again.pass();
    assert_eq!(bridge.json()["method"], "notifications/tools/list_changed");
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    bridge.send(&modern("1", "tools/list", ""));
    assert_eq!(bridge.json()["result"], json!({}));
    assert!(bridge.end().lines.is_empty());
    assert_eq!(stub.count("subscriptions/listen"), 2);
}

#[test]
fn b48_a_subscription_that_never_was_is_an_error() {
    let stub = Stub::start(|_, wire| {
        wire.stream();
        wire.raw(b": nothing\n\n");
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("7", "subscriptions/listen", FILTER));
    bridge.error("7", -31003);
    assert!(bridge.end().lines.is_empty());
    assert_eq!(stub.requests().len(), 1);
}

#[test]
fn m17_the_call_limit_does_not_end_a_subscription() {
    let gate = Gate::default();
    let held = gate.clone();
    let stub = Stub::start(move |request, wire| {
        wire.stream();
        if request.rpc() == "tools/call" {
            return wire.wait_closed();
        }
        wire.acknowledge(request, "{}");
        held.pass();
        wire.event(&format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete"}}}}"#,
            request.id()
        ));
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_CALL_TIMEOUT", "0.1")]);
    bridge.send(&modern("1", "subscriptions/listen", ""));
    bridge.json();
    // The limit has passed by the time a call has run into it.
    bridge.send(&modern("2", "tools/call", r#""name":"t","#));
    bridge.error("2", -31004);
    gate.open();
    assert_eq!(bridge.json()["result"]["resultType"], "complete");
}
