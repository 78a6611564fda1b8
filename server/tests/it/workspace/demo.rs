//! The demo workspace, and the four questions that a first walk asks (catalogue.md §3.8).

use footbridge_server::{vocabulary::TenantId, vocabulary::Timestamp};
use serde_json::{Value, json};

use super::house::{ALL, Rooms, column};
use crate::store::harness::{Place, run};

/// Every record that a list has.
async fn all(rooms: &Rooms, key: &str, tool: &str, mut arguments: Value) -> Vec<Value> {
    let mut all = Vec::new();
    arguments["limit"] = json!(100);
    loop {
        let page = rooms.call(key, tool, arguments.clone()).await;
        all.extend_from_slice(page["items"].as_array().unwrap());
        match page["next_cursor"].clone() {
            Value::Null => return all,
            next => arguments["cursor"] = next,
        }
    }
}

/// The headline figures of the demo against its records, counted one by one as a person would.
async fn reports_equal_a_count(rooms: &Rooms, key: &str) {
    let report = async |tool: &str| rooms.call(key, tool, json!({ "period": "30d" })).await;
    let tickets = report("get_ticket_report").await;
    let moment = |value: &Value| Timestamp::parse(value.as_str().unwrap()).unwrap();
    let (from, to) = (
        moment(&tickets["period"]["from"]),
        moment(&tickets["period"]["to"]),
    );
    let inside = |value: &Value| !value.is_null() && (from..to).contains(&moment(value));
    let count = |records: &[Value], field: &str| records.iter().filter(|one| inside(&one[field])).count();

    let states = json!({ "status": ["open", "in_progress", "waiting", "resolved", "closed"] });
    let opened = all(rooms, key, "list_tickets", states).await;
    assert_eq!(opened.len(), 300);
    let unsolved = |one: &&Value| one["status"] != "resolved" && one["status"] != "closed";
    let totals = &tickets["totals"];
    assert_eq!(totals["created"], count(&opened, "created_at"));
    assert_eq!(totals["resolved"], count(&opened, "resolved_at"));
    assert_eq!(totals["backlog_end"], opened.iter().filter(unsolved).count());

    let talks = all(rooms, key, "list_conversations", json!({})).await;
    let totals = report("get_conversation_report").await["totals"].clone();
    assert_eq!(totals["opened"], count(&talks, "created_at"));
    assert_eq!(totals["resolved"], count(&talks, "resolved_at"));

    let deals = all(rooms, key, "list_opportunities", json!({})).await;
    let number = |deal: &Value, field: &str| deal[field].as_i64().unwrap();
    let (mut open, mut weighted, mut won) = (0, 0, 0);
    for deal in &deals {
        match deal["stage"].as_str().unwrap() {
            "won" if inside(&deal["stage_changed_at"]) => won += number(deal, "amount_cents"),
            "won" | "lost" => {}
            _ => {
                open += number(deal, "amount_cents");
                weighted += number(deal, "amount_cents") * number(deal, "probability");
            }
        }
    }
    let totals = report("get_pipeline_report").await["totals"].clone();
    assert!(
        open > 0 && won > 0 && weighted % 100 == 0,
        "the demo's deals say something"
    );
    assert_eq!(
        (
            &totals["open_cents"],
            &totals["weighted_cents"],
            &totals["won_cents"]
        ),
        (&json!(open), &json!(weighted / 100), &json!(won))
    );
}

#[test]
fn the_demo_answers_the_four_sample_questions() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        let tenant = TenantId::new("acme").unwrap();
        let until = Timestamp(rooms.clock.now().as_millis());
        let filled = rooms.workspace.fill(&tenant, until).await.unwrap();
        assert_eq!((filled.accounts, filled.tickets, filled.articles), (40, 300, 24));
        assert!(filled.conversations > 100 && filled.leads > 50, "{filled:?}");
        assert_eq!(rooms.clock.now(), until, "the story ends when it was told to");

        let leads = rooms
            .call(&key, "list_leads", json!({ "owner": "me", "limit": 100 }))
            .await;
        let made = column(&leads, "created_at");
        assert!(
            made.len() > 3 && made.iter().rev().is_sorted_by_key(|at| at.as_str()),
            "{made:?}"
        );
        let open = rooms
            .call(
                &key,
                "list_tickets",
                json!({ "status": ["open", "in_progress", "waiting"], "assignee": "me" }),
            )
            .await;
        assert!(!column(&open, "id").is_empty(), "somebody has something to do");
        let newest = rooms
            .call(
                &key,
                "list_conversations",
                json!({ "channel": "support", "limit": 1 }),
            )
            .await;
        let newest = rooms
            .call(
                &key,
                "get_conversation",
                json!({ "id": column(&newest, "id")[0] }),
            )
            .await;
        assert!(!newest["messages"].as_array().unwrap().is_empty(), "{newest}");
        let refunds = rooms
            .call(&key, "search_knowledge", json!({ "query": "refund policy" }))
            .await;
        assert_eq!(column(&refunds, "title")[0], "Refund policy");
        reports_equal_a_count(&rooms, &key).await;

        let again = rooms.workspace.fill(&tenant, until).await.unwrap_err();
        assert!(again.to_string().contains("not empty"), "{again}");
    });
}
