//! One HTTP request and its answer: the gate in its order, then the desk, then the reply as HTTP.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use axum::Router;
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
    request::Parts,
};
use hyper::body::{Body as _, Incoming};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};
use tracing::info;

use super::{
    Logged,
    body::Outgoing,
    desk::{Caller, Common, Desk},
    envelope::Mirror,
    gate, intake,
    line::{Line, Step, Work},
    names::Names,
    oauth_documents::{self, Found},
    refusal::Refusal,
    reply::Reply,
    socket::Traffic,
    visit::{Site, Visit, visit},
    well_known::{self, Documents},
};
use crate::{
    access::oauth::{Entrance, Resource},
    catalogue::Edition,
    limits::{AddressMeters, OverLimit, RateState},
    pipeline::SignInError,
    vocabulary::Listing,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// What a browser may send, besides the mirrored parameters (protocol.md S-12).
const BROWSER_HEADERS: &str = "authorization, content-type, accept, mcp-protocol-version, mcp-method, mcp-name, \
                               mcp-session-id, last-event-id";

/// The far end of a connection.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) traffic: Arc<Traffic>,
}

/// Everything that requests need, shared by all connections.
pub(super) struct Front {
    pub(super) common: Arc<Common>,
    /// Requests under way, those included that go on without their caller.
    pub(super) work: TaskTracker,
    /// What the catalogue in force decides; replaced as a whole.
    face: ArcSwap<Face>,
    names: Names,
    site: Arc<Site>,
    /// Whatever else is served: pages and REST endpoints.
    router: Option<Router>,
    /// Requests by address, before anybody looks at a credential.
    addresses: AddressMeters,
    in_flight: Arc<Semaphore>,
}

/// What follows from the editions that are served.
struct Face {
    desks: Vec<Arc<Desk>>,
    documents: Documents,
    browser_headers: HeaderValue,
}

impl Face {
    fn new(common: &Arc<Common>, base: &str) -> Self {
        let bound = common.house.editions();
        let desks: Vec<_> = bound
            .iter()
            .map(|edition| Arc::new(Desk::new(Arc::clone(common), Arc::clone(edition))))
            .collect();
        let editions: Vec<Arc<Edition>> = desks.iter().map(|desk| Arc::clone(&desk.bound.edition)).collect();
        Self {
            documents: Documents::new(&common.settings, &editions, base),
            browser_headers: browser_headers(&editions),
            desks,
        }
    }

    fn desk_at(&self, path: &str) -> Option<&Arc<Desk>> {
        self.desks.iter().find(|desk| {
            let edition = &desk.bound.edition;
            edition.bare_path.as_deref() == Some(path)
                || path.strip_prefix('/').and_then(|p| p.strip_suffix("/mcp")) == Some(edition.name.as_str())
        })
    }
}

impl Front {
    pub(super) fn new(common: Arc<Common>, bound: SocketAddr, tls: bool, router: Option<Router>) -> Self {
        let settings = Arc::clone(&common.settings);
        let base = settings.base_url(bound, tls);
        common.house.oauth().reached_at(&base);
        if router.is_some() {
            // Where the console shows what waits; set once, for a server knows one address.
            let _ = common.approve_at.set(format!("{base}/console/reviews?code="));
        }
        let site = Arc::new(Site {
            secure: tls || base.starts_with("https://"),
            base,
        });
        Self {
            work: TaskTracker::new(),
            names: Names::new(&settings, bound, tls),
            face: ArcSwap::from_pointee(Face::new(&common, &site.base)),
            site,
            router,
            addresses: AddressMeters::new(settings.requests_per_minute_per_address),
            in_flight: Arc::new(Semaphore::new(settings.requests_in_flight)),
            common,
        }
    }

    /// Shows what the catalogue in force says. Requests under way end with what they began with.
    pub(super) fn renew(&self) {
        self.face
            .store(Arc::new(Face::new(&self.common, &self.site.base)));
    }

    /// Forgets addresses that have been quiet.
    pub(super) fn tidy(&self) {
        self.addresses.forget_quiet();
        self.common.house.tidy();
    }

    /// Answers one request. Never fails: a panic on the way is an answer too.
    pub(super) async fn answer(
        self: Arc<Self>,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Result<Response<Outgoing>, Infallible> {
        let running = peer.traffic.begin();
        let in_flight = InFlight::new(&self.common);
        let http1 = request.version() < Version::HTTP_2;
        let mut response = match AssertUnwindSafe(self.route(&peer, request)).catch_unwind().await {
            Ok(response) => response,
            Err(_) => to_response(Reply::broken()),
        };
        // HTTP/2 has no such header; there the stream alone ends, or the connection says that it is going away.
        if http1 && self.common.leaving.is_cancelled() {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| body.with((running, in_flight))))
    }

    async fn route(&self, peer: &Peer, request: Request<Incoming>) -> Response<Outgoing> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path();
        if let Some((desk, entrance)) = self.entrance(path) {
            let desk = &desk;
            let page = self.page(&parts.headers);
            let resource = entrance.clone();
            let mut response = match self.message(peer, desk, entrance, &mut parts, body).await {
                Ok(response) => response,
                Err(refusal) => {
                    let resource = resource.as_ref().and_then(Entrance::advertised);
                    self.refuse(peer, &parts, &refusal, resource)
                }
            };
            if let Some(origin) = page {
                allow_page(origin, response.headers_mut());
            }
            return response;
        }
        // Probes name the server by whatever address they reach it at, and documents are public: no `Host` check.
        if let Some(response) = well_known::health(&self.common, &parts.method, path).or_else(|| {
            self.face
                .load()
                .documents
                .answer(&parts.method, path, &parts.headers)
        }) {
            return response;
        }
        let oauth = self.common.house.oauth();
        if let Some(found) = oauth_documents::find(oauth, path) {
            return match found {
                Found::Register(resource) if parts.method == Method::POST => {
                    match Box::pin(self.registration(peer, &parts, body, &resource)).await {
                        Ok(response) => response,
                        Err(refusal) => self.refuse(peer, &parts, &refusal, None),
                    }
                }
                found => {
                    Box::pin(oauth_documents::answer(
                        oauth,
                        &found,
                        &parts.method,
                        &parts.headers,
                    ))
                    .await
                }
            };
        }
        if path == "/metrics" && self.names.allow_host(&parts.uri, &parts.headers) {
            let figures = well_known::metrics(&self.common, peer, &parts.method, &parts.headers);
            if let Some(response) = figures.filter(|_| self.names.allow_origin(&parts.headers)) {
                return response;
            }
        }
        let Some(router) = self.router.clone() else {
            return self.refuse(peer, &parts, &Refusal::NotFound, None);
        };
        match self.admit_visit(peer, &parts, &body) {
            Ok(held) => {
                let facts = Visit {
                    address: peer.address,
                    site: Arc::clone(&self.site),
                };
                let request = Request::from_parts(parts, body);
                let response = Box::pin(visit(router, facts, &self.common.settings, request)).await;
                drop(held);
                response
            }
            Err(refusal) => {
                let said = json!({ "error": refusal.to_string(), "code": refusal.word() });
                self.refuse(peer, &parts, &refusal, None)
                    .map(|_| Outgoing::of(said.to_string()))
            }
        }
    }

    /// The checks of a visit that need no body. What comes back is held until it is answered.
    fn admit_visit(&self, peer: &Peer, parts: &Parts, body: &Incoming) -> Result<Held, Refusal> {
        if !self.names.allow_host(&parts.uri, &parts.headers) {
            return Err(Refusal::Host);
        }
        // Reading is free of side effects, and a link from another site may well lead here.
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        if !reads && !self.names.is_own_page(&self.site.base, &parts.headers) {
            return Err(Refusal::Origin);
        }
        // By its own words too large: not a byte of it is waited for.
        let limit = self.common.settings.body_bytes;
        if body.size_hint().lower() > limit as u64 {
            return Err(Refusal::TooLarge { limit });
        }
        self.admit(peer)
    }

    /// Takes a place for one more request.
    fn admit(&self, peer: &Peer) -> Result<Held, Refusal> {
        if !peer.address.is_loopback() {
            self.addresses.count(peer.address).map_err(Refusal::Address)?;
        }
        // Counted before the look at `draining`, so that whoever passes it is waited for.
        let counted = self.work.token();
        if self.common.draining.is_cancelled() {
            return Err(Refusal::Draining);
        }
        let place = Arc::clone(&self.in_flight)
            .try_acquire_owned()
            .map_err(|_| Refusal::Overloaded)?;
        Ok(Held {
            _counted: counted,
            _place: place,
        })
    }

    /// The desk at a path, and what it takes besides keys. Access tokens have a path of their own, or the edition's
    /// (design.md D15).
    fn entrance(&self, path: &str) -> Option<(Arc<Desk>, Option<Entrance>)> {
        let (oauth, face) = (self.common.house.oauth(), self.face.load());
        if let Some(desk) = face.desk_at(path) {
            return Some((Arc::clone(desk), oauth.entrance(&desk.bound.edition.name, path)));
        }
        let desk = face.desk_at(path.strip_suffix("/oauth")?)?;
        let entrance = oauth.entrance(&desk.bound.edition.name, path)?;
        (!entrance.legacy_only).then_some((Arc::clone(desk), Some(entrance)))
    }

    async fn registration(
        &self,
        peer: &Peer,
        parts: &Parts,
        body: Incoming,
        resource: &Resource,
    ) -> Result<Response<Outgoing>, Refusal> {
        let _held = self.admit(peer)?;
        gate::media(&parts.headers)?;
        let limit = oauth_documents::REGISTRATION_BYTES;
        let body = intake::read(body, limit, self.common.settings.body_timeout()).await?;
        Ok(oauth_documents::register(resource, &body))
    }

    /// The gate, rows 1 to 5, in the order that can be observed; then the message, which takes the headers along.
    async fn message(
        &self,
        peer: &Peer,
        desk: &Arc<Desk>,
        entrance: Option<Entrance>,
        parts: &mut Parts,
        body: Incoming,
    ) -> Result<Response<Outgoing>, Refusal> {
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
        if parts.method != Method::POST {
            return Err(Refusal::Method);
        }
        let held = self.admit(peer)?;

        let credential = gate::credential(headers)?;
        let principal = self
            .common
            .house
            .admit(credential, &desk.bound.edition, peer.address, entrance.as_ref())
            .await
            .map_err(|error| match error {
                SignInError::Credential(error) => Refusal::Credential {
                    error,
                    presented: credential.is_some(),
                },
                SignInError::TooManyFailures(limit) => Refusal::Address(limit),
            })?;

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
        };
        if let Some(rate) = rate {
            show_rate(response.headers_mut(), rate);
        }
        Ok(response)
    }

    fn refuse(
        &self,
        peer: &Peer,
        parts: &Parts,
        refusal: &Refusal,
        resource: Option<&Resource>,
    ) -> Response<Outgoing> {
        let status = refusal.status();
        self.common.metrics.refusal(refusal);
        info!(
            address = %peer.address, status = status.as_u16(), method = %Logged(parts.method.as_str()),
            path = %Logged(parts.uri.path()), reason = refusal.reason().map(tracing::field::display),
            "refused a request: {refusal}"
        );
        let mut response = match refusal {
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
            HeaderValue::from_static("POST"),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            self.face.load().browser_headers.clone(),
        );
        response
    }

    /// The page that sends this, if it is one that may read the answer.
    fn page(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let open = !self.common.settings.allowed_origins.is_empty() && self.names.allow_origin(headers);
        open.then(|| origin.clone())
    }
}

/// Lets a page read the answer. Its origin is echoed, never `*`.
fn allow_page(origin: HeaderValue, out: &mut HeaderMap) {
    out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    out.insert(header::VARY, HeaderValue::from_static("origin"));
    let exposed = HeaderValue::from_static("WWW-Authenticate");
    out.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

fn add_challenge(headers: &mut HeaderMap, challenge: &str) {
    // Invariant: `challenge` writes printable characters alone.
    if let Ok(value) = HeaderValue::from_str(challenge) {
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
}

/// A reply as HTTP.
fn to_response(mut reply: Reply) -> Response<Outgoing> {
    let challenge = reply.challenge.take();
    let (status, retry_after) = (reply.status, reply.retry_after);
    let (rate, usage) = (reply.rate, reply.usage);
    let empty = reply.is_empty();
    let mut response = Response::new(reply.into_body());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if !empty {
        headers.insert(header::CONTENT_TYPE, JSON);
    }
    if let Some(challenge) = challenge {
        add_challenge(headers, &challenge);
    }
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if let Some(rate) = rate {
        show_rate(headers, rate);
    }
    if let Some(usage) = usage {
        headers.insert("x-monthlycap-limit", usage.cap.into());
        headers.insert(
            "x-monthlycap-remaining",
            usage.cap.saturating_sub(usage.used).into(),
        );
        if let Ok(resets) = HeaderValue::from_str(&usage.month.resets()) {
            headers.insert("x-monthlycap-reset", resets);
        }
    }
    response
}

/// What of a rate is shown, whether it passed the request or not.
fn rate_shown(counted: &Result<RateState, OverLimit>) -> Option<RateState> {
    match counted {
        Ok(rate) => Some(*rate),
        Err(limit) => limit.rate(),
    }
}

/// The rate's headers (catalogue.md §2.11): requests that pass in a window, that are left, and the seconds until one
/// more passes.
fn show_rate(headers: &mut HeaderMap, rate: RateState) {
    headers.insert(RATE_LIMIT, rate.limit.into());
    headers.insert(RATE_REMAINING, rate.remaining.into());
    headers.insert(RATE_RESET, rate.reset_seconds().into());
}

fn stream(body: Outgoing) -> Response<Outgoing> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENTS);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Some proxies hold an answer back until it is whole unless told otherwise (protocol.md S-13).
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn browser_headers(editions: &[Arc<Edition>]) -> HeaderValue {
    let mut names = BROWSER_HEADERS.to_owned();
    for tool in editions.iter().flat_map(|edition| edition.tools()) {
        for name in tool.param_headers().names() {
            names.push_str(", ");
            names.push_str(name);
        }
    }
    // Invariant: the catalogue admits header tokens alone (protocol.md H-05).
    HeaderValue::from_str(&names).unwrap_or(HeaderValue::from_static(BROWSER_HEADERS))
}

/// A place among the requests under way, which draining waits for. Given back when dropped.
struct Held {
    _counted: TaskTrackerToken,
    _place: OwnedSemaphorePermit,
}

/// A request counted among those under way.
struct InFlight(Arc<Common>);

impl InFlight {
    fn new(common: &Arc<Common>) -> Self {
        common.metrics.in_flight.inc();
        Self(Arc::clone(common))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}

/// An id for one request, unique in this process and unlikely to meet another's.
pub(super) fn request_id() -> String {
    static SEED: OnceLock<u64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let seed = SEED.get_or_init(|| {
        let mut bytes = [0; 8];
        // Without random bytes the ids still differ within the process.
        let _ = getrandom::fill(&mut bytes);
        u64::from_le_bytes(bytes)
    });
    // The finaliser of SplitMix64: it maps different counts to different ids that do not look alike.
    let mut mixed = seed.wrapping_add(
        COUNT
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15),
    );
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    format!("req_{:016x}", mixed ^ (mixed >> 31))
}
