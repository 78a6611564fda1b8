//! `clients.toml` → `clients.txt`, a text that `src/clients/data.rs` takes apart when it is needed.
//!
//! In comes the data file; out goes one text of records and fields. A table of constants would be the plainer thing, but its
//! two thousand pointers have to be put right at every start of the program, of which nearly all have no use for clients.
//! What is misspelt, missing or inconsistent stops the build with the client's name, so that the program needs no checks.

use std::path::Path;

/// Ends a client's record.
const RECORD: char = '\u{1e}';
/// Ends a field.
const FIELD: char = '\u{1f}';
/// Ends an item of a field that is a list.
const ITEM: char = '\u{1d}';

/// Entries of a client that are text, in the order of their fields. The first ones are required.
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
/// What some of them may be.
const WORDS: [(&str, &[&str]); 3] = [
    ("format", &["json", "jsonc", "toml", "yaml"]),
    ("how", &["file", "command", "print", "gone"]),
    ("grade", &["A", "B", "C"]),
];
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
/// Entries that name a shape, and the parts of one: a field each.
const SHAPES: [&str; 2] = ["direct", "bridge"];
const PARTS: [&str; 3] = ["entry", "reference", "without_key"];

/// Reads `file` and writes the text to `out`.
pub(crate) fn generate(file: &Path, out: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let shapes = table
        .get("shape")
        .and_then(toml::Value::as_table)
        .ok_or("there is no [shape]")?;
    for (name, shape) in shapes {
        let shape = shape
            .as_table()
            .ok_or_else(|| format!("shape `{name}` is no table"))?;
        if let Some(key) = shape.keys().find(|key| !PARTS.contains(&key.as_str())) {
            return Err(format!("shape `{name}`: `{key}` is no entry of a shape"));
        }
    }
    let clients = table
        .get("client")
        .and_then(toml::Value::as_array)
        .ok_or("there is no [[client]]")?;
    let mut records = String::new();
    let mut ids = Vec::new();
    for client in clients {
        let client = client.as_table().ok_or("a client is no table")?;
        let id = text_of(client, "id").to_owned();
        let fields = fields(client, shapes).map_err(|error| format!("client `{id}`: {error}"))?;
        for field in fields {
            records.push_str(&field);
            records.push(FIELD);
        }
        records.push(RECORD);
        if ids.contains(&id) {
            return Err(format!("client `{id}` is there twice"));
        }
        ids.push(id);
    }
    std::fs::write(out, records).map_err(|error| error.to_string())
}

/// The fields of a client.
fn fields(client: &toml::Table, shapes: &toml::Table) -> Result<Vec<String>, String> {
    let known = |key: &str| {
        TEXTS.contains(&key)
            || LISTS.contains(&key)
            || SHAPES.contains(&key)
            || SWITCHES.iter().any(|(name, _)| *name == key)
    };
    if let Some(key) = client.keys().find(|key| !known(key)) {
        return Err(format!("`{key}` is no entry of a client"));
    }
    let mut fields = Vec::new();
    for (at, key) in TEXTS.iter().enumerate() {
        let text = match client.get(*key) {
            None if at < REQUIRED => return Err(format!("`{key}` is missing")),
            None => "",
            Some(value) => value.as_str().ok_or_else(|| format!("`{key}` is no text"))?,
        };
        let words = WORDS.iter().find(|(name, _)| name == key);
        if let Some((_, words)) = words.filter(|(_, words)| !words.contains(&text)) {
            return Err(format!("`{key}` is `{text}`, none of {}", words.join(", ")));
        }
        fields.push(text.to_owned());
    }
    for key in LISTS {
        let items = match client.get(key) {
            None => Vec::new(),
            Some(value) => value
                .as_array()
                .and_then(|items| items.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>())
                .ok_or_else(|| format!("`{key}` is no list of texts"))?,
        };
        fields.push(items.iter().map(|item| format!("{item}{ITEM}")).collect());
    }
    for (key, default) in SWITCHES {
        let value = client.get(key).map_or(Some(default), toml::Value::as_bool);
        let value = value.ok_or_else(|| format!("`{key}` is neither true nor false"))?;
        fields.push(if value { "1" } else { "" }.to_owned());
    }
    for key in SHAPES {
        let shape = match client.get(key).map(|name| name.as_str().unwrap_or_default()) {
            None => None,
            Some(name) => Some(
                shapes
                    .get(name)
                    .and_then(toml::Value::as_table)
                    .ok_or_else(|| format!("`{key}`: there is no shape `{name}`"))?,
            ),
        };
        fields.extend(PARTS.map(|part| shape.map_or("", |shape| text_of(shape, part)).to_owned()));
    }
    if fields.iter().any(|field| field.contains([RECORD, FIELD])) {
        return Err("a text has a control character in it".to_owned());
    }
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
        _ => Ok(fields),
    }
}

fn text_of<'t>(table: &'t toml::Table, key: &str) -> &'t str {
    table.get(key).and_then(toml::Value::as_str).unwrap_or_default()
}
