//! Every JSON-RPC error number that either half may write or read, named once.
//!
//! The modern revision reserves −32099…−32020 for itself and leaves −32019…−32000 to older software, so nothing
//! new of ours may be added between −32768 and −32000 beyond what is listed here (S-51).

/// The bytes are not one JSON value in UTF-8, or nest too deeply.
pub const PARSE_ERROR: i64 = -32700;
/// JSON, but not a JSON-RPC request, notification or response; or an array where none is allowed.
pub const INVALID_REQUEST: i64 = -32600;
/// The method is unknown or not advertised.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// Required `_meta` keys are missing, or parameters, names, cursors or handles do not hold up.
pub const INVALID_PARAMS: i64 = -32602;
/// Our fault; the message says nothing from the inside.
pub const INTERNAL_ERROR: i64 = -32603;

/// A resource does not exist. Legacy callers only; modern ones get [`INVALID_PARAMS`].
pub const LEGACY_RESOURCE_NOT_FOUND: i64 = -32002;
/// The user must visit a URL first. Revision 2025-11-25 only.
pub const LEGACY_URL_ELICITATION_REQUIRED: i64 = -32042;

/// A mirrored header is missing, malformed or differs from the body (S-32).
pub const HEADER_MISMATCH: i64 = -32020;
/// The work needs a client capability that this request did not declare (S-52).
pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
/// The protocol version is not served.
pub const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;

/// No credential, or one that is not accepted.
pub const UNAUTHORIZED: i64 = -32010;
/// The credential does not reach far enough: scope, role, or read-only.
pub const FORBIDDEN: i64 = -32011;
/// Too many requests in the window; retry after the time named.
pub const RATE_LIMITED: i64 = -32012;
/// A spending or volume cap is used up until it resets.
pub const CAP_REACHED: i64 = -32013;

/// Bridge: no connection to the upstream (DNS, TCP, TLS, proxy).
pub const BRIDGE_NO_CONNECTION: i64 = -31001;
/// Bridge: the upstream answered with an HTTP status and no JSON-RPC error.
pub const BRIDGE_HTTP_STATUS: i64 = -31002;
/// Bridge: the reply was lost on its way; the outcome is unknown.
pub const BRIDGE_REPLY_LOST: i64 = -31003;
/// Bridge: the time limit was reached.
pub const BRIDGE_TIMEOUT: i64 = -31004;
/// Bridge: the upstream broke the protocol.
pub const BRIDGE_UPSTREAM_PROTOCOL: i64 = -31005;
/// Bridge: authentication is needed or was refused.
pub const BRIDGE_AUTHENTICATION: i64 = -31006;
/// Bridge: the message is too large, or too many are in flight.
pub const BRIDGE_TOO_LARGE: i64 = -31007;
/// Bridge: this message has no translation between the eras.
pub const BRIDGE_NO_TRANSLATION: i64 = -31008;
