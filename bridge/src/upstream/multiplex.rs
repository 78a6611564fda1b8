//! One HTTP/2 connection that carries many exchanges at once.
//!
//! An exchange holds a [`Turn`]. Dropping what it holds resets its stream and nothing else. What counts as never processed,
//! and may therefore be sent again, is what the protocol itself says about it (RFC 9113 §8.7), see [`is_unprocessed`].

use std::error::Error as _;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap};
use hyper::http::uri::{Authority, Parts, Scheme};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Instant;

use super::cork::Cork;
use super::http1::Outgoing;
use super::pool::{Failed, IDLE_LIMIT};
use super::stream::Stream;
use crate::log;

/// What one reply may have in flight unread. A megabyte fills any path: 10 MB take ten round trips.
const STREAM_WINDOW: u32 = 1 << 20;
/// What all replies together may have in flight unread. It bounds the memory taken for a host that does not read.
const CONNECTION_WINDOW: u32 = 2 << 20;
/// How often the server is asked for a sign of life while requests are open.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long that sign may take.
const PING_LIMIT: Duration = Duration::from_secs(20);

/// Streams opened at most on a first connection before the server has said how many it allows (RFC 9113 §6.5.2 asks servers
/// to allow as many).
const FIRST_STREAMS: usize = 100;

/// Why a connection or a stream failed.
#[derive(Debug)]
pub(crate) struct Error(hyper::Error);

impl fmt::Display for Error {
    /// With its cause: hyper keeps the protocol's own words in there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(cause) => write!(f, "{}: {cause}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl std::error::Error for Error {}

/// Status, headers, and the body to come.
pub(super) type Response = (StatusCode, HeaderMap, Multiplexed);

/// The body of a reply.
pub(crate) struct Multiplexed(Incoming);

impl Multiplexed {
    /// The next bytes, `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.0.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(error)) => return Err(Error(error)),
                None => return Ok(None),
            }
        }
    }

    /// Says whether all of it was read.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_end_stream()
    }

    /// Bytes to come, as far as they are known.
    pub(super) fn left(&self) -> u64 {
        self.0.size_hint().lower()
    }
}

/// How many streams a server allows at once, as far as it is known, for connections to come.
pub(super) struct Room(AtomicUsize);

impl Default for Room {
    fn default() -> Room {
        Room(AtomicUsize::new(FIRST_STREAMS))
    }
}

/// A connection shared by exchanges.
pub(super) struct Multiplex {
    sender: SendRequest<Full<Bytes>>,
    usage: Arc<Mutex<Usage>>,
}

struct Usage {
    /// Streams the server allows at once.
    room: usize,
    /// Turns handed out and not dropped yet.
    active: usize,
    /// When the last turn began or ended.
    since: Instant,
    /// The server refuses streams though it has room: no further turns.
    retired: bool,
}

/// The right to one stream.
pub(crate) struct Turn {
    sender: SendRequest<Full<Bytes>>,
    usage: Arc<Mutex<Usage>>,
}

impl Multiplex {
    /// Opens the protocol on a stream that agreed to speak it. `room` is what this server is known to allow, and learns
    /// from it: until its settings have come, a server gets no more than its last connection allowed.
    pub(super) async fn open(stream: Stream, room: &Arc<Room>) -> Result<Multiplex, String> {
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(room.0.load(Ordering::Relaxed))
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_LIMIT)
            .handshake(TokioIo::new(Cork::new(stream)))
            .await
            .map_err(|error| Error(error).to_string())?;
        let usage = Arc::new(Mutex::new(Usage {
            room: connection.current_max_send_streams(),
            active: 0,
            since: Instant::now(),
            retired: false,
        }));
        let (mut connection, known, room) = (connection, Arc::clone(&usage), Arc::clone(room));
        let carry = poll_fn(move |cx| {
            let outcome = Pin::new(&mut connection).poll(cx);
            let now = connection.current_max_send_streams();
            lock(&known).room = now;
            room.0.store(now.clamp(1, FIRST_STREAMS), Ordering::Relaxed);
            outcome
        });
        tokio::spawn(async move {
            if let Err(error) = carry.await {
                log::debug(format_args!("a connection ended: {}", Error(error)));
            }
        });
        Ok(Multiplex { sender, usage })
    }

    /// A turn, if the connection is fit for one and the server's limit of streams leaves room.
    pub(super) fn turn(&self) -> Option<Turn> {
        let mut usage = lock(&self.usage);
        if usage.active >= usage.room || self.sender.is_closed() {
            return None;
        }
        usage.active += 1;
        usage.since = Instant::now();
        Some(Turn {
            sender: self.sender.clone(),
            usage: Arc::clone(&self.usage),
        })
    }

    /// Says whether nothing new should be sent here: it is closed, on its way out, or has been silent for too long to be
    /// trusted.
    pub(super) fn is_over(&self) -> bool {
        let usage = lock(&self.usage);
        self.sender.is_closed() || usage.retired || (usage.active == 0 && usage.since.elapsed() > IDLE_LIMIT)
    }
}

impl Turn {
    /// Sends one request. It is addressed as HTTP/1.1 is, by path and `Host`, and rewritten here.
    pub(super) async fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<Response, Failed> {
        let mut headers = outgoing.common.headers.clone();
        headers.extend(outgoing.headers.clone());
        if let Some(credential) = outgoing.credential {
            headers.insert(AUTHORIZATION, credential.clone());
        }
        let authority = headers
            .remove(HOST)
            .and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let mut parts = Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = authority;
        parts.path_and_query = outgoing.target.path_and_query().cloned();
        let mut request = Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() = outgoing.method.clone();
        // Invariant: the `Host` header and the target were made by `Endpoint` from a URL, so they make one again.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        *request.headers_mut() = headers;
        match self.sender.try_send_request(request).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                Ok((head.status, head.headers, Multiplexed(body)))
            }
            Err(mut failure) => {
                let queued = failure.take_message().is_some();
                let error = failure.into_error();
                let unprocessed = is_unprocessed(&error);
                if unprocessed {
                    self.refused();
                }
                Err(Failed {
                    unsent: queued || unprocessed,
                    error: Error(error).into(),
                })
            }
        }
    }

    /// The server refused a stream. If that was one too many, its limit is known now and will be kept. Otherwise the
    /// connection is on its way out.
    fn refused(&self) {
        let mut usage = lock(&self.usage);
        if usage.active <= usage.room {
            usage.retired = true;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut usage = lock(&self.usage);
        usage.active -= 1;
        usage.since = Instant::now();
    }
}

/// Says whether the server has declared that it never looked at the request: its stream was refused, or lies above the last
/// one named in a GOAWAY. (Streams below that one fail with the connection's end, which proves nothing.)
fn is_unprocessed(error: &hyper::Error) -> bool {
    error
        .source()
        .and_then(|cause| cause.downcast_ref::<h2::Error>())
        .is_some_and(|cause| {
            cause.is_remote()
                && (cause.is_go_away()
                    || cause.is_reset() && cause.reason() == Some(h2::Reason::REFUSED_STREAM))
        })
}

fn lock(usage: &Mutex<Usage>) -> MutexGuard<'_, Usage> {
    usage.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::http1::Common;
    use super::super::stream::Link;
    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test)
    }

    /// Both ends of a connection, ours as it will be used.
    async fn connection() -> (Multiplex, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        let multiplex = Multiplex::open(Stream::new(Link::Tcp(ours)), &Arc::default())
            .await
            .unwrap();
        (multiplex, theirs)
    }

    async fn send(turn: &mut Turn) -> Result<super::Response, Failed> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "h.example:8443".parse().unwrap());
        headers.insert("mcp-method", "tools/call".parse().unwrap());
        turn.send(&Outgoing {
            method: &hyper::Method::POST,
            target: &"/mcp?a=b".parse().unwrap(),
            common: &Common::default(),
            headers: &headers,
            credential: None,
            body: &Bytes::from_static(b"{}"),
        })
        .await
    }

    #[test]
    fn a_request_is_addressed_as_http2_wants_it() {
        run(async {
            let (multiplex, theirs) = connection().await;
            let server = tokio::spawn(async move {
                let mut server = h2::server::handshake(theirs).await.unwrap();
                let (request, mut respond) = server.accept().await.unwrap().unwrap();
                respond.send_response(hyper::Response::new(()), true).unwrap();
                tokio::spawn(async move { while server.accept().await.is_some() {} });
                request
            });
            let mut turn = multiplex.turn().unwrap();
            assert!(send(&mut turn).await.is_ok());
            let request = server.await.unwrap();
            assert_eq!(request.uri(), "https://h.example:8443/mcp?a=b");
            assert!(request.headers().get(HOST).is_none());
            assert_eq!(request.headers()["mcp-method"], "tools/call");
        });
    }

    #[test]
    fn a_connection_that_has_died_without_a_word_is_noticed_while_requests_are_open() {
        run(async {
            let (multiplex, mut theirs) = connection().await;
            // The handshake is answered, nothing after it: no ping, no request.
            theirs.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
            let mut turn = multiplex.turn().unwrap();
            tokio::time::pause();
            let Err(failed) = send(&mut turn).await else {
                panic!("nobody answered");
            };
            assert!(!failed.unsent);
            assert!(
                failed.error.to_string().contains("keep-alive"),
                "{}",
                failed.error
            );
            assert!(multiplex.is_over());
        });
    }

    #[test]
    fn turns_end_where_the_room_ends_and_idle_connections_grow_old() {
        run(async {
            let (multiplex, _theirs) = connection().await;
            lock(&multiplex.usage).room = 2;
            let turns = (multiplex.turn().unwrap(), multiplex.turn().unwrap());
            assert!(multiplex.turn().is_none());
            drop(turns.0);
            assert!(multiplex.turn().is_some());
            tokio::time::pause();
            tokio::time::advance(IDLE_LIMIT * 2).await;
            assert!(!multiplex.is_over(), "a turn is out");
            drop(turns.1);
            assert!(!multiplex.is_over(), "it has only just been used");
            tokio::time::advance(IDLE_LIMIT * 2).await;
            assert!(multiplex.is_over());
        });
    }
}
