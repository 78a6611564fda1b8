//! What every answer of this door tells browsers: run nothing that is not ours, show nothing inside another page,
//! keep nothing (security.md C2).

use axum::response::Response;
use http::{HeaderName, HeaderValue, header};

/// Our own files alone; pages load no other origin, are in no frame, and send forms nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const ALWAYS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`: under that, browsers send `Origin: null` with our own forms, which reads like a stranger's.
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (RESOURCE_POLICY, "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Sets the headers. A file that may be kept says so itself; whatever says nothing may not. What other sites may load
/// says so itself too.
pub(super) async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let open = headers
        .get(RESOURCE_POLICY)
        .is_some_and(|value| value == "cross-origin");
    for (name, value) in ALWAYS {
        if open && name == RESOURCE_POLICY {
            continue;
        }
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
