//! Why a request got no reply, in words for the host; and where a redirect may lead.

use hyper::header::{self, HeaderValue};
use hyper::{StatusCode, Uri};

use super::pool::SendError;
use super::{Reply, TransportError, Upstream};
use crate::error::{BridgeError, quote};
use crate::options::URL_VARIABLE;
use crate::seconds::Seconds;

impl Upstream {
    /// Where a redirect may lead: the same origin, with 307 or 308.
    pub(super) fn redirected(&self, reply: &Reply) -> Result<Uri, BridgeError> {
        let location = reply
            .headers
            .get(header::LOCATION)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        let keeps_body = matches!(
            reply.status,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
        if let (true, Some(target)) = (
            keeps_body,
            std::str::from_utf8(location)
                .ok()
                .and_then(|text| self.endpoint.follow(text)),
        ) {
            return Ok(target);
        }
        // Query and user information of a stranger's URL may be secret: scheme, host and path are enough to act on.
        let shown = location
            .split(|byte| matches!(byte, b'?' | b'#'))
            .next()
            .unwrap_or_default();
        Err(BridgeError::http_status(
            reply.status,
            format!(
                "`{}` redirects to `{}` ({}), which is not followed so that neither key nor message reach another \
                 address. If that is the right server, set {URL_VARIABLE} to it",
                self.place(),
                quote(self.without_key(shown).as_bytes(), 200),
                reply.status.as_u16()
            ),
        ))
    }

    pub(super) fn explain(&self, error: &SendError) -> BridgeError {
        match error {
            SendError::Connect(cause) => {
                BridgeError::no_connection(cause.to_string()).diagnosed(cause.diagnosis())
            }
            SendError::Unsent(cause) => BridgeError::no_connection(format!(
                "`{}` did not take the request ({}). Nothing was sent that it could have acted on: try again",
                self.place(),
                cause
            )),
            SendError::Lost(cause) => self.lost(cause),
        }
    }

    /// The error for a reply that stopped on its way.
    pub(crate) fn lost(&self, cause: &TransportError) -> BridgeError {
        BridgeError::reply_lost(format!(
            "The connection to `{}` ended before the reply was complete ({}); whether the request took effect is \
             unknown. Check that before you repeat it",
            self.place(),
            cause
        ))
    }

    pub(super) fn too_busy(&self) -> BridgeError {
        BridgeError::no_connection(format!(
            "No connection to `{}` was free for this request within {} s. Nothing was sent: try again, with fewer requests at \
             once",
            self.place(),
            Seconds(self.response_limit)
        ))
    }

    pub(super) fn too_slow(&self) -> BridgeError {
        BridgeError::timeout(format!(
            "`{}` did not begin to answer within {} s; whether the request took effect is unknown. Check that before you \
             repeat it",
            self.place(),
            Seconds(self.response_limit)
        ))
    }
}
