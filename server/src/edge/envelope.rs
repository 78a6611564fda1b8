//! What a message asks for, the same in both eras: a decoded request comes in, an [`Envelope`] goes out, and from
//! there on nobody branches on the era. How its answer is written down is in its [`Dialect`].

use std::borrow::Cow;

use footbridge_protocol::{
    codes,
    era::{self, Era, ProtocolVersion, Served},
    headers::{self, HeaderValue, Mismatch},
    jsonrpc::{ErrorObject, Id, Notification, Request},
    meta::{ClientInfo, RequestMeta},
    param_headers::ParamHeaders,
    params::ShapeFault,
};
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;

use super::{legacy, listen::Filter, modern, offers::Completion, reply::Reply, tasks::TaskRequest};
use crate::{catalogue::Shape, domain::LogLevel, pipeline::ClientSession};

/// Longest progress token, in bytes as spelled (protocol.md L-02).
const LONGEST_TOKEN: usize = 256;

/// How an answer is written down (protocol.md S-70).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// The revision whose shapes the answer has.
    pub(super) version: ProtocolVersion,
    /// A bare JSON-RPC caller: no version header, no session id, no `_meta` version (catalogue.md §2.10).
    pub(super) bare: bool,
    /// Whether the tool's object is spread into the result, which only some editions do for bare callers.
    pub(super) flat: bool,
}

impl Dialect {
    pub(super) fn of(version: ProtocolVersion) -> Self {
        Self {
            version,
            bare: false,
            flat: false,
        }
    }

    pub(super) fn is_modern(self) -> bool {
        self.version.era() == Era::Modern
    }

    /// The shape of tool definitions.
    pub(super) fn shape(self) -> Shape {
        if self.version >= ProtocolVersion::V2025_06_18 {
            Shape::Full
        } else {
            Shape::Reduced
        }
    }
}

/// One request, decoded.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) id: Id<'a>,
    pub(super) dialect: Dialect,
    /// Who the client says it is. For logs and the spelling of names.
    pub(super) client: ClientInfo<'a>,
    /// `traceparent` of its `_meta`.
    pub(super) trace_parent: Option<Cow<'a, str>>,
    pub(super) ask: Ask<'a>,
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum Ask<'a> {
    /// `initialize`, to be answered with this version, and what the client says it can do.
    Initialize {
        version: &'static str,
        capabilities: Option<&'a RawValue>,
    },
    /// `ping`.
    Ping,
    /// `server/discover`.
    Discover,
    /// `tools/list`.
    ListTools,
    /// `tools/call`.
    CallTool(ToolRequest<'a>),
    /// `logging/setLevel`.
    SetLevel(LogLevel),
    /// `resources/subscribe`, or with `false` `resources/unsubscribe`.
    Subscribe { uri: Cow<'a, str>, wanted: bool },
    /// `tasks/…`.
    Task(TaskRequest<'a>),
    /// `prompts/list`.
    ListPrompts,
    /// `prompts/get`.
    GetPrompt(ToolRequest<'a>),
    /// `resources/list`.
    ListResources,
    /// `resources/templates/list`.
    ListTemplates,
    /// `resources/read`; its name is the URI.
    ReadResource(ToolRequest<'a>),
    /// `completion/complete`.
    Complete(Completion),
    /// `subscriptions/listen`, and what is wanted.
    Listen(Filter),
}

impl Ask<'_> {
    /// The method's name, for figures and logs.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Initialize { .. } => "initialize",
            Self::Task(request) => request.wish.method(),
            Self::SetLevel(_) => "logging/setLevel",
            Self::Subscribe { wanted: true, .. } => "resources/subscribe",
            Self::Subscribe { wanted: false, .. } => "resources/unsubscribe",
            Self::Ping => "ping",
            Self::Discover => "server/discover",
            Self::ListTools => "tools/list",
            Self::CallTool(_) => "tools/call",
            Self::ListPrompts => "prompts/list",
            Self::GetPrompt(_) => "prompts/get",
            Self::ListResources => "resources/list",
            Self::ListTemplates => "resources/templates/list",
            Self::ReadResource(_) => "resources/read",
            Self::Complete(_) => "completion/complete",
            Self::Listen(_) => "subscriptions/listen",
        }
    }
}

/// The parameters of `tools/call`, or of a call that reads like one, well typed.
#[derive(Clone, Debug)]
pub(super) struct ToolRequest<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) arguments: Option<&'a RawValue>,
    pub(super) input_responses: Option<&'a RawValue>,
    pub(super) request_state: Option<Cow<'a, str>>,
    pub(super) capabilities: Option<&'a RawValue>,
    pub(super) progress_token: Option<Id<'a>>,
    /// Whether `Mcp-Param-*` headers repeat these arguments.
    pub(super) mirrored: bool,
}

/// The headers that repeat parts of a message.
#[derive(Clone, Copy)]
pub(super) enum Mirror<'h> {
    /// Those of an HTTP request.
    Http(&'h HeaderMap),
    /// There are none on stdio, and nothing is compared; legacy messages are of the revision that `initialize`
    /// settled.
    Stdio {
        settled: Option<ProtocolVersion>,
        session: Option<&'h ClientSession>,
    },
}

impl<'h> Mirror<'h> {
    /// All occurrences of one header.
    pub(super) fn header(self, name: &str) -> HeaderValue<'h> {
        match self {
            Self::Http(map) => HeaderValue::of(map.get_all(name).iter().map(http::HeaderValue::as_bytes)),
            Self::Stdio { .. } => HeaderValue::Absent,
        }
    }

    pub(super) fn check_method(self, method: &str) -> Result<(), Mismatch> {
        match self {
            Self::Http(_) => headers::check_method(self.header(headers::METHOD), method),
            Self::Stdio { .. } => Ok(()),
        }
    }

    pub(super) fn check_name(self, request: &Request<'_>) -> Result<(), Mismatch> {
        match self {
            Self::Http(_) => {
                headers::check_name(self.header(headers::NAME), &request.method, &request.params)
            }
            Self::Stdio { .. } => Ok(()),
        }
    }

    pub(super) fn check_params(
        self,
        marks: &ParamHeaders,
        arguments: Option<&RawValue>,
    ) -> Result<(), Mismatch> {
        match self {
            Self::Http(_) if !marks.is_empty() => marks.verify(arguments, |name| self.header(name)),
            _ => Ok(()),
        }
    }

    /// Gate rows 9 to 12.
    fn decide(self, meta: &RequestMeta<'_>, method: &str) -> Result<Served, era::Refusal> {
        match self {
            Self::Http(_) => era::decide(meta, method, self.header(headers::PROTOCOL_VERSION)),
            Self::Stdio { settled, .. } => {
                // The body repeats itself where HTTP has a header.
                let claimed = meta.protocol_version().ok().flatten();
                let header = match (&claimed, settled) {
                    (Some(version), _) => HeaderValue::One(version),
                    (None, Some(version)) if method != "initialize" => HeaderValue::One(version.as_str()),
                    (None, _) => HeaderValue::Absent,
                };
                era::decide(meta, method, header)
            }
        }
    }

    /// Whether whoever sent this showed no sign of being an MCP client.
    fn is_bare(self, meta: &RequestMeta<'_>) -> bool {
        match self {
            Self::Http(map) => {
                !meta.is_modern_claim()
                    && !map.contains_key(headers::PROTOCOL_VERSION)
                    && !map.contains_key(headers::SESSION_ID)
            }
            Self::Stdio { .. } => false,
        }
    }
}

/// A refusal with the request's id, from the rows 9 to 16.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) error: ErrorObject,
}

impl Refused {
    pub(super) fn to_reply(&self, id: Option<Id<'_>>) -> Reply {
        Reply::error(self.status, id, &self.error)
    }

    /// The method is unknown, or not advertised in this era.
    pub(super) fn unknown_method(status: StatusCode, method: &str) -> Self {
        let method: String = method.chars().take(100).collect();
        Self {
            status,
            error: ErrorObject::new(codes::METHOD_NOT_FOUND, format!("Unknown method `{method}`.")),
        }
    }

    pub(super) fn params(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::OK,
            error: ErrorObject::new(codes::INVALID_PARAMS, message.into()),
        }
    }
}

impl From<Mismatch> for Refused {
    fn from(mismatch: Mismatch) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: mismatch.to_error(),
        }
    }
}

impl From<ShapeFault> for Refused {
    fn from(fault: ShapeFault) -> Self {
        Self::params(fault.to_string())
    }
}

impl From<era::Refusal> for Refused {
    fn from(refusal: era::Refusal) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: refusal.to_error(),
        }
    }
}

/// Reads one request: its era, then what its era asks of it (gate rows 9 to 16).
pub(super) fn open<'a>(request: &Request<'a>, mirror: Mirror<'_>) -> Result<Envelope<'a>, Refused> {
    let meta = request.params.meta();
    match mirror.decide(meta, &request.method)? {
        Served::Modern => modern::decode(request, mirror),
        Served::Handshake => legacy::decode(request, Dialect::of(ProtocolVersion::NEWEST_LEGACY)),
        Served::Legacy(version) => {
            let dialect = Dialect {
                bare: mirror.is_bare(meta),
                ..Dialect::of(version)
            };
            legacy::decode(request, dialect)
        }
    }
}

/// Judges a notification: no headers are asked of it, but a version that it names must be served, and header and
/// body must not contradict each other (protocol.md S-25, §7 row 5).
pub(super) fn admit_notification(notification: &Notification<'_>, mirror: Mirror<'_>) -> Result<(), Refused> {
    match mirror.decide(notification.params.meta(), &notification.method) {
        Err(era::Refusal::Header(_)) if mirror.header(headers::PROTOCOL_VERSION) == HeaderValue::Absent => {
            Ok(())
        }
        Ok(_) | Err(era::Refusal::Envelope(_)) => Ok(()),
        Err(refusal) => Err(refusal.into()),
    }
}

/// `tools/call` and `prompts/get`, row 16.
pub(super) fn tool_request<'a>(request: &Request<'a>) -> Result<ToolRequest<'a>, Refused> {
    let name = request.params.name()?;
    call_request(request, name.ok_or("name"))
}

/// `resources/read`, row 16.
pub(super) fn resource_request<'a>(request: &Request<'a>) -> Result<ToolRequest<'a>, Refused> {
    let uri = request.params.uri()?;
    call_request(request, uri.ok_or("uri"))
}

fn call_request<'a>(
    request: &Request<'a>,
    name: Result<Cow<'a, str>, &str>,
) -> Result<ToolRequest<'a>, Refused> {
    let params = &request.params;
    let name =
        name.map_err(|member| Refused::params(format!("`params.{member}` must be a string, not absent.")))?;
    let progress_token = params.meta().progress_token()?;
    if progress_token.is_some_and(|token| token.as_raw().len() > LONGEST_TOKEN) {
        return Err(Refused::params(format!(
            "`params._meta.progressToken` may have at most {LONGEST_TOKEN} bytes."
        )));
    }
    Ok(ToolRequest {
        name,
        arguments: params.arguments()?,
        input_responses: params.input_responses()?,
        request_state: params.request_state()?,
        capabilities: params.meta().client_capabilities()?,
        progress_token,
        mirrored: true,
    })
}

/// Listings, row 16: there is one page, so no cursor was ever given out (protocol.md S-65).
pub(super) fn list_request(request: &Request<'_>) -> Result<(), Refused> {
    match request.params.cursor()? {
        None => Ok(()),
        Some(_) => Err(Refused::params(
            "`params.cursor` is not one that this server gave out; list without it.",
        )),
    }
}
