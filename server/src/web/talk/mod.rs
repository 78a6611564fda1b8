//! The doors for people outside: a system that brings messages to a channel (`inbound`), and chat windows on other sites
//! (`widget`). Neither looks at a cookie or a key of the house; where the workspace is not served, nothing is here.

mod articles;
mod inbound;
mod widget;

use std::sync::Arc;

use axum::{Router, extract::FromRequestParts};
use http::request::Parts;

use super::{RestError, Web};
use crate::{
    domain::workspace::Workspace,
    limits::{AddressMeters, Meters},
};

/// Requests a minute from one address that bring messages. A mail server in a rush sends less.
const INBOUND_PER_MINUTE: u32 = 1_200;
/// Messages a minute that one visitor may write. People type slower.
const MESSAGES_PER_MINUTE: u32 = 20;
/// Looks a minute of one visitor at what was said; a window looks every few seconds.
const LOOKS_PER_MINUTE: u32 = 60;
/// Visitors a minute who begin to write in one chat window. All of a site's visitors may come from one address, the
/// operator's own proxy.
const NEW_VISITORS_PER_MINUTE: u32 = 120;

/// Articles a minute that one address reads; a proxy reads for many.
const READERS_PER_MINUTE: u32 = 1_200;

/// What the doors share.
pub(super) struct Talk {
    workspace: Arc<Workspace>,
    inbound: AddressMeters,
    readers: AddressMeters,
    messages: Meters<String>,
    looks: Meters<String>,
    new_visitors: Meters<String>,
}

impl Talk {
    pub(super) fn workspace(&self) -> &Arc<Workspace> {
        &self.workspace
    }

    pub(super) fn new(workspace: Arc<Workspace>) -> Self {
        Self {
            workspace,
            inbound: AddressMeters::new(INBOUND_PER_MINUTE),
            readers: AddressMeters::new(READERS_PER_MINUTE),
            messages: Meters::new(MESSAGES_PER_MINUTE),
            looks: Meters::new(LOOKS_PER_MINUTE),
            new_visitors: Meters::new(NEW_VISITORS_PER_MINUTE),
        }
    }
}

/// Proof that workspaces are served here.
struct Open(Arc<Talk>);

impl FromRequestParts<Web> for Open {
    type Rejection = RestError;

    async fn from_request_parts(_: &mut Parts, web: &Web) -> Result<Self, RestError> {
        let served = web.workspace().and(web.workspace.clone());
        served.map(Self).ok_or_else(RestError::no_such_path)
    }
}

pub(super) fn router() -> Router<Web> {
    Router::new()
        .merge(articles::router())
        .merge(inbound::router())
        .merge(widget::router())
}
