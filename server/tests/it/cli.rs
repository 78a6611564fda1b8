//! The commands as an operator types them: what succeeds, what is refused, and whether the refusal names the cure.

use serde_json::{Value, json};

use crate::process::Place;

#[test]
fn a_key_is_shown_once_listed_without_itself_and_revoked_for_good() {
    let place = Place::new();
    let key = place.key("search,get");
    assert!(
        key.starts_with("hoard_sk_") && key.len() == "hoard_sk_".len() + 49,
        "{key}"
    );
    let listed = place.ok(&["key", "list", "--json"]);
    assert!(!listed.contains(&key));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(listed[0]["scopes"], json!(["search", "get"]));
    assert!(place.ok(&["key", "show", id]).contains(id));
    assert!(place.ok(&["key", "list"]).contains("active"));
    place.ok(&["key", "revoke", id]);
    assert!(place.ok(&["key", "list"]).contains("revoked"));
    assert!(place.fails(&["key", "revoke", id]).contains("revoked before"));
    assert!(place.fails(&["key", "revoke", "key_none"]).contains("key list"));
    let database = std::fs::read(place.data().join("footbridge.db")).unwrap();
    let text = String::from_utf8_lossy(&database);
    assert!(!text.contains(&key[9..]), "the key itself is in the store");
}

#[test]
fn what_cannot_be_minted_is_refused_with_what_can() {
    let place = Place::new();
    let mint = |arguments: &[&str]| {
        let mut all = vec!["key", "mint"];
        all.extend(arguments);
        place.fails(&all)
    };
    assert!(mint(&["--edition", "contex", "--scopes", "search"]).contains("there are: context"));
    assert!(mint(&["--edition", "context", "--scopes", "crm:read"]).contains("memory.read"));
    assert!(
        mint(&[
            "--edition",
            "context",
            "--scopes",
            "search",
            "--expires-in-days",
            "731"
        ])
        .contains("1 to 730")
    );
    assert!(
        mint(&[
            "--edition",
            "context",
            "--scopes",
            "search",
            "--tools-deny",
            "nope"
        ])
        .contains("no tool `nope`")
    );
    place.key("search");
    let error = mint(&["--edition", "context", "--scopes", "search", "--tenant", "acme"]);
    assert!(
        error.contains("there is no tenant `acme`") && error.contains("tenant add acme"),
        "{error}"
    );
    place.ok(&["tenant", "add", "acme"]);
    let error = mint(&["--edition", "context", "--scopes", "search", "--tenant", "acme"]);
    assert!(error.contains("user add --role owner"), "{error}");
}

#[test]
fn a_narrowed_key_sees_and_calls_only_what_is_left() {
    let place = Place::new();
    let narrow = |arguments: &[&str]| {
        let mut all = vec!["key", "mint", "--edition", "context", "--scopes", "*"];
        all.extend(arguments);
        place.ok(&all).trim().to_owned()
    };
    let (reads, some) = (
        narrow(&["--read-only"]),
        narrow(&["--tools-allow", "search,memory_put"]),
    );
    let server = place.serve();
    let names = |key: &str| {
        let reply = server.legacy(key, "tools/list", json!({}));
        let tools = reply["result"]["tools"].as_array().unwrap();
        tools
            .iter()
            .map(|t| t["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(
        !names(&reads).contains(&"memory_put".to_owned()) && names(&reads).contains(&"search".to_owned())
    );
    assert_eq!(names(&some), ["search", "memory_put"]);
    let put = json!({"key": "k", "content": "c"});
    assert!(
        server
            .call_fails(&reads, "memory_put", put)
            .starts_with("403 Forbidden: this key is read-only")
    );
    assert!(
        server
            .call_fails(&some, "sync_status", json!({}))
            .starts_with("403 Forbidden")
    );
}

#[test]
fn the_first_start_prints_a_token_that_works_once() {
    let place = Place::new();
    let server = place.serve();
    let line = server.printed_until("FOOTBRIDGE_SETUP_TOKEN=");
    let token = line
        .split_once("FOOTBRIDGE_SETUP_TOKEN=")
        .unwrap()
        .1
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let setup = |token: &str| {
        place
            .command()
            .args(["setup", "--email", "ada@example.com"])
            .env("FOOTBRIDGE_SETUP_TOKEN", token)
            .output()
    };
    assert!(!setup("fbs_wrong").unwrap().status.success());
    assert!(setup(&token).unwrap().status.success());
    let again = setup(&token).unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("has an owner already"));
    assert!(place.ok(&["user", "list"]).contains("ada@example.com"));
    assert!(server.terminate_and_read().0.success());
    let (_, printed) = place.serve().terminate_and_read();
    assert!(!printed.contains("FOOTBRIDGE_SETUP_TOKEN"), "{printed}");
}

#[test]
fn a_folder_that_cannot_be_a_source_is_refused_with_the_reason() {
    let place = Place::new();
    let file = place.note("a.md", "# A\n");
    let missing = place.fails(&["source", "add", "notes", "/does/not/exist"]);
    assert!(missing.contains("/does/not/exist"), "{missing}");
    let not_a_folder = place.fails(&["source", "add", "notes", file.to_str().unwrap()]);
    assert!(not_a_folder.contains("a.md"), "{not_a_folder}");
    let folder = file.parent().unwrap().to_str().unwrap();
    place.ok(&["source", "add", "notes", folder]);
    let twice = place.fails(&["source", "add", "notes", folder]);
    assert!(twice.contains("notes"), "{twice}");
    let listed: Value = serde_json::from_str(&place.ok(&["source", "list", "--json"])).unwrap();
    assert_eq!(listed[0]["name"], "notes");
}

#[test]
fn a_store_that_cannot_be_used_is_named_with_the_cure() {
    let place = Place::new();
    std::fs::create_dir_all(place.data()).unwrap();
    std::fs::write(
        place.data().join("footbridge.db"),
        "this is not a database, but it is long enough to look at",
    )
    .unwrap();
    let error = place.fails(&["key", "list"]);
    assert!(error.contains("footbridge.db"), "{error}");
    let unreachable = place.fails(&[
        "key",
        "list",
        "--store",
        "postgres://nobody:hidden@127.0.0.1:9/none",
    ]);
    assert!(!unreachable.contains("hidden"), "{unreachable}");
}

#[test]
fn a_taken_port_and_a_faulty_configuration_end_the_start_with_a_reason() {
    let place = Place::new();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let error = place.fails(&["serve", "--listen", &address]);
    assert!(error.contains(&address), "{error}");
    let config = place.path().join("c.toml");
    std::fs::write(&config, "[server]\nport = 1\n").unwrap();
    let error = place.fails(&["serve", "--config", config.to_str().unwrap()]);
    assert!(error.contains("line 2") && error.contains("port"), "{error}");
}

#[test]
fn the_log_shows_calls_and_its_verification_finds_an_edit() {
    let place = Place::new();
    let key = place.key("memory.write");
    let server = place.serve();
    server.call(&key, "memory_put", json!({"key": "k", "content": "c"}));
    server.call_fails(&key, "search", json!({"query": "x"}));
    assert!(server.terminate_and_read().0.success());
    let shown = place.ok(&["audit"]);
    assert!(
        shown.contains("memory_put") && shown.contains("deny_scope"),
        "{shown}"
    );
    assert!(place.ok(&["audit", "--status", "deny_scope"]).lines().count() == 1);
    let refused = ["--error", "missing", "--edition", "context", "--from", "-1h"];
    assert_eq!(place.ok(&[&["audit"], &refused[..]].concat()).lines().count(), 1);
    assert!(
        place
            .fails(&["audit", "--from", "soon"])
            .contains("from: must be a date")
    );
    let exported = place.ok(&["audit", "export"]);
    let rows: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names = rows.iter().map(|row| row["row"]["tool_name"].as_str().unwrap());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["memory_put", "search"],
        "oldest first"
    );
    let rest = place.ok(&["audit", "export", "--after", "1", "--status", "deny_scope"]);
    assert_eq!(rest.lines().next(), exported.lines().nth(1));
    let changes = place.ok(&["audit", "export-changes", "--action", "key.mint"]);
    assert!(
        changes.lines().count() == 1 && changes.contains("\"action\":\"key.mint\""),
        "{changes}"
    );
    let whole = place.ok(&["audit", "verify"]);
    let head = whole
        .split("somewhere else: ")
        .nth(1)
        .unwrap()
        .trim()
        .trim_end_matches('.')
        .to_owned();
    place.ok(&["audit", "verify", "--head", &head]);
    let database = rusqlite::Connection::open(place.data().join("footbridge.db")).unwrap();
    let changed = database
        .execute(
            "UPDATE audit_log SET body = replace(body, 'deny_scope', 'allow') WHERE status = 'deny_scope'",
            [],
        )
        .unwrap();
    assert_eq!(changed, 1);
    assert!(place.fails(&["audit", "verify"]).contains("not whole"));
}

#[test]
fn a_tenants_policy_is_shown_and_tightened_and_an_unknown_code_says_what_to_do() {
    let place = Place::new();
    place.key("search");
    assert!(place.ok(&["tenant", "policy"]).contains("auto"));
    place.ok(&["tenant", "policy", "confirm"]);
    place.ok(&["tenant", "policy", "human", "--tool", "memory_put"]);
    let shown = place.ok(&["tenant", "policy"]);
    assert!(
        shown.contains("every change") && shown.contains("memory_put") && shown.contains("human"),
        "{shown}"
    );
    assert!(
        place
            .fails(&["tenant", "policy", "sometimes"])
            .contains("auto, confirm, human, review")
    );
    assert!(place.ok(&["pending"]).contains("no call waits"));
    assert!(
        place
            .fails(&["approve", "7Q2K-M4PX"])
            .contains("no call waits for the code 7Q2K-M4PX")
    );
}
