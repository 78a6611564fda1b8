//! One plain function per parser of a stranger's bytes, for the fuzzer (`fuzz/`) and for property tests on stable.
//!
//! Each takes any bytes and panics if a promise of this crate is broken; that the parser itself panics is the
//! first promise. They are no part of the product and call nothing that its users cannot call.

use serde_json::value::RawValue;

use crate::era::{self, Served};
use crate::headers::{self, HeaderValue};
use crate::jsonrpc::{
    self, DecodeError, Id, Message, ResponseBody, Rules, decode, decode_batch, decode_raw, id_in_prefix,
    write_notification, write_request, write_result,
};
use crate::param_headers::ParamHeaders;
use crate::sse::{Decoder, Event, TooLarge, flatten_newlines, write_event};
use crate::transcript::Transcript;
use crate::{codes, value};

/// A target and the name of its fuzz binary.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Target; 7] = [
    ("message", message),
    ("batch", batch),
    ("era", era),
    ("header_value", header_value),
    ("param_headers", param_headers),
    ("events", events),
    ("transcript", transcript),
];

/// A message that is accepted can be written again with the same id, method and payload bytes; one that is refused
/// has a code and a sentence.
pub fn message(bytes: &[u8]) {
    let _any_id = id_in_prefix(bytes);
    for rules in [Rules::SERVER, Rules::BRIDGE] {
        match decode(bytes, &rules) {
            Ok(message) => {
                if let Message::Request(request) = &message {
                    assert!(
                        id_in_prefix(bytes).is_some_and(|id| id == request.id),
                        "a whole message is a prefix"
                    );
                }
                survives(&message);
            }
            Err(error) => refused(&error),
        }
    }
}

/// An array gives at most as many elements as allowed, each judged like a message.
pub fn batch(bytes: &[u8]) {
    match decode_batch(bytes, &Rules::SERVER) {
        Ok(elements) => {
            assert!(!elements.is_empty() && elements.len() <= Rules::SERVER.batch);
            assert_eq!(decode(bytes, &Rules::SERVER).err(), Some(DecodeError::Batch));
            for element in elements {
                match decode_raw(element, &Rules::SERVER) {
                    Ok(message) => survives(&message),
                    Err(error) => refused(&error),
                }
            }
        }
        Err(error) => refused(&error),
    }
}

/// Up to the first newline a version header, then a message. Modern needs a claim and a header that confirms it,
/// and the headers the bridge would write are the ones the server wants.
pub fn era(bytes: &[u8]) {
    let (header, body) = split(bytes, b'\n');
    let header = HeaderValue::of([header]);
    let Ok(Message::Request(request)) = decode(body, &Rules::SERVER) else {
        return;
    };
    let meta = request.params.meta();
    match era::decide(meta, &request.method, header) {
        Ok(Served::Modern) => {
            assert!(meta.is_modern_claim() && header == HeaderValue::One("2026-07-28"));
            assert!(meta.envelope().is_ok());
        }
        Ok(Served::Handshake) => assert!(request.method == "initialize" && !meta.is_modern_claim()),
        Ok(Served::Legacy(version)) => assert_eq!(version.era(), era::Era::Legacy),
        Err(refusal) => assert!(!refusal.to_error().message.is_empty()),
    }
    if let Ok(written) = headers::of_request(&request.method, &request.params) {
        let found = |name| {
            HeaderValue::of(
                written
                    .iter()
                    .filter(|(key, _)| key == name)
                    .map(|(_, value)| value.as_bytes()),
            )
        };
        assert_eq!(
            headers::check_method(found(headers::METHOD), &request.method),
            Ok(())
        );
        assert_eq!(
            headers::check_name(found(headers::NAME), &request.method, &request.params),
            Ok(())
        );
    }
}

/// Any text survives encoding; any value decodes to a text or is refused.
pub fn header_value(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let encoded = value::encode(&text);
    assert!(
        encoded.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')),
        "safe in a header"
    );
    assert_eq!(
        HeaderValue::of([encoded.as_bytes()]),
        HeaderValue::One(&encoded),
        "nothing to trim"
    );
    assert_eq!(value::decode(&encoded).as_deref(), Ok(&*text));
    if let HeaderValue::One(found) = HeaderValue::of([bytes]) {
        let _decoded = value::decode(found);
    }
}

/// Up to the first newline a schema, then arguments. What the bridge writes, the server accepts.
pub fn param_headers(bytes: &[u8]) {
    let (schema, arguments) = split(bytes, b'\n');
    let Ok(schema) = serde_json::from_slice::<&RawValue>(schema) else {
        return;
    };
    let Ok(marks) = ParamHeaders::of_raw_schema(schema) else {
        return;
    };
    let arguments = serde_json::from_slice::<&RawValue>(arguments).ok();
    let written = marks.encode(arguments);
    for (name, value) in &written {
        assert!(name.starts_with(headers::PARAM_PREFIX));
        assert_eq!(
            HeaderValue::of([value.as_bytes()]),
            HeaderValue::One(value),
            "safe in a header"
        );
    }
    let verdict = marks.verify(arguments, |name| {
        HeaderValue::of(
            written
                .iter()
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value.as_bytes()),
        )
    });
    if let Err(mismatch) = verdict {
        // The two refusals that no header could avoid.
        let message = mismatch.to_string();
        assert!(
            message.contains("two ways") || message.contains("outside ±"),
            "{message}"
        );
    }
}

/// The first byte is a chunk size. Events do not depend on it, and what is written as an event is read as one.
pub fn events(bytes: &[u8]) {
    let (size, stream) = match bytes.split_first() {
        Some((size, stream)) => (usize::from(*size).max(1), stream),
        None => return,
    };
    const LIMIT: usize = 512;
    let whole = decode_events(stream, stream.len().max(1), LIMIT);
    assert_eq!(whole, decode_events(stream, size, LIMIT), "chunks of {size}");

    let mut line = stream.to_vec();
    flatten_newlines(&mut line);
    let mut written = Vec::new();
    write_event(&mut written, &line);
    let read = decode_events(&written, size, usize::MAX);
    match line.as_slice() {
        b"" => assert!(read.events.is_empty()),
        line => assert_eq!(
            read.events,
            [Event {
                data: line.to_vec(),
                id: None,
                named: false
            }]
        ),
    }
}

/// Any text is a transcript or refused with a line number.
pub fn transcript(bytes: &[u8]) {
    let _either = Transcript::parse(&String::from_utf8_lossy(bytes));
}

#[derive(Debug, PartialEq)]
struct Stream {
    events: Vec<Event>,
    last_event_id: Option<String>,
    retry_ms: Option<u64>,
    end: Result<(), TooLarge>,
}

fn decode_events(stream: &[u8], chunk: usize, limit: usize) -> Stream {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    let mut end = Ok(());
    'stream: for mut chunk in stream.chunks(chunk) {
        loop {
            match decoder.next_event(&mut chunk) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => {
                    end = Err(error);
                    break 'stream;
                }
            }
        }
    }
    let last_event_id = decoder.last_event_id().map(str::to_owned);
    Stream {
        events,
        last_event_id,
        retry_ms: decoder.retry_ms(),
        end,
    }
}

fn survives(message: &Message<'_>) {
    // A payload is read again under an envelope of the same depth.
    let rules = Rules::BRIDGE;
    let mut out = Vec::new();
    match message {
        Message::Request(request) => {
            let params = request.params.raw().map(|raw| raw.get().as_bytes());
            write_request(&mut out, request.id, &request.method, params);
            let Ok(Message::Request(again)) = decode(&out, &rules) else {
                unreachable!("a request is a request again");
            };
            same_id(request.id, again.id);
            assert_eq!(again.method, request.method);
            assert_eq!(
                again.params.raw().map(RawValue::get),
                request.params.raw().map(RawValue::get)
            );
        }
        Message::Notification(notification) => {
            let params = notification.params.raw().map(|raw| raw.get().as_bytes());
            write_notification(&mut out, &notification.method, params);
            let Ok(Message::Notification(again)) = decode(&out, &rules) else {
                unreachable!("a notification is a notification again");
            };
            assert_eq!(again.method, notification.method);
            assert_eq!(
                again.params.raw().map(RawValue::get),
                notification.params.raw().map(RawValue::get)
            );
        }
        Message::Response(response) => {
            let (Some(id), ResponseBody::Result(result)) = (response.id, response.body) else {
                return;
            };
            write_result(&mut out, id, result.get().as_bytes());
            let Ok(Message::Response(again)) = decode(&out, &rules) else {
                unreachable!("a response is a response again");
            };
            same_id(id, again.id.unwrap_or(id));
            assert!(matches!(again.body, ResponseBody::Result(raw) if raw.get() == result.get()));
        }
    }
    assert!(
        !out.contains(&b'\n') || payload_has_newline(message),
        "writers add no newline"
    );
}

fn payload_has_newline(message: &Message<'_>) -> bool {
    let payload = match message {
        Message::Request(request) => request.params.raw(),
        Message::Notification(notification) => notification.params.raw(),
        Message::Response(response) => match response.body {
            ResponseBody::Result(raw) | ResponseBody::Error(raw) => Some(raw),
        },
    };
    payload.is_some_and(|raw| raw.get().contains('\n'))
}

fn same_id(id: Id<'_>, again: Id<'_>) {
    assert_eq!(id.as_raw(), again.as_raw());
    assert_eq!(jsonrpc::OwnedId::from(id), again);
}

fn refused(error: &DecodeError) {
    assert!(matches!(
        error.code(),
        codes::PARSE_ERROR | codes::INVALID_REQUEST
    ));
    assert!(!error.to_string().is_empty());
}

fn split(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == at).unwrap_or(bytes.len());
    let (head, tail) = bytes.split_at_checked(end).unwrap_or((bytes, b""));
    (head, tail.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests;
