//! A source as the operator configured it: its name, its connector, its folder and globs, how its files are
//! addressed, and what its last synchronisation left to tell.
//!
//! Two JSON values of the store's `sources` row go in and come out typed: the configuration, written by the
//! operator alone, and the state, written by the synchronisation alone.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::scan::Connector;
use crate::{
    store::Source,
    vocabulary::{TenantId, Timestamp},
};

/// Name of the source that `inbox_put` makes when the tenant has no inbox yet.
pub const INBOX_NAME: &str = "inbox";
/// The tenant of a store that one person uses; its inbox lies directly in the data folder.
const LOCAL_TENANT: &str = "local";
/// Longest name of a source: it stands in every search result.
const MAX_NAME_BYTES: usize = 64;

impl Connector {
    /// Every connector.
    pub const ALL: [Self; 3] = [Self::LocalFiles, Self::Obsidian, Self::Inbox];

    /// The word used in the store and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LocalFiles => "local_files",
            Self::Obsidian => "obsidian",
            Self::Inbox => "inbox",
        }
    }

    /// The connector of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|connector| connector.as_str() == word)
    }
}

/// What the operator decided about a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceConfig {
    /// The folder's absolute path; absent for the inbox that every tenant has by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Globs of files to read; none means all of a readable type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Globs of files and folders to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// How a source's last synchronisation went: the word in `sync_status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncState {
    /// There was none yet.
    #[default]
    Never,
    /// One is under way.
    Syncing,
    /// The index holds what the folder held then. Single files may have problems; they are listed.
    Ok,
    /// The folder as a whole could not be read; the index was left as it was.
    Error,
}

/// What the last synchronisation left to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceState {
    /// How it went.
    pub state: SyncState,
    /// When the last one that read the whole folder ended.
    pub last_sync: Option<Timestamp>,
    /// Problems of single files, or why the folder could not be read. Never an absolute path.
    pub errors: Vec<String>,
    /// Raised whenever chunks of this source changed: what was counted before is out of date.
    pub generation: u64,
}

/// A source of one tenant, typed.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// Its name, unique in the tenant.
    pub name: String,
    /// What reads it.
    pub connector: Connector,
    /// What the operator decided.
    pub config: SourceConfig,
    /// How its last synchronisation went.
    pub state: SourceState,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

impl SourceSpec {
    /// Reads a row of the store. A connector or configuration that this version cannot read is `None`: it
    /// belongs to a newer one, which alone may judge it.
    #[must_use]
    pub fn of(row: Source) -> Option<Self> {
        Some(Self {
            connector: Connector::parse(&row.kind)?,
            config: serde_json::from_value(row.config).ok()?,
            state: serde_json::from_value(row.state).unwrap_or_default(),
            name: row.id,
            updated_at: row.updated_at,
        })
    }

    /// Where its files are. `data` is the server's data folder.
    #[must_use]
    pub fn root(&self, data: &Path, tenant: &TenantId) -> PathBuf {
        match &self.config.folder {
            Some(folder) => PathBuf::from(folder),
            None => inbox_root(data, tenant),
        }
    }
}

/// Where a tenant's own inbox is: `inbox` in the data folder for the tenant of a one-person store, and a
/// folder of its own for every other, because a source is read with all that is below it.
#[must_use]
pub fn inbox_root(data: &Path, tenant: &TenantId) -> PathBuf {
    if tenant.as_str() == LOCAL_TENANT {
        data.join("inbox")
    } else {
        data.join("tenants").join(tenant.as_str()).join("inbox")
    }
}

/// Whether `name` can name a source: it is part of URIs and of log lines.
#[must_use]
pub fn is_source_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The address of a file in answers: `source://<source>/<path below its folder>`. It says where the file is
/// among the user's notes and nothing about the machine. Letters beyond ASCII stay as they are.
#[must_use]
pub fn uri(source: &str, path: &str) -> String {
    let mut uri = format!("source://{source}/");
    for c in path.chars() {
        if c.is_ascii_alphanumeric() || !c.is_ascii() || "-._~/!$&'()*+,;=:@".contains(c) {
            uri.push(c);
        } else {
            uri.push_str(&format!("%{:02X}", u32::from(c)));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_relative_and_escaped() {
        assert_eq!(uri("notes", "a b/ü#1?.md"), "source://notes/a%20b/ü%231%3F.md");
        assert_eq!(uri("notes", "100%.md"), "source://notes/100%25.md");
    }

    #[test]
    fn names_fit_into_addresses() {
        for good in ["notes", "my.vault-2_x", "A", "9"] {
            assert!(is_source_name(good), "{good}");
        }
        for bad in ["", ".hidden", "a b", "a/b", "ü", "-x", &"x".repeat(65)] {
            assert!(!is_source_name(bad), "{bad}");
        }
    }

    #[test]
    fn no_inbox_lies_inside_another() {
        let data = Path::new("/data");
        let tenants = ["local", "acme", "inbox", "tenants"].map(|name| TenantId::new(name).unwrap());
        for one in &tenants {
            for other in tenants.iter().filter(|other| *other != one) {
                let (one, other) = (inbox_root(data, one), inbox_root(data, other));
                assert!(!one.starts_with(&other), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_fresh_row_has_never_been_synchronised() {
        let state: SourceState = serde_json::from_str("{}").unwrap();
        assert_eq!(state.state, SyncState::Never);
        for connector in Connector::ALL {
            assert_eq!(Connector::parse(connector.as_str()), Some(connector));
        }
    }
}
