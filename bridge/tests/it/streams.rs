//! Event streams: messages as they arrive, in order, and what ends them.

use crate::harness::{Bridge, Gate, Stub, call, modern};

#[test]
fn m2_messages_are_written_as_they_arrive() {
    let gate = Gate::default();
    let held = gate.clone();
    let stub = Stub::start(move |request, wire| {
        wire.stream();
        wire.raw(b"\xef\xbb\xbf: hello\r\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata: \"method\":\"n\",\"params\":{\"step\":1}}\r\n\r\n");
        held.pass();
        wire.raw(b"event: ping\ndata: not for us\n\nid: 7\ndata:\n\n");
        for byte in format!(
            "data:{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{}}}}\n\n",
            request.id()
        )
        .bytes()
        {
            wire.raw(&[byte]);
        }
        wire.event(r#"{"jsonrpc":"2.0","method":"after the end"}"#);
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "tools/call", r#""name":"t","#));
    assert_eq!(
        bridge.line(),
        r#"{"jsonrpc":"2.0", "method":"n","params":{"step":1}}"#
    );
    gate.open();
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    assert!(bridge.end().lines.is_empty());
}

#[test]
fn b31_a_stream_is_read_by_its_rules_however_it_is_cut() {
    const EVENTS: &str = "\u{feff}: first\n\nid: 1\ndata: {\"jsonrpc\":\"2.0\",\ndata:\"method\":\"a\"}\n\n\
        event: ping\rdata: {\"jsonrpc\":\"2.0\",\"method\":\"foreign\"}\r\r\
        event: message\r\nretry: x\r\nunknown: y\r\ndata:  {\"jsonrpc\":\"2.0\",\"method\":\"b\"}\r\n\r\n\
        data\n\ndata:\n\nevent:\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n";
    for size in [1, 2, 3, 7, 50, EVENTS.len()] {
        let stub = Stub::start(move |_, wire| {
            wire.stream();
            for piece in EVENTS.as_bytes().chunks(size) {
                wire.raw(piece);
            }
        });
        let mut bridge = Bridge::to(&stub);
        bridge.send(&modern("1", "tools/call", r#""name":"t","#));
        for expected in [
            r#"{"jsonrpc":"2.0", "method":"a"}"#,
            r#" {"jsonrpc":"2.0","method":"b"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        ] {
            assert_eq!(bridge.line(), expected, "{size}");
        }
        assert!(bridge.end().lines.is_empty());
    }
}

#[test]
fn m3_a_stream_that_ends_early_loses_the_request_and_it_is_not_sent_twice() {
    for (rest, partial) in [
        ("", false),
        (": comment\n\n", false),
        ("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n", true),
    ] {
        let stub = Stub::start(move |_, wire| {
            wire.stream();
            wire.raw(rest.as_bytes());
        });
        let mut bridge = Bridge::to(&stub);
        bridge.send(&modern("1", "tools/call", r#""name":"t","#));
        let error = bridge.error("1", -31003);
        assert_eq!(error["data"]["sent"], true);
        assert!(error["message"].as_str().unwrap().contains("unknown"), "{error}");
        assert_eq!(stub.requests().len(), 1, "partial event: {partial}");
    }
}

#[test]
fn b41_a_lost_listing_is_asked_for_once_more() {
    let stub = Stub::start(|_, wire| wire.stream());
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "tools/list", ""));
    bridge.error("1", -31003);
    assert_eq!(stub.requests().len(), 2);

    let turn = std::sync::atomic::AtomicUsize::new(0);
    let stub = Stub::start(move |request, wire| {
        if turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            wire.keep_open = false;
        } else {
            wire.result(request, "{}");
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "resources/read", r#""uri":"a:b","#));
    assert_eq!(bridge.json()["id"], 1);
}

#[test]
fn b04_what_is_no_message_never_reaches_the_host() {
    for data in [
        "nonsense",
        "42",
        "[]",
        r#"{"jsonrpc":"2.0"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}} trailing"#,
    ] {
        let stub = Stub::start(move |request, wire| {
            if request.json()["params"]["name"] == "stream" {
                wire.stream();
                wire.event(data);
            } else {
                wire.json(200, data);
            }
        });
        let mut bridge = Bridge::to(&stub);
        for name in ["stream", "whole"] {
            bridge.send(&call("1", name));
            assert_eq!(bridge.error("1", -31005)["data"]["sent"], true);
        }
        bridge.end();
    }
}

#[test]
fn b06_an_event_over_the_limit_ends_the_request() {
    let stub = Stub::start(|_, wire| {
        wire.stream();
        wire.event(&"x".repeat(3000));
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_MAX_MESSAGE", "2000")]);
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.error("1", -31007)["data"]["sent"], true);
}

#[test]
fn a_host_that_does_not_read_stops_the_server_and_loses_nothing() {
    const EVENTS: usize = 20_000;
    let stub = Stub::start(|request, wire| {
        wire.stream();
        let text = "x".repeat(1000);
        for step in 0..EVENTS {
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","method":"n","params":{{"step":{step},"text":"{text}"}}}}"#
            ));
        }
        wire.event(&format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#,
            request.id()
        ));
    });
    let mut command = std::process::Command::new(crate::harness::program());
    command.env_clear().env("FOOTBRIDGE_URL", stub.url());
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, format!("{}\n", call("1", "flood")).as_bytes()).unwrap();
    stub.wait_rpc("tools/call");
    // Nothing is read until the bridge has taken what it will take: its memory tells.
    let mut last = 0;
    for _ in 0..100 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let now = crate::harness::resident_bytes(child.id());
        if now == last && now > 0 {
            break;
        }
        last = now;
    }
    assert!(last < 16 << 20, "{last} bytes held for a host that does not read");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    for step in 0..EVENTS {
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(&format!(r#""step":{step},"#)), "{line}");
    }
    assert!(lines.next().unwrap().unwrap().contains(r#""result""#));
    drop(stdin);
    assert!(child.wait().unwrap().success());
}
