//! A message of the host → the headers it travels with (protocol.md B-11 to B-15).
//!
//! Modern headers come from the message itself and from nothing else, legacy ones from the handshake. Neither kind ever
//! appears on a message of the other era.

use std::borrow::Cow;

use footbridge_protocol::era::{Era, ProtocolVersion};
use footbridge_protocol::headers::{
    Header, HeaderFault, METHOD, NAME, PROTOCOL_VERSION, of_crossed, of_request,
};
use footbridge_protocol::jsonrpc::{Notification, Request};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::exchange::{Kind, Shared};
use crate::legacy::standing;

/// How a request travels.
pub(crate) struct Fate {
    pub(crate) era: Era,
    pub(crate) kind: Kind,
    pub(crate) headers: HeaderMap,
}

/// Decides how `request` travels, or says why no header can carry what it names.
pub(crate) fn prepare(shared: &Shared, request: &Request<'_>) -> Result<Fate, String> {
    let mut headers = HeaderMap::new();
    if request.params.meta().is_modern_claim() {
        add(
            &mut headers,
            of_request(&request.method, &request.params).map_err(|fault| fault.to_string())?,
        )?;
        if request.method == "tools/call" {
            add(&mut headers, shared.tools.of_call(&request.params))?;
        }
        return Ok(Fate {
            era: Era::Modern,
            kind: modern_kind(request),
            headers,
        });
    }
    let kind = if opens_handshake(request) {
        shared.legacy.restart();
        Kind::Initialize
    } else {
        shared.legacy.stamp(&mut headers);
        match standing::holds(&request.method) {
            true => Kind::Standing,
            false => common_kind(&request.method),
        }
    };
    Ok(Fate {
        era: Era::Legacy,
        kind,
        headers,
    })
}

/// How a request of a legacy host travels to a modern server: with the headers its modern form has.
pub(crate) fn as_modern(
    shared: &Shared,
    request: &Request<'_>,
    version: ProtocolVersion,
) -> Result<(Kind, HeaderMap), String> {
    let mut headers = HeaderMap::new();
    let added = of_crossed(&request.method, &request.params, version);
    add(&mut headers, added.map_err(|fault| fault.to_string())?)?;
    if request.method == "tools/call" {
        add(&mut headers, shared.tools.of_call(&request.params))?;
    }
    Ok((modern_kind(request), headers))
}

/// Says whether `request` is the `initialize` of the handshake era. With a modern claim it is an unknown method.
pub(crate) fn opens_handshake(request: &Request<'_>) -> bool {
    request.method == "initialize" && !request.params.meta().is_modern_claim()
}

/// The headers of a notification. No rule asks a modern one for more than its version.
pub(super) fn notification_headers(
    shared: &Shared,
    notification: &Notification<'_>,
) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let meta = notification.params.meta();
    if !meta.is_modern_claim() {
        shared.legacy.stamp(&mut headers);
        return Ok(headers);
    }
    let version = meta
        .protocol_version()
        .map_err(|fault| fault.to_string())?
        .unwrap_or_default();
    let value = HeaderValue::from_str(&version).map_err(|_| {
        HeaderFault::NotVisible {
            field: "Protocol version",
            value: version.into_owned(),
        }
        .to_string()
    })?;
    headers.insert(PROTOCOL_VERSION, value);
    Ok(headers)
}

fn modern_kind(request: &Request<'_>) -> Kind {
    match request.method.as_ref() {
        "tools/list" => Kind::ToolsList {
            first_page: !matches!(request.params.cursor(), Ok(Some(_))),
        },
        "tools/call" => Kind::Call,
        "subscriptions/listen" => Kind::Listen,
        method => common_kind(method),
    }
}

/// What may be sent twice without doing anything twice (B-41).
fn common_kind(method: &str) -> Kind {
    match method {
        "server/discover"
        | "tools/list"
        | "prompts/list"
        | "resources/list"
        | "resources/templates/list"
        | "resources/read"
        | "prompts/get"
        | "completion/complete"
        | "tasks/get" => Kind::Repeatable,
        _ => Kind::Once,
    }
}

fn add(headers: &mut HeaderMap, added: Vec<Header>) -> Result<(), String> {
    for (name, value) in added {
        // Names and values come from the encoder, which leaves nothing that HTTP forbids; this is the second fence.
        let known = match name.as_ref() {
            PROTOCOL_VERSION => Some(const { HeaderName::from_static(PROTOCOL_VERSION) }),
            METHOD => Some(const { HeaderName::from_static(METHOD) }),
            NAME => Some(const { HeaderName::from_static(NAME) }),
            other => HeaderName::from_bytes(other.as_bytes()).ok(),
        };
        let value = match value {
            Cow::Borrowed(value) => Some(HeaderValue::from_static(value)),
            Cow::Owned(value) => HeaderValue::try_from(value).ok(),
        };
        let pair = known.zip(value);
        let (name, value) = pair.ok_or_else(|| format!("The header `{name}` cannot carry its value"))?;
        headers
            .try_insert(name, value)
            .map_err(|_| "The message names too many headers".to_owned())?;
    }
    Ok(())
}
