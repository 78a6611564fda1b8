//! What holds for every tool of the edition between two tenants, generated from the catalogue.

use std::collections::BTreeSet;

use serde_json::json;

use super::{house::ALL, seed::seeded};
use crate::store::harness::{Place, run};

/// Inputs that name a record or a member, singly or in a list.
const REFERENCES: [&str; 21] = [
    "id",
    "object_id",
    "account_id",
    "contact_id",
    "contact_ids",
    "conversation_id",
    "article_ids",
    "requester",
    "channel",
    "channel_id",
    "channels",
    "owner",
    "assignee",
    "author",
    "member",
    "members",
    "mentions",
    "reassign_to",
    "move_to",
    "redirect_to",
    "subject",
];

/// Whatever of another tenant's a call names, by whichever input, it does not exist; and no list or search shows it.
#[test]
fn no_tool_finds_anything_of_another_tenant() {
    run(async {
        let seeded = seeded(Place::sqlite()).await;
        let rooms = &seeded.rooms;
        let stranger = rooms.key("zeta", ALL).await;
        let mut tried = BTreeSet::new();
        for tool in rooms.edition.tools() {
            let name = tool.name.as_str();
            let inputs = tool.input.as_json()["properties"].as_object().unwrap();
            for example in &tool.examples {
                let own = seeded.fill_others(&example.arguments);
                let answer = rooms.call(&stranger, name, own.clone()).await.to_string();
                for id in seeded.ids.values() {
                    assert!(!answer.contains(id.as_str()), "`{name}` shows {id}: {answer}");
                }
                for input in REFERENCES.into_iter().filter(|input| inputs.contains_key(*input)) {
                    for (placeholder, id) in &seeded.ids {
                        let kind = placeholder
                            .trim_start_matches(['$', '_'])
                            .trim_start_matches("spare_");
                        let value = match inputs[input]["type"].as_str() {
                            Some("array") => json!([id]),
                            Some("object") => json!({ "type": kind.trim_end_matches("_name"), "id": id }),
                            _ => json!(id),
                        };
                        let mut wrong = own.clone();
                        wrong[input] = value;
                        let text = rooms.refusal(&stranger, name, wrong).await;
                        assert!(
                            text.starts_with("404 Not Found: "),
                            "`{name}` {input} {id}: {text}"
                        );
                        assert_eq!(text.matches(id.as_str()).count(), 1, "{text}");
                        tried.insert((name, input));
                    }
                }
            }
        }
        assert!(tried.len() > 60, "{tried:?}");
    });
}
