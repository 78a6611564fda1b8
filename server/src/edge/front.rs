//! Where requests come in: what each path is, who of them may come in at all, and what is served there.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
};

use arc_swap::ArcSwap;
use axum::Router;
use futures_util::FutureExt;
use http::{HeaderValue, Method, Request, Response, Version, header, request::Parts};
use hyper::body::{Body as _, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{
    body::Outgoing,
    desk::{Common, Desk},
    gate,
    http::{allow_page, to_response},
    intake,
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
    limits::AddressMeters,
};

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
    pub(super) face: ArcSwap<Face>,
    pub(super) names: Names,
    site: Arc<Site>,
    /// Whatever else is served: pages and REST endpoints.
    router: Option<Router>,
    /// Requests by address, before anybody looks at a credential.
    addresses: AddressMeters,
    in_flight: Arc<Semaphore>,
}

/// What follows from the editions that are served.
pub(super) struct Face {
    desks: Vec<Arc<Desk>>,
    documents: Documents,
    pub(super) browser_headers: HeaderValue,
}

impl Face {
    fn new(common: &Arc<Common>, base: &str) -> Self {
        let bound = common.house.editions();
        let desks: Vec<_> = bound
            .iter()
            .map(|edition| Desk::new(Arc::clone(common), Arc::clone(edition)))
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
            work: common.work.clone(),
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
        let (bound_to, inner) = bound_tenant(path);
        if let Some((desk, entrance)) = self.entrance(inner) {
            let bound_to = bound_to.map(str::to_owned);
            let desk = &desk;
            let page = self.page(&parts.headers);
            let resource = entrance.clone();
            let mut response = match self
                .message(peer, desk, entrance, bound_to.as_deref(), &mut parts, body)
                .await
            {
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
            let figures = Box::pin(figures).await;
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
                    common: Arc::clone(&self.common),
                };
                let limit = self.body_limit(parts.uri.path());
                let request = Request::from_parts(parts, body);
                let response = Box::pin(visit(router, facts, &self.common.settings, limit, request)).await;
                drop(held);
                response
            }
            Err(refusal) => self.refuse_visit(peer, &parts, &refusal),
        }
    }

    /// The checks of a visit that need no body. What comes back is held until it is answered.
    fn admit_visit(&self, peer: &Peer, parts: &Parts, body: &Incoming) -> Result<Held, Refusal> {
        if !self.names.allow_host(&parts.uri, &parts.headers) {
            return Err(Refusal::Host);
        }
        // Reading is free of side effects, and a link from another site may well lead here.
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        let path = parts.uri.path();
        if !reads && !is_for_other_sites(path) && !self.names.is_own_page(&self.site.base, &parts.headers) {
            return Err(Refusal::Origin);
        }
        // By its own words too large: not a byte of it is waited for.
        let limit = self.body_limit(path);
        if body.size_hint().lower() > limit as u64 {
            return Err(Refusal::TooLarge { limit });
        }
        self.admit(peer)
    }

    /// Largest body at a path: mail that comes in may be larger than what clients send.
    fn body_limit(&self, path: &str) -> usize {
        let settings = &self.common.settings;
        if path.starts_with(INBOUND) {
            settings.mail_bytes.max(settings.body_bytes)
        } else {
            settings.body_bytes
        }
    }

    /// Takes a place for one more request.
    pub(super) fn admit(&self, peer: &Peer) -> Result<Held, Refusal> {
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
}

/// Where other systems bring messages; the secret in the path is their credential.
const INBOUND: &str = "/in/";
/// Where chat windows on other sites write.
const WIDGET: &str = "/widget/";

/// Whether pages of other sites may change something at a path. What is there looks at no cookie: it judges origins by
/// itself, or wants a secret in the path.
fn is_for_other_sites(path: &str) -> bool {
    path.starts_with(INBOUND) || path.starts_with(WIDGET)
}

/// The tenant that an address is bound to, and the rest of its path: `/t/<tenant>/…` (catalogue.md §2.15).
fn bound_tenant(path: &str) -> (Option<&str>, &str) {
    let bound = || {
        let rest = path.strip_prefix("/t/")?;
        let end = rest.find('/')?;
        Some((rest.get(..end)?, rest.get(end..)?))
    };
    match bound() {
        Some((tenant, inner)) if !tenant.is_empty() => (Some(tenant), inner),
        _ => (None, path),
    }
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
pub(super) struct Held {
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
