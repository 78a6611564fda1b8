//! A call refused for its headers → headers made from a fresh listing (protocol.md B-34, M-10).
//!
//! A mismatch is refused before anything is executed, so asking for the list and sending the call again does nothing twice.

use std::collections::HashMap;

use bytes::Bytes;
use footbridge_protocol::jsonrpc::{
    Keys, Message, OwnedId, ResponseBody, Rules, decode, write_request, write_string,
};
use hyper::header::HeaderMap;
use serde_json::value::RawValue;

use super::ask::ask;
use super::{Exchange, Shared};
use crate::error::BridgeError;
use crate::forward::message;
use crate::log;

/// Pages of a listing that are asked for. More than any catalogue has; a bound against one that never ends.
const PAGES: usize = 100;
/// The id of the listing. No other request is in the same HTTP exchange, so it cannot be mistaken.
const LISTING_ID: &str = "listing";

/// The headers of the call as the server's tools are now, or `None` if that cannot be found out.
pub(super) async fn headers(exchange: &Exchange) -> Option<HeaderMap> {
    let Ok(Message::Request(call)) = decode(&exchange.body, &Rules::BRIDGE) else {
        return None;
    };
    let meta = call.params.raw_meta().map(RawValue::get);
    log::info(format_args!(
        "the server found other headers than it expects, asking for its tools"
    ));
    if let Err(error) = list(&exchange.shared, meta).await {
        log::info(format_args!("its tools cannot be listed: {}", error.message()));
        return None;
    }
    Some(message::prepare(&exchange.shared, &call).ok()?.headers)
}

/// Asks for every page of the listing, for what is learnt from it.
async fn list(shared: &Shared, meta: Option<&str>) -> Result<(), BridgeError> {
    let id = OwnedId::from_string(LISTING_ID);
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let body = Bytes::from(page_request(&id, meta, cursor.as_deref()));
        let headers = match decode(&body, &Rules::BRIDGE) {
            Ok(Message::Request(request)) => message::prepare(shared, &request),
            _ => return Err(BridgeError::protocol("The call's `_meta` cannot be repeated")),
        };
        let headers = headers.map_err(BridgeError::protocol)?.headers;
        let (_, response) = ask(shared, &headers, &body, &id).await?;
        let next = next_cursor(&response)?;
        shared.tools.learn(response, cursor.is_none(), Keys::UNKNOWN);
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(())
}

fn page_request(id: &OwnedId, meta: Option<&str>, cursor: Option<&str>) -> Vec<u8> {
    let mut params = b"{".to_vec();
    if let Some(cursor) = cursor {
        params.extend_from_slice(br#""cursor":"#);
        write_string(&mut params, cursor);
        params.push(b',');
    }
    params.extend_from_slice(br#""_meta":"#);
    params.extend_from_slice(meta.unwrap_or("{}").as_bytes());
    params.push(b'}');
    let mut body = Vec::with_capacity(params.len() + 80);
    write_request(&mut body, id.as_id(), "tools/list", Some(&params));
    body
}

/// Where the next page begins. An error for a listing is an error here.
fn next_cursor(response: &[u8]) -> Result<Option<String>, BridgeError> {
    let result = match decode(response, &Rules::BRIDGE) {
        Ok(Message::Response(response)) => match response.body {
            ResponseBody::Result(result) => result,
            ResponseBody::Error(_) => return Err(BridgeError::protocol("The server refused to list them")),
        },
        _ => return Err(BridgeError::protocol("The server's listing cannot be read")),
    };
    let members: HashMap<String, &RawValue> = serde_json::from_str(result.get()).unwrap_or_default();
    Ok(members
        .get("nextCursor")
        .and_then(|cursor| serde_json::from_str(cursor.get()).ok()))
}
