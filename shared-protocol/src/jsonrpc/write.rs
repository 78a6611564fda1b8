//! Writes one message around payload bytes that are not looked at again.
//!
//! Every writer appends to `out`, on one line if the payload is on one line, without a newline at the end.
//! A payload must be the text of one JSON value; that is the caller's promise, usually kept by a `RawValue`.

use super::{ErrorObject, Id};

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

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    // Invariant: a `Vec` takes every write and text always serialises.
    serde_json::to_writer(out, text).expect("text serialises into memory");
}

fn write_method_and_params(out: &mut Vec<u8>, method: &str, params: Option<&[u8]>) {
    write_string(out, method);
    if let Some(params) = params {
        out.extend_from_slice(br#","params":"#);
        out.extend_from_slice(params);
    }
    out.push(b'}');
}
