//! An address → a connected stream, or the cause in words.
//!
//! Addresses are tried a little apart rather than one after the other's time-out, so that a machine with half a network
//! (an IPv6 route that leads nowhere) still connects at once.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::endpoint::Endpoint;
use super::tls::Tls;
use crate::diagnosis::Diagnosis;

/// How long one address is tried alone before the next one joins (RFC 8305 recommends 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);

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
    /// The limit passed.
    #[error(
        "`{place}` did not accept a connection within {seconds} s. Check the network connection and any firewall"
    )]
    Slow { place: String, seconds: f64 },
    /// The TLS handshake failed.
    #[error("No secure connection to `{place}`: {cause}")]
    Tls { place: String, cause: String },
    /// The trusted certificates could not be read.
    #[error("{0}")]
    Roots(String),
}

impl ConnectError {
    /// The check that failed.
    pub(crate) fn diagnosis(&self) -> Diagnosis {
        match self {
            ConnectError::Lookup { .. } => Diagnosis::NameNotFound,
            ConnectError::Refused { .. } | ConnectError::Unreachable { .. } | ConnectError::Slow { .. } => {
                Diagnosis::NoConnection
            }
            ConnectError::Tls { .. } => Diagnosis::TlsCertificate,
            ConnectError::Roots(_) => Diagnosis::TlsUntrusted,
        }
    }
}

/// Makes connections: to the server, and to whatever else the person asked to reach (sign-in).
pub(crate) struct Dialer {
    tls: Tls,
    limit: Duration,
}

impl Dialer {
    /// Nothing is opened or read yet. Each connection may take at most `limit`, TLS included.
    pub(crate) fn new(tls: Tls, limit: Duration) -> Dialer {
        Dialer { tls, limit }
    }

    /// Connects to `endpoint`.
    pub(crate) async fn connect(&self, endpoint: &Endpoint) -> Result<Stream, ConnectError> {
        match tokio::time::timeout(self.limit, self.connect_unbounded(endpoint)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ConnectError::Slow {
                place: endpoint.place().to_owned(),
                seconds: self.limit.as_secs_f64(),
            }),
        }
    }

    async fn connect_unbounded(&self, endpoint: &Endpoint) -> Result<Stream, ConnectError> {
        let addresses = look_up(endpoint).await?;
        let tcp = connect_any(&addresses).await.map_err(|error| {
            let place = endpoint.place().to_owned();
            if error.kind() == io::ErrorKind::ConnectionRefused {
                ConnectError::Refused { place }
            } else {
                ConnectError::Unreachable {
                    place,
                    cause: error.to_string(),
                }
            }
        })?;
        // Small requests must not wait for the acknowledgement of the one before.
        let _ = tcp.set_nodelay(true);
        let inner = if endpoint.tls {
            Inner::Tls(Box::new(self.tls.handshake(endpoint, tcp).await?))
        } else {
            Inner::Plain(tcp)
        };
        Ok(Stream {
            inner,
            written: Written::default(),
        })
    }
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

async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return TcpStream::connect(only).await;
    }
    let mut waiting = addresses.iter().copied();
    let mut attempts = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let next = waiting.next();
        if let Some(address) = next {
            attempts.spawn(TcpStream::connect(address));
        }
        let settled = if next.is_some() {
            match tokio::time::timeout(HEAD_START, attempts.join_next()).await {
                Ok(settled) => settled,
                Err(_) => continue,
            }
        } else {
            attempts.join_next().await
        };
        match settled {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => last = error,
            Some(Err(stopped)) => last = io::Error::other(stopped),
            None => return Err(last),
        }
    }
}

/// Counts the bytes a connection was given to send: the proof that a request never left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written(Arc<AtomicU64>);

impl Written {
    /// Bytes so far.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = outcome {
            self.0.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        outcome
    }
}

/// A connection to the upstream, plain or TLS.
pub(crate) struct Stream {
    inner: Inner,
    written: Written,
}

enum Inner {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    /// The counter of this connection.
    pub(crate) fn written(&self) -> Written {
        self.written.clone()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Inner::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Inner::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        };
        self.written.add(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Inner::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        };
        self.written.add(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Plain(tcp) => tcp.is_write_vectored(),
            Inner::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Inner::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Inner::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
