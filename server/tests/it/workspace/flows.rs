//! Flows: an event starts runs, steps change records and tell receivers, once; on both engines.

use std::sync::Arc;

use footbridge_server::{
    domain::workspace::flow::{definition::Definition, hook::Hooks},
    operate::{Actor, OperateError, flows},
    outgoing::SigningKey,
    policy::SealKey,
    store::{JobState, Record, RecordQuery},
    vocabulary::Timestamp,
};
use serde_json::{Value, json};

use super::house::{ALL, Rooms};
use crate::{
    outbox::{Heard, receiver},
    store::harness::{Place, for_each_engine, read, run, tenant, write},
};

const HOUR_MS: i64 = 60 * 60 * 1000;

/// Puts a flow in and switches it on.
pub(super) async fn put(rooms: &Rooms, flow: Value) -> String {
    let definition = Definition::of(&flow).unwrap();
    let acme = tenant("acme");
    let row = flows::apply(&rooms.store, &Actor::Operator, &acme, definition)
        .await
        .unwrap();
    assert!(!row.enabled, "new flows are switched off");
    flows::switch(&rooms.store, &Actor::Operator, &acme, &row.id, true)
        .await
        .unwrap();
    row.id
}

/// Carries flows out until nothing is due.
pub(super) async fn settle(rooms: &Rooms) {
    while rooms.workspace.carry_out_flows().await.unwrap() > 0 {}
}

async fn records(rooms: &Rooms, kind: &'static str) -> Vec<Value> {
    let page = read(&rooms.store, "acme", move |tx| {
        Box::pin(async move {
            let query = RecordQuery {
                descending: false,
                limit: 100,
                ..RecordQuery::default()
            };
            tx.records(kind).list(&query).await
        })
    })
    .await;
    page.records
        .iter()
        .map(|record: &Record| serde_json::from_str(&record.doc).unwrap())
        .collect()
}

pub(super) async fn runs(rooms: &Rooms, key: &str, flow: &str) -> Vec<Value> {
    let got = rooms
        .call(key, "get_flow", json!({ "id": flow, "runs": 50 }))
        .await;
    got["runs"].as_array().unwrap().clone()
}

async fn lead(rooms: &Rooms, key: &str, name: &str, value: i64) -> Value {
    let arguments = json!({ "name": name, "value_cents": value, "on_duplicate": "create" });
    rooms.confirmed(key, "create_lead", arguments).await["lead"].clone()
}

fn bodies(heard: &Heard) -> Vec<Value> {
    heard
        .lock()
        .iter()
        .map(|(_, body)| serde_json::from_str(body).unwrap())
        .collect()
}

#[test]
fn a_webhook_arrives_signed_is_retried_and_counts_once() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let (url, heard) = receiver(vec!["500 Oops", "503 Busy"]).await;
        let flow = put(
            &rooms,
            json!({
                "name": "Big lead", "trigger": "lead.created",
                "conditions": [{ "field": "lead.value_cents", "op": "gte", "value": 1000 }],
                "steps": [
                    { "action": "webhook", "url": url },
                    { "action": "add_internal_note", "body": "Told sales of {{lead.name}}{{lead.phone}}" },
                ],
            }),
        )
        .await;
        lead(&rooms, &key, "Small", 10).await;
        let big = lead(&rooms, &key, "Big", 5_000).await;
        settle(&rooms).await;
        assert_eq!(heard.lock().len(), 1);
        let log = runs(&rooms, &key, &flow).await;
        assert_eq!(log.len(), 1, "{log:?}");
        assert_eq!(
            (log[0]["status"].as_str(), log[0]["steps"][0]["attempts"].as_i64()),
            (Some("waiting"), Some(1))
        );
        assert_eq!(log[0]["steps"][0]["error"], "the webhook answered 500");
        settle(&rooms).await;
        assert_eq!(heard.lock().len(), 1, "it is not tried before its time");
        for _ in 0..2 {
            rooms.clock.advance(HOUR_MS);
            settle(&rooms).await;
        }
        // Two that failed and one that was taken, all under one id; then nothing more.
        rooms.clock.advance(24 * HOUR_MS);
        settle(&rooms).await;
        let told = bodies(&heard);
        assert_eq!(told.len(), 3);
        let id = told[0]["id"].as_str().unwrap();
        assert!(id.starts_with("run_") && told.iter().all(|body| body["id"] == id));
        assert_eq!(told[2]["event"], "lead.created");
        assert_eq!(told[2]["tenant"], "acme");
        assert_eq!(told[2]["data"]["lead"]["id"], big["id"]);
        let secret = Hooks::secret(&SealKey::new([7; 32]), &tenant("acme"));
        for (head, body) in heard.lock().iter() {
            let header = |name: &str| {
                let line = head.lines().find(|line| line.starts_with(name)).unwrap();
                line.split_once(": ").unwrap().1.to_owned()
            };
            assert_eq!(header("idempotency-key:"), id);
            let signature = header("x-footbridge-signature:");
            let seconds: i64 = signature[2..].split(',').next().unwrap().parse().unwrap();
            assert_eq!(
                signature,
                SigningKey::new(&secret).sign(Timestamp(seconds * 1000), body)
            );
        }
        let log = runs(&rooms, &key, &flow).await;
        assert_eq!(log[0]["status"], "succeeded", "{log:?}");
        assert_eq!(log[0]["steps"][0]["attempts"], 3);
        assert_eq!(log[0]["steps"][0]["input"], json!({ "host": "127.0.0.1" }));
        let notes = records(&rooms, "crm_note").await;
        assert_eq!(notes.len(), 1);
        assert_eq!(
            (&notes[0]["body"], &notes[0]["object_id"]),
            (&json!("Told sales of Big"), &big["id"])
        );
    });
}

#[test]
fn an_event_that_is_read_twice_starts_a_flow_once() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let (url, heard) = receiver(vec![]).await;
        let flow = put(
            &rooms,
            json!({ "name": "Hook", "trigger": "lead.created", "steps": [{ "action": "webhook", "url": url }] }),
        )
        .await;
        lead(&rooms, &key, "Ada", 1).await;
        let event = |rooms: &Rooms| {
            let store = rooms.store.clone();
            async move {
                read(&store, "acme", |tx| {
                    Box::pin(async move { tx.jobs().list("workspace.event", JobState::Queued, 10).await })
                })
                .await
            }
        };
        let job = event(&rooms).await.pop().unwrap();
        settle(&rooms).await;
        // The worker's transaction came through and its answer did not: the same event again.
        let again = footbridge_server::store::NewJob {
            id: job.id.clone(),
            queue: job.queue.clone(),
            payload: job.payload.clone(),
            run_at: job.run_at,
            max_attempts: 3,
        };
        write(&rooms.store, "acme", move |tx| {
            Box::pin(async move { tx.jobs().enqueue(&again).await.map(drop) })
        })
        .await;
        settle(&rooms).await;
        assert_eq!(heard.lock().len(), 1);
        assert_eq!(runs(&rooms, &key, &flow).await.len(), 1);
        assert!(event(&rooms).await.is_empty());
    });
}

#[test]
fn events_are_done_together_in_their_order_and_what_one_flow_breaks_stays_with_it() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let note = put(
            &rooms,
            json!({ "name": "Note", "trigger": "custom.*", "steps": [{ "action": "add_internal_note", "body": "{{payload.n}}" }] }),
        )
        .await;
        let broken = put(
            &rooms,
            json!({
                "name": "Broken", "trigger": "custom.*",
                "conditions": [{ "field": "payload.n", "op": "eq", "value": 3 }],
                "steps": [
                    { "action": "add_internal_note", "body": "goes with what follows" },
                    { "action": "update_field", "field": "lead.status", "value": "{{payload.word}}" },
                ],
            }),
        )
        .await;
        let ada = lead(&rooms, &key, "Ada", 1).await;
        settle(&rooms).await;
        let trigger = async |numbers: std::ops::Range<i64>| {
            for n in numbers {
                let subject = json!({ "type": "lead", "id": ada["id"] });
                let event = json!({ "event": "custom.a", "subject": subject, "payload": { "n": n, "word": "converted" } });
                rooms.confirmed(&key, "trigger_flow_event", event).await;
                rooms.clock.advance(1);
            }
        };
        let written = async || -> Vec<String> {
            let notes = records(&rooms, "crm_note").await;
            notes
                .iter()
                .map(|note| note["body"].as_str().unwrap().to_owned())
                .collect()
        };
        trigger(0..3).await;
        settle(&rooms).await;
        assert_eq!(written().await, ["0", "1", "2"]);
        // One transaction made them, from the run's beginning to its end.
        let log = runs(&rooms, &key, &note).await;
        assert!(
            log.iter()
                .all(|run| run["status"] == "succeeded" && run["started_at"] == run["ended_at"])
        );
        assert!(
            log.iter().all(|run| run["started_at"] == log[0]["started_at"]),
            "{log:?}"
        );
        trigger(3..6).await;
        settle(&rooms).await;
        // Each was done by itself, at one moment of this clock. The step before the broken one stands.
        let mut bodies = written().await;
        bodies.sort_unstable();
        assert_eq!(bodies, ["0", "1", "2", "3", "4", "5", "goes with what follows"]);
        assert_eq!(runs(&rooms, &key, &note).await.len(), 6);
        let log = runs(&rooms, &key, &broken).await;
        assert_eq!((log.len(), &log[0]["status"]), (1, &json!("failed")));
        assert!(
            log[0]["error"].as_str().unwrap().starts_with("step 2: "),
            "{log:?}"
        );
        assert_eq!(records(&rooms, "lead").await[0]["status"], "new");
        let listed = rooms
            .call(&key, "list_flows", json!({ "trigger": "custom.*" }))
            .await;
        let items = listed["items"].as_array().unwrap().iter();
        let mut totals: Vec<_> = items.map(|flow| flow["runs_total"].as_i64().unwrap()).collect();
        totals.sort_unstable();
        assert_eq!(totals, [1, 6], "{listed}");
    });
}

#[test]
fn a_step_that_never_succeeds_fails_after_five_more_attempts() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        let (url, heard) = receiver(vec!["404 No"; 10]).await;
        let flow = put(
            &rooms,
            json!({ "name": "Hook", "trigger": "lead.created", "steps": [
                { "action": "webhook", "url": url }, { "action": "add_internal_note", "body": "never" }] }),
        )
        .await;
        lead(&rooms, &key, "Ada", 1).await;
        for _ in 0..10 {
            settle(&rooms).await;
            rooms.clock.advance(2 * HOUR_MS);
        }
        assert_eq!(heard.lock().len(), 6);
        let log = runs(&rooms, &key, &flow).await;
        assert_eq!(log[0]["status"], "failed");
        assert_eq!(log[0]["error"], "step 1: the webhook answered 404");
        assert_eq!(log[0]["steps"][1]["status"], "pending");
        assert!(records(&rooms, "crm_note").await.is_empty());
    });
}

#[test]
fn pauses_fields_and_mails_happen_in_their_order() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let flow = put(
            &rooms,
            json!({
                "name": "Welcome", "trigger": "lead.created",
                "steps": [
                    { "action": "update_field", "field": "lead.tags", "value": "welcomed" },
                    { "action": "update_field", "field": "lead.owner", "value": "ben@acme.test" },
                    { "action": "send_email", "to": "{{lead.email}}", "subject": "Hello {{lead.name}}", "body": "Hi" },
                    { "action": "wait", "duration": "3d" },
                    { "action": "update_field", "field": "lead.status", "value": "working" },
                    { "action": "update_field", "field": "lead.status", "value": "{{lead.title}}" },
                ],
            }),
        )
        .await;
        let arguments = json!({ "name": "Ada", "email": "ada@analytical.test", "title": "converted" });
        rooms.confirmed(&key, "create_lead", arguments).await;
        settle(&rooms).await;
        let lead = records(&rooms, "lead").await.remove(0);
        assert_eq!(
            (&lead["tags"], &lead["owner"], &lead["status"]),
            (&json!(["welcomed"]), &json!("usr_ben"), &json!("new"))
        );
        let mails = read(&rooms.store, "acme", |tx| {
            Box::pin(async move { tx.jobs().list("outbox", JobState::Queued, 10).await })
        })
        .await;
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].payload["event"]["letter"]["subject"], "Hello Ada");
        rooms.clock.advance(71 * HOUR_MS);
        settle(&rooms).await;
        assert_eq!(runs(&rooms, &key, &flow).await[0]["status"], "waiting");
        rooms.clock.advance(2 * HOUR_MS);
        settle(&rooms).await;
        // What only `convert_lead` does, no flow does.
        let log = runs(&rooms, &key, &flow).await;
        assert_eq!(log[0]["status"], "failed", "{log:?}");
        assert_eq!(log[0]["steps"][4]["status"], "succeeded");
        assert_eq!(log[0]["steps"][2]["input"]["to"], "…@analytical.test");
        assert_eq!(records(&rooms, "lead").await[0]["status"], "working");
    });
}

#[test]
fn a_flow_that_starts_itself_ends_at_depth_five() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        let flow = put(
            &rooms,
            json!({ "name": "Echo", "trigger": "ticket.created", "steps": [{ "action": "create_ticket", "title": "Again {{ticket.number}}" }] }),
        )
        .await;
        put(
            &rooms,
            json!({ "name": "First", "trigger": "custom.start", "steps": [{ "action": "create_ticket", "title": "First" }] }),
        )
        .await;
        rooms
            .confirmed(&key, "trigger_flow_event", json!({ "event": "custom.start" }))
            .await;
        settle(&rooms).await;
        let log = runs(&rooms, &key, &flow).await;
        let of = |status: &str| log.iter().filter(|run| run["status"] == status).count();
        assert_eq!((of("succeeded"), of("skipped"), log.len()), (4, 1, 5));
        assert!(log.iter().any(|run| run["error"] == "loop"));
        let tickets = records(&rooms, "ticket").await;
        let mut numbers: Vec<_> = tickets
            .iter()
            .filter_map(|ticket| ticket["number"].as_i64())
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
    });
}

#[test]
fn more_runs_than_an_hour_allows_are_skipped_and_say_so() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        let flow = put(
            &rooms,
            json!({ "name": "Tag", "trigger": "custom.*", "steps": [{ "action": "add_internal_note", "body": "x" }] }),
        )
        .await;
        write(&rooms.store, "acme", |tx| {
            Box::pin(async move {
                let hour = (tx.now().as_millis() / HOUR_MS).to_string();
                tx.counters()
                    .add("workspace.runs", &hour, 1_000, None)
                    .await
                    .map(drop)
            })
        })
        .await;
        rooms
            .confirmed(&key, "trigger_flow_event", json!({ "event": "custom.a" }))
            .await;
        settle(&rooms).await;
        rooms.clock.advance(HOUR_MS);
        rooms
            .confirmed(&key, "trigger_flow_event", json!({ "event": "custom.b" }))
            .await;
        settle(&rooms).await;
        let log = runs(&rooms, &key, &flow).await;
        // The event has no record that takes notes.
        assert_eq!(
            (&log[0]["status"], &log[1]["status"]),
            (&json!("failed"), &json!("skipped"))
        );
        assert_eq!(log[1]["error"], "more than 1000 runs in an hour");
    });
}

#[test]
fn a_custom_event_previews_the_flows_that_it_starts() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let ada = lead(&rooms, &key, "Ada", 1).await;
        let flow = put(
            &rooms,
            json!({
                "name": "Release", "trigger": "custom.release",
                "conditions": [{ "field": "payload.version", "op": "starts_with", "value": "2." }],
                "steps": [{ "action": "add_internal_note", "body": "Version {{payload.version}} for {{lead.name}}" }],
            }),
        )
        .await;
        let arguments = json!({
            "event": "custom.release", "subject": { "type": "lead", "id": ada["id"] }, "payload": { "version": "2.1" },
            "idempotency_key": "release-2.1",
        });
        let asked = rooms.preview(&key, "trigger_flow_event", arguments.clone()).await;
        assert_eq!(
            asked["preview"]["effects"],
            json!(["starts flow \"Release\" (add_internal_note)"])
        );
        assert_eq!(asked["preview"]["changes"][0]["id"], flow);
        let done = rooms
            .confirmed(&key, "trigger_flow_event", arguments.clone())
            .await;
        assert_eq!(done["matched"][0]["name"], "Release");
        settle(&rooms).await;
        let log = runs(&rooms, &key, &flow).await;
        assert_eq!(
            (&log[0]["id"], &log[0]["event_id"]),
            (&done["matched"][0]["run_id"], &done["event_id"])
        );
        assert_eq!(
            records(&rooms, "crm_note").await[0]["body"],
            "Version 2.1 for Ada"
        );
        // The same key gives the same result and starts nothing.
        let again = rooms.confirmed(&key, "trigger_flow_event", arguments).await;
        assert_eq!(
            (&again["event_id"], &again["replayed"]),
            (&done["event_id"], &json!(true))
        );
        settle(&rooms).await;
        assert_eq!(runs(&rooms, &key, &flow).await.len(), 1);
        let other = json!({ "event": "custom.release", "payload": { "version": "1.0" } });
        let asked = rooms.preview(&key, "trigger_flow_event", other).await;
        assert_eq!(
            asked["preview"]["warnings"][0],
            "no enabled flow waits for it; nothing will happen"
        );
        // Whoever may start flows and not read them learns no names.
        let blind = rooms.key("acme", "flows:trigger").await;
        let asked = rooms
            .preview(
                &blind,
                "trigger_flow_event",
                json!({ "event": "custom.release", "payload": { "version": "2.2" } }),
            )
            .await;
        assert!(!asked.to_string().contains("\\\"Release\\\""), "{asked}");
        for (bad, said) in [
            (
                json!({ "event": "ticket.created" }),
                "422 Unprocessable: ticket.created is an event of the workspace itself",
            ),
            (
                json!({ "event": "custom.A" }),
                "422 Unprocessable: event: must be custom.",
            ),
            (
                json!({ "event": "custom.a", "payload": { "x": "y".repeat(17_000) } }),
                "400 Bad Request: payload: must have at most",
            ),
            (
                json!({ "event": "custom.a", "subject": { "type": "lead" } }),
                "400 Bad Request: subject.id: is required",
            ),
            (
                json!({ "event": "custom.a", "subject": { "type": "lead", "id": "lead_x" } }),
                "404 Not Found: lead lead_x",
            ),
        ] {
            let refused = rooms.refusal(&key, "trigger_flow_event", bad).await;
            assert!(refused.starts_with(said), "{refused}");
        }
    });
}

#[test]
fn flows_are_listed_filtered_and_rehearsed() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        let acme = tenant("acme");
        let note = |name: &str, trigger: &str| json!({ "name": name, "trigger": trigger, "steps": [{ "action": "add_internal_note", "body": "{{lead.name}}" }] });
        put(&rooms, note("A", "lead.created")).await;
        let off = Definition::of(&note("B", "ticket.created")).unwrap();
        flows::apply(&rooms.store, &Actor::Operator, &acme, off)
            .await
            .unwrap();
        // Another definition under the name of one that is there replaces it and leaves its switch.
        let again = Definition::of(&note("a", "lead.created")).unwrap();
        let row = flows::apply(&rooms.store, &Actor::Operator, &acme, again)
            .await
            .unwrap();
        assert!(row.enabled && row.name == "a");
        lead(&rooms, &key, "Ada", 1).await;
        settle(&rooms).await;
        let names = |list: Value| super::house::column(&list, "name");
        assert_eq!(
            names(rooms.call(&key, "list_flows", json!({ "enabled": false })).await),
            ["B"]
        );
        let refused = rooms
            .refusal(&key, "list_flows", json!({ "trigger": "lead.updated" }))
            .await;
        assert!(
            refused.contains("trigger: `lead.updated` is no event; use one of lead.created,"),
            "{refused}"
        );
        let listed = rooms
            .call(&key, "list_flows", json!({ "trigger": "lead.created" }))
            .await;
        assert_eq!(listed["items"][0]["last_run"]["status"], "succeeded");
        assert_eq!(
            (
                &listed["items"][0]["runs_total"],
                &listed["items"].as_array().unwrap().len()
            ),
            (&json!(1), &1)
        );
        let event = json!({ "event": "lead.created", "subject": { "type": "lead", "id": "x" }, "data": { "name": "Bob" } });
        let found = flows::rehearse(&rooms.store, &acme, event).await.unwrap();
        assert_eq!(
            found[0].steps,
            [json!({ "action": "add_internal_note", "body": "Bob" })]
        );
        assert_eq!(
            records(&rooms, "crm_note").await.len(),
            1,
            "nothing is carried out"
        );
        let bad = flows::rehearse(&rooms.store, &acme, json!({ "event": "lead.gone" })).await;
        assert!(matches!(bad, Err(OperateError::Rule(text)) if text.contains("`lead.gone` is no event")));
    });
}

#[tokio::test]
async fn a_running_workspace_carries_flows_out_by_itself() {
    let rooms = Rooms::with(Place::sqlite()).await;
    let key = rooms.key("acme", ALL).await;
    let (url, heard) = receiver(vec![]).await;
    put(
        &rooms,
        json!({ "name": "Hook", "trigger": "lead.created", "steps": [{ "action": "webhook", "url": url }] }),
    )
    .await;
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&rooms.workspace).run(stop.clone()));
    lead(&rooms, &key, "Ada", 1).await;
    while heard.lock().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    stop.cancel();
    running.await.unwrap();
}
