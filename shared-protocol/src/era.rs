//! Which revision a message is served under.
//!
//! In: the message's own claim in `_meta`, its method, and the `MCP-Protocol-Version` header. Out: [`Served`] or a
//! [`Refusal`]. The body decides and the header may only confirm, so a proxy that drops or rewrites headers can
//! cause an error but never make a modern request run under legacy rules. Nothing is remembered (S-16).

use std::fmt;

use serde_json::json;
use thiserror::Error;

use crate::codes;
use crate::headers::{self, HeaderValue, Mismatch};
use crate::jsonrpc::ErrorObject;
use crate::meta::{CLIENT_CAPABILITIES, EnvelopeFault, PROTOCOL_VERSION, RequestMeta};

/// The two ways of speaking MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// Every request describes itself in `_meta`.
    Modern,
    /// `initialize` first.
    Legacy,
}

/// The dated revisions that are served, oldest first so that they compare by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolVersion {
    /// 2025-03-26, the only one with arrays of messages.
    V2025_03_26,
    /// 2025-06-18.
    V2025_06_18,
    /// 2025-11-25.
    V2025_11_25,
    /// 2026-07-28, the modern one.
    V2026_07_28,
}

/// What is served, newest first; the one source for discover and for the data of −32022 (S-17).
pub const SUPPORTED: [ProtocolVersion; 4] = [
    ProtocolVersion::V2026_07_28,
    ProtocolVersion::V2025_11_25,
    ProtocolVersion::V2025_06_18,
    ProtocolVersion::V2025_03_26,
];

/// A revision that is never served as such but common in the field: clients that name it get 2025-03-26 without
/// arrays, and read back the name they sent from `initialize`.
pub const OLDEST_TOLERATED: &str = "2024-11-05";

impl ProtocolVersion {
    /// The newest legacy revision, offered to a client that asked for something else.
    pub const NEWEST_LEGACY: ProtocolVersion = ProtocolVersion::V2025_11_25;

    /// The revision with exactly this date.
    pub fn parse(text: &str) -> Option<Self> {
        SUPPORTED.into_iter().find(|version| version.as_str() == text)
    }

    /// The date as it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The era this revision belongs to.
    pub const fn era(self) -> Era {
        match self {
            Self::V2026_07_28 => Era::Modern,
            _ => Era::Legacy,
        }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The version to write into an `initialize` result (S-41, S-19): the one asked for if it is legacy and served,
/// [`OLDEST_TOLERATED`] for a client that asks for it, else the newest legacy revision.
pub fn negotiate(requested: &str) -> &'static str {
    match ProtocolVersion::parse(requested) {
        Some(version) if version.era() == Era::Legacy => version.as_str(),
        None if requested == OLDEST_TOLERATED => OLDEST_TOLERATED,
        _ => ProtocolVersion::NEWEST_LEGACY.as_str(),
    }
}

/// True for a date from 2026-07-28 on, served or not.
pub fn names_modern(version: &str) -> bool {
    let is_date = version.len() == 10
        && version.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    is_date && version >= ProtocolVersion::V2026_07_28.as_str()
}

/// How a message is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Revision 2026-07-28; both envelope keys are there and the version header agrees. The other mirrored
    /// headers are still to be checked ([`headers::check_method`], [`headers::check_name`]).
    Modern,
    /// `initialize`, answered with [`negotiate`].
    Handshake,
    /// One message of a legacy revision, on its own.
    Legacy(ProtocolVersion),
}

impl Served {
    /// The era whose shapes the answer has.
    pub fn era(self) -> Era {
        match self {
            Served::Modern => Era::Modern,
            Served::Handshake | Served::Legacy(_) => Era::Legacy,
        }
    }
}

/// Why no revision fits (gate rows 10, 11, 12). All answer HTTP 400.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// A modern message without its envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeFault),
    /// The version header does not confirm the body.
    #[error(transparent)]
    Header(#[from] Mismatch),
    /// A version nobody here speaks.
    #[error(
        "Protocol version `{}` is not served; {} are.",
        headers::shown(requested),
        supported_list()
    )]
    Unsupported {
        /// The version named, by the body or else by the header.
        requested: String,
    },
}

fn supported_list() -> String {
    SUPPORTED.map(ProtocolVersion::as_str).join(", ")
}

impl Refusal {
    /// −32602, −32020 or −32022.
    pub fn code(&self) -> i64 {
        match self {
            Self::Envelope(_) => codes::INVALID_PARAMS,
            Self::Header(_) => codes::HEADER_MISMATCH,
            Self::Unsupported { .. } => codes::UNSUPPORTED_PROTOCOL_VERSION,
        }
    }

    /// The error to send, `data` included.
    pub fn to_error(&self) -> ErrorObject {
        let error = ErrorObject::new(self.code(), self.to_string());
        match self {
            Self::Envelope(EnvelopeFault::Missing(missing)) => {
                error.with_data(&json!({ "missing": missing }))
            }
            Self::Unsupported { requested } => error.with_data(
                &json!({ "supported": SUPPORTED.map(ProtocolVersion::as_str), "requested": requested }),
            ),
            Self::Envelope(EnvelopeFault::Shape(_)) | Self::Header(_) => error,
        }
    }
}

/// Decides the era of one request or notification (gate rows 9 to 12). Responses have no `_meta`; for them see
/// [`response_is_modern`].
pub fn decide(meta: &RequestMeta<'_>, method: &str, header: HeaderValue<'_>) -> Result<Served, Refusal> {
    if !meta.is_modern_claim() {
        return decide_unclaimed(meta, method, header);
    }
    meta.check().map_err(EnvelopeFault::Shape)?;
    let claimed = meta
        .protocol_version()
        .map_err(EnvelopeFault::Shape)?
        .unwrap_or_default();
    let version = ProtocolVersion::parse(&claimed);
    if let Some(legacy) = version.filter(|version| version.era() == Era::Legacy) {
        // The advertised list names this revision, so a request that claims it is served, though it needs neither
        // the rest of the envelope nor the header.
        if header != HeaderValue::Absent {
            headers::check_equal(headers::PROTOCOL_VERSION_NAME, header, &claimed)?;
        }
        return Ok(Served::Legacy(legacy));
    }
    meta.envelope()?;
    // Before the version itself: two different values are a mismatch even if both are unknown.
    headers::check_equal(headers::PROTOCOL_VERSION_NAME, header, &claimed)?;
    match version {
        Some(_) => Ok(Served::Modern),
        None => Err(Refusal::Unsupported {
            requested: claimed.into_owned(),
        }),
    }
}

fn decide_unclaimed(
    meta: &RequestMeta<'_>,
    method: &str,
    header: HeaderValue<'_>,
) -> Result<Served, Refusal> {
    let header = match header {
        HeaderValue::Absent => None,
        HeaderValue::One(value) => Some(value),
        // Whatever the era, a header that says two things confirms nothing.
        HeaderValue::Conflicting | HeaderValue::NotText => {
            return Err(Mismatch::malformed(headers::PROTOCOL_VERSION_NAME, header).into());
        }
    };
    let named = header.and_then(ProtocolVersion::parse);
    match header {
        Some(value) if names_modern(value) && method == "initialize" => {
            Err(Mismatch::handshake_under(value).into())
        }
        Some(value) if names_modern(value) => {
            meta.check().map_err(EnvelopeFault::Shape)?;
            let capabilities = meta.client_capabilities().map_err(EnvelopeFault::Shape)?;
            let mut missing = vec![PROTOCOL_VERSION];
            if capabilities.is_none() {
                missing.push(CLIENT_CAPABILITIES);
            }
            Err(EnvelopeFault::Missing(missing).into())
        }
        _ if method == "initialize" => Ok(Served::Handshake),
        None | Some(OLDEST_TOLERATED) => Ok(Served::Legacy(ProtocolVersion::V2025_03_26)),
        Some(value) => match named {
            Some(version) => Ok(Served::Legacy(version)),
            None => Err(Refusal::Unsupported {
                requested: value.to_owned(),
            }),
        },
    }
}

/// For a response, which carries no claim: true when the header alone names a modern version, where clients never
/// send one (gate row 8).
pub fn response_is_modern(header: HeaderValue<'_>) -> bool {
    matches!(header, HeaderValue::One(value) if names_modern(value))
}

/// True when the header allows an array of messages: 2025-03-26 or none (S-44). Elements with a modern claim and
/// `initialize` are still to be refused one by one.
pub fn allows_batch(header: HeaderValue<'_>) -> bool {
    match header {
        HeaderValue::Absent => true,
        HeaderValue::One(value) => value == ProtocolVersion::V2025_03_26.as_str(),
        HeaderValue::Conflicting | HeaderValue::NotText => false,
    }
}

#[cfg(test)]
mod tests;
