//! Two server processes on one store are one server: any call may land on either (design.md D10).

use std::{
    net::TcpListener,
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    process::{Place, Server},
    store::harness,
};

fn refused_within(server: &Server, key: &str, limit: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < limit {
        let reply = server.bare(key, "memory_search", json!({"query": "x"}));
        if reply.status == 401 {
            assert!(reply.body.contains("key revoked"), "{reply:?}");
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn one_server_in_two_processes(place: &Place) {
    let key = place.key("memory.read,memory.write");
    let (first, second) = (place.serve(), place.serve());
    first.call(
        &key,
        "memory_put",
        json!({"key": "shared", "content": "seen by both"}),
    );
    assert_eq!(
        second.call(&key, "memory_get", json!({"key": "shared"}))["memory"]["content"],
        "seen by both"
    );
    assert_eq!(
        first.legacy(&key, "tools/list", json!({})),
        second.legacy(&key, "tools/list", json!({}))
    );

    let late = place.key("memory.read");
    second.call(&late, "memory_get", json!({"key": "shared"}));

    let shown: String = key.chars().take("hoard_sk_".len() + 6).collect();
    place.ok(&["key", "revoke", &shown]);
    for server in [&first, &second] {
        assert!(
            refused_within(server, &key, Duration::from_secs(1)),
            "a revoked key still opens {}",
            server.address
        );
        server.call(&late, "memory_get", json!({"key": "shared"}));
    }
    for server in [first, second] {
        assert!(server.terminate_and_read().0.success());
    }
    place.ok(&["audit", "verify"]);
}

#[test]
fn on_postgresql() {
    if let Some(database) = harness::Place::postgres() {
        let place = Place::on(&database.url);
        one_server_in_two_processes(&place);
    }
}

#[test]
fn on_one_file() {
    one_server_in_two_processes(&Place::new());
}

#[test]
fn a_demoted_owners_keys_are_demoted_and_a_disabled_ones_stop() {
    let place = Place::new();
    place.key("search");
    place.ok(&["user", "add", "ada@example.com", "--role", "owner"]);
    let minted = place.ok(&[
        "key",
        "mint",
        "--edition",
        "context",
        "--scopes",
        "memory.read",
        "--user",
        "ada@example.com",
        "--json",
    ]);
    let minted: serde_json::Value = serde_json::from_str(&minted).unwrap();
    let key = minted["key"].as_str().unwrap();
    let server = place.serve();
    assert_eq!(
        server.bare(key, "memory_search", json!({"query": "x"})).status,
        200
    );
    place.ok(&["user", "disable", "ada@example.com"]);
    let start = Instant::now();
    while server.bare(key, "memory_search", json!({"query": "x"})).status == 200 {
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "a disabled owner's key still opens the server"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let last = place.fails(&["user", "disable", "operator@localhost"]);
    assert!(last.contains("last owner"), "{last}");
}

#[test]
fn a_role_that_ends_ends_on_every_replica() {
    let Some(database) = harness::Place::postgres() else {
        return;
    };
    let place = Place::on(&database.url);
    place.key("search");
    place.ok(&["user", "add", "ada@example.com", "--role", "member"]);
    let minted = place.ok(&[
        "key",
        "mint",
        "--edition",
        "context",
        "--scopes",
        "memory.read,memory.write",
        "--user",
        "ada@example.com",
        "--json",
    ]);
    let minted: serde_json::Value = serde_json::from_str(&minted).unwrap();
    let key = minted["key"].as_str().unwrap();
    let servers = [place.serve(), place.serve()];
    let put = |server: &Server| {
        let reply = server.bare(key, "memory_put", json!({"key": "k", "content": "c"}));
        (reply.status, reply.body)
    };
    for server in &servers {
        assert_eq!(put(server).0, 200);
    }
    // Auditors read everything and change nothing.
    place.ok(&["user", "role", "ada@example.com", "auditor"]);
    for server in &servers {
        let start = Instant::now();
        while put(server).0 == 200 {
            assert!(
                start.elapsed() < Duration::from_secs(1),
                "an auditor still writes on {}",
                server.address
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let (status, body) = put(server);
        assert!(
            status == 403 && body.contains("this key is read-only"),
            "{status} {body}"
        );
        assert_eq!(
            server.bare(key, "memory_search", json!({"query": "c"})).status,
            200
        );
    }
}

/// A tool behind an API that takes requests and keeps quiet.
const SLOW: &str = r#"
format = 1
[edition]
name = "slow"
title = "Slow"
instructions = "Wait."
key_prefix = "slow_"
[scopes."t:read"]
title = "Read"
[upstream.quiet]
base_url = "http://127.0.0.1:$port/"
allow_private = true
timeout_ms = 50000
[[tool]]
name = "wait"
scope = "t:read"
effect = "read"
timeout_seconds = 50
[tool.http]
upstream = "quiet"
method = "GET"
path = "/"
"#;

#[test]
fn a_client_stops_its_call_through_another_replica() {
    let Some(database) = harness::Place::postgres() else {
        return;
    };
    let place = Place::on(&database.url);
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = api.local_addr().unwrap().port();
    let (reached, was_reached) = mpsc::channel();
    // What it takes it keeps to the end of the test: it neither answers nor hangs up.
    std::thread::spawn(move || {
        api.incoming()
            .map_while(|taken| reached.send(taken).ok())
            .for_each(drop);
    });
    let file = place.path().join("slow.toml");
    std::fs::write(&file, SLOW.replace("$port", &port.to_string())).unwrap();
    std::fs::write(place.config(), format!("[server]\ncatalogue = [{file:?}]\n")).unwrap();
    let (first, second) = (place.serve(), place.serve());
    let key = place.ok(&["key", "mint", "--edition", "slow", "--scopes", "t:read"]);
    let bearer = format!("Bearer {}", key.trim());
    let post = |server: &Server, session: Option<&str>, body: serde_json::Value| {
        let mut headers = vec![
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2025-11-25"),
        ];
        headers.extend(session.map(|id| ("Mcp-Session-Id", id)));
        server.request("POST", "/slow/mcp", &headers, &body.to_string())
    };
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "tester", "version": "1" } });
    let begun = post(
        &first,
        None,
        json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello }),
    );
    let session = begun.header("mcp-session-id").expect("a session");
    std::thread::scope(|scope| {
        let call = scope.spawn(|| {
            let wanted = json!({ "name": "wait", "arguments": {} });
            let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": wanted });
            post(&first, Some(session), body)
        });
        let Ok(_held) = was_reached.recv_timeout(Duration::from_secs(20)) else {
            panic!("the call does not reach the API: {:?}", call.join());
        };
        let order = json!({ "requestId": 7 });
        let order = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": order });
        assert_eq!(post(&second, Some(session), order).status, 202);
        let stopped = call.join().unwrap();
        assert!(stopped.body.contains("499 Client Closed Request"), "{stopped:?}");
    });
}
