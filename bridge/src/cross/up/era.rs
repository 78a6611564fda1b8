//! The server's era, read off its reply to a modern request (protocol.md §3.6).
//!
//! A host's `server/discover` is its own probe and costs nothing. Any other request proves the modern era by its result; if
//! the first one is refused, a probe of the bridge's own finds out whether that was for the era.

use std::sync::Arc;

use bytes::Bytes;
use footbridge_protocol::codes;
use footbridge_protocol::era::ProtocolVersion;
use footbridge_protocol::headers::{METHOD, PROTOCOL_VERSION};
use footbridge_protocol::jsonrpc::{Message, OwnedId, Request, ResponseBody, Rules, decode, write_request};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::value::RawValue;

use super::replies::Replies;
use super::request::Asked;
use crate::cross::object::Object;
use crate::exchange::Shared;
use crate::log;
use crate::probe::{Conclusion, Discovered, Known, code_of, conclude, contradicts_modern};

const DISCOVER: &str = "server/discover";

/// Says whether the reply to the modern request `line` comes from a server that speaks the handshake era only, and has
/// therefore not acted on it. What is found out is remembered.
pub(crate) async fn shows_legacy(
    shared: &Arc<Shared>,
    line: &[u8],
    status: StatusCode,
    reply: &[u8],
) -> bool {
    let Ok(Message::Request(request)) = decode(line, &Rules::BRIDGE) else {
        return false;
    };
    if request.method == DISCOVER {
        return settle(shared, &request, status, reply).await;
    }
    match result_of(reply).filter(|_| status.is_success()) {
        Some(result) => {
            // A result without a type was made by a server that has not understood, yet has answered: it passes as it is.
            if Object::read(result.get()).is_some_and(|result| result.get("resultType").is_some()) {
                shared.probe.learn(modern(None));
            }
            false
        }
        None => match code_of(reply) {
            // The era's own codes need no further proof.
            Some(
                codes::HEADER_MISMATCH
                | codes::MISSING_CLIENT_CAPABILITY
                | codes::UNSUPPORTED_PROTOCOL_VERSION,
            ) => {
                let legacy = conclude(status, reply) == Conclusion::Legacy;
                shared
                    .probe
                    .learn(if legacy { Known::Legacy } else { modern(None) });
                legacy
            }
            code if status.is_success() || contradicts_modern(status, code) => {
                match probe(shared, &request).await {
                    Some((status, reply)) if conclude(status, &reply) != Conclusion::Nothing => {
                        settle(shared, &request, status, &reply).await
                    }
                    // It went away before it could be asked, as in a restart. What it said is enough to try the handshake, which
                    // succeeds or says what is wrong; a refusal for want of a session would tell this host nothing.
                    _ => shared.up.is_some() && contradicts_modern(status, code),
                }
            }
            _ => false,
        },
    }
}

/// Reads the reply to a `server/discover`.
async fn settle(shared: &Arc<Shared>, request: &Request<'_>, status: StatusCode, reply: &[u8]) -> bool {
    match conclude(status, reply) {
        Conclusion::Modern(_) => {
            shared.probe.learn(modern(result_of(reply)));
            false
        }
        Conclusion::Legacy => {
            log::info(format_args!("the server speaks revisions with a handshake only"));
            shared.probe.learn(Known::Legacy);
            true
        }
        Conclusion::Undecided => {
            let opens = opens_session(shared, request).await;
            if opens {
                shared.probe.learn(Known::Legacy);
            }
            opens
        }
        Conclusion::Repeat | Conclusion::Foreign | Conclusion::Nothing => false,
    }
}

/// Tries the handshake, if there is a use for a session. Without one the server's own error tells a host of both eras enough.
async fn opens_session(shared: &Arc<Shared>, request: &Request<'_>) -> bool {
    let (Some(up), Ok(asked)) = (&shared.up, Asked::read(request)) else {
        return false;
    };
    match up.slot(&asked.declared) {
        Ok(slot) => slot.session(shared, asked.client_info.as_deref()).await.is_ok(),
        Err(_) => false,
    }
}

/// Asks for the era with the metadata of `request`.
async fn probe(shared: &Arc<Shared>, request: &Request<'_>) -> Option<(StatusCode, Vec<u8>)> {
    let meta = request.params.raw_meta()?;
    let params = format!(r#"{{"_meta":{meta}}}"#);
    let mut body = Vec::with_capacity(params.len() + 96);
    let id = OwnedId::from_string("probe");
    write_request(&mut body, id.as_id(), DISCOVER, Some(params.as_bytes()));
    let mut headers = HeaderMap::new();
    let version = request.params.meta().protocol_version().ok()??;
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_str(&version).ok()?);
    headers.insert(METHOD, HeaderValue::from_static(DISCOVER));
    let mut reply = shared
        .upstream
        .send(&Method::POST, &headers, &Bytes::from(body))
        .await
        .ok()?;
    let status = reply.status;
    let body = if reply.is_type("text/event-stream") {
        let mut replies = Replies::open(shared, reply).await.ok()?;
        replies.next(shared, None).await.ok()??
    } else {
        reply.body.whole(shared.message_bytes).await.ok()?
    };
    Some((status, body))
}

fn result_of(reply: &[u8]) -> Option<&RawValue> {
    match decode(reply, &Rules::BRIDGE) {
        Ok(Message::Response(response)) => match response.body {
            ResponseBody::Result(result) => Some(result),
            ResponseBody::Error(_) => None,
        },
        _ => None,
    }
}

fn modern(result: Option<&RawValue>) -> Known {
    Known::Modern(Arc::new(Discovered {
        version: ProtocolVersion::V2026_07_28,
        result: result.map(RawValue::to_owned),
    }))
}
