//! From the parameters of a row to the JSON Schema that clients read.

use serde_json::{Map, Value, json};

use super::file::ParameterRow;

/// What an input schema needs beyond the JSON itself.
pub(super) struct BuiltSchema {
    pub schema: Value,
    /// Names of top-level strings whose surrounding whitespace is kept.
    pub keeps_whitespace: Vec<String>,
}

/// Builds the schema of a tool's `input` table. The message of an error names the parameter.
pub(super) fn build(input: toml::Table) -> Result<BuiltSchema, String> {
    let mut schema = Map::from_iter([("type".to_owned(), json!("object"))]);
    let keeps_whitespace = fields(input, &mut schema)?;
    Ok(BuiltSchema {
        schema: Value::Object(schema),
        keeps_whitespace,
    })
}

/// Puts into the schema of an object what it holds and that it holds nothing else. Gives the names of the strings whose
/// whitespace is kept.
fn fields(rows: toml::Table, schema: &mut Map<String, Value>) -> Result<Vec<String>, String> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut keeps_whitespace = Vec::new();
    for (name, row) in rows {
        let row: ParameterRow = row.try_into().map_err(|e| format!("input `{name}`: {e}"))?;
        if row.required {
            required.push(Value::String(name.clone()));
        }
        if row.keep_whitespace {
            keeps_whitespace.push(name.clone());
        }
        let field = parameter(row).map_err(|e| format!("input `{name}`: {e}"))?;
        properties.insert(name, field);
    }
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        schema.insert("required".to_owned(), Value::Array(required));
    }
    Ok(keeps_whitespace)
}

fn parameter(row: ParameterRow) -> Result<Value, String> {
    const TYPES: [&str; 6] = ["string", "integer", "number", "boolean", "array", "object"];
    if !TYPES.contains(&row.kind.as_str()) {
        return Err(format!("type `{}` is not one of {}", row.kind, TYPES.join(", ")));
    }
    if row.properties.is_some() && row.kind != "object" {
        return Err(format!("properties belong to type `object`, not `{}`", row.kind));
    }
    let mut out = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(key.to_owned(), value);
        }
    };
    put("type", Some(Value::String(row.kind)));
    put("description", row.description.map(Value::String));
    put(
        "enum",
        row.choices.map(|all| all.into_iter().map(to_json).collect()),
    );
    put("default", row.default.map(to_json));
    put("minLength", row.min_length.map(Value::from));
    put("maxLength", row.max_length.map(Value::from));
    put("minimum", row.minimum.map(Value::from));
    put("maximum", row.maximum.map(Value::from));
    put("pattern", row.pattern.map(Value::String));
    put("format", row.format.map(Value::String));
    put("minItems", row.min_items.map(Value::from));
    put("maxItems", row.max_items.map(Value::from));
    put("x-mcp-header", row.header.map(Value::String));
    if let Some(items) = row.items {
        out.insert("items".to_owned(), parameter(*items)?);
    }
    if let Some(properties) = row.properties {
        // Whitespace inside of objects is not touched at all.
        fields(properties, &mut out)?;
    }
    Ok(Value::Object(out))
}

/// A TOML value as JSON. Dates become their text.
pub(super) fn to_json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(moment) => Value::String(moment.to_string()),
        toml::Value::Array(items) => items.into_iter().map(to_json).collect(),
        toml::Value::Table(table) => table_to_json(table),
    }
}

/// A TOML table as a JSON object, keys in their order.
pub(super) fn table_to_json(table: toml::Table) -> Value {
    Value::Object(
        table
            .into_iter()
            .map(|(key, value)| (key, to_json(value)))
            .collect(),
    )
}
