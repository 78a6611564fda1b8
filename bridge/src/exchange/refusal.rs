//! A reply with a status of 400 or more → what the host is told (M-6 to M-9, M-11).
//!
//! The server's own JSON-RPC error always wins: it passes as it is, with the id added if it had none. Only without one the
//! bridge speaks for itself. Where something can be done about a refusal, that is said as well, and done elsewhere.

mod words;

use std::time::Duration;

use footbridge_protocol::codes;
use footbridge_protocol::era::Era;
use footbridge_protocol::headers::{METHOD, SESSION_ID};
use footbridge_protocol::jsonrpc::{ErrorView, Message, ResponseBody, Rules, decode};
use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::value::RawValue;

use super::{Exchange, Failure, Kind, RETRY_AFTER_MOST, Remedy, Report, Shared};
use crate::challenge::parameter;
use crate::error::{BridgeError, quote};
use crate::probe::{Known, contradicts_legacy};
use crate::upstream::Reply;
use words::describe;

/// How much of a body that is no message is read to quote from.
const QUOTED_BYTES: usize = 2048;
/// The code that server libraries use for what has no code of its own.
const UNNAMED_ERROR: i64 = -32000;

/// Reads the refusal of a request that was sent with `headers`. On the `first` attempt a server that names a short pause
/// gets it.
pub(super) async fn read(exchange: &Exchange, reply: Reply, headers: &HeaderMap, first: bool) -> Failure {
    let status = reply.status;
    exchange.reader.refused(status);
    let challenge = exchange
        .shared
        .upstream
        .without_key(reply.header(WWW_AUTHENTICATE).as_bytes());
    let challenge = quote(challenge.as_bytes(), 1000);
    let waiting = Waiting::read(reply.header(RETRY_AFTER));
    let (is_json, mut body) = (reply.is_type("application/json"), reply.body);
    let text = if is_json {
        match body.whole(exchange.shared.message_bytes).await {
            Ok(text) => text,
            Err(error) => return exchange.body_failure(error),
        }
    } else {
        body.beginning(QUOTED_BYTES).await
    };

    if let Err(failure) = exchange.check_era(status, &text).await {
        return failure;
    }
    if let (Some(pause), true) = (waiting.pause, first && may_wait(exchange, status)) {
        return Failure::Again(pause, exchange.describe(status, &challenge, &waiting, &text));
    }
    if is_hopeless(exchange, status, &challenge) {
        let error = exchange.describe(status, &challenge, &waiting, &text);
        let _ = exchange.shared.stop.set(error);
    }
    let theirs = if is_json {
        own_error(exchange, text)
    } else {
        Err(Unusable::NoError(text))
    };
    let (report, said) = match theirs {
        Ok(error) => (Report::Theirs(error.line), Some(error.said)),
        Err(Unusable::OtherId) => {
            return exchange.broken(&format!(
                "The server answered {} with an error for another request",
                status.as_u16()
            ));
        }
        Err(Unusable::NoError(text)) => (
            Report::Ours(exchange.describe(status, &challenge, &waiting, &text)),
            None,
        ),
    };
    // The host has to begin anew, which is when the server is asked again.
    if exchange.era == Era::Legacy
        && contradicts_legacy(status, said.map(|said| said.code))
        && exchange.shared.probe.doubt()
    {
        exchange.shared.probe.learn(Known::Unknown);
    }
    Failure::Refused(remedy(exchange, status, headers, said), report)
}

/// Says whether the very first word was refused for want of a credential that this process will never have: the
/// environment it was started with does not change, and the server offers no sign-in. Then it ends once the host has its
/// answer, so that the client's log says which variable to set.
fn is_hopeless(exchange: &Exchange, status: StatusCode, challenge: &str) -> bool {
    let greets = exchange.kind == Kind::Initialize
        || exchange
            .headers
            .get(METHOD)
            .is_some_and(|method| method == "server/discover");
    let upstream = &exchange.shared.upstream;
    status == StatusCode::UNAUTHORIZED
        && greets
        && !upstream.has_key()
        && !upstream.is_signed_in()
        && parameter(challenge, "resource_metadata").is_none()
}

/// What can be done about a refusal with this status and this JSON-RPC error, if it had one.
fn remedy(
    exchange: &Exchange,
    status: StatusCode,
    headers: &HeaderMap,
    said: Option<Said>,
) -> Option<Remedy> {
    let code = said.map(|said| said.code);
    match status {
        // A method the server does not know is no lost session, whatever the status.
        StatusCode::NOT_FOUND
            if exchange.era == Era::Legacy
                && headers.contains_key(SESSION_ID)
                && code != Some(codes::METHOD_NOT_FOUND) =>
        {
            Some(Remedy::Session)
        }
        // Older releases of the common server libraries answer a session they do not know like this.
        StatusCode::BAD_REQUEST
            if exchange.era == Era::Legacy
                && headers.contains_key(SESSION_ID)
                && said.is_some_and(|said| said.names_session) =>
        {
            Some(Remedy::Session)
        }
        StatusCode::BAD_REQUEST if exchange.kind == Kind::Call && code == Some(codes::HEADER_MISMATCH) => {
            Some(Remedy::Headers)
        }
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
            if exchange.kind == Kind::Initialize && code.is_none() =>
        {
            Some(Remedy::OldTransport)
        }
        _ => None,
    }
}

impl Exchange {
    fn describe(&self, status: StatusCode, challenge: &str, waiting: &Waiting, text: &[u8]) -> BridgeError {
        let in_session = self.era == Era::Legacy && self.shared.legacy.has_session();
        describe(&self.shared, in_session, status, challenge, waiting, text)
    }
}

/// Reads a refusal of something no host has written: the server's error, or the failure in our words; and the pause after
/// which the server wants to be asked again, if it is short.
pub(crate) async fn said_or_described(
    shared: &Shared,
    reply: Reply,
) -> (Result<Box<RawValue>, BridgeError>, Option<Duration>) {
    let status = reply.status;
    let challenge = shared
        .upstream
        .without_key(reply.header(WWW_AUTHENTICATE).as_bytes());
    let challenge = quote(challenge.as_bytes(), 1000);
    let waiting = Waiting::read(reply.header(RETRY_AFTER));
    let (is_json, mut body) = (reply.is_type("application/json"), reply.body);
    let text = if is_json {
        body.whole(shared.message_bytes).await.unwrap_or_default()
    } else {
        body.beginning(QUOTED_BYTES).await
    };
    if let Ok(Message::Response(response)) = decode(&text, &Rules::BRIDGE)
        && let ResponseBody::Error(error) = response.body
    {
        return (Ok(error.to_owned()), waiting.pause);
    }
    let described = describe(shared, false, status, &challenge, &waiting, &text);
    (Err(described), waiting.pause)
}

/// 429 means the request was not executed; 503 may mean anything, so only what may be repeated is.
fn may_wait(exchange: &Exchange, status: StatusCode) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE => exchange.kind.is_repeatable(),
        _ => false,
    }
}

enum Unusable {
    OtherId,
    NoError(Vec<u8>),
}

/// The server's own JSON-RPC error.
struct OwnError {
    /// The error under the request's id.
    line: Vec<u8>,
    said: Said,
}

/// What matters of a JSON-RPC error.
#[derive(Clone, Copy)]
struct Said {
    code: i64,
    /// It has the code and the words of a session that is not known.
    names_session: bool,
}

impl Said {
    fn read(error: &RawValue) -> Said {
        let Some(error) = ErrorView::read(error) else {
            return Said {
                code: 0,
                names_session: false,
            };
        };
        Said {
            code: error.code,
            names_session: error.code == UNNAMED_ERROR
                && error.message.to_ascii_lowercase().contains("session id"),
        }
    }
}

fn own_error(exchange: &Exchange, body: Vec<u8>) -> Result<OwnError, Unusable> {
    let (with_id, said) = match decode(&body, &Rules::BRIDGE) {
        Ok(Message::Response(response)) => match (response.id, response.body) {
            (Some(id), ResponseBody::Error(_)) if id != exchange.id() => return Err(Unusable::OtherId),
            (id, ResponseBody::Error(error)) => {
                let said = Said::read(error);
                let with_id = id.is_none().then(|| {
                    format!(
                        r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#,
                        exchange.id.as_raw()
                    )
                });
                (with_id, said)
            }
            (_, ResponseBody::Result(_)) => return Err(Unusable::NoError(body)),
        },
        _ => return Err(Unusable::NoError(body)),
    };
    let line = with_id.map_or(body, String::into_bytes);
    Ok(OwnError { line, said })
}

/// What `Retry-After` says.
struct Waiting {
    /// The header's text, for people.
    shown: String,
    /// The pause, if it is short enough to wait here.
    pause: Option<Duration>,
}

impl Waiting {
    fn read(header: &str) -> Waiting {
        let pause = header
            .trim()
            .parse()
            .ok()
            .map(Duration::from_secs)
            .filter(|pause| *pause <= RETRY_AFTER_MOST);
        Waiting {
            shown: quote(header.as_bytes(), 64),
            pause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_pauses_are_waited_for() {
        assert_eq!(Waiting::read("30").pause, Some(Duration::from_secs(30)));
        assert_eq!(Waiting::read("31").pause, None);
        assert_eq!(Waiting::read("Fri, 20 Nov 2026 10:00:00 GMT").pause, None);
    }
}
