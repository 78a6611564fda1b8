//! Request ids, kept as they were spelled.
//!
//! An answer must carry the id it was asked under, so the spelling is what is stored. Equality is by meaning:
//! `1` and `"1"` differ, `"a"` and `"\u0061"` do not.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde_json::value::RawValue;

use crate::members::{Kind, spelled, spelled_by};

/// The largest integer that every JSON implementation holds exactly, 2⁵³−1.
pub const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// A string or integer id (also a progress token or subscription id), borrowed from its message.
#[derive(Clone, Copy)]
pub struct Id<'a> {
    /// Invariant: a JSON string that spells text, or a JSON number without fraction and exponent.
    raw: &'a str,
}

/// An [`Id`] that outlives its message, fit for a map's key.
#[derive(Clone)]
pub struct OwnedId {
    /// Invariant: as in [`Id`].
    raw: Spelling,
}

/// Bytes of a spelling that need no memory of their own: every number and most names that hosts give.
const SHORT_BYTES: usize = 22;

/// A text that owns its bytes.
#[derive(Clone)]
enum Spelling {
    /// The bytes, and how many of them there are.
    Short([u8; SHORT_BYTES], u8),
    Long(Box<str>),
}

impl From<&str> for Spelling {
    fn from(text: &str) -> Self {
        let mut bytes = [0; SHORT_BYTES];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(text.as_bytes());
                Spelling::Short(bytes, length)
            }
            _ => Spelling::Long(text.into()),
        }
    }
}

impl Spelling {
    fn as_str(&self) -> &str {
        match self {
            // Invariant: these bytes were a text.
            Spelling::Short(bytes, length) => {
                let text = bytes.get(..usize::from(*length)).unwrap_or_default();
                std::str::from_utf8(text).unwrap_or_default()
            }
            Spelling::Long(text) => text,
        }
    }
}

/// What an id means, the basis of equality and hashing.
#[derive(PartialEq, Eq, Hash)]
enum Meaning<'a> {
    Integer(&'a str),
    Text(Cow<'a, str>),
}

impl<'a> Id<'a> {
    /// Reads a raw value as an id. `None` for a float, an object, an array, a boolean, null, or a string whose
    /// escapes spell no text. Integers of any size pass; see [`Id::is_safe`].
    pub fn read(raw: &'a RawValue) -> Option<Self> {
        let readable = match Kind::of(raw) {
            Kind::Text => spelled(raw).is_some(),
            Kind::Number => !raw.get().contains(['.', 'e', 'E']),
            _ => false,
        };
        readable.then_some(Id { raw: raw.get() })
    }

    /// The JSON spelling, quotes included; what an answer repeats.
    pub fn as_raw(&self) -> &'a str {
        self.raw
    }

    /// The text of a string id, `None` for an integer.
    pub fn as_text(&self) -> Option<Cow<'a, str>> {
        spelled_by(self.raw)
    }

    /// The value of an integer id that fits, `None` otherwise.
    pub fn as_integer(&self) -> Option<i64> {
        self.raw.parse().ok()
    }

    /// False for an integer beyond ±(2⁵³−1), which some readers would round (L-15). Strings are safe.
    pub fn is_safe(&self) -> bool {
        self.raw.starts_with('"')
            || self
                .as_integer()
                .is_some_and(|n| n.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs())
    }

    /// A copy that owns its spelling.
    pub fn to_owned(self) -> OwnedId {
        OwnedId { raw: self.raw.into() }
    }

    fn meaning(&self) -> Meaning<'a> {
        match spelled_by(self.raw) {
            Some(text) => Meaning::Text(text),
            None if self.raw == "-0" => Meaning::Integer("0"),
            None => Meaning::Integer(self.raw),
        }
    }
}

impl OwnedId {
    /// An integer id.
    pub fn from_integer(value: i64) -> Self {
        OwnedId {
            raw: value.to_string().as_str().into(),
        }
    }

    /// A string id.
    pub fn from_string(text: &str) -> Self {
        let mut raw = Vec::with_capacity(text.len() + 2);
        super::write_string(&mut raw, text);
        // Invariant: serialised text is UTF-8.
        let raw = String::from_utf8(raw).expect("serialised text is UTF-8");
        OwnedId {
            raw: raw.as_str().into(),
        }
    }

    /// The JSON spelling, quotes included.
    pub fn as_raw(&self) -> &str {
        self.raw.as_str()
    }

    /// The same id, borrowed.
    pub fn as_id(&self) -> Id<'_> {
        Id {
            raw: self.raw.as_str(),
        }
    }
}

impl From<Id<'_>> for OwnedId {
    fn from(id: Id<'_>) -> Self {
        id.to_owned()
    }
}

impl PartialEq for Id<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw || self.meaning() == other.meaning()
    }
}

impl Eq for Id<'_> {}

impl Hash for Id<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.meaning().hash(state);
    }
}

impl PartialEq for OwnedId {
    fn eq(&self, other: &Self) -> bool {
        self.as_id() == other.as_id()
    }
}

impl Eq for OwnedId {}

impl Hash for OwnedId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_id().hash(state);
    }
}

impl PartialEq<Id<'_>> for OwnedId {
    fn eq(&self, other: &Id<'_>) -> bool {
        self.as_id() == *other
    }
}

impl fmt::Debug for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.raw)
    }
}

impl fmt::Debug for OwnedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedId({})", self.as_raw())
    }
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw)
    }
}

impl fmt::Display for OwnedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_raw())
    }
}
