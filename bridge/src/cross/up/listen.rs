//! The host's `subscriptions/listen`, fed from a session (protocol.md X-05, X-06).
//!
//! The host's stream lasts longer than a session: when the server forgets one, the subscriptions are made again in the next,
//! and the host is told once about everything it may have missed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use footbridge_protocol::codes;
use footbridge_protocol::jsonrpc::{ErrorObject, Notification, OwnedId, write_notification};
use footbridge_protocol::meta::SUBSCRIPTION_ID;

use super::filter::{Filter, LISTED, PROMPTS, TOOLS, UPDATED, offers_changes};
use super::request::Asked;
use super::session::{Session, Slot};
use super::{Failure, own};
use crate::cross::object::{Object, quoted};
use crate::exchange::Shared;
use crate::log;
use crate::pause::Backoff;
use crate::stdio::Line;

/// Changes kept until the acknowledgement is out, which comes first (S-96).
const HELD_LINES: usize = 64;
/// How long the acknowledgement waits for the server to say whether it has a stream of its own. Some say nothing until
/// there is something to say.
const STREAM_WAIT: Duration = Duration::from_millis(500);
/// How often a session is tried for before a listen is given up.
const ATTEMPTS: usize = 8;

/// The listens of one session.
#[derive(Default)]
pub(super) struct Listeners {
    table: Mutex<HashMap<OwnedId, Listener>>,
    /// How many listens want each resource. Whoever holds it may subscribe.
    subscribed: tokio::sync::Mutex<HashMap<String, usize>>,
}

struct Listener {
    filter: Filter,
    /// Lines that wait for the acknowledgement; `None` once it is out.
    held: Option<Vec<Line>>,
}

impl Listeners {
    fn table(&self) -> MutexGuard<'_, HashMap<OwnedId, Listener>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines that tell whoever listens.
    pub(super) fn lines(&self, notification: &Notification<'_>) -> Vec<Line> {
        let mut lines = Vec::new();
        for (id, listener) in self.table().iter_mut() {
            if !listener.filter.wants(notification) {
                continue;
            }
            let params = notification.params.raw().map_or("{}", |params| params.get());
            let line = line(&notification.method, params, id);
            match &mut listener.held {
                None => lines.push(line),
                Some(held) if held.len() < HELD_LINES => held.push(line),
                Some(_) => {}
            }
        }
        lines
    }

    /// One line for everything that may have changed unseen.
    pub(super) fn missed(&self) -> Vec<Line> {
        let table = self.table();
        let mut lines = Vec::new();
        for (id, listener) in table.iter().filter(|(_, listener)| listener.held.is_none()) {
            let filter = &listener.filter;
            for (method, wanted) in [
                (TOOLS, filter.tools),
                (PROMPTS, filter.prompts),
                (LISTED, filter.resources),
            ] {
                if wanted {
                    lines.push(line(method, "{}", id));
                }
            }
            for uri in &filter.uris {
                lines.push(line(UPDATED, &format!(r#"{{"uri":{}}}"#, quoted(uri)), id));
            }
        }
        lines
    }
}

/// A notification under the subscription `id`.
fn line(method: &str, params: &str, id: &OwnedId) -> Line {
    let mut params = Object::read(params).unwrap_or_default();
    let mut meta = params.object("_meta");
    meta.set(SUBSCRIPTION_ID, id.as_raw());
    let meta = meta.to_text();
    params.set("_meta", meta);
    let mut out = Vec::with_capacity(160);
    write_notification(&mut out, method, Some(params.to_text().as_bytes()));
    Line::new(out)
}

/// Serves a listen for as long as the host wants it.
pub(super) async fn run(slot: &Arc<Slot>, shared: &Arc<Shared>, asked: &Asked) -> Result<Line, Failure> {
    let invalid = || {
        Failure::refuse(&ErrorObject::new(
            codes::INVALID_PARAMS,
            "`params.notifications` must be an object of the kinds to listen to.",
        ))
    };
    let wanted = asked
        .filter
        .as_deref()
        .and_then(Filter::read)
        .ok_or_else(invalid)?;
    let mut session = slot.session(shared, asked.client_info.as_deref()).await?;
    if !offers_changes(&session.facts) {
        return Err(Failure::refuse(&ErrorObject::new(
            codes::METHOD_NOT_FOUND,
            "The server announces no changes: there is nothing to listen to.",
        )));
    }
    let mut acknowledged = false;
    loop {
        let place = Place::take(shared, &session, &asked.id, &wanted).await;
        if acknowledged {
            place.release();
            for line in session.listeners.missed() {
                let _ = shared.output.send(line).await;
            }
        } else {
            let params = format!(r#"{{"notifications":{}}}"#, place.filter().to_text());
            let line = line("notifications/subscriptions/acknowledged", &params, &asked.id);
            let _ = shared.output.send(line).await;
            for line in place.release() {
                let _ = shared.output.send(line).await;
            }
            acknowledged = true;
        }
        session.lost().await;
        drop(place);
        session = match reopen(slot, shared, asked).await {
            Ok(session) => session,
            Err(failure) => {
                log::warn(format_args!("a subscription has ended: {}", failure.message()));
                let params = format!(r#"{{"requestId":{}}}"#, asked.id.as_raw());
                let mut out = Vec::with_capacity(96);
                write_notification(&mut out, "notifications/cancelled", Some(params.as_bytes()));
                let _ = shared.output.send(Line::new(out)).await;
                return Err(Failure::Settled);
            }
        };
    }
}

async fn reopen(slot: &Arc<Slot>, shared: &Arc<Shared>, asked: &Asked) -> Result<Arc<Session>, Failure> {
    let mut backoff = Backoff::new();
    let mut outcome = slot.session(shared, asked.client_info.as_deref()).await;
    for _ in 1..ATTEMPTS {
        if outcome.is_ok() {
            break;
        }
        tokio::time::sleep(backoff.next()).await;
        outcome = slot.session(shared, asked.client_info.as_deref()).await;
    }
    outcome
}

/// A listen's entry in a session, with the subscriptions made for it. Given up when it is dropped.
struct Place {
    shared: Arc<Shared>,
    session: Arc<Session>,
    id: OwnedId,
    uris: Vec<String>,
}

impl Place {
    async fn take(shared: &Arc<Shared>, session: &Arc<Session>, id: &OwnedId, wanted: &Filter) -> Place {
        let mut place = Place {
            shared: Arc::clone(shared),
            session: Arc::clone(session),
            id: id.clone(),
            uris: Vec::new(),
        };
        let mut streams = session.streams.subscribe();
        let known = async { streams.wait_for(Option::is_some).await.is_ok() };
        let _ = shared.alarm.within(STREAM_WAIT, known).await;
        let none = *session.streams.borrow() == Some(false);
        if none {
            // Nothing can come, and the acknowledgement says so.
            session.listeners.table().insert(
                id.clone(),
                Listener {
                    filter: Filter::default(),
                    held: Some(Vec::new()),
                },
            );
            return place;
        }
        let offered = wanted.offered(&session.facts);
        let listener = Listener {
            filter: offered.clone(),
            held: Some(Vec::new()),
        };
        session.listeners.table().insert(id.clone(), listener);
        for uri in offered.uris {
            if subscribe(shared, session, &uri).await {
                place.uris.push(uri);
            }
        }
        if let Some(listener) = session.listeners.table().get_mut(id) {
            listener.filter.uris.clone_from(&place.uris);
        }
        place
    }

    /// What is honoured.
    fn filter(&self) -> Filter {
        let table = self.session.listeners.table();
        table
            .get(&self.id)
            .map(|listener| listener.filter.clone())
            .unwrap_or_default()
    }

    /// From now on changes go out as they come; returns those that came before.
    fn release(&self) -> Vec<Line> {
        let mut table = self.session.listeners.table();
        table
            .get_mut(&self.id)
            .and_then(|listener| listener.held.take())
            .unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.session.listeners.table().remove(&self.id);
        if self.uris.is_empty() || self.session.is_gone() {
            return;
        }
        let (shared, session) = (Arc::clone(&self.shared), Arc::clone(&self.session));
        let uris = std::mem::take(&mut self.uris);
        tokio::spawn(async move {
            for uri in uris {
                unsubscribe(&shared, &session, &uri).await;
            }
        });
    }
}

/// Subscribes to a resource unless another listen has. Says whether the server agreed.
async fn subscribe(shared: &Arc<Shared>, session: &Arc<Session>, uri: &str) -> bool {
    let mut subscribed = session.listeners.subscribed.lock().await;
    if !subscribed.contains_key(uri) {
        let params = format!(r#"{{"uri":{}}}"#, quoted(uri));
        if let Err(failure) = own::ask(shared, session, "resources/subscribe", &params).await {
            log::info(format_args!(
                "a resource cannot be subscribed to: {}",
                failure.message()
            ));
            return false;
        }
    }
    *subscribed.entry(uri.to_owned()).or_default() += 1;
    true
}

async fn unsubscribe(shared: &Arc<Shared>, session: &Arc<Session>, uri: &str) {
    let mut subscribed = session.listeners.subscribed.lock().await;
    match subscribed.get_mut(uri) {
        Some(count) if *count > 1 => *count -= 1,
        Some(_) => {
            subscribed.remove(uri);
            let params = format!(r#"{{"uri":{}}}"#, quoted(uri));
            if let Err(failure) = own::ask(shared, session, "resources/unsubscribe", &params).await {
                log::debug(format_args!(
                    "a resource was not unsubscribed from: {}",
                    failure.message()
                ));
            }
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use footbridge_protocol::jsonrpc::{Message, Rules, decode};

    use super::*;

    #[test]
    fn changes_reach_those_who_listen_under_their_id_after_the_acknowledgement() {
        let listeners = Listeners::default();
        let id = OwnedId::from_string("l");
        let listener = Listener {
            filter: Filter {
                uris: vec!["file:///a".to_owned()],
                ..Filter::default()
            },
            held: Some(Vec::new()),
        };
        listeners.table().insert(id.clone(), listener);
        let tell = |uri: &str| {
            let text = format!(
                r#"{{"jsonrpc":"2.0","method":"{UPDATED}","params":{{"uri":"{uri}","_meta":{{"x":1}}}}}}"#
            );
            let Ok(Message::Notification(notification)) = decode(text.as_bytes(), &Rules::BRIDGE) else {
                panic!("no notification")
            };
            listeners.lines(&notification)
        };
        assert!(tell("file:///a/b").is_empty() && listeners.missed().is_empty());
        let held = listeners.table().get_mut(&id).unwrap().held.take().unwrap();
        assert_eq!(
            held[0].to_bytes().as_ref(),
            b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"file:///a/b\",\"_meta\":{\"x\":1,\"io.modelcontextprotocol/subscriptionId\":\"l\"}}}\n"
        );
        assert_eq!(
            (
                tell("file:///a").len(),
                tell("file:///b").len(),
                listeners.missed().len()
            ),
            (1, 0, 1)
        );
    }
}
