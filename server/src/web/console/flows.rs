//! Flows: what there is, what each of them does, how its runs went, and its switch. Definitions come by file.

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;

use super::{AdminPerson, Frame, PageError, Person, Posted, render, text};
use crate::{
    domain::workspace::flow::{
        book::{FlowRow, RunRow},
        definition::Definition,
        run::{RunStatus, StepStatus},
    },
    operate::flows,
    web::{Query, Web},
};

/// Runs that are shown of a flow.
const SHOWN: u32 = 50;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/flows", get(list))
        .route("/console/flows/{id}", get(show))
        .route("/console/flows/{id}/switch", post(switch))
}

struct Row {
    id: String,
    name: String,
    trigger: String,
    steps: usize,
    enabled: bool,
    runs: i64,
    last: String,
    status: &'static str,
    status_class: &'static str,
}

impl From<FlowRow> for Row {
    fn from(row: FlowRow) -> Self {
        Self {
            last: row
                .last_run_at
                .map_or_else(|| "never".to_owned(), text::when_exactly),
            status: row.last_status.unwrap_or_default(),
            status_class: class(row.last_status.unwrap_or_default()),
            id: row.id,
            name: row.name,
            trigger: row.trigger,
            steps: row.steps,
            enabled: row.enabled,
            runs: row.runs_total,
        }
    }
}

fn class(status: &str) -> &'static str {
    match status {
        "succeeded" => "good",
        "failed" => "bad",
        "waiting" | "running" => "warn",
        _ => "",
    }
}

#[derive(Template)]
#[template(path = "console/flows.html")]
struct FlowsPage {
    frame: Frame,
    rows: Vec<Row>,
}

async fn list(State(web): State<Web>, person: Person) -> Result<Response, PageError> {
    let rows = flows::list(web.store(), &person.actor(), person.tenant()).await?;
    let page = FlowsPage {
        frame: Frame::new(&person, "Flows", None),
        rows: rows.into_iter().map(Row::from).collect(),
    };
    Ok(render(&page)?.into_response())
}

struct StepLine {
    action: String,
    status: &'static str,
    attempts: u32,
    detail: String,
}

struct RunLine {
    id: String,
    event: String,
    subject: String,
    began: String,
    status: &'static str,
    status_class: &'static str,
    error: String,
    steps: Vec<StepLine>,
}

impl From<RunRow> for RunLine {
    fn from(RunRow { id, run }: RunRow) -> Self {
        let steps = run.steps.into_iter().map(|step| StepLine {
            status: match step.status {
                StepStatus::Pending => "pending",
                StepStatus::Waiting => "waiting",
                StepStatus::Succeeded => "succeeded",
                StepStatus::Failed => "failed",
            },
            detail: match (&step.error, step.output.is_null()) {
                (Some(error), _) => error.clone(),
                (None, false) => step.output.to_string(),
                (None, true) if step.input.is_null() => String::new(),
                (None, true) => step.input.to_string(),
            },
            action: step.action,
            attempts: step.attempts,
        });
        let status = RunStatus::as_str(run.status);
        Self {
            id,
            steps: steps.collect(),
            event: run.cause.event,
            subject: run
                .cause
                .subject
                .map(|subject| format!("{} {}", subject.kind, subject.id))
                .unwrap_or_default(),
            began: text::when_exactly(run.started_at),
            status,
            status_class: class(status),
            error: run.error.unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "console/flow.html")]
struct FlowPage {
    frame: Frame,
    flow: Row,
    may_switch: bool,
    conditions: Vec<String>,
    steps: Vec<(String, String)>,
    runs: Vec<RunLine>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DoneQuery {
    done: String,
}

async fn show(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, PageError> {
    let (row, definition, runs) =
        flows::show(web.store(), &person.actor(), person.tenant(), &id, SHOWN).await?;
    let page = FlowPage {
        frame: Frame::new(&person, "Flows", Some(&query.done)),
        may_switch: person.role().is_admin(),
        flow: row.into(),
        conditions: conditions(&definition),
        steps: steps(&definition),
        runs: runs.into_iter().map(RunLine::from).collect(),
    };
    Ok(render(&page)?.into_response())
}

fn conditions(definition: &Definition) -> Vec<String> {
    let line = |condition: &crate::domain::workspace::flow::condition::Condition| {
        let value = condition.value.as_ref().map(|value| format!(" {value}"));
        format!(
            "{} {}{}",
            condition.field,
            condition.op.as_str(),
            value.unwrap_or_default()
        )
    };
    definition.conditions.iter().map(line).collect()
}

/// What each step does, and with what: as it is in the file, but for addresses, which may hold a token.
fn steps(definition: &Definition) -> Vec<(String, String)> {
    let line = |step: &crate::domain::workspace::flow::step::Step| {
        let texts = step.templates().join(" · ");
        let said = if texts.is_empty() {
            step.redacted().to_string()
        } else {
            texts
        };
        (step.action().to_owned(), said)
    };
    definition.steps.iter().map(line).collect()
}

async fn switch(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted<AdminPerson>,
) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    let enabled = fields.get("to") == "on";
    flows::switch(web.store(), &person.actor(), person.tenant(), &id, enabled).await?;
    Ok(Redirect::to(&format!("/console/flows/{id}?done=changed")).into_response())
}
