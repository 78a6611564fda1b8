//! What a successful reply holds: one message or a stream of them, each given to whoever reads the exchange.

use footbridge_protocol::era::Era;
use footbridge_protocol::jsonrpc::{Keys, glance, glance_into};
use footbridge_protocol::scan::Spot;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use tokio::time::Instant;

use super::events::{Events, EventsError};
use super::{Exchange, Failure, Kind, Reader, listen, resume};
use crate::buffering::Arrivals;
use crate::cross::up;
use crate::diagnosis::Diagnosis;
use crate::error::{BridgeError, quote};
use crate::log;
use crate::options::URL_VARIABLE;
use crate::probe::reply_contradicts_modern;
use crate::relay::{self, Verdict};
use crate::upstream::Reply;

/// What a quick look at a response has shown.
#[derive(Debug)]
pub(crate) struct Seen {
    /// What keys are in it.
    pub(crate) keys: Keys,
    /// Where the members of its result lie; empty if nobody has looked.
    pub(crate) spots: Vec<Spot>,
}

/// Nobody has looked.
impl Default for Seen {
    fn default() -> Seen {
        Seen {
            keys: Keys::UNKNOWN,
            spots: Vec::new(),
        }
    }
}

impl Exchange {
    /// Reads a 2xx reply: one JSON message, or a stream of events.
    pub(super) async fn read(&self, mut reply: Reply, asked: Instant) -> Result<(), Failure> {
        if reply.headers.contains_key(hyper::header::CONTENT_ENCODING) {
            return Err(self.broken("The server compressed its reply, which was not asked for"));
        }
        match reply.type_among(["application/json", "text/event-stream", "text/html"]) {
            Some("application/json") => {}
            Some("text/event-stream") => return Box::pin(self.read_stream(reply, asked)).await,
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

    async fn read_stream(&self, reply: Reply, asked: Instant) -> Result<(), Failure> {
        if self.kind == Kind::Listen {
            return Box::pin(listen::run(self, reply)).await;
        }
        let headers = reply.headers;
        let mut events = Events::new(reply.body, self.shared.message_bytes);
        let mut arrivals = Arrivals::since(asked);
        let followed = self.follow(&mut events, &headers, Some(&mut arrivals)).await?;
        self.shared.buffering.judge(&arrivals);
        let Some(loss) = followed else {
            events.linger();
            return Ok(());
        };
        if self.era == Era::Legacy && resume::is_possible(&events) {
            return Box::pin(resume::run(self, events, &headers)).await;
        }
        Err(self.again(loss))
    }

    /// Carries what `events` brings until the response has passed, noting when it came; returns why it did not, if the stream
    /// ends before.
    pub(super) async fn follow(
        &self,
        events: &mut Events,
        headers: &HeaderMap,
        mut arrivals: Option<&mut Arrivals>,
    ) -> Result<Option<BridgeError>, Failure> {
        loop {
            match events.next().await {
                Ok(Some(event)) => {
                    if let Some(arrivals) = &mut arrivals {
                        arrivals.add(Instant::now());
                    }
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
    pub(super) async fn take(&self, data: Vec<u8>, headers: &HeaderMap) -> Result<bool, Failure> {
        // Nearly every message is the response that is waited for. Anything a quick look does not recognise is decoded.
        let mut spots = Vec::new();
        let seen = match self.reader {
            Reader::Host => glance(&data),
            // A crossing takes the result apart: one look finds out both.
            Reader::Lane(_) => glance_into(&data, &mut spots),
        };
        if let Some(seen) = seen
            && self.id == seen.id
        {
            let seen = Seen {
                keys: seen.keys,
                spots,
            };
            self.answer(data, seen, headers).await?;
            return Ok(true);
        }
        match relay::judge(&data, Some((&self.id, self.era)), &self.shared) {
            Ok(Verdict::Answer) => {
                self.answer(data, Seen::default(), headers).await?;
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
    pub(super) async fn answer(
        &self,
        response: Vec<u8>,
        mut seen: Seen,
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
                let response = self.shared.tools.learn(response, first_page, seen.keys);
                // What was cut out of it has moved the rest.
                if response.len() != bytes {
                    seen.spots.clear();
                }
                response
            }
            _ => response,
        };
        if !self.is_cancelled() {
            self.reader.answer(&self.shared, response, seen).await?;
        }
        Ok(())
    }

    /// Looks for the server's era in the reply to a modern request while that is unknown, or if the
    /// reply contradicts what is known (B-51).
    pub(super) async fn check_era(&self, status: StatusCode, reply: &[u8]) -> Result<(), Failure> {
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
}
