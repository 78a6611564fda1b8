use proptest::prelude::*;
use serde_json::json;

use super::*;

fn front(body: &str) -> FrontMatter {
    read(&format!("---\n{body}\n---\n# Text\n")).expect("front matter")
}

fn metadata(body: &str) -> Value {
    Value::Object(front(body).metadata)
}

#[test]
fn a_usual_note() {
    let note = front(
        "title: Plan: phase 2\ntags: [work, \"Q3 goals\", '#area/ops']\ncreated: 2026-11-20\ndone: false",
    );
    assert_eq!(note.title.as_deref(), Some("Plan: phase 2"));
    assert_eq!(note.tags, ["work", "Q3 goals", "area/ops"]);
    assert_eq!(
        Value::Object(note.metadata),
        json!({ "created": "2026-11-20", "done": false })
    );
}

#[test]
fn tags_in_every_spelling() {
    for body in [
        "tags: a, b",
        "tags: a b",
        "tags: [a, b]",
        "tags:\n- a\n- b",
        "tags:\n  - a\n  - '#b'",
        "tag: a\ntags: b",
        "tags: [\n  a,\n  b,\n]",
    ] {
        let mut tags = front(body).tags;
        tags.sort();
        assert_eq!(tags, ["a", "b"], "{body}");
    }
    assert_eq!(
        front("tags: [Work, work, WORK]").tags,
        ["Work"],
        "one tag, first spelling"
    );
    assert_eq!(front("tags: 2026").tags, ["2026"]);
}

#[test]
fn values_become_json() {
    let cases = [
        ("a: 1", json!({ "a": 1 })),
        ("a: -2.5", json!({ "a": -2.5 })),
        ("a: 007", json!({ "a": "007" })),
        ("a: 1.0.0", json!({ "a": "1.0.0" })),
        ("a: 99999999999999999999", json!({ "a": "99999999999999999999" })),
        ("a: yes", json!({ "a": "yes" })),
        ("a: ~", json!({ "a": null })),
        ("a:", json!({ "a": null })),
        (
            "a: \"x \\\"y\\\" \\u00e9 \\ud83d\\ude00\"",
            json!({ "a": "x \"y\" é 😀" }),
        ),
        ("a: 'it''s'", json!({ "a": "it's" })),
        ("a: x # comment", json!({ "a": "x" })),
        ("a: '# no comment'", json!({ "a": "# no comment" })),
        ("url: http://host:80/x", json!({ "url": "http://host:80/x" })),
        ("up: [[Home]]", json!({ "up": "[[Home]]" })),
        ("up: [\"[[Home]]\"]", json!({ "up": ["[[Home]]"] })),
        (
            "a: {b: 1, c: [x, y], d: {e: null}}",
            json!({ "a": { "b": 1, "c": ["x", "y"], "d": { "e": null } } }),
        ),
        (
            "a:\n  b: 1\n  c:\n    - x\n    - y: 2\n      z: 3",
            json!({ "a": { "b": 1, "c": ["x", { "y": 2, "z": 3 }] } }),
        ),
        ("a:\n- - x\n  - y\n- z", json!({ "a": [["x", "y"], "z"] })),
        ("a: |\n  one\n    two\nb: 1", json!({ "a": "one\n  two", "b": 1 })),
        ("a: >-\n  one\n  two\n", json!({ "a": "one two" })),
        ("a: one\n  two\nb: 1", json!({ "a": "one two", "b": 1 })),
        (
            "\"quoted key\": 1\n'other': 2",
            json!({ "quoted key": 1, "other": 2 }),
        ),
        ("# comment\n\na: 1", json!({ "a": 1 })),
    ];
    for (body, expected) in cases {
        assert_eq!(metadata(body), expected, "{body}");
    }
}

#[test]
fn nonsense_costs_only_its_own_line() {
    assert_eq!(
        metadata("???\na: 1\n    stray: 2\n- x\nb: 2"),
        json!({ "a": "1 stray: 2", "b": 2 })
    );
    assert_eq!(metadata("a: [1, 2\nb: 2"), json!({ "a": "[1, 2", "b": 2 }));
    assert_eq!(
        metadata("a: *anchor\nb: &x y"),
        json!({ "a": "*anchor", "b": "&x y" })
    );
    assert_eq!(
        metadata("<% tp.date %>\na: {{title}}"),
        json!({ "a": "{{title}}" })
    );
}

#[test]
fn where_front_matter_begins_and_ends() {
    assert_eq!(span("---\na: 1\n---\nbody"), Some(13));
    assert_eq!(span("---\r\na: 1\r\n---\r\nbody"), Some(16));
    assert_eq!(span("---\na: 1\n..."), Some(12));
    assert_eq!(span("--- \n---"), Some(8));
    for none in [
        "",
        "---",
        "---\na: 1\n",
        "\n---\na: 1\n---\n",
        "# T\n---\n---\n",
        "----\n---\n",
    ] {
        assert_eq!(span(none), None, "{none:?}");
    }
    let long = format!("---\na: {}\n---\n", "x".repeat(MAX_BYTES));
    assert_eq!(span(&long), None);
}

#[test]
fn depth_and_control_characters_are_bounded() {
    let deep = format!("a: {}1{}", "[".repeat(100), "]".repeat(100));
    assert!(
        metadata(&deep)["a"].is_string(),
        "kept as text, not as a hundred levels"
    );
    let nested: String = (0..50)
        .map(|level| format!("{}k:\n", " ".repeat(level)))
        .collect();
    let mut value = &metadata(&nested);
    let mut levels = 0;
    while let Some(inner) = value.get("k") {
        value = inner;
        levels += 1;
    }
    assert!(levels <= MAX_DEPTH + 1, "{levels}");
    assert_eq!(metadata("a: x\u{1b}[31m\u{0}"), json!({ "a": "x[31m" }));
}

proptest! {
    #[test]
    fn any_text_is_survived(body in "(?s)[-:\\[\\]{}\"'#|>, \n\ta-c\\\\u0-9]{0,300}") {
        let _ = read(&format!("---\n{body}\n---\n"));
    }

    #[test]
    fn quoted_json_strings_round_trip(text in "[^\\p{Cc}\u{2028}]{0,60}") {
        let quoted = serde_json::to_string(&text).unwrap();
        let plain = metadata(&format!("a: {quoted}"));
        prop_assert_eq!(plain["a"].as_str(), Some(text.as_str()));
        let note = front(&format!("a: [{quoted}, {{{quoted}: 1}}]"));
        prop_assert_eq!(note.metadata["a"][0].as_str(), Some(text.as_str()));
    }
}
