//! What a REST call would change, for a person to see before it happens (catalogue.md §2.21, `preview`).
//!
//! With a place to read the record, the plan says from what to what each field goes, and an entity tag makes sure that
//! nobody changed it in between. Without one it shows the method, the path and what is sent.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{DomainError, HttpTool, request};
use crate::{
    access::Principal,
    catalogue::http::Place,
    domain::{Change, Op, Plan, PlanCall, Shown},
    vocabulary::Effect,
};

/// What the plan hands to what carries it out.
#[derive(Serialize, Deserialize)]
pub(super) struct Payload {
    /// The arguments as they were shown.
    pub(super) arguments: Map<String, Value>,
    /// The entity tag of the record as it was shown.
    pub(super) etag: Option<String>,
}

impl HttpTool {
    pub(super) async fn plan(&self, work: PlanCall) -> Result<Plan, DomainError> {
        let arguments = work.arguments.as_map();
        let principal = work.principal();
        let values = request::with_bound(&self.call, arguments, principal.facts());
        let url = request::address(&self.call, &self.call.path, &values)?;
        let (current, etag) = match self.current(&values, principal).await? {
            Some((value, etag)) => (Some(value), etag),
            None => (None, None),
        };
        // An argument that does not fit its place is refused before anything is shown.
        request::prepare(&self.call, arguments, principal.facts(), work.now)?;
        let mut plan = Plan::new(format!("{}: {} {}", self.title, self.call.method, url.path()));
        for change in self.changes(&values, current.as_ref(), url.path()) {
            plan = plan.with(change);
        }
        plan.with_effect(format!("changes data in {}", self.call.upstream.name))
            .carrying(&Payload {
                arguments: arguments.clone(),
                etag,
            })
    }

    /// The record as it is now, where the row says how to read it.
    async fn current(
        &self,
        values: &Map<String, Value>,
        principal: &Principal,
    ) -> Result<Option<(Value, Option<String>)>, DomainError> {
        let Some(preview) = &self.call.preview else {
            return Ok(None);
        };
        let url = request::address(&self.call, &preview.path, values)?;
        let answer = self.remote.look(&self.call, url, principal.tenant()).await?;
        Ok(Some((answer.value, answer.etag)))
    }

    fn changes(&self, values: &Map<String, Value>, current: Option<&Value>, path: &str) -> Vec<Change> {
        let object = self.call.upstream.name.clone();
        let id = path.rsplit('/').next().unwrap_or_default().to_owned();
        let op = match self.effect {
            Effect::Read | Effect::Execute => Op::Run,
            Effect::Create => Op::Create,
            Effect::Update => Op::Update,
            Effect::Delete => Op::Delete,
        };
        let whole = |to: Option<Value>| Change {
            op,
            object: object.clone().into(),
            id: (op != Op::Create).then(|| id.clone()),
            field: None,
            from: None,
            to,
        };
        let mut changes = Vec::new();
        for (argument, place) in &self.call.places {
            let Some(value) = values.get(argument) else {
                continue;
            };
            match place {
                Place::WholeBody => changes.push(whole(Some(value.clone()))),
                Place::Body(field) => {
                    let from = current.and_then(|record| record.get(field));
                    if from != Some(value) {
                        changes.push(Change {
                            field: Some(field.clone().into()),
                            from: from.cloned().map(Shown::open),
                            ..whole(Some(value.clone()))
                        });
                    }
                }
                Place::Query(_) | Place::Header(_) => {}
            }
        }
        if changes.is_empty() {
            // What goes is shown as it is, so that nobody deletes an unknown by its number.
            changes.push(Change {
                from: current.cloned().map(Shown::open),
                ..whole(None)
            });
        }
        changes
    }
}
