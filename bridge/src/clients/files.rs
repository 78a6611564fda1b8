//! Files → their entries, with the place of every fault.

use std::fmt;
use std::path::{Path, PathBuf};

use super::document::{self, Node, Problem};
use super::entry::Entry;
use super::{Client, Format};

/// Larger than any configuration; Claude Code keeps its history in the same file.
const FILE_BYTES: u64 = 128 << 20;

/// A file that was read and understood.
#[derive(Debug)]
pub(crate) struct Opened {
    /// As it is; empty where there is no file.
    pub(crate) text: String,
    pub(crate) root: Node,
    /// Whether there is a file.
    pub(crate) exists: bool,
}

/// Why a file cannot be used. It shows as `path:line:column reason`.
#[derive(Clone, Debug)]
pub(crate) struct FileProblem {
    pub(crate) path: PathBuf,
    /// Line and column, from one; none where no text could be read.
    pub(crate) position: Option<(usize, usize)>,
    pub(crate) reason: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.position {
            Some((line, column)) => write!(f, ":{line}:{column} {}", self.reason),
            None => write!(f, ": {}", self.reason),
        }
    }
}

impl std::error::Error for FileProblem {}

impl FileProblem {
    /// A fault without a place in a text.
    pub(crate) fn of(path: &Path, reason: impl Into<String>) -> FileProblem {
        FileProblem {
            path: path.to_owned(),
            position: None,
            reason: reason.into(),
        }
    }

    /// A fault at a place of `text`.
    pub(crate) fn at(path: &Path, text: &str, problem: &Problem) -> FileProblem {
        FileProblem {
            path: path.to_owned(),
            position: Some(document::position(text, problem.at)),
            reason: problem.reason.clone(),
        }
    }
}

/// Reads the text of a file; none if there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, FileProblem> {
    let facts = match std::fs::metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileProblem::of(path, format!("it cannot be read: {error}"))),
    };
    if !facts.is_file() || facts.len() > FILE_BYTES {
        return Err(FileProblem::of(
            path,
            "it is no configuration file (no plain file, or too large)",
        ));
    }
    let bytes =
        std::fs::read(path).map_err(|error| FileProblem::of(path, format!("it cannot be read: {error}")))?;
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes().get(..at).unwrap_or_default()).into_owned();
        FileProblem::at(
            path,
            &text,
            &Problem {
                at,
                reason: "the text is not UTF-8 from here on".to_owned(),
            },
        )
    })
}

/// Reads and understands a file. A missing one is an empty one.
pub(crate) fn open(path: &Path, format: Format) -> Result<Opened, FileProblem> {
    let text = read(path)?;
    let exists = text.is_some();
    let text = text.unwrap_or_default();
    let root = document::parse(&text, format).map_err(|problem| FileProblem::at(path, &text, &problem))?;
    Ok(Opened { text, root, exists })
}

/// Every entry of a client in a file that was opened, with the line and column of each.
pub(crate) fn entries(client: &Client, opened: &Opened) -> Vec<Entry> {
    let Some(holder) = opened.root.find(client.key_path) else {
        return Vec::new();
    };
    let named = holder
        .members()
        .iter()
        .map(|member| (member.key.clone(), member.start, &member.node));
    let listed = holder.items().iter().filter_map(|item| {
        let name = item.get("name")?.as_text()?;
        Some((name.to_owned(), item.span.start, item))
    });
    named
        .chain(listed)
        .map(|(name, start, node)| Entry {
            name,
            position: document::position(&opened.text, start),
            node: node.clone(),
        })
        .collect()
}
