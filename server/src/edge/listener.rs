//! Sockets to requests: accepts, speaks TLS where asked to, arms every time limit, and stops without losing a call.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    time::{Instant, interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, info, warn};

use super::{
    desk::Common,
    exchange::{Front, Peer},
    settings::EdgeSettings,
    socket::{Patience, Socket, Traffic},
    tls::{Tls, TlsError, TlsFiles},
};
use crate::pipeline::House;

/// How long connections have to hand over their last bytes once every call has ended.
const LAST_BYTES: Duration = Duration::from_secs(2);
/// Pause after a failed accept, usually for want of file descriptors: trying at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often quiet addresses are forgotten.
const TIDY: Duration = Duration::from_secs(60);
/// A pipe that dies without a word is noticed by pings, on HTTP/2, where an open stream may be quiet for an hour.
const PING: Duration = Duration::from_secs(30);
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Why the HTTP side cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// TLS was asked for and cannot be spoken.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The listener is of no use.
    #[error("the listening socket: {0}")]
    Listener(#[from] io::Error),
}

/// Connections that the system may hold for us until they are accepted. The usual 128 overflows when a few hundred
/// clients come back at once after a restart, and the system then drops some of them without a word.
const BACKLOG: u32 = 4096;

/// Binds a listening socket with room for a crowd.
///
/// # Errors
/// When the address is taken, or not ours.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart finds its port although connections of the process before are still winding down.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The HTTP side of a house.
pub struct Server {
    house: Arc<House>,
    settings: Arc<EdgeSettings>,
    tls: Option<Arc<Tls>>,
}

impl Server {
    /// Serves `house` under `settings`, as plain HTTP.
    pub fn new(house: Arc<House>, settings: EdgeSettings) -> Self {
        Self {
            house,
            settings: Arc::new(settings),
            tls: None,
        }
    }

    /// Speaks TLS with this certificate and key. They are read again at SIGHUP.
    ///
    /// # Errors
    /// When they cannot be read or do not go together.
    pub fn with_tls(mut self, files: TlsFiles) -> Result<Self, EdgeError> {
        self.tls = Some(Arc::new(Tls::load(files)?));
        Ok(self)
    }

    /// Accepts connections until `shutdown` fires, then drains: new work is refused with 503, calls under way end
    /// and are answered, streams end with a result. Returns when all is done or the time for it is over.
    ///
    /// # Errors
    /// When the listener cannot be used at all.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), EdgeError> {
        let bound = listener.local_addr()?;
        let common = Arc::new(Common::new(self.house, Arc::clone(&self.settings)));
        let front = Arc::new(Front::new(Arc::clone(&common), bound, self.tls.is_some()));
        let hangup = self
            .tls
            .clone()
            .map(|tls| AbortOnDrop(tokio::spawn(reload_at_hangup(tls))));
        let accepting = Accepting {
            places: Arc::new(Semaphore::new(self.settings.connections)),
            connections: TaskTracker::new(),
            given_up: CancellationToken::new(),
            tls: self.tls,
            front: Arc::clone(&front),
        };
        let mut tidy = interval(TIDY);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepting.take(accepted).await,
                _ = tidy.tick() => front.tidy(),
            }
        }
        drop(hangup);
        info!("draining");
        let deadline = Instant::now() + Duration::from_millis(self.settings.drain_ms);
        common.draining.cancel();
        front.work.close();
        // Whoever connects now is still told so, rather than left with a refused connection.
        loop {
            tokio::select! {
                () = front.work.wait() => break,
                () = tokio::time::sleep_until(deadline) => {
                    warn!(calls = front.work.len(), "calls still under way are given up");
                    break;
                }
                accepted = listener.accept() => accepting.take(accepted).await,
            }
        }
        drop(listener);
        accepting.connections.close();
        if timeout(LAST_BYTES, accepting.connections.wait()).await.is_err() {
            accepting.given_up.cancel();
            accepting.connections.wait().await;
        }
        info!("drained");
        Ok(())
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What every new connection gets a share of.
struct Accepting {
    front: Arc<Front>,
    tls: Option<Arc<Tls>>,
    places: Arc<Semaphore>,
    connections: TaskTracker,
    /// Fires when connections have to end as they are.
    given_up: CancellationToken,
}

impl Accepting {
    async fn take(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(error = %error, "accept failed");
                return sleep(ACCEPT_PAUSE).await;
            }
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            warn!(address = %address.ip(), "refused a connection: all are taken");
            if self.tls.is_none() {
                // As much as fits into the socket at once; a full house waits for nobody.
                let _ = stream.try_write(FULL);
            }
            return;
        };
        let traffic = Arc::<Traffic>::default();
        let peer = Peer {
            address: address.ip().to_canonical(),
            traffic,
        };
        let front = Arc::clone(&self.front);
        let (tls, given_up) = (self.tls.clone(), self.given_up.clone());
        self.connections.spawn(async move {
            let _place = place;
            let _open = Open::new(&front);
            // Calls are short and answered in one write; waiting for more to send would only delay them.
            let _ = stream.set_nodelay(true);
            tokio::select! {
                served = connection(front, peer, stream, tls) => {
                    if let Err(reason) = served {
                        debug!(address = %address.ip(), "connection ended: {reason}");
                    }
                }
                () = given_up.cancelled() => {}
            }
        });
    }
}

/// A connection counted among the open ones.
struct Open(Arc<Front>);

impl Open {
    fn new(front: &Arc<Front>) -> Self {
        front.common.metrics.connections.inc();
        Self(Arc::clone(front))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.common.metrics.connections.dec();
    }
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn connection(front: Arc<Front>, peer: Peer, stream: TcpStream, tls: Option<Arc<Tls>>) -> Ended {
    let settings = &front.common.settings;
    let patience = Patience {
        head: settings.head_timeout(),
        idle: settings.idle_timeout(),
        write: settings.write_timeout(),
    };
    let traffic = Arc::clone(&peer.traffic);
    match tls {
        None => {
            let mut socket = Socket::new(stream, traffic, patience);
            let http2 = socket.detect_http2().await?;
            serve(front, peer, socket, http2).await
        }
        Some(tls) => {
            let stream = timeout(patience.head, tls.acceptor().accept(stream)).await??;
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let mut socket = Socket::new(stream, traffic, patience);
            socket.speaks_http2(http2);
            // Boxed: TLS makes a connection larger, and plain ones should not pay for it.
            Box::pin(serve(front, peer, socket, http2)).await
        }
    }
}

async fn serve<S>(front: Arc<Front>, peer: Peer, socket: Socket<S>, http2: bool) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let settings = Arc::clone(&front.common.settings);
    let draining = front.common.draining.clone();
    let traffic = Arc::clone(&peer.traffic);
    // Boxed for each request: an idle connection then holds no room for one.
    let service = service_fn(move |request| Box::pin(Arc::clone(&front).answer(peer.clone(), request)));
    let io = TokioIo::new(socket);
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(settings.http2_streams)
            .max_pending_accept_reset_streams(settings.http2_resets)
            .max_local_error_reset_streams(settings.http2_resets)
            .max_header_list_size(u32::try_from(settings.head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        tokio::select! {
            biased;
            ended = &mut connection => return Ok(ended?),
            () = draining.cancelled() => {}
        }
        if !traffic.is_fresh() {
            connection.as_mut().graceful_shutdown();
        }
        Ok(connection.await?)
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            // The socket itself keeps this time: hyper would count an idle connection as a slow head.
            .header_read_timeout(None)
            .max_header_size(settings.head_bytes)
            // Twice the head, since the reader stops one buffer short of a head that is just too large.
            .max_buf_size(settings.head_bytes.saturating_mul(2).max(16 * 1024))
            .max_headers(settings.headers);
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        tokio::select! {
            // First, so that a request which is there already is seen before its connection is taken for idle.
            biased;
            ended = &mut connection => return Ok(ended?),
            () = draining.cancelled() => {}
        }
        // A new connection still gets its one answer, which then closes it.
        if !traffic.is_fresh() {
            connection.as_mut().graceful_shutdown();
        }
        Ok(connection.await?)
    }
}

#[cfg(unix)]
async fn reload_at_hangup(tls: Arc<Tls>) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(reason) => {
            return error!(error = %reason, "SIGHUP cannot be heard; a new certificate needs a restart");
        }
    };
    while hangups.recv().await.is_some() {
        match tls.reload() {
            Ok(()) => info!("certificate read again"),
            Err(reason) => error!(error = %reason, "certificate not read again; the old one stays"),
        }
    }
}

#[cfg(not(unix))]
async fn reload_at_hangup(_tls: Arc<Tls>) {}
