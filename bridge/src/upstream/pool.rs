//! Connections, kept open between requests.
//!
//! Over HTTP/1.1 one exchange has one connection to itself, and gives it back when the reply has been read to its end. Over
//! HTTP/2 exchanges take turns on shared ones. What this file knows better than an off-the-shelf pool: whether a request can
//! have been acted on when its connection failed, which decides if it may be sent again (B-41, security.md B5).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::connect::{ConnectError, Dialer};
use super::endpoint::Endpoint;
use super::http1::{Outgoing, Wire, WireError};
use super::multiplex::{self, Multiplex, Room, Turn};
use super::reply::Reply;
use super::stream::Stream;
use super::tls::Offer;
use crate::log;

/// A connection idle for longer is not used again: servers and middleboxes close theirs at 60 s and up, and a request
/// must not race with that.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(50);
/// A connection idle for longer than this is looked at before it is used: its end may have arrived and not been read.
const FRESH: Duration = Duration::from_millis(100);
/// HTTP/1.1 connections being opened at once. Servers queue about a hundred they have not accepted yet; what comes beyond
/// that is dropped on the way.
const OPENING: usize = 32;
/// Longest wait for another exchange to end when this process may open no more files.
const SCARCE: Duration = Duration::from_millis(50);
/// How often a request is sent again that the server says it has not looked at.
const REFUSALS: usize = 8;

/// The connections to one origin.
pub(crate) struct Pool {
    origin: Arc<Origin>,
    idle: Mutex<Vec<Idle>>,
    shared: Mutex<Vec<Multiplex>>,
    warming: Mutex<Option<JoinHandle<Warmed>>>,
    /// Turns at opening a connection. Over TLS there is one until the server has said which HTTP it speaks: if it is
    /// HTTP/2, those who wait need no connection of their own.
    opening: Semaphore,
    is_opening_wide: AtomicBool,
    /// How the last attempt ended, and when. Those who waited for it share its failure.
    last: Mutex<Option<(Instant, ConnectError)>>,
    owned: Arc<Owned>,
}

struct Origin {
    endpoint: Endpoint,
    dialer: Arc<Dialer>,
    owned: Arc<Owned>,
    room: Arc<Room>,
}

struct Idle {
    connection: Exclusive,
    since: Instant,
}

/// What opening leads to.
enum Opened {
    Exclusive(Exclusive),
    Multiplex(Multiplex),
}

/// A connection opened ahead, and when.
type Warmed = Result<(Opened, Instant), ConnectError>;

/// A way to send one request, in the hands of one exchange.
pub(crate) enum Connection {
    /// An HTTP/1.1 connection; to be given back.
    Exclusive(Exclusive),
    /// One stream of a shared connection; ends when dropped.
    Turn(Turn),
}

/// One HTTP/1.1 connection.
pub(crate) struct Exclusive {
    pub(super) wire: Wire<Stream>,
    _count: Count,
}

/// How many HTTP/1.1 connections there are, and the call when one becomes free.
#[derive(Default)]
struct Owned {
    count: AtomicUsize,
    freed: Notify,
}

/// One connection in the count.
struct Count(Arc<Owned>);

/// A request that got no response.
pub(super) struct Failed {
    /// The server cannot have acted on it.
    pub(super) unsent: bool,
    pub(super) error: TransportError,
}

/// Why a connection, or its share of one, failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// HTTP/1.1.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// HTTP/2.
    #[error(transparent)]
    Multiplex(#[from] multiplex::Error),
}

/// Why a request got no response.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection: nothing was sent.
    Connect(ConnectError),
    /// The connection failed before a byte of the request was written, or the server refused to look at it.
    Unsent(TransportError),
    /// The connection failed after that.
    Lost(TransportError),
}

impl Pool {
    /// A pool without connections.
    pub(crate) fn new(endpoint: Endpoint, dialer: Arc<Dialer>) -> Pool {
        let owned = Arc::new(Owned::default());
        Pool {
            opening: Semaphore::new(if endpoint.tls { 1 } else { OPENING }),
            is_opening_wide: AtomicBool::new(!endpoint.tls),
            origin: Arc::new(Origin {
                endpoint,
                dialer,
                owned: Arc::clone(&owned),
                room: Arc::default(),
            }),
            idle: Mutex::new(Vec::new()),
            shared: Mutex::new(Vec::new()),
            warming: Mutex::new(None),
            last: Mutex::new(None),
            owned,
        }
    }

    /// Begins a connection that the first request will find ready, or on its way.
    pub(crate) fn warm_up(&self) {
        let origin = Arc::clone(&self.origin);
        *lock(&self.warming) = Some(tokio::spawn(
            async move { Ok((origin.open().await?, Instant::now())) },
        ));
    }

    /// Sends a request, on a kept connection or a new one. As long as the server cannot have acted on it, a failed connection
    /// is replaced. `leaving` is called each time just before bytes may leave.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: &Outgoing<'_>,
        leaving: impl Fn(),
    ) -> Result<Reply, SendError> {
        let mut refusals = 0;
        loop {
            let (connection, kept) = self.check_out().await.map_err(SendError::Connect)?;
            leaving();
            // Each kept connection fails once; a shared one could refuse for ever.
            let (sent, may_fail) = match connection {
                Connection::Exclusive(mut exclusive) => match exclusive.wire.send(request).await {
                    Ok(head) => (Ok(Reply::exclusive(head, exclusive, self)), kept),
                    Err(error) => {
                        let unsent = !exclusive.wire.has_sent();
                        let error = error.into();
                        (Err(Failed { unsent, error }), kept)
                    }
                },
                Connection::Turn(mut turn) => {
                    refusals += 1;
                    let sent = turn.send(request).await;
                    (
                        sent.map(|response| Reply::multiplexed(response, turn)),
                        refusals <= REFUSALS,
                    )
                }
            };
            match sent {
                Ok(reply) => return Ok(reply),
                Err(failed) if !failed.unsent => return Err(SendError::Lost(failed.error)),
                Err(failed) if !may_fail => return Err(SendError::Unsent(failed.error)),
                Err(_) => log::debug(format_args!(
                    "a connection was of no use any more, taking another"
                )),
            }
        }
    }

    /// Takes a connection back after its last response. One that cannot be used again is closed.
    pub(super) fn give_back(&self, mut connection: Exclusive) {
        if connection.wire.is_reusable() {
            connection.wire.rest();
            let now = Instant::now();
            let mut idle = lock(&self.idle);
            // The oldest lie at the bottom, where nobody would find them as long as those above suffice.
            let old = idle
                .iter()
                .take_while(|idle| now.duration_since(idle.since) > IDLE_LIMIT)
                .count();
            idle.drain(..old);
            idle.push(Idle {
                connection,
                since: now,
            });
            drop(idle);
            self.owned.freed.notify_one();
        }
    }

    /// A connection and whether it had been used before. The most recently used one comes first, so that those a burst
    /// left behind grow old and go.
    async fn check_out(&self) -> Result<(Connection, bool), ConnectError> {
        let began = Instant::now();
        loop {
            if let Some(connection) = self.kept().await {
                return Ok((connection, true));
            }
            // Invariant: the semaphore is never closed, so this is a wait and nothing else.
            let _turn = self.opening.acquire().await;
            // While others were connecting, a connection may have become free, or it has turned out that there is none.
            if let Some(connection) = self.kept().await {
                return Ok((connection, true));
            }
            if let Some((failed, error)) = lock(&self.last).as_ref()
                && *failed > began
            {
                return Err(error.clone());
            }
            match self.open().await {
                Err(ConnectError::NoFiles { .. }) if self.owned.count.load(Ordering::Relaxed) > 0 => {
                    let _ = tokio::time::timeout(SCARCE, self.owned.freed.notified()).await;
                }
                Err(error) => {
                    *lock(&self.last) = Some((Instant::now(), error.clone()));
                    return Err(error);
                }
                Ok(opened) => {
                    *lock(&self.last) = None;
                    return Ok(opened);
                }
            }
        }
    }

    /// The connection that is being opened ahead, or one more.
    async fn open(&self) -> Result<(Connection, bool), ConnectError> {
        let warming = lock(&self.warming).take();
        if let Some(warming) = warming {
            // What was found long ago says nothing, be it a failure or a connection: then the attempt that counts is made now.
            let stale = warming.is_finished();
            match warming.await {
                Ok(Ok((opened, since))) if since.elapsed() < IDLE_LIMIT => {
                    if let Ok(connection) = self.keep(opened) {
                        return Ok((connection, true));
                    }
                }
                Ok(Err(error)) if !stale => return Err(error),
                _ => {}
            }
        }
        // Boxed, as a TLS handshake is large and every exchange would carry room for one.
        let opened = Box::pin(self.origin.open()).await?;
        Ok((self.keep(opened)?, false))
    }

    /// Notes what the server speaks, and shares the connection if it can be.
    fn keep(&self, opened: Opened) -> Result<Connection, ConnectError> {
        match opened {
            Opened::Exclusive(connection) => {
                if !self.is_opening_wide.swap(true, Ordering::Relaxed) {
                    self.opening.add_permits(OPENING - 1);
                }
                Ok(Connection::Exclusive(connection))
            }
            Opened::Multiplex(multiplex) => {
                let turn = multiplex
                    .turn()
                    .ok_or_else(|| self.origin.failed("it closed at once"))?;
                lock(&self.shared).push(multiplex);
                Ok(Connection::Turn(turn))
            }
        }
    }

    /// A kept connection that can be used at once.
    async fn kept(&self) -> Option<Connection> {
        if let Some(turn) = self.turn() {
            return Some(Connection::Turn(turn));
        }
        loop {
            let mut idle = lock(&self.idle).pop()?;
            let age = idle.since.elapsed();
            if age > IDLE_LIMIT {
                // All those below it are older still.
                lock(&self.idle).clear();
                return None;
            }
            if age > FRESH {
                tokio::task::yield_now().await;
            }
            if idle.connection.wire.is_reusable() {
                return Some(Connection::Exclusive(idle.connection));
            }
        }
    }

    /// A stream of a shared connection, the oldest first, so that those a burst left behind grow old and go.
    fn turn(&self) -> Option<Turn> {
        let mut shared = lock(&self.shared);
        if shared.is_empty() {
            return None;
        }
        // Streams that are open on a dropped entry run on to their end.
        shared.retain(|multiplex| !multiplex.is_over());
        shared.iter().find_map(Multiplex::turn)
    }
}

impl Origin {
    async fn open(&self) -> Result<Opened, ConnectError> {
        let stream = self.dialer.connect_for(&self.endpoint, Offer::Http2).await?;
        if stream.speaks_http2() {
            log::debug(format_args!("connected to {} (HTTP/2)", self.endpoint.place()));
            let multiplex = Multiplex::open(stream, &self.room).await;
            return multiplex
                .map(Opened::Multiplex)
                .map_err(|cause| self.failed(&cause));
        }
        log::debug(format_args!("connected to {}", self.endpoint.place()));
        Ok(Opened::Exclusive(Exclusive {
            wire: Wire::new(stream),
            _count: Count::new(&self.owned),
        }))
    }

    fn failed(&self, cause: &str) -> ConnectError {
        ConnectError::Unreachable {
            place: self.endpoint.place().to_owned(),
            cause: cause.to_owned(),
        }
    }
}

impl Count {
    fn new(owned: &Arc<Owned>) -> Count {
        owned.count.fetch_add(1, Ordering::Relaxed);
        Count(Arc::clone(owned))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

/// Locks a table. A panic elsewhere cannot have left it half changed: every critical section is one call.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
