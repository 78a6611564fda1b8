//! Strict decoding of one message (gate rows 6 and 7, L-14, L-15).
//!
//! In: the bytes of a body or a line. Out: a [`Message`] that borrows them, or the reason it is none. The cost is
//! linear in the bytes and nothing is copied but strings with escapes.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use super::{Id, Message, Notification, OwnedId, Request, Response, ResponseBody, depth};
use crate::codes;
use crate::members::{Kind, Members, spelled};
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

/// Why bytes are not a message.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes are not UTF-8.
    #[error("Expected one JSON value in UTF-8; byte {at} does not belong to UTF-8 text.")]
    NotUtf8 {
        /// Offset of the first wrong byte.
        at: usize,
    },
    /// The text is not one JSON value.
    #[error("Expected one JSON value: {what}.")]
    NotJson {
        /// The parser's complaint with line and column.
        what: String,
    },
    /// The text nests too deeply to be read.
    #[error("Objects and arrays may nest at most {limit} deep.")]
    TooDeep {
        /// The bound that was passed.
        limit: usize,
    },
    /// An array, well formed as JSON. [`decode_batch`] takes it apart where arrays are legal.
    #[error("Expected one JSON-RPC message, found an array; send each message in a request of its own.")]
    Batch,
    /// JSON, but not a JSON-RPC message.
    #[error("{fault}")]
    Invalid {
        /// What is wrong.
        fault: Fault,
        /// The message's id if it could be read.
        id: Option<OwnedId>,
    },
}

impl DecodeError {
    /// −32700 or −32600.
    pub fn code(&self) -> i64 {
        match self {
            Self::NotUtf8 { .. } | Self::NotJson { .. } | Self::TooDeep { .. } => codes::PARSE_ERROR,
            Self::Batch | Self::Invalid { .. } => codes::INVALID_REQUEST,
        }
    }

    /// The id to answer under, if one could be read.
    pub fn id(&self) -> Option<Id<'_>> {
        match self {
            Self::Invalid { id, .. } => id.as_ref().map(OwnedId::as_id),
            _ => None,
        }
    }
}

/// What makes a JSON value no JSON-RPC message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// Not an object.
    #[error("Expected a JSON-RPC message, which is an object, not {found}.")]
    NotAnObject {
        /// The type that was found.
        found: &'static str,
    },
    /// A member that two readers could read differently.
    #[error("The key `{key}` occurs more than once in {place}.")]
    DoubledKey {
        /// The key as it spells.
        key: &'static str,
        /// The object it is in.
        place: &'static str,
    },
    /// `jsonrpc` is not `"2.0"`.
    #[error("`jsonrpc` must be \"2.0\".")]
    WrongVersion,
    /// `id` is neither string nor integer.
    #[error("`id` must be a string or an integer, not {found}.")]
    WrongId {
        /// The type that was found.
        found: &'static str,
    },
    /// `id` is an integer that some readers would round.
    #[error("`id` must lie within ±9007199254740991.")]
    UnsafeId,
    /// `id` is too long.
    #[error("`id` may be at most {limit} bytes long.")]
    LongId {
        /// The bound that was passed, in bytes.
        limit: usize,
    },
    /// `method` is not a string.
    #[error("`method` must be a string, not {found}.")]
    WrongMethod {
        /// The type that was found.
        found: &'static str,
    },
    /// `params` is not an object.
    #[error("`params` must be an object or absent, not {found}.")]
    WrongParams {
        /// The type that was found.
        found: &'static str,
    },
    /// `error` is not an object.
    #[error("`error` must be an object, not {found}.")]
    WrongError {
        /// The type that was found.
        found: &'static str,
    },
    /// Not exactly one of `method`, `result` and `error`.
    #[error("A message has exactly one of `method`, `result` and `error`.")]
    NoKind,
    /// A result that answers nothing.
    #[error("A message with `result` needs the `id` of its request.")]
    ResultWithoutId,
    /// An array without elements.
    #[error("An array of messages needs at least one.")]
    EmptyBatch,
    /// An array with too many elements.
    #[error("An array may hold at most {limit} messages.")]
    LongBatch {
        /// The bound that was passed.
        limit: usize,
    },
}

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
    let _cut_short = members.fill(text, &["id"]);
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
    let members = Members::read(text, &MEMBERS).map_err(|error| not_json(&error))?;
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
                    found: Kind::of(method).phrase(),
                })
            })?;
            let params = match members.at(PARAMS) {
                Some(raw) => read_params(raw, known_id)?,
                None => Params::default(),
            };
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
        found: match Kind::of(raw) {
            Kind::Number => "a number with a fraction or exponent",
            Kind::Text => "a string with an unpaired surrogate",
            kind => kind.phrase(),
        },
    })?;
    if rules.safe_integers && !id.is_safe() {
        Err(Fault::UnsafeId)
    } else {
        Ok(id)
    }
}

fn read_params<'a>(raw: &'a RawValue, id: Option<Id<'_>>) -> Result<Params<'a>, DecodeError> {
    match Kind::of(raw) {
        Kind::Object => {}
        kind => return Err(invalid(Fault::WrongParams { found: kind.phrase() }, id)),
    }
    let params = Params::read(raw).map_err(|error| not_json(&error))?;
    match params.doubled() {
        Some((key, place)) => Err(invalid(Fault::DoubledKey { key, place }, id)),
        None => Ok(params),
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
