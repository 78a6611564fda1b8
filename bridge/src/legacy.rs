//! What a handshake-era connection has to remember: the negotiated version, the session, the server's open requests.
//!
//! In come the answers of `initialize` and the ids of requests the server makes; out go headers for later messages. The
//! stream the server may talk on by itself is read in [`stream`], a lost session is opened anew in [`recover`] with what it was
//! asked for good ([`standing`]), and [`sse_transport`] is for servers of the first revision.

mod facts;
pub(crate) mod place;
pub(crate) mod recover;
pub(crate) mod sse_transport;
pub(crate) mod standing;
pub(crate) mod stream;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use footbridge_protocol::era::ProtocolVersion;
use footbridge_protocol::headers::{PROTOCOL_VERSION, SESSION_ID};
use footbridge_protocol::jsonrpc::OwnedId;
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderValue};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::log;
use facts::Facts;
use recover::Rounds;
use standing::Standing;

/// Requests of the server that may wait for the host's answer. A host that never answers must not fill the memory.
const OPEN_REQUESTS: usize = 1024;

/// The facts of the handshake, empty before it.
#[derive(Default)]
pub(crate) struct Legacy {
    state: Mutex<State>,
    rounds: Rounds,
}

#[derive(Default)]
struct State {
    facts: Facts,
    opening: Opening,
    standing: Standing,
    /// Where POSTs go on the transport of the first revision. `Some` means that it is in use, its stream open or not.
    post_target: Option<Uri>,
    /// Ids of requests the server made and the host has not answered.
    asked: HashSet<OwnedId>,
    /// The stream the server talks on by itself.
    stream: Option<AbortHandle>,
    stream_open: bool,
    /// Requests whose response may come on that stream.
    expected: HashMap<OwnedId, oneshot::Sender<Vec<u8>>>,
}

/// What opened the handshake, kept to open it again.
#[derive(Clone, Default)]
struct Opening {
    /// Counts the handshakes of the host: what belongs to an earlier one no longer matters.
    epoch: u64,
    initialize: Option<Bytes>,
    initialized: Option<Bytes>,
}

impl Legacy {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the version and session headers that follow a handshake (B-13, B-14).
    pub(crate) fn stamp(&self, headers: &mut HeaderMap) {
        self.state().facts.stamp(headers);
    }

    /// Replaces the headers of an earlier handshake by those of the present one.
    pub(crate) fn stamp_anew(&self, headers: &mut HeaderMap) {
        headers.remove(PROTOCOL_VERSION);
        headers.remove(SESSION_ID);
        self.stamp(headers);
    }

    /// Forgets everything: a new handshake begins.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        let old = std::mem::take(&mut *state);
        state.opening.epoch = old.opening.epoch + 1;
        if let Some(stream) = old.stream {
            stream.abort();
        }
    }

    /// Takes the facts from the answer of `initialize`, which the host asked with `request`. An error settles nothing.
    pub(crate) fn learn(&self, headers: &HeaderMap, response: &[u8], request: &Bytes) {
        let Some(facts) = Facts::read(headers, response) else {
            return;
        };
        let mut state = self.state();
        state.facts = facts;
        // A copy: the request is a slice of a read buffer, which must not be held for it.
        state.opening.initialize = Some(Bytes::copy_from_slice(request));
    }

    /// Keeps the notification that ends the handshake, for a session that has to be opened again.
    pub(crate) fn keep_initialized(&self, notification: &Bytes) {
        self.state().opening.initialized = Some(Bytes::copy_from_slice(notification));
    }

    /// Keeps what the host has asked of the session for good with `request`, if `response` grants it.
    pub(crate) fn keep_standing(&self, request: &Bytes, response: &[u8]) {
        self.state().standing.note(request, response);
    }

    /// The revision that was negotiated, if it is one with a name of its own here.
    pub(crate) fn revision(&self) -> Option<ProtocolVersion> {
        self.state().facts.revision
    }

    /// Says whether there is a session to end.
    pub(crate) fn has_session(&self) -> bool {
        self.state().facts.session.is_some()
    }

    /// Says whether `version` is what messages of the handshake carry.
    pub(crate) fn is_version(&self, version: Option<&HeaderValue>) -> bool {
        self.state().facts.version.as_ref() == version
    }

    /// Where POSTs go, if not to the server's address itself: on the transport of the first revision.
    pub(crate) fn post_target(&self) -> Option<Uri> {
        self.state().post_target.clone()
    }

    /// Says whether nothing can be sent before a stream is open, because responses have no other way.
    pub(crate) fn needs_stream(&self) -> bool {
        let state = self.state();
        state.post_target.is_some() && !state.stream_open
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
        let mut state = self.state();
        state.stream_open = false;
        if let Some(old) = state.stream.replace(stream) {
            old.abort();
        }
    }

    fn set_stream_open(&self, open: bool) {
        self.state().stream_open = open;
    }

    /// Puts a new session in the place of the old one, unless the host has begun a new handshake since. Nobody waits for
    /// anything of the old one any more.
    fn replace_session(&self, facts: Facts, epoch: u64) -> bool {
        let mut state = self.state();
        if state.opening.epoch != epoch {
            return false;
        }
        if state.facts.session != facts.session {
            state.asked.clear();
            state.expected.clear();
        }
        state.facts = facts;
        true
    }
}

/// A response that may come on the server's own stream. Dropping it ends the wait.
pub(crate) struct Expected<'a> {
    legacy: &'a Legacy,
    id: &'a OwnedId,
    response: oneshot::Receiver<Vec<u8>>,
}

impl Expected<'_> {
    /// Waits for the response. `None` if it can no longer come: the stream has ended for good, or a new handshake began.
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
        legacy.learn(&answer, response.as_bytes(), &Bytes::new());
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
