//! The reply to a POST as a sequence of messages, wherever they come from: a JSON body, an event stream and its resumptions,
//! or the server's own stream after a 202 (protocol.md M-1 to M-5, B-45).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use footbridge_protocol::jsonrpc::{Rules, decode_batch};
use footbridge_protocol::sse::Decoder;
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::sync::oneshot;

use super::Failure;
use super::session::Session;
use crate::error::{BridgeError, quote};
use crate::exchange::{Shared, refusal};
use crate::pause::{Backoff, jittered};
use crate::upstream::{Body, BodyError, Reply, TransportError};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Pause before a stream is resumed when the server names none (B-45).
const RESUME_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause it may ask for.
const RESUME_MOST: Duration = Duration::from_secs(60);
/// Shortest pause, whatever the server says: an empty reply must not become a loop.
const RESUME_LEAST: Duration = Duration::from_millis(50);

/// Messages of one reply, in order.
pub(super) struct Replies {
    ready: VecDeque<Vec<u8>>,
    source: Source,
}

enum Source {
    /// Everything is in `ready`.
    Whole,
    Stream(Box<Stream>),
    /// On the server's own stream.
    Elsewhere(oneshot::Receiver<Vec<u8>>),
}

/// An event stream, bytes to data.
pub(super) struct Stream {
    body: Option<Body>,
    decoder: Decoder,
    chunk: Bytes,
    last_event_id: Option<String>,
    /// What the server has asked to wait before a resumption.
    pause: Duration,
    backoff: Backoff,
}

impl Replies {
    /// Looks at the head of a reply outside a session. A refusal becomes the failure it stands for.
    pub(super) async fn open(shared: &Shared, reply: Reply) -> Result<Replies, Failure> {
        Self::open_late(shared, reply, None).await
    }

    /// The same where the answer may come on the server's own stream.
    pub(super) async fn open_late(
        shared: &Shared,
        mut reply: Reply,
        late: Option<oneshot::Receiver<Vec<u8>>>,
    ) -> Result<Replies, Failure> {
        let whole = |body: Vec<u8>| Replies {
            ready: split(body),
            source: Source::Whole,
        };
        if matches!(reply.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            let status = reply.status;
            reply.body.linger();
            let late = late.ok_or_else(|| {
                broken("The server accepted the request without answering it").with_status(status)
            })?;
            return Ok(Replies {
                ready: VecDeque::new(),
                source: Source::Elsewhere(late),
            });
        }
        if !reply.status.is_success() {
            return Err(refused(shared, reply).await);
        }
        if reply.headers.contains_key(CONTENT_ENCODING) {
            return Err(broken("The server compressed its reply, which was not asked for").into());
        }
        if reply.is_type("text/event-stream") {
            return Ok(Replies {
                ready: VecDeque::new(),
                source: Source::Stream(Box::new(Stream::new(reply.body, shared))),
            });
        }
        if !reply.is_type("application/json") {
            let declared = quote(reply.header(CONTENT_TYPE).as_bytes(), 100);
            return Err(broken(&format!(
                "The server answered with content type `{declared}` where JSON or an event stream is due"
            ))
            .into());
        }
        let body = reply.body.whole(shared.message_bytes).await;
        Ok(whole(body.map_err(|error| lost_body(shared, error))?))
    }

    /// A message that has arrived already.
    pub(super) fn arrived(&mut self) -> Result<Option<Vec<u8>>, BridgeError> {
        if self.ready.is_empty()
            && let Source::Stream(stream) = &mut self.source
            && let Some(data) = stream.arrived()?
        {
            self.ready = split(data);
        }
        Ok(self.ready.pop_front())
    }

    /// The next message, `None` at the end. May be dropped and called again. Outside a session nothing is resumed.
    pub(super) async fn next(
        &mut self,
        shared: &Shared,
        session: Option<&Session>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            if let Some(message) = self.arrived()? {
                return Ok(Some(message));
            }
            match &mut self.source {
                Source::Whole => return Ok(None),
                Source::Elsewhere(late) => {
                    // A session that is lost drops the other end.
                    let Ok(message) = late.await else { return Ok(None) };
                    self.source = Source::Whole;
                    return Ok(Some(message));
                }
                Source::Stream(stream) => {
                    if !stream.read(shared, session).await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The failure of a reply that has ended without the answer.
    pub(super) fn ended(&self) -> BridgeError {
        match self.source {
            Source::Whole => {
                broken("The server's reply does not answer the request: its `id` is missing or another one")
            }
            Source::Stream(_) | Source::Elsewhere(_) => BridgeError::reply_lost(
                "The server ended its reply before the response came; whether the request took effect is unknown. Check \
                 that before you repeat it",
            ),
        }
    }

    /// Gives the connection back once the answer is in.
    pub(super) fn finish(self) {
        if let Source::Stream(stream) = self.source
            && let Some(body) = stream.body
        {
            body.linger();
        }
    }
}

impl Stream {
    pub(super) fn new(body: Body, shared: &Shared) -> Stream {
        Stream {
            body: Some(body),
            decoder: Decoder::new(shared.message_bytes),
            chunk: Bytes::new(),
            last_event_id: None,
            pause: RESUME_PAUSE,
            backoff: Backoff::new(),
        }
    }

    /// An event among the bytes already read.
    pub(super) fn arrived(&mut self) -> Result<Option<Vec<u8>>, BridgeError> {
        let mut rest: &[u8] = &self.chunk;
        let event = self.decoder.next_event(&mut rest);
        let read = self.chunk.len() - rest.len();
        self.chunk.advance(read);
        match event {
            Ok(event) => Ok(event.map(|event| event.data)),
            Err(error) => Err(BridgeError::reply_too_large(error.limit)),
        }
    }

    /// Reads more. False at the end; the last event id is then known.
    pub(super) async fn more(&mut self) -> Result<bool, TransportError> {
        let Some(body) = &mut self.body else {
            return Ok(false);
        };
        let chunk = body.chunk().await;
        if let Ok(Some(chunk)) = chunk {
            self.chunk = chunk;
            return Ok(true);
        }
        self.body = None;
        if let Some(id) = self.decoder.last_event_id() {
            self.last_event_id = Some(id.to_owned());
        }
        if let Some(ms) = self.decoder.retry_ms() {
            self.pause = Duration::from_millis(ms).clamp(RESUME_LEAST, RESUME_MOST);
        }
        chunk.map(|_| false)
    }

    /// The id to resume after.
    pub(super) fn last_event_id(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(self.last_event_id.as_deref()?).ok()
    }

    /// The pause before a resumption.
    pub(super) fn pause(&self) -> Duration {
        jittered(self.pause)
    }

    /// Reads more, resuming the stream where it broke if the server has made that possible. False at the end.
    async fn read(&mut self, shared: &Shared, session: Option<&Session>) -> Result<bool, Failure> {
        if self.body.is_some() {
            match self.more().await {
                Ok(true) => return Ok(true),
                Ok(false) if self.last_event_id.is_none() => return Ok(false),
                Err(error) if self.last_event_id.is_none() => {
                    return Err(shared.upstream.lost(&error).into());
                }
                Ok(false) | Err(_) => {}
            }
        }
        let (Some(session), Some(id)) = (session, self.last_event_id()) else {
            return Ok(false);
        };
        tokio::time::sleep(self.pause()).await;
        match get(shared, session, Some(id)).await {
            Ok(reply) if is_stream(&reply) => {
                // What the broken stream left unfinished is void.
                self.decoder = Decoder::new(shared.message_bytes);
                self.chunk = Bytes::new();
                self.body = Some(reply.body);
                self.backoff = Backoff::new();
            }
            Ok(reply) if !reply.status.is_server_error() => {
                let status = reply.status;
                reply.body.linger();
                if status == StatusCode::NOT_FOUND && session.has_id() {
                    // The call was taken before: that does not mean that nothing was done.
                    session.lose();
                }
                return Err(BridgeError::reply_lost(format!(
                    "The reply broke off and the server does not resume it ({}); whether the request took effect is \
                     unknown. Check that before you repeat it",
                    status.as_u16()
                ))
                .into());
            }
            // The server is not well, or not there. The call's time limit ends this.
            Ok(_) | Err(_) => tokio::time::sleep(self.backoff.next()).await,
        }
        Ok(true)
    }
}

/// Opens an event stream by GET, from the start or after an event.
pub(super) async fn get(
    shared: &Shared,
    session: &Session,
    after: Option<HeaderValue>,
) -> Result<Reply, BridgeError> {
    let mut headers = session.headers();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    if let Some(id) = after {
        headers.insert(LAST_EVENT_ID, id);
    }
    shared.upstream.send(&Method::GET, &headers, &Bytes::new()).await
}

/// Says whether a GET has opened a stream.
pub(super) fn is_stream(reply: &Reply) -> bool {
    reply.status == StatusCode::OK && reply.is_type("text/event-stream")
}

/// One message, or those of an array as revision 2025-03-26 allows them.
fn split(data: Vec<u8>) -> VecDeque<Vec<u8>> {
    if data.trim_ascii_start().first() == Some(&b'[')
        && let Ok(parts) = decode_batch(&data, &Rules::BRIDGE)
    {
        return parts
            .into_iter()
            .map(|part| part.get().as_bytes().to_vec())
            .collect();
    }
    VecDeque::from([data])
}

/// What a status of 400 or more stands for.
async fn refused(shared: &Shared, reply: Reply) -> Failure {
    let status = reply.status;
    let (said, pause) = refusal::said_or_described(shared, reply).await;
    let refusal = match said {
        Ok(error) => Failure::Refused(error),
        Err(error) => error.into(),
    };
    match (status, pause) {
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Some(pause)) => Failure::Busy {
            pause,
            status,
            refusal: Box::new(refusal),
        },
        _ => refusal,
    }
}

fn lost_body(shared: &Shared, error: BodyError) -> BridgeError {
    match error {
        BodyError::Lost(cause) => shared.upstream.lost(&cause),
        BodyError::TooLarge => BridgeError::reply_too_large(shared.message_bytes),
    }
}

/// −31005 with the usual advice.
pub(super) fn broken(cause: &str) -> BridgeError {
    BridgeError::protocol(format!("{cause}. Its operator has to correct that"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_several_messages_and_anything_else_is_one() {
        let texts = |data: &str| -> Vec<String> {
            split(Vec::from(data))
                .into_iter()
                .map(|part| String::from_utf8(part).unwrap())
                .collect()
        };
        assert_eq!(texts(r#" [{"a":1}, {"b":2}]"#), [r#"{"a":1}"#, r#"{"b":2}"#]);
        assert_eq!(texts("{}"), ["{}"]);
        assert_eq!(texts("[]"), ["[]"]);
    }
}
