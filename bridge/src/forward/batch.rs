//! An array of messages (protocol.md X-14): each travels by itself, the answers go back as one array.
//!
//! Only revision 2025-03-26 has arrays. Servers of that revision take them too, but their answers come faster and fail one
//! by one if each message has an exchange of its own, so arrays are taken apart whatever the server speaks.

use std::collections::HashSet;

use bytes::Bytes;
use footbridge_protocol::codes;
use footbridge_protocol::era::ProtocolVersion;
use footbridge_protocol::jsonrpc::{Id, Message, Rules, decode_batch, decode_raw};

use super::{Forward, message};

impl Forward {
    /// Says whether the host may send arrays.
    pub(super) fn knows_batches(&self) -> bool {
        self.shared.down.knows_batches()
            || self.shared.legacy.revision() == Some(ProtocolVersion::V2025_03_26)
    }

    /// Takes an array of the host apart.
    pub(super) async fn admit_batch(&mut self, line: Bytes) {
        let parts = match decode_batch(&line, &Rules::BRIDGE) {
            Ok(parts) => parts,
            Err(error) => return self.refuse_line(&error).await,
        };
        let mut ids = HashSet::new();
        let mut broken = Vec::new();
        let mut fine = Vec::with_capacity(parts.len());
        for part in parts {
            match decode_raw(part, &Rules::BRIDGE) {
                // The handshake stands alone in every revision.
                Ok(Message::Request(request)) if message::opens_handshake(&request) => {
                    let message = "`initialize` must not be part of an array".to_owned();
                    self.refuse(request.id, codes::INVALID_REQUEST, message).await;
                    continue;
                }
                Ok(Message::Request(request)) => {
                    let id = request.id.to_owned();
                    if !self.flights.contains_key(&id) {
                        ids.insert(id);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    ids.extend(error.id().map(Id::to_owned));
                    broken.push(error);
                    continue;
                }
            }
            fine.push(line.slice_ref(part.get().as_bytes()));
        }
        self.shared.output.gather(ids);
        for error in &broken {
            self.refuse_line(error).await;
        }
        for part in fine {
            Box::pin(self.admit(part)).await;
        }
    }
}
