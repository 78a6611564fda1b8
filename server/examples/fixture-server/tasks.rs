//! Tools whose calls become tasks: slow ones, failing ones, and ones that ask along the way.

use std::time::Duration;

use footbridge_server::domain::{
    Call, DomainError, HandlerResult, Handlers, InputRequest, InputRequired, Outcome, ToolResult,
};
use futures_util::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};

use crate::questions::form;

/// Longer than a call may take before it becomes a task.
const LONG: Duration = Duration::from_secs(1);

/// Adds this file's handlers.
pub(crate) fn register(handlers: &mut Handlers) {
    handlers.plain("tasks::greet", |call| {
        let name = text_argument(&call, "name");
        async move { Ok(Outcome::text(format!("Hello, {name}!"))) }.boxed()
    });
    handlers.plain("tasks::slow_compute", |call| {
        async move {
            let seconds = call.arguments.as_map().get("seconds").and_then(Value::as_u64);
            let seconds = seconds.unwrap_or_default();
            pause(&call, Duration::from_secs(seconds)).await?;
            Ok(Outcome::text(format!("Computed for {seconds} s.")))
        }
        .boxed()
    });
    handlers.plain("tasks::failing_job", |call| {
        async move {
            pause(&call, LONG).await?;
            let failure = ToolResult {
                is_error: true,
                ..ToolResult::structured(&json!({ "failed": "on purpose" }))?
            };
            Ok(Outcome::Done(failure))
        }
        .boxed()
    });
    handlers.plain("tasks::protocol_error_job", |call| {
        async move {
            pause(&call, LONG).await?;
            match call.arguments.as_map().get("fail") {
                Some(Value::Bool(false)) => Ok(Outcome::text("It did not break.")),
                _ => Err(DomainError::Protocol("this job fails so".to_owned())),
            }
        }
        .boxed()
    });
    handlers.plain("tasks::confirm_delete", |call| {
        asking(call, &["confirm"], |call| {
            let name = text_argument(call, "filename");
            format!("Deleted {name}.")
        })
    });
    handlers.plain("tasks::multi_input", |call| {
        asking(call, &["first", "second"], |_| "Both were answered.".to_owned())
    });
    handlers.plain("tasks::with_task", |call| {
        async move {
            let Some(name) = call
                .round
                .answers
                .get("user_name")
                .and_then(|answer| answer.pointer("/content/name"))
                .and_then(Value::as_str)
            else {
                // Asked at once, so before there is a task.
                return ask(&["user_name"]);
            };
            let text = format!("Done for {name}.");
            pause(&call, LONG).await?;
            Ok(Outcome::text(text))
        }
        .boxed()
    });
}

/// Works for long, asks these, works again.
fn asking(
    call: Call,
    keys: &'static [&'static str],
    done: fn(&Call) -> String,
) -> BoxFuture<'static, HandlerResult> {
    async move {
        if keys.iter().all(|key| call.round.answers.contains_key(*key)) {
            return Ok(Outcome::text(done(&call)));
        }
        pause(&call, LONG).await?;
        ask(keys)
    }
    .boxed()
}

fn ask(keys: &[&str]) -> HandlerResult {
    let fields = json!({ "name": { "type": "string" }, "confirm": { "type": "boolean" } });
    let request = |key: &&str| -> (String, InputRequest) {
        ((*key).to_owned(), form("What do you say?", &fields, &[]))
    };
    Ok(Outcome::InputRequired(InputRequired {
        requests: keys.iter().map(request).collect(),
        state: None,
    }))
}

/// Takes its time, unless it is stopped.
async fn pause(call: &Call, time: Duration) -> Result<(), DomainError> {
    tokio::select! {
        () = call.cancelled.cancelled() => Err(DomainError::Cancelled),
        () = tokio::time::sleep(time) => Ok(()),
    }
}

fn text_argument(call: &Call, name: &str) -> String {
    let found = call.arguments.as_map().get(name).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}
