//! A stream that ended too early → the GET that goes on with it (protocol.md B-45, M-4).
//!
//! Only the handshake era has this, and only streams with ids. A server may also end a stream on purpose after the first
//! id, to be asked again after the pause it named; the two cannot be told apart and need not be.

use footbridge_protocol::headers::SESSION_ID;
use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::events::Events;
use super::{Exchange, Failure, Kind};
use crate::legacy::place::{Place, may_pass};
use crate::log;
use crate::pause::Backoff;

/// Says whether the server has given an id to go on after.
pub(super) fn is_possible(events: &Events) -> bool {
    let mut place = Place::default();
    place.advance(events.decoder());
    place.is_known()
}

/// Goes on after `broken` until the response has come, the server refuses, or the exchange is given up. `headers` are those
/// of the first reply.
pub(super) async fn run(exchange: &Exchange, broken: Events, headers: &HeaderMap) -> Result<(), Failure> {
    let shared = &exchange.shared;
    let mut place = Place::default();
    place.advance(broken.decoder());
    drop(broken);
    let mut more = HeaderMap::new();
    if let (Kind::Initialize, Some(session)) = (exchange.kind, headers.get(SESSION_ID)) {
        more.insert(SESSION_ID, session.clone());
    }
    let mut backoff = Backoff::new();
    let mut pause = place.pause(&mut backoff);
    loop {
        tokio::time::sleep(pause).await;
        if exchange.is_cancelled() {
            return Err(Failure::Settled);
        }
        pause = match place.get(shared, more.clone()).await {
            Ok(reply) if reply.status == StatusCode::OK && reply.is_type("text/event-stream") => {
                let mut events = Events::new(reply.body, shared.message_bytes);
                if exchange.follow(&mut events, headers, None).await?.is_none() {
                    events.linger();
                    return Ok(());
                }
                if events.count() > 0 {
                    backoff = Backoff::new();
                }
                place.advance(events.decoder());
                place.pause(&mut backoff)
            }
            Ok(reply) if may_pass(reply.status) => {
                log::debug(format_args!("resuming a stream: {}", reply.status));
                reply.body.linger();
                place.pause_after_failure(&mut backoff)
            }
            Ok(reply) => {
                let status = reply.status.as_u16();
                reply.body.linger();
                return Err(exchange.lost(&format!(
                    "The server's stream broke before the response came, and the server does not resume it ({status})"
                )));
            }
            Err(error) if error.is_passing() => {
                log::debug(format_args!("resuming a stream: {}", error.message()));
                place.pause_after_failure(&mut backoff)
            }
            Err(error) => {
                return Err(exchange.lost(&format!(
                    "The server's stream broke before the response came and cannot be resumed: {}",
                    error.message().trim_end_matches('.')
                )));
            }
        };
    }
}
