//! `user` and `key` as they are typed, against a running server.

use serde_json::{Value, json};

use crate::process::Place;

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn people_are_invited_changed_and_shut_out_from_the_command_line() {
    let place = Place::new();
    place.key("search");
    let invited = json_of(&place.ok(&["user", "invite", "ada@example.com", "--role", "admin", "--json"]));
    let token = invited["token"].as_str().unwrap();
    assert!(token.starts_with("fbi_"));
    let listed = place.ok(&["user", "invitations"]);
    assert!(
        listed.contains("ada@example.com") && !listed.contains(token),
        "{listed}"
    );
    let database = std::fs::read(place.data().join("footbridge.db")).unwrap();
    assert!(
        !String::from_utf8_lossy(&database).contains(token),
        "the token itself is in the store"
    );
    place.ok(&["user", "uninvite", invited["id"].as_str().unwrap()]);
    assert!(!place.ok(&["user", "invitations"]).contains("ada@example.com"));

    place.ok(&[
        "user",
        "add",
        "bob@example.com",
        "--name",
        "Bob",
        "--groups",
        "sales,eng",
    ]);
    assert!(
        place
            .fails(&["user", "add", "BOB@example.com"])
            .contains("already")
    );
    place.ok(&["user", "groups", "bob@example.com", "ops"]);
    let bob = json_of(&place.ok(&["user", "role", "bob@example.com", "auditor", "--json"]));
    assert_eq!(
        (&bob["role"], &bob["groups"]),
        (&json!("auditor"), &json!(["ops"]))
    );
    let password = |text: &str| {
        let mut command = place.command();
        command
            .args(["user", "password", "bob@example.com"])
            .env("FOOTBRIDGE_PASSWORD", text);
        command.output().unwrap()
    };
    let weak = password("short");
    let said = String::from_utf8_lossy(&weak.stderr).into_owned();
    assert!(!weak.status.success() && said.contains("12 characters"), "{said}");
    assert!(password("correct horse battery").status.success());
    let all = json_of(&place.ok(&["user", "list", "--json"]));
    let bob = all
        .as_array()
        .unwrap()
        .iter()
        .find(|user| user["email"] == "bob@example.com")
        .unwrap();
    assert_eq!(
        (&bob["has_password"], bob.get("password_hash")),
        (&json!(true), None)
    );
    place.ok(&[
        "group",
        "add",
        "night shift",
        "bob@example.com",
        "operator@localhost",
    ]);
    place.ok(&["group", "remove", "ops", "bob@example.com"]);
    let groups = json_of(&place.ok(&["group", "list", "--json"]));
    assert_eq!(groups, json!([{ "name": "night shift", "members": 2 }]));
    let link = json_of(&place.ok(&["user", "password-link", "bob@example.com", "--json"]));
    assert!(link["token"].as_str().unwrap().starts_with("fbr_"), "{link}");
    let said = place.ok(&[
        "user",
        "link",
        "bob@example.com",
        "b-1",
        "--issuer",
        "https://id.example.com",
    ]);
    assert!(
        said.contains("bob@example.com is b-1 at https://id.example.com"),
        "{said}"
    );
    assert!(
        place
            .fails(&["user", "link", "bob@example.com", "b-2"])
            .contains("--issuer URL")
    );
    place.ok(&["user", "disable", "bob@example.com"]);
    assert!(place.ok(&["user", "list"]).contains("disabled"));
    place.ok(&["user", "enable", "bob@example.com"]);
    assert!(
        place
            .fails(&["user", "disable", "operator@localhost"])
            .contains("last owner")
    );
    for bad in ["a\r\nb@example.com", "no-address", "<x>@example.com"] {
        assert!(
            place
                .fails(&["user", "add", bad])
                .contains("looks like ada@example.com")
        );
    }
}

#[test]
fn a_key_is_rotated_and_narrowed_and_the_server_hears_of_it() {
    let place = Place::new();
    let key = place.key("memory.read,memory.write");
    let server = place.serve();
    let put = json!({"key": "k", "content": "c"});
    server.call(&key, "memory_put", put.clone());
    let shown: String = key.chars().take("hoard_sk_".len() + 6).collect();
    let twin = json_of(&place.ok(&["key", "rotate", &shown, "--json"]));
    let twin_key = twin["key"].as_str().unwrap();
    server.call(twin_key, "memory_put", put.clone());
    server.call(&key, "memory_put", put);
    let old = json_of(&place.ok(&["key", "show", &shown]));
    assert_eq!(old["id"], twin["replaces"]);
    assert!(old["expires_at"].is_string() && old["state"] == "active", "{old}");
    let again = place.fails(&["key", "rotate", &shown]);
    assert!(again.contains(twin["id"].as_str().unwrap()), "{again}");

    let id = twin["id"].as_str().unwrap();
    let wider = place.fails(&["key", "narrow", id, "--scopes", "memory.read,search"]);
    assert!(wider.contains("only gets narrower"), "{wider}");
    place.ok(&[
        "key",
        "narrow",
        id,
        "--scopes",
        "memory.read",
        "--monthly-cap",
        "100",
        "--read-only",
    ]);
    let narrowed = json_of(&place.ok(&["key", "show", id]));
    assert_eq!(
        (&narrowed["scopes"], &narrowed["monthly_cap"]),
        (&json!(["memory.read"]), &json!(100))
    );
    assert!(
        place
            .fails(&["key", "narrow", id, "--monthly-cap", "101"])
            .contains("monthly_cap")
    );
    assert!(
        place
            .fails(&["key", "rotate", id, "--grace-minutes", "10081"])
            .contains("10080")
    );
    assert!(server.terminate_and_read().0.success());
    let calls = |id: &str| json_of(&place.ok(&["key", "show", id]))["calls_this_month"].clone();
    assert_eq!(
        (calls(old["id"].as_str().unwrap()), calls(id)),
        (json!(2), json!(1))
    );
    let listed = json_of(&place.ok(&["key", "list", "--json"]));
    assert_eq!(listed[0]["calls_this_month"], 1, "{listed}");
    assert!(listed[0]["last_used_at"].is_string());
    let whole = place.fails(&["key", "show", twin_key]);
    assert!(
        !whole.contains(&twin_key[20..]),
        "a pasted key is repeated: {whole}"
    );
}

#[test]
fn a_suspended_tenants_keys_open_nothing_until_it_is_admitted() {
    let place = Place::new();
    let key = place.key("memory.read");
    let server = place.serve();
    let opens = |expected: u16| {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(1);
        loop {
            let status = server.bare(&key, "memory_search", json!({"query": "x"})).status;
            if status == expected {
                return;
            }
            assert!(
                std::time::Instant::now() < end,
                "{status} a second after the tenant changed"
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    opens(200);
    place.ok(&["tenant", "suspend", "local"]);
    opens(403);
    place.ok(&["tenant", "admit", "local"]);
    opens(200);
    assert!(
        place
            .fails(&["tenant", "suspend", "nobody"])
            .contains("tenant list")
    );
}
