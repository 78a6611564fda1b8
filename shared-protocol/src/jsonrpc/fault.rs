//! Why bytes are not a message, in sentences for whoever sent them.

use thiserror::Error;

use super::{ErrorObject, Id, OwnedId};
use crate::codes;

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
    /// An array, well formed as JSON. [`super::decode_batch`] takes it apart where arrays are legal.
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

    /// The error to send, under [`DecodeError::id`].
    pub fn to_error(&self) -> ErrorObject {
        ErrorObject::new(self.code(), self.to_string())
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
