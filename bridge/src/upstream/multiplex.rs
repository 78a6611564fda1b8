//! One HTTP/2 connection that carries many exchanges at once.
//!
//! An exchange holds a [`Turn`]. Dropping what it holds resets its stream and nothing else. What counts as never processed,
//! and may therefore be sent again, is what the protocol itself says about it (RFC 9113 §8.7), see [`is_unprocessed`].

use std::error::Error as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::header::HOST;
use hyper::http::uri::{Authority, Parts, Scheme};
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Instant;

use super::cork::Cork;
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
            .map_err(|error| super::words(&error))?;
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
                log::debug(format_args!("a connection ended: {}", super::words(&error)));
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
    pub(super) async fn send(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failed> {
        let authority = request
            .headers_mut()
            .remove(HOST)
            .and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let mut parts = Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = authority;
        parts.path_and_query = request.uri().path_and_query().cloned();
        // Invariant: the `Host` header and the target were made by `Endpoint` from a URL, so they make one again.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        match self.sender.try_send_request(request).await {
            Ok(response) => Ok(response),
            Err(mut failure) => {
                let queued = failure.take_message().is_some();
                let error = failure.into_error();
                let unprocessed = is_unprocessed(&error);
                if unprocessed {
                    self.refused();
                }
                Err(Failed {
                    unsent: queued || unprocessed,
                    error,
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

    fn request() -> Request<Full<Bytes>> {
        let mut request = Request::post("/mcp?a=b").header(HOST, "h.example:8443");
        request = request.header("mcp-method", "tools/call");
        request.body(Full::new(Bytes::from_static(b"{}"))).unwrap()
    }

    #[test]
    fn a_request_is_addressed_as_http2_wants_it() {
        run(async {
            let (multiplex, theirs) = connection().await;
            let server = tokio::spawn(async move {
                let mut server = h2::server::handshake(theirs).await.unwrap();
                let (request, mut respond) = server.accept().await.unwrap().unwrap();
                respond.send_response(Response::new(()), true).unwrap();
                tokio::spawn(async move { while server.accept().await.is_some() {} });
                request
            });
            let mut turn = multiplex.turn().unwrap();
            assert!(turn.send(request()).await.is_ok());
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
            let Err(failed) = turn.send(request()).await else {
                panic!("nobody answered");
            };
            assert!(!failed.unsent);
            assert!(
                super::super::words(&failed.error).contains("keep-alive"),
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
