//! Tickets: states, the thirty days, references by number, comments, and two people who close one.

use serde_json::{Value, json};

use super::{
    house::{ALL, column, lines, with},
    seed::seeded,
};
use crate::store::harness::for_each_engine;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[test]
fn a_ticket_is_worked_on_closed_and_opened_again_for_thirty_days() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let rooms = &seeded.rooms;
        let key = rooms.key("acme", ALL).await;
        let made = json!({ "title": "Printer", "requester": "charles@analytical.test", "assignee": "ben" });
        let made = rooms.confirmed(&key, "create_ticket", made).await["ticket"].clone();
        assert_eq!(made["account_id"], seeded.ids["$account"].as_str());
        let id = json!(format!("#{}", made["number"]));
        let found = rooms.call(&key, "get_ticket", json!({ "id": id })).await;
        assert_eq!(found["ticket"]["id"], made["id"]);
        assert_eq!(
            found["ticket"]["sla"]["resolution"]["state"], "running",
            "{found}"
        );
        rooms
            .confirmed(&key, "update_ticket", json!({ "id": id, "status": "waiting" }))
            .await;
        let waiting = rooms.call(&key, "get_ticket", json!({ "id": id })).await;
        assert_eq!(waiting["ticket"]["sla"]["resolution"]["state"], "paused");
        let close = json!({ "id": id, "resolution": "New toner." });
        let asked = rooms.preview(&key, "close_ticket", close.clone()).await;
        assert_eq!(
            lines(&asked),
            [
                "update ticket.status: waiting → closed",
                "update ticket.resolution: New toner."
            ]
        );
        let done = rooms.confirmed(&key, "close_ticket", close.clone()).await;
        assert_eq!(done["ticket"]["status"], "closed");
        assert_eq!(done["ticket"]["sla"]["resolution"]["state"], "met");
        let again = rooms.confirmed(&key, "close_ticket", close).await;
        assert_eq!(again["unchanged"], true);
        assert_eq!(again["ticket"]["version"], done["ticket"]["version"]);
        // Lists leave closed ones out unless they are asked for.
        let all = column(
            &rooms
                .call(&key, "list_tickets", json!({ "assignee": "ben" }))
                .await,
            "id",
        );
        assert_eq!(all, Vec::<Value>::new());
        let closed = json!({ "status": ["closed"], "assignee": "ben" });
        assert_eq!(
            column(&rooms.call(&key, "list_tickets", closed).await, "id"),
            [made["id"].clone()]
        );
        rooms.clock.advance(29 * DAY_MS);
        let reopen = json!({ "id": id, "status": "open" });
        let back = rooms.confirmed(&key, "update_ticket", reopen.clone()).await;
        assert_eq!(back["ticket"].get("closed_at"), None);
        rooms.confirmed(&key, "close_ticket", json!({ "id": id })).await;
        rooms.clock.advance(31 * DAY_MS);
        let text = rooms.refusal(&key, "update_ticket", reopen).await;
        assert_eq!(
            text,
            "422 Unprocessable: a closed ticket can be reopened for 30 days; create a new one"
        );
    });
}

#[test]
fn two_people_who_close_one_ticket_close_it_once() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let rooms = &seeded.rooms;
        let (ann, ben) = (rooms.key("acme", ALL).await, rooms.key("acme", ALL).await);
        let id = json!(seeded.ids["$ticket"]);
        let (first, second) = (
            json!({ "id": id, "resolution": "Restarted." }),
            json!({ "id": id, "resolution": "Replaced." }),
        );
        let asked_ann = rooms.preview(&ann, "close_ticket", first.clone()).await;
        let asked_ben = rooms.preview(&ben, "close_ticket", second.clone()).await;
        let done = rooms.call(&ann, "close_ticket", with(&first, &asked_ann)).await;
        assert_eq!(done["status"], "done");
        let late = rooms.call(&ben, "close_ticket", with(&second, &asked_ben)).await;
        assert_eq!(late["reason"], "changed_since_preview", "{late}");
        assert!(
            late["preview"]["summary"]
                .as_str()
                .unwrap()
                .starts_with("Nothing to do"),
            "{late}"
        );
        let ticket = rooms.call(&ann, "get_ticket", json!({ "id": id })).await;
        assert_eq!(ticket["ticket"]["resolution"], "Restarted.");
    });
}

#[test]
fn comments_stay_inside_unless_somebody_outside_can_read_them() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let rooms = &seeded.rooms;
        let key = rooms.key("acme", ALL).await;
        let id = json!(seeded.ids["$ticket"]);
        let inside = json!({ "id": id, "body": "Known bug." });
        let done = rooms.confirmed(&key, "comment_on_ticket", inside).await;
        assert_eq!(done["comment"]["visibility"], "internal");
        assert_eq!(done["comment"].get("delivery"), None);
        let alone = rooms
            .confirmed(&key, "create_ticket", json!({ "title": "Nobody asked" }))
            .await;
        let outside = json!({ "id": alone["ticket"]["id"], "body": "Hello?", "visibility": "public" });
        let text = rooms.refusal(&key, "comment_on_ticket", outside).await;
        assert!(
            text.starts_with("422 Unprocessable: the requester has no address"),
            "{text}"
        );
        rooms.clock.advance(1_000);
        let assigned = json!({ "id": id, "assignee": "ben", "note": "Yours." });
        rooms.confirmed(&key, "assign_ticket", assigned).await;
        let ticket = rooms.call(&key, "get_ticket", json!({ "id": id })).await;
        let bodies: Vec<&Value> = ticket["comments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| &c["body"])
            .collect();
        assert_eq!(bodies, ["Known bug.", "Yours."]);
        let free = json!({ "id": id, "assignee": "unassigned" });
        let free = rooms.confirmed(&key, "assign_ticket", free).await;
        assert_eq!(free["ticket"].get("assignee"), None);
        let nobodys = rooms
            .call(&key, "list_tickets", json!({ "assignee": "unassigned" }))
            .await;
        assert_eq!(column(&nobodys, "id").len(), 2);
    });
}
