//! The HTTP headers in which a modern request repeats parts of its body.
//!
//! The bridge builds them from the body ([`of_request`]); the server checks them against the body
//! ([`check_method`], [`check_name`]). Both read the same functions, so a request one half writes is one the other accepts.

use std::borrow::Cow;

use thiserror::Error;

use crate::codes;
use crate::era::ProtocolVersion;
use crate::jsonrpc::ErrorObject;
use crate::params::{Params, ShapeFault};
use crate::value;

/// The revision; also on legacy requests after the handshake.
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// Repeats `method`.
pub const METHOD: &str = "mcp-method";
/// Repeats the member that [`name_source`] picks.
pub const NAME: &str = "mcp-name";
/// A legacy session.
pub const SESSION_ID: &str = "mcp-session-id";
/// Starts the header of a parameter marked with `x-mcp-header`.
pub const PARAM_PREFIX: &str = "mcp-param-";

// The spelling people look for, used in messages. On the wire names ignore case.
pub(crate) const PROTOCOL_VERSION_NAME: &str = "MCP-Protocol-Version";
const METHOD_NAME: &str = "Mcp-Method";
const NAME_NAME: &str = "Mcp-Name";

/// All occurrences of one header, reduced to what a reader may conclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderValue<'h> {
    /// The header is not there.
    Absent,
    /// Its value without surrounding whitespace. Repeating a header with the same value changes nothing.
    One(&'h str),
    /// It is there more than once, with different values.
    Conflicting,
    /// A value has bytes outside visible ASCII, space and tab.
    NotText,
}

impl<'h> HeaderValue<'h> {
    /// Reduces the occurrences of a header, in any order.
    pub fn of(values: impl IntoIterator<Item = &'h [u8]>) -> Self {
        let mut reduced = HeaderValue::Absent;
        for value in values {
            let text = match std::str::from_utf8(value) {
                Ok(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) => value::trim(text),
                _ => return HeaderValue::NotText,
            };
            reduced = match reduced {
                HeaderValue::Absent => HeaderValue::One(text),
                HeaderValue::One(seen) if seen == text => reduced,
                _ => HeaderValue::Conflicting,
            };
        }
        reduced
    }
}

/// A header that does not say what the body says; answered with HTTP 400 and −32020 (S-32).
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct Mismatch {
    header: Cow<'static, str>,
    message: String,
}

impl Mismatch {
    /// The header the message is about.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// The error to send.
    pub fn to_error(&self) -> ErrorObject {
        ErrorObject::new(codes::HEADER_MISMATCH, self.message.clone())
    }

    fn new(header: impl Into<Cow<'static, str>>, message: impl FnOnce(&str) -> String) -> Self {
        let header = header.into();
        let message = message(&header);
        Mismatch { header, message }
    }

    pub(crate) fn missing(header: impl Into<Cow<'static, str>>, expected: &str) -> Self {
        Self::new(header, |header| {
            format!(
                "Header `{header}` is missing; the body says `{}`.",
                shown(expected)
            )
        })
    }

    pub(crate) fn different(header: impl Into<Cow<'static, str>>, found: &str, expected: &str) -> Self {
        Self::new(header, |header| {
            format!(
                "Header `{header}` says `{}`, the body says `{}`.",
                shown(found),
                shown(expected)
            )
        })
    }

    pub(crate) fn stray(header: impl Into<Cow<'static, str>>, found: &str) -> Self {
        Self::new(header, |header| {
            format!(
                "Header `{header}` says `{}`, but the body has no such value.",
                shown(found)
            )
        })
    }

    pub(crate) fn ambiguous(header: impl Into<Cow<'static, str>>) -> Self {
        Self::new(header, |header| {
            format!(
                "The argument that header `{header}` repeats can be read in two ways; give each key once."
            )
        })
    }

    pub(crate) fn unsafe_integer(header: impl Into<Cow<'static, str>>, expected: &str) -> Self {
        Self::new(header, |header| {
            format!(
                "Header `{header}` repeats `{}`, which lies outside ±9007199254740991.",
                shown(expected)
            )
        })
    }

    /// For a header whose value could not be read at all.
    pub(crate) fn malformed(header: impl Into<Cow<'static, str>>, found: HeaderValue<'_>) -> Self {
        Self::new(header, |header| match found {
            HeaderValue::Conflicting => format!("Header `{header}` is there more than once."),
            HeaderValue::One(value) => {
                format!(
                    "Header `{header}` says `{}`: {}.",
                    shown(value),
                    value::BadEncoding
                )
            }
            HeaderValue::Absent | HeaderValue::NotText => {
                format!("Header `{header}` has bytes that are not visible ASCII.")
            }
        })
    }

    pub(crate) fn handshake_under(found: &str) -> Self {
        Self::new(PROTOCOL_VERSION_NAME, |header| {
            format!(
                "Header `{header}` says `{}`, which has no `initialize`; leave the header out or send \
                 `server/discover`.",
                shown(found)
            )
        })
    }
}

/// A caller's value for use inside a message: no control characters, at most 100 characters.
pub(crate) fn shown(value: &str) -> String {
    const LONGEST: usize = 100;
    let mut text: String = value
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if value.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}

/// The member of `params` that `Mcp-Name` repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSource {
    /// `params.name`
    Name,
    /// `params.uri`
    Uri,
    /// `params.taskId`
    TaskId,
}

/// What `Mcp-Name` repeats for a method, `None` where it is neither required nor checked (S-31).
pub fn name_source(method: &str) -> Option<NameSource> {
    match method {
        "tools/call" | "prompts/get" => Some(NameSource::Name),
        "resources/read" => Some(NameSource::Uri),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some(NameSource::TaskId),
        _ => None,
    }
}

impl NameSource {
    /// The member's value.
    pub fn read<'a>(self, params: &Params<'a>) -> Result<Option<Cow<'a, str>>, ShapeFault> {
        match self {
            NameSource::Name => params.name(),
            NameSource::Uri => params.uri(),
            NameSource::TaskId => params.task_id(),
        }
    }
}

/// Checks that a header is there and says exactly `expected`, without decoding.
pub fn check_equal(
    header: impl Into<Cow<'static, str>>,
    found: HeaderValue<'_>,
    expected: &str,
) -> Result<(), Mismatch> {
    match found {
        HeaderValue::One(value) if value == expected => Ok(()),
        HeaderValue::One(value) => Err(Mismatch::different(header, value, expected)),
        HeaderValue::Absent => Err(Mismatch::missing(header, expected)),
        HeaderValue::Conflicting | HeaderValue::NotText => Err(Mismatch::malformed(header, found)),
    }
}

/// Gate row 13: `Mcp-Method` repeats the method.
pub fn check_method(found: HeaderValue<'_>, method: &str) -> Result<(), Mismatch> {
    check_equal(METHOD_NAME, found, method)
}

/// Gate row 15: `Mcp-Name`, decoded, repeats its source (S-31). Passes where the method has none, and where the
/// source is absent or no string: the method's own check of its parameters answers that (row 16).
pub fn check_name(found: HeaderValue<'_>, method: &str, params: &Params<'_>) -> Result<(), Mismatch> {
    let Some(Ok(Some(expected))) = name_source(method).map(|source| source.read(params)) else {
        return Ok(());
    };
    check_decoded(NAME_NAME, found, &expected)
}

/// Checks that a header is there and, decoded, says `expected`.
pub(crate) fn check_decoded(
    header: impl Into<Cow<'static, str>>,
    found: HeaderValue<'_>,
    expected: &str,
) -> Result<(), Mismatch> {
    match found {
        HeaderValue::One(value) => match value::decode(value) {
            Ok(text) if text == expected => Ok(()),
            Ok(text) => Err(Mismatch::different(header, &text, expected)),
            Err(value::BadEncoding) => Err(Mismatch::malformed(header, found)),
        },
        HeaderValue::Absent => Err(Mismatch::missing(header, expected)),
        HeaderValue::Conflicting | HeaderValue::NotText => Err(Mismatch::malformed(header, found)),
    }
}

/// A value that cannot be repeated in a header; the request cannot be sent as modern.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HeaderFault {
    /// The parameter has the wrong type.
    #[error(transparent)]
    Shape(#[from] ShapeFault),
    /// `method` or the version has bytes that no encoding covers.
    #[error("{field} `{}` cannot be sent: only visible ASCII is allowed in it.", shown(.value))]
    NotVisible {
        /// Which value.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// The body names no version.
    #[error("`params._meta` names no protocol version.")]
    NoVersion,
}

/// One header to send: lower-case name, safe value.
pub type Header = (Cow<'static, str>, Cow<'static, str>);

/// Values that most requests have; these are not copied.
const COMMON: [&str; 9] = [
    "tools/call",
    "2026-07-28",
    "tools/list",
    "resources/read",
    "prompts/get",
    "server/discover",
    "resources/list",
    "prompts/list",
    "completion/complete",
];

/// The headers of a modern request, from its own body alone (B-12): version, method, and the name where the
/// method has one. `Mcp-Param-*` come from [`crate::param_headers::ParamHeaders::encode`].
pub fn of_request(method: &str, params: &Params<'_>) -> Result<Vec<Header>, HeaderFault> {
    let version = params.meta().protocol_version()?.ok_or(HeaderFault::NoVersion)?;
    with_version(method, params, visible("Protocol version", &version)?)
}

/// The same of a request that names no version itself, in the one that is put into it.
pub fn of_crossed(
    method: &str,
    params: &Params<'_>,
    version: ProtocolVersion,
) -> Result<Vec<Header>, HeaderFault> {
    with_version(method, params, version.as_str().into())
}

fn with_version(
    method: &str,
    params: &Params<'_>,
    version: Cow<'static, str>,
) -> Result<Vec<Header>, HeaderFault> {
    let mut headers: Vec<Header> = Vec::with_capacity(3);
    headers.push((PROTOCOL_VERSION.into(), version));
    headers.push((METHOD.into(), visible("Method", method)?));
    if let Some(name) = name_source(method)
        .map(|source| source.read(params))
        .transpose()?
        .flatten()
    {
        headers.push((NAME.into(), value::encode(&name).into_owned().into()));
    }
    Ok(headers)
}

/// True for a non-empty text of visible ASCII, the only form of a session id that may be sent back (B-14).
pub fn is_visible_ascii(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn visible(field: &'static str, value: &str) -> Result<Cow<'static, str>, HeaderFault> {
    if let Some(common) = COMMON.iter().find(|common| **common == value) {
        Ok(Cow::Borrowed(common))
    } else if is_visible_ascii(value) {
        Ok(Cow::Owned(value.to_owned()))
    } else {
        Err(HeaderFault::NotVisible {
            field,
            value: value.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
