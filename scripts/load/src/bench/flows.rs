//! Flows of the workspace edition: runs a second, sustained.
//!
//! In: our binary. Out: how many runs a second begin, look at a condition, add a note to a lead and end, from the first event
//! until the last run is over, on each engine. The events come in through the tool, as a client sends them, each previewed
//! and confirmed; every one of them starts every flow.

use super::workspace::place::Place;
use super::{Engine, Samples, Settings, progress};
use crate::process::{Running, free_port, wait_for_port};
use crate::report::{Row, Section, Target as Goal};
use crate::wire::{Call, Era, FIRST_ID, Failure, Target, call_once, check, exchange, tool_result};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Flows that wait for each event.
const FLOWS: usize = 20;
/// Events of a round, and with `--quick`.
const EVENTS: (usize, usize) = (1_000, 100);
/// Clients that send them.
const CLIENTS: usize = 4;
/// For all runs of a round to end.
const PATIENCE: Duration = Duration::from_secs(600);
/// The figure to reach.
const RUNS_PER_SECOND: f64 = 1_000.0;

/// Measures the section on one engine.
pub(super) fn measure(settings: &Settings, engine: Engine) -> Result<Section, Failure> {
    let title = format!("Flows of the workspace edition on {}", engine.name());
    let mut section = Section::new(&title, "wanted");
    if settings.leaves_out(&mut section) {
        return Ok(section);
    }
    let events = if settings.quick { EVENTS.1 } else { EVENTS.0 };
    section.notes.push(format!(
        "{events} events of {CLIENTS} clients, {FLOWS} runs each: a condition, a note on the event's lead; limit of runs an hour raised"
    ));
    match Place::of(settings, engine, "flows") {
        Ok(place) => on(settings, &mut section, place, events)?,
        Err(reason) => section.not_measured.push(format!("everything: {reason}")),
    }
    Ok(section)
}

fn on(settings: &Settings, section: &mut Section, place: Place, events: usize) -> Result<(), Failure> {
    let key = place.product.mint_for("workspace", &[])?.secret;
    for n in 0..FLOWS {
        let name = format!("Flow {n}");
        let flow = json!({
            "name": name, "trigger": "custom.load",
            "conditions": [{ "field": "payload.n", "op": "gte", "value": 0 }],
            "steps": [{ "action": "add_internal_note", "body": "Seen {{payload.n}} of {{lead.name}}" }],
        });
        let file = settings.work.join("flow.json");
        std::fs::write(&file, flow.to_string())?;
        place.product.add_flow(&file, &name)?;
    }
    let port = free_port()?;
    let serve = place.product.serve(settings.cores.tested, port);
    let mut running = Running::start(
        "the server",
        serve,
        &settings.log(&format!("flows-{}", place.engine.name())),
    )?;
    wait_for_port(&mut running, port)?;
    let target = Target::parse(&format!("http://127.0.0.1:{port}/workspace/mcp"), Some(key))?;
    let mut samples = Samples::default();
    let rounds = settings.rounds();
    for round in 0..rounds {
        progress(&format!(
            "flows: {}, round {} of {rounds}",
            place.engine.name(),
            round + 1
        ));
        let seconds = one_round(&target, events, (round + 1) * events)?;
        samples.add("runs", (events * FLOWS) as f64 / seconds);
    }
    section.rows.push(Row::new(
        "runs a second",
        samples.get("runs"),
        vec![RUNS_PER_SECOND],
        Goal::RatioAtLeast(1.0),
    ));
    running.stop();
    place.remove()
}

/// Sends the events and waits until all their runs are over; gives the seconds.
fn one_round(target: &Target, events: usize, runs_each: usize) -> Result<f64, Failure> {
    let mut stream = target.connect()?;
    let lead = confirmed(&mut stream, target, "create_lead", &json!({ "name": "Load" }))?;
    let lead = lead.pointer("/lead/id").cloned().unwrap_or(Value::Null);
    let from = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let lead = &lead;
                scope.spawn(move || -> Result<(), Failure> {
                    let mut stream = target.connect()?;
                    for n in (client..events).step_by(CLIENTS) {
                        let subject = json!({ "type": "lead", "id": lead });
                        let event =
                            json!({ "event": "custom.load", "subject": subject, "payload": { "n": n } });
                        confirmed(&mut stream, target, "trigger_flow_event", &event)?;
                    }
                    Ok(())
                })
            })
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| Failure::from("a client panicked"))?)
    })?;
    wait_for_runs(target, runs_each)?;
    Ok(from.elapsed().as_secs_f64())
}

/// A call and the yes to it; gives the result.
fn confirmed(
    stream: &mut TcpStream,
    target: &Target,
    tool: &str,
    arguments: &Value,
) -> Result<Value, Failure> {
    let mut arguments = arguments.clone();
    let asked = call(stream, target, tool, &arguments)?;
    let token = asked.get("confirmation_token").cloned();
    let token = token.ok_or_else(|| format!("`{tool}` asked for nothing: {asked}"))?;
    if let Some(map) = arguments.as_object_mut() {
        map.insert("confirmation_token".to_owned(), token);
    }
    let done = call(stream, target, tool, &arguments)?;
    let result = done.get("result").cloned();
    result.ok_or_else(|| format!("`{tool}` was not carried out: {done}").into())
}

fn call(stream: &mut TcpStream, target: &Target, tool: &str, arguments: &Value) -> Result<Value, Failure> {
    let call = Call::tool(Era::Modern, tool, &arguments.to_string());
    let (status, body) = exchange(stream, &call.request(target, FIRST_ID), PATIENCE)?;
    if status != 200 {
        return Err(format!("`{tool}`: HTTP {status}").into());
    }
    check(&body, FIRST_ID)?;
    tool_result(&body)
}

/// Returns when every flow has had all its runs and the last of each is over.
fn wait_for_runs(target: &Target, runs_each: usize) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        let call = Call::tool(Era::Modern, "list_flows", &json!({ "limit": 100 }).to_string());
        let listed = tool_result(&call_once(target, &call, PATIENCE)?)?;
        let flows = listed.get("items").and_then(Value::as_array);
        let flows = flows.ok_or_else(|| format!("no list of flows: {listed}"))?;
        let is_done = |flow: &Value| {
            let runs = flow.get("runs_total").and_then(Value::as_u64);
            let status = flow.pointer("/last_run/status").and_then(Value::as_str);
            runs == Some(runs_each as u64) && status == Some("succeeded")
        };
        // A new workspace has flows of its own, which nothing here sets off.
        if flows.iter().filter(|flow| is_done(flow)).count() == FLOWS {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("the runs have not ended in {} s: {listed}", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
