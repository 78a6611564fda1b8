//! Change events for a host that knows no `subscriptions/listen`: one stream of the bridge's own (protocol.md X-31, B-48).
//!
//! [`Listener`] holds what is listened to. Changing it opens the new stream before the old one is closed, so that no event
//! falls in between.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use footbridge_protocol::jsonrpc::{Message, Rules, decode, write_notification};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::lane::{Lane, Outcome};
use super::welcome::Offers;
use super::{Host, own_exchange, shape};
use crate::cross::object::{Object, array, elements, quoted};
use crate::exchange::Shared;
use crate::log;
use crate::pause::Backoff;
use crate::stdio::{HostGone, Line};

/// Events that may wait for a slow host.
const WAITING_EVENTS: usize = 64;
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
const RESOURCE_UPDATED: &str = "notifications/resources/updated";

/// The one stream of change events.
#[derive(Debug, Default)]
pub(super) struct Listener {
    state: Mutex<State>,
    /// Held while the stream is being replaced.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    stream: Option<Stream>,
    uris: BTreeSet<String>,
}

/// A stream in the background; dropping it closes it.
#[derive(Debug)]
struct Stream(AbortHandle);

impl State {
    /// Says whether there is a stream that has not been refused for good.
    fn is_open(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| !stream.0.is_finished())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a stream is opened for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Filter {
    tools: bool,
    prompts: bool,
    resources: bool,
    uris: BTreeSet<String>,
}

impl Listener {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to listen for changes of listings, if the server announces any.
    pub(super) fn start(&self, shared: &Arc<Shared>, host: &Arc<Host>) {
        if host.offers.any_list() && self.state().stream.is_none() {
            let (stream, _) = spawn(shared, host, Filter::new(host.offers, BTreeSet::new()));
            self.state().stream = Some(stream);
        }
    }

    /// Says whether changes of `uri` are listened for.
    pub(super) fn has(&self, uri: &str) -> bool {
        let state = self.state();
        state.is_open() && state.uris.contains(uri)
    }

    /// Listens for changes of `uri`, or no longer. False if the server does not agree to it.
    pub(super) async fn change(
        &self,
        shared: &Arc<Shared>,
        host: &Arc<Host>,
        uri: &str,
        listen: bool,
    ) -> bool {
        let _changing = self.changing.lock().await;
        if self.has(uri) == listen {
            return true;
        }
        let mut uris = self.state().uris.clone();
        if listen {
            uris.insert(uri.to_owned());
        } else {
            uris.remove(uri);
        }
        let filter = Filter::new(host.offers, uris.clone());
        if filter == Filter::default() {
            *self.state() = State::default();
            return true;
        }
        let (stream, acknowledged) = spawn(shared, host, filter);
        let Ok(honoured) = acknowledged.await else {
            return false;
        };
        if listen && !honoured.contains(uri) {
            return false;
        }
        *self.state() = State {
            stream: Some(stream),
            uris,
        };
        true
    }
}

impl Filter {
    fn new(offers: Offers, uris: BTreeSet<String>) -> Filter {
        Filter {
            tools: offers.tools_changed,
            prompts: offers.prompts_changed,
            resources: offers.resources_changed,
            uris,
        }
    }

    /// As a member of `params`, with a comma.
    fn to_member(&self) -> String {
        let mut filter = Object::default();
        for (key, wanted) in [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ] {
            if wanted {
                filter.set(key, "true");
            }
        }
        if !self.uris.is_empty() {
            let uris: Vec<String> = self.uris.iter().map(|uri| quoted(uri)).collect();
            filter.set("resourceSubscriptions", array(uris.iter().map(String::as_str)));
        }
        format!(r#""notifications":{},"#, filter.to_text())
    }

    /// The events that may have been missed, as lines.
    fn missed(&self) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for (method, wanted) in [
            (TOOLS_CHANGED, self.tools),
            ("notifications/prompts/list_changed", self.prompts),
            ("notifications/resources/list_changed", self.resources),
        ] {
            if wanted {
                let mut line = Vec::new();
                write_notification(&mut line, method, None);
                lines.push(line);
            }
        }
        for uri in &self.uris {
            let mut line = Vec::new();
            let params = format!(r#"{{"uri":{}}}"#, quoted(uri));
            write_notification(&mut line, RESOURCE_UPDATED, Some(params.as_bytes()));
            lines.push(line);
        }
        lines
    }
}

type Acknowledged = oneshot::Receiver<BTreeSet<String>>;

/// Opens a stream in the background. The addresses it honours come once the server has acknowledged it.
fn spawn(shared: &Arc<Shared>, host: &Arc<Host>, filter: Filter) -> (Stream, Acknowledged) {
    let (sender, acknowledged) = oneshot::channel();
    let keeper = Keeper {
        shared: Arc::clone(shared),
        // The host's facts, not the host: what holds the stream must not be held by it.
        keys: host.keys(),
        filter,
        acknowledge: Some(sender),
    };
    let task = tokio::spawn(keeper.run());
    (Stream(task.abort_handle()), acknowledged)
}

/// Keeps one stream open.
struct Keeper {
    shared: Arc<Shared>,
    keys: Arc<str>,
    filter: Filter,
    /// Taken by the first acknowledgement.
    acknowledge: Option<oneshot::Sender<BTreeSet<String>>>,
}

impl Keeper {
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let (sender, mut events) = mpsc::channel(WAITING_EVENTS);
            let lane = Arc::new(Lane::queue(sender));
            let params = self.filter.to_member();
            let exchange = own_exchange(
                &self.shared,
                &self.keys,
                "subscriptions/listen",
                &params,
                Arc::clone(&lane),
            );
            let Ok(exchange) = exchange else { return };
            let mut any = false;
            {
                let mut carried = Box::pin(exchange.run());
                loop {
                    tokio::select! {
                        biased;
                        Some(event) = events.recv() => {
                            any = true;
                            if self.take(event).await.is_err() {
                                return;
                            }
                        }
                        () = &mut carried => break,
                    }
                }
            }
            while let Ok(event) = events.try_recv() {
                if self.take(event).await.is_err() {
                    return;
                }
            }
            match lane.take() {
                None => return,
                Some((status, Outcome::Response(response))) => {
                    let ended =
                        Object::within(&response, "result").is_some_and(|within| within.error.is_none());
                    if !ended && !status.is_server_error() {
                        log::info(format_args!("the server has no change events for this client"));
                        return;
                    }
                }
                Some((_, Outcome::Failed(error))) => {
                    if !error.is_passing() {
                        log::warn(format_args!(
                            "change events are not available: {}",
                            error.message()
                        ));
                        return;
                    }
                    log::debug(format_args!("the stream of change events: {}", error.message()));
                }
            }
            if any {
                backoff = Backoff::new();
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// Takes one message of the stream.
    async fn take(&mut self, event: Vec<u8>) -> Result<(), HostGone> {
        let Ok(Message::Notification(notification)) = decode(&event, &Rules::BRIDGE) else {
            return Ok(());
        };
        match notification.method.as_ref() {
            ACKNOWLEDGED => return self.acknowledged(&event).await,
            TOOLS_CHANGED => self.shared.tools.forget(),
            // That the subscription is over is nothing an older host can be told.
            "notifications/cancelled" => return Ok(()),
            _ => {}
        }
        let mut params = Object::within(&event, "params")
            .and_then(|within| within.object)
            .unwrap_or_default();
        shape::without_modern_meta(&mut params);
        let mut line = Vec::with_capacity(event.len());
        let params = (!params.is_empty()).then(|| params.to_text());
        write_notification(
            &mut line,
            &notification.method,
            params.as_deref().map(str::as_bytes),
        );
        self.shared.output.send(Line::new(line)).await
    }

    /// The first acknowledgement is for whoever opened the stream; after a later one, events may have been missed.
    async fn acknowledged(&mut self, event: &[u8]) -> Result<(), HostGone> {
        if let Some(waiting) = self.acknowledge.take() {
            let _ = waiting.send(honoured(event));
            return Ok(());
        }
        for line in self.filter.missed() {
            self.shared.output.send(Line::new(line)).await?;
        }
        Ok(())
    }
}

/// The addresses an acknowledgement names.
fn honoured(event: &[u8]) -> BTreeSet<String> {
    let params = Object::within(event, "params").and_then(|within| within.object);
    let Some(params) = params else {
        return BTreeSet::new();
    };
    let filter = params.object("notifications");
    filter
        .get("resourceSubscriptions")
        .and_then(elements)
        .unwrap_or_default()
        .iter()
        .filter_map(|uri| serde_json::from_str(uri.get()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x31_a_filter_names_what_is_offered() {
        let mut filter = Filter {
            tools: true,
            uris: ["u:\"1\"".to_owned()].into(),
            ..Filter::default()
        };
        assert_eq!(
            filter.to_member(),
            r#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["u:\"1\""]},"#
        );
        assert_eq!(filter.missed().len(), 2);
        filter.uris.clear();
        filter.prompts = true;
        assert_eq!(
            filter.to_member(),
            r#""notifications":{"toolsListChanged":true,"promptsListChanged":true},"#
        );
    }

    #[test]
    fn x31_an_acknowledgement_names_what_is_honoured() {
        let event = br#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"resourceSubscriptions":["a","b"]}}}"#;
        assert_eq!(honoured(event), ["a".to_owned(), "b".to_owned()].into());
        assert!(honoured(br#"{"params":{"notifications":{}}}"#).is_empty());
    }
}
