//! What the server may answer instead of a result, and what the host reads (security.md §4.1, second half).

use crate::harness::{Bridge, INITIALIZE, KEY, Stub, call, modern};

/// What the host reads when a server answers a call with this.
fn refused(
    status: u16,
    headers: &'static [&'static str],
    body: &'static str,
    code: i64,
) -> serde_json::Value {
    let stub = Stub::start(move |_, wire| wire.respond(status, headers, body.as_bytes()));
    let mut bridge = Bridge::to(&stub);
    bridge.send(&call("1", "t"));
    let error = bridge.error("1", code);
    assert!(bridge.end().lines.is_empty());
    assert_eq!(stub.requests().len(), 1, "{status}: a call is not repeated");
    error
}

#[test]
fn m7_a_status_without_a_json_rpc_error_is_named() {
    for (status, sent) in [
        (400, false),
        (404, false),
        (405, false),
        (413, false),
        (500, true),
        (502, true),
        (504, true),
    ] {
        let error = refused(
            status,
            &["content-type: text/html"],
            "<h1>\u{1b}[31mNo\r\n way</h1>",
            -31002,
        );
        assert_eq!(error["data"]["httpStatus"], status, "{error}");
        assert_eq!(error["data"]["sent"], sent, "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&status.to_string()), "{message}");
        if status != 404 {
            assert!(message.contains("No way</h1>"), "{message}");
        }
    }
}

#[test]
fn m7_quoted_text_is_short() {
    let long: &'static str = Box::leak("é".repeat(5000).into_boxed_str());
    let message = refused(500, &["content-type: text/plain"], long, -31002)["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.chars().filter(|c| *c == 'é').count() == 200, "{message}");
}

#[test]
fn m6_the_servers_own_error_passes_with_the_requests_id() {
    for status in [400, 401, 403, 404, 429, 500, 503] {
        for (sent, seen) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no","data":[1.0]}}"#,
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no","data":[1.0]}}"#,
            ),
            (
                r#"{"error":{"message":"no","code":7},"jsonrpc":"2.0"}"#,
                r#"{"jsonrpc":"2.0","id":1,"error":{"message":"no","code":7}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":7,"message":"no"}}"#,
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":7,"message":"no"}}"#,
            ),
        ] {
            let stub = Stub::start(move |_, wire| wire.json(status, sent));
            let mut bridge = Bridge::to(&stub);
            bridge.send(&call("1", "t"));
            assert_eq!(bridge.line(), seen);
        }
    }
    refused(
        400,
        &["content-type: application/json"],
        r#"{"jsonrpc":"2.0","id":2,"error":{"code":7,"message":"no"}}"#,
        -31005,
    );
    refused(
        400,
        &["content-type: application/json"],
        r#"{"detail":"no"}"#,
        -31002,
    );
}

#[test]
fn m1_a_wrong_reply_is_a_breach_of_the_protocol() {
    for (headers, body) in [
        (&["content-type: text/html"] as &'static [&'static str], "<html>"),
        (&[], r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
        (&["content-type: application/json"], ""),
        (
            &["content-type: application/json"],
            r#"{"jsonrpc":"2.0","id":2,"result":{}}"#,
        ),
        (
            &["content-type: application/json"],
            r#"{"jsonrpc":"2.0","id":"1","result":{}}"#,
        ),
        (
            &["content-type: application/json"],
            r#"{"jsonrpc":"2.0","error":{"code":1,"message":"x"}}"#,
        ),
        (
            &["content-type: application/json"],
            r#"{"jsonrpc":"2.0","id":1,"result":{}"#,
        ),
        (
            &["content-type: application/json", "content-encoding: gzip"],
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        ),
    ] {
        assert_eq!(refused(200, headers, body, -31005)["data"]["sent"], true);
    }
}

#[test]
fn m8_a_missing_or_refused_key_names_what_to_set() {
    let error = refused(
        401,
        &["www-authenticate: Bearer error=\"invalid_token\", error_description=\"expired\""],
        "",
        -31006,
    );
    assert_eq!(error["data"]["setting"], "FOOTBRIDGE_KEY");
    assert_eq!(error["data"]["httpStatus"], 401);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("did not accept the key") && message.contains("expired"),
        "{message}"
    );

    let stub = Stub::start(|request, wire| {
        assert_eq!(request.header("authorization"), None);
        wire.respond(401, &[], b"");
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_KEY", "")]);
    bridge.send(&call("1", "t"));
    let error = bridge.error("1", -31006);
    assert!(
        error["message"].as_str().unwrap().contains("Set FOOTBRIDGE_KEY"),
        "{error}"
    );
}

#[test]
fn m8_a_first_word_without_a_key_ends_the_bridge_with_the_variable_on_stderr() {
    let answers: [(&'static [&'static str], &'static str); 2] = [
        (&[], ""),
        (
            &["content-type: application/json"],
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32010,"message":"401 Unauthorized"}}"#,
        ),
    ];
    for (headers, body) in answers {
        for greeting in [INITIALIZE.to_owned(), modern("1", "server/discover", "")] {
            let stub = Stub::start(move |_, wire| wire.respond(401, headers, body.as_bytes()));
            let mut bridge =
                Bridge::to_with(&stub, &[("FOOTBRIDGE_KEY", ""), ("FOOTBRIDGE_SIGN_IN", "never")]);
            bridge.send(&greeting);
            let answer = bridge.json();
            assert!(answer["error"]["code"].is_i64(), "{answer}");
            let ended = bridge.wait();
            assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
            assert!(ended.stderr.contains("Set FOOTBRIDGE_KEY"), "{}", ended.stderr);
            assert!(ended.lines.is_empty(), "{:?}", ended.lines);
        }
    }
}

#[test]
fn m8_missing_scopes_are_named() {
    let error = refused(
        403,
        &["www-authenticate: Bearer error=\"insufficient_scope\", scope=\"invoices:read invoices:write\""],
        "",
        -31006,
    );
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("invoices:read invoices:write"),
        "{error}"
    );
}

#[test]
fn m8_a_refusal_without_a_scope_is_about_the_key_as_well() {
    let error = refused(
        403,
        &["content-type: text/html"],
        "<h1>Blocked\r\n here</h1>",
        -31006,
    );
    assert_eq!(error["data"]["httpStatus"], 403);
    assert_eq!(error["data"]["setting"], "FOOTBRIDGE_KEY");
    assert_eq!(error["data"]["sent"], false);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("403") && message.contains("Blocked here"),
        "{message}"
    );
}

#[test]
fn m11_a_server_that_asks_for_a_pause_gets_it_once() {
    // Longer than we wait: the value is handed on.
    for (status, sent) in [(429, false), (503, true)] {
        let error = refused(status, &["retry-after: 3600"], "", -31002);
        assert!(error["message"].as_str().unwrap().contains("3600 s"), "{error}");
        assert_eq!(error["data"]["sent"], sent);
    }
    // 429 was not executed. After 503 only what may be repeated is.
    for (status, method, times) in [
        (429, "tools/call", 2),
        (503, "tools/list", 2),
        (503, "tools/call", 1),
    ] {
        let stub = Stub::start(move |_, wire| wire.respond(status, &["retry-after: 0"], b""));
        let mut bridge = Bridge::to(&stub);
        bridge.send(&modern("1", method, r#""name":"t","#));
        assert_eq!(bridge.error("1", -31002)["data"]["httpStatus"], status);
        assert_eq!(stub.requests().len(), times, "{status} {method}");
    }
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let stub = Stub::start(move |request, wire| {
        if turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            wire.respond(429, &["retry-after: 0"], b"");
        } else {
            wire.result(request, "{}");
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&call("1", "t"));
    assert!(bridge.json()["result"].is_object());
}

#[test]
fn b46_time_limits_end_a_request_and_say_so() {
    for (variable, headers_first) in [
        ("FOOTBRIDGE_RESPONSE_TIMEOUT", false),
        ("FOOTBRIDGE_CALL_TIMEOUT", true),
    ] {
        let stub = Stub::start(move |request, wire| {
            if request.rpc() == "tools/call" {
                if headers_first {
                    wire.stream();
                }
                wire.wait_closed();
            } else {
                wire.respond(202, &[], b"");
            }
        });
        let mut bridge = Bridge::to_with(&stub, &[(variable, "0.2")]);
        bridge.send(&call("1", "t"));
        assert_eq!(bridge.error("1", -31004)["data"]["sent"], true);
        // A legacy server is told; a modern one has seen the exchange close.
        stub.wait_rpc("notifications/cancelled");
        bridge.send(&modern("2", "tools/call", r#""name":"t","#));
        bridge.error("2", -31004);
        bridge.end();
        assert_eq!(stub.count("notifications/cancelled"), 1);
    }
}

#[test]
fn m8_a_server_that_repeats_the_key_cannot_make_us_print_it() {
    // A server that quotes our credential back at us: the text is the server's, so it is not shown.
    let stub = Stub::start(|_, wire| {
        wire.respond(
            401,
            &[&format!(
                "www-authenticate: Bearer error_description=\"bad {KEY}\""
            )],
            b"",
        );
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&call("1", "t"));
    let error = bridge.error("1", -31006);
    assert!(!error.to_string().contains(KEY));
}
