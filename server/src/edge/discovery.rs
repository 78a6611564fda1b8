//! Discovery on the wire: which of the callers see three tools in place of all, and what their calls are for.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    desk::{Caller, Desk},
    envelope::{Envelope, Mirror, ToolRequest},
    line::Line,
    reply::Reply,
};
use crate::{catalogue::discovery, pipeline::ClientSession};

/// The arguments of `call_tool`, as they arrived.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Desk {
    /// Whether this caller finds tools by searching.
    pub(super) fn discovers(&self, caller: &Caller) -> bool {
        let key = &caller.principal.facts().listing;
        self.bound.edition.discover || key.discover || caller.listing.discover
    }

    /// A call by such a caller. A tool that is called by its own name is called as ever.
    pub(super) async fn call_discovered(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        envelope: &Envelope<'_>,
        request: &ToolRequest<'_>,
        session: Option<ClientSession>,
        line: &Line,
    ) -> Reply {
        let named = match &*request.name {
            discovery::CALL => inner(request),
            discovery::SEARCH | discovery::DESCRIBE => None,
            _ => Some(request.clone()),
        };
        if let Some(named) = named {
            return self.call(caller, mirror, envelope, &named, session, line).await;
        }
        let facts = self.facts(caller, mirror, envelope);
        let house = &self.common.house;
        let result = house
            .discover(&caller.principal, &request.name, request.arguments, facts)
            .await;
        self.reply_to(caller, envelope.id, envelope.dialect, result)
    }
}

/// The call inside a call; `None` when the arguments name none.
fn inner<'a>(request: &ToolRequest<'a>) -> Option<ToolRequest<'a>> {
    let inner: Inner<'a> = serde_json::from_str(request.arguments?.get()).ok()?;
    let object = inner
        .arguments
        .is_none_or(|arguments| arguments.get().starts_with('{'));
    object.then(|| ToolRequest {
        name: inner.name,
        arguments: inner.arguments,
        // Headers repeat the arguments of what was listed, and that is not this tool.
        mirrored: false,
        ..request.clone()
    })
}
