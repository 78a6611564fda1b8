//! Opening a session: `initialize` and `initialized`, as a host of the older era would (protocol.md X-01, B-35).

use std::sync::Arc;

use bytes::Bytes;
use footbridge_protocol::era::{Era, OLDEST_TOLERATED, ProtocolVersion};
use footbridge_protocol::headers::{SESSION_ID, is_visible_ascii};
use footbridge_protocol::jsonrpc::{OwnedId, write_notification, write_request};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::Value;
use serde_json::value::RawValue;

use super::replies::Replies;
use super::session::{Facts, Session};
use super::{Failure, own};
use crate::brand;
use crate::cross::object::Object;
use crate::error::{BridgeError, quote};
use crate::exchange::Shared;
use crate::log;
use crate::options::URL_VARIABLE;

/// The handshake: `initialize`, then `initialized`.
pub(super) async fn open(
    shared: &Arc<Shared>,
    declared: &Value,
    client_info: Option<&str>,
) -> Result<Arc<Session>, Failure> {
    let id = OwnedId::from_integer(0);
    let own_info = format!(
        r#"{{"name":"{}","version":"{}"}}"#,
        brand::NAME,
        env!("CARGO_PKG_VERSION")
    );
    let client_info = client_info
        .filter(|info| Object::read(info).is_some())
        .unwrap_or(&own_info);
    let params = format!(
        r#"{{"protocolVersion":"{}","capabilities":{declared},"clientInfo":{client_info}}}"#,
        ProtocolVersion::NEWEST_LEGACY
    );
    let mut body = Vec::with_capacity(params.len() + 64);
    write_request(&mut body, id.as_id(), "initialize", Some(params.as_bytes()));
    let headers = HeaderMap::new();
    let reply = shared
        .upstream
        .send(&Method::POST, &headers, &Bytes::from(body))
        .await?;
    if refuses_as_old_transport(reply.status) {
        reply.body.linger();
        return Err(old_transport(shared, reply.status).into());
    }
    let session_id = session_id(&reply.headers);
    let mut replies = Replies::open(shared, reply).await?;
    let result = own::response(shared, None, &mut replies, &id).await?;
    let session = Arc::new(read(&result, declared, session_id)?);

    let mut initialized = Vec::new();
    write_notification(&mut initialized, "notifications/initialized", None);
    let headers = session.headers();
    if !own::tell(
        shared,
        &headers,
        &Bytes::from(initialized),
        "the end of a handshake",
    )
    .await
    {
        return Err(BridgeError::no_connection(format!(
            "`{}` began a session and then refused it. Its operator has to correct that",
            shared.upstream.place()
        ))
        .into());
    }
    log::info(format_args!("opened a session with the server"));
    Ok(session)
}

/// Says whether a server refuses `initialize` as one does that knows the transport of 2024-11-05 alone: its address is that
/// of a stream, and a POST there is an unknown method.
fn refuses_as_old_transport(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
}

/// What the host reads then. That transport keeps one stream for everything, which the sessions of this crossing cannot share;
/// a client's own handshake is carried over it.
fn old_transport(shared: &Shared, status: StatusCode) -> BridgeError {
    BridgeError::no_translation(
        false,
        format!(
            "`{}` answered {} to a handshake. If it is a server of revision 2024-11-05 with a stream of its own, nothing is \
             translated for it: use `initialize`, which works there. Else check {URL_VARIABLE}",
            shared.upstream.place(),
            status.as_u16()
        ),
    )
    .with_status(status)
}

/// The session that the result of `initialize` describes.
fn read(result: &RawValue, declared: &Value, id: Option<HeaderValue>) -> Result<Session, Failure> {
    let members = Object::read(result.get()).unwrap_or_default();
    let version = members.text("protocolVersion").unwrap_or_default();
    let spoken = version == OLDEST_TOLERATED
        || ProtocolVersion::parse(&version).is_some_and(|revision| revision.era() == Era::Legacy);
    let header = HeaderValue::from_str(&version).ok().filter(|_| spoken);
    let Some(header) = header else {
        return Err(BridgeError::protocol(format!(
            "The server answered the handshake with protocol version `{}`, which the bridge does not speak",
            quote(version.as_bytes(), 64)
        ))
        .into());
    };
    let facts = Facts {
        capabilities: members.object("capabilities").to_text(),
        server_info: members.get("serverInfo").map(str::to_owned),
        instructions: members
            .get("instructions")
            .filter(|text| text.starts_with('"'))
            .map(str::to_owned),
    };
    Ok(Session::new(facts, declared.clone(), header, id))
}

fn session_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(SESSION_ID)?;
    if !id.to_str().is_ok_and(is_visible_ascii) {
        log::warn(format_args!(
            "the server's session id is not visible ASCII and is not used"
        ));
        return None;
    }
    let mut id = id.clone();
    id.set_sensitive(true);
    Some(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_versions_of_the_older_era_are_spoken() {
        let result = |version: &str| {
            let result = json!({ "protocolVersion": version, "capabilities": {} });
            read(
                &serde_json::value::to_raw_value(&result).unwrap(),
                &json!({}),
                None,
            )
        };
        for version in ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] {
            assert!(result(version).is_ok(), "{version}");
        }
        for version in ["2026-07-28", "", "x\r\ny", "2027-01-01"] {
            assert!(result(version).is_err(), "{version:?}");
        }
    }

    #[test]
    fn a_session_id_that_cannot_be_a_header_is_not_used() {
        let of = |id: &'static [u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(SESSION_ID, HeaderValue::from_bytes(id).unwrap());
            session_id(&headers)
        };
        assert_eq!(of(b"s-1").unwrap(), "s-1");
        assert!(of(b"s 1\xff").is_none() && session_id(&HeaderMap::new()).is_none());
    }
}
