//! A modern host in front of a handshake-era server, carried only if the person has asked for it (protocol.md §4.2).
//!
//! In comes a modern request as the host wrote it; out goes one line that answers it. In between [`carry`] takes it through a session
//! of the bridge's own ([`handshake`], [`session`]), speaks the older revision in it ([`request`], [`call`], [`own`]), hands what the server asks back to the
//! host ([`ask`], [`park`]), gives answers the shape the host knows ([`answer`]) and passes changes on ([`changes`],
//! [`listen`]).
//!
//! State that a server keeps in a session (open documents, sign-ins) is shared by all of the host's conversations here.

mod answer;
mod ask;
mod call;
mod carry;
mod changes;
pub(crate) mod era;
mod failure;
mod filter;
mod handshake;
mod listen;
mod own;
mod park;
mod replies;
mod request;
mod session;

use std::hash::RandomState;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use footbridge_protocol::jsonrpc::{OwnedId, Request};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::error::BridgeError;
use crate::exchange::{Kind, Shared};
use crate::options::TRANSLATE_VARIABLE;
use carry::Crossing;
use failure::Failure;
use park::Parking;
use session::Slot;

/// Sets of capabilities that get a session.
const SESSIONS: usize = 4;

/// What the crossing keeps for the life of the process.
#[derive(Default)]
pub(crate) struct Up {
    slots: Mutex<Vec<Arc<Slot>>>,
    parking: Parking,
    /// Makes digests that mean nothing outside this process.
    keys: RandomState,
}

impl Up {
    /// The slot for a set of capabilities, which is made if there is room.
    fn slot(&self, declared: &Value) -> Result<Arc<Slot>, Failure> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.iter().find(|slot| slot.is_for(declared)) {
            return Ok(Arc::clone(slot));
        }
        if slots.len() >= SESSIONS {
            return Err(BridgeError::no_translation(
            false,
            format!(
                "The client has declared more than {SESSIONS} different sets of capabilities, and each needs a session with \
                 this server. Restart the client"
            ))
            .into());
        }
        let slot = Arc::new(Slot::new(declared.clone()));
        slots.push(Arc::clone(&slot));
        Ok(slot)
    }

    /// Calls off what is open and ends every session.
    pub(crate) fn say_goodbye(&self, shared: &Arc<Shared>, goodbyes: &mut JoinSet<()>) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for session in slots.iter().filter_map(|slot| slot.open_now()) {
            let (shared, open) = (Arc::clone(shared), session.take_open());
            goodbyes.spawn(async move { session.close(&shared, open).await });
        }
    }
}

/// The way of a request across the eras, to be run.
type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes a modern request to a server that is known to speak the handshake era only.
pub(crate) fn take(shared: &Arc<Shared>, body: &Bytes, request: &Request<'_>) -> Option<(Kind, Run)> {
    if !request.params.meta().is_modern_claim() || !shared.probe.is_legacy() {
        return None;
    }
    let kind = if request.method == "subscriptions/listen" && shared.up.is_some() {
        Kind::Listen
    } else {
        Kind::Once
    };
    let (shared, id, body) = (Arc::clone(shared), request.id.to_owned(), body.clone());
    Some((kind, Box::pin(async move { take_over(&shared, id, body).await })))
}

/// Carries a modern request to a handshake-era server if that was asked for; otherwise says at once that it cannot be, which
/// makes a client of both eras fall back to `initialize`.
pub(crate) async fn take_over(shared: &Arc<Shared>, id: OwnedId, body: Bytes) {
    if let Some(up) = &shared.up {
        let crossing = Crossing {
            shared: Arc::clone(shared),
            up: Arc::clone(up),
            id,
            body,
        };
        return crossing.run().await;
    }
    let error = BridgeError::no_translation(
        false,
        format!(
            "`{}` only knows revisions with a handshake: use `initialize`. For a client that cannot, set {TRANSLATE_VARIABLE} \
         to 1",
            shared.upstream.place()
        ),
    );
    // A host that is gone ends the program elsewhere.
    let _ = shared.output.send(error.to_line(Some(id.as_id()))).await;
}
