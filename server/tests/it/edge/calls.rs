//! `tools/call` and `tools/list` in every revision: what each kind of caller gets for what happened.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::house::{House, Post};

const VERSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

fn bare(house: &House, key: &str, method: &str, params: Value) -> Post {
    house.post(
        key,
        json!({ "jsonrpc": "2.0", "id": "b", "method": method, "params": params }),
    )
}

#[tokio::test]
async fn lists_show_what_the_key_may_call_in_the_shape_of_the_revision() {
    let house = House::start().await;
    let (reader, writer) = (house.key("t:read").await, house.key("t:write").await);
    let names = |list: &Value| -> Vec<String> {
        list["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let list = house.modern(&reader, "tools/list", json!({})).send().await.json();
    assert_eq!(list["result"]["cacheScope"], "private");
    assert_eq!(list["result"]["ttlMs"], 300_000);
    assert!(list["result"].get("nextCursor").is_none());
    assert!(!names(&list).contains(&"note".to_owned()));
    assert!(names(&list).contains(&"notes.echo".to_owned()));
    let all = house.modern(&writer, "tools/list", json!({})).send().await.json();
    assert_eq!(names(&all).len(), names(&list).len() + 1);
    let strict =
        json!({ "_meta": { "io.modelcontextprotocol/clientInfo": { "name": "Claude-AI", "version": "1" } } });
    let list = house.modern(&reader, "tools/list", strict).send().await.json();
    assert!(
        names(&list).contains(&"notes_echo".to_owned()),
        "a strict client gets names without dots"
    );
    for version in VERSIONS {
        let list = house
            .legacy(&reader, version, "tools/list", json!({}))
            .send()
            .await
            .json();
        let tool = &list["result"]["tools"][0];
        assert_eq!(
            tool.get("outputSchema").is_some(),
            version != "2025-03-26",
            "{version}"
        );
        assert_eq!(tool.get("title").is_some(), version != "2025-03-26", "{version}");
    }
    for cursor in [json!(""), json!("made up"), json!(7)] {
        let reply = house
            .modern(&reader, "tools/list", json!({ "cursor": cursor }))
            .send()
            .await;
        assert_eq!(reply.outcome(), (200, Some(-32602)), "{cursor}");
    }
}

#[tokio::test]
async fn both_spellings_of_a_name_are_callable() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    for name in ["notes.echo", "notes_echo"] {
        let message = house
            .call(&key, name, json!({ "text": "ä\n\u{1}\"x\"" }))
            .send()
            .await
            .json();
        assert_eq!(
            message["result"]["structuredContent"],
            json!({ "text": "ä\n\u{1}\"x\"" })
        );
        let repeated: Value =
            serde_json::from_str(message["result"]["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(
            repeated, message["result"]["structuredContent"],
            "the text block says the same"
        );
        assert_eq!(message["result"]["resultType"], "complete");
        let server = &message["result"]["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!(server["name"], "footbridge");
    }
}

#[tokio::test]
async fn a_missing_scope_travels_as_its_caller_can_read_it() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let arguments = json!({ "text": "x" });
    let params = json!({ "name": "note", "arguments": arguments });
    let mut clients = vec![house.call(&key, "note", arguments.clone())];
    clients.extend(VERSIONS.map(|version| house.legacy(&key, version, "tools/call", params.clone())));
    // Whoever brings a session is an MCP client, whatever else it leaves out.
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let begun = bare(&house, &key, "initialize", hello).send().await;
    let session = begun.header("mcp-session-id").unwrap();
    clients.push(bare(&house, &key, "tools/call", params.clone()).header("mcp-session-id", session));
    for post in clients {
        let reply = post.send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let result = &reply.json()["result"];
        assert_eq!(result["isError"], true);
        assert_eq!(
            result["content"][0]["text"],
            "403 Forbidden: missing scope t:write"
        );
        assert!(
            reply.header("mcp-session-id").is_none(),
            "a session is given out once and never echoed"
        );
    }
    let reply = bare(&house, &key, "tools/call", params).send().await;
    assert_eq!(reply.outcome(), (403, Some(-32011)));
    assert_eq!(reply.json()["id"], "b");
    assert_eq!(
        reply.json()["error"]["data"]["requiredScopes"],
        json!(["t:write"])
    );
}

#[tokio::test]
async fn failures_of_ours_show_a_reference_and_nothing_from_inside() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let mut references = BTreeSet::new();
    for tool in ["panic", "fail", "panic", "fail"] {
        let reply = house.call(&key, tool, json!({})).send().await;
        assert_eq!(reply.outcome(), (500, Some(-32603)), "{tool}");
        assert_eq!(reply.json()["id"], 1);
        let reference = reply.json()["error"]["data"]["ref"].as_str().unwrap().to_owned();
        assert_eq!(
            reply.json()["error"]["message"],
            format!("500 Internal Error: request {reference}")
        );
        assert!(!reply.text().contains("secret"), "{}", reply.text());
        references.insert(reference);
    }
    assert_eq!(references.len(), 4, "each failure has its own reference");
    assert_eq!(
        house.call(&key, "plain", json!({})).send().await.status,
        200,
        "the process goes on"
    );
}

#[tokio::test]
async fn questions_go_to_clients_that_can_answer_them() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let asked = house.call(&key, "ask", json!({})).send().await.json();
    assert_eq!(asked["result"]["resultType"], "input_required");
    assert_eq!(
        asked["result"]["inputRequests"]["confirm"]["method"],
        "elicitation/create"
    );
    let state = asked["result"]["requestState"].as_str().unwrap().to_owned();
    let retry = |state: &str, responses: Value| {
        let params =
            json!({ "name": "ask", "arguments": {}, "requestState": state, "inputResponses": responses });
        house.modern(&key, "tools/call", params)
    };
    let yes = json!({ "confirm": { "action": "accept", "content": { "ok": true } } });
    let done = retry(&state, yes.clone()).send().await.json();
    assert_eq!(
        done["result"]["structuredContent"],
        json!({ "accepted": true, "state": "remembered" })
    );
    let tampered = retry(&format!("{state}-TAMPERED"), yes.clone()).send().await;
    assert_eq!(tampered.outcome(), (200, Some(-32602)));
    let malformed = retry(&state, json!([1])).send().await;
    assert_eq!(malformed.outcome(), (200, Some(-32602)));

    let capabilities = json!({ "io.modelcontextprotocol/clientCapabilities": {} });
    let params = json!({ "name": "ask", "_meta": capabilities });
    let reply = house.modern(&key, "tools/call", params).send().await;
    assert_eq!(reply.outcome(), (400, Some(-32021)));
    assert_eq!(
        reply.json()["error"]["data"]["requiredCapabilities"],
        json!({ "elicitation": {} })
    );
    for version in VERSIONS {
        let reply = house
            .legacy(&key, version, "tools/call", json!({ "name": "ask" }))
            .send()
            .await;
        assert_eq!(
            (reply.status, &reply.json()["result"]["isError"]),
            (200, &json!(true)),
            "{version}"
        );
    }
}

#[tokio::test]
async fn mirrored_parameters_must_agree_with_the_arguments() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    type Row = (Value, Option<&'static str>, (u16, Option<i64>));
    let table: [Row; 9] = [
        (json!({ "region": "eu" }), Some("eu"), (200, None)),
        (json!({ "region": "eu" }), Some("=?base64?ZXU=?="), (200, None)),
        (
            json!({ "region": "eu" }),
            Some("=?base64?ZXU?="),
            (400, Some(-32020)),
        ),
        (json!({ "region": "eu" }), Some("us"), (400, Some(-32020))),
        (json!({ "region": "eu" }), None, (400, Some(-32020))),
        (json!({}), None, (200, None)),
        (json!({}), Some("eu"), (400, Some(-32020))),
        (json!({ "region": null }), Some("eu"), (400, Some(-32020))),
        (json!({ "region": "" }), Some(""), (200, None)),
    ];
    for (arguments, header, expected) in table {
        let mut post = house.call(&key, "region", arguments.clone());
        if let Some(value) = header {
            post = post.header("mcp-param-region", value);
        }
        let reply = post.send().await;
        assert_eq!(
            reply.outcome(),
            expected,
            "{arguments} {header:?}: {}",
            reply.text()
        );
    }
    let twice = house.call(&key, "region", json!({ "region": "eu" }));
    let twice = twice
        .header("mcp-param-region", "eu")
        .header("mcp-param-region", "us");
    assert_eq!(twice.send().await.outcome(), (400, Some(-32020)));
    let legacy = house.legacy(
        &key,
        "2025-11-25",
        "tools/call",
        json!({ "name": "region", "arguments": { "region": "eu" } }),
    );
    assert_eq!(
        legacy.header("mcp-param-region", "us").send().await.outcome(),
        (200, None),
        "legacy has no such header"
    );
}

/// The parameters' shape (row 16) comes before the tool (row 17), that before its headers (18), those before scopes
/// (19), capabilities (20) and arguments (21).
#[tokio::test]
async fn later_rows_answer_later() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    for params in [
        json!({}),
        json!({ "name": 7 }),
        json!({ "name": "note", "arguments": [] }),
    ] {
        let mut post = house.modern(&key, "tools/call", params.clone());
        if params["name"].is_string() {
            post = post.set("mcp-name", "note");
        }
        assert_eq!(post.send().await.outcome(), (200, Some(-32602)), "{params}");
    }
    let token = json!({ "name": "plain", "_meta": { "progressToken": "t".repeat(300) } });
    assert_eq!(
        house.modern(&key, "tools/call", token).send().await.outcome(),
        (200, Some(-32602))
    );
    let unknown = house
        .call(&key, "no_such_tool", json!({}))
        .header("mcp-param-region", "x")
        .send()
        .await;
    assert_eq!(unknown.json()["error"]["message"], "Unknown tool: no_such_tool");
    let denied = house
        .call(&key, "note", json!({ "wrong": 1 }))
        .send()
        .await
        .json();
    assert!(
        denied["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("403 "),
        "{denied}"
    );
    let wrong = house
        .call(&key, "slow", json!({ "milliseconds": "x", "colour": 1 }))
        .send()
        .await
        .json();
    let text = wrong["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("400 Bad Request: ") && text.contains("milliseconds") && text.contains("colour"),
        "{text}"
    );
}

#[tokio::test]
async fn a_crowd_with_one_and_the_same_id_gets_each_its_own_answer() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let calls = (0..200).map(|n| {
        let post = house.call(&key, "notes.echo", json!({ "text": format!("caller {n}") }));
        tokio::spawn(async move { (n, post.send().await) })
    });
    for call in calls.collect::<Vec<_>>() {
        let (n, reply) = call.await.unwrap();
        let message = reply.json();
        assert_eq!(message["id"], 1);
        assert_eq!(
            message["result"]["structuredContent"]["text"],
            format!("caller {n}")
        );
    }
}

#[tokio::test]
async fn ids_come_back_as_they_were_spelled() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    for id in [
        "1",
        "-5",
        "9007199254740991",
        "1795190400000",
        "\"\"",
        "\"a\\u0041\"",
        "\"\u{1f600}\"",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let reply = house.post(&key, body).send().await;
        assert_eq!(
            reply.text(),
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
        );
    }
}

#[tokio::test]
async fn an_array_is_answered_with_an_array() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let request = |id: u32, method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    let body = json!([
        request(1, "ping", json!({})),
        { "jsonrpc": "2.0", "method": "notifications/initialized" },
        request(2, "tools/call", json!({ "name": "notes.echo", "arguments": { "text": "x" } })),
        request(3, "nowhere", json!({})),
        request(4, "tools/call", json!({ "name": "note", "arguments": { "text": "x" } })),
        { "jsonrpc": "2.0", "id": 9, "result": {} },
        17,
    ]);
    let reply = house.post(&key, body).send().await;
    assert_eq!(reply.status, 200);
    let answers = reply.json();
    assert_eq!(answers.as_array().unwrap().len(), 5, "{answers}");
    assert_eq!(answers[0], json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    assert_eq!(answers[1]["id"], 2);
    assert_eq!(answers[2]["error"]["code"], -32601);
    assert_eq!(
        answers[3]["error"]["code"], -32011,
        "a bare caller's array has errors too: {answers}"
    );
    assert_eq!(answers[4]["error"]["code"], -32600);
    assert!(answers[4].get("id").is_none());
}
