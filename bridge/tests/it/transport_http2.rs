//! HTTP/2: one connection for all exchanges, and what is sent again when it fails.
//!
//! The server's end is written out frame by frame, since what matters here is what well-mannered libraries never send.

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::{ServerConnection, StreamOwned};

use crate::harness::{Bridge, KEY, LIVENESS, call, modern};
use crate::transport_tls::{Authority, secured};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// One request as it came.
#[derive(Clone, Debug)]
struct Call {
    connection: usize,
    stream: u32,
    body: Vec<u8>,
}

impl Call {
    fn id(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        json["id"].to_string()
    }
}

/// What the server has seen, in order.
#[derive(Clone, Debug)]
enum Seen {
    Call(Call),
    Reset { stream: u32, code: u32 },
}

/// The server's end of one connection.
struct Peer {
    stream: StreamOwned<ServerConnection, TcpStream>,
    number: usize,
    inbox: Vec<u8>,
    /// What may still be sent, for the connection (0) and each stream.
    windows: HashMap<u32, i64>,
    initial_window: i64,
    bodies: HashMap<u32, Vec<u8>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    open: bool,
    /// Later streams are ignored.
    last: u32,
    /// Nothing has come for a moment.
    is_idle: bool,
    /// Calls that are answered then.
    slow: Vec<Call>,
}

impl Peer {
    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // The bridge may be gone: that is for the test to notice.
        let _ = self.stream.write_all(&frame);
        let _ = self.stream.flush();
    }

    fn settings(&mut self, settings: &[(u16, u32)]) {
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        self.send(SETTINGS, 0, 0, &payload);
    }

    fn reset(&mut self, stream: u32, code: u32) {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes());
    }

    /// Says that no stream after `last` was looked at, and will be.
    fn go_away(&mut self, last: u32) {
        self.last = last;
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
    }

    fn head(&mut self, stream: u32, media_type: &str) {
        // `:status: 200` and `content-type`, by their numbers in the static table (RFC 7541).
        let mut block = vec![0x88, 0x0f, 0x10, u8::try_from(media_type.len()).unwrap()];
        block.extend(media_type.as_bytes());
        self.send(HEADERS, END_HEADERS, stream, &block);
    }

    /// The empty result of `call`.
    fn answer(&mut self, call: &Call) {
        self.head(call.stream, "application/json");
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, call.id());
        self.send(DATA, END_STREAM, call.stream, body.as_bytes());
    }

    /// Sends as much of a body as the bridge leaves room for, until it has left none for `patience`. Returns how much.
    fn flood(&mut self, stream: u32, body: &[u8], patience: Duration) -> usize {
        let (mut sent, mut moved) = (0, Instant::now());
        while sent < body.len() && moved.elapsed() < patience {
            let room = self.windows[&0].min(self.windows[&stream]).clamp(0, 16_384);
            let size = usize::try_from(room).unwrap().min(body.len() - sent);
            if size == 0 {
                self.read_frame();
                continue;
            }
            self.send(DATA, 0, stream, &body[sent..sent + size]);
            sent += size;
            moved = Instant::now();
            for id in [0, stream] {
                *self.windows.get_mut(&id).unwrap() -= i64::try_from(size).unwrap();
            }
        }
        sent
    }

    /// Reads what has arrived and does what every peer must; a request that is complete is returned.
    fn read_frame(&mut self) -> Option<Call> {
        self.is_idle = false;
        while self.inbox.len() < 9 || self.inbox.len() < 9 + self.next_length() {
            let mut buffer = [0; 16_384];
            match self.stream.read(&mut buffer) {
                Ok(0) => self.open = false,
                Ok(bytes) => {
                    self.inbox.extend(&buffer[..bytes]);
                    continue;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    self.is_idle = true;
                }
                Err(_) => self.open = false,
            }
            return None;
        }
        let length = self.next_length();
        let frame: Vec<u8> = self.inbox.drain(..9 + length).collect();
        let (kind, flags, payload) = (frame[3], frame[4], &frame[9..]);
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap()) & 0x7fff_ffff;
        let stream = number(&frame[5..]);
        match kind {
            HEADERS => {
                self.windows.insert(stream, self.initial_window);
                self.bodies.insert(stream, Vec::new());
            }
            DATA => self.bodies.get_mut(&stream).unwrap().extend(payload),
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks(6) {
                    if setting[..2] == INITIAL_WINDOW_SIZE.to_be_bytes() {
                        self.initial_window = i64::from(number(&setting[2..]));
                    }
                }
                self.send(SETTINGS, ACK, 0, &[]);
            }
            PING if flags & ACK == 0 => {
                let payload = payload.to_vec();
                self.send(PING, ACK, 0, &payload);
            }
            RST_STREAM => {
                let code = number(payload);
                self.seen.lock().unwrap().push(Seen::Reset { stream, code });
            }
            WINDOW_UPDATE => *self.windows.entry(stream).or_default() += i64::from(number(payload)),
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            let call = Call {
                connection: self.number,
                stream,
                body: self.bodies.remove(&stream).unwrap(),
            };
            self.seen.lock().unwrap().push(Seen::Call(call.clone()));
            return Some(call);
        }
        None
    }

    fn next_length(&self) -> usize {
        self.inbox[..3]
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte))
    }
}

/// A server on a port of its own that speaks HTTP/2.
struct Server {
    url: String,
    authority: Authority,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Hands each complete request to what `handler` makes for its connection.
    fn start<H: FnMut(&mut Peer, Call)>(
        settings: &'static [(u16, u32)],
        handler: impl Fn() -> H + Send + Sync + 'static,
    ) -> Server {
        let authority = Authority::new("Example Root CA");
        let config = authority.server("localhost", &["h2", "http/1.1"]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/mcp", listener.local_addr().unwrap().port());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (handler, all, count) = (Arc::new(handler), Arc::clone(&seen), Arc::clone(&connections));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (config, handler, seen) = (Arc::clone(&config), Arc::clone(&handler), Arc::clone(&all));
                std::thread::spawn(move || {
                    let Some(mut stream) = secured(&config, stream.unwrap()) else {
                        return;
                    };
                    let mut preface = [0; 24];
                    if stream.read_exact(&mut preface).is_err() {
                        return;
                    }
                    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
                    let mut peer = Peer {
                        stream,
                        number,
                        inbox: Vec::new(),
                        windows: HashMap::from([(0, 65_535)]),
                        initial_window: 65_535,
                        bodies: HashMap::new(),
                        seen,
                        open: true,
                        last: u32::MAX,
                        is_idle: false,
                        slow: Vec::new(),
                    };
                    let pause = Some(Duration::from_millis(20));
                    peer.stream.sock.set_read_timeout(pause).unwrap();
                    peer.settings(settings);
                    let mut handler = handler();
                    while peer.open {
                        match peer.read_frame() {
                            Some(call) if call.stream <= peer.last => handler(&mut peer, call),
                            Some(_) => {}
                            None if peer.is_idle => {
                                for call in std::mem::take(&mut peer.slow) {
                                    peer.answer(&call);
                                }
                            }
                            None => {}
                        }
                    }
                });
            }
        });
        Server {
            url,
            authority,
            seen,
            connections,
        }
    }

    fn bridge(&self) -> Bridge {
        Bridge::with(&[
            ("FOOTBRIDGE_URL", &self.url),
            ("FOOTBRIDGE_CA_FILE", self.authority.path()),
        ])
    }

    fn calls(&self) -> Vec<Call> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter_map(|seen| match seen {
                Seen::Call(call) => Some(call.clone()),
                Seen::Reset { .. } => None,
            })
            .collect()
    }

    /// Waits until something in the order of events fits.
    fn wait_for(&self, wanted: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + LIVENESS;
        while !self.seen.lock().unwrap().iter().any(&wanted) {
            assert!(Instant::now() < deadline, "it never came: {:?}", self.seen);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Answers the ids of `count` calls in any order.
fn ids(bridge: &Bridge, count: usize) -> HashSet<u64> {
    (0..count)
        .map(|_| {
            let line = bridge.json();
            assert!(line["result"].is_object(), "{line}");
            line["id"].as_u64().unwrap()
        })
        .collect()
}

#[test]
fn one_connection_carries_all_exchanges() {
    const CALLS: usize = 50;
    let server = Server::start(&[], || {
        let mut waiting = Vec::new();
        move |peer: &mut Peer, call| {
            waiting.push(call);
            // Nobody is answered before everybody has arrived, then the last one is first.
            if waiting.len() == CALLS {
                while let Some(call) = waiting.pop() {
                    peer.answer(&call);
                }
            }
        }
    });
    let mut bridge = server.bridge();
    for id in 0..CALLS {
        bridge.send(&call(&id.to_string(), "t"));
    }
    assert_eq!(ids(&bridge, CALLS).len(), CALLS);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn b47_a_cancelled_exchange_resets_its_stream_and_no_other() {
    let server = Server::start(&[], || {
        |peer: &mut Peer, call: Call| {
            if call.id() != "1" {
                peer.answer(&call);
            }
        }
    });
    let mut bridge = server.bridge();
    bridge.send(&modern("1", "tools/call", r#""name":"t","#));
    server.wait_for(|seen| matches!(seen, Seen::Call(call) if call.stream == 1));
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#);
    server.wait_for(|seen| {
        matches!(
            seen,
            Seen::Reset {
                stream: 1,
                code: CANCEL
            }
        )
    });
    bridge.send(&modern("2", "tools/call", r#""name":"t","#));
    assert_eq!(bridge.json()["id"], 2);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn b41_what_the_server_has_not_looked_at_is_sent_on_a_fresh_connection() {
    // Both ways of saying so: a stream above the last one of a GOAWAY, and a refused one.
    for refuses in [false, true] {
        let server = Server::start(&[], move || {
            let mut first = None;
            move |peer: &mut Peer, call: Call| {
                if peer.number > 0 {
                    return peer.answer(&call);
                }
                match first.take() {
                    None => first = Some(call),
                    Some(first) => {
                        if refuses {
                            peer.reset(call.stream, REFUSED_STREAM);
                        } else {
                            peer.go_away(first.stream);
                        }
                        // What it has begun it finishes.
                        peer.answer(&first);
                    }
                }
            }
        });
        let mut bridge = server.bridge();
        bridge.send(&call("1", "t"));
        server.wait_for(|seen| matches!(seen, Seen::Call(_)));
        bridge.send(&call("2", "t"));
        assert_eq!(ids(&bridge, 2).len(), 2);
        let calls: Vec<(usize, String)> = server
            .calls()
            .iter()
            .map(|call| (call.connection, call.id()))
            .collect();
        let expected = [(0, "1"), (0, "2"), (1, "2")].map(|(connection, id)| (connection, id.to_owned()));
        assert_eq!(calls, expected);
    }
}

#[test]
fn b5_what_the_server_may_have_looked_at_is_never_sent_again() {
    for how in ["reset", "goaway and close", "close"] {
        let server = Server::start(&[], move || {
            move |peer: &mut Peer, call: Call| match how {
                "reset" => peer.reset(call.stream, INTERNAL_ERROR),
                "goaway and close" => {
                    peer.go_away(call.stream);
                    peer.open = false;
                }
                _ => peer.open = false,
            }
        });
        let mut bridge = server.bridge();
        bridge.send(&call("1", "t"));
        let error = bridge.error("1", -31003);
        assert_eq!(error["data"]["sent"], true, "{how}");
        assert!(error["message"].as_str().unwrap().contains("unknown"), "{error}");
        // A cancellation may follow, the call itself must not.
        let calls = server.calls();
        assert_eq!(calls.iter().filter(|call| call.id() == "1").count(), 1, "{how}");
    }
}

#[test]
fn a_server_that_refuses_everything_is_not_asked_for_ever() {
    let server = Server::start(&[], || {
        |peer: &mut Peer, call: Call| peer.reset(call.stream, REFUSED_STREAM)
    });
    let mut bridge = server.bridge();
    bridge.send(&call("1", "t"));
    let error = bridge.error("1", -31001);
    assert_eq!(error["data"]["sent"], false);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("did not take the request"),
        "{error}"
    );
    let calls = server.calls().len();
    assert!((2..20).contains(&calls), "{calls}");
}

#[test]
fn the_servers_limit_of_streams_is_kept_with_further_connections() {
    const LIMIT: usize = 2;
    const CALLS: usize = 30;
    let server = Server::start(&[(MAX_CONCURRENT_STREAMS, 2)], || {
        |peer: &mut Peer, call: Call| {
            // Allowed before the limit is known; it has to be refused then, and is sent again.
            if peer.slow.len() == LIMIT {
                peer.reset(call.stream, REFUSED_STREAM);
            } else {
                peer.slow.push(call);
            }
        }
    });
    let mut bridge = server.bridge();
    for id in 0..CALLS {
        bridge.send(&call(&id.to_string(), "t"));
    }
    assert_eq!(ids(&bridge, CALLS).len(), CALLS);
    let connections = server.connections.load(Ordering::SeqCst);
    assert!((2..=CALLS / LIMIT).contains(&connections), "{connections}");
    // Now the limit is known on every connection, and nothing has to be refused any more.
    let before = server.calls().len();
    for id in 0..CALLS {
        bridge.send(&call(&id.to_string(), "t"));
    }
    assert_eq!(ids(&bridge, CALLS).len(), CALLS);
    assert!(server.calls().len() <= before + CALLS + LIMIT);
}

#[test]
fn a_large_reply_flows_through_the_windows() {
    const SIZE: usize = 10 << 20;
    let server = Server::start(&[], || {
        |peer: &mut Peer, call: Call| {
            peer.head(call.stream, "application/json");
            let text = "x".repeat(SIZE);
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{"x":"{text}"}}}}"#,
                call.id()
            );
            assert_eq!(peer.flood(call.stream, body.as_bytes(), LIVENESS), body.len());
            peer.send(DATA, END_STREAM, call.stream, b"");
        }
    });
    let mut bridge = server.bridge();
    bridge.send(&call("1", "t"));
    let line = bridge.line();
    assert!(line.len() > SIZE, "{}", &line[..line.len().min(1000)]);
}

#[test]
fn b16_a_host_that_does_not_read_stops_the_reading() {
    const SIZE: usize = 64 << 20;
    let (report, sent) = std::sync::mpsc::channel();
    let server = Server::start(&[], move || {
        let report = report.clone();
        move |peer: &mut Peer, call: Call| {
            peer.head(call.stream, "text/event-stream");
            let event = format!(
                "data: {{\"jsonrpc\":\"2.0\",\"method\":\"{}\"}}\n\n",
                "n".repeat(1000)
            );
            let body = event.repeat(SIZE / event.len());
            let sent = peer.flood(call.stream, body.as_bytes(), Duration::from_millis(700));
            let _ = report.send(sent);
        }
    });
    let mut child = Command::new(crate::harness::program())
        .env_clear()
        .env("FOOTBRIDGE_KEY", KEY)
        .env("FOOTBRIDGE_URL", &server.url)
        .env("FOOTBRIDGE_CA_FILE", server.authority.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}", call("1", "t")).unwrap();
    // Its stdout is open and nobody reads it.
    let sent = sent.recv_timeout(LIVENESS).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!((100_000..6 << 20).contains(&sent), "{sent} bytes were taken");
}

#[test]
fn b41_whatever_happens_every_call_is_answered_once_and_processed_at_most_once() {
    const CALLS: usize = 600;
    let processed: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let refused: Arc<Mutex<HashSet<String>>> = Arc::default();
    let counts = Arc::clone(&processed);
    let server = Server::start(&[], move || {
        let (processed, refused) = (Arc::clone(&processed), Arc::clone(&refused));
        let mut last = 0;
        move |peer: &mut Peer, call: Call| {
            let id = call.id();
            let number: usize = id.parse().unwrap_or(3);
            let refuses = matches!(number % 13, 1 | 2) && refused.lock().unwrap().insert(id.clone());
            match number % 13 {
                1 if refuses => return peer.reset(call.stream, REFUSED_STREAM),
                // The stream before this one was the last.
                2 if refuses => return peer.go_away(last),
                _ => {}
            }
            last = call.stream;
            *processed.lock().unwrap().entry(id).or_default() += 1;
            match number % 13 {
                5 => peer.reset(call.stream, INTERNAL_ERROR),
                6 if number.is_multiple_of(5) => peer.open = false,
                7 if number.is_multiple_of(4) => {
                    peer.answer(&call);
                    peer.go_away(call.stream);
                }
                8 => peer.slow.push(call),
                _ => peer.answer(&call),
            }
        }
    });
    let mut bridge = server.bridge();
    let (mut sent, mut answered) = (0, HashMap::<usize, usize>::new());
    while answered.len() < CALLS {
        while sent < CALLS && sent - answered.len() < 8 {
            bridge.send(&call(&sent.to_string(), "t"));
            sent += 1;
        }
        let line = bridge.json();
        let id = usize::try_from(line["id"].as_u64().unwrap()).unwrap();
        *answered.entry(id).or_default() += 1;
        let code = line["error"]["code"].as_i64();
        if id % 13 == 5 {
            assert_eq!(code, Some(-31003), "{line}");
        } else {
            // A connection that closes takes others with it, and then nobody knows.
            assert!(code.is_none() || code == Some(-31003), "{line}");
        }
    }
    assert!(answered.values().all(|times| *times == 1));
    assert!(bridge.end().lines.iter().all(|line| !line.contains("\"id\"")));
    let counts = counts.lock().unwrap();
    let twice: Vec<_> = counts
        .iter()
        .filter(|(id, times)| *id != "null" && **times > 1)
        .collect();
    assert!(twice.is_empty(), "{twice:?}");
}
