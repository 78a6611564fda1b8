//! An address → a connected stream, or the cause in words.
//!
//! On the way: the proxy if one is set, the addresses behind the name, a connection to one of them, TLS. [`race`] tries the
//! addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::endpoint::Endpoint;
use super::proxy::{Proxies, Proxy};
use super::race;
use super::stream::{Link, Stream};
use super::tls::{Identity, Offer, Tls};
use crate::diagnosis::Diagnosis;
use crate::seconds::Seconds;

/// Silence on a connection before the system asks the other end for a sign of life, and between further attempts. They also
/// keep routers from forgetting the connection.
const PROBE_AFTER: Duration = Duration::from_secs(45);
const PROBE_EVERY: Duration = Duration::from_secs(15);

/// Why there is no connection. Reads as the first half of a sentence: who failed, at what.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The name could not be looked up.
    #[error(
        "The address of `{host}` could not be found ({cause}). Check the spelling of the server address and the network connection"
    )]
    Lookup { host: String, cause: String },
    /// Nobody listens there.
    #[error("`{place}` refused the connection. Check that the server is running and the port is right")]
    Refused { place: String },
    /// Something else on the way.
    #[error("`{place}` could not be reached ({cause}). Check the network connection")]
    Unreachable { place: String, cause: String },
    /// The socket of a local server is not there, or not for us.
    #[error(
        "The socket `{path}` cannot be used ({cause}). Check that the server is running and the path is right"
    )]
    Socket { path: String, cause: String },
    /// This process, or the whole system, may open no more files.
    #[error(
        "`{place}` was not connected to, as this process may open no more files. Raise its limit (`ulimit -n`)"
    )]
    NoFiles { place: String },
    /// The limit passed.
    #[error(
        "`{place}` did not accept a connection within {seconds} s. Check the network connection and any firewall"
    )]
    Slow { place: String, seconds: Seconds },
    /// A proxy is set and stands in the way. `proxy` names it with the setting it comes from and without its credentials.
    #[error("The proxy {proxy} {cause}")]
    Proxy { proxy: String, cause: String },
    /// The TLS handshake failed.
    #[error("No secure connection to `{place}`: {cause}")]
    Tls { place: String, cause: String },
    /// The server showed a certificate that is not accepted.
    #[error("{0}")]
    Certificate(String),
    /// The server showed a certificate that nobody known has signed.
    #[error("{0}")]
    Untrusted(String),
    /// Files that TLS needs could not be read: certificates to trust, or our own.
    #[error("{0}")]
    Files(String),
}

impl ConnectError {
    /// The check that failed.
    pub(crate) fn diagnosis(&self) -> Diagnosis {
        match self {
            ConnectError::Lookup { .. } => Diagnosis::NameNotFound,
            ConnectError::Refused { .. }
            | ConnectError::Unreachable { .. }
            | ConnectError::Socket { .. }
            | ConnectError::NoFiles { .. }
            | ConnectError::Slow { .. } => Diagnosis::NoConnection,
            ConnectError::Proxy { .. } => Diagnosis::Proxy,
            ConnectError::Tls { .. } | ConnectError::Certificate(_) => Diagnosis::TlsCertificate,
            ConnectError::Untrusted(_) | ConnectError::Files(_) => Diagnosis::TlsUntrusted,
        }
    }
}

/// The way to the server, as it was set.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// More certificates to trust, PEM.
    pub(crate) ca_file: Option<PathBuf>,
    /// The certificate we show.
    pub(crate) identity: Option<Identity>,
    /// What the environment says about proxies.
    pub(crate) proxies: Proxies,
}

/// Longest wait for a connection before there has ever been one: the host waits for its `initialize`, the strictest gives a
/// server ten seconds, and a person reads why after five.
const FIRST_LIMIT: Duration = Duration::from_millis(4500);

/// Makes connections: to the server, and to whatever else the person asked to reach (sign-in).
pub(crate) struct Dialer {
    tls: Tls,
    proxies: Proxies,
    limit: Duration,
    /// Some connection has been made.
    reached: AtomicBool,
}

impl Dialer {
    /// Nothing is opened or read yet. `server` is the one to whom we show who we are. Each connection may take at most
    /// `limit`, proxy and TLS included.
    pub(crate) fn new(way: Way, server: &Endpoint, limit: Duration) -> Dialer {
        Dialer {
            tls: Tls::new(way.ca_file, way.identity, server.host.clone()),
            proxies: way.proxies,
            limit,
            reached: AtomicBool::new(false),
        }
    }

    /// Connects to `endpoint`, to speak HTTP/1.1 with it.
    #[cfg(any(feature = "sign-in", feature = "setup"))]
    pub(crate) async fn connect(&self, endpoint: &Endpoint) -> Result<Stream, ConnectError> {
        self.connect_for(endpoint, Offer::Http1).await
    }

    /// Connects to `endpoint`. What is to be spoken is told by the stream.
    pub(super) async fn connect_for(
        &self,
        endpoint: &Endpoint,
        offer: Offer,
    ) -> Result<Stream, ConnectError> {
        let proxy = self.proxies.find(endpoint)?;
        let limit = if self.reached.load(Ordering::Relaxed) {
            self.limit
        } else {
            self.limit.min(FIRST_LIMIT)
        };
        match tokio::time::timeout(limit, self.reach(endpoint, proxy.as_ref(), offer)).await {
            Ok(outcome) => {
                self.reached.fetch_or(outcome.is_ok(), Ordering::Relaxed);
                outcome
            }
            Err(_) => {
                let seconds = Seconds(limit);
                Err(match proxy {
                    Some(proxy) => proxy.failed(format!(
                        "made no connection to `{}` within {seconds} s",
                        endpoint.place()
                    )),
                    None => ConnectError::Slow {
                        place: endpoint.place().to_owned(),
                        seconds,
                    },
                })
            }
        }
    }

    async fn reach(
        &self,
        endpoint: &Endpoint,
        proxy: Option<&Proxy>,
        offer: Offer,
    ) -> Result<Stream, ConnectError> {
        let link = match proxy {
            // Boxed, as are all things here that few connections need.
            Some(proxy) => Box::pin(self.tunnel(endpoint, proxy)).await?,
            None => open(endpoint).await?,
        };
        if !endpoint.tls {
            return Ok(Stream::new(link));
        }
        let tls = self.tls.handshake(endpoint, link, offer).await?;
        Ok(Stream::new(Link::Tls(Box::new(tls))))
    }

    /// A connection to `endpoint` that leads through `proxy`.
    async fn tunnel(&self, endpoint: &Endpoint, proxy: &Proxy) -> Result<Link, ConnectError> {
        let at = proxy.endpoint();
        let reached = async {
            let link = open(at).await?;
            if !at.tls {
                return Ok(link);
            }
            let tls = self.tls.handshake(at, link, Offer::Http1).await?;
            Ok(Link::Tls(Box::new(tls)))
        };
        let mut link = reached.await.map_err(|error: ConnectError| match error {
            ConnectError::NoFiles { .. } => error,
            other => proxy.failed(format!("cannot be used. {other}")),
        })?;
        proxy.ask_for(endpoint, &mut link).await?;
        Ok(link)
    }
}

/// A connection to where `endpoint` listens, before any TLS.
async fn open(endpoint: &Endpoint) -> Result<Link, ConnectError> {
    #[cfg(unix)]
    if let Some(path) = &endpoint.socket {
        return race::unix(path)
            .await
            .map(Link::Unix)
            .map_err(|error| match no_files(&error) {
                true => ConnectError::NoFiles {
                    place: endpoint.place().to_owned(),
                },
                false => ConnectError::Socket {
                    path: endpoint.place().to_owned(),
                    cause: error.to_string(),
                },
            });
    }
    let addresses = look_up(endpoint).await?;
    let tcp = race::tcp(addresses).await.map_err(|error| {
        let place = endpoint.place().to_owned();
        if error.kind() == io::ErrorKind::ConnectionRefused {
            ConnectError::Refused { place }
        } else if no_files(&error) {
            ConnectError::NoFiles { place }
        } else {
            ConnectError::Unreachable {
                place,
                cause: error.to_string(),
            }
        }
    })?;
    // Small requests must not wait for the acknowledgement of the one before.
    let _ = tcp.set_nodelay(true);
    if !endpoint.is_loopback() {
        // A stream of events may rightly be silent for hours. Only this tells one whose other end is gone, say because the
        // machine slept or a router forgot it.
        let probes = TcpKeepalive::new()
            .with_time(PROBE_AFTER)
            .with_interval(PROBE_EVERY);
        let _ = SockRef::from(&tcp).set_tcp_keepalive(&probes);
    }
    Ok(Link::Tcp(tcp))
}

/// Says whether `error` means that no more files may be opened.
fn no_files(error: &io::Error) -> bool {
    // EMFILE and ENFILE have these numbers on every Unix; the standard library has no kind for them.
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

/// The addresses of the host. Literals and `localhost` need no resolver, which would cost a thread and its memory.
async fn look_up(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, ConnectError> {
    let port = endpoint.port;
    if endpoint.host == "localhost" {
        return Ok(vec![
            (Ipv4Addr::LOCALHOST, port).into(),
            (Ipv6Addr::LOCALHOST, port).into(),
        ]);
    }
    if let Ok(address) = endpoint.host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let failed = |cause: String| ConnectError::Lookup {
        host: endpoint.host.clone(),
        cause,
    };
    let found: Vec<SocketAddr> = tokio::net::lookup_host((endpoint.host.as_str(), port))
        .await
        .map_err(|error| failed(error.to_string()))?
        .collect();
    if found.is_empty() {
        Err(failed("it has none".to_owned()))
    } else {
        Ok(found)
    }
}
