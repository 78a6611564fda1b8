//! stdin → lines, each of bounded length.
//!
//! Blank lines and a carriage return before the newline are tolerated, a last line without newline counts. A line over
//! the limit is reported once, with its first bytes, and the rest of it is read and thrown away without being kept.

use std::io;

use bytes::{Bytes, BytesMut};
use memchr::memchr;
use tokio::io::AsyncReadExt as _;

use crate::log;

/// Room made before each read. Grows while reads fill it: a message of megabytes should not take thousands of reads.
const READ_BYTES: usize = 8 * 1024;
/// The largest room made at once; a pipe holds 64 KiB, so more gains nothing.
const READ_BYTES_MOST: usize = 64 * 1024;
/// What is kept of a line over the limit, to find its id in (protocol.md B-06).
const HEAD_BYTES: usize = 1024;

/// One thing the host's stream brought.
pub(crate) enum Incoming {
    /// A line without its end, neither blank nor over the limit.
    Line(Bytes),
    /// A line over the limit: its first [`HEAD_BYTES`] bytes. The rest never arrives.
    TooLong(Bytes),
    /// The host closed its end.
    End,
}

/// The reading side of the host's stream.
pub(crate) struct Input {
    source: Source,
    buffer: BytesMut,
    /// Bytes of `buffer` known to hold no newline.
    scanned: usize,
    room: usize,
    limit: usize,
    /// Inside a line over the limit: everything up to its newline is dropped.
    skipping: bool,
    ended: bool,
}

enum Source {
    #[cfg(unix)]
    Pipe(tokio::net::unix::pipe::Receiver),
    #[cfg(unix)]
    Socket(tokio::net::UnixStream),
    Blocking(tokio::io::Stdin),
}

impl Input {
    /// Takes over stdin. `limit` is the longest line in bytes. Needs the reactor to run.
    pub(crate) fn open(limit: usize) -> io::Result<Input> {
        Ok(Input {
            source: Source::open()?,
            buffer: BytesMut::new(),
            scanned: 0,
            room: READ_BYTES,
            limit,
            skipping: false,
            ended: false,
        })
    }

    /// Waits for the next line. May be dropped and called again without losing a byte.
    pub(crate) async fn next(&mut self) -> Incoming {
        loop {
            if let Some(found) = self.take_buffered() {
                return found;
            }
            if self.ended {
                return Incoming::End;
            }
            self.buffer.reserve(self.room);
            match self.source.read(&mut self.buffer).await {
                Ok(0) => self.ended = true,
                Ok(count) if count >= self.room => self.room = (self.room * 2).min(READ_BYTES_MOST),
                Ok(_) => self.room = READ_BYTES,
                Err(error) => {
                    log::warn(format_args!("reading stdin failed, taken as its end: {error}"));
                    self.ended = true;
                }
            }
        }
    }

    /// The next line among the bytes already read.
    fn take_buffered(&mut self) -> Option<Incoming> {
        loop {
            let unscanned = self.buffer.get(self.scanned..).unwrap_or_default();
            let mut line = match memchr(b'\n', unscanned) {
                Some(offset) => {
                    let mut line = self.buffer.split_to(self.scanned + offset + 1);
                    line.truncate(line.len() - 1);
                    line
                }
                None if self.ended => self.buffer.split(),
                None => {
                    self.scanned = self.buffer.len();
                    return self.refuse_endless();
                }
            };
            self.scanned = 0;
            let skipped = std::mem::take(&mut self.skipping);
            if skipped {
                line.clear();
            }
            if line.len() > self.limit {
                line.truncate(HEAD_BYTES);
                return Some(Incoming::TooLong(line.freeze()));
            }
            let line = line.freeze();
            let text = line.trim_ascii();
            if !text.is_empty() {
                return Some(Incoming::Line(line.slice_ref(text)));
            }
            if self.buffer.is_empty() {
                return None;
            }
        }
    }

    /// Stops keeping a line that has outgrown the limit before its newline came.
    fn refuse_endless(&mut self) -> Option<Incoming> {
        if self.skipping {
            self.buffer.clear();
            self.scanned = 0;
            return None;
        }
        if self.buffer.len() <= self.limit {
            return None;
        }
        let head = Bytes::copy_from_slice(self.buffer.get(..HEAD_BYTES).unwrap_or(&self.buffer));
        // A fresh buffer gives the memory of the endless line back.
        self.buffer = BytesMut::new();
        self.scanned = 0;
        self.skipping = true;
        Some(Incoming::TooLong(head))
    }
}

impl Source {
    #[cfg(unix)]
    fn open() -> io::Result<Source> {
        use super::descriptor::{Descriptor, classify};
        Ok(match classify(io::stdin())? {
            Descriptor::Pipe(pipe) => Source::Pipe(tokio::net::unix::pipe::Receiver::from_owned_fd(pipe)?),
            Descriptor::Socket(socket) => Source::Socket(tokio::net::UnixStream::from_std(socket)?),
            Descriptor::Blocking => Source::Blocking(tokio::io::stdin()),
        })
    }

    #[cfg(not(unix))]
    fn open() -> io::Result<Source> {
        Ok(Source::Blocking(tokio::io::stdin()))
    }

    async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Source::Pipe(pipe) => pipe.read_buf(buffer).await,
            #[cfg(unix)]
            Source::Socket(socket) => socket.read_buf(buffer).await,
            Source::Blocking(stdin) => stdin.read_buf(buffer).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `chunks` as if they were read one after the other and gathers what comes out.
    fn feed(limit: usize, chunks: &[&[u8]]) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        let mut input = Input {
            source: Source::Blocking(tokio::io::stdin()),
            buffer: BytesMut::new(),
            scanned: 0,
            room: READ_BYTES,
            limit,
            skipping: false,
            ended: false,
        };
        let mut seen = Vec::new();
        let mut drain = |input: &mut Input| {
            while let Some(found) = input.take_buffered() {
                seen.push(match found {
                    Incoming::Line(line) => String::from_utf8_lossy(&line).into_owned(),
                    Incoming::TooLong(head) => format!("too long: {}", String::from_utf8_lossy(&head)),
                    Incoming::End => unreachable!(),
                });
            }
        };
        for chunk in chunks {
            input.buffer.extend_from_slice(chunk);
            drain(&mut input);
        }
        input.ended = true;
        drain(&mut input);
        seen
    }

    #[test]
    fn blank_lines_and_carriage_returns_are_tolerated_and_the_last_line_needs_no_newline() {
        assert_eq!(
            feed(100, &[b"\n\r\n {\"a\":1} \r\n\t\n{\"b\"", b":2}"]),
            ["{\"a\":1}", "{\"b\":2}"]
        );
    }

    #[test]
    fn the_limit_is_exact_and_the_stream_finds_its_place_again() {
        assert_eq!(
            feed(4, &[b"1234\n12345\nab\n"]),
            ["1234", "too long: 12345", "ab"]
        );
        assert_eq!(
            feed(4, &[b"12345", b"6789", b"0\nab\n"]),
            ["too long: 12345", "ab"]
        );
        assert_eq!(feed(4, &[b"12345", b"6789"]), ["too long: 12345"]);
    }

    proptest! {
        #[test]
        fn chunking_never_changes_the_lines(text in "[a-c\\n\\r ]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(&text.as_bytes()[from..cut]);
                from = cut;
            }
            chunks.push(&text.as_bytes()[from..]);
            prop_assert_eq!(feed(1000, &chunks), feed(1000, &[text.as_bytes()]));
        }
    }
}
