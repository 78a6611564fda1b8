//! A server that does what a test says, and a bridge in a process of its own.
//!
//! Every bridge gets the same planted key and the most talkative log level. When it ends, whatever the test was about: stdout
//! held nothing but JSON-RPC, and the key was on neither stream (security.md B8, B9).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The key every bridge is given.
pub(crate) const KEY: &str = "fbk_planted0123456789";
/// A wait longer than this is a hang.
pub(crate) const LIVENESS: Duration = Duration::from_secs(20);

/// One HTTP request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case, as on the wire otherwise.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Which connection it came on, counted from zero.
    pub(crate) connection: usize,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The JSON-RPC method, or the HTTP method in capitals where there is none.
    pub(crate) fn rpc(&self) -> String {
        self.json()["method"]
            .as_str()
            .map_or_else(|| self.method.clone(), str::to_owned)
    }

    /// The id as it is spelled.
    pub(crate) fn id(&self) -> String {
        self.json()["id"].to_string()
    }
}

pub(crate) trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

/// The server's end of a connection while it answers one request.
pub(crate) struct Wire<'w> {
    stream: &'w mut dyn ReadWrite,
    pub(crate) keep_open: bool,
}

impl Wire<'_> {
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        // The bridge may be gone: that is for the test to notice.
        let _ = self.stream.write_all(bytes);
        let _ = self.stream.flush();
    }

    /// The same; says whether the bridge still listens.
    pub(crate) fn try_raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok() && self.stream.flush().is_ok()
    }

    /// A whole response. `headers` are lines without their ends.
    pub(crate) fn respond(&mut self, status: u16, headers: &[&str], body: &[u8]) {
        let mut head = format!(
            "HTTP/1.1 {status} Some Words\r\ncontent-length: {}\r\n",
            body.len()
        );
        for header in headers {
            let _ = write!(head, "{header}\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.raw(&bytes);
    }

    pub(crate) fn json(&mut self, status: u16, body: &str) {
        self.respond(status, &["content-type: application/json"], body.as_bytes());
    }

    /// The result `result` for `request`.
    pub(crate) fn result(&mut self, request: &Request, result: &str) {
        self.json(
            200,
            &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, request.id()),
        );
    }

    /// The result of a handshake of the older era, without a session.
    pub(crate) fn handshake(&mut self, request: &Request, revision: &str, capabilities: &str) {
        self.result(
            request,
            &format!(
                r#"{{"protocolVersion":"{revision}","capabilities":{capabilities},"serverInfo":{{"name":"s","version":"1"}}}}"#
            ),
        );
    }

    /// The first event of a subscription: `subset` is what the server grants.
    pub(crate) fn acknowledge(&mut self, request: &Request, subset: &str) {
        self.event(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"notifications":{subset},"_meta":{{"io.modelcontextprotocol/subscriptionId":{}}}}}}}"#,
            request.id()
        ));
    }

    /// The head of an event stream that ends with the connection.
    pub(crate) fn stream(&mut self) {
        self.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n");
        self.keep_open = false;
    }

    pub(crate) fn event(&mut self, data: &str) {
        self.raw(format!("data: {data}\n\n").as_bytes());
    }

    /// Waits until the bridge closes its end.
    pub(crate) fn wait_closed(&mut self) {
        let mut byte = [0];
        while matches!(self.stream.read(&mut byte), Ok(1)) {}
        self.keep_open = false;
    }
}

type Handler = dyn Fn(&Request, &mut Wire<'_>) + Send + Sync;

/// A server on a port of its own.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    requests: Arc<(Mutex<Vec<Request>>, Condvar)>,
}

impl Stub {
    /// Answers each request with `handler`, each connection in a thread.
    pub(crate) fn start(handler: impl Fn(&Request, &mut Wire<'_>) + Send + Sync + 'static) -> Stub {
        Self::start_with(|stream| Some(Box::new(stream)), handler)
    }

    /// The same over whatever `wrap` makes of a connection.
    pub(crate) fn start_with(
        wrap: impl Fn(TcpStream) -> Option<Box<dyn ReadWrite>> + Send + Sync + 'static,
        handler: impl Fn(&Request, &mut Wire<'_>) + Send + Sync + 'static,
    ) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener, wrap, handler)
    }

    /// The same on a listener that exists already.
    pub(crate) fn on(
        listener: TcpListener,
        wrap: impl Fn(TcpStream) -> Option<Box<dyn ReadWrite>> + Send + Sync + 'static,
        handler: impl Fn(&Request, &mut Wire<'_>) + Send + Sync + 'static,
    ) -> Stub {
        let address = listener.local_addr().unwrap();
        let requests = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let (seen, handler, wrap): (_, Arc<Handler>, _) =
            (Arc::clone(&requests), Arc::new(handler), Arc::new(wrap));
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (seen, handler, wrap) = (Arc::clone(&seen), Arc::clone(&handler), Arc::clone(&wrap));
                std::thread::spawn(move || {
                    let stream = stream.unwrap();
                    stream.set_nodelay(true).unwrap();
                    if let Some(mut stream) = wrap(stream) {
                        serve(&mut *stream, connection, &seen, &*handler);
                    }
                });
            }
        });
        Stub { address, requests }
    }

    /// The same on a socket in the file system. It has no address.
    #[cfg(unix)]
    pub(crate) fn on_socket(
        path: &std::path::Path,
        handler: impl Fn(&Request, &mut Wire<'_>) + Send + Sync + 'static,
    ) -> Stub {
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        let requests = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let (seen, handler): (_, Arc<Handler>) = (Arc::clone(&requests), Arc::new(handler));
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (seen, handler) = (Arc::clone(&seen), Arc::clone(&handler));
                std::thread::spawn(move || serve(&mut stream.unwrap(), connection, &seen, &*handler));
            }
        });
        Stub {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            requests,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Everything that has arrived.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.0.lock().unwrap().clone()
    }

    /// What arrived last.
    pub(crate) fn last(&self) -> Request {
        self.requests.0.lock().unwrap().last().unwrap().clone()
    }

    /// Waits for the first request that `wanted` accepts.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Request) -> bool) -> Request {
        let (requests, changed) = &*self.requests;
        let mut requests = requests.lock().unwrap();
        let deadline = Instant::now() + LIVENESS;
        loop {
            if let Some(request) = requests.iter().find(|request| wanted(request)) {
                return request.clone();
            }
            assert!(
                Instant::now() < deadline,
                "the request never came; these did: {requests:#?}"
            );
            requests = changed
                .wait_timeout(requests, Duration::from_millis(100))
                .unwrap()
                .0;
        }
    }

    /// Waits for the first request of this JSON-RPC (or HTTP) method.
    pub(crate) fn wait_rpc(&self, rpc: &str) -> Request {
        self.wait_for(|request| request.rpc() == rpc)
    }

    pub(crate) fn count(&self, rpc: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.rpc() == rpc)
            .count()
    }
}

fn serve(
    stream: &mut dyn ReadWrite,
    connection: usize,
    seen: &(Mutex<Vec<Request>>, Condvar),
    handler: &Handler,
) {
    while let Some(request) = read_request(stream, connection) {
        seen.0.lock().unwrap().push(request.clone());
        seen.1.notify_all();
        let mut wire = Wire {
            stream,
            keep_open: true,
        };
        handler(&request, &mut wire);
        if !wire.keep_open {
            return;
        }
    }
}

fn read_request(stream: &mut dyn ReadWrite, connection: usize) -> Option<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a request head is text");
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let mut headers = HashMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').expect("a header line");
        let twice = headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        assert!(twice.is_none(), "the header {name} came twice");
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        target,
        headers,
        body,
        connection,
    })
}

/// The program under test: the one built with the tests, or the one that `FOOTBRIDGE_TEST_PROGRAM` names.
pub(crate) fn program() -> String {
    std::env::var("FOOTBRIDGE_TEST_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_footbridge").to_owned())
}

/// A running bridge.
pub(crate) struct Bridge {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

/// What is left when a bridge has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Lines nobody had read.
    pub(crate) lines: Vec<String>,
    pub(crate) stderr: String,
}

impl Bridge {
    pub(crate) fn to(stub: &Stub) -> Bridge {
        Self::with(&[("FOOTBRIDGE_URL", &stub.url())])
    }

    pub(crate) fn to_with(stub: &Stub, variables: &[(&str, &str)]) -> Bridge {
        let url = stub.url();
        let mut all = vec![("FOOTBRIDGE_URL", url.as_str())];
        all.extend_from_slice(variables);
        Self::with(&all)
    }

    /// A bridge with this environment and nothing else in it but the key. An empty value unsets.
    pub(crate) fn with(variables: &[(&str, &str)]) -> Bridge {
        let mut command = Command::new(program());
        command
            .env_clear()
            .env("FOOTBRIDGE_KEY", KEY)
            .env("FOOTBRIDGE_LOG", "debug");
        for (name, value) in variables {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        Self::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))
    }

    /// Starts `command`, whose stdin and stdout are pipes.
    pub(crate) fn spawn(command: &mut Command) -> Bridge {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
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
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Bridge {
            stdin: child.stdin.take(),
            child,
            lines,
            stderr: Some(stderr),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        resident_bytes(self.pid())
    }

    /// Writes one line.
    pub(crate) fn send(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    /// The next line, as it is.
    pub(crate) fn line(&self) -> String {
        match self.lines.recv_timeout(LIVENESS) {
            Ok(line) => {
                check_line(&line);
                line
            }
            Err(RecvTimeoutError::Timeout) => panic!("no line came"),
            Err(RecvTimeoutError::Disconnected) => panic!("the bridge closed its stdout"),
        }
    }

    /// The next line, too deep to be looked into.
    pub(crate) fn raw_line(&self) -> String {
        self.lines.recv_timeout(LIVENESS).unwrap()
    }

    /// The next line, which may be an array of messages.
    pub(crate) fn raw(&self) -> String {
        let line = self.lines.recv_timeout(LIVENESS).expect("no line came");
        assert!(!line.contains(KEY), "the key is on stdout");
        line
    }

    /// The next line, parsed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// The next line, which must be an error of the bridge with this code under this id.
    pub(crate) fn error(&self, id: &str, code: i64) -> Value {
        let line = self.json();
        assert_eq!(line["error"]["code"], code, "{line}");
        assert_eq!(line["id"].to_string(), id, "{line}");
        assert_eq!(line["error"]["data"]["source"], "bridge", "{line}");
        let message = line["error"]["message"].as_str().unwrap();
        assert!(
            !message.is_empty() && message.len() <= 4096 && !message.contains(char::is_control),
            "{line}"
        );
        line["error"].clone()
    }

    /// `initialize` and `initialized`, with the answer read. The stub must answer the first with an object.
    pub(crate) fn handshake(&mut self) {
        self.send(INITIALIZE);
        let answer = self.json();
        assert_eq!(answer["id"], "init", "{answer}");
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    }

    /// Says that nothing more comes.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Stops reading stdout without the bridge's knowing until it writes.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Closes stdin and waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        self.close_stdin();
        self.wait()
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> Ended {
        let deadline = Instant::now() + LIVENESS;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the bridge did not end");
            std::thread::sleep(Duration::from_millis(2));
        };
        let stderr = self.stderr.take().unwrap().join().unwrap();
        let lines: Vec<String> = self.lines.iter().collect();
        for line in &lines {
            check_line(line);
        }
        assert!(!stderr.contains(KEY), "the key is on stderr");
        for line in stderr.lines() {
            assert!(
                line.starts_with("footbridge: "),
                "a line of stderr is not ours: {line}"
            );
        }
        Ended {
            status,
            lines,
            stderr,
        }
    }
}

/// Memory of a process that is in use, in bytes; 0 if it cannot be found out.
pub(crate) fn resident_bytes(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<usize>().ok()).unwrap_or(0) * 1024
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A test that did not wait for the end still has its stderr judged.
        if let (Some(stderr), false) = (self.stderr.take(), std::thread::panicking()) {
            let text = stderr.join().unwrap();
            assert!(!text.contains(KEY), "the key is on stderr");
        }
    }
}

fn check_line(line: &str) {
    assert!(!line.contains(KEY), "the key is on stdout");
    let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} on stdout: {line}"));
    assert_eq!(json["jsonrpc"], "2.0", "{line}");
}

/// The request that opens the handshake.
pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

/// Answers the handshake, notifications, GET and DELETE like a plain legacy server with the session `s-1`. Says whether it did.
pub(crate) fn legacy_manners(request: &Request, wire: &mut Wire<'_>) -> bool {
    legacy_manners_of("2025-11-25", request, wire)
}

/// The same for a server of another revision.
pub(crate) fn legacy_manners_of(revision: &str, request: &Request, wire: &mut Wire<'_>) -> bool {
    let rpc = request.rpc();
    if rpc == "initialize" {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"protocolVersion":"{revision}","capabilities":{{}},"serverInfo":{{"name":"s","version":"1"}}}}}}"#,
            request.id()
        );
        wire.respond(
            200,
            &["content-type: application/json", "Mcp-Session-Id: s-1"],
            body.as_bytes(),
        );
    } else if rpc == "server/discover" {
        // What most servers without a session for a message say.
        wire.json(
            400,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: no session"}}"#,
        );
    } else if rpc.starts_with("notifications/") {
        wire.respond(202, &[], b"");
    } else if rpc == "GET" {
        wire.respond(405, &["allow: POST"], b"");
    } else if rpc == "DELETE" {
        wire.respond(200, &[], b"");
    } else {
        return false;
    }
    true
}

/// A modern request. `params` are further members of `params`, each followed by a comma.
pub(crate) fn modern(id: &str, method: &str, params: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

/// A legacy request.
pub(crate) fn call(id: &str, name: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","arguments":{{}}}}}}"#
    )
}

/// A gate that a handler waits at until the test opens it.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self
            .0
            .1
            .wait_timeout_while(open, LIVENESS, |open| !*open)
            .unwrap();
        assert!(*open, "nobody opened the gate");
    }
}
