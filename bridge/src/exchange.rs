//! One request of the host from POST to answer (protocol.md §3.4).
//!
//! In comes a request whose headers are made; out go its lines, in order, the response last. Whatever happens, exactly one
//! response is written, unless the host cancelled. Cancelling a modern request is dropping its [`Exchange`], which closes
//! the HTTP exchange and writes nothing more.
//!
//! What may help when an attempt fails is in files of its own: [`refusal`] reads what the server said, [`repair`] corrects
//! headers, [`resume`] goes on where a stream broke, [`listen`] keeps a subscription alive, and
//! [`recover`] opens a session anew.

pub(crate) mod ask;
pub(crate) mod events;
mod failure;
mod listen;
mod notice;
mod reader;
pub(crate) mod refusal;
mod repair;
mod resume;

use std::borrow::Cow;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::era::Era;
use footbridge_protocol::headers::SESSION_ID;
use footbridge_protocol::jsonrpc::{Id, OwnedId, glance_into};
use footbridge_protocol::scan::Spot;
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use tokio::sync::SetOnce;

use crate::alarm::Alarm;
use crate::cross::down::Down;
use crate::cross::up::{self, Up};
use crate::diagnosis::Diagnosis;
use crate::error::{BridgeError, quote};
use crate::legacy::recover::{self, Lost};
use crate::legacy::{Legacy, sse_transport};
use crate::log;
use crate::options::URL_VARIABLE;
use crate::probe::{Probe, reply_contradicts_modern};
use crate::relay::{self, Verdict};
use crate::seconds::Seconds;
use crate::stdio::Output;
use crate::tools::ToolHeaders;
use crate::upstream::{Reply, Upstream};
use events::{Events, EventsError};
use failure::{Failure, Remedy, Report, Tried};
pub(crate) use notice::{answer_server, cancel_upstream, deliver};
pub(crate) use reader::Reader;

/// Longest pause a server may ask for before a resend (M-11).
const RETRY_AFTER_MOST: Duration = Duration::from_secs(30);
/// What every exchange works with.
pub(crate) struct Shared {
    pub(crate) upstream: Upstream,
    pub(crate) output: Output,
    pub(crate) legacy: Legacy,
    pub(crate) probe: Probe,
    pub(crate) down: Down,
    /// Carries modern requests to a handshake-era server. `None` unless the person has asked for it.
    pub(crate) up: Option<Arc<Up>>,
    pub(crate) tools: ToolHeaders,
    pub(crate) alarm: Alarm,
    /// Longest time for one request.
    pub(crate) call_limit: Duration,
    /// Largest message.
    pub(crate) message_bytes: usize,
    /// Set when the bridge can no longer serve this host: why.
    pub(crate) stop: SetOnce<BridgeError>,
}

/// What the loop and a running exchange tell each other.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// Bytes of the request may have left.
    pub(crate) sent: AtomicBool,
    /// The host cancelled; a legacy exchange goes on reading and says nothing more.
    pub(crate) cancelled: AtomicBool,
}

/// The methods whose treatment differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `initialize`: its answer holds the facts of the handshake.
    Initialize,
    /// `tools/list` of the modern era, with whether it asks for the first page.
    ToolsList { first_page: bool },
    /// `subscriptions/listen`: no time limit.
    Listen,
    /// `tools/call` of the modern era: its headers depend on the tool.
    Call,
    /// May be sent again after its reply was lost (B-41).
    Repeatable,
    /// In the handshake era: what it is granted holds for the rest of the session.
    Standing,
    /// Anything else.
    Once,
}

impl Kind {
    fn is_repeatable(self) -> bool {
        matches!(self, Kind::ToolsList { .. } | Kind::Repeatable)
    }
}

/// One request on its way.
pub(crate) struct Exchange {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: OwnedId,
    pub(crate) kind: Kind,
    pub(crate) era: Era,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) flags: Arc<Flags>,
    pub(crate) reader: Reader,
}

impl Exchange {
    /// Carries the request and writes its answer, the server's or our own.
    pub(crate) async fn run(self) {
        let outcome = if self.kind == Kind::Listen {
            self.attempts().await
        } else {
            let limit = self.shared.call_limit;
            let attempts = pin!(self.attempts());
            self.shared.alarm.within(limit, attempts).await.unwrap_or_else(|_| {
                Err(Failure::Final(BridgeError::timeout(format!(
                    "The request was given up after {} s; whether it took effect is unknown. Check that before you \
                     repeat it, or raise {}",
                    Seconds(limit),
                    crate::brand::variable!("CALL_TIMEOUT")
                ))))
            })
        };
        let error = match outcome {
            Ok(()) | Err(Failure::Settled) => return,
            Err(Failure::OtherEra) => {
                return Box::pin(up::take_over(&self.shared, self.id, self.body)).await;
            }
            Err(Failure::Refused(_, Report::Theirs(line))) => {
                if !self.is_cancelled() {
                    let _ = self.reader.answer(&self.shared, line, Vec::new()).await;
                }
                return;
            }
            Err(
                Failure::Final(error) | Failure::Again(_, error) | Failure::Refused(_, Report::Ours(error)),
            ) => error,
        };
        log::debug(format_args!(
            "request {} failed: {}",
            quote(self.id.as_raw().as_bytes(), 64),
            error.message()
        ));
        // The server may still be at work. In the modern era closing the exchange has told it so.
        if self.era == Era::Legacy
            && error.leaves_work()
            && self.kind != Kind::Initialize
            && !self.is_cancelled()
        {
            tokio::spawn(cancel_upstream(Arc::clone(&self.shared), self.id.clone()));
        }
        if !self.is_cancelled() {
            self.reader.fail(&self.shared, self.id(), error).await;
        }
    }

    /// Sends the request, and again as long as there is something left to try that cannot do anything twice.
    async fn attempts(&self) -> Result<(), Failure> {
        let mut headers = Cow::Borrowed(&self.headers);
        let mut tried = Tried::default();
        if self.era == Era::Legacy && self.kind != Kind::Initialize && self.shared.legacy.needs_stream() {
            Box::pin(recover::renew(&self.shared, Lost::Stream)).await?;
        }
        loop {
            let Err(failure) = self.attempt(&headers, !tried.again).await else {
                return Ok(());
            };
            match failure {
                Failure::Again(pause, error) if !mem::replace(&mut tried.again, true) => {
                    log::info(format_args!("sending a request again: {}", error.message()));
                    tokio::time::sleep(pause).await;
                }
                Failure::Refused(Some(Remedy::Session), _) if !mem::replace(&mut tried.session, true) => {
                    let lost = headers
                        .get(SESSION_ID)
                        .cloned()
                        .map_or(Lost::Stream, Lost::Session);
                    Box::pin(recover::renew(&self.shared, lost)).await?;
                    self.shared.legacy.stamp_anew(headers.to_mut());
                }
                Failure::Refused(Some(Remedy::Headers), report)
                    if !mem::replace(&mut tried.headers, true) =>
                {
                    match Box::pin(repair::headers(self)).await {
                        Some(repaired) => headers = Cow::Owned(repaired),
                        None => return Err(Failure::Refused(None, report)),
                    }
                }
                Failure::Refused(Some(Remedy::OldTransport), report)
                    if !mem::replace(&mut tried.old_transport, true) =>
                {
                    if let Err(error) = Box::pin(sse_transport::open(&self.shared)).await {
                        log::debug(format_args!("no older transport either: {}", error.message()));
                        return Err(Failure::Refused(None, report));
                    }
                }
                failure => return Err(failure),
            }
        }
    }

    async fn attempt(&self, headers: &HeaderMap, first: bool) -> Result<(), Failure> {
        let (late, target) = match self.era {
            Era::Legacy => (
                self.shared.legacy.expect(&self.id),
                self.shared.legacy.post_target(),
            ),
            Era::Modern => (None, None),
        };
        let sent = self
            .shared
            .upstream
            .send_to(
                target.as_ref(),
                &Method::POST,
                headers,
                &self.body,
                Some(&self.flags.sent),
            )
            .await;
        match sent {
            Ok(reply)
                if matches!(reply.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT)
                    || (target.is_some() && reply.status.is_success()) =>
            {
                reply.body.linger();
                match late {
                    Some(late) => match late.response().await {
                        Some(response) => self.answer(response, Vec::new(), &HeaderMap::new()).await,
                        None => Err(self.lost("The server's stream ended before the response came")),
                    },
                    None => Err(BridgeError::protocol(
                        "The server accepted the request without answering it (202). Its operator has to correct that",
                    )
                    .with_status(StatusCode::ACCEPTED)
                    .into()),
                }
            }
            Ok(reply) if reply.status.is_success() => self.read(reply).await,
            Ok(reply) => Err(Box::pin(refusal::read(self, reply, headers, first)).await),
            Err(error) if error.is_loss() => Err(self.again(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a 2xx reply: one JSON message, or a stream of events.
    async fn read(&self, mut reply: Reply) -> Result<(), Failure> {
        if reply.headers.contains_key(hyper::header::CONTENT_ENCODING) {
            return Err(self.broken("The server compressed its reply, which was not asked for"));
        }
        match reply.type_among(["application/json", "text/event-stream", "text/html"]) {
            Some("application/json") => {}
            Some("text/event-stream") => return Box::pin(self.read_stream(reply)).await,
            Some(_) => {
                return Err(BridgeError::protocol(format!(
                    "{URL_VARIABLE} leads to a web page, not to an MCP endpoint. The endpoint of most servers is their \
                     address followed by /mcp"
                ))
                .diagnosed(Diagnosis::WebPage)
                .into());
            }
            None => {
                let declared = quote(reply.header(hyper::header::CONTENT_TYPE).as_bytes(), 100);
                return Err(self.broken(&format!(
                    "The server answered {} with content type `{declared}` where JSON or an event stream is due",
                    reply.status.as_u16()
                )));
            }
        }
        let whole = reply
            .body
            .whole(self.shared.message_bytes)
            .await
            .map_err(|error| self.body_failure(error))?;
        if self.take(whole, &reply.headers).await? {
            return Ok(());
        }
        Err(self.broken("The server's reply does not answer the request: its `id` is missing or another one"))
    }

    async fn read_stream(&self, reply: Reply) -> Result<(), Failure> {
        if self.kind == Kind::Listen {
            return Box::pin(listen::run(self, reply)).await;
        }
        let headers = reply.headers;
        let mut events = Events::new(reply.body, self.shared.message_bytes);
        let Some(loss) = self.follow(&mut events, &headers).await? else {
            events.linger();
            return Ok(());
        };
        if self.era == Era::Legacy && resume::is_possible(&events) {
            return Box::pin(resume::run(self, events, &headers)).await;
        }
        Err(self.again(loss))
    }

    /// Carries what `events` brings until the response has passed; returns why it did not, if the stream ends before.
    async fn follow(&self, events: &mut Events, headers: &HeaderMap) -> Result<Option<BridgeError>, Failure> {
        loop {
            match events.next().await {
                Ok(Some(event)) => {
                    if self.take(event.data, headers).await? {
                        return Ok(None);
                    }
                }
                Ok(None) => {
                    return Ok(Some(Self::unknown_outcome(
                        "The server ended its reply before the response came",
                    )));
                }
                Err(EventsError::Lost(cause)) => return Ok(Some(self.shared.upstream.lost(&cause))),
                Err(EventsError::TooLarge(_)) => {
                    return Err(BridgeError::reply_too_large(self.shared.message_bytes).into());
                }
            }
        }
    }

    /// Does what a message asks for; true if it was the response.
    async fn take(&self, data: Vec<u8>, headers: &HeaderMap) -> Result<bool, Failure> {
        // A crossing takes the result apart: one look finds out both.
        let mut spots = Vec::new();
        if matches!(self.reader, Reader::Lane(_))
            && glance_into(&data, &mut spots).is_some_and(|seen| self.id == seen.id)
        {
            self.answer(data, spots, headers).await?;
            return Ok(true);
        }
        match relay::judge(&data, Some((&self.id, self.era)), &self.shared) {
            Ok(Verdict::Answer) => {
                self.answer(data, Vec::new(), headers).await?;
                Ok(true)
            }
            Ok(Verdict::Pass) => {
                // A question of the server is closed at the host even when the call that asked it is no longer wanted.
                if !self.is_cancelled() || relay::withdraws(&data) {
                    self.reader.pass(&self.shared, data).await?;
                }
                Ok(false)
            }
            Ok(Verdict::Other(_)) => {
                log::debug(format_args!("dropped a response to another request"));
                Ok(false)
            }
            Ok(Verdict::Drop) => Ok(false),
            Ok(Verdict::Several(parts)) => {
                let mut answered = false;
                for part in parts {
                    answered |= Box::pin(self.take(part, headers)).await?;
                }
                Ok(answered)
            }
            Err(error) => Err(self.broken(&format!(
                "The server sent something that is no JSON-RPC message: {error}"
            ))),
        }
    }

    /// Writes the response, after learning from it what later messages need.
    async fn answer(
        &self,
        response: Vec<u8>,
        mut spots: Vec<Spot>,
        headers: &HeaderMap,
    ) -> Result<(), Failure> {
        self.check_era(StatusCode::OK, &response).await?;
        let response = match self.kind {
            Kind::Initialize => {
                self.shared.legacy.learn(headers, &response, &self.body);
                response
            }
            Kind::Standing => {
                self.shared.legacy.keep_standing(&self.body, &response);
                response
            }
            Kind::ToolsList { first_page } => {
                let bytes = response.len();
                let response = self.shared.tools.learn(response, first_page);
                // What was cut out of it has moved the rest.
                if response.len() != bytes {
                    spots.clear();
                }
                response
            }
            _ => response,
        };
        if !self.is_cancelled() {
            self.reader.answer(&self.shared, response, spots).await?;
        }
        Ok(())
    }

    /// Looks for the server's era in the reply to a modern request while that is unknown, or if the
    /// reply contradicts what is known (B-51).
    async fn check_era(&self, status: StatusCode, reply: &[u8]) -> Result<(), Failure> {
        if self.era != Era::Modern || !matches!(self.reader, Reader::Host) {
            return Ok(());
        }
        let probe = &self.shared.probe;
        let doubtful = probe.is_open() || (reply_contradicts_modern(status, reply) && probe.doubt());
        if doubtful && Box::pin(up::era::shows_legacy(&self.shared, &self.body, status, reply)).await {
            return Err(Failure::OtherEra);
        }
        Ok(())
    }

    fn is_cancelled(&self) -> bool {
        self.flags.cancelled.load(Ordering::Relaxed)
    }

    fn id(&self) -> Id<'_> {
        self.id.as_id()
    }
}
