//! What an API answered: a value, or a fault in the caller's vocabulary.

use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::fault::{UpstreamFault, plain};
use crate::catalogue::http::{FaultCode, HttpCall};

/// The longest wait that an API may ask for and that is passed on; beyond it, a clock or a unit is wrong.
const LONGEST_RETRY_AFTER: u64 = 24 * 3600;

/// A good answer, before it is shaped.
#[derive(Debug)]
pub(super) struct Answer {
    /// The body as JSON.
    pub(super) value: Value,
    /// `Link` headers.
    pub(super) links: Vec<String>,
    /// `ETag`.
    pub(super) etag: Option<String>,
}

/// Reads an answer's body for what it says it is.
pub(super) fn read(
    call: &HttpCall,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, UpstreamFault> {
    if status.is_redirection() {
        return Err(UpstreamFault::broken(
            "upstream redirects elsewhere, which is not followed",
        ));
    }
    if !status.is_success() {
        return Err(fault(call, status, headers, body));
    }
    let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let links = headers.get_all(header::LINK).iter();
    Ok(Answer {
        value: value(text(header::CONTENT_TYPE).as_deref(), body)?,
        links: links.filter_map(|v| v.to_str().ok()).map(str::to_owned).collect(),
        etag: text(header::ETAG),
    })
}

fn value(content_type: Option<&str>, body: &[u8]) -> Result<Value, UpstreamFault> {
    if body.is_empty() {
        return Ok(json!({ "status": "done" }));
    }
    let media = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if media == "application/json" || media.ends_with("+json") || media.is_empty() {
        return serde_json::from_slice(body)
            .map_err(|_| UpstreamFault::broken("upstream answered with something that is not valid JSON"));
    }
    // A page is for people: what stands where JSON was expected is a log-in form or an error.
    if media.starts_with("text/") && media != "text/html" {
        return match std::str::from_utf8(body) {
            Ok(text) => Ok(json!({ "text": text })),
            Err(_) => Err(UpstreamFault::broken(
                "upstream answered with text that is not UTF-8",
            )),
        };
    }
    Err(UpstreamFault::broken(format!(
        "upstream answered with {}, not with JSON or text",
        plain(&media)
    )))
}

/// The table of catalogue.md §2.21, after the row's own.
fn fault(call: &HttpCall, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamFault {
    let said = words(headers, body);
    let words = said
        .clone()
        .unwrap_or_else(|| format!("upstream answered {}", status.as_u16()));
    let (code, message) = match status.as_u16() {
        // Never shown as the caller's own 401: signing in again would mend nothing.
        401 | 403 => (
            FaultCode::UpstreamError,
            "upstream refused Footbridge's credential".to_owned(),
        ),
        400 | 422 => (FaultCode::InvalidArguments, words),
        404 | 410 => (FaultCode::NotFound, words),
        409 | 412 => (FaultCode::Conflict, words),
        429 => (
            FaultCode::RateLimited,
            "upstream takes no more calls for now".to_owned(),
        ),
        504 => (FaultCode::Timeout, "upstream answered 504".to_owned()),
        other => (FaultCode::UpstreamError, format!("upstream answered {other}")),
    };
    let (code, message) = match call.errors.get(&status.as_u16()) {
        Some(code) => (*code, said.unwrap_or(message)),
        None => (code, message),
    };
    UpstreamFault {
        code,
        message,
        status: Some(status.as_u16()),
        retry_after_seconds: retry_after(headers),
    }
}

/// `Retry-After` in seconds; a date counts as unsaid, for its clock is not ours.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim()
        .parse()
        .ok()
        .map(|seconds: u64| seconds.min(LONGEST_RETRY_AFTER))
}

/// What an error's body says for people: the members that APIs use for that (RFC 9457 among them).
fn words(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let media = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if media.starts_with("text/plain") {
        return std::str::from_utf8(body)
            .ok()
            .map(plain)
            .filter(|text| !text.is_empty());
    }
    if !media.contains("json") {
        return None;
    }
    let value: Value = serde_json::from_slice(body).ok()?;
    said(value.as_object()?)
}

fn said(object: &Map<String, Value>) -> Option<String> {
    for member in [
        "detail",
        "message",
        "error_description",
        "error",
        "errors",
        "title",
    ] {
        match object.get(member) {
            Some(Value::String(text)) if !text.is_empty() => return Some(plain(text)),
            Some(Value::Object(inner)) => {
                return said(inner).or_else(|| Some(plain(&Value::Object(inner.clone()).to_string())));
            }
            Some(Value::Array(items)) if !items.is_empty() => {
                let all: Vec<String> = items
                    .iter()
                    .map(|item| match item {
                        Value::String(text) => plain(text),
                        Value::Object(inner) => said(inner).unwrap_or_else(|| plain(&item.to_string())),
                        other => plain(&other.to_string()),
                    })
                    .collect();
                return Some(plain(&all.join("; ")));
            }
            _ => {}
        }
    }
    None
}
