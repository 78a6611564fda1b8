use super::super::{Catalogue, NamedText};

const HEAD: &str = r#"
format = 1
[edition]
name = "demo"
title = "Demo"
instructions = "Try it."
key_prefix = "demo_"
[scopes.read]
title = "Read"
"#;

fn tool(name: &str, more: &str) -> String {
    format!(
        "{HEAD}\n[[tool]]\nname = \"{name}\"\ntitle = \"T\"\ndescription = \"Does it.\"\nscope = \"read\"\neffect = \"read\"\nhandler = \"a::b\"\n{more}\n[[tool.example]]\ntitle = \"it\"\n"
    )
}

fn load(text: &str) -> Result<Catalogue, String> {
    Catalogue::load(&[&[NamedText {
        name: "demo.toml",
        text,
    }]])
    .map_err(|e| e.to_string())
}

#[test]
fn a_good_row_loads_and_is_found_in_both_spellings() {
    let catalogue = load(&tool("task.claim", "")).unwrap();
    let edition = &catalogue.editions()[0];
    assert_eq!(edition.find("task.claim").unwrap().index, 0);
    assert_eq!(edition.find("task_claim").unwrap().index, 0);
    assert!(edition.find("task-claim").is_none());
}

#[test]
fn every_broken_rule_names_file_line_and_tool() {
    let long = "x".repeat(301);
    let cases = [
        (tool("export_all", ""), "reserved"),
        (tool("raw.sql", ""), "reserved"),
        (tool("bad name", ""), "not valid"),
        (tool(&"a".repeat(65), ""), "at most 64"),
        (
            tool("a", "[tool.input.tenant_id]\ntype = \"string\""),
            "credential",
        ),
        (tool("a", "[tool.input.x]\ntype = \"text\""), "not one of"),
        (
            tool("a", "[tool.input.confirmation_token]\ntype = \"string\""),
            "the engine's own",
        ),
        (
            tool("a", "review_groups = [\"leads\"]"),
            "belong to policy `review`",
        ),
        (
            tool(
                "a",
                "policy = \"review\"\nreview_groups = [\"leads\"]\nmin_approvals = 2",
            ),
            "1 to 1",
        ),
        (
            tool("a", "").replace("scope = \"read\"", "scope = \"write\""),
            "[scopes]",
        ),
        (tool("a", "").replace("Does it.", &long), "at most 300"),
        (tool("a", "").replace("Does it.", "Does\u{202e} it."), "U+202E"),
        (tool("a", "[tool.output]\ntype = \"array\""), "root must be"),
        (
            tool("a", "").replace("[[tool.example]]\ntitle = \"it\"", ""),
            "example",
        ),
    ];
    for (text, expected) in cases {
        let error = load(&text).unwrap_err();
        assert!(error.contains(expected), "{expected} in {error}");
        assert!(error.starts_with("demo.toml:12: tool `"), "{error}");
    }
}

#[test]
fn two_names_that_meet_after_underscoring_are_refused() {
    let rows = tool("a.b", "") + &tool("a_b", "").replace(HEAD, "");
    assert!(load(&rows).unwrap_err().contains("`a_b`"));
}

#[test]
fn unknown_keys_and_formats_are_refused_with_their_place() {
    assert!(load(&tool("a", "colour = 1")).unwrap_err().contains("colour"));
    assert!(
        load(&tool("a", "").replace("format = 1", "format = 2"))
            .unwrap_err()
            .contains("format 1")
    );
    assert!(load("format = 1").unwrap_err().contains("[edition]"));
}
