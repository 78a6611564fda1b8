//! `catalogue cost` and `catalogue diff`: what a list costs on every turn, and what a new file changes.

use serde_json::json;

use crate::process::Place;

const ONE: &str = r#"
format = 1
[edition]
name = "extra"
title = "Extra"
instructions = "Extra."
key_prefix = "extra_"
[scopes.recall]
title = "Recall"
[[tool]]
name = "recall"
title = "Recall"
description = "Finds a memory by its key."
scope = "recall"
effect = "read"
handler = "memories::get"
[tool.input.key]
type = "string"
required = true
[[tool.example]]
title = "Recall"
arguments = { key = "x" }
[[tool]]
name = "gone"
scope = "recall"
effect = "read"
handler = "memories::get"
[[tool.example]]
title = "Recall"
[[resource]]
name = "rules"
scope = "recall"
uri = "extra://rules"
text = "one"
"#;

/// A row of the printed table: the tool's bytes and its tokens.
fn row(printed: &str, name: &str) -> (usize, usize) {
    let line = printed.lines().find(|line| line.starts_with(name));
    let words: Vec<_> = line
        .unwrap_or_else(|| panic!("{name} in {printed}"))
        .split_whitespace()
        .collect();
    let [.., bytes, tokens] = words.as_slice() else {
        panic!("{words:?}");
    };
    (
        bytes.parse().unwrap(),
        tokens.trim_start_matches('~').parse().unwrap(),
    )
}

#[test]
fn the_cost_of_a_list_is_what_its_client_receives() {
    let place = Place::new();
    let file = place.path().join("extra.toml");
    std::fs::write(&file, ONE).unwrap();
    std::fs::write(
        place.config(),
        format!("[server]\ncatalogue = [{file:?}]\neditions = [\"extra\"]\n"),
    )
    .unwrap();
    let printed = place.ok(&["catalogue", "cost"]);
    let server = place.serve();
    let key = place.ok(&["key", "mint", "--edition", "extra", "--scopes", "recall"]);
    let bearer = format!("Bearer {}", key.trim());
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
        ("MCP-Protocol-Version", "2025-11-25"),
    ];
    let list = |path: &str| {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
        let reply = server.request("POST", path, &headers, &body).json();
        reply["result"]["tools"].as_array().unwrap().clone()
    };
    let tools = list("/extra/mcp");
    assert_eq!(tools.len(), 2);
    let mut total = 0;
    for tool in &tools {
        let bytes = tool.to_string().len();
        total += bytes;
        assert_eq!(
            row(&printed, tool["name"].as_str().unwrap()),
            (bytes, bytes.div_ceil(4))
        );
    }
    assert_eq!(row(&printed, "all of them").0, total);
    let three = serde_json::to_string(&list("/extra/mcp?mode=discover")).unwrap();
    assert_eq!(row(&printed, "discovery mode").0, three.len());
}

#[test]
fn a_diff_names_what_was_added_removed_and_changed() {
    let place = Place::new();
    let (old, new) = (place.path().join("old.toml"), place.path().join("new.toml"));
    std::fs::write(&old, ONE).unwrap();
    let changed = ONE
        .replace("Finds a memory by its key.", "Finds one memory.")
        .replace("\"gone\"", "\"come\"")
        .replace("\"extra://rules\"", "\"extra://the-rules\"");
    std::fs::write(&new, changed).unwrap();
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    let said = place.ok(&["catalogue", "diff", new, old]);
    let lines: Vec<_> = said.lines().collect();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("+ ") && line.contains("come")),
        "{said}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("- ") && line.contains("gone")),
        "{said}"
    );
    for (row, place) in [("recall", "description"), ("rules", "address")] {
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("~ ") && line.contains(row) && line.contains(place)),
            "{said}"
        );
    }
    assert_eq!(lines.len(), 4, "{said}");
    assert_eq!(place.ok(&["catalogue", "diff", old, old]).trim(), "no difference");
}
