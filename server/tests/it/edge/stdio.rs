//! The same desk over pipes.

use std::sync::Arc;

use footbridge_server::{
    access::local_principal,
    edge::{EdgeSettings, stdio},
    vocabulary::{TenantId, UserId},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, duplex},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::house::{HANGS, House};

struct Pipe {
    to: DuplexStream,
    from: Lines<BufReader<DuplexStream>>,
    process: JoinHandle<std::io::Result<()>>,
}

impl Pipe {
    async fn open(house: &House) -> Self {
        // The local principal needs a tenant that is there.
        house.key("t:read").await;
        let (to, input) = duplex(1 << 16);
        let (output, from) = duplex(1 << 16);
        let edition = &house.rooms.editions()[0].edition;
        let (tenant, user) = (TenantId::new("local").unwrap(), UserId::new("usr_local").unwrap());
        let principal = local_principal(edition, tenant, user, 1_000_000);
        let settings = EdgeSettings {
            body_bytes: 4096,
            ..EdgeSettings::default()
        };
        let (rooms, stop) = (Arc::clone(&house.rooms), CancellationToken::new());
        let process = tokio::spawn(async move {
            stdio::serve(rooms, settings, principal, BufReader::new(input), output, stop).await
        });
        Self {
            to,
            from: BufReader::new(from).lines(),
            process,
        }
    }

    async fn say(&mut self, message: impl ToString) {
        self.to
            .write_all(format!("{}\n", message.to_string()).as_bytes())
            .await
            .unwrap();
    }

    async fn hear(&mut self) -> Value {
        let line = timeout(HANGS, self.from.next_line())
            .await
            .expect("an answer comes")
            .unwrap()
            .unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e} in {line}"))
    }
}

fn modern(id: Value, method: &str, mut params: Value) -> Value {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({ "elicitation": {} });
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn legacy(id: u32, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[tokio::test]
async fn both_eras_are_served_and_a_handshake_settles_the_shapes() {
    let house = House::start().await;
    let mut pipe = Pipe::open(&house).await;
    pipe.say(modern(json!("d"), "server/discover", json!({}))).await;
    let discover = pipe.hear().await;
    assert_eq!(
        (&discover["id"], &discover["result"]["resultType"]),
        (&json!("d"), &json!("complete"))
    );
    for (version, structured) in [("2025-03-26", false), ("2025-11-25", true)] {
        let hello = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        pipe.say(legacy(1, "initialize", hello)).await;
        assert_eq!(pipe.hear().await["result"]["protocolVersion"], version);
        pipe.say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await;
        pipe.say(legacy(2, "tools/call", json!({ "name": "plain" })))
            .await;
        let answer = pipe.hear().await;
        assert_eq!(answer["id"], 2, "a notification is never answered");
        assert_eq!(
            answer["result"].get("structuredContent").is_some(),
            structured,
            "{version}"
        );
    }
    pipe.say(modern(json!(3), "tools/call", json!({ "name": "ask" })))
        .await;
    assert_eq!(pipe.hear().await["result"]["resultType"], "input_required");
    pipe.say(modern(json!(4), "initialize", json!({}))).await;
    assert_eq!(pipe.hear().await["error"]["code"], -32601);
}

#[tokio::test]
async fn calls_run_beside_each_other_and_can_be_cancelled() {
    let house = House::start().await;
    let mut pipe = Pipe::open(&house).await;
    pipe.say(legacy(
        1,
        "tools/call",
        json!({ "name": "slow", "arguments": { "milliseconds": 10_000 } }),
    ))
    .await;
    pipe.say(modern(
        json!("x"),
        "tools/call",
        json!({ "name": "slow", "arguments": { "milliseconds": 10_000 } }),
    ))
    .await;
    pipe.say(legacy(2, "ping", json!({}))).await;
    assert_eq!(pipe.hear().await["id"], 2, "a slow call holds nobody up");
    house.noticed.reach(|n| &n.started, 2).await;
    for id in [json!(1), json!("x")] {
        let cancel =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
        pipe.say(cancel).await;
    }
    house.noticed.reach(|n| &n.stopped, 2).await;
    pipe.say(legacy(3, "ping", json!({}))).await;
    assert_eq!(
        pipe.hear().await["id"],
        3,
        "nothing is said to what was cancelled"
    );
}

#[tokio::test]
async fn progress_comes_before_the_answer_and_listeners_end_with_the_input() {
    let house = House::start().await;
    let mut pipe = Pipe::open(&house).await;
    let arguments = json!({ "steps": 2, "pause_ms": 20 });
    let params = json!({ "name": "progress", "arguments": arguments, "_meta": { "progressToken": "p" } });
    pipe.say(modern(json!(1), "tools/call", params)).await;
    for expected in [1, 2] {
        assert_eq!(pipe.hear().await["params"]["progress"], expected);
    }
    assert_eq!(pipe.hear().await["id"], 1);
    let filter = json!({ "notifications": { "toolsListChanged": true } });
    pipe.say(modern(json!("l"), "subscriptions/listen", filter)).await;
    assert_eq!(
        pipe.hear().await["method"],
        "notifications/subscriptions/acknowledged"
    );
    pipe.to.shutdown().await.unwrap();
    let end = pipe.hear().await;
    assert_eq!(end["id"], "l");
    assert_eq!(
        end["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
        "l"
    );
    timeout(HANGS, pipe.process).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn lines_that_are_no_message_are_answered_once_and_the_rest_goes_on() {
    let house = House::start().await;
    let mut pipe = Pipe::open(&house).await;
    let table = [
        ("{".to_owned(), -32700, Value::Null),
        (
            r#"{"jsonrpc":"2.0","id":5,"method":7}"#.to_owned(),
            -32600,
            json!(5),
        ),
        (
            format!(
                r#"{{"jsonrpc":"2.0","id":6,"method":"ping","params":{{"a":"{}"}}}}"#,
                "x".repeat(5000)
            ),
            -32600,
            json!(6),
        ),
        ("[]".to_owned(), -32600, Value::Null),
    ];
    for (line, code, id) in table {
        pipe.say(&line).await;
        let answer = pipe.hear().await;
        assert_eq!(
            (&answer["error"]["code"], &answer["id"]),
            (&json!(code), &id),
            "{answer}"
        );
    }
    pipe.say("").await;
    pipe.say("  \r").await;
    pipe.say(r#"{"jsonrpc":"2.0","id":9,"result":{}}"#).await;
    pipe.say(legacy(7, "ping", json!({}))).await;
    assert_eq!(pipe.hear().await["id"], 7);
}

#[tokio::test]
async fn a_legacy_client_is_asked_while_its_call_runs() {
    let house = House::start().await;
    let mut pipe = Pipe::open(&house).await;
    let hello = |capabilities: Value| {
        json!({
            "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": { "name": "t", "version": "1" },
        })
    };
    pipe.say(legacy(1, "initialize", hello(json!({ "elicitation": {} }))))
        .await;
    pipe.hear().await;
    pipe.say(legacy(2, "tools/call", json!({ "name": "ask" }))).await;
    let question = pipe.hear().await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    // Meanwhile other calls are answered, and an answer to nothing is dropped.
    pipe.say(json!({ "jsonrpc": "2.0", "id": "ask_nothing", "result": {} }))
        .await;
    pipe.say(legacy(3, "ping", json!({}))).await;
    assert_eq!(pipe.hear().await["id"], 3);
    let yes = json!({ "action": "accept", "content": { "ok": true } });
    pipe.say(json!({ "jsonrpc": "2.0", "id": question["id"], "result": yes }))
        .await;
    let answer = pipe.hear().await;
    assert_eq!(answer["id"], 2);
    assert_eq!(
        answer["result"]["structuredContent"],
        json!({ "accepted": true, "state": "remembered" })
    );
    // One that cannot be asked is told so.
    pipe.say(legacy(4, "initialize", hello(json!({})))).await;
    pipe.hear().await;
    pipe.say(legacy(5, "tools/call", json!({ "name": "ask" }))).await;
    let told = pipe.hear().await;
    assert_eq!(
        (&told["id"], &told["result"]["isError"]),
        (&json!(5), &json!(true)),
        "{told}"
    );
}
