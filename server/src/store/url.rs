//! Where the store is and how it behaves: [`StoreUrl`] and [`StoreSettings`].
//!
//! A text from the configuration comes in, an engine's address goes out. The password inside a PostgreSQL
//! URL never reaches `Debug` or `Display`.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use super::StoreError;

/// The address of a store.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum StoreUrl {
    /// One SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL connection URL, password included.
    Postgres(String),
}

impl TryFrom<String> for StoreUrl {
    type Error = StoreError;
    fn try_from(text: String) -> Result<Self, StoreError> {
        text.parse()
    }
}

impl FromStr for StoreUrl {
    type Err = StoreError;

    /// Reads a file path, `sqlite://path` or `postgres://…`.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let url = Self::Postgres(text.to_owned());
            // Parsed here, so that a typo is told at start and not at the first call.
            return match text.parse::<tokio_postgres::Config>() {
                Ok(_) => Ok(url),
                Err(_) => Err(StoreError::BadUrl {
                    given: url.to_string(),
                }),
            };
        }
        let path = text
            .strip_prefix("sqlite://")
            .or_else(|| text.strip_prefix("sqlite:"))
            .unwrap_or(text);
        if path.is_empty() || path.contains("://") || path.contains('\0') || path == ":memory:" {
            return Err(StoreError::BadUrl {
                given: without_password(text),
            });
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
}

/// `scheme://user:secret@host/x?password=…` as `scheme://user:…@host/x`.
fn without_password(url: &str) -> String {
    let url = url.split_once('?').map_or(url, |(before, _)| before);
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let Some((login, host)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    let user = login.split_once(':').map_or(login, |(user, _)| user);
    if user == login {
        format!("{scheme}://{user}@{host}")
    } else {
        format!("{scheme}://{user}:…@{host}")
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

/// How a store behaves. Every number has a default that suits a server of its own.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// SQLite: threads that read, each with a connection of its own.
    pub readers: usize,
    /// PostgreSQL: most connections held open.
    pub connections: usize,
    /// Longest wait for a lock that another process or transaction holds.
    pub lock_timeout: Duration,
    /// PostgreSQL: longest time one statement may take.
    pub statement_timeout: Duration,
    /// Longest time an audit row whose caller does not wait stays uncommitted (design.md D9).
    pub audit_linger: Duration,
    /// Most audit rows queued without a commit; then [`super::Store::append_audit`] waits.
    pub audit_queue: usize,
    /// Most writes (and, apart from them, reads) queued; then callers wait before they are queued.
    pub work_queue: usize,
    /// How often changes by other processes are looked for. At most 250 ms keeps the promise of D10.
    pub poll: Duration,
    /// SQLite: files up to this many bytes are checked whole at start, larger ones only in the tables
    /// that decide over access.
    pub full_check_bytes: u64,
    /// SQLite: the file never grows beyond this many bytes. `None`: the disk is the limit.
    pub most_bytes: Option<u64>,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            readers: 3,
            connections: 16,
            lock_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            audit_linger: Duration::from_millis(20),
            audit_queue: 8192,
            work_queue: 1024,
            poll: Duration::from_millis(200),
            // A quick check reads about 1 GB/s from the page cache: 8 MB cost some 8 ms of the start.
            full_check_bytes: 8 << 20,
            most_bytes: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_passwords_are_hidden() {
        for text in ["data/fb.db", "sqlite://data/fb.db", "sqlite:data/fb.db"] {
            assert_eq!(
                text.parse::<StoreUrl>().unwrap(),
                StoreUrl::Sqlite(PathBuf::from("data/fb.db"))
            );
        }
        let url: StoreUrl = "postgres://ada:hunter2@db.example/fb?sslmode=disable"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "postgres://ada:…@db.example/fb");
        assert!(!format!("{url:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_store_is_refused_without_its_password() {
        for bad in [
            "",
            "mysql://root:pw@host/x",
            "sqlite://",
            ":memory:",
            "postgres://u:pw@h:notaport/x",
        ] {
            let error = bad.parse::<StoreUrl>().unwrap_err();
            assert!(matches!(error, StoreError::BadUrl { .. }), "{bad}");
            assert!(!error.to_string().contains("pw"), "{error}");
        }
    }
}
