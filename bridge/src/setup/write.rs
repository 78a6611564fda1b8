//! A proven text → the file, in one step that either happens or does not.
//!
//! The text goes to a file beside the old one, reaches the disk and then takes its name. What was there before is kept beside
//! it, for the owner alone: it may hold keys.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::edit::Edit;
use crate::brand;

/// How many backups stay.
const BACKUPS: usize = 3;
/// How many links may lead from one to the next.
const LINKS: usize = 16;

/// Why the file is as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// Someone else wrote it between reading and writing.
    #[error("it changed meanwhile")]
    Changed,
    /// It may not be written.
    #[error("it is read-only. Make it writable, for example with `chmod u+w`, and try again")]
    ReadOnly,
    /// A file or directory could not be made or written.
    #[error("{what}: {cause}")]
    Failed { what: String, cause: std::io::Error },
}

fn failed(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> WriteError {
    move |cause| WriteError::Failed {
        what: what.to_string(),
        cause,
    }
}

/// Writes an edit; gives the file that keeps what was there before. `holds_key`: the new text has a key in it.
pub(super) fn commit(path: &Path, edit: &Edit, holds_key: bool) -> Result<Option<PathBuf>, WriteError> {
    let path = behind_links(path);
    let directory = path.parent().unwrap_or(Path::new(".")).to_owned();
    let facts = std::fs::metadata(&path).ok();
    // Renaming over it would succeed all the same.
    if facts.as_ref().is_some_and(|facts| facts.permissions().readonly()) {
        return Err(WriteError::ReadOnly);
    }
    std::fs::create_dir_all(&directory)
        .map_err(failed(format_args!("{} cannot be made", directory.display())))?;
    let backup = match &edit.old {
        Some(old) => Some(back_up(&path, old)?),
        None => None,
    };
    if let Some(new) = &edit.new {
        let temporary = Temporary::write(&path, new, facts.as_ref(), holds_key)?;
        compare(&path, edit)?;
        temporary.rename_to(&path)?;
    } else {
        compare(&path, edit)?;
        std::fs::remove_file(&path).map_err(failed("it cannot be removed"))?;
    }
    // The rename itself has to survive a loss of power. Windows has no such thing.
    #[cfg(unix)]
    if let Ok(directory) = File::open(&directory) {
        let _ = directory.sync_all();
    }
    prune(&path);
    Ok(backup)
}

/// The file that a chain of links leads to; it need not exist.
fn behind_links(path: &Path) -> PathBuf {
    if let Ok(real) = std::fs::canonicalize(path) {
        return real;
    }
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let Ok(target) = std::fs::read_link(&path) else {
            break;
        };
        path = path
            .parent()
            .map_or(target.clone(), |directory| directory.join(&target));
    }
    path
}

/// Fails if the file is no longer what was read.
fn compare(path: &Path, edit: &Edit) -> Result<(), WriteError> {
    let now = match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed("it cannot be read again")(error)),
    };
    if now.as_deref() == edit.old.as_deref().map(str::as_bytes) {
        Ok(())
    } else {
        Err(WriteError::Changed)
    }
}

/// The new text in a file of its own, which goes away unless it is renamed.
struct Temporary {
    path: PathBuf,
    is_renamed: bool,
}

impl Temporary {
    fn write(
        target: &Path,
        text: &str,
        facts: Option<&std::fs::Metadata>,
        holds_key: bool,
    ) -> Result<Temporary, WriteError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.{}-{}.tmp", brand::NAME, std::process::id()));
        // Left behind by a process of the same number that was killed.
        let _ = std::fs::remove_file(&path);
        let what = || format!("{} cannot be written", path.display());
        let mut file = create(&path, holds_key || facts.is_some()).map_err(failed(what()))?;
        let temporary = Temporary {
            path: path.clone(),
            is_renamed: false,
        };
        file.write_all(text.as_bytes()).map_err(failed(what()))?;
        if let Some(facts) = facts {
            keep_owner(&file, facts);
            file.set_permissions(facts.permissions())
                .map_err(failed(what()))?;
        }
        file.sync_all().map_err(failed(what()))?;
        Ok(temporary)
    }

    fn rename_to(mut self, target: &Path) -> Result<(), WriteError> {
        std::fs::rename(&self.path, target).map_err(failed("it cannot be replaced"))?;
        self.is_renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes a file that did not exist; a private one is its owner's from its first moment.
fn create(path: &Path, is_private: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_private {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = is_private;
    options.open(path)
}

/// A file stays its owner's when the administrator edits it. Where that is not allowed it becomes ours, as with any editor.
fn keep_owner(file: &File, facts: &std::fs::Metadata) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let _ = std::os::unix::fs::fchown(file, Some(facts.uid()), Some(facts.gid()));
    }
    #[cfg(not(unix))]
    let _ = (file, facts);
}

/// Keeps the present text beside the file.
fn back_up(path: &Path, text: &str) -> Result<PathBuf, WriteError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| passed.as_secs());
    let (start, end) = affixes(path);
    let newest = backups(path).pop();
    let names =
        (now..now + 60).map(|second| path.with_file_name(format!("{start}{}{end}", timestamp(second))));
    // A second backup within a second takes a later name, so that the newest is always the last.
    for backup in names.filter(|name| newest.as_ref().is_none_or(|newest| name > newest)) {
        match create(&backup, true) {
            Ok(mut file) => {
                let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
                written.map_err(failed(format_args!("{} cannot be written", backup.display())))?;
                return Ok(backup);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(failed(format_args!("{} cannot be written", backup.display()))(
                    error,
                ));
            }
        }
    }
    Err(WriteError::Failed {
        what: "no backup can be made, because there is one from the future".to_owned(),
        cause: ErrorKind::AlreadyExists.into(),
    })
}

/// What the names of a file's backups begin and end with.
fn affixes(path: &Path) -> (String, &'static str) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (format!("{name}.{}-", brand::NAME), ".bak")
}

/// The backups of a file, oldest first.
pub(super) fn backups(path: &Path) -> Vec<PathBuf> {
    let path = behind_links(path);
    let (start, end) = affixes(&path);
    let mut found: Vec<PathBuf> = path
        .parent()
        .and_then(|directory| std::fs::read_dir(directory).ok())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let stamp = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(end));
            stamp.is_some_and(|stamp| stamp.len() == 15)
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn prune(path: &Path) {
    let found = backups(path);
    let old = found.len().saturating_sub(BACKUPS);
    for backup in found.iter().take(old) {
        let _ = std::fs::remove_file(backup);
    }
}

/// Seconds since 1970 as `20261120T101500`, in UTC.
fn timestamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, so that the leap day is the last one of its year.
    let day = days + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::super::edit::Kind;
    use super::*;

    #[test]
    fn timestamps_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "19700101T000000"),
            (951_782_399, "20000228T235959"),
            (951_782_400, "20000229T000000"),
            (1_795_169_700, "20261120T101500"),
            (4_102_444_800, "21000101T000000"),
        ] {
            assert_eq!(timestamp(seconds), text);
        }
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "theirs").unwrap();
        for (old, new) in [
            (Some("read before"), Some("ours")),
            (None, Some("ours")),
            (Some("x"), None),
        ] {
            let edit = Edit {
                kind: Kind::Updated,
                old: old.map(str::to_owned),
                new: new.map(str::to_owned),
                before: None,
                after: None,
                is_restored: false,
            };
            assert!(matches!(commit(&path, &edit, true), Err(WriteError::Changed)));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
        }
        let mut left = std::fs::read_dir(&directory).unwrap();
        assert!(left.all(|entry| !entry.unwrap().file_name().to_string_lossy().ends_with(".tmp")));
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_to_the_file_even_where_there_is_none_yet() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink("second", path("first")).unwrap();
        std::os::unix::fs::symlink(path("third"), path("second")).unwrap();
        assert_eq!(behind_links(&path("first")), path("third"));
        std::os::unix::fs::symlink("loop", path("loop")).unwrap();
        behind_links(&path("loop"));
    }
}
