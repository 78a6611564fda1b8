//! One request of a legacy host to a modern server, from the line it came in to the line that answers it.
//!
//! Nearly every call is one POST: keys are stamped in, modern members are taken out. What needs more (questions, a task)
//! goes on in [`Rounds`] and [`task`]. Dropping a call closes its exchange, which cancels it (X-09), and
//! withdraws what the host is being asked.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use footbridge_protocol::era::Era;
use footbridge_protocol::jsonrpc::{
    ErrorView, Keys, Message, OwnedId, Request, Rules, decode, write_result_with,
};
use hyper::StatusCode;
use hyper::header::HeaderMap;
use tokio::time::Instant;

use super::asks::Asks;
use super::fall::fall;
use super::lane::{Lane, Outcome};
use super::question::Entry;
use super::rounds::Rounds;
use super::task::{self, Task};
use super::welcome::Handshake;
use super::{Host, codes, envelope, shape};
use crate::cross::object::{Object, Within};
use crate::cross::splice::{Holes, kept};
use crate::error::BridgeError;
use crate::exchange::{Exchange, Flags, Kind, Reader, Shared};
use crate::forward::message;
use crate::probe::contradicts_modern;
use crate::seconds::Seconds;
use crate::stdio::{Line, Output};

/// A crossed request.
pub(super) struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) host: Arc<Host>,
    /// The host's id, which its answer bears.
    id: OwnedId,
    method: String,
    /// As the host wrote it.
    line: Bytes,
    pub(super) kind: Kind,
    /// For the first POST, which takes them. Few calls have another.
    headers: HeaderMap,
    flags: Arc<Flags>,
    pub(super) lane: Arc<Lane>,
}

/// What a reply asks for.
pub(super) enum Step {
    /// The call is over, with this line for the host.
    Done(Line),
    /// Answers are needed.
    Input(Required),
    /// The server goes on by itself and has to be asked.
    Task(Task),
    /// Refused in the manner of the other era: the line to report if that is not the reason.
    Doubt(Line),
    /// Nobody waits any more.
    Gone,
}

/// What an `input_required` result holds.
pub(super) struct Required {
    entries: Vec<Entry>,
    /// Raw.
    state: Option<String>,
}

impl Step {
    /// Turns the end of a call into a doubt.
    fn doubted_if(self, doubtful: bool) -> Step {
        match self {
            Step::Done(line) if doubtful => Step::Doubt(line),
            step => step,
        }
    }
}

impl Call {
    /// Makes the headers of the request, or says why it cannot be sent.
    pub(super) fn new(
        shared: &Arc<Shared>,
        host: Arc<Host>,
        line: &Bytes,
        request: &Request<'_>,
        flags: &Arc<Flags>,
    ) -> Result<Call, String> {
        let (kind, headers) = message::as_modern(shared, request, host.version)?;
        Ok(Call {
            shared: Arc::clone(shared),
            host,
            id: request.id.to_owned(),
            method: request.method.as_ref().to_owned(),
            line: line.clone(),
            kind,
            headers,
            flags: Arc::clone(flags),
            lane: Arc::new(Lane::of_host()),
        })
    }

    /// Carries the request and writes its answer.
    pub(super) async fn run(mut self) {
        let began = Instant::now();
        let headers = mem::take(&mut self.headers);
        // The first POST goes under the host's id: nothing else in this exchange has one.
        let line = match self.post(self.id.clone(), "", headers).await {
            Step::Done(line) => line,
            Step::Gone => return,
            Step::Doubt(line) => match Box::pin(self.doubt(line)).await {
                Some(line) => line,
                None => return,
            },
            step => {
                let limit = self.shared.call_limit;
                let mut rounds = Rounds::new(self.shared.output.clone());
                let left = limit.saturating_sub(began.elapsed());
                let end = self.shared.alarm.within(left, self.go_on(step, &mut rounds));
                let line = match Box::pin(end).await {
                    Ok(Some(line)) => line,
                    Ok(None) => return,
                    Err(_) => self.late(),
                };
                rounds.finish().await;
                line
            }
        };
        let _ = self.shared.output.send(line).await;
    }

    /// Takes steps until the call is over. `None`: nobody waits any more.
    async fn go_on(&self, mut step: Step, rounds: &mut Rounds) -> Option<Line> {
        loop {
            step = match step {
                Step::Done(line) | Step::Doubt(line) => return Some(line),
                Step::Gone => return None,
                Step::Input(required) => match self.gather(&required, rounds).await {
                    Ok(more) => match self.headers_again() {
                        Ok(headers) => self.post(self.asks().id(), &more, headers).await,
                        Err(cause) => self.broken(&cause),
                    },
                    Err(end) => end,
                },
                Step::Task(task) => task::follow(self, task, rounds).await,
            };
        }
    }

    /// Gathers what a retry needs, as members of its `params`, each followed by a comma.
    async fn gather(&self, required: &Required, rounds: &mut Rounds) -> Result<String, Step> {
        let mut more = String::new();
        if required.entries.is_empty() {
            rounds.pause().await;
        } else {
            let answers = rounds.answers(self, &required.entries).await?;
            more = format!(r#""inputResponses":{answers},"#);
        }
        if let Some(state) = &required.state {
            more.push_str(r#""requestState":"#);
            more.push_str(state);
            more.push(',');
        }
        Ok(more)
    }

    /// Sends the request under `id`, with `more` members in its `params`, and reads what comes back.
    async fn post(&self, id: OwnedId, more: &str, headers: HeaderMap) -> Step {
        let body = envelope::stamp(id.as_id(), &self.method, &self.line, &self.host.keys(), more);
        let exchange = Exchange {
            shared: Arc::clone(&self.shared),
            id,
            kind: self.kind,
            era: Era::Modern,
            headers,
            body: body.into(),
            flags: Arc::clone(&self.flags),
            reader: Reader::Lane(Arc::clone(&self.lane)),
        };
        exchange.run().await;
        self.judge(self.lane.take())
    }

    /// The headers of one more POST.
    fn headers_again(&self) -> Result<HeaderMap, String> {
        match decode(&self.line, &Rules::BRIDGE) {
            Ok(Message::Request(request)) => {
                message::as_modern(&self.shared, &request, self.host.version).map(|(_, headers)| headers)
            }
            _ => Err("The request cannot be read again".to_owned()),
        }
    }

    fn judge(&self, outcome: Option<(StatusCode, Outcome)>) -> Step {
        let (status, response) = match outcome {
            Some((status, Outcome::Response(response))) => (status, response),
            Some((_, Outcome::Failed(error))) => {
                let doubtful = error
                    .status()
                    .is_some_and(|status| contradicts_modern(status, None));
                return self.failed(&error).doubted_if(doubtful);
            }
            None => return Step::Gone,
        };
        let response = kept(response);
        let seen = self.lane.take_seen();
        let within = match Object::at(&response, &seen.spots).filter(|object| !object.is_empty()) {
            None => Object::within(&response, "result").unwrap_or_default(),
            object => Within { object, error: None },
        };
        let result = match (within.object, within.error) {
            (_, Some(error)) => {
                let code = ErrorView::read(error).map(|error| error.code);
                let doubtful = !status.is_success() && contradicts_modern(status, code);
                return self
                    .refused(&codes::translate(error, &self.method))
                    .doubted_if(doubtful);
            }
            (Some(result), None) => result,
            (None, None) => return self.broken("The server's result is no object"),
        };
        match result.get("resultType") {
            None | Some(r#""complete""#) => self.complete(result, &response, seen.keys),
            Some(_) => match result.text("resultType").as_deref() {
                Some("complete") => self.complete(result, &response, seen.keys),
                Some("input_required") => self.input(&result),
                Some("task") if self.method == "tools/call" => match Task::read(&result) {
                    Some(task) => Step::Task(task),
                    None => self.broken("The server began a task without an id"),
                },
                _ => self.broken("The server's result is of a kind that was not asked for"),
            },
        }
    }

    /// The server may have become a legacy one (B-51). If so, it now has a session, and the request, which it refused
    /// without executing it, is sent as the host wrote it. `line` is the answer otherwise.
    async fn doubt(&self, line: Line) -> Option<Line> {
        if !self.shared.probe.doubt() {
            return Some(line);
        }
        match fall(&self.shared, &self.host).await {
            Ok(true) => {}
            Ok(false) => return Some(line),
            Err(error) => return Some(error.to_line(Some(self.id.as_id()))),
        }
        let mut headers = HeaderMap::new();
        self.shared.legacy.stamp(&mut headers);
        let exchange = Exchange {
            shared: Arc::clone(&self.shared),
            id: self.id.clone(),
            kind: Kind::Once,
            era: Era::Legacy,
            headers,
            body: self.line.clone(),
            flags: Arc::clone(&self.flags),
            reader: Reader::Host,
        };
        exchange.run().await;
        None
    }

    fn input(&self, result: &Object<'_>) -> Step {
        if !matches!(
            self.method.as_str(),
            "tools/call" | "prompts/get" | "resources/read"
        ) {
            return self.broken("The server asked for answers where none can be given");
        }
        let entries = match result.get("inputRequests") {
            Some(raw) => Entry::read_all(raw),
            None => Some(Vec::new()),
        };
        let state = result.get("requestState").map(str::to_owned);
        match entries {
            Some(entries) if !entries.is_empty() || state.is_some() => {
                Step::Input(Required { entries, state })
            }
            _ => self.broken("The server asked for answers without saying which"),
        }
    }

    /// The end of the call with a complete result that `response` holds, and these keys.
    pub(super) fn complete(&self, result: Object<'_>, response: &Bytes, keys: Keys) -> Step {
        let result = shape::shape(result, &self.method, self.host.handshake.revision, keys);
        let mut holes = Holes::of(response);
        let mut line = holes.room();
        write_result_with(&mut line, self.id.as_id(), |out| result.write(out, &mut holes));
        Step::Done(holes.into_line(line))
    }

    /// The end of the call with this raw error.
    pub(super) fn refused(&self, error: &str) -> Step {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, self.id.as_raw());
        Step::Done(Line::new(line.into_bytes()))
    }

    /// The end of the call with an error of the bridge.
    pub(super) fn failed(&self, error: &BridgeError) -> Step {
        Step::Done(error.to_line(Some(self.id.as_id())))
    }

    /// The end of the call through a fault of the server.
    pub(super) fn broken(&self, cause: &str) -> Step {
        self.failed(&BridgeError::protocol(format!(
            "{cause}. Its operator has to correct that"
        )))
    }

    fn late(&self) -> Line {
        BridgeError::timeout(format!(
            "The request was given up after {} s, before all questions were answered; whether it took effect is unknown. \
             Check that before you repeat it, or raise {}",
            Seconds(self.shared.call_limit),
            crate::brand::variable!("CALL_TIMEOUT")
        ))
        .to_line(Some(self.id.as_id()))
    }

    pub(super) fn asks(&self) -> &Arc<Asks> {
        &self.shared.down.asks
    }

    pub(super) fn handshake(&self) -> &Handshake {
        &self.host.handshake
    }

    pub(super) fn output(&self) -> &Output {
        &self.shared.output
    }

    /// The raw progress token of the host, if it wants progress.
    pub(super) fn progress_token(&self) -> Option<String> {
        let params = Object::within(&self.line, "params")?.object?;
        params.object("_meta").get("progressToken").map(str::to_owned)
    }
}
