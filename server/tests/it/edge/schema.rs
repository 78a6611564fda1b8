//! Every message that the server writes validates against the official schema of its revision.

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::house::House;

const MODERN: &str = "2026-07-28";
const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

fn official(revision: &str) -> Value {
    let text = match revision {
        "2026-07-28" => include_str!("../../../../shared-protocol/schema/2026-07-28.json"),
        "2025-11-25" => include_str!("../../../../shared-protocol/schema/2025-11-25.json"),
        "2025-06-18" => include_str!("../../../../shared-protocol/schema/2025-06-18.json"),
        "2025-03-26" => include_str!("../../../../shared-protocol/schema/2025-03-26.json"),
        other => panic!("{other}"),
    };
    serde_json::from_str(text).unwrap()
}

/// Judges values by the definitions of one revision.
pub(super) struct Schema {
    document: Value,
    compiled: BTreeMap<String, Validator>,
    revision: String,
}

impl Schema {
    pub(super) fn of(revision: &str) -> Self {
        Self {
            document: official(revision),
            compiled: BTreeMap::new(),
            revision: revision.to_owned(),
        }
    }

    /// Panics with what is wrong unless `value` is a `definition`.
    pub(super) fn check(&mut self, definition: &str, value: &Value) {
        let revision = &self.revision;
        let validator = self.compiled.entry(definition.to_owned()).or_insert_with(|| {
            let place = if self.document.get("$defs").is_some() {
                "$defs"
            } else {
                "definitions"
            };
            assert!(
                self.document[place].get(definition).is_some(),
                "{revision} has no {definition}"
            );
            let mut schema = self.document.clone();
            schema["$ref"] = json!(format!("#/{place}/{definition}"));
            jsonschema::validator_for(&schema).unwrap()
        });
        let faults: Vec<_> = validator
            .iter_errors(value)
            .map(|e| format!("{} at {}", e, e.instance_path()))
            .collect();
        assert!(
            faults.is_empty(),
            "{revision} {definition}: {faults:?} in {value}"
        );
    }
}

#[tokio::test]
async fn modern_messages_are_as_the_schema_says() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let mut schema = Schema::of(MODERN);
    let table = [
        ("server/discover", json!({}), "DiscoverResult"),
        ("tools/list", json!({}), "ListToolsResult"),
        ("tools/call", json!({ "name": "plain" }), "CallToolResult"),
        ("tools/call", json!({ "name": "rich" }), "CallToolResult"),
        (
            "tools/call",
            json!({ "name": "notes.echo", "arguments": {} }),
            "CallToolResult",
        ),
        (
            "tools/call",
            json!({ "name": "note", "arguments": { "text": "x" } }),
            "CallToolResult",
        ),
        ("tools/call", json!({ "name": "ask" }), "InputRequiredResult"),
    ];
    for (method, params, definition) in table {
        let message = house.modern(&key, method, params).send().await.json();
        schema.check("JSONRPCResultResponse", &message);
        schema.check(definition, &message["result"]);
    }
    let errors = [
        (
            house.modern(&key, "tools/call", json!({ "name": "nowhere" })),
            "JSONRPCErrorResponse",
        ),
        (house.modern(&key, "no/method", json!({})), "JSONRPCErrorResponse"),
        (house.call(&key, "fail", json!({})), "JSONRPCErrorResponse"),
        (
            house.call(&key, "needs_sampling", json!({})),
            "MissingRequiredClientCapabilityError",
        ),
        (
            house
                .call(&key, "plain", json!({}))
                .set("mcp-method", "tools/list"),
            "HeaderMismatchError",
        ),
        (house.post(&key, "{"), "JSONRPCErrorResponse"),
        (house.post("", "{}"), "JSONRPCErrorResponse"),
    ];
    for (post, definition) in errors {
        schema.check(definition, &post.send().await.json());
    }
    let stream = house.modern(
        &key,
        "tools/call",
        json!({ "name": "progress", "arguments": { "steps": 3, "pause_ms": 1 }, "_meta": { "progressToken": "p" } }),
    );
    let events = stream.send().await.events();
    let (answer, notes) = events.split_last().unwrap();
    assert!(!notes.is_empty());
    for note in notes {
        schema.check("ProgressNotification", note);
    }
    schema.check("CallToolResultResponse", answer);
}

#[tokio::test]
async fn legacy_messages_are_as_their_schemas_say() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    for version in LEGACY {
        let mut schema = Schema::of(version);
        let hello = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let table = [
            ("initialize", hello, "InitializeResult"),
            ("ping", json!({}), "EmptyResult"),
            ("tools/list", json!({}), "ListToolsResult"),
            ("tools/call", json!({ "name": "plain" }), "CallToolResult"),
            ("tools/call", json!({ "name": "rich" }), "CallToolResult"),
            (
                "tools/call",
                json!({ "name": "notes.echo", "arguments": {} }),
                "CallToolResult",
            ),
            ("tools/call", json!({ "name": "ask" }), "CallToolResult"),
        ];
        let response = if version == "2025-11-25" {
            "JSONRPCResultResponse"
        } else {
            "JSONRPCResponse"
        };
        let error = if version == "2025-11-25" {
            "JSONRPCErrorResponse"
        } else {
            "JSONRPCError"
        };
        for (method, params, definition) in table {
            let message = house.legacy(&key, version, method, params).send().await.json();
            schema.check(response, &message);
            schema.check(definition, &message["result"]);
            for modern in ["resultType", "ttlMs", "cacheScope", "_meta"] {
                assert!(
                    message["result"].get(modern).is_none(),
                    "{version} {method}: {message}"
                );
            }
        }
        let unknown = house
            .legacy(&key, version, "tools/call", json!({ "name": "nowhere" }))
            .send()
            .await;
        schema.check(error, &unknown.json());
        assert_eq!(unknown.status, 200);
    }
}
