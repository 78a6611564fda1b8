//! Values that records are found and sorted by, as bytes that sort the same way in both engines.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{store::StoreError, vocabulary::Timestamp};

/// A value of an indexed field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// Yes or no.
    Bool(bool),
    /// A whole number: counts, cents, milliseconds.
    Int(i64),
    /// Text, compared byte by byte. Fold it before, if case shall not matter.
    Text(String),
}

impl From<bool> for FieldValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<i64> for FieldValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<Timestamp> for FieldValue {
    fn from(value: Timestamp) -> Self {
        Self::Int(value.0)
    }
}
impl From<&str> for FieldValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
impl From<String> for FieldValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// Longest text in an index. PostgreSQL's trees refuse entries of a third of a page.
const MOST_TEXT: usize = 1024;

impl FieldValue {
    /// One byte for the kind, then the value: numbers big-endian with the sign turned, text as it is.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, StoreError> {
        Ok(match self {
            Self::Bool(value) => vec![1, u8::from(*value)],
            Self::Int(value) => {
                let turned = value.cast_unsigned() ^ (1 << 63);
                let mut bytes = vec![2];
                bytes.extend_from_slice(&turned.to_be_bytes());
                bytes
            }
            Self::Text(text) if text.len() > MOST_TEXT => {
                return Err(StoreError::Invalid {
                    what: format!(
                        "an indexed text has {} bytes, at most {MOST_TEXT} are accepted",
                        text.len()
                    ),
                });
            }
            Self::Text(text) => {
                let mut bytes = vec![3];
                bytes.extend_from_slice(text.as_bytes());
                bytes
            }
        })
    }

    /// Bytes before every value of the same kind, and after.
    pub(crate) fn kind_bounds(&self) -> ([u8; 1], [u8; 1]) {
        match self {
            Self::Bool(_) => ([1], [2]),
            Self::Int(_) => ([2], [3]),
            Self::Text(_) => ([3], [4]),
        }
    }
}

/// A declared field of a record. A field may be given several times with different values, as tags are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: FieldValue,
    /// Whether no other record of the kind may have the same value.
    pub unique: bool,
}

impl Field {
    /// A field that records are found or sorted by.
    pub fn new(name: &str, value: impl Into<FieldValue>) -> Self {
        Self {
            name: name.to_owned(),
            value: value.into(),
            unique: false,
        }
    }

    /// A field whose value names one record of the kind.
    pub fn unique(name: &str, value: impl Into<FieldValue>) -> Self {
        Self {
            unique: true,
            ..Self::new(name, value)
        }
    }
}

/// An index entry as remembered with its record: what to remove when it changes, and what lists are judged by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(super) name: String,
    #[serde(with = "bytes")]
    pub(super) value: Vec<u8>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unique: bool,
}

/// An entry as remembered whose value is read when somebody asks for it: of the many that a record has, a list looks at a few.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct UnreadEntry {
    pub(super) name: String,
    value: Box<RawValue>,
}

impl UnreadEntry {
    /// Its value.
    pub(super) fn value(&self) -> Result<Vec<u8>, StoreError> {
        let mut reader = serde_json::Deserializer::from_str(self.value.get());
        bytes::deserialize(&mut reader).map_err(|e| StoreError::Row(e.to_string()))
    }
}

/// Bytes in JSON as hexadecimal digits. They were a list of numbers before, which is twice as long and is still read.
mod bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written<'a> {
        #[serde(borrow)]
        Digits(std::borrow::Cow<'a, str>),
        Numbers(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::store::chain::hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let digits = match Written::deserialize(deserializer)? {
            Written::Numbers(bytes) => return Ok(bytes),
            Written::Digits(digits) => digits,
        };
        let digit = |of: u8| char::from(of).to_digit(16);
        let byte = |pair: &[u8]| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        bytes.ok_or_else(|| D::Error::custom("not hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(value: impl Into<FieldValue>) -> Vec<u8> {
        value.into().to_bytes().unwrap()
    }

    proptest! {
        #[test]
        fn numbers_sort_as_their_bytes(a: i64, b: i64) {
            prop_assert_eq!(a.cmp(&b), bytes(a).cmp(&bytes(b)));
        }

        #[test]
        fn text_sorts_as_its_bytes(a in ".{0,20}", b in ".{0,20}") {
            prop_assert_eq!(a.as_bytes().cmp(b.as_bytes()), bytes(a.as_str()).cmp(&bytes(b.as_str())));
        }
    }

    #[test]
    fn entries_are_read_as_they_are_and_were_written() {
        let entry = Entry {
            name: "a".to_owned(),
            value: vec![3, 0, 255],
            unique: false,
        };
        let written = serde_json::to_string(&entry).unwrap();
        assert_eq!(written, r#"{"name":"a","value":"0300ff"}"#);
        for text in [&written, r#"{"name":"a","value":[3,0,255],"unique":false}"#] {
            assert_eq!(serde_json::from_str::<Entry>(text).unwrap(), entry, "{text}");
            let unread: UnreadEntry = serde_json::from_str(text).unwrap();
            assert_eq!(
                (unread.name.as_str(), unread.value().unwrap()),
                ("a", entry.value.clone())
            );
        }
        for bad in ["0", "0g", "ää"] {
            let text = format!(r#"{{"name":"a","value":"{bad}"}}"#);
            assert!(serde_json::from_str::<Entry>(&text).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_value_lies_within_its_kind() {
        for value in [
            FieldValue::from(false),
            true.into(),
            i64::MIN.into(),
            i64::MAX.into(),
            "".into(),
            "\u{10FFFF}".into(),
        ] {
            let (low, high) = value.kind_bounds();
            let bytes = value.to_bytes().unwrap();
            assert!(bytes.as_slice() > &low[..] || bytes == low, "{value:?}");
            assert!(bytes.as_slice() < &high[..], "{value:?}");
        }
        assert!(FieldValue::from("x".repeat(1025)).to_bytes().is_err());
    }
}
