//! What the host has asked of a session for good: a log level, subscriptions to resources. Asked for again in a session that
//! takes the place of a lost one (protocol.md B-43).
//!
//! In come requests that the server has granted; out go the same wishes as requests of the bridge's own, after the handshake.
//! A wish that is refused then is named on stderr: the host was promised it, and cannot be told otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::jsonrpc::{
    ErrorView, Message, OwnedId, ResponseBody, Rules, decode, write_notification, write_request,
};
use hyper::header::HeaderMap;

use super::sse_transport;
use crate::brand;
use crate::cross::object::quoted;
use crate::error::quote;
use crate::exchange::Shared;
use crate::exchange::ask::ask;
use crate::log;
use crate::stdio::Line;

/// Subscriptions that are remembered. Their addresses come from the host, which is no reason to keep any number of them.
const SUBSCRIPTIONS: usize = 1024;
/// Longest time for one wish. Others wait behind it.
const LIMIT: Duration = Duration::from_secs(10);

/// Says whether a granted request of this method holds for the rest of the session.
pub(crate) fn holds(method: &str) -> bool {
    matches!(
        method,
        "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe"
    )
}

/// The wishes that were granted.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// The level set last.
    level: Option<String>,
    /// The resources whose changes are announced, by address.
    subscriptions: BTreeSet<String>,
}

impl Standing {
    /// Notes what the server has granted with `response`. An error grants nothing.
    pub(super) fn note(&mut self, request: &[u8], response: &[u8]) {
        let granted = matches!(
            decode(response, &Rules::BRIDGE),
            Ok(Message::Response(response)) if matches!(response.body, ResponseBody::Result(_))
        );
        let Ok(Message::Request(request)) = decode(request, &Rules::BRIDGE) else {
            return;
        };
        if !granted {
            return;
        }
        let uri = request.params.uri().ok().flatten();
        match (request.method.as_ref(), uri) {
            ("logging/setLevel", _) => {
                self.level = request.params.level().ok().flatten().map(Into::into);
            }
            ("resources/subscribe", Some(uri)) if self.subscriptions.len() < SUBSCRIPTIONS => {
                self.subscriptions.insert(uri.into_owned());
            }
            ("resources/subscribe", Some(_)) => log::warn(format_args!(
                "more than {SUBSCRIPTIONS} subscriptions: the last one is lost when the session is"
            )),
            ("resources/unsubscribe", Some(uri)) => {
                self.subscriptions.remove(uri.as_ref());
            }
            _ => {}
        }
    }

    /// Asks for everything again, one after the other.
    pub(super) async fn renew(self, shared: Arc<Shared>) {
        if let Some(level) = &self.level {
            let params = format!(r#"{{"level":{}}}"#, quoted(level));
            wish(&shared, "logging/setLevel", &params).await;
        }
        for uri in self.subscriptions {
            let params = format!(r#"{{"uri":{}}}"#, quoted(&uri));
            if wish(&shared, "resources/subscribe", &params).await {
                // What changed in between was announced to nobody.
                let mut line = Vec::with_capacity(params.len() + 80);
                write_notification(
                    &mut line,
                    "notifications/resources/updated",
                    Some(params.as_bytes()),
                );
                let _ = shared.output.send(Line::new(line)).await;
            }
        }
    }
}

/// Makes one request in the present session; true if it was granted.
async fn wish(shared: &Shared, method: &str, params: &str) -> bool {
    // Hosts number their requests, or name them at random: none of theirs is this.
    let id = OwnedId::from_string(&format!("{} {method} {params}", brand::NAME));
    let mut body = Vec::with_capacity(params.len() + 160);
    write_request(&mut body, id.as_id(), method, Some(params.as_bytes()));
    let body = Bytes::from(body);
    let asking = async {
        if shared.legacy.post_target().is_some() {
            return sse_transport::ask(shared, &body, &id).await;
        }
        let mut headers = HeaderMap::new();
        shared.legacy.stamp(&mut headers);
        ask(shared, &headers, &body, &id)
            .await
            .map(|(_, response)| response)
    };
    let cause = match tokio::time::timeout(LIMIT, asking).await {
        Ok(Ok(response)) => match decode(&response, &Rules::BRIDGE) {
            Ok(Message::Response(response)) => match response.body {
                ResponseBody::Result(_) => return true,
                ResponseBody::Error(error) => ErrorView::read(error).map_or_else(
                    || "it was refused".to_owned(),
                    |error| {
                        quote(
                            shared.upstream.without_key(error.message.as_bytes()).as_bytes(),
                            200,
                        )
                    },
                ),
            },
            _ => "the answer cannot be read".to_owned(),
        },
        Ok(Err(error)) => error.message().to_owned(),
        Err(_) => format!("no answer within {} s", LIMIT.as_secs()),
    };
    log::warn(format_args!(
        "`{method}` could not be repeated in the new session: {cause}"
    ));
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b43_only_what_was_granted_is_remembered() {
        let mut standing = Standing::default();
        let request = |method: &str, params: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
        };
        let (granted, refused) = (
            br#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#,
        );
        for (method, params, response) in [
            ("logging/setLevel", r#"{"level":"info"}"#, &granted[..]),
            ("logging/setLevel", r#"{"level":"debug"}"#, &refused[..]),
            ("resources/subscribe", r#"{"uri":"a:1"}"#, &granted[..]),
            ("resources/subscribe", r#"{"uri":"a:2"}"#, &granted[..]),
            ("resources/subscribe", r#"{"uri":"a:3"}"#, &refused[..]),
            ("resources/unsubscribe", r#"{"uri":"a:1"}"#, &granted[..]),
            ("resources/unsubscribe", r#"{"uri":"a:2"}"#, &refused[..]),
        ] {
            assert!(holds(method));
            standing.note(request(method, params).as_bytes(), response);
        }
        assert_eq!(standing.level.as_deref(), Some("info"));
        assert_eq!(Vec::from_iter(standing.subscriptions), ["a:2"]);
    }

    #[test]
    fn b43_what_is_remembered_is_bounded() {
        let mut standing = Standing::default();
        for number in 0..=SUBSCRIPTIONS {
            let request = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{{"uri":"a:{number}"}}}}"#
            );
            standing.note(request.as_bytes(), br#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        }
        assert_eq!(standing.subscriptions.len(), SUBSCRIPTIONS);
    }
}
