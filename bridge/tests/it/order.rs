//! What may overtake what, ids in flight, and how many requests run at once (B-32, B-35 to B-37).

use crate::harness::{Bridge, Gate, INITIALIZE, Stub, call, legacy_manners, modern};

#[test]
fn b35_nothing_overtakes_the_handshake() {
    let gate = Gate::default();
    let (held, opened) = (gate.clone(), Gate::default());
    let initialized = opened.clone();
    let stub = Stub::start(move |request, wire| match request.rpc().as_str() {
        "initialize" => {
            held.pass();
            legacy_manners(request, wire);
        }
        "notifications/initialized" => {
            initialized.pass();
            legacy_manners(request, wire);
        }
        "tools/call" => wire.result(request, "{}"),
        _ => {
            legacy_manners(request, wire);
        }
    });
    let mut bridge = Bridge::to(&stub);
    // All at once, before anything is answered.
    bridge.send(INITIALIZE);
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    bridge.send(&call("1", "t"));
    bridge.send(&call("2", "t"));
    stub.wait_rpc("initialize");
    assert_eq!(stub.requests().len(), 1);
    gate.open();
    assert_eq!(bridge.json()["id"], "init");
    stub.wait_rpc("notifications/initialized");
    assert_eq!(stub.count("tools/call"), 0);
    opened.open();
    let mut ids = [bridge.json()["id"].as_i64(), bridge.json()["id"].as_i64()];
    ids.sort_unstable();
    assert_eq!(ids, [Some(1), Some(2)]);
    let order: Vec<String> = stub
        .requests()
        .iter()
        .map(crate::harness::Request::rpc)
        .filter(|rpc| rpc != "GET")
        .take(3)
        .collect();
    assert_eq!(order, ["initialize", "notifications/initialized", "tools/call"]);
}

#[test]
fn b32_a_stalled_call_delays_no_other() {
    let gate = Gate::default();
    let held = gate.clone();
    let stub = Stub::start(move |request, wire| {
        if request.json()["params"]["name"] == "stalled" {
            held.pass();
        }
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&call("0", "stalled"));
    for id in 1..=20 {
        bridge.send(&call(&id.to_string(), "quick"));
        assert_eq!(bridge.json()["id"], id);
    }
    gate.open();
    assert_eq!(bridge.json()["id"], 0);
}

#[test]
fn b32_requests_beyond_the_limit_wait_in_order_and_answers_do_not() {
    let gate = Gate::default();
    let (held, asked) = (gate.clone(), Gate::default());
    let answer = asked.clone();
    let stub = Stub::start(move |request, wire| {
        if legacy_manners(request, wire) {
            return;
        }
        if request.json().get("result").is_some() {
            wire.respond(202, &[], b"");
            return answer.open();
        }
        match request.json()["params"]["name"].as_str() {
            Some("asks") => {
                wire.stream();
                wire.event(r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#);
                asked.pass();
                wire.event(&format!(
                    r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#,
                    request.id()
                ));
            }
            Some("held") => {
                held.pass();
                wire.result(request, "{}");
            }
            _ => wire.result(request, "{}"),
        }
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_MAX_IN_FLIGHT", "2")]);
    bridge.handshake();
    bridge.send(&call("1", "asks"));
    bridge.send(&call("2", "held"));
    for id in 3..=6 {
        bridge.send(&call(&id.to_string(), "next"));
    }
    assert_eq!(bridge.json()["method"], "roots/list");
    stub.wait_for(|request| request.json()["params"]["name"] == "held");
    assert_eq!(stub.count("tools/call"), 2);
    // The table is full and a queue waits, yet the answer that frees a place gets through.
    bridge.send(r#"{"jsonrpc":"2.0","id":"q","result":{"roots":[]}}"#);
    for id in [1, 3, 4, 5, 6] {
        assert_eq!(bridge.json()["id"], id);
    }
    gate.open();
    assert_eq!(bridge.json()["id"], 2);
}

#[test]
fn b32_sixty_four_requests_run_at_once() {
    let all = std::sync::Arc::new(std::sync::Barrier::new(64));
    let stub = Stub::start(move |request, wire| {
        all.wait();
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to(&stub);
    for id in 0..64 {
        bridge.send(&call(&id.to_string(), "t"));
    }
    let mut ids: Vec<i64> = (0..64).map(|_| bridge.json()["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..64).collect::<Vec<i64>>());
}

#[test]
fn b32_too_many_waiting_messages_are_refused_and_answered() {
    let gate = Gate::default();
    let held = gate.clone();
    let stub = Stub::start(move |request, wire| {
        held.pass();
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_MAX_IN_FLIGHT", "1")]);
    let lines: String = (0..16_500).map(|id| call(&id.to_string(), "t") + "\n").collect();
    bridge.write(lines.as_bytes());
    // One runs, 16 384 wait.
    for id in 16_385..16_500 {
        assert_eq!(bridge.error(&id.to_string(), -31007)["data"]["sent"], false);
    }
    gate.open();
    for id in 0..1000 {
        assert_eq!(bridge.json()["id"], id);
    }
}

#[test]
fn b37_an_id_in_flight_cannot_be_used_again() {
    let gate = Gate::default();
    let held = gate.clone();
    let stub = Stub::start(move |request, wire| {
        held.pass();
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&call("1", "t"));
    bridge.send(&call(r#""1""#, "t"));
    bridge.send(&call("1", "again"));
    bridge.error("1", -32600);
    stub.wait_for(|request| request.id() == r#""1""#);
    gate.open();
    let answers = [bridge.json(), bridge.json()];
    assert!(answers.iter().all(|answer| answer["result"].is_object()));
    assert_eq!(stub.requests().len(), 2);
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["id"], 1, "after the answer the id is free");
}

#[test]
fn b36_a_cancellation_of_a_waiting_request_sends_nothing() {
    let gate = Gate::default();
    let held = gate.clone();
    let stub = Stub::start(move |request, wire| {
        if !legacy_manners(request, wire) {
            held.pass();
            wire.result(request, "{}");
        }
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_MAX_IN_FLIGHT", "1")]);
    bridge.send(&call("1", "t"));
    bridge.send(&call("2", "t"));
    bridge.send(&modern("3", "tools/list", ""));
    for id in [2, 3] {
        bridge.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        ));
    }
    bridge.send(&call("4", "t"));
    stub.wait_rpc("tools/call");
    gate.open();
    assert_eq!(bridge.json()["id"], 1);
    assert_eq!(bridge.json()["id"], 4);
    assert!(bridge.end().lines.is_empty());
    assert_eq!(stub.requests().len(), 2);
}
