//! Prompts, resources and completion: in every revision, and under the same rules as tools.

use footbridge_server::{
    store::{AuditEntry, AuditFilter, AuditStatus, KeyLimits, StoreError, Topic},
    vocabulary::TenantId,
};
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::schema::Schema;
use crate::house::{House, read_until};

const CATALOGUE: &str = include_str!("../offers.toml");
const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

/// Asks in a revision and gives the whole message.
async fn ask(house: &House, key: &str, revision: &str, method: &str, params: Value) -> Value {
    let post = match revision {
        "2026-07-28" => house.modern(key, method, params),
        legacy => house.legacy(key, legacy, method, params),
    };
    post.send().await.json()
}

#[tokio::test]
async fn every_answer_is_as_the_schema_of_its_revision_says() {
    let house = House::serving(CATALOGUE).await;
    let key = house.key("t:read").await;
    let table = [
        ("prompts/list", json!({}), "ListPromptsResult"),
        (
            "prompts/get",
            json!({ "name": "review", "arguments": { "text": "x" } }),
            "GetPromptResult",
        ),
        ("resources/list", json!({}), "ListResourcesResult"),
        (
            "resources/templates/list",
            json!({}),
            "ListResourceTemplatesResult",
        ),
        (
            "resources/read",
            json!({ "uri": "test://welcome" }),
            "ReadResourceResult",
        ),
        (
            "resources/read",
            json!({ "uri": "test://pixel" }),
            "ReadResourceResult",
        ),
        (
            "resources/read",
            json!({ "uri": "test://echo/a" }),
            "ReadResourceResult",
        ),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt", "name": "review" }, "argument": { "name": "tone", "value": "f" } }),
            "CompleteResult",
        ),
    ];
    for revision in ["2026-07-28", LEGACY[0], LEGACY[1], LEGACY[2]] {
        let mut schema = Schema::of(revision);
        for (method, params, definition) in &table {
            let message = ask(&house, &key, revision, method, params.clone()).await;
            schema.check(definition, &message["result"]);
        }
    }
    let discover = ask(&house, &key, "2026-07-28", "server/discover", json!({})).await;
    Schema::of("2026-07-28").check("DiscoverResult", &discover["result"]);
    let changing = json!({ "listChanged": true });
    assert_eq!(
        discover["result"]["capabilities"],
        json!({
            "tools": changing, "prompts": changing, "completions": {},
            "resources": { "listChanged": true, "subscribe": true },
        })
    );
}

#[tokio::test]
async fn prompts_are_filled_and_say_who_speaks() {
    let house = House::serving(CATALOGUE).await;
    let key = house.key("t:read").await;
    let listed = ask(&house, &key, "2026-07-28", "prompts/list", json!({})).await;
    assert_eq!(
        listed["result"]["prompts"][0],
        json!({
            "name": "review", "title": "Review a text", "description": "Asks for a review in a tone.",
            "arguments": [
                { "name": "text", "title": "The text", "description": "What is reviewed", "required": true },
                { "name": "tone", "required": false },
            ],
        })
    );
    assert_eq!(listed["result"]["cacheScope"], "private");
    let oldest = ask(&house, &key, "2025-03-26", "prompts/list", json!({})).await;
    let first = &oldest["result"]["prompts"][0];
    assert!(first.get("title").is_none() && first["arguments"][0].get("title").is_none());
    // What a value holds is never read as a hole, and whitespace belongs to it.
    let params = json!({ "name": "review", "arguments": { "text": " {{tone}} ", "tone": "frank" } });
    let got = ask(&house, &key, "2026-07-28", "prompts/get", params).await;
    assert_eq!(
        got["result"]["messages"],
        json!([
            { "role": "user", "content": { "type": "text", "text": "Review this in a frank tone:  {{tone}} " } },
            { "role": "assistant", "content": { "type": "text", "text": "Gladly." } },
        ])
    );
    for (params, text) in [
        (json!({ "name": "review" }), "text"),
        (json!({ "name": "review", "arguments": { "text": 7 } }), "text"),
        (
            json!({ "name": "review", "arguments": { "text": "x", "more": "y" } }),
            "more",
        ),
        (json!({ "name": "nowhere" }), "Unknown prompt: nowhere"),
        (json!({}), "params.name"),
    ] {
        for revision in ["2026-07-28", "2025-11-25"] {
            let mut params = params.clone();
            if revision == "2026-07-28" && params.get("name").is_none() {
                params["name"] = json!(7);
            }
            let error = ask(&house, &key, revision, "prompts/get", params).await;
            assert_eq!(error["error"]["code"], -32602, "{error}");
            let message = error["error"]["message"].as_str().unwrap();
            assert!(message.contains(text), "{message}");
        }
    }
}

#[tokio::test]
async fn a_prompt_may_ask_first() {
    let house = House::serving(CATALOGUE).await;
    let key = house.key("t:read").await;
    let asked = ask(
        &house,
        &key,
        "2026-07-28",
        "prompts/get",
        json!({ "name": "asking" }),
    )
    .await;
    Schema::of("2026-07-28").check("InputRequiredResult", &asked["result"]);
    let legacy = ask(
        &house,
        &key,
        "2025-11-25",
        "prompts/get",
        json!({ "name": "asking" }),
    )
    .await;
    assert_eq!(legacy["error"]["code"], -32602, "{legacy}");
}

#[tokio::test]
async fn resources_are_read_at_their_address() {
    let house = House::serving(CATALOGUE).await;
    let key = house.key("t:read").await;
    let read = async |uri: &str| {
        let answer = ask(
            &house,
            &key,
            "2026-07-28",
            "resources/read",
            json!({ "uri": uri }),
        )
        .await;
        answer["result"]["contents"].clone()
    };
    assert_eq!(
        read("test://welcome").await,
        json!([{ "uri": "test://welcome", "mimeType": "text/markdown", "text": "# Welcome" }])
    );
    assert_eq!(
        read("test://pixel").await,
        json!([{ "uri": "test://pixel", "mimeType": "image/png", "blob": "iVBORw0KGgo=" }])
    );
    let echoed = read("test://echo/a%20b").await;
    assert_eq!(echoed[0]["uri"], "test://echo/a%20b");
    assert!(echoed[0]["text"].as_str().unwrap().contains("a b"), "{echoed}");
    let templates = ask(&house, &key, "2025-11-25", "resources/templates/list", json!({})).await;
    assert_eq!(
        templates["result"]["resourceTemplates"],
        json!([{ "name": "echo", "title": "Echo", "description": "Echo.", "uriTemplate": "test://echo/{text}" }])
    );
    for uri in [
        "test://nowhere",
        "test://echo/",
        "test://echo/a/b",
        "file:///etc/passwd",
        "x",
    ] {
        let modern = ask(
            &house,
            &key,
            "2026-07-28",
            "resources/read",
            json!({ "uri": uri }),
        )
        .await;
        assert_eq!(modern["error"]["code"], -32602, "{modern}");
        assert_eq!(modern["error"]["data"]["uri"], uri);
        let legacy = ask(
            &house,
            &key,
            "2025-06-18",
            "resources/read",
            json!({ "uri": uri }),
        )
        .await;
        assert_eq!(legacy["error"]["code"], -32002, "{legacy}");
    }
    // A failure of ours shows a reference and nothing of its cause, as for a tool.
    let failed = house
        .modern(&key, "resources/read", json!({ "uri": "test://failing" }))
        .send()
        .await;
    assert_eq!(failed.outcome(), (500, Some(-32603)), "{failed:?}");
}

#[tokio::test]
async fn scopes_and_keys_narrow_offers_as_they_narrow_tools() {
    let house = House::serving(CATALOGUE).await;
    let reader = house.key("t:read").await;
    let writer = house.key("t:write").await;
    let names = async |key: &str, method: &str, member: &str| -> Vec<String> {
        let answer = ask(&house, key, "2026-07-28", method, json!({})).await;
        let listed = answer["result"][member].as_array().unwrap().clone();
        listed
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(&reader, "prompts/list", "prompts").await,
        ["review", "asking"]
    );
    assert_eq!(
        names(&writer, "prompts/list", "prompts").await,
        ["review", "asking", "secret"]
    );
    assert_eq!(
        names(&reader, "resources/list", "resources").await,
        ["welcome", "pixel", "failing"]
    );
    for (method, params) in [
        ("prompts/get", json!({ "name": "secret" })),
        ("resources/read", json!({ "uri": "test://secret" })),
    ] {
        let refused = house.modern(&reader, method, params.clone()).send().await;
        assert_eq!(refused.outcome(), (200, Some(-32011)), "{refused:?}");
        assert!(refused.text().contains("403 Forbidden: missing scope t:write"));
        let allowed = ask(&house, &writer, "2026-07-28", method, params.clone()).await;
        assert!(allowed.get("result").is_some(), "{allowed}");
        let nobody = house.modern("", method, params).send().await;
        assert_eq!(nobody.status, 401);
    }
    let unseen = json!({ "ref": { "type": "ref/prompt", "name": "secret" }, "argument": { "name": "a", "value": "" } });
    let refused = ask(&house, &reader, "2026-07-28", "completion/complete", unseen).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let narrowed = KeyLimits {
        tools_allow: vec!["plain".to_owned()],
        ..KeyLimits::default()
    };
    let key = house.limited_key("t:read", narrowed).await;
    assert!(names(&key, "prompts/list", "prompts").await.is_empty());
    let refused = ask(
        &house,
        &key,
        "2026-07-28",
        "prompts/get",
        json!({ "name": "review" }),
    )
    .await;
    assert_eq!(refused["error"]["code"], -32011, "{refused}");
}

#[tokio::test]
async fn completion_suggests_what_fits() {
    let house = House::serving(CATALOGUE).await;
    let key = house.key("t:read").await;
    let table = [
        (
            "ref/prompt",
            "name",
            "review",
            "tone",
            "FR",
            json!(["friendly", "frank"]),
        ),
        ("ref/prompt", "name", "review", "tone", "x", json!([])),
        ("ref/prompt", "name", "review", "text", "", json!([])),
        ("ref/prompt", "name", "review", "nothing", "", json!([])),
        (
            "ref/resource",
            "uri",
            "test://echo/{text}",
            "text",
            "a",
            json!(["a b", "ab"]),
        ),
        ("ref/resource", "uri", "test://welcome", "text", "a", json!([])),
    ];
    for (kind, member, name, argument, typed, values) in table {
        let params = json!({ "ref": { "type": kind, member: name }, "argument": { "name": argument, "value": typed } });
        for revision in ["2026-07-28", "2025-11-25"] {
            let answer = ask(&house, &key, revision, "completion/complete", params.clone()).await;
            let completion = &answer["result"]["completion"];
            assert_eq!(completion["values"], values, "{answer}");
            assert_eq!(completion["total"], values.as_array().unwrap().len());
            assert_eq!(completion["hasMore"], false);
        }
    }
    for bad in [
        json!({}),
        json!({ "ref": { "type": "ref/tool", "name": "plain" }, "argument": { "name": "a", "value": "" } }),
        json!({ "ref": { "type": "ref/prompt", "name": "review" }, "argument": { "name": "tone" } }),
        json!({ "ref": { "type": "ref/prompt", "name": "nowhere" }, "argument": { "name": "a", "value": "" } }),
    ] {
        let answer = ask(&house, &key, "2026-07-28", "completion/complete", bad).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
}

#[tokio::test]
async fn an_edition_without_offers_does_not_know_their_methods() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let methods = [
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "completion/complete",
    ];
    for method in methods {
        let params = json!({
            "name": "x", "uri": "x",
            "ref": { "type": "ref/prompt", "name": "x" }, "argument": { "name": "a", "value": "" },
        });
        let legacy = house.legacy(&key, "2025-11-25", method, params.clone());
        assert_eq!(legacy.send().await.outcome(), (200, Some(-32601)), "{method}");
        let modern = house.modern(&key, method, params);
        assert_eq!(modern.send().await.outcome(), (404, Some(-32601)), "{method}");
    }
}

#[tokio::test]
async fn each_stream_hears_of_the_lists_it_asked_for() {
    let house = House::serving(CATALOGUE).await;
    let key = house.key("t:read").await;
    let wanted = json!({ "notifications": { "promptsListChanged": true, "resourcesListChanged": true } });
    let mut stream = house.modern(&key, "subscriptions/listen", wanted).open().await;
    let begin = read_until(&mut stream, "acknowledged").await;
    assert!(
        begin.contains(r#""notifications":{"promptsListChanged":true,"resourcesListChanged":true}"#),
        "{begin}"
    );
    let told: Result<(), StoreError> = house
        .store
        .system_write(|tx| async move { tx.announce(Topic::Catalogue).await }.boxed())
        .await;
    told.unwrap();
    let events = read_until(&mut stream, "notifications/resources/list_changed").await;
    assert!(events.contains("notifications/prompts/list_changed"), "{events}");
    assert!(!events.contains("notifications/tools/list_changed"), "{events}");
}

#[tokio::test]
async fn a_stream_hears_of_the_resources_that_it_subscribed_to() {
    let house = House::serving(CATALOGUE).await;
    let key = house.key("t:read").await;
    let uris = [
        "test://welcome",
        "test://echo/%61",
        "test://secret",
        "test://nowhere",
    ];
    let wanted = json!({ "notifications": { "resourceSubscriptions": uris } });
    let mut stream = house.modern(&key, "subscriptions/listen", wanted).open().await;
    let begin = read_until(&mut stream, "acknowledged").await;
    // What cannot be read is not honoured, and does not show whether it is there.
    assert!(
        begin.contains(r#""notifications":{"resourceSubscriptions":["test://echo/%61","test://welcome"]}"#),
        "{begin}"
    );
    let touch = async |tenant: &str, uri: &'static str| {
        let tenant = TenantId::new(tenant).unwrap();
        let done: Result<(), StoreError> = house
            .store
            .write(&tenant, move |tx| {
                async move { tx.resources().touch(uri).await }.boxed()
            })
            .await;
        done.unwrap();
    };
    touch("another", "test://welcome").await;
    touch("local", "test://pixel").await;
    touch("local", "test://echo/a").await;
    // As it was spelled, and nothing before it.
    let events = read_until(&mut stream, r#""uri":"test://echo/%61""#).await;
    assert!(events.contains("notifications/resources/updated"), "{events}");
    assert!(
        !events.contains("welcome") && !events.contains("pixel"),
        "{events}"
    );
}

#[tokio::test]
async fn a_legacy_client_subscribes_to_what_is_there_alone() {
    let house = House::serving(CATALOGUE).await;
    let key = house.key("t:read").await;
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" },
    });
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    let session = house.post(&key, hello).send().await;
    let session = session.header("mcp-session-id").unwrap().to_owned();
    let subscribe = |method: &'static str, uri: &'static str| {
        let post = house.legacy(&key, "2025-11-25", method, json!({ "uri": uri }));
        let post = post.header("mcp-session-id", &session);
        async move { post.send().await.json() }
    };
    for there in ["test://welcome", "test://echo/a"] {
        assert_eq!(
            subscribe("resources/subscribe", there).await["result"],
            json!({}),
            "{there}"
        );
    }
    // What is not there and what may not be read look the same.
    for nowhere in ["test://nowhere", "test://secret"] {
        let refused = subscribe("resources/subscribe", nowhere).await;
        assert_eq!(refused["error"]["code"], -32002, "{refused}");
        assert_eq!(refused["error"]["data"], json!({ "uri": nowhere }));
        assert_eq!(
            subscribe("resources/unsubscribe", nowhere).await["result"],
            json!({})
        );
    }
}

#[tokio::test]
async fn every_get_and_read_has_its_row_in_the_call_log() {
    let house = House::serving(CATALOGUE).await;
    let key = house.key("t:read").await;
    ask(
        &house,
        &key,
        "2026-07-28",
        "prompts/get",
        json!({ "name": "review", "arguments": { "text": "x" } }),
    )
    .await;
    ask(
        &house,
        &key,
        "2025-11-25",
        "resources/read",
        json!({ "uri": "test://welcome" }),
    )
    .await;
    ask(
        &house,
        &key,
        "2026-07-28",
        "resources/read",
        json!({ "uri": "test://secret" }),
    )
    .await;
    house.store.flush().await.unwrap();
    let tenant = TenantId::new("local").unwrap();
    let rows: Result<Vec<AuditEntry>, StoreError> = house
        .store
        .read(&tenant, |tx| {
            async move {
                Ok(tx
                    .audit_log()
                    .list(&AuditFilter::default(), None, 100)
                    .await?
                    .rows)
            }
            .boxed()
        })
        .await;
    let rows = rows.unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.record.tool_name.as_ref().map_or("", |name| name.as_str()),
                row.record.status,
            )
        })
        .collect();
    for expected in [
        ("prompt.review", AuditStatus::Allow),
        ("resource.welcome", AuditStatus::Allow),
        ("resource.secret", AuditStatus::DenyScope),
    ] {
        assert!(rows.contains(&expected), "{rows:?}");
    }
}
