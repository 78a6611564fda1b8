//! Revisions 2025-03-26 to 2025-11-25: `initialize` is answered and forgotten, and every later message stands on its
//! own (protocol.md §1.5). What a client said of itself it brings along in the sealed id of its session.
//!
//! Errors keep HTTP status 200 here, unknown methods included (S-45).

use footbridge_protocol::{
    era::{self, ProtocolVersion},
    jsonrpc::Request,
    meta::ClientInfo,
};
use http::StatusCode;

use super::{
    envelope::{Ask, Dialect, Envelope, Refused, list_request, resource_request, tool_request},
    offers,
};
use crate::domain::LogLevel;

/// Longest URI that is watched, in bytes: what fits into one line of any client.
const LONGEST_URI: usize = 2048;

/// Reads a request of a legacy revision.
pub(super) fn decode<'a>(request: &Request<'a>, dialect: Dialect) -> Result<Envelope<'a>, Refused> {
    let params = &request.params;
    let mut client = params.meta().client_info();
    let ask = match &*request.method {
        "initialize" => {
            client = params.client_info()?.map(ClientInfo::read).unwrap_or_default();
            Ask::Initialize {
                version: era::negotiate(&params.protocol_version()?.unwrap_or_default()),
                capabilities: params.capabilities()?,
            }
        }
        "ping" => Ask::Ping,
        "tools/list" => {
            list_request(request)?;
            Ask::ListTools
        }
        "tools/call" => Ask::CallTool(tool_request(request)?),
        "logging/setLevel" => {
            let word = params.level()?.unwrap_or_default();
            let level = LogLevel::parse(&word).ok_or_else(|| {
                let words = LogLevel::ALL.map(LogLevel::as_str).join(", ");
                Refused::params(format!("`params.level` must be one of {words}."))
            })?;
            Ask::SetLevel(level)
        }
        "resources/subscribe" | "resources/unsubscribe" => Ask::Subscribe {
            uri: params
                .uri()?
                .filter(|uri| uri.len() <= LONGEST_URI)
                .ok_or_else(|| {
                    Refused::params(format!(
                        "`params.uri` must be a URI of at most {LONGEST_URI} bytes."
                    ))
                })?,
            wanted: request.method == "resources/subscribe",
        },
        "prompts/list" => {
            list_request(request)?;
            Ask::ListPrompts
        }
        "prompts/get" => Ask::GetPrompt(tool_request(request)?),
        "resources/list" => {
            list_request(request)?;
            Ask::ListResources
        }
        "resources/templates/list" => {
            list_request(request)?;
            Ask::ListTemplates
        }
        "resources/read" => Ask::ReadResource(resource_request(request)?),
        "completion/complete" => Ask::Complete(offers::completion(request)?),
        unknown => return Err(Refused::unknown_method(StatusCode::OK, unknown)),
    };
    Ok(Envelope {
        id: request.id,
        dialect,
        client,
        trace_parent: params.meta().traceparent(),
        ask,
    })
}

/// The revision whose shapes a negotiated version has: the oldest one that is tolerated reads as 2025-03-26.
pub(super) fn shapes_of(negotiated: &str) -> ProtocolVersion {
    ProtocolVersion::parse(negotiated).unwrap_or(ProtocolVersion::V2025_03_26)
}
