//! How far a stream got, and the GET that asks for the rest (protocol.md B-44, B-45).
//!
//! Every stream of the handshake era is resumed in the same way, whether a POST or a GET began it: wait as long as the
//! server named, then GET with the id of the last event.

use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::sse::Decoder;
use hyper::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use crate::error::BridgeError;
use crate::exchange::Shared;
use crate::pause::{Backoff, nudged};
use crate::upstream::Reply;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Longest id that is sent back, in bytes: servers refuse longer headers.
const ID_BYTES: usize = 4096;
/// Longest pause a server may ask for with `retry` (B-45).
const RETRY_MOST: Duration = Duration::from_secs(60);
/// Shortest pause, whatever a server asks for: a stream that ends at once, again and again, must not keep a core busy.
const RETRY_LEAST: Duration = Duration::from_millis(100);

/// The place to go on from. Outlives the streams that lead to it.
#[derive(Debug, Default)]
pub(crate) struct Place {
    last_event_id: Option<HeaderValue>,
    retry: Option<Duration>,
}

impl Place {
    /// Takes over what a stream has said by its end.
    pub(crate) fn advance(&mut self, decoder: &Decoder) {
        if let Some(id) = decoder.last_event_id() {
            // An id that no header can carry is as good as none.
            self.last_event_id = Some(id)
                .filter(|id| id.len() <= ID_BYTES)
                .and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
        }
        if let Some(ms) = decoder.retry_ms() {
            self.retry = Some(Duration::from_millis(ms).clamp(RETRY_LEAST, RETRY_MOST));
        }
    }

    /// Says whether there is an event to go on after.
    pub(crate) fn is_known(&self) -> bool {
        self.last_event_id.is_some()
    }

    /// Gives up the event to go on after: what comes next is better than nothing.
    pub(crate) fn forget(&mut self) {
        self.last_event_id = None;
    }

    /// How long to wait after the end of a stream: what the server named, hardly more, or a growing pause.
    pub(crate) fn pause(&self, backoff: &mut Backoff) -> Duration {
        self.retry.map_or_else(|| backoff.next(), nudged)
    }

    /// How long to wait after a GET that failed: the server's word is a lower bound then.
    pub(crate) fn pause_after_failure(&self, backoff: &mut Backoff) -> Duration {
        self.retry.unwrap_or_default().max(backoff.next())
    }

    /// Asks for what follows, with `headers` besides those of the handshake.
    pub(crate) async fn get(&self, shared: &Shared, headers: HeaderMap) -> Result<Reply, BridgeError> {
        let mut all = HeaderMap::new();
        all.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        shared.legacy.stamp(&mut all);
        all.extend(headers);
        if let Some(id) = &self.last_event_id {
            all.insert(LAST_EVENT_ID, id.clone());
        }
        shared.upstream.send(&Method::GET, &all, &Bytes::new()).await
    }
}

/// Says whether a refusal is about now rather than about the request. 409 is what servers say that have not noticed yet that
/// the stream before has broken.
pub(crate) fn may_pass(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS
    ) || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(stream: &str) -> Place {
        let mut decoder = Decoder::new(100_000);
        let mut rest = stream.as_bytes();
        while decoder.next_event(&mut rest).unwrap().is_some() {}
        let mut place = Place::default();
        place.advance(&decoder);
        place
    }

    #[test]
    fn the_named_pause_is_kept_within_bounds_and_hardly_exceeded() {
        for (stream, named) in [
            ("retry: 500\n\n", 500),
            ("retry: 0\n\n", 100),
            ("retry: 3600000\n\n", 60_000),
            ("id: 1\n\n", 1000),
        ] {
            let pause = place(stream).pause(&mut Backoff::new());
            let least = Duration::from_millis(named);
            assert!(pause >= least, "{stream:?}: {pause:?}");
            assert!(named == 1000 || pause <= least * 11 / 10, "{stream:?}: {pause:?}");
        }
        assert!(place("retry: 500\n\n").pause_after_failure(&mut Backoff::new()) >= Duration::from_secs(1));
    }

    #[test]
    fn an_id_that_no_header_carries_is_none() {
        assert!(place("id: 7\ndata: x\n\n").is_known());
        assert!(place("id: é\n\n").is_known());
        assert!(!place("id: 7\ndata: unfinished\n").is_known());
        assert!(!place("data: x\n\n").is_known());
        assert!(!place("id: a\u{7f}b\n\n").is_known());
        assert!(!place(&format!("id: {}\n\n", "x".repeat(5000))).is_known());
    }
}
