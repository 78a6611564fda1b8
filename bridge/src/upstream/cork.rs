//! A stream whose small writes leave together.
//!
//! HTTP/2's library writes and flushes the head of a request before it has looked at its body, which makes two records, two
//! system calls and two wake-ups of the server out of every call. Here a flush first lets everybody else who is ready have
//! their turn, the body among them, and then sends what has come together. That costs one more poll and no time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is gathered at most; more is sent without waiting for a flush. The largest record of TLS.
const GATHERED_BYTES: usize = 16 * 1024;

/// The stream.
pub(super) struct Cork<S> {
    stream: S,
    gathered: Vec<u8>,
    /// The others have had their turn since something was gathered.
    is_ripe: bool,
}

impl<S: AsyncWrite + Unpin> Cork<S> {
    /// Nothing is gathered yet.
    pub(super) fn new(stream: S) -> Cork<S> {
        Cork {
            stream,
            gathered: Vec::new(),
            is_ripe: false,
        }
    }

    /// Sends what is gathered.
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gathered.drain(..written);
        }
        self.is_ripe = false;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cork<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cork<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.gathered.len() + bytes.len() > GATHERED_BYTES {
            ready!(self.poll_empty(cx))?;
        }
        if bytes.len() > GATHERED_BYTES {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        self.gathered.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.gathered.is_empty() && !self.is_ripe {
            self.is_ripe = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(self.poll_empty(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Counts the writes that reach it.
    #[derive(Default)]
    struct Sink {
        writes: Vec<usize>,
        bytes: Vec<u8>,
    }

    impl AsyncWrite for Sink {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            // Never all at once, as sockets do.
            let taken = bytes.len().min(10_000);
            self.writes.push(taken);
            self.bytes
                .extend_from_slice(bytes.get(..taken).unwrap_or_default());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(test)
    }

    #[test]
    fn what_is_written_while_a_flush_is_due_leaves_with_it() {
        run(async {
            let mut cork = Cork::new(Sink::default());
            cork.write_all(b"head").await.unwrap();
            let mut flushes = 0;
            std::future::poll_fn(|cx| {
                flushes += 1;
                let flushed = Pin::new(&mut cork).poll_flush(cx);
                if flushed.is_pending() {
                    let wrote = Pin::new(&mut cork).poll_write(cx, b"body");
                    assert!(matches!(wrote, Poll::Ready(Ok(4))));
                }
                flushed
            })
            .await
            .unwrap();
            assert_eq!((flushes, cork.stream.writes), (2, vec![8]));
            assert_eq!(cork.stream.bytes, b"headbody");
        });
    }

    #[test]
    fn large_and_many_writes_keep_their_order_and_are_not_gathered_for_ever() {
        run(async {
            let mut cork = Cork::new(Sink::default());
            let mut all = Vec::new();
            for (index, size) in [1, 20_000, 5, 16_384, 9_000, 9_000, 100_000, 3]
                .iter()
                .enumerate()
            {
                let bytes = vec![u8::try_from(index).unwrap(); *size];
                cork.write_all(&bytes).await.unwrap();
                all.extend(bytes);
                assert!(cork.gathered.len() <= GATHERED_BYTES);
            }
            cork.shutdown().await.unwrap();
            assert!(cork.stream.bytes == all);
        });
    }

    #[test]
    fn reading_passes_through() {
        run(async {
            let (mut far, near) = tokio::io::duplex(64);
            let mut cork = Cork::new(near);
            far.write_all(b"x").await.unwrap();
            assert_eq!(cork.read_u8().await.unwrap(), b'x');
        });
    }
}
