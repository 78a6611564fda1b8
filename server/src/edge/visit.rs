//! Requests that are no MCP message: handed to a router of pages and REST endpoints, under the same limits.
//!
//! `Host` and `Origin` are judged here, as is the length a body declares; what arrives of a body is counted and timed
//! while the router reads it. Who is asking is the router's question; it learns the rest from a [`Visit`].

use std::{
    error::Error,
    fmt,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Limited;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::{body::Outgoing, calls::outcome_of, desk::Common, settings::EdgeSettings};
use crate::{
    catalogue::Edition,
    pipeline::{Answer, CallError},
};

/// What the server is called from outside, and over what it is reached.
#[derive(Debug)]
pub struct Site {
    /// Scheme and authority without a slash at the end, e.g. `https://mcp.example.com`.
    pub base: String,
    /// Whether people reach it over TLS, our own or a proxy's.
    pub secure: bool,
}

/// What the edge knows of a request; the router finds it among the request's extensions.
#[derive(Clone)]
pub struct Visit {
    /// Where the request comes from.
    pub address: IpAddr,
    /// Where it arrived.
    pub site: Arc<Site>,
    pub(super) common: Arc<Common>,
}

impl Visit {
    /// Where people approve calls in a browser: a URL that a code is put behind.
    pub fn approve_at(&self) -> Option<&str> {
        self.common.approve_at.get().map(String::as_str)
    }

    /// Counts a call of a tool that came through the router, as those at the endpoints are.
    pub fn count_call(
        &self,
        edition: &Edition,
        name: &str,
        result: &Result<Answer, CallError>,
        took: Duration,
    ) {
        let metrics = &self.common.metrics;
        let tool = edition.find(name).map(|tool| &tool.name);
        if let Some(tool) = tool {
            metrics.times(&edition.name, tool).observe(took.as_secs_f64());
        }
        if let Err(CallError::OverLimit(limit)) = result {
            metrics.limit_reached(limit);
        }
        metrics.tool_call(&edition.name, tool, outcome_of(result));
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("address", &self.address)
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}

/// A body that did not come to its end in time.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
pub struct BodyTooSlow;

/// Asks the router, which reads at most `limit` bytes of the body.
pub(super) async fn visit(
    mut router: Router,
    visit: Visit,
    settings: &EdgeSettings,
    limit: usize,
    request: Request<Incoming>,
) -> Response<Outgoing> {
    let mut request = request.map(|body| {
        let timed = Timed::new(body, settings.body_timeout());
        axum::body::Body::new(Limited::new(timed, limit))
    });
    request.extensions_mut().insert(visit);
    let Ok(response) = router.call(request).await;
    response.map(Outgoing::page)
}

/// A body that has to be read within a time, counted from when it is first waited for.
struct Timed {
    body: Incoming,
    patience: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    fn new(body: Incoming, patience: Duration) -> Self {
        Self {
            body,
            patience,
            deadline: None,
        }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(Box::new(BodyTooSlow)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
