//! The vocabulary of refusals (catalogue.md §2.10): one row for each code, from which every door takes status and title.

use footbridge_protocol::codes;

/// What a refusal of one code is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The word for programs.
    pub code: &'static str,
    /// The HTTP status that says the same.
    pub http: u16,
    /// What that status is called here.
    pub title: &'static str,
    /// The code of JSON-RPC where it must be an error of the protocol; `None`: it is always the tool's answer.
    pub json_rpc: Option<i64>,
}

const fn row(code: &'static str, http: u16, title: &'static str, json_rpc: Option<i64>) -> Refused {
    Refused {
        code,
        http,
        title,
        json_rpc,
    }
}

/// Every refusal. The last three are no part of §2.10: a tool that is not there, a log that cannot be written, and a caller
/// who has gone.
pub const REFUSED: [Refused; 17] = [
    row("unauthorized", 401, "Unauthorized", Some(codes::UNAUTHORIZED)),
    row("missing_scope", 403, "Forbidden", Some(codes::FORBIDDEN)),
    row("role_required", 403, "Forbidden", Some(codes::FORBIDDEN)),
    row("read_only", 403, "Forbidden", Some(codes::FORBIDDEN)),
    row("invalid_arguments", 400, "Bad Request", None),
    row("not_found", 404, "Not Found", None),
    row("conflict", 409, "Conflict", None),
    row("rule_violation", 422, "Unprocessable", None),
    row("payment_required", 402, "Payment Required", None),
    row(
        "rate_limited",
        429,
        "Too Many Requests",
        Some(codes::RATE_LIMITED),
    ),
    row("cap_reached", 429, "Too Many Requests", Some(codes::CAP_REACHED)),
    row("upstream_error", 502, "Bad Gateway", None),
    row("timeout", 504, "Gateway Timeout", None),
    row("internal", 500, "Internal Error", Some(codes::INTERNAL_ERROR)),
    row("unknown_tool", 404, "Not Found", Some(codes::INVALID_PARAMS)),
    row(
        "unavailable",
        503,
        "Service Unavailable",
        Some(codes::INTERNAL_ERROR),
    ),
    row("cancelled", 499, "Client Closed Request", None),
];

/// The row for a code that has none: what a caller sent, somehow. No code is without a row (`tests/it/refusals.rs`).
pub(super) const BAD_REQUEST: Refused = row("invalid_arguments", 400, "Bad Request", None);

/// The row of a code.
pub(super) fn refused(code: &str) -> Option<&'static Refused> {
    REFUSED.iter().find(|row| row.code == code)
}
