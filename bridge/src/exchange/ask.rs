//! A request of the bridge itself: sent, its response read, nothing of it written to the host.

use bytes::Bytes;
use footbridge_protocol::jsonrpc::{Message, OwnedId, Rules, decode};
use hyper::Method;
use hyper::header::{CONTENT_ENCODING, HeaderMap};

use super::Shared;
use super::events::{Events, EventsError};
use crate::error::BridgeError;
use crate::upstream::{BodyError, TransportError};

/// POSTs `body`, a request under `id`, and returns the response with the headers it came with. Messages before the
/// response are dropped.
pub(crate) async fn ask(
    shared: &Shared,
    headers: &HeaderMap,
    body: &Bytes,
    id: &OwnedId,
) -> Result<(HeaderMap, Vec<u8>), BridgeError> {
    let mut reply = shared.upstream.send(&Method::POST, headers, body).await?;
    let place = shared.upstream.place();
    if !reply.status.is_success() {
        let error = BridgeError::http_status(
            reply.status,
            format!("`{place}` answered {}", reply.status.as_u16()),
        );
        reply.body.linger();
        return Err(error);
    }
    let lost = |error: &TransportError| shared.upstream.lost(error);
    let too_large = || BridgeError::reply_too_large(shared.message_bytes);
    let without_answer = || BridgeError::protocol(format!("`{place}` sent no answer to the request"));
    if reply.headers.contains_key(CONTENT_ENCODING) {
        return Err(without_answer());
    }
    if reply.is_type("text/event-stream") {
        let mut events = Events::new(reply.body, shared.message_bytes);
        loop {
            let event = events.next().await.map_err(|error| match error {
                EventsError::Lost(error) => lost(&error),
                EventsError::TooLarge(_) => too_large(),
            })?;
            let data = event.ok_or_else(without_answer)?.data;
            if answers(&data, id) {
                events.linger();
                return Ok((reply.headers, data));
            }
        }
    }
    let whole = reply
        .body
        .whole(shared.message_bytes)
        .await
        .map_err(|error| match error {
            BodyError::Lost(error) => lost(&error),
            BodyError::TooLarge => too_large(),
        })?;
    if answers(&whole, id) {
        Ok((reply.headers, whole))
    } else {
        Err(without_answer())
    }
}

fn answers(message: &[u8], id: &OwnedId) -> bool {
    matches!(
        decode(message, &Rules::BRIDGE),
        Ok(Message::Response(response)) if response.id.is_some_and(|found| *id == found)
    )
}
