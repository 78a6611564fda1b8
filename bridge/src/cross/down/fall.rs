//! A server that was modern and is no longer (protocol.md B-51): one new probe, and the handshake it now needs.
//!
//! A refusal that only older software gives comes before anything is executed. If the new probe confirms it, the host's own
//! `initialize` is sent after all, and from then on its messages pass as they are.

use std::sync::Arc;

use bytes::Bytes;
use footbridge_protocol::era::Era;
use footbridge_protocol::jsonrpc::{OwnedId, write_notification};
use hyper::header::HeaderMap;

use super::lane::{Lane, Outcome};
use super::open::meaning;
use super::{Host, own};
use crate::cross::object::Object;
use crate::error::BridgeError;
use crate::exchange::{Exchange, Kind, Reader, Shared, deliver};
use crate::legacy::stream;
use crate::log;
use crate::probe::{Conclusion, Known};

/// The host's `initialize`, kept for this.
#[derive(Clone, Debug)]
pub(super) struct Initialize {
    pub(super) id: OwnedId,
    pub(super) line: Bytes,
}

/// Probes again; returns whether the server now has a session for the host. An error is the host's to see.
pub(super) async fn fall(shared: &Arc<Shared>, host: &Arc<Host>) -> Result<bool, BridgeError> {
    let probed = own(shared, &host.keys(), "server/discover", "").await;
    let Some((status, outcome)) = probed else {
        return Ok(false);
    };
    if meaning(status, &outcome) != Conclusion::Legacy {
        return Ok(false);
    }
    log::warn(format_args!(
        "the server no longer speaks {}, opening a session for the client",
        host.version
    ));
    shared.legacy.restart();
    let lane = Arc::new(Lane::quiet());
    let exchange = Exchange {
        shared: Arc::clone(shared),
        id: host.initialize.id.clone(),
        kind: Kind::Initialize,
        era: Era::Legacy,
        headers: HeaderMap::new(),
        body: host.initialize.line.clone(),
        flags: Arc::default(),
        reader: Reader::Lane(Arc::clone(&lane)),
    };
    exchange.run().await;
    let result = match lane.take() {
        Some((_, Outcome::Response(response))) => Object::within(&response, "result")
            .and_then(|within| within.object.map(|object| object.to_text())),
        Some((_, Outcome::Failed(error))) => return Err(error),
        None => None,
    };
    let version = result.and_then(|result| Object::read(&result)?.text("protocolVersion"));
    if version.as_deref() != Some(host.handshake.answered) {
        shared.legacy.restart();
        return Err(BridgeError::no_translation(
            false,
            "The server has changed to another protocol version, which a running client cannot be told. Restart the client, \
             or reconnect this server in it",
        ));
    }
    let mut initialized = Vec::with_capacity(64);
    write_notification(&mut initialized, "notifications/initialized", None);
    let initialized = Bytes::from(initialized);
    let mut headers = HeaderMap::new();
    shared.legacy.stamp(&mut headers);
    if deliver(shared, &headers, &initialized, "the client's readiness").await {
        shared.legacy.keep_initialized(&initialized);
        stream::open(shared);
    }
    shared.probe.learn(Known::Legacy);
    shared.down.close();
    Ok(true)
}
