//! Streams of the handshake era that break and go on (B-44, B-45, M-3, M-4).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Bridge, Gate, Request, Stub, Wire, call, legacy_manners};

fn result(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resumed":true}}}}"#)
}

/// A legacy server whose GET without an event id is refused, so that every other GET is the resumption of a call.
fn resumable(
    call: impl Fn(&mut Wire<'_>) + Send + Sync + 'static,
    resume: impl Fn(&Request, &mut Wire<'_>) + Send + Sync + 'static,
) -> Stub {
    Stub::start(move |request, wire| {
        if request.rpc() == "tools/call" {
            call(wire);
        } else if request.method == "GET" && request.header("last-event-id").is_some() {
            resume(request, wire);
        } else {
            legacy_manners(request, wire);
        }
    })
}

fn resumptions(stub: &Stub) -> Vec<String> {
    stub.requests()
        .iter()
        .filter_map(|request| request.header("last-event-id").map(str::to_owned))
        .collect()
}

#[test]
fn b45_a_broken_stream_is_resumed_by_get() {
    let turn = AtomicUsize::new(0);
    let stub = resumable(
        |wire| {
            wire.stream();
            wire.raw(b"retry: 1\nid: e-1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"n\",\"params\":{\"step\":1}}\n\ndata: {\"unfin");
        },
        move |request, wire| {
            assert_eq!(request.header("accept"), Some("text/event-stream"));
            assert_eq!(request.header("mcp-session-id"), Some("s-1"));
            assert_eq!(request.header("mcp-protocol-version"), Some("2025-11-25"));
            match turn.fetch_add(1, Ordering::SeqCst) {
                // It goes on piece by piece, and through failures that pass.
                0 => {
                    wire.stream();
                    wire.raw(
                        b"id: e-2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"n\",\"params\":{\"step\":2}}\n\n",
                    );
                }
                1 => wire.respond(503, &[], b""),
                _ => {
                    wire.stream();
                    wire.event(&result("1"));
                    wire.wait_closed();
                }
            }
        },
    );
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["params"]["step"], 1);
    assert_eq!(bridge.json()["params"]["step"], 2);
    assert_eq!(bridge.line(), result("1"));
    assert_eq!(resumptions(&stub), ["e-1", "e-2", "e-2"]);
    assert_eq!(stub.count("tools/call"), 1);
    assert!(bridge.end().lines.is_empty());
    assert_eq!(stub.count("notifications/cancelled"), 0);
}

#[test]
fn b45_a_stream_closed_on_purpose_is_resumed_after_the_time_it_named() {
    let closed = Arc::new(std::sync::Mutex::new(None));
    let (at, came) = (Arc::clone(&closed), Arc::new(std::sync::Mutex::new(None)));
    let resumed = Arc::clone(&came);
    let stub = resumable(
        move |wire| {
            wire.stream();
            wire.raw(b"id: first\nretry: 500\ndata:\n\n");
            *at.lock().unwrap() = Some(Instant::now());
        },
        move |_, wire| {
            *resumed.lock().unwrap() = Some(Instant::now());
            wire.stream();
            wire.event(&result("1"));
        },
    );
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.line(), result("1"));
    assert_eq!(resumptions(&stub), ["first"]);
    // Never earlier than asked; how much later depends on the machine, the unit test of the pause has the bound.
    let waited = came.lock().unwrap().unwrap() - closed.lock().unwrap().unwrap();
    assert!(waited >= Duration::from_millis(490), "{waited:?}");
}

#[test]
fn m4_a_refused_resumption_loses_the_request_and_cancels_it() {
    for status in [405, 404, 400, 401, 501] {
        let stub = resumable(
            |wire| {
                wire.stream();
                wire.raw(b"retry: 1\nid: 1\ndata:\n\n");
            },
            move |_, wire| wire.respond(status, &[], b""),
        );
        let mut bridge = Bridge::to(&stub);
        bridge.handshake();
        bridge.send(&call("1", "t"));
        let error = bridge.error("1", -31003);
        assert_eq!(error["data"]["sent"], true);
        assert!(
            error["message"].as_str().unwrap().contains(&status.to_string()),
            "{error}"
        );
        assert_eq!(
            stub.wait_rpc("notifications/cancelled").json()["params"]["requestId"],
            1
        );
        assert_eq!(stub.count("tools/call"), 1);
    }
}

#[test]
fn m4_resuming_ends_at_the_time_limit() {
    let stub = resumable(
        |wire| {
            wire.stream();
            wire.raw(b"retry: 1\nid: 1\ndata:\n\n");
        },
        |_, wire| wire.stream(),
    );
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_CALL_TIMEOUT", "0.7")]);
    bridge.handshake();
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.error("1", -31004)["data"]["sent"], true);
    assert!(!resumptions(&stub).is_empty());
    stub.wait_rpc("notifications/cancelled");
}

#[test]
fn m4_a_cancelled_request_is_not_resumed() {
    let gate = Gate::default();
    let held = gate.clone();
    let stub = resumable(
        move |wire| {
            wire.stream();
            wire.raw(b"retry: 1\nid: 1\ndata:\n\n");
            held.pass();
        },
        |_, wire| wire.respond(405, &[], b""),
    );
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send(&call("1", "t"));
    stub.wait_rpc("tools/call");
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    stub.wait_rpc("notifications/cancelled");
    gate.open();
    assert!(bridge.end().lines.is_empty());
    assert_eq!(resumptions(&stub).len(), 0);
}

#[test]
fn m3_a_stream_without_an_event_id_is_lost_and_cancelled() {
    // An id that no header can carry, one that was taken back, and one of an unfinished event are none.
    for events in [
        ": nothing\n\n",
        "id: 1\ndata:\n\nid:\ndata:\n\n",
        "id: 1\ndata: x\n",
        "id: \u{1}\ndata:\n\n",
    ] {
        let stub = Stub::start(move |request, wire| {
            if !legacy_manners(request, wire) {
                wire.stream();
                wire.raw(events.as_bytes());
            }
        });
        let mut bridge = Bridge::to(&stub);
        bridge.handshake();
        bridge.send(&call("\"lost\"", "t"));
        assert_eq!(
            bridge.error("\"lost\"", -31003)["data"]["sent"],
            true,
            "{events:?}"
        );
        assert_eq!(
            stub.wait_rpc("notifications/cancelled").json()["params"]["requestId"],
            "lost"
        );
        assert_eq!(stub.count("tools/call"), 1);
    }
}

#[test]
fn b45_the_stream_of_initialize_is_resumed_in_its_session() {
    let stub = Stub::start(|request, wire| match request.rpc().as_str() {
        "initialize" => {
            wire.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nmcp-session-id: s-1\r\nconnection: close\r\n\r\nid: 1\nretry: 1\ndata:\n\n");
            wire.keep_open = false;
        }
        "GET" if request.header("last-event-id") == Some("1") => {
            assert_eq!(request.header("mcp-session-id"), Some("s-1"));
            wire.stream();
            wire.event(r#"{"jsonrpc":"2.0","id":"init","result":{"protocolVersion":"2025-11-25","capabilities":{}}}"#);
        }
        "tools/call" => wire.result(request, "{}"),
        _ => {
            legacy_manners(request, wire);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send(&call("1", "t"));
    bridge.json();
    assert_eq!(stub.wait_rpc("tools/call").header("mcp-session-id"), Some("s-1"));
}

#[test]
fn b45_wherever_a_stream_is_cut_every_message_arrives_once() {
    const MESSAGES: usize = 40;
    let event = |step: usize| {
        let message = if step == MESSAGES {
            result("1")
        } else {
            format!(r#"{{"jsonrpc":"2.0","method":"n","params":{{"step":{step}}}}}"#)
        };
        format!("id: {step}\r\nretry: 1\r\ndata: {message}\r\n\r\n")
    };
    // Each stream carries what comes after the id it was asked with and is cut off somewhere, as a fixed sequence has it.
    let seed = std::sync::atomic::AtomicU64::new(7);
    let rest = move |after: usize, wire: &mut Wire<'_>| {
        let text: String = (after..=MESSAGES).map(event).collect();
        let random = seed
            .fetch_add(1, Ordering::SeqCst)
            .wrapping_mul(6_364_136_223_846_793_005)
            >> 33;
        let cut = usize::try_from(random).unwrap() % 600 + 80;
        wire.stream();
        wire.raw(&text.as_bytes()[..cut.min(text.len())]);
    };
    let rest = Arc::new(rest);
    let again = Arc::clone(&rest);
    let stub = resumable(
        move |wire| rest(0, wire),
        move |request, wire| {
            let seen: usize = request.header("last-event-id").unwrap().parse().unwrap();
            again(seen + 1, wire);
        },
    );
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send(&call("1", "t"));
    for step in 0..MESSAGES {
        assert_eq!(bridge.json()["params"]["step"], step);
    }
    assert_eq!(bridge.line(), result("1"));
    assert!(resumptions(&stub).len() > 3, "it was hardly cut");
    assert!(bridge.end().lines.is_empty());
}
