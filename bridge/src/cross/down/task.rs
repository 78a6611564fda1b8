//! A task of the server behind one long call of the host (protocol.md X-35, E-01 to E-08).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::jsonrpc::{Keys, write_notification};
use hyper::StatusCode;

use super::call::{Call, Step};
use super::lane::Outcome;
use super::question::Entry;
use super::rounds::Rounds;
use super::{Host, codes, own};
use crate::cross::object::{Object, quoted};
use crate::cross::splice::kept;
use crate::error::BridgeError;
use crate::exchange::Shared;
use crate::stdio::Line;

/// Shortest pause between two looks at a task.
const SHORTEST: Duration = Duration::from_millis(500);
/// The pause if the server names none.
const USUAL: Duration = Duration::from_secs(1);
/// Longest pause: hosts should not learn of an end much later than it came.
const LONGEST: Duration = Duration::from_secs(60);

/// What is known of a task.
#[derive(Debug)]
pub(super) struct Task {
    id: String,
    status: String,
    poll: Duration,
    message: Option<String>,
}

impl Task {
    /// Reads a task from the result it came in.
    pub(super) fn read(result: &Object<'_>) -> Option<Task> {
        let poll = result
            .get("pollIntervalMs")
            .and_then(|ms| ms.parse().ok())
            .map_or(USUAL, Duration::from_millis);
        Some(Task {
            id: result.text("taskId")?,
            status: result.text("status").unwrap_or_default(),
            poll: poll.clamp(SHORTEST, LONGEST),
            message: result.text("statusMessage"),
        })
    }
}

/// Tells the server that nobody waits, unless the task has ended.
struct Abandon {
    shared: Arc<Shared>,
    host: Arc<Host>,
    params: String,
    ended: bool,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (shared, host) = (Arc::clone(&self.shared), Arc::clone(&self.host));
            let params = std::mem::take(&mut self.params);
            runtime.spawn(async move { own(&shared, &host.keys(), "tasks/cancel", &params).await });
        }
    }
}

/// Looks after `task` until it has ended.
pub(super) async fn follow(call: &Call, mut task: Task, rounds: &mut Rounds) -> Step {
    let params = format!(r#""taskId":{},"#, quoted(&task.id));
    let mut abandon = Abandon {
        shared: Arc::clone(&call.shared),
        host: Arc::clone(&call.host),
        params: params.clone(),
        ended: false,
    };
    let token = call.progress_token();
    let mut said = None;
    let mut answered = HashSet::new();
    loop {
        if let (Some(token), Some(message)) = (&token, &task.message)
            && said.as_ref() != Some(message)
        {
            tell(call, token, message).await;
            said = task.message.clone();
        }
        tokio::time::sleep(task.poll).await;
        let response = match ask(call, "tasks/get", &params).await {
            Ok(response) => response,
            Err(end) => return end,
        };
        let Some(result) = Object::within(&response, "result").and_then(|within| within.object) else {
            return call.broken("The server's task is no object");
        };
        task = match Task::read(&result) {
            Some(seen) if seen.id == task.id => seen,
            _ => return call.broken("The server answered with another task than was asked for"),
        };
        abandon.ended = matches!(task.status.as_str(), "completed" | "failed" | "cancelled");
        match task.status.as_str() {
            "working" => {}
            "input_required" => {
                let Some(entries) = result.get("inputRequests").and_then(Entry::read_all) else {
                    return call.broken("The server's task asks for answers without saying which");
                };
                let new: Vec<Entry> = entries
                    .into_iter()
                    .filter(|entry| answered.insert(entry.key.clone()))
                    .collect();
                if new.is_empty() {
                    continue;
                }
                let answers = match rounds.answers(call, &new).await {
                    Ok(answers) => answers,
                    Err(end) => return end,
                };
                let update = format!(r#"{params}"inputResponses":{answers},"#);
                if let Err(end) = ask(call, "tasks/update", &update).await {
                    return end;
                }
            }
            "completed" => {
                return match result.get("result").and_then(Object::read) {
                    Some(end) => call.complete(end, &response, Keys::UNKNOWN),
                    None => call.broken("The server's task ended without a result"),
                };
            }
            "failed" => {
                return match result.get("error") {
                    Some(error) => call.refused(error),
                    None => call.broken("The server's task failed without an error"),
                };
            }
            "cancelled" => {
                return call.failed(&BridgeError::no_translation(
                    true,
                    "The server cancelled the work. Check what has been done before you ask again",
                ));
            }
            _ => return call.broken("The server's task has a status that is not known"),
        }
    }
}

/// Asks about the task; returns the response if it holds a result.
async fn ask(call: &Call, method: &str, params: &str) -> Result<Bytes, Step> {
    match own(&call.shared, &call.host.keys(), method, params).await {
        Some((StatusCode::OK, Outcome::Response(response))) if !has_error(&response) => Ok(kept(response)),
        Some((_, Outcome::Response(response))) => {
            let error = Object::within(&response, "result").and_then(|within| within.error);
            Err(error.map_or_else(
                || call.broken("The server refused to speak of its task"),
                |error| call.refused(&codes::translate(error, method)),
            ))
        }
        Some((_, Outcome::Failed(error))) => Err(call.failed(&error)),
        None => Err(Step::Gone),
    }
}

fn has_error(response: &[u8]) -> bool {
    Object::within(response, "result").is_none_or(|within| within.error.is_some())
}

/// Tells the host how far the task is, in the server's words.
async fn tell(call: &Call, token: &str, message: &str) {
    let params = format!(
        r#"{{"progressToken":{token},"progress":{},"message":{}}}"#,
        call.lane.next_progress(),
        quoted(message)
    );
    let mut line = Vec::with_capacity(params.len() + 80);
    write_notification(&mut line, "notifications/progress", Some(params.as_bytes()));
    let _ = call.shared.output.send(Line::new(line)).await;
}
