//! The work: the bytes of one message come in, a reply goes out. The same desk serves HTTP and stdio; it knows an
//! era only as the shape of its answers.

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{Arc, OnceLock, Weak},
};

use bytes::Bytes;
use footbridge_protocol::{
    codes,
    era::{self, SUPPORTED},
    headers::{HeaderValue, PROTOCOL_VERSION},
    jsonrpc::{DecodeError, ErrorObject, Message, Request, Rules, decode},
    meta::ClientInfo,
};
use http::StatusCode;
use prometheus_client::metrics::{counter::Counter, histogram::Histogram};
use serde_json::json;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use super::{
    Logged,
    envelope::{Ask, Envelope, Mirror, admit_notification, open},
    legacy,
    line::Line,
    listen::{self, Listens},
    metrics::Metrics,
    offers::{self, Offer},
    reply::Reply,
    session::{SessionOver, legacy_capabilities, session_over},
    settings::EdgeSettings,
    tasks,
};
use crate::{
    access::{Principal, oauth::Entrance},
    catalogue::Edition,
    limits::{OverLimit, RateState},
    pipeline::{BoundEdition, ClientSession, House},
    telemetry::Arrival,
    vocabulary::Listing,
};

/// What every JSON-RPC message is held to (protocol.md L-02).
pub(super) const RULES: Rules = Rules::SERVER;

/// What a legacy client says of a call that it wants stopped.
const CANCELLED: &str = "notifications/cancelled";

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
    pub(super) counts: Counts,
    /// Whether calls of any tool may become tasks.
    pub(super) has_tasks: bool,
    /// Itself, for what outlives a request.
    pub(super) me: Weak<Desk>,
}

/// The counters of what happens most, found once.
pub(super) struct Counts {
    calls: Counter,
    lists: Counter,
    /// One for each tool, in the edition's order.
    pub(super) went_well: Vec<Counter>,
    pub(super) times: Vec<Histogram>,
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
    /// When the message came.
    pub(super) arrival: Arrival,
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
        let has_tasks = tasks::has_any(edition);
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
                    Ok(Some(session)) if notification.method == CANCELLED => {
                        Box::pin(self.stop_call(caller, &session, &notification)).await
                    }
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
        let started = tracing::enabled!(tracing::Level::DEBUG).then(std::time::Instant::now);
        let reply = self.serve(caller, mirror, &envelope, session, line).await;
        let duration_ms = started.map(|started| started.elapsed().as_secs_f64() * 1000.0);
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
            Ask::CallTool(request) => self.call(caller, mirror, envelope, request, session, line).await,
            Ask::Task(request) if self.has_tasks => {
                Box::pin(self.task(caller, mirror, envelope, request)).await
            }
            Ask::Task(_) => Self::unknown_method(envelope),
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

    fn takes_batches(&self, mirror: Mirror<'_>) -> bool {
        match mirror {
            Mirror::Http(_) => era::allows_batch(mirror.header(PROTOCOL_VERSION)),
            Mirror::Stdio { settled, .. } => settled == Some(era::ProtocolVersion::V2025_03_26),
        }
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
