//! One connection: TLS where it is asked for, HTTP/1.1 or HTTP/2, with every limit armed, until its peer is done or
//! the server is.

use std::{error::Error, sync::Arc, time::Duration};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::{
    front::{Front, Peer},
    settings::EdgeSettings,
    socket::{Patience, Socket},
    tls::Tls,
};

/// A pipe that dies without a word is noticed by pings, on HTTP/2, where an open stream may be quiet for an hour.
const PING: Duration = Duration::from_secs(30);

/// How a connection came to its end.
pub(super) type Ended = Result<(), Box<dyn Error + Send + Sync>>;

/// Both versions of HTTP with their limits, made once.
pub(super) struct Spoken {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Spoken {
    pub(super) fn new(settings: &EdgeSettings) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // The socket itself keeps this time: hyper would count an idle connection as a slow head.
            .header_read_timeout(None)
            .max_header_size(settings.head_bytes)
            // Twice the head, since the reader stops one buffer short of a head that is just too large.
            .max_buf_size(settings.head_bytes.saturating_mul(2).max(16 * 1024))
            .max_headers(settings.headers);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(settings.http2_streams)
            .max_pending_accept_reset_streams(settings.http2_resets)
            .max_local_error_reset_streams(settings.http2_resets)
            .max_header_list_size(u32::try_from(settings.head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        Self { http1, http2 }
    }
}

/// Serves one accepted connection to its end.
pub(super) async fn connection(
    front: Arc<Front>,
    spoken: Arc<Spoken>,
    peer: Peer,
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
) -> Ended {
    let settings = &front.common.settings;
    let patience = Patience {
        head: settings.head_timeout(),
        idle: settings.idle_timeout(),
        write: settings.write_timeout(),
    };
    let traffic = Arc::clone(&peer.traffic);
    // Each way is boxed: what another one needs, and what is needed before a way is chosen, should not weigh on a
    // connection for as long as it lives. In one future an idle one takes 1.2 KB more.
    match tls {
        None => {
            let mut socket = Socket::new(stream, traffic, patience);
            match socket.detect_http2().await? {
                false => Box::pin(serve_http1(front, &spoken, peer, socket)).await,
                true => Box::pin(serve_http2(front, &spoken, peer, socket)).await,
            }
        }
        Some(tls) => {
            Box::pin(async move {
                let stream = timeout(patience.head, tls.acceptor().accept(stream)).await??;
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let mut socket = Socket::new(stream, traffic, patience);
                socket.speaks_http2(http2);
                match http2 {
                    false => serve_http1(front, &spoken, peer, socket).await,
                    true => serve_http2(front, &spoken, peer, socket).await,
                }
            })
            .await
        }
    }
}

async fn serve_http1<S>(front: Arc<Front>, spoken: &Spoken, peer: Peer, socket: Socket<S>) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let draining = front.common.draining.clone();
    let traffic = Arc::clone(&peer.traffic);
    // Boxed for each request: an idle connection then holds no room for one.
    let service = service_fn(move |request| Box::pin(Arc::clone(&front).answer(peer.clone(), request)));
    let mut connection = std::pin::pin!(spoken.http1.serve_connection(TokioIo::new(socket), service));
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

async fn serve_http2<S>(front: Arc<Front>, spoken: &Spoken, peer: Peer, socket: Socket<S>) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let told = [front.common.leaving.clone(), front.common.draining.clone()];
    let traffic = Arc::clone(&peer.traffic);
    let service = service_fn(move |request| Box::pin(Arc::clone(&front).answer(peer.clone(), request)));
    let mut connection = std::pin::pin!(spoken.http2.serve_connection(TokioIo::new(socket), service));
    for told in told {
        tokio::select! {
            biased;
            ended = &mut connection => return Ok(ended?),
            () = told.cancelled() => {}
        }
        if !traffic.is_fresh() {
            // GOAWAY: streams under way end, the next ones go to another connection, and from there to another server.
            connection.as_mut().graceful_shutdown();
            break;
        }
    }
    Ok(connection.await?)
}
