//! Servers on this machine: sockets in the file system, many connections at once, few files, servers that misbehave.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::{Bridge, Gate, KEY, Stub, call};

#[test]
fn a_server_is_reached_through_its_socket() {
    let home = tempfile::TempDir::new().unwrap();
    let path = home.path().join("server.sock");
    let url = format!("unix:{}:/mcp?a=b", path.display());
    // A proxy is for the way to other machines.
    let variables = [
        ("FOOTBRIDGE_URL", url.as_str()),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ];
    let mut bridge = Bridge::with(&variables);
    bridge.send(&call("0", "t"));
    let error = bridge.error("0", -31001);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("server.sock") && error["data"]["sent"] == false,
        "{error}"
    );

    let stub = Stub::on_socket(&path, |request, wire| wire.result(request, "{}"));
    for id in 1..4 {
        bridge.send(&call(&id.to_string(), "t"));
        assert_eq!(bridge.json()["id"], id);
    }
    let request = stub.last();
    assert_eq!(
        (request.target.as_str(), request.header("host")),
        ("/mcp?a=b", Some("localhost"))
    );
    assert!(request.header("authorization").is_some());
    assert_eq!(request.connection, 0);
}

#[test]
fn b32_calls_in_flight_are_many_by_default() {
    const CALLS: usize = 400;
    let arrived = AtomicUsize::new(0);
    let gate = Gate::default();
    let stub = Stub::start(move |request, wire| {
        if arrived.fetch_add(1, Ordering::SeqCst) + 1 == CALLS {
            gate.open();
        }
        // Nobody is answered before everybody has arrived.
        gate.pass();
        wire.result(request, "{}");
    });
    let mut bridge = Bridge::to(&stub);
    let lines: String = (0..CALLS).map(|id| call(&id.to_string(), "t") + "\n").collect();
    bridge.write(lines.as_bytes());
    let answered: HashSet<u64> = (0..CALLS)
        .map(|_| bridge.json()["id"].as_u64().unwrap())
        .collect();
    assert_eq!(answered.len(), CALLS);
    assert_eq!(stub.requests().len(), CALLS);
}

#[test]
fn ten_thousand_calls_at_once_are_all_answered() {
    const CALLS: usize = 10_000;
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let mut bridge = Bridge::to_with(
        &stub,
        &[("FOOTBRIDGE_MAX_IN_FLIGHT", "32"), ("FOOTBRIDGE_LOG", "warn")],
    );
    let lines: String = (0..CALLS).map(|id| call(&id.to_string(), "t") + "\n").collect();
    bridge.write(lines.as_bytes());
    let answered: HashSet<u64> = (0..CALLS)
        .map(|_| {
            let line = bridge.json();
            assert!(line["result"].is_object(), "{line}");
            line["id"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(answered.len(), CALLS);
}

#[test]
fn calls_wait_for_each_other_when_no_more_files_may_be_opened() {
    const CALLS: usize = 100;
    let stub = Stub::start(|request, wire| {
        std::thread::sleep(Duration::from_millis(2));
        wire.result(request, "{}");
    });
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 20; exec \"$0\"", &crate::harness::program()])
        .env_clear()
        .env("FOOTBRIDGE_KEY", KEY)
        .env("FOOTBRIDGE_URL", stub.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut bridge = Bridge::spawn(&mut command);
    let lines: String = (0..CALLS).map(|id| call(&id.to_string(), "t") + "\n").collect();
    bridge.write(lines.as_bytes());
    for _ in 0..CALLS {
        let line = bridge.json();
        assert!(line["result"].is_object(), "{line}");
    }
    let connections: HashSet<usize> = stub.requests().iter().map(|request| request.connection).collect();
    assert!(connections.len() < 20, "{connections:?}");
}

#[test]
fn a_kept_connection_that_has_fallen_silent_costs_one_call_and_no_more() {
    let stub = Stub::start(|request, wire| {
        if request.connection == 0 && request.id() == "2" {
            wire.wait_closed();
        } else {
            wire.result(request, "{}");
        }
    });
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_RESPONSE_TIMEOUT", "0.3")]);
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["id"], 1);
    bridge.send(&call("2", "t"));
    assert_eq!(bridge.error("2", -31004)["data"]["sent"], true);
    bridge.send(&call("3", "t"));
    assert_eq!(bridge.json()["id"], 3);
    assert_ne!(stub.last().connection, 0);
}

#[test]
fn b16_headers_without_end_are_given_up() {
    let stub = Stub::start(|_, wire| {
        wire.raw(b"HTTP/1.1 200 OK\r\n");
        let line = [b"x-more: ".as_slice(), &[b'x'; 8000], b"\r\n"].concat();
        for _ in 0..1000 {
            wire.raw(&line);
        }
        wire.keep_open = false;
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.error("1", -31003)["data"]["sent"], true);
    assert_eq!(stub.count("tools/call"), 1);
}
