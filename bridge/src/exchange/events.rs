//! The events of one reply, one at a time, as they arrive.

use bytes::{Buf as _, Bytes};
use footbridge_protocol::sse::{Decoder, Event, TooLarge};

use crate::upstream::{Body, TransportError};

/// An event stream that is being read.
pub(crate) struct Events {
    body: Body,
    decoder: Decoder,
    /// What has arrived and not been read.
    chunk: Bytes,
    count: u64,
}

/// Why a stream cannot be read any further.
#[derive(Debug)]
pub(crate) enum EventsError {
    /// The connection failed.
    Lost(TransportError),
    /// An event is larger than a message may be.
    TooLarge(TooLarge),
}

impl Events {
    /// Reads `body`, whose events may have up to `limit` bytes each.
    pub(crate) fn new(body: Body, limit: usize) -> Events {
        Events::with(body, Decoder::new(limit))
    }

    /// The same with a decoder that was told more.
    pub(crate) fn with(body: Body, decoder: Decoder) -> Events {
        Events {
            body,
            decoder,
            chunk: Bytes::new(),
            count: 0,
        }
    }

    /// The next event with data, `None` when the stream has ended. An event that was cut off is none.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, EventsError> {
        loop {
            let mut rest: &[u8] = &self.chunk;
            let event = self
                .decoder
                .next_event(&mut rest)
                .map_err(EventsError::TooLarge)?;
            let unread = rest.len();
            self.chunk.advance(self.chunk.len() - unread);
            if event.is_some() {
                self.count += 1;
                return Ok(event);
            }
            match self.body.chunk().await.map_err(EventsError::Lost)? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(None),
            }
        }
    }

    /// Events so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// What the stream has said about itself: its last id, and when to come back.
    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Nothing more of the stream is needed.
    pub(crate) fn linger(self) {
        self.body.linger();
    }
}
