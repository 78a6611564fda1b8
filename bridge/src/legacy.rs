//! What a handshake-era connection has to remember: the negotiated version, the session, the server's open requests.
//!
//! In come the answers of `initialize` and the ids of requests the server makes; out go headers for later messages. The
//! stream the server may talk on by itself is read in [`stream`].

pub(crate) mod stream;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use footbridge_protocol::era::ProtocolVersion;
use footbridge_protocol::headers::{PROTOCOL_VERSION, SESSION_ID, is_visible_ascii};
use footbridge_protocol::jsonrpc::{Message, OwnedId, ResponseBody, Rules, decode};
use hyper::header::{HeaderMap, HeaderValue};
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::log;

/// Requests of the server that may wait for the host's answer. A host that never answers must not fill the memory.
const OPEN_REQUESTS: usize = 1024;

/// The facts of the handshake, empty before it.
#[derive(Default)]
pub(crate) struct Legacy(Mutex<State>);

#[derive(Default)]
struct State {
    version: Option<HeaderValue>,
    revision: Option<ProtocolVersion>,
    session: Option<HeaderValue>,
    /// Ids of requests the server made and the host has not answered.
    asked: HashSet<OwnedId>,
    /// The stream the server talks on by itself.
    stream: Option<AbortHandle>,
    stream_open: bool,
    /// Requests whose response may come on that stream.
    expected: HashMap<OwnedId, oneshot::Sender<Vec<u8>>>,
}

impl Legacy {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the version and session headers that follow a handshake (B-13, B-14).
    pub(crate) fn stamp(&self, headers: &mut HeaderMap) {
        let state = self.state();
        if let Some(version) = &state.version {
            headers.insert(PROTOCOL_VERSION, version.clone());
        }
        if let Some(session) = &state.session {
            headers.insert(SESSION_ID, session.clone());
        }
    }

    /// Forgets everything: a new handshake begins.
    pub(crate) fn restart(&self) {
        let old = std::mem::take(&mut *self.state());
        if let Some(stream) = old.stream {
            stream.abort();
        }
    }

    /// Takes the facts from the answer of `initialize`. An error settles nothing.
    pub(crate) fn learn(&self, headers: &HeaderMap, response: &[u8]) {
        let Ok(Message::Response(response)) = decode(response, &Rules::BRIDGE) else {
            return;
        };
        let ResponseBody::Result(result) = response.body else {
            return;
        };
        let version = serde_json::from_str::<HashMap<String, &RawValue>>(result.get())
            .ok()
            .and_then(|members| members.get("protocolVersion").copied())
            .and_then(|version| serde_json::from_str::<String>(version.get()).ok())
            .filter(|version| is_visible_ascii(version));
        let mut state = self.state();
        state.revision = version.as_deref().and_then(ProtocolVersion::parse);
        state.version = version.and_then(|version| HeaderValue::try_from(version).ok());
        state.session = headers.get(SESSION_ID).and_then(|session| {
            if session.to_str().is_ok_and(is_visible_ascii) {
                let mut session = session.clone();
                session.set_sensitive(true);
                return Some(session);
            }
            log::warn(format_args!(
                "the server's session id is not visible ASCII and is not used"
            ));
            None
        });
    }

    /// The revision that was negotiated, if it is one with a name of its own here.
    pub(crate) fn revision(&self) -> Option<ProtocolVersion> {
        self.state().revision
    }

    /// Says whether there is a session to end.
    pub(crate) fn has_session(&self) -> bool {
        self.state().session.is_some()
    }

    /// Remembers a request of the server, so that the host's answer can be told from a stray one.
    pub(crate) fn ask(&self, id: OwnedId) {
        let mut state = self.state();
        if state.asked.len() < OPEN_REQUESTS {
            state.asked.insert(id);
        } else {
            log::warn(format_args!(
                "the server has {OPEN_REQUESTS} unanswered requests, further answers will be dropped"
            ));
        }
    }

    /// Says whether `id` is an open request of the server; from now on it is not.
    pub(crate) fn settle(&self, id: &OwnedId) -> bool {
        self.state().asked.remove(id)
    }

    /// If the server's own stream is open, a place where the response to `id` will arrive should it come there (M-5).
    pub(crate) fn expect<'a>(&'a self, id: &'a OwnedId) -> Option<Expected<'a>> {
        let mut state = self.state();
        if !state.stream_open {
            return None;
        }
        let (sender, response) = oneshot::channel();
        state.expected.insert(id.clone(), sender);
        Some(Expected {
            legacy: self,
            id,
            response,
        })
    }

    /// Hands a response from the server's own stream to whoever expects it.
    fn deliver(&self, id: &OwnedId, response: Vec<u8>) -> bool {
        let expecting = self.state().expected.remove(id);
        expecting.is_some_and(|expecting| expecting.send(response).is_ok())
    }

    fn set_stream(&self, stream: AbortHandle) {
        if let Some(old) = self.state().stream.replace(stream) {
            old.abort();
        }
    }

    fn set_stream_open(&self, open: bool) {
        self.state().stream_open = open;
    }
}

/// A response that may come on the server's own stream. Dropping it ends the wait.
pub(crate) struct Expected<'a> {
    legacy: &'a Legacy,
    id: &'a OwnedId,
    response: oneshot::Receiver<Vec<u8>>,
}

impl Expected<'_> {
    /// Waits for the response. `None` if it can no longer come, because a new handshake began.
    pub(crate) async fn response(mut self) -> Option<Vec<u8>> {
        (&mut self.response).await.ok()
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.legacy.state().expected.remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(session: &'static [u8], response: &str) -> HeaderMap {
        let legacy = Legacy::default();
        let mut answer = HeaderMap::new();
        answer.insert(SESSION_ID, HeaderValue::from_bytes(session).unwrap());
        legacy.learn(&answer, response.as_bytes());
        let mut headers = HeaderMap::new();
        legacy.stamp(&mut headers);
        headers
    }

    #[test]
    fn version_and_session_of_the_answer_go_with_later_messages() {
        let headers = learnt(
            b"s-1",
            r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}"#,
        );
        assert_eq!(headers.get(PROTOCOL_VERSION).unwrap(), "2025-06-18");
        assert_eq!(headers.get(SESSION_ID).unwrap(), "s-1");
    }

    #[test]
    fn what_cannot_be_a_header_is_not_used() {
        let headers = learnt(
            b"s 1\xff",
            r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"20\r\nX: y"}}"#,
        );
        assert!(headers.is_empty());
        assert!(
            learnt(
                b"s-1",
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#
            )
            .is_empty()
        );
    }
}
