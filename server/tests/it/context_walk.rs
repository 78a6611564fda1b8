//! The acceptance walk of the context edition (catalogue.md §7.4), as far as the core tools go, against the real
//! binary over real sockets.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::process::{Place, Server};

const ALL: &str = "search,get,memory.read,memory.write,sync,ingest";

const CORE: [(&str, &str); 10] = [
    ("search", "search"),
    ("get", "get"),
    ("get_chunk", "get"),
    ("memory_get", "memory.read"),
    ("memory_put", "memory.write"),
    ("memory_search", "memory.read"),
    ("sync", "sync"),
    ("sync_status", "sync"),
    ("sync_run", "sync"),
    ("inbox_put", "ingest"),
];

/// A server over a few notes that are in the index.
fn with_notes() -> (Place, Server, String) {
    let place = Place::new();
    place.note(
        "meeting.md",
        "# Meeting notes\n\nThe quarterly report moves to Thursday. #work\n",
    );
    place.note(
        "lighthouse.md",
        "# Lighthouses\n\nThe keeper polished the Fresnel lens.\n",
    );
    let paragraphs: Vec<_> = (0..40)
        .map(|n| {
            format!(
                "## Part {n}\n\n{}\n",
                format!("Sentence {n} about beekeeping and winter stores. ").repeat(30)
            )
        })
        .collect();
    place.note("bees.md", &format!("# Bees\n\n{}", paragraphs.join("\n")));
    let folder = place.path().join("notes");
    place.ok(&["source", "add", "notes", folder.to_str().unwrap()]);
    let key = place.key(ALL);
    let server = place.serve();
    (place, server, key)
}

fn first_hit(server: &Server, key: &str, query: &str) -> Value {
    server.call(key, "search", json!({"query": query}))["results"][0].clone()
}

#[test]
fn it_listens_on_loopback_and_refuses_foreign_origins_and_hosts() {
    let place = Place::new();
    let key = place.key(ALL);
    let server = place.serve();
    assert!(server.address.starts_with("127.0.0.1:"), "{}", server.address);
    let bearer = format!("Bearer {key}");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let ask = |extra: (&str, &str)| {
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            extra,
        ];
        server.request("POST", "/mcp", &headers, body).status
    };
    assert_eq!(ask(("X-Nothing", "1")), 200);
    assert_eq!(ask(("Origin", "https://evil.example")), 403);
    assert_eq!(ask(("Origin", "null")), 403);
    assert_eq!(ask(("Host", "evil.example")), 403);
}

#[test]
fn a_bare_caller_gets_the_tools_object_flat() {
    let (_place, server, key) = with_notes();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"query":"meeting notes","limit":10}}}"#;
    let bearer = format!("Bearer {key}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let reply = server.request("POST", "/mcp", &headers, body);
    assert_eq!(reply.status, 200);
    let result = &reply.json()["result"];
    assert_eq!(result["results"][0]["entity_title"], "Meeting notes", "{result}");
    assert!(result["next_cursor"].is_null() || result["next_cursor"].is_string());
    assert!(result["content"].is_array());
}

#[test]
fn an_mcp_client_gets_the_same_object_twice() {
    let (_place, server, key) = with_notes();
    let reply = server.legacy(
        &key,
        "tools/call",
        json!({"name": "search", "arguments": {"query": "meeting notes"}}),
    );
    let result = &reply["result"];
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"]);
    assert_eq!(text["results"][0]["entity_title"], "Meeting notes");
    assert!(result.get("results").is_none());
}

#[test]
fn the_list_has_the_ten_core_tools_with_their_published_schemas() {
    let (_place, server, key) = with_notes();
    let reply = server.legacy(&key, "tools/list", json!({}));
    let tools = reply["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert_eq!(names, CORE.map(|(name, _)| name));
    let input = |name: &str| {
        let tool = tools.iter().find(|t| t["name"] == name).unwrap();
        tool["inputSchema"].clone()
    };
    assert_eq!(input("search")["properties"]["limit"]["default"], 20);
    assert_eq!(input("search")["required"], json!(["query"]));
    assert_eq!(input("get_chunk")["properties"]["context_chunks"]["default"], 0);
    assert_eq!(input("get_chunk")["properties"]["context_chunks"]["maximum"], 10);
    assert_eq!(input("memory_put")["required"], json!(["key", "content"]));
    for tool in tools {
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{tool}");
        for hint in [
            "readOnlyHint",
            "destructiveHint",
            "idempotentHint",
            "openWorldHint",
        ] {
            assert!(tool["annotations"][hint].is_boolean(), "{tool}");
        }
    }
}

#[test]
fn tools_that_would_export_everything_do_not_exist_for_any_key() {
    let place = Place::new();
    let keys = [place.key(ALL), place.key("search"), place.key("*")];
    let server = place.serve();
    for key in &keys {
        for name in ["export_all", "list_all", "query"] {
            let reply = server.legacy(key, "tools/call", json!({"name": name, "arguments": {}}));
            assert_eq!(reply["error"]["code"], -32602, "{reply}");
            assert!(
                reply["error"]["message"].as_str().unwrap().contains(name),
                "{reply}"
            );
        }
    }
}

#[test]
fn without_a_key_with_a_strange_one_and_without_the_scope() {
    let (_place, server, key) = with_notes();
    let place = &_place;
    let headers = [("Content-Type", "application/json")];
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let reply = server.request("POST", "/mcp", &headers, body);
    assert_eq!(reply.status, 401);
    let challenge = reply.header("www-authenticate").unwrap_or_default();
    assert!(challenge.starts_with("Bearer"), "{reply:?}");
    let mut strange = key.clone();
    strange.replace_range(12..13, if &key[12..13] == "A" { "B" } else { "A" });
    assert_eq!(server.bare(&strange, "search", json!({"query": "x"})).status, 401);
    let narrow = place.key("get");
    let reply = server.bare(&narrow, "search", json!({"query": "x"}));
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("missing scope search"), "{reply:?}");
    let text = server.call_fails(&narrow, "search", json!({"query": "x"}));
    assert!(text.starts_with("403 Forbidden: missing scope search"), "{text}");
}

#[test]
fn each_tool_works_with_exactly_the_scope_of_the_table() {
    let (place, server, key) = with_notes();
    let entity = first_hit(&server, &key, "Fresnel lens")["entity_id"]
        .as_str()
        .unwrap()
        .to_owned();
    server.call(&key, "memory_put", json!({"key": "k", "content": "c"}));
    let arguments = |tool: &str| match tool {
        "search" | "memory_search" => json!({"query": "lens"}),
        "get" => json!({"entity_id": entity}),
        "get_chunk" => json!({"chunk_id": format!("{entity}:0")}),
        "memory_get" => json!({"key": "k"}),
        "memory_put" => json!({"key": "k2", "content": "c"}),
        "inbox_put" => json!({"content": "hello"}),
        _ => json!({}),
    };
    let scopes = ["search", "get", "memory.read", "memory.write", "sync", "ingest"];
    for scope in scopes {
        let narrow = place.key(scope);
        for (tool, needed) in CORE {
            let implied = scope == "memory.write" && needed == "memory.read";
            if needed == scope || implied {
                server.call(&narrow, tool, arguments(tool));
            } else {
                let text = server.call_fails(&narrow, tool, arguments(tool));
                assert!(
                    text.contains(&format!("missing scope {needed}")),
                    "{tool} with {scope}: {text}"
                );
            }
        }
    }
}

#[test]
fn memory_is_replaced_under_its_key_and_forgotten_in_time() {
    let place = Place::new();
    let key = place.key("memory.write");
    let server = place.serve();
    let put = server.call(
        &key,
        "memory_put",
        json!({"key": "plan", "content": "first", "ttl_days": 1}),
    );
    assert_eq!(put["replaced"], false);
    assert_eq!(
        server.call(&key, "memory_get", json!({"key": "plan"}))["memory"]["content"],
        "first"
    );
    let put = server.call(&key, "memory_put", json!({"key": "plan", "content": "second"}));
    assert_eq!(put["replaced"], true);
    let found = server.call(&key, "memory_search", json!({"query": "second"}));
    assert_eq!(found["results"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["results"][0]["memory"]["key"], "plan");

    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(700);
    server.call(
        &key,
        "memory_put",
        json!({"key": "brief", "content": "x", "expires_at": soon.to_string()}),
    );
    server.call(&key, "memory_get", json!({"key": "brief"}));
    std::thread::sleep(std::time::Duration::from_millis(900));
    assert!(
        server
            .call_fails(&key, "memory_get", json!({"key": "brief"}))
            .starts_with("404 Not Found: memory")
    );

    let both = json!({"key": "b", "content": "x", "ttl_days": 1, "expires_at": "2099-01-01"});
    assert!(
        server
            .call_fails(&key, "memory_put", both)
            .starts_with("400 Bad Request")
    );
    let past = json!({"key": "b", "content": "x", "expires_at": "2020-01-01"});
    assert!(
        server
            .call_fails(&key, "memory_put", past)
            .starts_with("400 Bad Request")
    );
    assert!(
        server
            .call_fails(&key, "memory_get", json!({}))
            .starts_with("400 Bad Request")
    );
}

#[test]
fn the_inbox_writes_files_that_stay_inside_it() {
    let place = Place::new();
    let key = place.key(ALL);
    let server = place.serve();
    let put = server.call(
        &key,
        "inbox_put",
        json!({"content": "Ask about zeppelins.", "title": "Call Ada", "tags": ["todo"], "sync_immediately": true}),
    );
    let inbox = place.data().join("inbox");
    let file = inbox.join(put["path"].as_str().unwrap());
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("---\n")
            && text.contains("Call Ada")
            && text.trim_end().ends_with("Ask about zeppelins."),
        "{text}"
    );
    assert!(put["entity_id"].is_string(), "{put}");
    assert_eq!(first_hit(&server, &key, "zeppelins")["entity_title"], "Call Ada");

    let put = server.call(&key, "inbox_put", json!({"content": "x", "filename": "../../x"}));
    let written = inbox.join(put["path"].as_str().unwrap()).canonicalize().unwrap();
    assert!(written.starts_with(inbox.canonicalize().unwrap()), "{written:?}");
    let refused = server.call_fails(&key, "inbox_put", json!({"content": "x", "extension": ".exe"}));
    assert!(refused.starts_with("400 Bad Request"), "{refused}");
}

#[test]
fn search_follows_edits_renames_and_deletions_after_a_sync() {
    let (place, server, key) = with_notes();
    let path = place.note("trip.md", "# Trip\n\nWe take the ferry to Gotland.\n");
    server.call(&key, "sync_run", json!({}));
    assert_eq!(first_hit(&server, &key, "Gotland ferry")["entity_title"], "Trip");

    place.note("trip.md", "# Trip\n\nWe take the sleeper train to Narvik.\n");
    server.call(&key, "sync_run", json!({}));
    assert_eq!(first_hit(&server, &key, "Narvik")["entity_title"], "Trip");
    assert_ne!(first_hit(&server, &key, "Gotland")["entity_title"], "Trip");

    let moved = path.with_file_name("journey.md");
    std::fs::rename(&path, &moved).unwrap();
    server.call(&key, "sync_run", json!({}));
    let hits = server.call(&key, "search", json!({"query": "Narvik"}))["results"].clone();
    let trips: Vec<_> = hits
        .as_array()
        .unwrap()
        .iter()
        .filter(|h| h["entity_title"] == "Trip")
        .collect();
    assert_eq!(trips.len(), 1, "{hits}");
    assert!(trips[0]["uri"].as_str().unwrap().contains("journey.md"), "{hits}");

    std::fs::remove_file(&moved).unwrap();
    server.call(&key, "sync_run", json!({}));
    let hits = server.call(&key, "search", json!({"query": "Narvik"}))["results"].clone();
    assert!(
        hits.as_array()
            .unwrap()
            .iter()
            .all(|h| h["entity_title"] != "Trip"),
        "{hits}"
    );
}

#[test]
fn a_passage_comes_with_its_neighbours() {
    let (_place, server, key) = with_notes();
    let entity = first_hit(&server, &key, "beekeeping winter stores")["entity_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let got = server.call(
        &key,
        "get_chunk",
        json!({"chunk_id": format!("{entity}:3"), "context_chunks": 2}),
    );
    let id = |chunk: &Value| chunk["chunk_id"].as_str().unwrap().to_owned();
    let mut ids: Vec<_> = got["before"].as_array().unwrap().iter().map(id).collect();
    ids.push(id(&got["chunk"]));
    ids.extend(got["after"].as_array().unwrap().iter().map(id));
    assert_eq!(ids, (1..=5).map(|n| format!("{entity}:{n}")).collect::<Vec<_>>());
}

#[test]
fn of_two_syncs_at_once_one_skips_and_sync_run_does_not() {
    let (place, server, key) = with_notes();
    // A server that starts synchronises by itself, under the same lock.
    while server.call(&key, "sync", json!({}))["skipped"] == true {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for n in 0..400 {
        place.note(
            &format!("many/{n}.md"),
            &format!("# Note {n}\n\n{}\n", format!("word{n} ").repeat(200)),
        );
    }
    let server = &server;
    let key = key.as_str();
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(move || server.call(key, "sync", json!({})));
        let two = scope.spawn(move || server.call(key, "sync", json!({})));
        (one.join().unwrap(), two.join().unwrap())
    });
    let skipped: Vec<_> = [&one, &two]
        .into_iter()
        .filter(|r| r["skipped"] == true)
        .collect();
    // The server's own watcher may hold the lock just then; in any case two never run at once.
    assert!(!skipped.is_empty(), "{one} {two}");
    assert!(skipped.iter().all(|r| r["reason"] == "lock"), "{one} {two}");
    assert!(server.call(key, "sync_run", json!({}))["connectors"].is_array());
}

#[test]
fn the_same_list_is_served_over_stdio() {
    let (place, server, key) = with_notes();
    let mut child = place
        .command()
        .args(["mcp", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ask = |request: Value| {
        writeln!(stdin, "{request}").unwrap();
        serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()
    };
    let hello = ask(
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}),
    );
    assert_eq!(hello["result"]["protocolVersion"], "2025-11-25");
    let listed = ask(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}));
    assert_eq!(
        listed["result"]["tools"],
        server.legacy(&key, "tools/list", json!({}))["result"]["tools"]
    );
    drop(stdin);
    assert!(child.wait().unwrap().success());
}
