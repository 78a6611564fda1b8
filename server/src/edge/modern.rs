//! Revision 2026-07-28: every request describes itself in `_meta`, and headers repeat what intermediaries need.
//!
//! Takes a request whose envelope and version header were found good; hands on what it asks for. Never sees a
//! request of another revision.

use footbridge_protocol::{era::ProtocolVersion, jsonrpc::Request};
use http::StatusCode;
use serde_json::{Map, Value, value::RawValue};

use super::{
    envelope::{Ask, Dialect, Envelope, Mirror, Refused, list_request, resource_request, tool_request},
    listen::Filter,
    offers,
    tasks::task_request,
};

/// Gate rows 13 to 16.
pub(super) fn decode<'a>(request: &Request<'a>, mirror: Mirror<'_>) -> Result<Envelope<'a>, Refused> {
    mirror.check_method(&request.method)?;
    let ask = match &*request.method {
        "tools/call" => {
            mirror.check_name(request)?;
            Ask::CallTool(tool_request(request)?)
        }
        "tools/list" => {
            list_request(request)?;
            Ask::ListTools
        }
        "prompts/list" => {
            list_request(request)?;
            Ask::ListPrompts
        }
        "prompts/get" => {
            mirror.check_name(request)?;
            Ask::GetPrompt(tool_request(request)?)
        }
        "resources/list" => {
            list_request(request)?;
            Ask::ListResources
        }
        "resources/templates/list" => {
            list_request(request)?;
            Ask::ListTemplates
        }
        "resources/read" => {
            mirror.check_name(request)?;
            Ask::ReadResource(resource_request(request)?)
        }
        "completion/complete" => Ask::Complete(offers::completion(request)?),
        "server/discover" => Ask::Discover,
        "subscriptions/listen" => Ask::Listen(wanted(request.params.notifications()?)?),
        "tasks/get" | "tasks/update" | "tasks/cancel" => {
            mirror.check_name(request)?;
            task_request(request)?
        }
        unknown => return Err(Refused::unknown_method(StatusCode::NOT_FOUND, unknown)),
    };
    Ok(Envelope {
        id: request.id,
        dialect: Dialect::of(ProtocolVersion::V2026_07_28),
        client: request.params.meta().client_info(),
        trace_parent: request.params.meta().traceparent(),
        ask,
    })
}

fn wanted(notifications: Option<&RawValue>) -> Result<Filter, Refused> {
    let raw = notifications
        .ok_or_else(|| Refused::params("`params.notifications` must be an object, not absent."))?;
    serde_json::from_str(raw.get())
        .map_err(|_| Refused::params("In `params.notifications`, each `…ListChanged` must be a boolean, and `resourceSubscriptions` a list of URIs."))
}

/// What a client declared for this request. Unknown keys are kept: a handler may know them.
pub(super) fn capabilities(raw: Option<&RawValue>) -> Map<String, Value> {
    // Invariant of the gate: it is an object. One that says nothing else needs no parser.
    match raw.map(RawValue::get) {
        None | Some("{}") => Map::new(),
        Some(text) => serde_json::from_str(text).unwrap_or_default(),
    }
}
