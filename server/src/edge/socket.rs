//! A connection's bytes with their time limits, and whether HTTP/1.1 or HTTP/2 is spoken on it.
//!
//! hyper's own head timer starts as soon as a connection falls idle, so it cannot tell a client that keeps its
//! connection for the next call from one that drips a head byte by byte. This wrapper can: it knows whether a
//! request is under way, and whether a byte has come since the last one ended.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// What the socket and the requests on it tell each other.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    running: AtomicU32,
    ended: AtomicU32,
}

/// One request under way; ended when its answer has been handed over or dropped.
#[derive(Debug)]
pub(super) struct Running(Arc<Traffic>);

impl Traffic {
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::AcqRel);
        Running(Arc::clone(self))
    }

    /// Whether no request has come yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.running.load(Ordering::Acquire) == 0 && self.ended.load(Ordering::Acquire) == 0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::AcqRel);
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The times a socket keeps to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) head: Duration,
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

/// Where the reading side stands while no request is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A new connection: its first request is awaited.
    First,
    /// Between requests.
    Idle,
    /// The head of a later request has begun.
    Head,
    /// The peer was too slow and was told so. What it still sends is read and thrown away: closing on unread bytes
    /// would reset the connection, and the answer with it.
    Leaving,
}

/// How long a peer that was told to go may take to notice.
const LEAVE: Duration = Duration::from_secs(1);

/// HTTP/2 opens with this line; no HTTP/1 method begins with its first three bytes.
const HTTP2_OPENING: [u8; 3] = *b"PRI";
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A stream whose reads and writes give up in time.
pub(super) struct Socket<S> {
    inner: S,
    traffic: Arc<Traffic>,
    patience: Patience,
    http2: bool,
    /// Bytes read while finding out the version, not yet handed on.
    opening: [u8; HTTP2_OPENING.len()],
    opening_at: usize,
    opening_len: usize,
    phase: Phase,
    heard: bool,
    ended_seen: u32,
    deadline: Pin<Box<Sleep>>,
    write_deadline: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) fn new(inner: S, traffic: Arc<Traffic>, patience: Patience) -> Self {
        Self {
            inner,
            traffic,
            patience,
            http2: false,
            opening: [0; HTTP2_OPENING.len()],
            opening_at: 0,
            opening_len: 0,
            phase: Phase::First,
            heard: false,
            ended_seen: 0,
            deadline: Box::pin(sleep_until(Instant::now() + patience.head)),
            write_deadline: None,
        }
    }

    /// Takes it as settled, by ALPN, which version is spoken.
    pub(super) fn speaks_http2(&mut self, http2: bool) {
        self.http2 = http2;
    }

    /// Reads just enough to tell HTTP/2 from HTTP/1. Waits no longer than for a head.
    pub(super) async fn detect_http2(&mut self) -> io::Result<bool> {
        while let Some(rest) = self
            .opening
            .get_mut(self.opening_len..)
            .filter(|rest| !rest.is_empty())
        {
            let read = tokio::select! {
                read = self.inner.read(rest) => read?,
                () = &mut self.deadline => return Err(io::ErrorKind::TimedOut.into()),
            };
            self.opening_len += read;
            self.heard |= read > 0;
            let so_far = self.opening.get(..self.opening_len).unwrap_or_default();
            if read == 0 || !HTTP2_OPENING.starts_with(so_far) {
                return Ok(false);
            }
        }
        self.http2 = true;
        Ok(true)
    }

    /// Called while nothing is to be read: is the peer's time over?
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.deadline.as_mut().poll(cx));
        let amid_head = self.phase == Phase::Head || (self.phase == Phase::First && self.heard);
        if !amid_head || self.http2 {
            return Poll::Ready(io::ErrorKind::TimedOut.into());
        }
        // Whether the peer takes this does not matter.
        let _ = Pin::new(&mut self.inner).poll_write(cx, TOO_SLOW);
        let _ = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.start(Phase::Leaving, LEAVE);
        self.poll_leave(cx)
    }

    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut scratch = [0; 1024];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                // A flood must not keep this going past its time either.
                Poll::Ready(Ok(()))
                    if !buf.filled().is_empty() && self.deadline.as_mut().poll(cx).is_pending() => {}
                Poll::Ready(_) => return Poll::Ready(io::ErrorKind::TimedOut.into()),
                Poll::Pending => {
                    return self
                        .deadline
                        .as_mut()
                        .poll(cx)
                        .map(|()| io::ErrorKind::TimedOut.into());
                }
            }
        }
    }

    fn start(&mut self, phase: Phase, limit: Duration) {
        self.phase = phase;
        self.deadline.as_mut().reset(Instant::now() + limit);
    }

    /// Passes a write's result on, unless it has been pending for too long.
    fn bound_write<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.write_deadline = None;
            return result;
        }
        let limit = self.patience.write;
        let deadline = self
            .write_deadline
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        deadline
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(waiting) = this
            .opening
            .get(this.opening_at..this.opening_len)
            .filter(|w| !w.is_empty())
        {
            let take = waiting.len().min(buf.remaining());
            buf.put_slice(waiting.get(..take).unwrap_or_default());
            this.opening_at += take;
            // What came with them is taken along: a reader that gets three bytes at first doubles its buffer for the rest.
            // An error or the end is met again by the next read.
            if buf.remaining() > 0 {
                let _ = Pin::new(&mut this.inner).poll_read(cx, buf);
            }
            return Poll::Ready(Ok(()));
        }
        if this.phase == Phase::Leaving {
            return this.poll_leave(cx).map(Err);
        }
        let ended = this.traffic.ended.load(Ordering::Acquire);
        if ended != this.ended_seen {
            this.ended_seen = ended;
            this.start(Phase::Idle, this.patience.idle);
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Ready(result) => {
                this.heard |= buf.filled().len() > before;
                if this.phase == Phase::Idle
                    && !this.http2
                    && this.traffic.running.load(Ordering::Acquire) == 0
                {
                    this.start(Phase::Head, this.patience.head);
                }
                Poll::Ready(result)
            }
            // While a request is under way its own limits hold: for the body, for the call.
            Poll::Pending if this.traffic.running.load(Ordering::Acquire) > 0 => Poll::Pending,
            Poll::Pending => this.poll_patience(cx).map(Err),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.bound_write(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.bound_write(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_flush(cx);
        this.bound_write(cx, result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.bound_write(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        write: Duration::from_secs(60),
    };

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_after_the_head_timeout_without_an_answer() {
        let (ours, mut theirs) = duplex(1024);
        let mut socket = Socket::new(ours, Arc::default(), PATIENCE);
        let begun = Instant::now();
        assert_eq!(
            socket.detect_http2().await.unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        assert_eq!(begun.elapsed().as_secs(), 10);
        drop(socket);
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        assert!(heard.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_ends_is_answered_408() {
        let (ours, mut theirs) = duplex(1024);
        let mut socket = Socket::new(ours, Arc::default(), PATIENCE);
        theirs.write_all(b"POST /mcp").await.unwrap();
        assert!(!socket.detect_http2().await.unwrap());
        let mut head = Vec::new();
        let error = socket.read_to_end(&mut head).await.unwrap_err();
        assert_eq!(
            (head.as_slice(), error.kind()),
            (&b"POST /mcp"[..], io::ErrorKind::TimedOut)
        );
        drop(socket);
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        assert!(heard.starts_with(b"HTTP/1.1 408 "));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_has_time_and_an_idle_connection_a_minute() {
        let (ours, mut theirs) = duplex(1024);
        let traffic = Arc::<Traffic>::default();
        let mut socket = Socket::new(ours, Arc::clone(&traffic), PATIENCE);
        theirs.write_all(b"GET").await.unwrap();
        assert!(!socket.detect_http2().await.unwrap());
        let mut buf = [0; 16];
        assert_eq!(socket.read(&mut buf).await.unwrap(), 3);
        let running = traffic.begin();
        let waiting = tokio::time::timeout(Duration::from_secs(500), socket.read(&mut buf)).await;
        assert!(
            waiting.is_err(),
            "nothing ends a connection whose request is under way"
        );
        drop(running);
        let begun = Instant::now();
        assert_eq!(
            socket.read(&mut buf).await.unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        assert_eq!(begun.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_has_ten_seconds_from_its_first_byte() {
        let (ours, mut theirs) = duplex(1024);
        let traffic = Arc::<Traffic>::default();
        let mut socket = Socket::new(ours, Arc::clone(&traffic), PATIENCE);
        drop(traffic.begin());
        let mut buf = [0; 16];
        let (read, ()) = tokio::join!(socket.read(&mut buf), async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            theirs.write_all(b"P").await.unwrap();
        });
        assert_eq!(read.unwrap(), 1);
        let begun = Instant::now();
        let (ended, mut told) = (socket.read(&mut buf), [0; 512]);
        let (ended, at) = tokio::join!(ended, async {
            assert!(theirs.read(&mut told).await.unwrap() > 0);
            begun.elapsed().as_secs()
        });
        assert_eq!((at, ended.unwrap_err().kind()), (10, io::ErrorKind::TimedOut));
        assert_eq!(
            begun.elapsed().as_secs(),
            11,
            "a second to notice, and not a byte of what comes is waited for"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_given_up() {
        let (ours, _theirs) = duplex(4);
        let mut socket = Socket::new(ours, Arc::default(), PATIENCE);
        let begun = Instant::now();
        let error = socket.write_all(b"more than four bytes").await.unwrap_err();
        assert_eq!(
            (error.kind(), begun.elapsed().as_secs()),
            (io::ErrorKind::TimedOut, 60)
        );
    }

    #[tokio::test]
    async fn versions_are_told_apart_and_no_byte_is_lost() {
        for (opening, http2) in [
            ("PRI * HTTP/2.0\r\n", true),
            ("POST / HTTP/1.1\r\n", false),
            ("PR", false),
        ] {
            let (ours, mut theirs) = duplex(64);
            theirs.write_all(opening.as_bytes()).await.unwrap();
            drop(theirs);
            let mut socket = Socket::new(ours, Arc::default(), PATIENCE);
            assert_eq!(socket.detect_http2().await.unwrap(), http2, "{opening}");
            let mut all = String::new();
            socket.read_to_string(&mut all).await.unwrap();
            assert_eq!(all, opening);
        }
    }
}
