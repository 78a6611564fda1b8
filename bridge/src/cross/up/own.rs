//! What the bridge says in a session on its own account: its own requests, cancellations, and answers to what a server
//! asks where nobody can be asked (protocol.md X-07, X-09, X-44).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::codes;
use footbridge_protocol::jsonrpc::{
    ErrorObject, ErrorView, Message, OwnedId, Request, ResponseBody, Rules, decode, write_error,
    write_notification, write_request, write_result,
};
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::Failure;
use super::replies::{Replies, broken};
use super::session::Session;
use crate::error::{BridgeError, quote};
use crate::exchange::Shared;
use crate::log;
use crate::upstream::Reply;

/// Longest wait for a message without a response to be accepted.
const NOTICE_LIMIT: Duration = Duration::from_secs(30);

/// Sends a request of ours and waits for its result.
pub(super) async fn ask(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    method: &str,
    params: &str,
) -> Result<Box<RawValue>, Failure> {
    let id = session.next_id();
    let mut body = Vec::with_capacity(params.len() + 96);
    write_request(&mut body, id.as_id(), method, Some(params.as_bytes()));
    let late = session.expect(&id);
    let headers = session.headers();
    let reply = shared
        .upstream
        .send(&Method::POST, &headers, &Bytes::from(body))
        .await?;
    let mut replies = take_up(shared, session, reply, late).await?;
    let reading = response(shared, Some(session), &mut replies, &id);
    let read = shared.alarm.within(shared.call_limit, reading).await;
    read.unwrap_or_else(|_| Err(BridgeError::timeout("The server did not answer in time").into()))
}

/// Looks at the head of a reply in a session. With a session, 404 means that it is gone and nothing was done (B-43), unless
/// the server says that it is the method it does not know. Some servers say 400 for a session they have lost.
pub(super) async fn take_up(
    shared: &Shared,
    session: &Session,
    reply: Reply,
    late: Option<oneshot::Receiver<Vec<u8>>>,
) -> Result<Replies, Failure> {
    let status = reply.status;
    let opened = Replies::open_late(shared, reply, late).await;
    let Err(failure) = &opened else { return opened };
    let error = match failure {
        Failure::Refused(error) => ErrorView::read(error),
        _ => None,
    };
    let lost = match (status, error) {
        (StatusCode::NOT_FOUND, Some(error)) => error.code != codes::METHOD_NOT_FOUND,
        (StatusCode::NOT_FOUND, None) => true,
        (StatusCode::BAD_REQUEST, Some(error)) => {
            (-32009..=-32000).contains(&error.code) && error.message.to_ascii_lowercase().contains("session")
        }
        _ => false,
    };
    if lost && session.has_id() {
        session.lose();
        return Err(Failure::SessionLost);
    }
    opened
}

/// Reads up to the response to `id` and returns its result.
pub(super) async fn response(
    shared: &Arc<Shared>,
    session: Option<&Arc<Session>>,
    replies: &mut Replies,
    id: &OwnedId,
) -> Result<Box<RawValue>, Failure> {
    while let Some(data) = replies.next(shared, session.map(Arc::as_ref)).await? {
        match decode(&data, &Rules::BRIDGE) {
            Ok(Message::Response(response)) if response.id.is_some_and(|found| *id == found) => {
                return match response.body {
                    ResponseBody::Result(result) => Ok(result.to_owned()),
                    ResponseBody::Error(error) => Err(Failure::Refused(error.to_owned())),
                };
            }
            Ok(Message::Request(request)) => {
                if let Some(session) = session {
                    turn_away(shared, session, &request);
                }
            }
            Ok(_) => {}
            Err(error) => {
                return Err(broken(&format!(
                    "The server sent something that is no JSON-RPC message: {error}"
                ))
                .into());
            }
        }
    }
    Err(replies.ended().into())
}

/// Answers a request of the server that no host can be asked: `ping` as it wants, anything else with −32601.
pub(super) fn turn_away(shared: &Arc<Shared>, session: &Arc<Session>, request: &Request<'_>) {
    let mut body = Vec::with_capacity(160);
    if request.method == "ping" {
        write_result(&mut body, request.id, b"{}");
    } else {
        let method = quote(request.method.as_bytes(), 64);
        log::info(format_args!("turned away a request of the server, `{method}`"));
        let message = format!("The client cannot be asked `{method}` here.");
        write_error(
            &mut body,
            Some(request.id),
            &ErrorObject::new(codes::METHOD_NOT_FOUND, message),
        );
    }
    let Ok(permit) = Arc::clone(&session.answers).try_acquire_owned() else {
        log::warn(format_args!(
            "dropped a request of the server: too many wait for their answers"
        ));
        return;
    };
    let (shared, session) = (Arc::clone(shared), Arc::clone(session));
    tokio::spawn(async move {
        let _permit = permit;
        let headers = session.headers();
        tell(&shared, &headers, &Bytes::from(body), "an answer to the server").await;
    });
}

/// Gives the server the host's answer to its request `id`.
pub(super) async fn answer(
    shared: &Shared,
    session: &Session,
    id: &OwnedId,
    response: &str,
) -> Result<(), Failure> {
    let mut body = Vec::with_capacity(response.len() + 64);
    write_result(&mut body, id.as_id(), response.as_bytes());
    let headers = session.headers();
    let reply = shared
        .upstream
        .send(&Method::POST, &headers, &Bytes::from(body))
        .await?;
    let status = reply.status;
    if status.is_success() {
        reply.body.linger();
        return Ok(());
    }
    if matches!(
        take_up(shared, session, reply, None).await,
        Err(Failure::SessionLost)
    ) {
        return Err(Failure::SessionLost);
    }
    Err(BridgeError::protocol(format!(
        "The server did not accept the answer to its question ({}); whether the call took effect is unknown. Check that \
         before you repeat it",
        status.as_u16()
    ))
    .with_status(status)
    .into())
}

/// POSTs a message that gets no response. What goes wrong is for stderr. Returns whether the server accepted it.
pub(super) async fn tell(shared: &Shared, headers: &HeaderMap, body: &Bytes, what: &str) -> bool {
    let sending = shared.upstream.send(&Method::POST, headers, body);
    let refused = match shared.alarm.within(NOTICE_LIMIT, sending).await {
        Ok(Ok(reply)) => {
            let status = reply.status;
            reply.body.linger();
            if status.is_success() {
                return true;
            }
            format!("the server answered {status}")
        }
        Ok(Err(error)) => error.message().to_owned(),
        Err(_) => format!("no reply within {} s", NOTICE_LIMIT.as_secs()),
    };
    log::warn(format_args!("{what} was not delivered: {refused}"));
    false
}

/// Tells the server that nobody waits for the answer to `id` any more.
pub(super) async fn cancel(shared: &Shared, headers: &HeaderMap, id: &OwnedId) {
    let params = format!(
        r#"{{"requestId":{},"reason":"The client no longer waits"}}"#,
        id.as_raw()
    );
    let mut body = Vec::with_capacity(160);
    write_notification(&mut body, "notifications/cancelled", Some(params.as_bytes()));
    tell(shared, headers, &Bytes::from(body), "a cancellation").await;
}
