//! What a tool's definition becomes when it asks for consent first (catalogue.md §2.8): one more input, and an output
//! that can be a preview as well as a result.

use serde_json::{Map, Value, json};

/// The argument that a confirmation comes back in.
pub const TOKEN_ARGUMENT: &str = "confirmation_token";

/// The description, which says that there is a preview if it does not already.
pub(super) fn description(text: &str) -> String {
    if text.contains("preview") {
        text.to_owned()
    } else {
        format!("{text} Shows a preview first.")
    }
}

/// The input schema with the token. What is required stays so: a token alone is taken all the same, but whoever
/// sends the arguments again learns when they differ.
pub(super) fn input(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(root) = schema.as_object_mut() {
        let properties = root.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            let token = json!({
                "type": "string",
                "maxLength": 100,
                "description": "From the preview",
            });
            properties.insert(TOKEN_ARGUMENT.to_owned(), token);
        }
    }
    schema
}

/// One object whose fields are all optional except `status`: strict clients hold every answer to one schema. Answers say more
/// (`next_step`, `approve`, `reason`, `expires_at`, `replayed`); a list is paid for on every turn, so it declares only what a
/// program has to find.
pub(super) fn output(result: Option<&Value>) -> Value {
    let mut result = result.cloned();
    // References inside point to the root of the document.
    let definitions = result
        .as_mut()
        .and_then(Value::as_object_mut)
        .and_then(|result| result.remove("$defs"));
    let mut properties = Map::from_iter([
        (
            "status".to_owned(),
            json!({ "enum": ["confirmation_required", "pending_approval", "declined", "done"] }),
        ),
        ("preview".to_owned(), json!({ "type": "object" })),
        (TOKEN_ARGUMENT.to_owned(), json!({ "type": "string" })),
    ]);
    if let Some(result) = result {
        properties.insert("result".to_owned(), result);
    }
    let mut schema = json!({ "type": "object", "properties": properties, "required": ["status"] });
    if let (Some(definitions), Some(root)) = (definitions, schema.as_object_mut()) {
        root.insert("$defs".to_owned(), definitions);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_and_a_result_satisfy_one_schema() {
        let inner = json!({
            "type": "object", "required": ["lead"], "properties": { "lead": { "$ref": "#/$defs/lead" } },
            "$defs": { "lead": { "type": "object", "required": ["id"] } },
        });
        let schema = jsonschema::draft202012::new(&output(Some(&inner))).unwrap();
        assert!(schema.is_valid(
            &json!({ "status": "confirmation_required", "preview": {}, "confirmation_token": "cft_x" })
        ));
        assert!(schema.is_valid(&json!({ "status": "done", "result": { "lead": { "id": "1" } } })));
        assert!(!schema.is_valid(&json!({ "status": "done", "result": { "lead": {} } })));
        assert!(!schema.is_valid(&json!({ "lead": { "id": "1" } })));
    }

    #[test]
    fn the_token_is_one_more_input_and_never_a_required_one() {
        let schema = json!({ "type": "object", "properties": { "id": {} }, "required": ["id"], "additionalProperties": false });
        let schema = input(&schema);
        assert_eq!(schema["required"], json!(["id"]));
        assert_eq!(schema["properties"][TOKEN_ARGUMENT]["type"], "string");
        assert_eq!(
            input(&json!({ "type": "object" }))["properties"][TOKEN_ARGUMENT]["type"],
            "string"
        );
        assert_eq!(
            description("Change a lead. Shows a preview first."),
            "Change a lead. Shows a preview first."
        );
        assert_eq!(
            description("Change a lead."),
            "Change a lead. Shows a preview first."
        );
    }
}
