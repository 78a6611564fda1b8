//! A call that became a task, from its beginning to its end.

use std::{sync::Arc, time::Duration};

use footbridge_protocol::jsonrpc::OwnedId;
use futures_util::{FutureExt, future::BoxFuture};
use serde_json::{Map, Value, json, value::RawValue};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::members;
use crate::{
    access::Principal,
    audit::RequestFacts,
    catalogue::{TaskRule, Tool},
    domain::{DomainError, InputRequest, Progress},
    edge::{
        desk::{Caller, Desk},
        envelope::{Dialect, Envelope, Mirror, ToolRequest},
        modern,
        reply::Reply,
    },
    pipeline::{Answer, Asking, CallError, House, TASK_SAYS_SO, Task, ToolCall},
    store::{StoreError, TaskStatus, Topic},
};

/// A call that outlives its request.
struct Owned {
    name: String,
    arguments: Option<Box<RawValue>>,
    answers: Option<Box<RawValue>>,
    state: Option<String>,
    capabilities: Map<String, Value>,
    approve_at: Option<String>,
    headers: Result<(), footbridge_protocol::headers::Mismatch>,
    cancelled: CancellationToken,
    facts: RequestFacts,
}

type Running = BoxFuture<'static, (Owned, Result<Answer, CallError>)>;

impl Owned {
    /// One round.
    fn run(self, house: Arc<House>, principal: Principal) -> Running {
        async move {
            let check_headers = |_: &Tool| self.headers.clone();
            let call = ToolCall {
                name: &self.name,
                arguments: self.arguments.as_deref(),
                input_responses: self.answers.as_deref(),
                request_state: self.state.as_deref(),
                capabilities: self.capabilities.clone(),
                asking: Asking::InResult,
                approve_at: self.approve_at.as_deref(),
                check_headers: &check_headers,
                // Nothing of a task is told while it runs (protocol.md E-06).
                progress: Progress::default(),
                cancelled: self.cancelled.clone(),
                facts: self.facts.clone(),
            };
            let result = house.call(&principal, call).await;
            (self, result)
        }
        .boxed()
    }
}

impl Desk {
    /// A call of a tool whose calls may become tasks.
    pub(in crate::edge) async fn call_as_task(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        envelope: &Envelope<'_>,
        request: &ToolRequest<'_>,
    ) -> Reply {
        let common = &self.common;
        let Some(tool) = self.bound.edition.find(&request.name) else {
            let unknown = CallError::UnknownTool(request.name.clone().into_owned());
            return self.reply_to(caller, envelope.id, envelope.dialect, Err(unknown));
        };
        let cancelled = CancellationToken::new();
        let call = Owned {
            name: request.name.clone().into_owned(),
            arguments: request.arguments.map(ToOwned::to_owned),
            answers: request.input_responses.map(ToOwned::to_owned),
            state: request.request_state.as_deref().map(str::to_owned),
            capabilities: modern::capabilities(request.capabilities),
            approve_at: common.approve_at.get().cloned(),
            headers: mirror.check_params(tool.param_headers(), request.arguments),
            cancelled: cancelled.clone(),
            facts: self.facts(caller, mirror, envelope),
        };
        // Until it is a task it ends with its caller.
        let guard = cancelled.drop_guard();
        let began = Instant::now();
        let mut running = call.run(Arc::clone(&common.house), caller.principal.clone());
        let soon = began + Duration::from_millis(common.settings.task_after_ms);
        let first = tokio::select! {
            biased;
            (_, result) = &mut running => Some(result),
            () = sleep_until(soon), if tool.task != TaskRule::Never => None,
        };
        if let Some(result) = first {
            self.count(&request.name, &result, began.elapsed());
            if let Ok(Answer::Done(shown)) = &result
                && let Some(review) = &shown.under_review
                && let Some(reply) = self.task_of_review(caller, envelope.id, tool, review).await
            {
                return reply;
            }
            return self.reply_to(caller, envelope.id, envelope.dialect, result);
        }
        let lifetime_ms = i64::try_from(common.settings.task_kept_ms).unwrap_or(i64::MAX);
        let begun = common
            .house
            .begin_task(&caller.principal, &tool.name, lifetime_ms)
            .await;
        let (task, desk) = match (begun, self.me.upgrade()) {
            (Ok(task), Some(desk)) => (task, desk),
            (begun, _) => {
                // It cannot be a task, so it stays a call.
                if let Err(error) = begun {
                    warn!(request.id = caller.request_id, error = %error, "a long call is not kept as a task");
                }
                let (_, result) = running.await;
                self.count(&request.name, &result, began.elapsed());
                return self.reply_to(caller, envelope.id, envelope.dialect, result);
            }
        };
        let runner = Runner {
            desk,
            caller: Caller {
                principal: caller.principal.clone(),
                address: caller.address,
                request_id: caller.request_id.clone(),
                counted: caller.counted.clone(),
                entrance: caller.entrance.clone(),
                listing: caller.listing.clone(),
                arrival: caller.arrival,
            },
            id: task.id.clone(),
            cancelled: guard.disarm(),
            began,
        };
        common.work.spawn(runner.run(running));
        Reply::result(envelope.id, |out| {
            let mut members = members(&task);
            members.insert("resultType".to_owned(), json!("task"));
            self.write(out, &members);
        })
    }

    /// What a call came to, as its client would have read it.
    pub(super) fn outcome(&self, caller: &Caller, result: Result<Answer, CallError>) -> (TaskStatus, Value) {
        let dialect = Dialect::of(footbridge_protocol::era::ProtocolVersion::V2026_07_28);
        let id = OwnedId::from_integer(0);
        let reply = self.reply_to(caller, id.as_id(), dialect, result);
        let mut message: Map<String, Value> = serde_json::from_slice(&reply.into_bytes()).unwrap_or_default();
        message.retain(|member, _| member == "result" || member == "error");
        // A tool's own failure is a result (protocol.md E-04).
        let status = match message.contains_key("result") {
            true => TaskStatus::Completed,
            false => TaskStatus::Failed,
        };
        (status, Value::Object(message))
    }
}

/// Carries a task to its end.
struct Runner {
    desk: Arc<Desk>,
    caller: Caller,
    id: String,
    cancelled: CancellationToken,
    began: Instant,
}

impl Runner {
    async fn run(self, mut running: Running) {
        let mut round = 0;
        loop {
            let (mut call, result) = self.finished(running).await;
            self.desk.count(&call.name, &result, self.began.elapsed());
            let ended = match result {
                Ok(Answer::InputRequired {
                    requests,
                    request_state,
                }) => {
                    round += 1;
                    match self.ask(round, requests).await {
                        Ok(Some(answers)) => {
                            call.answers = serde_json::value::to_raw_value(&answers).ok();
                            call.state = request_state;
                            let principal = self.caller.principal.clone();
                            running = call.run(Arc::clone(&self.desk.common.house), principal);
                            continue;
                        }
                        Ok(None) => self.end(TaskStatus::Cancelled, None).await,
                        Err(error) => Err(error),
                    }
                }
                Err(CallError::Domain(DomainError::Cancelled)) => self.end(TaskStatus::Cancelled, None).await,
                other => {
                    let (status, outcome) = self.desk.outcome(&self.caller, other);
                    self.end(status, Some(&outcome)).await
                }
            };
            if let Err(error) = ended {
                // Whoever looks finds a task that nobody runs, and is told so.
                warn!(request.id = self.caller.request_id, error = %error, "the end of a task is not kept");
            }
            return;
        }
    }

    /// Waits for a round's end; meanwhile says that the task runs, and hears when it is to stop.
    async fn finished(&self, mut running: Running) -> (Owned, Result<Answer, CallError>) {
        let mut changes = self.desk.common.house.store().listen(&[Topic::Tasks]);
        let mut say_so = tokio::time::interval(TASK_SAYS_SO);
        loop {
            tokio::select! {
                biased;
                done = &mut running => return done,
                _ = say_so.tick() => self.say_so().await,
                change = changes.next() => match change {
                    Some(_) => {
                        if self.look().await.is_some_and(|task| task.cancel_asked) {
                            self.cancelled.cancel();
                        }
                    }
                    None => return running.await,
                },
            }
        }
    }

    async fn say_so(&self) {
        let house = &self.desk.common.house;
        let said = house.keep_task_alive(&self.caller.principal, &self.id).await;
        if let Err(error) = said {
            warn!(error = %error, "a task cannot say that it runs");
        }
    }

    async fn look(&self) -> Option<Task> {
        let house = &self.desk.common.house;
        house
            .find_task(&self.caller.principal, &self.id)
            .await
            .ok()
            .flatten()
    }

    /// Puts questions and waits for all answers; `None` when the task is to stop instead. Keys are unique in the task's
    /// life (protocol.md E-05).
    async fn ask(
        &self,
        round: u32,
        requests: Vec<(String, InputRequest)>,
    ) -> Result<Option<Map<String, Value>>, StoreError> {
        let house = &self.desk.common.house;
        let mut changes = house.store().listen(&[Topic::Tasks]);
        let shown = requests.iter().map(|(key, request)| {
            let mut shown = Map::from_iter([("method".to_owned(), json!(request.method()))]);
            if let InputRequest::Elicitation(params) | InputRequest::Sampling(params) = request {
                shown.insert("params".to_owned(), params.clone());
            }
            (format!("{round}.{key}"), Value::Object(shown))
        });
        let shown: Map<String, Value> = shown.collect();
        house
            .set_task_questions(&self.caller.principal, &self.id, Some(&shown))
            .await?;
        let mut say_so = tokio::time::interval(TASK_SAYS_SO);
        let end = self.began + Duration::from_millis(self.desk.common.settings.task_kept_ms);
        loop {
            tokio::select! {
                // After a drain nobody would be here to take the answer.
                () = self.desk.common.draining.cancelled() => return Ok(None),
                () = sleep_until(end) => return Ok(None),
                _ = say_so.tick() => self.say_so().await,
                change = changes.next() => if change.is_none() {
                    return Err(StoreError::Closed);
                },
            }
            let Some(task) = self.look().await else { continue };
            if task.cancel_asked {
                return Ok(None);
            }
            if task.requests.is_empty() && task.status == TaskStatus::InputRequired {
                house
                    .set_task_questions(&self.caller.principal, &self.id, None)
                    .await?;
                let prefix = format!("{round}.");
                let answers = task.answers.into_iter().filter_map(|(key, answer)| {
                    let key = key.strip_prefix(&prefix)?.to_owned();
                    Some((key, answer))
                });
                return Ok(Some(answers.collect()));
            }
        }
    }

    async fn end(&self, status: TaskStatus, outcome: Option<&Value>) -> Result<(), StoreError> {
        let house = &self.desk.common.house;
        house
            .finish_task(&self.caller.principal, &self.id, status, outcome)
            .await
    }
}
