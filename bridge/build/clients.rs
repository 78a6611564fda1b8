//! `clients.toml` → `clients.rs`, a table that `src/clients/mod.rs` includes.
//!
//! In comes the data file; out goes one Rust expression of constants. What is misspelt, missing or inconsistent stops the
//! build with the client's name, so that the program needs no checks of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Entries of a client that are text. The first ones are required.
const TEXTS: [&str; 12] = [
    "id",
    "name",
    "format",
    "how",
    "grade",
    "reference",
    "program",
    "restart",
    "quirk",
    "text",
    "link",
    "web_link",
];
const REQUIRED: usize = 5;
/// Entries that are lists of texts.
const LISTS: [&str; 9] = [
    "macos",
    "linux",
    "windows",
    "project",
    "detect",
    "key_path",
    "add_direct",
    "add_bridge",
    "remove",
];
/// Entries that are yes or no, with what is meant when they are missing.
const SWITCHES: [(&str, bool); 6] = [
    ("every", false),
    ("input", false),
    ("list", false),
    ("own_project_file", false),
    ("only_where_installed", false),
    ("reference_on_windows", true),
];
/// Entries that name a shape.
const SHAPES: [&str; 2] = ["direct", "bridge"];

/// Reads `file` and writes the table to `out`.
pub(crate) fn generate(file: &Path, out: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let shapes = shapes(&table)?;
    let clients = table
        .get("client")
        .and_then(toml::Value::as_array)
        .ok_or("there is no [[client]]")?;
    let mut code = String::from("&[\n");
    let mut ids = Vec::new();
    for client in clients {
        let client = client.as_table().ok_or("a client is no table")?;
        let id = text_of(client, "id").to_owned();
        one(&mut code, client, &shapes).map_err(|error| format!("client `{id}`: {error}"))?;
        if ids.contains(&id) {
            return Err(format!("client `{id}` is there twice"));
        }
        ids.push(id);
    }
    code.push(']');
    std::fs::write(out, code).map_err(|error| error.to_string())
}

/// Every shape as the Rust expression of it.
fn shapes(table: &toml::Table) -> Result<BTreeMap<String, String>, String> {
    let shapes = table
        .get("shape")
        .and_then(toml::Value::as_table)
        .ok_or("there is no [shape]")?;
    let mut code = BTreeMap::new();
    for (name, shape) in shapes {
        let shape = shape
            .as_table()
            .ok_or_else(|| format!("shape `{name}` is no table"))?;
        if let Some(key) = shape
            .keys()
            .find(|key| !["entry", "reference", "without_key"].contains(&key.as_str()))
        {
            return Err(format!("shape `{name}`: `{key}` is no entry of a shape"));
        }
        code.insert(
            name.clone(),
            format!(
                "Some(Shape {{ entry: {:?}, reference: {:?}, without_key: {:?} }})",
                text_of(shape, "entry"),
                text_of(shape, "reference"),
                text_of(shape, "without_key")
            ),
        );
    }
    Ok(code)
}

fn one(code: &mut String, client: &toml::Table, shapes: &BTreeMap<String, String>) -> Result<(), String> {
    let known = |key: &str| {
        TEXTS.contains(&key)
            || LISTS.contains(&key)
            || SHAPES.contains(&key)
            || SWITCHES.iter().any(|(name, _)| *name == key)
    };
    if let Some(key) = client.keys().find(|key| !known(key)) {
        return Err(format!("`{key}` is no entry of a client"));
    }
    code.push_str("Client {\n");
    for (at, key) in TEXTS.iter().enumerate() {
        let text = match client.get(*key) {
            None if at < REQUIRED => return Err(format!("`{key}` is missing")),
            None => "",
            Some(value) => value.as_str().ok_or_else(|| format!("`{key}` is no text"))?,
        };
        let value = match *key {
            "format" => format!("Format::{}", variant(text, &["json", "jsonc", "toml", "yaml"])?),
            "how" => format!("How::{}", variant(text, &["file", "command", "print", "gone"])?),
            "grade" => format!("Grade::{}", variant(text, &["A", "B", "C"])?),
            _ => format!("{text:?}"),
        };
        let _ = writeln!(code, "    {key}: {value},");
    }
    for key in LISTS {
        let items = match client.get(key) {
            None => Vec::new(),
            Some(value) => value
                .as_array()
                .and_then(|items| items.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>())
                .ok_or_else(|| format!("`{key}` is no list of texts"))?,
        };
        let _ = writeln!(code, "    {key}: &{items:?},");
    }
    for (key, default) in SWITCHES {
        let value = client.get(key).map_or(Some(default), toml::Value::as_bool);
        let value = value.ok_or_else(|| format!("`{key}` is neither true nor false"))?;
        let _ = writeln!(code, "    {key}: {value},");
    }
    for key in SHAPES {
        let shape = match client.get(key).map(|name| name.as_str().unwrap_or_default()) {
            None => "None",
            Some(name) => shapes
                .get(name)
                .ok_or_else(|| format!("`{key}`: there is no shape `{name}`"))?,
        };
        let _ = writeln!(code, "    {key}: {shape},");
    }
    code.push_str("},\n");
    let has_file = ["macos", "linux", "windows", "project"]
        .iter()
        .any(|key| client.contains_key(*key));
    match text_of(client, "how") {
        "file" if !has_file || !client.contains_key("key_path") => {
            Err("`how` is file, but there is no path or no key path".to_owned())
        }
        "command" if !client.contains_key("program") || !client.contains_key("remove") => {
            Err("`how` is command, but `program` or `remove` is missing".to_owned())
        }
        _ => Ok(()),
    }
}

fn text_of<'t>(table: &'t toml::Table, key: &str) -> &'t str {
    table.get(key).and_then(toml::Value::as_str).unwrap_or_default()
}

/// The name of an enum's variant for a word of the file.
fn variant(word: &str, known: &[&str]) -> Result<String, String> {
    if !known.contains(&word) {
        return Err(format!("`{word}` is none of {}", known.join(", ")));
    }
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    Ok(first.into_iter().chain(letters).collect())
}
