//! Connections, kept open between requests.
//!
//! One exchange has one connection to itself (HTTP/1.1), and gives it back when the reply has been read to its end. What
//! this file knows better than an off-the-shelf pool: whether any byte of a request had left when its connection failed,
//! which decides if it may be sent again (B-41, security.md B5).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::connect::{ConnectError, Dialer, Written};
use super::endpoint::Endpoint;
use crate::log;

/// A connection idle for longer is not used again: servers and middleboxes close theirs at 60 s and up, and a request
/// must not race with that.
const IDLE_LIMIT: Duration = Duration::from_secs(50);
/// A connection idle for longer than this is looked at before it is used: its end may have arrived and not been read.
const FRESH: Duration = Duration::from_millis(100);
/// How long a kept connection may take to be done with its last exchange. One that needs longer (a server that answered
/// without reading the request) is given up.
const SETTLE: Duration = Duration::from_millis(50);

/// Connections being opened at once. Servers queue about a hundred they have not accepted yet; what comes beyond that is
/// dropped on the way and tried again a second later at the earliest.
const OPENING: usize = 32;

/// The connections to one origin.
pub(crate) struct Pool {
    origin: Arc<Origin>,
    idle: Mutex<Vec<Idle>>,
    warming: Mutex<Option<JoinHandle<Result<Connection, ConnectError>>>>,
    opening: Semaphore,
}

struct Origin {
    endpoint: Endpoint,
    dialer: Arc<Dialer>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// One open connection, in the hands of one exchange.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    written: Written,
}

/// Why a request got no response.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection: nothing was sent.
    Connect(ConnectError),
    /// The connection failed before a byte of the request was written.
    Unsent(hyper::Error),
    /// The connection failed after that.
    Lost(hyper::Error),
}

impl Pool {
    /// A pool without connections.
    pub(crate) fn new(endpoint: Endpoint, dialer: Arc<Dialer>) -> Pool {
        Pool {
            origin: Arc::new(Origin { endpoint, dialer }),
            idle: Mutex::new(Vec::new()),
            warming: Mutex::new(None),
            opening: Semaphore::new(OPENING),
        }
    }

    /// Begins a connection that the first request will find ready, or on its way.
    pub(crate) fn warm_up(&self) {
        let origin = Arc::clone(&self.origin);
        *lock(&self.warming) = Some(tokio::spawn(async move { origin.open().await }));
    }

    /// Sends what `request` makes, on a kept connection or a new one. As long as no byte has been written, a failed
    /// connection is replaced; the connection that carried the response comes with it.
    pub(crate) async fn send(
        &self,
        request: impl Fn() -> Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Connection), SendError> {
        loop {
            let (mut connection, kept) = self.check_out().await.map_err(SendError::Connect)?;
            let before = connection.written.count();
            match connection.sender.try_send_request(request()).await {
                Ok(response) => return Ok((response, connection)),
                Err(mut failure) => {
                    let unsent = failure.take_message().is_some() || connection.written.count() == before;
                    let error = failure.into_error();
                    if !unsent {
                        return Err(SendError::Lost(error));
                    }
                    if !kept {
                        return Err(SendError::Unsent(error));
                    }
                    log::debug(format_args!("a kept connection had been closed, taking another"));
                }
            }
        }
    }

    /// Takes a connection back. Its last response must have been read to the end.
    pub(crate) fn give_back(&self, connection: Connection) {
        if !connection.sender.is_closed() {
            lock(&self.idle).push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// A connection and whether it had been used before. The most recently used one comes first, so that those a burst
    /// left behind grow old and go.
    async fn check_out(&self) -> Result<(Connection, bool), ConnectError> {
        if let Some(connection) = self.kept().await {
            return Ok((connection, true));
        }
        let warming = lock(&self.warming).take();
        if let Some(warming) = warming {
            // A failure of long ago, before the server was up, says nothing: then the attempt that counts is made now.
            let stale = warming.is_finished();
            match warming.await {
                Ok(Ok(connection)) => return Ok((connection, true)),
                Ok(Err(error)) if !stale => return Err(error),
                _ => {}
            }
        }
        // Invariant: the semaphore is never closed, so this is a wait and nothing else.
        let _turn = self.opening.acquire().await;
        // While others were connecting, a connection may have become free.
        if let Some(connection) = self.kept().await {
            return Ok((connection, true));
        }
        // Boxed, as a TLS handshake is large and every exchange would carry room for one.
        Ok((Box::pin(self.origin.open()).await?, false))
    }

    /// A kept connection that can be used at once.
    async fn kept(&self) -> Option<Connection> {
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
            let sender = &mut idle.connection.sender;
            let ready =
                sender.is_ready() || matches!(tokio::time::timeout(SETTLE, sender.ready()).await, Ok(Ok(())));
            if ready && !sender.is_closed() {
                return Some(idle.connection);
            }
        }
    }
}

impl Origin {
    async fn open(&self) -> Result<Connection, ConnectError> {
        let stream = self.dialer.connect(&self.endpoint).await?;
        let written = stream.written();
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| ConnectError::Unreachable {
                    place: self.endpoint.place().to_owned(),
                    cause: error.to_string(),
                })?;
        log::debug(format_args!("connected to {}", self.endpoint.place()));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                log::debug(format_args!("a connection ended: {error}"));
            }
        });
        Ok(Connection { sender, written })
    }
}

/// Locks a table. A panic elsewhere cannot have left it half changed: every critical section is one call.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
