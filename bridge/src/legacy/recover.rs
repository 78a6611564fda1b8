//! A session the server has forgotten → a new one that the host does not notice (protocol.md B-43, M-9).
//!
//! Whoever is refused with 404 comes here. The first one replays the host's `initialize` and `initialized`; those who come
//! meanwhile wait for the same outcome. Until there is a new session, messages leave with the old one and join as they are
//! refused. What the host relies on must still be there: it cannot be told otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::headers::SESSION_ID;
use footbridge_protocol::jsonrpc::{Id, Message, OwnedId, Rules, decode, write_notification};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};

use super::facts::Facts;
use super::{sse_transport, stream};
use crate::error::BridgeError;
use crate::exchange::Shared;
use crate::exchange::ask::ask;
use crate::log;
use crate::stdio::Line;

/// Longest time for a new session. Notifications of the host wait for it.
const LIMIT: Duration = Duration::from_secs(60);

/// What is gone.
#[derive(Clone, Debug)]
pub(crate) enum Lost {
    /// The session with this id.
    Session(HeaderValue),
    /// The stream that responses come on, on the transport of the first revision.
    Stream,
}

/// The recoveries of this process: one at a time.
#[derive(Default)]
pub(super) struct Rounds {
    /// Recoveries that have ended.
    ended: AtomicU64,
    /// How the last one ended.
    last: tokio::sync::Mutex<Option<Result<(), BridgeError>>>,
}

/// Opens a new session in the place of what is lost, or waits for whoever is at it.
pub(crate) async fn renew(shared: &Arc<Shared>, lost: Lost) -> Result<(), BridgeError> {
    let rounds = &shared.legacy.rounds;
    let seen = rounds.ended.load(Ordering::Relaxed);
    let shared = Arc::clone(shared);
    // In a task of its own: the host may cancel the request that began it, others wait for it all the same.
    let task = tokio::spawn(async move {
        let rounds = &shared.legacy.rounds;
        let mut last = rounds.last.lock().await;
        if rounds.ended.load(Ordering::Relaxed) != seen
            && let Some(outcome) = &*last
        {
            return outcome.clone();
        }
        if !is_lost(&shared, &lost) {
            return Ok(());
        }
        let outcome = match tokio::time::timeout(LIMIT, replay(&shared)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(not_renewed(&shared, "no answer in time")),
        };
        if let Err(error) = &outcome {
            log::warn(format_args!("{}", error.message()));
        }
        rounds.ended.fetch_add(1, Ordering::Relaxed);
        *last = Some(outcome.clone());
        outcome
    });
    task.await.unwrap_or_else(|_| {
        Err(BridgeError::no_connection(
            "The bridge failed while it opened a new session. Try again",
        ))
    })
}

/// Says whether what a refused message named is still what others would name.
fn is_lost(shared: &Shared, lost: &Lost) -> bool {
    match lost {
        Lost::Session(session) => shared.legacy.state().facts.session.as_ref() == Some(session),
        Lost::Stream => shared.legacy.needs_stream(),
    }
}

async fn replay(shared: &Arc<Shared>) -> Result<(), BridgeError> {
    let (opening, old, standing) = {
        let state = shared.legacy.state();
        (state.opening.clone(), state.facts.clone(), state.standing.clone())
    };
    let Some((initialize, id)) = opening
        .initialize
        .and_then(|initialize| Some((initialize.clone(), id_of(&initialize)?)))
    else {
        return Err(not_renewed(shared, "there was no handshake"));
    };
    log::info(format_args!(
        "the server no longer knows this session, opening a new one"
    ));
    let uses_old_transport = shared.legacy.post_target().is_some();
    let (headers, response) = if uses_old_transport {
        sse_transport::open(shared).await?;
        let response = sse_transport::ask(shared, &initialize, &id).await?;
        (HeaderMap::new(), response)
    } else {
        ask(shared, &HeaderMap::new(), &initialize, &id)
            .await
            .map_err(|error| not_renewed(shared, error.message()))?
    };
    let Some(facts) = Facts::read(&headers, &response) else {
        return Err(not_renewed(shared, "it refuses the handshake"));
    };
    if facts.version != old.version || !facts.cover(&old) {
        return Err(changed(shared, &old, facts));
    }
    let list_changes: Vec<_> = facts.list_changes().collect();
    if let Some(initialized) = &opening.initialized {
        accept(shared, &facts, initialized).await?;
    }
    if !shared.legacy.replace_session(facts, opening.epoch) {
        return Err(not_renewed(shared, "the client began a new handshake"));
    }
    if opening.initialized.is_some() {
        stream::open(shared);
        // Nobody waits for these: what was refused with the old session is more urgent.
        tokio::spawn(standing.renew(Arc::clone(shared)));
    }
    for method in list_changes {
        let mut line = Vec::with_capacity(96);
        write_notification(&mut line, method, None);
        let _ = shared.output.send(Line::new(line)).await;
    }
    Ok(())
}

fn id_of(initialize: &[u8]) -> Option<OwnedId> {
    match decode(initialize, &Rules::BRIDGE) {
        Ok(Message::Request(request)) => Some(Id::to_owned(request.id)),
        _ => None,
    }
}

/// Sends the notification that ends the handshake with these facts.
async fn accept(shared: &Shared, facts: &Facts, initialized: &Bytes) -> Result<(), BridgeError> {
    let mut headers = HeaderMap::new();
    facts.stamp(&mut headers);
    let target = shared.legacy.post_target();
    let reply = shared
        .upstream
        .send_to(target.as_ref(), &Method::POST, &headers, initialized, None)
        .await?;
    let status = reply.status;
    reply.body.linger();
    if status.is_success() {
        Ok(())
    } else {
        Err(not_renewed(
            shared,
            &format!("it answered {} to `initialized`", status.as_u16()),
        ))
    }
}

/// The server has become another one. The session that was opened to find that out is closed again, and with another
/// version the bridge ends: what the host believes about the connection is wrong from the ground up.
fn changed(shared: &Arc<Shared>, old: &Facts, new: Facts) -> BridgeError {
    let shown = |facts: &Facts| match facts.version.as_ref().map(HeaderValue::to_str) {
        Some(Ok(version)) => version.to_owned(),
        _ => "none".to_owned(),
    };
    let is_other_version = new.version != old.version;
    let error = BridgeError::no_translation(
        false,
        if is_other_version {
            format!(
                "`{}` has ended the session and now speaks version {} instead of {}, which a running client cannot be told. \
             Restart the client, or reconnect this server in it",
                shared.upstream.place(),
                shown(&new),
                shown(old)
            )
        } else {
            format!(
                "`{}` has ended the session and now offers less than before, which a running client cannot be told. Restart \
             the client, or reconnect this server in it",
                shared.upstream.place()
            )
        },
    );
    if is_other_version {
        let _ = shared.stop.set(error.clone());
    }
    if let Some(session) = new.session {
        tokio::spawn(close(Arc::clone(shared), session));
    }
    error
}

/// Ends a session that will not be used. The server may refuse that; it then ends by itself some day.
async fn close(shared: Arc<Shared>, session: HeaderValue) {
    let mut headers = HeaderMap::new();
    headers.insert(SESSION_ID, session);
    if let Ok(reply) = shared
        .upstream
        .send(&Method::DELETE, &headers, &Bytes::new())
        .await
    {
        reply.body.linger();
    }
}

fn not_renewed(shared: &Shared, cause: &str) -> BridgeError {
    BridgeError::http_status(
        StatusCode::NOT_FOUND,
        format!(
            "`{}` no longer knows this session (404), and a new one could not be opened: {}. Restart the client, or \
             reconnect this server in it",
            shared.upstream.place(),
            cause.trim_end_matches('.')
        ),
    )
}
