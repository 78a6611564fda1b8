//! Service levels in a store: every moment is told once, by whichever replica comes first.

use footbridge_server::{domain::workspace::Workspace, policy::SealKey, store::JobState};
use serde_json::{Value, json};

use super::{
    house::{ALL, Rooms},
    talk::bring,
};
use crate::store::harness::{for_each_engine, read};

const MINUTE_MS: i64 = 60_000;

impl Rooms {
    /// Names and clocks of the events that tell of service levels, as flows will read them.
    async fn sla_events(&self) -> Vec<String> {
        let jobs = read(&self.store, "acme", |tx| {
            Box::pin(async move { tx.jobs().list("workspace.event", JobState::Queued, 1000).await })
        })
        .await;
        let mut told: Vec<_> = jobs
            .into_iter()
            .filter(|job| {
                job.payload["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("sla."))
            })
            .map(|job| (job.created_at, job.payload))
            .collect();
        told.sort_by_key(|(at, payload)| (*at, payload["name"].to_string()));
        told.into_iter()
            .map(|(_, payload)| {
                format!(
                    "{} {}",
                    payload["name"].as_str().unwrap(),
                    payload["data"]["clock"].as_str().unwrap()
                )
            })
            .collect()
    }
}

#[test]
fn due_soon_and_breached_are_told_once_whoever_looks() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let promised = json!({ "medium": { "first_response_minutes": 10, "resolution_minutes": 100 } });
        rooms
            .channel("acme", json!({ "sla": promised, "routing": "manual" }))
            .await;
        let path = rooms.inbound("acme", "support").await;
        let outside = rooms.open_doors();
        bring(
            &outside,
            &path,
            "From: ada@analytical.test\nSubject: Stuck\n\nHelp.\n",
        )
        .await;
        let id = rooms.only_conversation(&key).await["id"].clone();
        let other = Workspace::new(rooms.store.clone(), SealKey::new([7; 32]));
        for _ in 0..12 {
            rooms.clock.advance(MINUTE_MS);
            let looks = tokio::join!(rooms.workspace.look_at_clocks(), other.look_at_clocks());
            looks.0.unwrap();
            looks.1.unwrap();
        }
        assert_eq!(
            rooms.sla_events().await,
            ["sla.due_soon first_response", "sla.breached first_response"]
        );
        let now = rooms.only_conversation(&key).await;
        assert_eq!(now["sla"]["first_response"]["state"], "breached");
        assert_eq!(now["sla"]["resolution"]["state"], "running");

        // Waiting for the customer stops the other clock; their answer starts it again.
        rooms
            .confirmed(
                &key,
                "reply_to_conversation",
                json!({ "id": id, "body": "Oil it." }),
            )
            .await;
        for _ in 0..5 {
            rooms.clock.advance(60 * MINUTE_MS);
            rooms.workspace.look_at_clocks().await.unwrap();
        }
        assert_eq!(rooms.sla_events().await.len(), 2, "no time passes while we wait");
        let answer =
            json!({ "from": { "email": "ada@analytical.test" }, "body": "No.", "conversation_id": id });
        crate::house::Post::to(outside.address, "", answer)
            .path(&path)
            .send()
            .await;
        for _ in 0..100 {
            rooms.clock.advance(MINUTE_MS);
            rooms.workspace.look_at_clocks().await.unwrap();
        }
        assert_eq!(
            rooms.sla_events().await[2..],
            [
                "sla.due_soon resolution".to_owned(),
                "sla.breached resolution".to_owned()
            ]
        );
        assert_eq!(
            rooms.only_conversation(&key).await["sla"]["resolution"]["state"],
            "breached"
        );
        let left = read(&rooms.store, "acme", |tx| {
            Box::pin(async move { tx.jobs().list("workspace.sla", JobState::Queued, 10).await })
        })
        .await;
        assert_eq!(
            left.iter().map(|job| job.payload.clone()).collect::<Vec<Value>>(),
            [Value::Null; 0]
        );
    });
}
