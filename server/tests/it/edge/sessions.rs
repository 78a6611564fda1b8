//! Legacy clients that connect directly: a sealed session, questions on the open reply stream, streams of notices, and
//! replies that survive the cut of their connection.

use footbridge_server::store::{KeyConfirm, KeyLimits, StoreError, Topic};
use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::schema::Schema;
use crate::house::{House, Post, Reply, read_until};

const VERSION: &str = "2025-11-25";

/// Begins a session.
async fn begin(house: &House, key: &str, version: &str, capabilities: Value) -> (String, Value) {
    let params = json!({
        "protocolVersion": version, "capabilities": capabilities, "clientInfo": { "name": "tester", "version": "1" },
    });
    let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    let reply = house.post(key, body).send().await;
    let id = reply.header("mcp-session-id").expect("a session id").to_owned();
    (id, reply.json()["result"].take())
}

fn in_session(house: &House, key: &str, session: &str, method: &str, params: Value) -> Post {
    house
        .legacy(key, VERSION, method, params)
        .header("mcp-session-id", session)
}

fn call(house: &House, key: &str, session: &str, tool: &str, arguments: Value) -> Post {
    let params = json!({ "name": tool, "arguments": arguments });
    in_session(house, key, session, "tools/call", params)
}

/// The first message of a stream that holds a text, and the id of its event.
async fn hear(stream: &mut TcpStream, text: &str) -> (Value, Option<String>) {
    let said = read_until(stream, text).await;
    let mut id = None;
    for line in said.lines() {
        if let Some(found) = line.strip_prefix("id: ") {
            id = Some(found.to_owned());
        }
        if let Some(data) = line.strip_prefix("data: ").filter(|data| data.contains(text)) {
            // The event's end may be still to come; its line is whole, for nothing else follows on it.
            return (serde_json::from_str(data).unwrap(), id);
        }
    }
    panic!("`{text}` is in no event: {said}");
}

async fn answer(house: &House, key: &str, session: &str, id: &Value, result: Value) -> Reply {
    let body = json!({ "jsonrpc": "2.0", "id": id, "result": result });
    let post = house
        .post(key, body)
        .header("mcp-protocol-version", VERSION)
        .header("mcp-session-id", session);
    post.send().await
}

async fn careful_key(house: &House) -> String {
    let limits = KeyLimits {
        confirm: KeyConfirm::Preview,
        ..KeyLimits::default()
    };
    house.limited_key("t:write", limits).await
}

#[tokio::test]
async fn a_session_is_its_principals_alone_and_over_when_its_client_says_so() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let (session, begun) = begin(&house, &key, VERSION, json!({ "elicitation": {} })).await;
    assert!(session.len() <= 1024 && session.bytes().all(|byte| byte.is_ascii_graphic()));
    Schema::of(VERSION).check("InitializeResult", &begun);
    assert_eq!(
        begun["capabilities"],
        json!({ "logging": {}, "tools": { "listChanged": true } })
    );

    let list = |session: &str| in_session(&house, &key, session, "tools/list", json!({}));
    assert_eq!(list(&session).send().await.outcome(), (200, None));
    let changed = session.replacen("v1.", "v1.A", 1);
    for wrong in [changed.as_str(), "", "v1.", "from-another-server"] {
        assert_eq!(list(wrong).send().await.outcome(), (404, Some(-32600)), "{wrong}");
    }
    let modern = house
        .modern(&key, "tools/list", json!({}))
        .header("mcp-session-id", "any");
    assert_eq!(
        modern.send().await.status,
        200,
        "a modern call needs none and asks for none"
    );
    assert_eq!(
        house
            .legacy(&key, VERSION, "tools/list", json!({}))
            .send()
            .await
            .status,
        200
    );

    let mut delete = list(&session);
    (delete.method, delete.body) = ("DELETE", String::new());
    let mut stranger = delete.clone().without("authorization");
    assert_eq!(stranger.send().await.status, 401);
    stranger = delete.clone().without("mcp-session-id");
    assert_eq!(stranger.send().await.status, 405);
    assert_eq!(delete.send().await.status, 204);
    assert_eq!(list(&session).send().await.outcome(), (404, Some(-32600)));
    assert_eq!(delete.send().await.status, 404);
    let again = house.rooms.find_session(&principal(&house, &key).await, &session);
    assert!(again.is_none());
}

async fn principal(house: &House, key: &str) -> footbridge_server::access::Principal {
    let editions = house.rooms.editions();
    let address = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    house
        .rooms
        .authenticate(Some(key), &editions[0].edition, address)
        .await
        .unwrap()
}

#[tokio::test]
async fn without_sessions_nothing_is_given_out_and_an_id_is_ignored() {
    let house = House::with(|settings| settings.session_ms = 0).await;
    let key = house.key("t:read").await;
    let params = json!({ "protocolVersion": VERSION, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    let reply = house.post(&key, body).send().await;
    assert_eq!(reply.header("mcp-session-id"), None);
    assert_eq!(reply.json()["result"]["capabilities"], json!({ "tools": {} }));
    let list = in_session(&house, &key, "any", "tools/list", json!({}));
    assert_eq!(list.send().await.status, 200);
    let mut get = list.clone();
    (get.method, get.body) = ("GET", String::new());
    assert_eq!(get.send().await.status, 405);
}

#[tokio::test]
async fn a_tool_asks_on_the_open_stream_and_the_answer_finds_it() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    for version in [VERSION, "2025-06-18"] {
        let (session, _) = begin(&house, &key, version, json!({ "elicitation": {} })).await;
        let post = call(&house, &key, &session, "ask", json!({})).set("mcp-protocol-version", version);
        let mut stream = post.open().await;
        let (question, place) = hear(&mut stream, "elicitation/create").await;
        Schema::of(version).check("ElicitRequest", &question);
        assert_eq!(question["params"]["mode"].is_string(), version == VERSION);
        assert!(place.is_some(), "it can be asked for again");
        let answer = answer(
            &house,
            &key,
            &session,
            &question["id"],
            json!({ "action": "accept", "content": { "ok": true } }),
        )
        .await;
        assert_eq!(answer.status, 202);
        let (reply, _) = hear(&mut stream, "structuredContent").await;
        assert_eq!(
            reply["result"]["structuredContent"],
            json!({ "accepted": true, "state": "remembered" })
        );
    }
    // Whoever cannot be asked is told so, with a session or without one.
    let (silent, _) = begin(&house, &key, VERSION, json!({})).await;
    let oldest = begin(&house, &key, "2025-03-26", json!({ "elicitation": {} }))
        .await
        .0;
    for session in [silent, oldest] {
        let reply = call(&house, &key, &session, "ask", json!({})).send().await.json();
        assert_eq!(reply["result"]["isError"], true, "{reply}");
    }
}

#[tokio::test]
async fn an_answer_that_was_left_in_the_store_is_fetched_from_there() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let rooms = std::sync::Arc::clone(&house.rooms);
    let follow = tokio::spawn(async move { rooms.follow_clients().await });
    let ada = principal(&house, &key).await;
    let patience = std::time::Duration::from_secs(20);
    let question = house.rooms.open_question(&ada, patience).await.unwrap();
    // Another replica would do this.
    let (id, user) = (question.id.clone(), ada.facts().user.clone());
    let answered: Result<bool, StoreError> = house
        .store
        .write(ada.tenant(), move |tx| {
            async move {
                tx.client_questions()
                    .answer(&id, &user, b"not sealed by us")
                    .await
            }
            .boxed()
        })
        .await;
    assert!(answered.is_ok_and(|taken| taken));
    assert!(
        question.answer().await.is_err(),
        "it woke at once, and what nobody of ours sealed is no answer"
    );
    follow.abort();
}

#[tokio::test]
async fn a_confirmable_tool_asks_a_legacy_client_itself() {
    let house = House::start().await;
    let key = careful_key(&house).await;
    let (session, _) = begin(&house, &key, VERSION, json!({ "elicitation": {} })).await;
    let arguments = json!({ "text": "hello" });
    for (said, status) in [
        (
            json!({ "action": "accept", "content": { "confirm": true } }),
            "done",
        ),
        (
            json!({ "action": "accept", "content": { "confirm": false } }),
            "declined",
        ),
        (json!({ "action": "cancel" }), "declined"),
    ] {
        let mut stream = call(&house, &key, &session, "note", arguments.clone())
            .open()
            .await;
        let (question, _) = hear(&mut stream, "elicitation/create").await;
        assert_eq!(
            question["params"]["message"],
            "Write a note\n- create note: text = \"hello\""
        );
        answer(&house, &key, &session, &question["id"], said).await;
        let (reply, _) = hear(&mut stream, "structuredContent").await;
        assert_eq!(reply["result"]["structuredContent"]["status"], status, "{reply}");
    }
    // A client that will not ask, and one without a session, take two steps.
    let mut stream = call(&house, &key, &session, "note", arguments.clone())
        .open()
        .await;
    let (question, _) = hear(&mut stream, "elicitation/create").await;
    let refused =
        json!({ "jsonrpc": "2.0", "id": question["id"], "error": { "code": -1, "message": "no screen" } });
    house
        .post(&key, refused)
        .header("mcp-session-id", &session)
        .send()
        .await;
    let (reply, _) = hear(&mut stream, "structuredContent").await;
    assert_eq!(
        reply["result"]["structuredContent"]["status"],
        "confirmation_required"
    );
    let params = json!({ "name": "note", "arguments": arguments });
    let reply = house
        .legacy(&key, VERSION, "tools/call", params)
        .send()
        .await
        .json();
    assert_eq!(
        reply["result"]["structuredContent"]["status"],
        "confirmation_required"
    );
}

#[tokio::test]
async fn nobody_who_waits_too_long_is_waited_for() {
    let house = House::with(|settings| settings.answer_ms = 150).await;
    let key = careful_key(&house).await;
    let (session, _) = begin(&house, &key, VERSION, json!({ "elicitation": {} })).await;
    let events = call(&house, &key, &session, "note", json!({ "text": "x" }))
        .send()
        .await;
    let (question, reply) = (events.events()[0].clone(), events.events()[1].clone());
    assert_eq!(
        reply["result"]["structuredContent"]["status"],
        "confirmation_required"
    );
    let late = answer(
        &house,
        &key,
        &session,
        &question["id"],
        json!({ "action": "cancel" }),
    )
    .await;
    assert_eq!(
        late.status, 202,
        "an answer that comes too late is taken note of, no more"
    );
    let asked = call(&house, &key, &session, "ask", json!({})).send().await;
    let told = asked.events();
    assert_eq!(told[1]["result"]["isError"], true, "{told:?}");
}

#[tokio::test]
async fn a_reply_whose_connection_was_cut_is_fetched_on_another() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let (session, _) = begin(&house, &key, VERSION, json!({ "elicitation": {} })).await;
    let mut cut = call(&house, &key, &session, "ask", json!({})).open().await;
    let opened = read_until(&mut cut, "data: \n").await;
    assert!(
        opened.contains("\nid: ") && opened.contains("\nretry: 1000\n"),
        "{opened}"
    );
    let place = opened
        .lines()
        .find_map(|line| line.strip_prefix("id: "))
        .unwrap()
        .to_owned();
    drop(cut);

    let mut get = in_session(&house, &key, &session, "ping", json!({}))
        .without("content-type")
        .set("accept", "text/event-stream")
        .header("last-event-id", &place);
    (get.method, get.body) = ("GET", String::new());
    let mut stream = get.open().await;
    let (question, next) = hear(&mut stream, "elicitation/create").await;
    answer(
        &house,
        &key,
        &session,
        &question["id"],
        json!({ "action": "decline" }),
    )
    .await;
    let (reply, _) = hear(&mut stream, "structuredContent").await;
    assert_eq!(reply["result"]["structuredContent"]["accepted"], false);

    // Once more, from where it stood: the answer is kept.
    let again = get.clone().set("last-event-id", &next.unwrap()).send().await;
    assert_eq!(again.events().len(), 1, "{again:?}");
    let stranger = house.key("t:read t:write").await;
    let (other, _) = begin(&house, &stranger, VERSION, json!({})).await;
    let mut foreign = get
        .set("authorization", &format!("Bearer {stranger}"))
        .set("mcp-session-id", &other)
        .set("last-event-id", "AAAAAAAAAAAAAAAAAAAAAA.0")
        .open()
        .await;
    // What is not kept is no reply: the client hears notices, and that anything may have changed.
    read_until(&mut foreign, "notifications/tools/list_changed").await;
}

#[tokio::test]
async fn notices_and_log_levels_are_a_sessions_own() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let (session, _) = begin(&house, &key, VERSION, json!({})).await;
    let mut get = in_session(&house, &key, &session, "ping", json!({})).set("accept", "text/event-stream");
    (get.method, get.body) = ("GET", String::new());
    let mut stream = get.open().await;
    read_until(&mut stream, "data: \n").await;
    house
        .store
        .system_write(|tx| async move { tx.announce(Topic::Catalogue).await }.boxed())
        .await
        .unwrap();
    let (notice, _) = hear(&mut stream, "list_changed").await;
    Schema::of(VERSION).check("ToolListChangedNotification", &notice);
    let unread = get.clone().set("accept", "application/json").send().await;
    assert_eq!(unread.status, 406);

    let set = |session: Option<&str>, level: &str| {
        let post = house.legacy(&key, VERSION, "logging/setLevel", json!({ "level": level }));
        session
            .into_iter()
            .fold(post, |post, id| post.header("mcp-session-id", id))
    };
    assert_eq!(
        set(Some(&session), "error").send().await.json()["result"],
        json!({})
    );
    assert_eq!(
        set(Some(&session), "loud").send().await.outcome(),
        (200, Some(-32602))
    );
    assert_eq!(set(None, "error").send().await.outcome(), (200, Some(-32601)));
    let found = house
        .rooms
        .find_session(&principal(&house, &key).await, &session)
        .unwrap();
    assert_eq!(found.state.log_level.as_deref(), Some("error"));
    assert_eq!(found.facts.name.as_deref(), Some("tester"));
}

#[tokio::test]
async fn a_client_stops_a_call_of_its_session_and_nobody_elses() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let (session, _) = begin(&house, &key, VERSION, json!({ "elicitation": {} })).await;
    let (other, _) = begin(&house, &key, VERSION, json!({ "elicitation": {} })).await;
    let long = json!({ "milliseconds": 60_000 });
    let mut stream = call(&house, &key, &session, "slow", long).open().await;
    house.noticed.reach(|noticed| &noticed.started, 1).await;
    let cancel = |session: String, request: Value| {
        let params = json!({ "requestId": request, "reason": "changed my mind" });
        let body = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
        let post = house
            .post(&key, body)
            .header("mcp-protocol-version", VERSION)
            .header("mcp-session-id", &session);
        async move { post.send().await.status }
    };
    // Of another session, another request, or the same id as a text: it is not this call.
    for (session, request) in [(&other, json!(1)), (&session, json!(2)), (&session, json!("1"))] {
        assert_eq!(cancel(session.clone(), request).await, 202);
    }
    assert_eq!(house.noticed.stopped.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert_eq!(cancel(session.clone(), json!(1)).await, 202);
    house.noticed.reach(|noticed| &noticed.stopped, 1).await;
    let said = read_until(&mut stream, "isError").await;
    assert!(said.contains("499 Client Closed Request"), "{said}");
    // A question that is open ends with its call.
    let mut asking = call(&house, &key, &session, "ask", json!({})).open().await;
    hear(&mut asking, "elicitation/create").await;
    assert_eq!(cancel(session, json!(1)).await, 202);
    read_until(&mut asking, "499 Client Closed Request").await;
}

#[tokio::test]
async fn a_stream_of_notices_ends_with_its_session() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let (session, _) = begin(&house, &key, VERSION, json!({})).await;
    let mut get = in_session(&house, &key, &session, "x", json!({}));
    (get.method, get.body) = ("GET", String::new());
    let get = get.set("accept", "text/event-stream");
    let mut stream = get.open().await;
    read_until(&mut stream, "notices.0").await;
    let mut delete = get;
    delete.method = "DELETE";
    assert_eq!(delete.send().await.status, 204);
    crate::house::read_all(&mut stream).await;
}
