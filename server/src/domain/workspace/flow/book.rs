//! The flows of a tenant: put in by file, switched on and off, found by their events.

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    definition::Definition,
    facts::Facts,
    gather::{self, Seen},
    run::{Run, run_id},
    trigger,
};
use crate::{
    domain::{
        DomainError,
        workspace::{
            events::Event,
            kinds::flow::Flow,
            record::{self, Document, Kind, Stored, Who},
            refs,
        },
    },
    store::{Condition, FieldValue, ReadTx, RecordQuery, TenantTx},
    vocabulary::Timestamp,
};

/// Most flows of a tenant: each event looks at all that wait for it.
const MOST_FLOWS: u32 = 200;

/// A flow as operators see it in a list.
#[derive(Clone, Debug, Serialize)]
pub struct FlowRow {
    /// Identity.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it runs.
    pub enabled: bool,
    /// The event that it waits for.
    pub trigger: String,
    /// How many steps it has.
    pub steps: usize,
    /// How often it ran.
    pub runs_total: i64,
    /// When it last ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_at: Option<Timestamp>,
    /// How that ended, or stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<&'static str>,
}

/// What an event would start.
#[derive(Clone, Debug, Serialize)]
pub struct Rehearsal {
    /// The flow.
    pub flow: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// The first condition that does not hold; absent: all hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    /// The steps as they would be carried out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Value>,
}

/// A run as people read it.
#[derive(Clone, Debug, Serialize)]
pub struct RunRow {
    /// Identity.
    pub id: String,
    /// What it was, step by step.
    #[serde(flatten)]
    pub run: Run,
}

/// The counter of a flow's runs.
pub(crate) fn runs_counter(flow: &str) -> String {
    format!("workspace.runs.{flow}")
}

/// Puts a flow in: a new one, switched off, or another definition for the one of that name, which stays as it is switched.
///
/// # Errors
/// When a tenant has too many.
pub async fn apply(
    tx: &mut TenantTx<'_>,
    definition: &Definition,
    who: &str,
) -> Result<FlowRow, DomainError> {
    let who = Who::person(who);
    let name = FieldValue::from(record::fold(&definition.name));
    let known = tx.records(Flow::NAME).find_unique("name", &name).await?;
    let stored = match known.as_ref().map(Stored::<Flow>::of).transpose()? {
        Some(known) => {
            let mut doc = known.doc.clone();
            doc.fields.set(definition)?;
            let changed = record::update(tx, &known.id, &doc, None, &who).await?;
            changed.unwrap_or(known)
        }
        None => {
            let count = tx.records(Flow::NAME).count(&[], MOST_FLOWS + 1).await?;
            if count >= i64::from(MOST_FLOWS) {
                return Err(DomainError::Rule(format!(
                    "a tenant has at most {MOST_FLOWS} flows"
                )));
            }
            let mut flow = Flow::default();
            flow.set(definition)?;
            record::insert(tx, Document::new(flow), &who).await?
        }
    };
    row(tx, &stored).await
}

/// Switches a flow on or off.
///
/// # Errors
/// When there is no flow of that id or name.
pub async fn switch(
    tx: &mut TenantTx<'_>,
    flow: &str,
    enabled: bool,
    who: &str,
) -> Result<FlowRow, DomainError> {
    let known = refs::get::<Flow>(&mut tx.reading(), flow, true).await?;
    let mut doc = known.doc.clone();
    doc.fields.enabled = enabled;
    let changed = record::update(tx, &known.id, &doc, None, &Who::person(who)).await?;
    row(tx, &changed.unwrap_or(known)).await
}

/// Every flow, by name.
///
/// # Errors
/// When the store fails.
pub async fn list(tx: &mut TenantTx<'_>) -> Result<Vec<FlowRow>, DomainError> {
    let query = RecordQuery {
        sort: "name".to_owned(),
        descending: false,
        limit: MOST_FLOWS,
        ..RecordQuery::default()
    };
    let mut rows = Vec::new();
    for record in tx.records(Flow::NAME).list(&query).await?.records {
        rows.push(row(tx, &Stored::of(&record)?).await?);
    }
    Ok(rows)
}

async fn row(tx: &mut TenantTx<'_>, flow: &Stored<Flow>) -> Result<FlowRow, DomainError> {
    let last = runs(tx, &flow.id, 1).await?.pop();
    Ok(FlowRow {
        id: flow.id.clone(),
        name: flow.fields().name.clone(),
        enabled: flow.fields().enabled,
        trigger: flow.fields().trigger.clone(),
        steps: flow.fields().steps.len(),
        runs_total: tx.counters().get(&runs_counter(&flow.id), "").await?,
        last_run_at: last.as_ref().map(|run| run.fields().started_at),
        last_status: last.as_ref().map(|run| run.fields().status.as_str()),
    })
}

/// A flow by id or name, with its definition and its last runs, newest first.
///
/// # Errors
/// When there is none.
pub async fn show(
    tx: &mut TenantTx<'_>,
    flow: &str,
    most: u32,
) -> Result<(FlowRow, Definition, Vec<RunRow>), DomainError> {
    let flow = refs::get::<Flow>(&mut tx.reading(), flow, true).await?;
    let runs = runs(tx, &flow.id, most).await?.into_iter().map(|run| RunRow {
        id: run.id,
        run: run.doc.fields,
    });
    let runs = runs.collect();
    Ok((row(tx, &flow).await?, flow.fields().definition()?, runs))
}

/// The last runs of a flow, newest first.
///
/// # Errors
/// When the store fails.
pub(crate) async fn runs(
    tx: &mut TenantTx<'_>,
    flow: &str,
    most: u32,
) -> Result<Vec<Stored<Run>>, DomainError> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let query = RecordQuery {
        conditions: vec![Condition::is("flow_id", flow)],
        limit: most,
        ..RecordQuery::default()
    };
    let page = tx.records(Run::NAME).list(&query).await?;
    Ok(page.records.iter().map(Stored::of).collect::<Result<_, _>>()?)
}

/// A flow that an event starts, with the facts that its steps are filled from.
pub(crate) struct Match {
    pub(crate) id: String,
    pub(crate) definition: Arc<Definition>,
    pub(crate) facts: Facts,
}

/// The enabled flows of a tenant by the events that they wait for, as far as they were asked for within one transaction.
#[derive(Default)]
pub(crate) struct Enabled(HashMap<String, Vec<(String, Arc<Definition>)>>);

impl Enabled {
    /// Those that wait for an event and whose conditions hold.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn matching(
        &mut self,
        tx: &mut ReadTx<'_>,
        event: &Event,
        seen: &mut Seen,
    ) -> Result<Vec<Match>, DomainError> {
        if !self.0.contains_key(&event.name) {
            let mut flows = Vec::new();
            for flow in waiting_for(tx, &event.name, true).await? {
                let definition = flow.fields().definition()?;
                flows.push((flow.id, Arc::new(definition)));
            }
            self.0.insert(event.name.clone(), flows);
        }
        let mut found = Vec::new();
        for (id, definition) in self.0.get(&event.name).into_iter().flatten() {
            let facts = facts(tx, event, definition, seen).await?;
            if definition
                .conditions
                .iter()
                .all(|condition| condition.holds(&facts))
            {
                found.push(Match {
                    id: id.clone(),
                    definition: Arc::clone(definition),
                    facts,
                });
            }
        }
        Ok(found)
    }
}

async fn waiting_for(
    tx: &mut ReadTx<'_>,
    event: &str,
    enabled: bool,
) -> Result<Vec<Stored<Flow>>, DomainError> {
    let mut triggers = vec![FieldValue::from(event)];
    if trigger::is_custom(event) {
        triggers.push("custom.*".into());
    }
    let mut conditions = vec![Condition::OneOf("trigger".to_owned(), triggers)];
    if enabled {
        conditions.push(Condition::is("enabled", true));
    }
    let query = RecordQuery {
        conditions,
        descending: false,
        limit: MOST_FLOWS,
        ..RecordQuery::default()
    };
    let page = tx.records(Flow::NAME).list(&query).await?;
    Ok(page.records.iter().map(Stored::of).collect::<Result<_, _>>()?)
}

async fn facts(
    tx: &mut ReadTx<'_>,
    event: &Event,
    definition: &Definition,
    seen: &mut Seen,
) -> Result<Facts, DomainError> {
    let wanted: Vec<String> = definition.records().into_iter().map(str::to_owned).collect();
    gather::facts(tx, event, trigger::is_custom(&event.name), &wanted, seen).await
}

/// What an event would start, without starting it. The event is as a file says it: `{"event": "ticket.created", "subject":
/// {"type": "ticket", "id": "…"}, "data": {…}, "before": {…}}`; without `data`, the record is looked up.
///
/// # Errors
/// What of the event cannot be understood.
pub async fn rehearse(tx: &mut ReadTx<'_>, event: &Value) -> Result<Vec<Rehearsal>, DomainError> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = text(event.get("event"));
    if !trigger::is_trigger(&name) || name == "custom.*" {
        return Err(DomainError::Rule(format!("event: `{name}` is no event")));
    }
    let subject = event.get("subject");
    let subject = |field: &str| text(subject.and_then(|subject| subject.get(field)));
    let subject = (subject("type"), subject("id"));
    let data = match event.get("data") {
        Some(data) => data.clone(),
        None if trigger::is_custom(&name) => json!({}),
        None => gather::view(tx, &subject.0, &subject.1).await?.ok_or_else(|| {
            DomainError::Rule("subject: there is no such record; give type and id of one, or data".to_owned())
        })?,
    };
    let event = Event {
        name,
        subject,
        data,
        before: event.get("before").cloned(),
        depth: 0,
        flow: None,
    };
    let (mut rehearsals, mut seen) = (Vec::new(), Seen::default());
    for flow in waiting_for(tx, &event.name, false).await? {
        let definition = flow.fields().definition()?;
        let facts = facts(tx, &event, &definition, &mut seen).await?;
        let stopped_by = definition
            .conditions
            .iter()
            .find(|condition| !condition.holds(&facts));
        let steps = definition
            .steps
            .iter()
            .map(|step| serde_json::to_value(step.filled(&facts)));
        rehearsals.push(Rehearsal {
            flow: definition.name.clone(),
            enabled: flow.fields().enabled,
            stopped_by: stopped_by.map(|condition| format!("{} {}", condition.field, condition.op.as_str())),
            steps: match stopped_by {
                Some(_) => Vec::new(),
                None => steps.collect::<Result<_, _>>().map_err(DomainError::internal)?,
            },
        });
    }
    Ok(rehearsals)
}

/// The run that an event will be in a flow.
pub(crate) fn run_of(event_id: &str, at: Timestamp, flow: &str) -> String {
    run_id(event_id, at, flow)
}
