//! Writes a note into the inbox: `<agent>/<UTC stamp>-<slug>.md` below the inbox's root, with front matter.
//!
//! Everything an agent says about the name is reduced to letters, digits and dashes, so no name it can give
//! is a path. A note is there whole or not at all: it is written to a hidden temporary file, synced, renamed,
//! and the folder synced; the scanner passes over hidden files. No note is ever overwritten.

use std::io::Write;

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions};
use serde_json::{Map, Value};

use super::blocks::TextType;
use crate::vocabulary::Timestamp;

/// Longest part of a file name made of what a caller said, in bytes.
const MAX_SLUG_BYTES: usize = 80;
/// Names tried for notes of one agent in one millisecond under one slug.
const MAX_ATTEMPTS: u32 = 100;
/// Keys of the front matter that we write; metadata cannot take their place.
const OWN_KEYS: [&str; 5] = ["title", "tags", "tag", "agent", "created"];

/// A note to write.
#[derive(Debug, Clone, Copy)]
pub struct Note<'n> {
    /// Who writes: the name of the calling key or agent, from the credential.
    pub agent: &'n str,
    /// The body.
    pub content: &'n str,
    /// Its title; names the file when `filename` does not.
    pub title: Option<&'n str>,
    /// Tags for the front matter.
    pub tags: &'n [String],
    /// Further front matter.
    pub metadata: &'n Map<String, Value>,
    /// A wished name; folders in it and its extension are dropped.
    pub filename: Option<&'n str>,
    /// With its dot: `.md`.
    pub extension: &'n str,
}

/// Why a note was not written.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// Not an extension the edition reads.
    #[error("extension: `{0}` is not allowed; use one of .md, .txt, .csv, .json, .yaml, .yml, .rst")]
    Extension(String),
    /// Only Markdown has a place for front matter.
    #[error("tags and metadata need the extension .md, which is `{0}` here")]
    FrontMatter(String),
    /// A hundred notes of the same name in the same millisecond.
    #[error("too many notes of one name at once; wait a second and repeat the call")]
    Crowded,
    /// The disk refuses.
    #[error("the inbox cannot be written")]
    Disk(#[from] std::io::Error),
}

/// Writes `note` below `root` and hands back its path there, with `/`.
///
/// # Errors
/// See [`InboxError`]; nothing is left behind under the note's name.
pub fn put(root: &Dir, note: &Note<'_>, now: Timestamp) -> Result<String, InboxError> {
    let text = render(note, now)?;
    let agent = slug(note.agent, "agent");
    match root.create_dir(&agent) {
        Ok(()) => sync_dir(root)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    // Not followed: a link in place of the agent's folder is refused.
    let dir = root.open_dir_nofollow(&agent)?;
    let stem = format!("{}-{}", stamp(now), slug(&wished_name(note), "note"));
    for attempt in 1..=MAX_ATTEMPTS {
        let tail = if attempt == 1 {
            String::new()
        } else {
            format!("-{attempt}")
        };
        let name = format!("{stem}{tail}{}", note.extension.to_ascii_lowercase());
        if write_new(&dir, &name, text.as_bytes())? {
            return Ok(format!("{agent}/{name}"));
        }
    }
    Err(InboxError::Crowded)
}

/// Writes `name` unless it is taken; says whether it did.
///
/// The temporary name is made from the final one and claimed with `create_new`: whoever holds it is the only
/// one that may rename to the final name, and a look after the claim sees any earlier holder's result. So
/// two writers, in two processes even, cannot take one name.
fn write_new(dir: &Dir, name: &str, bytes: &[u8]) -> std::io::Result<bool> {
    let temporary = format!(".{name}.part");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).follow(FollowSymlinks::No);
    let mut file = match dir.open_with(&temporary, &options) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut write = || {
        if dir.symlink_metadata(name).is_ok() {
            return Ok(false);
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        dir.rename(&temporary, dir, name)?;
        Ok(true)
    };
    match write() {
        Ok(true) => sync_dir(dir).map(|()| true),
        other => {
            // Best effort: the name is hidden, and the error at hand matters more.
            let _ = dir.remove_file(&temporary);
            other
        }
    }
}

/// Makes the names in `dir` durable.
fn sync_dir(dir: &Dir) -> std::io::Result<()> {
    // Opened anew, because the handle at hand may be one that only names the folder (`O_PATH`). Windows has no
    // such call; its rename is journalled.
    if cfg!(unix) {
        dir.open(".")?.sync_all()
    } else {
        Ok(())
    }
}

/// `20261120T161500123Z`: sorts by time, and no character of it is special anywhere.
fn stamp(now: Timestamp) -> String {
    now.to_string()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect()
}

fn wished_name(note: &Note<'_>) -> String {
    let first_words = || {
        note.content
            .split_whitespace()
            .take(8)
            .collect::<Vec<_>>()
            .join(" ")
    };
    match (note.filename, note.title) {
        (Some(name), _) => {
            let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
            let known = TextType::of_path(name).and_then(|_| name.rsplit_once('.'));
            known.map_or(name, |(stem, _)| stem).to_owned()
        }
        (None, Some(title)) => title.to_owned(),
        (None, None) => first_words(),
    }
}

/// `text` as a part of a file name: lower-case letters and digits with single dashes between; `default`
/// when nothing is left.
#[must_use]
pub fn slug(text: &str, default: &str) -> String {
    let mut slug = String::new();
    let mut dash = false;
    for c in text.chars().flat_map(char::to_lowercase) {
        if !c.is_alphanumeric() {
            dash = true;
            continue;
        }
        let gap = dash && !slug.is_empty();
        if slug.len() + c.len_utf8() + usize::from(gap) > MAX_SLUG_BYTES {
            break;
        }
        if gap {
            slug.push('-');
        }
        slug.push(c);
        dash = false;
    }
    if slug.is_empty() { default.to_owned() } else { slug }
}

/// The file's text. Front matter is written as JSON scalars and flow values, which YAML contains: no title,
/// tag or key can break out of its line.
fn render(note: &Note<'_>, now: Timestamp) -> Result<String, InboxError> {
    let extension = note.extension.to_ascii_lowercase();
    let known = extension
        .strip_prefix('.')
        .is_some_and(|name| TextType::EXTENSIONS.contains(&name));
    if !known {
        return Err(InboxError::Extension(note.extension.to_owned()));
    }
    if extension != ".md" {
        return if note.tags.is_empty() && note.metadata.is_empty() {
            Ok(note.content.to_owned())
        } else {
            Err(InboxError::FrontMatter(extension))
        };
    }
    let mut text = String::from("---\n");
    let mut line = |key: &str, value: Value| {
        text.push_str(&format!("{key}: {value}\n"));
    };
    if let Some(title) = note.title {
        line("title", title.into());
    }
    if !note.tags.is_empty() {
        line("tags", note.tags.into());
    }
    line("agent", note.agent.into());
    line("created", now.to_string().into());
    for (key, value) in note
        .metadata
        .iter()
        .filter(|(key, _)| !OWN_KEYS.contains(&key.as_str()))
    {
        line(&Value::from(key.as_str()).to_string(), value.clone());
    }
    text.push_str("---\n\n");
    text.push_str(note.content);
    Ok(text)
}

#[cfg(test)]
mod tests;
