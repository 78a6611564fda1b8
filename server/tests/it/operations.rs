//! What an operator does with a running server: configuration judged, catalogue reloaded, certificates renewed.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    process::{Place, Server},
    store::harness,
};

#[test]
fn a_configuration_is_judged_with_an_exit_code_for_each_kind_of_fault() {
    let place = Place::new();
    let file = place.config();
    let check = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let mut arguments = vec!["check-config", file.to_str().unwrap()];
        arguments.extend(more);
        let output = place.run(&arguments);
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said)
    };
    let (code, said) = check("", &[]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = check("[edge]\npublic_url = \"here\"\n", &[]);
    assert!(code == Some(1) && said.contains("edge.public_url"), "{said}");
    let (code, said) = check("[sever]\n[edge]\nbody_bytes = 1\n", &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("line 1, column 2") && said.contains("did you mean `server`?"),
        "{said}"
    );
    assert!(
        said.contains("line 3, column 14") && said.contains("2 faults"),
        "{said}"
    );
    let (code, said) = check("[server]\nlisten = \"0.0.0.0:1\"\n", &["--connect"]);
    assert!(
        code == Some(0) && said.contains("warning: server.listen"),
        "{said}"
    );
    assert!(said.contains("sqlite is reachable"), "{said}");
    let unreachable = "[store]\nurl = \"postgres://ada:hidden@127.0.0.1:9/none\"\n";
    let (code, said) = check(unreachable, &["--connect"]);
    assert!(
        code == Some(3) && said.contains("127.0.0.1:9") && !said.contains("hidden"),
        "{said}"
    );
    let defaults = place.ok(&["check-config", "--print-defaults"]);
    let (code, said) = check(&defaults, &[]);
    assert_eq!(code, Some(0), "{said}");
    let variable = place
        .command()
        .arg("check-config")
        .env("FOOTBRIDGE_EDGE__DRAIN", "1")
        .output()
        .unwrap();
    assert_eq!(variable.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&variable.stdout).contains("did you mean `drain_ms`?"));
}

/// An edition of the operator's own, with a tool for each name.
fn edition(tools: &[&str]) -> String {
    let mut text = String::from(
        "format = 1\n[edition]\nname = \"extra\"\ntitle = \"Extra\"\ninstructions = \"More tools.\"\n\
         key_prefix = \"extra_sk_\"\n[scopes.recall]\ntitle = \"Recall\"\n",
    );
    for tool in tools {
        text.push_str(&format!(
            "[[tool]]\nname = \"{tool}\"\ntitle = \"Recall\"\ndescription = \"Read a memory.\"\nscope = \"recall\"\n\
             effect = \"read\"\nhandler = \"memories::get\"\n[tool.input.key]\ntype = \"string\"\nmax_length = 200\n\
             description = \"Key\"\n[[tool.example]]\ntitle = \"One\"\narguments = {{ key = \"k\" }}\n"
        ));
    }
    text
}

fn listed(server: &Server, key: &str) -> Vec<String> {
    let bearer = format!("Bearer {key}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
        ("MCP-Protocol-Version", "2025-11-25"),
    ];
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let reply = server.request("POST", "/extra/mcp", &headers, &body).json();
    let tools = reply["result"]["tools"]
        .as_array()
        .unwrap_or_else(|| panic!("{reply}"));
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

fn lists_within_a_second(server: &Server, key: &str, expected: &[&str]) {
    let from = Instant::now();
    loop {
        let found = listed(server, key);
        if found == expected {
            return;
        }
        assert!(
            from.elapsed() < Duration::from_secs(1),
            "{}: {found:?}",
            server.address
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn a_changed_catalogue_reaches_every_replica(place: &Place) {
    let folder = place.path().join("catalogue");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("extra.toml");
    std::fs::write(&file, edition(&["recall"])).unwrap();
    std::fs::write(place.config(), format!("[server]\ncatalogue = [{folder:?}]\n")).unwrap();
    let (first, second) = (place.serve(), place.serve());
    let key = place
        .ok(&[
            "key",
            "mint",
            "--edition",
            "extra",
            "--scopes",
            "recall",
            "--rate-per-minute",
            "100000",
        ])
        .trim()
        .to_owned();
    for server in [&first, &second] {
        assert_eq!(listed(server, &key), ["recall"]);
    }
    std::fs::write(&file, edition(&["recall", "remember"])).unwrap();
    place.ok(&["catalogue", "reload"]);
    for server in [&first, &second] {
        lists_within_a_second(server, &key, &["recall", "remember"]);
    }
    // Whatever is wrong with a new one, the old one stays in force, here and there.
    std::fs::write(
        &file,
        edition(&["recall"]).replace("memories::get", "memories::gone"),
    )
    .unwrap();
    first.signal("-HUP");
    std::fs::write(folder.join("worse.toml"), "format = 2").unwrap();
    assert!(place.fails(&["catalogue", "reload"]).contains("worse.toml"));
    second.signal("-HUP");
    std::thread::sleep(Duration::from_millis(500));
    for server in [&first, &second] {
        assert_eq!(listed(server, &key), ["recall", "remember"]);
    }
    std::fs::remove_file(folder.join("worse.toml")).unwrap();
    std::fs::write(&file, edition(&["remember"])).unwrap();
    first.signal("-HUP");
    lists_within_a_second(&first, &key, &["remember"]);
    for server in [first, second] {
        assert!(server.terminate_and_read().0.success());
    }
}

#[test]
fn a_changed_catalogue_reaches_every_replica_on_one_file() {
    a_changed_catalogue_reaches_every_replica(&Place::new());
}

#[test]
fn a_changed_catalogue_reaches_every_replica_on_postgresql() {
    if let Some(database) = harness::Place::postgres() {
        a_changed_catalogue_reaches_every_replica(&Place::on(&database.url));
    }
}

#[test]
fn a_backup_made_under_load_is_restored_and_what_it_replaces_is_kept() {
    let place = Place::new();
    let key = place.key("memory.read,memory.write");
    let server = place.serve();
    let backup = place.path().join("backup.db");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (server, key, stop) = (&server, &key, &stop);
                scope.spawn(move || {
                    let mut number = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        number += 1;
                        server.call(
                            key,
                            "memory_put",
                            json!({"key": format!("{writer}-{number}"), "content": "x"}),
                        );
                    }
                    number
                })
            })
            .collect();
        server.call(
            &key,
            "memory_put",
            json!({"key": "before", "content": "the backup has it"}),
        );
        place.ok(&["backup", backup.to_str().unwrap()]);
        server.call(
            &key,
            "memory_put",
            json!({"key": "after", "content": "the backup has it not"}),
        );
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum::<u32>()
    });
    assert!(written > 0, "nobody wrote while the copy was made");
    assert!(
        place
            .fails(&["backup", backup.to_str().unwrap()])
            .contains("exists already")
    );
    let in_use = place.fails(&["restore", backup.to_str().unwrap()]);
    assert!(in_use.contains("locked by another process"), "{in_use}");
    server.call(&key, "memory_get", json!({"key": "after"}));
    assert!(server.terminate_and_read().0.success());

    // A backup that was tampered with, and one that is damaged, replace nothing.
    let tampered = place.path().join("tampered.db");
    std::fs::copy(&backup, &tampered).unwrap();
    let database = rusqlite::Connection::open(&tampered).unwrap();
    database
        .execute(
            "UPDATE audit_log SET body = replace(body, 'allow', 'alloy') WHERE seq = 2",
            [],
        )
        .unwrap();
    drop(database);
    let refused = place.fails(&["restore", tampered.to_str().unwrap()]);
    assert!(
        refused.contains("not whole") && refused.contains("row 2"),
        "{refused}"
    );
    let damaged = place.path().join("damaged.db");
    let mut bytes = std::fs::read(&backup).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0x5a);
    std::fs::write(&damaged, bytes).unwrap();
    place.fails(&["restore", damaged.to_str().unwrap()]);
    assert!(
        place
            .fails(&["restore", "/nowhere/b.db"])
            .contains("/nowhere/b.db")
    );

    let said = place.ok(&["restore", backup.to_str().unwrap()]);
    assert!(
        said.contains("rows of the call log, whole") && said.contains(".before-restore-"),
        "{said}"
    );
    place.ok(&["audit", "verify"]);
    let server = place.serve();
    let kept = server.call(&key, "memory_get", json!({"key": "before"}));
    assert_eq!(kept["memory"]["content"], "the backup has it");
    assert!(
        server
            .call_fails(&key, "memory_get", json!({"key": "after"}))
            .starts_with("404")
    );
    assert!(server.terminate_and_read().0.success());
    let old: Vec<_> = std::fs::read_dir(place.data())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.to_string_lossy().contains(".before-restore-") && !path.to_string_lossy().ends_with(".lock")
        })
        .collect();
    assert_eq!(old.len(), 1, "{old:?}");
    let store = old[0].to_str().unwrap();
    place.ok(&["audit", "verify", "--store", store]);
    assert!(!place.data().join("footbridge.db.restoring").exists());
}

#[test]
fn a_program_can_ask_whether_a_server_is_ready() {
    let place = Place::new();
    let server = place.serve();
    let url = format!("http://{}/health/ready", server.address);
    place.ok(&["healthy", &url]);
    assert!(
        place
            .fails(&["healthy", &url.replace("ready", "nothing")])
            .contains("404")
    );
    assert!(server.terminate_and_read().0.success());
    assert!(place.fails(&["healthy", &url]).contains("nobody listens"));
}
