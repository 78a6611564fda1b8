//! An effect outside the store whose end cannot be written: nobody says that it did not happen.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::house::House;

const TASK: &str = r#"
[[tool]]
name = "send"
title = "Send"
description = "Sends something that cannot be taken back."
scope = "t:write"
effect = "create"
open_world = true
handler = "tests::task"
[[tool.example]]
title = "Send"
"#;

const DEAF: &str = "CREATE TRIGGER deaf BEFORE INSERT ON audit_log WHEN NEW.status <> 'intent'
    BEGIN SELECT RAISE(ABORT, 'the log takes no ends'); END";

#[tokio::test]
async fn an_effect_whose_end_cannot_be_written_is_not_called_undone() {
    let house = House::serving(&[include_str!("../house.toml"), TASK].concat()).await;
    let key = house.key("t:write").await;
    let spoil = |sql: &'static str| {
        let file = house.database();
        move || {
            let database = rusqlite::Connection::open(file).unwrap();
            database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
            database.execute_batch(sql).unwrap();
        }
    };
    let sent = || house.noticed.finished.load(Ordering::SeqCst);
    // Before it begins, a log that takes nothing stops it, and that is what is said.
    let none = "CREATE TRIGGER mute BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'no'); END";
    spoil(none)();
    let reply = house.call(&key, "send", json!({})).send().await;
    assert_eq!(reply.outcome(), (503, Some(-32603)), "{}", reply.text());
    assert!(reply.text().contains("the call was not run"), "{}", reply.text());
    assert_eq!(sent(), 0);
    spoil("DROP TRIGGER mute")();

    // After it began, that would be a lie.
    let begin = async || {
        *house.noticed.act.lock().unwrap() = Some(Box::new(spoil(DEAF)));
        let reply = house.call(&key, "send", json!({})).send().await;
        spoil("DROP TRIGGER deaf")();
        reply
    };
    let reply = begin().await;
    assert_eq!(reply.outcome(), (503, Some(-32603)), "{}", reply.text());
    let text = reply.text();
    assert!(
        text.contains("the change may have been made") && !text.contains("not run"),
        "{text}"
    );
    assert_eq!(sent(), 1);
    // Nothing is stuck: the next call passes, and the intent of the lost one stands.
    let reply = house.call(&key, "send", json!({})).send().await;
    assert_eq!((reply.status, sent()), (200, 2), "{}", reply.text());
    let token = house.token_of(footbridge_server::vocabulary::Role::Owner).await;
    let intents = house
        .rest("GET", "/v1/audit?status=intent", &token)
        .send()
        .await
        .json();
    assert_eq!(intents["items"].as_array().unwrap().len(), 2, "{intents}");
}
