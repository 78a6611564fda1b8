//! The GET stream: what a handshake-era server says without being asked (protocol.md B-44).
//!
//! Opened after `initialized`, read for as long as the process lives, reopened with growing pauses. A server without such a
//! stream answers 405, which is normal and not worth a word.

use std::sync::Arc;

use footbridge_protocol::headers::SESSION_ID;
use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::place::{Place, may_pass};
use super::recover::{self, Lost};
use crate::exchange::Shared;
use crate::exchange::events::{Events, EventsError};
use crate::log;
use crate::pause::Backoff;
use crate::relay::{self, Verdict};
use crate::stdio::{HostGone, Line};

/// Opens the stream and keeps it open in the background, in the place of any earlier one.
pub(crate) fn open(shared: &Arc<Shared>) {
    // On the transport of the first revision there is one already.
    if shared.legacy.post_target().is_some() {
        return;
    }
    let task = tokio::spawn(keep_open(Arc::clone(shared)));
    shared.legacy.set_stream(task.abort_handle());
}

async fn keep_open(shared: Arc<Shared>) {
    let mut place = Place::default();
    let mut backoff = Backoff::new();
    let mut was_open = false;
    loop {
        let mut sent = HeaderMap::new();
        shared.legacy.stamp(&mut sent);
        let watch = shared.buffering.watch();
        let got = place.get(&shared, HeaderMap::new()).await;
        drop(watch);
        let pause = match got {
            Ok(reply) if reply.status == StatusCode::OK && reply.is_type("text/event-stream") => {
                was_open = true;
                shared.legacy.set_stream_open(true);
                let mut events = Events::new(reply.body, shared.message_bytes);
                read(&shared, &mut events).await;
                shared.legacy.set_stream_open(false);
                if events.count() > 0 {
                    backoff = Backoff::new();
                }
                place.advance(events.decoder());
                place.pause(&mut backoff)
            }
            Ok(reply) if may_pass(reply.status) => {
                log::debug(format_args!("the server's own stream: {}", reply.status));
                place.pause_after_failure(&mut backoff)
            }
            Ok(reply) => {
                let status = reply.status;
                reply.body.linger();
                if status == StatusCode::BAD_REQUEST && place.is_known() {
                    log::info(format_args!(
                        "the server does not go on with its own stream, asking for a new one"
                    ));
                    place.forget();
                    continue;
                }
                // A server that has never had such a stream may answer 404 as well; then the session is none the worse.
                if let (StatusCode::NOT_FOUND, true, Some(session)) =
                    (status, was_open, sent.remove(SESSION_ID))
                {
                    // It opens the stream again, in the place of this one.
                    let _ = recover::renew(&shared, Lost::Session(session)).await;
                } else if status != StatusCode::METHOD_NOT_ALLOWED {
                    log::info(format_args!("the server has no stream of its own: {status}"));
                }
                return;
            }
            Err(error) => {
                log::debug(format_args!("the server's own stream: {}", error.message()));
                place.pause_after_failure(&mut backoff)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Passes messages on until the stream ends.
async fn read(shared: &Shared, events: &mut Events) {
    loop {
        match events.next().await {
            Ok(Some(event)) => {
                if pass(shared, event.data).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(EventsError::Lost(error)) => {
                log::debug(format_args!("the server's own stream broke: {error}"));
                return;
            }
            Err(EventsError::TooLarge(error)) => {
                log::warn(format_args!("the server's own stream: {error}"));
                return;
            }
        }
    }
}

/// Passes one message of the stream on.
pub(super) async fn pass(shared: &Shared, data: Vec<u8>) -> Result<(), HostGone> {
    match relay::judge(&data, None, shared) {
        Ok(Verdict::Pass) => shared.output.send(Line::new(data)).await,
        Ok(Verdict::Answer) => Ok(()),
        Ok(Verdict::Other(Some(id))) => {
            if !shared.legacy.deliver(&id, data) {
                log::debug(format_args!(
                    "a response nobody waits for came on the server's own stream"
                ));
            }
            Ok(())
        }
        Ok(Verdict::Other(None) | Verdict::Drop) => Ok(()),
        Ok(Verdict::Several(parts)) => {
            for part in parts {
                Box::pin(pass(shared, part)).await?;
            }
            Ok(())
        }
        Err(error) => {
            log::warn(format_args!(
                "the server's own stream carried something that is no message: {error}"
            ));
            Ok(())
        }
    }
}
