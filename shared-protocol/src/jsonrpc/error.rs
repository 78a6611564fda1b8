//! The `error` member of a response, to write and to read.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::members::{Members, spelled};

/// An error to send.
#[derive(Clone, Debug)]
pub struct ErrorObject {
    /// One of [`crate::codes`], or an application's own.
    pub code: i64,
    /// A full sentence for the caller.
    pub message: Cow<'static, str>,
    /// Details for programs.
    pub data: Option<Box<RawValue>>,
}

impl ErrorObject {
    /// An error without `data`.
    pub fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        ErrorObject {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// The same error with `data`.
    #[must_use]
    pub fn with_data(mut self, data: &serde_json::Value) -> Self {
        // Invariant: a `Value` has string keys and finite numbers, so it always serialises.
        self.data = Some(serde_json::value::to_raw_value(data).expect("a JSON value serialises"));
        self
    }
}

/// An error that was received, borrowed.
#[derive(Clone, Debug)]
pub struct ErrorView<'a> {
    /// The number.
    pub code: i64,
    /// The message, empty if there was none.
    pub message: Cow<'a, str>,
    /// The raw details.
    pub data: Option<&'a RawValue>,
}

impl<'a> ErrorView<'a> {
    /// Looks into an `error` member. `None` unless it is an object with an integer `code` that is stated once.
    pub fn read(raw: &'a RawValue) -> Option<Self> {
        let members = Members::read(raw.get(), &["code", "message", "data"]).ok()?;
        if members.doubled().is_some() {
            return None;
        }
        Some(ErrorView {
            code: members.at(0)?.get().parse().ok()?,
            message: members.at(1).and_then(spelled).unwrap_or_default(),
            data: members.at(2),
        })
    }
}
