use serde_json::value::RawValue;

use super::*;

fn params(text: &str) -> Params<'_> {
    let raw: &RawValue = serde_json::from_str(text).unwrap();
    Params::read(raw).unwrap()
}

fn one(value: &str) -> HeaderValue<'_> {
    HeaderValue::One(value)
}

#[test]
fn occurrences_reduce_to_one_value_or_none() {
    let of = |values: &[&'static str]| HeaderValue::of(values.iter().map(|value| value.as_bytes()));
    assert_eq!(of(&[]), HeaderValue::Absent);
    assert_eq!(of(&[""]), one(""));
    assert_eq!(of(&[" \ta b\t "]), one("a b"));
    assert_eq!(of(&["a", " a"]), one("a"));
    assert_eq!(of(&["a", "A"]), HeaderValue::Conflicting);
    assert_eq!(of(&["a", "b", "a"]), HeaderValue::Conflicting);
    assert_eq!(of(&["世界"]), HeaderValue::NotText);
    assert_eq!(of(&["a", "\u{1}"]), HeaderValue::NotText);
    assert_eq!(HeaderValue::of([&b"\xff"[..]]), HeaderValue::NotText);
}

#[test]
fn names_are_repeated_where_the_method_has_one() {
    for (method, source) in [
        ("tools/call", Some(NameSource::Name)),
        ("prompts/get", Some(NameSource::Name)),
        ("resources/read", Some(NameSource::Uri)),
        ("tasks/get", Some(NameSource::TaskId)),
        ("tasks/update", Some(NameSource::TaskId)),
        ("tasks/cancel", Some(NameSource::TaskId)),
        ("tools/list", None),
        ("server/discover", None),
        ("resources/templates/list", None),
        ("Tools/Call", None),
    ] {
        assert_eq!(name_source(method), source, "{method}");
    }
}

#[test]
fn method_headers_are_compared_exactly() {
    assert_eq!(check_method(one("tools/list"), "tools/list"), Ok(()));
    for header in [
        one("Tools/list"),
        one(""),
        HeaderValue::Absent,
        HeaderValue::Conflicting,
        HeaderValue::NotText,
    ] {
        let mismatch = check_method(header, "tools/list").unwrap_err();
        assert_eq!(mismatch.header(), "Mcp-Method");
        assert!(mismatch.to_string().contains("`Mcp-Method`"), "{mismatch}");
        assert_eq!(mismatch.to_error().code, codes::HEADER_MISMATCH);
    }
}

#[test]
fn a_mismatch_names_both_values() {
    let mismatch = check_method(one("tools/list"), "tools/call").unwrap_err();
    assert_eq!(
        mismatch.to_string(),
        "Header `Mcp-Method` says `tools/list`, the body says `tools/call`."
    );
    let mismatch = check_method(HeaderValue::Absent, "tools/call").unwrap_err();
    assert_eq!(
        mismatch.to_string(),
        "Header `Mcp-Method` is missing; the body says `tools/call`."
    );
}

#[test]
fn values_in_messages_are_short_and_printable() {
    let long = "ä\n".repeat(200);
    let mismatch = check_method(one("x"), &long).unwrap_err().to_string();
    assert!(
        mismatch.chars().count() < 200 && !mismatch.contains('\n') && mismatch.contains('…'),
        "{mismatch}"
    );
}

#[test]
fn name_headers_are_compared_decoded() {
    let call = params(r#"{"name":"Hello, 世界"}"#);
    assert_eq!(
        check_name(one("=?base64?SGVsbG8sIOS4lueVjA==?="), "tools/call", &call),
        Ok(())
    );
    for header in [
        HeaderValue::of(["Hello, 世界".as_bytes()]),
        one("=?base64?SGVsbG8=?="),
        one("=?base64?!?="),
        HeaderValue::Absent,
    ] {
        assert!(check_name(header, "tools/call", &call).is_err(), "{header:?}");
    }
    let read = params(r#"{"uri":"file:///a b","name":"other"}"#);
    assert_eq!(check_name(one("file:///a b"), "resources/read", &read), Ok(()));
    assert!(check_name(one("other"), "resources/read", &read).is_err());
    assert_eq!(check_name(one("anything"), "tools/list", &read), Ok(()));
}

#[test]
fn a_name_that_cannot_be_read_is_left_to_the_next_row() {
    for text in ["{}", r#"{"name":7}"#, r#"{"name":null}"#] {
        assert_eq!(
            check_name(HeaderValue::Absent, "tools/call", &params(text)),
            Ok(()),
            "{text}"
        );
    }
}

#[test]
fn the_bridge_builds_what_the_server_wants() {
    let call = params(r#"{"name":" x ","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#);
    let headers = of_request("tools/call", &call).unwrap();
    let flat: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_ref()))
        .collect();
    assert_eq!(
        flat,
        [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "=?base64?IHgg?="),
        ]
    );
    let list = of_request("tools/list", &call).unwrap();
    assert_eq!(list.len(), 2, "no name where the method has none");
}

#[test]
fn what_no_header_can_carry_is_refused() {
    let with_version =
        |version: &str| format!(r#"{{"_meta":{{"io.modelcontextprotocol/protocolVersion":{version}}}}}"#);
    let fine = with_version(r#""2026-07-28""#);
    for method in ["a\r\nx-evil: 1", "a b", "", "ä", "a\0"] {
        let fault = of_request(method, &params(&fine)).unwrap_err();
        assert!(
            matches!(fault, HeaderFault::NotVisible { field: "Method", .. }),
            "{fault}"
        );
        assert!(!fault.to_string().contains(['\r', '\n', '\0']));
    }
    for version in [r#""2026\r\n""#, r#""""#, r#"" 2026""#] {
        let text = with_version(version);
        assert!(
            matches!(
                of_request("m", &params(&text)),
                Err(HeaderFault::NotVisible { .. })
            ),
            "{version}"
        );
    }
    assert!(matches!(
        of_request("m", &params(&with_version("7"))),
        Err(HeaderFault::Shape(_))
    ));
    assert_eq!(of_request("m", &params("{}")), Err(HeaderFault::NoVersion));
}

#[test]
fn session_ids_are_visible_ascii() {
    assert!(is_visible_ascii("a~!"));
    for text in ["", "a b", "a\n", "ä", "\u{7f}"] {
        assert!(!is_visible_ascii(text), "{text:?}");
    }
}
