//! The demo workspace, and the four questions that a first walk asks (catalogue.md §3.8).

use footbridge_server::{vocabulary::TenantId, vocabulary::Timestamp};
use serde_json::json;

use super::house::{ALL, Rooms, column};
use crate::store::harness::{Place, run};

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

        let again = rooms.workspace.fill(&tenant, until).await.unwrap_err();
        assert!(again.to_string().contains("not empty"), "{again}");
    });
}
