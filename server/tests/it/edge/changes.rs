//! Subscribers hear of what changes outside the store too: files, texts of the catalogue, records of a REST API.

use std::path::Path;

use footbridge_server::catalogue::{Catalogue, CatalogueError, NamedText};
use serde_json::json;

use crate::{
    house::{House, read_until},
    http_tools::api::{Api, answer},
};

const HEAD: &str = r#"
format = 1
[edition]
name = "test"
title = "Changes"
instructions = "Watch."
key_prefix = "test_"
bare_path = "/mcp"
[scopes."t:read"]
title = "Read"
[scopes."t:write"]
title = "Write"
"#;

/// A catalogue whose file stands in a folder.
fn catalogue(folder: &Path, rows: &str) -> Result<Catalogue, CatalogueError> {
    let (name, text) = (
        folder.join("x.toml").display().to_string(),
        format!("{HEAD}{rows}"),
    );
    Catalogue::load(&[&[NamedText {
        name: &name,
        text: &text,
    }]])
}

fn stored(text: &str) -> String {
    format!(
        r#"
[[resource]]
name = "guide"
scope = "t:read"
uri_template = "guide://{{name}}"
file = "{{{{name}}}}.md"
[[resource]]
name = "rules"
scope = "t:read"
uri = "test://rules"
text = "{text}"
[[resource]]
name = "same"
scope = "t:read"
uri = "test://same"
text = "always"
"#
    )
}

#[tokio::test]
async fn a_file_is_told_of_when_it_is_written_and_a_text_when_the_catalogue_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let of = |text: &str| catalogue(folder.path(), &stored(text)).unwrap();
    let house = House::with(|settings| {
        settings.file_look_ms = 100;
        settings.listen_fold_ms = 10;
    })
    .await;
    house.rooms.replace_catalogue(&of("one")).unwrap();
    std::fs::write(folder.path().join("a.md"), "first").unwrap();
    std::fs::write(folder.path().join("b.md"), "quiet").unwrap();
    let key = house.key("t:read").await;
    // The last is not there yet.
    let uris = [
        "guide://a",
        "guide://b",
        "guide://later",
        "test://rules",
        "test://same",
    ];
    let wanted = json!({ "notifications": { "resourceSubscriptions": uris } });
    let mut stream = house.modern(&key, "subscriptions/listen", wanted).open().await;
    let mut told = read_until(&mut stream, "acknowledged").await;
    std::fs::write(folder.path().join("a.md"), "second, and longer").unwrap();
    told += &read_until(&mut stream, r#""uri":"guide://a""#).await;
    std::fs::write(folder.path().join("later.md"), "here").unwrap();
    told += &read_until(&mut stream, r#""uri":"guide://later""#).await;
    std::fs::remove_file(folder.path().join("a.md")).unwrap();
    told += &read_until(&mut stream, r#""uri":"guide://a""#).await;
    house.rooms.replace_catalogue(&of("two")).unwrap();
    told += &read_until(&mut stream, r#""uri":"test://rules""#).await;
    for quiet in [r#""uri":"guide://b""#, r#""uri":"test://same""#] {
        assert!(!told.contains(quiet), "{told}");
    }
}

fn remote(port: u16, changes: &str) -> String {
    format!(
        r#"
[upstream.crm]
base_url = "http://127.0.0.1:{port}/"
allow_private = true
[[tool]]
name = "rename_lead"
scope = "t:write"
effect = "update"
[tool.input.id]
type = "string"
required = true
[tool.input.name]
type = "string"
[tool.http]
upstream = "crm"
method = "PATCH"
path = "/leads/{{id}}"
changes = {changes}
[[resource]]
name = "lead"
scope = "t:read"
uri_template = "crm://leads/{{id}}"
[resource.http]
upstream = "crm"
method = "GET"
path = "/leads/{{id}}"
[[resource]]
name = "leads"
scope = "t:read"
uri = "crm://leads"
[resource.http]
upstream = "crm"
method = "GET"
path = "/leads"
"#
    )
}

#[tokio::test]
async fn a_call_that_changed_a_record_elsewhere_tells_whoever_reads_it_here() {
    let api = Api::start(|_, before| match before {
        0 => answer("422 Unprocessable", "", "{}"),
        _ => answer("200 OK", "", "{}"),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let rows = remote(api.port, r#"["crm://leads/{id}", "crm://leads"]"#);
    let house = House::with(|settings| settings.listen_fold_ms = 10).await;
    house
        .rooms
        .replace_catalogue(&catalogue(folder.path(), &rows).unwrap())
        .unwrap();
    let key = house.key("t:read t:write").await;
    let uris = ["crm://leads/a%20b", "crm://leads/other", "crm://leads"];
    let wanted = json!({ "notifications": { "resourceSubscriptions": uris } });
    let mut stream = house.modern(&key, "subscriptions/listen", wanted).open().await;
    read_until(&mut stream, "acknowledged").await;
    // What the other system refused changed nothing.
    for (id, failed) in [("other", true), ("a b", false)] {
        let reply = house
            .call(&key, "rename_lead", json!({ "id": id, "name": "X" }))
            .send()
            .await;
        assert_eq!(reply.json()["result"]["isError"] == true, failed, "{reply:?}");
    }
    let mut told = read_until(&mut stream, r#""uri":"crm://leads/a%20b""#).await;
    if !told.contains(r#""uri":"crm://leads""#) {
        told += &read_until(&mut stream, r#""uri":"crm://leads""#).await;
    }
    assert!(!told.contains("crm://leads/other"), "{told}");
}

#[test]
fn a_tool_changes_only_what_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    for (changes, fault) in [
        (
            r#"["crm://nowhere"]"#,
            "`crm://nowhere`, and no resource is read there",
        ),
        (r#"["crm://leads/{name}"]"#, "`{name}` is no required input"),
        (r#"["leads"]"#, "is no URI"),
    ] {
        let error = catalogue(folder.path(), &remote(1, changes))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(fault), "{error}");
    }
}
