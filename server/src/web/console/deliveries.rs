//! Webhooks and mails: what waits, what was sent, what could not be delivered.

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;

use super::{AdminPerson, Frame, PageError, Person, Posted, ReaderPerson, render, text};
use crate::{
    operate::{
        OperateError,
        deliveries::{self, Delivery},
    },
    store::JobState,
    web::{Query, Web},
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/deliveries", get(page))
        .route("/console/deliveries/answer", post(answer))
}

struct Row {
    id: String,
    event: String,
    to: String,
    state: &'static str,
    state_class: &'static str,
    attempts: String,
    next: String,
    error: String,
    changed: String,
    /// What its button does, and what stands on it; if it has one.
    act: Option<(&'static str, &'static str)>,
}

impl Row {
    fn new(delivery: Delivery, may_act: bool) -> Self {
        let (state_class, act) = match delivery.state {
            "done" => ("good", None),
            "failed" => ("bad", Some(("retry", "Send again"))),
            "queued" => ("warn", Some(("cancel", "Cancel"))),
            "cancelled" => ("", Some(("retry", "Send again"))),
            _ => ("warn", None),
        };
        Self {
            id: delivery.id,
            event: delivery.event,
            to: delivery.to,
            state: delivery.state,
            state_class,
            attempts: format!("{} of {}", delivery.attempt, delivery.max_attempts),
            next: delivery
                .next_attempt_at
                .map_or_else(String::new, text::when_exactly),
            error: delivery.last_error.unwrap_or_default(),
            changed: text::when_exactly(delivery.updated_at),
            act: act.filter(|_| may_act),
        }
    }
}

#[derive(Template)]
#[template(path = "console/deliveries.html")]
struct DeliveriesPage {
    frame: Frame,
    rows: Vec<Row>,
    problem: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DoneQuery {
    done: String,
}

async fn page(
    State(web): State<Web>,
    person: ReaderPerson,
    Query(query): Query<DoneQuery>,
) -> Result<Response, PageError> {
    show(&web, &person, &query.done, String::new()).await
}

async fn show(web: &Web, person: &Person, done: &str, problem: String) -> Result<Response, PageError> {
    let by = person.actor();
    let found = deliveries::list(web.store(), person.tenant(), &by, &JobState::ALL).await?;
    let may_act = person.role().is_admin();
    let page = DeliveriesPage {
        frame: Frame::new(person, "Deliveries", Some(done)),
        rows: found
            .into_iter()
            .map(|delivery| Row::new(delivery, may_act))
            .collect(),
        problem,
    };
    Ok(render(&page)?.into_response())
}

async fn answer(State(web): State<Web>, posted: Posted<AdminPerson>) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    let (store, tenant, by, id) = (web.store(), person.tenant(), person.actor(), fields.get("id"));
    let (done, word) = match fields.get("act") {
        "retry" => (deliveries::retry(store, tenant, &by, id).await, "queued"),
        _ => (deliveries::cancel(store, tenant, &by, id).await, "cancelled"),
    };
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/console/deliveries?done={word}")).into_response()),
        Err(OperateError::Rule(problem) | OperateError::NotFound(problem)) => {
            show(&web, &person, "", text::sentence(&problem)).await
        }
        Err(error) => Err(error.into()),
    }
}
