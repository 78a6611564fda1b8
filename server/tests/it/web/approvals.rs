//! Calls that wait for a person, answered over REST.

use footbridge_server::{
    store::{KeyConfirm, KeyLimits},
    vocabulary::Role,
};
use serde_json::{Value, json};

use crate::house::House;

/// A call that waits; gives its code.
async fn waiting(house: &House, key: &str, text: &str) -> String {
    let mut params = json!({ "name": "note", "arguments": { "text": text } });
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let answer = house.modern(key, "tools/call", params).send().await.json();
    let command = answer["result"]["structuredContent"]["approve"]["command"].as_str();
    command
        .unwrap_or_else(|| panic!("{answer}"))
        .rsplit(' ')
        .next()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn an_admin_answers_for_everybody_and_a_member_for_nobody_else() {
    let house = House::start().await;
    let limits = KeyLimits {
        confirm: KeyConfirm::Human,
        ..KeyLimits::default()
    };
    let key = house.limited_key("t:write", limits).await;
    let code = waiting(&house, &key, "hello").await;
    let (admin, member) = (
        house.token_of(Role::Admin).await,
        house.token_of(Role::Member).await,
    );
    let path = format!("/v1/approvals/{code}");
    let answer = |token: String, path: String, word: &'static str| {
        let mut post = house.rest("POST", &path, &token);
        post.body = json!({ "answer": word }).to_string();
        async move { post.send().await }
    };

    let listed = house.rest("GET", "/v1/approvals", &member).send().await.json();
    assert_eq!(listed, json!({ "items": [] }), "somebody else's call");
    assert_eq!(answer(member, path.clone(), "approve").await.status, 422);
    assert_eq!(house.rest("GET", "/v1/approvals", "").send().await.status, 401);

    let listed = house.rest("GET", "/v1/approvals", &admin).send().await.json();
    assert_eq!(listed["items"][0]["code"], code);
    assert_eq!(listed["items"][0]["preview"]["changes"][0]["to"], "hello");
    let unknown = answer(admin.clone(), "/v1/approvals/AAAA-AAAA".to_owned(), "approve").await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    assert_eq!(answer(admin.clone(), path.clone(), "perhaps").await.status, 400);
    let approved = answer(admin.clone(), path.clone(), "approve").await;
    assert_eq!(approved.json()["status"], "approved", "{}", approved.text());
    let twice = answer(admin.clone(), path, "decline").await;
    assert!(twice.text().contains("approved before"), "{}", twice.text());

    let mut params = json!({ "name": "note", "arguments": { "text": "hello" } });
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let done: Value = house.modern(&key, "tools/call", params).send().await.json();
    assert_eq!(done["result"]["structuredContent"]["status"], "done", "{done}");

    let other = waiting(&house, &key, "other").await;
    let declined = answer(admin, format!("/v1/approvals/{other}"), "decline").await;
    assert_eq!(declined.json()["status"], "declined");
}

/// The page that the answer leads to shows what waits, and its button lets it run.
#[tokio::test]
async fn the_page_that_the_caller_is_sent_to_shows_the_call_and_answers_it() {
    let house = House::start().await;
    let limits = KeyLimits {
        confirm: KeyConfirm::Human,
        ..KeyLimits::default()
    };
    let key = house.limited_key("t:write", limits).await;
    let mut params = json!({ "name": "note", "arguments": { "text": "<b>hello</b>" } });
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let answer = house
        .modern(&key, "tools/call", params.clone())
        .send()
        .await
        .json();
    let url = answer["result"]["structuredContent"]["approve"]["url"]
        .as_str()
        .unwrap();
    let (base, path) = url.split_at(url.find("/console").unwrap());
    assert_eq!(base, format!("http://{}", house.address));
    let code = path.rsplit('=').next().unwrap();
    let mut admin = house.browser_of(Role::Admin).await;
    let text = admin.get(path).await.text();
    assert!(text.contains(code) && text.contains("this one"), "{text}");
    assert!(
        text.contains("hello") && !text.contains("<b>hello"),
        "what the call says is text: {text}"
    );
    let answered = [("code", code), ("answer", "approve")];
    let sent = admin.submit(path, "/console/reviews/call", &answered).await;
    assert_eq!(
        sent.header("location"),
        Some("/console/reviews?done=approved"),
        "{}",
        sent.text()
    );
    // A call is answered once; the page then says so.
    let twice = admin.submit(path, "/console/reviews/call", &answered).await;
    assert!(twice.text().contains("approved before"), "{}", twice.text());
    let done = house.modern(&key, "tools/call", params).send().await.json();
    assert_eq!(done["result"]["structuredContent"]["status"], "done", "{done}");
}
