//! What a server says without being asked: its own stream, fed to the host's listens (protocol.md, B-44).

use std::sync::Arc;

use footbridge_protocol::jsonrpc::{Id, Message, Notification, Rules, decode};
use hyper::StatusCode;

use super::own;
use super::replies::{Stream, get, is_stream};
use super::session::Session;
use crate::exchange::Shared;
use crate::log;
use crate::pause::Backoff;

/// Opens the stream of a new session and keeps it open in the background for as long as the session lasts.
pub(super) fn open(shared: &Arc<Shared>, session: &Arc<Session>) {
    let task = tokio::spawn(keep_open(Arc::clone(shared), Arc::clone(session)));
    session.set_stream(task.abort_handle());
}

async fn keep_open(shared: Arc<Shared>, session: Arc<Session>) {
    let mut backoff = Backoff::new();
    let mut after = None;
    let mut was_open = false;
    while !session.is_gone() {
        let mut pause = None;
        match get(&shared, &session, after.clone()).await {
            Ok(reply) if is_stream(&reply) => {
                session.streams.send_replace(Some(true));
                if was_open && after.is_none() {
                    // Changes may have been missed, and nobody will repeat them.
                    send(&shared, session.listeners.missed()).await;
                }
                was_open = true;
                let mut stream = Stream::new(reply.body, &shared);
                if read(&shared, &session, &mut stream).await > 0 {
                    backoff = Backoff::new();
                }
                if let Some(id) = stream.last_event_id() {
                    after = Some(id);
                    pause = Some(stream.pause());
                }
            }
            Ok(reply) if reply.status.is_server_error() => {
                log::debug(format_args!("the server's own stream: {}", reply.status));
            }
            Ok(reply) => {
                let status = reply.status;
                reply.body.linger();
                session.streams.send_replace(Some(false));
                if status == StatusCode::NOT_FOUND && was_open && session.has_id() {
                    session.lose();
                } else if status != StatusCode::METHOD_NOT_ALLOWED {
                    log::info(format_args!("the server has no stream of its own: {status}"));
                }
                return;
            }
            Err(error) => log::debug(format_args!("the server's own stream: {}", error.message())),
        }
        tokio::time::sleep(pause.unwrap_or_else(|| backoff.next())).await;
    }
}

/// Reads until the stream ends; returns how many messages came.
async fn read(shared: &Arc<Shared>, session: &Arc<Session>, stream: &mut Stream) -> u64 {
    let mut messages = 0;
    loop {
        match stream.arrived() {
            Ok(Some(data)) => {
                messages += 1;
                take(shared, session, data).await;
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                log::warn(format_args!("the server's own stream: {}", error.message()));
                return messages;
            }
        }
        match stream.more().await {
            Ok(true) => {}
            Ok(false) => return messages,
            Err(error) => {
                log::debug(format_args!("the server's own stream broke: {error}"));
                return messages;
            }
        }
    }
}

async fn take(shared: &Arc<Shared>, session: &Arc<Session>, data: Vec<u8>) {
    let late = match decode(&data, &Rules::BRIDGE) {
        Ok(Message::Request(request)) => return own::turn_away(shared, session, &request),
        Ok(Message::Notification(notification)) => return changed(shared, session, &notification).await,
        Ok(Message::Response(response)) => response.id.map(Id::to_owned),
        Err(error) => {
            log::warn(format_args!(
                "the server's own stream carried something that is no message: {error}"
            ));
            return;
        }
    };
    if let Some(id) = late {
        session.arrived(&id, data);
    }
}

/// A notification that belongs to no request of the host, wherever it came from.
pub(super) async fn changed(shared: &Shared, session: &Session, notification: &Notification<'_>) {
    if notification.method == "notifications/elicitation/complete" {
        session.visited.notify_waiters();
        return;
    }
    send(shared, session.listeners.lines(notification)).await;
}

async fn send(shared: &Shared, lines: Vec<crate::stdio::Line>) {
    for line in lines {
        // A host that is gone ends the program elsewhere.
        let _ = shared.output.send(line).await;
    }
}
