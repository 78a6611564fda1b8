//! What a lead leaves to the contact that it becomes.

use serde_json::json;

use super::house::{ALL, Rooms, lines};
use crate::store::harness::{for_each_engine, tenant};

#[test]
fn a_converted_lead_leaves_its_notes_tags_and_own_fields_to_the_contact() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let fields = json!({ "contact": { "tier": { "type": "choice", "choices": ["gold"] }, "budget": { "type": "text" } } });
        rooms
            .workspace
            .declare_fields(&tenant("acme"), fields)
            .await
            .unwrap();
        let lead = json!({
            "name": "Ada", "company": "Notes & Co", "email": "ada@notes.test", "tags": ["fair"], "note": "Met at a fair.",
            "custom": { "tier": "gold", "budget": 5, "colour": "red" },
        });
        rooms.confirmed(&key, "create_lead", lead).await;
        let note = json!({ "object_type": "lead", "object_id": "ada@notes.test", "kind": "call", "body": "Rings back." });
        rooms.confirmed(&key, "add_crm_note", note).await;

        let convert = json!({ "id": "ada@notes.test" });
        let asked = rooms.preview(&key, "convert_lead", convert.clone()).await;
        let shown = lines(&asked);
        for line in [
            "create contact.custom.tier: gold",
            "create contact.tags: [\"fair\"]",
        ] {
            assert!(shown.contains(&line.to_owned()), "{line} in {shown:#?}");
        }
        assert_eq!(
            asked["preview"]["effects"][0],
            "the contact gets 2 notes of the lead"
        );
        // A contact's budget is a text, and it has no colour.
        assert_eq!(
            asked["preview"]["warnings"],
            json!(["contacts have no such fields, so they stay with the lead: budget, colour"])
        );
        let blind = rooms.key("acme", "crm:write").await;
        let hidden = rooms
            .preview(&blind, "convert_lead", convert.clone())
            .await
            .to_string();
        for secret in ["gold", "fair", "colour", "Rings", "Notes & Co"] {
            assert!(!hidden.contains(secret), "{secret} in {hidden}");
        }

        let done = rooms.confirmed(&key, "convert_lead", convert).await;
        let contact = rooms
            .call(&key, "get_contact", json!({ "id": done["contact"]["id"] }))
            .await;
        assert_eq!(contact["contact"]["custom"], json!({ "tier": "gold" }));
        assert_eq!(contact["contact"]["tags"], json!(["fair"]));
        let notes = contact["notes"].as_array().unwrap();
        let mut bodies: Vec<&str> = notes.iter().map(|note| note["body"].as_str().unwrap()).collect();
        bodies.sort_unstable();
        assert_eq!(bodies, ["Met at a fair.", "Rings back."]);
        assert!(
            notes.iter().all(|note| note["object_type"] == "contact"),
            "{notes:?}"
        );
        assert_eq!(done["lead"]["custom"]["colour"], "red");

        // Another lead of the same company and address: nobody is doubled without a word.
        let again = json!({ "name": "A. Lovelace", "company": "NOTES & co", "email": "Ada@notes.test", "on_duplicate": "create" });
        let again = rooms.confirmed(&key, "create_lead", again).await;
        let convert = json!({ "id": again["lead"]["id"] });
        let asked = rooms.preview(&key, "convert_lead", convert.clone()).await;
        assert_eq!(
            asked["preview"]["warnings"],
            json!([
                "an account is called \"NOTES & co\" already; to take that one, call again with it as account_id",
                "a contact has the email Ada@notes.test already",
            ])
        );
        let asked = rooms.preview(&blind, "convert_lead", convert).await;
        assert_eq!(asked["preview"]["warnings"], json!([]));
    });
}
