//! The bytes around a message: the head of a request as it is written, the head of a response as it is read.
//!
//! In: bytes as they arrived so far. Out: status, headers and how the body is delimited, or nothing yet, or why this is no
//! HTTP/1.1. Where a reply is ambiguous about its own length it is refused: the next reply on the connection would be read
//! from the wrong place (RFC 9112 §6.3).

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use memchr::memmem;

use super::Malformed;
use super::framing::{Framing, number};

/// Largest head of a reply, those of interim replies before it included. Servers themselves accept 8 to 64 KiB.
const HEAD_BYTES: usize = 64 * 1024;
/// Most fields in a head. Each costs memory beyond its bytes.
const FIELDS: usize = 128;

/// Headers that many requests share, and the same as they are written.
#[derive(Default)]
pub(crate) struct Common {
    pub(crate) headers: HeaderMap,
    lines: Vec<u8>,
}

impl Common {
    /// Writes `headers` out once for all requests.
    pub(crate) fn new(headers: HeaderMap) -> Common {
        let mut lines = Vec::new();
        for (name, value) in &headers {
            field(&mut lines, name.as_str(), value.as_bytes());
        }
        Common { headers, lines }
    }
}

/// What is sent.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a Method,
    /// Path and query.
    pub(crate) target: &'a Uri,
    /// What comes first.
    pub(crate) common: &'a Common,
    /// What this request has besides: none of the common ones.
    pub(crate) headers: &'a HeaderMap,
    /// Put in the place of the header of this name.
    pub(crate) credential: Option<&'a HeaderValue>,
    pub(crate) body: &'a Bytes,
}

/// The head of a response.
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// How its body is delimited.
    pub(super) framing: Framing,
    /// The server keeps the connection open after it.
    pub(super) keeps_open: bool,
}

/// Appends the head of a request.
pub(super) fn write(out: &mut Vec<u8>, request: &Outgoing<'_>) {
    let target = request
        .target
        .path_and_query()
        .map_or("/", |target| target.as_str());
    for part in [request.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(&request.common.lines);
    for (name, value) in request.headers {
        if request.credential.is_none() || name != header::AUTHORIZATION {
            field(out, name.as_str(), value.as_bytes());
        }
    }
    if let Some(credential) = request.credential {
        field(out, header::AUTHORIZATION.as_str(), credential.as_bytes());
    }
    if *request.method == Method::POST || !request.body.is_empty() {
        let mut digits = [0; DIGITS];
        field(
            out,
            header::CONTENT_LENGTH.as_str(),
            decimal(request.body.len(), &mut digits),
        );
    }
    out.extend_from_slice(b"\r\n");
}

/// Most digits of a length.
const DIGITS: usize = 20;

/// The digits of `number`, at the end of `digits`.
fn decimal(mut number: usize, digits: &mut [u8; DIGITS]) -> &[u8] {
    let mut from = DIGITS;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        // Invariant: a remainder of ten is a digit.
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        from = at;
        if number == 0 {
            break;
        }
    }
    digits.get(from..).unwrap_or_default()
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Reads heads from a connection.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    /// Bytes known to hold no end of a head.
    scanned: usize,
    /// Bytes of interim replies.
    passed: usize,
}

impl HeadReader {
    /// Takes a head off the front of `arrived` once it is whole. Interim replies are passed over.
    pub(super) fn next(&mut self, arrived: &mut BytesMut) -> Result<Option<Head>, Malformed> {
        loop {
            // Nearly every head comes in one piece, and is parsed as it is.
            if self.scanned > 0 && !self.may_be_whole(arrived) {
                return match self.passed + arrived.len() > HEAD_BYTES {
                    true => Err(Malformed("its head is too large")),
                    false => Ok(None),
                };
            }
            let Some((head, length)) = parse(arrived)? else {
                self.scanned = self.scanned.max(arrived.len().saturating_sub(2));
                return match self.passed + arrived.len() > HEAD_BYTES {
                    true => Err(Malformed("its head is too large")),
                    false => Ok(None),
                };
            };
            self.scanned = 0;
            arrived.advance(length);
            match head {
                Some(head) => return Ok(Some(head)),
                None => self.passed += length,
            }
        }
    }

    /// Looks for an empty line, so that a head that comes byte by byte is not parsed for each of them.
    fn may_be_whole(&mut self, arrived: &[u8]) -> bool {
        let unscanned = arrived.get(self.scanned..).unwrap_or_default();
        let whole =
            memmem::find(unscanned, b"\n\r\n").is_some() || memmem::find(unscanned, b"\n\n").is_some();
        if !whole {
            self.scanned = arrived.len().saturating_sub(2);
        }
        whole
    }
}

/// Parses a head and says how long it is; the head is `None` for an interim reply.
fn parse(arrived: &[u8]) -> Result<Option<(Option<Head>, usize)>, Malformed> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        arrived,
        &mut fields,
    );
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed("its head is too large")),
        Err(_) => return Err(Malformed("its head cannot be read")),
    };
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or(Malformed("its status is none"))?;
    if status.is_informational() {
        return match status {
            StatusCode::SWITCHING_PROTOCOLS => Err(Malformed("it changes the protocol")),
            _ => Ok(Some((None, length))),
        };
    }
    let is_old = response.version == Some(0);
    // One copy for all values.
    let text = Bytes::copy_from_slice(arrived.get(..length).unwrap_or_default());
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let from = field.value.as_ptr().addr() - arrived.as_ptr().addr();
        let value = match field.value.is_empty() {
            true => Bytes::new(),
            false => text.slice(from..from + field.value.len()),
        };
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value)) else {
            return Err(Malformed("its head cannot be read"));
        };
        if headers.try_append(name, value).is_err() {
            return Err(Malformed("its head is too large"));
        }
    }
    // Nearly every reply has one length and nothing else about its end. The map is asked about the others only.
    let framing = match plain_length(response.headers) {
        Some(length) if length > 0 && status == StatusCode::OK => Framing::Length(length),
        _ => Framing::of(status, &headers, is_old)?,
    };
    let says_connection = |field: &httparse::Header<'_>| field.name.eq_ignore_ascii_case("connection");
    let keeps_open = framing.ends()
        && (!is_old && !response.headers.iter().any(says_connection) || keeps_open(&headers, is_old))
        && !announces_more(&framing, &headers);
    Ok(Some((
        Some(Head {
            status,
            headers,
            framing,
            keeps_open,
        }),
        length,
    )))
}

/// The length of the body, if the head says it once and as everybody does.
fn plain_length(fields: &[httparse::Header<'_>]) -> Option<u64> {
    let mut length = None;
    for field in fields {
        match field.name.len() {
            14 if field.name.eq_ignore_ascii_case("content-length") && length.is_none() => {
                length = Some(number(field.value, 10)?);
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => return None,
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => return None,
            _ => {}
        }
    }
    length
}

/// Whether a body is announced where the status allows none: such a server may well send it, sooner or later, and those
/// bytes would be taken for the next reply.
fn announces_more(framing: &Framing, headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(header::CONTENT_LENGTH);
    *framing == Framing::Length(0)
        && (headers.contains_key(header::TRANSFER_ENCODING) || lengths.iter().any(|length| length != "0"))
}

/// Whether the connection stays open after this reply (RFC 9112 §9.3).
fn keeps_open(headers: &HeaderMap, is_old: bool) -> bool {
    let says = |option: &str| {
        headers.get_all(header::CONNECTION).iter().any(|value| {
            let mut options = value.as_bytes().split(|byte| *byte == b',');
            options.any(|said| said.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
        })
    };
    !says("close") && (!is_old || says("keep-alive"))
}
