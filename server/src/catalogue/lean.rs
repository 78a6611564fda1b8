//! What of an input schema stands in a list. A list is paid for on every turn, and most bounds say nothing to whoever fills a
//! form in: nobody writes a name of 200 characters, or 50 tags, by chance. They hold all the same, whoever passes one is told
//! which, and `describe_tool` shows them. Bounds that tell of what is meant (a code of three letters, a text of 20 000) stay.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// Longest texts, in characters, that are a line or so.
const LINES: RangeInclusive<u64> = 40..=1000;
/// So many items are as good as any number.
const MANY_ITEMS: u64 = 20;
/// A number as large as this bounds what can be computed with, not what is meant.
const BEYOND_MEANING: f64 = 1e9;

/// Leaves out of a schema what a reader does not need.
pub(super) fn input(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    map.retain(|keyword, bound| tells(keyword, bound));
    let is_choice = map.get("items").is_some_and(|items| items.get("enum").is_some());
    if is_choice {
        // No word of a choice is worth saying twice.
        map.remove("maxItems");
    }
    each_part(map, input);
}

/// Whether a keyword tells something to whoever fills the form in.
fn tells(keyword: &str, bound: &Value) -> bool {
    match keyword {
        "maxLength" => !bound.as_u64().is_some_and(|most| LINES.contains(&most)),
        "minLength" => bound.as_u64().is_none_or(|least| least > 1),
        "maxItems" => bound.as_u64().is_none_or(|most| most < MANY_ITEMS),
        "maximum" => bound.as_f64().is_none_or(|most| most < BEYOND_MEANING),
        _ => true,
    }
}

/// The schemas inside: of fields and of items. Whatever else a schema holds is data, or too clever to be touched.
fn each_part(map: &mut Map<String, Value>, look: fn(&mut Value)) {
    if let Some(Value::Object(fields)) = map.get_mut("properties") {
        for field in fields.values_mut() {
            look(field);
            // Whoever reads what an object holds writes nothing else into it.
            if field.get("additionalProperties") == Some(&Value::Bool(false))
                && let Some(field) = field.as_object_mut()
            {
                field.remove("additionalProperties");
            }
        }
    }
    if let Some(items) = map.get_mut("items") {
        look(items);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bounds_that_say_nothing_are_left_out_and_those_that_do_stay() {
        let mut schema = json!({
            "type": "object", "additionalProperties": false, "required": ["name"], "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 200 },
                "maxLength": { "type": "string", "maxLength": 3, "pattern": "^[A-Z]{3}$" },
                "body": { "type": "string", "minLength": 2, "maxLength": 20_000, "default": { "maxLength": 200 } },
                "cents": { "type": "integer", "minimum": 0, "maximum": 10_000_000_000_000_u64 },
                "limit": { "type": "integer", "minimum": 1, "maximum": 100 },
                "tags": { "type": "array", "maxItems": 20, "items": { "type": "string", "maxLength": 80 } },
                "ids": { "type": "array", "maxItems": 5, "items": { "type": "string" } },
                "status": { "type": "array", "maxItems": 2, "items": { "enum": ["open", "closed"] } },
            }
        });
        input(&mut schema);
        assert_eq!(
            schema,
            json!({
                "type": "object", "additionalProperties": false, "required": ["name"], "properties": {
                    "name": { "type": "string" },
                    "maxLength": { "type": "string", "maxLength": 3, "pattern": "^[A-Z]{3}$" },
                    "body": { "type": "string", "minLength": 2, "maxLength": 20_000, "default": { "maxLength": 200 } },
                    "cents": { "type": "integer", "minimum": 0 },
                    "limit": { "type": "integer", "minimum": 1, "maximum": 100 },
                    "tags": { "type": "array", "items": { "type": "string" } },
                    "ids": { "type": "array", "maxItems": 5, "items": { "type": "string" } },
                    "status": { "type": "array", "items": { "enum": ["open", "closed"] } },
                }
            })
        );
    }

    #[test]
    fn a_schema_that_is_no_object_stays() {
        let mut schema = json!(true);
        input(&mut schema);
        assert_eq!(schema, json!(true));
    }
}
