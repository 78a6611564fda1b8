//! The file a sign-in is kept in, and the lock that lets one process at a time work on it (protocol.md C-08, C-11).
//!
//! Several clients start a bridge each for the same server; they share one file. It is replaced as a whole, so a reader sees
//! the old or the new one. The lock lies in a file of its own beside it and ends with its process.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Trouble;
use super::random;
use super::saved::Saved;
use crate::brand;
use crate::log;

/// Larger than any file of ours.
const FILE_BYTES: u64 = 1 << 20;
/// How often a lock that another process holds is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Where one server's sign-in is kept.
pub(super) struct Store {
    server: String,
    /// `None`: there is no place for files, so it lives as long as the process.
    path: Option<PathBuf>,
    /// Nothing can be written there: what is kept is in memory alone.
    is_barred: AtomicBool,
    memory: Mutex<Saved>,
}

/// The right to work on the sign-in, until dropped.
pub(super) struct Lock {
    held: Option<Held>,
}

/// A lock's own file, held, and where it and the sign-in are.
struct Held {
    _file: File,
    path: PathBuf,
    kept: PathBuf,
}

impl Drop for Lock {
    /// A sign-in that was sought in vain leaves nothing behind.
    fn drop(&mut self) {
        // Elsewhere a file cannot be known again by those who have waited for it.
        if cfg!(unix)
            && let Some(held) = &self.held
            && !held.kept.exists()
        {
            // Still held: whoever waits finds the file gone, and makes another. If it stays, it is as it was.
            let _ = std::fs::remove_file(&held.path);
        }
    }
}

impl Store {
    /// The store of `server` below `directory`. Nothing is touched yet.
    pub(super) fn new(server: String, directory: Option<PathBuf>) -> Store {
        let path = directory.map(|directory| {
            let digest = ring::digest::digest(&ring::digest::SHA256, server.as_bytes());
            let name: String = digest
                .as_ref()
                .iter()
                .take(12)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            directory.join(format!("sign-in-{name}.json"))
        });
        Store {
            server,
            path,
            is_barred: AtomicBool::new(false),
            memory: Mutex::default(),
        }
    }

    /// Says whether what is kept outlives the process.
    pub(super) fn is_lasting(&self) -> bool {
        self.path.is_some()
    }

    /// What is kept. A file that cannot be trusted is set aside, with a word about it.
    pub(super) fn load(&self) -> Saved {
        let Some(path) = self
            .path
            .as_ref()
            .filter(|_| !self.is_barred.load(Ordering::Relaxed))
        else {
            return self.memory().clone();
        };
        let cause = match read(path) {
            Ok(text) => match Saved::parse(&text, &self.server) {
                Some(saved) => return saved,
                None => "it is damaged".to_owned(),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Saved::default(),
            Err(error) => error.to_string(),
        };
        let aside = path.with_extension("json.unusable");
        let moved = std::fs::rename(path, &aside);
        log::warn(format_args!(
            "the kept sign-in `{}` is not used: {cause}{}",
            path.display(),
            if moved.is_ok() { ". It was set aside" } else { "" }
        ));
        Saved::default()
    }

    /// Keeps `saved` in the place of what was kept. What cannot be written stays in this process.
    pub(super) fn save(&self, saved: &Saved) {
        *self.memory() = saved.clone();
        let Some(path) = &self.path else { return };
        if let Err(error) = replace(path, saved.to_text(&self.server).as_bytes()) {
            self.is_barred.store(true, Ordering::Relaxed);
            log::warn(format_args!(
                "the sign-in could not be kept in `{}` ({error}); it ends with this process",
                path.display()
            ));
        }
    }

    /// Forgets everything.
    pub(super) fn remove(&self) -> io::Result<()> {
        *self.memory() = Saved::default();
        match self.path.as_ref().map(std::fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits until no other process works on the sign-in, at most until `deadline`. Without files there is nobody to wait
    /// for.
    pub(super) async fn lock(&self, deadline: Instant) -> Result<Lock, Trouble> {
        let Some(kept) = &self.path else {
            return Ok(Lock { held: None });
        };
        let path = kept.with_extension("lock");
        let mut told = false;
        loop {
            // Opened anew each time: whoever had it may have removed it.
            let file = match open_lock(&path) {
                Ok(file) => file,
                Err(error) => {
                    log::debug(format_args!("no lock for the sign-in: {error}"));
                    return Ok(Lock { held: None });
                }
            };
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => {
                    let held = Held {
                        _file: file,
                        path,
                        kept: kept.clone(),
                    };
                    return Ok(Lock { held: Some(held) });
                }
                // Removed between the opening and the lock.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    if !told {
                        log::info(format_args!("waiting for the sign-in of another process"));
                        told = true;
                    }
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Trouble::Failed(
                        "Another process is still waiting for the sign-in in the browser. Finish it there"
                            .to_owned(),
                    ));
                }
                // Some file systems know no locks.
                Err(TryLockError::Error(error)) => {
                    log::debug(format_args!("no lock for the sign-in: {error}"));
                    return Ok(Lock { held: None });
                }
            }
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Saved> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The directory for data of this user's programs, and in it ours. `None` if the environment names none.
pub(super) fn directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = if cfg!(windows) {
        path("LOCALAPPDATA")?
    } else if cfg!(target_os = "macos") {
        path("HOME")?.join("Library/Application Support")
    } else {
        path("XDG_DATA_HOME").or_else(|| Some(path("HOME")?.join(".local/share")))?
    };
    Some(base.join(brand::NAME))
}

fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let facts = file.metadata()?;
    if !facts.is_file() || facts.len() > FILE_BYTES {
        return Err(io::Error::other("it is no file of ours"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if facts.permissions().mode() & 0o077 != 0 {
            return Err(io::Error::other("others than its owner have access to it"));
        }
    }
    let mut text = String::new();
    file.take(FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a new file and puts it in the place of the old one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    make_directory(directory)?;
    let suffix = random::text(9).map_err(io::Error::other)?;
    let new = path.with_extension(format!("{suffix}.new"));
    let written = private(OpenOptions::new().write(true).create_new(true))
        .open(&new)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

fn open_lock(path: &Path) -> io::Result<File> {
    make_directory(path.parent().unwrap_or(Path::new(".")))?;
    private(OpenOptions::new().write(true).create(true).truncate(false)).open(path)
}

/// Whether an open file is the one of that name now.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |facts: std::fs::Metadata| (facts.dev(), facts.ino());
    let open = file.metadata().map(identity);
    let named = std::fs::metadata(path).map(identity);
    matches!((open, named), (Ok(open), Ok(named)) if open == named)
}

/// Nothing is removed there.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::super::saved::{Client, ClientAuth};
    use super::*;

    fn filled() -> Saved {
        let mut saved = Saved::default();
        saved.set_client(Client {
            issuer: "https://a".to_owned(),
            id: "id".to_owned(),
            secret: None,
            method: ClientAuth::None,
            port: None,
        });
        saved
    }

    fn store(directory: &Path) -> Store {
        Store::new("https://h/mcp".to_owned(), Some(directory.join("x/y")))
    }

    #[cfg(unix)]
    #[test]
    fn c11_only_the_owner_has_access() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        store.save(&filled());
        let path = store.path.clone().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing is left behind"
        );
        assert_eq!(store.load().clients.len(), 1);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(
            store.load().clients.is_empty(),
            "what others could write is not trusted"
        );
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        store.save(&filled());
        let path = store.path.clone().unwrap();
        std::fs::write(&path, "{").unwrap();
        assert!(store.load().clients.is_empty());
        assert!(!path.exists() && path.with_extension("json.unusable").exists());
    }

    #[test]
    fn a_place_that_cannot_be_written_to_costs_nothing_but_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("x"), "a file where a directory should be").unwrap();
        let store = store(directory.path());
        store.save(&filled());
        assert_eq!(store.load().clients.len(), 1);
    }

    #[test]
    fn c08_each_server_has_a_file_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        store(directory.path()).save(&filled());
        let other = Store::new("https://other/mcp".to_owned(), Some(directory.path().join("x/y")));
        assert!(other.load().clients.is_empty());
    }

    #[tokio::test]
    async fn one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        let deadline = Instant::now();
        let first = store.lock(deadline).await.unwrap();
        assert!(store.lock(deadline).await.is_err());
        drop(first);
        assert!(store.lock(deadline).await.is_ok());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_was_sought_in_vain_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        let path = store.path.clone().unwrap();
        let files = || std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        let waiting = Instant::now() + Duration::from_secs(20);
        let first = store.lock(waiting).await.unwrap();
        assert_eq!(files(), 1);
        // Whoever waits meanwhile has the lock after, and not one of a file that is gone.
        let second = store.lock(waiting);
        tokio::pin!(second);
        tokio::select! {
            _ = &mut second => panic!("two at a time"),
            () = tokio::time::sleep(LOCK_PAUSE * 2) => drop(first),
        }
        let second = second.await.unwrap();
        assert!(store.lock(Instant::now()).await.is_err());
        store.save(&filled());
        drop(second);
        assert_eq!(files(), 2, "the sign-in and its lock");
        store.remove().unwrap();
        drop(store.lock(waiting).await.unwrap());
        assert_eq!(files(), 0);
    }

    #[test]
    fn the_place_follows_the_environment() {
        let of = |variables: &'static [(&'static str, &'static str)]| {
            directory(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            })
        };
        assert_eq!(of(&[]), None);
        if cfg!(target_os = "linux") {
            assert_eq!(
                of(&[("HOME", "/h")]),
                Some(PathBuf::from("/h/.local/share/footbridge"))
            );
            assert_eq!(
                of(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d")]),
                Some(PathBuf::from("/d/footbridge"))
            );
            assert_eq!(
                of(&[("HOME", "h"), ("XDG_DATA_HOME", "d")]),
                None,
                "relative paths mean nothing"
            );
        }
    }
}
