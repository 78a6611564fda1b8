//! Confirmations as they go over the wire, in the shapes of each era.

use footbridge_server::store::{KeyConfirm, KeyLimits};
use serde_json::{Value, json};

use crate::house::House;

async fn key(house: &House, confirm: KeyConfirm) -> String {
    let limits = KeyLimits {
        confirm,
        ..KeyLimits::default()
    };
    house.limited_key("t:write", limits).await
}

fn tool<'a>(list: &'a Value, name: &str) -> &'a Value {
    let tools = list["result"]["tools"].as_array().unwrap();
    tools.iter().find(|tool| tool["name"] == name).unwrap()
}

#[tokio::test]
async fn a_list_shows_what_asks_first_to_whom_it_asks() {
    let house = House::start().await;
    let (plain, careful) = (house.key("t:write").await, key(&house, KeyConfirm::Preview).await);
    let list = |key: String| {
        let post = house.modern(&key, "tools/list", json!({}));
        async move { post.send().await.json() }
    };
    let (before, after) = (list(plain).await, list(careful).await);
    let note = tool(&before, "note");
    assert_eq!(note["description"], "Writes.");
    assert_eq!(note["inputSchema"]["properties"].get("confirmation_token"), None);
    let note = tool(&after, "note");
    assert_eq!(note["description"], "Writes. Shows a preview first.");
    assert_eq!(
        note["inputSchema"]["properties"]["confirmation_token"]["type"],
        "string"
    );
    assert_eq!(note["inputSchema"]["required"], json!(["text"]));
    assert_eq!(note["outputSchema"]["required"], json!(["status"]));
    assert_eq!(
        tool(&after, "plain"),
        tool(&before, "plain"),
        "a reading tool asks nothing"
    );
}

#[tokio::test]
async fn a_modern_client_is_asked_and_its_answer_carries_the_call_through() {
    let house = House::start().await;
    let key = key(&house, KeyConfirm::Preview).await;
    let arguments = json!({ "text": "hello" });
    let asked = house.call(&key, "note", arguments.clone()).send().await.json();
    let result = &asked["result"];
    assert_eq!(result["resultType"], "input_required", "{asked}");
    let question = &result["inputRequests"]["confirm"];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"]["mode"], "form");
    assert_eq!(
        question["params"]["message"],
        "Write a note\n- create note: text = \"hello\""
    );
    let state = result["requestState"].as_str().unwrap();
    assert!(state.len() <= 4096 && !state.contains("cft_"));
    let retry = |answer: Value| {
        let params = json!({
            "name": "note", "arguments": arguments, "requestState": state, "inputResponses": { "confirm": answer },
        });
        let post = house.modern(&key, "tools/call", params);
        async move { post.send().await.json() }
    };
    let yes = json!({ "action": "accept", "content": { "confirm": true } });
    let done = retry(yes.clone()).await;
    assert_eq!(
        done["result"]["structuredContent"],
        json!({ "status": "done", "result": { "text": "hello" } })
    );
    assert_eq!(done["result"]["resultType"], "complete");
    let again = retry(yes).await;
    assert_eq!(again["result"]["structuredContent"]["replayed"], true);
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_gets_prose_and_a_token() {
    let house = House::start().await;
    let key = key(&house, KeyConfirm::Preview).await;
    for version in ["2025-11-25", "2025-06-18", "2025-03-26"] {
        let call = |arguments: Value| {
            let params = json!({ "name": "note", "arguments": arguments });
            let post = house.legacy(&key, version, "tools/call", params);
            async move { post.send().await.json()["result"].clone() }
        };
        let preview = call(json!({ "text": "hello" })).await;
        let text = preview["content"][0]["text"].as_str().unwrap();
        assert!(
            text.starts_with(
                "Write a note\n- create note: text = \"hello\"\n\nNothing has been changed yet."
            ),
            "{text}"
        );
        let token = text
            .split("confirmation_token: ")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap();
        if version != "2025-03-26" {
            assert_eq!(preview["structuredContent"]["confirmation_token"], token);
        }
        assert_eq!(preview.get("isError"), None);
        let done = call(json!({ "text": "hello", "confirmation_token": token })).await;
        let written: Value = serde_json::from_str(done["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(
            written,
            json!({ "status": "done", "result": { "text": "hello" } })
        );
    }
}

#[tokio::test]
async fn a_modern_client_without_forms_gets_the_token_and_a_person_is_asked_for_elsewhere() {
    let house = House::start().await;
    let mut params = json!({ "name": "note", "arguments": { "text": "hello" } });
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({ "elicitation": { "url": {} } });
    let answer = |key: String| {
        let post = house.modern(&key, "tools/call", params.clone());
        async move { post.send().await.json()["result"]["structuredContent"].clone() }
    };
    let preview = answer(key(&house, KeyConfirm::Preview).await).await;
    assert_eq!(preview["status"], "confirmation_required");
    let waiting = answer(key(&house, KeyConfirm::Human).await).await;
    assert_eq!(waiting["status"], "pending_approval");
    assert_eq!(waiting.get("confirmation_token"), None);
}
