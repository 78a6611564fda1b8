//! A file and what is wanted of it → the new text, proven to differ in our entry alone.
//!
//! The proof reads the new text again and compares its tree with the old tree plus the change, made without looking at the
//! text. Whatever the editors get wrong ends as a refusal here, before anything is written.

use std::fmt;
use std::path::Path;

use super::write;
use crate::clients::document::{self, Change, Form, Format, Node, Value};
use crate::clients::{self, Client, FileProblem, Opened, Place, Scope, entry};

/// What is wanted.
pub(super) struct Request<'a> {
    pub(super) client: &'static Client,
    pub(super) place: &'a Place,
    pub(super) name: &'a str,
    /// The server's address, by which an entry without a command is known as ours.
    pub(super) url: Option<&'a str>,
    /// The entry. None: it is to go.
    pub(super) entry: Option<&'a Node>,
    /// The editor has to be told to ask for the key.
    pub(super) has_input: bool,
}

/// What becomes of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is already as wanted.
    Nothing,
    Added,
    Updated,
    Removed,
}

/// A change of a file that may be written.
pub(super) struct Edit {
    pub(super) kind: Kind,
    /// The text now. None: there is no file.
    pub(super) old: Option<String>,
    /// The text then. None: the file goes, because it held nothing else.
    pub(super) new: Option<String>,
    /// The entry now.
    pub(super) before: Option<Node>,
    /// The entry then.
    pub(super) after: Option<Node>,
    /// The file becomes what it was before the entry came, byte for byte.
    pub(super) is_restored: bool,
}

/// Why nothing is written.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The file cannot be read or understood.
    File(FileProblem),
    /// An entry of someone else has the name.
    Taken {
        problem: FileProblem,
        name: String,
        is_removal: bool,
    },
    /// The change could not be made, or could not be shown to change nothing else.
    Unprovable(FileProblem),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::File(problem) => {
                write!(f, "{problem}. The file was not touched; correct it and try again")
            }
            Refusal::Taken {
                problem,
                is_removal: true,
                ..
            } => write!(
                f,
                "{problem}. If it is all the same, say with --url which server it leads to, or take it out by hand"
            ),
            Refusal::Taken { problem, name, .. } => {
                write!(
                    f,
                    "{problem}. Choose another name with --name, for example --name {name}-2"
                )
            }
            Refusal::Unprovable(problem) => {
                write!(
                    f,
                    "{problem}. Nothing was written, because the file could not be edited with certainty"
                )
            }
        }
    }
}

/// Makes the new text.
pub(super) fn plan(request: &Request<'_>) -> Result<Edit, Refusal> {
    let client = request.client;
    let path = &request.place.path;
    let opened = clients::open(path, client.format).map_err(Refusal::File)?;
    if client.own_project_file && request.place.scope == Scope::Project {
        return own_file(request, &opened);
    }
    check_holder(client, path, &opened)?;
    let entry_path = entry_path(client, request.name);
    let keys: Vec<&str> = entry_path.iter().map(String::as_str).collect();
    let existing = opened.root.find(&keys);
    if let Some(existing) = existing
        && !is_ours(request, existing)
    {
        return Err(taken(request, &opened, existing));
    }
    let (kind, changes, after) = match (existing, request.entry) {
        (None, None) => (Kind::Nothing, Vec::new(), None),
        (None, Some(entry)) => {
            let mut changes = vec![Change::Set(entry_path, entry.clone())];
            if request.has_input {
                changes.extend(missing_input(&opened.root, request.name));
            }
            (Kind::Added, changes, Some(entry.clone()))
        }
        (Some(existing), Some(entry)) => {
            let merged = entry::merge(client, existing, entry);
            let mut changes = Vec::new();
            steps(client.format, &entry_path, existing, &merged, &mut changes);
            if request.has_input {
                changes.extend(missing_input(&opened.root, request.name));
            }
            let kind = if changes.is_empty() {
                Kind::Nothing
            } else {
                Kind::Updated
            };
            (kind, changes, Some(merged))
        }
        (Some(existing), None) => {
            if let Some(restored) = restore(request, &opened, &entry_path, existing) {
                return Ok(Edit {
                    kind: Kind::Removed,
                    before: Some(existing.clone()),
                    after: None,
                    old: Some(opened.text),
                    new: restored,
                    is_restored: true,
                });
            }
            let mut changes = vec![Change::Delete(entry_path)];
            changes.extend(input_index(&opened.root, request.name).map(|index| {
                let path = vec![INPUTS.to_owned()];
                // A list of nothing but our question came with it.
                let is_only = opened
                    .root
                    .get(INPUTS)
                    .is_some_and(|list| list.items().len() == 1);
                if is_only {
                    Change::Delete(path)
                } else {
                    Change::DeleteItem(path, index)
                }
            }));
            (Kind::Removed, changes, None)
        }
    };
    let new = proven(path, &opened, client.format, &changes)?;
    Ok(Edit {
        kind,
        before: existing.cloned(),
        after,
        old: opened.exists.then_some(opened.text),
        new: Some(new),
        is_restored: false,
    })
}

/// Whether the entry may be changed. To take it out, less is enough: nobody remembers the address of last year's server.
fn is_ours(request: &Request<'_>, existing: &Node) -> bool {
    entry::is_ours(existing, request.url)
        || (request.entry.is_none() && entry::mentions_us(existing, request.name))
}

fn taken(request: &Request<'_>, opened: &Opened, existing: &Node) -> Refusal {
    let problem = document::Problem {
        at: existing.span.start,
        reason: format!("an entry `{}` that is not ours", request.name),
    };
    Refusal::Taken {
        problem: FileProblem::at(&request.place.path, &opened.text, &problem),
        name: request.name.to_owned(),
        is_removal: request.entry.is_none(),
    }
}

/// Where the questions of an editor stand.
const INPUTS: &str = "inputs";

fn entry_path(client: &Client, name: &str) -> Vec<String> {
    client
        .key_path
        .iter()
        .copied()
        .chain([name])
        .map(str::to_owned)
        .collect()
}

/// Refuses a file whose key path leads to something that cannot hold entries.
fn check_holder(client: &Client, path: &Path, opened: &Opened) -> Result<(), Refusal> {
    let mut node = &opened.root;
    let mut name = "the file";
    for key in client.key_path {
        if !node.is_map() {
            break;
        }
        match node.get(key) {
            Some(next) => (node, name) = (next, key),
            None => return Ok(()),
        }
    }
    let is_empty_yaml = client.format == Format::Yaml && node.is_null();
    if node.is_map() || is_empty_yaml {
        return Ok(());
    }
    let problem = document::Problem {
        at: node.span.start,
        reason: format!("{name} should hold names and values here"),
    };
    Err(Refusal::File(FileProblem::at(path, &opened.text, &problem)))
}

fn input_index(root: &Node, name: &str) -> Option<usize> {
    let id = entry::input_id(name);
    root.get(INPUTS)?
        .items()
        .iter()
        .position(|item| item.get("id").and_then(Node::as_text) == Some(&id))
}

fn missing_input(root: &Node, name: &str) -> Option<Change> {
    let change = || Change::Append(vec![INPUTS.to_owned()], entry::input(name));
    input_index(root, name).is_none().then(change)
}

/// The smallest changes that make one value of another, so that what a person wrote around them stays.
fn steps(format: Format, path: &[String], old: &Node, new: &Node, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    // In YAML's braces everything stands on one line, and comments cannot.
    let is_one_line = format == Format::Yaml && old.form == Form::Inline && !old.members().is_empty();
    if is_one_line || !old.is_map() || !new.is_map() {
        changes.push(Change::Set(path.to_vec(), new.clone()));
        return;
    }
    let inside = |key: &str| path.iter().cloned().chain([key.to_owned()]).collect::<Vec<_>>();
    for member in old.members() {
        if new.get(&member.key).is_none() {
            changes.push(Change::Delete(inside(&member.key)));
        }
    }
    for member in new.members() {
        match old.get(&member.key) {
            Some(old) => steps(format, &inside(&member.key), old, &member.node, changes),
            None => changes.push(Change::Set(inside(&member.key), member.node.clone())),
        }
    }
}

/// Makes the changes and proves them.
fn proven(path: &Path, opened: &Opened, format: Format, changes: &[Change]) -> Result<String, Refusal> {
    let mut text = opened.text.clone();
    let mut tree = opened.root.clone();
    for change in changes {
        text = document::apply(&text, format, change)
            .map_err(|problem| Refusal::Unprovable(FileProblem::at(path, &text, &problem)))?;
        tree = document::changed(tree, change);
    }
    match document::parse(&text, format) {
        Ok(root) if document::is_same(&root, &tree, format) => Ok(text),
        _ => Err(Refusal::Unprovable(FileProblem::of(
            path,
            "the file is written in a way that is not edited",
        ))),
    }
}

/// What the file was before the entry came: the backup that becomes the present text when this very entry is added to it, or
/// no file. None: it cannot be told.
fn restore(
    request: &Request<'_>,
    opened: &Opened,
    entry_path: &[String],
    existing: &Node,
) -> Option<Option<String>> {
    let format = request.client.format;
    let becomes_the_present = |before: &str| {
        let root = document::parse(before, format).ok()?;
        let keys: Vec<&str> = entry_path.iter().map(String::as_str).collect();
        if root.find(&keys).is_some() {
            return None;
        }
        let mut changes = vec![Change::Set(entry_path.to_vec(), existing.clone())];
        if input_index(&opened.root, request.name).is_some() {
            changes.extend(missing_input(&root, request.name));
        }
        let mut text = before.to_owned();
        for change in &changes {
            text = document::apply(&text, format, change).ok()?;
        }
        (text == opened.text).then_some(())
    };
    let backups = write::backups(&request.place.path);
    let backup = backups
        .iter()
        .rev()
        .filter_map(|path| clients::read(path).ok().flatten())
        .find(|text| becomes_the_present(text).is_some());
    match backup {
        Some(text) => Some(Some(text)),
        None => becomes_the_present("").map(|()| None),
    }
}

/// A file that holds our entry and nothing else.
fn own_file(request: &Request<'_>, opened: &Opened) -> Result<Edit, Refusal> {
    let entries = clients::entries(request.client, opened);
    let before = entries.into_iter().map(|entry| entry.node).next();
    let ours = before.as_ref().is_some_and(|entry| is_ours(request, entry));
    if opened.exists && !ours && !opened.text.trim().is_empty() {
        let theirs = before.as_ref().unwrap_or(&opened.root);
        return Err(taken(request, opened, theirs));
    }
    let new = match request.entry {
        Some(entry) => Some(own_text(request.client, request.name, entry).map_err(|problem| {
            Refusal::Unprovable(FileProblem::at(&request.place.path, &opened.text, &problem))
        })?),
        None => None,
    };
    let kind = match (&new, opened.exists) {
        (None, false) => Kind::Nothing,
        (None, true) => Kind::Removed,
        (Some(new), true) if *new == opened.text => Kind::Nothing,
        (Some(_), true) => Kind::Updated,
        (Some(_), false) => Kind::Added,
    };
    Ok(Edit {
        kind,
        before,
        after: request.entry.cloned(),
        old: opened.exists.then(|| opened.text.clone()),
        new,
        is_restored: false,
    })
}

/// The text of a file of our own: Continue wants a name, a version and a schema at its top.
fn own_text(client: &Client, name: &str, entry: &Node) -> Result<String, document::Problem> {
    let list = Value::List(vec![entry.clone()]).into();
    let members = [
        ("name", Node::text(name)),
        ("version", Node::text("0.0.1")),
        ("schema", Node::text("v1")),
        (client.key_path.first().copied().unwrap_or_default(), list),
    ];
    members.into_iter().try_fold(String::new(), |text, (key, node)| {
        document::apply(&text, client.format, &Change::Set(vec![key.to_owned()], node))
    })
}

#[cfg(test)]
mod tests;
