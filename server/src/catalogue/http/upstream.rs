//! One REST API, judged.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use url::Url;

use super::{
    row::{AuthRow, UpstreamRow},
    vault::{Vault, VaultPath},
};

/// A call must end before clients and proxies give up on it (catalogue.md §2.21).
const LONGEST_TIMEOUT_MS: u64 = 50_000;
/// The largest answer that may be read at all, in KiB (security.md §5).
const LARGEST_ANSWER_KIB: usize = 8 * 1024;
/// Headers that are set by the engine, or that would change what connection a call travels on.
const OWN_HEADERS: [&str; 8] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "expect",
    "cookie",
];

/// Where a secret stands. The secret itself is never part of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Environment(String),
    /// The first line of a file.
    File(PathBuf),
    /// A secret in the catalogue's vault.
    Vault(VaultPath),
}

/// How calls are authorised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// A header whose value is a prefix and a secret.
    Header {
        /// The header.
        name: HeaderName,
        /// What stands before the secret.
        prefix: String,
        /// The secret.
        secret: SecretSource,
    },
    /// HTTP basic authentication.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        secret: SecretSource,
    },
    /// The client credentials grant (RFC 6749 §4.4).
    ClientCredentials {
        /// Where tokens are had.
        token_url: Url,
        /// Who asks.
        client_id: String,
        /// The client's secret.
        secret: SecretSource,
        /// What is asked for.
        scopes: Vec<String>,
    },
    /// A header with a secret of the caller's tenant; `{tenant}` in the reference is its name.
    PerTenant {
        /// The header.
        name: HeaderName,
        /// What stands before the secret.
        prefix: String,
        /// The reference with the hole.
        reference: String,
    },
}

impl Auth {
    fn is_in_vault(&self) -> bool {
        match self {
            Self::None => false,
            Self::Header { secret, .. }
            | Self::Basic { secret, .. }
            | Self::ClientCredentials { secret, .. } => {
                matches!(secret, SecretSource::Vault(_))
            }
            Self::PerTenant { reference, .. } => reference.starts_with("vault:"),
        }
    }
}

/// A REST API that tools may call.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name in the file.
    pub name: String,
    /// Scheme, host, port and the path that every call's path is appended to; without a slash at its end.
    pub base: Url,
    /// How calls are authorised.
    pub auth: Auth,
    /// Where the secret is, when it is in a vault.
    pub vault: Option<Arc<Vault>>,
    /// Sent with every call.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The longest wait for a whole answer.
    pub timeout: Duration,
    /// Whether private addresses and plain `http` are allowed.
    pub allow_private: bool,
    /// Authorities to trust besides the public ones.
    pub ca_file: Option<PathBuf>,
    /// The largest answer read, in bytes.
    pub most_bytes: usize,
}

impl SecretSource {
    /// Reads a reference.
    ///
    /// # Errors
    /// When it is none; the message does not repeat it, for it may be the secret itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("vault", place)) if VaultPath::parse(place).is_some() => VaultPath::parse(place)
                .map(Self::Vault)
                .ok_or_else(not_a_reference),
            _ => Err(not_a_reference()),
        }
    }
}

fn not_a_reference() -> String {
    "a secret is a reference, `env:NAME`, `file:/path` or `vault:mount/path#field`, never the secret itself"
        .to_owned()
}

impl Upstream {
    /// Judges a row.
    pub(in crate::catalogue) fn new(
        name: &str,
        row: UpstreamRow,
        vault: Option<&Arc<Vault>>,
    ) -> Result<Self, String> {
        let mut base = address("base_url", &row.base_url, row.allow_private)?;
        if base.query().is_some() || base.fragment().is_some() {
            return Err("base_url: must have neither query nor fragment".to_owned());
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        if row.timeout_ms == 0 || row.timeout_ms > LONGEST_TIMEOUT_MS {
            return Err(format!("timeout_ms: must be 1 to {LONGEST_TIMEOUT_MS}"));
        }
        if row.max_response_kib == 0 || row.max_response_kib > LARGEST_ANSWER_KIB {
            return Err(format!("max_response_kib: must be 1 to {LARGEST_ANSWER_KIB}"));
        }
        let allow_private = row.allow_private;
        let auth = auth(row.auth, allow_private)?;
        if auth.is_in_vault() && vault.is_none() {
            return Err("auth: the secret is in a vault, and no [vault] says where that is".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            base,
            vault: vault.filter(|_| auth.is_in_vault()).cloned(),
            auth,
            headers: fixed_headers(&row.headers)?,
            timeout: Duration::from_millis(row.timeout_ms),
            allow_private,
            ca_file: row.ca_file,
            most_bytes: row.max_response_kib * 1024,
        })
    }
}

/// An address that may be called, as far as its text tells.
pub(super) fn address(what: &str, text: &str, allow_private: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("{what}: {e}"))?;
    if url.host().is_none() || !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "{what}: must be an address with a host and without user name or password"
        ));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_private => Ok(url),
        "http" => Err(format!(
            "{what}: http is spoken to private addresses only; use https, or set allow_private = true for one of your own"
        )),
        other => Err(format!("{what}: `{other}` is not spoken; use https")),
    }
}

/// A header's name that a catalogue may set.
pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName = text
        .parse()
        .map_err(|_| format!("`{text}` is not a header's name"))?;
    if OWN_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
        return Err(format!(
            "the header `{name}` belongs to the connection and cannot be set"
        ));
    }
    Ok(name)
}

fn fixed_headers(rows: &BTreeMap<String, String>) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let one = |(name, value): (&String, &String)| {
        let name = header_name(name)?;
        if name == http::header::AUTHORIZATION {
            return Err("headers: a credential goes under `auth`, by reference".to_owned());
        }
        let value =
            HeaderValue::from_str(value).map_err(|_| format!("header `{name}`: not a header's value"))?;
        Ok((name, value))
    };
    rows.iter().map(one).collect()
}

fn auth(row: AuthRow, allow_private: bool) -> Result<Auth, String> {
    Ok(match row {
        AuthRow::None => Auth::None,
        AuthRow::Bearer { secret } => Auth::Header {
            name: http::header::AUTHORIZATION,
            prefix: "Bearer ".to_owned(),
            secret: SecretSource::parse(&secret)?,
        },
        AuthRow::Header { name, secret } => Auth::Header {
            name: header_name(&name)?,
            prefix: String::new(),
            secret: SecretSource::parse(&secret)?,
        },
        AuthRow::Basic { user, secret } => {
            if user.contains(':') {
                return Err("auth: a user name has no colon (RFC 7617)".to_owned());
            }
            Auth::Basic {
                user,
                secret: SecretSource::parse(&secret)?,
            }
        }
        AuthRow::ClientCredentials {
            token_url,
            client_id,
            secret,
            scopes,
        } => Auth::ClientCredentials {
            token_url: address("token_url", &token_url, allow_private)?,
            client_id,
            secret: SecretSource::parse(&secret)?,
            scopes,
        },
        AuthRow::PerTenant {
            secret,
            header,
            prefix,
        } => {
            SecretSource::parse(&secret)?;
            if !secret.contains("{tenant}") {
                return Err("auth: a per_tenant secret has `{tenant}` in its reference".to_owned());
            }
            Auth::PerTenant {
                name: header_name(&header)?,
                prefix,
                reference: secret,
            }
        }
    })
}
