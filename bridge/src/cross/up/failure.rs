//! Why a request that crosses the eras has no result, and what the host reads instead.

use std::time::Duration;

use footbridge_protocol::jsonrpc::{ErrorObject, ErrorView, Id};
use hyper::StatusCode;
use serde_json::json;
use serde_json::value::RawValue;

use crate::error::{BridgeError, quote};
use crate::stdio::Line;

/// Why there is no result.
pub(super) enum Failure {
    /// In our words.
    Bridge(BridgeError),
    /// The value of `error`, the server's or what a modern server would say.
    Refused(Box<RawValue>),
    /// The server has no time now and names a short pause.
    Busy {
        pause: Duration,
        status: StatusCode,
        /// What to say if it is not asked again.
        refusal: Box<Failure>,
    },
    /// The server no longer knows the session, and has not looked at the request.
    SessionLost,
    /// The host has been told.
    Settled,
}

impl From<BridgeError> for Failure {
    fn from(error: BridgeError) -> Failure {
        Failure::Bridge(error)
    }
}

impl Failure {
    pub(super) fn refuse(error: &ErrorObject) -> Failure {
        let mut members = json!({ "code": error.code, "message": error.message });
        if let (Some(members), Some(data)) = (members.as_object_mut(), &error.data) {
            members.insert(
                "data".to_owned(),
                serde_json::from_str(data.get()).unwrap_or_default(),
            );
        }
        match serde_json::value::to_raw_value(&members) {
            Ok(raw) => Failure::Refused(raw),
            Err(_) => Failure::Bridge(BridgeError::invalid(error.code, error.message.clone())),
        }
    }

    /// Says whether the server may still be at work on the request.
    pub(super) fn leaves_work(&self) -> bool {
        matches!(self, Failure::Bridge(error) if error.leaves_work())
    }

    /// The same failure of something that followed a call: what the call has done stays unknown.
    pub(super) fn after_the_fact(self) -> Failure {
        match self {
            Failure::Bridge(error) if error.leaves_work() => Failure::Bridge(error),
            failure => Failure::Bridge(BridgeError::reply_lost(format!(
                "The call was cut off while its question was answered ({}); whether it took effect is unknown. Check that \
                 before you repeat it",
                failure.message().trim_end_matches('.')
            ))),
        }
    }

    /// The cause, for stderr.
    pub(super) fn message(&self) -> String {
        match self {
            Failure::Bridge(error) => error.message().to_owned(),
            Failure::Refused(error) => ErrorView::read(error).map_or_else(String::new, |error| {
                format!(
                    "the server answered {}: {}",
                    error.code,
                    quote(error.message.as_bytes(), 200)
                )
            }),
            Failure::Busy { refusal, .. } => refusal.message(),
            Failure::SessionLost => "the server has dropped the session".to_owned(),
            Failure::Settled => String::new(),
        }
    }

    /// The line that tells the host. `None` if it knows.
    pub(super) fn to_line(&self, id: Id<'_>) -> Option<Line> {
        match self {
            Failure::Bridge(error) => Some(error.to_line(Some(id))),
            Failure::Refused(error) => Some(Line::new(
                format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.as_raw()).into_bytes(),
            )),
            Failure::Busy { refusal, .. } => refusal.to_line(id),
            Failure::SessionLost => Some(
                BridgeError::no_connection(
                    "The server drops every session it opens. Its operator has to correct that",
                )
                .to_line(Some(id)),
            ),
            Failure::Settled => None,
        }
    }
}
