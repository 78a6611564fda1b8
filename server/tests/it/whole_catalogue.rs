//! The data and the functions behind it belong together: every built-in row has its handler and every handler its
//! row, every example runs, and what each kind of caller is refused is generated, not written.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use footbridge_server::{
    access::Denial,
    catalogue::{Catalogue, Tool},
    domain::Handler,
    pipeline::CallError,
    store::{KeyLimits, Store},
    vocabulary::Effect,
};
use serde_json::{Value, json};

use crate::{
    context_house::{ALL, Rooms},
    store::harness::{Place, read, run},
};

/// Names that no edition may offer (catalogue.md §2.13).
const RESERVED: [&str; 10] = [
    "export_all",
    "list_all",
    "query",
    "query_sql",
    "sql",
    "raw_sql",
    "dump",
    "backup",
    "mint_key",
    "reveal_secret",
];

/// A house in which the examples' placeholders stand for something.
struct Seeded {
    rooms: Rooms,
    ids: BTreeMap<&'static str, String>,
}

async fn seeded() -> Seeded {
    let rooms = Rooms::with(Place::sqlite(), &["acme", "zeta"]).await;
    let mut ids = BTreeMap::new();
    for tenant in ["zeta", "acme"] {
        rooms.note(
            tenant,
            "meeting.md",
            "# Meeting notes\n\nThe deploy key moves to the vault.\n",
        );
        rooms.sync(tenant).await;
        let key = rooms.key(tenant, ALL).await;
        let put = json!({ "key": format!("project/{tenant}/milestone"), "content": "The milestone of acme is in May." });
        let memory = rooms.call(&key, "memory_put", put).await;
        let found = rooms.call(&key, "search", json!({ "query": "meeting" })).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        ids.insert("$entity_id", text(&found["results"][0]["entity_id"]));
        ids.insert("$chunk_id", text(&found["results"][0]["chunks"][0]["chunk_id"]));
        ids.insert("$memory_key", text(&memory["memory"]["key"]));
    }
    Seeded { rooms, ids }
}

impl Seeded {
    fn tools(&self) -> &[std::sync::Arc<Tool>] {
        self.rooms.edition.tools()
    }

    /// An example's arguments with its placeholders filled in.
    fn fill(&self, arguments: &toml::Table) -> Value {
        let mut text = serde_json::to_string(arguments).unwrap();
        for (placeholder, id) in &self.ids {
            text = text.replace(placeholder, id);
        }
        assert!(!text.contains("\"$"), "a placeholder nobody knows: {text}");
        serde_json::from_str(&text).unwrap()
    }
}

/// Everything that a tool may not change by reading: all rows but those of the log of calls.
async fn contents(store: &Store) -> Vec<String> {
    let mut all = Vec::new();
    for tenant in ["acme", "zeta"] {
        all.push(
            read(store, tenant, |tx| {
                Box::pin(async move {
                    let sources = tx.notes().sources().await?;
                    let counts = tx.notes().source_counts().await?;
                    let chunks = tx.notes().all_chunks(0, 1_000).await?;
                    let memories = tx.memory().count().await?;
                    let words = tx.memory().word_counts(1_000).await?;
                    let keys = tx.keys().list().await?.len();
                    Ok(format!(
                        "{sources:?} {counts:?} {chunks:?} {memories} {words:?} {keys}"
                    ))
                })
            })
            .await,
        );
    }
    all
}

#[test]
fn every_row_has_its_handler_and_every_handler_its_row() {
    run(async {
        let seeded = seeded().await;
        let catalogue = Catalogue::builtin().unwrap();
        let mut named = BTreeSet::new();
        for edition in catalogue.editions() {
            for tool in edition.tools() {
                let name = tool.driver.function();
                let name =
                    name.unwrap_or_else(|| panic!("`{}` is built in and calls another system", tool.name));
                named.insert(name.to_owned());
                let handler = seeded.rooms.handlers.find(name);
                let handler =
                    handler.unwrap_or_else(|| panic!("`{}` names `{name}`, which is nothing", tool.name));
                let fits = match handler {
                    Handler::Read(_) | Handler::Lookup(_) => tool.effect == Effect::Read,
                    Handler::Write(_) => tool.effect != Effect::Read,
                    // Its own transactions may write: a reading tool has no use for it.
                    Handler::Task(_) => tool.effect != Effect::Read,
                    Handler::Planned(_) => tool.effect != Effect::Read,
                    Handler::Plain(_) => true,
                };
                assert!(
                    fits,
                    "`{}` says {:?}, its handler is of another kind",
                    tool.name, tool.effect
                );
            }
        }
        let registered: BTreeSet<_> = seeded.rooms.handlers.names().map(str::to_owned).collect();
        assert_eq!(registered, named);
    });
}

#[test]
fn reserved_names_are_offered_by_nobody() {
    let catalogue = Catalogue::builtin().unwrap();
    for edition in catalogue.editions() {
        for name in RESERVED {
            assert!(edition.find(name).is_none(), "{} offers `{name}`", edition.name);
        }
    }
}

#[test]
fn every_example_runs_and_keeps_to_its_schemas() {
    run(async {
        let seeded = seeded().await;
        let key = seeded.rooms.key("acme", ALL).await;
        let mut ran = 0;
        for tool in seeded.tools() {
            let output = tool
                .output
                .as_ref()
                .unwrap_or_else(|| panic!("`{}` publishes no output schema", tool.name));
            let output = jsonschema::draft202012::new(output).unwrap();
            assert!(
                !tool.examples.is_empty() || tool.effect == Effect::Execute,
                "`{}` has no example",
                tool.name
            );
            for example in &tool.examples {
                let arguments = seeded.fill(&example.arguments);
                let input = jsonschema::draft202012::new(tool.input.as_json()).unwrap();
                let fault = input.validate(&arguments).err().map(|e| e.to_string());
                assert_eq!(fault, None, "`{}` in `{}`: {arguments}", example.title, tool.name);
                let answer = seeded.rooms.call(&key, tool.name.as_str(), arguments).await;
                let fault = output.validate(&answer).err().map(|e| e.to_string());
                assert_eq!(fault, None, "`{}` in `{}`: {answer}", example.title, tool.name);
                if let Some(results) = answer.get("results") {
                    assert_ne!(
                        results,
                        &json!([]),
                        "`{}` in `{}` finds nothing",
                        example.title,
                        tool.name
                    );
                }
                ran += 1;
            }
        }
        assert!(ran >= seeded.tools().len());
    });
}

#[test]
fn reading_changes_nothing() {
    run(async {
        let seeded = seeded().await;
        let key = seeded.rooms.key("acme", ALL).await;
        let before = contents(&seeded.rooms.store).await;
        let files = files(&seeded.rooms.data());
        for tool in seeded.tools().iter().filter(|tool| tool.effect == Effect::Read) {
            for example in &tool.examples {
                seeded
                    .rooms
                    .call(&key, tool.name.as_str(), seeded.fill(&example.arguments))
                    .await;
                assert_eq!(
                    contents(&seeded.rooms.store).await,
                    before,
                    "`{}` changed something",
                    tool.name
                );
            }
        }
        assert_eq!(self::files(&seeded.rooms.data()), files);
        // What the comparison sees, a write changes.
        seeded
            .rooms
            .call(&key, "memory_put", json!({ "key": "k", "content": "c" }))
            .await;
        assert_ne!(contents(&seeded.rooms.store).await, before);
    });
}

fn files(folder: &Path) -> BTreeSet<std::path::PathBuf> {
    let mut all = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        }
        all.insert(path);
    }
    all
}

/// Every tool × {no credential, another tenant's ids, each scope missing, a read-only key}.
#[test]
fn every_tool_refuses_every_kind_of_caller_it_must() {
    run(async {
        let seeded = seeded().await;
        let rooms = &seeded.rooms;
        let stranger = rooms.key("zeta", ALL).await;
        let read_only = rooms
            .limited_key(
                "acme",
                ALL,
                KeyLimits {
                    read_only: true,
                    ..KeyLimits::default()
                },
            )
            .await;
        assert!(
            rooms.authenticate(None).await.is_err(),
            "no tool is reached without a credential"
        );
        assert!(rooms.authenticate(Some("hoard_sk_nonsense")).await.is_err());
        for tool in seeded.tools() {
            let name = tool.name.as_str();
            for needed in tool.scope.scopes() {
                let others: Vec<_> = ALL.split(' ').filter(|held| *held != needed.as_str()).collect();
                // `memory.write` brings `memory.read` along: a key without the one must not hold the other.
                let held: Vec<_> = others
                    .into_iter()
                    .filter(|held| !rooms.edition.scopes.satisfies(&[scope(held)], needed))
                    .collect();
                let key = rooms.key("acme", &held.join(" ")).await;
                let principal = rooms.authenticate(Some(&key)).await.unwrap();
                let refused = rooms.call_as(&principal, name, &json!({})).await;
                assert!(
                    matches!(&refused, Err(CallError::Denied(Denial::MissingScope(missing))) if missing.contains(needed)),
                    "`{name}` without {needed}: {refused:?}"
                );
                assert!(
                    !principal.visible().contains(tool.index),
                    "`{name}` is listed for who cannot call it"
                );
            }
            let principal = rooms.authenticate(Some(&read_only)).await.unwrap();
            let reads = tool.effect == Effect::Read;
            assert_eq!(
                principal.visible().contains(tool.index),
                reads,
                "`{name}` and a key that only reads"
            );
            if !reads {
                let refused = rooms.call_as(&principal, name, &json!({})).await;
                assert!(
                    matches!(refused, Err(CallError::Denied(Denial::ReadOnly))),
                    "`{name}`: {refused:?}"
                );
            }
            for example in &tool.examples {
                let arguments = seeded.fill(&example.arguments);
                let names_a_record = arguments != serde_json::to_value(&example.arguments).unwrap();
                if names_a_record {
                    let text = rooms.refusal(&stranger, name, arguments).await;
                    assert!(
                        text.starts_with("404 Not Found: "),
                        "`{name}` with another tenant's id: {text}"
                    );
                }
            }
        }
    });
}

fn scope(text: &str) -> footbridge_server::vocabulary::Scope {
    footbridge_server::vocabulary::Scope::new(text).unwrap()
}
