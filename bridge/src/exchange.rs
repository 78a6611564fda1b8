//! One request of the host from POST to answer (protocol.md §3.4).
//!
//! In comes a request whose headers are made; out go its lines, in order, the response last. Whatever happens, exactly one
//! response is written, unless the host cancelled. Cancelling a modern request is dropping its [`Exchange`], which closes
//! the HTTP exchange and writes nothing more.

mod reader;
pub(crate) mod refusal;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::era::Era;
use footbridge_protocol::jsonrpc::{Id, OwnedId, write_notification};
use footbridge_protocol::sse::Decoder;
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};

use crate::alarm::Alarm;
use crate::cross::down::Down;
use crate::cross::up::{self, Up};
use crate::diagnosis::Diagnosis;
use crate::error::{BridgeError, quote};
use crate::legacy::Legacy;
use crate::log;
use crate::options::URL_VARIABLE;
use crate::pause::jittered;
use crate::probe::Probe;
use crate::relay::{self, Verdict};
use crate::stdio::{HostGone, Output};
use crate::tools::ToolHeaders;
use crate::upstream::{BodyError, Reply, Upstream};
pub(crate) use reader::Reader;

/// Longest pause a server may ask for before a resend (M-11).
const RETRY_AFTER_MOST: Duration = Duration::from_secs(30);
/// Pause before a lost request is sent again (B-41), a quarter of it random.
const RESEND_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for a notification or an answer of the host to be accepted. Later messages wait for it (B6), so it is
/// shorter than a call's.
const NOTICE_LIMIT: Duration = Duration::from_secs(30);

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
    /// May be sent again after its reply was lost (B-41).
    Repeatable,
    /// Anything else, `tools/call` first of all.
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

/// Why an attempt ended without an answer, and whether another one may follow.
enum Failure {
    /// Tell the host.
    Final(BridgeError),
    /// The reply is lost or was refused for now: send again after the pause, once.
    Again(Duration, BridgeError),
    /// Nothing is left to say: the host has its answer, or is gone.
    Settled,
    /// The server speaks the handshake era only and has not acted on this modern request (X-40).
    OtherEra,
}

impl From<BridgeError> for Failure {
    fn from(error: BridgeError) -> Failure {
        Failure::Final(error)
    }
}

impl From<HostGone> for Failure {
    fn from(_: HostGone) -> Failure {
        Failure::Settled
    }
}

impl Exchange {
    /// Carries the request and writes its answer, the server's or our own.
    pub(crate) async fn run(self) {
        let outcome = if self.kind == Kind::Listen {
            self.attempts().await
        } else {
            let limit = self.shared.call_limit;
            self.shared.alarm.within(limit, self.attempts()).await.unwrap_or_else(|_| {
                Err(Failure::Final(BridgeError::timeout(format!(
                    "The request was given up after {} s; whether it took effect is unknown. Check that before you \
                     repeat it, or raise FOOTBRIDGE_CALL_TIMEOUT",
                    limit.as_secs_f64()
                ))))
            })
        };
        let error = match outcome {
            Err(Failure::Final(error) | Failure::Again(_, error)) => error,
            Err(Failure::OtherEra) => {
                return Box::pin(up::take_over(&self.shared, self.id, self.body)).await;
            }
            Ok(()) | Err(Failure::Settled) => return,
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

    async fn attempts(&self) -> Result<(), Failure> {
        match self.attempt(true).await {
            Err(Failure::Again(pause, error)) => {
                log::info(format_args!("sending a request again: {}", error.message()));
                tokio::time::sleep(pause).await;
                self.attempt(false).await
            }
            outcome => outcome,
        }
    }

    async fn attempt(&self, first: bool) -> Result<(), Failure> {
        let late = match self.era {
            Era::Legacy => self.shared.legacy.expect(&self.id),
            Era::Modern => None,
        };
        let leaving = || self.flags.sent.store(true, Ordering::Relaxed);
        let sent = self
            .shared
            .upstream
            .send(&Method::POST, &self.headers, &self.body, leaving)
            .await;
        match sent {
            Ok(reply) if matches!(reply.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) => {
                reply.body.linger();
                match late {
                    Some(late) => match late.response().await {
                        Some(response) => self.answer(response, &HeaderMap::new()).await,
                        None => Err(self.lost("A new handshake began before the response came")),
                    },
                    None => Err(BridgeError::protocol(
                        "The server accepted the request without answering it (202). Its operator has to correct that",
                    )
                    .with_status(StatusCode::ACCEPTED)
                    .into()),
                }
            }
            Ok(reply) if reply.status.is_success() => self.read(reply).await,
            Ok(reply) => Err(Box::pin(refusal::read(self, reply, first)).await),
            Err(error) if error.is_loss() => Err(self.again(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a 2xx reply: one JSON message, or a stream of events.
    async fn read(&self, mut reply: Reply) -> Result<(), Failure> {
        if reply.headers.contains_key(hyper::header::CONTENT_ENCODING) {
            return Err(self.broken("The server compressed its reply, which was not asked for"));
        }
        if reply.is_type("text/event-stream") {
            return Box::pin(self.read_stream(reply)).await;
        }
        if reply.is_type("text/html") {
            return Err(BridgeError::protocol(format!(
                "{URL_VARIABLE} leads to a web page, not to an MCP endpoint. The endpoint of most servers is their address \
                 followed by /mcp"
            ))
            .diagnosed(Diagnosis::WebPage)
            .into());
        }
        if !reply.is_type("application/json") {
            let declared = quote(reply.header(hyper::header::CONTENT_TYPE).as_bytes(), 100);
            return Err(self.broken(&format!(
                "The server answered {} with content type `{declared}` where JSON or an event stream is due",
                reply.status.as_u16()
            )));
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

    async fn read_stream(&self, mut reply: Reply) -> Result<(), Failure> {
        let mut decoder = Decoder::new(self.shared.message_bytes);
        loop {
            let chunk = match reply.body.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Err(self.lost("The server ended its reply before the response came")),
                Err(error) => return Err(self.again(self.shared.upstream.lost(&error))),
            };
            let mut rest: &[u8] = &chunk;
            let too_large = |_| BridgeError::reply_too_large(self.shared.message_bytes);
            while let Some(event) = decoder.next_event(&mut rest).map_err(too_large)? {
                if self.take(event.data, &reply.headers).await? {
                    reply.body.linger();
                    return Ok(());
                }
            }
        }
    }

    /// Does what a message asks for; true if it was the response.
    async fn take(&self, data: Vec<u8>, headers: &HeaderMap) -> Result<bool, Failure> {
        match relay::judge(&data, Some((&self.id, self.era)), &self.shared) {
            Ok(Verdict::Answer) => {
                self.answer(data, headers).await?;
                Ok(true)
            }
            Ok(Verdict::Pass) => {
                if !self.is_cancelled() {
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
    async fn answer(&self, response: Vec<u8>, headers: &HeaderMap) -> Result<(), Failure> {
        self.check_era(StatusCode::OK, &response).await?;
        let response = match self.kind {
            Kind::Initialize => {
                self.shared.legacy.learn(headers, &response);
                response
            }
            Kind::ToolsList { first_page } => self.shared.tools.learn(response, first_page),
            _ => response,
        };
        if !self.is_cancelled() {
            self.reader.answer(&self.shared, response).await?;
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
        let doubtful = probe.is_open() || (up::era::contradicts(status, reply) && probe.doubt());
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

    fn broken(&self, cause: &str) -> Failure {
        BridgeError::protocol(format!(
            "{}. Its operator has to correct that",
            cause.trim_end_matches('.')
        ))
        .into()
    }

    fn lost(&self, cause: &str) -> Failure {
        self.again(BridgeError::reply_lost(format!(
            "{cause}; whether the request took effect is unknown. Check that before you repeat it"
        )))
    }

    /// A lost reply may be asked for again only if asking changes nothing.
    fn again(&self, error: BridgeError) -> Failure {
        if self.kind.is_repeatable() {
            Failure::Again(jittered(RESEND_PAUSE), error)
        } else {
            Failure::Final(error)
        }
    }

    fn body_failure(&self, error: BodyError) -> Failure {
        match error {
            BodyError::Lost(cause) => self.again(self.shared.upstream.lost(&cause)),
            BodyError::TooLarge => BridgeError::reply_too_large(self.shared.message_bytes).into(),
        }
    }
}

/// POSTs a message that gets no response: a notification, or the host's answer to a request of the server. What goes
/// wrong is for stderr (M-13). Returns whether the server accepted it.
pub(crate) async fn deliver(shared: &Shared, headers: &HeaderMap, body: &Bytes, what: &str) -> bool {
    let sending = shared.upstream.send(&Method::POST, headers, body, || ());
    let refused = match tokio::time::timeout(NOTICE_LIMIT, sending).await {
        Ok(Ok(reply)) => {
            let status = reply.status;
            reply.body.linger();
            if status.is_success() {
                return true;
            }
            format!("the server answered {status}")
        }
        Ok(Err(error)) => error.message().to_owned(),
        Err(_) => format!("no reply within {} s", NOTICE_LIMIT.as_secs()),
    };
    log::warn(format_args!("{what} was not delivered: {refused}"));
    false
}

/// Tells a legacy server that nobody waits for the answer to `id` any more.
pub(crate) async fn cancel_upstream(shared: Arc<Shared>, id: OwnedId) {
    let params = format!(
        r#"{{"requestId":{},"reason":"The bridge gave up waiting"}}"#,
        id.as_raw()
    );
    let mut body = Vec::with_capacity(160);
    write_notification(&mut body, "notifications/cancelled", Some(params.as_bytes()));
    let mut headers = shared.upstream.post_headers();
    shared.legacy.stamp(&mut headers);
    deliver(&shared, &headers, &Bytes::from(body), "a cancellation").await;
}
