//! Prompts, resources and completion on the wire: what the hall offers goes out in the shape of each revision.

use std::borrow::Cow;

use footbridge_protocol::{
    codes,
    jsonrpc::{ErrorObject, Request, write_string},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use tokio_util::sync::CancellationToken;

use super::{
    challenge::Stepping,
    desk::{Caller, Desk},
    envelope::{Dialect, Envelope, Mirror, Refused, ToolRequest},
    modern,
    reply::{self, Asker, Reply, of_call_error},
    shape,
};
use crate::{
    access::{Principal, oauth::Entrance},
    catalogue::{
        Edition, Shape,
        offers::{Address, Input, Prompt, Resource, Role},
    },
    domain::{Content, DomainError, Progress, ToolResult},
    limits::Usage,
    pipeline::{Answer, Asking, CallError, Suggestions, ToolCall},
};

/// The parameters of `completion/complete`, well typed.
#[derive(Debug)]
pub(super) struct Completion {
    reference: Reference,
    argument: String,
    typed: String,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Reference {
    #[serde(rename = "ref/prompt")]
    Prompt { name: String },
    #[serde(rename = "ref/resource")]
    Resource { uri: String },
}

/// Reads `completion/complete`, row 16.
pub(super) fn completion(request: &Request<'_>) -> Result<Completion, Refused> {
    #[derive(Deserialize)]
    struct Params {
        #[serde(rename = "ref")]
        reference: Reference,
        argument: Argument,
    }
    #[derive(Deserialize)]
    struct Argument {
        name: String,
        value: String,
    }
    let raw = request.params.raw().map_or("{}", RawValue::get);
    let params: Params = serde_json::from_str(raw).map_err(|_| {
        Refused::params(
            "`params` must have `ref` (`ref/prompt` with `name`, or `ref/resource` with `uri`) and `argument` with `name` \
             and `value`.",
        )
    })?;
    Ok(Completion {
        reference: params.reference,
        argument: params.argument.name,
        typed: params.argument.value,
    })
}

/// What is asked for: it decides how a refusal reads.
#[derive(Clone, Copy)]
pub(super) enum Offer {
    Prompt,
    Resource,
}

/// The capabilities of an edition. On streams that a caller cannot have nothing is promised (protocol.md S-41).
pub(super) fn capabilities(edition: &Edition, has_streams: bool) -> Value {
    let listed = || {
        if has_streams {
            json!({ "listChanged": true })
        } else {
            json!({})
        }
    };
    let mut out = Map::from_iter([("tools".to_owned(), listed())]);
    let offers = &edition.offers;
    if !offers.prompts().is_empty() {
        out.insert("prompts".to_owned(), listed());
    }
    if !offers.resources().is_empty() {
        let mut resources = listed();
        if has_streams {
            resources = json!({ "listChanged": true, "subscribe": true });
        }
        out.insert("resources".to_owned(), resources);
    }
    if !offers.prompts().is_empty() || !offers.resources().is_empty() {
        out.insert("completions".to_owned(), json!({}));
    }
    Value::Object(out)
}

impl Desk {
    /// Whether this edition has what the method is about; one without it does not know the method.
    pub(super) fn offers(&self, offer: Offer) -> bool {
        let offers = &self.bound.edition.offers;
        match offer {
            Offer::Prompt => !offers.prompts().is_empty(),
            Offer::Resource => !offers.resources().is_empty(),
        }
    }

    pub(super) fn unknown_method(envelope: &Envelope<'_>) -> Reply {
        let status = if envelope.dialect.is_modern() {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
        };
        Refused::unknown_method(status, envelope.ask.method()).to_reply(Some(envelope.id))
    }

    pub(super) fn list_prompts(&self, caller: &Caller, envelope: &Envelope<'_>) -> Reply {
        let prompts = self.common.house.prompts(&caller.principal);
        let shape = envelope.dialect.shape();
        let listed = prompts.iter().map(|prompt| prompt_definition(prompt, shape));
        self.list(envelope, "prompts", listed.collect())
    }

    pub(super) fn list_resources(&self, caller: &Caller, envelope: &Envelope<'_>, templates: bool) -> Reply {
        let resources = self.common.house.resources(&caller.principal);
        let shape = envelope.dialect.shape();
        let listed = resources
            .iter()
            .filter(|resource| matches!(resource.address, Address::Template(_)) == templates)
            .map(|resource| resource_definition(resource, shape));
        let member = if templates {
            "resourceTemplates"
        } else {
            "resources"
        };
        self.list(envelope, member, listed.collect())
    }

    fn list(&self, envelope: &Envelope<'_>, member: &str, definitions: Vec<Value>) -> Reply {
        Reply::result(envelope.id, |out| {
            let modern = envelope.dialect.is_modern();
            out.push(b'{');
            if modern {
                out.extend_from_slice(br#""resultType":"complete","#);
            }
            out.extend_from_slice(format!("\"{member}\":{}", Value::from(definitions)).as_bytes());
            out.extend_from_slice(if modern { self.list_tail() } else { b"}" });
        })
    }

    pub(super) fn complete(
        &self,
        caller: &Caller,
        envelope: &Envelope<'_>,
        completion: &Completion,
    ) -> Reply {
        let (house, principal) = (&self.common.house, &caller.principal);
        let Completion { argument, typed, .. } = completion;
        let (what, name, found) = match &completion.reference {
            Reference::Prompt { name } => (
                "prompt",
                name,
                house.complete_prompt(principal, name, argument, typed),
            ),
            Reference::Resource { uri } => (
                "resource template",
                uri,
                house.complete_resource(principal, uri, argument, typed),
            ),
        };
        let Some(Suggestions { values, total }) = found else {
            let name: String = name.chars().take(128).collect();
            return Reply::bad_params(envelope.id, format!("Unknown {what}: {name}"));
        };
        let more = total > values.len();
        let completion = json!({ "values": values, "total": total, "hasMore": more });
        Reply::result(envelope.id, |out| {
            out.push(b'{');
            if envelope.dialect.is_modern() {
                out.extend_from_slice(br#""resultType":"complete","#);
            }
            out.extend_from_slice(format!("\"completion\":{completion}").as_bytes());
            out.extend_from_slice(&self.tail(envelope.dialect, None));
            out.push(b'}');
        })
    }

    /// `prompts/get` and `resources/read`.
    pub(super) async fn get_offer(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        envelope: &Envelope<'_>,
        request: &ToolRequest<'_>,
        offer: Offer,
    ) -> Reply {
        let (dialect, house) = (envelope.dialect, &self.common.house);
        let cancelled = CancellationToken::new();
        let _cancel = cancelled.clone().drop_guard();
        let call = ToolCall {
            name: &request.name,
            arguments: request.arguments,
            input_responses: request.input_responses,
            request_state: request.request_state.as_deref(),
            capabilities: modern::capabilities(request.capabilities),
            asking: match dialect.is_modern() {
                true => Asking::InResult,
                false => Asking::Never,
            },
            approve_at: None,
            check_headers: &|_| Ok(()),
            progress: Progress::default(),
            cancelled,
            facts: self.facts(caller, mirror, envelope),
        };
        let result = match offer {
            Offer::Prompt => house.get_prompt(&caller.principal, call).await,
            Offer::Resource => house.read_resource(&caller.principal, call).await,
        };
        let usage = house.monthly_usage(&caller.principal).filter(Usage::is_near);
        let tail = self.tail(dialect, usage.as_ref());
        let asker = Asker {
            id: envelope.id,
            dialect,
            stepping: Stepping::of(
                &caller.principal,
                caller.entrance.as_ref().and_then(Entrance::advertised),
            ),
            reference: &caller.request_id,
            tail: &tail,
        };
        let reply = match result {
            Ok(Answer::Done(result)) if result.is_error => failed(&result, asker),
            Ok(Answer::Done(result)) => Reply::result(envelope.id, |out| match offer {
                Offer::Prompt => self.write_prompt(out, &request.name, asker, &result),
                Offer::Resource => self.write_resource(out, &request.name, asker, &result),
            }),
            Ok(Answer::InputRequired {
                requests,
                request_state,
            }) => Reply::result(envelope.id, |out| {
                shape::write_input_required(out, &tail, &requests, request_state.as_deref());
            }),
            Err(error) => refused(&error, asker, offer, &request.name),
        };
        reply.with_usage(usage)
    }

    fn write_prompt(&self, out: &mut Vec<u8>, name: &str, asker: Asker<'_>, result: &ToolResult) {
        let prompt = self.bound.edition.offers.prompt(name);
        open(out, asker.dialect);
        if let Some(prompt) = prompt {
            out.extend_from_slice(br#""description":"#);
            write_string(out, &prompt.row.description);
            out.push(b',');
        }
        out.extend_from_slice(br#""messages":["#);
        let structured = result
            .structured
            .as_ref()
            .map(|json| Content::Text(json.get().to_owned()));
        let roles = prompt.map_or(&[][..], |prompt| prompt.roles.as_slice());
        for (position, block) in structured.iter().chain(&result.content).enumerate() {
            if position > 0 {
                out.push(b',');
            }
            let role = roles.get(position).copied().unwrap_or(Role::User).as_str();
            out.extend_from_slice(format!(r#"{{"role":"{role}","content":"#).as_bytes());
            shape::write_block(out, asker.dialect, block);
            out.push(b'}');
        }
        out.push(b']');
        out.extend_from_slice(asker.tail);
        out.push(b'}');
    }

    fn write_resource(&self, out: &mut Vec<u8>, uri: &str, asker: Asker<'_>, result: &ToolResult) {
        let found = self.bound.edition.offers.resource(uri);
        let mime_type = found.and_then(|(resource, _)| resource.mime_type.as_deref());
        let parts = contents(uri, mime_type, result);
        open(out, asker.dialect);
        out.extend_from_slice(format!("\"contents\":{}", Value::from(parts)).as_bytes());
        if asker.dialect.is_modern() {
            // What is behind a URI may change at any time; whoever wants to know subscribes.
            out.extend_from_slice(br#","ttlMs":0,"cacheScope":"private""#);
        }
        out.extend_from_slice(asker.tail);
        out.push(b'}');
    }

    /// Names and addresses that a principal may ask for, as a notice about changes compares them.
    pub(super) fn offered_to(&self, principal: &Principal) -> [Vec<String>; 2] {
        let house = &self.common.house;
        let prompts = house.prompts(principal);
        let resources = house.resources(principal);
        [
            prompts.iter().map(|prompt| prompt.name.clone()).collect(),
            resources.iter().map(|resource| resource.name.clone()).collect(),
        ]
    }
}

fn open(out: &mut Vec<u8>, dialect: Dialect) {
    out.push(b'{');
    if dialect.is_modern() {
        out.extend_from_slice(br#""resultType":"complete","#);
    }
}

fn prompt_definition(prompt: &Prompt, shape: Shape) -> Value {
    let mut out = definition(&prompt.name, &prompt.row, shape);
    if !prompt.arguments.is_empty() {
        let arguments = prompt.arguments.iter().map(|input| argument(input, shape));
        out.insert("arguments".to_owned(), arguments.collect());
    }
    Value::Object(out)
}

fn argument(input: &Input, shape: Shape) -> Value {
    let mut out = Map::from_iter([
        ("name".to_owned(), json!(input.name)),
        ("required".to_owned(), json!(input.required)),
    ]);
    if !input.description.is_empty() {
        out.insert("description".to_owned(), json!(input.description));
    }
    if let (Shape::Full, Some(title)) = (shape, &input.title) {
        out.insert("title".to_owned(), json!(title));
    }
    Value::Object(out)
}

fn resource_definition(resource: &Resource, shape: Shape) -> Value {
    let mut out = definition(&resource.name, &resource.row, shape);
    match &resource.address {
        Address::Fixed(uri) => out.insert("uri".to_owned(), json!(uri)),
        Address::Template(template) => out.insert("uriTemplate".to_owned(), json!(template.as_str())),
    };
    if let Some(mime_type) = &resource.mime_type {
        out.insert("mimeType".to_owned(), json!(mime_type));
    }
    Value::Object(out)
}

fn definition(name: &str, row: &crate::catalogue::Tool, shape: Shape) -> Map<String, Value> {
    let mut out = Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("description".to_owned(), json!(row.description)),
    ]);
    if shape == Shape::Full {
        out.insert("title".to_owned(), json!(row.title));
    }
    out
}

/// The parts of a resource. A single one is what was asked for, whatever its handler calls it.
fn contents(uri: &str, mime_type: Option<&str>, result: &ToolResult) -> Vec<Value> {
    let text =
        |uri: &str, mime_type: &str, text: &str| json!({ "uri": uri, "mimeType": mime_type, "text": text });
    let blob =
        |uri: &str, mime_type: &str, data: &str| json!({ "uri": uri, "mimeType": mime_type, "blob": data });
    let mut parts = Vec::new();
    if let Some(structured) = &result.structured {
        parts.push(text(
            uri,
            mime_type.unwrap_or("application/json"),
            structured.get(),
        ));
    }
    let only = result.structured.is_none() && result.content.len() == 1;
    let own = |inner: &str| -> String {
        let inner = if only || inner.is_empty() { uri } else { inner };
        inner.to_owned()
    };
    for content in &result.content {
        parts.push(match content {
            Content::Text(plain) => text(uri, mime_type.unwrap_or("text/plain"), plain),
            Content::Image { data, mime_type } | Content::Audio { data, mime_type } => {
                blob(uri, mime_type, data)
            }
            Content::EmbeddedText {
                uri: inner,
                mime_type,
                text: plain,
            } => text(&own(inner), mime_type, plain),
            Content::EmbeddedBytes {
                uri: inner,
                mime_type,
                data,
            } => blob(&own(inner), mime_type, data),
            Content::ResourceLink { uri: inner, name } => text(&own(inner), "text/plain", name),
        });
    }
    if parts.is_empty() {
        // A resource that exists has contents, if only empty ones.
        parts.push(text(uri, mime_type.unwrap_or("text/plain"), ""));
    }
    parts
}

/// A handler said of itself that it failed; there is no result with such a mark here.
fn failed(result: &ToolResult, asker: Asker<'_>) -> Reply {
    let said = result.content.iter().find_map(|content| match content {
        Content::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let text = said.unwrap_or("The handler failed.").to_owned();
    let error = ErrorObject::new(codes::INTERNAL_ERROR, text);
    Reply::error(StatusCode::OK, Some(asker.id), &error)
}

/// What would be a tool error for a tool is a JSON-RPC error here: these methods have no other.
fn refused(error: &CallError, asker: Asker<'_>, offer: Offer, name: &str) -> Reply {
    let name: Cow<'_, str> = name.chars().take(256).collect();
    let answer = |code, data: Option<Value>, text: String| {
        reply::log(error, asker.reference);
        let object = ErrorObject::new(code, text);
        let object = match data {
            Some(data) => object.with_data(&data),
            None => object,
        };
        Reply::error(StatusCode::OK, Some(asker.id), &object)
    };
    let text = || error.text(asker.reference);
    match (error, offer) {
        (CallError::UnknownTool(_) | CallError::Domain(DomainError::NotFound { .. }), Offer::Resource) => {
            let code = if asker.dialect.is_modern() {
                codes::INVALID_PARAMS
            } else {
                codes::LEGACY_RESOURCE_NOT_FOUND
            };
            answer(
                code,
                Some(json!({ "uri": name })),
                format!("Resource not found: {name}"),
            )
        }
        (CallError::UnknownTool(_), Offer::Prompt) => {
            answer(codes::INVALID_PARAMS, None, format!("Unknown prompt: {name}"))
        }
        (CallError::Denied(denial), _) if !asker.dialect.bare && asker.stepping.is_none() => {
            answer(codes::FORBIDDEN, Some(reply::denial_data(denial)), text())
        }
        (
            CallError::Arguments(_)
            | CallError::CannotAsk
            | CallError::NoPreview
            | CallError::Domain(
                DomainError::Arguments(_)
                | DomainError::NotFound { .. }
                | DomainError::Conflict(_)
                | DomainError::Rule(_),
            ),
            _,
        ) => answer(codes::INVALID_PARAMS, None, text()),
        (
            CallError::Timeout { .. } | CallError::Domain(DomainError::Upstream(_) | DomainError::Cancelled),
            _,
        ) => answer(codes::INTERNAL_ERROR, None, text()),
        (CallError::Domain(DomainError::MissingCapability(_)), _) if !asker.dialect.is_modern() => {
            answer(codes::INVALID_PARAMS, None, text())
        }
        _ => of_call_error(error, asker),
    }
}
