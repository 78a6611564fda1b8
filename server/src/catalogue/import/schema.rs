//! Schemas of a document as schemas of a tool: references resolved, dialects evened out, what costs but does not help
//! taken away.

use std::cell::Cell;

use serde_json::{Map, Value, json};

use super::document::{Document, DocumentError};

/// References followed into one another before a schema is cut (catalogue.md §2.22).
const DEEPEST: usize = 6;
/// Schemas of one tool before the rest is cut: what refers to itself twice doubles at every level.
const MOST_SCHEMAS: usize = 1000;
/// Characters of a property's description: a list is a bill paid on every turn.
const LONGEST_DESCRIPTION: usize = 160;

/// Which side of a call a schema describes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// What is sent: `readOnly` members are not.
    Input,
    /// What comes back: `writeOnly` members do not, and promises are loosened, for what an API documents is seldom
    /// exactly what it sends, and clients refuse a result that breaks a promise.
    Output,
}

/// Members that mean the same in every dialect and are kept, and whether one only promises: an output goes without those.
const KEPT: [(&str, bool); 22] = [
    ("type", false),
    ("enum", true),
    ("const", true),
    ("default", true),
    ("format", true),
    ("pattern", true),
    ("minLength", true),
    ("maxLength", true),
    ("minimum", true),
    ("maximum", true),
    ("exclusiveMinimum", true),
    ("exclusiveMaximum", true),
    ("multipleOf", true),
    ("minItems", true),
    ("maxItems", true),
    ("uniqueItems", false),
    ("minProperties", false),
    ("maxProperties", false),
    ("required", true),
    ("title", false),
    ("description", false),
    ("additionalProperties", false),
];

/// Makes a tool's schema of one of the document's.
///
/// # Errors
/// When a reference leads nowhere or outside.
pub(super) fn convert(
    document: &Document,
    schema: &Value,
    side: Side,
    place: &str,
) -> Result<Value, DocumentError> {
    let converter = Converter {
        document,
        side,
        place,
        left: Cell::new(MOST_SCHEMAS),
    };
    converter.schema(schema, 0)
}

struct Converter<'d> {
    document: &'d Document,
    side: Side,
    place: &'d str,
    /// Schemas that may still be written.
    left: Cell<usize>,
}

impl Converter<'_> {
    fn schema(&self, schema: &Value, depth: usize) -> Result<Value, DocumentError> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Ok(json!({}));
        };
        self.left.set(left);
        let (schema, depth) = match schema.get("$ref").and_then(Value::as_str) {
            Some(_) if depth >= DEEPEST => return Ok(json!({})),
            Some(_) => (self.document.resolve(schema, self.place)?, depth + 1),
            None => (schema, depth),
        };
        let Some(from) = schema.as_object() else {
            // `true` allows everything, and so does whatever is no schema at all.
            return Ok(json!({}));
        };
        let mut out = Map::new();
        for (name, promises) in KEPT {
            if let Some(value) = from.get(name)
                && !(self.side == Side::Output && promises)
            {
                out.insert(name.to_owned(), value.clone());
            }
        }
        self.even_out(from, &mut out);
        self.members(from, &mut out, depth)?;
        Ok(Value::Object(out))
    }

    /// OpenAPI 3.0's own spellings, and values of wrong types that would make the whole schema invalid.
    fn even_out(&self, from: &Map<String, Value>, out: &mut Map<String, Value>) {
        for (flag, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
            if !matches!(out.get(flag), Some(Value::Bool(_))) {
                continue;
            }
            if out.remove(flag) == Some(Value::Bool(true))
                && let Some(limit) = out.remove(bound)
            {
                out.insert(flag.to_owned(), limit);
            }
        }
        if from.get("nullable") == Some(&Value::Bool(true)) || self.side == Side::Output {
            match out.get_mut("type") {
                Some(Value::String(one)) if one != "null" => {
                    let both = json!([one.clone(), "null"]);
                    out.insert("type".to_owned(), both);
                }
                Some(Value::Array(types)) if !types.iter().any(|t| t == "null") => types.push(json!("null")),
                _ => {}
            }
            if let Some(Value::Array(options)) = out.get_mut("enum")
                && !options.contains(&Value::Null)
            {
                options.push(Value::Null);
            }
        }
        let valid = |name: &str, value: &Value| match name {
            "type" => value.is_string() || value.is_array(),
            "enum" => value.as_array().is_some_and(|options| !options.is_empty()),
            "required" => value
                .as_array()
                .is_some_and(|names| names.iter().all(Value::is_string)),
            "format" | "title" | "description" => value.is_string(),
            "pattern" => value
                .as_str()
                .is_some_and(|text| jsonschema::draft202012::new(&json!({ "pattern": text })).is_ok()),
            _ => true,
        };
        out.retain(|name, value| valid(name, value));
        if let Some(Value::String(text)) = out.get_mut("description") {
            *text = shortened(text, LONGEST_DESCRIPTION);
        }
        // A type says it all; a title of a property repeats its name.
        out.remove("title");
    }

    fn members(
        &self,
        from: &Map<String, Value>,
        out: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), DocumentError> {
        if let Some(Value::Object(properties)) = from.get("properties") {
            let hidden = match self.side {
                Side::Input => "readOnly",
                Side::Output => "writeOnly",
            };
            let mut kept = Map::new();
            for (name, schema) in properties {
                let resolved = self.document.resolve(schema, self.place)?;
                if resolved.get(hidden) != Some(&Value::Bool(true)) {
                    kept.insert(name.clone(), self.schema(schema, depth)?);
                }
            }
            if let Some(Value::Array(required)) = out.get_mut("required") {
                required.retain(|name| name.as_str().is_some_and(|name| kept.contains_key(name)));
                if required.is_empty() {
                    out.remove("required");
                }
            }
            out.insert("properties".to_owned(), Value::Object(kept));
            out.entry("type").or_insert_with(|| json!("object"));
        } else {
            out.remove("required");
        }
        if let Some(items) = from.get("items") {
            out.insert("items".to_owned(), self.schema(items, depth)?);
        }
        match from.get("additionalProperties") {
            Some(schema @ Value::Object(_)) => {
                out.insert("additionalProperties".to_owned(), self.schema(schema, depth)?);
            }
            _ if self.side == Side::Output => {
                out.remove("additionalProperties");
            }
            _ => {}
        }
        for name in ["oneOf", "anyOf", "allOf"] {
            if let Some(Value::Array(schemas)) = from.get(name) {
                let schemas = schemas
                    .iter()
                    .map(|schema| self.schema(schema, depth))
                    .collect::<Result<Vec<_>, _>>()?;
                // Loosened alternatives overlap, so exactly one would promise too much.
                let name = if name == "oneOf" && self.side == Side::Output {
                    "anyOf"
                } else {
                    name
                };
                if !schemas.is_empty() {
                    out.insert(name.to_owned(), Value::Array(schemas));
                }
            }
        }
        Ok(())
    }
}

/// `allOf` of plain objects joined into one, so that its properties can be a tool's inputs.
pub(super) fn flattened(schema: Value) -> Value {
    let Value::Object(mut object) = schema else {
        return schema;
    };
    let Some(Value::Array(parts)) = object.remove("allOf") else {
        return Value::Object(object);
    };
    let parts: Vec<Value> = parts.into_iter().map(flattened).collect();
    let plain = |part: &Value| {
        part.as_object().is_some_and(|part| {
            part.keys().all(|key| {
                [
                    "type",
                    "properties",
                    "required",
                    "description",
                    "additionalProperties",
                ]
                .contains(&key.as_str())
            })
        })
    };
    if !parts.iter().all(plain) {
        object.insert("allOf".to_owned(), Value::Array(parts));
        return Value::Object(object);
    }
    for part in parts {
        let Value::Object(part) = part else { continue };
        for (name, value) in part {
            match (object.get_mut(&name), value) {
                (Some(Value::Object(have)), Value::Object(more)) => have.extend(more),
                (Some(Value::Array(have)), Value::Array(more)) => have.extend(more),
                (None, value) => {
                    object.insert(name, value);
                }
                _ => {}
            }
        }
    }
    Value::Object(object)
}

/// One line of at most `most` characters, cut after a sentence where there is one.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let visible = |c: &char| !c.is_control() && !crate::vocabulary::is_hidden(*c);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(visible).collect();
    if line.chars().count() <= most {
        return line;
    }
    let cut: String = line.chars().take(most.saturating_sub(1)).collect();
    match cut.rfind(". ") {
        Some(end) if end > most / 3 => cut
            .chars()
            .take(cut.get(..=end).map_or(0, |kept| kept.chars().count()))
            .collect(),
        _ => format!("{}…", cut.trim_end()),
    }
}
