//! The head of a reply, and its body as it comes in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};

use super::http1::Head;
use super::multiplex::{self, Multiplexed, Turn};
use super::pool::{Exclusive, Pool, TransportError};

/// How long the rest of a reply that nobody needs may take; a connection read to its end can be used again.
const LINGER: Duration = Duration::from_secs(1);
/// How much of it is read for that.
const LINGER_BYTES: usize = 64 * 1024;

/// A body declared larger than this is given room of its own.
const LARGE_BYTES: usize = 1 << 20;
/// That room. glibc hands what is this large back to the system at once, whatever else is in use; anything smaller may leave
/// a hole that the next large reply does not fit into, and the memory of two.
const LARGE_ROOM: usize = (32 << 20) + 4096;

/// A response, its body still to be read.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// The body of a reply. Reading it to the end frees the connection for the next request. Dropping it before closes the
/// connection, or over HTTP/2 resets the stream, which is how a modern request is cancelled.
pub(crate) struct Body(Source);

/// Where a body comes from.
enum Source {
    Exclusive(Exclusive, Arc<Pool>),
    Multiplexed {
        body: Multiplexed,
        /// Ends with the body.
        _turn: Turn,
    },
    /// Nothing more comes.
    Over,
}

/// Why a body did not arrive whole.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The connection failed.
    Lost(TransportError),
    /// It is larger than allowed.
    TooLarge,
}

impl Reply {
    /// The reply on an HTTP/1.1 connection, which goes back to `pool`.
    pub(super) fn exclusive(mut head: Head, mut connection: Exclusive, pool: &Arc<Pool>) -> Reply {
        connection.wire.begin(&mut head);
        let source = if connection.wire.is_over() {
            pool.give_back(connection);
            Source::Over
        } else {
            Source::Exclusive(connection, Arc::clone(pool))
        };
        Reply {
            status: head.status,
            headers: head.headers,
            body: Body(source),
        }
    }

    /// The reply on a stream of an HTTP/2 connection.
    pub(super) fn multiplexed(response: multiplex::Response, turn: Turn) -> Reply {
        let (status, headers, body) = response;
        let source = match body.is_over() {
            true => Source::Over,
            false => Source::Multiplexed { body, _turn: turn },
        };
        Reply {
            status,
            headers,
            body: Body(source),
        }
    }

    /// A header's value as text; empty if it is absent or no text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Says whether the body is of this media type, parameters ignored.
    pub(crate) fn is_type(&self, essence: &str) -> bool {
        let declared = self.headers.get(header::CONTENT_TYPE);
        is_essence(declared.map_or(b"", HeaderValue::as_bytes), essence)
    }

    /// The first of these media types that the body is of.
    pub(crate) fn type_among<const N: usize>(&self, essences: [&'static str; N]) -> Option<&'static str> {
        let declared = self.headers.get(header::CONTENT_TYPE)?.as_bytes();
        essences.into_iter().find(|essence| is_essence(declared, essence))
    }
}

impl Body {
    /// The next bytes, `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        let chunk = match &mut self.0 {
            Source::Exclusive(exclusive, _) => exclusive.wire.chunk().await.map_err(TransportError::from),
            Source::Multiplexed { body, .. } => body.chunk().await.map_err(TransportError::from),
            Source::Over => Ok(None),
        };
        match chunk {
            Ok(None) => self.finish(),
            Err(_) => self.0 = Source::Over,
            Ok(Some(_)) => {}
        }
        chunk
    }

    /// Everything, if it is at most `limit` bytes.
    pub(crate) async fn whole(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let declared = match &self.0 {
            Source::Exclusive(exclusive, _) => exclusive.wire.left(),
            Source::Multiplexed { body, .. } => body.left(),
            Source::Over => 0,
        };
        let declared = usize::try_from(declared).unwrap_or(usize::MAX);
        if declared > limit {
            return Err(BodyError::TooLarge);
        }
        if let Source::Exclusive(exclusive, _) = &mut self.0
            && let Some(whole) = exclusive.wire.take_arrived()
        {
            self.finish();
            return Ok(whole);
        }
        // Room that no bytes arrive for is never touched, so a declared length may be believed up to the limit; growing
        // step by step would hold a large message twice. One more for the newline the line will end with.
        let room = if declared > LARGE_BYTES {
            declared.max(LARGE_ROOM)
        } else {
            declared
        };
        let mut whole = Vec::with_capacity(room + 1);
        while let Source::Exclusive(exclusive, _) = &mut self.0
            && declared > 0
        {
            match exclusive.wire.fill(&mut whole).await {
                Ok(true) => {}
                Ok(false) => self.finish(),
                Err(error) => {
                    self.0 = Source::Over;
                    return Err(BodyError::Lost(error.into()));
                }
            }
        }
        while let Some(bytes) = self.chunk().await.map_err(BodyError::Lost)? {
            if whole.len() + bytes.len() > limit {
                return Err(BodyError::TooLarge);
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    /// As much as arrives of the first `limit` bytes. For texts that are quoted, never for messages.
    pub(crate) async fn beginning(mut self, limit: usize) -> Vec<u8> {
        let mut beginning = Vec::new();
        while beginning.len() < limit {
            match self.chunk().await {
                Ok(Some(bytes)) => beginning.extend_from_slice(&bytes),
                Ok(None) | Err(_) => break,
            }
        }
        beginning.truncate(limit);
        beginning
    }

    /// Reads on in the background, within limits, so that the connection can be used again.
    pub(crate) fn linger(mut self) {
        if matches!(self.0, Source::Over) {
            return;
        }
        tokio::spawn(async move {
            let rest = async {
                let mut bytes = 0;
                while let Ok(Some(chunk)) = self.chunk().await {
                    bytes += chunk.len();
                    if bytes > LINGER_BYTES {
                        break;
                    }
                }
            };
            let _ = tokio::time::timeout(LINGER, rest).await;
        });
    }

    fn finish(&mut self) {
        if let Source::Exclusive(connection, pool) = std::mem::replace(&mut self.0, Source::Over) {
            pool.give_back(connection);
        }
    }
}

fn is_essence(declared: &[u8], essence: &str) -> bool {
    let declared = declared.split(|byte| *byte == b';').next().unwrap_or_default();
    declared.trim_ascii().eq_ignore_ascii_case(essence.as_bytes())
}
