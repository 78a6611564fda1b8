//! A legacy host, a modern server (protocol.md §4.1).
//!
//! The host's `initialize` becomes the probe ([`open`]); if the server is modern, every later message of the host without
//! a modern claim comes through here. What is kept is the handshake and one log level ([`Host`]), the open questions
//! ([`asks`]) and one stream of change events ([`listen`]). No answer is ever kept and served again.

mod asks;
mod call;
mod codes;
mod envelope;
mod fall;
mod lane;
mod listen;
mod open;
mod question;
mod rounds;
mod shape;
mod task;
mod welcome;

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use footbridge_protocol::codes::{INVALID_PARAMS, METHOD_NOT_FOUND};
use footbridge_protocol::era::{Era, ProtocolVersion};
use footbridge_protocol::jsonrpc::{Message, Notification, OwnedId, Request, Rules, decode, write_result};
use hyper::StatusCode;

use crate::error::{BridgeError, quote};
use crate::exchange::{Exchange, Flags, Kind, Reader, Shared};
use crate::forward::message;
use crate::log;
use crate::probe::{Choice, Known};
use crate::stdio::Line;
use asks::Asks;
use call::Call;
use fall::Initialize;
pub(crate) use lane::{Lane, Outcome};
use listen::Listener;
use open::Opening;
use welcome::{Handshake, Offers};

/// The state of the crossing.
#[derive(Debug, Default)]
pub(crate) struct Down {
    asks: Arc<Asks>,
    /// `None`: the host has not been crossed, its messages pass as they are.
    host: Mutex<Option<Arc<Host>>>,
}

/// A host whose `initialize` was answered in the name of a modern server.
#[derive(Debug)]
pub(crate) struct Host {
    handshake: Handshake,
    /// What the handshake was read from.
    initialize: Initialize,
    version: ProtocolVersion,
    offers: Offers,
    /// The envelope keys of every request, made anew when the level changes.
    keys: Mutex<Arc<str>>,
    listener: Listener,
}

impl Host {
    fn new(handshake: Handshake, initialize: Initialize, version: ProtocolVersion, offers: Offers) -> Host {
        let keys = envelope::keys(
            version,
            &handshake.capabilities,
            handshake.client.as_deref(),
            None,
        );
        Host {
            handshake,
            initialize,
            version,
            offers,
            keys: Mutex::new(keys.into()),
            listener: Listener::default(),
        }
    }

    fn keys(&self) -> Arc<str> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_level(&self, level: &str) {
        let handshake = &self.handshake;
        let keys = envelope::keys(
            self.version,
            &handshake.capabilities,
            handshake.client.as_deref(),
            Some(level),
        );
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }
}

/// A request that is carried here, ready to run.
pub(crate) struct Crossing {
    /// The era the server sees.
    pub(crate) era: Era,
    pub(crate) kind: Kind,
    pub(crate) run: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Down {
    fn host_slot(&self) -> MutexGuard<'_, Option<Arc<Host>>> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self) -> Option<Arc<Host>> {
        self.host_slot().clone()
    }

    fn open(&self, host: Arc<Host>) {
        *self.host_slot() = Some(host);
    }

    fn close(&self) {
        *self.host_slot() = None;
    }

    /// The revision of a crossed host.
    pub(crate) fn revision(&self) -> Option<ProtocolVersion> {
        self.host_slot().as_ref().map(|host| host.handshake.revision)
    }

    /// Says whether the host may send arrays of messages, having been crossed as one of 2025-03-26.
    pub(crate) fn knows_batches(&self) -> bool {
        self.host_slot()
            .as_ref()
            .is_some_and(|host| host.handshake.knows_batches())
    }

    /// Hands an answer of the host to the call that asked; false if none did.
    pub(crate) fn settle(&self, id: &OwnedId, line: &[u8]) -> bool {
        self.asks.settle(id, line)
    }
}

/// Answers what needs no server, at once.
pub(crate) fn answer(shared: &Shared, request: &Request<'_>) -> Option<Line> {
    let host = crossed(shared, request.params.meta().is_modern_claim())?;
    let refuse = |code, message: String| Some(BridgeError::invalid(code, message).to_line(Some(request.id)));
    match request.method.as_ref() {
        "ping" => Some(empty(request)),
        "logging/setLevel" if host.offers.logging => {
            let level = request.params.level().ok().flatten();
            match level.filter(|level| super::LEVELS.contains(&level.as_ref())) {
                Some(level) => {
                    host.set_level(&level);
                    Some(empty(request))
                }
                None => refuse(
                    INVALID_PARAMS,
                    format!("`level` must be one of {}", super::LEVELS.join(", ")),
                ),
            }
        }
        "resources/subscribe" | "resources/unsubscribe" if host.offers.subscribe => {
            let uri = request.params.uri().ok().flatten();
            match uri {
                Some(uri) if host.listener.has(&uri) == (request.method == "resources/subscribe") => {
                    Some(empty(request))
                }
                Some(_) => None,
                None => refuse(INVALID_PARAMS, "`uri` must be there, and a string".to_owned()),
            }
        }
        // Methods of the other era, of tasks that were never offered, and of what the server has not.
        "server/discover"
        | "subscriptions/listen"
        | "logging/setLevel"
        | "resources/subscribe"
        | "resources/unsubscribe"
        | "tasks/get"
        | "tasks/update"
        | "tasks/cancel"
        | "tasks/list"
        | "tasks/result" => refuse(
            METHOD_NOT_FOUND,
            format!("The server does not offer `{}`", request.method),
        ),
        _ => None,
    }
}

/// Takes a request of the host that has to cross, or may have to. `None`: it travels as it is.
pub(crate) fn take(
    shared: &Arc<Shared>,
    line: &Bytes,
    request: &Request<'_>,
    flags: &Arc<Flags>,
) -> Option<Result<Crossing, String>> {
    if message::opens_handshake(request) {
        shared.down.close();
        if shared.probe.choice() == Choice::Legacy || matches!(shared.probe.known(), Known::Legacy) {
            return None;
        }
        shared.legacy.restart();
        let opening = Opening {
            shared: Arc::clone(shared),
            id: request.id.to_owned(),
            line: line.clone(),
            handshake: Handshake::read(&request.params),
            flags: Arc::clone(flags),
        };
        return Some(Ok(Crossing {
            era: Era::Legacy,
            kind: Kind::Initialize,
            run: Box::pin(opening.run()),
        }));
    }
    let host = crossed(shared, request.params.meta().is_modern_claim())?;
    if matches!(
        request.method.as_ref(),
        "resources/subscribe" | "resources/unsubscribe"
    ) {
        let run = subscribe(Arc::clone(shared), host, request);
        return Some(Ok(Crossing {
            era: Era::Modern,
            kind: Kind::Once,
            run: Box::pin(run),
        }));
    }
    let call = Call::new(shared, host, line, request, flags);
    Some(call.map(|call| Crossing {
        era: Era::Modern,
        kind: call.kind,
        run: Box::pin(call.run()),
    }))
}

/// Takes a notification that has no meaning for a modern server; false if it travels as it is.
pub(crate) fn swallow(shared: &Arc<Shared>, notification: &Notification<'_>) -> bool {
    let Some(host) = crossed(shared, notification.params.meta().is_modern_claim()) else {
        return false;
    };
    match notification.method.as_ref() {
        "notifications/initialized" => host.listener.start(shared, &host),
        "notifications/roots/list_changed" | "notifications/cancelled" | "notifications/progress" => {}
        method => log::warn(format_args!(
            "dropped the notification `{}`, which means nothing to this server",
            quote(method.as_bytes(), 64)
        )),
    }
    true
}

/// The host, if a message with or without a modern claim crosses. One with a claim never does (B-53).
fn crossed(shared: &Shared, is_modern: bool) -> Option<Arc<Host>> {
    if is_modern { None } else { shared.down.host() }
}

fn empty(request: &Request<'_>) -> Line {
    let mut line = Vec::with_capacity(64);
    write_result(&mut line, request.id, b"{}");
    Line::new(line)
}

/// Carries `resources/subscribe` or `resources/unsubscribe`.
fn subscribe(
    shared: Arc<Shared>,
    host: Arc<Host>,
    request: &Request<'_>,
) -> impl Future<Output = ()> + Send + use<> {
    let id = request.id.to_owned();
    let uri = request
        .params
        .uri()
        .ok()
        .flatten()
        .unwrap_or_default()
        .into_owned();
    let listen = request.method == "resources/subscribe";
    async move {
        let change = host.listener.change(&shared, &host, &uri, listen);
        let line = match shared.alarm.within(shared.call_limit, change).await {
            Ok(true) => {
                let mut line = Vec::with_capacity(64);
                write_result(&mut line, id.as_id(), b"{}");
                Line::new(line)
            }
            Ok(false) => BridgeError::invalid(
                INVALID_PARAMS,
                "The server does not announce changes of this resource",
            )
            .to_line(Some(id.as_id())),
            Err(_) => BridgeError::timeout("The server did not begin to announce changes in time. Try again")
                .to_line(Some(id.as_id())),
        };
        let _ = shared.output.send(line).await;
    }
}

/// A request of the bridge's own: `params` are members, each followed by a comma. Nothing of it reaches the host.
async fn own(shared: &Arc<Shared>, keys: &str, method: &str, params: &str) -> Option<(StatusCode, Outcome)> {
    let lane = Arc::new(Lane::quiet());
    match own_exchange(shared, keys, method, params, Arc::clone(&lane)) {
        Ok(exchange) => exchange.run().await,
        Err(error) => lane.end(Outcome::Failed(BridgeError::protocol(error))),
    }
    lane.take()
}

/// The exchange of such a request, read by `lane`.
fn own_exchange(
    shared: &Arc<Shared>,
    keys: &str,
    method: &str,
    params: &str,
    lane: Arc<Lane>,
) -> Result<Exchange, String> {
    let id = shared.down.asks.id();
    let body = envelope::request(id.as_id(), method, params, keys);
    let fate = match decode(&body, &Rules::BRIDGE) {
        Ok(Message::Request(request)) => message::prepare(shared, &request)?,
        _ => return Err("The request cannot be written".to_owned()),
    };
    Ok(Exchange {
        shared: Arc::clone(shared),
        id,
        kind: fate.kind,
        era: fate.era,
        headers: fate.headers,
        body: body.into(),
        flags: Arc::default(),
        reader: Reader::Lane(lane),
    })
}
