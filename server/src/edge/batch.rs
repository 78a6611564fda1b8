//! Arrays of messages, which revision 2025-03-26 alone knows (protocol.md S-44).

use footbridge_protocol::{
    codes,
    jsonrpc::{ErrorObject, Message, decode_batch, decode_raw},
};
use http::StatusCode;

use super::{
    desk::{Caller, Desk, RULES, undecodable},
    envelope::Mirror,
    line::{Events, Line},
    reply::Reply,
};

impl Desk {
    /// An array of messages, each judged alone (protocol.md S-44).
    pub(super) async fn batch(&self, caller: &Caller, mirror: Mirror<'_>, body: &[u8], line: &Line) -> Reply {
        let elements = match decode_batch(body, &RULES) {
            Ok(elements) => elements,
            Err(error) => return undecodable(&error),
        };
        let messages: Vec<_> = elements
            .into_iter()
            .map(|element| decode_raw(element, &RULES))
            .collect();
        let strange = messages.iter().flatten().any(|message| match message {
            Message::Request(request) => {
                request.method == "initialize" || request.params.meta().is_modern_claim()
            }
            Message::Notification(notification) => notification.params.meta().is_modern_claim(),
            Message::Response(_) => false,
        });
        if strange {
            let text = "An array may hold neither `initialize` nor messages that name a version in `_meta`.";
            return Reply::error(
                StatusCode::BAD_REQUEST,
                None,
                &ErrorObject::new(codes::INVALID_REQUEST, text),
            );
        }
        // Nothing streams out of an array: its answers stand together. The work itself is legacy all the same.
        line.outlive_caller();
        let inner = Line::new(Events::Never);
        let mut out = vec![b'['];
        for (position, message) in messages.into_iter().enumerate() {
            // The first was counted with the body.
            let over_limit = if position == 0 {
                None
            } else {
                self.common.house.count_request(&caller.principal).err()
            };
            let reply = match (message, over_limit) {
                (Ok(Message::Request(request)), Some(limit)) => {
                    self.over_rate(caller, mirror, &request, &limit).await
                }
                (Ok(message), _) => Box::pin(self.message(caller, mirror, message, &inner)).await,
                (Err(error), _) => undecodable(&error),
            };
            if !reply.is_empty() {
                if out.len() > 1 {
                    out.push(b',');
                }
                out.extend_from_slice(&reply.into_bytes());
            }
        }
        if out.len() == 1 {
            return Reply::accepted();
        }
        out.push(b']');
        Reply::raw(200, out)
    }
}
