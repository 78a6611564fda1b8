//! Where secrets stand that neither the environment nor a file holds, judged.

use std::{path::PathBuf, time::Duration};

use http::HeaderValue;
use url::Url;

use super::{
    row::VaultRow,
    upstream::{SecretSource, address},
};

/// Longest use of a secret that was read, in seconds: one that was withdrawn is used no longer than that.
const LONGEST_CACHE_SECONDS: u64 = 24 * 60 * 60;
/// The field of a secret, when the reference names none.
const USUAL_FIELD: &str = "value";

/// A server with the interface of HashiCorp Vault's key-value store, version 2.
#[derive(Clone, Debug)]
pub struct Vault {
    /// Its address.
    pub base: Url,
    /// What opens it.
    pub token: SecretSource,
    /// The namespace that every look is in.
    pub namespace: Option<HeaderValue>,
    /// Whether private addresses and plain `http` are allowed.
    pub allow_private: bool,
    /// Authorities to trust besides the public ones.
    pub ca_file: Option<PathBuf>,
    /// How long a secret that was read is used.
    pub cache: Duration,
}

impl Vault {
    /// Judges a row.
    pub(in crate::catalogue) fn new(row: VaultRow) -> Result<Self, String> {
        let base = address("address", &row.address, row.allow_private)?;
        let token = SecretSource::parse(&row.token)?;
        if matches!(token, SecretSource::Vault(_)) {
            return Err("token: what opens the vault cannot stand in it".to_owned());
        }
        if row.cache_seconds == 0 || row.cache_seconds > LONGEST_CACHE_SECONDS {
            return Err(format!("cache_seconds: must be 1 to {LONGEST_CACHE_SECONDS}"));
        }
        let namespace = row.namespace.as_deref().map(HeaderValue::from_str).transpose();
        Ok(Self {
            base,
            token,
            namespace: namespace.map_err(|_| "namespace: not a header's value".to_owned())?,
            allow_private: row.allow_private,
            ca_file: row.ca_file,
            cache: Duration::from_secs(row.cache_seconds),
        })
    }
}

/// A secret's place: `secret/crm#token` is the field `token` of `crm` in the store mounted at `secret`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VaultPath {
    /// Where the store is mounted.
    pub mount: String,
    /// The secret's path in it.
    pub path: String,
    /// Its field.
    pub field: String,
}

impl VaultPath {
    /// Reads what stands behind `vault:`; `None` when it names no place.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (place, field) = text.split_once('#').unwrap_or((text, USUAL_FIELD));
        let (mount, path) = place.split_once('/')?;
        // `{tenant}` is filled in before the path is used.
        let plain = |segment: &str| {
            let all = segment
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.{}".contains(c));
            !segment.is_empty() && segment != "." && segment != ".." && all
        };
        let fits = plain(mount) && path.split('/').all(plain) && !field.is_empty();
        fits.then(|| Self {
            mount: mount.to_owned(),
            path: path.to_owned(),
            field: field.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_mount_path_and_field() {
        let place = |text: &str| VaultPath::parse(text).map(|p| (p.mount, p.path, p.field));
        let of = |mount: &str, path: &str, field: &str| {
            Some((mount.to_owned(), path.to_owned(), field.to_owned()))
        };
        assert_eq!(place("secret/crm#token"), of("secret", "crm", "token"));
        assert_eq!(place("kv/team/crm"), of("kv", "team/crm", "value"));
        for none in [
            "crm",
            "",
            "/crm",
            "secret/",
            "secret/../x",
            "secret/a b",
            "secret/crm#",
            "secret/a?b",
        ] {
            assert_eq!(place(none), None, "{none}");
        }
    }
}
