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

/// The rows that doors name themselves.
impl Refused {
    /// Nobody is known by what was brought.
    pub const UNAUTHORIZED: Self = row("unauthorized", 401, "Unauthorized", Some(codes::UNAUTHORIZED));
    /// Their role does not allow it.
    pub const ROLE_REQUIRED: Self = row("role_required", 403, "Forbidden", Some(codes::FORBIDDEN));
    /// What was sent cannot be used.
    pub const INVALID_ARGUMENTS: Self = row("invalid_arguments", 400, "Bad Request", None);
    /// Nothing is there.
    pub const NOT_FOUND: Self = row("not_found", 404, "Not Found", None);
    /// Somebody was faster, or has it already.
    pub const CONFLICT: Self = row("conflict", 409, "Conflict", None);
    /// It breaks a rule.
    pub const RULE_VIOLATION: Self = row("rule_violation", 422, "Unprocessable", None);
    /// Too much in too short a time.
    pub const RATE_LIMITED: Self = row(
        "rate_limited",
        429,
        "Too Many Requests",
        Some(codes::RATE_LIMITED),
    );
    /// The month's calls are made.
    pub const CAP_REACHED: Self = row("cap_reached", 429, "Too Many Requests", Some(codes::CAP_REACHED));
    /// A fault of ours.
    pub const INTERNAL: Self = row("internal", 500, "Internal Error", Some(codes::INTERNAL_ERROR));
    /// The store, or who else has to be asked, is away.
    pub const UNAVAILABLE: Self = row(
        "unavailable",
        503,
        "Service Unavailable",
        Some(codes::INTERNAL_ERROR),
    );

    /// REST: somebody is known, and shut out; no other credential would help.
    pub const FORBIDDEN: Self = row("forbidden", 403, "Forbidden", None);
    /// REST: two different credentials were brought.
    pub const TWO_CREDENTIALS: Self = row("two_credentials", 400, "Bad Request", None);
    /// REST: a page of another site asks.
    pub const ORIGIN: Self = row("origin", 403, "Forbidden", None);
    /// REST: the path is there, but not for this method.
    pub const METHOD_NOT_ALLOWED: Self = row("method_not_allowed", 405, "Method Not Allowed", None);
    /// REST: the body did not arrive in time.
    pub const TOO_SLOW: Self = row("too_slow", 408, "Request Timeout", None);
    /// REST: the body is larger than what is read.
    pub const TOO_LARGE: Self = row("too_large", 413, "Content Too Large", None);
    /// REST: the body is of another kind than what is read.
    pub const UNSUPPORTED_MEDIA_TYPE: Self =
        row("unsupported_media_type", 415, "Unsupported Media Type", None);
}

/// Every refusal of a call. The last three are no part of §2.10: a tool that is not there, a log that cannot be written, and a
/// caller who has gone.
pub const REFUSED: [Refused; 17] = [
    Refused::UNAUTHORIZED,
    row("missing_scope", 403, "Forbidden", Some(codes::FORBIDDEN)),
    Refused::ROLE_REQUIRED,
    row("read_only", 403, "Forbidden", Some(codes::FORBIDDEN)),
    Refused::INVALID_ARGUMENTS,
    Refused::NOT_FOUND,
    Refused::CONFLICT,
    Refused::RULE_VIOLATION,
    row("payment_required", 402, "Payment Required", None),
    Refused::RATE_LIMITED,
    Refused::CAP_REACHED,
    row("upstream_error", 502, "Bad Gateway", None),
    row("timeout", 504, "Gateway Timeout", None),
    Refused::INTERNAL,
    row("unknown_tool", 404, "Not Found", Some(codes::INVALID_PARAMS)),
    Refused::UNAVAILABLE,
    row("cancelled", 499, "Client Closed Request", None),
];

/// What only REST says.
const OF_REST: [Refused; 7] = [
    Refused::FORBIDDEN,
    Refused::TWO_CREDENTIALS,
    Refused::ORIGIN,
    Refused::METHOD_NOT_ALLOWED,
    Refused::TOO_SLOW,
    Refused::TOO_LARGE,
    Refused::UNSUPPORTED_MEDIA_TYPE,
];

/// The row of a code.
pub fn refused(code: &str) -> Option<&'static Refused> {
    REFUSED.iter().chain(&OF_REST).find(|row| row.code == code)
}
