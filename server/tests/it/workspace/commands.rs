//! What operators type for a workspace: flows by file, deleted records brought back, own fields declared.

use serde_json::{Value, json};

use super::{house::ALL, seed::seeded};
use crate::{process, store::harness::for_each_engine};

const FLOW: &str = r#"
name = "Urgent ticket to on-call"
trigger = "ticket.created"
conditions = [ { field = "ticket.priority", op = "eq", value = "urgent" } ]
[[steps]]
action = "add_internal_note"
body = "Paged on-call for #{{ticket.number}}"
"#;

#[test]
fn a_flow_is_applied_tested_switched_and_listed() {
    for_each_engine(|place| async move {
        let typed = process::Place::on(&place.url);
        let _seeded = seeded(place).await;
        let file = |name: &str, text: &str| {
            let path = typed.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let acme = ["--tenant", "acme"];
        let flow = |arguments: &[&str]| typed.ok(&[&["flow"], arguments, &acme].concat());
        let applied = flow(&["apply", &file("flow.toml", FLOW)]);
        assert!(
            applied.contains("  off  Urgent ticket to on-call  ticket.created → 1 steps  never ran"),
            "{applied}"
        );
        assert!(applied.contains("flow enable "), "{applied}");
        let event = |priority: &str| {
            let ticket = json!({ "number": 7, "title": "Down", "priority": priority });
            let event = json!({ "event": "ticket.created", "subject": { "type": "ticket" }, "data": ticket });
            file("event.json", &event.to_string())
        };
        let on = flow(&["enable", "Urgent ticket to on-call"]);
        assert!(on.contains("  on  "), "{on}");
        let rehearsed = flow(&["test", &event("urgent")]);
        assert!(
            rehearsed.contains("Urgent ticket to on-call") && rehearsed.contains("add_internal_note"),
            "{rehearsed}"
        );
        // Applied again, it keeps its switch and is still one.
        assert!(flow(&["apply", &file("flow.toml", FLOW)]).contains("  on  "));
        let listed: Value = serde_json::from_str(&flow(&["list", "--json"])).unwrap();
        let of_name = |row: &&Value| row["name"] == "Urgent ticket to on-call";
        assert_eq!(
            listed.as_array().unwrap().iter().filter(of_name).count(),
            1,
            "{listed}"
        );
        let off = flow(&["disable", "Urgent ticket to on-call"]);
        assert!(off.contains("  off  "), "{off}");

        let fails = |arguments: &[&str]| typed.fails(&[&["flow"], arguments, &acme].concat());
        let faulty = FLOW
            .replace("ticket.created", "ticket.eaten")
            .replace("add_internal_note", "fly");
        let refused = fails(&["apply", &file("faulty.toml", &faulty)]);
        assert!(
            refused.contains("is no flow") && refused.contains("ticket.eaten"),
            "{refused}"
        );
        assert!(fails(&["enable", "Nothing of that name"]).contains("Nothing of that name"));
        assert!(fails(&["test", &file("event.txt", "not json")]).contains("is not JSON"));
        assert!(fails(&["apply", "/nothing/here.toml"]).contains("failed to read"));
    });
}

#[test]
fn a_deleted_record_is_brought_back() {
    for_each_engine(|place| async move {
        let typed = process::Place::on(&place.url);
        let seeded = seeded(place).await;
        let key = seeded.rooms.key("acme", ALL).await;
        let id = seeded.ids["$spare_lead"].as_str();
        let gone = json!({ "object_type": "lead", "id": id });
        seeded.rooms.confirmed(&key, "delete_crm_record", gone).await;
        let restore = ["workspace", "restore", "lead", id, "--tenant"];
        // Of another tenant there is none of that id.
        let refused = typed.fails(&[&restore[..], &["zeta"]].concat());
        assert!(refused.contains("there is no deleted lead"), "{refused}");
        let said = typed.ok(&[&restore[..], &["acme"]].concat());
        assert!(said.contains(&format!("restored lead {id}")), "{said}");
        let back = seeded.rooms.call(&key, "get_lead", json!({ "id": id })).await;
        assert_eq!(back["lead"]["name"], "Spam");
        let found = seeded
            .rooms
            .call(&key, "list_leads", json!({ "q": "Spam" }))
            .await;
        assert_eq!(found["items"][0]["id"], id, "its words are back too");
        assert!(
            typed
                .fails(&[&restore[..], &["acme"]].concat())
                .contains("there is no deleted")
        );
        let ticket = ["workspace", "restore", "ticket", "tkt_1", "--tenant", "acme"];
        assert!(typed.fails(&ticket).contains("cannot be restored"));
    });
}

#[test]
fn own_fields_are_declared_listed_and_taken_back() {
    for_each_engine(|place| async move {
        let typed = process::Place::on(&place.url);
        let seeded = seeded(place).await;
        let rooms = &seeded.rooms;
        let key = rooms.key("acme", ALL).await;
        let field = |arguments: &[&str]| {
            typed.ok(&[&["workspace", "field"], arguments, &["--tenant", "acme"]].concat())
        };
        field(&["add", "lead", "tier", "choice", "gold", "silver"]);
        field(&["add", "lead", "seats", "number"]);
        let listed = field(&["list"]);
        assert!(
            listed.contains("tier") && listed.contains("choice: gold, silver"),
            "{listed}"
        );
        let lead = |custom: Value| json!({ "id": seeded.ids["$lead"], "custom": custom });
        let refused = rooms
            .refusal(&key, "update_lead", lead(json!({ "tier": "lead" })))
            .await;
        assert!(
            refused.contains("custom.tier: must be one of gold, silver"),
            "{refused}"
        );
        let good = lead(json!({ "tier": "gold", "seats": 7 }));
        rooms.confirmed(&key, "update_lead", good).await;
        field(&["remove", "lead", "tier"]);
        assert!(!field(&["list"]).contains("tier"));
        // What a record holds of a field that is no more stays, and is in nobody's way.
        let renamed = json!({ "id": seeded.ids["$lead"], "title": "Countess", "custom": { "seats": 8 } });
        let renamed = rooms.confirmed(&key, "update_lead", renamed).await;
        assert_eq!(renamed["lead"]["custom"], json!({ "seats": 8, "tier": "gold" }));
        let other = rooms
            .refusal(&key, "update_lead", lead(json!({ "tier": "silver" })))
            .await;
        assert!(other.contains("custom.tier: is not a field"), "{other}");
        let emptied = rooms
            .confirmed(&key, "update_lead", lead(json!({ "tier": null })))
            .await;
        assert_eq!(emptied["lead"]["custom"], json!({ "seats": 8 }));
        let fails = |arguments: &[&str]| {
            typed.fails(&[&["workspace", "field"], arguments, &["--tenant", "acme"]].concat())
        };
        assert!(fails(&["remove", "lead", "tier"]).contains("no field custom.tier"));
        assert!(fails(&["add", "lead", "a b", "text"]).contains("no name of a field"));
        assert!(fails(&["add", "lead", "x", "colour"]).contains("is no type"));
        assert!(fails(&["add", "lead", "x", "choice"]).contains("needs its words"));
        assert!(fails(&["add", "message", "x", "text"]).contains("no fields of your own"));
    });
}
