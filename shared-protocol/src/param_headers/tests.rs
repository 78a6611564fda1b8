use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::arbitrary;

/// Headers of a request, as names and values.
type Sent = &'static [(&'static str, &'static str)];

fn marks(schema: &Value) -> ParamHeaders {
    ParamHeaders::of_schema(schema).unwrap()
}

fn sample() -> ParamHeaders {
    marks(&json!({
        "type": "object",
        "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "limit": { "type": "integer", "x-mcp-header": "Limit" },
            "filter": {
                "type": "object",
                "properties": { "open": { "type": ["boolean", "null"], "x-mcp-header": "open_only" } }
            },
            "note": { "type": "string" }
        }
    }))
}

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap()
}

fn encoded(marks: &ParamHeaders, arguments: &str) -> Vec<(String, String)> {
    marks
        .encode(Some(raw(arguments)))
        .into_iter()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn verify(marks: &ParamHeaders, arguments: &str, headers: &[(&str, &str)]) -> Result<(), String> {
    let lookup = |name: &str| {
        HeaderValue::of(
            headers
                .iter()
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value.as_bytes()),
        )
    };
    marks
        .verify(Some(raw(arguments)), lookup)
        .map_err(|mismatch| mismatch.to_string())
}

#[test]
fn values_are_written_by_type() {
    let headers = encoded(
        &sample(),
        r#"{"note":"x","filter":{"other":1,"open":true},"limit":42.0,"region":"Hello, \u4e16界"}"#,
    );
    let expected = [
        ("mcp-param-open_only", "true"),
        ("mcp-param-limit", "42"),
        ("mcp-param-region", "=?base64?SGVsbG8sIOS4lueVjA==?="),
    ];
    for (name, value) in expected {
        assert!(
            headers.contains(&(name.to_owned(), value.to_owned())),
            "{name} in {headers:?}"
        );
    }
    assert_eq!(headers.len(), 3);
    assert_eq!(sample().names().count(), 3);
}

#[test]
fn what_is_absent_or_null_has_no_header() {
    for arguments in [
        "{}",
        r#"{"region":null,"filter":{"open":null}}"#,
        r#"{"filter":7}"#,
        "[]",
        "7",
    ] {
        assert!(encoded(&sample(), arguments).is_empty(), "{arguments}");
    }
    assert!(sample().encode(None).is_empty());
    assert!(sample().verify(None, |_| HeaderValue::Absent).is_ok());
}

#[test]
fn what_no_marked_parameter_takes_has_no_header() {
    for value in ["{}", "[]", "1.5", "1e-3", "1e400", r#""\ud800""#] {
        let arguments = format!(r#"{{"region":{value}}}"#);
        assert!(encoded(&sample(), &arguments).is_empty(), "{value}");
        assert_eq!(
            verify(&sample(), &arguments, &[]),
            Ok(()),
            "{value}: the schema check answers"
        );
    }
}

/// S-33 and S-34, both directions.
#[test]
fn headers_agree_with_arguments_or_not() {
    const REGION: &str = "mcp-param-region";
    const LIMIT: &str = "mcp-param-limit";
    const OPEN: &str = "mcp-param-open_only";
    let agree: [(&str, Sent); 11] = [
        (r#"{"region":"eu"}"#, &[(REGION, "eu")]),
        (r#"{"region":"eu"}"#, &[(REGION, "=?base64?ZXU=?=")]),
        (
            r#"{"region":"eu"}"#,
            &[(REGION, "eu"), ("mcp-param-undefined", "x")],
        ),
        (r#"{"region":""}"#, &[(REGION, "")]),
        (r#"{"region":" x "}"#, &[(REGION, "=?base64?IHgg?=")]),
        (r#"{"limit":42}"#, &[(LIMIT, "42.0")]),
        (r#"{"limit":42.0}"#, &[(LIMIT, "42")]),
        (r#"{"limit":-0}"#, &[(LIMIT, "0")]),
        (r#"{"limit":4.2e1}"#, &[(LIMIT, " 42 ")]),
        (r#"{"filter":{"open":false}}"#, &[(OPEN, "false")]),
        (r#"{"region":null}"#, &[]),
    ];
    for (arguments, headers) in agree {
        assert_eq!(
            verify(&sample(), arguments, headers),
            Ok(()),
            "{arguments} {headers:?}"
        );
    }
    let differ: [(&str, Sent, &str); 15] = [
        (r#"{"region":"eu"}"#, &[], "`Mcp-Param-Region` is missing"),
        (
            r#"{"region":"eu"}"#,
            &[(REGION, "us")],
            "says `us`, the body says `eu`",
        ),
        (r#"{"region":"eu"}"#, &[(REGION, "EU")], "says `EU`"),
        (
            r#"{"region":"eu"}"#,
            &[(REGION, "eu"), (REGION, "us")],
            "more than once",
        ),
        (r#"{"region":"eu"}"#, &[(REGION, "=?base64?%?=")], "padded base64"),
        (r#"{}"#, &[(REGION, "eu")], "no such value"),
        (r#"{"region":null}"#, &[(REGION, "null")], "no such value"),
        (
            r#"{"limit":42}"#,
            &[(LIMIT, "43")],
            "says `43`, the body says `42`",
        ),
        (r#"{"limit":42}"#, &[(LIMIT, "042")], "says `042`"),
        (r#"{"limit":42}"#, &[(LIMIT, "+42")], "says `+42`"),
        (r#"{"limit":42}"#, &[(LIMIT, "forty-two")], "says `forty-two`"),
        (r#"{"limit":42}"#, &[], "is missing"),
        (r#"{"filter":{"open":true}}"#, &[(OPEN, "True")], "says `True`"),
        (r#"{"region":"a","region":"b"}"#, &[(REGION, "a")], "two ways"),
        (
            r#"{"filter":{"open":true},"filter":{"open":true}}"#,
            &[(OPEN, "true")],
            "two ways",
        ),
    ];
    for (arguments, headers, says) in differ {
        let message = verify(&sample(), arguments, headers).expect_err(arguments);
        assert!(message.contains(says), "{arguments} {headers:?} → {message}");
    }
}

#[test]
fn integers_have_a_safe_range() {
    let limit = |value: &str| format!(r#"{{"limit":{value}}}"#);
    let largest = "9007199254740991";
    assert_eq!(
        verify(&sample(), &limit(largest), &[("mcp-param-limit", largest)]),
        Ok(())
    );
    for beyond in ["9007199254740992", "-9007199254740992", "99999999999999999999"] {
        let headers = encoded(&sample(), &limit(beyond));
        assert_eq!(
            headers,
            [("mcp-param-limit".to_owned(), beyond.to_owned())],
            "sent as it is written"
        );
        let message = verify(&sample(), &limit(beyond), &[("mcp-param-limit", beyond)]).unwrap_err();
        assert!(message.contains("outside ±9007199254740991"), "{message}");
    }
}

/// H-05: what makes a tool unusable.
#[test]
fn marks_that_break_the_rules() {
    let property = |property: Value| json!({ "type": "object", "properties": { "a": property } });
    let marked = |name: &str| json!({ "type": "string", "x-mcp-header": name });
    let at = || "properties/a".to_owned();
    for (schema, fault) in [
        (
            property(json!({ "type": "string", "x-mcp-header": 7 })),
            Fault::NotText { at: at() },
        ),
        (property(marked("")), Fault::NotToken { at: at() }),
        (property(marked("a b")), Fault::NotToken { at: at() }),
        (property(marked("a:")), Fault::NotToken { at: at() }),
        (property(marked("ä")), Fault::NotToken { at: at() }),
        (property(marked("a\r\nb")), Fault::NotToken { at: at() }),
        (
            property(json!({ "type": "number", "x-mcp-header": "n" })),
            Fault::WrongType { at: at() },
        ),
        (
            property(json!({ "type": "object", "x-mcp-header": "n" })),
            Fault::WrongType { at: at() },
        ),
        (
            property(json!({ "type": "array", "x-mcp-header": "n" })),
            Fault::WrongType { at: at() },
        ),
        (
            property(json!({ "type": "null", "x-mcp-header": "n" })),
            Fault::WrongType { at: at() },
        ),
        (
            property(json!({ "type": ["string", "integer"], "x-mcp-header": "n" })),
            Fault::WrongType { at: at() },
        ),
        (
            property(json!({ "x-mcp-header": "n" })),
            Fault::WrongType { at: at() },
        ),
        (
            json!({ "type": "string", "x-mcp-header": "n" }),
            Fault::Unreachable { at: String::new() },
        ),
    ] {
        assert_eq!(ParamHeaders::of_schema(&schema), Err(fault), "{schema}");
    }
    let twice =
        json!({ "properties": { "a": marked("Same"), "b": { "properties": { "c": marked("sAME") } } } });
    assert!(matches!(
        ParamHeaders::of_schema(&twice),
        Err(Fault::Repeated { .. })
    ));
    for out_of_reach in [
        json!({ "properties": { "a": { "type": "array", "items": marked("n") } } }),
        json!({ "properties": { "a": { "oneOf": [marked("n")] } } }),
        json!({ "properties": { "a": { "items": { "properties": { "b": marked("n") } } } } }),
        json!({ "$defs": { "d": marked("n") } }),
        json!({ "definitions": { "d": { "properties": { "b": marked("n") } } } }),
        json!({ "patternProperties": { "^a": marked("n") } }),
        json!({ "additionalProperties": marked("n") }),
        json!({ "if": { "properties": { "a": marked("n") } } }),
        json!({ "allOf": [{ "properties": { "a": marked("n") } }] }),
        json!({ "dependentSchemas": { "a": { "properties": { "a": marked("n") } } } }),
        json!({ "not": { "not": marked("n") } }),
    ] {
        assert!(
            matches!(
                ParamHeaders::of_schema(&out_of_reach),
                Err(Fault::Unreachable { .. })
            ),
            "{out_of_reach}"
        );
    }
}

#[test]
fn what_only_looks_like_a_mark() {
    let schema = json!({
        "properties": {
            "x-mcp-header": { "type": "object", "default": { "x-mcp-header": 1 } },
            "b": { "enum": [{ "x-mcp-header": 1 }], "const": { "x-mcp-header": 1 }, "examples": [{ "x-mcp-header": 1 }] }
        }
    });
    assert!(marks(&schema).is_empty());
    let property_of_that_name = json!({
        "properties": { "x-mcp-header": { "type": "string", "x-mcp-header": "Plain" } }
    });
    assert_eq!(
        encoded(&marks(&property_of_that_name), r#"{"x-mcp-header":"v"}"#),
        [("mcp-param-plain".to_owned(), "v".to_owned())]
    );
}

#[test]
fn raw_schemas_read_the_same() {
    let schema = r#"{"properties":{"a":{"type":"string","x-mcp\u002dheader":"A"}}}"#;
    assert!(
        !ParamHeaders::of_raw_schema(raw(schema)).unwrap().is_empty(),
        "escapes hide nothing"
    );
    assert!(
        ParamHeaders::of_raw_schema(raw(r#"{"properties":{}}"#))
            .unwrap()
            .is_empty()
    );
    assert!(ParamHeaders::of_raw_schema(raw("true")).unwrap().is_empty());
    let unreadable = r#"{"x-mcp-header":"\ud800"}"#;
    assert_eq!(
        ParamHeaders::of_raw_schema(raw(unreadable)),
        Err(Fault::Unreadable)
    );
}

#[test]
fn the_search_is_bounded() {
    let mut deep = json!({ "type": "string", "x-mcp-header": "n" });
    for _ in 0..33 {
        deep = json!({ "properties": { "a": deep } });
    }
    assert_eq!(ParamHeaders::of_schema(&deep), Err(Fault::TooLarge));
    let wide: Value = (0..20_001).map(|_| json!({})).collect();
    assert_eq!(
        ParamHeaders::of_schema(&json!({ "allOf": wide })),
        Err(Fault::TooLarge)
    );
}

proptest! {
    /// Whatever is called for, the server accepts what the bridge writes, or the call is one that no header helps.
    #[test]
    fn both_halves_agree(region in arbitrary::value(), limit in any::<i64>(), open in any::<Option<bool>>()) {
        let open = open.map_or("null".to_owned(), |open| open.to_string());
        let arguments = format!(r#"{{"region":{region},"limit":{limit},"filter":{{"open":{open}}}}}"#);
        let headers = encoded(&sample(), &arguments);
        let borrowed: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        match verify(&sample(), &arguments, &borrowed) {
            Ok(()) => {}
            Err(message) => prop_assert!(message.contains("outside ±"), "{}", message),
        }
        for (_, value) in &headers {
            prop_assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')), "{}", value);
        }
    }
}
