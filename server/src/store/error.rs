//! What can go wrong in the store, ordered by who can fix it: the caller, the operator, us.
//!
//! Engine errors come in; one of these goes out, with a text that names the fix. No text ever holds a
//! password or a row's content.

use std::{path::PathBuf, sync::Arc};

/// Why the store refused or failed.
///
/// It is `Clone` because one failed commit is the answer to every caller whose work was in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    // -- the caller can fix these --------------------------------------------------------------------
    /// A row of that identity exists, or the row changed since it was read.
    #[error("{what} is already taken or was changed in the meantime")]
    Conflict {
        /// Which identity, e.g. `user ada@example.test`.
        what: String,
    },
    /// A value does not fit what the store accepts.
    #[error("{what}")]
    Invalid {
        /// What does not fit, and what would.
        what: String,
    },
    /// The database undid the transaction in favour of another one (deadlock, serialization). Nothing was
    /// written; the same work may run again.
    #[error("another transaction was in the way and nothing was written: run it again")]
    Contended,

    // -- the operator can fix these ------------------------------------------------------------------
    /// The store's address cannot be read.
    #[error("`{given}` is not a store: give a file path, sqlite://path or postgres://user@host/database")]
    BadUrl {
        /// What was given, without its password.
        given: String,
    },
    /// The folder of the database file is missing and could not be made.
    #[error("the folder {} does not exist and cannot be created: create it, or choose another store path", path.display())]
    FolderMissing {
        /// The folder.
        path: PathBuf,
    },
    /// File or folder may not be written by this user.
    #[error("{} is not writable: let the server's user write the file and its folder", path.display())]
    NotWritable {
        /// The file or folder.
        path: PathBuf,
    },
    /// The file is not an SQLite database.
    #[error("{} is not a database: move the file away, or restore a backup over it", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database belongs to another program.
    #[error("{name} holds tables of another program: choose another store")]
    Foreign {
        /// File or database name.
        name: String,
    },
    /// The integrity check failed.
    #[error("{} is damaged ({detail}): stop the server and restore a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// First line of the check's answer.
        detail: String,
    },
    /// A newer version of this program has migrated the store.
    #[error(
        "the store has schema version {found}, this program knows up to {known}: start the newer version, or restore the backup made before the upgrade"
    )]
    Newer {
        /// Version found in the store.
        found: i32,
        /// Newest version this program can use.
        known: i32,
    },
    /// Another process holds the database's lock.
    #[error("the database is locked by another process: close the program that holds it open")]
    Locked,
    /// The database cannot be written at all.
    #[error("the store is read-only: check the file's permissions and the mount, or point at the primary")]
    ReadOnly,
    /// No space left.
    #[error("no space is left for the store: free disk space, nothing was written")]
    DiskFull,
    /// The disk or its driver failed.
    #[error("the disk refused a read or write ({detail}): check the volume, nothing was acknowledged")]
    Io {
        /// What the operating system or SQLite said.
        detail: String,
    },
    /// PostgreSQL does not answer.
    #[error(
        "PostgreSQL at {host} cannot be reached ({detail}): check that it runs and that the address is right"
    )]
    Unreachable {
        /// Host and port, or socket folder.
        host: String,
        /// The system's words.
        detail: String,
    },
    /// PostgreSQL refused user or password.
    #[error("PostgreSQL refused the login ({detail}): check user, password and pg_hba.conf")]
    LoginRefused {
        /// PostgreSQL's words; they never hold the password.
        detail: String,
    },
    /// The database named in the URL does not exist.
    #[error("the PostgreSQL database does not exist ({detail}): create it with createdb")]
    NoDatabase {
        /// PostgreSQL's words.
        detail: String,
    },
    /// PostgreSQL is older than supported.
    #[error("PostgreSQL {found} is too old: 15 or newer is needed")]
    TooOld {
        /// The version found.
        found: String,
    },
    /// PostgreSQL does not confirm commits durably.
    #[error("PostgreSQL ignores synchronous_commit=on (it is `{found}`): remove the override for this role")]
    NotDurable {
        /// The setting found.
        found: String,
    },
    /// A statement or the wait for a connection took longer than allowed.
    #[error("the store took too long ({what}): it is overloaded or blocked")]
    TimedOut {
        /// Which limit was reached.
        what: String,
    },
    /// The connection broke while the commit was under way.
    #[error("the connection broke during the commit: whether it took effect is unknown")]
    OutcomeUnknown,
    /// Writes are refused until the store works again.
    #[error("the store refuses writes at present ({reason})")]
    Refusing {
        /// Why, in the words of the first failure.
        reason: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,

    // -- we must fix these ---------------------------------------------------------------------------
    /// Migrating failed half-way and was undone.
    #[error("failed to migrate the store: {0}")]
    Migration(String),
    /// A row does not look as it must.
    #[error("a stored row is not readable: {0}")]
    Row(String),
    /// The work given to the store broke its rules (panicked, or awaited something else).
    #[error("the transaction's work {0}")]
    Work(&'static str),
    /// Anything SQLite says that is not listed above.
    #[error("SQLite failed")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// Anything PostgreSQL says that is not listed above.
    #[error("PostgreSQL failed")]
    Postgres(#[source] Arc<tokio_postgres::Error>),
}

impl StoreError {
    /// Shorthand for a taken identity.
    pub(crate) fn conflict(what: impl Into<String>) -> Self {
        Self::Conflict { what: what.into() }
    }

    /// Whether the operator has to act (or the outside world to recover) before writes can work again.
    /// Such an error turns the store unhealthy until a write succeeds.
    pub fn is_outage(&self) -> bool {
        use StoreError as E;
        matches!(
            self,
            E::NotWritable { .. }
                | E::NotADatabase { .. }
                | E::Damaged { .. }
                | E::Locked
                | E::ReadOnly
                | E::DiskFull
                | E::Io { .. }
                | E::Unreachable { .. }
                | E::LoginRefused { .. }
                | E::NoDatabase { .. }
                | E::TimedOut { .. }
                | E::OutcomeUnknown
                | E::Refusing { .. }
                | E::Closed
        )
    }

    /// Whether nothing was written and the same work may simply run again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Contended)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as C;
        let Some(failure) = error.sqlite_error() else {
            return Self::Sqlite(Arc::new(error));
        };
        match failure.code {
            C::DatabaseBusy | C::DatabaseLocked => Self::Locked,
            C::ReadOnly | C::PermissionDenied => Self::ReadOnly,
            C::DiskFull => Self::DiskFull,
            C::SystemIoFailure | C::CannotOpen => Self::Io {
                detail: error.to_string(),
            },
            C::NotADatabase => Self::NotADatabase {
                path: PathBuf::from("the database file"),
            },
            C::DatabaseCorrupt => Self::Damaged {
                path: PathBuf::from("the database file"),
                detail: error.to_string(),
            },
            C::ConstraintViolation if matches!(failure.extended_code, 1555 | 2067 | 2579) => {
                // SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE, _ROWID. The text names columns, never values.
                Self::conflict("a row with the same identity")
            }
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(told) = error.as_db_error() else {
            let detail =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            return if error.is_closed() || is_io(&error) {
                Self::Unreachable {
                    host: "the configured address".into(),
                    detail,
                }
            } else {
                Self::Postgres(Arc::new(error))
            };
        };
        let detail = told.message().to_owned();
        match told.code().code() {
            "28P01" | "28000" => Self::LoginRefused { detail },
            "3D000" => Self::NoDatabase { detail },
            "23505" => Self::conflict("a row with the same identity"),
            "40001" | "40P01" => Self::Contended,
            "25006" => Self::ReadOnly,
            "53100" => Self::DiskFull,
            "55P03" => Self::TimedOut {
                what: "lock_timeout".into(),
            },
            "57014" => Self::TimedOut {
                what: "statement_timeout".into(),
            },
            "25P03" => Self::TimedOut {
                what: "idle_in_transaction_session_timeout".into(),
            },
            "53300" => Self::TimedOut {
                what: "PostgreSQL has no connection left".into(),
            },
            "58030" => Self::Io { detail },
            code if code.starts_with("08") || code.starts_with("57P") => Self::Unreachable {
                host: "the configured address".into(),
                detail,
            },
            _ => Self::Postgres(Arc::new(error)),
        }
    }
}

/// A failed migration with every cause underneath, because its own text stops at `db error`.
pub(crate) fn migration_failed(error: &refinery::Error) -> StoreError {
    let mut told = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        told = format!("{told}: {cause}");
        source = cause.source();
    }
    StoreError::Migration(told)
}

/// Whether the cause underneath is the network or the socket.
fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<std::io::Error>() {
            return true;
        }
        source = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(code: i32) -> StoreError {
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into()
    }

    #[test]
    fn sqlite_codes_become_texts_that_name_the_fix() {
        for (code, words) in [
            (rusqlite::ffi::SQLITE_BUSY, "locked by another process"),
            (rusqlite::ffi::SQLITE_READONLY, "read-only"),
            (rusqlite::ffi::SQLITE_FULL, "free disk space"),
            (rusqlite::ffi::SQLITE_NOTADB, "not a database"),
            (rusqlite::ffi::SQLITE_CORRUPT, "restore a backup"),
            (rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE, "already taken"),
        ] {
            assert!(
                sqlite(code).to_string().contains(words),
                "{code}: {}",
                sqlite(code)
            );
        }
    }

    #[test]
    fn only_outages_stop_writes() {
        assert!(sqlite(rusqlite::ffi::SQLITE_FULL).is_outage());
        assert!(!sqlite(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE).is_outage());
        assert!(!StoreError::Work("panicked").is_outage());
        assert!(StoreError::Contended.is_retryable());
    }
}
