//! Who else can read the key that an entry holds (FB156).

use std::path::Path;

use super::{Inspection, Located};
use crate::clients::document::Node;
use crate::clients::{Scope, entry};

/// FB156: a key that others can read.
pub(super) fn readers(inspection: &mut Inspection, located: &Located, shown: &str) {
    if !holds_literal_key(&located.entry.node) {
        return;
    }
    let path = &located.place.path;
    if let Some(mode) = readable_by_others(path) {
        let message =
            format!("{shown} holds a key and is readable by other users (mode {mode:o}): chmod 600 {shown}");
        inspection.add("FB156", false, message);
    }
    if located.place.scope == Scope::Project && is_in_work_tree(path) {
        let message = format!("{shown} holds a key and lies in a git work tree: refer to a variable instead");
        inspection.add("FB156", false, message);
    }
}

/// Whether an entry has a key in it, rather than a reference to one.
fn holds_literal_key(node: &Node) -> bool {
    let started = entry::entry_command(node);
    let key = started.as_ref().and_then(entry::EntryCommand::key);
    let headers = ["headers", "http_headers"].iter().find_map(|name| {
        node.get(name)
            .or_else(|| node.find(&["requestInit", name]))
            .or_else(|| node.find(&["requestOptions", name]))
    });
    let header = headers.and_then(|headers| headers.get("Authorization")?.as_text());
    [key, header]
        .into_iter()
        .flatten()
        .any(|value| !value.is_empty() && !value.contains(['$', '{']))
}

/// The mode of a file that others than its owner can read.
fn readable_by_others(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Whether a file lies in a work tree of git.
pub(crate) fn is_in_work_tree(path: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .any(|directory| directory.join(".git").exists())
}
