//! Writes one message around payload bytes that are not looked at again.
//!
//! Every writer appends to `out`, on one line if the payload is on one line, without a newline at the end.
//! A payload must be the text of one JSON value; that is the caller's promise, usually kept by a `RawValue`.

use super::{ErrorObject, Id};
use crate::scan::special;

/// Appends a request.
pub fn write_request(out: &mut Vec<u8>, id: Id<'_>, method: &str, params: Option<&[u8]>) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_raw().as_bytes());
    out.extend_from_slice(br#","method":"#);
    write_method_and_params(out, method, params);
}

/// Appends a notification.
pub fn write_notification(out: &mut Vec<u8>, method: &str, params: Option<&[u8]>) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","method":"#);
    write_method_and_params(out, method, params);
}

/// Appends a successful response.
pub fn write_result(out: &mut Vec<u8>, id: Id<'_>, result: &[u8]) {
    write_result_with(out, id, |out| out.extend_from_slice(result));
}

/// Appends a successful response whose result is written in place, which saves a copy of large results.
/// `write` must append the text of exactly one JSON value.
pub fn write_result_with(out: &mut Vec<u8>, id: Id<'_>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_raw().as_bytes());
    out.extend_from_slice(br#","result":"#);
    write(out);
    out.push(b'}');
}

/// Appends an error response. Without a readable id the member is left out, never null (S-15).
pub fn write_error(out: &mut Vec<u8>, id: Option<Id<'_>>, error: &ErrorObject) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","#);
    if let Some(id) = id {
        out.extend_from_slice(br#""id":"#);
        out.extend_from_slice(id.as_raw().as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(br#""error":{"code":"#);
    out.extend_from_slice(error.code.to_string().as_bytes());
    out.extend_from_slice(br#","message":"#);
    write_string(out, &error.message);
    if let Some(data) = &error.data {
        out.extend_from_slice(br#","data":"#);
        out.extend_from_slice(data.get().as_bytes());
    }
    out.extend_from_slice(b"}}");
}

/// Appends `text` as a JSON string, escaped as serde_json does it: what must be, and no more.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    // Written eight bytes at a time: results repeat their JSON as text, where every few bytes need an escape.
    out.reserve(rest.len() + 2);
    out.push(b'"');
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let found = special(u64::from_le_bytes(*chunk));
        // All eight even where fewer are wanted: that is one store, and a length that varies is a call.
        out.extend(chunk);
        if found == 0 {
            rest = after;
            continue;
        }
        let plain = found.trailing_zeros() as usize / 8;
        out.truncate(out.len() - (chunk.len() - plain));
        let Some((byte, after)) = rest.get(plain..).and_then(<[u8]>::split_first) else {
            break;
        };
        write_escaped(out, *byte);
        rest = after;
    }
    rest.iter().for_each(|byte| write_escaped(out, *byte));
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        0..=0x1f => {
            let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
        plain => return out.push(plain),
    };
    out.push(b'\\');
    out.push(letter);
}

fn write_method_and_params(out: &mut Vec<u8>, method: &str, params: Option<&[u8]>) {
    write_string(out, method);
    if let Some(params) = params {
        out.extend_from_slice(br#","params":"#);
        out.extend_from_slice(params);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = b"kept".to_vec();
        write_string(&mut out, text);
        String::from_utf8(out)
            .unwrap()
            .strip_prefix("kept")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn every_character_below_a_space_is_escaped_as_serde_json_does_it() {
        for code in 0..=0xff_u8 {
            let text = format!("{0}1234567{0}", char::from(code));
            assert_eq!(written(&text), serde_json::to_string(&text).unwrap(), "{code:#x}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_json_writes_it(text in r#"([a-z"\\\x00-\x7f]|\PC){0,40}"#) {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
