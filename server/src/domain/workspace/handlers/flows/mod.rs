//! `list_flows`, `get_flow` and `trigger_flow_event`. No tool writes flows: they come by file (catalogue.md §3.5).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    domain::{
        Apply, Call, Change, DomainError, HandlerResult, Handlers, Outcome, Plan, PlanCall, ToolResult,
        workspace::{
            engine::Desk,
            events::{self, Event},
            flow::{book, gather, step::Step, trigger},
            kinds::flow::Flow,
            listing::{self, Filter, Filters},
            once::{self, Once, Seen},
            record::{Kind, Stored},
            refs,
        },
    },
    store::{ReadTx, TenantTx},
    vocabulary::Scope,
};

/// What flows are filtered by.
const FILTERS: Filters = &[
    ("enabled", "enabled", Filter::Flag),
    ("trigger", "trigger", Filter::Word),
];
/// Largest payload of an event, as JSON in bytes (catalogue.md §3.4).
const MOST_PAYLOAD: usize = 16 * 1024;

pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    let this = Arc::clone(desk);
    table.read("flows::list", move |tx, call| {
        let desk = Arc::clone(&this);
        Box::pin(async move { list(&desk, tx, call).await })
    });
    table.read("flows::get", |tx, call| Box::pin(get(tx, call)));
    table.planned(
        "flows::trigger",
        |tx, call| Box::pin(plan_trigger(tx, call)),
        |tx, apply| Box::pin(emit(tx, apply)),
    );
}

/// A flow with what is counted beside it.
async fn view(tx: &mut TenantTx<'_>, flow: &Stored<Flow>) -> Result<Map<String, Value>, DomainError> {
    let Value::Object(mut view) = flow.view()? else {
        return Ok(Map::new());
    };
    let runs_total = tx.counters().get(&book::runs_counter(&flow.id), "").await?;
    view.insert("runs_total".to_owned(), runs_total.into());
    if let Some(last) = book::runs(tx, &flow.id, 1).await?.pop() {
        let (status, at) = (last.fields().status.as_str(), last.fields().started_at);
        view.insert("last_run_at".to_owned(), json!(at));
        view.insert("last_run".to_owned(), json!({ "status": status, "at": at }));
    }
    Ok(view)
}

async fn list(desk: &Desk, tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let wanted = call.arguments.as_map().get("trigger").and_then(Value::as_str);
    if let Some(wanted) = wanted.filter(|wanted| !trigger::is_trigger(wanted)) {
        return Err(DomainError::argument(format!(
            "trigger: {}",
            trigger::no_trigger(wanted)
        )));
    }
    let page = listing::page::<Flow>(desk, tx, &call, FILTERS).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for flow in &page.items {
        items.push(view(tx, flow).await?);
    }
    let ids = page.items.iter().map(|flow| flow.id.clone());
    Ok(Outcome::structured(&json!({ "items": items, "next_cursor": page.next_cursor }))?.touching(ids))
}

async fn get(tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let arguments = call.arguments.as_map();
    let id = arguments.get("id").and_then(Value::as_str).unwrap_or_default();
    let runs = arguments.get("runs").and_then(Value::as_u64).unwrap_or(10);
    let flow = refs::get::<Flow>(&mut tx.reading(), id, true).await?;
    let mut shown = Vec::new();
    for run in book::runs(tx, &flow.id, u32::try_from(runs).unwrap_or(10)).await? {
        let fields = run.fields();
        shown.push(json!({
            "id": run.id,
            "event_id": fields.cause.id,
            "event": fields.cause.event,
            "subject": fields.cause.subject,
            "status": fields.status,
            "steps": fields.steps,
            "started_at": fields.started_at,
            "ended_at": fields.ended_at,
            "error": fields.error,
        }));
    }
    let flow_view = view(tx, &flow).await?;
    Ok(Outcome::structured(&json!({ "flow": flow_view, "runs": shown }))?.touching([flow.id]))
}

/// An event on its way to be emitted.
#[derive(Debug, Serialize, Deserialize)]
struct Emission {
    event: Option<Event>,
    /// Ids and names of the flows that it starts.
    starts: Vec<(String, String)>,
    once: Option<Once>,
    replay: Option<Value>,
}

async fn plan_trigger(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let arguments = call.arguments.as_map();
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = text(arguments.get("event"));
    if !trigger::is_custom(&name) {
        return Err(DomainError::Rule(if trigger::BUILTIN.contains(&name.as_str()) {
            format!(
                "{name} is an event of the workspace itself and cannot be emitted by hand; use custom.<name>"
            )
        } else {
            "event: must be custom. and 1 to 60 of a-z, 0-9, _ and .".to_owned()
        }));
    }
    let payload = arguments.get("payload").cloned().unwrap_or_else(|| json!({}));
    if payload.to_string().len() > MOST_PAYLOAD {
        return Err(DomainError::argument(format!(
            "payload: must have at most {MOST_PAYLOAD} bytes as JSON"
        )));
    }
    let tool = call.grant.tool().name.as_str();
    let (once, replay) = match once::look(tx, call.principal(), tool, arguments, call.now).await? {
        Seen::NoKey => (None, None),
        Seen::New(once) => (Some(once), None),
        Seen::Before(result) => (None, Some(result)),
    };
    if replay.is_some() {
        let carried = Emission {
            event: None,
            starts: Vec::new(),
            once,
            replay,
        };
        return Plan::new("This call was made before; it gives the same result and starts nothing")
            .carrying(&carried);
    }
    let subject = match arguments.get("subject") {
        Some(subject) => subject_of(tx, &call, subject).await?,
        None => (String::new(), String::new()),
    };
    let event = Event {
        name,
        subject,
        data: payload,
        before: None,
        depth: 0,
        flow: None,
    };
    let found = book::Enabled::default()
        .matching(tx, &event, &mut gather::Seen::default())
        .await?;
    let scope = Scope::new(Flow::READ).map_err(DomainError::internal)?;
    let reader = call.reader(&scope);
    let mut plan = Plan::new(format!("Emit event {}", event.name));
    if found.is_empty() {
        plan = plan.with_warning("no enabled flow waits for it; nothing will happen");
    }
    for flow in &found {
        let name = reader.text(&flow.definition.name);
        plan = plan
            .with(Change::run(Flow::NAME, Some(flow.id.clone())))
            .with_effect(format!(
                "starts flow \"{name}\" ({})",
                steps(&flow.definition.steps)
            ));
    }
    plan.carrying(&Emission {
        event: Some(event),
        starts: found
            .into_iter()
            .map(|flow| (flow.id, flow.definition.name.clone()))
            .collect(),
        once,
        replay,
    })
}

/// What steps do, in a few words: `webhook, add_internal_note`.
fn steps(steps: &[Step]) -> String {
    steps.iter().map(Step::action).collect::<Vec<_>>().join(", ")
}

async fn subject_of(
    tx: &mut ReadTx<'_>,
    call: &PlanCall,
    subject: &Value,
) -> Result<(String, String), DomainError> {
    let text = |name: &str| subject.get(name).and_then(Value::as_str).unwrap_or_default();
    let (kind, id) = (text("type"), text("id"));
    let info = refs::kind(kind)?;
    let scope = Scope::new(info.read).map_err(DomainError::internal)?;
    let named = refs::record(tx, info, id, call.reader(&scope).shows()).await?;
    Ok((kind.to_owned(), named.id))
}

async fn emit(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let emission: Emission = apply.plan.payload()?;
    if let Some(result) = emission.replay {
        return once::replayed(result);
    }
    let event = emission
        .event
        .ok_or_else(|| DomainError::argument("event: is missing"))?;
    let event_id = events::emit(tx, event).await?;
    let at = tx.now();
    let matched: Vec<Value> = emission
        .starts
        .iter()
        .map(|(flow, name)| json!({ "flow_id": flow, "name": name, "run_id": book::run_of(&event_id, at, flow) }))
        .collect();
    let result = json!({ "event_id": event_id, "matched": matched });
    once::answer(tx, emission.once.as_ref(), result, [event_id]).await
}
