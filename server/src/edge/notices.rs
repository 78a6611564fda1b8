//! The stream that a legacy client opens with GET: notices of changes, and the rest of a reply whose connection was cut.
//!
//! Notices come from the store, so any replica can serve any stream, and a client that was away is told that anything
//! may have changed.

use std::time::Duration;

use footbridge_protocol::{era::ProtocolVersion, jsonrpc::write_notification};
use serde_json::json;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, sleep_until},
};

use super::{
    desk::{Caller, Desk},
    envelope::Mirror,
    legacy,
    line::{Line, Note, Position},
    listen::{Counted, Watch, still_allowed, too_many},
    reply::Reply,
    tape::{place_of, play},
};
use crate::{
    pipeline::ClientSession,
    store::{Change, Topic},
};

/// The name under which a stream of notices is asked for again. Nothing of it is kept.
const NOTICES: &str = "notices.0";

/// Serves one stream to its end. `last` is the place that the client saw last.
pub(super) async fn notices(
    desk: &Desk,
    caller: &Caller,
    session: &ClientSession,
    mirror: Mirror<'_>,
    last: Option<&str>,
    line: &Line,
) -> Reply {
    let settings = &desk.common.settings;
    let Some(_place) = desk
        .common
        .listens
        .enter(&caller.principal, settings.listen_streams)
    else {
        return too_many(settings, None);
    };
    let _counted = Counted::new(&desk.common);
    if let Some((stream, position)) = last.filter(|last| *last != NOTICES).and_then(place_of)
        && play(&desk.common, &caller.principal, stream, position, line).await
    {
        return Reply::accepted();
    }
    // Subscribed before the first word: nothing that happens after it is missed.
    let mut changes = desk.common.house.store().changes();
    let mut catalogue = desk.common.house.catalogue_changes();
    let primes = legacy::shapes_of(&session.facts.revision) >= ProtocolVersion::V2025_11_25;
    line.note(Note {
        data: Vec::new(),
        position: primes.then(|| Position {
            id: NOTICES.to_owned(),
            retry_ms: Some(settings.retry_ms),
        }),
    });
    let mut watch = Watch::new(
        desk,
        caller.principal.clone(),
        Duration::from_millis(settings.listen_fold_ms),
    );
    if last.is_some() {
        watch.hear(Topic::Catalogue);
    }
    let end = Instant::now() + Duration::from_millis(settings.listen_ms);
    loop {
        tokio::select! {
            () = desk.common.draining.cancelled() => break,
            () = sleep_until(end) => break,
            Ok(()) = catalogue.changed() => watch.hear(Topic::Catalogue),
            change = changes.recv() => match change {
                Ok(Change { topic: Topic::Sessions, .. }) if desk.common.house.session_state(session).ended => break,
                Ok(Change { topic, .. }) => watch.hear(topic),
                // Too much at once: anything may have changed.
                Err(RecvError::Lagged(_)) => {
                    watch.hear(Topic::Catalogue);
                    watch.hear(Topic::Keys);
                }
                Err(RecvError::Closed) => break,
            },
            () = watch.due() => {
                let Some(principal) = still_allowed(desk, caller, mirror).await else { break };
                for list in watch.look(desk, principal) {
                    let mut notice = Vec::with_capacity(80);
                    write_notification(&mut notice, &format!("notifications/{list}/list_changed"), None);
                    line.send(notice);
                    // What the catalogue holds changes with it.
                    if list == "resources" {
                        tell_updated(desk, session, line);
                    }
                }
            }
        }
    }
    Reply::accepted()
}

/// Tells of every resource that the session watches.
fn tell_updated(desk: &Desk, session: &ClientSession, line: &Line) {
    for uri in desk.common.house.session_state(session).uris {
        let mut notice = Vec::with_capacity(uri.len() + 96);
        let params = json!({ "uri": uri }).to_string();
        write_notification(
            &mut notice,
            "notifications/resources/updated",
            Some(params.as_bytes()),
        );
        line.send(notice);
    }
}
