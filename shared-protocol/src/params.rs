//! The members of `params` that somebody must read, in view after one pass.
//!
//! Reading never fails on a member's type: a wrong type is a [`ShapeFault`] on access, because the gate answers
//! it later than a broken message (row 16 against row 7). Unknown members stay in [`Params::raw`].

use std::borrow::Cow;

use serde_json::value::RawValue;
use thiserror::Error;

use crate::jsonrpc::Id;
use crate::members::{Kind, Members, spelled};
use crate::meta::RequestMeta;

/// A parameter that has another type than its method needs; answered with −32602 (row 16).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("`{field}` must be {expected}, not {found}.")]
pub struct ShapeFault {
    /// The parameter, with its path from `params`.
    pub field: &'static str,
    /// What would have been accepted.
    pub expected: &'static str,
    /// The type that was found, or "absent".
    pub found: &'static str,
}

impl ShapeFault {
    pub(crate) fn new(field: &'static str, expected: &'static str, found: &RawValue) -> Self {
        ShapeFault {
            field,
            expected,
            found: Kind::of(found).phrase(),
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

/// `params` of a request or notification. Absent `params` read like an empty object.
#[derive(Clone, Debug)]
pub struct Params<'a> {
    raw: Option<&'a RawValue>,
    members: Members<'a, 15>,
    meta: RequestMeta<'a>,
}

impl Default for Params<'_> {
    fn default() -> Self {
        Params {
            raw: None,
            members: Members::EMPTY,
            meta: RequestMeta::default(),
        }
    }
}

impl<'a> Params<'a> {
    /// Reads a raw object. Fails only on what is not a JSON object; [`crate::jsonrpc::decode`] has checked that
    /// for the `params` it hands out.
    pub fn read(raw: &'a RawValue) -> serde_json::Result<Self> {
        let members = Members::read(raw.get(), &MEMBERS)?;
        let meta = members
            .at(2)
            .map(RequestMeta::read)
            .transpose()?
            .unwrap_or_default();
        Ok(Params {
            raw: Some(raw),
            members,
            meta,
        })
    }

    /// The first key that occurs twice among those anybody reads, and the object it is in (L-14).
    pub fn doubled(&self) -> Option<(&'static str, &'static str)> {
        match self.members.doubled().and_then(|index| MEMBERS.get(index)) {
            Some(key) => Some((key, "`params`")),
            None => self.meta.doubled().map(|key| (key, "`params._meta`")),
        }
    }

    /// The bytes of `params` as they arrived.
    pub fn raw(&self) -> Option<&'a RawValue> {
        self.raw
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
    raw.map(|raw| spelled(raw).ok_or_else(|| ShapeFault::new(field, "a string", raw)))
        .transpose()
}

pub(crate) fn read_object<'a>(
    raw: Option<&'a RawValue>,
    field: &'static str,
) -> Result<Option<&'a RawValue>, ShapeFault> {
    match raw {
        Some(raw) if Kind::of(raw) != Kind::Object => Err(ShapeFault::new(field, "an object", raw)),
        raw => Ok(raw),
    }
}

pub(crate) fn read_id<'a>(
    raw: Option<&'a RawValue>,
    field: &'static str,
) -> Result<Option<Id<'a>>, ShapeFault> {
    raw.map(|raw| Id::read(raw).ok_or_else(|| ShapeFault::new(field, "a string or an integer", raw)))
        .transpose()
}
