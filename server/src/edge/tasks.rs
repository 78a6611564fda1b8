//! The tasks extension (protocol.md §5): a call that takes long answers with a handle and goes on; its client looks at
//! it, answers its questions, or stops it.
//!
//! Whether a call may become a task stands on its tool's row. It runs first as any other: one that ends soon, or asks at
//! once, is answered at once. Only then a row is written, and only after that the handle is given out. A call that
//! others must approve is a task as well, one that nothing runs: see [`review`].

mod review;
mod run;

use footbridge_protocol::{jsonrpc::Id, params::ShapeFault};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    desk::{Caller, Desk},
    envelope::{Ask, Envelope, Mirror, Refused, ToolRequest},
    modern,
    reply::Reply,
};
use crate::{
    catalogue::{Edition, TaskRule},
    domain::DomainError,
    pipeline::{CallError, Task},
    store::{StoreError, TaskStatus},
    vocabulary::Consent,
};

/// The extension's name.
const TASKS: &str = "io.modelcontextprotocol/tasks";
/// How often a client may well look at its task, in milliseconds.
const POLL_MS: u64 = 1000;

/// What is asked about a task.
#[derive(Debug)]
pub(super) struct TaskRequest<'a> {
    pub(super) id: std::borrow::Cow<'a, str>,
    pub(super) declared: bool,
    pub(super) wish: Wish<'a>,
}

#[derive(Debug)]
pub(super) enum Wish<'a> {
    /// `tasks/get`.
    Look,
    /// `tasks/update`, with answers by key.
    Answer(Option<&'a RawValue>),
    /// `tasks/cancel`.
    Stop,
}

impl Wish<'_> {
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Look => "tasks/get",
            Self::Answer(_) => "tasks/update",
            Self::Stop => "tasks/cancel",
        }
    }
}

/// Reads `tasks/…`, row 16.
pub(super) fn task_request<'a>(
    request: &footbridge_protocol::jsonrpc::Request<'a>,
) -> Result<Ask<'a>, Refused> {
    let params = &request.params;
    let missing = || Refused::params("`params.taskId` must be a string, not absent.");
    let wish = match &*request.method {
        "tasks/update" => Wish::Answer(params.input_responses()?),
        "tasks/cancel" => Wish::Stop,
        _ => Wish::Look,
    };
    Ok(Ask::Task(TaskRequest {
        id: params.task_id()?.ok_or_else(missing)?,
        declared: declares(&modern::capabilities(
            params
                .meta()
                .client_capabilities()
                .map_err(|fault: ShapeFault| Refused::from(fault))?,
        )),
        wish,
    }))
}

/// Whether a client declared the extension with this request.
fn declares(capabilities: &Map<String, Value>) -> bool {
    let extensions = capabilities.get("extensions").and_then(Value::as_object);
    extensions.is_some_and(|all| all.get(TASKS).is_some_and(Value::is_object))
}

/// What `server/discover` says of it.
pub(super) fn capability() -> Value {
    json!({ TASKS: {} })
}

fn missing_capability() -> CallError {
    let needed = Map::from_iter([("extensions".to_owned(), capability())]);
    CallError::Domain(DomainError::MissingCapability(needed))
}

/// Whether calls of any tool may become tasks.
pub(super) fn has_any(edition: &Edition) -> bool {
    let mut tools = edition.tools().iter();
    tools.any(|tool| tool.task != TaskRule::Never || edition.consent(tool) == Consent::Review)
}

impl Desk {
    /// Whether a call may become a task, and if not, what is answered to a client that would need one.
    pub(super) fn may_be_task(&self, caller: &Caller, request: &ToolRequest<'_>) -> Result<bool, CallError> {
        // Whoever may not call it learns that from the rooms, not from here.
        let tool = self.bound.edition.find(&request.name);
        let tool = tool.filter(|tool| caller.principal.visible().contains(tool.index));
        let rule = tool.map_or(TaskRule::Never, |tool| match tool.task {
            TaskRule::Never if self.bound.edition.consent(tool) == Consent::Review => TaskRule::Allowed,
            rule => rule,
        });
        match rule {
            TaskRule::Never => Ok(false),
            rule => match declares(&modern::capabilities(request.capabilities)) {
                false if rule == TaskRule::Required => Err(missing_capability()),
                declared => Ok(declared),
            },
        }
    }

    /// `tasks/get`, `tasks/update`, `tasks/cancel`.
    pub(super) async fn task(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        envelope: &Envelope<'_>,
        request: &TaskRequest<'_>,
    ) -> Reply {
        let id = envelope.id;
        if !request.declared {
            return self.reply_to(caller, id, envelope.dialect, Err(missing_capability()));
        }
        let done = match &request.wish {
            Wish::Look => return self.look(caller, mirror, envelope, request).await,
            Wish::Answer(raw) => {
                let answers = raw.map_or(Ok(Map::new()), |raw| serde_json::from_str(raw.get()));
                let Ok(answers) = answers else {
                    return Reply::bad_params(
                        id,
                        "`params.inputResponses` must be an object of answers by key.",
                    );
                };
                self.common
                    .house
                    .answer_task(&caller.principal, &request.id, answers)
                    .await
            }
            Wish::Stop => {
                let house = &self.common.house;
                house.cancel_task(&caller.principal, &request.id).await
            }
        };
        match done {
            Ok(true) => Reply::result(id, |out| {
                let complete = Map::from_iter([("resultType".to_owned(), json!("complete"))]);
                self.write(out, &complete);
            }),
            Ok(false) => unknown_task(id),
            Err(error) => self.unavailable(caller, Some(id), &error),
        }
    }

    async fn look(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        envelope: &Envelope<'_>,
        request: &TaskRequest<'_>,
    ) -> Reply {
        let (id, house) = (envelope.id, &self.common.house);
        let mut task = match house.find_task(&caller.principal, &request.id).await {
            Ok(Some(task)) => task,
            Ok(None) => return unknown_task(id),
            Err(error) => return self.unavailable(caller, Some(id), &error),
        };
        let mut message = None;
        if let Some(review) = task
            .review()
            .map(str::to_owned)
            .filter(|_| !task.status.is_final())
        {
            let facts = self.facts(caller, mirror, envelope);
            (task, message) = match Box::pin(self.look_at_review(caller, task, &review, facts)).await {
                Ok(found) => found,
                Err(error) => return self.unavailable(caller, Some(id), &error),
            };
        }
        if task.is_lost {
            task = match self.bury(caller, task).await {
                Ok(task) => task,
                Err(error) => return self.unavailable(caller, Some(id), &error),
            };
        }
        Reply::result(id, |out| {
            let mut members = members(&task);
            members.insert("resultType".to_owned(), json!("complete"));
            if let Some(message) = message {
                members.insert("statusMessage".to_owned(), json!(message));
            }
            if task.status == TaskStatus::InputRequired {
                members.insert("inputRequests".to_owned(), Value::Object(task.requests));
            }
            if let Some(Value::Object(outcome)) = task.outcome {
                members.extend(outcome);
            }
            self.write(out, &members);
        })
    }

    /// Ends a task whose server went away.
    async fn bury(&self, caller: &Caller, task: Task) -> Result<Task, StoreError> {
        let house = &self.common.house;
        let (status, outcome) = match task.cancel_asked {
            true => (TaskStatus::Cancelled, None),
            false => (
                TaskStatus::Failed,
                Some(json!({ "error": {
                    "code": footbridge_protocol::codes::INTERNAL_ERROR,
                    "message": "The server that ran this task went away. Look whether its work was done before you call again.",
                } })),
            ),
        };
        house
            .finish_task(&caller.principal, &task.id, status, outcome.as_ref())
            .await?;
        let found = house.find_task(&caller.principal, &task.id).await?;
        Ok(found.unwrap_or(task))
    }

    /// A result of these members, and who says so.
    fn write(&self, out: &mut Vec<u8>, members: &Map<String, Value>) {
        let text = json!(members).to_string();
        out.extend_from_slice(text.strip_suffix('}').unwrap_or(&text).as_bytes());
        out.extend_from_slice(self.modern_tail());
        out.push(b'}');
    }
}

fn unknown_task(id: Id<'_>) -> Reply {
    Reply::bad_params(id, "`params.taskId` names no task of yours; it may be too old.")
}

/// What every answer says of a task.
fn members(task: &Task) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("taskId".to_owned(), json!(task.id));
    out.insert("status".to_owned(), json!(task.status.as_str()));
    out.insert("createdAt".to_owned(), json!(task.created_at));
    out.insert("lastUpdatedAt".to_owned(), json!(task.updated_at));
    out.insert("ttlMs".to_owned(), json!(task.ttl_ms));
    out.insert("pollIntervalMs".to_owned(), json!(POLL_MS));
    out
}
