//! One HTTP/1.1 connection in the hands of one exchange: a request out, its reply in.
//!
//! The general client library hands every message through a task of its own, two queues and a map; a bridge that carries one
//! call at a time spends more on that than on all the rest. Here the exchange's own task writes the request and reads the
//! reply. [`head`] and [`framing`] do no input or output; this file does nothing else.
//!
//! What it keeps: a request leaves at most once, and whether a byte of it may have left is known; a body ends where its
//! framing says or fails; a connection is used again only if both messages were whole and nothing came after them.

mod framing;
mod head;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use framing::{Framing, Step};
use head::HeadReader;
pub(crate) use head::{Common, Head, Outgoing};

/// Room for one read. Nearly every reply comes with its head in one piece of less than this.
const READ_BYTES: usize = 16 * 1024;
/// The largest room made at once. It stays with the connection: who sent one long reply sends another. Allocators serve more
/// than this from the system, page by page.
const READ_BYTES_MOST: usize = 64 * 1024;
/// A body up to this size is copied behind its head, so that both leave as one piece of memory.
const JOINED_BYTES: usize = 8 * 1024;

/// In what way a reply is no HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reply is no HTTP: {0}")]
pub(crate) struct Malformed(&'static str);

/// Why a connection failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The server ended it.
    #[error("the server closed it")]
    Closed,
    /// The system did.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// The connection.
pub(crate) struct Wire<S> {
    stream: S,
    /// Read and not taken yet.
    arrived: BytesMut,
    room: usize,
    head: Bytes,
    body: Bytes,
    /// Everything has left the stream's own buffers.
    flushed: bool,
    /// Some of the last request may have left.
    sent: bool,
    framing: Framing,
    keeps_open: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A connection that nothing was sent on yet.
    pub(crate) fn new(stream: S) -> Wire<S> {
        Wire {
            stream,
            arrived: BytesMut::new(),
            room: READ_BYTES,
            head: Bytes::new(),
            body: Bytes::new(),
            flushed: true,
            sent: false,
            framing: Framing::Length(0),
            keeps_open: true,
        }
    }

    /// Sends a request and waits for the head of its reply. A server may answer before it has read everything.
    pub(crate) async fn send(&mut self, request: &Outgoing<'_>) -> Result<Head, WireError> {
        let mut head = Vec::with_capacity(1024 + request.body.len().min(JOINED_BYTES));
        head::write(&mut head, request);
        self.body = match request.body.len() <= JOINED_BYTES {
            true => {
                head.extend_from_slice(request.body);
                Bytes::new()
            }
            false => request.body.clone(),
        };
        self.head = head.into();
        self.flushed = false;
        self.sent = false;
        // Whatever interrupts this leaves a connection that is not used again.
        self.keeps_open = false;
        let mut reader = HeadReader::default();
        let mut broken = None;
        let head = poll_fn(|cx| {
            if broken.is_none()
                && let Poll::Ready(Err(error)) = self.poll_send(cx)
            {
                // The reason may lie in the reply: a server that refuses a request need not read all of it.
                broken = Some(error);
            }
            loop {
                if let Some(head) = reader.next(&mut self.arrived)? {
                    return Poll::Ready(Ok(head));
                }
                match ready!(self.poll_read(cx)) {
                    Ok(0) => return Poll::Ready(Err(broken.take().map_or(WireError::Closed, WireError::Io))),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Err(broken.take().unwrap_or(error).into())),
                }
            }
        })
        .await?;
        if broken.is_some() {
            self.body = Bytes::new();
            self.flushed = true;
        }
        self.keeps_open = head.keeps_open && broken.is_none();
        Ok(head)
    }

    /// Begins to read the body that `head` announces.
    pub(crate) fn begin(&mut self, head: &mut Head) {
        self.framing = std::mem::replace(&mut head.framing, Framing::Length(0));
    }

    /// Says whether a byte of the last request may have reached the server.
    pub(crate) fn has_sent(&self) -> bool {
        self.sent
    }

    /// Says whether all of the body was read.
    pub(crate) fn is_over(&self) -> bool {
        self.framing.is_over()
    }

    /// Bytes of the body to come, as far as they are known.
    pub(crate) fn left(&self) -> u64 {
        self.framing.left()
    }

    /// The next bytes of the body, `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
        poll_fn(|cx| {
            self.poll_rest(cx);
            loop {
                match self.framing.step(&mut self.arrived)? {
                    Step::Data(bytes) => return Poll::Ready(Ok(Some(bytes))),
                    Step::End => return Poll::Ready(Ok(None)),
                    Step::More => {}
                }
                if ready!(self.poll_read(cx))? == 0 {
                    return Poll::Ready(match self.framing.ends() {
                        true => Err(WireError::Closed),
                        false => Ok(None),
                    });
                }
            }
        })
        .await
    }

    /// Appends the next bytes of a body of known length to `into`, at most as many as it has room for; false at the end.
    /// Most of a long body is read right to where it stays.
    pub(crate) async fn fill(&mut self, into: &mut Vec<u8>) -> Result<bool, WireError> {
        poll_fn(|cx| {
            self.poll_rest(cx);
            if !self.arrived.is_empty() {
                match self.framing.step(&mut self.arrived)? {
                    Step::Data(bytes) => {
                        into.extend_from_slice(&bytes);
                        return Poll::Ready(Ok(true));
                    }
                    Step::End => return Poll::Ready(Ok(false)),
                    Step::More => {}
                }
            }
            let left = usize::try_from(self.framing.left()).unwrap_or(usize::MAX);
            if left == 0 {
                return Poll::Ready(Ok(false));
            }
            let room = left.min(into.capacity() - into.len()).max(1);
            let count = ready!(poll_read_into(&mut self.stream, cx, &mut into.limit(room)))?;
            if count == 0 {
                return Poll::Ready(Err(WireError::Closed));
            }
            self.framing.pass(count);
            Poll::Ready(Ok(true))
        })
        .await
    }

    /// A long body, if it has arrived whole and nothing else has: it stays in the memory that it was read to.
    pub(crate) fn take_arrived(&mut self) -> Option<Vec<u8>> {
        let count = self.arrived.len();
        if !self.flushed || count < READ_BYTES || self.framing.left() != count as u64 {
            return None;
        }
        self.framing.pass(count);
        Some(std::mem::take(&mut self.arrived).into())
    }

    /// Says whether another request may be sent: the last exchange is over, and the server has neither said anything since nor
    /// ended the connection, as far as that has arrived.
    pub(crate) fn is_reusable(&mut self) -> bool {
        if !(self.keeps_open
            && self.framing.is_over()
            && self.arrived.is_empty()
            && self.head.is_empty()
            && self.body.is_empty()
            && self.flushed)
        {
            return false;
        }
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream)
            .poll_read(&mut cx, &mut byte)
            .is_pending()
    }

    /// Lets go of memory that an idle connection need not hold.
    pub(crate) fn rest(&mut self) {
        self.arrived = BytesMut::new();
        self.head = Bytes::new();
    }

    /// Goes on sending a request whose reply has begun. If that fails the reply says what matters.
    fn poll_rest(&mut self, cx: &mut Context<'_>) {
        if !self.flushed
            && let Poll::Ready(Err(_)) = self.poll_send(cx)
        {
            self.head = Bytes::new();
            self.body = Bytes::new();
            self.flushed = true;
            self.keeps_open = false;
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.head.has_remaining() || self.body.has_remaining() {
            let stream = Pin::new(&mut self.stream);
            let written = if self.body.is_empty() {
                ready!(stream.poll_write(cx, &self.head))?
            } else if self.head.is_empty() {
                ready!(stream.poll_write(cx, &self.body))?
            } else {
                let parts = [IoSlice::new(&self.head), IoSlice::new(&self.body)];
                ready!(stream.poll_write_vectored(cx, &parts))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent = true;
            let of_head = written.min(self.head.len());
            self.head.advance(of_head);
            self.body.advance(written - of_head);
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what has arrived; 0 is the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.arrived.reserve(self.room);
        let outcome = poll_read_into(&mut self.stream, cx, &mut self.arrived);
        match &outcome {
            // A connection that waits holds nothing.
            Poll::Pending if self.arrived.is_empty() => self.arrived = BytesMut::new(),
            Poll::Ready(Ok(count)) if *count >= self.room => self.room = (self.room * 2).min(READ_BYTES_MOST),
            _ => {}
        }
        outcome
    }
}

/// Reads into the room that `into` has.
fn poll_read_into(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    into: &mut impl bytes::BufMut,
) -> Poll<io::Result<usize>> {
    let mut reading = std::pin::pin!(tokio::io::AsyncReadExt::read_buf(stream, into));
    reading.as_mut().poll(cx)
}
