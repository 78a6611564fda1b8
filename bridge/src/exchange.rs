//! One request of the host from POST to answer (protocol.md §3.4).
//!
//! In comes a request whose headers are made; out go its lines, in order, the response last. Whatever happens, exactly one
//! response is written, unless the host cancelled. Cancelling a modern request is dropping its [`Exchange`], which closes
//! the HTTP exchange and writes nothing more.
//!
//! [`reply`] reads what came. What may help when an attempt fails is in files of its own: [`refusal`] reads what the server said, [`repair`] corrects
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
mod reply;
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
use footbridge_protocol::jsonrpc::{Id, OwnedId};
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use tokio::sync::SetOnce;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::buffering::Buffering;
use crate::cross::down::Down;
use crate::cross::up::{self, Up};
use crate::error::{BridgeError, quote};
use crate::legacy::recover::{self, Lost};
use crate::legacy::{Legacy, sse_transport};
use crate::log;
use crate::probe::Probe;
use crate::seconds::Seconds;
use crate::stdio::Output;
use crate::tools::ToolHeaders;
use crate::upstream::Upstream;
use failure::{Failure, Remedy, Report, Tried};
pub(crate) use notice::{answer_server, cancel_upstream, deliver};
pub(crate) use reader::Reader;
pub(crate) use reply::Seen;

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
    pub(crate) buffering: Arc<Buffering>,
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
                    let _ = self.reader.answer(&self.shared, line, Seen::default()).await;
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
        // A subscription is acknowledged at once, a call when it is done.
        let watch = (self.kind == Kind::Listen).then(|| self.shared.buffering.watch());
        let asked = Instant::now();
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
        drop(watch);
        match sent {
            Ok(reply)
                if matches!(reply.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT)
                    || (target.is_some() && reply.status.is_success()) =>
            {
                reply.body.linger();
                match late {
                    Some(late) => match late.response().await {
                        Some(response) => self.answer(response, Seen::default(), &HeaderMap::new()).await,
                        None => Err(self.lost("The server's stream ended before the response came")),
                    },
                    None => Err(BridgeError::protocol(
                        "The server accepted the request without answering it (202). Its operator has to correct that",
                    )
                    .with_status(StatusCode::ACCEPTED)
                    .into()),
                }
            }
            Ok(reply) if reply.status.is_success() => self.read(reply, asked).await,
            Ok(reply) => Err(Box::pin(refusal::read(self, reply, headers, first)).await),
            Err(error) if error.is_loss() => Err(self.again(error)),
            Err(error) => Err(error.into()),
        }
    }

    fn is_cancelled(&self) -> bool {
        self.flags.cancelled.load(Ordering::Relaxed)
    }

    fn id(&self) -> Id<'_> {
        self.id.as_id()
    }
}
