//! Why an attempt failed, and what may still be tried.

use std::time::Duration;

use super::Exchange;
use crate::error::BridgeError;
use crate::pause::jittered;
use crate::stdio::{HostGone, Line};
use crate::upstream::BodyError;

/// Pause before a lost request is sent again (B-41), a quarter of it random.
const RESEND_PAUSE: Duration = Duration::from_millis(200);

/// Why an attempt ended without an answer, and whether another one may follow.
pub(super) enum Failure {
    /// Tell the host.
    Final(BridgeError),
    /// The reply is lost or was refused for now: send again after the pause, once.
    Again(Duration, BridgeError),
    /// Refused: what may help, and what to tell the host if nothing does.
    Refused(Option<Remedy>, Report),
    /// Nothing is left to say: the host has its answer, or is gone.
    Settled,
}

/// What may help against a refusal. Each presumes that nothing was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The session is gone: open a new one (M-9).
    Session,
    /// The headers do not match the message: make them again from a fresh listing (M-10).
    Headers,
    /// No endpoint takes this `initialize`: the server may be of the first revision, which had another transport.
    OldTransport,
}

/// What the host is told about a refusal: the server's own error, or ours.
pub(super) enum Report {
    Theirs(Line),
    Ours(BridgeError),
}

/// What has been tried for one request. Every remedy is used once.
#[derive(Default)]
pub(super) struct Tried {
    pub(super) again: bool,
    pub(super) session: bool,
    pub(super) headers: bool,
    pub(super) old_transport: bool,
}

impl From<BridgeError> for Failure {
    fn from(error: BridgeError) -> Failure {
        Failure::Final(error)
    }
}

impl From<HostGone> for Failure {
    fn from(_: HostGone) -> Failure {
        Failure::Settled
    }
}

impl Exchange {
    pub(super) fn broken(&self, cause: &str) -> Failure {
        BridgeError::protocol(format!(
            "{}. Its operator has to correct that",
            cause.trim_end_matches('.')
        ))
        .into()
    }

    pub(super) fn lost(&self, cause: &str) -> Failure {
        self.again(Self::unknown_outcome(cause))
    }

    pub(super) fn unknown_outcome(cause: &str) -> BridgeError {
        BridgeError::reply_lost(format!(
            "{cause}; whether the request took effect is unknown. Check that before you repeat it"
        ))
    }

    /// A lost reply may be asked for again only if asking changes nothing.
    pub(super) fn again(&self, error: BridgeError) -> Failure {
        if self.kind.is_repeatable() {
            Failure::Again(jittered(RESEND_PAUSE), error)
        } else {
            Failure::Final(error)
        }
    }

    pub(super) fn body_failure(&self, error: BodyError) -> Failure {
        match error {
            BodyError::Lost(cause) => self.again(self.shared.upstream.lost(&cause)),
            BodyError::TooLarge => BridgeError::reply_too_large(self.shared.message_bytes).into(),
        }
    }
}
