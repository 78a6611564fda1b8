//! One call of a tool, from its envelope to its reply.

use std::{borrow::Cow, time::Duration};

use footbridge_protocol::{headers::HeaderValue, jsonrpc::Id, meta::TRACEPARENT};
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    challenge::Stepping,
    desk::{Caller, Desk},
    envelope::{Dialect, Envelope, Mirror, ToolRequest},
    line::{Events, Line},
    messenger::Messenger,
    metrics::WENT_WELL,
    modern,
    progress::{LogNotes, ProgressNotes, Reports},
    reply::{Asker, Reply, of_call_error},
    shape,
    tape::Tape,
};
use crate::{
    access::oauth::Entrance,
    audit::RequestFacts,
    catalogue::Tool,
    domain::{DomainError, Progress},
    limits::Usage,
    pipeline::{Answer, Asking, CallError, ClientSession, ToolCall},
    telemetry::Trace,
};

/// Reports of a call that may wait while an earlier one is written; newer ones follow those that find no room.
const REPORTS_WAITING: usize = 16;
/// Where in `_meta` a result says that the month's calls go to their end (catalogue.md §2.11).
const WARNING: &str = "dev.footbridge/warning";

impl Desk {
    /// A call, whichever way its client found the tool.
    ///
    /// Boxed: what serves other requests should not be as large as a call.
    pub(super) fn call<'c>(
        &'c self,
        caller: &'c Caller,
        mirror: Mirror<'c>,
        envelope: &'c Envelope<'_>,
        request: &'c ToolRequest<'_>,
        session: Option<ClientSession>,
        line: &'c Line,
    ) -> BoxFuture<'c, Reply> {
        if self.has_tasks && envelope.dialect.is_modern() {
            match self.may_be_task(caller, request) {
                Ok(true) => return Box::pin(self.call_as_task(caller, mirror, envelope, request)),
                Ok(false) => {}
                Err(error) => {
                    let reply = self.reply_to(caller, envelope.id, envelope.dialect, Err(error));
                    return Box::pin(std::future::ready(reply));
                }
            }
        }
        Box::pin(self.call_tool(caller, mirror, envelope, request, session, line))
    }

    async fn call_tool(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        envelope: &Envelope<'_>,
        request: &ToolRequest<'_>,
        session: Option<ClientSession>,
        line: &Line,
    ) -> Reply {
        let dialect = envelope.dialect;
        if !dialect.is_modern() {
            line.outlive_caller();
        }
        let cancelled = CancellationToken::new();
        // Dropped with this future, that is when the client went away (protocol.md S-105).
        let _cancel = cancelled.clone().drop_guard();
        let settings = &self.common.settings;
        let streams = line.events() == Events::Welcome;
        let on_stdio = matches!(mirror, Mirror::Stdio { .. });
        let session = session.filter(|_| streams);
        // A process's client cannot lose its connection and live.
        let tape = session
            .as_ref()
            .filter(|_| !on_stdio)
            .and_then(|_| Tape::new(&self.common, caller, dialect.version));
        let token = request.progress_token.filter(|_| streams);
        let (progress, reports) = match (token, &tape) {
            (None, None) => (Progress::default(), None),
            _ => {
                let (sender, receiver) = mpsc::channel(REPORTS_WAITING);
                let reports = Reports {
                    line,
                    tape: tape.as_ref(),
                    progress: token.map(|token| ProgressNotes::new(token, settings)),
                    log: session.as_ref().map(|session| {
                        LogNotes::new(session.state.log_level.as_deref(), &request.name, settings)
                    }),
                    stream_after: Duration::from_millis(settings.stream_after_ms),
                };
                (Progress::to(sender), Some((receiver, reports)))
            }
        };
        let messenger = (on_stdio || tape.is_some()).then_some(Messenger {
            desk: self,
            caller,
            mirror,
            line,
            tape: tape.as_ref(),
            version: dialect.version,
        });
        let mut capabilities = modern::capabilities(request.capabilities);
        let asking = match (&messenger, &session) {
            _ if dialect.is_modern() => Asking::InResult,
            (Some(messenger), Some(session)) if !session.facts.capabilities.is_empty() => {
                capabilities.clone_from(&session.facts.capabilities);
                Asking::Directly(messenger)
            }
            _ => Asking::Never,
        };
        let check_headers = |tool: &Tool| match dialect.is_modern() && request.mirrored {
            true => mirror.check_params(tool.param_headers(), request.arguments),
            false => Ok(()),
        };
        let call = ToolCall {
            name: &request.name,
            arguments: request.arguments,
            input_responses: request.input_responses,
            request_state: request.request_state.as_deref(),
            capabilities,
            asking,
            approve_at: self.common.approve_at.get().map(String::as_str),
            check_headers: &check_headers,
            progress,
            cancelled,
            facts: self.facts(caller, mirror, envelope),
        };
        let started = std::time::Instant::now();
        let mut call = self.common.house.call(&caller.principal, call);
        let stoppable = session
            .as_ref()
            .filter(|_| !on_stdio && !dialect.is_modern())
            .map(|session| self.common.house.stoppable(session, &envelope.id.to_string()));
        let work = async {
            match reports {
                None => call.as_mut().await,
                Some((receiver, reports)) => Box::pin(reports.relay(call, receiver)).await,
            }
        };
        let result = match &stoppable {
            None => work.await,
            Some(stoppable) => Box::pin(until_stopped(work, &stoppable.stop)).await,
        };
        self.count(&request.name, &result, started.elapsed());
        let reply = self.reply_to(caller, envelope.id, dialect, result);
        if let Some(tape) = &tape {
            Box::pin(tape.end(&reply)).await;
        }
        reply
    }

    /// What a call came to, as a message.
    pub(super) fn reply_to(
        &self,
        caller: &Caller,
        id: Id<'_>,
        dialect: Dialect,
        result: Result<Answer, CallError>,
    ) -> Reply {
        let usage = self.common.house.monthly_usage(&caller.principal);
        let usage = usage.filter(Usage::is_near);
        let tail = self.tail(dialect, usage.as_ref());
        let reply = match result {
            Ok(Answer::Done(result)) => Reply::result(id, |out| {
                shape::write_tool_result(out, dialect, &tail, &result);
            }),
            Ok(Answer::InputRequired {
                requests,
                request_state,
            }) => Reply::result(id, |out| {
                shape::write_input_required(out, &tail, &requests, request_state.as_deref());
            }),
            Err(error) => {
                let asker = Asker {
                    id,
                    dialect,
                    stepping: Stepping::of(
                        &caller.principal,
                        caller.entrance.as_ref().and_then(Entrance::advertised),
                    ),
                    reference: &caller.request_id,
                    tail: &tail,
                };
                of_call_error(&error, asker)
            }
        };
        reply.with_usage(usage)
    }

    /// What ends a result: who we are, which modern results alone say, and a warning, which all do.
    pub(super) fn tail(&self, dialect: Dialect, usage: Option<&Usage>) -> Cow<'_, [u8]> {
        let own: &[u8] = if dialect.is_modern() {
            self.modern_tail()
        } else {
            b""
        };
        let Some(usage) = usage else {
            return Cow::Borrowed(own);
        };
        // Invariant: the modern tail ends with the brace that closes `_meta`.
        let mut tail = match own.strip_suffix(b"}") {
            Some(open) => [open, b","].concat(),
            None => br#","_meta":{"#.to_vec(),
        };
        tail.extend_from_slice(format!("\"{WARNING}\":{}}}", json!(usage.warning())).as_bytes());
        Cow::Owned(tail)
    }

    pub(super) fn count(&self, name: &str, result: &Result<Answer, CallError>, took: Duration) {
        let tool = self.bound.edition.find(name);
        if let Some(times) = tool.and_then(|tool| self.counts.times.get(tool.index)) {
            times.observe(took.as_secs_f64());
        }
        if let Err(CallError::OverLimit(limit)) = result {
            self.common.metrics.limit_reached(limit);
        }
        let outcome = outcome_of(result);
        match tool.and_then(|tool| self.counts.went_well.get(tool.index)) {
            Some(counter) if outcome == WENT_WELL => {
                counter.inc();
            }
            _ => {
                let tool = tool.map(|tool| &tool.name);
                self.common
                    .metrics
                    .tool_call(&self.bound.edition.name, tool, outcome);
            }
        }
    }

    pub(super) fn facts(&self, caller: &Caller, mirror: Mirror<'_>, envelope: &Envelope<'_>) -> RequestFacts {
        let cut = |text: &str| match text.len() <= 200 && !text.chars().any(char::is_control) {
            true => text.to_owned(),
            false => text.chars().filter(|c| !c.is_control()).take(200).collect(),
        };
        RequestFacts {
            request_id: caller.request_id.clone(),
            client_name: envelope.client.name.as_deref().map(cut),
            client_version: envelope.client.version.as_deref().map(cut),
            protocol_version: envelope.dialect.version.as_str(),
            address: caller.address,
            arrival: caller.arrival,
            // What the message says beats the header (protocol.md L-10).
            trace: match (&envelope.trace_parent, mirror.header(TRACEPARENT)) {
                (Some(parent), _) => Trace::read(parent),
                (None, HeaderValue::One(parent)) => Trace::read(parent),
                (None, _) => None,
            },
        }
    }
}

/// Gives a call up once its client wants it stopped, as if the client had gone away.
async fn until_stopped(
    work: impl Future<Output = Result<Answer, CallError>>,
    stop: &CancellationToken,
) -> Result<Answer, CallError> {
    tokio::select! {
        biased;
        result = work => result,
        () = stop.cancelled() => Err(CallError::Domain(DomainError::Cancelled)),
    }
}

/// The word that figures name an outcome with.
pub(super) fn outcome_of(result: &Result<Answer, CallError>) -> &'static str {
    match result {
        Ok(Answer::Done(result)) if result.is_error => "tool_error",
        Ok(Answer::Done(_)) => WENT_WELL,
        Ok(Answer::InputRequired { .. }) => "input_required",
        Err(error) => error.code(),
    }
}
