//! Keeping the index true to folders, and writing into the inbox.

use std::{sync::Arc, time::Duration};

use footbridge_server::{
    domain::context::{
        Context,
        sync::{SyncMode, Synced},
    },
    operate::sources,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    context_house::{ALL, Rooms},
    store::harness::{Place, eventually, for_each_engine, read, run, tenant, write},
};

fn counts(report: &Value) -> (u64, u64, u64) {
    let count = |name: &str| report[name].as_u64().unwrap();
    (count("added"), count("updated"), count("removed"))
}

#[test]
fn edits_moves_and_deletions_reach_the_index_and_nothing_else_is_touched() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        let trip = rooms.note("acme", "trip.md", "# Trip\n\nThe ferry to Gotland.\n");
        rooms.note("acme", "bees.md", "# Bees\n\nHoney.\n");
        assert_eq!(counts(&rooms.sync("acme").await), (2, 0, 0));
        assert_eq!(counts(&rooms.sync("acme").await), (0, 0, 0));
        let id = async |query: &str| {
            let found = rooms.call(&key, "search", json!({ "query": query })).await;
            found["results"][0]["entity_id"].clone()
        };
        let before = id("Gotland").await;
        rooms.note("acme", "trip.md", "# Trip\n\nThe sleeper train to Narvik.\n");
        assert_eq!(counts(&rooms.sync("acme").await), (0, 1, 0));
        assert_eq!(id("Narvik").await, before);
        assert!(rooms.titles(&key, "Gotland").await.is_empty());

        std::fs::create_dir(rooms.notes("acme").join("old")).unwrap();
        let moved = rooms.notes("acme").join("old/journey.md");
        std::fs::rename(&trip, &moved).unwrap();
        assert_eq!(
            counts(&rooms.sync("acme").await),
            (0, 1, 0),
            "a move is no deletion"
        );
        let found = rooms.call(&key, "search", json!({ "query": "Narvik" })).await;
        assert_eq!(found["results"].as_array().unwrap().len(), 1);
        assert_eq!(
            found["results"][0]["entity_id"], before,
            "its id outlives the move"
        );
        assert_eq!(found["results"][0]["uri"], "source://notes/old/journey.md");

        std::fs::copy(&moved, rooms.notes("acme").join("copy.md")).unwrap();
        assert_eq!(
            counts(&rooms.sync("acme").await),
            (1, 0, 0),
            "a copy is another note"
        );
        std::fs::remove_dir_all(moved.parent().unwrap()).unwrap();
        assert_eq!(counts(&rooms.sync("acme").await), (0, 0, 1));
        assert_ne!(id("Narvik").await, before);
        let gone = rooms.refusal(&key, "get", json!({ "entity_id": before })).await;
        assert!(gone.starts_with("404 Not Found: entity"), "{gone}");
        let chunk = json!({ "chunk_id": format!("{}:0", before.as_str().unwrap()) });
        assert!(
            rooms
                .refusal(&key, "get_chunk", chunk)
                .await
                .starts_with("404 Not Found: chunk")
        );
    });
}

#[test]
fn a_bad_file_is_reported_and_the_others_are_read() {
    run(async {
        let rooms = Rooms::with(Place::sqlite(), &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        rooms.note("acme", "good.md", "# Good\n\nlighthouse\n");
        rooms.note("acme", "latin1.md", b"caf\xE9");
        for n in 0..30 {
            rooms.note("acme", &format!("binary/{n:02}.md"), b"a\0b");
        }
        let report = rooms.sync("acme").await;
        assert_eq!(counts(&report), (1, 0, 0));
        let errors: Vec<_> = report["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e.as_str().unwrap())
            .collect();
        assert_eq!(errors[0], "binary/00.md: a binary file under a text file's name");
        assert_eq!(errors.last().unwrap(), &"and 11 more");
        assert_eq!(errors.len(), 21);
        let status = rooms.call(&key, "sync_status", json!({})).await;
        let connector = &status["connectors"][0];
        assert_eq!(
            (&connector["state"], &connector["entities"]),
            (&json!("ok"), &json!(1))
        );
        assert_eq!(connector["errors"].as_array().unwrap().len(), 21);
        // A file that cannot be read any more keeps what the index has of it.
        rooms.note("acme", "good.md", b"\0");
        assert_eq!(counts(&rooms.sync("acme").await), (0, 0, 0));
        assert_eq!(rooms.titles(&key, "lighthouse").await, ["Good"]);
    });
}

#[test]
fn a_folder_that_is_away_is_an_error_and_costs_nothing() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        rooms.note("acme", "a.md", "# A\n\nlighthouse\n");
        rooms.sync("acme").await;
        let (here, away) = (rooms.notes("acme"), rooms.data().join("away"));
        std::fs::create_dir_all(rooms.data()).unwrap();
        std::fs::rename(&here, &away).unwrap();
        for what in ["missing", "a file"] {
            if what == "a file" {
                std::fs::write(&here, "x").unwrap();
            }
            let answer = rooms.call(&key, "sync_run", json!({})).await;
            let report = &answer["connectors"][0];
            assert_eq!(counts(report), (0, 0, 0), "{what}");
            let text = answer.to_string();
            assert!(text.contains("footbridge-server source remove notes"), "{text}");
            let status = rooms.call(&key, "sync_status", json!({})).await;
            assert_eq!(status["connectors"][0]["state"], "error", "{what}");
            assert_eq!(status["connectors"][0]["entities"], 1);
            assert!(
                status["connectors"][0]["last_sync"].is_string(),
                "when it last went well is still known"
            );
            for answer in [answer, status] {
                assert!(
                    !answer
                        .to_string()
                        .contains(rooms.data().parent().unwrap().to_str().unwrap()),
                    "{answer}"
                );
            }
            assert_eq!(rooms.titles(&key, "lighthouse").await, ["A"]);
        }
        std::fs::remove_file(&here).unwrap();
        std::fs::rename(&away, &here).unwrap();
        assert_eq!(counts(&rooms.sync("acme").await), (0, 0, 0));
        let status = rooms.call(&key, "sync_status", json!({})).await;
        assert_eq!(
            (
                &status["connectors"][0]["state"],
                &status["connectors"][0]["errors"]
            ),
            (&json!("ok"), &json!([]))
        );
    });
}

#[test]
fn of_two_at_once_one_leaves_the_work_to_the_other() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        let held = async |owner: &'static str, ttl_ms: u32| {
            write(&rooms.store, "acme", move |tx| {
                Box::pin(async move { tx.notes().try_lock("sync", owner, ttl_ms).await })
            })
            .await
        };
        assert!(held("another process", 60_000).await);
        let skipped = rooms.call(&key, "sync", json!({})).await;
        assert_eq!(skipped, json!({ "skipped": true, "reason": "lock" }));
        let run = rooms.call(&key, "sync_run", json!({})).await;
        assert_eq!(run["connectors"][0]["source"], "notes");
        assert!(run["duration_ms"].is_u64());
        rooms.clock.advance(60_001);
        let done = rooms.call(&key, "sync", json!({})).await;
        assert!(
            done["connectors"].is_array(),
            "a holder that died is waited for no longer than its lock lasts"
        );
        assert!(held("another process", 1).await, "the lock is given back");
        assert_eq!(
            rooms.refusal(&key, "sync", json!({ "source": "none" })).await,
            "404 Not Found: source none"
        );
    });
}

#[test]
fn passes_at_the_same_time_end_with_one_index() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        for n in 0..300 {
            rooms.note(
                "acme",
                &format!("{n}.md"),
                format!("# Note {n}\n\n{}\n", "lighthouse ".repeat(300)),
            );
        }
        // Two processes on one store, the second with two calls.
        let other = Context::new(rooms.store.clone(), &rooms.data());
        let pass = async || {
            let nobody = Arc::new(|_: &_| {});
            match other
                .sync_source(&tenant("acme"), None, SyncMode::Now, nobody)
                .await
                .unwrap()
            {
                Synced::Done(report) => serde_json::to_value(&report.connectors[0]).unwrap(),
                Synced::Skipped => panic!("it waits for no lock"),
            }
        };
        let (one, two, three) = tokio::join!(rooms.sync("acme"), pass(), pass());
        let added: u64 = [&one, &two, &three].iter().map(|report| counts(report).0).sum();
        assert_eq!(
            added, 300,
            "each file came into the index once: {one} {two} {three}"
        );
        let held = read(&rooms.store, "acme", |tx| {
            Box::pin(async move { tx.notes().source_counts().await })
        })
        .await;
        assert_eq!(held[0].entities, 300);
        assert_eq!(counts(&rooms.sync("acme").await), (0, 0, 0));
    });
}

#[test]
fn a_synchronisation_that_died_is_told_from_one_that_goes_on() {
    run(async {
        let rooms = Rooms::with(Place::sqlite(), &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        let state = async || rooms.call(&key, "sync_status", json!({})).await["connectors"][0].clone();
        assert_eq!(
            (&state().await["state"], &state().await["last_sync"]),
            (&json!("never"), &Value::Null)
        );
        write(&rooms.store, "acme", |tx| {
            Box::pin(async move {
                tx.notes()
                    .set_source_state("notes", &json!({ "state": "syncing" }))
                    .await
            })
        })
        .await;
        assert_eq!(state().await["state"], "syncing");
        rooms.clock.advance(60_001);
        assert_eq!(state().await["state"], "error");
        assert!(
            state().await["errors"][0]
                .as_str()
                .unwrap()
                .contains("did not come to its end")
        );
        rooms.sync("acme").await;
        assert_eq!(
            (&state().await["state"], &state().await["errors"]),
            (&json!("ok"), &json!([]))
        );
    });
}

#[test]
fn who_waits_for_the_lock_gets_it() {
    run(async {
        let rooms = Rooms::with(Place::sqlite(), &["acme"]).await;
        write(&rooms.store, "acme", |tx| {
            Box::pin(async move { tx.notes().try_lock("sync", "other", 60_000).await })
        })
        .await;
        let waited = Arc::new(tokio::sync::Notify::new());
        let told = Arc::clone(&waited);
        let (context, name) = (Arc::clone(&rooms.context), tenant("acme"));
        let work = tokio::spawn(async move {
            let on_progress = Arc::new(
                move |p: &footbridge_server::domain::context::sync::SyncProgress| {
                    if p.waiting {
                        told.notify_one();
                    }
                },
            );
            context
                .sync_source(&name, None, SyncMode::Wait, on_progress)
                .await
        });
        waited.notified().await;
        write(&rooms.store, "acme", |tx| {
            Box::pin(async move { tx.notes().unlock("sync", "other").await })
        })
        .await;
        assert!(matches!(work.await.unwrap(), Ok(Synced::Done(_))));
    });
}

#[test]
fn a_removed_source_leaves_the_index_and_its_files_stay() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        for n in 0..70 {
            rooms.note("acme", &format!("{n}.md"), "# Note\n\nlighthouse\n");
        }
        rooms.sync("acme").await;
        let removed = sources::remove(&rooms.context, &rooms.store, &tenant("acme"), "notes")
            .await
            .unwrap();
        assert_eq!(removed, 70);
        assert!(rooms.titles(&key, "lighthouse").await.is_empty());
        assert!(rooms.notes("acme").join("69.md").exists());
        let again = sources::remove(&rooms.context, &rooms.store, &tenant("acme"), "notes").await;
        assert!(again.unwrap_err().to_string().contains("source list"));
    });
}

#[test]
fn the_inbox_of_each_tenant_is_its_own() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["local", "acme"]).await;
        let (local, acme) = (rooms.key("local", ALL).await, rooms.key("acme", ALL).await);
        let put = json!({
            "content": "Ask about zeppelins.", "title": "Call Ada", "tags": ["todo"], "metadata": { "n": 1 },
            "filename": "../../etc/Call Ada.md", "sync_immediately": true
        });
        for (key, root) in [
            (&local, rooms.data().join("inbox")),
            (&acme, rooms.data().join("tenants/acme/inbox")),
        ] {
            let answer = rooms.call(key, "inbox_put", put.clone()).await;
            let path = answer["path"].as_str().unwrap();
            assert!(
                path.starts_with("owner/") && path.ends_with("-call-ada.md"),
                "{path}"
            );
            let text = std::fs::read_to_string(root.join(path)).unwrap();
            assert!(
                text.starts_with("---\ntitle: \"Call Ada\"\ntags: [\"todo\"]\n"),
                "{text}"
            );
            assert!(text.ends_with("---\n\nAsk about zeppelins."), "{text}");
            let entity = rooms
                .call(key, "get", json!({ "entity_id": answer["entity_id"] }))
                .await;
            assert_eq!(entity["entity"]["uri"], format!("source://inbox/{path}"));
            assert_eq!(entity["entity"]["tags"], json!(["todo"]));
            assert_eq!(
                rooms.titles(key, "zeppelins").await,
                ["Call Ada"],
                "one note, the tenant's own"
            );
        }
        let later = rooms
            .call(&local, "inbox_put", json!({ "content": "later" }))
            .await;
        assert!(later.get("entity_id").is_none());
        for (arguments, text) in [
            (
                json!({ "content": "x", "extension": ".exe" }),
                "400 Bad Request: extension: `.exe` is not allowed",
            ),
            (
                json!({ "content": "x", "extension": ".csv", "tags": ["a"] }),
                "400 Bad Request: tags and metadata need",
            ),
            (
                json!({ "content": "" }),
                "400 Bad Request: content: must not be empty",
            ),
        ] {
            let refusal = rooms.refusal(&local, "inbox_put", arguments).await;
            assert!(refusal.starts_with(text), "{refusal}");
        }
    });
}

#[test]
fn a_source_that_another_process_adds_and_a_file_that_changes_are_noticed() {
    run(async {
        let rooms = Rooms::with(Place::sqlite(), &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        rooms.note("acme", "a.md", "# First\n\nlighthouse\n");
        let stop = CancellationToken::new();
        let engine = tokio::spawn(Arc::clone(&rooms.context).run(stop.clone()));
        let found = async |query: &'static str, title: &'static str| {
            eventually(title, Duration::from_secs(20), async || {
                rooms
                    .titles(&key, query)
                    .await
                    .contains(&title.to_owned())
                    .then_some(())
            })
            .await;
        };
        found("lighthouse", "First").await;
        rooms.note("acme", "b.md", "# Second\n\nharbour\n");
        found("harbour", "Second").await;
        let other = rooms.data().join("other");
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(other.join("c.md"), "# Third\n\nferry\n").unwrap();
        rooms.add_source("acme", "other", &other).await;
        found("ferry", "Third").await;
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), engine)
            .await
            .expect("the engine stops")
            .unwrap();
    });
}

#[test]
fn what_has_expired_is_removed_by_the_engine() {
    run(async {
        let rooms = Rooms::with(Place::sqlite(), &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        let put = rooms
            .call(
                &key,
                "memory_put",
                json!({ "key": "k", "content": "one", "ttl_days": 1 }),
            )
            .await;
        rooms
            .call(
                &key,
                "memory_put",
                json!({ "key": "k", "content": "two", "ttl_days": 1 }),
            )
            .await;
        let note = rooms.note("acme", "a.md", "# A\n\nlighthouse\n");
        rooms.sync("acme").await;
        std::fs::remove_file(note).unwrap();
        rooms.sync("acme").await;
        rooms.clock.advance(31 * 24 * 60 * 60 * 1000);
        let stop = CancellationToken::new();
        let engine = tokio::spawn(Arc::clone(&rooms.context).run(stop.clone()));
        let id = put["memory"]["id"].as_str().unwrap().to_owned();
        eventually(
            "the old version goes with its memory",
            Duration::from_secs(20),
            async || {
                let id = id.clone();
                let left = read(&rooms.store, "acme", move |tx| {
                    Box::pin(async move { tx.memory().versions(&id).await })
                })
                .await;
                left.is_empty().then_some(())
            },
        )
        .await;
        stop.cancel();
        engine.await.unwrap();
        let purged = write(&rooms.store, "acme", |tx| {
            Box::pin(async move {
                let now = tx.now();
                tx.notes().purge_tombstones(now).await
            })
        })
        .await;
        assert_eq!(purged, 0, "the tombstone went too");
    });
}
