//! Where the body of a reply ends: after a length, with its last chunk, or with the connection (RFC 9112 §6 and §7).
//!
//! In: bytes as they arrived. Out: the bytes of the body. Nothing is read ahead of what the framing says.

use bytes::{Buf as _, Bytes, BytesMut};
use hyper::StatusCode;
use hyper::header::{self, HeaderMap};
use memchr::memchr;

use super::Malformed;

/// Longest line that says how large a chunk is; more than any extension is known to need.
const SIZE_LINE_BYTES: usize = 4096;
/// Bytes of all fields after the last chunk. They are not read.
const TRAILER_BYTES: usize = 16 * 1024;

/// How a body is delimited, and how much of it is still to come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many more bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// Everything until the connection ends.
    Close,
}

/// The place within a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Before the line that says how large the next chunk is.
    Size,
    /// Within a chunk, this many bytes before its end.
    Data(u64),
    /// Before the line break after a chunk.
    Break,
    /// Among the fields after the last chunk, this many bytes of them passed.
    Trailers(usize),
    /// Behind it all.
    End,
}

/// What the bytes at hand are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A part of the body, never empty.
    Data(Bytes),
    /// Nothing yet.
    More,
    /// The body is over.
    End,
}

impl Framing {
    /// How the body after this head is delimited (RFC 9112 §6.3).
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, is_old: bool) -> Result<Framing, Malformed> {
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(Framing::Length(0));
        }
        if let Some(last) = headers.get_all(header::TRANSFER_ENCODING).iter().next_back() {
            let last = last
                .as_bytes()
                .rsplit(|byte| *byte == b',')
                .next()
                .unwrap_or_default();
            let chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            // Two answers to where the body ends are one too many, and so is one in a version that does not know the question.
            if is_old || headers.contains_key(header::CONTENT_LENGTH) {
                return Err(Malformed("it names two ways to find its end"));
            }
            return Ok(if chunked {
                Framing::Chunked(Chunk::Size)
            } else {
                Framing::Close
            });
        }
        let mut length = None;
        for value in headers.get_all(header::CONTENT_LENGTH) {
            for said in value.as_bytes().split(|byte| *byte == b',') {
                let said = number(said.trim_ascii(), 10).ok_or(Malformed("its length is no number"))?;
                if length.replace(said).is_some_and(|before| before != said) {
                    return Err(Malformed("it has two lengths"));
                }
            }
        }
        Ok(length.map_or(Framing::Close, Framing::Length))
    }

    /// Whether the body has an end before that of the connection.
    pub(super) fn ends(&self) -> bool {
        *self != Framing::Close
    }

    /// Whether all of the body has been taken.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Framing::Length(0) | Framing::Chunked(Chunk::End))
    }

    /// Bytes still to come, as far as they are known.
    pub(super) fn left(&self) -> u64 {
        match self {
            Framing::Length(left) => *left,
            _ => 0,
        }
    }

    /// Notes that `bytes` of the body were taken by other means.
    pub(super) fn pass(&mut self, bytes: usize) {
        if let Framing::Length(left) = self {
            *left = left.saturating_sub(bytes as u64);
        }
    }

    /// Takes the next part of the body off the front of `arrived`.
    pub(super) fn step(&mut self, arrived: &mut BytesMut) -> Result<Step, Malformed> {
        let chunk = match self {
            Framing::Close => return Ok(all_of(arrived)),
            Framing::Length(0) => return Ok(Step::End),
            Framing::Length(left) => return Ok(part_of(arrived, left)),
            Framing::Chunked(chunk) => chunk,
        };
        loop {
            match chunk {
                Chunk::End => return Ok(Step::End),
                Chunk::Data(0) => *chunk = Chunk::Break,
                Chunk::Data(left) => return Ok(part_of(arrived, left)),
                Chunk::Size => {
                    let Some(line) = line_of(arrived, SIZE_LINE_BYTES)? else {
                        return Ok(Step::More);
                    };
                    let size = line
                        .as_ref()
                        .split(|byte| *byte == b';')
                        .next()
                        .unwrap_or_default();
                    let size = number(size.trim_ascii_end(), 16)
                        .ok_or(Malformed("the size of a chunk is no number"))?;
                    *chunk = match size {
                        0 => Chunk::Trailers(0),
                        size => Chunk::Data(size),
                    };
                }
                Chunk::Break => match line_of(arrived, 2)? {
                    None => return Ok(Step::More),
                    Some(line) if line.is_empty() => *chunk = Chunk::Size,
                    Some(_) => return Err(Malformed("a chunk is longer than it says")),
                },
                Chunk::Trailers(passed) => match line_of(arrived, TRAILER_BYTES)? {
                    None => return Ok(Step::More),
                    Some(line) if line.is_empty() => *chunk = Chunk::End,
                    Some(line) => {
                        *passed += line.len();
                        if !is_field(&line) {
                            return Err(Malformed("what follows its last chunk cannot be read"));
                        }
                        if *passed > TRAILER_BYTES {
                            return Err(Malformed("too much follows its last chunk"));
                        }
                    }
                },
            }
        }
    }
}

fn all_of(arrived: &mut BytesMut) -> Step {
    match arrived.is_empty() {
        true => Step::More,
        false => Step::Data(arrived.split().freeze()),
    }
}

fn part_of(arrived: &mut BytesMut, left: &mut u64) -> Step {
    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(arrived.len());
    if here == 0 {
        return Step::More;
    }
    *left -= here as u64;
    Step::Data(arrived.split_to(here).freeze())
}

/// A line without its end, which has to come within `most` bytes. Between chunks nothing but CR LF ends one: where readers differ
/// about the end of a line, they differ about the end of the body.
fn line_of(arrived: &mut BytesMut, most: usize) -> Result<Option<BytesMut>, Malformed> {
    let within = arrived.get(..most.min(arrived.len())).unwrap_or_default();
    let Some(at) = memchr(b'\n', within) else {
        return match arrived.len() >= most {
            true => Err(Malformed("a line between chunks does not end")),
            false => Ok(None),
        };
    };
    let mut line = arrived.split_to(at);
    arrived.advance(1);
    match memchr(b'\r', &line) {
        Some(end) if end + 1 == line.len() => line.truncate(end),
        _ => return Err(Malformed("a line between chunks ends in another way")),
    }
    Ok(Some(line))
}

/// Says whether a line after the last chunk is a field.
fn is_field(line: &[u8]) -> bool {
    let field = [line, b"\r\n\r\n"].concat();
    httparse::parse_headers(&field, &mut [httparse::EMPTY_HEADER; 1]).is_ok_and(|parsed| parsed.is_complete())
}

/// A number of nothing but digits.
pub(super) fn number(text: &[u8], base: u32) -> Option<u64> {
    let digits = text.iter().all(|byte| char::from(*byte).is_digit(base));
    let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
    u64::from_str_radix(text, base).ok()
}
