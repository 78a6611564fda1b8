//! The server of the stress: it answers in every shape there is, counts what it received, and dies and returns on command.
//!
//! In: POSTs of a bridge, and [`Chaos::restart`]. Out: replies, [`Chaos::received`]. HTTP by hand, because a server that
//! dies in the middle of a reply is the point. A restart closes each socket as the end of a process would, forgets every
//! session, and leaves the port shut for a while.

use crate::wire::{Failure, LEGACY};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Between the two halves of a reply that comes in pieces.
const BETWEEN_PIECES: Duration = Duration::from_millis(5);
/// Longest wait of a delayed reply; a prime, so that the delays do not fall into step with the shapes.
const LONGEST_DELAY_MS: u64 = 23;
/// What only a modern message has.
const MODERN_CLAIM: &[u8] = b"io.modelcontextprotocol/protocolVersion";
/// What a server of one era says to a message of the other.
const NO_LEGACY: &str = r#"{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28"],"requested":"2025-11-25"}}"#;
const NO_MODERN: &str = r#"{"code":-32000,"message":"Bad Request: Server not initialized"}"#;
/// What it is.
const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#;
/// Connections that may wait to be accepted; systems cap it.
const BACKLOG: u32 = 16_384;
/// How long the port may take to be free again.
const BIND_ATTEMPTS: u32 = 200;

/// Which era a server speaks; it refuses the other as official servers of that kind do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// The 2026 revision only.
    Modern,
    /// The handshake only, with sessions.
    Legacy,
}

/// A running server.
pub(crate) struct Chaos {
    address: SocketAddr,
    shared: Arc<Shared>,
    control: mpsc::Sender<(Duration, oneshot::Sender<()>)>,
}

struct Shared {
    /// How often each call was received whole, by its number.
    received: Mutex<Vec<u8>>,
    /// Calls of `hold` that have arrived, and how many there must be before any is answered.
    held: watch::Sender<usize>,
    crowd: usize,
    /// Sessions of an older life are unknown.
    life: AtomicU64,
    speaks: Speaks,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<&'a str>,
    #[serde(default)]
    params: Params,
}

#[derive(Deserialize, Default)]
struct Params {
    #[serde(default)]
    name: String,
    #[serde(default)]
    arguments: Arguments,
}

/// What the tools read: the call's number, and the size of a `big` reply.
#[derive(Deserialize, Default)]
struct Arguments {
    #[serde(default)]
    n: u64,
    #[serde(default)]
    bytes: usize,
}

impl Chaos {
    /// Starts on a free port of the loopback, in a thread of its own. `hold` is answered once `crowd` calls of it wait.
    pub(crate) fn start(speaks: Speaks, crowd: usize) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            listen(SocketAddr::from(([127, 0, 0, 1], 0)))?
        };
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            received: Mutex::new(Vec::new()),
            held: watch::Sender::new(0),
            crowd,
            life: AtomicU64::new(1),
            speaks,
        });
        let (control, commands) = mpsc::channel(1);
        let inside = Arc::clone(&shared);
        std::thread::spawn(move || runtime.block_on(lives(listener, address, inside, commands)));
        Ok(Self {
            address,
            shared,
            control,
        })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Ends every connection at once and returns after `away`; comes back when it listens again.
    pub(crate) fn restart(&self, away: Duration) -> Result<(), Failure> {
        let (done, returned) = oneshot::channel();
        self.control
            .blocking_send((away, done))
            .map_err(|_| "the stress server has ended")?;
        returned
            .blocking_recv()
            .map_err(|_| "the stress server did not come back".into())
    }

    /// How often call `n` was received.
    pub(crate) fn received(&self, n: u64) -> u8 {
        let received = self
            .shared
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        usize::try_from(n)
            .ok()
            .and_then(|at| received.get(at).copied())
            .unwrap_or(0)
    }
}

impl Shared {
    fn note(&self, n: u64) {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(at) = usize::try_from(n) else { return };
        if received.len() <= at {
            received.resize(at + 1, 0);
        }
        if let Some(times) = received.get_mut(at) {
            *times = times.saturating_add(1);
        }
    }

    fn session(&self) -> String {
        format!("life-{}", self.life.load(Ordering::Relaxed))
    }
}

/// One life after the other, until the process ends.
async fn lives(
    mut listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    mut commands: mpsc::Receiver<(Duration, oneshot::Sender<()>)>,
) {
    loop {
        let mut connections = JoinSet::new();
        let (away, done) = loop {
            tokio::select! {
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    connections.spawn(converse(stream, Arc::clone(&shared)));
                },
                Some(_) = connections.join_next() => {}
                command = commands.recv() => match command {
                    Some(command) => break command,
                    None => return,
                },
            }
        };
        drop(listener);
        connections.shutdown().await;
        shared.life.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(away).await;
        let Some(again) = bind(address).await else { return };
        listener = again;
        // The other end may have given up waiting.
        let _ = done.send(());
    }
}

/// The same port again: an ephemeral connection may sit on it for a moment.
async fn bind(address: SocketAddr) -> Option<TcpListener> {
    for _ in 0..BIND_ATTEMPTS {
        if let Ok(listener) = listen(address) {
            return Some(listener);
        }
        tokio::time::sleep(BETWEEN_PIECES).await;
    }
    None
}

/// A crowd that connects at once must not be made to repeat its packets.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What is read of a request's head.
#[derive(Default)]
struct Head {
    method: String,
    length: usize,
    session: Option<String>,
}

/// One connection, from its first request to its last.
async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    // Either end may go at any time; that is what happens here.
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Ok(Some(head)) = read_head(&mut stream).await {
        let mut body = vec![0; head.length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        if answer(stream.get_mut(), &head, &body, &shared).await.is_err() {
            return;
        }
    }
}

async fn read_head(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Head>> {
    let mut head = Head::default();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let text = line.trim_end();
        if head.method.is_empty() {
            head.method = text.split(' ').next().unwrap_or_default().to_owned();
        } else if text.is_empty() {
            return Ok(Some(head));
        } else if let Some((name, value)) = text.split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.trim().parse().unwrap_or(0),
                "mcp-session-id" => head.session = Some(value.trim().to_owned()),
                _ => {}
            }
        }
    }
}

async fn answer(stream: &mut TcpStream, head: &Head, body: &[u8], shared: &Shared) -> std::io::Result<()> {
    let known = head
        .session
        .as_ref()
        .is_none_or(|session| *session == shared.session());
    if !known {
        return empty(stream, "404 Not Found", "").await;
    }
    match head.method.as_str() {
        "POST" => {}
        "GET" => {
            // Open until this life ends.
            begin_stream(stream).await?;
            piece(stream, b": here\n\n").await?;
            return std::future::pending().await;
        }
        _ => return empty(stream, "200 OK", "").await,
    }
    let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else {
        return empty(stream, "400 Bad Request", "").await;
    };
    let Some(id) = message.id.map(RawValue::get) else {
        return empty(stream, "202 Accepted", "").await;
    };
    let claims_modern = memchr::memmem::find(body, MODERN_CLAIM).is_some();
    match (shared.speaks, claims_modern) {
        (Speaks::Modern, false) => return refuse(stream, id, NO_LEGACY).await,
        (Speaks::Legacy, true) => return refuse(stream, id, NO_MODERN).await,
        _ => {}
    }
    match message.method.unwrap_or_default() {
        "initialize" => {
            let result = format!(
                r#"{{"protocolVersion":"{LEGACY}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"stress","version":"0"}}}}"#
            );
            let session = format!("mcp-session-id: {}\r\n", shared.session());
            whole(stream, &session, &reply(id, &result)).await
        }
        "server/discover" => whole(stream, "", &reply(id, DISCOVERED)).await,
        "tools/call" => {
            shared.note(message.params.arguments.n);
            call(stream, id, &message.params, shared).await
        }
        _ => whole(stream, "", &reply(id, r#"{"resultType":"complete"}"#)).await,
    }
}

/// The tools: `hold` waits for its crowd, `big` and `stream` are as large as they were told, anything else answers its
/// number in one of four shapes.
async fn call(stream: &mut TcpStream, id: &str, params: &Params, shared: &Shared) -> std::io::Result<()> {
    let n = params.arguments.n;
    let text = |text: &str| {
        reply(
            id,
            &format!(r#"{{"content":[{{"type":"text","text":"{text}"}}],"resultType":"complete"}}"#),
        )
    };
    let number = text(&n.to_string());
    match params.name.as_str() {
        "hold" => {
            let mut held = shared.held.subscribe();
            // Only the last of the crowd wakes the others.
            shared.held.send_if_modified(|held| {
                *held += 1;
                *held >= shared.crowd
            });
            // The sender lives as long as this server.
            let _ = held.wait_for(|held| *held >= shared.crowd).await;
            whole(stream, "", &number).await
        }
        "big" => whole(stream, "", &text(&"x".repeat(params.arguments.bytes))).await,
        "stream" => {
            begin_stream(stream).await?;
            end_stream(stream, &text(&"x".repeat(params.arguments.bytes))).await
        }
        _ => match n % 4 {
            0 => whole(stream, "", &number).await,
            1 => {
                tokio::time::sleep(Duration::from_millis(n % LONGEST_DELAY_MS)).await;
                whole(stream, "", &number).await
            }
            2 => {
                begin_stream(stream).await?;
                tokio::time::sleep(BETWEEN_PIECES).await;
                end_stream(stream, &number).await
            }
            _ => {
                let (first, second) = number.split_at(number.len() / 2);
                stream.write_all(json_head("", number.len()).as_bytes()).await?;
                stream.write_all(first.as_bytes()).await?;
                tokio::time::sleep(BETWEEN_PIECES).await;
                stream.write_all(second.as_bytes()).await
            }
        },
    }
}

fn reply(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

fn json_head(more: &str, length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n")
}

async fn whole(stream: &mut TcpStream, more: &str, line: &str) -> std::io::Result<()> {
    let mut bytes = json_head(more, line.len()).into_bytes();
    bytes.extend_from_slice(line.as_bytes());
    stream.write_all(&bytes).await
}

async fn refuse(stream: &mut TcpStream, id: &str, error: &str) -> std::io::Result<()> {
    let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
    let head = json_head("", line.len()).replace("200 OK", "400 Bad Request");
    stream.write_all(format!("{head}{line}").as_bytes()).await
}

async fn empty(stream: &mut TcpStream, status: &str, more: &str) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\n{more}content-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await
}

async fn begin_stream(stream: &mut TcpStream) -> std::io::Result<()> {
    stream
        .write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await
}

async fn piece(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    stream.write_all(&chunk).await
}

/// The one event of a stream, and the stream's end.
async fn end_stream(stream: &mut TcpStream, line: &str) -> std::io::Result<()> {
    piece(stream, format!("data: {line}\n\n").as_bytes()).await?;
    stream.write_all(b"0\r\n\r\n").await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Call, Era, Target, call_once};

    fn work(target: &Target, n: u64) -> Result<Vec<u8>, Failure> {
        let call = Call::tool(Era::Modern, "work", &format!(r#"{{"n":{n}}}"#));
        call_once(target, &call, Duration::from_secs(5))
    }

    #[test]
    fn it_counts_what_it_received_and_returns_from_a_restart() {
        let chaos = Chaos::start(Speaks::Modern, 1).expect("starts");
        let target = Target::parse(&chaos.url(), None).expect("is an address");
        assert!(String::from_utf8_lossy(&work(&target, 4).expect("answers")).contains(r#""text":"4""#));
        chaos.restart(Duration::from_millis(1)).expect("returns");
        for n in [4, 5, 7] {
            work(&target, n).expect("answers again");
        }
        let counts: Vec<u8> = (3..9).map(|n| chaos.received(n)).collect();
        assert_eq!(counts, [0, 2, 1, 0, 1, 0]);
    }
}
