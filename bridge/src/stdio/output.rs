//! Lines → stdout: one writer, whole lines, at once.
//!
//! Everything that wants to say something to the host sends a [`Line`] through [`Output`]; the one [`Writer`] gathers what
//! has queued up meanwhile into one write. The queue is short: when the host does not read, senders wait, so the exchanges
//! behind them stop reading from the network (security.md B16).

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use footbridge_protocol::jsonrpc::OwnedId;
use memchr::memchr2;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::gather::Gathers;

/// Lines that may wait for the writer before senders have to.
const WAITING_LINES: usize = 64;
/// Lines up to this many bytes are copied together into one write; larger ones are written from where they are.
const GATHER_BYTES: usize = 64 * 1024;

/// One message as it goes to the host: no line break inside, exactly one at the end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// With the newline.
    text: Vec<u8>,
    /// What is to stand inside, in order: where, and what.
    holes: Vec<(usize, Bytes)>,
}

/// Line breaks in a JSON text can only be whitespace between tokens, so they become spaces and nothing else changes
/// (protocol.md B-03).
pub(crate) fn flatten(json: &mut [u8]) {
    let mut rest = json;
    while let Some(at) = memchr2(b'\n', b'\r', rest) {
        let Some((found, tail)) = rest.get_mut(at..).and_then(<[u8]>::split_first_mut) else {
            break;
        };
        *found = b' ';
        rest = tail;
    }
}

impl Line {
    /// Makes a line of one JSON text.
    pub(crate) fn new(json: Vec<u8>) -> Line {
        Line::with_holes(json, Vec::new())
    }

    /// The same of a text with pieces left out, which must have been flattened.
    pub(crate) fn with_holes(mut text: Vec<u8>, holes: Vec<(usize, Bytes)>) -> Line {
        flatten(&mut text);
        text.push(b'\n');
        Line { text, holes }
    }

    /// The bytes, with the newline.
    pub(crate) fn to_bytes(&self) -> Cow<'_, [u8]> {
        if self.holes.is_empty() {
            Cow::Borrowed(&self.text)
        } else {
            Cow::Owned(self.pieces().concat())
        }
    }

    fn pieces(&self) -> Vec<&[u8]> {
        let (mut pieces, mut from) = (Vec::new(), 0);
        for (at, large) in &self.holes {
            pieces.push(self.text.get(from..*at).unwrap_or_default());
            pieces.push(large);
            from = *at;
        }
        pieces.push(self.text.get(from..).unwrap_or_default());
        pieces
    }

    fn len(&self) -> usize {
        self.text.len() + self.holes.iter().map(|(_, large)| large.len()).sum::<usize>()
    }
}

/// The host is gone: it closed its end of our stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostGone;

/// A place to send lines to. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Output {
    queue: mpsc::Sender<Item>,
    gathers: Arc<Gathers>,
}

enum Item {
    Line(Line),
    /// Nothing of what may follow matters.
    End,
}

impl Output {
    /// Hands `line` to the writer, waiting while the host is slow. Dropping the future never tears a line: it is queued
    /// whole or not at all.
    pub(crate) async fn send(&self, line: Line) -> Result<(), HostGone> {
        match self.gathers.pass(line) {
            Some(line) => self.queue.send(Item::Line(line)).await.map_err(|_| HostGone),
            None => Ok(()),
        }
    }

    /// Writes the answers to these requests as one array, once all are there.
    pub(crate) fn gather(&self, ids: HashSet<OwnedId>) {
        self.gathers.add(ids);
    }

    /// Says that no answer to `id` will come.
    pub(crate) async fn forget(&self, id: &OwnedId) {
        if let Some(line) = self.gathers.forget(id) {
            let _ = self.queue.send(Item::Line(line)).await;
        }
    }

    /// Ends the writer once it has written everything sent before.
    pub(crate) async fn end(&self) {
        let _ = self.queue.send(Item::End).await;
    }
}

/// The one task that writes to stdout.
pub(crate) struct Writer {
    items: mpsc::Receiver<Item>,
    sink: Sink,
}

enum Sink {
    #[cfg(unix)]
    Pipe(tokio::net::unix::pipe::Sender),
    #[cfg(unix)]
    Socket(tokio::net::UnixStream),
    Blocking(tokio::io::Stdout),
}

impl Writer {
    /// Takes over stdout. Needs the reactor to run.
    pub(crate) fn open() -> io::Result<(Output, Writer)> {
        let (sender, items) = mpsc::channel(WAITING_LINES);
        Ok((
            Output {
                queue: sender,
                gathers: Arc::default(),
            },
            Writer {
                items,
                sink: Sink::open()?,
            },
        ))
    }

    /// Writes until it is told to end, or until the host is gone.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        let mut waiting = Vec::with_capacity(WAITING_LINES);
        let mut gathered = Vec::new();
        while self.items.recv_many(&mut waiting, WAITING_LINES).await > 0 {
            if let [Item::Line(only)] = waiting.as_slice() {
                self.sink.line(only).await?;
                waiting.clear();
                continue;
            }
            for item in waiting.drain(..) {
                let Item::Line(line) = item else {
                    return self.sink.write(&gathered).await;
                };
                if gathered.len() + line.len() > GATHER_BYTES {
                    self.sink.write(&gathered).await?;
                    gathered.clear();
                }
                if line.len() > GATHER_BYTES {
                    self.sink.line(&line).await?;
                } else {
                    gathered.extend_from_slice(&line.to_bytes());
                }
            }
            self.sink.write(&gathered).await?;
            gathered.clear();
        }
        Ok(())
    }
}

impl Sink {
    #[cfg(unix)]
    fn open() -> io::Result<Sink> {
        use super::descriptor::{Descriptor, classify};
        Ok(match classify(io::stdout())? {
            Descriptor::Pipe(pipe) => Sink::Pipe(tokio::net::unix::pipe::Sender::from_owned_fd(pipe)?),
            Descriptor::Socket(socket) => Sink::Socket(tokio::net::UnixStream::from_std(socket)?),
            Descriptor::Blocking => Sink::Blocking(tokio::io::stdout()),
        })
    }

    #[cfg(not(unix))]
    fn open() -> io::Result<Sink> {
        Ok(Sink::Blocking(tokio::io::stdout()))
    }

    async fn line(&mut self, line: &Line) -> io::Result<()> {
        if line.holes.is_empty() {
            return self.write(&line.text).await;
        }
        let pieces = line.pieces();
        match self {
            #[cfg(unix)]
            Sink::Pipe(pipe) => write_pieces(pipe, &pieces).await,
            #[cfg(unix)]
            Sink::Socket(socket) => write_pieces(socket, &pieces).await,
            Sink::Blocking(stdout) => {
                write_pieces(stdout, &pieces).await?;
                stdout.flush().await
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            #[cfg(unix)]
            Sink::Pipe(pipe) => pipe.write_all(bytes).await,
            #[cfg(unix)]
            Sink::Socket(socket) => socket.write_all(bytes).await,
            Sink::Blocking(stdout) => {
                stdout.write_all(bytes).await?;
                stdout.flush().await
            }
        }
    }
}

/// Writes all of these bytes, as many at once as the system takes.
async fn write_pieces(sink: &mut (impl AsyncWrite + Unpin), pieces: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = slices.as_mut_slice();
    // Empty ones in front would be taken for an end.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        let written = sink.write_vectored(left).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut left, written);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_holes_is_written_whole_however_little_is_taken_at_once() {
        let (large, end) = (Bytes::from("b".repeat(100)), Bytes::new());
        let line = Line::with_holes(b"ac".to_vec(), vec![(0, end.clone()), (1, large), (2, end)]);
        let expected = format!("a{}c\n", "b".repeat(100));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for room in [1, 7, 1000] {
            let (mut near, mut far) = tokio::io::duplex(room);
            let read = runtime.block_on(async {
                let writing = async {
                    write_pieces(&mut near, &line.pieces()).await.unwrap();
                    drop(near);
                };
                let mut read = Vec::new();
                let reading = tokio::io::AsyncReadExt::read_to_end(&mut far, &mut read);
                let ((), done) = tokio::join!(writing, reading);
                done.unwrap();
                read
            });
            assert_eq!(read, expected.as_bytes());
        }
    }

    #[test]
    fn a_line_breaks_only_at_its_end() {
        let line = Line::new(b"{\r\n  \"a\": 1\n}\n".to_vec());
        assert_eq!(line.to_bytes().as_ref(), b"{    \"a\": 1 } \n");
        assert_eq!(Line::new(b"{}".to_vec()).to_bytes().as_ref(), b"{}\n");
    }
}
