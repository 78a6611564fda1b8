//! The members of `params` that somebody must read, in view after the one pass that decodes the message.
//!
//! Reading never fails on a member's type: a wrong type is a [`ShapeFault`] on access, because the gate answers
//! it later than a broken message (row 16 against row 7). Unknown members stay in [`Params::raw`].

use std::borrow::Cow;

use serde::de::MapAccess;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::codes;
use crate::jsonrpc::{ErrorObject, Id};
use crate::members::{Kind, Members, spelled, unreadable, unreadable_text};
use crate::meta::RequestMeta;

/// A parameter that has another type than its method needs; answered with −32602 (row 16).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("`{field}` must be {expected}, not {found}.")]
pub struct ShapeFault {
    /// The parameter, with its path from `params`.
    pub field: &'static str,
    /// What would have been accepted.
    pub expected: &'static str,
    /// The type that was found.
    pub found: &'static str,
}

impl ShapeFault {
    /// The error to send.
    pub fn to_error(&self) -> ErrorObject {
        ErrorObject::new(codes::INVALID_PARAMS, self.to_string())
    }

    pub(crate) fn new(field: &'static str, expected: &'static str, found: &'static str) -> Self {
        ShapeFault {
            field,
            expected,
            found,
        }
    }
}

const MEMBERS: [&str; 15] = [
    "name",
    "arguments",
    "_meta",
    "uri",
    "cursor",
    "taskId",
    "inputResponses",
    "requestState",
    "protocolVersion",
    "capabilities",
    "clientInfo",
    "notifications",
    "requestId",
    "progressToken",
    "level",
];

/// Index of `_meta`, which is read in the same pass.
pub(crate) const META: usize = 2;

/// `params` of a request or notification. Absent `params` read like an empty object.
#[derive(Clone, Debug)]
pub struct Params<'a> {
    source: Source<'a>,
    members: Members<'a, 15>,
    meta: RequestMeta<'a>,
}

/// Where the bytes are.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Absent,
    /// In a message, under `params`.
    Message(&'a str),
    Object(&'a RawValue),
}

impl Default for Params<'_> {
    fn default() -> Self {
        Params {
            source: Source::Absent,
            members: Members::EMPTY,
            meta: RequestMeta::default(),
        }
    }
}

impl<'a> Params<'a> {
    /// Reads a raw value that stands alone. Fails on what is not an object.
    pub fn read(raw: &'a RawValue) -> serde_json::Result<Self> {
        let mut params = Params {
            source: Source::Object(raw),
            ..Params::default()
        };
        params.members.fill(raw.get(), &MEMBERS, &mut params.meta)?;
        Ok(params)
    }

    /// Reads the next value of a message on the way through it. Returns the value's type; only an object has
    /// members.
    pub(crate) fn take<A: MapAccess<'a>>(&mut self, message: &'a str, map: &mut A) -> Result<Kind, A::Error> {
        self.source = Source::Message(message);
        map.next_value_seed(self.members.nested(&MEMBERS, &mut self.meta))
    }

    /// The first key that occurs twice among those anybody reads, and the object it is in (L-14).
    pub fn doubled(&self) -> Option<(&'static str, &'static str)> {
        match self.members.doubled().and_then(|index| MEMBERS.get(index)) {
            Some(key) => Some((key, "`params`")),
            None => self.meta.doubled().map(|key| (key, "`params._meta`")),
        }
    }

    /// The bytes of `params` as they arrived. Costs another pass over the message: most readers need no more than
    /// the members below, and do not pay for it.
    pub fn raw(&self) -> Option<&'a RawValue> {
        match self.source {
            Source::Absent => None,
            Source::Message(text) => Members::read(text, &["params"]).ok()?.at(0),
            Source::Object(raw) => Some(raw),
        }
    }

    /// The bytes of `_meta` as they arrived. Costs as much as [`Params::raw`], and a little more.
    pub fn raw_meta(&self) -> Option<&'a RawValue> {
        Members::read(self.raw()?.get(), &["_meta"]).ok()?.at(0)
    }

    /// `_meta`; empty if absent.
    pub fn meta(&self) -> &RequestMeta<'a> {
        &self.meta
    }

    /// `name` of a tool or prompt.
    pub fn name(&self) -> Result<Option<Cow<'a, str>>, ShapeFault> {
        self.text(0, "params.name")
    }

    /// `arguments`, an object.
    pub fn arguments(&self) -> Result<Option<&'a RawValue>, ShapeFault> {
        self.object(1, "params.arguments")
    }

    /// `uri` of a resource.
    pub fn uri(&self) -> Result<Option<Cow<'a, str>>, ShapeFault> {
        self.text(3, "params.uri")
    }

    /// `cursor` of a listing. An empty cursor is a cursor (S-65).
    pub fn cursor(&self) -> Result<Option<Cow<'a, str>>, ShapeFault> {
        self.text(4, "params.cursor")
    }

    /// `taskId` of the tasks extension.
    pub fn task_id(&self) -> Result<Option<Cow<'a, str>>, ShapeFault> {
        self.text(5, "params.taskId")
    }

    /// `inputResponses` of a retry, an object.
    pub fn input_responses(&self) -> Result<Option<&'a RawValue>, ShapeFault> {
        self.object(6, "params.inputResponses")
    }

    /// `requestState` of a retry.
    pub fn request_state(&self) -> Result<Option<Cow<'a, str>>, ShapeFault> {
        self.text(7, "params.requestState")
    }

    /// `protocolVersion` of `initialize`.
    pub fn protocol_version(&self) -> Result<Option<Cow<'a, str>>, ShapeFault> {
        self.text(8, "params.protocolVersion")
    }

    /// `capabilities` of `initialize`, an object.
    pub fn capabilities(&self) -> Result<Option<&'a RawValue>, ShapeFault> {
        self.object(9, "params.capabilities")
    }

    /// `clientInfo` of `initialize`, an object.
    pub fn client_info(&self) -> Result<Option<&'a RawValue>, ShapeFault> {
        self.object(10, "params.clientInfo")
    }

    /// `notifications` of `subscriptions/listen`, an object.
    pub fn notifications(&self) -> Result<Option<&'a RawValue>, ShapeFault> {
        self.object(11, "params.notifications")
    }

    /// `requestId` of `notifications/cancelled`.
    pub fn request_id(&self) -> Result<Option<Id<'a>>, ShapeFault> {
        self.id(12, "params.requestId")
    }

    /// `progressToken` of `notifications/progress`. The token of a *request* is in its `_meta`.
    pub fn progress_token(&self) -> Result<Option<Id<'a>>, ShapeFault> {
        self.id(13, "params.progressToken")
    }

    /// `level` of `logging/setLevel`.
    pub fn level(&self) -> Result<Option<Cow<'a, str>>, ShapeFault> {
        self.text(14, "params.level")
    }

    fn text(&self, index: usize, field: &'static str) -> Result<Option<Cow<'a, str>>, ShapeFault> {
        read_text(self.members.at(index), field)
    }

    fn object(&self, index: usize, field: &'static str) -> Result<Option<&'a RawValue>, ShapeFault> {
        read_object(self.members.at(index), field)
    }

    fn id(&self, index: usize, field: &'static str) -> Result<Option<Id<'a>>, ShapeFault> {
        read_id(self.members.at(index), field)
    }
}

pub(crate) fn read_text<'a>(
    raw: Option<&'a RawValue>,
    field: &'static str,
) -> Result<Option<Cow<'a, str>>, ShapeFault> {
    raw.map(|raw| {
        spelled(raw).ok_or_else(|| ShapeFault::new(field, "a string", unreadable_text(Kind::of(raw))))
    })
    .transpose()
}

pub(crate) fn read_object<'a>(
    raw: Option<&'a RawValue>,
    field: &'static str,
) -> Result<Option<&'a RawValue>, ShapeFault> {
    match raw {
        Some(raw) if Kind::of(raw) != Kind::Object => {
            Err(ShapeFault::new(field, "an object", Kind::of(raw).phrase()))
        }
        raw => Ok(raw),
    }
}

pub(crate) fn read_id<'a>(
    raw: Option<&'a RawValue>,
    field: &'static str,
) -> Result<Option<Id<'a>>, ShapeFault> {
    raw.map(|raw| {
        Id::read(raw).ok_or_else(|| ShapeFault::new(field, "a string or an integer", unreadable(raw)))
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Params<'_> {
        Params::read(serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn members_read_as_their_types() {
        let params = params(
            r#"{"name":"t\u006fol","arguments":{"a":1},"uri":"file:///x","cursor":"","taskId":"t","inputResponses":{},
                "requestState":"s","protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{},
                "notifications":{},"requestId":"r","progressToken":7,"level":"debug","other":null}"#,
        );
        assert_eq!(params.name().unwrap().unwrap(), "tool");
        assert_eq!(params.arguments().unwrap().unwrap().get(), r#"{"a":1}"#);
        assert_eq!(params.uri().unwrap().unwrap(), "file:///x");
        assert_eq!(
            params.cursor().unwrap().unwrap(),
            "",
            "an empty cursor is a cursor"
        );
        assert_eq!(params.task_id().unwrap().unwrap(), "t");
        assert_eq!(params.input_responses().unwrap().unwrap().get(), "{}");
        assert_eq!(params.request_state().unwrap().unwrap(), "s");
        assert_eq!(params.protocol_version().unwrap().unwrap(), "2025-06-18");
        assert!(params.capabilities().unwrap().is_some() && params.client_info().unwrap().is_some());
        assert!(params.notifications().unwrap().is_some());
        assert_eq!(params.request_id().unwrap().unwrap().as_raw(), "\"r\"");
        assert_eq!(params.progress_token().unwrap().unwrap().as_raw(), "7");
        assert_eq!(params.level().unwrap().unwrap(), "debug");
    }

    #[test]
    fn absent_members_are_no_fault() {
        for params in [Params::default(), params("{}")] {
            assert_eq!(params.name(), Ok(None));
            assert!(params.arguments().is_ok_and(|value| value.is_none()));
            assert!(params.meta().check().is_ok() && !params.meta().is_modern_claim());
        }
    }

    #[test]
    fn wrong_types_name_the_field_and_both_types() {
        let params =
            params(r#"{"name":7,"arguments":[],"cursor":null,"uri":"\ud800","requestId":1.5,"_meta":"x"}"#);
        let sentences = [
            params.name().unwrap_err().to_string(),
            params.arguments().map(drop).unwrap_err().to_string(),
            params.cursor().unwrap_err().to_string(),
            params.uri().unwrap_err().to_string(),
            params.request_id().unwrap_err().to_string(),
            params.meta().check().unwrap_err().to_string(),
        ];
        assert_eq!(
            sentences,
            [
                "`params.name` must be a string, not a number.",
                "`params.arguments` must be an object, not an array.",
                "`params.cursor` must be a string, not null.",
                "`params.uri` must be a string, not a string with an unpaired surrogate.",
                "`params.requestId` must be a string or an integer, not a number with a fraction or exponent.",
                "`params._meta` must be an object, not a string.",
            ]
        );
        assert_eq!(params.name().unwrap_err().to_error().code, codes::INVALID_PARAMS);
    }

    #[test]
    fn an_object_is_needed() {
        for text in ["[]", "1", "\"x\"", "null", "true"] {
            assert!(
                Params::read(serde_json::from_str(text).unwrap()).is_err(),
                "{text}"
            );
        }
    }
}
