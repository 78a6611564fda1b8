//! The transport of the first revision (2024-11-05): one stream for everything the server says, and an address it names
//! for everything said to it.
//!
//! Found when a server refuses the POST of `initialize` as an unknown method or path would be: then its address may be that
//! of such a stream. The first event names where to POST; every POST is merely accepted, and its response comes on the
//! stream, like the late responses of M-5. When the stream ends, so do the requests in flight, and the next message
//! opens a new one and replays the handshake.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::jsonrpc::OwnedId;
use footbridge_protocol::sse::Decoder;
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode, Uri};

use super::place::Place;
use super::stream;
use crate::error::{BridgeError, quote};
use crate::exchange::Shared;
use crate::exchange::events::{Events, EventsError};
use crate::log;

/// The type of the event that names the address.
const ENDPOINT: &str = "endpoint";
/// Longest wait for that event.
const LIMIT: Duration = Duration::from_secs(15);

/// Opens the stream and learns where to POST.
pub(crate) async fn open(shared: &Arc<Shared>) -> Result<(), BridgeError> {
    let (events, target) = match tokio::time::timeout(LIMIT, begin(shared)).await {
        Ok(begun) => begun?,
        Err(_) => return Err(no_stream(shared, "named no address in time")),
    };
    log::info(format_args!(
        "the server uses the transport of 2024-11-05, messages go to {}",
        quote(target.path().as_bytes(), 100)
    ));
    shared.legacy.state().post_target = Some(target);
    let reading = tokio::spawn(read(Arc::clone(shared), events));
    shared.legacy.set_stream(reading.abort_handle());
    shared.legacy.set_stream_open(true);
    Ok(())
}

/// Sends a request of the bridge itself on the open stream and waits for its response.
pub(super) async fn ask(shared: &Shared, body: &Bytes, id: &OwnedId) -> Result<Vec<u8>, BridgeError> {
    let late = shared.legacy.expect(id);
    let target = shared.legacy.post_target();
    let headers = HeaderMap::new();
    let reply = shared
        .upstream
        .send_to(target.as_ref(), &Method::POST, &headers, body, None)
        .await?;
    let status = reply.status;
    reply.body.linger();
    let Some(late) = late.filter(|_| status.is_success()) else {
        return Err(no_stream(shared, &format!("answered {}", status.as_u16())));
    };
    late.response().await.ok_or_else(|| no_stream(shared, "ended"))
}

async fn begin(shared: &Shared) -> Result<(Events, Uri), BridgeError> {
    let reply = Place::default().get(shared, HeaderMap::new()).await?;
    if reply.status != StatusCode::OK || !reply.is_type("text/event-stream") {
        let status = reply.status.as_u16();
        reply.body.linger();
        return Err(no_stream(shared, &format!("was answered with {status}")));
    }
    let decoder = Decoder::new(shared.message_bytes).with_type(ENDPOINT);
    let mut events = Events::with(reply.body, decoder);
    loop {
        let event = match events.next().await {
            Ok(Some(event)) => event,
            Ok(None) => return Err(no_stream(shared, "ended before it named an address")),
            Err(error) => return Err(no_stream(shared, &describe(&error))),
        };
        if !event.named {
            continue;
        }
        let reference = String::from_utf8_lossy(&event.data);
        return match shared.upstream.resolve(reference.trim()) {
            Some(target) => Ok((events, target)),
            // Neither key nor messages go anywhere but to the server that was configured.
            None => Err(BridgeError::protocol(format!(
                "`{}` wants its messages at another address, which is not followed so that neither key nor message reach \
                 it. Its operator has to correct that",
                shared.upstream.place()
            ))),
        };
    }
}

/// Passes messages on until the stream ends. What is in flight then has no way back.
async fn read(shared: Arc<Shared>, mut events: Events) {
    loop {
        let event = match events.next().await {
            Ok(Some(event)) if event.named => continue,
            Ok(Some(event)) => event,
            Ok(None) => {
                log::info(format_args!("the server's stream ended"));
                break;
            }
            Err(error) => {
                log::info(format_args!("the server's stream {}", describe(&error)));
                break;
            }
        };
        if stream::pass(&shared, event.data).await.is_err() {
            break;
        }
    }
    let mut state = shared.legacy.state();
    state.stream_open = false;
    state.asked.clear();
    state.expected.clear();
}

fn describe(error: &EventsError) -> String {
    match error {
        EventsError::Lost(cause) => format!("broke: {cause}"),
        EventsError::TooLarge(cause) => format!("cannot be read: {cause}"),
    }
}

fn no_stream(shared: &Shared, what: &str) -> BridgeError {
    BridgeError::no_connection(format!(
        "The stream of `{}` {what}. Try again, or check the server address",
        shared.upstream.place()
    ))
}
