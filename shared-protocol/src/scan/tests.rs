use proptest::prelude::*;
use serde_json::value::RawValue;

use super::{Inside, Member, Walk, inside, members, members_and_keys};
use crate::arbitrary::value;

fn walk(text: &str) -> Option<Vec<Member<'_>>> {
    let mut found = Vec::new();
    members(text, |member| found.push(member))?;
    Some(found)
}

/// What a general reader says of the same text: an object or not.
fn is_object(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get().starts_with('{'))
}

#[test]
fn members_are_shown_inner_ones_first() {
    let text = r#" { "a" : [ {"x":1} ] , "b":{"c":"\u00e9\"","d" : { "e":2 } }, "":null } "#;
    let found: Vec<_> = walk(text)
        .unwrap()
        .into_iter()
        .map(|member| (member.depth, member.key, member.value))
        .collect();
    assert_eq!(
        found,
        [
            (1, "a", r#"[ {"x":1} ]"#),
            (2, "c", r#""\u00e9\"""#),
            (2, "d", r#"{ "e":2 }"#),
            (1, "b", r#"{"c":"\u00e9\"","d" : { "e":2 } }"#),
            (1, "", "null"),
        ]
    );
}

#[test]
fn what_is_no_object_in_json_is_refused_as_a_reader_refuses_it() {
    for text in [
        "",
        "{",
        "}",
        "[]",
        "1",
        "{}x",
        "{}{}",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":01}"#,
        r#"{"a":00}"#,
        r#"{"a":0123456}"#,
        r#"{"a":12a}"#,
        "{\"a\":1\u{9f}}",
        r#"{"a":123456"#,
        r#"{"a":"x":"y"}"#,
        r#"{"a","b":1}"#,
        r#"{"a":["x":"y"]}"#,
        r#"{"a":{"x","y"}}"#,
        r#"{"a":-}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":1e}"#,
        r#"{"a":1e+}"#,
        r#"{"a":+1}"#,
        r#"{"a":tru}"#,
        r#"{"a":nul}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12g4"}"#,
        r#"{"a":"\u12"#,
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"1234567\u{1f}\"}",
        r#"{"a":[}"#,
        r#"{"a":{]}"#,
        r#"{"a":[1,]}"#,
        r#"{'a':1}"#,
        r#"{a:1}"#,
        "\u{feff}{}",
        "{\"a\":\"x",
        "{\"a\":\"x\\",
        "{\u{a0}}",
    ] {
        assert!(!is_object(text), "{text}");
        assert_eq!(walk(text), None, "{text}");
    }
    for text in [
        "{}",
        " {\t}\r\n",
        r#"{"a":-0.5e-7}"#,
        r#"{"a":0}"#,
        r#"{"a":[0,7,1234567,12345678,123456789,1.5,1E2,0.5]}"#,
        "{\"a\" \n:\n\"x\"\n,\n\"b\":[\n\"y\"\n,\"z\" ,{\n\"c\": \"\"}]}",
        r#"{"a":[[],{}]}"#,
        r#"{"a":"\\\/\b\f\n\r\t\u0000é"}"#,
    ] {
        assert!(is_object(text), "{text}");
        assert!(walk(text).is_some(), "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(walk(&nested(119)).is_some());
    assert!(walk(&nested(120)).is_none());
    assert!(walk(&nested(100_000)).is_none());
}

#[test]
fn one_member_of_a_message_is_taken_apart() {
    let found = |object: Option<Vec<(&'static str, &'static str)>>, error| Some(Inside { object, error });
    for (text, expected) in [
        (
            r#"{"o":{"a":1},"params":{"name":"n","x" : {"y":1}},"error":7}"#,
            found(Some(vec![("name", "\"n\""), ("x", r#"{"y":1}"#)]), Some("7")),
        ),
        (r#"{"params":{}}"#, found(Some(vec![]), None)),
        (r#"{"params":[1],"o":{"a":1}}"#, found(None, None)),
        (r#"{"o":{"a":1}}"#, found(None, None)),
        (r#"{"params":{},"params":{}}"#, None),
        (r#"{"error":1,"error":2}"#, None),
        (r#"{"params":{"\u0061":1}}"#, None),
        (r#"{"p\u0061rams":{}}"#, None),
        (r#"{"params":{}"#, None),
    ] {
        assert_eq!(inside(text, "params"), expected, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_object_is_taken_apart_as_it_is_spelled(value in value(), blank in "[ \t\r\n]{0,2}") {
        let inner = format!("{{{blank}\"x\":{blank}{value}{blank}}}");
        let text = format!("{blank}{{{blank}\"a\"{blank}:{value}{blank},\"b\":{inner}}}{blank}");
        let outer: Vec<_> = walk(&text).unwrap().into_iter().filter(|member| member.depth == 1).collect();
        prop_assert_eq!(
            outer,
            [
                Member { depth: 1, key: "a", value: &value },
                Member { depth: 1, key: "b", value: &inner },
            ]
        );
        let found = walk(&text).unwrap();
        let within = found.iter().rfind(|member| member.depth == 2 && member.key == "x");
        prop_assert_eq!(within.map(|member| member.value), Some(value.as_str()));
    }

    #[test]
    fn every_byte_that_ends_or_breaks_a_string_is_found(bytes in prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..200)) {
        let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        let mut walk = Walk::new(&bytes, &[]);
        for at in 0..=bytes.len() {
            walk.rest = &bytes[at..];
            prop_assert_eq!(walk.mark(), bytes[at..].iter().position(ends));
        }
    }

    #[test]
    fn a_damaged_text_is_accepted_by_both_or_neither(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = format!("{{\"value\":{value}}}").into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            prop_assert_eq!(walk(text).is_some(), is_object(text), "{}", text);
        }
    }
}

#[test]
fn keys_that_are_looked_for_are_found_at_every_depth_and_in_no_value() {
    for (text, expected) in [
        (r#"{"k":1}"#, 0b1),
        (r#"{"a":{"k":1,"other":2}}"#, 0b11),
        (r#"{"a":{"b":[1,{"c":{}, "other" : 2}]}}"#, 0b10),
        (r#"{"a":{"b":{"\u006b":1}}}"#, 0xff),
        (r#"{"a":"k","b":["k",{"c":"other"}]}"#, 0),
        (r#"{"a":{"b":{"kk":1,"":2,"K":"\n","ether":3}}}"#, 0),
    ] {
        assert_eq!(
            members_and_keys(text, &["k", "other"], |_| {}),
            Some(expected),
            "{text}"
        );
    }
}
