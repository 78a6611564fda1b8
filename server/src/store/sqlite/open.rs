//! From a path to a migrated, checked database file, or a refusal that names the fix.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, backup::Backup};

use super::SqliteConnection;
use crate::store::{StoreError, StoreSettings, error::migration_failed};

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

/// Marks a file as ours ("FtBr"), so that another program's database is never migrated.
const APPLICATION_ID: i32 = 0x4674_4272;

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
    /// Reads a few rows by their keys.
    Lookup,
}

/// For pages that are read once.
const PASSING_CACHE_KIB: u32 = 128;

impl Role {
    /// Pages are cached per connection. The kernel caches the file as well; a few MB hold the upper levels of every tree.
    fn cache_kib(self) -> u32 {
        match self {
            Self::Writer => 4096,
            Self::Reader => 2048,
            Self::Lookup => 1024,
        }
    }
}

fn set_cache(raw: &Connection, kib: u32) -> Result<(), StoreError> {
    Ok(raw.execute_batch(&format!("PRAGMA cache_size = -{kib}"))?)
}

/// Opens the file for writing: creates, checks, backs up and migrates it.
pub(super) fn open(path: &Path, settings: &StoreSettings) -> Result<SqliteConnection, StoreError> {
    prepare_file(path)?;
    let named = |error| name_path(error, path);
    let _alone = lock_opening(path, settings.lock_timeout)?;
    let mut raw = connect(path, settings, Role::Writer).map_err(named)?;
    // What follows reads every page once. None of it is needed again, so it is not what the cache begins with.
    set_cache(&raw, PASSING_CACHE_KIB).map_err(named)?;
    if raw.is_readonly("main").map_err(|e| named(e.into()))? {
        return Err(StoreError::NotWritable {
            path: path.to_owned(),
        });
    }
    check(&raw, path, settings).map_err(named)?;
    migrate(&mut raw, path).map_err(named)?;
    set_cache(&raw, Role::Writer.cache_kib()).map_err(named)?;
    Ok(SqliteConnection::new(raw, Arc::default()))
}

/// Lets one process at a time make, check and migrate a file: changing to WAL, and a file that is half made, are
/// states that a second one must not meet. The lock is on a file beside it, because closing any handle of the
/// database itself would drop the locks that SQLite holds in this process. It ends with the handle.
fn lock_opening(path: &Path, limit: Duration) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&name).map_err(|_| StoreError::NotWritable {
        path: PathBuf::from(&name),
    })?;
    let deadline = Instant::now() + limit;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked),
            Err(TryLockError::Error(error)) => {
                return Err(StoreError::Io {
                    detail: error.to_string(),
                });
            }
        }
    }
}

/// Opens one connection to an existing file.
pub(super) fn connect(path: &Path, settings: &StoreSettings, role: Role) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let raw = Connection::open_with_flags(path, flags)?;
    raw.busy_timeout(settings.lock_timeout)?;
    raw.set_prepared_statement_cache_capacity(256);
    raw.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;")?;
    set_cache(&raw, role.cache_kib())?;
    if role == Role::Writer {
        let mode: String = raw.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            // Only network file systems and read-only media refuse WAL.
            return Err(StoreError::Io {
                detail: format!("WAL is refused, journal mode stays {mode}"),
            });
        }
        // FULL: a commit that was answered survives a power cut (design.md D21).
        // 2000 pages of 4 KiB: a checkpoint moves at most some 8 MB and stays in the low milliseconds.
        raw.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 33554432;",
        )?;
        if let Some(bytes) = settings.most_bytes {
            let page: u64 = raw
                .query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0))?
                .unsigned_abs();
            raw.execute_batch(&format!("PRAGMA max_page_count = {}", bytes / page.max(512)))?;
        }
    }
    if role != Role::Writer {
        raw.execute_batch("PRAGMA query_only = ON")?;
    }
    Ok(raw)
}

/// Makes the folder (0700) and the file (0600). SQLite gives its -wal and -shm files the same mode.
fn prepare_file(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let refused = |path: &Path| StoreError::NotWritable {
        path: path.to_owned(),
    };
    if !folder.is_dir() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|_| StoreError::FolderMissing {
            path: folder.to_owned(),
        })?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(_) if path.is_dir() => {
            return Err(StoreError::NotADatabase {
                path: path.to_owned(),
            });
        }
        Err(_) if path.exists() => return Err(refused(path)),
        Err(_) => return Err(refused(folder)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let meta = file.metadata().map_err(|_| refused(path))?;
        let mode = meta.permissions().mode() & 0o777;
        // Only ever narrows: a file the owner made read-only stays so.
        if mode & 0o077 != 0 {
            let narrowed = std::fs::Permissions::from_mode(mode & 0o700);
            file.set_permissions(narrowed).map_err(|_| refused(path))?;
        }
    }
    drop(file);
    Ok(())
}

/// Refuses what is not ours or is damaged.
fn check(raw: &Connection, path: &Path, settings: &StoreSettings) -> Result<(), StoreError> {
    let application: i32 = raw.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = raw.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 && application == 0 {
        return Ok(());
    }
    if application != APPLICATION_ID {
        return Err(StoreError::Foreign {
            name: path.display().to_string(),
        });
    }
    let bytes = std::fs::metadata(path).map_or(0, |meta| meta.len());
    // A check of everything takes seconds per gigabyte. Past the limit only the tables that decide who may
    // do what are checked; `backup` and `PRAGMA integrity_check` remain for the rest.
    let checks: &[&str] = if bytes <= settings.full_check_bytes {
        &["PRAGMA quick_check(1)"]
    } else {
        &[
            "PRAGMA quick_check(tenants)",
            "PRAGMA quick_check(api_keys)",
            "PRAGMA quick_check(audit_heads)",
        ]
    };
    for check in checks {
        let detail: String = raw.query_row(check, [], |row| row.get(0))?;
        if detail != "ok" {
            let detail = detail.lines().next().unwrap_or_default().to_owned();
            return Err(StoreError::Damaged {
                path: path.to_owned(),
                detail,
            });
        }
    }
    Ok(())
}

fn version(raw: &Connection) -> Result<Option<i32>, StoreError> {
    let known: i64 = raw.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'refinery_schema_history'",
        [],
        |row| row.get(0),
    )?;
    if known == 0 {
        return Ok(None);
    }
    Ok(
        raw.query_row("SELECT max(version) FROM refinery_schema_history", [], |row| {
            row.get(0)
        })?,
    )
}

/// The newest schema this program knows.
pub(super) fn newest() -> i32 {
    let migrations = embedded::migrations::runner()
        .get_migrations()
        .iter()
        .map(refinery::Migration::version)
        .max();
    migrations.unwrap_or(0)
}

fn migrate(raw: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let known = newest();
    match version(raw)? {
        Some(found) if found > known => return Err(StoreError::Newer { found, known }),
        Some(found) if found == known => return Ok(()),
        Some(found) => backup_of(raw, &backup_name(path, found))?,
        None => {}
    }
    raw.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}"))?;
    embedded::migrations::runner()
        .run(raw)
        .map(drop)
        .map_err(|error| migration_failed(&error))
}

/// `store.db` as `store.db.backup-v3`.
fn backup_name(path: &Path, version: i32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".backup-v{version}"));
    PathBuf::from(name)
}

/// Copies a backup beside the store that it is to replace, once it is found whole.
pub(in crate::store) fn stage(from: &Path, staged: &Path) -> Result<(), StoreError> {
    let named = |error| name_path(error, from);
    if !from.is_file() {
        return Err(StoreError::Invalid {
            what: format!("{} is no file", from.display()),
        });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let raw = Connection::open_with_flags(from, flags).map_err(|e| named(e.into()))?;
    let whole = || -> Result<(i32, String), rusqlite::Error> {
        let application = raw.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        Ok((
            application,
            raw.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?,
        ))
    };
    let (application, detail) = whole().map_err(|e| named(e.into()))?;
    if application != APPLICATION_ID {
        return Err(StoreError::Foreign {
            name: from.display().to_string(),
        });
    }
    if detail != "ok" {
        return Err(StoreError::Damaged {
            path: from.to_owned(),
            detail: detail.lines().next().unwrap_or_default().to_owned(),
        });
    }
    backup_of(&raw, staged)
}

/// Puts `staged` in the place of the store at `path`, and gives the name under which the old one is kept. `suffix` makes
/// that name.
pub(in crate::store) fn swap(
    staged: &Path,
    path: &Path,
    suffix: &str,
    limit: Duration,
) -> Result<Option<PathBuf>, StoreError> {
    // Whoever wants to open the store waits at this lock until it is the new one.
    let _alone = lock_opening(path, limit)?;
    let io = |e: std::io::Error| StoreError::Io {
        detail: e.to_string(),
    };
    let mut kept = None;
    if path.exists() {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let old = Connection::open_with_flags(path, flags)?;
        // Leaving WAL mode takes a store that nobody else has open, and folds the log into the file, so that the file
        // which is kept is whole by itself. What is no database any more is kept as it is.
        let left: Result<String, _> = old.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0));
        match left {
            Ok(mode) if mode == "delete" => {}
            Ok(_) => return Err(StoreError::Locked),
            Err(error) => match StoreError::from(error) {
                StoreError::Locked => return Err(StoreError::Locked),
                reason => {
                    tracing::warn!(error = %reason, "the store that is replaced cannot be read; it is kept as it is");
                }
            },
        }
        drop(old);
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let name = PathBuf::from(name);
        std::fs::rename(path, &name).map_err(io)?;
        kept = Some(name);
    }
    for end in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        // Usually gone already; one that stayed would be read as part of the new file.
        match std::fs::remove_file(&name) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io(e)),
            _ => {}
        }
    }
    std::fs::rename(staged, path).map_err(io)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io)?;
    }
    Ok(kept)
}

/// Copies the database at `from` into a new file while others use it.
pub(super) fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    let raw = Connection::open_with_flags(
        from,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    raw.busy_timeout(Duration::from_secs(5))?;
    if to.exists() {
        return Err(StoreError::Invalid {
            what: format!(
                "{} exists already: name a new file, or move that one away",
                to.display()
            ),
        });
    }
    backup_of(&raw, to)
}

fn backup_of(raw: &Connection, to: &Path) -> Result<(), StoreError> {
    // Written beside the target and renamed, so that a half copy never carries the final name.
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let _ = std::fs::remove_file(&partial);
    prepare_file(&partial)?;
    {
        let mut target = Connection::open(&partial)?;
        // All pages in one step: the copy is one snapshot, and in WAL mode it holds up no writer.
        let copy = Backup::new(raw, &mut target)?;
        copy.run_to_completion(i32::MAX, Duration::from_millis(50), None)?;
    }
    // The bytes first, then the name: a crash leaves either no backup or a whole one.
    let moved = std::fs::File::open(&partial)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(&partial, to));
    moved.map_err(|e| StoreError::Io {
        detail: e.to_string(),
    })
}

/// Errors made from SQLite's codes do not know the file; this puts its name in.
fn name_path(error: StoreError, file: &Path) -> StoreError {
    match error {
        StoreError::NotADatabase { .. } => StoreError::NotADatabase {
            path: file.to_owned(),
        },
        StoreError::Damaged { detail, .. } => StoreError::Damaged {
            path: file.to_owned(),
            detail,
        },
        StoreError::ReadOnly => StoreError::NotWritable {
            path: file.to_owned(),
        },
        other => other,
    }
}
