use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::arbitrary;
use crate::codes::{INVALID_REQUEST, PARSE_ERROR};

fn request(text: &str) -> Request<'_> {
    match decode(text.as_bytes(), &Rules::BRIDGE) {
        Ok(Message::Request(request)) => request,
        other => panic!("{text} is a request, not {other:?}"),
    }
}

fn refusal(text: &str) -> DecodeError {
    match decode(text.as_bytes(), &Rules::SERVER) {
        Err(error) => error,
        Ok(message) => panic!("{text} is no message, not {message:?}"),
    }
}

fn id(spelling: &str) -> OwnedId {
    let text = format!(r#"{{"jsonrpc":"2.0","method":"m","id":{spelling}}}"#);
    request(&text).id.to_owned()
}

#[test]
fn a_request_keeps_its_bytes() {
    let text = r#" {"params": {"b":1e0,"name":"x","a":[ 1.50],"_meta": {"k" :7}} ,"\u006dethod":"tools\/call",
        "id":"\u0061","more":[{}],"jsonrpc":"2.0"} "#;
    let request = request(text);
    assert_eq!(request.method, "tools/call");
    assert_eq!(request.id.as_raw(), r#""\u0061""#);
    assert_eq!(
        request.params.raw().unwrap().get(),
        r#"{"b":1e0,"name":"x","a":[ 1.50],"_meta": {"k" :7}}"#
    );
    assert_eq!(request.params.raw_meta().unwrap().get(), r#"{"k" :7}"#);
    assert_eq!(request.params.name().unwrap().as_deref(), Some("x"));
}

#[test]
fn method_without_id_is_a_notification() {
    let message = decode(
        br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        &Rules::SERVER,
    );
    let Ok(Message::Notification(notification)) = message else {
        panic!("{message:?}")
    };
    assert_eq!(notification.method, "notifications/initialized");
    assert!(notification.params.raw().is_none());
}

#[test]
fn responses_keep_their_payload() {
    let message = decode(br#"{"jsonrpc":"2.0","id":7,"result":[1.0, 2]}"#, &Rules::SERVER);
    let Ok(Message::Response(Response {
        id: Some(id),
        body: ResponseBody::Result(result),
    })) = message
    else {
        panic!("{message:?}")
    };
    assert_eq!((id.as_raw(), result.get()), ("7", "[1.0, 2]"));
}

#[test]
fn an_error_response_may_lack_its_id() {
    for (spelled, expected) in [
        ("", None),
        (r#""id":null,"#, None),
        (r#""id":"a","#, Some(r#""a""#)),
    ] {
        let text =
            format!(r#"{{"jsonrpc":"2.0",{spelled}"error":{{"code":-32020,"message":"m","data":[1]}}}}"#);
        let message = decode(text.as_bytes(), &Rules::SERVER);
        let Ok(Message::Response(Response {
            id,
            body: ResponseBody::Error(error),
        })) = message
        else {
            panic!("{message:?}")
        };
        assert_eq!(id.map(|id| id.as_raw().to_owned()).as_deref(), expected);
        let view = ErrorView::read(error).unwrap();
        assert_eq!(
            (view.code, &*view.message, view.data.unwrap().get()),
            (-32020, "m", "[1]")
        );
    }
}

#[test]
fn errors_without_a_readable_code_have_no_view() {
    for text in [
        "{}",
        r#"{"code":"1"}"#,
        r#"{"code":1.5}"#,
        r#"{"code":1,"code":2}"#,
        "[]",
    ] {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        assert!(ErrorView::read(raw).is_none(), "{text}");
    }
}

/// Gate row 7: what is refused, under which id, and that the sentence says where to look.
#[test]
fn faults_of_the_envelope() {
    for (text, id, says) in [
        ("17", None, "not a number"),
        ("null", None, "not null"),
        (r#"{"id":1,"method":"m"}"#, Some("1"), "`jsonrpc`"),
        (r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, Some("1"), "`jsonrpc`"),
        (r#"{"jsonrpc":"2.0","id":1}"#, Some("1"), "exactly one"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","result":1}"#,
            Some("1"),
            "exactly one",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#,
            Some("1"),
            "exactly one",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#, Some("1"), "`error`"),
        (r#"{"jsonrpc":"2.0","result":1}"#, None, "`id`"),
        (r#"{"jsonrpc":"2.0","id":null,"result":1}"#, None, "`id`"),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":null}"#,
            Some(r#""a""#),
            "`method`",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#,
            Some("1"),
            "unpaired surrogate",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[]}"#,
            Some("1"),
            "not an array",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":"x"}"#,
            Some("1"),
            "not a string",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":true}"#,
            Some("1"),
            "not a boolean",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":-1}"#,
            Some("1"),
            "not a number",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#,
            Some("1"),
            "not null",
        ),
        (r#"{"jsonrpc":"2.0","id":1.0,"method":"m"}"#, None, "fraction"),
        (r#"{"jsonrpc":"2.0","id":1e1,"method":"m"}"#, None, "exponent"),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"m"}"#, None, "not an array"),
        (
            r#"{"jsonrpc":"2.0","id":"\udc00","method":"m"}"#,
            None,
            "unpaired surrogate",
        ),
        (
            r#"{"jsonrpc":"2.0","id":9007199254740992,"method":"m"}"#,
            None,
            "±9007199254740991",
        ),
        (
            r#"{"jsonrpc":"2.0","id":-9007199254740992,"method":"m"}"#,
            None,
            "±9007199254740991",
        ),
        (
            r#"{"jsonrpc":"2.0","id":99999999999999999999,"method":"m"}"#,
            None,
            "±9007199254740991",
        ),
    ] {
        let error = refusal(text);
        assert_eq!(error.code(), INVALID_REQUEST, "{text}");
        assert_eq!(
            error.id().map(|id| id.as_raw().to_owned()).as_deref(),
            id,
            "{text}"
        );
        assert!(error.to_string().contains(says), "{text} → {error}");
        assert_eq!(error.to_error().message, error.to_string());
    }
}

#[test]
fn what_is_not_one_json_value() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "nul",
        "{}{}",
        "{} x",
        "{,}",
        r#"{"a":1,}"#,
        "[1,]",
        "{'a':1}",
        "01",
        "1.",
        "\"\n\"",
        "\u{feff}{}",
        r#"{"\ud800":1}"#,
        "// c\n{}",
        "[",
        "NaN",
    ] {
        assert_eq!(refusal(text).code(), PARSE_ERROR, "{text}");
        assert_eq!(refusal(text).id(), None, "{text}");
    }
    let error = decode(b"{\"a\":\"\xff\"}", &Rules::SERVER).unwrap_err();
    assert_eq!(error, DecodeError::NotUtf8 { at: 6 });
    assert_eq!(error.code(), PARSE_ERROR);
}

#[test]
fn nesting_is_bounded_exactly() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"arguments":{open}{close}}}}}"#)
    };
    assert!(decode(nested(32).as_bytes(), &Rules::SERVER).is_ok());
    assert_eq!(refusal(&nested(33)), DecodeError::TooDeep { limit: 34 });
    assert_eq!(refusal(&nested(33)).code(), PARSE_ERROR);
    // Neither brackets in strings nor a great depth change that, or overflow anything.
    let brackets = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, "[{".repeat(100));
    assert!(decode(brackets.as_bytes(), &Rules::SERVER).is_ok());
    assert_eq!(refusal(&"[".repeat(1 << 20)).code(), PARSE_ERROR);
    let rules = Rules {
        depth: usize::MAX,
        ..Rules::SERVER
    };
    assert!(
        decode(nested(1 << 18).as_bytes(), &rules).is_ok(),
        "skipping values does not recurse"
    );
}

/// L-14: each key somebody reads, each place, spelled plainly or in escapes.
#[test]
fn doubled_keys_are_refused() {
    let places: [(&str, &[&str]); 3] = [
        ("%", &["jsonrpc", "id", "method", "params", "result", "error"]),
        (
            r#""jsonrpc":"2.0","id":1,"method":"m","params":{%}"#,
            &[
                "name",
                "uri",
                "_meta",
                "taskId",
                "arguments",
                "cursor",
                "inputResponses",
                "requestState",
            ],
        ),
        (
            r#""jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{%}}"#,
            &[
                crate::meta::PROTOCOL_VERSION,
                crate::meta::CLIENT_CAPABILITIES,
                crate::meta::CLIENT_INFO,
                crate::meta::LOG_LEVEL,
                "progressToken",
                "traceparent",
            ],
        ),
    ];
    for (place, keys) in places {
        for key in keys {
            let escaped: String = key.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
            for second in [*key, &escaped] {
                let members = format!(r#""{key}":null,"other":{{}},"{second}":null"#);
                let error = refusal(&format!("{{{}}}", place.replace('%', &members)));
                assert_eq!(error.code(), INVALID_REQUEST);
                assert!(
                    error
                        .to_string()
                        .contains(&format!("`{key}` occurs more than once")),
                    "{error}"
                );
                assert_eq!(error.id().is_some(), place != "%", "{error}");
            }
        }
    }
}

#[test]
fn doubled_keys_nobody_reads_pass() {
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"m","x":1,"x":2,"params":{"y":1,"y":2,"arguments":{"a":1,"a":2}}}"#;
    assert!(decode(text.as_bytes(), &Rules::SERVER).is_ok());
}

#[test]
fn ids_compare_by_type_and_value() {
    assert_eq!(id(r#""a""#), id(r#""\u0061""#));
    assert_eq!(id("0"), id("-0"));
    assert_ne!(id("1"), id(r#""1""#));
    assert_ne!(id("1"), id("-1"));
    assert_ne!(id("9007199254740993"), id("9007199254740992"));
    assert_eq!(id(r#""\u0061""#).as_raw(), r#""\u0061""#);
    let mut table = HashMap::from([(id(r#""\u0061""#), 1), (id("-0"), 2)]);
    assert_eq!(table.remove(&OwnedId::from_string("a")), Some(1));
    assert_eq!(table.remove(&OwnedId::from_integer(0)), Some(2));
}

#[test]
fn limits_on_ids_are_the_servers() {
    let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"m"}}"#, "x".repeat(255));
    assert_eq!(
        refusal(&long),
        DecodeError::Invalid {
            fault: Fault::LongId { limit: 256 },
            id: None
        }
    );
    assert!(decode(long.replace("xx\"", "x\"").as_bytes(), &Rules::SERVER).is_ok());
    assert!(decode(long.as_bytes(), &Rules::BRIDGE).is_ok());
    assert_eq!(id("99999999999999999999").as_id().as_integer(), None);
    assert!(!id("99999999999999999999").as_id().is_safe() && id("-9007199254740991").as_id().is_safe());
}

#[test]
fn arrays_are_reported_and_taken_apart() {
    let text = br#" [{"jsonrpc":"2.0","method":"m"} , 17, []] "#;
    assert_eq!(decode(text, &Rules::SERVER).unwrap_err(), DecodeError::Batch);
    let elements = decode_batch(text, &Rules::SERVER).unwrap();
    assert_eq!(elements.len(), 3);
    assert!(matches!(
        decode_raw(elements[0], &Rules::SERVER),
        Ok(Message::Notification(_))
    ));
    assert!(matches!(
        decode_raw(elements[1], &Rules::SERVER),
        Err(DecodeError::Invalid { .. })
    ));
    assert!(matches!(
        decode_raw(elements[2], &Rules::SERVER),
        Err(DecodeError::Batch)
    ));
}

#[test]
fn arrays_have_bounds() {
    let array = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    let fault = |text: &str| decode_batch(text.as_bytes(), &Rules::SERVER).unwrap_err();
    assert_eq!(
        fault("[]"),
        DecodeError::Invalid {
            fault: Fault::EmptyBatch,
            id: None
        }
    );
    assert!(decode_batch(array(32).as_bytes(), &Rules::SERVER).is_ok());
    assert_eq!(
        fault(&array(33)),
        DecodeError::Invalid {
            fault: Fault::LongBatch { limit: 32 },
            id: None
        }
    );
    for text in ["[", "[1,]", "{}", "[] []", "[1"] {
        assert_eq!(fault(text).code(), PARSE_ERROR, "{text}");
    }
}

#[test]
fn ids_are_found_in_the_front_of_a_long_message() {
    let found = |text: &str| id_in_prefix(text.as_bytes()).map(|id| id.as_raw().to_owned());
    assert_eq!(found(r#"{"jsonrpc":"2.0","id":12,"met"#).as_deref(), Some("12"));
    assert_eq!(
        found(r#"{"method":"tools/call","id":"a b","params":{"x":"loooo"#).as_deref(),
        Some(r#""a b""#)
    );
    assert_eq!(found(r#"{"jsonrpc":"2.0","id":12"#), None, "the number may go on");
    assert_eq!(found(r#"{"params":{"id":12},"#), None, "only the message's own");
    assert_eq!(found(r#"{"id":1,"id":2,"#), None);
    assert_eq!(found(r#"{"id":null,"#), None);
    assert_eq!(found(r#"["id",12,"#), None);
    assert_eq!(
        id_in_prefix(b"{\"id\":5,\"x\":\"\xe4\xb8"),
        Some(OwnedId::from_integer(5)),
        "cut in a character"
    );
}

#[test]
fn writers_write_one_line() {
    let mut out = Vec::new();
    let mut line = |write: &dyn Fn(&mut Vec<u8>)| {
        out.clear();
        write(&mut out);
        String::from_utf8(out.clone()).unwrap()
    };
    let id = OwnedId::from_string("ä\"\n");
    assert_eq!(
        line(&|out| write_request(out, id.as_id(), "a\"b", Some(b"{\"x\":1.0}"))),
        r#"{"jsonrpc":"2.0","id":"ä\"\n","method":"a\"b","params":{"x":1.0}}"#
    );
    assert_eq!(
        line(&|out| write_notification(out, "ping", None)),
        r#"{"jsonrpc":"2.0","method":"ping"}"#
    );
    assert_eq!(
        line(&|out| write_result(out, OwnedId::from_integer(-5).as_id(), b"{}")),
        r#"{"jsonrpc":"2.0","id":-5,"result":{}}"#
    );
    let error = ErrorObject::new(-32602, "Say \"what\".").with_data(&json!({ "uri": "x" }));
    assert_eq!(
        line(&|out| write_error(out, None, &error)),
        r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Say \"what\".","data":{"uri":"x"}}}"#
    );
    assert_eq!(
        line(&|out| write_error(out, Some(id.as_id()), &ErrorObject::new(1, "m"))),
        r#"{"jsonrpc":"2.0","id":"ä\"\n","error":{"code":1,"message":"m"}}"#
    );
}

proptest! {
    #[test]
    fn payloads_and_ids_survive_byte_for_byte(
        id in arbitrary::id(),
        params in arbitrary::object(),
        result in arbitrary::value(),
        before in prop::bool::ANY,
    ) {
        let members = [format!(r#""id" : {id}"#), format!(r#""params":{params}"#)];
        let (first, last) = if before { (&members[1], &members[0]) } else { (&members[0], &members[1]) };
        let text = format!(r#"{{{first} ,"method":"m","jsonrpc":"2.0", {last}}}"#);
        let request = request(&text);
        prop_assert_eq!(request.id.as_raw(), &id);
        prop_assert_eq!(request.params.raw().unwrap().get(), &params);

        let mut out = Vec::new();
        write_result(&mut out, request.id, result.as_bytes());
        match decode(&out, &Rules::BRIDGE) {
            Ok(Message::Response(Response { id: Some(again), body: ResponseBody::Result(raw) })) => {
                prop_assert_eq!(again.as_raw(), &id);
                prop_assert_eq!(raw.get(), &result);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_doubled_key_is_refused_wherever_it_stands(
        members in prop::collection::vec(("x-[a-z]{1,4}", arbitrary::value()), 0..6),
        positions in (0_usize..7, 0_usize..7),
        key in prop::sample::select(vec!["name", "uri", "_meta", "taskId", "arguments", "cursor", "requestState"]),
    ) {
        let mut members: Vec<String> =
            members.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        for position in [positions.0, positions.1] {
            let at = position.min(members.len());
            members.insert(at, format!("\"{key}\":{{}}"));
        }
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{{}}}}}"#, members.join(","));
        let error = decode(text.as_bytes(), &Rules::BRIDGE).unwrap_err();
        prop_assert_eq!(error.code(), INVALID_REQUEST);
    }

    #[test]
    fn equal_ids_are_those_of_equal_values(a in arbitrary::id(), b in arbitrary::id()) {
        let meaning = |spelling: &str| match serde_json::from_str::<String>(spelling) {
            Ok(text) => format!("text {text}"),
            Err(_) if spelling == "-0" => "integer 0".to_owned(),
            Err(_) => format!("integer {spelling}"),
        };
        prop_assert_eq!(id(&a) == id(&b), meaning(&a) == meaning(&b));
    }
}
