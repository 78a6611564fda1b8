//! What the host may write, and what it gets for it (security.md §4.1, first half).

use crate::harness::{Bridge, Stub, call, legacy_manners, modern};

fn echo() -> Stub {
    Stub::start(|request, wire| {
        if !legacy_manners(request, wire) {
            wire.result(request, "{}");
        }
    })
}

#[test]
fn b37_ids_come_back_as_they_were_and_differ_by_type() {
    let stub = echo();
    let mut bridge = Bridge::to(&stub);
    for id in [
        "0",
        "1",
        r#""1""#,
        r#""""#,
        "-7",
        "9007199254740993",
        "123456789012345678901234567890",
        r#""a\u0062\"\\""#,
        r#""äöü 世界""#,
    ] {
        bridge.send(&call(id, "t"));
        assert!(
            bridge.line().contains(&format!(r#""id":{id},"#)) || id.contains('\\') || id.len() > 25,
            "{id}"
        );
    }
    bridge.send(&format!("{}\n{}", call("1", "a"), call(r#""1""#, "b")));
    let mut ids = [bridge.json()["id"].clone(), bridge.json()["id"].clone()];
    ids.sort_by_key(serde_json::Value::is_string);
    assert_eq!(ids, [serde_json::json!(1), serde_json::json!("1")]);
}

#[test]
fn b07_a_modern_host_hears_of_broken_lines_and_the_next_line_is_served() {
    let stub = echo();
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "tools/list", ""));
    assert_eq!(bridge.json()["id"], 1);
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"a":{}}}}}"#,
        "[".repeat(50_000)
    );
    for (line, code) in [
        ("nonsense", -32700),
        (r#"{"jsonrpc":"2.0","id":1"#, -32700),
        (deep.as_str(), -32700),
        ("[]", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        ("42", -32600),
        (r#"{"id":{},"jsonrpc":"2.0","method":"m"}"#, -32600),
        (r#"{"id":1.5,"jsonrpc":"2.0","method":"m"}"#, -32600),
        (r#"{"id":null,"jsonrpc":"2.0","method":"m"}"#, -32600),
        (r#"{"id":1,"id":2,"jsonrpc":"2.0","method":"m"}"#, -32600),
    ] {
        bridge.send(line);
        let error = bridge.error("null", code);
        assert_eq!(error["data"]["sent"], false);
    }
    bridge.write(b"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"\xff\"}\n");
    bridge.error("null", -32700);
    bridge.send(&modern("2", "tools/list", ""));
    assert_eq!(bridge.json()["id"], 2);
    assert_eq!(stub.requests().len(), 2, "nothing broken was forwarded");
}

#[test]
fn b07_a_broken_message_with_a_readable_id_is_answered_under_it() {
    let stub = echo();
    let mut bridge = Bridge::to(&stub);
    for line in [
        r#"{"id":"x","method":"m"}"#,
        r#"{"id":"x","jsonrpc":"1.0","method":"m"}"#,
        r#"{"id":"x","jsonrpc":"2.0"}"#,
        r#"{"id":"x","jsonrpc":"2.0","method":7}"#,
        r#"{"id":"x","jsonrpc":"2.0","method":"m","params":[1]}"#,
        r#"{"id":"x","jsonrpc":"2.0","method":"m","method":"n"}"#,
        r#"{"id":"x","jsonrpc":"2.0","method":"tools/call","params":{"name":"a","name":"b"}}"#,
    ] {
        bridge.send(line);
        bridge.error("\"x\"", -32600);
    }
    assert_eq!(stub.requests().len(), 0);
}

#[test]
fn b07_an_older_host_is_not_sent_an_error_its_schema_does_not_know() {
    let stub = Stub::start(|request, wire| {
        if !crate::harness::legacy_manners_of("2025-06-18", request, wire) {
            wire.result(request, "{}");
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send("nonsense");
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["id"], 1);
    let ended = bridge.end();
    assert!(
        ended.lines.is_empty() && ended.stderr.contains("no JSON-RPC message"),
        "{}",
        ended.stderr
    );

    let stub = echo();
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    bridge.send("nonsense");
    bridge.error("null", -32700);
}

#[test]
fn b01_blanks_and_line_ends_of_other_systems_are_tolerated() {
    let stub = echo();
    let mut bridge = Bridge::to(&stub);
    bridge.write(format!("\r\n\n  {}  \r\n\t\n", call("1", "t")).as_bytes());
    assert_eq!(bridge.json()["id"], 1);
    assert_eq!(stub.wait_rpc("tools/call").text(), call("1", "t"));
}

#[test]
fn b06_a_line_over_the_limit_is_refused_and_the_stream_goes_on() {
    let stub = echo();
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_MAX_MESSAGE", "2000")]);
    let sized = |id: &str, bytes: usize| {
        let empty = call(id, "").len();
        call(id, &"x".repeat(bytes - empty))
    };
    bridge.send(&sized("1", 2000));
    assert_eq!(bridge.json()["id"], 1);
    bridge.send(&sized("2", 2001));
    let error = bridge.error("2", -31007);
    assert!(error["message"].as_str().unwrap().contains("2000"));
    // An endless line without an id, in many pieces.
    for _ in 0..100 {
        bridge.write(&[b'x'; 65536]);
    }
    bridge.send("");
    bridge.send(&call("3", "t"));
    assert_eq!(bridge.json()["id"], 3);
    assert_eq!(stub.count("tools/call"), 2);
}

#[test]
fn m13_a_notification_that_is_refused_is_for_stderr() {
    let stub = Stub::start(|_, wire| wire.respond(500, &[], b"no"));
    let mut bridge = Bridge::to(&stub);
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#);
    stub.wait_rpc("notifications/roots/list_changed");
    let ended = bridge.end();
    assert!(ended.lines.is_empty());
    assert!(
        ended
            .stderr
            .contains("`notifications/roots/list_changed` was not delivered: the server answered 500")
    );
}

#[test]
fn m14_an_answer_nobody_asked_for_goes_nowhere() {
    let stub = echo();
    let mut bridge = Bridge::to(&stub);
    bridge.send(r#"{"jsonrpc":"2.0","id":5,"result":{}}"#);
    bridge.send(&call("1", "t"));
    bridge.json();
    assert_eq!(stub.requests().len(), 1);
}
