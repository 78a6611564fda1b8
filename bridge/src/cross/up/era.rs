//! The server's era, read off its reply to a modern request (protocol.md §3.6).
//!
//! A host's `server/discover` is its own probe and costs nothing. Any other request proves the modern era by its result; if
//! the first one is refused, a probe of the bridge's own finds out whether that was for the era.

use std::sync::Arc;

use bytes::Bytes;
use footbridge_protocol::era::ProtocolVersion;
use footbridge_protocol::headers::{METHOD, PROTOCOL_VERSION};
use footbridge_protocol::jsonrpc::{
    ErrorView, Message, OwnedId, Request, ResponseBody, Rules, decode, write_request,
};
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use serde_json::value::RawValue;

use super::replies::Replies;
use super::request::Asked;
use crate::cross::object::Object;
use crate::exchange::Shared;
use crate::log;
use crate::probe::{Conclusion, Discovered, Known, conclude};

/// Codes that only software of the handshake era gives a meaning of its own, a missing session first of all (S-51).
pub(super) const LEGACY_CODES: std::ops::RangeInclusive<i64> = -32009..=-32000;
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
        None if refuses_for_another_reason(status) => false,
        None => match probe(shared, &request).await {
            Some((status, reply)) => settle(shared, &request, status, &reply).await,
            None => false,
        },
    }
}

/// Says whether a refusal looks as if it came from a server of the handshake era: one without a session to look for, or
/// that does not speak JSON-RPC where a modern server would.
pub(crate) fn contradicts(status: StatusCode, reply: &[u8]) -> bool {
    if !status.is_client_error() || refuses_for_another_reason(status) {
        return false;
    }
    match decode(reply, &Rules::BRIDGE) {
        Ok(Message::Response(response)) => match response.body {
            ResponseBody::Error(error) => {
                ErrorView::read(error).is_none_or(|error| LEGACY_CODES.contains(&error.code))
            }
            ResponseBody::Result(_) => true,
        },
        _ => true,
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
    let id = OwnedId::from_string("footbridge-probe");
    write_request(&mut body, id.as_id(), DISCOVER, Some(params.as_bytes()));
    let mut headers = shared.upstream.post_headers();
    let version = request.params.meta().protocol_version().ok()??;
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_str(&version).ok()?);
    headers.insert(METHOD, HeaderValue::from_static(DISCOVER));
    let mut reply = shared
        .upstream
        .send(&Method::POST, &headers, &Bytes::from(body), || ())
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

/// Says whether a refusal has nothing to do with the era.
fn refuses_for_another_reason(status: StatusCode) -> bool {
    status.is_server_error()
        || status.is_redirection()
        || matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b51_only_a_refusal_in_the_older_eras_manner_raises_doubt() {
        let error =
            |code: i64| format!(r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{code},"message":"m"}}}}"#);
        for (status, reply, doubt) in [
            (400, error(-32000), true),
            (404, error(-32001), true),
            (400, "No session".to_owned(), true),
            (405, String::new(), true),
            (400, error(-32602), false),
            (404, error(-32601), false),
            (400, error(-32020), false),
            (403, error(-32000), false),
            (429, String::new(), false),
            (502, String::new(), false),
            (200, error(-32000), false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(contradicts(status, reply.as_bytes()), doubt, "{status} {reply}");
        }
    }
}
