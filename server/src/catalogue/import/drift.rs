//! How a catalogue file and the document it was made of have grown apart.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// The document has an operation that the file has no tool for.
    New(String),
    /// The file has a tool whose operation the document no longer has.
    Gone(String),
    /// An operation takes other inputs than its tool.
    Changed(String, Vec<String>),
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(place) => write!(f, "new: {place}"),
            Self::Gone(place) => write!(f, "gone: {place}: its tool will fail"),
            Self::Changed(place, what) => write!(f, "changed: {place}: {}", what.join(", ")),
        }
    }
}

/// Method and path → the inputs' schema.
type Calls = BTreeMap<String, Value>;

/// Compares a file with what the document would be imported as today. Texts, scopes and policies are the file's own
/// business; what is compared is whether its calls still fit.
///
/// # Errors
/// When either is not a catalogue file.
pub fn drift(file: &str, today: &str) -> Result<Vec<Drift>, toml::de::Error> {
    let (file, today) = (calls(file)?, calls(today)?);
    let mut found = Vec::new();
    for (place, input) in &today {
        match file.get(place) {
            None => found.push(Drift::New(place.clone())),
            Some(known) => {
                let changes = changes(known, input);
                if !changes.is_empty() {
                    found.push(Drift::Changed(place.clone(), changes));
                }
            }
        }
    }
    found.extend(
        file.keys()
            .filter(|place| !today.contains_key(*place))
            .cloned()
            .map(Drift::Gone),
    );
    Ok(found)
}

fn calls(text: &str) -> Result<Calls, toml::de::Error> {
    let table: toml::Table = toml::from_str(text)?;
    let tools = table.get("tool").and_then(toml::Value::as_array);
    let calls = tools.into_iter().flatten().filter_map(|tool| {
        let http = tool.get("http")?;
        let part = |name: &str| http.get(name).and_then(toml::Value::as_str);
        let input = tool.get("input_schema").and_then(toml::Value::as_str);
        let input = input
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        Some((format!("{} {}", part("method")?, part("path")?), input))
    });
    Ok(calls.collect())
}

/// What a caller would have to do differently.
fn changes(known: &Value, today: &Value) -> Vec<String> {
    let required = |schema: &Value, name: &str| {
        let names = schema.get("required").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|n| n == name))
    };
    let empty = serde_json::Map::new();
    let of = |schema: &'_ Value| schema.get("properties").and_then(Value::as_object).cloned();
    let (before, after) = (of(known).unwrap_or_default(), of(today).unwrap_or(empty));
    let mut found = Vec::new();
    for (name, schema) in &after {
        match before.get(name) {
            None if required(today, name) => found.push(format!("`{name}` is new and required")),
            None => found.push(format!("`{name}` is new")),
            Some(old) => {
                if old.get("type") != schema.get("type") || old.get("enum") != schema.get("enum") {
                    found.push(format!("`{name}` accepts other values"));
                }
                if required(today, name) && !required(known, name) {
                    found.push(format!("`{name}` is required now"));
                }
            }
        }
    }
    found.extend(
        before
            .keys()
            .filter(|name| !after.contains_key(*name))
            .map(|name| format!("`{name}` is gone")),
    );
    found
}
