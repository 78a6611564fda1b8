//! Leads, contacts, accounts and opportunities: rules, references, lists, conversions, deletions.

use serde_json::{Value, json};

use super::{
    house::{ALL, Rooms, column, lines},
    seed::seeded,
};
use crate::store::harness::{Place, for_each_engine, run, tenant};

#[test]
fn a_lead_moves_as_its_machine_says_and_is_read_only_once_converted() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let (rooms, lead) = (&seeded.rooms, seeded.ids["$lead"].as_str());
        let key = rooms.key("acme", ALL).await;
        let set = |status: &str| json!({ "id": lead, "status": status });
        let refused = rooms.refusal(&key, "update_lead", set("qualified")).await;
        assert_eq!(
            refused,
            "422 Unprocessable: the lead is new and cannot become qualified; from there it goes to working, \
             disqualified, converted"
        );
        let changed = rooms.confirmed(&key, "update_lead", set("working")).await;
        assert_eq!(changed["changed"], json!(["status"]));
        assert_eq!(changed["lead"]["version"], 2);
        let convert =
            json!({ "id": "ada@notes.test", "opportunity": { "name": "First order", "amount_cents": 500 } });
        let asked = rooms.preview(&key, "convert_lead", convert.clone()).await;
        let lines = lines(&asked);
        for line in [
            "update lead.status: working → converted",
            "create account.name: Notes & Co",
            "create contact.email: ada@notes.test",
            "create opportunity.name: First order",
        ] {
            assert!(lines.contains(&line.to_owned()), "{line} in {lines:#?}");
        }
        let done = rooms.confirmed(&key, "convert_lead", convert.clone()).await;
        assert_eq!(done["lead"]["converted_to"], done["contact"]["id"]);
        assert_eq!(done["contact"]["account_id"], done["account"]["id"]);
        assert_eq!(done["opportunity"]["contact_ids"], json!([done["contact"]["id"]]));
        for (tool, arguments) in [("update_lead", set("working")), ("convert_lead", convert)] {
            let refused = rooms.refusal(&key, tool, arguments).await;
            assert_eq!(
                refused,
                "422 Unprocessable: lead is converted and read-only; change its contact, account or opportunity"
            );
        }
        // What happened stands in its history, newest first.
        let arguments = json!({ "id": lead, "include": ["history"] });
        let history = rooms.call(&key, "get_lead", arguments).await["history"].clone();
        let stages: Vec<&Value> = history
            .as_array()
            .unwrap()
            .iter()
            .map(|change| &change["fields"])
            .collect();
        assert_eq!(stages.len(), 3);
        assert_eq!(
            stages[1],
            &json!([{ "field": "status", "from": "new", "to": "working" }])
        );
    });
}

#[test]
fn people_and_companies_are_named_as_people_name_them() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let rooms = &seeded.rooms;
        let key = rooms.key("acme", ALL).await;
        for name in [
            "analytical.test",
            "Analytical Ltd",
            "ANALYTICAL LTD",
            &seeded.ids["$account"],
        ] {
            let found = rooms.call(&key, "get_account", json!({ "id": name })).await;
            assert_eq!(found["account"]["id"], seeded.ids["$account"].as_str(), "{name}");
            assert_eq!(found["contacts"][0]["id"], seeded.ids["$contact"].as_str());
        }
        // Two of one name: both are named, to those who may read.
        let twin = json!({ "name": "Charles Babbage", "account_id": "analytical.test" });
        rooms.confirmed(&key, "create_contact", twin).await;
        let principal = rooms.principal(&key).await;
        let asked = json!({ "id": "Charles Babbage" });
        let refused = rooms
            .call_as(&principal, "get_contact", &asked)
            .await
            .unwrap_err();
        let text = refused.text("REF");
        assert!(
            text.starts_with("409 Conflict: \"Charles Babbage\" matches 2 contacts"),
            "{text}"
        );
        let details = footbridge_server::edge::details(&refused).unwrap();
        assert_eq!(details["candidates"].as_array().unwrap().len(), 2, "{details}");
        let blind = rooms.principal(&rooms.key("acme", "crm:write").await).await;
        let change = json!({ "id": "Charles Babbage", "title": "Sir" });
        let refused = rooms
            .call_as(&blind, "update_contact", &change)
            .await
            .unwrap_err();
        let details = footbridge_server::edge::details(&refused).unwrap();
        assert_eq!(
            details["candidates"],
            json!([]),
            "a key that cannot read learns no names"
        );
    });
}

#[test]
fn a_key_that_writes_without_reading_sees_no_old_values() {
    run(async {
        let seeded = seeded(Place::sqlite()).await;
        let rooms = &seeded.rooms;
        let blind = rooms.key("acme", "crm:write").await;
        let change = json!({ "id": seeded.ids["$lead"], "company": "Engines & Co" });
        let asked = rooms.preview(&blind, "update_lead", change).await;
        assert_eq!(
            lines(&asked),
            ["update lead.company: (hidden: needs crm:read) → Engines & Co"]
        );
        assert!(!asked.to_string().contains("Lovelace"), "{asked}");
    });
}

#[test]
fn the_same_address_is_not_taken_twice_unless_somebody_wants_it() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let rooms = &seeded.rooms;
        let key = rooms.key("acme", ALL).await;
        let mut lead = json!({ "name": "Another", "email": "CHARLES@analytical.test" });
        let text = rooms.refusal(&key, "create_lead", lead.clone()).await;
        assert!(
            text.starts_with("409 Conflict: a contact has the email"),
            "{text}"
        );
        let account = json!({ "name": "Copy", "domain": "Analytical.test" });
        let text = rooms.refusal(&key, "create_account", account).await;
        assert!(
            text.starts_with("409 Conflict: an account has the domain"),
            "{text}"
        );
        lead["on_duplicate"] = json!("create");
        let asked = rooms.preview(&key, "create_lead", lead).await;
        assert_eq!(
            asked["preview"]["warnings"].as_array().unwrap().len(),
            1,
            "{asked}"
        );
    });
}

#[test]
fn one_key_creates_once() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let lead = json!({ "name": "Ada", "idempotency_key": "fair-17" });
        let first = rooms.confirmed(&key, "create_lead", lead.clone()).await;
        let again = rooms.confirmed(&key, "create_lead", lead).await;
        assert_eq!(again["replayed"], true);
        assert_eq!(again["lead"]["id"], first["lead"]["id"]);
        let other = json!({ "name": "Bob", "idempotency_key": "fair-17" });
        let text = rooms.refusal(&key, "create_lead", other.clone()).await;
        assert!(text.starts_with("409 Conflict: the idempotency_key"), "{text}");
        assert_eq!(
            column(&rooms.call(&key, "list_leads", json!({})).await, "name"),
            ["Ada"]
        );
        rooms.clock.advance(25 * 60 * 60 * 1000);
        rooms.confirmed(&key, "create_lead", other).await;
    });
}

#[test]
fn lists_filter_sort_and_page_and_a_cursor_belongs_to_its_query() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        for (number, owner) in [(1, "me"), (2, "ben"), (3, "me"), (4, "ben"), (5, "me")] {
            rooms.clock.advance(60_000);
            let lead = json!({
                "name": format!("Lead {number}"), "owner": owner, "value_cents": number * 100,
                "tags": if number % 2 == 0 { vec!["Even"] } else { vec![] },
            });
            rooms.confirmed(&key, "create_lead", lead).await;
        }
        let names = async |arguments: Value| column(&rooms.call(&key, "list_leads", arguments).await, "name");
        assert_eq!(
            names(json!({ "owner": "me" })).await,
            ["Lead 5", "Lead 3", "Lead 1"]
        );
        assert_eq!(
            names(json!({ "tag": "even", "order": "asc" })).await,
            ["Lead 2", "Lead 4"]
        );
        assert_eq!(
            names(json!({ "sort": "value_cents", "limit": 2 })).await,
            ["Lead 5", "Lead 4"]
        );
        assert_eq!(names(json!({ "q": "lead 3" })).await, ["Lead 3"]);
        assert_eq!(
            names(json!({ "q": "lea", "owner": "ben", "sort": "name", "order": "asc" })).await,
            ["Lead 2", "Lead 4"]
        );
        assert_eq!(
            names(json!({ "from": "-2h", "to": "today" })).await,
            Vec::<Value>::new()
        );
        for q in [json!({}), json!({ "q": "lead" })] {
            let mut seen = Vec::new();
            let mut arguments = q.clone();
            arguments["limit"] = json!(2);
            loop {
                let page = rooms.call(&key, "list_leads", arguments.clone()).await;
                seen.extend(column(&page, "name"));
                match page["next_cursor"].as_str() {
                    None => break,
                    Some(cursor) => arguments["cursor"] = json!(cursor),
                }
            }
            assert_eq!(seen, ["Lead 5", "Lead 4", "Lead 3", "Lead 2", "Lead 1"], "{q}");
            arguments["owner"] = json!("me");
            let text = rooms.refusal(&key, "list_leads", arguments).await;
            assert_eq!(
                text,
                "400 Bad Request: cursor does not belong to this query; begin again without one"
            );
        }
    });
}

#[test]
fn deals_add_up_and_a_lost_one_says_why() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let rooms = &seeded.rooms;
        let key = rooms.key("acme", ALL).await;
        let deal = json!({ "name": "Second", "account_id": "analytical.test", "amount_cents": 333, "stage": "proposal", "close_date": "2027-03-01" });
        let deal = rooms.confirmed(&key, "create_opportunity", deal).await;
        assert_eq!(deal["opportunity"]["probability"], 40);
        let listed = rooms.call(&key, "list_opportunities", json!({})).await;
        // 100 000 × 10 % + 333 × 40 % = 10 133.2.
        assert_eq!(
            listed["totals"],
            json!({ "count": 2, "amount_cents": 100_333, "weighted_cents": 10_133, "currency": "USD" })
        );
        let abroad = json!({ "name": "Abroad", "account_id": "analytical.test", "amount_cents": 50, "currency": "EUR" });
        let abroad = rooms.confirmed(&key, "create_opportunity", abroad).await;
        let listed = rooms.call(&key, "list_opportunities", json!({})).await;
        assert_eq!(
            listed["totals"],
            json!({
                "count": 3, "amount_cents": 100_383, "weighted_cents": 10_138, "by_currency": [
                    { "count": 2, "amount_cents": 100_333, "weighted_cents": 10_133, "currency": "USD" },
                    { "count": 1, "amount_cents": 50, "weighted_cents": 5, "currency": "EUR" },
                ],
            })
        );
        let gone = json!({ "object_type": "opportunity", "id": abroad["opportunity"]["id"] });
        rooms.confirmed(&key, "delete_crm_record", gone).await;
        let soon = json!({ "closing_before": "2027-03-02" });
        assert_eq!(
            column(&rooms.call(&key, "list_opportunities", soon).await, "name"),
            ["Second"]
        );
        let large = json!({ "min_amount_cents": 1_000 });
        assert_eq!(
            column(&rooms.call(&key, "list_opportunities", large).await, "name"),
            ["Engine"]
        );
        let mut lost = json!({ "id": "Second", "stage": "lost" });
        let text = rooms.refusal(&key, "update_opportunity", lost.clone()).await;
        assert_eq!(text, "422 Unprocessable: lost_reason is required");
        lost["lost_reason"] = json!("price");
        let done = rooms.confirmed(&key, "update_opportunity", lost).await;
        assert_eq!(
            done["opportunity"]["probability"], 0,
            "the stage's own moves with the stage"
        );
        let back = json!({ "id": "Second", "stage": "negotiation" });
        rooms.confirmed(&key, "update_opportunity", back).await;
        let one = rooms
            .call(&key, "get_opportunity", json!({ "id": "Second" }))
            .await;
        let stages: Vec<&Value> = one["stage_history"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| &s["to"])
            .collect();
        assert_eq!(stages, ["negotiation", "lost", "proposal"]);
    });
}

#[test]
fn what_others_hang_on_is_not_deleted_and_what_is_deleted_comes_back() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let (rooms, lead) = (&seeded.rooms, seeded.ids["$lead"].clone());
        let key = rooms.key("acme", ALL).await;
        let account = json!({ "object_type": "account", "id": "analytical.test" });
        let text = rooms.refusal(&key, "delete_crm_record", account).await;
        assert_eq!(
            text,
            "409 Conflict: account has 1 contact, 1 open opportunity and 1 open ticket; end, move or delete these first"
        );
        let gone = json!({ "object_type": "lead", "id": lead, "reason": "Wrong person" });
        let done = rooms.confirmed(&key, "delete_crm_record", gone.clone()).await;
        assert_eq!(done["deleted"], true);
        assert_eq!(done["restorable_until"].as_str().unwrap().len(), 24);
        assert_eq!(
            rooms.refusal(&key, "get_lead", json!({ "id": lead })).await,
            format!("404 Not Found: lead {lead}")
        );
        assert!(
            rooms
                .refusal(&key, "delete_crm_record", gone)
                .await
                .starts_with("404")
        );
        assert!(
            rooms
                .workspace
                .restore(&tenant("acme"), "lead", &lead)
                .await
                .unwrap()
        );
        let back = rooms.call(&key, "get_lead", json!({ "id": lead })).await;
        assert_eq!(back["notes"][0]["body"], "Deleted: Wrong person");
        let found = rooms
            .call(&key, "search_crm", json!({ "query": "lovelace" }))
            .await;
        assert_eq!(column(&found, "id"), [json!(lead)], "its words are back, too");
        assert!(
            !rooms
                .workspace
                .restore(&tenant("acme"), "lead", &lead)
                .await
                .unwrap()
        );
    });
}

#[test]
fn own_fields_are_of_the_type_that_the_tenant_declared() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let lead = |custom: Value| json!({ "name": "Ada", "custom": custom });
        let fields = json!({ "lead": { "budget": { "type": "number" }, "tier": { "type": "choice", "choices": ["gold", "silver"] } } });
        rooms
            .workspace
            .declare_fields(&tenant("acme"), fields)
            .await
            .unwrap();
        for (custom, text) in [
            (json!({ "budget": "much" }), "custom.budget: must be a number"),
            (
                json!({ "tier": "bronze" }),
                "custom.tier: must be one of gold, silver",
            ),
            (
                json!({ "colour": "red" }),
                "custom.colour: is not a field of this workspace; there are budget, tier",
            ),
        ] {
            let refused = rooms.refusal(&key, "create_lead", lead(custom)).await;
            assert_eq!(refused, format!("400 Bad Request: {text}"));
        }
        let made = rooms
            .confirmed(&key, "create_lead", lead(json!({ "budget": 5, "tier": "gold" })))
            .await;
        let change = json!({ "id": made["lead"]["id"], "custom": { "budget": 6 } });
        let asked = rooms.preview(&key, "update_lead", change).await;
        assert_eq!(lines(&asked), ["update lead.custom.budget: 5 → 6"]);
        assert!(
            rooms
                .workspace
                .declare_fields(&tenant("acme"), json!({ "lead": { "a b": 1 } }))
                .await
                .is_err()
        );
    });
}

#[test]
fn two_people_who_change_one_record_do_not_undo_each_other() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let (rooms, lead) = (&seeded.rooms, seeded.ids["$lead"].as_str());
        let key = rooms.key("acme", ALL).await;
        let mine = json!({ "id": lead, "company": "Mine" });
        let asked = rooms.preview(&key, "update_lead", mine.clone()).await;
        rooms
            .confirmed(&key, "update_lead", json!({ "id": lead, "company": "Theirs" }))
            .await;
        let again = rooms
            .call(&key, "update_lead", super::house::with(&mine, &asked))
            .await;
        assert_eq!(again["status"], "confirmation_required");
        assert_eq!(again["reason"], "changed_since_preview");
        let old = json!({ "id": lead, "company": "Mine", "if_version": 1 });
        let text = rooms.refusal(&key, "update_lead", old).await;
        assert!(text.starts_with("409 Conflict: "), "{text}");
    });
}
