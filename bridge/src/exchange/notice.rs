//! Messages that get no response: notifications, and the host's answers to requests of the server (M-12 to M-14).
//!
//! What goes wrong is for stderr. A notification the server refused because it has forgotten the session is sent once more
//! in a new one; an answer is not, since the new session has not asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::headers::{PROTOCOL_VERSION, SESSION_ID};
use footbridge_protocol::jsonrpc::{OwnedId, write_notification};
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};

use super::Shared;
use crate::legacy::recover::{self, Lost};
use crate::log;

/// Longest wait for a message to be accepted. Later ones wait for it (B6), so it is shorter than a call's.
const NOTICE_LIMIT: Duration = Duration::from_secs(30);

/// Why a message was not accepted.
enum Refused {
    /// The session it names is gone.
    Session(Lost),
    /// Anything else, in words.
    Other(String),
}

/// POSTs a notification. Returns whether the server accepted it.
pub(crate) async fn deliver(shared: &Arc<Shared>, headers: &HeaderMap, body: &Bytes, what: &str) -> bool {
    let mut outcome = if is_legacy(shared, headers) && shared.legacy.needs_stream() {
        Err(Refused::Session(Lost::Stream))
    } else {
        post(shared, headers, body).await
    };
    if let Err(Refused::Session(lost)) = outcome {
        outcome = match recover::renew(shared, lost).await {
            Ok(()) => {
                let mut headers = headers.clone();
                shared.legacy.stamp_anew(&mut headers);
                post(shared, &headers, body).await
            }
            Err(error) => Err(Refused::Other(error.message().to_owned())),
        };
    }
    report(outcome, what)
}

/// POSTs the host's answer to a request of the server. If the session is gone, so is whoever asked: a new one is opened for
/// what comes next.
pub(crate) async fn answer_server(shared: &Arc<Shared>, headers: &HeaderMap, body: &Bytes) {
    let outcome = post(shared, headers, body).await;
    if let Err(Refused::Session(lost)) = &outcome
        && let Err(error) = recover::renew(shared, lost.clone()).await
    {
        log::warn(format_args!("{}", error.message()));
    }
    report(outcome, "an answer of the host");
}

/// Tells a legacy server that nobody waits for the answer to `id` any more.
pub(crate) async fn cancel_upstream(shared: Arc<Shared>, id: OwnedId) {
    if shared.legacy.needs_stream() {
        return;
    }
    let params = format!(
        r#"{{"requestId":{},"reason":"The bridge gave up waiting"}}"#,
        id.as_raw()
    );
    let mut body = Vec::with_capacity(160);
    write_notification(&mut body, "notifications/cancelled", Some(params.as_bytes()));
    let mut headers = HeaderMap::new();
    shared.legacy.stamp(&mut headers);
    report(
        post(&shared, &headers, &Bytes::from(body)).await,
        "a cancellation",
    );
}

async fn post(shared: &Shared, headers: &HeaderMap, body: &Bytes) -> Result<(), Refused> {
    let target = is_legacy(shared, headers)
        .then(|| shared.legacy.post_target())
        .flatten();
    let sending = shared
        .upstream
        .send_to(target.as_ref(), &Method::POST, headers, body, None);
    match tokio::time::timeout(NOTICE_LIMIT, sending).await {
        Ok(Ok(reply)) => {
            let status = reply.status;
            reply.body.linger();
            if status.is_success() {
                return Ok(());
            }
            match headers.get(SESSION_ID) {
                Some(session) if status == StatusCode::NOT_FOUND => {
                    Err(Refused::Session(Lost::Session(session.clone())))
                }
                _ => Err(Refused::Other(format!("the server answered {status}"))),
            }
        }
        Ok(Err(error)) => Err(Refused::Other(error.message().to_owned())),
        Err(_) => Err(Refused::Other(format!(
            "no reply within {} s",
            NOTICE_LIMIT.as_secs()
        ))),
    }
}

/// Says whether a message with these headers belongs to the handshake.
fn is_legacy(shared: &Shared, headers: &HeaderMap) -> bool {
    shared.legacy.is_version(headers.get(PROTOCOL_VERSION))
}

fn report(outcome: Result<(), Refused>, what: &str) -> bool {
    let cause = match outcome {
        Ok(()) => return true,
        Err(Refused::Session(_)) => "the server no longer knows the session".to_owned(),
        Err(Refused::Other(cause)) => cause,
    };
    log::warn(format_args!("{what} was not delivered: {cause}"));
    false
}
