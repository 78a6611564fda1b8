//! Local programs as tools (security.md X1–X3): JSON in on stdin, JSON out on stdout, and nothing else of the server's.
//!
//! The server starts itself as a `runner`, which confines the program and ends everything that came of it: when the
//! program is done, when the call is given up, and when the server is gone. No shell is involved, and nothing that a
//! caller says is ever part of a command line.

mod order;
#[cfg(target_os = "linux")]
mod runner;
mod started;

use std::{path::PathBuf, sync::Arc};

use jsonschema::Validator;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

#[cfg(target_os = "linux")]
pub use runner::run_if_asked;
use started::Started;

use super::{Change, DomainError, Handler, Handlers, Op, Outcome, Plan, ToolResult};
use crate::{
    catalogue::{CommandCall, Tool},
    vocabulary::Effect,
};

/// Programs that one tool has running at once; further calls wait for their turn within their time.
const RUNNING_AT_ONCE: usize = 8;

/// One tool's program.
struct CommandTool {
    call: Arc<CommandCall>,
    runner: PathBuf,
    title: String,
    effect: Effect,
    output: Option<Validator>,
    turns: Semaphore,
}

/// What the plan hands to what carries it out.
#[derive(Serialize, Deserialize)]
struct Payload {
    arguments: Map<String, Value>,
}

/// The handler of a tool that is a program. Its effect lands outside the store: there is an intent in the log before it.
pub fn handler(tool: &Tool, call: &Arc<CommandCall>, runner: PathBuf) -> Handler {
    let command = Arc::new(CommandTool {
        call: Arc::clone(call),
        runner,
        title: tool.title.clone(),
        effect: tool.effect,
        output: tool
            .output
            .as_ref()
            .and_then(|schema| jsonschema::draft202012::new(schema).ok()),
        turns: Semaphore::new(RUNNING_AT_ONCE),
    });
    let mut handlers = Handlers::default();
    let name = "command";
    if tool.effect == Effect::Read {
        handlers.task(name, move |_, work| {
            let command = Arc::clone(&command);
            Box::pin(async move {
                let result = command.run(work.arguments.as_map(), &work.cancelled).await?;
                Ok(Outcome::Done(result))
            })
        });
    } else {
        let planner = Arc::clone(&command);
        handlers.planned_remote(
            name,
            move |work| {
                let command = Arc::clone(&planner);
                Box::pin(async move { command.plan(work.arguments.as_map()) })
            },
            move |_, work| {
                let command = Arc::clone(&command);
                Box::pin(async move {
                    let Payload { arguments } = work.plan.payload()?;
                    // What was agreed to is brought to its end although nobody waits for it any more.
                    command.run(&arguments, &CancellationToken::new()).await
                })
            },
        );
    }
    let made = handlers.find(name).cloned();
    made.expect("registered a few lines above")
}

impl CommandTool {
    /// What a program would do only the program knows: the plan shows what it is told.
    fn plan(&self, arguments: &Map<String, Value>) -> Result<Plan, DomainError> {
        let mut plan = Plan::new(format!("Run: {}", self.title));
        let op = match self.effect {
            Effect::Read | Effect::Execute => Op::Run,
            Effect::Create => Op::Create,
            Effect::Update => Op::Update,
            Effect::Delete => Op::Delete,
        };
        for (field, value) in arguments {
            plan = plan.with(Change {
                op,
                object: "program".into(),
                id: None,
                field: Some(field.clone().into()),
                from: None,
                to: Some(value.clone()),
            });
        }
        plan.with_effect("runs a program on the server's machine")
            .carrying(&Payload {
                arguments: arguments.clone(),
            })
    }

    async fn run(
        &self,
        arguments: &Map<String, Value>,
        cancelled: &CancellationToken,
    ) -> Result<ToolResult, DomainError> {
        let late = || {
            let seconds = self.call.timeout.as_secs();
            DomainError::Rule(format!(
                "the program behind this tool took longer than {seconds} s and was stopped; part of its work may be done"
            ))
        };
        let end = tokio::time::Instant::now() + self.call.timeout;
        let turn = tokio::time::timeout_at(end, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| late())?.map_err(DomainError::internal)?;
        let mut started = Started::new(&self.runner, &self.call, arguments).map_err(DomainError::internal)?;
        let ended = tokio::select! {
            ended = started.ended() => ended.map_err(DomainError::internal),
            () = tokio::time::sleep_until(end) => Err(late()),
            () = cancelled.cancelled() => Err(DomainError::Cancelled),
        };
        // Whatever is left of it ends now; the folder goes after that.
        started.stop().await;
        let ended = ended?;
        let value = ended.answer(self.call.most_bytes)?;
        if let Some(schema) = &self.output
            && !schema.is_valid(&value)
        {
            return Err(DomainError::internal(std::io::Error::other(
                "the program's answer is not what the tool promises",
            )));
        }
        ToolResult::structured(&value)
    }
}
