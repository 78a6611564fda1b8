//! `footbridge-server source …` as an operator types it, with and without a running server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::Place;

const ALL: &str = "search,get,sync";

fn listed(place: &Place) -> Value {
    serde_json::from_str(&place.ok(&["source", "list", "--json"])).unwrap()
}

#[test]
fn a_folder_is_added_read_listed_synchronised_and_removed() {
    let place = Place::new();
    place.note("a.md", "# A\n\nlighthouse\n");
    place.note("drafts/b.md", "# B\n\nlighthouse\n");
    place.note("c.txt", "lighthouse\n");
    let folder = place.path().join("notes");
    let folder = folder.to_str().unwrap();
    assert_eq!(
        listed(&place),
        json!([]),
        "before there is a tenant, there are no sources"
    );
    let said = place.ok(&[
        "source",
        "add",
        "notes",
        folder,
        "--include",
        "**/*.md",
        "--exclude",
        "drafts/**",
    ]);
    assert!(
        said.contains("added notes (local_files)") && said.contains("notes: 1 added, 0 updated, 0 removed"),
        "{said}"
    );
    let row = &listed(&place)[0];
    assert_eq!(
        (&row["name"], &row["entities"], &row["state"]),
        (&json!("notes"), &json!(1), &json!("ok"))
    );
    assert_eq!(row["exclude"], json!(["drafts/**"]));
    place.note("d.md", "# D\n");
    assert!(
        place
            .ok(&["source", "sync", "notes"])
            .contains("notes: 1 added, 0 updated, 0 removed")
    );
    assert!(
        place
            .ok(&["source", "sync"])
            .contains("notes: 0 added, 0 updated, 0 removed")
    );
    let table = place.ok(&["source", "list"]);
    assert!(
        table.starts_with("NAME") && table.contains("local_files"),
        "{table}"
    );
    assert!(
        place
            .ok(&["source", "remove", "notes"])
            .contains("removed notes: 2 files left the index")
    );
    assert_eq!(listed(&place), json!([]));
    assert!(place.path().join("notes/a.md").exists());
    let log = place.ok(&["audit", "changes", "--limit", "20"]);
    assert!(
        log.contains("source.add") && log.contains("source.remove"),
        "{log}"
    );
}

#[test]
fn a_vault_is_known_by_its_mark() {
    let place = Place::new();
    place.note(".obsidian/app.json", "{}");
    place.note("a.md", "See [[Home]] #work\n");
    let folder = place.path().join("notes");
    let said = place.ok(&["source", "add", "vault", folder.to_str().unwrap()]);
    assert!(
        said.contains("added vault (obsidian)") && said.contains("vault: 1 added"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_added_is_refused_with_the_way_out() {
    let place = Place::new();
    let file = place.note("a.md", "x");
    let folder = place.path().join("notes");
    let (file, folder) = (file.to_str().unwrap(), folder.to_str().unwrap());
    let missing = place.path().join("none");
    place.ok(&["source", "add", "notes", folder, "--no-sync"]);
    for (arguments, texts) in [
        (
            vec!["new", missing.to_str().unwrap()],
            ["there is no folder", "create it"],
        ),
        (vec!["new", file], ["is a file", "name the folder"]),
        (
            vec!["notes", folder],
            ["there is a source `notes` already", "source remove notes"],
        ),
        (
            vec!["my notes", folder],
            ["cannot name a source", "letters, digits"],
        ),
        (vec!["inbox", folder], ["is kept for", "--kind inbox"]),
        (
            vec!["new", folder, "--include", "["],
            ["the glob `[` cannot be read", "**/*.md"],
        ),
        (
            vec!["new", folder, "--kind", "gdrive"],
            ["local_files, obsidian, inbox", "--kind"],
        ),
        (
            vec!["new", folder, "--tenant", "acme"],
            ["there is no tenant `acme`", "tenant add acme"],
        ),
    ] {
        let mut all = vec!["source", "add"];
        all.extend(&arguments);
        let said = place.fails(&all);
        assert!(
            texts.iter().all(|text| said.contains(text)),
            "{arguments:?}: {said}"
        );
    }
    for arguments in [["source", "sync", "new"], ["source", "remove", "new"]] {
        let said = place.fails(&arguments);
        assert!(
            said.contains("there is no source `new`") && said.contains("source list"),
            "{said}"
        );
    }
    assert_eq!(
        listed(&place).as_array().unwrap().len(),
        1,
        "nothing refused was stored"
    );
}

#[test]
fn a_folder_that_went_away_fails_the_command_and_stays_in_the_index() {
    let place = Place::new();
    let note = place.note("a.md", "lighthouse\n");
    let folder = note.parent().unwrap();
    place.ok(&["source", "add", "notes", folder.to_str().unwrap()]);
    std::fs::remove_dir_all(folder).unwrap();
    let output = place.run(&["source", "sync"]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("the folder does not exist") && said.contains("source remove notes"),
        "{said}"
    );
    assert_eq!(listed(&place)[0]["entities"], 1);
}

#[test]
fn a_running_server_takes_up_a_folder_added_beside_it() {
    let place = Place::new();
    let key = place.key(ALL);
    let server = place.serve();
    let found = |query: &str, title: &str| {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let found = server.call(&key, "search", json!({ "query": query }));
            if found["results"][0]["entity_title"] == title {
                return;
            }
            assert!(Instant::now() < end, "`{query}` does not find `{title}`: {found}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    place.note("a.md", "# First\n\nlighthouse\n");
    let folder = place.path().join("notes");
    place.ok(&["source", "add", "notes", folder.to_str().unwrap()]);
    found("lighthouse", "First");
    // The server heard of the folder and watches it.
    place.note("b.md", "# Second\n\nharbour\n");
    found("harbour", "Second");
    place.note("late/c.md", "# Third\n\nferry\n");
    place.ok(&["source", "remove", "notes"]);
    place.ok(&[
        "source",
        "add",
        "late",
        folder.join("late").to_str().unwrap(),
        "--no-sync",
    ]);
    found("ferry", "Third");
}
