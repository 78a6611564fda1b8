//! What the tools refuse: errors of the catalogue's tables that no other test meets on its way, and input that no schema of
//! JSON would catch by itself. Each answer names the field and says what is accepted, or what to do next.

use serde_json::{Value, json};

use super::{house::ALL, seed::seeded};
use crate::store::harness::{Place, for_each_engine, run};

#[test]
fn errors_of_the_tables_say_what_to_do_next() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let (rooms, ids) = (&seeded.rooms, &seeded.ids);
        let key = rooms.key("acme", ALL).await;
        let gone = json!({ "id": "ben@acme.test", "status": "deactivated" });
        rooms.confirmed(&key, "update_member", gone).await;
        let account = json!({ "name": "x", "domain": "analytical.test" });
        let own = json!({ "name": "x", "account_id": ids["$account"], "email": "charles@analytical.test" });
        for (tool, arguments, said) in [
            (
                "convert_lead",
                json!({ "id": ids["$spare_lead"] }),
                "422 Unprocessable: the lead has no company; call again with account_id or account_name",
            ),
            (
                "create_contact",
                json!({ "name": "x", "account_id": "" }),
                "422 Unprocessable: a contact needs an account_id",
            ),
            (
                "create_contact",
                own,
                "409 Conflict: a contact has the email charles@analytical.test already;",
            ),
            (
                "create_account",
                account,
                "409 Conflict: an account has the domain analytical.test already;",
            ),
            (
                "create_knowledge_article",
                json!({ "title": "x", "body_markdown": "x", "slug": "old-prices" }),
                "409 Conflict: slug \"old-prices\" is used; choose another",
            ),
            (
                "update_knowledge_article",
                json!({ "id": "refund-policy", "slug": "old-prices" }),
                "409 Conflict: slug \"old-prices\" is used; choose another",
            ),
            (
                "assign_ticket",
                json!({ "id": "#1", "assignee": "ben@acme.test" }),
                "422 Unprocessable: ben <ben@acme.test> is deactivated; choose somebody who is active",
            ),
            (
                "assign_conversation",
                json!({ "id": ids["$conversation"], "assignee": "ben@acme.test" }),
                "422 Unprocessable: ben <ben@acme.test> is deactivated; choose somebody who is active",
            ),
            (
                "trigger_flow_event",
                json!({ "event": "ticket.created" }),
                "422 Unprocessable: ticket.created is an event of the workspace itself and cannot be emitted by hand; use \
                 custom.<name>",
            ),
            (
                "invite_member",
                json!({ "email": "BEN@acme.test" }),
                "409 Conflict: BEN@acme.test is a member already; change them with update_member",
            ),
        ] {
            let text = rooms.refusal(&key, tool, arguments.clone()).await;
            assert!(text.starts_with(said), "{tool} {arguments}: {text}");
        }
    });
}

#[test]
fn odd_input_is_answered_with_its_field_and_what_is_accepted() {
    run(async {
        let seeded = seeded(Place::sqlite()).await;
        let (rooms, ids) = (&seeded.rooms, &seeded.ids);
        let key = rooms.key("acme", ALL).await;
        rooms
            .workspace
            .prepare(&crate::store::harness::tenant("acme"))
            .await
            .unwrap();
        let lead = ids["$lead"].as_str();
        let deal = |deal: Value| json!({ "id": lead, "opportunity": deal });
        for (tool, arguments, said) in [
            ("get_lead", json!({ "id": " " }), "id: must not be empty"),
            ("list_leads", json!({ "owner": "" }), "no member is named:"),
            ("list_tickets", json!({ "requester": "" }), "no contact is named:"),
            (
                "update_lead",
                json!({ "id": lead, "email": "nobody" }),
                "email: must match ",
            ),
            (
                "create_account",
                json!({ "name": "x", "domain": "two words" }),
                "domain: must match ",
            ),
            (
                "create_account",
                json!({ "name": "x", "website": "javascript:alert(1)" }),
                "website: must match ",
            ),
            (
                "update_account",
                json!({ "id": ids["$account"], "website": "x" }),
                "website: must match ",
            ),
            (
                "create_ticket",
                json!({ "title": "x", "due_at": "tomorrow" }),
                "due_at: expected an RFC 3339 timestamp",
            ),
            (
                "add_crm_note",
                json!({ "object_type": "lead", "object_id": lead, "body": "x", "due_at": "soon" }),
                "due_at: expected an RFC 3339 timestamp",
            ),
            (
                "add_crm_note",
                json!({ "object_type": "lead", "object_id": lead, "body": " \n " }),
                "body: must not be empty",
            ),
            (
                "convert_lead",
                deal(json!({ "amount_cents": -5 })),
                "opportunity.amount_cents: must be at least 0",
            ),
            (
                "convert_lead",
                deal(json!({ "amount_cents": 1_000_000_000_000_000_i64 })),
                "opportunity.amount_cents: must be at most 10000000000000",
            ),
            (
                "convert_lead",
                deal(json!({ "name": "" })),
                "opportunity.name: must not be empty",
            ),
            (
                "convert_lead",
                deal(json!({ "price": 1 })),
                "opportunity: unknown field `price`",
            ),
            (
                "trigger_flow_event",
                json!({ "event": "custom.x", "subject": { "type": "lead" } }),
                "subject.id: is required",
            ),
            (
                "trigger_flow_event",
                json!({ "event": "custom.x", "subject": { "type": "invoice", "id": "1" } }),
                "`invoice` is no kind of record; there are lead, account, ",
            ),
            (
                "create_channel",
                json!({ "name": "x", "type": "api", "delivery": { "adapter": 5 } }),
                "delivery.adapter: must be a string",
            ),
            (
                "create_channel",
                json!({ "name": "x", "type": "api", "delivery": { "adapter": "none", "to": "x" } }),
                "delivery: unknown field `to`",
            ),
            (
                "update_bot",
                json!({ "id": "Assistant", "directives": [{ "when": "x", "do": " " }] }),
                "directives: each needs when and do",
            ),
            (
                "update_bot",
                json!({ "id": "Assistant", "handoff": { "keywords": [1] } }),
                "handoff.keywords.0: must be a string",
            ),
            (
                "update_widget",
                json!({ "id": "Website", "theme": { "color": "red; background: url(x)" } }),
                "theme.color: must match ^#",
            ),
        ] {
            let text = rooms.refusal(&key, tool, arguments.clone()).await;
            assert!(
                text.starts_with(&format!("400 Bad Request: {said}")),
                "{tool} {arguments}: {text}"
            );
        }
        // What only looks odd is taken as it is meant.
        let whole = deal(json!({ "amount_cents": 500.0 }));
        let made = rooms.confirmed(&key, "convert_lead", whole).await;
        assert_eq!(made["opportunity"]["amount_cents"], 500);
    });
}
