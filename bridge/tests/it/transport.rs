//! Connections: the server down and up, redirects, what is sent again.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Bridge, Stub, call, modern};

#[test]
fn the_bridge_runs_without_the_server_and_finds_it_later() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut bridge = Bridge::with(&[("FOOTBRIDGE_URL", &format!("http://{address}/mcp"))]);
    bridge.send(crate::harness::INITIALIZE);
    let error = bridge.error("\"init\"", -31001);
    assert_eq!(error["data"]["sent"], false);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(&address.to_string()) && message.contains("refused"),
        "{message}"
    );
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);

    let stub = Stub::on(
        TcpListener::bind(address).unwrap(),
        |stream| Some(Box::new(stream)),
        |request, wire| {
            wire.result(request, "{}");
        },
    );
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["id"], 1);
    assert_eq!(stub.count("tools/call"), 1);
}

#[test]
fn a_missing_or_unusable_address_is_answered_in_words() {
    for (url, says) in [
        ("", "FOOTBRIDGE_URL"),
        ("mcp.example.com/mcp", "http:// or https://"),
        ("http://mcp.example.com/mcp", "FOOTBRIDGE_ALLOW_HTTP=1"),
        (
            "https://name:password@mcp.example.com/mcp",
            "user name or password",
        ),
        ("http://127.0.0.1:1/mcp", "refused"),
        ("http://no-such-host.invalid/mcp", "unencrypted"),
        ("https://no-such-host.invalid/mcp", "could not be found"),
    ] {
        let mut bridge = Bridge::with(&[("FOOTBRIDGE_URL", url)]);
        bridge.send(crate::harness::INITIALIZE);
        let error = bridge.error("\"init\"", -31001);
        assert_eq!(error["data"]["sent"], false);
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(says) && !message.contains("password@"),
            "{url}: {message}"
        );
        // Every request, not only the first.
        bridge.send(&modern("2", "server/discover", ""));
        bridge.error("2", -31001);
        assert!(bridge.end().status.success());
    }
}

#[test]
fn a_wrong_setting_is_answered_in_words() {
    let mut bridge = Bridge::with(&[
        ("FOOTBRIDGE_URL", "http://127.0.0.1:1/"),
        ("FOOTBRIDGE_CALL_TIMEOUT", "soon"),
    ]);
    bridge.send(crate::harness::INITIALIZE);
    let error = bridge.error("\"init\"", -31001);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("`FOOTBRIDGE_CALL_TIMEOUT` is set to `soon`"),
        "{error}"
    );
}

#[test]
fn one_connection_serves_many_calls() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let mut bridge = Bridge::to(&stub);
    for id in 0..50 {
        bridge.send(&call(&id.to_string(), "t"));
        bridge.json();
    }
    assert!(stub.requests().iter().all(|request| request.connection == 0));
}

#[test]
fn b41_a_connection_the_server_has_closed_is_replaced_before_a_byte_is_sent() {
    let stub = Stub::start(|request, wire| {
        wire.result(request, "{}");
        wire.keep_open = false;
    });
    let mut bridge = Bridge::to(&stub);
    for id in 0..20 {
        bridge.send(&call(&id.to_string(), "t"));
        assert!(bridge.json()["result"].is_object());
        // Long enough for the end of the connection to have arrived, as between two calls of a person.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(stub.requests().len(), 20, "nothing was sent twice");
}

#[test]
fn b41_a_call_whose_connection_breaks_after_it_left_is_never_sent_again() {
    for how in ["closes", "half a head", "half a body"] {
        let stub = Stub::start(move |_, wire| {
            wire.keep_open = false;
            match how {
                "closes" => {}
                "half a head" => wire.raw(b"HTTP/1.1 200 OK\r\ncontent-ty"),
                _ => wire.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"jsonrpc\""),
            }
        });
        let mut bridge = Bridge::to(&stub);
        bridge.send(&call("1", "t"));
        let error = bridge.error("1", -31003);
        assert_eq!(error["data"]["sent"], true, "{how}");
        assert!(error["message"].as_str().unwrap().contains("unknown"), "{error}");
        let calls = stub.count("tools/call");
        assert_eq!(calls, 1, "{how}");
    }
}

#[test]
fn b41_whatever_connections_do_every_call_is_answered_once_and_sent_at_most_once() {
    const CALLS: usize = 3000;
    let stub = Stub::start(|request, wire| {
        if request.rpc() != "tools/call" {
            // It tells a server which calls it gave up.
            return wire.respond(202, &[], b"");
        }
        let number: usize = request.id().parse().unwrap();
        let whole = format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{}}}}"#);
        match number % 11 {
            0 => wire.keep_open = false,
            1 => {
                wire.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{");
                wire.keep_open = false;
            }
            2 => {
                wire.stream();
                wire.event(r#"{"jsonrpc":"2.0","method":"n"}"#);
            }
            3 => {
                wire.stream();
                wire.event(r#"{"jsonrpc":"2.0","method":"n"}"#);
                wire.event(&whole);
            }
            4 => wire.respond(500, &[], b"oops"),
            5 => {
                // The connection ends just after the answer: the next request may race with that.
                wire.json(200, &whole);
                wire.keep_open = false;
            }
            _ => wire.json(200, &whole),
        }
    });
    let mut bridge = Bridge::to(&stub);
    let mut answers = vec![0; CALLS];
    let (mut sent, mut answered, mut refused) = (0, 0, 0);
    while answered < CALLS {
        while sent < CALLS && sent - answered < 40 {
            bridge.send(&call(&sent.to_string(), "t"));
            sent += 1;
        }
        let line = bridge.json();
        let Some(id) = line["id"].as_u64() else { continue };
        let id = usize::try_from(id).unwrap();
        answers[id] += 1;
        answered += 1;
        let code = line["error"]["code"].as_i64();
        match id % 11 {
            0..=2 => assert_eq!(code, Some(-31003), "{line}"),
            // A kept connection may have ended while the request was being written: then nobody knows, and it says so.
            4 => {
                assert!(matches!(code, Some(-31002 | -31003)), "{line}");
                refused += usize::from(code == Some(-31002));
            }
            _ => assert!(code.is_none() || code == Some(-31003), "{line}"),
        }
    }
    assert!(refused > CALLS / 11 / 2, "{refused}: that is the exception");
    assert!(answers.iter().all(|count| *count == 1));
    let ended = bridge.end();
    assert!(ended.lines.iter().all(|line| !line.contains("\"id\"")));
    let mut arrived = vec![0; CALLS];
    for request in stub
        .requests()
        .iter()
        .filter(|request| request.rpc() == "tools/call")
    {
        arrived[request.id().parse::<usize>().unwrap()] += 1;
    }
    assert!(arrived.iter().all(|count| *count <= 1), "a call was sent twice");
}

#[test]
fn b16_redirects_stay_on_the_origin_and_keep_the_message() {
    let hops = AtomicUsize::new(0);
    let stub = Stub::start(move |request, wire| {
        let status = if hops.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            307
        } else {
            308
        };
        match request.target.as_str() {
            "/mcp" => wire.respond(status, &["location: /b?x=1"], b""),
            "/b?x=1" => wire.respond(status, &["location: c"], b"moved"),
            "/c" => wire.respond(status, &["location: /d"], b""),
            "/d" => wire.result(request, "{}"),
            other => panic!("{other}"),
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["id"], 1);
    assert_eq!(stub.last().text(), call("1", "t"));
    assert!(stub.last().header("authorization").is_some());
}

#[test]
fn b16_redirects_do_not_go_on_for_ever() {
    let stub = Stub::start(|_, wire| wire.respond(307, &["location: /mcp"], b""));
    let mut bridge = Bridge::to(&stub);
    bridge.send(&call("1", "t"));
    let error = bridge.error("1", -31002);
    assert_eq!(error["data"]["httpStatus"], 307);
    assert_eq!(stub.requests().len(), 4);
}

#[test]
fn b16_neither_key_nor_message_follow_a_redirect_elsewhere() {
    let other = Stub::start(|request, wire| wire.result(request, "{}"));
    let elsewhere: &'static str = Box::leak(format!("location: {}", other.url()).into_boxed_str());
    for status in [301, 302, 303, 307, 308] {
        let stub = Stub::start(move |_, wire| wire.respond(status, &[elsewhere], b""));
        let mut bridge = Bridge::to(&stub);
        bridge.send(&call("1", "t"));
        let error = bridge.error("1", -31002);
        assert_eq!(error["data"]["httpStatus"], status);
        assert!(
            error["message"].as_str().unwrap().contains(&other.url()),
            "{error}"
        );
    }
    // Same origin, but the method would change.
    for status in [301, 302, 303] {
        let stub = Stub::start(move |_, wire| wire.respond(status, &["location: /other"], b""));
        let mut bridge = Bridge::to(&stub);
        bridge.send(&call("1", "t"));
        bridge.error("1", -31002);
        assert_eq!(stub.requests().len(), 1);
    }
    assert_eq!(other.requests().len(), 0);
}
