//! A large value of a message → its place in another message, without a copy.
//!
//! What a crossing changes is around the values, so a result of megabytes would be held twice for the sake of a few bytes.
//! Instead the new message leaves a hole for every large value, and the writer fills it from where the value lies.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::stdio::{Line, flatten};

/// From this many bytes on a value is worth a place of its own in a write.
const LARGE: usize = 16 * 1024;
/// Most room made for a message beforehand: what is longer has holes, as a rule.
const ROOM: usize = 256 * 1024;

/// The holes of one message, in order: where in its text, and what belongs there.
#[derive(Debug, Default)]
pub(crate) struct Holes<'a> {
    source: Option<&'a Bytes>,
    filled: Vec<(usize, Bytes)>,
}

impl<'a> Holes<'a> {
    /// For a message that takes over values of `source`, which [`kept`] has made.
    pub(crate) fn of(source: &'a Bytes) -> Holes<'a> {
        Holes {
            source: Some(source),
            filled: Vec::new(),
        }
    }

    /// Room for a message about as long as the source, but for its holes.
    pub(crate) fn room(&self) -> Vec<u8> {
        Vec::with_capacity(self.source.map_or(0, |source| source.len().min(ROOM) + 64))
    }

    /// Appends `text` to `out`, or makes a hole for it.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, text: &str) {
        match self
            .source
            .filter(|source| text.len() >= LARGE && holds(source, text))
        {
            Some(source) => self.filled.push((out.len(), source.slice_ref(text.as_bytes()))),
            None => out.extend_from_slice(text.as_bytes()),
        }
    }

    /// The line that `text` with its holes filled is.
    pub(crate) fn into_line(self, text: Vec<u8>) -> Line {
        Line::with_holes(text, self.filled)
    }
}

/// A message whose large values may go on as they are.
pub(crate) fn kept(mut message: Vec<u8>) -> Bytes {
    // What is written from where it lies must have been made fit for a line before it was read.
    if message.len() >= LARGE {
        flatten(&mut message);
    }
    message.into()
}

/// A value of a message, kept where it lies.
#[derive(Debug)]
pub(crate) struct Taken {
    message: Bytes,
    value: Bytes,
}

impl Taken {
    /// Takes `value` out of `message`, which it must lie in.
    pub(crate) fn of(message: &Bytes, value: &RawValue) -> Taken {
        Taken {
            message: message.clone(),
            value: message.slice_ref(value.get().as_bytes()),
        }
    }

    /// The value's text.
    pub(crate) fn text(&self) -> &str {
        // Invariant: it was text when it was taken.
        std::str::from_utf8(&self.value).unwrap_or_default()
    }

    /// Holes for what goes on from it.
    pub(crate) fn holes(&self) -> Holes<'_> {
        Holes::of(&self.message)
    }
}

fn holds(source: &Bytes, text: &str) -> bool {
    let (source, text) = (source.as_ptr_range(), text.as_bytes().as_ptr_range());
    source.start <= text.start && text.end <= source.end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_values_of_the_source_are_holes() {
        let value = format!("[{}1\n]", "1, ".repeat(LARGE / 3));
        let source = kept(format!("{{\"a\":{value}}}").into_bytes());
        let inside = std::str::from_utf8(&source).unwrap();
        let inside = inside.get(5..inside.len() - 1).unwrap();
        let elsewhere = inside.to_owned();
        let mut holes = Holes::of(&source);
        let mut text = b"<".to_vec();
        holes.write(&mut text, "small");
        holes.write(&mut text, inside);
        holes.write(&mut text, ",");
        holes.write(&mut text, inside);
        holes.write(&mut text, &elsewhere);
        text.push(b'>');
        assert_eq!(text.len(), 8 + elsewhere.len());
        let line = holes.into_line(text);
        let expected = format!("<small{inside},{inside}{elsewhere}>\n");
        assert!(*line.to_bytes() == *expected.as_bytes());
        assert!(!inside.contains('\n'));
    }
}
