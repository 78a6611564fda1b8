//! What assistants remember: `memory_get`, `memory_put`, `memory_search`.

use footbridge_server::store::{AuditFilter, AuditStatus};
use futures_util::FutureExt;
use serde_json::json;

use crate::{
    context_house::{ALL, Rooms},
    house::HANGS,
    store::harness::{Place, eventually, for_each_engine, read, run},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[test]
fn a_key_holds_one_memory_and_keeps_its_past() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        let first = rooms
            .call(
                &key,
                "memory_put",
                json!({ "key": "plan", "content": " first\n", "tags": ["a"], "metadata": { "n": 1 } }),
            )
            .await;
        assert_eq!(first["replaced"], false);
        assert_eq!(
            first["memory"]["content"], " first\n",
            "the text is kept as it came"
        );
        let second = rooms
            .call(&key, "memory_put", json!({ "key": "plan", "content": "second" }))
            .await;
        assert_eq!(second["replaced"], true);
        assert_eq!(second["memory"]["id"], first["memory"]["id"]);
        assert_eq!(second["memory"]["tags"], json!([]), "replaced as a whole");
        let by_key = rooms.call(&key, "memory_get", json!({ "key": "plan" })).await;
        let by_id = rooms
            .call(&key, "memory_get", json!({ "id": first["memory"]["id"] }))
            .await;
        assert_eq!(by_key, by_id);
        assert!(by_key["memory"].get("expires_at").is_none());
        let id = first["memory"]["id"].as_str().unwrap().to_owned();
        let versions = read(&rooms.store, "acme", move |tx| {
            Box::pin(async move { tx.memory().versions(&id).await })
        })
        .await;
        assert_eq!(
            versions.iter().map(|v| v.content.as_str()).collect::<Vec<_>>(),
            [" first\n"]
        );
    });
}

#[test]
fn what_has_expired_is_gone_at_once_and_purged_later() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        rooms
            .call(
                &key,
                "memory_put",
                json!({ "key": "short", "content": "marmalade", "ttl_days": 1 }),
            )
            .await;
        rooms
            .call(
                &key,
                "memory_put",
                json!({ "key": "long", "content": "marmalade", "expires_at": "2030-01-01" }),
            )
            .await;
        let search = json!({ "query": "marmalade" });
        let found = rooms.call(&key, "memory_search", search.clone()).await;
        assert_eq!(found["results"].as_array().unwrap().len(), 2);
        rooms.clock.advance(DAY_MS);
        let refusal = rooms.refusal(&key, "memory_get", json!({ "key": "short" })).await;
        assert_eq!(refusal, "404 Not Found: memory short");
        let found = rooms.call(&key, "memory_search", search).await;
        assert_eq!(found["results"].as_array().unwrap().len(), 1);
        assert_eq!(found["results"][0]["memory"]["key"], "long");
        let again = rooms
            .call(&key, "memory_put", json!({ "key": "short", "content": "new" }))
            .await;
        assert_eq!(again["replaced"], false, "an expired memory is none");
    });
}

#[test]
fn arguments_that_exclude_each_other_are_refused() {
    run(async {
        let rooms = Rooms::with(Place::sqlite(), &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        let put = |more: serde_json::Value| {
            let mut arguments = json!({ "key": "k", "content": "c" });
            arguments
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            arguments
        };
        for (tool, arguments, text) in [
            (
                "memory_put",
                put(json!({ "ttl_days": 1, "expires_at": "2099-01-01" })),
                "ttl_days, expires_at: give one of the two",
            ),
            (
                "memory_put",
                put(json!({ "expires_at": "2020-01-01T00:00:00Z" })),
                "expires_at: must be in the future",
            ),
            (
                "memory_put",
                put(json!({ "expires_at": "tomorrow" })),
                "expires_at: must be a moment",
            ),
            (
                "memory_put",
                put(json!({ "ttl_days": 0 })),
                "ttl_days: must be at least 1",
            ),
            (
                "memory_put",
                put(json!({ "metadata": { "big": "x".repeat(40_000) } })),
                "metadata: must be at most 32768 bytes",
            ),
            ("memory_get", json!({}), "id, key: give exactly one of the two"),
            (
                "memory_get",
                json!({ "id": "a", "key": "b" }),
                "id, key: give exactly one of the two",
            ),
            (
                "memory_search",
                json!({ "query": "…" }),
                "query: must hold at least one word",
            ),
        ] {
            let refusal = rooms.refusal(&key, tool, arguments).await;
            assert!(
                refusal.starts_with(&format!("400 Bad Request: {text}")),
                "{refusal}"
            );
        }
        assert!(
            rooms
                .refusal(&key, "memory_get", json!({ "key": "k" }))
                .await
                .starts_with("404"),
            "nothing was stored"
        );
    });
}

#[test]
fn memories_are_found_by_words_of_key_text_and_tags_and_narrowed_by_tags() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        for (name, content, tags) in [
            (
                "project/acme/deadline",
                "The first milestone is due on 1 December.",
                json!(["planning", "acme"]),
            ),
            (
                "project/zeta/contact",
                "Ask Ada about zeppelins.",
                json!(["people"]),
            ),
            ("style", "Short sentences.", json!([])),
        ] {
            rooms
                .call(
                    &key,
                    "memory_put",
                    json!({ "key": name, "content": content, "tags": tags }),
                )
                .await;
        }
        let found = async |arguments: serde_json::Value| {
            let answer = rooms.call(&key, "memory_search", arguments).await;
            let results = answer["results"].as_array().unwrap().clone();
            results
                .iter()
                .map(|hit| hit["memory"]["key"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            found(json!({ "query": "milestone" })).await,
            ["project/acme/deadline"]
        );
        assert_eq!(
            found(json!({ "query": "deadline" })).await,
            ["project/acme/deadline"]
        );
        assert_eq!(
            found(json!({ "query": "people" })).await,
            ["project/zeta/contact"]
        );
        assert_eq!(
            found(json!({ "query": "zepelins" })).await,
            ["project/zeta/contact"],
            "misspelt"
        );
        assert_eq!(
            found(json!({ "query": "project", "tags": ["acme", "planning"] })).await,
            ["project/acme/deadline"]
        );
        assert_eq!(
            found(json!({ "query": "project", "tags": ["acme", "people"] })).await,
            Vec::<String>::new()
        );
        assert_eq!(found(json!({ "query": "project", "limit": 1 })).await.len(), 1);
    });
}

#[test]
fn a_write_whose_client_goes_away_has_one_row_in_the_log() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        let principal = rooms.authenticate(Some(&key)).await.unwrap();
        const CALLS: usize = 10;
        for number in 0..CALLS {
            let good = json!({ "key": format!("k{number}"), "content": "kept" });
            let late = json!({ "key": format!("k{number}"), "content": "late", "expires_at": "2000-01-01T00:00:00Z" });
            for arguments in [good, late] {
                let call = rooms.call_as(&principal, "memory_put", &arguments);
                assert!(call.now_or_never().is_none(), "its client waits for an answer");
            }
        }
        let written = async || {
            rooms.store.flush().await.unwrap();
            let page = read(&rooms.store, "acme", |tx| {
                Box::pin(async move { tx.audit_log().list(&AuditFilter::default(), None, 100).await })
            });
            let mut statuses: Vec<_> = page.await.rows.into_iter().map(|row| row.record.status).collect();
            statuses.sort_by_key(|status| status.as_str());
            (statuses.len() >= 2 * CALLS).then_some(statuses)
        };
        let statuses = eventually("every call has its row", HANGS, written).await;
        let each = [AuditStatus::Allow, AuditStatus::ClientGone];
        assert_eq!(statuses, each.map(|status| [status; CALLS]).concat());
        let kept = rooms.call(&key, "memory_get", json!({ "key": "k9" })).await;
        assert_eq!(kept["memory"]["content"], "kept");
    });
}
