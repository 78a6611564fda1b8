//! Strict decoding of one message (gate rows 6 and 7, L-14, L-15).
//!
//! In: the bytes of a body or a line. Out: a [`Message`] that borrows them, or the reason it is none. The cost is
//! linear in the bytes and nothing is copied but strings with escapes.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{DecodeError, Fault, Id, Message, Notification, OwnedId, Request, Response, ResponseBody, depth};
use crate::members::{Inner, Kind, Members, NoInner, spelled, unreadable, unreadable_text};
use crate::params::Params;

/// What a reader accepts beyond being well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Objects and arrays open at once, the message itself included.
    pub depth: usize,
    /// Longest id, in bytes as spelled.
    pub id_bytes: usize,
    /// Refuse integer ids beyond ±(2⁵³−1) (L-15).
    pub safe_integers: bool,
    /// Most elements of an array of messages.
    pub batch: usize,
}

impl Rules {
    /// What the server accepts: the limits of L-02. Arguments may nest 32 deep; the message and `params` are the
    /// two levels around them.
    pub const SERVER: Rules = Rules {
        depth: 34,
        id_bytes: 256,
        safe_integers: true,
        batch: 32,
    };

    /// What the bridge lets through in either direction: it judges form only and leaves limits to the ends, but
    /// still bounds nesting at what common JSON readers take.
    pub const BRIDGE: Rules = Rules {
        depth: 128,
        id_bytes: usize::MAX,
        safe_integers: false,
        batch: 1024,
    };
}

const MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
const JSONRPC: usize = 0;
const ID: usize = 1;
const METHOD: usize = 2;
const PARAMS: usize = 3;
const RESULT: usize = 4;
const ERROR: usize = 5;

/// Decodes one message. An array is reported as [`DecodeError::Batch`].
pub fn decode<'a>(bytes: &'a [u8], rules: &Rules) -> Result<Message<'a>, DecodeError> {
    let text = checked_text(bytes, rules)?;
    decode_text(text, rules)
}

/// Decodes one element of [`decode_batch`]. An array inside an array is no message.
pub fn decode_raw<'a>(raw: &'a RawValue, rules: &Rules) -> Result<Message<'a>, DecodeError> {
    decode_text(raw.get(), rules)
}

/// Takes an array of messages apart without decoding them. Refuses an empty array and one longer than the rules
/// allow, each with −32600.
pub fn decode_batch<'a>(bytes: &'a [u8], rules: &Rules) -> Result<Vec<&'a RawValue>, DecodeError> {
    let text = checked_text(bytes, rules)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let elements = deserializer
        .deserialize_seq(Elements { most: rules.batch })
        .map_err(|error| not_json(&error))?;
    deserializer.end().map_err(|error| not_json(&error))?;
    match elements {
        None => Err(invalid(Fault::LongBatch { limit: rules.batch }, None)),
        Some(elements) if elements.is_empty() => Err(invalid(Fault::EmptyBatch, None)),
        Some(elements) => Ok(elements),
    }
}

/// Looks for a top-level `id` in the first bytes of a message that is too long to be read whole (B-06).
/// What follows `prefix` stays unknown, so the id is only good for an error.
pub fn id_in_prefix(prefix: &[u8]) -> Option<OwnedId> {
    let text = match std::str::from_utf8(prefix) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(prefix.get(..error.valid_up_to())?).ok()?,
    };
    let mut members = Members::EMPTY;
    // The error is expected: the text stops in the middle.
    let _cut_short = members.fill(text, &["id"], &mut NoInner);
    if members.doubled().is_some() {
        return None;
    }
    // A number at the very end may go on in what was cut off; a string has its closing quote.
    let raw = members.at(0)?;
    let ends_inside = raw.get().as_bytes().as_ptr_range().end == text.as_bytes().as_ptr_range().end;
    if ends_inside && Kind::of(raw) == Kind::Number {
        return None;
    }
    Id::read(raw).map(Id::to_owned)
}

fn checked_text<'a>(bytes: &'a [u8], rules: &Rules) -> Result<&'a str, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|error| DecodeError::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    if depth::within(text, rules.depth) {
        Ok(text)
    } else {
        Err(DecodeError::TooDeep { limit: rules.depth })
    }
}

fn decode_text<'a>(text: &'a str, rules: &Rules) -> Result<Message<'a>, DecodeError> {
    let opens_object = text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{');
    if !opens_object {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        return Err(match Kind::of(raw) {
            Kind::Array => DecodeError::Batch,
            kind => invalid(Fault::NotAnObject { found: kind.phrase() }, None),
        });
    }
    let mut members = Members::EMPTY;
    let mut inner = ReadParams {
        message: text,
        kind: None,
        params: Params::default(),
    };
    members
        .fill(text, &MEMBERS, &mut inner)
        .map_err(|error| not_json(&error))?;
    let id = match members.at(ID) {
        _ if members.is_doubled(ID) => Ok(None),
        Some(raw) => read_id(raw, rules).map(Some),
        None => Ok(None),
    };
    let known_id = id.ok().flatten();
    let refuse = |fault| invalid(fault, known_id);

    if let Some(key) = members.doubled().and_then(|index| MEMBERS.get(index)) {
        return Err(refuse(Fault::DoubledKey {
            key,
            place: "the message",
        }));
    }
    if members.at(JSONRPC).and_then(spelled).as_deref() != Some("2.0") {
        return Err(refuse(Fault::WrongVersion));
    }
    match (members.at(METHOD), members.at(RESULT), members.at(ERROR)) {
        (Some(method), None, None) => {
            let id = id.map_err(refuse)?;
            let method = spelled(method).ok_or_else(|| {
                refuse(Fault::WrongMethod {
                    found: unreadable_text(Kind::of(method)),
                })
            })?;
            if let Some(kind) = inner.kind.filter(|kind| *kind != Kind::Object) {
                return Err(refuse(Fault::WrongParams { found: kind.phrase() }));
            }
            let params = inner.params;
            if let Some((key, place)) = params.doubled() {
                return Err(refuse(Fault::DoubledKey { key, place }));
            }
            Ok(match id {
                Some(id) => Message::Request(Request { id, method, params }),
                None => Message::Notification(Notification { method, params }),
            })
        }
        (None, Some(result), None) => {
            let id = id
                .map_err(refuse)?
                .ok_or_else(|| refuse(Fault::ResultWithoutId))?;
            Ok(Message::Response(Response {
                id: Some(id),
                body: ResponseBody::Result(result),
            }))
        }
        (None, None, Some(error)) => {
            let id = match members.at(ID) {
                Some(raw) if Kind::of(raw) == Kind::Null => None,
                _ => id.map_err(refuse)?,
            };
            match Kind::of(error) {
                Kind::Object => Ok(Message::Response(Response {
                    id,
                    body: ResponseBody::Error(error),
                })),
                kind => Err(refuse(Fault::WrongError { found: kind.phrase() })),
            }
        }
        _ => Err(refuse(Fault::NoKind)),
    }
}

fn read_id<'a>(raw: &'a RawValue, rules: &Rules) -> Result<Id<'a>, Fault> {
    if raw.get().len() > rules.id_bytes {
        return Err(Fault::LongId {
            limit: rules.id_bytes,
        });
    }
    let id = Id::read(raw).ok_or_else(|| Fault::WrongId {
        found: unreadable(raw),
    })?;
    if rules.safe_integers && !id.is_safe() {
        Err(Fault::UnsafeId)
    } else {
        Ok(id)
    }
}

/// Reads `params` while the message is being read.
struct ReadParams<'a> {
    message: &'a str,
    kind: Option<Kind>,
    params: Params<'a>,
}

impl<'de> Inner<'de> for ReadParams<'de> {
    const INDEX: usize = PARAMS;

    fn take<A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        self.kind = Some(self.params.take(self.message, map)?);
        Ok(())
    }
}

fn invalid(fault: Fault, id: Option<Id<'_>>) -> DecodeError {
    DecodeError::Invalid {
        fault,
        id: id.map(Id::to_owned),
    }
}

fn not_json(error: &serde_json::Error) -> DecodeError {
    DecodeError::NotJson {
        what: error.to_string(),
    }
}

/// Collects raw elements, `None` once there are more than `most`; the rest is still checked to be JSON.
struct Elements {
    most: usize,
}

impl<'de> Visitor<'de> for Elements {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while elements.len() < self.most {
            match seq.next_element::<&'de RawValue>()? {
                Some(element) => elements.push(element),
                None => return Ok(Some(elements)),
            }
        }
        let mut too_many = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            too_many = true;
        }
        Ok((!too_many).then_some(elements))
    }
}
