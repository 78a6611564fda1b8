//! The GET stream: what a handshake-era server says without being asked (protocol.md B-44).
//!
//! Opened after `initialized`, read for as long as the process lives, reopened with growing pauses. A server without such a
//! stream answers 405, which is normal and not worth a word.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::sse::Decoder;
use hyper::header::{ACCEPT, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use crate::error::BridgeError;
use crate::exchange::Shared;
use crate::log;
use crate::pause::{Backoff, jittered};
use crate::relay::{self, Verdict};
use crate::stdio::{HostGone, Line};
use crate::upstream::Reply;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Longest pause a server may ask for with `retry` (B-45).
const RETRY_MOST: Duration = Duration::from_secs(60);

/// Opens the stream and keeps it open in the background, in the place of any earlier one.
pub(crate) fn open(shared: &Arc<Shared>) {
    let task = tokio::spawn(keep_open(Arc::clone(shared)));
    shared.legacy.set_stream(task.abort_handle());
}

async fn keep_open(shared: Arc<Shared>) {
    let mut last_event_id: Option<HeaderValue> = None;
    let mut backoff = Backoff::new();
    loop {
        let mut pause = None;
        match get(&shared, last_event_id.as_ref()).await {
            Ok(reply) if reply.status == StatusCode::OK && reply.is_type("text/event-stream") => {
                shared.legacy.set_stream_open(true);
                let mut decoder = Decoder::new(shared.message_bytes);
                let events = read(&shared, reply, &mut decoder).await;
                shared.legacy.set_stream_open(false);
                if events > 0 {
                    backoff = Backoff::new();
                }
                if let Some(id) = decoder.last_event_id() {
                    last_event_id = HeaderValue::from_str(id).ok();
                }
                pause = decoder
                    .retry_ms()
                    .map(|ms| Duration::from_millis(ms).min(RETRY_MOST));
            }
            Ok(reply) if reply.status.is_server_error() => {
                log::debug(format_args!("the server's own stream: {}", reply.status));
            }
            Ok(reply) => {
                if reply.status != StatusCode::METHOD_NOT_ALLOWED {
                    log::info(format_args!(
                        "the server has no stream of its own: {}",
                        reply.status
                    ));
                }
                reply.body.linger();
                return;
            }
            Err(error) => log::debug(format_args!("the server's own stream: {}", error.message())),
        }
        tokio::time::sleep(pause.map_or_else(|| backoff.next(), jittered)).await;
    }
}

async fn get(shared: &Shared, last_event_id: Option<&HeaderValue>) -> Result<Reply, BridgeError> {
    let mut headers = shared.upstream.plain_headers();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    shared.legacy.stamp(&mut headers);
    if let Some(id) = last_event_id {
        headers.insert(LAST_EVENT_ID, id.clone());
    }
    shared
        .upstream
        .send(&Method::GET, &headers, &Bytes::new(), || ())
        .await
}

/// Passes messages on until the stream ends; returns how many came.
async fn read(shared: &Shared, mut reply: Reply, decoder: &mut Decoder) -> u64 {
    let mut events = 0;
    loop {
        let chunk = match reply.body.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return events,
            Err(error) => {
                log::debug(format_args!("the server's own stream broke: {error}"));
                return events;
            }
        };
        let mut rest: &[u8] = &chunk;
        loop {
            match decoder.next_event(&mut rest) {
                Ok(Some(event)) => {
                    events += 1;
                    if pass(shared, event.data).await.is_err() {
                        return events;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    log::warn(format_args!("the server's own stream: {error}"));
                    return events;
                }
            }
        }
    }
}

async fn pass(shared: &Shared, data: Vec<u8>) -> Result<(), HostGone> {
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
