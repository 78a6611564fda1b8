//! The stream that a legacy client opens with GET: notices of changes, and the rest of a reply whose connection was cut.
//!
//! Notices come from the store, so any replica can serve any stream, and a client that was away is told that anything
//! may have changed.

use footbridge_protocol::{era::ProtocolVersion, jsonrpc::write_notification};
use serde_json::json;
use tracing::warn;

use super::{
    desk::{Caller, Desk},
    ears::{Ears, Heard},
    envelope::Mirror,
    legacy,
    line::{Line, Note, Position},
    listen::{Counted, RETRY_AFTER, Watch, still_allowed, too_many},
    reply::Reply,
    tape::{place_of, play},
};
use crate::{
    pipeline::{ClientSession, House, Watched},
    store::{StoreError, Topic},
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
    let mut ears = Ears::open(&desk.common);
    let primes = legacy::shapes_of(&session.facts.revision) >= ProtocolVersion::V2025_11_25;
    line.note(Note {
        data: Vec::new(),
        position: primes.then(|| Position {
            id: NOTICES.to_owned(),
            retry_ms: Some(settings.retry_ms),
        }),
    });
    let house = &desk.common.house;
    let watched = match watched_by(house, caller, session).await {
        Ok(watched) => watched,
        Err(error) => {
            warn!(request.id = caller.request_id, error = %error, "failed to begin a stream of notices");
            return Reply::later(None, "the server cannot look at resources right now", RETRY_AFTER);
        }
    };
    let mut watch = Watch::new(desk, watched, caller.principal.clone());
    let mut was_away = last.is_some();
    if was_away {
        watch.hear(Topic::Catalogue);
    }
    loop {
        match ears.next(&mut watch).await {
            Heard::End => break,
            // Whoever keeps the sessions hears the same and needs a moment to read them.
            Heard::Session => watch.hear(Topic::Sessions),
            Heard::Look => {
                if house.session_state(session).ended {
                    break;
                }
                let Some(principal) = still_allowed(desk, caller, mirror).await else {
                    break;
                };
                match watched_by(house, caller, session).await {
                    Ok(wanted) => watch.adopt(wanted),
                    Err(error) => warn!(error = %error, "failed to follow a session's subscriptions"),
                }
                for uri in watch.look_at_resources(desk, &principal).await {
                    tell_updated(&uri, line);
                }
                for list in watch.look(desk, principal) {
                    let mut notice = Vec::with_capacity(80);
                    write_notification(&mut notice, &format!("notifications/{list}/list_changed"), None);
                    line.send(notice);
                    // Nobody knows what changed in between.
                    if list == "resources" && std::mem::take(&mut was_away) {
                        for uri in house.session_state(session).uris {
                            tell_updated(&uri, line);
                        }
                    }
                }
            }
        }
    }
    Reply::accepted()
}

/// The resources that the session subscribed to, as they are now.
async fn watched_by(house: &House, caller: &Caller, session: &ClientSession) -> Result<Watched, StoreError> {
    let uris = house.session_state(session).uris;
    house
        .watch(&caller.principal, uris.iter().map(AsRef::as_ref))
        .await
}

fn tell_updated(uri: &str, line: &Line) {
    let mut notice = Vec::with_capacity(uri.len() + 96);
    let params = json!({ "uri": uri }).to_string();
    write_notification(
        &mut notice,
        "notifications/resources/updated",
        Some(params.as_bytes()),
    );
    line.send(notice);
}
