//! A person at a desk, a protected MCP server, and the authorization server it trusts.
//!
//! The bridge's browser is a script that notes the address; the test is the person and decides what comes back. What the
//! servers do is in [`Script`], which a test changes before or in between.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Bridge, Ended, LIVENESS, Request, Stub, Wire, legacy_manners};

/// What every token in these tests begins with: it must never show itself.
const TOKEN: &str = "tok-planted-";
/// The same for refresh tokens.
const REFRESH: &str = "ref-planted-";

/// What the two servers do.
pub(crate) struct Script {
    /// Where the resource's metadata are; empty: nowhere.
    pub(crate) resource_at: &'static str,
    /// The challenge names that place.
    pub(crate) is_named: bool,
    /// Instead of the server's address.
    pub(crate) resource: Option<String>,
    /// Instead of the authorization server's address.
    pub(crate) issuer: Option<String>,
    /// Below the authorization server's origin.
    pub(crate) issuer_path: &'static str,
    /// Instead of the issuer, in the issuer's own metadata.
    pub(crate) claims: Option<String>,
    /// Where the issuer's metadata are; empty: nowhere.
    pub(crate) issuer_at: &'static str,
    pub(crate) challenge_scope: &'static str,
    pub(crate) resource_scopes: Value,
    pub(crate) issuer_scopes: Value,
    pub(crate) pkce: Value,
    pub(crate) methods: Value,
    pub(crate) announces_iss: bool,
    pub(crate) registers: bool,
    pub(crate) takes_documents: bool,
    pub(crate) gives_refresh: bool,
    pub(crate) lifetime: u64,
    /// Refuses every token with 401.
    pub(crate) is_stubborn: bool,
    /// What tool needs which scope.
    pub(crate) tool_scopes: HashMap<&'static str, &'static str>,
    /// Valid tokens and their scopes.
    pub(crate) tokens: HashMap<String, String>,
    /// Valid refresh tokens and their scopes.
    pub(crate) refreshes: HashMap<String, String>,
    made: usize,
}

impl Script {
    fn new() -> Script {
        Script {
            resource_at: "/.well-known/oauth-protected-resource/mcp",
            is_named: true,
            resource: None,
            issuer: None,
            issuer_path: "",
            claims: None,
            issuer_at: "/.well-known/oauth-authorization-server",
            challenge_scope: "read",
            resource_scopes: Value::Null,
            issuer_scopes: Value::Null,
            pkce: json!(["S256"]),
            methods: json!(["none"]),
            announces_iss: true,
            registers: true,
            takes_documents: false,
            gives_refresh: true,
            lifetime: 3600,
            is_stubborn: false,
            tool_scopes: HashMap::new(),
            tokens: HashMap::new(),
            refreshes: HashMap::new(),
            made: 0,
        }
    }

    fn token(&mut self, scopes: &str) -> Value {
        self.made += 1;
        let token = format!("{TOKEN}{}", self.made);
        self.tokens.insert(token.clone(), scopes.to_owned());
        let mut answer = json!({ "access_token": token, "token_type": "bearer", "expires_in": self.lifetime, "scope": scopes });
        if self.gives_refresh {
            let refresh = format!("{REFRESH}{}", self.made);
            self.refreshes.insert(refresh.clone(), scopes.to_owned());
            answer["refresh_token"] = json!(refresh);
        }
        answer
    }
}

/// The desk and both servers.
pub(crate) struct World {
    home: tempfile::TempDir,
    pub(crate) server: Stub,
    pub(crate) issuer: Stub,
    script: Arc<Mutex<Script>>,
}

impl World {
    pub(crate) fn new() -> World {
        Self::with(|_| {})
    }

    /// A world whose script is changed before anything happens.
    pub(crate) fn with(change: impl FnOnce(&mut Script)) -> World {
        let mut script = Script::new();
        change(&mut script);
        let script = Arc::new(Mutex::new(script));
        let (server, issuer) = (listener(), listener());
        let (server_origin, issuer_origin) = (origin(&server), origin(&issuer));
        let server = {
            let (script, issuer_origin) = (Arc::clone(&script), issuer_origin.clone());
            Stub::on(
                server,
                |stream| Some(Box::new(stream)),
                move |request, wire| serve(request, wire, &script, &server_origin, &issuer_origin),
            )
        };
        let issuer = issuer_on(issuer, &script);
        let home = tempfile::tempdir().unwrap();
        // No program of the system is in reach of the bridge, so the script uses what a shell has built in.
        std::fs::write(home.path().join("browser"), "echo \"$1\" >> \"$0.log\"\n").unwrap();
        World {
            home,
            server,
            issuer,
            script,
        }
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// One more authorization server that follows the same script.
    pub(crate) fn other_issuer(&self) -> Stub {
        issuer_on(listener(), &self.script)
    }

    pub(crate) fn bridge(&self) -> Bridge {
        self.bridge_with(&[])
    }

    pub(crate) fn bridge_with(&self, variables: &[(&str, &str)]) -> Bridge {
        let settings = self.settings();
        let mut all: Vec<(&str, &str)> = settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        all.extend_from_slice(variables);
        Bridge::with(&all)
    }

    /// Runs a command of the program to its end.
    pub(crate) fn start(&self, verb: &str, variables: &[(&str, &str)]) -> std::thread::JoinHandle<Output> {
        let mut command = Command::new(crate::harness::program());
        command.arg(verb).env_clear();
        for (name, value) in self.settings() {
            if !value.is_empty() {
                command.env(name, value);
            }
        }
        command.envs(variables.iter().copied());
        std::thread::spawn(move || command.output().unwrap())
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let home = self.home.path().display();
        vec![
            ("FOOTBRIDGE_URL", self.server.url()),
            ("FOOTBRIDGE_KEY", String::new()),
            ("HOME", home.to_string()),
            ("BROWSER", format!("/bin/sh {home}/browser")),
        ]
    }

    /// The directory of the sign-in's files.
    pub(crate) fn store(&self) -> std::path::PathBuf {
        let base = if cfg!(target_os = "macos") {
            "Library/Application Support"
        } else {
            ".local/share"
        };
        self.home.path().join(base).join("footbridge")
    }

    /// Every address a browser was opened with.
    pub(crate) fn opened(&self) -> Vec<Page> {
        let log = std::fs::read_to_string(self.home.path().join("browser.log")).unwrap_or_default();
        log.lines().map(Page::read).collect()
    }

    /// Waits for the browser to open for the `count`th time.
    pub(crate) fn page(&self, count: usize) -> Page {
        let deadline = Instant::now() + LIVENESS;
        loop {
            let mut opened = self.opened();
            if opened.len() >= count {
                return opened.remove(count - 1);
            }
            assert!(Instant::now() < deadline, "no browser was opened");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The person says yes to the `count`th page.
    pub(crate) fn agree(&self, count: usize) -> Page {
        let page = self.page(count);
        let reply = page.come_back(&[("code", &page.code()), ("iss", &self.issuer_name())]);
        assert!(reply.contains("You are signed in"), "{reply}");
        page
    }

    pub(crate) fn issuer_name(&self) -> String {
        let script = self.script();
        let origin = format!("http://{}", self.issuer.address);
        script
            .issuer
            .clone()
            .unwrap_or_else(|| format!("{origin}{}", script.issuer_path))
    }

    /// Requests to the issuer's endpoint at `path`, as forms.
    pub(crate) fn forms(&self, path: &str) -> Vec<HashMap<String, String>> {
        let requests = self.issuer.requests();
        let at = requests.iter().filter(|request| request.target == path);
        at.map(|request| pairs(request.text())).collect()
    }
}

/// The end of a bridge; no token was on any of its streams.
pub(crate) fn end(bridge: Bridge) -> Ended {
    let ended = bridge.end();
    assert_silent(&format!("{}{}", ended.stderr, ended.lines.join("\n")));
    ended
}

/// No token is in there.
pub(crate) fn assert_silent(text: &str) {
    for secret in [TOKEN, REFRESH, "client-secret-"] {
        assert!(!text.contains(secret), "{secret} shows itself: {text}");
    }
}

/// A page that a browser was sent to.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) address: String,
    pub(crate) query: HashMap<String, String>,
}

impl Page {
    fn read(address: &str) -> Page {
        let (_, query) = address.split_once('?').unwrap();
        Page {
            address: address.to_owned(),
            query: pairs(query),
        }
    }

    /// A parameter, empty if it is absent.
    pub(crate) fn find(&self, name: &str) -> String {
        self.query.get(name).cloned().unwrap_or_default()
    }

    /// A code that is worth the scopes that were asked for.
    pub(crate) fn code(&self) -> String {
        format!("~{}", self.find("scope"))
    }

    /// The browser returns with these parameters and the state; what it is shown.
    pub(crate) fn come_back(&self, parameters: &[(&str, &str)]) -> String {
        let state = self.find("state");
        let mut all = vec![("state", state.as_str())];
        all.extend_from_slice(parameters);
        self.come_back_as(&all)
    }

    /// The browser returns with exactly these parameters.
    pub(crate) fn come_back_as(&self, parameters: &[(&str, &str)]) -> String {
        let redirect = self.find("redirect_uri");
        let (host, path) = redirect.strip_prefix("http://").unwrap().split_once('/').unwrap();
        assert!(host.starts_with("127.0.0.1:"), "{redirect}");
        let query: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", escape(value)))
            .collect();
        let mut stream = TcpStream::connect(host).unwrap();
        write!(
            stream,
            "GET /{path}?{} HTTP/1.1\r\nHost: {host}\r\n\r\n",
            query.join("&")
        )
        .unwrap();
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply);
        reply
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn origin(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().unwrap())
}

/// The protected MCP server, of the handshake era.
fn serve(request: &Request, wire: &mut Wire<'_>, script: &Mutex<Script>, own: &str, issuer: &str) {
    let mut script = script.lock().unwrap();
    if request.target == script.resource_at {
        let issuer = script
            .issuer
            .clone()
            .unwrap_or_else(|| format!("{issuer}{}", script.issuer_path));
        let resource = script.resource.clone().unwrap_or_else(|| format!("{own}/mcp"));
        let mut document = json!({ "resource": resource, "authorization_servers": [issuer] });
        if !script.resource_scopes.is_null() {
            document["scopes_supported"] = script.resource_scopes.clone();
        }
        return wire.json(200, &document.to_string());
    }
    if request.target != "/mcp" {
        // A server of the revision 2025-03-26 is its own authorization server.
        if script.resource_at.is_empty() {
            return authorize(request, wire, &mut script, own);
        }
        return wire.respond(404, &[], b"");
    }
    let mut challenge = "www-authenticate: Bearer realm=\"x\"".to_owned();
    if script.is_named {
        challenge.push_str(&format!(", resource_metadata=\"{own}{}\"", script.resource_at));
    }
    let token = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    let Some(scopes) = token
        .and_then(|token| script.tokens.get(token))
        .filter(|_| !script.is_stubborn)
    else {
        if !script.challenge_scope.is_empty() {
            challenge.push_str(&format!(", scope=\"{}\"", script.challenge_scope));
        }
        return wire.respond(401, &[&challenge], b"{\"error\":\"invalid_token\"}");
    };
    let tool = request.json()["params"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if let Some(needed) = script.tool_scopes.get(tool.as_str())
        && !scopes.split(' ').any(|scope| scope == *needed)
    {
        challenge.push_str(&format!(", error=\"insufficient_scope\", scope=\"{needed}\""));
        return wire.respond(403, &[&challenge], b"");
    }
    if !legacy_manners(request, wire) {
        wire.result(request, "{\"content\":[]}");
    }
}

fn issuer_on(listener: TcpListener, script: &Arc<Mutex<Script>>) -> Stub {
    let (own, script) = (origin(&listener), Arc::clone(script));
    Stub::on(
        listener,
        |stream| Some(Box::new(stream)),
        move |request, wire| authorize(request, wire, &mut script.lock().unwrap(), &own),
    )
}

/// The authorization server. Its page is never fetched: the test is the browser.
fn authorize(request: &Request, wire: &mut Wire<'_>, script: &mut Script, own: &str) {
    if request.target == script.issuer_at {
        let claims = script
            .claims
            .clone()
            .unwrap_or_else(|| format!("{own}{}", script.issuer_path));
        let mut document = json!({
            "issuer": claims,
            "authorization_endpoint": format!("{own}/authorize?a=b"),
            "token_endpoint": format!("{own}/token"),
            "revocation_endpoint": format!("{own}/revoke"),
            "code_challenge_methods_supported": script.pkce,
            "token_endpoint_auth_methods_supported": script.methods,
            "authorization_response_iss_parameter_supported": script.announces_iss,
            "client_id_metadata_document_supported": script.takes_documents,
            "scopes_supported": script.issuer_scopes,
        });
        if script.registers {
            document["registration_endpoint"] = json!(format!("{own}/register"));
        }
        return wire.json(200, &document.to_string());
    }
    match request.target.as_str() {
        "/register" if script.registers => wire.json(
            201,
            &json!({ "client_id": format!("client of {own}"), "client_secret": "client-secret-1" })
                .to_string(),
        ),
        "/revoke" => wire.respond(200, &[], b""),
        "/token" => {
            let form = pairs(request.text());
            let scopes = match form.get("grant_type").map(String::as_str) {
                // The person's browser brought the scopes as the code.
                Some("authorization_code") => form["code"].strip_prefix('~').map(str::to_owned),
                Some("client_credentials") => Some(form.get("scope").cloned().unwrap_or_default()),
                Some("refresh_token") => script.refreshes.remove(&form["refresh_token"]),
                _ => None,
            };
            match scopes {
                Some(scopes) => wire.json(200, &script.token(&scopes).to_string()),
                None => wire.json(400, r#"{"error":"invalid_grant"}"#),
            }
        }
        _ => wire.respond(404, &[], b""),
    }
}

fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn pairs(text: &str) -> HashMap<String, String> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), unescape(value)))
        .collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        if *byte == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}
