//! Two server processes on one store are one server: any call may land on either (design.md D10).

use std::time::{Duration, Instant};

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
