//! The loop: a line of the host → an exchange with the server, and the table of those in flight.
//!
//! Order (protocol.md B-32 to B-37, security.md B6): a message passes two gates. At the first, nothing overtakes an
//! `initialize` or a notification that has not been settled. At the second, requests wait for a free place; answers and
//! notifications do not, or a full table could never be emptied. Beyond the gates everything runs side by side.
//! [`message`] makes headers, [`end`] settles what is over or cancelled, [`refuse`] says no, [`farewell`] ends it all.

mod batch;
mod end;
mod farewell;
pub(crate) mod message;
mod refuse;

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use footbridge_protocol::codes;
use footbridge_protocol::era::Era;
use footbridge_protocol::jsonrpc::{DecodeError, Message, Notification, OwnedId, Request, Rules, decode};
use hyper::header::HeaderMap;
use tokio::task::{AbortHandle, Id as TaskId, JoinSet};

use crate::cross::down::{self, Crossing};
use crate::cross::up;
use crate::error::{BridgeError, quote};
use crate::exchange::{Exchange, Flags, Kind, Reader, Shared, answer_server, deliver};
use crate::legacy::stream;
use crate::log;
use crate::stdio::{Incoming, Input};
use message::Fate;
pub(crate) use refuse::{Until, refuse_all};

/// Messages that may wait behind the gates; their bytes are bounded as well. A host that sends more without reading answers
/// is refused.
const WAITING_MESSAGES: usize = 16_384;
/// The state of the loop. Nothing else is remembered about the host's messages (B-09).
pub(crate) struct Forward {
    shared: Arc<Shared>,
    /// Requests without an answer, wherever they are.
    flights: HashMap<OwnedId, Flight>,
    /// Messages behind the first gate, in order.
    held: VecDeque<Held>,
    /// What keeps the first gate shut: the task of a notification, or an `initialize`.
    barrier: Option<Barrier>,
    /// Requests behind the second gate, in order.
    waiting: VecDeque<Held>,
    /// Bytes behind both gates.
    waiting_bytes: usize,
    tasks: JoinSet<Ended>,
    /// Requests among `tasks`.
    running: usize,
    most_running: usize,
    /// The host has made a modern claim, so it knows errors without an id.
    modern_host: bool,
}

/// A message that waits, as it came. It is decoded again when its turn comes, which is rare and keeps this small.
struct Held {
    line: Bytes,
    /// The id if it is a request.
    id: Option<OwnedId>,
}

enum Flight {
    /// Behind a gate: nothing has been sent.
    Waiting,
    Running(Running),
}

struct Running {
    task: AbortHandle,
    era: Era,
    kind: Kind,
    flags: Arc<Flags>,
}

#[derive(PartialEq, Eq)]
enum Barrier {
    Task(TaskId),
    /// An `initialize` that waits for its place, under its id.
    Initialize(OwnedId),
}

/// The way of a request, ready to be walked. Boxed before it becomes a task: the runtime moves a task's future many times before
/// it first runs, and this one has kilobytes.
type Journey = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a task of the loop was.
enum Ended {
    Request(OwnedId),
    /// A notification or an answer of the host.
    Delivery,
}

impl Forward {
    /// A loop with an empty table and room for `most_running` requests at once.
    pub(crate) fn new(shared: Arc<Shared>, most_running: usize) -> Forward {
        Forward {
            shared,
            flights: HashMap::new(),
            held: VecDeque::new(),
            barrier: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            tasks: JoinSet::new(),
            running: 0,
            most_running,
            modern_host: false,
        }
    }

    /// Carries messages until the host closes its end.
    pub(crate) async fn run(&mut self, input: &mut Input) {
        loop {
            tokio::select! {
                // First, so that an id is free again before the host can have read its answer.
                biased;
                Some(ended) = self.tasks.join_next_with_id() => self.settle(ended).await,
                incoming = input.next() => match incoming {
                    Incoming::Line(line) => self.admit(line).await,
                    Incoming::TooLong(head) => self.refuse_long(&head).await,
                    Incoming::End => return,
                },
            }
        }
    }

    /// Takes one line of the host.
    async fn admit(&mut self, line: Bytes) {
        let message = match decode(&line, &Rules::BRIDGE) {
            Ok(message) => message,
            Err(DecodeError::Batch) if self.knows_batches() => return self.admit_batch(line).await,
            Err(error) => return self.refuse_line(&error).await,
        };
        let id = match &message {
            Message::Request(request) => {
                self.modern_host |= request.params.meta().is_modern_claim();
                if let Some((key, place)) = request.params.doubled() {
                    let message = format!("The key `{key}` occurs more than once in {place}");
                    return self.refuse(request.id, codes::INVALID_REQUEST, message).await;
                }
                let id = request.id.to_owned();
                if self.flights.contains_key(&id) {
                    let message = "A request with this id is still in flight. Use another id";
                    return self
                        .refuse(request.id, codes::INVALID_REQUEST, message.to_owned())
                        .await;
                }
                Some(id)
            }
            Message::Notification(notification) => {
                if notification.method == "notifications/cancelled" {
                    if let Ok(Some(id)) = notification.params.request_id() {
                        self.shared.output.forget(&id.to_owned()).await;
                    }
                    if !self.cancel(&notification.params) {
                        return self.pump().await;
                    }
                }
                None
            }
            Message::Response(_) => None,
        };
        let held = Held {
            line: line.clone(),
            id,
        };
        if self.barrier.is_none() && self.held.is_empty() {
            return self.pass(held, &message).await;
        }
        if let Some(held) = self.keep(held).await {
            self.held.push_back(held);
        }
    }

    /// Notes that a message waits, or refuses it because too much does.
    async fn keep(&mut self, held: Held) -> Option<Held> {
        let count = self.held.len() + self.waiting.len();
        let bytes = self.waiting_bytes + held.line.len();
        if count < WAITING_MESSAGES && (count == 0 || bytes <= self.shared.message_bytes) {
            self.waiting_bytes = bytes;
            if let Some(id) = &held.id {
                self.flights.insert(id.clone(), Flight::Waiting);
            }
            return Some(held);
        }
        match held.id {
            Some(id) => {
                self.flights.remove(&id);
                let error = BridgeError::too_large(format!(
                    "Too many messages wait already ({count}). Read the answers that are due before sending more"
                ));
                self.say(error.to_line(Some(id.as_id()))).await;
            }
            None => log::warn(format_args!(
                "dropped a notification or answer: {count} messages wait already"
            )),
        }
        None
    }

    /// Opens the gates as far as they may.
    async fn pump(&mut self) {
        while self.running < self.most_running {
            let Some(held) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_bytes -= held.line.len();
            if let Ok(Message::Request(request)) = decode(&held.line, &Rules::BRIDGE) {
                self.start(held.line.clone(), &request).await;
            }
        }
        while self.barrier.is_none() {
            let Some(held) = self.held.pop_front() else { break };
            self.waiting_bytes -= held.line.len();
            let line = held.line.clone();
            if let Ok(message) = decode(&line, &Rules::BRIDGE) {
                self.pass(held, &message).await;
            }
        }
    }

    /// A message is through the first gate.
    async fn pass(&mut self, held: Held, message: &Message<'_>) {
        match message {
            Message::Request(request) => {
                if let Some(answer) = down::answer(&self.shared, request) {
                    self.flights.remove(&request.id.to_owned());
                    return self.say(answer).await;
                }
                let opens_handshake = message::opens_handshake(request);
                if opens_handshake {
                    self.barrier = Some(Barrier::Initialize(request.id.to_owned()));
                }
                if self.running < self.most_running && self.waiting.is_empty() {
                    self.start(held.line, request).await;
                } else if let Some(held) = self.keep(held).await {
                    self.waiting.push_back(held);
                } else if opens_handshake {
                    self.barrier = None;
                }
            }
            Message::Notification(notification) if self.is_lost_on_server(notification) => {
                log::debug(format_args!(
                    "dropped a notification: nothing of the kind exists in the server's revision"
                ));
            }
            Message::Notification(notification) if down::swallow(&self.shared, notification) => {}
            Message::Notification(notification) => {
                let headers = match message::notification_headers(&self.shared, notification) {
                    Ok(headers) => headers,
                    Err(error) => {
                        log::warn(format_args!("a notification cannot be sent: {error}"));
                        return;
                    }
                };
                let what = format!("the notification `{}`", quote(notification.method.as_bytes(), 64));
                let opens_stream = notification.method == "notifications/initialized"
                    && !notification.params.meta().is_modern_claim();
                let (shared, line) = (Arc::clone(&self.shared), held.line);
                let task = self.tasks.spawn(async move {
                    if deliver(&shared, &headers, &line, &what).await && opens_stream {
                        shared.legacy.keep_initialized(&line);
                        stream::open(&shared);
                    }
                    Ended::Delivery
                });
                self.barrier = Some(Barrier::Task(task.id()));
            }
            Message::Response(response)
                if response
                    .id
                    .is_some_and(|id| self.shared.down.settle(&id.to_owned(), &held.line)) => {}
            Message::Response(response) => {
                let asked = response
                    .id
                    .is_some_and(|id| self.shared.legacy.settle(&id.to_owned()));
                if !asked {
                    log::warn(format_args!(
                        "dropped an answer of the host to a request the server did not make"
                    ));
                    return;
                }
                let mut headers = HeaderMap::new();
                self.shared.legacy.stamp(&mut headers);
                let (shared, line) = (Arc::clone(&self.shared), held.line);
                self.tasks.spawn(async move {
                    answer_server(&shared, &headers, &line).await;
                    Ended::Delivery
                });
            }
        }
    }

    /// Says whether a notification comes from a modern host to a server of the handshake era, which cannot use it.
    fn is_lost_on_server(&self, notification: &Notification<'_>) -> bool {
        let unclaimed =
            || self.shared.up.is_some() && self.modern_host && self.shared.legacy.revision().is_none();
        (notification.params.meta().is_modern_claim() || unclaimed()) && self.shared.probe.is_legacy()
    }

    /// A request is through both gates: makes its headers and starts its exchange.
    async fn start(&mut self, body: Bytes, request: &Request<'_>) {
        let id = request.id.to_owned();
        let flags = Arc::new(Flags::default());
        let (era, kind, journey) = match self.plan(body, request, &flags) {
            Ok(plan) => plan,
            Err(error) => {
                self.flights.remove(&id);
                return self.refuse(request.id, codes::INVALID_REQUEST, error).await;
            }
        };
        if log::wants(log::Level::Debug) {
            let method = quote(request.method.as_bytes(), 64);
            log::debug(format_args!("request `{method}`, {era:?}"));
        }
        let ended = id.clone();
        let task = self.tasks.spawn(async move {
            journey.await;
            Ended::Request(ended)
        });
        if kind == Kind::Initialize {
            self.barrier = Some(Barrier::Task(task.id()));
        }
        self.running += 1;
        self.flights.insert(
            id,
            Flight::Running(Running {
                task,
                era,
                kind,
                flags,
            }),
        );
    }

    /// Decides how a request travels: as it is, or across the eras.
    fn plan(
        &self,
        body: Bytes,
        request: &Request<'_>,
        flags: &Arc<Flags>,
    ) -> Result<(Era, Kind, Journey), String> {
        if let Some(crossing) = down::take(&self.shared, &body, request, flags) {
            let Crossing { era, kind, run } = crossing?;
            return Ok((era, kind, run));
        }
        if let Some((kind, run)) = up::take(&self.shared, &body, request) {
            return Ok((Era::Modern, kind, run));
        }
        let Fate { era, kind, headers } = message::prepare(&self.shared, request)?;
        let exchange = Exchange {
            shared: Arc::clone(&self.shared),
            id: request.id.to_owned(),
            kind,
            era,
            headers,
            body,
            flags: Arc::clone(flags),
            reader: Reader::Host,
        };
        Ok((era, kind, Box::pin(exchange.run())))
    }
}

impl Flight {
    fn is_task(&self, task: TaskId) -> bool {
        matches!(self, Flight::Running(running) if running.task.id() == task)
    }
}
