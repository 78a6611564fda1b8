//! The entry, started as its client would start it: handshake, a live list of tools, and a clean end.
//!
//! The program under test is a process of its own, so what is judged is what the client will get, words included: a failure
//! is the JSON-RPC error the client would be shown.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use footbridge_protocol::era::ProtocolVersion;
use serde_json::{Value, json};

use crate::brand::variable;

/// Longest wait for one answer. Clients that wait longest give a server a minute.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Longest wait for the end after stdin was closed: two seconds of grace and a margin.
const END_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for the acknowledgement of a subscription, which a server gives before it does anything else.
const EVENT_LIMIT: Duration = Duration::from_secs(5);
/// Pages of a list that are asked for.
const PAGES: usize = 100;

/// Who is asking.
const CLIENT: &str = concat!(env!("BRAND_NAME"), "-doctor");
/// How much of a stranger's text is shown: as much as the longest message of the bridge.
const SHOWN_CHARACTERS: usize = 2048;

/// How a process is started.
pub(crate) struct Entry {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    /// The whole environment; `None` is our own.
    pub(crate) environment: Option<Vec<(OsString, OsString)>>,
}

/// What a conversation showed.
pub(super) struct Talk {
    pub(super) version: String,
    pub(super) server: String,
    pub(super) started: Duration,
    /// Number of tools and how long the list took; `None` if the server offers no tools.
    pub(super) tools: Option<(usize, Duration)>,
    pub(super) events: Events,
}

/// Whether what a server says on a stream comes when it is said.
pub(super) enum Events {
    /// It does; after so long.
    Live(Duration),
    /// It had not come after so long.
    Held(Duration),
    /// The server has no stream to try this with.
    None,
}

/// Why it broke off.
pub(super) enum Fault {
    /// It could not be started.
    Start(std::io::Error),
    /// It ended, with what it had said on stderr.
    Ended(String),
    /// It said nothing for [`ANSWER_LIMIT`].
    Silent,
    /// It wrote something that is no message.
    Noise(String),
    /// The error the client would see: its message, and the code of the check that failed if it names one.
    Refused { message: String, check: Option<String> },
    /// It did not end when its client did.
    Stuck,
}

/// A conversation in progress. The process is killed if it is left early.
struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    next_id: u64,
}

/// Starts `entry` and talks to it.
pub(super) fn talk(entry: &Entry) -> Result<Talk, Fault> {
    let start = Instant::now();
    let mut peer = Peer::start(entry).map_err(Fault::Start)?;
    let result = peer.ask(
        "initialize",
        &json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": CLIENT, "version": env!("CARGO_PKG_VERSION") },
        }),
    )?;
    let started = start.elapsed();
    peer.write(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    let server = match (
        word(&result, "/serverInfo/name"),
        word(&result, "/serverInfo/version"),
    ) {
        (Some(name), version) => format!("{name} {}", version.unwrap_or_default()),
        (None, _) => "unnamed".to_owned(),
    };
    let offers_tools = result
        .get("capabilities")
        .is_some_and(|offered| offered.get("tools").is_some());
    let tools = if offers_tools {
        Some(peer.count_tools()?)
    } else {
        None
    };
    let events = peer.listen()?;
    peer.end()?;
    Ok(Talk {
        version: word(&result, "/protocolVersion").unwrap_or_default(),
        server,
        started,
        tools,
        events,
    })
}

/// A text of a stranger, fit to be shown.
fn word(value: &Value, pointer: &str) -> Option<String> {
    let text = value.pointer(pointer)?.as_str()?;
    Some(
        text.chars()
            .filter(|c| !c.is_control())
            .take(SHOWN_CHARACTERS)
            .collect(),
    )
}

impl Peer {
    fn start(entry: &Entry) -> std::io::Result<Peer> {
        let mut command = Command::new(&entry.program);
        command.args(&entry.arguments);
        if let Some(environment) = &entry.environment {
            command
                .env_clear()
                .envs(environment.iter().map(|(name, value)| (name, value)));
        }
        // A check opens no browser: what is kept of a sign-in is used, unless the entry says otherwise.
        let mode = variable!("SIGN_IN");
        let is_set = match &entry.environment {
            Some(environment) => environment.iter().any(|(name, _)| name == mode),
            None => std::env::var_os(mode).is_some(),
        };
        if !is_set {
            command.env(mode, "kept");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (sender, lines) = channel();
        let stdout = child.stdout.take();
        std::thread::spawn(move || {
            for line in stdout
                .into_iter()
                .flat_map(|stdout| BufReader::new(stdout).lines())
            {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Peer {
            stdin: child.stdin.take(),
            child,
            lines,
            next_id: 0,
        })
    }

    fn write(&mut self, message: &Value) {
        // A process that is gone is found out when its answer does not come.
        if let Some(stdin) = &mut self.stdin {
            let _ = writeln!(stdin, "{message}").and_then(|()| stdin.flush());
        }
    }

    /// Sends a request and waits for its result. What the server says in between is not for us.
    fn ask(&mut self, method: &str, params: &Value) -> Result<Value, Fault> {
        self.next_id += 1;
        self.write(&json!({ "jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params }));
        let deadline = Instant::now() + ANSWER_LIMIT;
        loop {
            let line = match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => return Err(Fault::Silent),
                Err(RecvTimeoutError::Disconnected) => return Err(Fault::Ended(self.last_words())),
            };
            let Ok(mut message) = serde_json::from_str::<Value>(&line) else {
                return Err(Fault::Noise(
                    line.chars().filter(|c| !c.is_control()).take(120).collect(),
                ));
            };
            if message.get("id").and_then(Value::as_u64) != Some(self.next_id)
                || message.get("method").is_some()
            {
                continue;
            }
            if let Some(error) = message.get("error") {
                return Err(Fault::Refused {
                    message: word(error, "/message").unwrap_or_else(|| "an error without words".to_owned()),
                    check: word(error, "/data/check"),
                });
            }
            return Ok(message.get_mut("result").map(Value::take).unwrap_or_default());
        }
    }

    fn count_tools(&mut self) -> Result<(usize, Duration), Fault> {
        let start = Instant::now();
        let (mut tools, mut params) = (0, json!({}));
        for _ in 0..PAGES {
            let page = self.ask("tools/list", &params)?;
            tools += page.get("tools").and_then(Value::as_array).map_or(0, Vec::len);
            match page.get("nextCursor") {
                Some(Value::String(cursor)) => params = json!({ "cursor": cursor }),
                _ => break,
            }
        }
        Ok((tools, start.elapsed()))
    }

    /// Subscribes as a host of the modern era and waits for the acknowledgement, an event that every server of that era sends at
    /// once. The end of the conversation ends the subscription.
    fn listen(&mut self) -> Result<Events, Fault> {
        self.next_id += 1;
        let start = Instant::now();
        self.write(&json!({ "jsonrpc": "2.0", "id": self.next_id, "method": "subscriptions/listen", "params": {
            "notifications": { "toolsListChanged": true },
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": ProtocolVersion::V2026_07_28.as_str(),
                "io.modelcontextprotocol/clientInfo": { "name": CLIENT, "version": env!("CARGO_PKG_VERSION") },
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        } }));
        loop {
            let left = EVENT_LIMIT.saturating_sub(start.elapsed());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => return Ok(Events::Held(EVENT_LIMIT)),
                Err(RecvTimeoutError::Disconnected) => return Err(Fault::Ended(self.last_words())),
            };
            let message = serde_json::from_str::<Value>(&line).unwrap_or_default();
            let method = message.get("method").and_then(Value::as_str);
            if method == Some("notifications/subscriptions/acknowledged") {
                return Ok(Events::Live(start.elapsed()));
            }
            if method.is_none() && message.get("id").and_then(Value::as_u64) == Some(self.next_id) {
                return Ok(Events::None);
            }
        }
    }

    /// Closes its stdin and waits.
    fn end(mut self) -> Result<(), Fault> {
        self.stdin = None;
        let deadline = Instant::now() + END_LIMIT;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Ok(Some(_)) | Err(_) => return Ok(()),
            }
        }
        Err(Fault::Stuck)
    }

    /// The end of what it wrote on stderr.
    fn last_words(&mut self) -> String {
        let mut last = String::new();
        for line in self
            .child
            .stderr
            .take()
            .into_iter()
            .flat_map(|stderr| BufReader::new(stderr).lines())
            .take(1000)
        {
            let Ok(line) = line else { break };
            last = line;
        }
        last.chars().filter(|c| !c.is_control()).take(300).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
