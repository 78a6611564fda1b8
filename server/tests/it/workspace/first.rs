//! A lead, from the preview to the list, over HTTP.

use serde_json::{Value, json};

use super::house::{ALL, Rooms, column, lines};
use crate::{
    house::Post,
    store::harness::{for_each_engine, run},
};

async fn over_http(rooms: &Rooms, key: &str, tool: &str, arguments: Value) -> Value {
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": tool, "arguments": arguments },
    });
    let reply = Post::to(rooms.serve(), key, body)
        .header("mcp-protocol-version", "2025-11-25")
        .send()
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["result"].clone()
}

#[test]
fn a_lead_is_previewed_confirmed_and_listed_over_http() {
    run(async {
        let rooms = Rooms::with(crate::store::harness::Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        let lead = json!({ "name": "Ada Byron", "company": "Analytical Ltd", "value_cents": 120_000 });
        let asked = over_http(&rooms, &key, "create_lead", lead.clone()).await;
        let asked = &asked["structuredContent"];
        assert_eq!(
            asked["preview"]["summary"],
            "Create lead \"Ada Byron\" (Analytical Ltd)"
        );
        assert_eq!(
            rooms.call(&key, "list_leads", json!({})).await["items"],
            json!([])
        );
        let mut again = lead;
        again["confirmation_token"] = asked["confirmation_token"].clone();
        let done = over_http(&rooms, &key, "create_lead", again).await;
        let made = &done["structuredContent"]["result"]["lead"];
        assert_eq!(made["status"], "new", "{done}");
        assert_eq!(made["source"], "mcp");
        let listed = over_http(&rooms, &key, "list_leads", json!({ "owner": "me" })).await;
        assert_eq!(column(&listed["structuredContent"], "id"), [made["id"].clone()]);
    });
}

#[test]
fn previews_name_every_field_and_people_by_name() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let lead = json!({ "name": "Ada Byron", "email": "ada@analytical.test", "owner": "ben", "note": "Met at a fair." });
        let asked = rooms.preview(&key, "create_lead", lead).await;
        let lines = lines(&asked);
        for line in [
            "create lead.name: Ada Byron",
            "create lead.email: ada@analytical.test",
            "create lead.owner: ben <ben@acme.test> (usr_ben)",
            "create crm_note.body: Met at a fair.",
        ] {
            assert!(lines.contains(&line.to_owned()), "{line} in {lines:#?}");
        }
    });
}
