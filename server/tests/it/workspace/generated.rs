//! What holds for every tool of the edition, generated from the catalogue.

use std::collections::{BTreeMap, BTreeSet};

use footbridge_server::{
    access::Denial,
    catalogue::{ListedNames, Shape},
    pipeline::CallError,
    store::KeyLimits,
    vocabulary::{Effect, Scope},
};
use serde_json::{Value, json};

use super::{
    house::{ALL, Rooms},
    seed::{Seeded, seeded},
};
use crate::{
    house::Post,
    store::harness::{Place, for_each_engine, run},
};

/// Where waiting calls, the log of calls and the last use of keys are written: everything but what tools are about.
pub(super) const NOT_OURS: [&str; 4] = ["pending_calls", "audit_log", "audit_heads", "api_keys"];

#[test]
fn every_example_runs_and_keeps_to_its_schemas() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let rooms = &seeded.rooms;
        let key = rooms.key("acme", ALL).await;
        for tool in rooms.edition.tools() {
            let name = tool.name.as_str();
            assert!(tool.output.is_some(), "`{name}` publishes no output");
            // Of a write, one schema holds for preview and result.
            let consent = rooms.edition.consent(tool);
            let published = tool.definition(Shape::Full, ListedNames::Native, consent);
            let output = jsonschema::draft202012::new(&published["outputSchema"]).unwrap();
            for example in &tool.examples {
                let arguments = seeded.fill(&example.arguments);
                let mut answer = rooms.call(&key, name, arguments.clone()).await;
                for step in ["preview", "result"] {
                    let fault = output.validate(&answer).err().map(|e| e.to_string());
                    assert_eq!(fault, None, "{step} of `{name}`: {answer}");
                    if answer["status"] != "confirmation_required" {
                        break;
                    }
                    answer = rooms
                        .call(&key, name, super::house::with(&arguments, &answer))
                        .await;
                }
                if tool.effect != Effect::Read {
                    assert_eq!(answer["status"], "done", "`{name}`: {answer}");
                }
                assert_ne!(answer.get("items"), Some(&json!([])), "`{name}` finds nothing");
            }
        }
    });
}

/// What a call without a yes leaves behind: nothing but the log of calls and the waiting call itself.
#[test]
fn no_write_changes_anything_before_the_yes() {
    run(async {
        let seeded = seeded(Place::sqlite()).await;
        let rooms = &seeded.rooms;
        let key = rooms.key("acme", ALL).await;
        rooms.store.flush().await.unwrap();
        let before = rooms.dump(&NOT_OURS).await;
        let (mut writes, mut asked) = (BTreeSet::new(), BTreeSet::new());
        for tool in rooms.edition.tools() {
            if tool.effect != Effect::Read {
                writes.insert(tool.name.as_str());
            }
            for example in &tool.examples {
                let answer = rooms
                    .call(&key, tool.name.as_str(), seeded.fill(&example.arguments))
                    .await;
                if tool.effect != Effect::Read {
                    assert_eq!(
                        answer["status"], "confirmation_required",
                        "{}: {answer}",
                        tool.name
                    );
                    asked.insert(tool.name.as_str());
                }
            }
        }
        assert_eq!((writes.len(), &asked), (31, &writes));
        rooms.store.flush().await.unwrap();
        assert_eq!(rooms.dump(&NOT_OURS).await, before);
    });
}

/// The table of scopes of catalogue.md §3.4.
const SCOPES: &[(&str, &[&str])] = &[
    (
        "crm:read",
        &[
            "list_leads",
            "get_lead",
            "list_contacts",
            "get_contact",
            "list_accounts",
            "get_account",
            "list_opportunities",
            "get_opportunity",
            "search_crm",
        ],
    ),
    (
        "crm:write",
        &[
            "create_lead",
            "update_lead",
            "convert_lead",
            "create_contact",
            "update_contact",
            "create_account",
            "update_account",
            "create_opportunity",
            "update_opportunity",
            "add_crm_note",
            "delete_crm_record",
        ],
    ),
    ("conversations:read", &["list_conversations", "get_conversation"]),
    // `escalate_conversation` asks for `tickets:write` besides.
    (
        "conversations:write",
        &[
            "reply_to_conversation",
            "add_conversation_note",
            "assign_conversation",
            "close_conversation",
        ],
    ),
    ("tickets:read", &["list_tickets", "get_ticket"]),
    (
        "tickets:write",
        &[
            "create_ticket",
            "update_ticket",
            "assign_ticket",
            "comment_on_ticket",
            "close_ticket",
        ],
    ),
    ("flows:read", &["list_flows", "get_flow"]),
    ("flows:trigger", &["trigger_flow_event"]),
    (
        "knowledge:read",
        &[
            "search_knowledge",
            "list_knowledge_articles",
            "get_knowledge_article",
        ],
    ),
    (
        "knowledge:write",
        &[
            "create_knowledge_article",
            "update_knowledge_article",
            "archive_knowledge_article",
        ],
    ),
    (
        "reports:read",
        &[
            "get_report_overview",
            "get_conversation_report",
            "get_ticket_report",
            "get_pipeline_report",
        ],
    ),
    ("flows:read", &["list_flows", "get_flow"]),
    ("flows:trigger", &["trigger_flow_event"]),
    (
        "admin:members",
        &["list_members", "invite_member", "update_member"],
    ),
    (
        "admin:channels",
        &["list_channels", "create_channel", "update_channel"],
    ),
    ("admin:bots", &["list_bots", "update_bot"]),
    ("admin:widgets", &["list_widgets", "update_widget"]),
];

/// The names of the tools that a key with these scopes lists.
async fn listed<'r>(rooms: &'r Rooms, scopes: &str) -> Vec<&'r str> {
    let principal = rooms.principal(&rooms.key("acme", scopes).await).await;
    let tools = rooms.edition.tools().iter();
    let visible = tools.filter(|tool| principal.visible().contains(tool.index));
    visible.map(|tool| tool.name.as_str()).collect()
}

#[test]
fn each_scope_lists_exactly_its_tools() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let mut covered = BTreeSet::new();
        for (scope, names) in SCOPES {
            assert_eq!(&listed(&rooms, scope).await, names, "{scope}");
            covered.extend(*names);
        }
        // The one tool that asks for two scopes, and what stands for four.
        let both = listed(&rooms, "conversations:write tickets:write").await;
        assert!(
            both.contains(&"escalate_conversation") && both.len() == 4 + 5 + 1,
            "{both:?}"
        );
        covered.insert("escalate_conversation");
        let admin = SCOPES.iter().filter(|(scope, _)| scope.starts_with("admin:"));
        let admin: Vec<&str> = admin.flat_map(|(_, names)| *names).copied().collect();
        assert_eq!(
            (listed(&rooms, "admin:*").await, admin.len()),
            (admin.clone(), 10)
        );
        let safe = "crm:read conversations:read tickets:read knowledge:read reports:read";
        assert_eq!(listed(&rooms, safe).await.len(), 20);
        let all = listed(&rooms, ALL).await;
        assert_eq!(
            (all.len(), all.into_iter().collect::<BTreeSet<_>>()),
            (57, covered)
        );
    });
}

#[test]
fn every_tool_refuses_every_kind_of_caller_it_must() {
    run(async {
        let seeded = seeded(Place::sqlite()).await;
        let rooms = &seeded.rooms;
        let stranger = rooms.key("zeta", ALL).await;
        let limits = KeyLimits {
            read_only: true,
            ..KeyLimits::default()
        };
        let read_only = rooms.limited_key("acme", None, ALL, limits).await;
        let read_only = rooms.principal(&read_only).await;
        let mut without: BTreeMap<String, String> = BTreeMap::new();
        for tool in rooms.edition.tools() {
            let name = tool.name.as_str();
            for needed in tool.scope.scopes() {
                let needed = needed.as_str();
                if !without.contains_key(needed) {
                    let family = |held: &&str| *held != needed && !rooms_cover(&seeded, held, needed);
                    let held: Vec<&str> = ALL.split_whitespace().filter(family).collect();
                    without.insert(needed.to_owned(), rooms.key("acme", &held.join(" ")).await);
                }
                let principal = rooms.principal(&without[needed]).await;
                let refused = rooms.call_as(&principal, name, &json!({})).await;
                assert!(
                    matches!(&refused, Err(CallError::Denied(Denial::MissingScope(missing)))
                        if missing.iter().any(|scope| scope.as_str() == needed)),
                    "`{name}` without {needed}: {refused:?}"
                );
            }
            let reads = tool.effect == Effect::Read;
            assert_eq!(read_only.visible().contains(tool.index), reads, "`{name}`");
            if !reads {
                let refused = rooms.call_as(&read_only, name, &json!({})).await;
                assert!(
                    matches!(refused, Err(CallError::Denied(Denial::ReadOnly))),
                    "`{name}`"
                );
            }
            for example in &tool.examples {
                let arguments = seeded.fill(&example.arguments);
                if arguments != serde_json::to_value(&example.arguments).unwrap() {
                    let text = rooms.refusal(&stranger, name, arguments).await;
                    assert!(text.starts_with("404 Not Found: "), "`{name}`: {text}");
                }
            }
        }
    });
}

/// Whether holding the one scope is as good as holding the other.
fn rooms_cover(seeded: &Seeded, held: &str, needed: &str) -> bool {
    let scope = |text: &str| Scope::new(text).unwrap();
    seeded
        .rooms
        .edition
        .scopes
        .satisfies(&[scope(held)], &scope(needed))
}

/// Whatever a tool takes from a caller is bounded, and inputs of one name mean one thing.
#[test]
fn every_input_is_bounded() {
    run(async {
        let seeded = seeded(Place::sqlite()).await;
        let mut unbounded = BTreeSet::new();
        for tool in seeded.rooms.edition.tools() {
            let input = tool.input.as_json();
            let properties = input["properties"].as_object().unwrap();
            for (name, schema) in properties {
                let has = |key: &str| schema.get(key).is_some();
                let bounded = match schema["type"].as_str() {
                    Some("string") => has("maxLength") || has("enum"),
                    Some("integer") => has("minimum"),
                    Some("array") => has("maxItems"),
                    _ => true,
                };
                if !bounded {
                    unbounded.insert(format!("{}.{name}", tool.name));
                }
            }
            assert_eq!(input["additionalProperties"], json!(false), "{}", tool.name);
        }
        assert!(unbounded.is_empty(), "{unbounded:#?}");
    });
}

/// A list is paid for on every turn. What hosts put before a model of it (names, descriptions, inputs) stays within 9 400
/// tokens of four bytes for a key with every scope, and the whole within 15 000.
#[test]
fn the_whole_list_is_short() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        let reply = Post::to(rooms.serve(), &key, body)
            .header("mcp-protocol-version", "2025-11-25")
            .send()
            .await;
        let list = reply.json()["result"]["tools"].clone();
        let tools = list.as_array().unwrap();
        assert_eq!(tools.len(), 57);
        let read = |tool: &Value| {
            let part = json!({ "name": tool["name"], "description": tool["description"], "input_schema": tool["inputSchema"] });
            part.to_string().len()
        };
        let (read, whole) = (tools.iter().map(read).sum::<usize>(), list.to_string().len());
        assert!(read <= 9_400 * 4, "{read} bytes, about {} tokens", read / 4);
        assert!(whole <= 15_000 * 4, "{whole} bytes, about {} tokens", whole / 4);
    });
}
