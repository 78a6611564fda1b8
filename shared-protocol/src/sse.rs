//! Server-sent events: bytes to events whatever the chunking, and events to bytes (B-31, B-03).
//!
//! The decoder takes bytes as they arrive and hands out one event at a time; it never looks ahead, so an event is
//! out as soon as its blank line is in. It never judges the data: that is for [`crate::jsonrpc::decode`].

use std::mem;

use thiserror::Error;

/// Data of one event: what a server sends as one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The `data` lines joined with LF, never empty.
    pub data: Vec<u8>,
    /// The `id` this event carried itself, if any. An empty one takes back the last id.
    pub id: Option<String>,
    /// It is of the type named to [`Decoder::with_type`], not a message.
    pub named: bool,
}

/// An event or line over the decoder's bound. The stream cannot be read any further.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a server-sent event exceeds {limit} bytes")]
pub struct TooLarge {
    /// The bound, in bytes.
    pub limit: usize,
}

/// Largest line buffer that is kept for the next line, in bytes. Streams live for hours; one long message must not
/// hold its memory for as long.
const KEPT_CAPACITY: usize = 64 * 1024;

/// A line longer than this is given room of its own, in bytes. Growing step by step would hold a large message twice.
const LONG_LINE: usize = 1 << 20;
/// That room, in bytes; nothing is touched that no bytes arrive for. glibc hands what is this large back to the system at
/// once, whatever else is in use.
const LONG_ROOM: usize = (32 << 20) + 4096;

/// Incremental decoder of one stream.
#[derive(Clone, Debug)]
pub struct Decoder {
    limit: usize,
    /// A type of event that is handed out besides `message`; empty for none.
    named: &'static str,
    /// The unfinished line.
    line: Vec<u8>,
    /// The last byte was a CR; a LF that follows belongs to it.
    after_cr: bool,
    /// No line has ended yet, so a byte order mark may be in front.
    at_start: bool,
    pending: Pending,
    last_event_id: Option<String>,
    retry_ms: Option<u64>,
    too_large: bool,
}

/// Fields of the event that is being read.
#[derive(Clone, Debug, Default)]
struct Pending {
    data: Vec<u8>,
    has_data: bool,
    id: Option<String>,
    kind: Kind,
}

/// What the type of an event makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Message,
    Named,
    Foreign,
}

impl Decoder {
    /// A decoder for a new stream that holds at most about `limit` bytes of one event.
    pub fn new(limit: usize) -> Self {
        Decoder {
            limit,
            named: "",
            line: Vec::new(),
            after_cr: false,
            at_start: true,
            pending: Pending::default(),
            last_event_id: None,
            retry_ms: None,
            too_large: false,
        }
    }

    /// Hands out events of the type `named` as well: revision 2024-11-05 has one, `endpoint`.
    #[must_use]
    pub fn with_type(self, named: &'static str) -> Self {
        Decoder { named, ..self }
    }

    /// Reads from the front of `chunk` up to the next event with data and advances `chunk` past what was read.
    /// `None` when the chunk is used up. Events of a type other than `message` are passed over, their ids are not.
    ///
    /// ```
    /// # use footbridge_protocol::sse::Decoder;
    /// let mut decoder = Decoder::new(1024);
    /// let mut chunk: &[u8] = b"data: {}\n\n";
    /// while let Some(event) = decoder.next_event(&mut chunk)? {
    ///     assert_eq!(event.data, b"{}");
    /// }
    /// # Ok::<(), footbridge_protocol::sse::TooLarge>(())
    /// ```
    pub fn next_event(&mut self, chunk: &mut &[u8]) -> Result<Option<Event>, TooLarge> {
        if self.too_large {
            return Err(TooLarge { limit: self.limit });
        }
        loop {
            // An empty chunk leaves the question open: the LF may come first in the next one.
            if self.after_cr && !chunk.is_empty() {
                self.after_cr = false;
                *chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
            }
            let end = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let Some((part, rest)) = end.and_then(|end| chunk.split_at_checked(end)) else {
                self.keep(chunk)?;
                *chunk = &[];
                return Ok(None);
            };
            self.after_cr = rest.first() == Some(&b'\r');
            *chunk = rest.get(1..).unwrap_or_default();
            self.keep(part)?;
            let mut line = mem::take(&mut self.line);
            let event = self.take_line(&mut line)?;
            if line.capacity() <= KEPT_CAPACITY {
                self.line = line;
                self.line.clear();
            }
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// The last id this stream has set, for `Last-Event-ID`. Only ids of finished events count.
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The last reconnection time the stream has asked for, in milliseconds.
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), TooLarge> {
        if self.line.len() + self.pending.data.len() + part.len() > self.limit {
            self.too_large = true;
            return Err(TooLarge { limit: self.limit });
        }
        let long = self.line.len() + part.len();
        if long > LONG_LINE && long > self.line.capacity() {
            let room = if long > LONG_ROOM {
                self.limit
            } else {
                self.limit.min(LONG_ROOM)
            };
            self.line.reserve_exact(room - self.line.len());
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn take_line(&mut self, whole: &mut Vec<u8>) -> Result<Option<Event>, TooLarge> {
        let line = whole.as_slice();
        let line = match mem::take(&mut self.at_start) {
            true => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
            false => line,
        };
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at_checked(colon).unwrap_or((line, b""));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if mem::replace(&mut self.pending.has_data, true) {
                    self.pending.data.push(b'\n');
                } else if value.len() > KEPT_CAPACITY {
                    // The line is kept for its data: a copy would hold a large message twice.
                    let name = whole.len() - value.len();
                    whole.drain(..name);
                    self.pending.data = mem::take(whole);
                    return Ok(None);
                }
                self.pending.data.extend_from_slice(value);
            }
            b"event" => {
                self.pending.kind = match value {
                    b"" | b"message" => Kind::Message,
                    named if named == self.named.as_bytes() => Kind::Named,
                    _ => Kind::Foreign,
                }
            }
            b"id" if !value.contains(&0) => {
                // An id that is no text could not be sent back in a header.
                if let Ok(id) = std::str::from_utf8(value) {
                    self.pending.id = Some(id.to_owned());
                }
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry_ms = std::str::from_utf8(value)
                    .ok()
                    .and_then(|digits| digits.parse().ok());
            }
            // Comments have an empty field name; unknown fields are for others.
            _ => {}
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<Event> {
        let Pending { data, id, kind, .. } = mem::take(&mut self.pending);
        if id.is_some() {
            self.last_event_id.clone_from(&id);
        }
        let named = kind == Kind::Named;
        (!data.is_empty() && kind != Kind::Foreign).then_some(Event { data, id, named })
    }
}

/// Appends the fields that let a client come back for the rest of a stream: the id of the event that follows, which
/// must be visible ASCII, and how long to wait before. They stand before the event's data.
pub fn write_position(out: &mut Vec<u8>, id: &str, retry_ms: Option<u64>) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(id.as_bytes());
    out.push(b'\n');
    if let Some(retry) = retry_ms {
        out.extend_from_slice(format!("retry: {retry}\n").as_bytes());
    }
}

/// Appends one event whose data is a JSON text, or nothing. Newlines in it, which can only stand between JSON tokens,
/// become several `data` lines.
pub fn write_event(out: &mut Vec<u8>, data: &[u8]) {
    let mut rest = data;
    loop {
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'))
            .unwrap_or(rest.len());
        let (line, tail) = rest.split_at_checked(end).unwrap_or((rest, b""));
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
        if tail.is_empty() {
            break;
        }
        rest = tail
            .strip_prefix(b"\r\n")
            .or_else(|| tail.get(1..))
            .unwrap_or_default();
    }
    out.push(b'\n');
}

/// Appends a comment, which keeps a quiet stream alive and means nothing (S-13).
pub fn write_comment(out: &mut Vec<u8>) {
    out.extend_from_slice(b":\n");
}

/// Replaces CR and LF by spaces, so that a JSON text stands on one line (B-03). Outside strings they are whitespace
/// and inside they cannot occur, so the value stays what it was and no token changes its spelling.
pub fn flatten_newlines(json: &mut [u8]) {
    for byte in json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

#[cfg(test)]
mod tests;
