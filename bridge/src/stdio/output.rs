//! Lines → stdout: one writer, whole lines, at once.
//!
//! Everything that wants to say something to the host sends a [`Line`] through [`Output`]; the one [`Writer`] gathers what
//! has queued up meanwhile into one write. The queue is short: when the host does not read, senders wait, so the exchanges
//! behind them stop reading from the network (security.md B16).

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use footbridge_protocol::jsonrpc::OwnedId;
use memchr::memchr2;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::gather::Gathers;

/// Lines that may wait for the writer before senders have to.
const WAITING_LINES: usize = 64;
/// Lines up to this many bytes are copied together into one write; larger ones are written from where they are.
const GATHER_BYTES: usize = 64 * 1024;

/// One message as it goes to the host: no line break inside, exactly one at the end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line(Vec<u8>);

impl Line {
    /// Makes a line of one JSON text. Line breaks inside can only be whitespace between tokens, so they become spaces
    /// and nothing else changes (protocol.md B-03).
    pub(crate) fn new(mut json: Vec<u8>) -> Line {
        let mut rest = json.as_mut_slice();
        while let Some(at) = memchr2(b'\n', b'\r', rest) {
            let Some((found, tail)) = rest.get_mut(at..).and_then(<[u8]>::split_first_mut) else {
                break;
            };
            *found = b' ';
            rest = tail;
        }
        json.push(b'\n');
        Line(json)
    }

    /// The bytes, with the newline.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
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
                self.sink.write(only.as_bytes()).await?;
                waiting.clear();
                continue;
            }
            for item in waiting.drain(..) {
                let Item::Line(line) = item else {
                    return self.sink.write(&gathered).await;
                };
                if gathered.len() + line.as_bytes().len() > GATHER_BYTES {
                    self.sink.write(&gathered).await?;
                    gathered.clear();
                }
                if line.as_bytes().len() > GATHER_BYTES {
                    self.sink.write(line.as_bytes()).await?;
                } else {
                    gathered.extend_from_slice(line.as_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_breaks_only_at_its_end() {
        let line = Line::new(b"{\r\n  \"a\": 1\n}\n".to_vec());
        assert_eq!(line.as_bytes(), b"{    \"a\": 1 } \n");
        assert_eq!(Line::new(b"{}".to_vec()).as_bytes(), b"{}\n");
    }
}
