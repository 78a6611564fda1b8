//! Notes and memories as resources: read by URI under the scopes of their tools, and told of when they change.

use footbridge_server::{
    access::Principal,
    audit::RequestFacts,
    domain::Progress,
    pipeline::{Answer, Asking, CallError, ToolCall},
};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    context_house::{ALL, Rooms},
    store::harness::for_each_engine,
};

async fn read(rooms: &Rooms, principal: &Principal, uri: &str) -> Result<Value, CallError> {
    let call = ToolCall {
        name: uri,
        arguments: None,
        input_responses: None,
        request_state: None,
        capabilities: Map::new(),
        asking: Asking::InResult,
        approve_at: None,
        check_headers: &|_| Ok(()),
        progress: Progress::default(),
        cancelled: CancellationToken::new(),
        facts: RequestFacts::default(),
    };
    match rooms.house.read_resource(principal, call).await? {
        Answer::Done(result) => Ok(serde_json::from_str(result.structured.unwrap().get()).unwrap()),
        Answer::InputRequired { .. } => panic!("reading asks nothing"),
    }
}

#[test]
fn notes_and_memories_are_read_by_uri_and_told_of() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place, &["acme", "globex"]).await;
        rooms.note("acme", "a.md", "# A\n\nOne.\n");
        rooms.note("acme", "b.md", "# B\n\nTwo.\n");
        rooms.sync("acme").await;
        let (acme, globex) = (rooms.key("acme", ALL).await, rooms.key("globex", ALL).await);
        let ada = rooms.authenticate(Some(&acme)).await.unwrap();
        let bob = rooms.authenticate(Some(&globex)).await.unwrap();
        let hit = rooms.call(&acme, "search", json!({ "query": "One" })).await;
        let id = hit["results"][0]["entity_id"].as_str().unwrap().to_owned();
        let note = format!("context://entity/{id}");
        assert_eq!(read(&rooms, &ada, &note).await.unwrap()["entity"]["title"], "A");
        let memory = "context://memory/team%2Fplan%201";
        rooms
            .call(
                &acme,
                "memory_put",
                json!({ "key": "team/plan 1", "content": "x" }),
            )
            .await;
        assert_eq!(
            read(&rooms, &ada, memory).await.unwrap()["memory"]["content"],
            "x"
        );
        for (uri, principal) in [
            (note.as_str(), &bob),
            (memory, &bob),
            ("context://entity/none", &ada),
        ] {
            let refused = read(&rooms, principal, uri).await.unwrap_err();
            assert_eq!(refused.code(), "not_found", "{uri}: {refused}");
        }
        let other = rooms.key("acme", "search").await;
        let other = rooms.authenticate(Some(&other)).await.unwrap();
        let refused = read(&rooms, &other, &note).await.unwrap_err();
        assert_eq!(refused.code(), "missing_scope");

        let uris = [note.as_str(), memory];
        let mut watched = rooms.house.watch(&ada, uris).await.unwrap();
        let mut strangers = rooms.house.watch(&bob, uris).await.unwrap();
        let nothing = rooms.house.watch(&other, uris).await.unwrap();
        assert!(nothing.is_empty(), "what cannot be read is not watched");
        rooms.note("acme", "b.md", "# B\n\nThree.\n");
        rooms.sync("acme").await;
        assert!(rooms.house.changed(&ada, &mut watched).await.unwrap().is_empty());
        rooms.note("acme", "a.md", "# A\n\nOne and more.\n");
        rooms.sync("acme").await;
        assert_eq!(
            rooms.house.changed(&ada, &mut watched).await.unwrap(),
            [note.as_str()]
        );
        rooms
            .call(
                &acme,
                "memory_put",
                json!({ "key": "team/plan 1", "content": "y" }),
            )
            .await;
        assert_eq!(rooms.house.changed(&ada, &mut watched).await.unwrap(), [memory]);
        assert!(rooms.house.changed(&ada, &mut watched).await.unwrap().is_empty());
        std::fs::remove_file(rooms.notes("acme").join("a.md")).unwrap();
        rooms.sync("acme").await;
        assert_eq!(
            rooms.house.changed(&ada, &mut watched).await.unwrap(),
            [note.as_str()]
        );
        assert!(
            rooms
                .house
                .changed(&bob, &mut strangers)
                .await
                .unwrap()
                .is_empty()
        );
        // What is remembered of changes is forgotten after a day, and that is no change.
        rooms.clock.advance(25 * 60 * 60 * 1000);
        rooms.house.sweep().await.unwrap();
        assert!(rooms.house.changed(&ada, &mut watched).await.unwrap().is_empty());
        let rows = rooms.dump(&[]).await;
        assert!(
            !rows.iter().any(|row| row.starts_with("resource_changes")),
            "{rows:?}"
        );
    });
}
