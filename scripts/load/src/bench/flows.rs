//! Flows of the workspace edition: runs a second, sustained.
//!
//! In: our binary. Out: in how many seconds a thousand runs begin, add a note to a lead and end, from the first event until the
//! last run is over. The events come in through the tool, as a client sends them; every one of them starts every flow.

use super::{Samples, Settings, progress};
use crate::ours;
use crate::process::{Running, free_port, wait_for_port};
use crate::report::{Row, Section, Target as Goal};
use crate::wire::{Call, Era, Failure, Target, call_once, tool_result};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Flows that wait for each event.
const FLOWS: usize = 50;
/// Events of a round, and with `--quick`.
const EVENTS: (usize, usize) = (400, 60);
/// For all runs of a round to end.
const PATIENCE: Duration = Duration::from_secs(600);
/// The figure to reach: seconds for a thousand runs.
const MOST_SECONDS: f64 = 1.0;

/// Measures the section.
pub(super) fn measure(settings: &Settings) -> Result<Section, Failure> {
    let mut section = Section::new("Flows (workspace edition, embedded store)", "wanted");
    if settings.against_itself {
        section
            .not_measured
            .push("everything: there is no yardstick to set against itself".to_owned());
        return Ok(section);
    }
    if let Some(reason) = settings.missing(&settings.server) {
        section.not_measured.push(format!("everything: {reason}"));
        return Ok(section);
    }
    let events = if settings.quick { EVENTS.1 } else { EVENTS.0 };
    let mut samples = Samples::default();
    for round in 0..settings.rounds() {
        progress(&format!("flows: round {} of {}", round + 1, settings.rounds()));
        samples.add("runs", one_round(settings, events)?);
    }
    section.rows.push(Row::new(
        &format!(
            "1 000 of {} runs that each add a note to a lead: s",
            events * FLOWS
        ),
        samples.get("runs"),
        Vec::new(),
        Goal::AtMost(MOST_SECONDS),
    ));
    Ok(section)
}

fn one_round(settings: &Settings, events: usize) -> Result<f64, Failure> {
    let data = settings.folder("data-flows")?;
    let product = ours::Server::for_workspace(&settings.server, &data)?;
    let key = product.mint_for("workspace", &[])?.secret;
    for n in 0..FLOWS {
        let file = data.join(format!("flow-{n}.json"));
        let flow = json!({
            "name": format!("Flow {n}"), "trigger": "custom.load",
            "steps": [{ "action": "add_internal_note", "body": "Seen {{payload.n}} of {{lead.name}}" }],
        });
        std::fs::write(&file, flow.to_string())?;
        product.add_flow(&file, &format!("Flow {n}"))?;
    }
    let port = free_port()?;
    let serve = product.serve(settings.cores.tested, port);
    let mut running = Running::start("the server", serve, &settings.log("flows"))?;
    wait_for_port(&mut running, port)?;
    let target = Target::parse(&format!("http://127.0.0.1:{port}/workspace/mcp"), Some(key))?;
    let lead = confirmed(&target, "create_lead", &json!({ "name": "Load" }))?;
    let lead = lead.pointer("/lead/id").cloned().unwrap_or(Value::Null);
    let from = Instant::now();
    for n in 0..events {
        let subject = json!({ "type": "lead", "id": lead });
        let event = json!({ "event": "custom.load", "subject": subject, "payload": { "n": n } });
        confirmed(&target, "trigger_flow_event", &event)?;
    }
    wait_for_runs(&target, events)?;
    let seconds = from.elapsed().as_secs_f64();
    running.stop();
    std::fs::remove_dir_all(&data)?;
    Ok(seconds * 1e3 / (events * FLOWS) as f64)
}

/// A call and the yes to it; gives the result.
fn confirmed(target: &Target, tool: &str, arguments: &Value) -> Result<Value, Failure> {
    let mut arguments = arguments.clone();
    let asked = call(target, tool, &arguments)?;
    let token = asked.get("confirmation_token").cloned();
    let token = token.ok_or_else(|| format!("`{tool}` asked for nothing: {asked}"))?;
    if let Some(map) = arguments.as_object_mut() {
        map.insert("confirmation_token".to_owned(), token);
    }
    let done = call(target, tool, &arguments)?;
    let result = done.get("result").cloned();
    result.ok_or_else(|| format!("`{tool}` was not carried out: {done}").into())
}

fn call(target: &Target, tool: &str, arguments: &Value) -> Result<Value, Failure> {
    let call = Call::tool(Era::Modern, tool, &arguments.to_string());
    tool_result(&call_once(target, &call, PATIENCE)?)
}

/// Returns when every flow has had all its runs and the last of each is over.
fn wait_for_runs(target: &Target, events: usize) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        let listed = call(target, "list_flows", &json!({ "limit": 100 }))?;
        let flows = listed.get("items").and_then(Value::as_array);
        let flows = flows.ok_or_else(|| format!("no list of flows: {listed}"))?;
        let is_done = |flow: &Value| {
            let runs = flow.get("runs_total").and_then(Value::as_u64);
            let status = flow.pointer("/last_run/status").and_then(Value::as_str);
            runs == Some(events as u64) && status == Some("succeeded")
        };
        if flows.len() == FLOWS && flows.iter().all(is_done) {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("the runs have not ended in {} s", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
