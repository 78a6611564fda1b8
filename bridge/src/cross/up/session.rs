//! A handshake-era session of the bridge's own (protocol.md X-01, X-41, X-47).
//!
//! Each distinct set of capabilities gets one, because a server may behave by what was declared at the handshake. A
//! [`Slot`] is such a set and its current session; when the server forgets a session, the slot makes another.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use footbridge_protocol::headers::{PROTOCOL_VERSION, SESSION_ID};
use footbridge_protocol::jsonrpc::OwnedId;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderValue};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::listen::Listeners;
use super::{Failure, changes, handshake, own};
use crate::cross::object::quoted;
use crate::error::BridgeError;
use crate::exchange::Shared;
use crate::log;
use crate::probe::Known;

/// Answers of the bridge's own that may be on their way at once. A server that pings without end must not fill the memory.
const ANSWERS: usize = 64;

/// What the server has said about itself, raw.
#[derive(Debug)]
pub(super) struct Facts {
    /// An object.
    pub(super) capabilities: String,
    pub(super) server_info: Option<String>,
    pub(super) instructions: Option<String>,
}

impl Facts {
    /// Says whether the server has a capability, named by its keys.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        let mut value: Value = serde_json::from_str(&self.capabilities).unwrap_or_default();
        for key in path {
            value = value.get_mut(*key).map(Value::take).unwrap_or_default();
        }
        matches!(value, Value::Bool(true) | Value::Object(_))
    }
}

/// A set of capabilities and the session opened with it.
pub(super) struct Slot {
    declared: Value,
    current: tokio::sync::Mutex<Option<Arc<Session>>>,
}

impl Slot {
    pub(super) fn new(declared: Value) -> Slot {
        Slot {
            declared,
            current: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn is_for(&self, declared: &Value) -> bool {
        self.declared == *declared
    }

    /// The session if one is open, without waiting.
    pub(super) fn open_now(&self) -> Option<Arc<Session>> {
        let current = self.current.try_lock().ok()?;
        current
            .as_ref()
            .filter(|session| !session.is_gone())
            .map(Arc::clone)
    }

    /// The session, opened if there is none. The opening goes on when whoever asked gives up, or the server would keep a
    /// session that nobody ends.
    pub(super) async fn session(
        self: &Arc<Slot>,
        shared: &Arc<Shared>,
        client_info: Option<&str>,
    ) -> Result<Arc<Session>, Failure> {
        if let Some(session) = self.open_now() {
            return Ok(session);
        }
        let (slot, shared) = (Arc::clone(self), Arc::clone(shared));
        let client_info = client_info.map(str::to_owned);
        let opening = tokio::spawn(async move {
            let mut current = slot.current.lock().await;
            if let Some(session) = current.as_ref().filter(|session| !session.is_gone()) {
                return Ok(Arc::clone(session));
            }
            let opening = handshake::open(&shared, &slot.declared, client_info.as_deref());
            let opened = shared.alarm.within(shared.call_limit, opening).await;
            let opened = opened.unwrap_or_else(|_| {
                Err(BridgeError::no_connection("The server has not finished the handshake in time").into())
            });
            if let Err(Failure::Refused(_)) = &opened
                && shared.probe.doubt()
            {
                // Perhaps it no longer is what it was: the next request finds out.
                shared.probe.learn(Known::Unknown);
            }
            let session = opened?;
            *current = Some(Arc::clone(&session));
            changes::open(&shared, &session);
            Ok(session)
        });
        opening.await.unwrap_or_else(|_| {
            Err(BridgeError::no_connection("The bridge failed while it opened a session").into())
        })
    }
}

/// An open session.
pub(super) struct Session {
    pub(super) facts: Facts,
    /// What was declared to the server.
    pub(super) declared: Value,
    version: HeaderValue,
    id: Option<HeaderValue>,
    /// Set when the server no longer knows the session.
    gone: watch::Sender<bool>,
    /// Numbers for requests of ours.
    numbers: AtomicI64,
    /// The log level the server was told last. Whoever holds it may tell another.
    level: tokio::sync::Mutex<Option<String>>,
    /// Calls without an answer: what has to be called off at the end.
    open: Mutex<HashSet<OwnedId>>,
    /// Requests whose answer may come on the server's own stream.
    expected: Mutex<HashMap<OwnedId, oneshot::Sender<Vec<u8>>>>,
    /// Places for answers on their way to the server.
    pub(super) answers: Arc<Semaphore>,
    /// A page the user was sent to is done with.
    pub(super) visited: Notify,
    pub(super) listeners: Listeners,
    /// Whether the server has a stream of its own; `None` until that is known.
    pub(super) streams: watch::Sender<Option<bool>>,
    stream: Mutex<Option<AbortHandle>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A session just opened. `id` is the server's name for it, if it has one.
    pub(super) fn new(
        facts: Facts,
        declared: Value,
        version: HeaderValue,
        id: Option<HeaderValue>,
    ) -> Session {
        Session {
            facts,
            declared,
            version,
            id,
            gone: watch::Sender::new(false),
            numbers: AtomicI64::new(1),
            level: tokio::sync::Mutex::default(),
            open: Mutex::default(),
            expected: Mutex::default(),
            answers: Arc::new(Semaphore::new(ANSWERS)),
            visited: Notify::new(),
            listeners: Listeners::default(),
            streams: watch::Sender::new(None),
            stream: Mutex::default(),
        }
    }

    /// Says whether the server has forgotten it.
    pub(super) fn is_gone(&self) -> bool {
        *self.gone.borrow()
    }

    /// The server has forgotten it: whoever waits for something of it is told.
    pub(super) fn lose(&self) {
        if !self.gone.send_replace(true) {
            log::info(format_args!(
                "the server has dropped a session; the next request opens another"
            ));
        }
        if let Some(stream) = locked(&self.stream).take() {
            stream.abort();
        }
        locked(&self.expected).clear();
    }

    /// Waits until the server has forgotten it.
    pub(super) async fn lost(&self) {
        let mut gone = self.gone.subscribe();
        // The sender lives as long as the session.
        let _ = gone.wait_for(|gone| *gone).await;
    }

    /// Says whether the server names its sessions. Only such a server can forget one.
    pub(super) fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// An id no request of this session has had.
    pub(super) fn next_id(&self) -> OwnedId {
        OwnedId::from_integer(self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// The headers of a message in this session.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(PROTOCOL_VERSION, self.version.clone());
        if let Some(id) = &self.id {
            headers.insert(SESSION_ID, id.clone());
        }
        headers
    }

    /// Notes a call that is about to leave.
    pub(super) fn begin(&self, id: &OwnedId) {
        locked(&self.open).insert(id.clone());
    }

    /// Notes that a call is over. Says whether it was still open.
    pub(super) fn settle(&self, id: &OwnedId) -> bool {
        locked(&self.open).remove(id)
    }

    /// A place where the answer to `id` arrives should it come on the server's own stream (M-5), if there is one.
    pub(super) fn expect(&self, id: &OwnedId) -> Option<oneshot::Receiver<Vec<u8>>> {
        if *self.streams.borrow() == Some(false) || self.is_gone() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let mut expected = locked(&self.expected);
        expected.retain(|_, waiting| !waiting.is_closed());
        expected.insert(id.clone(), sender);
        Some(receiver)
    }

    /// Hands on an answer that came on the server's own stream.
    pub(super) fn arrived(&self, id: &OwnedId, response: Vec<u8>) {
        let expecting = locked(&self.expected).remove(id);
        if expecting.is_none_or(|expecting| expecting.send(response).is_err()) {
            log::debug(format_args!(
                "a response nobody waits for came on the server's own stream"
            ));
        }
    }

    pub(super) fn set_stream(&self, stream: AbortHandle) {
        *locked(&self.stream) = Some(stream);
    }

    /// Tells the server the host's log level if it is another than before (X-08).
    pub(super) async fn set_level(self: &Arc<Session>, shared: &Arc<Shared>, level: Option<&str>) {
        let Some(level) = level.filter(|_| self.facts.has(&["logging"])) else {
            return;
        };
        let mut told = self.level.lock().await;
        if told.as_deref() == Some(level) {
            return;
        }
        let params = format!(r#"{{"level":{}}}"#, quoted(level));
        match own::ask(shared, self, "logging/setLevel", &params).await {
            Ok(_) => *told = Some(level.to_owned()),
            Err(error) => log::info(format_args!(
                "the server's log level was not set: {}",
                error.message()
            )),
        }
    }

    /// Takes over what is open: whoever drops a call from now on leaves calling it off to the taker.
    pub(super) fn take_open(&self) -> Vec<OwnedId> {
        locked(&self.open).drain().collect()
    }

    /// Calls off what was `open` and ends the session, as far as the server plays along.
    pub(super) async fn close(&self, shared: &Arc<Shared>, open: Vec<OwnedId>) {
        let mut cancelling = JoinSet::new();
        for id in open {
            let (shared, headers) = (Arc::clone(shared), self.headers());
            cancelling.spawn(async move { own::cancel(&shared, &headers, &id).await });
        }
        while cancelling.join_next().await.is_some() {}
        if self.id.is_none() {
            return;
        }
        let headers = self.headers();
        let ended = shared
            .upstream
            .send(&Method::DELETE, &headers, &Bytes::new())
            .await;
        match ended {
            Ok(reply) => log::debug(format_args!("ended a session: {}", reply.status)),
            Err(error) => log::debug(format_args!("a session was not ended: {}", error.message())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn session() -> Session {
        let facts = Facts {
            capabilities: r#"{"tools":{"listChanged":true},"resources":{"subscribe":false}}"#.to_owned(),
            server_info: None,
            instructions: None,
        };
        let version = HeaderValue::from_static("2025-11-25");
        Session::new(facts, json!({}), version, None)
    }

    #[test]
    fn a_capability_is_an_object_or_a_yes() {
        let facts = session().facts;
        assert!(facts.has(&["tools"]) && facts.has(&["tools", "listChanged"]));
        assert!(!facts.has(&["resources", "subscribe"]) && !facts.has(&["logging"]));
    }

    #[test]
    fn a_call_is_settled_once_and_a_lost_session_expects_nothing() {
        let session = session();
        let id = session.next_id();
        assert_ne!(id, session.next_id());
        session.begin(&id);
        assert!(session.settle(&id) && !session.settle(&id));
        let mut waiting = session.expect(&id).unwrap();
        session.lose();
        assert!(waiting.try_recv().is_err() && session.expect(&id).is_none() && session.is_gone());
    }
}
