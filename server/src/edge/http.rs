//! Replies as HTTP: status, headers and bodies.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use footbridge_protocol::headers::SESSION_ID;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use super::{body::Outgoing, reply::Reply};
use crate::{
    limits::{OverLimit, RateState, Usage},
    vocabulary::hexadecimal,
};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Lets a page read the answer. Its origin is echoed, never `*`.
pub(super) fn allow_page(origin: HeaderValue, out: &mut HeaderMap) {
    out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    out.insert(header::VARY, HeaderValue::from_static("origin"));
    let exposed = HeaderValue::from_static("WWW-Authenticate, Mcp-Session-Id");
    out.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

pub(super) fn add_challenge(headers: &mut HeaderMap, challenge: &str) {
    // Invariant: `challenge` writes printable characters alone.
    if let Ok(value) = HeaderValue::from_str(challenge) {
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
}

/// A reply as HTTP.
pub(super) fn to_response(mut reply: Reply) -> Response<Outgoing> {
    let challenge = reply.challenge.take();
    let session = reply.session.take();
    let (status, retry_after) = (reply.status, reply.retry_after);
    let (rate, usage) = (reply.rate, reply.usage);
    let empty = reply.is_empty();
    let mut response = Response::new(reply.into_body());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if !empty {
        headers.insert(header::CONTENT_TYPE, JSON);
    }
    if let Some(challenge) = challenge {
        add_challenge(headers, &challenge);
    }
    if let Some(Ok(session)) = session.map(HeaderValue::try_from) {
        headers.insert(SESSION_ID, session);
    }
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if let Some(rate) = rate {
        show_rate(headers, rate);
    }
    if let Some(usage) = usage {
        show_usage(headers, &usage);
    }
    response
}

/// The headers of a month's calls that go to their end: how many pass, how many are left, and when they are new.
pub fn show_usage(headers: &mut HeaderMap, usage: &Usage) {
    headers.insert("x-monthlycap-limit", usage.cap.into());
    headers.insert(
        "x-monthlycap-remaining",
        usage.cap.saturating_sub(usage.used).into(),
    );
    if let Ok(resets) = HeaderValue::from_str(&usage.month.resets()) {
        headers.insert("x-monthlycap-reset", resets);
    }
}

/// What of a rate is shown, whether it passed the request or not.
pub(super) fn rate_shown(counted: &Result<RateState, OverLimit>) -> Option<RateState> {
    match counted {
        Ok(rate) => Some(*rate),
        Err(limit) => limit.rate(),
    }
}

/// The rate's headers (catalogue.md §2.11): requests that pass in a window, that are left, and the seconds until one
/// more passes.
pub fn show_rate(headers: &mut HeaderMap, rate: RateState) {
    headers.insert(RATE_LIMIT, rate.limit.into());
    headers.insert(RATE_REMAINING, rate.remaining.into());
    headers.insert(RATE_RESET, rate.reset_seconds().into());
}

pub(super) fn stream(body: Outgoing) -> Response<Outgoing> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENTS);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Some proxies hold an answer back until it is whole unless told otherwise (protocol.md S-13).
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// An id for one request, unique in this process and unlikely to meet another's.
pub fn request_id() -> String {
    static SEED: OnceLock<u64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let seed = SEED.get_or_init(|| {
        let mut bytes = [0; 8];
        // Without random bytes the ids still differ within the process.
        let _ = getrandom::fill(&mut bytes);
        u64::from_le_bytes(bytes)
    });
    // The finaliser of SplitMix64: it maps different counts to different ids that do not look alike.
    let mut mixed = seed.wrapping_add(
        COUNT
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15),
    );
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let mut id = hexadecimal(&(mixed ^ (mixed >> 31)).to_be_bytes());
    id.insert_str(0, "req_");
    id
}
