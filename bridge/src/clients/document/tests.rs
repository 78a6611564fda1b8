use proptest::prelude::*;

use super::*;

fn keys(path: &[&str]) -> Vec<String> {
    path.iter().map(|key| (*key).to_owned()).collect()
}

fn value(json: &str) -> Node {
    parse(json, Format::Json).unwrap()
}

/// Makes a change and proves it.
fn change(text: &str, format: Format, change: &Change) -> String {
    let new = apply(text, format, change).unwrap();
    let expected = changed(parse(text, format).unwrap(), change);
    assert_eq!(
        parse(&new, format).unwrap_or_else(|problem| panic!("{problem:?}\n{new}")),
        expected,
        "{new}"
    );
    new
}

fn add(text: &str, format: Format) -> String {
    let entry = value(r#"{"command":"/x","args":[],"env":{"A":"1"}}"#);
    change(text, format, &Change::Set(keys(&["servers", "ours"]), entry))
}

fn take(text: &str, format: Format) -> String {
    change(text, format, &Change::Delete(keys(&["servers", "ours"])))
}

#[test]
fn json_takes_on_the_manners_of_the_file() {
    for (old, new) in [
        (
            "{\n\t\"servers\": {\n\t\t\"a\": {} // first\n\t}\n}",
            "{\n\t\"servers\": {\n\t\t\"a\": {}, // first\n\t\t\"ours\": {\n\t\t\t\"command\": \"/x\",\n\t\t\t\"args\": [],\n\t\t\t\"env\": {\n\t\t\t\t\"A\": \"1\"\n\t\t\t}\n\t\t}\n\t}\n}",
        ),
        (
            "\u{feff}{\r\n    \"servers\": {}\r\n}\r\n",
            "\u{feff}{\r\n    \"servers\": {\r\n        \"ours\": {\r\n            \"command\": \"/x\",\r\n            \"args\": [],\r\n            \"env\": {\r\n                \"A\": \"1\"\r\n            }\r\n        }\r\n    }\r\n}\r\n",
        ),
        (
            "{\"servers\": {\"a\": 1}}",
            "{\"servers\": {\"a\": 1, \"ours\": { \"command\": \"/x\", \"args\": [], \"env\": { \"A\": \"1\" } }}}",
        ),
        (
            "{\n  \"servers\": {\n    \"a\": 1, /* last */ // really\n  },\n}",
            "{\n  \"servers\": {\n    \"a\": 1, /* last */ // really\n    \"ours\": {\n      \"command\": \"/x\",\n      \"args\": [],\n      \"env\": {\n        \"A\": \"1\"\n      }\n    },\n  },\n}",
        ),
    ] {
        assert_eq!(add(old, Format::Jsonc), new);
        assert_eq!(take(new, Format::Jsonc), old, "removed again");
    }
}

#[test]
fn toml_gets_a_table_at_its_end_and_loses_it_again() {
    for old in [
        "model = \"x\" # why\n",
        "model = \"x\"",
        "a = 1\r\n\r\n[servers.other]\r\ncommand = 'c:\\x'\r\nenv = { A = \"1\" }\r\n",
        "[[list]]\nx = 1\n[[list]]\nx = 2\n[servers]\n",
    ] {
        let new = add(old, Format::Toml);
        assert!(new.starts_with(old), "{new}");
        assert_eq!(new.contains("\r\n"), old.contains("\r\n"));
        assert_eq!(new.ends_with('\n'), old.ends_with('\n'));
        assert_eq!(take(&new, Format::Toml), old);
    }
}

#[test]
fn toml_tables_are_edited_where_they_stand() {
    let text = "[servers.ours]\ncommand = \"/old\" # ours\n\n[servers.ours.env]\nA = \"0\"\nB = 2\n\n# the end\n[z]\n";
    let set = |text: &str, path: &[&str], json: &str| {
        change(text, Format::Toml, &Change::Set(keys(path), value(json)))
    };
    let new = set(text, &["servers", "ours", "command"], "\"/new\"");
    let new = set(&new, &["servers", "ours", "env", "C"], "\"3\"");
    let new = change(
        &new,
        Format::Toml,
        &Change::Delete(keys(&["servers", "ours", "env", "B"])),
    );
    assert_eq!(
        new,
        "[servers.ours]\ncommand = \"/new\" # ours\n\n[servers.ours.env]\nA = \"0\"\nC = \"3\"\n\n# the end\n[z]\n"
    );
    assert_eq!(take(&new, Format::Toml), "\n# the end\n[z]\n");
}

#[test]
fn yaml_gets_lines_below_its_key_and_loses_them_again() {
    for old in [
        "GOOSE: x\nservers:\n  a:\n    cmd: b # why\n    text: |\n      more\n      # no comment\n    list:\n    - 1\n    - b: c\n      d: e\nlast: 'it''s'\n",
        "servers:\r\n    a: {b: [1, 2], c: \"x # y\"}\r\n",
        "\u{feff}servers:\n  a: 1",
    ] {
        let new = add(old, Format::Yaml);
        assert_eq!(new.contains("\r\n"), old.contains("\r\n"));
        assert_eq!(new.ends_with('\n'), old.ends_with('\n'));
        assert_eq!(take(&new, Format::Yaml), old);
    }
    assert_eq!(
        add("a: 1\nservers: {} # none\n", Format::Yaml),
        "a: 1\nservers: # none\n  ours:\n    command: \"/x\"\n    args: []\n    env:\n      A: \"1\"\n"
    );
    assert!(add("servers:\n", Format::Yaml).starts_with("servers:\n  ours:\n"));
    assert!(add("a: 1", Format::Yaml).starts_with("a: 1\nservers:\n  ours:\n"));
}

#[test]
fn empty_files_get_a_whole_one() {
    for (format, start) in [
        (Format::Json, "{\n  \"servers\": {\n    \"ours\": {"),
        (Format::Toml, "[servers.ours]\n"),
        (Format::Yaml, "servers:\n  ours:\n"),
    ] {
        assert!(add("", format).starts_with(start));
        assert!(add("\u{feff}", format).starts_with(&format!("\u{feff}{start}")));
    }
}

#[test]
fn what_is_no_such_format_is_named_with_its_place() {
    for (format, text, line, column, reason) in [
        (Format::Json, "{\n  \"a\": 1,\n}", 2, 9, "trailing comma"),
        (Format::Json, "{ // x\n}", 1, 3, "comment"),
        (
            Format::Json,
            "\u{feff}{\"ä\": 1 \"b\": 2}",
            1,
            9,
            "comma is missing",
        ),
        (Format::Json, "{\"a\": 1, \"a\": 2}", 1, 10, "second time"),
        (Format::Json, "{\"a\": 01}", 1, 7, "no JSON value"),
        (Format::Json, "{\"a\": \"x\n\"}", 1, 7, "closing quote"),
        (Format::Json, "{\"a\": {", 1, 7, "never closed"),
        (Format::Jsonc, "{} x", 1, 4, "follows"),
        (Format::Jsonc, "{ /* ", 1, 3, "never ends"),
        (Format::Toml, "a = 1\na = 2", 2, 1, "second time"),
        (Format::Toml, "[a]\n[a]", 2, 2, "second time"),
        (Format::Toml, "a = {b = 1}\n[a.c]", 2, 2, "second time"),
        (Format::Toml, "a = \"x", 1, 5, "closing quote"),
        (Format::Toml, "a = yes", 1, 5, "no TOML value"),
        (Format::Toml, "a = 1 b = 2", 1, 7, "follows"),
        (Format::Yaml, "a: &x 1", 1, 4, "anchors"),
        (Format::Yaml, "a: !t 1", 1, 4, "tags"),
        (Format::Yaml, "a: 1\n---\nb: 1", 2, 1, "several documents"),
        (Format::Yaml, "a: 1\n  b: 2", 2, 3, "indented too far"),
        (Format::Yaml, "a:\n  b: 1\n c: 2", 3, 2, "indented differently"),
        (Format::Yaml, "a: [1,\n  2]", 1, 4, "over several lines"),
        (Format::Yaml, "a: 1\na: 2", 2, 1, "second time"),
        (Format::Yaml, "a: b: c", 1, 4, "second colon"),
        (Format::Yaml, "a:\n\tb: 1", 2, 1, "tab"),
    ] {
        let problem = parse(text, format).unwrap_err();
        assert!(problem.reason.contains(reason), "{text:?}: {problem:?}");
        assert_eq!(
            position(text, problem.at),
            (line, column),
            "{text:?}: {problem:?}"
        );
    }
}

#[test]
fn deep_nesting_is_refused_instead_of_ending_the_program() {
    for (format, text) in [
        (Format::Json, "[".repeat(100_000)),
        (Format::Toml, format!("a = {}", "[".repeat(100_000))),
        (Format::Yaml, format!("a: {}", "[".repeat(100_000))),
        (Format::Yaml, "- ".repeat(10_000)),
    ] {
        assert!(parse(&text, format).is_err());
    }
}

/// The tree in the terms of the `toml` crate, which knows numbers and dates better: both sides as far as texts go.
fn shape_of(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => format!("{text:?}"),
        Value::Plain(_) => "plain".to_owned(),
        Value::List(items) => format!("[{}]", items.iter().map(shape_of).collect::<Vec<_>>().join(",")),
        Value::Map(members) => {
            let mut members: Vec<String> = members
                .iter()
                .map(|member| format!("{:?}:{}", member.key, shape_of(&member.node)))
                .collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
    }
}

fn shape_of_toml(value: &::toml::Value) -> String {
    match value {
        ::toml::Value::String(text) => format!("{text:?}"),
        ::toml::Value::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(shape_of_toml).collect::<Vec<_>>().join(",")
            )
        }
        ::toml::Value::Table(table) => {
            let mut members: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{key:?}:{}", shape_of_toml(value)))
                .collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        _ => "plain".to_owned(),
    }
}

#[test]
fn toml_is_read_as_the_toml_crate_reads_it() {
    for text in [
        include_str!("../../../clients.toml"),
        include_str!("../../../brand.toml"),
        include_str!("../../../Cargo.toml"),
        "a.b.c = 1\na.b.d = 1979-05-27 07:32:00\n\"x y\".'z' = [1, [2, 'a'], {k.l = true}]\n",
        "s = \"\"\"\n one \\\n   two \"\" three\"\"\"\"\nl = '''\nraw\\n'''\nu = \"\\u00e4\\t\"\n",
        "[a.b]\nx = inf\n[a]\ny = -nan\n[[a.list]]\nz = 0x1F\n[a.list.sub]\nq = ''\n[[a.list]]\n",
        "list = [\n  1, # one\n  2,\n]\n",
        "empty = {}\n[x]\n[x.y]\n",
    ] {
        let theirs: ::toml::Table = text.parse().unwrap();
        let ours = parse(text, Format::Toml).unwrap_or_else(|problem| panic!("{problem:?} in {text}"));
        assert_eq!(
            shape_of(&ours),
            shape_of_toml(&::toml::Value::Table(theirs)),
            "{text}"
        );
    }
}

/// Values as files hold them.
fn any_value() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Node::text),
        Just(Value::Plain("true".to_owned()).into()),
        (0..1000u32).prop_map(|number| Value::Plain(number.to_string()).into()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|items| Value::List(items).into()),
            proptest::collection::btree_map("[a-z]{1,6}|[ -~]{1,6}", inner, 0..4).prop_map(|members| {
                let members = members.into_iter();
                Value::Map(
                    members
                        .map(|(key, node)| Member { key, start: 0, node })
                        .collect(),
                )
                .into()
            }),
        ]
    })
}

fn any_file() -> impl Strategy<Value = Vec<(String, Node)>> {
    proptest::collection::btree_map("[a-z]{1,5}", any_value(), 0..4).prop_map(|map| map.into_iter().collect())
}

proptest! {
    /// Whatever stands in a JSON file, an entry goes in and comes out without a trace.
    #[test]
    fn json_survives_a_visit(members in any_file(), crlf: bool, tabs: bool) {
        let mut text = String::new();
        for (key, node) in members {
            text = apply(&text, Format::Json, &Change::Set(vec![key], node)).unwrap();
        }
        if tabs { text = text.replace("\n  ", "\n\t"); }
        if crlf { text = text.replace('\n', "\r\n"); }
        prop_assume!(parse(&text, Format::Json).is_ok_and(|root| root.get("servers").is_none()));
        let new = add(&text, Format::Json);
        let less = take(&new, Format::Json);
        let root = parse(&less, Format::Json).unwrap();
        prop_assert_eq!(root.get("servers"), Some(&Node::empty_map()));
    }

    /// Whatever an entry holds, every format says it so that it reads the same.
    #[test]
    fn entries_read_back_as_they_were(members in any_file()) {
        let members = members.into_iter().map(|(key, node)| Member { key, start: 0, node });
        let entry = Node::from(Value::Map(members.collect()));
        for format in [Format::Json, Format::Toml, Format::Yaml] {
            let text = snippet(format, &keys(&["servers", "ours"]), &entry).unwrap();
            let root = parse(&text, format);
            let root = root.unwrap_or_else(|problem| panic!("{problem:?}\n{text}"));
            let read = root.find(&["servers", "ours"]);
            prop_assert!(read.is_some_and(|read| is_same(read, &entry, format)), "{text}");
            if format == Format::Toml {
                let theirs = text.parse::<::toml::Table>();
                prop_assert_eq!(shape_of(&root), shape_of_toml(&::toml::Value::Table(theirs.unwrap())));
            }
        }
    }

    /// No text makes a reader do worse than refuse it, and what is read is inside the text.
    #[test]
    fn readers_take_anything(text in "[ -~\\n\\t\"'{}\\[\\],:#=/*|-]{0,60}|\\PC{0,40}") {
        for format in [Format::Json, Format::Jsonc, Format::Toml, Format::Yaml] {
            match parse(&text, format) {
                Ok(node) => prop_assert!(node.span.end <= text.len()),
                Err(problem) => { position(&text, problem.at); }
            }
            let set = Change::Set(keys(&["servers", "ours"]), value("{\"a\":\"b\"}"));
            if let Ok(new) = apply(&text, format, &set) {
                let expected = changed(parse(&text, format).unwrap(), &set);
                // An edit may fail its proof, but a proof that holds keeps every byte.
                if parse(&new, format).is_ok_and(|root| root == expected) {
                    let mut rest = new.as_str();
                    for word in text.split_whitespace().filter(|word| word.chars().all(char::is_alphanumeric)) {
                        let at = rest.find(word);
                        prop_assert!(at.is_some(), "{word} is gone from {new}");
                        rest = &rest[at.unwrap_or_default() + word.len()..];
                    }
                }
            }
        }
    }
}
