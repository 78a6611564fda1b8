//! One JSON-RPC message: bytes to a borrowed [`Message`] and back to bytes.
//!
//! Payloads (`params`, `result`, `error`) stay the bytes that arrived: numbers keep their spelling, objects their
//! order and unknown members their place. What a message *means* is not decided here.

mod decode;
mod depth;
mod error;
mod fault;
mod glance;
mod id;
mod write;

use std::borrow::Cow;

use serde_json::value::RawValue;

pub use decode::{Rules, decode, decode_batch, decode_raw, id_in_prefix};
pub use error::{ErrorObject, ErrorView};
pub use fault::{DecodeError, Fault};
pub use glance::{Glance, Keys, glance, glance_into};
pub use id::{Id, MAX_SAFE_INTEGER, OwnedId};
pub use write::{
    write_error, write_notification, write_request, write_result, write_result_with, write_string,
};

use crate::params::Params;

/// One JSON-RPC 2.0 message, borrowed from the bytes it was decoded from.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// Asks for an answer under its id.
    Request(Request<'a>),
    /// Asks for nothing.
    Notification(Notification<'a>),
    /// Answers a request.
    Response(Response<'a>),
}

/// A message with `method` and `id`.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The caller's id; answers repeat it byte for byte.
    pub id: Id<'a>,
    /// The method's name, escapes decoded.
    pub method: Cow<'a, str>,
    /// The members of `params` in view, and its raw text.
    pub params: Params<'a>,
}

/// A message with `method` and without `id`.
#[derive(Clone, Debug)]
pub struct Notification<'a> {
    /// The method's name, escapes decoded.
    pub method: Cow<'a, str>,
    /// The members of `params` in view, and its raw text.
    pub params: Params<'a>,
}

/// A message with `result` or `error`.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The id of the request it answers. `None` only on errors whose request could not be read; an `id` of null,
    /// as older software writes it, reads as `None`.
    pub id: Option<Id<'a>>,
    /// The outcome.
    pub body: ResponseBody<'a>,
}

/// The outcome in a [`Response`].
#[derive(Clone, Copy, Debug)]
pub enum ResponseBody<'a> {
    /// The value of `result`, any JSON type.
    Result(&'a RawValue),
    /// The value of `error`, an object. [`ErrorView::read`] looks inside.
    Error(&'a RawValue),
}

#[cfg(test)]
mod tests;
