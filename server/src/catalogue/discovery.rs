//! Discovery: three tools that find, describe and call all others, so that a list costs the same whatever the
//! catalogue's size (design.md D13).
//!
//! Nothing here runs a tool: the hall calls what `call_tool` names through the same rooms as ever.

use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    arguments::InputSchema,
    tool::{Edition, Shape, Tool, ToolSet},
};
use crate::vocabulary::Effect;

/// Finds tools by words.
pub const SEARCH: &str = "search_tools";
/// Shows what tools accept.
pub const DESCRIBE: &str = "describe_tool";
/// Calls a tool.
pub const CALL: &str = "call_tool";
/// Most tools that one search gives.
const MOST_FOUND: u64 = 25;

/// The arguments of `search_tools`.
#[derive(Debug, Deserialize)]
pub struct Search {
    /// Words to find.
    pub query: String,
    /// Most tools to give.
    pub limit: usize,
}

/// The arguments of `describe_tool`.
#[derive(Debug, Deserialize)]
pub struct Describe {
    /// The tool.
    pub name: String,
}

/// What each of the three accepts; `None` for any other name.
pub fn input(name: &str) -> Option<&'static InputSchema> {
    static SEARCHED: LazyLock<InputSchema> = LazyLock::new(|| {
        schema(json!({
            "type": "object", "required": ["query"], "additionalProperties": false,
            "properties": {
                "query": { "type": "string", "minLength": 1, "maxLength": 200,
                    "description": "Words of what you want to do, e.g. \"close ticket\"" },
                "limit": { "type": "integer", "minimum": 1, "maximum": MOST_FOUND, "default": 10 },
            },
        }))
    });
    static DESCRIBED: LazyLock<InputSchema> = LazyLock::new(|| {
        schema(json!({
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": { "name": { "type": "string", "minLength": 1, "maxLength": 128 } },
        }))
    });
    static CALLED: LazyLock<InputSchema> = LazyLock::new(|| {
        schema(json!({
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 128 },
                "arguments": { "type": "object",
                    "description": "As describe_tool's inputSchema says; a confirmation_token goes in here" },
            },
        }))
    });
    match name {
        SEARCH => Some(&SEARCHED),
        DESCRIBE => Some(&DESCRIBED),
        CALL => Some(&CALLED),
        _ => None,
    }
}

fn schema(schema: Value) -> InputSchema {
    InputSchema::new(schema, Vec::new()).expect("a schema that a test compiles")
}

/// The definitions that stand in the list. The hints of `call_tool` are the worst of what it can call.
pub fn definitions(edition: &Edition, visible: &ToolSet, shape: Shape) -> Value {
    let effects = || edition.tools().iter().filter(|tool| visible.contains(tool.index));
    let any = |test: fn(&Tool) -> bool| effects().any(|tool| test(tool));
    let hints = |read: bool, destructive: bool, idempotent: bool, open: bool| {
        move |title: &str| {
            json!({
                "title": title, "readOnlyHint": read, "destructiveHint": destructive, "idempotentHint": idempotent,
                "openWorldHint": open,
            })
        }
    };
    let reading = hints(true, false, true, false);
    let calling = hints(
        !any(|tool| tool.effect != Effect::Read),
        any(|tool| matches!(tool.effect, Effect::Delete | Effect::Execute)),
        !any(|tool| matches!(tool.effect, Effect::Create | Effect::Execute)),
        any(|tool| tool.open_world || tool.effect == Effect::Execute),
    );
    let count = effects().count();
    let one = |name: &str, title: &str, description: &str, annotations: Value, output: Option<Value>| {
        let mut out = Map::from_iter([
            ("name".to_owned(), json!(name)),
            ("description".to_owned(), json!(description)),
            ("annotations".to_owned(), annotations),
        ]);
        if let Some(input) = input(name) {
            out.insert("inputSchema".to_owned(), input.as_json().clone());
        }
        if shape == Shape::Full {
            out.insert("title".to_owned(), json!(title));
            out.extend(output.map(|output| ("outputSchema".to_owned(), output)));
        }
        Value::Object(out)
    };
    json!([
        one(
            SEARCH,
            "Search tools",
            &format!(
                "Finds tools by words. {count} tools can be called here: search for what you want to do, look at a tool with \
                 describe_tool, then run it with call_tool."
            ),
            reading("Search tools"),
            Some(
                json!({ "type": "object", "required": ["tools", "total"], "properties": {
                "tools": { "type": "array", "items": { "type": "object" } }, "total": { "type": "integer" } } })
            ),
        ),
        one(
            DESCRIBE,
            "Describe a tool",
            "Shows one tool: what it does, its input schema, its output schema and its hints.",
            reading("Describe a tool"),
            Some(
                json!({ "type": "object", "required": ["tool"], "properties": { "tool": { "type": "object" } } })
            ),
        ),
        one(
            CALL,
            "Call a tool",
            "Runs the tool of that name. The answer is the tool's own; one that changes something may show a preview first.",
            calling("Call a tool"),
            None,
        ),
    ])
}

/// The visible tools that hold the words of a query, the best first, and how many there are.
pub fn search<'e>(
    edition: &'e Edition,
    visible: &ToolSet,
    query: &str,
    limit: usize,
) -> (Vec<&'e Arc<Tool>>, usize) {
    let wanted = words(query);
    let seen = edition.tools().iter().filter(|tool| visible.contains(tool.index));
    let mut found: Vec<(u32, &Arc<Tool>)> = seen
        .map(|tool| (score(tool, &wanted), tool))
        .filter(|(score, _)| *score > 0)
        .collect();
    // Of equal ones, the earlier in the catalogue's order.
    found.sort_by_key(|(score, tool)| (std::cmp::Reverse(*score), tool.index));
    let total = found.len();
    (
        found.into_iter().take(limit).map(|(_, tool)| tool).collect(),
        total,
    )
}

/// How well a tool fits: a word in its name weighs most, and every word that is found at all counts more than one that
/// is found twice.
fn score(tool: &Tool, wanted: &[String]) -> u32 {
    let (name, title) = (words(tool.name.as_str()), words(&tool.title));
    let (description, toolset) = (words(&tool.description), words(&tool.toolset));
    let places = [(&name, 8), (&title, 5), (&toolset, 4), (&description, 2)];
    let of_word = |word: &String| {
        let best = places.iter().map(|(text, weight)| {
            if text.contains(word) {
                weight * 2
            } else if text.iter().any(|other| begins_alike(other, word)) {
                *weight
            } else {
                0
            }
        });
        best.max().unwrap_or(0)
    };
    let scores: Vec<u32> = wanted.iter().map(of_word).collect();
    let met = scores.iter().filter(|score| **score > 0).count();
    scores.iter().sum::<u32>() * u32::try_from(met).unwrap_or(u32::MAX)
}

/// `ticket` and `tickets`, `summary` and `summarise`: one is the beginning of the other, or most of both is the same.
fn begins_alike(one: &str, other: &str) -> bool {
    const ROOT: usize = 4;
    let shared = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let shorter = one.chars().count().min(other.chars().count());
    shared >= ROOT.min(shorter) && shared + 2 >= shorter && shared >= 3
}

/// The words of a text in lower case; `camelCase` and `snake_case` are two words each.
fn words(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut was_small = false;
    for c in text.chars() {
        let new_word = !c.is_alphanumeric() || (c.is_uppercase() && was_small);
        if new_word && !word.is_empty() {
            out.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        was_small = c.is_lowercase();
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{BUILTIN, Catalogue, NamedText};

    fn everything(edition: &Edition) -> ToolSet {
        let mut all = ToolSet::default();
        for tool in edition.tools() {
            all.insert(tool.index);
        }
        all
    }

    #[test]
    fn words_are_cut_where_names_are_made_of_several() {
        assert_eq!(words("wallet.checkoutTopUp"), ["wallet", "checkout", "top", "up"]);
        assert_eq!(words("get_chunk, twice"), ["get", "chunk", "twice"]);
        assert!(begins_alike("tickets", "ticket") && begins_alike("summary", "summarise"));
        assert!(!begins_alike("get", "getting") || begins_alike("getting", "get"));
        assert!(!begins_alike("memory", "member"));
    }

    #[test]
    fn what_is_looked_for_comes_first() {
        let catalogue = Catalogue::load(&BUILTIN[..1]).unwrap();
        let edition = &catalogue.editions()[0];
        let all = everything(edition);
        let first = |query: &str| {
            let (found, _) = search(edition, &all, query, 3);
            found
                .first()
                .map(|tool| tool.name.to_string())
                .unwrap_or_default()
        };
        assert_eq!(first("store a memory"), "memory_put");
        assert_eq!(first("search memories"), "memory_search");
        assert_eq!(first("inbox"), "inbox_put");
        let (none, total) = search(edition, &all, "xyzzy", 3);
        assert!(none.is_empty() && total == 0);
        let (none, _) = search(edition, &ToolSet::default(), "memory", 3);
        assert!(none.is_empty(), "what is not visible is not found");
    }

    /// An estimated token is four bytes (design.md D13).
    #[test]
    fn five_thousand_tools_cost_less_than_1200_tokens() {
        let mut text = "format = 1\n[edition]\nname = \"x\"\ntitle = \"X\"\ninstructions = \"X.\"\nkey_prefix = \"x_\"\n\
                        discover = true\n[scopes.read]\ntitle = \"Read\"\n"
            .to_owned();
        for number in 0..5_000 {
            text.push_str(&format!(
                "[[tool]]\nname = \"act_{number}\"\nscope = \"read\"\neffect = \"read\"\nhandler = \"a::b\"\n\
                 [[tool.example]]\ntitle = \"x\"\n"
            ));
        }
        let file = NamedText {
            name: "x.toml",
            text: &text,
        };
        let catalogue = Catalogue::load(&[&[file]]).unwrap();
        let edition = &catalogue.editions()[0];
        let all = everything(edition);
        let list = definitions(edition, &all, Shape::Full).to_string();
        assert!(
            list.contains("5000 tools") && list.len() / 4 < 1_200,
            "{} bytes",
            list.len()
        );
        let (found, total) = search(edition, &all, "act 4321", 5);
        assert_eq!((found[0].name.as_str(), total), ("act_4321", 5_000));
    }

    #[test]
    fn the_hints_are_the_worst_of_what_can_be_called() {
        let catalogue = Catalogue::load(&BUILTIN[..1]).unwrap();
        let edition = &catalogue.editions()[0];
        let hints = |set: &ToolSet| definitions(edition, set, Shape::Full)[2]["annotations"].clone();
        let mut reading = ToolSet::default();
        let mut writing = ToolSet::default();
        for tool in edition.tools() {
            if tool.effect == Effect::Read {
                reading.insert(tool.index);
            }
            writing.insert(tool.index);
        }
        assert_eq!(hints(&reading)["readOnlyHint"], true);
        assert_eq!(hints(&writing)["readOnlyHint"], false);
        assert_eq!(hints(&writing)["idempotentHint"], false);
        for definition in definitions(edition, &writing, Shape::Full).as_array().unwrap() {
            assert!(input(definition["name"].as_str().unwrap()).is_some());
        }
    }
}
