//! Requests that are no MCP message: handed to a router of pages and REST endpoints, under the same limits.
//!
//! `Host` and `Origin` are judged here, as is the length a body declares; what arrives of a body is counted and timed
//! while the router reads it. Who is asking is the router's question; it learns the rest from a [`Visit`].

use std::{
    error::Error,
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

use super::{body::Outgoing, settings::EdgeSettings};

/// What the server is called from outside, and over what it is reached.
#[derive(Debug)]
pub struct Site {
    /// Scheme and authority without a slash at the end, e.g. `https://mcp.example.com`.
    pub base: String,
    /// Whether people reach it over TLS, our own or a proxy's.
    pub secure: bool,
}

/// What the edge knows of a request; the router finds it among the request's extensions.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Where the request comes from.
    pub address: IpAddr,
    /// Where it arrived.
    pub site: Arc<Site>,
}

/// A body that did not come to its end in time.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
pub struct BodyTooSlow;

/// Asks the router.
pub(super) async fn visit(
    mut router: Router,
    visit: Visit,
    settings: &EdgeSettings,
    request: Request<Incoming>,
) -> Response<Outgoing> {
    let mut request = request.map(|body| {
        let timed = Timed::new(body, settings.body_timeout());
        axum::body::Body::new(Limited::new(timed, settings.body_bytes))
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
