//! `subscriptions/listen`: a stream that says when one of the caller's lists, or a resource, changed (protocol.md §1.9).
//!
//! Notices come from the store, so any replica can serve any stream. The rights of whoever listens are looked at
//! again before each event; once they are gone, the stream ends.

use std::{collections::HashMap, sync::Arc, time::Duration};

use footbridge_protocol::{
    codes,
    jsonrpc::{ErrorObject, Id, write_notification},
    meta::SUBSCRIPTION_ID,
};
use http::StatusCode;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::{
    desk::{Caller, Common, Desk},
    ears::{Ears, Heard},
    envelope::Mirror,
    gate,
    line::{Events, Line},
    offers::Offer,
    reply::Reply,
    settings::EdgeSettings,
};
use crate::{
    access::{Credential, Principal},
    pipeline::Watched,
    store::Topic,
};

/// From a notice about keys or people to looking at the caller's rights: the keyring hears the same notice and
/// needs a moment to read what changed. Revocation has a second (design.md D10).
const SETTLE: Duration = Duration::from_millis(250);
/// When a principal with too many streams may try again, in seconds.
pub(super) const RETRY_AFTER: u64 = 30;

/// What a stream tells of. What we do not offer is left out of the acknowledgement, not refused.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Filter {
    #[serde(default, rename = "toolsListChanged")]
    tools: bool,
    #[serde(default, rename = "promptsListChanged")]
    prompts: bool,
    #[serde(default, rename = "resourcesListChanged")]
    resources: bool,
    /// URIs of resources; unlike the lists, they are honoured as far as the caller may read them.
    #[serde(default, rename = "resourceSubscriptions")]
    uris: Vec<String>,
}

impl Filter {
    /// What is honoured of it on this desk.
    fn on(&self, desk: &Desk) -> Self {
        Self {
            tools: self.tools,
            prompts: self.prompts && desk.offers(Offer::Prompt),
            resources: self.resources && desk.offers(Offer::Resource),
            uris: Vec::new(),
        }
    }

    /// The lists wanted: their words in the acknowledgement, and in the notices.
    fn lists(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        [
            (self.tools, ("toolsListChanged", "tools")),
            (self.prompts, ("promptsListChanged", "prompts")),
            (self.resources, ("resourcesListChanged", "resources")),
        ]
        .into_iter()
        .filter_map(|(wanted, words)| wanted.then_some(words))
    }
}

/// The open streams of each principal.
#[derive(Debug, Default)]
pub(super) struct Listens {
    open: Mutex<HashMap<String, u32>>,
}

/// One open stream; closed when dropped.
pub(super) struct Place {
    listens: Arc<Listens>,
    who: String,
}

impl Listens {
    pub(super) fn enter(self: &Arc<Self>, principal: &Principal, most: u32) -> Option<Place> {
        let facts = principal.facts();
        let who = match &facts.credential {
            Credential::ApiKey { id, .. } => id.to_string(),
            // Ids of users are their tenant's own.
            Credential::Token { .. } | Credential::LegacyToken | Credential::Session | Credential::Local => {
                format!("{}/{}", facts.tenant, facts.user)
            }
        };
        let mut open = self.open.lock();
        let count = open.entry(who.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place {
            listens: Arc::clone(self),
            who,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.listens.open.lock();
        if let Some(count) = open.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.who);
            }
        }
    }
}

/// Serves one stream to its end.
pub(super) async fn listen(
    desk: &Desk,
    caller: &Caller,
    mirror: Mirror<'_>,
    id: Id<'_>,
    filter: &Filter,
    line: &Line,
) -> Reply {
    let settings = &desk.common.settings;
    if line.events() == Events::Never {
        let text = "406 Not Acceptable: `subscriptions/listen` answers with text/event-stream.";
        return Reply::error(
            StatusCode::NOT_ACCEPTABLE,
            Some(id),
            &ErrorObject::new(codes::INVALID_REQUEST, text),
        );
    }
    let Some(_place) = desk
        .common
        .listens
        .enter(&caller.principal, settings.listen_streams)
    else {
        return too_many(settings, Some(id));
    };
    let _counted = Counted::new(&desk.common);
    let mut ears = Ears::open(&desk.common);
    let house = &desk.common.house;
    let uris = filter.uris.iter().map(String::as_str);
    let watched = match house.watch(&caller.principal, uris).await {
        Ok(watched) => watched,
        Err(error) => {
            warn!(request.id = caller.request_id, error = %error, "failed to begin a subscription");
            return Reply::later(
                Some(id),
                "the server cannot look at resources right now",
                RETRY_AFTER,
            );
        }
    };
    let filter = filter.on(desk);
    line.send(acknowledgement(id, &filter, &watched));
    let mut watch = Watch::new(desk, watched, caller.principal.clone());
    loop {
        match ears.next(&mut watch).await {
            Heard::End => break,
            // A modern client has none.
            Heard::Session => {}
            Heard::Look => {
                let Some(principal) = still_allowed(desk, caller, mirror).await else {
                    break;
                };
                for uri in watch.look_at_resources(desk, &principal).await {
                    line.send(updated(id, &uri));
                }
                for list in watch.look(desk, principal) {
                    if filter.lists().any(|(_, wanted)| wanted == list) {
                        line.send(list_changed(id, list));
                    }
                }
            }
        }
    }
    Reply::result(id, |out| {
        out.extend_from_slice(br#"{"resultType":"complete","#);
        // The identity that ends every modern result, and the subscription beside it.
        let tail = desk.modern_tail();
        let (before, _closing) = tail.split_at(tail.len().saturating_sub(1));
        out.extend_from_slice(before.strip_prefix(b",").unwrap_or(before));
        out.extend_from_slice(format!(r#","{SUBSCRIPTION_ID}":{id}}}}}"#).as_bytes());
    })
}

/// Says that a principal has as many streams open as it may.
pub(super) fn too_many(settings: &EdgeSettings, id: Option<Id<'_>>) -> Reply {
    let text = format!(
        "this key already has {} listen streams open",
        settings.listen_streams
    );
    Reply::later(id, &text, RETRY_AFTER)
}

/// A stream counted among the open ones.
pub(super) struct Counted(Arc<Common>);

impl Counted {
    pub(super) fn new(common: &Arc<Common>) -> Self {
        common.metrics.listen_streams.inc();
        Self(Arc::clone(common))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.listen_streams.dec();
    }
}

/// Whoever sent this, as they may act now; `None` when they may no more.
pub(super) async fn still_allowed(desk: &Desk, caller: &Caller, mirror: Mirror<'_>) -> Option<Principal> {
    match (mirror, caller.address) {
        (Mirror::Http(headers), Some(address)) => {
            let credential = gate::credential(headers).ok()?;
            desk.common
                .house
                .admit(credential, &desk.bound.edition, address, caller.entrance.as_ref())
                .await
                .ok()
        }
        // Whoever started the process owns it for as long as it runs.
        _ => Some(caller.principal.clone()),
    }
}

/// The times that a stream keeps.
#[derive(Clone, Copy)]
struct Times {
    /// The shortest between two notices.
    fold: Duration,
    /// Between two looks at files.
    files: Duration,
}

/// What was heard and not yet told.
pub(super) struct Watch {
    principal: Principal,
    /// The prompts and resources that the principal may ask for.
    offered: [Vec<String>; 2],
    /// The resources subscribed to.
    watched: Watched,
    /// Some resource changed, one of these or another.
    resource_changed: bool,
    /// The store could not be asked: there is another look.
    again: bool,
    /// When to look at files that are watched.
    files_at: Option<Instant>,
    times: Times,
    /// The lists are known to have changed, not only the rights of somebody.
    list_changed: bool,
    /// When to look; `None` while nothing was heard.
    look_at: Option<Instant>,
    /// The earliest moment for the next event.
    quiet_until: Instant,
}

impl Watch {
    pub(super) fn new(desk: &Desk, watched: Watched, principal: Principal) -> Self {
        let settings = &desk.common.settings;
        let times = Times {
            fold: Duration::from_millis(settings.listen_fold_ms),
            files: Duration::from_millis(settings.file_look_ms),
        };
        Self {
            files_at: watched.has_files().then(|| Instant::now() + times.files),
            times,
            watched,
            resource_changed: false,
            again: false,
            offered: desk.offered_to(&principal),
            principal,
            list_changed: false,
            look_at: None,
            quiet_until: Instant::now(),
        }
    }

    /// Watches what is wanted now instead; what was watched before stays as it was last seen.
    pub(super) fn adopt(&mut self, wanted: Watched) {
        self.watched.adopt(wanted);
        self.plan_files();
    }

    fn plan_files(&mut self) {
        let next = Instant::now() + self.times.files;
        self.files_at = match self.watched.has_files() {
            true => Some(self.files_at.map_or(next, |at| at.min(next))),
            false => None,
        };
    }

    /// When files that are watched have to be looked at again.
    pub(super) async fn files_due(&self) {
        match self.files_at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Has files looked at, like everything else.
    pub(super) fn look_at_files(&mut self) {
        self.files_at = Some(Instant::now() + self.times.files);
        self.hear(Topic::Resources);
    }

    pub(super) fn hear(&mut self, topic: Topic) {
        let settle = match topic {
            Topic::Catalogue => Duration::ZERO,
            Topic::Keys | Topic::Users | Topic::Tenants => SETTLE,
            Topic::Resources if !self.watched.is_empty() => Duration::ZERO,
            // Whoever passes this on wants to look at its session once that was read.
            Topic::Sessions => SETTLE,
            _ => return,
        };
        self.list_changed |= topic == Topic::Catalogue;
        // A text of the catalogue is a resource as well.
        self.resource_changed |= matches!(topic, Topic::Resources | Topic::Catalogue);
        let at = (Instant::now() + settle).max(self.quiet_until);
        self.look_at = Some(self.look_at.map_or(at, |earlier| earlier.max(at)));
    }

    pub(super) async fn due(&self) {
        match self.look_at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// The resources subscribed to that changed, as far as the caller may still read them.
    pub(super) async fn look_at_resources(&mut self, desk: &Desk, now: &Principal) -> Vec<String> {
        if !std::mem::take(&mut self.resource_changed) {
            return Vec::new();
        }
        match desk.common.house.changed(now, &mut self.watched).await {
            Ok(changed) => {
                if !changed.is_empty() {
                    self.quiet_until = Instant::now() + self.times.fold;
                }
                self.plan_files();
                changed
            }
            Err(error) => {
                warn!(error = %error, "failed to look at subscribed resources; trying again");
                self.resource_changed = true;
                self.again = true;
                Vec::new()
            }
        }
    }

    /// Takes note of the caller's rights as they are now; the lists of which there is something to tell.
    pub(super) fn look(&mut self, desk: &Desk, now: Principal) -> Vec<&'static str> {
        let offered = desk.offered_to(&now);
        let [prompts, resources] = &offered;
        let [old_prompts, old_resources] = &self.offered;
        let changed: Vec<_> = [
            (now.visible() != self.principal.visible(), "tools"),
            (prompts != old_prompts, "prompts"),
            (resources != old_resources, "resources"),
        ]
        .into_iter()
        .filter_map(|(changed, list)| (changed || self.list_changed).then_some(list))
        .collect();
        self.principal = now;
        self.offered = offered;
        self.list_changed = false;
        self.look_at = std::mem::take(&mut self.again).then(|| Instant::now() + self.times.fold);
        if !changed.is_empty() {
            self.quiet_until = Instant::now() + self.times.fold;
        }
        changed
    }
}

fn acknowledgement(id: Id<'_>, filter: &Filter, watched: &Watched) -> Vec<u8> {
    let mut honoured: Map<String, Value> = filter
        .lists()
        .map(|(word, _)| (word.to_owned(), Value::Bool(true)))
        .collect();
    if !watched.is_empty() {
        honoured.insert("resourceSubscriptions".to_owned(), watched.uris().collect());
    }
    notification(
        "notifications/subscriptions/acknowledged",
        id,
        &format!(r#","notifications":{}"#, Value::Object(honoured)),
    )
}

fn updated(id: Id<'_>, uri: &str) -> Vec<u8> {
    let uri = format!(r#","uri":{}"#, Value::from(uri));
    notification("notifications/resources/updated", id, &uri)
}

fn list_changed(id: Id<'_>, list: &str) -> Vec<u8> {
    notification(&format!("notifications/{list}/list_changed"), id, "")
}

fn notification(method: &str, id: Id<'_>, besides: &str) -> Vec<u8> {
    let params = format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":{id}}}{besides}}}"#);
    let mut out = Vec::with_capacity(params.len() + 80);
    write_notification(&mut out, method, Some(params.as_bytes()));
    out
}
