//! Where the messages of an exchange go: to the host as they are, or into a crossing.

use std::sync::Arc;

use footbridge_protocol::jsonrpc::Id;
use hyper::StatusCode;

use super::{Seen, Shared};
use crate::cross::down::{Lane, Outcome};
use crate::error::BridgeError;
use crate::stdio::{HostGone, Line};

/// Who reads an exchange.
#[derive(Clone)]
pub(crate) enum Reader {
    /// The host.
    Host,
    /// A crossing, which makes the host's messages of what it reads.
    Lane(Arc<Lane>),
}

impl Reader {
    /// Takes a message before the response.
    pub(super) async fn pass(&self, shared: &Shared, data: Vec<u8>) -> Result<(), HostGone> {
        match self {
            Reader::Host => shared.output.send(Line::new(data)).await,
            Reader::Lane(lane) => lane.pass(shared, data).await,
        }
    }

    /// Takes the response, with what was seen of it.
    pub(super) async fn answer(
        &self,
        shared: &Shared,
        response: Vec<u8>,
        seen: Seen,
    ) -> Result<(), HostGone> {
        match self {
            Reader::Host => shared.output.send(Line::new(response)).await,
            Reader::Lane(lane) => {
                lane.answer(response, seen);
                Ok(())
            }
        }
    }

    /// Takes our own error in the response's place.
    pub(super) async fn fail(&self, shared: &Shared, id: Id<'_>, error: BridgeError) {
        match self {
            Reader::Host => {
                let _ = shared.output.send(error.to_line(Some(id))).await;
            }
            Reader::Lane(lane) => lane.end(Outcome::Failed(error)),
        }
    }

    /// Notes that the server refused with this status.
    pub(super) fn refused(&self, status: StatusCode) {
        if let Reader::Lane(lane) = self {
            lane.refused(status);
        }
    }
}
