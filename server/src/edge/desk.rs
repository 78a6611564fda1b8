//! The work: the bytes of one message come in, a reply goes out. The same desk serves HTTP and stdio; it knows an
//! era only as the shape of its answers.

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use bytes::Bytes;
use footbridge_protocol::{
    codes,
    era::{self, SUPPORTED},
    headers::{HeaderValue, PROTOCOL_VERSION},
    jsonrpc::{DecodeError, ErrorObject, Id, Message, Request, Rules, decode},
    meta::{ClientInfo, TRACEPARENT},
};
use http::StatusCode;
use prometheus_client::metrics::{counter::Counter, histogram::Histogram};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use super::{
    Logged,
    challenge::Stepping,
    envelope::{Ask, Dialect, Envelope, Mirror, ToolRequest, admit_notification, open},
    legacy,
    line::{Events, Line},
    listen::{self, Listens},
    messenger::Messenger,
    metrics::{Metrics, WENT_WELL},
    modern,
    offers::{self, Offer},
    progress::{LogNotes, ProgressNotes, Reports},
    reply::{Asker, Reply, of_call_error},
    session::{SessionOver, legacy_capabilities, session_over},
    settings::EdgeSettings,
    shape,
    tape::Tape,
    tasks,
};
use crate::{
    access::{Principal, oauth::Entrance},
    audit::RequestFacts,
    catalogue::{Edition, TaskRule, Tool},
    domain::Progress,
    limits::{OverLimit, RateState, Usage},
    pipeline::{Answer, Asking, BoundEdition, CallError, ClientSession, House, ToolCall},
    telemetry::Trace,
    vocabulary::Listing,
};

/// What every JSON-RPC message is held to (protocol.md L-02).
pub(super) const RULES: Rules = Rules::SERVER;
/// Reports of a call that may wait while an earlier one is written; newer ones follow those that find no room.
const REPORTS_WAITING: usize = 16;
/// Where in `_meta` a result says that the month's calls go to their end (catalogue.md §2.11).
const WARNING: &str = "dev.footbridge/warning";

/// What all desks of a server share.
pub(super) struct Common {
    pub(super) house: Arc<House>,
    pub(super) settings: Arc<EdgeSettings>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) listens: Arc<Listens>,
    /// Fires when the server is told to stop: it wants no more calls, and serves those that come.
    pub(super) leaving: CancellationToken,
    /// Fires when it begins to stop: new work is refused.
    pub(super) draining: CancellationToken,
    /// Requests under way, those included that go on without their caller, and tasks.
    pub(super) work: TaskTracker,
    /// Where people approve calls in a browser, once the server knows its own address; never on stdio.
    pub(super) approve_at: OnceLock<String>,
}

impl Common {
    pub(super) fn new(house: Arc<House>, settings: Arc<EdgeSettings>) -> Self {
        let leaving = CancellationToken::new();
        Self {
            metrics: Arc::new(Metrics::new(&house, &settings, leaving.clone())),
            house,
            settings,
            listens: Arc::default(),
            leaving,
            draining: CancellationToken::new(),
            work: TaskTracker::new(),
            approve_at: OnceLock::new(),
        }
    }
}

/// One edition's endpoint, with all that it says of itself prepared as bytes.
pub(super) struct Desk {
    pub(super) common: Arc<Common>,
    pub(super) bound: Arc<BoundEdition>,
    /// `,"_meta":{…}`, what ends a modern result.
    modern_tail: Bytes,
    /// What ends a modern `tools/list`.
    list_tail: Bytes,
    discover: Bytes,
    /// Who we are, for legacy clients: without and with a title.
    pub(super) server: [Bytes; 2],
    /// What legacy clients are told that we can do: without and with a session.
    pub(super) capabilities: [Bytes; 2],
    /// `,"instructions":…}`, what ends an `initialize` result.
    pub(super) instructions: Bytes,
    counts: Counts,
    /// Whether calls of any tool may become tasks.
    has_tasks: bool,
    /// Itself, for what outlives a request.
    pub(super) me: Weak<Desk>,
}

/// The counters of what happens most, found once.
struct Counts {
    calls: Counter,
    lists: Counter,
    /// One for each tool, in the edition's order.
    went_well: Vec<Counter>,
    times: Vec<Histogram>,
}

impl Counts {
    fn new(metrics: &Metrics, edition: &Edition) -> Self {
        let tools = edition.tools().iter();
        Self {
            calls: metrics.answered(&edition.name, "tools/call"),
            lists: metrics.answered(&edition.name, "tools/list"),
            went_well: tools
                .clone()
                .map(|tool| metrics.went_well(&edition.name, &tool.name))
                .collect(),
            times: tools
                .map(|tool| metrics.times(&edition.name, &tool.name))
                .collect(),
        }
    }
}

/// Who sends a message, through which door.
pub(super) struct Caller {
    pub(super) principal: Principal,
    pub(super) address: Option<IpAddr>,
    /// Unique per request; shown to the caller where a cause is not.
    pub(super) request_id: String,
    /// What its rate says to this request.
    pub(super) counted: Result<RateState, OverLimit>,
    /// The entrance, where it takes access tokens.
    pub(super) entrance: Option<Entrance>,
    /// How much of the catalogue the URL asks for.
    pub(super) listing: Listing,
}

impl Desk {
    pub(super) fn new(common: Arc<Common>, bound: Arc<BoundEdition>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self::knowing(me.clone(), common, bound))
    }

    fn knowing(me: Weak<Self>, common: Arc<Common>, bound: Arc<BoundEdition>) -> Self {
        let edition = &bound.edition;
        let server = json!({ "name": common.settings.server_name, "version": env!("CARGO_PKG_VERSION") });
        let titled = json!({
            "name": common.settings.server_name,
            "version": env!("CARGO_PKG_VERSION"),
            "title": edition.title,
        });
        let meta = json!({ footbridge_protocol::meta::SERVER_INFO: server });
        let has_tasks = edition.tools().iter().any(|tool| tool.task != TaskRule::Never);
        let mut capabilities = offers::capabilities(edition, true);
        if let Some(all) = capabilities.as_object_mut().filter(|_| has_tasks) {
            all.insert("extensions".to_owned(), tasks::capability());
        }
        let discover = json!({
            "resultType": "complete",
            "supportedVersions": SUPPORTED.map(era::ProtocolVersion::as_str),
            "capabilities": capabilities,
            "instructions": edition.instructions,
            // The same bytes for every caller of this endpoint, so any cache may share them (protocol.md S-63).
            "ttlMs": 3_600_000,
            "cacheScope": "public",
            "_meta": meta,
        });
        Self {
            modern_tail: format!(r#","_meta":{meta}"#).into(),
            // What a key may call changes seldom, and a listener hears of it at once.
            list_tail: format!(r#","ttlMs":300000,"cacheScope":"private","_meta":{meta}}}"#).into(),
            discover: discover.to_string().into(),
            server: [server.to_string().into(), titled.to_string().into()],
            capabilities: legacy_capabilities(edition),
            instructions: format!(r#","instructions":{}}}"#, json!(edition.instructions)).into(),
            counts: Counts::new(&common.metrics, edition),
            has_tasks,
            me,
            common,
            bound,
        }
    }

    pub(super) fn modern_tail(&self) -> &[u8] {
        &self.modern_tail
    }

    pub(super) fn list_tail(&self) -> &[u8] {
        &self.list_tail
    }

    /// Answers one body: gate rows 6 to 21.
    pub(super) async fn answer(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        body: &[u8],
        line: &Line,
    ) -> Reply {
        let decoded = decode(body, &RULES);
        let id = match &decoded {
            Ok(Message::Request(request)) => Some(request.id),
            Ok(_) => None,
            Err(error) => error.id(),
        };
        // Whatever it holds, it was counted; the refusal waited until the id is known (protocol.md L-08).
        if let Err(limit) = &caller.counted {
            self.common.metrics.limit_reached(limit);
            return match &decoded {
                Ok(Message::Request(request)) => {
                    Box::pin(self.over_rate(caller, mirror, request, limit)).await
                }
                _ => Reply::over_limit(id, limit),
            };
        }
        match decoded {
            Ok(message) => self.message(caller, mirror, message, line).await,
            Err(DecodeError::Batch) if self.takes_batches(mirror) => {
                Box::pin(self.batch(caller, mirror, body, line)).await
            }
            Err(error) => undecodable(&error),
        }
    }

    /// Refuses a request for its rate. A call of a tool that was refused so has its row, as any other.
    pub(super) async fn over_rate(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        request: &Request<'_>,
        limit: &OverLimit,
    ) -> Reply {
        info!(tenant.id = %caller.principal.tenant(), request.id = caller.request_id, "refused: {limit}");
        if let Ok(envelope) = open(request, mirror)
            && let Ask::CallTool(call) = &envelope.ask
        {
            let (house, facts) = (&self.common.house, self.facts(caller, mirror, &envelope));
            let written = house
                .refuse_call(&caller.principal, &call.name, facts, limit.clone())
                .await;
            // Nothing ran, and nothing will: the refusal stands whether or not the log takes its row.
            if let Err(error) = written {
                warn!(request.id = caller.request_id, error = %error, "no audit row for a refused call");
            }
        }
        Reply::over_limit(Some(request.id), limit)
    }

    pub(super) async fn message(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        message: Message<'_>,
        line: &Line,
    ) -> Reply {
        match message {
            Message::Request(request) => self.request(caller, mirror, &request, line).await,
            Message::Notification(notification) => match admit_notification(&notification, mirror) {
                Ok(()) if notification.params.meta().is_modern_claim() => Reply::accepted(),
                Ok(()) => match self.session(caller, mirror) {
                    Ok(_) => Reply::accepted(),
                    Err(SessionOver) => session_over(None),
                },
                Err(refused) => refused.to_reply(None),
            },
            // Row 8: a modern client never sends one; a legacy one may be late with an answer nobody waits for.
            Message::Response(_) if era::response_is_modern(mirror.header(PROTOCOL_VERSION)) => {
                let error = ErrorObject::new(
                    codes::INVALID_REQUEST,
                    "A client sends no responses in this revision.",
                );
                Reply::error(StatusCode::BAD_REQUEST, None, &error)
            }
            Message::Response(response) => Box::pin(self.take_answer(caller, mirror, &response)).await,
        }
    }

    async fn request(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        request: &Request<'_>,
        line: &Line,
    ) -> Reply {
        let mut envelope = match open(request, mirror) {
            Ok(envelope) => envelope,
            Err(refused) => {
                info!(
                    tenant.id = %caller.principal.tenant(), request.id = caller.request_id, code = refused.error.code,
                    "refused `{}`: {}", Logged(&request.method), Logged(&refused.error.message)
                );
                return refused.to_reply(Some(request.id));
            }
        };
        let mut session = None;
        if !envelope.dialect.is_modern() && !matches!(envelope.ask, Ask::Initialize { .. }) {
            session = match self.session(caller, mirror) {
                Ok(session) => session,
                Err(SessionOver) => return session_over(Some(request.id)),
            };
        }
        if let Some(session) = &mut session {
            envelope.client = ClientInfo {
                name: session.facts.name.take().map(Cow::Owned),
                version: session.facts.version.take().map(Cow::Owned),
            };
            // Who names no version speaks the one that was agreed on, not the oldest that knew no header.
            if mirror.header(PROTOCOL_VERSION) == HeaderValue::Absent {
                envelope.dialect.version = legacy::shapes_of(&session.facts.revision);
            }
        }
        envelope.dialect.flat = envelope.dialect.bare && self.bound.edition.flat_for_bare_callers;
        let started = std::time::Instant::now();
        let reply = self.serve(caller, mirror, &envelope, session, line).await;
        let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
        match &envelope.ask {
            Ask::CallTool(_) if reply.status == StatusCode::OK => {
                self.counts.calls.inc();
            }
            Ask::ListTools if reply.status == StatusCode::OK => {
                self.counts.lists.inc();
            }
            ask => self
                .common
                .metrics
                .request(&self.bound.edition.name, ask.method(), reply.status),
        }
        debug!(
            tenant.id = %caller.principal.tenant(), request.id = caller.request_id, status = reply.status.as_u16(),
            version = envelope.dialect.version.as_str(), duration_ms, "{}", envelope.ask.method()
        );
        reply
    }

    async fn serve(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        envelope: &Envelope<'_>,
        session: Option<ClientSession>,
        line: &Line,
    ) -> Reply {
        let id = envelope.id;
        match &envelope.ask {
            Ask::Initialize {
                version,
                capabilities,
            } => self.initialize(caller, envelope, version, *capabilities),
            Ask::SetLevel(level) => Box::pin(self.set_level(caller, id, session.as_ref(), *level)).await,
            Ask::Subscribe { uri, wanted } => {
                Box::pin(self.watch(caller, id, session.as_ref(), uri, *wanted)).await
            }
            Ask::Ping => Reply::result(id, |out| out.extend_from_slice(b"{}")),
            Ask::Discover => Reply::result(id, |out| out.extend_from_slice(&self.discover)),
            Ask::ListTools => self.list_tools(caller, envelope),
            Ask::CallTool(request) if self.discovers(caller) => {
                Box::pin(self.call_discovered(caller, mirror, envelope, request, session, line)).await
            }
            Ask::CallTool(request) if self.has_tasks && envelope.dialect.is_modern() => {
                match self.may_be_task(caller, request) {
                    Ok(true) => Box::pin(self.call_as_task(caller, mirror, envelope, request)).await,
                    Ok(false) => {
                        self.call_tool(caller, mirror, envelope, request, session, line)
                            .await
                    }
                    Err(error) => self.reply_to(caller, id, envelope.dialect, Err(error)),
                }
            }
            Ask::Task(request) if self.has_tasks => Box::pin(self.task(caller, envelope, request)).await,
            Ask::Task(_) => Self::unknown_method(envelope),
            Ask::CallTool(request) => {
                self.call_tool(caller, mirror, envelope, request, session, line)
                    .await
            }
            Ask::ListPrompts if self.offers(Offer::Prompt) => self.list_prompts(caller, envelope),
            Ask::GetPrompt(request) if self.offers(Offer::Prompt) => {
                Box::pin(self.get_offer(caller, mirror, envelope, request, Offer::Prompt)).await
            }
            Ask::ListResources if self.offers(Offer::Resource) => {
                self.list_resources(caller, envelope, false)
            }
            Ask::ListTemplates if self.offers(Offer::Resource) => self.list_resources(caller, envelope, true),
            Ask::ReadResource(request) if self.offers(Offer::Resource) => {
                Box::pin(self.get_offer(caller, mirror, envelope, request, Offer::Resource)).await
            }
            Ask::Complete(completion) if self.offers(Offer::Prompt) || self.offers(Offer::Resource) => {
                self.complete(caller, envelope, completion)
            }
            Ask::ListPrompts
            | Ask::GetPrompt(_)
            | Ask::ListResources
            | Ask::ListTemplates
            | Ask::ReadResource(_)
            | Ask::Complete(_) => Self::unknown_method(envelope),
            Ask::Listen(filter) => Box::pin(listen::listen(self, caller, mirror, id, filter, line)).await,
        }
    }

    fn list_tools(&self, caller: &Caller, envelope: &Envelope<'_>) -> Reply {
        let dialect = envelope.dialect;
        let listed = self.common.house.list_tools(
            &caller.principal,
            envelope.client.name.as_deref(),
            dialect.shape(),
            &caller.listing,
        );
        let tools = match listed {
            Ok(tools) => tools,
            Err(unknown) => return Reply::bad_params(envelope.id, unknown.to_string()),
        };
        if dialect.is_modern() {
            Reply::around(
                envelope.id,
                br#"{"resultType":"complete","tools":"#,
                tools,
                self.list_tail.clone(),
            )
        } else {
            Reply::around(envelope.id, br#"{"tools":"#, tools, Bytes::from_static(b"}"))
        }
    }

    pub(super) async fn call_tool(
        &self,
        caller: &Caller,
        mirror: Mirror<'_>,
        envelope: &Envelope<'_>,
        request: &ToolRequest<'_>,
        session: Option<ClientSession>,
        line: &Line,
    ) -> Reply {
        let dialect = envelope.dialect;
        if !dialect.is_modern() {
            line.outlive_caller();
        }
        let cancelled = CancellationToken::new();
        // Dropped with this future, that is when the client went away (protocol.md S-105).
        let _cancel = cancelled.clone().drop_guard();
        let settings = &self.common.settings;
        let streams = line.events() == Events::Welcome;
        let tape = session
            .as_ref()
            .filter(|_| streams)
            .and_then(|_| Tape::new(&self.common, caller, dialect.version));
        let token = request.progress_token.filter(|_| streams);
        let (progress, reports) = match (token, &tape) {
            (None, None) => (Progress::default(), None),
            _ => {
                let (sender, receiver) = mpsc::channel(REPORTS_WAITING);
                let reports = Reports {
                    line,
                    tape: tape.as_ref(),
                    progress: token.map(|token| ProgressNotes::new(token, settings)),
                    log: session.as_ref().map(|session| {
                        LogNotes::new(session.state.log_level.as_deref(), &request.name, settings)
                    }),
                    stream_after: Duration::from_millis(settings.stream_after_ms),
                };
                (Progress::to(sender), Some((receiver, reports)))
            }
        };
        let messenger = tape.as_ref().map(|tape| Messenger {
            desk: self,
            caller,
            mirror,
            line,
            tape,
            version: dialect.version,
        });
        let mut capabilities = modern::capabilities(request.capabilities);
        let asking = match (&messenger, &session) {
            _ if dialect.is_modern() => Asking::InResult,
            (Some(messenger), Some(session)) if !session.facts.capabilities.is_empty() => {
                capabilities.clone_from(&session.facts.capabilities);
                Asking::Directly(messenger)
            }
            _ => Asking::Never,
        };
        let check_headers = |tool: &Tool| match dialect.is_modern() && request.mirrored {
            true => mirror.check_params(tool.param_headers(), request.arguments),
            false => Ok(()),
        };
        let call = ToolCall {
            name: &request.name,
            arguments: request.arguments,
            input_responses: request.input_responses,
            request_state: request.request_state.as_deref(),
            capabilities,
            asking,
            approve_at: self.common.approve_at.get().map(String::as_str),
            check_headers: &check_headers,
            progress,
            cancelled,
            facts: self.facts(caller, mirror, envelope),
        };
        let started = std::time::Instant::now();
        // Boxed: every future around this one would be as large as it, and is moved once for each of them.
        let mut call = Box::pin(self.common.house.call(&caller.principal, call));
        let result = match reports {
            None => call.as_mut().await,
            Some((receiver, reports)) => Box::pin(reports.relay(call, receiver)).await,
        };
        self.count(&request.name, &result, started.elapsed());
        let reply = self.reply_to(caller, envelope.id, dialect, result);
        if let Some(tape) = &tape {
            Box::pin(tape.end(&reply)).await;
        }
        reply
    }

    /// What a call came to, as a message.
    pub(super) fn reply_to(
        &self,
        caller: &Caller,
        id: Id<'_>,
        dialect: Dialect,
        result: Result<Answer, CallError>,
    ) -> Reply {
        let usage = self.common.house.monthly_usage(&caller.principal);
        let usage = usage.filter(Usage::is_near);
        let tail = self.tail(dialect, usage.as_ref());
        let reply = match result {
            Ok(Answer::Done(result)) => Reply::result(id, |out| {
                shape::write_tool_result(out, dialect, &tail, &result);
            }),
            Ok(Answer::InputRequired {
                requests,
                request_state,
            }) => Reply::result(id, |out| {
                shape::write_input_required(out, &tail, &requests, request_state.as_deref());
            }),
            Err(error) => {
                let asker = Asker {
                    id,
                    dialect,
                    stepping: Stepping::of(
                        &caller.principal,
                        caller.entrance.as_ref().and_then(Entrance::advertised),
                    ),
                    reference: &caller.request_id,
                    tail: &tail,
                };
                of_call_error(&error, asker)
            }
        };
        reply.with_usage(usage)
    }

    /// What ends a result: who we are, which modern results alone say, and a warning, which all do.
    pub(super) fn tail(&self, dialect: Dialect, usage: Option<&Usage>) -> Cow<'_, [u8]> {
        let own: &[u8] = if dialect.is_modern() {
            &self.modern_tail
        } else {
            b""
        };
        let Some(usage) = usage else {
            return Cow::Borrowed(own);
        };
        // Invariant: the modern tail ends with the brace that closes `_meta`.
        let mut tail = match own.strip_suffix(b"}") {
            Some(open) => [open, b","].concat(),
            None => br#","_meta":{"#.to_vec(),
        };
        tail.extend_from_slice(format!("\"{WARNING}\":{}}}", json!(usage.warning())).as_bytes());
        Cow::Owned(tail)
    }

    pub(super) fn count(&self, name: &str, result: &Result<Answer, CallError>, took: Duration) {
        let tool = self.bound.edition.find(name);
        if let Some(times) = tool.and_then(|tool| self.counts.times.get(tool.index)) {
            times.observe(took.as_secs_f64());
        }
        if let Err(CallError::OverLimit(limit)) = result {
            self.common.metrics.limit_reached(limit);
        }
        let outcome = outcome_of(result);
        match tool.and_then(|tool| self.counts.went_well.get(tool.index)) {
            Some(counter) if outcome == WENT_WELL => {
                counter.inc();
            }
            _ => {
                let tool = tool.map(|tool| &tool.name);
                self.common
                    .metrics
                    .tool_call(&self.bound.edition.name, tool, outcome);
            }
        }
    }

    pub(super) fn facts(&self, caller: &Caller, mirror: Mirror<'_>, envelope: &Envelope<'_>) -> RequestFacts {
        let cut = |text: &str| match text.len() <= 200 && !text.chars().any(char::is_control) {
            true => text.to_owned(),
            false => text.chars().filter(|c| !c.is_control()).take(200).collect(),
        };
        RequestFacts {
            request_id: caller.request_id.clone(),
            client_name: envelope.client.name.as_deref().map(cut),
            client_version: envelope.client.version.as_deref().map(cut),
            protocol_version: envelope.dialect.version.as_str(),
            address: caller.address,
            // What the message says beats the header (protocol.md L-10).
            trace: match (&envelope.trace_parent, mirror.header(TRACEPARENT)) {
                (Some(parent), _) => Trace::read(parent),
                (None, HeaderValue::One(parent)) => Trace::read(parent),
                (None, _) => None,
            },
        }
    }

    fn takes_batches(&self, mirror: Mirror<'_>) -> bool {
        match mirror {
            Mirror::Http(_) => era::allows_batch(mirror.header(PROTOCOL_VERSION)),
            Mirror::Stdio { settled } => settled == Some(era::ProtocolVersion::V2025_03_26),
        }
    }
}

/// The word that figures name an outcome with.
pub(super) fn outcome_of(result: &Result<Answer, CallError>) -> &'static str {
    match result {
        Ok(Answer::Done(result)) if result.is_error => "tool_error",
        Ok(Answer::Done(_)) => WENT_WELL,
        Ok(Answer::InputRequired { .. }) => "input_required",
        Err(error) => error.code(),
    }
}

pub(super) fn undecodable(error: &DecodeError) -> Reply {
    info!(
        code = error.code(),
        "refused a body: {}",
        Logged(&error.to_string())
    );
    Reply::error(
        StatusCode::BAD_REQUEST,
        error.id(),
        &ErrorObject::new(error.code(), error.to_string()),
    )
}
