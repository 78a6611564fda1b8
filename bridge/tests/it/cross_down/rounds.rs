//! Questions in the middle of a call: X-04, X-25 to X-30.

use serde_json::{Value, json};

use super::{DONE, answer, crossed, crossed_with, manners, modern_only, request};
use crate::harness::{Bridge, Request, Stub};

const FORM: &str = r#"{"method":"elicitation/create","params":{"mode":"form","message":"Sure?","requestedSchema":{"type":"object","properties":{"ok":{"type":"boolean"}}}}}"#;
const PAGE: &str = r#"{"method":"elicitation/create","params":{"mode":"url","message":"Sign in","url":"https://x.example/?a=b"}}"#;
const CALL: &str = r#"{"name":"t","arguments":{"n": 1.50}}"#;
const EVERYTHING: &str = r#"{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}"#;

/// A server that asks `questions` until it has answers, `rounds` times, and is then done.
fn asking(questions: &'static str, rounds: usize) -> Stub {
    modern_only(move |request, wire| {
        if manners(request, wire) {
            return;
        }
        let body = request.json();
        let round = body["params"]["requestState"]
            .as_str()
            .and_then(|state| state.strip_prefix("round/")?.parse::<usize>().ok())
            .unwrap_or(0);
        if round < rounds {
            wire.result(
                request,
                &format!(
                    r#"{{"resultType":"input_required","inputRequests":{questions},"requestState":"round\/{}"}}"#,
                    round + 1
                ),
            );
        } else {
            wire.result(request, DONE);
        }
    })
}

fn calls(stub: &Stub) -> Vec<Request> {
    stub.requests()
        .into_iter()
        .filter(|request| request.rpc() == "tools/call")
        .collect()
}

fn done(bridge: &Bridge, id: &Value) {
    let line = bridge.json();
    assert_eq!(&line["id"], id, "{line}");
    assert_eq!(
        line["result"],
        json!({"content": [{"type": "text", "text": "done"}]})
    );
}

#[test]
fn x25_questions_become_requests_and_answers_a_retry() {
    let stub = asking(
        concat!(
            r#"{"form":{"method":"elicitation/create","params":{"mode":"form","message":"Sure?","requestedSchema":{"type":"object","properties":{"ok":{"type":"boolean"}}}}},"#,
            r#""model":{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}},"where":{"method":"roots/list"}}"#
        ),
        1,
    );
    let mut bridge = crossed(&stub, "2025-11-25", EVERYTHING);
    bridge.send(&request("1", "tools/call", CALL));
    let mut questions: Vec<Value> = (0..3).map(|_| bridge.json()).collect();
    questions.sort_by_key(|question| question["method"].to_string());
    assert_eq!(questions[0]["params"]["message"], "Sure?");
    assert_eq!(questions[1]["method"], "roots/list");
    assert_eq!(questions[2]["params"], json!({"messages": [], "maxTokens": 1}));
    bridge.send(&answer(&questions[2], &json!({"role": "assistant"})));
    bridge.send(&answer(&questions[1], &json!({"roots": []})));
    // The host's bytes are the server's.
    bridge.send(&format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{{"action":"accept","content":{{"n": 1.50}}}}}}"#,
        questions[0]["id"]
    ));
    done(&bridge, &json!(1));
    let calls = calls(&stub);
    assert_eq!(calls.len(), 2);
    let retry = calls[1].json();
    assert_ne!(retry["id"], calls[0].json()["id"]);
    assert!(
        calls[1].text().contains(r#""requestState":"round\/1""#),
        "the very bytes"
    );
    assert!(calls[1].text().contains(r#""arguments":{"n": 1.50}"#));
    assert!(
        calls[1]
            .text()
            .contains(r#"{"action":"accept","content":{"n": 1.50}}"#)
    );
    assert_eq!(
        retry["params"]["inputResponses"],
        json!({"form": {"action": "accept", "content": {"n": 1.5}}, "model": {"role": "assistant"}, "where": {"roots": []}})
    );
    assert_eq!(calls[1].header("mcp-name"), Some("t"));
}

#[test]
fn x25_what_the_host_cannot_be_asked_is_the_servers_fault() {
    let stub = asking(
        r#"{"a":{"method":"elicitation/create","params":{"message":"?"}}}"#,
        1,
    );
    for (revision, capabilities) in [("2025-03-26", r#"{"elicitation":{}}"#), ("2025-11-25", "{}")] {
        let mut bridge = crossed(&stub, revision, capabilities);
        bridge.send(&request("1", "tools/call", CALL));
        bridge.error("1", -31005);
    }
}

#[test]
fn x26_only_a_state_is_retried_and_rounds_are_counted() {
    let stub = modern_only(|request, wire| {
        if manners(request, wire) {
            return;
        }
        match request.json()["params"]["requestState"].as_str() {
            None => wire.result(request, r#"{"resultType":"input_required","requestState":"s"}"#),
            Some("s") => wire.result(request, r#"{"resultType":"input_required","requestState":"t"}"#),
            _ => wire.result(request, DONE),
        }
    });
    let mut bridge = crossed(&stub, "2025-11-25", "{}");
    bridge.send(&request("1", "tools/call", CALL));
    done(&bridge, &json!(1));
    assert_eq!(calls(&stub).len(), 3);
    assert!(calls(&stub)[2].json()["params"].get("inputResponses").is_none());

    let stub = asking(r#"{"a":{"method":"roots/list"}}"#, 11);
    let mut bridge = crossed(&stub, "2025-11-25", EVERYTHING);
    bridge.send(&request("1", "tools/call", CALL));
    for _ in 0..10 {
        let question = bridge.json();
        bridge.send(&answer(&question, &json!({"roots": []})));
    }
    bridge.error("1", -31008);
}

#[test]
fn x27_a_hosts_error_is_never_an_answer_of_a_person() {
    let stub = asking(
        r#"{"a":{"method":"elicitation/create","params":{"message":"?","requestedSchema":{}}}}"#,
        1,
    );
    let mut bridge = crossed(&stub, "2025-11-25", EVERYTHING);
    bridge.send(&request("1", "tools/call", CALL));
    let question = bridge.json();
    bridge.send(
        &json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "no"}}).to_string(),
    );
    done(&bridge, &json!(1));
    assert_eq!(
        calls(&stub)[1].json()["params"]["inputResponses"],
        json!({"a": {"action": "cancel"}})
    );

    let stub = asking(r#"{"a":{"method":"sampling/createMessage","params":{}}}"#, 1);
    let mut bridge = crossed(&stub, "2025-11-25", EVERYTHING);
    bridge.send(&request("1", "tools/call", CALL));
    let question = bridge.json();
    bridge.send(
        &json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "no"}}).to_string(),
    );
    let line = bridge.json();
    assert_eq!(
        (&line["id"], &line["error"]),
        (&json!(1), &json!({"code": -1, "message": "no"}))
    );
    assert_eq!(calls(&stub).len(), 1);
}

#[test]
fn x27_a_silent_host_ends_the_call_by_the_time_limit() {
    let stub = asking(r#"{"a":{"method":"roots/list"}}"#, 1);
    let mut bridge = crossed_with(
        &stub,
        "2025-11-25",
        EVERYTHING,
        &[("FOOTBRIDGE_CALL_TIMEOUT", "0.7")],
    );
    bridge.send(&request("1", "tools/call", CALL));
    let question = bridge.json();
    let (mut first, mut second) = (bridge.json(), bridge.json());
    if first["id"] != 1 {
        std::mem::swap(&mut first, &mut second);
    }
    assert_eq!(first["error"]["code"], -31004);
    assert_eq!(second["method"], "notifications/cancelled");
    assert_eq!(second["params"]["requestId"], question["id"]);
    assert_eq!(calls(&stub).len(), 1);
}

#[test]
fn x28_a_cancelled_call_withdraws_its_questions() {
    let stub = asking(r#"{"a":{"method":"roots/list"}}"#, 1);
    let mut bridge = crossed(&stub, "2025-11-25", EVERYTHING);
    bridge.send(&request("1", "tools/call", CALL));
    let question = bridge.json();
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    let withdrawn = bridge.json();
    assert_eq!(withdrawn["method"], "notifications/cancelled");
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    // A late answer finds nobody, and the server hears nothing.
    bridge.send(&answer(&question, &json!({"roots": []})));
    bridge.send(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#);
    assert_eq!(bridge.json()["id"], 2);
    assert_eq!(calls(&stub).len(), 1);
}

#[test]
fn x29_a_form_is_asked_as_june_2025_knows_it() {
    let stub = asking(
        r#"{"a":{"method":"elicitation/create","params":{"mode":"form","message":"?","requestedSchema":{"type":"object","properties":{"c":{"type":"string","oneOf":[{"const":"r","title":"Red"}],"default":"r"}}}}}}"#,
        1,
    );
    let mut bridge = crossed(&stub, "2025-06-18", r#"{"elicitation":{}}"#);
    bridge.send(&request("1", "tools/call", CALL));
    let question = bridge.json();
    assert_eq!(
        question["params"],
        json!({"message": "?", "requestedSchema": {"type": "object", "properties": {
            "c": {"type": "string", "enum": ["r"], "enumNames": ["Red"]},
        }}})
    );
    bridge.send(&answer(&question, &json!({"action": "decline"})));
    done(&bridge, &json!(1));
    assert_eq!(
        calls(&stub)[1].json()["params"]["inputResponses"]["a"],
        json!({"action": "decline"})
    );

    let stub = asking(
        r#"{"a":{"method":"elicitation/create","params":{"message":"?","requestedSchema":{"type":"object","properties":{"c":{"type":"array","items":{"type":"string","enum":["x"]}}}}}}}"#,
        1,
    );
    let mut bridge = crossed(&stub, "2025-06-18", r#"{"elicitation":{}}"#);
    bridge.send(&request("1", "tools/call", CALL));
    let error = bridge.error("1", -31008);
    assert!(error["message"].as_str().unwrap().contains("`c`"), "{error}");
}

#[test]
fn x30_a_page_is_asked_for_once_and_its_end_is_announced() {
    let stub = modern_only(|request, wire| {
        if manners(request, wire) {
            return;
        }
        let responses = &request.json()["params"]["inputResponses"];
        let next = if responses["second"] == json!({"action": "accept"}) {
            DONE.to_owned()
        } else {
            let key = if responses["first"].is_object() {
                "second"
            } else {
                "first"
            };
            format!(r#"{{"resultType":"input_required","inputRequests":{{"{key}":{PAGE}}}}}"#)
        };
        wire.result(request, &next);
    });
    let mut bridge = crossed(&stub, "2025-11-25", EVERYTHING);
    bridge.send(&request("1", "tools/call", CALL));
    let question = bridge.json();
    assert_eq!(question["params"]["url"], "https://x.example/?a=b");
    assert_eq!(question["params"]["message"], "Sign in");
    let elicitation = question["params"]["elicitationId"].clone();
    assert!(elicitation.is_string());
    bridge.send(&answer(&question, &json!({"action": "accept"})));
    // The second round asks for the same page: nobody is prompted again.
    let complete = bridge.json();
    assert_eq!(complete["method"], "notifications/elicitation/complete");
    assert_eq!(complete["params"], json!({"elicitationId": elicitation}));
    done(&bridge, &json!(1));
    assert_eq!(calls(&stub).len(), 3);
}

#[test]
fn x30_a_page_is_never_asked_for_where_it_cannot_be_shown() {
    let stub = asking(
        r#"{"a":{"method":"elicitation/create","params":{"mode":"url","message":"m","url":"https://x"}}}"#,
        1,
    );
    for (revision, capabilities) in [
        ("2025-06-18", r#"{"elicitation":{}}"#),
        ("2025-11-25", r#"{"elicitation":{}}"#),
    ] {
        let mut bridge = crossed(&stub, revision, capabilities);
        bridge.send(&request("1", "tools/call", CALL));
        bridge.error("1", -31008);
    }
}

#[test]
fn x04_two_calls_ask_side_by_side() {
    let stub = modern_only(|request, wire| {
        if manners(request, wire) {
            return;
        }
        match request.json()["params"]["inputResponses"].as_object() {
            None => wire.result(
                request,
                &format!(r#"{{"resultType":"input_required","inputRequests":{{"a":{FORM}}}}}"#),
            ),
            Some(_) => wire.result(request, DONE),
        }
    });
    let mut bridge = crossed(&stub, "2025-11-25", EVERYTHING);
    bridge.send(&request("1", "tools/call", CALL));
    let first = bridge.json();
    bridge.send(&request("2", "tools/call", CALL));
    let second = bridge.json();
    assert_ne!(first["id"], second["id"]);
    bridge.send(&answer(&second, &json!({"action": "accept"})));
    done(&bridge, &json!(2));
    bridge.send(&answer(&first, &json!({"action": "accept"})));
    done(&bridge, &json!(1));
}
