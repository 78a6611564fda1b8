//! A message from the server → what is to be done with it.
//!
//! The one place that decides what may reach the host: a message that is one, on a stream it may travel on. The bytes are
//! judged, never changed.

use footbridge_protocol::era::{Era, ProtocolVersion};
use footbridge_protocol::jsonrpc::{DecodeError, Id, Message, OwnedId, Rules, decode, decode_batch};

use crate::exchange::Shared;
use crate::log;

/// What a message is to the one who reads the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The response that is waited for.
    Answer,
    /// For the host, now.
    Pass,
    /// A response to some other request, or to none that could be read.
    Other(Option<OwnedId>),
    /// Not for the host; a line on stderr says why.
    Drop,
    /// An array of messages (revision 2025-03-26), each to be judged.
    Several(Vec<Vec<u8>>),
}

/// The exchange a message came with: the request that is open and its era. `None` is the server's own stream.
pub(crate) type Asked<'a> = Option<(&'a OwnedId, Era)>;

/// What a message of the server may be. How deep it nests is the host's to judge: nothing here recurses, and counting levels
/// costs as much as all the rest of the reading.
const RULES: Rules = Rules {
    depth: usize::MAX,
    ..Rules::BRIDGE
};

/// Whether the server takes back a request of its own.
pub(crate) fn withdraws(data: &[u8]) -> bool {
    matches!(decode(data, &RULES), Ok(Message::Notification(notification)) if notification.method == "notifications/cancelled")
}

/// Judges one message. A request of the server is remembered, so that the host's answer finds its way.
pub(crate) fn judge(data: &[u8], asked: Asked<'_>, shared: &Shared) -> Result<Verdict, DecodeError> {
    let era = asked.map_or(Era::Legacy, |(_, era)| era);
    match decode(data, &RULES) {
        Ok(Message::Notification(notification)) => {
            // What was learnt from the list does not outlive it (B-33).
            if notification.method == "notifications/tools/list_changed" {
                shared.tools.forget();
            }
            Ok(Verdict::Pass)
        }
        Ok(Message::Response(response)) => Ok(match (response.id, asked) {
            (Some(id), Some((open, _))) if *open == id => Verdict::Answer,
            (id, _) => Verdict::Other(id.map(Id::to_owned)),
        }),
        // A modern host is never asked anything outside a result (B-08).
        Ok(Message::Request(_)) if era == Era::Modern => {
            log::warn(format_args!(
                "dropped a request of the server, which this revision does not allow"
            ));
            Ok(Verdict::Drop)
        }
        Ok(Message::Request(request)) => {
            shared.legacy.ask(request.id.to_owned());
            Ok(Verdict::Pass)
        }
        Err(DecodeError::Batch)
            if era == Era::Legacy && shared.legacy.revision() == Some(ProtocolVersion::V2025_03_26) =>
        {
            let parts = decode_batch(data, &RULES)?;
            Ok(Verdict::Several(
                parts
                    .into_iter()
                    .map(|part| part.get().as_bytes().to_vec())
                    .collect(),
            ))
        }
        Err(error) => Err(error),
    }
}
