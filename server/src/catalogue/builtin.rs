//! The editions compiled into the binary. They are catalogue files like anybody's.

use super::file::CatalogueFile;
use crate::vocabulary::EditionName;

/// A catalogue file's text with the name that errors give it.
#[derive(Clone, Copy, Debug)]
pub struct NamedText<'a> {
    /// What errors call it.
    pub name: &'a str,
    /// The file's text.
    pub text: &'a str,
}

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(NamedText { name: $path, text: include_str!(concat!("../../catalogue/", $path)) }),+]
    };
}

/// One group of files for each edition.
pub const BUILTIN: &[&[NamedText<'static>]] = &[
    // Search, entities, memory, sync and the inbox over a person's own notes.
    files!(
        "editions/context.toml",
        "tools/context_search.toml",
        "tools/context_memory.toml",
        "tools/context_sync.toml",
        "tools/context_resources.toml"
    ),
    // A team's CRM, conversations, tickets and knowledge.
    files!(
        "editions/workspace.toml",
        "tools/workspace_crm.toml",
        "tools/workspace_conversations.toml",
        "tools/workspace_tickets.toml",
        "tools/workspace_knowledge.toml",
        "tools/workspace_reports.toml",
        "tools/workspace_flows.toml",
        "tools/workspace_admin.toml"
    ),
];

/// The groups of [`BUILTIN`] that are served when `wanted` are named, or nothing is. To compile the others takes time at each
/// start, and memory, for nothing.
pub fn builtin_for(wanted: &[EditionName]) -> impl Iterator<Item = &'static [NamedText<'static>]> {
    BUILTIN.iter().copied().filter(|group| {
        let head = group
            .first()
            .and_then(|file| toml::from_str::<CatalogueFile>(file.text).ok());
        match head.and_then(|file| file.edition) {
            Some(edition) if wanted.is_empty() => !edition.on_request,
            Some(edition) => wanted.contains(&edition.name),
            // Whoever loads it says what is wrong with it.
            None => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_is_compiled() {
        let names = |wanted: &[&str]| {
            let wanted: Vec<_> = wanted
                .iter()
                .map(|name| EditionName::new(name).unwrap())
                .collect();
            builtin_for(&wanted)
                .map(|group| group[0].name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["editions/context.toml"]);
        assert_eq!(names(&["workspace"]), ["editions/workspace.toml"]);
        assert_eq!(names(&["workspace", "context"]).len(), BUILTIN.len());
        assert!(names(&["leads"]).is_empty());
    }
}
