//! A call that others must approve, as a task (protocol.md §5).
//!
//! Nothing runs it, so no server has to stay for the days that it may take: whichever replica is asked looks at the review.
//! Once that is decided, the very request that asks carries the approved call out, as its caller would by repeating it;
//! the review's one use says that this happens once, and the caller's rights are judged again.

use footbridge_protocol::jsonrpc::Id;
use serde_json::{json, value::to_raw_value};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::members;
use crate::{
    audit::RequestFacts,
    catalogue::{TOKEN_ARGUMENT, Tool},
    domain::{DomainError, Progress},
    edge::{
        desk::{Caller, Desk},
        reply::Reply,
    },
    pipeline::{Asking, CallError, ReviewStands, Task, ToolCall},
    store::{StoreError, TaskStatus},
};

/// A task as it stands now, and what a person may be told of it.
type Looked = (Task, Option<String>);

impl Desk {
    /// Keeps a call under review as a task; `None` where it cannot be kept, so that the call is answered as any other.
    pub(super) async fn task_of_review(
        &self,
        caller: &Caller,
        id: Id<'_>,
        tool: &Tool,
        review: &str,
    ) -> Option<Reply> {
        let house = &self.common.house;
        let begun = house
            .begin_review_task(&caller.principal, &tool.name, review)
            .await;
        let task = match begun {
            Ok(task) => task,
            Err(error) => {
                warn!(request.id = caller.request_id, error = %error, "a call under review is not kept as a task");
                return None;
            }
        };
        let waits_for = house.review_stands(&caller.principal, review).await.ok()?;
        Some(Reply::result(id, |out| {
            let mut members = members(&task);
            members.insert("resultType".to_owned(), json!("task"));
            if let ReviewStands::Waiting(message) = waits_for {
                members.insert("statusMessage".to_owned(), json!(message));
            }
            self.write(out, &members);
        }))
    }

    /// Looks how the review of a task stands, and carries its call out once it may be.
    pub(super) async fn look_at_review(
        &self,
        caller: &Caller,
        task: Task,
        review: &str,
        facts: RequestFacts,
    ) -> Result<Looked, StoreError> {
        let house = &self.common.house;
        if task.cancel_asked {
            house.withdraw_review(&caller.principal, review).await?;
            return self.ended(caller, task, TaskStatus::Cancelled, None).await;
        }
        let tool = match house.review_stands(&caller.principal, review).await? {
            ReviewStands::Waiting(message) => return Ok((task, Some(message))),
            ReviewStands::Over(why) => {
                let over = Err(CallError::Domain(DomainError::Rule(why)));
                let (status, outcome) = self.outcome(caller, over);
                return self.ended(caller, task, status, Some(outcome)).await;
            }
            ReviewStands::Decided(tool) => tool,
        };
        let arguments = to_raw_value(&json!({ TOKEN_ARGUMENT: review })).ok();
        let call = ToolCall {
            name: tool.as_str(),
            arguments: arguments.as_deref(),
            input_responses: None,
            request_state: None,
            capabilities: serde_json::Map::new(),
            asking: Asking::Never,
            approve_at: None,
            check_headers: &|_| Ok(()),
            progress: Progress::default(),
            cancelled: CancellationToken::new(),
            facts,
        };
        match house.call(&caller.principal, call).await {
            // Another look was first and carries it out.
            Err(CallError::Domain(DomainError::Conflict(_))) => {
                Ok((task, Some("It is being carried out.".to_owned())))
            }
            Err(CallError::Unavailable(error)) => Err(error),
            result => {
                let (status, outcome) = self.outcome(caller, result);
                self.ended(caller, task, status, Some(outcome)).await
            }
        }
    }

    async fn ended(
        &self,
        caller: &Caller,
        task: Task,
        status: TaskStatus,
        outcome: Option<serde_json::Value>,
    ) -> Result<Looked, StoreError> {
        let house = &self.common.house;
        house
            .finish_task(&caller.principal, &task.id, status, outcome.as_ref())
            .await?;
        let found = house.find_task(&caller.principal, &task.id).await?;
        Ok((found.unwrap_or(task), None))
    }
}
