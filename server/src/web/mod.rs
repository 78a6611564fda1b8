//! The web door: REST endpoints under `/v1` and, for people, the console. Requests come from the edge, which has
//! judged `Host`, `Origin` and size; what goes out is a page or JSON. No tool is run here but through the hall.
//!
//! # Adding a router
//!
//! 1. A file under `rest/` with `pub(super) fn router() -> Router<Web>`, and a `.merge(…)` line in `rest/mod.rs`.
//! 2. Handlers take proof of who is asking, as an extractor, before anything else:
//!
//! | Extractor | Proves | Says no with |
//! |---|---|---|
//! | [`SignedIn`] | a session's bearer token, any role | 401 |
//! | [`ReaderSession`] | … of an owner, admin or auditor | 401, 403 |
//! | [`AdminSession`] | … of an owner or admin | 401, 403 |
//! | [`KeyInHand`] | an API key, and its request counted | 401, 403 |
//! | [`Credential`] | nothing: the text of an API key or access token, for the hall to judge | 400 for two of them |
//!
//!    Proofs have no public constructor, and whatever a handler needs of a tenant it asks its proof for
//!    ([`Who::tenant`]), never the request: forgetting the question does not compile.
//! 3. Bodies are read by [`Json`], queries by [`Query`], both last; they answer 400, 408, 413 and 415 by themselves.
//! 4. Handlers return `Result<…, RestError>`. [`RestError`] is made of an [`OperateError`](crate::operate::OperateError)
//!    by `?`; a fault of ours is logged there, with the reference that the caller reads.
//! 5. [`Visit`](crate::edge::Visit) is among the request's extensions: the peer's address, and our own name.
//!
//! People outside, who have no account here, write through the doors of `talk`: a channel's secret or a chat window's
//! origin is all they have.
//!
//! Every answer gets the headers of `headers.rs`. Nothing here compares a cookie under `/v1`, nor a bearer token under
//! `/console`: a page of another site can make a browser send the first, but not the second.

pub mod console;
mod error;
mod headers;
mod key;
mod read;
mod rest;
mod session;
mod talk;
mod who;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use console::PageError;

pub use error::RestError;
pub use key::KeyInHand;
pub use read::{Json, Query};
pub use session::{AdminSession, Credential, ReaderSession, SignedIn};
use talk::Talk;
pub use who::Who;

use crate::{
    catalogue::Edition,
    config::ConsoleSettings,
    domain::workspace::Workspace,
    operate::{oidc::SignInProvider, sessions::Lifetime, sign_in::PasswordCheck},
    pipeline::House,
    store::Store,
};

/// What every handler gets a share of.
#[derive(Clone)]
pub struct Web {
    inner: Arc<Inner>,
    workspace: Option<Arc<Talk>>,
}

struct Inner {
    house: Arc<House>,
    password_check: Arc<PasswordCheck>,
    lifetime: Lifetime,
    provider: Option<SignInProvider>,
}

impl Web {
    /// The door of one house.
    pub fn new(house: Arc<House>, password_check: Arc<PasswordCheck>, settings: &ConsoleSettings) -> Self {
        let lifetime = Lifetime {
            idle: Duration::from_secs(settings.idle_minutes.saturating_mul(60)),
            whole: Duration::from_secs(settings.session_hours.saturating_mul(60 * 60)),
        };
        Self {
            inner: Arc::new(Inner {
                house,
                password_check,
                lifetime,
                provider: None,
            }),
            workspace: None,
        }
    }

    /// The same door, where people can sign in at this identity provider too.
    #[must_use]
    pub fn with_provider(self, provider: Option<SignInProvider>) -> Self {
        Self {
            inner: Arc::new(Inner {
                house: Arc::clone(&self.inner.house),
                password_check: Arc::clone(&self.inner.password_check),
                lifetime: self.inner.lifetime,
                provider,
            }),
            workspace: self.workspace,
        }
    }

    /// The identity provider that people can sign in at.
    pub fn provider(&self) -> Option<&SignInProvider> {
        self.inner.provider.as_ref()
    }

    /// Opens the doors through which people outside write to workspaces: channels and chat windows.
    #[must_use]
    pub fn with_workspace(mut self, workspace: Arc<Workspace>) -> Self {
        self.workspace = Some(Arc::new(Talk::new(workspace)));
        self
    }

    /// The hall, and through it every room.
    pub fn house(&self) -> &Arc<House> {
        &self.inner.house
    }

    /// The store.
    pub fn store(&self) -> &Store {
        self.inner.house.store()
    }

    /// The editions served, in catalogue order.
    pub fn editions(&self) -> Vec<Arc<Edition>> {
        let bound = self.inner.house.editions();
        bound.iter().map(|bound| Arc::clone(&bound.edition)).collect()
    }

    /// The one place that checks passwords.
    pub fn password_check(&self) -> &PasswordCheck {
        &self.inner.password_check
    }

    /// The workspace's engine, where the edition is served.
    pub fn workspace(&self) -> Option<&Arc<Workspace>> {
        let talk = self.workspace.as_ref()?;
        let served = self.inner.house.editions();
        let is_served = served
            .iter()
            .any(|bound| bound.edition.name.as_str() == "workspace");
        is_served.then(|| talk.workspace())
    }

    /// How long sessions last.
    pub fn lifetime(&self) -> Lifetime {
        self.inner.lifetime
    }
}

/// Nothing is at this path: said as a page to people, as JSON to programs.
async fn nothing_there(uri: http::Uri) -> Response {
    if uri.path().starts_with("/console") {
        return PageError::not_found("There is no such page.").into_response();
    }
    RestError::no_such_path().into_response()
}

/// Everything that is served beside the MCP endpoints, ready for [`crate::edge::Server::with_router`].
pub fn router(web: Web) -> Router {
    Router::new()
        .merge(rest::router())
        .merge(console::router())
        .merge(talk::router())
        .fallback(nothing_there)
        .method_not_allowed_fallback(|| async { RestError::no_such_method() })
        .layer(axum::middleware::map_response(headers::harden))
        .with_state(web)
}
