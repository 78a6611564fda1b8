//! Whatever a server or a host sends: one answer for each request, bounded memory, and the next message is served
//! (security.md B16, B19).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use serde_json::Value;

use crate::harness::{Bridge, INITIALIZE, Stub, Wire, call, legacy_manners, modern};

/// Sends a call that the server answers with `reply`, a second one that it answers well, and returns the error of the first.
/// The connection ends after the reply, and a reply that is well framed says so: a call sent into a close that nobody announced
/// has an unknown fate.
fn after(reply: impl Fn(&mut Wire<'_>) + Send + Sync + 'static) -> Value {
    let stub = Stub::start(move |request, wire| {
        if request.json()["params"]["name"] == "hostile" {
            reply(wire);
            wire.keep_open = false;
        } else if !legacy_manners(request, wire) {
            wire.result(request, "{}");
        }
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_MAX_MESSAGE", "100000")]);
    bridge.send(&call("1", "hostile"));
    let answer = bridge.json();
    assert_eq!(answer["id"], 1, "{answer}");
    bridge.send(&call("2", "good"));
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":2,"result":{}}"#);
    let ended = bridge.end();
    assert!(
        ended.status.success() && ended.lines.is_empty(),
        "{:?}",
        ended.lines
    );
    let hostile = stub
        .requests()
        .iter()
        .filter(|request| request.json()["params"]["name"] == "hostile")
        .count();
    assert_eq!(hostile, 1, "a call was sent twice");
    answer["error"].clone()
}

/// The same for bytes, the first of which are the head.
fn after_bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> i64 {
    after(move |wire| wire.raw(bytes.as_ref()))["code"]
        .as_i64()
        .unwrap()
}

/// Writes until the bridge has closed its end; fails if it never does.
fn flood(wire: &mut Wire<'_>, head: &str, piece: &[u8]) {
    wire.raw(head.as_bytes());
    for _ in 0..(64 << 20) / piece.len() {
        if !wire.try_raw(piece) {
            return;
        }
    }
    panic!("the bridge read 64 MiB and wanted more");
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const JSON: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n";

#[test]
fn b06_what_never_ends_is_cut_off() {
    let piece = "x".repeat(16 * 1024);
    for (head, line) in [
        // A line of a stream, an event of many lines, a body without a length.
        (format!("{STREAM}data: "), piece.clone()),
        (STREAM.to_owned(), format!("data: {piece}\n")),
        (format!("{JSON}connection: close\r\n\r\n"), piece.clone()),
    ] {
        let error = after(move |wire| flood(wire, &head, line.as_bytes()));
        assert_eq!(error["code"], -31007, "{error}");
        assert_eq!(error["data"]["sent"], true);
    }
    for head in [
        // A header that does not end, headers that do not end, a first line that does not end.
        "HTTP/1.1 200 OK\r\nx: ".to_owned(),
        "HTTP/1.1 200 OK\r\n".to_owned(),
        "HTTP/1.1 200 ".to_owned(),
    ] {
        let line = if head.ends_with('\n') {
            "x: y\r\n".repeat(1000)
        } else {
            piece.clone()
        };
        let error = after(move |wire| flood(wire, &head, line.as_bytes()));
        assert_eq!(error["code"], -31003, "{error}");
    }
    // More than the limit, announced: not a byte of it is waited for.
    assert_eq!(
        after_bytes(format!("{JSON}content-length: 100001\r\n\r\n")),
        -31007
    );
}

#[test]
fn b04_bytes_that_are_no_text_never_reach_the_host() {
    let broken: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":\"\xff\xfe\"}}";
    let whole = [
        format!("{JSON}content-length: {}\r\n\r\n", broken.len()).as_bytes(),
        broken,
    ]
    .concat();
    assert_eq!(after_bytes(whole), -31005);
    assert_eq!(
        after_bytes([STREAM.as_bytes(), b"data: ", broken, b"\n\n"].concat()),
        -31005
    );
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: br\r\nconnection: close\r\n\r\n",
    ] {
        assert_eq!(after_bytes([head.as_bytes(), &gzip].concat()), -31005);
    }
    // An error is named by its status, its text made fit to be read.
    let error = after(move |wire| {
        wire.respond(
            500,
            &[
                "content-type: application/json",
                "content-encoding: gzip",
                "connection: close",
            ],
            &gzip,
        );
    });
    assert_eq!(error["code"], -31002);
}

#[test]
fn m1_a_reply_that_is_no_http_is_a_lost_one() {
    for bytes in [
        "",
        "\r\n\r\n",
        "nonsense\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n12345",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{\"jsonrpc\"",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"jso",
    ] {
        assert_eq!(after_bytes(bytes), -31003, "{bytes:?}");
    }
}

#[test]
fn m7_odd_statuses_are_named() {
    for (status, code) in [
        (304, -31002),
        (399, -31002),
        (418, -31002),
        (599, -31002),
        (999, -31002),
        (203, -31005),
    ] {
        let headers = ["content-type: text/plain", "connection: close"];
        let error = after(move |wire| wire.respond(status, &headers, b"?"));
        assert_eq!(error["code"], code, "{status}: {error}");
    }
    // Words before the answer are passed over.
    let stub = Stub::start(|request, wire| {
        wire.raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["id"], 1);
}

#[test]
fn m1_a_reply_of_any_depth_passes() {
    const DEPTH: usize = 200_000;
    let stub = Stub::start(|request, wire| {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(DEPTH), "]".repeat(DEPTH));
        if request.rpc() == "initialize" {
            wire.result(
                request,
                &format!(r#"{{"protocolVersion":"2025-11-25","capabilities":{deep}}}"#),
            );
        } else if request.rpc() == "subscriptions/listen" {
            wire.stream();
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{deep}}}"#,
                request.id()
            ));
        } else if !legacy_manners(request, wire) {
            wire.result(
                request,
                &format!(r#"{{"tools":[{{"name":"x-mcp-header","inputSchema":{deep}}}]}}"#),
            );
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(INITIALIZE);
    bridge.raw_line();
    for line in [
        modern("1", "tools/list", ""),
        modern("1", "tools/call", r#""name":"t","#),
        modern("1", "subscriptions/listen", ""),
        call("1", "t"),
    ] {
        bridge.send(&line);
        assert!(
            bridge.raw_line().starts_with(r#"{"jsonrpc":"2.0","id":1,"#),
            "{line}"
        );
    }
}

#[test]
fn b46_a_stream_of_nothing_ends_at_the_time_limit() {
    let closed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&closed);
    let stub = Stub::start(move |request, wire| {
        if request.rpc() != "tools/call" {
            return wire.respond(202, &[], b"");
        }
        wire.stream();
        while wire.try_raw(b": still here\n\n") {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        seen.store(true, Ordering::SeqCst);
        wire.keep_open = false;
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_CALL_TIMEOUT", "0.3")]);
    bridge.send(&modern("1", "tools/call", r#""name":"t","#));
    bridge.error("1", -31004);
    let deadline = std::time::Instant::now() + crate::harness::LIVENESS;
    while !closed.load(Ordering::SeqCst) {
        assert!(std::time::Instant::now() < deadline, "the stream is still open");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn b07_no_bytes_of_the_host_end_the_process(
        lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..40)
    ) {
        let stub = Stub::start(|request, wire| wire.result(request, "{}"));
        let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_MAX_MESSAGE", "150")]);
        for line in lines {
            bridge.write(&line);
            bridge.write(b"\n");
        }
        bridge.send(r#"{"jsonrpc":"2.0","id":"end","method":"tools/call"}"#);
        // Nothing that random is a request, so nothing is forwarded, and only errors without an id could come.
        prop_assert_eq!(&bridge.json()["id"], "end");
        prop_assert_eq!(stub.requests().len(), 1);
        let ended = bridge.end();
        prop_assert!(ended.status.success() && ended.lines.is_empty());
    }
}

#[test]
fn b02_stdout_carries_messages_and_nothing_else() {
    // Everything that is worth a word at the most talkative level: a wrong setting of a message, refusals, breaks, the end.
    let stub = Stub::start(|request, wire| match request.json()["params"]["name"].as_str() {
        Some("refused") => wire.respond(500, &["content-type: text/plain"], b"{\"not\":\"for you\"}\n{}\n"),
        Some("broken") => wire.keep_open = false,
        _ => {
            if !legacy_manners(request, wire) {
                wire.json(200, "no message\n{}");
            }
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send("nonsense");
    for (id, name) in [("1", "refused"), ("2", "broken"), ("3", "odd")] {
        bridge.send(&call(id, name));
    }
    // `json` and `end` fail on a line that is no message.
    let mut ids: Vec<_> = (0..4).map(|_| bridge.json()["id"].clone()).collect();
    ids.sort_by_key(Value::as_i64);
    assert_eq!(ids, [Value::Null, 1.into(), 2.into(), 3.into()]);
    let ended = bridge.end();
    assert!(ended.lines.is_empty());
    assert!(ended.stderr.lines().count() > 5, "{}", ended.stderr);
}

#[test]
fn b09_no_level_of_the_log_repeats_what_messages_hold() {
    const PLANTED: &str = "planted-8c2f";
    let stub = Stub::start(|request, wire| match request.rpc().as_str() {
        "initialize" => {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{"protocolVersion":"2025-11-25","capabilities":{{}},"x":"{PLANTED}"}}}}"#,
                request.id()
            );
            wire.respond(
                200,
                &[
                    "content-type: application/json",
                    &format!("mcp-session-id: {PLANTED}"),
                    &format!("x-other: {PLANTED}"),
                ],
                body.as_bytes(),
            );
        }
        "tools/call" if request.json()["id"] == 2 => wire.keep_open = false,
        "tools/call" if request.json()["id"] == 3 => {
            wire.stream();
            wire.event(&format!("{PLANTED} is no message"));
        }
        "tools/call" => wire.result(request, &format!(r#"{{"content":"{PLANTED}"}}"#)),
        _ => {
            legacy_manners(request, wire);
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    for id in ["1", "2", "3"] {
        bridge.send(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"t","arguments":{{"a":"{PLANTED}"}}}}}}"#
        ));
        bridge.json();
    }
    bridge.send(&format!(r#"{{"broken":"{PLANTED}""#));
    bridge.send(&modern("4", "tools/call", &format!(r#""name":"{PLANTED}","#)));
    for _ in 0..2 {
        bridge.json();
    }
    let stderr = bridge.end().stderr;
    assert!(
        stderr.contains("request") && !stderr.contains(PLANTED),
        "{stderr}"
    );
}

#[test]
fn b06_a_line_of_the_host_that_never_ends_is_not_kept() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_MAX_MESSAGE", "1000000")]);
    bridge.write(br#"{"jsonrpc":"2.0","id":1,"method":""#);
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        bridge.write(&piece);
    }
    assert_eq!(bridge.error("1", -31007)["data"]["sent"], false);
    let held = bridge.resident_bytes();
    assert!(held < 24 << 20, "{held} bytes held of a line that was refused");
    bridge.write(b"\n");
    bridge.send(&call("2", "t"));
    assert_eq!(bridge.json()["id"], 2);
    assert_eq!(stub.requests().len(), 1);
}

#[test]
fn b05_a_line_that_the_end_cuts_off_is_no_message() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    for cut in [r#"{"jsonrpc":"2.0","id":1,"method":"tools/ca"#, "\u{e9}", "{"] {
        let mut bridge = Bridge::to(&stub);
        bridge.write(&cut.as_bytes()[..cut.len() - usize::from(!cut.is_ascii())]);
        let ended = bridge.end();
        assert!(
            ended.status.success() && ended.lines.is_empty(),
            "{:?}",
            ended.lines
        );
        assert!(ended.stderr.contains("no JSON-RPC message"), "{}", ended.stderr);
    }
    assert_eq!(stub.requests().len(), 0);
}
