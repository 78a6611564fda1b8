//! A whole server for one test: a store in a temporary folder, a small catalogue with handlers that do what tests
//! need, a real listener on port 0, and a client that writes exactly the bytes it is told to.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use footbridge_server::{
    access::{
        Keyring,
        oauth::{OAuth, OAuthLimits},
    },
    audit::Keeping,
    catalogue::{Catalogue, NamedText},
    config::{ConsoleSettings, SignInSettings},
    domain::{
        Change, Content, DomainError, Handlers, InputRequest, InputRequired, Outcome, Plan, ToolResult,
    },
    edge::{EdgeSettings, Server, TlsFiles, listen},
    operate::{
        Actor,
        keys::{MintRequest, mint},
        oauth::{self, OAuthChange, Switch},
        oidc::SignInProvider,
        sign_in::PasswordCheck,
    },
    pipeline::{self, HouseBuilder},
    policy::SealKey,
    store::{KeyLimits, Store, StoreSettings, StoreUrl},
    vocabulary::{Clock, EditionName, Effect, Role, Scope, TenantId},
    web::{self, Web},
};
use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Longer than any test waits for anything: reached only when something hangs.
pub(crate) const HANGS: Duration = Duration::from_secs(30);

const CATALOGUE: &str = include_str!("house.toml");

/// What the handlers of the test catalogue noticed.
#[derive(Default)]
pub(crate) struct Noticed {
    pub(crate) started: AtomicU32,
    pub(crate) finished: AtomicU32,
    pub(crate) stopped: AtomicU32,
    pub(crate) change: Notify,
    /// What the next `tests::task` does.
    pub(crate) act: Mutex<Option<Act>>,
}

/// Something that a test lets a handler do.
pub(crate) type Act = Box<dyn FnOnce() + Send>;

impl Noticed {
    fn note(&self, counter: &AtomicU32) {
        counter.fetch_add(1, Ordering::SeqCst);
        self.change.notify_waiters();
    }

    /// Waits until a counter has reached a value.
    pub(crate) async fn reach(&self, counter: impl Fn(&Self) -> &AtomicU32, value: u32) {
        let reached = async {
            loop {
                let changed = self.change.notified();
                if counter(self).load(Ordering::SeqCst) >= value {
                    return;
                }
                // The notice may come between the look and the wait; a short wait makes up for it.
                let _ = timeout(Duration::from_millis(20), changed).await;
            }
        };
        timeout(HANGS, reached).await.expect("the handlers get that far");
    }
}

/// Counts a call that was dropped before its end.
struct StoppedUnlessFinished(Arc<Noticed>, bool);

impl Drop for StoppedUnlessFinished {
    fn drop(&mut self) {
        let counter = if self.1 { &self.0.finished } else { &self.0.stopped };
        self.0.note(counter);
    }
}

/// What of a server is not as usual.
struct Made<'a> {
    tls: Option<TlsFiles>,
    catalogue: &'a str,
    keeping: Keeping,
    sign_in: SignInSettings,
    stand_ins: Vec<(String, Effect)>,
}

impl Default for Made<'_> {
    fn default() -> Self {
        Self {
            tls: None,
            catalogue: CATALOGUE,
            keeping: Keeping::default(),
            sign_in: SignInSettings::default(),
            stand_ins: Vec::new(),
        }
    }
}

/// A running server.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) rooms: Arc<pipeline::House>,
    pub(crate) store: Store,
    pub(crate) noticed: Arc<Noticed>,
    shutdown: CancellationToken,
    server: Option<JoinHandle<()>>,
    catalogue: Catalogue,
    keyring: Arc<Keyring>,
    folder: TempDir,
}

impl House {
    /// A server with its defaults.
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// A server with changed settings.
    pub(crate) async fn with(change: impl FnOnce(&mut EdgeSettings)) -> Self {
        Self::build(change, Made::default()).await
    }

    /// A server that speaks TLS.
    pub(crate) async fn with_tls(files: TlsFiles) -> Self {
        let made = Made {
            tls: Some(files),
            ..Made::default()
        };
        Self::build(|_| (), made).await
    }

    /// A server with another catalogue; the handlers are the same.
    pub(crate) async fn serving(catalogue: &str) -> Self {
        let made = Made {
            catalogue,
            ..Made::default()
        };
        Self::build(|_| (), made).await
    }

    /// A server whose log keeps something else.
    pub(crate) async fn keeping(keeping: Keeping) -> Self {
        let made = Made {
            keeping,
            ..Made::default()
        };
        Self::build(|_| (), made).await
    }

    /// A server at which people sign in at an identity provider.
    pub(crate) async fn signing_in(sign_in: SignInSettings) -> Self {
        let made = Made {
            sign_in,
            ..Made::default()
        };
        Self::build(|_| (), made).await
    }

    /// A server in which functions of these names do nothing and say so, for catalogues whose own are not of interest.
    pub(crate) async fn standing_in(functions: Vec<(String, Effect)>) -> Self {
        let made = Made {
            stand_ins: functions,
            ..Made::default()
        };
        Self::build(|_| (), made).await
    }

    async fn build(change: impl FnOnce(&mut EdgeSettings), made: Made<'_>) -> Self {
        let text = made.catalogue;
        let folder = TempDir::new().unwrap();
        let url = StoreUrl::Sqlite(folder.path().join("store.db"));
        let clock = Clock::System;
        let store = Store::open(&url, &StoreSettings::default(), clock.clone())
            .await
            .unwrap();
        let load = || {
            Catalogue::load(&[&[NamedText {
                name: "house.toml",
                text,
            }]])
            .unwrap()
        };
        let catalogue = load();
        // The first key brings its tenant along; the keyring then knows it from the start.
        mint(
            &store,
            catalogue.editions(),
            &Actor::Operator,
            request("t:read", KeyLimits::default()),
        )
        .await
        .unwrap();
        let keyring = Keyring::load(store.clone(), &catalogue, 1_000_000).await.unwrap();
        tokio::spawn(Arc::clone(&keyring).follow());
        let limits = OAuthLimits {
            requests_per_minute: 1_000_000,
            ..OAuthLimits::default()
        };
        let oauth = OAuth::load(store.clone(), &catalogue, limits).await.unwrap();
        tokio::spawn(Arc::clone(&oauth).follow());
        let noticed = Arc::<Noticed>::default();
        let mut handlers = handlers(&noticed);
        for (name, effect) in made.stand_ins {
            // Handlers are named for as long as the program runs.
            let name: &'static str = name.leak();
            if effect == Effect::Read {
                handlers.plain(name, |_| {
                    async { Outcome::structured(&json!({ "stood_in": true })) }.boxed()
                });
            } else {
                handlers.planned(
                    name,
                    |_, _| async { Ok(Plan::new("Stand in")) }.boxed(),
                    |_, _| async { ToolResult::structured(&json!({ "stood_in": true })) }.boxed(),
                );
            }
        }
        let rooms = HouseBuilder {
            store: store.clone(),
            catalogue: load(),
            handlers,
            keyring: Arc::clone(&keyring),
            oauth,
            seal_key: SealKey::new([7; 32]),
            clock,
            audit: made.keeping,
            call_timeout: Duration::from_secs(20),
            most_running_per_key: 300,
            failed_sign_ins_per_minute: 1000,
        };
        let rooms = Arc::new(rooms.build().unwrap());
        tokio::spawn(Arc::clone(rooms.limits()).follow());
        let mut settings = EdgeSettings::default();
        change(&mut settings);
        let web = Web::new(
            Arc::clone(&rooms),
            Arc::new(PasswordCheck::new(store.clone(), 1000)),
            &ConsoleSettings::default(),
        )
        .with_provider(SignInProvider::of(&made.sign_in).unwrap());
        let mut server = Server::new(Arc::clone(&rooms), settings).with_router(web::router(web));
        if let Some(files) = made.tls {
            server = server.with_tls(files).unwrap();
        }
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let server = tokio::spawn(async move { server.serve(listener, stop).await.unwrap() });
        Self {
            address,
            rooms,
            store,
            noticed,
            shutdown,
            server: Some(server),
            catalogue,
            keyring,
            folder,
        }
    }

    /// The file of the store, for tests that spoil it.
    pub(crate) fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("store.db")
    }

    /// Mints a key with these scopes, separated by spaces.
    pub(crate) async fn key(&self, scopes: &str) -> String {
        self.limited_key(scopes, KeyLimits::default()).await
    }

    /// Mints a key that something narrows.
    pub(crate) async fn limited_key(&self, scopes: &str, limits: KeyLimits) -> String {
        self.minted(request(scopes, limits)).await
    }

    /// Mints a key of a member.
    pub(crate) async fn member_key(&self, scopes: &str) -> String {
        let owner = self.person(Role::Member).await.id.to_string();
        let request = MintRequest {
            owner: Some(owner),
            ..request(scopes, KeyLimits::default())
        };
        self.minted(request).await
    }

    async fn minted(&self, request: MintRequest) -> String {
        let editions = self.catalogue.editions();
        let minted = mint(&self.store, editions, &Actor::Operator, request)
            .await
            .unwrap();
        self.keyring.refresh().await.unwrap();
        minted.key
    }

    /// Changes what the edition asks of access tokens; returns when the server has heard of it.
    pub(crate) async fn change_oauth(&self, switch: Switch, change: OAuthChange) {
        let (tenant, edition) = (TenantId::new("local").unwrap(), &self.catalogue.editions()[0]);
        oauth::change(&self.store, &tenant, edition, "", switch, change)
            .await
            .unwrap();
        self.rooms.oauth().reload().await.unwrap();
    }

    /// Tells the server to stop, without waiting.
    pub(crate) fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits until the server has stopped.
    pub(crate) async fn stopped(&mut self) {
        let server = self.server.take().expect("waited for once");
        timeout(HANGS, server).await.expect("the server stops").unwrap();
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A POST to the endpoint with this body and what every request needs.
    pub(crate) fn post(&self, key: &str, body: impl ToString) -> Post {
        Post::to(self.address, key, body)
    }

    /// A modern request with its envelope and its headers.
    pub(crate) fn modern(&self, key: &str, method: &str, mut params: Value) -> Post {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
        if params["_meta"]
            .get("io.modelcontextprotocol/clientCapabilities")
            .is_none()
        {
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({ "elicitation": {} });
        }
        let name = params["name"]
            .as_str()
            .or(params["uri"].as_str())
            .map(str::to_owned);
        let mut post = self
            .post(
                key,
                json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }),
            )
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        if let Some(name) = name {
            post = post.header("mcp-name", &name);
        }
        post
    }

    /// A modern call of a tool.
    pub(crate) fn call(&self, key: &str, tool: &str, arguments: Value) -> Post {
        self.modern(key, "tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// A request of a legacy revision.
    pub(crate) fn legacy(&self, key: &str, version: &str, method: &str, params: Value) -> Post {
        self.post(
            key,
            json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }),
        )
        .header("mcp-protocol-version", version)
    }

    /// A GET without credentials.
    pub(crate) fn get(&self, path: &str) -> Post {
        let mut get = self.post("", "").path(path);
        get.method = "GET";
        get
    }
}

fn request(scopes: &str, limits: KeyLimits) -> MintRequest {
    MintRequest {
        tenant: TenantId::new("local").unwrap(),
        owner: None,
        name: "test".to_owned(),
        editions: vec![EditionName::new("test").unwrap()],
        scopes: scopes
            .split(' ')
            .map(|scope| Scope::new(scope).unwrap())
            .collect(),
        expires_in_days: None,
        limits,
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// One HTTP/1.1 request, to be changed in any way a test likes.
#[derive(Clone)]
pub(crate) struct Post {
    address: SocketAddr,
    pub(crate) method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Post {
    /// A POST to the endpoint of a server with this body and what every request needs.
    pub(crate) fn to(address: SocketAddr, key: &str, body: impl ToString) -> Self {
        let mut post = Self {
            address,
            method: "POST",
            path: "/mcp".to_owned(),
            headers: Vec::new(),
            body: body.to_string(),
        };
        post.headers = vec![
            ("host".to_owned(), address.to_string()),
            ("content-type".to_owned(), "application/json".to_owned()),
            (
                "accept".to_owned(),
                "application/json, text/event-stream".to_owned(),
            ),
        ];
        if !key.is_empty() {
            post.headers
                .push(("authorization".to_owned(), format!("Bearer {key}")));
        }
        post
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes all headers of a name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self
    }

    /// Replaces a header.
    pub(crate) fn set(self, name: &str, value: &str) -> Self {
        self.without(name).header(name, value)
    }

    pub(crate) fn path(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    /// The request's bytes; `close` asks for the connection to end after the answer.
    pub(crate) fn bytes(&self, close: bool) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        if close {
            out.push_str("connection: close\r\n");
        }
        if self.method != "GET" || !self.body.is_empty() {
            out.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        format!("{out}\r\n{}", self.body).into_bytes()
    }

    /// Sends it on a connection of its own and reads the whole answer.
    pub(crate) async fn send(&self) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        exchange(&mut stream, &self.bytes(true)).await
    }

    /// Sends it and leaves the answer to be read bit by bit.
    pub(crate) async fn open(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&self.bytes(true)).await.unwrap();
        stream
    }
}

/// Writes bytes and reads until the other side closes; at least one answer is there.
pub(crate) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Reply {
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    Reply::parse(&read_all(stream).await)
}

/// Everything until the other side closes.
pub(crate) async fn read_all<S: AsyncRead + Unpin>(stream: &mut S) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset after the answer is an end like any other.
    let _ = timeout(HANGS, stream.read_to_end(&mut all))
        .await
        .expect("the other side closes");
    all
}

/// Reads until a text has come, and returns everything up to then.
pub(crate) async fn read_until<S: AsyncRead + Unpin>(stream: &mut S, text: &str) -> String {
    let mut all = Vec::new();
    let found = async {
        let mut chunk = [0; 4096];
        loop {
            let read = stream.read(&mut chunk).await.unwrap();
            assert!(
                read > 0,
                "closed before `{text}`: {}",
                String::from_utf8_lossy(&all)
            );
            all.extend_from_slice(&chunk[..read]);
            let seen = String::from_utf8_lossy(&all).into_owned();
            if seen.contains(text) {
                return seen;
            }
        }
    };
    timeout(HANGS, found)
        .await
        .unwrap_or_else(|_| panic!("`{text}` never comes"))
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    /// Every `set-cookie`, of which there may be several.
    pub(crate) cookies: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Reads one answer; a chunked body is put together.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let end = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {text:?}"));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let fields: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let cookies = fields.iter().filter(|(name, _)| name == "set-cookie");
        let cookies = cookies.map(|(_, value)| value.clone()).collect();
        let headers: HashMap<_, _> = fields.into_iter().collect();
        let mut body = bytes[end + 4..].to_vec();
        if headers
            .get("transfer-encoding")
            .is_some_and(|value| value == "chunked")
        {
            body = unchunk(&body);
        }
        Self {
            status,
            headers,
            cookies,
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as one JSON value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {:?}", self.text()))
    }

    /// The messages of an event stream; events that only mark a place are none.
    pub(crate) fn events(&self) -> Vec<Value> {
        assert_eq!(self.header("content-type"), Some("text/event-stream"), "{self:?}");
        self.text()
            .lines()
            .filter_map(|l| l.strip_prefix("data: ").filter(|data| !data.is_empty()))
            .map(|d| serde_json::from_str(d).unwrap())
            .collect()
    }

    /// Status and JSON-RPC error code, if there is one.
    pub(crate) fn outcome(&self) -> (u16, Option<i64>) {
        let code = serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|v| v["error"]["code"].as_i64());
        (self.status, code)
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 || rest.len() < end + 2 + size {
            break;
        }
        out.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
    out
}

fn handlers(noticed: &Arc<Noticed>) -> Handlers {
    let mut handlers = Handlers::default();
    handlers.run_programs_with(env!("CARGO_BIN_EXE_footbridge-server").into());
    handlers.plain("tests::plain", |_| {
        async { Outcome::structured(&json!({ "ok": true })) }.boxed()
    });
    handlers.plain("tests::echo", |call| {
        async move { Outcome::structured(&json!({ "text": call.arguments.as_map()["text"] })) }.boxed()
    });
    let seen = Arc::clone(noticed);
    handlers.plain("tests::slow", move |call| {
        let seen = Arc::clone(&seen);
        async move {
            seen.note(&seen.started);
            let mut end = StoppedUnlessFinished(Arc::clone(&seen), false);
            let pause = call.arguments.as_map()["milliseconds"].as_u64().unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            end.1 = true;
            Outcome::structured(&json!({ "slept": pause }))
        }
        .boxed()
    });
    handlers.plain("tests::progress", |call| {
        async move {
            let map = call.arguments.as_map();
            let (steps, pause) = (
                map["steps"].as_u64().unwrap_or(0),
                map["pause_ms"].as_u64().unwrap_or(0),
            );
            for step in 1..=u32::try_from(steps).unwrap() {
                call.progress
                    .report(f64::from(step), Some(steps as f64), Some(format!("step {step}")));
                // Out of order on purpose: it must not show.
                call.progress.report(0.5, None, None);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            Outcome::structured(&json!({ "steps": steps }))
        }
        .boxed()
    });
    handlers.plain("tests::ask", |call| {
        async move {
            if let Some(answer) = call.round.answers.get("confirm") {
                let accepted = answer["action"] == "accept";
                return Outcome::structured(&json!({ "accepted": accepted, "state": call.round.state }));
            }
            let schema = json!({ "type": "object", "properties": { "ok": { "type": "boolean" } } });
            let params = json!({ "mode": "form", "message": "Go on?", "requestedSchema": schema });
            Ok(Outcome::InputRequired(InputRequired {
                requests: vec![("confirm".to_owned(), InputRequest::Elicitation(params))],
                state: Some(json!("remembered")),
            }))
        }
        .boxed()
    });
    handlers.plain("tests::needs_sampling", |_| {
        async {
            Err(DomainError::MissingCapability(Map::from_iter([(
                "sampling".to_owned(),
                json!({}),
            )])))
        }
        .boxed()
    });
    handlers.plain("tests::refuse", |call| {
        async move {
            let how = call.arguments.as_map()["how"].as_str().unwrap_or_default();
            Err(crate::refusals::failure(how))
        }
        .boxed()
    });
    let seen = Arc::clone(noticed);
    handlers.task("tests::task", move |_, _| {
        let seen = Arc::clone(&seen);
        async move {
            let act = seen.act.lock().unwrap().take();
            if let Some(act) = act {
                act();
            }
            seen.note(&seen.finished);
            Outcome::structured(&json!({ "sent": true }))
        }
        .boxed()
    });
    handlers.plain("tests::panic", |_| {
        async { panic!("a secret from inside") }.boxed()
    });
    handlers.plain("tests::fail", |_| {
        async {
            Err(DomainError::internal(std::io::Error::other(
                "a secret from inside",
            )))
        }
        .boxed()
    });
    handlers.plain("tests::rich", |_| {
        async {
            Ok(Outcome::Done(ToolResult {
                content: vec![
                    Content::Text("a".to_owned()),
                    Content::Image {
                        data: "aa==".to_owned(),
                        mime_type: "image/png".to_owned(),
                    },
                    Content::Audio {
                        data: "aa==".to_owned(),
                        mime_type: "audio/wav".to_owned(),
                    },
                    Content::EmbeddedText {
                        uri: "test://1".to_owned(),
                        mime_type: "text/plain".to_owned(),
                        text: "b".to_owned(),
                    },
                    Content::ResourceLink {
                        uri: "test://2".to_owned(),
                        name: "Two".to_owned(),
                    },
                ],
                ..ToolResult::default()
            }))
        }
        .boxed()
    });
    handlers.planned(
        "tests::note",
        |_, call| {
            async move {
                let text = call.arguments.as_map()["text"].clone();
                Plan::new("Write a note")
                    .with(Change::create("note", "text", text.clone()))
                    .carrying(&text)
            }
            .boxed()
        },
        |_, apply| {
            async move { ToolResult::structured(&json!({ "text": apply.plan.payload::<Value>()? })) }.boxed()
        },
    );
    handlers
}
