//! The walk itself: depth first, names in order, one open directory handle a level.

use std::time::SystemTime;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;

use super::read::read_file;
use super::{Filter, Known, Limits, Problem, Scanned};
use crate::domain::context::blocks::TextType;

/// A walk under way: an iterator of what it finds. Holds at most one file's content at a time.
pub struct Scan<K> {
    filter: Filter,
    limits: Limits,
    now: SystemTime,
    known: K,
    levels: Vec<Level>,
    /// Problems met while a folder was opened, told before its first file.
    pending: Vec<Scanned>,
    files: usize,
    entries: usize,
    unseen: Vec<String>,
}

/// One folder on the way down.
struct Level {
    dir: Dir,
    /// Path below the root, ending in `/` but for the root's own, which is empty.
    prefix: String,
    /// What is left to visit, last first.
    names: Vec<Name>,
}

struct Name {
    name: String,
    is_folder: bool,
}

impl<K: FnMut(&str) -> Option<Known>> Scan<K> {
    /// Lists the root; everything else waits for [`Iterator::next`].
    pub(super) fn new(
        root: Dir,
        filter: Filter,
        limits: Limits,
        now: SystemTime,
        known: K,
    ) -> std::io::Result<Self> {
        let mut scan = Self {
            filter,
            limits,
            now,
            known,
            levels: Vec::new(),
            pending: Vec::new(),
            files: 0,
            entries: 0,
            unseen: Vec::new(),
        };
        scan.enter(root, String::new())?;
        Ok(scan)
    }

    /// Paths the walk could not look at, each a file or a folder's prefix ending in `/`; an empty one means
    /// that the walk broke off. A known file that was not seen has vanished only if no prefix here holds it.
    /// Complete when the iterator has ended.
    #[must_use]
    pub fn unseen(&self) -> &[String] {
        &self.unseen
    }

    fn enter(&mut self, dir: Dir, prefix: String) -> std::io::Result<()> {
        let mut names = Vec::new();
        for entry in dir.entries()? {
            let entry = entry?;
            self.entries += 1;
            if self.entries > self.limits.entries {
                self.problem(
                    "",
                    Problem::TooMany {
                        limit: self.limits.entries,
                    },
                );
                break;
            }
            let file_name = entry.file_name();
            if file_name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // Links, devices and sockets are neither; nobody expects a note in one, so they are passed over
            // in silence.
            let Ok(file_type) = entry.file_type() else {
                continue;
            };
            let is_folder = file_type.is_dir();
            if !is_folder && !file_type.is_file() {
                continue;
            }
            let Some(name) = file_name
                .to_str()
                .filter(|name| !name.chars().any(char::is_control))
            else {
                let shown = format!(
                    "{prefix}{}",
                    file_name.to_string_lossy().replace(char::is_control, "\u{FFFD}")
                );
                self.pending.push(Scanned::Problem {
                    path: shown,
                    problem: Problem::Name,
                });
                continue;
            };
            let path = format!("{prefix}{name}");
            let wanted = if is_folder {
                !self.filter.prunes(&path)
            } else {
                TextType::of_path(name).is_some() && self.filter.takes(&path)
            };
            if wanted {
                names.push(Name {
                    name: name.to_owned(),
                    is_folder,
                });
            }
        }
        names.sort_unstable_by(|one, other| other.name.cmp(&one.name));
        self.levels.push(Level { dir, prefix, names });
        Ok(())
    }

    fn problem(&mut self, path: &str, problem: Problem) {
        self.unseen.push(path.to_owned());
        self.pending.push(Scanned::Problem {
            path: path.trim_end_matches('/').to_owned(),
            problem,
        });
    }

    /// Goes down into `name` of the folder at hand.
    fn descend(&mut self, name: &str) {
        let depth = self.levels.len();
        let Some(level) = self.levels.last() else { return };
        let path = format!("{}{name}/", level.prefix);
        if depth > self.limits.depth {
            return self.problem(
                &path,
                Problem::TooDeep {
                    limit: self.limits.depth,
                },
            );
        }
        let entered = level
            .dir
            .open_dir_nofollow(name)
            .and_then(|dir| self.enter(dir, path.clone()));
        if let Err(error) = entered {
            self.problem(&path, Problem::Unreadable(error.kind().to_string()));
        }
    }

    fn visit(&mut self, name: &str) -> Option<Scanned> {
        let level = self.levels.last()?;
        let path = format!("{}{name}", level.prefix);
        let text_type = TextType::of_path(name)?;
        self.files += 1;
        if self.files > self.limits.files {
            self.levels.clear();
            self.problem(
                "",
                Problem::TooMany {
                    limit: self.limits.files,
                },
            );
            return None;
        }
        let known = (self.known)(&path);
        match read_file(
            &level.dir,
            name,
            &path,
            text_type,
            self.limits.file_bytes,
            self.now,
            known,
        ) {
            Ok(scanned) => Some(scanned),
            Err(problem) => {
                self.problem(&path, problem);
                None
            }
        }
    }
}

impl<K: FnMut(&str) -> Option<Known>> Iterator for Scan<K> {
    type Item = Scanned;

    fn next(&mut self) -> Option<Scanned> {
        loop {
            if let Some(problem) = self.pending.pop() {
                return Some(problem);
            }
            let Some(Name { name, is_folder }) = self.levels.last_mut()?.names.pop() else {
                self.levels.pop();
                continue;
            };
            if is_folder {
                self.descend(&name);
            } else if let Some(scanned) = self.visit(&name) {
                return Some(scanned);
            }
        }
    }
}
