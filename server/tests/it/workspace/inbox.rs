//! What an inbox knows of those who write to it: their words, and when they were last here.

use serde_json::{Value, json};

use super::{
    house::{ALL, column},
    talk::Mailroom,
};
use crate::store::harness::for_each_engine;

const MINUTE_MS: i64 = 60 * 1000;

fn mail(id: &str, subject: &str, body: &str) -> String {
    format!(
        "From: Ada <ada@analytical.test>\nTo: help@acme.test\nSubject: {subject}\nMessage-ID: <{id}@analytical.test>\n\n{body}\n"
    )
}

#[test]
fn conversations_are_found_by_what_was_said_in_them() {
    for_each_engine(|place| async move {
        let room = Mailroom::with(place, json!({})).await;
        let (rooms, key) = (&room.rooms, room.key.as_str());
        let mut ids = Vec::new();
        for (id, subject, body) in [
            ("m1", "Printer", "The cartridge leaks purple ink."),
            ("m2", "Invoice", "Which cartridge did I order?"),
            ("m3", "Cartridge", "None."),
        ] {
            let said = room.bring(&mail(id, subject, body)).await.json();
            ids.push(said["conversation_id"].clone());
            rooms.clock.advance(MINUTE_MS);
        }
        let note = json!({ "id": ids[2], "body": "They mean the purple one." });
        rooms.confirmed(key, "add_conversation_note", note).await;
        let found = async |more: Value| {
            let listed = rooms.call(key, "list_conversations", more).await;
            (column(&listed, "id"), listed["next_cursor"].clone())
        };
        let newest_first = |of: &[usize]| of.iter().map(|at| ids[*at].clone()).collect::<Vec<_>>();
        // By subject, message and note; each once; the newest first.
        let (all, _) = found(json!({ "q": "cartridge" })).await;
        assert_eq!(all, newest_first(&[2, 1, 0]));
        assert_eq!(found(json!({ "q": "purple" })).await.0, newest_first(&[2, 0]));
        assert_eq!(found(json!({ "q": "leaks ink" })).await.0, newest_first(&[0]));
        assert_eq!(found(json!({ "q": "toner" })).await.0, [json!(null); 0]);
        // The other filters, the order and pages hold as ever.
        assert_eq!(
            found(json!({ "q": "cartridge", "status": ["resolved"] })).await.0,
            [json!(null); 0]
        );
        let oldest = json!({ "q": "cartridge", "order": "asc", "limit": 2 });
        let (first, cursor) = found(oldest.clone()).await;
        assert_eq!(first, newest_first(&[0, 1]));
        let mut next = oldest;
        next["cursor"] = cursor;
        assert_eq!(found(next).await.0, newest_first(&[2]));
        let stranger = rooms.key("zeta", ALL).await;
        let listed = rooms
            .call(&stranger, "list_conversations", json!({ "q": "cartridge" }))
            .await;
        assert_eq!(listed["items"], json!([]));
    });
}

#[test]
fn a_contact_who_writes_was_last_seen_then() {
    for_each_engine(|place| async move {
        let room = Mailroom::with(place, json!({})).await;
        let (rooms, key) = (&room.rooms, room.key.as_str());
        let account = rooms
            .confirmed(key, "create_account", json!({ "name": "Analytical" }))
            .await;
        let ada =
            json!({ "name": "Ada", "email": "ada@analytical.test", "account_id": account["account"]["id"] });
        rooms.confirmed(key, "create_contact", ada).await;
        let contact = async || {
            let whole = rooms
                .call(key, "get_contact", json!({ "id": "ada@analytical.test" }))
                .await;
            whole["contact"].clone()
        };
        assert_eq!(contact().await.get("last_seen_at"), None);
        room.bring(&mail("m1", "Stuck", "Help.")).await;
        let seen = contact().await;
        assert_eq!(seen["last_seen_at"], rooms.clock.now().to_string());
        // Each line of a chat is no version of the contact.
        rooms.clock.advance(MINUTE_MS);
        room.bring(&mail("m2", "Stuck", "Still.")).await;
        assert_eq!(contact().await, seen);
        rooms.clock.advance(5 * MINUTE_MS);
        room.bring(&mail("m3", "Stuck", "Again.")).await;
        assert_eq!(contact().await["last_seen_at"], rooms.clock.now().to_string());
        let listed = rooms
            .call(key, "list_contacts", json!({ "sort": "last_seen_at" }))
            .await;
        assert_eq!(column(&listed, "name"), ["Ada"]);
    });
}
