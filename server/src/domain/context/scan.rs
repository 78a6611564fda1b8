//! Walks a source's folder: a root and what the index remembers in, files that changed out, one at a time.
//!
//! The root comes from the operator's configuration; everything below it is a stranger's. The walk goes
//! through directory handles, so no name can lead out of the root. Symbolic links, hard links and devices
//! are refused, at the open and not by a check before it; bytes, depth and count are capped (security.md F1).
//! Whatever is wrong with one file is reported as that file's [`Problem`] and the walk goes on.
//!
//! Names that begin with a dot are skipped in every connector: `.obsidian`, `.git`, `.env` and the inbox's
//! own temporary files are settings, history and secrets, not notes.

use std::path::Path;
use std::time::{Duration, SystemTime};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::blocks::TextType;

mod read;
mod walk;

pub use walk::Scan;

/// Where a source's files come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connector {
    /// Any folder.
    LocalFiles,
    /// A vault: wikilinks and inline tags mean something.
    Obsidian,
    /// The folder agents write to with `inbox_put`.
    Inbox,
}

/// Caps of one walk. What lies beyond a cap is reported and left out.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Files of a readable type in one source.
    pub files: usize,
    /// Directory entries of any kind looked at.
    pub entries: usize,
    /// Folders below the root.
    pub depth: usize,
    /// Bytes of one file.
    pub file_bytes: u64,
}

impl Default for Limits {
    /// 100 000 files of at most 5 MiB (catalogue.md §7.1), a million entries, 32 levels: each level holds a
    /// directory handle open, and processes commonly get 1 024.
    fn default() -> Self {
        Self {
            files: 100_000,
            entries: 1_000_000,
            depth: 32,
            file_bytes: 5 * 1024 * 1024,
        }
    }
}

/// Which files of a source are read.
#[derive(Debug, Clone)]
pub struct Filter {
    include: GlobSet,
    exclude: GlobSet,
    all: bool,
}

impl Filter {
    /// Builds a filter from globs over the path below the root, with `/` on every system. `*` stays within
    /// one folder, `**` crosses them. No include glob means every file; an exclude glob wins.
    ///
    /// # Errors
    /// [`ScanError::Glob`] with the glob that cannot be read.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, ScanError> {
        Ok(Self {
            include: glob_set(include)?,
            exclude: glob_set(exclude)?,
            all: include.is_empty(),
        })
    }

    fn takes(&self, path: &str) -> bool {
        (self.all || self.include.is_match(path)) && !self.exclude.is_match(path)
    }

    /// Whether a folder is left out as a whole: `drafts/**` need not be walked to exclude all of it.
    fn prunes(&self, folder: &str) -> bool {
        self.exclude.is_match(folder) || self.exclude.is_match(format!("{folder}/"))
    }
}

fn glob_set(globs: &[String]) -> Result<GlobSet, ScanError> {
    let unreadable = |glob: &str, source| ScanError::Glob {
        glob: glob.to_owned(),
        source,
    };
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(
            GlobBuilder::new(glob)
                .literal_separator(true)
                .build()
                .map_err(|source| unreadable(glob, source))?,
        );
    }
    set.build().map_err(|source| unreadable("", source))
}

/// Why a source cannot be scanned at all. Said to operators, so paths appear in full.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A glob of the configuration makes no sense.
    #[error("glob `{glob}` cannot be read")]
    Glob {
        /// As written.
        glob: String,
        /// What is wrong with it.
        source: globset::Error,
    },
    /// The root is missing.
    #[error("folder `{path}` does not exist")]
    Missing {
        /// The root.
        path: String,
    },
    /// The root is a file.
    #[error("`{path}` is not a folder")]
    NotAFolder {
        /// The root.
        path: String,
    },
    /// The root cannot be opened or listed.
    #[error("folder `{path}` cannot be read")]
    Unreadable {
        /// The root.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Size and time of a file: equal ones mean that it need not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last change, nanoseconds since 1970; 0 when it says nothing (see `Stamp::of`).
    pub modified_ns: i64,
}

/// A file changed this recently may change again without its time moving on: some file systems count in
/// steps of two seconds.
const UNSETTLED: Duration = Duration::from_secs(2);

impl Stamp {
    /// The stamp of a file seen at `now`. A time that is not settled yet becomes 0, which equals no later
    /// stamp, so the next scan reads the file again.
    fn of(size: u64, modified: SystemTime, now: SystemTime) -> Self {
        let settled = now.duration_since(modified).is_ok_and(|age| age > UNSETTLED);
        Self {
            size,
            modified_ns: if settled { nanoseconds(modified) } else { 0 },
        }
    }
}

fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// What the index remembers of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its stamp when it was last read.
    pub stamp: Stamp,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// A file that is new or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedFile {
    /// Path below the root, with `/`.
    pub path: String,
    /// Its type.
    pub text_type: TextType,
    /// Its content, without a byte order mark.
    pub text: String,
    /// To remember for the next scan.
    pub known: Known,
    /// Last change, nanoseconds since 1970.
    pub modified_ns: i64,
}

/// What the walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// New or changed: index it.
    Changed(ScannedFile),
    /// The bytes are the known ones, the stamp is new: remember it.
    Touched {
        /// Path below the root.
        path: String,
        /// To remember.
        known: Known,
    },
    /// Same stamp; not read.
    Unchanged {
        /// Path below the root.
        path: String,
    },
    /// One file or folder that could not be used. Keep what the index has of it.
    Problem {
        /// Path below the root, in readable form; empty for the walk as a whole.
        path: String,
        /// What is wrong.
        problem: Problem,
    },
}

/// What can be wrong with one file or folder. The texts are shown in `sync_status`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Longer than the cap.
    #[error("{bytes} bytes; files of at most {limit} are read")]
    TooLarge {
        /// Its length.
        bytes: u64,
        /// The cap.
        limit: u64,
    },
    /// Holds a NUL byte.
    #[error("a binary file under a text file's name")]
    Binary,
    /// Text in another encoding.
    #[error("not UTF-8 (byte {at}); save it as UTF-8")]
    NotUtf8 {
        /// Position of the first wrong byte.
        at: usize,
    },
    /// The name is not UTF-8 or holds control characters.
    #[error("the name is not readable text")]
    Name,
    /// Another name of a file that may lie outside of the root.
    #[error("a hard link; links are not followed")]
    HardLink,
    /// Turned into a link, a device or another file between listing and opening.
    #[error("changed while it was read")]
    Raced,
    /// The system refuses.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Folders nested beyond the cap.
    #[error("more than {limit} folders deep")]
    TooDeep {
        /// The cap.
        limit: usize,
    },
    /// The source holds more than the cap; the rest was not looked at.
    #[error("more than {limit} files; the rest was left out")]
    TooMany {
        /// The cap.
        limit: usize,
    },
}

/// Opens `root` for a walk by `filter`, within `limits`. `known` is asked for each file, `now` judges how
/// settled a file's time is.
///
/// # Errors
/// The root is missing, no folder, or not readable. An empty folder is no error.
pub fn scan<K>(
    root: &Path,
    filter: Filter,
    limits: Limits,
    now: SystemTime,
    known: K,
) -> Result<Scan<K>, ScanError>
where
    K: FnMut(&str) -> Option<Known>,
{
    let path = || root.display().to_string();
    let refuse = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => ScanError::Missing { path: path() },
        std::io::ErrorKind::NotADirectory => ScanError::NotAFolder { path: path() },
        _ => ScanError::Unreadable { path: path(), source },
    };
    // Asked first, because systems disagree on the error of opening a file as a folder.
    if !std::fs::metadata(root).map_err(refuse)?.is_dir() {
        return Err(ScanError::NotAFolder { path: path() });
    }
    let dir = Dir::open_ambient_dir(root, ambient_authority()).map_err(refuse)?;
    Scan::new(dir, filter, limits, now, known).map_err(refuse)
}

#[cfg(test)]
mod tests;
