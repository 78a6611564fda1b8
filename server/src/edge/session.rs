//! What a legacy client does in its session: it begins one, answers questions, says what it wants to hear.

use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::{
    codes, era,
    headers::{HeaderValue, SESSION_ID},
    jsonrpc::{ErrorObject, ErrorView, Id, Notification, Response, ResponseBody},
    meta::ClientInfo,
};
use http::StatusCode;
use serde_json::{json, value::RawValue};
use tracing::warn;

use super::{
    desk::{Caller, Desk},
    envelope::{Dialect, Envelope, Mirror},
    legacy, modern, offers,
    refusal::Refusal,
    reply::Reply,
};
use crate::{
    catalogue::Edition,
    domain::LogLevel,
    pipeline::{ClientAnswer, ClientFacts, ClientSession},
    store::{SessionState, StoreError},
};

/// Resources that one session may watch.
const MOST_WATCHED: usize = 100;
/// How long other replicas need to hear of a change of a session.
const SETTLE: Duration = Duration::from_millis(100);

impl Desk {
    /// A legacy client's answer to a question of a running call, here or on another replica. One that nobody waits for
    /// is late.
    pub(super) async fn take_answer(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        response: &Response<'_>,
    ) -> Reply {
        if let Err(SessionOver) = self.session(caller, mirror) {
            return session_over(None);
        }
        let Some(id) = response.id.and_then(|id| id.as_text()) else {
            return Reply::accepted();
        };
        let answer = match response.body {
            ResponseBody::Result(result) => match serde_json::from_str(result.get()) {
                Ok(result) => ClientAnswer::Result(result),
                Err(_) => return Reply::accepted(),
            },
            ResponseBody::Error(error) => {
                let message = ErrorView::read(error).map(|error| error.message.into_owned());
                let message = message.unwrap_or_default();
                ClientAnswer::Error(message.chars().filter(|c| !c.is_control()).take(200).collect())
            }
        };
        match self
            .common
            .house
            .take_answer(&caller.principal, &id, answer)
            .await
        {
            Ok(()) => Reply::accepted(),
            Err(error) => self.unavailable(caller, None, &error),
        }
    }

    /// A legacy client wants a call of its session stopped.
    pub(super) async fn stop_call(
        &self,
        caller: &Caller,
        session: &ClientSession,
        notification: &Notification<'_>,
    ) -> Reply {
        let Ok(Some(id)) = notification.params.request_id() else {
            return Reply::accepted();
        };
        let house = &self.common.house;
        match house.stop_call(&caller.principal, session, &id.to_string()).await {
            Ok(()) => Reply::accepted(),
            Err(error) => self.unavailable(caller, None, &error),
        }
    }

    /// The session that a legacy message names, if any.
    pub(super) fn session(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
    ) -> Result<Option<ClientSession>, SessionOver> {
        if let Mirror::Stdio { session, .. } = mirror {
            return Ok(session.cloned());
        }
        if self.common.settings.session_ms == 0 {
            return Ok(None);
        }
        match mirror.header(SESSION_ID) {
            HeaderValue::Absent => Ok(None),
            HeaderValue::One(id) => match self.common.house.find_session(&caller.principal, id) {
                Some(session) => Ok(Some(session)),
                None => Err(SessionOver),
            },
            _ => Err(SessionOver),
        }
    }

    /// The store cannot be written.
    pub(super) fn unavailable(&self, caller: &Caller, id: Option<Id<'_>>, error: &StoreError) -> Reply {
        warn!(request.id = caller.request_id, error = %error, "a client's session is not kept");
        let text = format!(
            "503 Service Unavailable: nothing was kept; try again soon (request {})",
            caller.request_id
        );
        let error = ErrorObject::new(codes::INTERNAL_ERROR, text);
        Reply::error(StatusCode::SERVICE_UNAVAILABLE, id, &error).soon()
    }

    /// Waits until the other replicas have heard what was just written, so that the client's next request finds it
    /// wherever it arrives.
    pub(super) async fn settle(&self) {
        if self.common.house.store().kind() == "postgres" {
            tokio::time::sleep(SETTLE).await;
        }
    }

    pub(super) async fn change_session(
        &self,
        caller: &Caller,
        id: Id<'_>,
        session: Option<&ClientSession>,
        change: impl FnOnce(&mut SessionState) + Send + 'static,
    ) -> Reply {
        let Some(session) = session else {
            let text = "This needs the session id that `initialize` gave out; send it as `Mcp-Session-Id`.";
            return Reply::error(
                StatusCode::OK,
                Some(id),
                &ErrorObject::new(codes::METHOD_NOT_FOUND, text),
            );
        };
        let house = &self.common.house;
        match house.change_session(&caller.principal, session, change).await {
            Ok(()) => {
                self.settle().await;
                Reply::result(id, |out| out.extend_from_slice(b"{}"))
            }
            Err(error) => self.unavailable(caller, Some(id), &error),
        }
    }

    pub(super) fn initialize(
        &self,
        caller: &Caller,
        envelope: &Envelope<'_>,
        version: &str,
        capabilities: Option<&RawValue>,
    ) -> Reply {
        let settings = &self.common.settings;
        let revision = legacy::shapes_of(version);
        // A process on stdio is its client's alone and needs nothing to be known by.
        let session = (settings.session_ms > 0 && caller.address.is_some())
            .then(|| {
                let facts = client_facts(&envelope.client, capabilities, version);
                let lifetime_ms = i64::try_from(settings.session_ms).unwrap_or(i64::MAX);
                let house = &self.common.house;
                house.begin_session(&caller.principal, facts, lifetime_ms)
            })
            .flatten();
        let mut reply = Reply::result(envelope.id, |out| {
            out.extend_from_slice(br#"{"protocolVersion":""#);
            out.extend_from_slice(version.as_bytes());
            // Without a session there is no stream to tell the client anything on (protocol.md S-41).
            let [without, with_session] = &self.capabilities;
            out.extend_from_slice(br#"","capabilities":"#);
            out.extend_from_slice(if session.is_some() { with_session } else { without });
            out.extend_from_slice(br#","serverInfo":"#);
            let titled = Dialect::of(revision).shape() == crate::catalogue::Shape::Full;
            let [plain, with_title] = &self.server;
            out.extend_from_slice(if titled { with_title } else { plain });
            out.extend_from_slice(&self.instructions);
        });
        reply.session = session;
        reply
    }

    /// `logging/setLevel`.
    pub(super) async fn set_level(
        &self,
        caller: &Caller,
        id: Id<'_>,
        session: Option<&ClientSession>,
        level: LogLevel,
    ) -> Reply {
        let word = level.as_str().to_owned();
        let change = |state: &mut SessionState| state.log_level = Some(word);
        self.change_session(caller, id, session, change).await
    }

    /// `resources/subscribe`, and with `wanted` false `resources/unsubscribe`.
    pub(super) async fn watch(
        &self,
        caller: &Caller,
        id: Id<'_>,
        session: Option<&ClientSession>,
        uri: &str,
        wanted: bool,
    ) -> Reply {
        // Unsubscribing is always right: what was watched may be gone.
        if wanted && session.is_some() && !self.common.house.may_watch(&caller.principal, uri) {
            let text = format!("Resource not found: {uri}");
            let error =
                ErrorObject::new(codes::LEGACY_RESOURCE_NOT_FOUND, text).with_data(&json!({ "uri": uri }));
            return Reply::error(StatusCode::OK, Some(id), &error);
        }
        let uri = uri.to_owned();
        let change = move |state: &mut SessionState| {
            state.uris.retain(|known| *known != uri);
            if wanted {
                state.uris.push(uri);
                // The oldest give way: a client that watches so many reads none of them.
                let over = state.uris.len().saturating_sub(MOST_WATCHED);
                state.uris.drain(..over);
            }
        };
        self.change_session(caller, id, session, change).await
    }
}

/// What a client says of itself in `initialize`.
pub(super) fn client_facts(
    client: &ClientInfo<'_>,
    capabilities: Option<&RawValue>,
    version: &str,
) -> ClientFacts {
    let mut capabilities = modern::capabilities(capabilities);
    if legacy::shapes_of(version) < era::ProtocolVersion::V2025_06_18 {
        capabilities.remove("elicitation");
    }
    ClientFacts::new(
        client.name.as_deref(),
        client.version.as_deref(),
        capabilities,
        version,
    )
}

/// Capabilities as legacy clients read them, without and with a session.
pub(super) fn legacy_capabilities(edition: &Edition) -> [Bytes; 2] {
    let without = offers::capabilities(edition, false);
    let mut with_session = offers::capabilities(edition, true);
    if let Some(all) = with_session.as_object_mut() {
        all.insert("logging".to_owned(), json!({}));
    }
    [without.to_string().into(), with_session.to_string().into()]
}

/// The session is over, or was never this caller's.
pub(super) struct SessionOver;

pub(super) fn session_over(id: Option<Id<'_>>) -> Reply {
    let refusal = Refusal::SessionOver;
    let error = ErrorObject::new(codes::INVALID_REQUEST, refusal.to_string());
    Reply::error(refusal.status(), id, &error)
}
