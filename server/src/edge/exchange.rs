//! One request to an MCP endpoint and its answer: the gate in its order, then the desk, then the reply.

use std::sync::Arc;

use footbridge_protocol::headers::SESSION_ID;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};
use hyper::body::Incoming;
use serde_json::json;
use tracing::info;

use super::{
    Logged,
    body::Outgoing,
    desk::{Caller, Desk},
    envelope::Mirror,
    front::{Front, Held, Peer},
    gate,
    http::{JSON, add_challenge, rate_shown, request_id, show_rate, stream, to_response},
    intake,
    line::{Events, Line, Step, Work},
    notices::notices,
    refusal::Refusal,
    reply::Reply,
};
use crate::{
    access::{
        AuthError, Principal,
        oauth::{Entrance, Resource},
    },
    pipeline::SignInError,
    telemetry::Arrival,
    vocabulary::Listing,
};

/// Where a client says which event of a stream it saw last.
const LAST_EVENT_ID: &str = "last-event-id";

impl Front {
    /// The gate, rows 1 to 5, in the order that can be observed; then the message, which takes the headers along.
    pub(super) async fn message(
        &self,
        peer: &Peer,
        desk: &Arc<Desk>,
        entrance: Option<Entrance>,
        bound_to: Option<&str>,
        parts: &mut Parts,
        body: Incoming,
    ) -> Result<Response<Outgoing>, Refusal> {
        let mut arrival = Arrival::now();
        let headers = &parts.headers;
        let settings = &self.common.settings;
        if !self.names.allow_host(&parts.uri, headers) {
            return Err(Refusal::Host);
        }
        if !self.names.allow_origin(headers) {
            return Err(Refusal::Origin);
        }
        if parts.method == Method::OPTIONS && !settings.allowed_origins.is_empty() {
            return Ok(self.preflight());
        }
        // Without a session there is nothing behind GET and DELETE (protocol.md S-02).
        let in_session = settings.session_ms > 0 && headers.contains_key(SESSION_ID);
        let of_session = in_session && matches!(parts.method, Method::GET | Method::DELETE);
        if parts.method != Method::POST && !of_session {
            return Err(Refusal::Method);
        }
        let held = self.admit(peer)?;
        arrival.asked();
        let principal = self.principal(peer, desk, entrance.as_ref(), headers).await?;
        arrival.admitted();
        if bound_to.is_some_and(|tenant| tenant != principal.tenant().as_str()) {
            return Err(Refusal::Credential {
                error: AuthError::OtherTenant,
                presented: true,
            });
        }
        if of_session {
            return self.session(peer, desk, entrance, principal, parts, held).await;
        }

        let media = gate::media(headers)?;
        let body = intake::read(body, settings.body_bytes, settings.body_timeout()).await?;

        let counted = self.common.house.count_request(&principal);
        let rate = rate_shown(&counted);
        let caller = Caller {
            principal,
            address: Some(peer.address),
            request_id: request_id(),
            counted,
            entrance,
            listing: parts.uri.query().map(Listing::of_query).unwrap_or_default(),
            arrival,
        };
        let line = Line::new(media.events);
        let (desk, own) = (Arc::clone(desk), Arc::clone(&line));
        let headers = std::mem::take(&mut parts.headers);
        let mut work = Work::new(line, async move {
            // Held by the work itself: it may go on without its caller, and draining waits for it all the same.
            let _held = held;
            desk.answer(&caller, Mirror::Http(&headers), &body, &own).await
        });
        let mut response = match work.step().await {
            Step::Message(first) => stream(Outgoing::events(&first, work, settings.keep_alive())),
            Step::Answer(reply) if media.json || reply.status != StatusCode::OK => to_response(reply),
            Step::Answer(reply) => stream(Outgoing::single_event(reply)),
            Step::LetGo => to_response(Reply::accepted()),
        };
        if let Some(rate) = rate {
            show_rate(response.headers_mut(), rate);
        }
        Ok(response)
    }

    /// Who is calling (gate row 4).
    async fn principal(
        &self,
        peer: &Peer,
        desk: &Desk,
        entrance: Option<&Entrance>,
        headers: &HeaderMap,
    ) -> Result<Principal, Refusal> {
        let credential = gate::credential(headers)?;
        let admitted = self
            .common
            .house
            .admit(credential, &desk.bound.edition, peer.address, entrance);
        admitted.await.map_err(|error| match error {
            SignInError::Credential(error) => Refusal::Credential {
                error,
                presented: credential.is_some(),
            },
            SignInError::TooManyFailures(limit) => Refusal::Address(limit),
        })
    }

    /// What a legacy client does with its session besides sending messages: GET opens a stream, DELETE ends it.
    async fn session(
        &self,
        peer: &Peer,
        desk: &Arc<Desk>,
        entrance: Option<Entrance>,
        principal: Principal,
        parts: &mut Parts,
        held: Held,
    ) -> Result<Response<Outgoing>, Refusal> {
        let counted = self.common.house.count_request(&principal);
        if let Err(limit) = &counted {
            return Err(Refusal::Rate(limit.clone()));
        }
        let caller = Caller {
            principal,
            address: Some(peer.address),
            request_id: request_id(),
            counted,
            entrance,
            listing: Listing::default(),
            arrival: Arrival::default(),
        };
        let headers = std::mem::take(&mut parts.headers);
        let session = desk.session(&caller, Mirror::Http(&headers));
        let Ok(Some(session)) = session else {
            return Err(Refusal::SessionOver);
        };
        if parts.method == Method::DELETE {
            let ended = self
                .common
                .house
                .change_session(&caller.principal, &session, |state| state.ended = true);
            return match ended.await {
                Ok(()) => {
                    desk.settle().await;
                    let mut response = Response::new(Outgoing::empty());
                    *response.status_mut() = StatusCode::NO_CONTENT;
                    Ok(response)
                }
                Err(error) => Ok(to_response(desk.unavailable(&caller, None, &error))),
            };
        }
        if gate::events(&headers) == Events::Never {
            return Err(Refusal::Accept);
        }
        let line = Line::new(Events::Welcome);
        let (desk, own) = (Arc::clone(desk), Arc::clone(&line));
        let mut work = Work::new(line, async move {
            let _held = held;
            let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
            notices(&desk, &caller, &session, Mirror::Http(&headers), last, &own).await
        });
        let keep_alive = self.common.settings.keep_alive();
        Ok(match work.step().await {
            Step::Message(first) => stream(Outgoing::events(&first, work, keep_alive)),
            Step::Answer(reply) if reply.is_empty() => stream(Outgoing::empty()),
            Step::Answer(reply) => to_response(reply),
            Step::LetGo => stream(Outgoing::empty()),
        })
    }

    pub(super) fn refuse(
        &self,
        peer: &Peer,
        parts: &Parts,
        refusal: &Refusal,
        resource: Option<&Resource>,
    ) -> Response<Outgoing> {
        let response = match refusal {
            // For whoever tried Server-Sent Events first, a line that names the cure; to other methods nothing.
            Refusal::Method if parts.method == Method::GET => {
                let body = json!({ "error": "method_not_allowed", "message": refusal.to_string() });
                let mut response = Response::new(Outgoing::of(body.to_string()));
                response.headers_mut().insert(header::CONTENT_TYPE, JSON);
                response
            }
            Refusal::Method => Response::new(Outgoing::empty()),
            refusal => to_response(refusal.to_reply()),
        };
        self.refused(peer, parts, refusal, resource, response)
    }

    /// The same where pages and REST endpoints are.
    pub(super) fn refuse_visit(&self, peer: &Peer, parts: &Parts, refusal: &Refusal) -> Response<Outgoing> {
        self.refused(peer, parts, refusal, None, to_response(refusal.to_rest()))
    }

    /// Takes note of a refusal, and heads its answer.
    fn refused(
        &self,
        peer: &Peer,
        parts: &Parts,
        refusal: &Refusal,
        resource: Option<&Resource>,
        mut response: Response<Outgoing>,
    ) -> Response<Outgoing> {
        let status = refusal.status();
        self.common.metrics.refusal(refusal);
        info!(
            address = %peer.address, status = status.as_u16(), method = %Logged(parts.method.as_str()),
            path = %Logged(parts.uri.path()), reason = refusal.reason().map(tracing::field::display),
            "refused a request: {refusal}"
        );
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if matches!(refusal, Refusal::Method) {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        if let Some(challenge) = refusal.challenge(resource) {
            add_challenge(headers, &challenge);
        }
        if refusal.closes() && parts.version < Version::HTTP_2 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn preflight(&self) -> Response<Outgoing> {
        let mut response = Response::new(Outgoing::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(match self.common.settings.session_ms {
                0 => "POST",
                _ => "GET, POST, DELETE",
            }),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            self.face.load().browser_headers.clone(),
        );
        response
    }

    /// The page that sends this, if it is one that may read the answer.
    pub(super) fn page(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let open = !self.common.settings.allowed_origins.is_empty() && self.names.allow_origin(headers);
        open.then(|| origin.clone())
    }
}
