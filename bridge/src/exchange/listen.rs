//! `subscriptions/listen`: a stream that is to last (protocol.md B-48, M-17).
//!
//! Once the server has acknowledged the subscription, a broken stream is opened again with the same request. The host sees
//! neither the break nor the second acknowledgement, only one notification for each thing it listens to, as it may have
//! missed some. A subscription that cannot be had again ends as stdio ends one: with `notifications/cancelled`.

use std::collections::HashMap;

use footbridge_protocol::jsonrpc::{
    Message, Notification, ResponseBody, Rules, decode, write_notification, write_string,
};
use hyper::Method;
use serde_json::Value;
use serde_json::value::RawValue;

use super::events::{Events, EventsError};
use super::{Exchange, Failure};
use crate::buffering::Watch;
use crate::error::BridgeError;
use crate::legacy::place::may_pass;
use crate::log;
use crate::pause::Backoff;
use crate::stdio::HostGone;
use crate::upstream::Reply;

/// Kinds of changes that can be listened to, with their notifications.
const KINDS: [(&str, &str); 3] = [
    ("toolsListChanged", "notifications/tools/list_changed"),
    ("promptsListChanged", "notifications/prompts/list_changed"),
    ("resourcesListChanged", "notifications/resources/list_changed"),
];
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

/// What the server has agreed to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Subset {
    /// One flag for each of [`KINDS`].
    kinds: [bool; KINDS.len()],
    uris: Vec<String>,
}

/// A subscription and the state it is in.
struct Listening<'a> {
    exchange: &'a Exchange,
    /// What was acknowledged first; `None` before that.
    subset: Option<Subset>,
    /// The stream has been opened again and is not acknowledged yet.
    reopened: bool,
    /// Until the first message.
    watch: Option<Watch>,
    backoff: Backoff,
}

/// What one event, or one attempt, has led to.
enum Step {
    /// Go on reading.
    On,
    /// The subscription is over and the host knows.
    Over,
    /// The server will not have it back, for this reason.
    Refused(String),
}

/// Reads the stream of `reply`, and those that follow it, until the subscription is over.
pub(super) async fn run(exchange: &Exchange, reply: Reply) -> Result<(), Failure> {
    let mut listening = Listening {
        exchange,
        subset: None,
        reopened: false,
        watch: None,
        backoff: Backoff::new(),
    };
    let mut reply = reply;
    loop {
        let mut events = Events::new(reply.body, exchange.shared.message_bytes);
        listening.watch = Some(exchange.shared.buffering.watch());
        let cause = match listening.read(&mut events).await? {
            Ok(Step::Refused(cause)) => return listening.tear_down(&cause).await,
            Ok(Step::On | Step::Over) => {
                events.linger();
                return Ok(());
            }
            Err(broken) => broken,
        };
        drop(events);
        if listening.subset.is_none() {
            return Err(cause.into());
        }
        log::info(format_args!(
            "a subscription's stream broke and is opened again: {}",
            cause.message()
        ));
        reply = match listening.reopen().await? {
            Ok(reply) => reply,
            Err(Step::Refused(cause)) => return listening.tear_down(&cause).await,
            Err(Step::On | Step::Over) => return Ok(()),
        };
    }
}

impl Listening<'_> {
    /// Reads one stream. The inner error says how it broke.
    async fn read(&mut self, events: &mut Events) -> Result<Result<Step, BridgeError>, Failure> {
        loop {
            let next = events.next().await;
            self.watch = None;
            match next {
                Ok(Some(event)) => match self.take(event.data).await? {
                    Step::On => {}
                    step => return Ok(Ok(step)),
                },
                Ok(None) => {
                    return Ok(Err(BridgeError::reply_lost(
                        "The server ended the subscription's stream without a word",
                    )));
                }
                Err(EventsError::Lost(cause)) => return Ok(Err(self.exchange.shared.upstream.lost(&cause))),
                Err(EventsError::TooLarge(_)) => {
                    let limit = self.exchange.shared.message_bytes;
                    return Err(BridgeError::reply_too_large(limit).into());
                }
            }
        }
    }

    /// Does what one message asks for.
    async fn take(&mut self, data: Vec<u8>) -> Result<Step, Failure> {
        let mut over = false;
        match decode(&data, &Rules::BRIDGE) {
            Ok(Message::Notification(notification)) => match notification.method.as_ref() {
                "notifications/subscriptions/acknowledged" => {
                    let subset = Subset::read(&notification);
                    if self.reopened {
                        return self.acknowledged_again(&subset).await;
                    }
                    self.subset.get_or_insert(subset);
                }
                // The server's own way to say that it is over.
                "notifications/cancelled" => {
                    let id = self.exchange.id();
                    over = matches!(notification.params.request_id(), Ok(Some(ended)) if ended == id);
                }
                _ => {}
            },
            Ok(Message::Response(response))
                if self.reopened && matches!(response.body, ResponseBody::Error(_)) =>
            {
                return Ok(Step::Refused("it answers with an error now".to_owned()));
            }
            _ => {}
        }
        let no_headers = hyper::HeaderMap::new();
        if self.exchange.take(data, &no_headers).await? || over {
            return Ok(Step::Over);
        }
        Ok(Step::On)
    }

    /// Opens the stream again, however long it takes.
    async fn reopen(&mut self) -> Result<Result<Reply, Step>, Failure> {
        let shared = &self.exchange.shared;
        self.reopened = true;
        loop {
            tokio::time::sleep(self.backoff.next()).await;
            let sent = shared
                .upstream
                .send(&Method::POST, &self.exchange.headers, &self.exchange.body)
                .await;
            let mut reply = match sent {
                Ok(reply) => reply,
                Err(error) if error.is_passing() => {
                    log::debug(format_args!("reopening a subscription: {}", error.message()));
                    continue;
                }
                Err(error) => return Ok(Err(Step::Refused(error.message().to_owned()))),
            };
            let status = reply.status;
            if status.is_success() && reply.is_type("text/event-stream") {
                return Ok(Ok(reply));
            }
            if status.is_success() && reply.is_type("application/json") {
                let whole = reply.body.whole(shared.message_bytes).await;
                let Ok(message) = whole else { continue };
                return Ok(Err(match self.take(message).await? {
                    Step::On => Step::Refused("its answer is none".to_owned()),
                    step => step,
                }));
            }
            reply.body.linger();
            if !may_pass(status) {
                return Ok(Err(Step::Refused(format!("it answers {}", status.as_u16()))));
            }
            log::debug(format_args!("reopening a subscription: {status}"));
        }
    }

    /// The server has the subscription back: all of it, or it does not count.
    async fn acknowledged_again(&mut self, now: &Subset) -> Result<Step, Failure> {
        let before = self.subset.get_or_insert_default();
        if !now.covers(before) {
            return Ok(Step::Refused("it grants less than before".to_owned()));
        }
        self.reopened = false;
        self.backoff = Backoff::new();
        for (_, method) in KINDS
            .iter()
            .zip(before.kinds)
            .filter(|(_, on)| *on)
            .map(|(kind, _)| kind)
        {
            if *method == TOOLS_CHANGED {
                self.exchange.shared.tools.forget();
            }
            self.write(self.notification(method, None)).await?;
        }
        for uri in self.subset.iter().flat_map(|subset| &subset.uris) {
            let line = self.notification("notifications/resources/updated", Some(uri));
            self.write(line).await?;
        }
        Ok(Step::On)
    }

    /// One notification under the subscription's id.
    fn notification(&self, method: &str, uri: Option<&str>) -> Vec<u8> {
        let mut params = b"{".to_vec();
        if let Some(uri) = uri {
            params.extend_from_slice(br#""uri":"#);
            write_string(&mut params, uri);
            params.push(b',');
        }
        params.extend_from_slice(br#""_meta":{"io.modelcontextprotocol/subscriptionId":"#);
        params.extend_from_slice(self.exchange.id.as_raw().as_bytes());
        params.extend_from_slice(b"}}");
        let mut line = Vec::with_capacity(params.len() + 96);
        write_notification(&mut line, method, Some(&params));
        line
    }

    async fn write(&self, line: Vec<u8>) -> Result<(), HostGone> {
        self.exchange.reader.pass(&self.exchange.shared, line).await
    }

    /// Tells the host that the subscription is gone.
    async fn tear_down(&self, cause: &str) -> Result<(), Failure> {
        log::warn(format_args!(
            "a subscription is over, the server refuses it: {cause}"
        ));
        let mut params = br#"{"requestId":"#.to_vec();
        params.extend_from_slice(self.exchange.id.as_raw().as_bytes());
        params.extend_from_slice(br#","reason":"The subscription broke and the server does not renew it"}"#);
        let mut line = Vec::with_capacity(params.len() + 80);
        write_notification(&mut line, "notifications/cancelled", Some(&params));
        self.write(line).await?;
        Ok(())
    }
}

impl Subset {
    fn read(acknowledged: &Notification<'_>) -> Subset {
        let members: HashMap<String, Value> = acknowledged
            .params
            .notifications()
            .ok()
            .flatten()
            .map(RawValue::get)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        Subset {
            kinds: KINDS.map(|(kind, _)| members.get(kind) == Some(&Value::Bool(true))),
            uris: members
                .get("resourceSubscriptions")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|uri| uri.as_str().map(str::to_owned))
                .collect(),
        }
    }

    /// Says whether nothing of `before` is missing.
    fn covers(&self, before: &Subset) -> bool {
        self.kinds
            .iter()
            .zip(before.kinds)
            .all(|(now, before)| *now || !before)
            && before.uris.iter().all(|uri| self.uris.contains(uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subset(notifications: &str) -> Subset {
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"notifications":{notifications}}}}}"#
        );
        let Ok(Message::Notification(notification)) = decode(text.as_bytes(), &Rules::BRIDGE) else {
            panic!("{text}")
        };
        Subset::read(&notification)
    }

    #[test]
    fn a_subset_is_smaller_if_anything_is_missing() {
        let before = subset(r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1","a:2"]}"#);
        for (now, enough) in [
            (
                r#"{"resourceSubscriptions":["a:2","a:1"],"toolsListChanged":true,"promptsListChanged":true}"#,
                true,
            ),
            (
                r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1"]}"#,
                false,
            ),
            (
                r#"{"toolsListChanged":false,"resourceSubscriptions":["a:1","a:2"]}"#,
                false,
            ),
            ("{}", false),
        ] {
            assert_eq!(subset(now).covers(&before), enough, "{now}");
        }
        assert_eq!(subset("7"), Subset::default());
    }
}
