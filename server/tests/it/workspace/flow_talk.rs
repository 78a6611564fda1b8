//! What flows do with conversations and tickets happens by the same rules as what people do: clocks, numbers, channels, notes in
//! their place.

use serde_json::{Value, json};

use super::{
    flows::{put, runs, settle},
    house::{ALL, Rooms},
    talk::bring,
};
use crate::store::harness::for_each_engine;

const MAIL: &str = "From: Ada <ada@analytical.test>\nTo: help@acme.test\nSubject: Stuck\nMessage-ID: <m1@analytical.test>\n\nHelp.\n";

#[test]
fn a_flow_assigns_notes_and_opens_tickets_as_people_do() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let flow = put(
            &rooms,
            json!({
                "name": "Take care", "trigger": "conversation.created",
                "steps": [
                    { "action": "add_internal_note", "body": "A new one." },
                    { "action": "assign", "assignee": "ben" },
                    { "action": "create_ticket", "title": "See {{conversation.subject}}", "priority": "urgent" },
                ],
            }),
        )
        .await;
        // Tools and flows count tickets together.
        let first = rooms
            .confirmed(&key, "create_ticket", json!({ "title": "By hand" }))
            .await;
        assert_eq!(first["ticket"]["number"], 1);
        rooms
            .channel("acme", json!({ "routing": "manual", "members": ["usr_ben"] }))
            .await;
        let path = rooms.inbound("acme", "support").await;
        let outside = rooms.open_doors();
        bring(&outside, &path, MAIL).await;
        settle(&rooms).await;

        let log = runs(&rooms, &key, &flow).await;
        assert_eq!(log[0]["status"], "succeeded", "{log:?}");
        let id = rooms.only_conversation(&key).await["id"].clone();
        let whole = rooms.call(&key, "get_conversation", json!({ "id": id })).await;
        let conversation = &whole["conversation"];
        assert_eq!(
            (&conversation["status"], &conversation["assignee"]),
            (&json!("assigned"), &json!("usr_ben"))
        );
        let said: Vec<&Value> = whole["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| &message["body"])
            .collect();
        assert_eq!(said, ["Help.", "A new one."], "{whole}");
        let ticket = rooms.call(&key, "get_ticket", json!({ "id": "#2" })).await["ticket"].clone();
        assert_eq!(
            conversation["ticket_id"], ticket["id"],
            "the conversation knows its ticket"
        );
        assert_eq!(ticket["sla"]["first_response"]["state"], "running", "{ticket}");

        // A change of status by a flow moves the clocks.
        put(
            &rooms,
            json!({
                "name": "Wait", "trigger": "custom.wait",
                "steps": [{ "action": "update_field", "field": "ticket.status", "value": "waiting" }],
            }),
        )
        .await;
        let event = json!({ "event": "custom.wait", "subject": { "type": "ticket", "id": ticket["id"] } });
        rooms.confirmed(&key, "trigger_flow_event", event).await;
        settle(&rooms).await;
        let ticket = rooms.call(&key, "get_ticket", json!({ "id": "#2" })).await["ticket"].clone();
        assert_eq!(
            (&ticket["status"], &ticket["sla"]["resolution"]["state"]),
            (&json!("waiting"), &json!("paused"))
        );
    });
}

#[test]
fn a_flow_gives_a_conversation_to_nobody_who_is_not_in_its_channel() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        rooms.add_user("acme", "cleo").await;
        let outsider = json!({
            "name": "Outsider", "trigger": "conversation.created", "steps": [{ "action": "assign", "assignee": "cleo" }],
        });
        let outsider = put(&rooms, outsider).await;
        rooms
            .channel("acme", json!({ "routing": "manual", "members": ["usr_ben"] }))
            .await;
        let path = rooms.inbound("acme", "support").await;
        let outside = rooms.open_doors();
        bring(&outside, &path, MAIL).await;
        settle(&rooms).await;
        let log = runs(&rooms, &key, &outsider).await;
        assert_eq!(log[0]["status"], "failed", "{log:?}");
        assert!(
            log[0]["error"]
                .as_str()
                .unwrap()
                .contains("is not in the channel"),
            "{log:?}"
        );
        assert_eq!(rooms.only_conversation(&key).await["status"], "open");

        // By the channel's rule, whoever is in it has a turn.
        rooms
            .confirmed(
                &key,
                "update_channel",
                json!({ "id": "support", "routing": "round_robin" }),
            )
            .await;
        let by_rule = json!({
            "name": "By rule", "trigger": "custom.route", "steps": [{ "action": "assign", "assignee": "auto" }],
        });
        put(&rooms, by_rule).await;
        let id = rooms.only_conversation(&key).await["id"].clone();
        let event = json!({ "event": "custom.route", "subject": { "type": "conversation", "id": id } });
        rooms.confirmed(&key, "trigger_flow_event", event).await;
        settle(&rooms).await;
        assert_eq!(rooms.only_conversation(&key).await["assignee"], "usr_ben");
    });
}
