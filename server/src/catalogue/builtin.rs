//! The editions compiled into the binary. They are catalogue files like anybody's.

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
