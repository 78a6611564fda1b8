//! Servers of revision 2024-11-05: one stream, and an address to POST to that it names.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use crate::cross_up::translating;
use crate::harness::{Bridge, INITIALIZE, KEY, Request, Stub, Wire, call, modern};

/// What the stream of the server is to carry next.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<Option<Sender<String>>>>);

impl Stream {
    fn say(&self, message: &str) {
        if let Some(stream) = &*self.0.lock().unwrap() {
            let _ = stream.send(message.to_owned());
        }
    }

    /// Ends the stream.
    fn end(&self) {
        *self.0.lock().unwrap() = None;
    }

    fn serve(&self, wire: &mut Wire<'_>, endpoint: &str) {
        let (sender, messages) = channel();
        wire.stream();
        *self.0.lock().unwrap() = Some(sender);
        wire.raw(format!("event: endpoint\r\ndata: {endpoint}\r\n\r\n").as_bytes());
        for message in messages {
            wire.raw(format!("event: message\r\ndata: {message}\r\n\r\n").as_bytes());
        }
    }
}

/// An old server: `post` is called for each message that came to the right place.
fn old_server(stream: &Stream, post: impl Fn(&Request, &Stream) + Send + Sync + 'static) -> Stub {
    let stream = stream.clone();
    let opened = AtomicUsize::new(0);
    Stub::start(move |request, wire| {
        if request.method == "GET" {
            assert_eq!(request.header("accept"), Some("text/event-stream"));
            let turn = opened.fetch_add(1, Ordering::SeqCst);
            return stream.serve(wire, &format!("/messages?session=s%20{turn}"));
        }
        if !request.target.starts_with("/messages?session=") {
            return wire.respond(405, &["allow: GET"], b"Method Not Allowed");
        }
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {KEY}")));
        wire.respond(202, &["content-type: text/plain"], b"Accepted");
        post(request, &stream);
    })
}

/// Answers what has an id with an empty result, and `initialize` with a handshake.
fn polite(request: &Request, stream: &Stream) {
    let result = match request.rpc().as_str() {
        "initialize" => r#"{"protocolVersion":"2024-11-05","capabilities":{"tools":{"listChanged":true}}}"#,
        _ if request.json()["id"].is_null() => return,
        _ => "{}",
    };
    stream.say(&format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#,
        request.id()
    ));
}

#[test]
fn an_old_server_is_found_out_and_served() {
    let stream = Stream::default();
    let stub = old_server(&stream, polite);
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    // What the server says by itself, and what it asks.
    stream.say(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#);
    assert_eq!(bridge.json()["method"], "notifications/message");
    stream.say(r#"{"jsonrpc":"2.0","id":9,"method":"roots/list"}"#);
    assert_eq!(bridge.json()["id"], 9);
    bridge.send(r#"{"jsonrpc":"2.0","id":9,"result":{"roots":[]}}"#);
    let answer = stub.wait_for(|request| request.json()["result"]["roots"].is_array());
    assert_eq!(answer.target, "/messages?session=s%200");
    assert_eq!(stub.count("GET"), 1, "one stream is enough");
    assert_eq!(stub.requests()[0].target, "/mcp");
    assert!(bridge.end().status.success());
}

#[test]
fn every_status_such_servers_have_leads_there_and_a_servers_own_error_does_not() {
    for status in [400, 404, 405] {
        let stream = Stream::default();
        let served = stream.clone();
        let stub = Stub::start(move |request, wire| match request.target.as_str() {
            "/mcp" if request.method == "GET" => served.serve(wire, "old"),
            "/mcp" => wire.respond(status, &["content-type: text/html"], b"<html>no</html>"),
            // The name is relative to the address of the stream.
            "/old" => {
                wire.respond(200, &["content-type: text/plain"], b"ok");
                polite(request, &served);
            }
            other => panic!("{other}"),
        });
        let mut bridge = Bridge::to(&stub);
        bridge.handshake();
    }
    let stub = Stub::start(|_, wire| {
        wire.json(
            400,
            r#"{"jsonrpc":"2.0","id":"init","error":{"code":-32022,"message":"no"}}"#,
        );
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_UPSTREAM", "legacy")]);
    bridge.send(INITIALIZE);
    assert_eq!(bridge.json()["error"]["code"], -32022);
    assert_eq!(stub.requests().len(), 1);
}

#[test]
fn without_such_a_stream_the_first_refusal_is_the_answer() {
    let streams: [fn(&mut Wire<'_>); 4] = [
        |wire| wire.respond(404, &[], b""),
        |wire| wire.respond(200, &["content-type: text/html"], b"<html>"),
        |wire| wire.stream(),
        // Neither key nor message go to another origin.
        |wire| {
            wire.stream();
            wire.raw(b"event: endpoint\ndata: http://localhost:9/messages\n\n");
        },
    ];
    for get in streams {
        let stub = Stub::start(move |request, wire| {
            if request.method == "GET" {
                get(wire);
            } else {
                wire.respond(405, &[], b"");
            }
        });
        let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_UPSTREAM", "legacy")]);
        bridge.send(INITIALIZE);
        assert_eq!(bridge.error("\"init\"", -31002)["data"]["httpStatus"], 405);
        assert_eq!(stub.requests().len(), 2);
        assert!(bridge.end().lines.is_empty());
    }
}

#[test]
fn a_second_handshake_begins_with_a_new_stream() {
    let stream = Stream::default();
    let stub = old_server(&stream, polite);
    let mut bridge = Bridge::to(&stub);
    for turn in 0..2 {
        bridge.handshake();
        bridge.send(&call("1", "t"));
        assert_eq!(bridge.json()["id"], 1);
        assert_eq!(
            stub.wait_for(
                |request| request.rpc() == "tools/call" && request.target.ends_with(&turn.to_string())
            )
            .method,
            "POST"
        );
    }
    assert_eq!(stub.count("GET"), 2);
}

#[test]
fn the_end_of_the_stream_ends_what_is_in_flight_and_the_next_message_connects_again() {
    let stream = Stream::default();
    let stub = old_server(&stream, |request, stream| {
        if request.json()["params"]["name"] != "never" {
            polite(request, stream);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    stub.wait_rpc("notifications/initialized");
    bridge.send(&call("1", "never"));
    bridge.send(&call("2", "never"));
    stub.wait_for(|request| request.id() == "2");
    stream.end();
    let mut lost = [bridge.json(), bridge.json()];
    lost.sort_by_key(|line| line["id"].as_i64());
    for (line, id) in lost.iter().zip(1..) {
        assert_eq!(line["id"], id);
        assert_eq!(line["error"]["code"], -31003, "{line}");
        assert_eq!(line["error"]["data"]["sent"], true);
    }
    bridge.send(&call("3", "t"));
    assert_eq!(bridge.json()["method"], "notifications/tools/list_changed");
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":3,"result":{}}"#);
    let after: Vec<String> = stub
        .requests()
        .iter()
        .filter(|request| request.target == "/messages?session=s%201")
        .map(Request::rpc)
        .collect();
    assert_eq!(after, ["initialize", "notifications/initialized", "tools/call"]);
    bridge.end();
}

#[test]
fn a_server_that_does_not_come_back_is_named_and_nothing_was_sent() {
    let stream = Stream::default();
    let served = stream.clone();
    let opened = AtomicUsize::new(0);
    let stub = Stub::start(move |request, wire| {
        if request.method == "GET" {
            if opened.fetch_add(1, Ordering::SeqCst) == 0 {
                served.serve(wire, "/messages");
            } else {
                wire.respond(503, &[], b"");
            }
        } else if request.target == "/messages" {
            wire.respond(202, &[], b"");
            polite(request, &served);
        } else {
            wire.respond(405, &[], b"");
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    stub.wait_rpc("notifications/initialized");
    stream.end();
    bridge.send(&call("1", "t"));
    let line = bridge.json();
    // Whether the end was noticed before or after the call left is the network's to say.
    assert!(
        line["error"]["code"] == -31001 || line["error"]["code"] == -31003,
        "{line}"
    );
    bridge.send(&call("2", "t"));
    assert_eq!(bridge.error("2", -31001)["data"]["sent"], false);
}

#[test]
fn x40_nothing_is_translated_for_the_transport_of_then_and_the_clients_own_handshake_is_carried() {
    let stream = Stream::default();
    let stub = old_server(&stream, polite);
    let mut bridge = translating(&stub);
    for method in ["server/discover", "tools/list"] {
        bridge.send(&modern("\"m\"", method, ""));
        let error = &bridge.json()["error"];
        assert_eq!(error["code"], -31008, "{error}");
        assert_eq!(error["data"]["sent"], false);
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("2024-11-05") && message.contains("use `initialize`"),
            "{message}"
        );
    }
    bridge.handshake();
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
}

#[test]
fn x01_a_server_of_2024_11_05_that_takes_posts_is_translated_for() {
    let stub = Stub::start(|request, wire| match request.rpc().as_str() {
        _ if request.header("mcp-protocol-version") == Some("2026-07-28") => {
            wire.respond(400, &[], b"Bad Request: Unsupported protocol version");
        }
        "initialize" => wire.handshake(request, "2024-11-05", r#"{"tools":{}}"#),
        "notifications/initialized" => wire.respond(202, &[], b""),
        "tools/call" => {
            assert_eq!(request.header("mcp-protocol-version"), Some("2024-11-05"));
            wire.result(request, r#"{"content":[]}"#);
        }
        _ => wire.respond(405, &[], b""),
    });
    let mut bridge = translating(&stub);
    bridge.send(&modern("1", "tools/call", r#""name":"t","arguments":{},"#));
    let line = bridge.json();
    assert_eq!(line["result"]["resultType"], "complete", "{line}");
}
