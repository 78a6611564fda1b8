//! Saying no to the host: lines that are no messages, too long, or that nobody can carry.

use footbridge_protocol::era::ProtocolVersion;
use footbridge_protocol::jsonrpc::{DecodeError, Id, Message, Rules, decode, id_in_prefix};

use super::Forward;
use crate::brand::variable;
use crate::error::BridgeError;
use crate::log;
use crate::stdio::{Incoming, Input, Line, Output};

impl Forward {
    /// A line that is no message (B-07).
    pub(super) async fn refuse_line(&self, error: &DecodeError) {
        log::warn(format_args!("a line of the host is no JSON-RPC message: {error}"));
        // Older schemas know no error without an id.
        let newest = Some(ProtocolVersion::V2025_11_25);
        let understood = self.modern_host
            || self.shared.legacy.revision() == newest
            || self.shared.down.revision() == newest;
        if error
            .id()
            .is_some_and(|id| self.flights.contains_key(&id.to_owned()))
        {
            return;
        }
        if error.id().is_some() || understood {
            self.say(BridgeError::invalid(error.code(), error.to_string()).to_line(error.id()))
                .await;
        }
    }

    /// A line over the limit (B-06).
    pub(super) async fn refuse_long(&self, head: &[u8]) {
        let limit = self.shared.message_bytes;
        log::warn(format_args!(
            "a line of the host is longer than {limit} bytes and was dropped"
        ));
        let Some(id) = id_in_prefix(head).filter(|id| !self.flights.contains_key(id)) else {
            return;
        };
        let error = BridgeError::too_large(format!(
            "The request is longer than {limit} bytes. Send less, or raise {}",
            variable!("MAX_MESSAGE")
        ));
        self.say(error.to_line(Some(id.as_id()))).await;
    }

    pub(super) async fn refuse(&self, id: Id<'_>, code: i64, message: String) {
        self.say(BridgeError::invalid(code, message).to_line(Some(id)))
            .await;
    }

    pub(super) async fn say(&self, line: Line) {
        // A host that is gone ends the program elsewhere.
        let _ = self.shared.output.send(line).await;
    }
}

/// How long a bridge goes on that cannot know its server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// The host has the answer to one request.
    FirstRequest,
    /// The host has closed its end.
    HostEnds,
}

/// The loop of a bridge that cannot know its server: every request is answered with what has to be corrected.
pub(crate) async fn refuse_all(input: &mut Input, output: &Output, error: &BridgeError, until: Until) {
    loop {
        let line = match input.next().await {
            Incoming::Line(line) => line,
            Incoming::TooLong(_) => continue,
            Incoming::End => return,
        };
        let id = match decode(&line, &Rules::BRIDGE) {
            Ok(Message::Request(request)) => Some(request.id.to_owned()),
            Ok(_) => None,
            Err(broken) => broken.id().map(Id::to_owned),
        };
        if let Some(id) = id
            && (output.send(error.to_line(Some(id.as_id()))).await.is_err() || until == Until::FirstRequest)
        {
            return;
        }
    }
}
