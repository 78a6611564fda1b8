//! The reference of the catalogue file, read off the rows: as a JSON Schema for editors, and as `CATALOGUE.md`.

use std::fmt::Write;

use serde_json::Value;

use super::file::CatalogueFile;
use crate::vocabulary::prose;

/// Where each kind of table stands in a file, in the order of the reference; the names are those of the rows.
const TABLES: [(&str, &str); 20] = [
    ("CatalogueFile", "The file"),
    ("EditionRow", "`[edition]`"),
    ("ScopeRow", "`[scopes.\"NAME\"]`"),
    ("ToolRow", "`[[tool]]`"),
    ("ParameterRow", "`[tool.input.NAME]`"),
    ("Example", "`[[tool.example]]`"),
    ("UpstreamRow", "`[upstream.NAME]`"),
    ("AuthRow", "`[upstream.NAME.auth]`"),
    ("VaultRow", "`[vault]`"),
    ("HttpRow", "`[tool.http]`"),
    ("PreviewRow", "`[tool.http.preview]`"),
    ("Paging", "`[tool.http.paging]`"),
    ("CommandRow", "`[tool.command]`"),
    ("PromptRow", "`[[prompt]]`"),
    ("InputRow", "`[prompt.arguments.NAME]`"),
    ("MessageRow", "`[[prompt.message]]`"),
    ("ImageRow", "`[prompt.message.image]`"),
    ("EmbeddedRow", "`[prompt.message.resource]`"),
    ("ResourceRow", "`[[resource]]`"),
    ("PolicyRow", "Policies"),
];

const INTRODUCTION: &str = "\
# The catalogue file

<!-- Written from the comments in server/src/catalogue by `UPDATE_GOLDEN=1 cargo test -p footbridge-server catalogue::reference`. -->

One TOML file makes tools, prompts and resources of a REST API, of local programs, of texts and files. `[server] catalogue`
names files or folders of them. `footbridge-server catalogue check FILE` names every fault with its line, and
`footbridge-server catalogue reload` puts a changed file in force on every replica without a restart; one with a fault leaves the
old one in force.

`footbridge-server catalogue schema > catalogue.schema.json` writes this reference for editors: with
`#:schema ./catalogue.schema.json` as the first line of a file, those that know TOML complete keys and mark mistakes.
";

/// The schema of a file, for editors.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(CatalogueFile).to_value();
    tidy(&mut schema);
    schema
}

/// Comments are wrapped by hand, and say where a rule comes from to whoever reads the source.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = prose(text);
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// The reference as Markdown.
pub fn to_markdown() -> String {
    let schema = schema();
    let mut out = String::from(INTRODUCTION);
    for (name, heading) in TABLES {
        let found = match name {
            "CatalogueFile" => Some(&schema),
            other => schema.get("$defs").and_then(|all| all.get(other)),
        };
        // Writing to a string does not fail, here and below.
        let _ = write!(out, "\n## {heading}\n");
        if let Some(found) = found {
            table(&mut out, &schema, found);
        }
    }
    out
}

fn table(out: &mut String, file: &Value, schema: &Value) {
    let about = said(schema);
    if !about.is_empty() {
        let _ = write!(out, "\n{about}\n");
    }
    for variant in ["oneOf", "anyOf"]
        .iter()
        .filter_map(|word| schema.get(word))
        .flat_map(items)
    {
        match words(variant).as_slice() {
            [] => variant_table(out, file, variant),
            words => {
                let _ = write!(out, "\n- {}{}", words.join(", "), after_colon(said(variant)));
            }
        }
    }
    if out.ends_with(|last: char| last != '\n') {
        out.push('\n');
    }
    rows(out, file, schema, "");
}

/// One of several forms of a table, told apart by a word in it or by the table it is in.
fn variant_table(out: &mut String, file: &Value, variant: &Value) {
    let properties = variant.get("properties").and_then(Value::as_object);
    let Some((name, inner)) = properties.and_then(|all| all.iter().next()) else {
        return;
    };
    let (label, of, without) = match properties.and_then(|all| all.get("kind")) {
        Some(kind) => (
            format!("kind = {}", kind.get("const").unwrap_or(&Value::Null)),
            variant,
            "kind",
        ),
        None => (name.clone(), inner, ""),
    };
    let _ = write!(out, "\n**`{label}`**{}\n", after_colon(said(variant)));
    rows(out, file, of, without);
}

fn rows(out: &mut String, file: &Value, schema: &Value, without: &str) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let required = schema.get("required").map(items).into_iter().flatten();
    let required: Vec<_> = required.filter_map(Value::as_str).collect();
    if properties.keys().all(|name| name == without) {
        return;
    }
    let _ = writeln!(out, "\n| Key | Is | Default | What it is |\n|---|---|---|---|");
    for (name, property) in properties.iter().filter(|(name, _)| *name != without) {
        let default = match property.get("default") {
            _ if required.contains(&name.as_str()) => "**required**".to_owned(),
            None | Some(Value::Null) => "–".to_owned(),
            Some(Value::String(text)) if text.is_empty() => "–".to_owned(),
            Some(Value::Object(map)) if map.is_empty() => "–".to_owned(),
            Some(Value::Array(items)) if items.is_empty() => "–".to_owned(),
            Some(other) => format!("`{other}`"),
        };
        let about = said(property).replace('|', "\\|");
        let _ = writeln!(
            out,
            "| `{name}` | {} | {default} | {about} |",
            kind(file, property)
        );
    }
}

/// What may stand there, in words, with a link where it is a table of its own.
fn kind(file: &Value, schema: &Value) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return referred(file, reference);
    }
    let words = words(schema);
    if !words.is_empty() {
        return words.join(" · ");
    }
    if let Some(forms) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
        let mut kinds: Vec<_> = items(forms).map(|form| kind(file, form)).collect();
        kinds.dedup();
        kinds.retain(|kind| kind != "null");
        let between = if kinds.iter().all(|kind| kind.starts_with('`')) {
            " · "
        } else {
            " or "
        };
        return kinds.join(between);
    }
    let word = match schema.get("type") {
        Some(Value::String(one)) => one.as_str(),
        Some(Value::Array(several)) => several
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null")
            .unwrap_or_default(),
        _ => "any",
    };
    match word {
        "array" => {
            let of = schema.get("items").map(|inner| kind(file, inner));
            format!("array of {}", of.as_deref().unwrap_or("any"))
        }
        "object" => match schema.get("additionalProperties") {
            Some(inner @ Value::Object(_)) => format!("table of {}", kind(file, inner)),
            _ => "table".to_owned(),
        },
        other => other.to_owned(),
    }
}

/// A link to the table of that name; what has none is told in place.
fn referred(file: &Value, reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or_default();
    match TABLES.iter().find(|(row, _)| *row == name) {
        Some((_, heading)) => {
            let plain = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
            let anchor: String = plain.collect::<String>().to_lowercase().replace(' ', "-");
            format!("[{heading}](#{anchor})")
        }
        None => match file.get("$defs").and_then(|all| all.get(name)) {
            Some(told) => kind(file, told),
            None => "any".to_owned(),
        },
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn after_colon(about: &str) -> String {
    match about {
        "" => String::new(),
        about => format!(": {about}"),
    }
}

/// The words that a form stands for, if it is made of words.
fn words(schema: &Value) -> Vec<String> {
    let one = schema.get("const").into_iter();
    let several = schema.get("enum").map(items).into_iter().flatten();
    one.chain(several)
        .filter_map(Value::as_str)
        .map(|word| format!("`{word}`"))
        .collect()
}

/// What is said of it.
fn said(schema: &Value) -> &str {
    schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_key_of_a_file_says_what_it_is() {
        let schema = schema();
        let defined = schema["$defs"].as_object().unwrap();
        let mut silent = Vec::new();
        for (table, row) in defined.iter().chain([(&"file".to_owned(), &schema)]) {
            for form in [row]
                .into_iter()
                .chain(row.get("oneOf").map(items).into_iter().flatten())
            {
                let keys = form["properties"].as_object().into_iter().flatten();
                // The word that tells a form from the others is its heading.
                let untold =
                    keys.filter(|(_, key)| key["description"].is_null() && key.get("const").is_none());
                silent.extend(
                    untold
                        .filter(|(_, key)| key["properties"].is_null())
                        .map(|(key, _)| format!("{table}.{key}")),
                );
            }
        }
        assert!(silent.is_empty(), "without a comment in the source: {silent:?}");
        let missing: Vec<_> = TABLES[1..]
            .iter()
            .filter(|(name, _)| !defined.contains_key(*name))
            .collect();
        assert!(missing.is_empty(), "{missing:?} are in no file");
    }

    #[test]
    fn the_reference_in_the_repository_is_the_one_made_from_the_source() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("CATALOGUE.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, to_markdown()).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            to_markdown(),
            "CATALOGUE.md is out of date: UPDATE_GOLDEN=1 cargo test -p footbridge-server catalogue::reference"
        );
    }

    /// Editors believe the schema: it must take what the server takes.
    #[test]
    fn the_schema_takes_the_files_that_are_served() {
        let schema = schema();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let sample = include_str!("../../examples/leads-api/leads.toml");
        let texts = super::super::BUILTIN
            .iter()
            .flat_map(|files| files.iter().map(|file| file.text));
        for text in texts.chain([sample]) {
            let file: toml::Table = toml::from_str(text).unwrap();
            let value = super::super::schema::table_to_json(file);
            let faults: Vec<_> = validator
                .iter_errors(&value)
                .map(|fault| fault.to_string())
                .collect();
            assert!(faults.is_empty(), "{faults:?}");
        }
        let wrong =
            serde_json::json!({ "format": 1, "tool": [{ "name": "x", "scope": "a", "effect": "reed" }] });
        assert!(!validator.is_valid(&wrong));
    }
}
