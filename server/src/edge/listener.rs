//! Listening: accepts connections, as many as there are places for, and stops without losing a call.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    time::{Instant, interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, info, warn};

use super::{
    connection::{Spoken, connection},
    desk::Common,
    front::{Front, Peer},
    settings::EdgeSettings,
    socket::Traffic,
    tls::{Tls, TlsError, TlsFiles},
};
use crate::pipeline::House;

/// How long connections have to hand over their last bytes once every call has ended.
const LAST_BYTES: Duration = Duration::from_secs(2);
/// Pause after a failed accept, usually for want of file descriptors: trying at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often quiet addresses are forgotten.
const TIDY: Duration = Duration::from_secs(60);
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
    router: Option<Router>,
}

impl Server {
    /// Serves `house` under `settings`, as plain HTTP.
    pub fn new(house: Arc<House>, settings: EdgeSettings) -> Self {
        Self {
            house,
            settings: Arc::new(settings),
            tls: None,
            router: None,
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

    /// Hands every path that is no MCP endpoint and no document of the edge's own to this router.
    #[must_use]
    pub fn with_router(mut self, router: Router) -> Self {
        self.router = Some(router);
        self
    }

    /// Accepts connections until `shutdown` fires; then it says that it is not ready, closes connections after their
    /// answer, and after [`EdgeSettings::drain_delay_ms`] drains: new work is refused with 503, calls under way end
    /// and are answered, streams end with a result. Returns when all is done or the time for it is over.
    ///
    /// # Errors
    /// When the listener cannot be used at all.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), EdgeError> {
        let bound = listener.local_addr()?;
        let common = Arc::new(Common::new(self.house, Arc::clone(&self.settings)));
        let front = Arc::new(Front::new(
            Arc::clone(&common),
            bound,
            self.tls.is_some(),
            self.router,
        ));
        let hangup = self
            .tls
            .clone()
            .map(|tls| AbortOnDrop(tokio::spawn(reload_at_hangup(tls))));
        let mut catalogue = common.house.catalogue_changes();
        let accepting = Accepting {
            places: Arc::new(Semaphore::new(self.settings.connections)),
            connections: TaskTracker::new(),
            given_up: CancellationToken::new(),
            spoken: Arc::new(Spoken::new(&self.settings)),
            tls: self.tls,
            front: Arc::clone(&front),
        };
        let mut tidy = interval(TIDY);
        // Unless it is told to stop, the server serves; after that for as long as balancers need to notice.
        let mut leave_at = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled(), if leave_at.is_none() => {
                    info!(delay_ms = self.settings.drain_delay_ms, "leaving: not ready for new calls");
                    common.leaving.cancel();
                    leave_at = Some(Instant::now() + Duration::from_millis(self.settings.drain_delay_ms));
                }
                () = moment(leave_at) => break,
                accepted = listener.accept() => accepting.take(accepted).await,
                _ = tidy.tick() => front.tidy(),
                Ok(()) = catalogue.changed() => front.renew(),
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

/// Waits for a moment, or for ever where there is none.
async fn moment(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
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
    spoken: Arc<Spoken>,
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
        let (spoken, tls, given_up) = (Arc::clone(&self.spoken), self.tls.clone(), self.given_up.clone());
        self.connections.spawn(async move {
            let _place = place;
            let _open = Open::new(&front);
            // Calls are short and answered in one write; waiting for more to send would only delay them.
            let _ = stream.set_nodelay(true);
            tokio::select! {
                served = connection(front, spoken, peer, stream, tls) => {
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
