//! A handshake-era server that asks in the middle of a call, in front of a modern host.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::cross_up::{ask, is_answer, legacy_only, translating};
use crate::harness::{Bridge, Gate, Request, Stub, Wire, modern};

/// What the host declares.
const CAPABLE: &str = r#"{"elicitation":{"form":{},"url":{}},"roots":{}}"#;
const CALL: &str = r#""name":"t","arguments":{"n":1.0},"#;
const QUESTION: &str = r#"{"jsonrpc":"2.0","id":"q-1","method":"elicitation/create","params":{"message":"Sure?","requestedSchema":{"type":"object","properties":{}},"_meta":{"progressToken":9}}}"#;
const YES: &str = r#"{"action":"accept","content":{"n":1.0}}"#;

fn is_call(request: &Request) -> bool {
    request.rpc() == "tools/call" && request.header("mcp-session-id").is_some()
}

fn answer(request: &Request, wire: &mut Wire<'_>, text: &str) {
    wire.event(&format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#,
        request.id()
    ));
}

/// A server whose calls ask [`QUESTION`] and go on when the gate is open.
fn asking(gate: &Gate) -> Stub {
    let gate = gate.clone();
    legacy_only(move |request, wire| {
        if is_answer(request) {
            wire.respond(202, &[], b"");
            gate.open();
            return true;
        }
        if !is_call(request) {
            return false;
        }
        wire.stream();
        wire.event(QUESTION);
        gate.pass();
        answer(request, wire, "done");
        true
    })
}

fn discover(bridge: &mut Bridge) {
    bridge.send(&ask("0", "server/discover", "", CAPABLE, ""));
    bridge.json();
}

/// The next line, which must ask: its state and its requests.
fn asked(bridge: &Bridge, id: i64) -> (String, Value) {
    let line = bridge.json();
    assert_eq!(line["id"], id, "{line}");
    let result = &line["result"];
    assert_eq!(result["resultType"], "input_required", "{line}");
    (
        result["requestState"].as_str().unwrap().to_owned(),
        result["inputRequests"].clone(),
    )
}

/// The one key of an object.
fn key(requests: &Value) -> String {
    let keys: Vec<_> = requests.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 1, "{requests}");
    keys[0].clone()
}

/// A retry of [`CALL`] with these answers.
fn retry(id: &str, state: &str, responses: &str) -> String {
    let params = format!(r#"{CALL}"inputResponses":{responses},"requestState":"{state}","#);
    ask(id, "tools/call", &params, CAPABLE, "")
}

#[test]
fn x42_a_question_becomes_a_result_and_the_answer_goes_back_to_the_parked_call() {
    let gate = Gate::default();
    let stub = asking(&gate);
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&ask("1", "tools/call", CALL, CAPABLE, ""));
    let (state, requests) = asked(&bridge, 1);
    assert!(
        state.len() == 32 && state.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "128 bits: {state}"
    );
    let key = key(&requests);
    assert_eq!(
        requests[&key],
        json!({
            "method": "elicitation/create",
            "params": {"message": "Sure?", "requestedSchema": {"type": "object", "properties": {}}},
        })
    );
    bridge.send(&retry("2", &state, &format!(r#"{{"{key}":{YES},"other":{{}}}}"#)));
    let line = bridge.json();
    assert_eq!(
        (&line["id"], &line["result"]["content"][0]["text"]),
        (&json!(2), &json!("done"))
    );
    assert_eq!(line["result"]["resultType"], "complete");
    let answer = stub.wait_for(is_answer);
    assert_eq!(
        answer.text(),
        format!(r#"{{"jsonrpc":"2.0","id":"q-1","result":{YES}}}"#)
    );
    assert_eq!(answer.header("mcp-session-id"), Some("s-1"));
    assert_eq!(
        stub.requests().iter().filter(|request| is_call(request)).count(),
        1,
        "never run again"
    );
    bridge.end();
    assert_eq!(stub.count("notifications/cancelled"), 0);
}

#[test]
fn x04_prompts_and_resources_may_ask_as_well() {
    let answered = [Gate::default(), Gate::default()];
    let stub = legacy_only(move |request, wire| {
        let gate = &answered[usize::from(request.text().contains("resources"))];
        if is_answer(request) {
            wire.respond(202, &[], b"");
            answered[usize::from(request.json()["id"] == "resources/read")].open();
            return true;
        }
        let asks = matches!(request.rpc().as_str(), "prompts/get" | "resources/read")
            && request.header("mcp-session-id").is_some();
        if asks {
            wire.stream();
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","id":"{}","method":"roots/list"}}"#,
                request.rpc()
            ));
            gate.pass();
            wire.event(&format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{"messages":[],"contents":[]}}}}"#,
                request.id()
            ));
        }
        asks
    });
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    for (id, method) in [(1, "prompts/get"), (3, "resources/read")] {
        let params = r#""name":"p","uri":"file:///a","#;
        bridge.send(&ask(&id.to_string(), method, params, CAPABLE, ""));
        let (state, requests) = asked(&bridge, id);
        let name = key(&requests);
        assert_eq!(requests[&name], json!({"method": "roots/list"}));
        let params =
            format!(r#"{params}"inputResponses":{{"{name}":{{"roots":[]}}}},"requestState":"{state}","#);
        bridge.send(&ask(&(id + 1).to_string(), method, &params, CAPABLE, ""));
        assert_eq!(bridge.json()["result"]["resultType"], "complete");
    }
}

#[test]
fn x42_several_questions_and_rounds_and_progress_under_the_token_of_the_retry() {
    let (answered, answers) = (Gate::default(), AtomicUsize::new(0));
    let stub = legacy_only(move |request, wire| {
        if is_answer(request) {
            wire.respond(202, &[], b"");
            if answers.fetch_add(1, Ordering::SeqCst) == 1 {
                answered.open();
            }
            return true;
        }
        if !is_call(request) {
            return false;
        }
        wire.stream();
        wire.raw(
            format!(
                "data: {QUESTION}\n\ndata: {}\n\n",
                r#"{"jsonrpc":"2.0","id":2,"method":"roots/list"}"#
            )
            .as_bytes(),
        );
        answered.pass();
        wire.event(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"first","progress":2}}"#);
        answer(request, wire, "done");
        true
    });
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&ask(
        "1",
        "tools/call",
        CALL,
        CAPABLE,
        r#","progressToken":"first""#,
    ));
    let (state, requests) = asked(&bridge, 1);
    let methods: Vec<_> = requests
        .as_object()
        .unwrap()
        .values()
        .map(|request| request["method"].clone())
        .collect();
    assert_eq!(methods, ["elicitation/create", "roots/list"]);
    assert!(requests["ask-1"].get("params").is_none());
    bridge.send(&ask(
        "2",
        "tools/call",
        &format!(
            r#"{CALL}"inputResponses":{{"ask-0":{YES},"ask-1":{{"roots":[]}}}},"requestState":"{state}","#
        ),
        CAPABLE,
        r#","progressToken":"second""#,
    ));
    let progress = bridge.json();
    assert_eq!(
        progress["params"],
        json!({"progressToken": "second", "progress": 2})
    );
    let line = bridge.json();
    assert_eq!(
        (&line["id"], &line["result"]["content"][0]["text"]),
        (&json!(2), &json!("done"))
    );
}

#[test]
fn x42_an_answer_that_is_missing_is_asked_for_again() {
    let gate = Gate::default();
    let stub = asking(&gate);
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&ask("1", "tools/call", CALL, CAPABLE, ""));
    let (state, requests) = asked(&bridge, 1);
    bridge.send(&retry("2", &state, "{}"));
    let (second, again) = asked(&bridge, 2);
    assert_eq!(again, requests);
    assert_ne!(second, state);
    bridge.send(&retry("3", &second, &format!(r#"{{"{}":{YES}}}"#, key(&again))));
    assert_eq!(bridge.json()["id"], 3);
}

#[test]
fn x42_a_parked_call_is_read_on() {
    let gate = Gate::default();
    let seen = gate.clone();
    let stub = legacy_only(move |request, wire| {
        if is_answer(request) {
            wire.respond(202, &[], b"");
            if request.json()["id"] == "p" {
                seen.open();
            }
            return true;
        }
        if !is_call(request) {
            return false;
        }
        wire.stream();
        wire.event(QUESTION);
        wire.event(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#);
        seen.pass();
        // It does not wait any longer.
        answer(request, wire, "without you");
        true
    });
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&ask("1", "tools/call", CALL, CAPABLE, ""));
    let (state, requests) = asked(&bridge, 1);
    gate.pass();
    bridge.send(&retry("2", &state, &format!(r#"{{"{}":{YES}}}"#, key(&requests))));
    assert_eq!(bridge.json()["result"]["content"][0]["text"], "without you");
}

#[test]
fn x42_what_is_parked_at_the_end_is_called_off() {
    let gate = Gate::default();
    let stub = asking(&gate);
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&ask("1", "tools/call", CALL, CAPABLE, ""));
    asked(&bridge, 1);
    let called = stub.wait_for(is_call);
    assert!(bridge.end().status.success());
    let cancelled = stub.wait_rpc("notifications/cancelled");
    assert_eq!(cancelled.json()["params"]["requestId"].to_string(), called.id());
    assert_eq!(stub.last().method, "DELETE");
    gate.open();
}

#[test]
fn x43_a_handle_is_good_once_for_its_call_and_never_runs_it_again() {
    let gate = Gate::default();
    let stub = asking(&gate);
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&retry("1", "0123456789abcdef0123456789abcdef", "{}"));
    let error = bridge.error("1", -32602);
    assert_eq!(error["data"]["sent"], true, "the work may have happened");
    let params = format!(r#"{CALL}"inputResponses":{{}},"#);
    bridge.send(&ask("1", "tools/call", &params, CAPABLE, ""));
    bridge.error("1", -32602);
    bridge.send(&ask("2", "tools/call", CALL, CAPABLE, ""));
    let (state, requests) = asked(&bridge, 2);
    bridge.send(&retry("3", &state, "{}").replace(r#""n":1.0"#, r#""n":2.0"#));
    assert_eq!(bridge.error("3", -32602)["data"]["sent"], true);
    let responses = format!(r#"{{"{}":{YES}}}"#, key(&requests));
    bridge.send(&retry("4", &state, &responses));
    assert_eq!(bridge.json()["id"], 4);
    bridge.send(&retry("5", &state, &responses));
    bridge.error("5", -32602);
    assert_eq!(
        stub.requests().iter().filter(|request| is_call(request)).count(),
        1
    );
}

#[test]
fn x44_what_nobody_can_be_asked_is_refused_to_the_server() {
    // Undeclared, of an unknown kind, in the middle of something that cannot wait, and on the server's own stream.
    let stub = legacy_only(|request, wire| {
        let id = request.id();
        match request.rpc().as_str() {
            "tools/call" | "tools/list" if request.header("mcp-session-id").is_some() => {
                wire.stream();
                let method = if request.rpc() == "tools/list" {
                    "elicitation/create"
                } else {
                    "sampling/createMessage"
                };
                wire.event(&format!(
                    r#"{{"jsonrpc":"2.0","id":"{}","method":"{method}","params":{{}}}}"#,
                    request.rpc()
                ));
                wire.event(&format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[],"tools":[]}}}}"#
                ));
            }
            "GET" => {
                wire.stream();
                wire.event(
                    r#"{"jsonrpc":"2.0","id":"own","method":"elicitation/create","params":{"message":"?"}}"#,
                );
                wire.wait_closed();
            }
            _ => return false,
        }
        true
    });
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    for (id, method) in [("1", "tools/call"), ("2", "tools/list")] {
        bridge.send(&ask(id, method, CALL, CAPABLE, ""));
        assert_eq!(bridge.json()["result"]["resultType"], "complete");
    }
    for id in ["tools/call", "tools/list", "own"] {
        let refusal = stub.wait_for(|request| is_answer(request) && request.json()["id"] == id);
        assert_eq!(refusal.json()["error"]["code"], -32601);
    }
}

/// A server that wants a page visited before a call, until it has answered `times` times.
fn wants_a_visit(times: usize, complete: bool) -> (Stub, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let stub = legacy_only(move |request, wire| {
        if request.rpc() == "GET" {
            wire.stream();
            if complete {
                while count.load(Ordering::SeqCst) < times {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
                wire.event(r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}"#);
            }
            wire.wait_closed();
            return true;
        }
        if !is_call(request) {
            return false;
        }
        if count.fetch_add(1, Ordering::SeqCst) >= times {
            wire.result(request, r#"{"content":[]}"#);
            return true;
        }
        wire.json(
            200,
            &format!(
                r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32042,"message":"Visit","data":{{"elicitations":[{{"mode":"url","elicitationId":"e","url":"https://example.com/x?y=1","message":"Sign in"}}]}}}}}}"#,
                request.id()
            ),
        );
        true
    });
    (stub, calls)
}

#[test]
fn x45_a_page_to_visit_is_asked_for_and_the_call_made_anew() {
    let (stub, calls) = wants_a_visit(1, false);
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&ask("1", "tools/call", CALL, CAPABLE, ""));
    let (state, requests) = asked(&bridge, 1);
    let key = key(&requests);
    assert_eq!(
        requests[&key],
        json!({
            "method": "elicitation/create",
            "params": {"mode": "url", "url": "https://example.com/x?y=1", "message": "Sign in"},
        })
    );
    bridge.send(&retry(
        "2",
        &state,
        &format!(r#"{{"{key}":{{"action":"accept"}}}}"#),
    ));
    assert_eq!(bridge.json()["result"]["resultType"], "complete");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert!(!stub.last().text().contains("inputResponses"));
}

#[test]
fn x45_a_user_who_is_still_busy_is_not_asked_twice() {
    let (stub, calls) = wants_a_visit(2, true);
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&ask("1", "tools/call", CALL, CAPABLE, ""));
    let (state, requests) = asked(&bridge, 1);
    bridge.send(&retry(
        "2",
        &state,
        &format!(r#"{{"{}":{{"action":"accept"}}}}"#, key(&requests)),
    ));
    assert_eq!(bridge.json()["result"]["resultType"], "complete");
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[test]
fn x45_a_visit_that_is_declined_or_cannot_be_shown_makes_no_call() {
    let (stub, calls) = wants_a_visit(9, false);
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&ask("1", "tools/call", CALL, CAPABLE, ""));
    let (state, requests) = asked(&bridge, 1);
    bridge.send(&retry(
        "2",
        &state,
        &format!(r#"{{"{}":{{"action":"decline"}}}}"#, key(&requests)),
    ));
    assert_eq!(bridge.error("2", -31008)["data"]["sent"], false);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    bridge.send(&modern("3", "tools/call", CALL));
    let error = bridge.json()["error"].clone();
    assert_eq!(error["code"], -32021);
    assert_eq!(
        error["data"]["requiredCapabilities"],
        json!({"elicitation": {"url": {}}})
    );
}

#[test]
fn x47_a_parked_call_of_a_lost_session_fails_without_being_run_again() {
    let gate = Gate::default();
    let hold = gate.clone();
    let stub = legacy_only(move |request, wire| {
        if request.rpc() == "tools/list" && request.header("mcp-session-id") == Some("s-1") {
            wire.respond(404, &[], b"");
            return true;
        }
        if !is_call(request) {
            return false;
        }
        wire.stream();
        wire.event(QUESTION);
        hold.pass();
        true
    });
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&ask("1", "tools/call", CALL, CAPABLE, ""));
    let (state, requests) = asked(&bridge, 1);
    bridge.send(&ask("2", "tools/list", "", CAPABLE, ""));
    assert_eq!(bridge.json()["id"], 2);
    bridge.send(&retry("3", &state, &format!(r#"{{"{}":{YES}}}"#, key(&requests))));
    assert_eq!(bridge.error("3", -31003)["data"]["sent"], true);
    assert_eq!(
        stub.requests().iter().filter(|request| is_call(request)).count(),
        1
    );
    gate.open();
}

#[test]
fn b45_a_call_is_resumed_after_an_event_id_and_lost_without_one() {
    let stub = legacy_only(|request, wire| {
        if request.rpc() == "GET" && request.header("last-event-id").is_some() {
            assert_eq!(request.header("last-event-id"), Some("e-1"));
            assert_eq!(request.header("mcp-session-id"), Some("s-1"));
            wire.stream();
            wire.event(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#);
            return true;
        }
        if !is_call(request) {
            return false;
        }
        wire.stream();
        if request.text().contains("resumable") {
            assert_eq!(request.id(), "1");
            wire.raw(b"retry: 1\nid: e-1\ndata:\n\n");
        }
        true
    });
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&ask("7", "tools/call", r#""name":"resumable","#, CAPABLE, ""));
    let line = bridge.json();
    assert_eq!(
        (&line["id"], &line["result"]["resultType"]),
        (&json!(7), &json!("complete"))
    );
    bridge.send(&ask("8", "tools/call", r#""name":"other","#, CAPABLE, ""));
    bridge.error("8", -31003);
    stub.wait_rpc("notifications/cancelled");
}

#[test]
fn b41_listings_are_asked_for_twice_and_calls_are_not() {
    let lists = AtomicUsize::new(0);
    let stub = legacy_only(move |request, wire| {
        let in_session = request.header("mcp-session-id").is_some();
        let breaks = is_call(request)
            || in_session && request.rpc() == "tools/list" && lists.fetch_add(1, Ordering::SeqCst) == 0;
        if breaks {
            wire.stream();
        }
        breaks
    });
    let mut bridge = translating(&stub);
    discover(&mut bridge);
    bridge.send(&ask("1", "tools/list", "", CAPABLE, ""));
    assert_eq!(bridge.json()["result"]["resultType"], "complete");
    bridge.send(&ask("2", "tools/call", CALL, CAPABLE, ""));
    bridge.error("2", -31003);
    assert_eq!(
        stub.requests().iter().filter(|request| is_call(request)).count(),
        1
    );
}
