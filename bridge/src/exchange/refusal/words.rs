//! A refusal in our words: the cause first, then what to do, and the check it speaks about.

use hyper::StatusCode;

use super::Waiting;
use crate::brand;
use crate::challenge::parameter;
use crate::diagnosis::Diagnosis;
use crate::error::{BridgeError, quote};
use crate::exchange::Shared;
use crate::key;
use crate::options::{KEY_VARIABLE, SIGN_IN_VARIABLE, URL_VARIABLE};

/// How much of it is quoted, in characters (M-7).
const QUOTED_CHARACTERS: usize = 200;
/// What to do about a 403 without a key.
const NO_KEY_HINT: &str = concat!(
    "No key is set: set one in ",
    crate::brand::variable!("KEY"),
    ", or ask the server's administrator"
);

/// The check that a status speaks about.
fn diagnosis(status: StatusCode, has_key: bool) -> Option<Diagnosis> {
    match status {
        StatusCode::UNAUTHORIZED if has_key => Some(Diagnosis::KeyRefused),
        StatusCode::UNAUTHORIZED => Some(Diagnosis::KeyMissing),
        StatusCode::FORBIDDEN => Some(Diagnosis::ScopeMissing),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Some(Diagnosis::NotMcp),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some(Diagnosis::Busy),
        _ => None,
    }
}

/// The refusal in our words, with the check it speaks about.
pub(super) fn describe(
    shared: &Shared,
    in_session: bool,
    status: StatusCode,
    challenge: &str,
    waiting: &Waiting,
    text: &[u8],
) -> BridgeError {
    let error = explain(shared, in_session, status, challenge, waiting, text);
    match diagnosis(status, shared.upstream.has_key()) {
        Some(diagnosis) => error.diagnosed(diagnosis),
        None => error,
    }
}

/// The cause first, then what to do.
fn explain(
    shared: &Shared,
    in_session: bool,
    status: StatusCode,
    challenge: &str,
    waiting: &Waiting,
    text: &[u8],
) -> BridgeError {
    let place = shared.upstream.place();
    let text = shared.upstream.without_key(text);
    let number = status.as_u16();
    match status {
        StatusCode::UNAUTHORIZED if shared.upstream.has_key() => BridgeError::authentication(
            Some(status),
            key::setting(),
            format!(
                "`{place}` did not accept the key (401){}. Check that the key in {} is complete, not expired or revoked, and \
                 belongs to this server",
                parameter(challenge, "error_description")
                    .map(|said| format!(": {said}"))
                    .unwrap_or_default(),
                key::setting()
            ),
        ),
        StatusCode::UNAUTHORIZED if shared.upstream.is_signed_in() => BridgeError::authentication(
            Some(status),
            SIGN_IN_VARIABLE,
            format!(
                "`{place}` did not accept the sign-in (401). Run `{name} logout`, then `{name} login`, with the settings of this \
                 client's entry",
                name = brand::NAME
            ),
        ),
        StatusCode::UNAUTHORIZED => BridgeError::authentication(
            Some(status),
            KEY_VARIABLE,
            format!(
                "`{place}` asks for a key (401) and none is set. {}",
                crate::key::missing(std::env::vars_os().count())
            ),
        ),
        StatusCode::FORBIDDEN if parameter(challenge, "error").as_deref() == Some("insufficient_scope") => {
            let scopes =
                parameter(challenge, "scope").unwrap_or_else(|| "not named by the server".to_owned());
            let (credential, setting, cure) = if shared.upstream.is_signed_in() {
                ("sign-in", SIGN_IN_VARIABLE, "to grant them to you")
            } else {
                ("key", key::setting(), "for a key that has them")
            };
            BridgeError::authentication(
                Some(status),
                setting,
                format!(
                    "The {credential} lacks rights for this (403). Scopes needed: {scopes}. Ask the server's administrator \
                     {cure}"
                ),
            )
        }
        StatusCode::FORBIDDEN => BridgeError::authentication(
            Some(status),
            key::setting(),
            format!(
                "`{place}` refuses this (403){}. {}",
                said(text.as_bytes()),
                if shared.upstream.has_key() {
                    "Ask the server's administrator whether the key may be used for this, and from here"
                } else {
                    NO_KEY_HINT
                }
            ),
        ),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE if !waiting.shown.is_empty() => {
            BridgeError::http_status(
                status,
                format!(
                    "`{place}` is {} ({number}). Try again after {}",
                    if status == StatusCode::TOO_MANY_REQUESTS {
                        "limiting requests"
                    } else {
                        "unavailable"
                    },
                    if waiting.shown.bytes().all(|byte| byte.is_ascii_digit()) {
                        format!("{} s", waiting.shown)
                    } else {
                        waiting.shown.clone()
                    }
                ),
            )
        }
        StatusCode::NOT_FOUND if in_session => BridgeError::http_status(
            status,
            format!(
                "`{place}` no longer knows this session (404). Restart the client, or reconnect this server in it"
            ),
        ),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => BridgeError::http_status(
            status,
            format!(
                "`{place}` has no MCP endpoint at this path ({number}){}. Check the path in {URL_VARIABLE}",
                said(text.as_bytes())
            ),
        ),
        _ => BridgeError::http_status(
            status,
            format!(
                "`{place}` answered {number} {}{}. {}",
                status.canonical_reason().unwrap_or("(no standard status)"),
                said(text.as_bytes()),
                if status.is_server_error() {
                    "Whether the request took effect is unknown; check that before you repeat it"
                } else {
                    "Check the server address and the request"
                }
            ),
        ),
    }
}

fn said(text: &[u8]) -> String {
    let text = quote(text, QUOTED_CHARACTERS);
    if text.is_empty() {
        text
    } else {
        format!(": {}", text.trim_end_matches('.'))
    }
}
