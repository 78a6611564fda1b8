//! JSON text for property tests, spelled in every way the grammar allows.

use proptest::prelude::*;

/// Insignificant whitespace, mostly none.
fn blank() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

/// Numbers as people and machines spell them, beyond what any machine holds.
fn number() -> impl Strategy<Value = String> {
    r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?"
}

/// A string literal with escapes, unpaired surrogates among them.
pub(crate) fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -!#-\\[\\]-~]{1,6}",
        1 => r#"\\["\\/bfnrt]"#,
        1 => r"\\u[0-9a-fA-F]{4}",
        1 => "[äß世界\u{7f}\u{2028}😀]{1,3}",
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// A string literal for a key: as [`string`], but it spells text, as keys must.
fn key() -> impl Strategy<Value = String> {
    r#"[ -!#-\[\]-~äß世😀]{0,8}"#.prop_map(|text| format!("\"{text}\""))
}

/// Any JSON value, without whitespace around it.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number(),
        string(),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        let item = (blank(), inner.clone(), blank())
            .prop_map(|(a, value, b)| format!("{a}{value}{b}"))
            .boxed();
        let member = (blank(), key(), blank(), item.clone())
            .prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{value}"));
        prop_oneof![
            prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// A JSON object of members that nobody reads.
pub(crate) fn object() -> impl Strategy<Value = String> {
    prop::collection::vec(("x-[a-z]{1,4}", value()), 0..5).prop_map(|members| {
        let members: Vec<String> = members
            .into_iter()
            .map(|(key, value)| format!("\"{key}\": {value}"))
            .collect();
        format!("{{{}}}", members.join(" ,"))
    })
}

/// An id as spelled: strings, small and huge integers.
pub(crate) fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("text serialises")),
        any::<i64>().prop_map(|value| value.to_string()),
        "-?[1-9][0-9]{17,40}",
        Just("0".to_owned()),
        Just("-0".to_owned()),
        Just(r#""\u0061""#.to_owned()),
    ]
}
