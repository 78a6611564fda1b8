//! Bytes are not ours to change (security.md B1).

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::harness::{Bridge, Stub};

/// JSON text with spellings that a parser and printer would not keep.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("1.0".to_owned()),
        Just("-0".to_owned()),
        Just("1e3".to_owned()),
        Just("1E-400".to_owned()),
        Just("123456789012345678901234567890.10".to_owned()),
        Just(r#""\u00e9\/\ud83d\ude00\n""#.to_owned()),
        "[a-zäé世 ]{0,12}".prop_map(|text| format!("\"{text}\"")),
        any::<i64>().prop_map(|number| number.to_string()),
    ];
    let space = prop_oneof![Just(""), Just(" "), Just("\t"), Just("  ")];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let space = space.clone();
        prop_oneof![
            (proptest::collection::vec(inner.clone(), 0..4), space.clone())
                .prop_map(|(items, space)| format!("[{space}{}{space}]", items.join(&format!("{space},")))),
            (proptest::collection::vec((r"[a-z]{0,3}", inner), 0..4), space).prop_map(|(members, space)| {
                // Doubled keys are allowed where nobody reads them.
                let members: Vec<String> = members
                    .into_iter()
                    .map(|(key, value)| format!("\"{key}\"{space}:{value}"))
                    .collect();
                format!("{{{}{space}}}", members.join(","))
            }),
        ]
    })
}

#[test]
fn m1_messages_pass_byte_for_byte_both_ways() {
    let next: Arc<Mutex<String>> = Arc::default();
    let reply = Arc::clone(&next);
    let stub = Stub::start(move |_, wire| wire.json(200, &reply.lock().unwrap()));
    let bridge = std::cell::RefCell::new(Bridge::to(&stub));
    let mut runner = TestRunner::new(Config {
        cases: 1000,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&(json(), json(), any::<bool>()), |(sent, received, id_last)| {
            let (request, response) = if id_last {
                (
                    format!(r#"{{"method":"m","params":{{"x":{sent}}}, "jsonrpc":"2.0","id":7 }}"#),
                    format!(r#"{{ "result" :{received},"extra":[1.0],"id":7,"jsonrpc":"2.0"}}"#),
                )
            } else {
                (
                    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"m","params":{{"x":{sent}}}}}"#),
                    format!(r#"{{"jsonrpc":"2.0","id":7,"result":{received}}}"#),
                )
            };
            next.lock().unwrap().clone_from(&response);
            bridge.borrow_mut().send(&request);
            prop_assert_eq!(bridge.borrow().line(), response);
            let forwarded = stub.last();
            prop_assert_eq!(forwarded.text(), &request);
            Ok(())
        })
        .unwrap();
}

#[test]
fn b03_pretty_printed_replies_lose_their_line_breaks_and_nothing_else() {
    let stub = Stub::start(|_, wire| {
        wire.json(
            200,
            "{\r\n  \"jsonrpc\": \"2.0\",\n\t\"id\": 1,\n  \"result\": {\"a\":\"b\\n\"}\n}\n",
        );
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#);
    assert_eq!(
        bridge.line(),
        "{    \"jsonrpc\": \"2.0\", \t\"id\": 1,   \"result\": {\"a\":\"b\\n\"} } "
    );
}

#[test]
fn b06_a_reply_may_be_large_and_has_a_limit() {
    let stub = Stub::start(|request, wire| {
        let bytes: usize = request.json()["params"]["bytes"]
            .as_u64()
            .unwrap()
            .try_into()
            .unwrap();
        let text = format!("\"{}\"", "x".repeat(bytes));
        if request.json()["params"]["stream"] == true {
            wire.stream();
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{text}}}"#,
                request.id()
            ));
        } else {
            wire.result(request, &text);
        }
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_MAX_MESSAGE", "8000000")]);
    for stream in [false, true] {
        for (bytes, fits) in [(7_000_000, true), (8_000_001, false)] {
            bridge.send(&format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"bytes":{bytes},"stream":{stream}}}}}"#
            ));
            if fits {
                assert_eq!(bridge.json()["result"].as_str().unwrap().len(), bytes);
            } else {
                assert_eq!(bridge.error("1", -31007)["data"]["sent"], true);
            }
        }
    }
}
