//! What `setup` is asked to do.

use super::source::Source;
use super::{OptionError, Settings, command_line_text};
use crate::brand;

/// The options of `setup` besides those about the server.
#[derive(Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct SetupOptions {
    /// The client's word. None with `list` and `all`.
    pub(crate) client: Option<String>,
    pub(crate) list: bool,
    pub(crate) all: bool,
    pub(crate) direct: bool,
    pub(crate) bridge: bool,
    pub(crate) project: bool,
    /// What the entry is called.
    pub(crate) name: String,
    /// The variable that the entry is to name: it refers to it, or keeps the key in it.
    pub(crate) key_variable: Option<&'static str>,
    pub(crate) key_stdin: bool,
    pub(crate) no_key: bool,
    pub(crate) print: bool,
    pub(crate) dry_run: bool,
    pub(crate) yes: bool,
    pub(crate) remove: bool,
}

impl SetupOptions {
    /// Reads what was said and refuses what contradicts itself.
    pub(super) fn read(
        client: Option<String>,
        source: &Source<'_>,
        settings: &Settings,
    ) -> Result<SetupOptions, OptionError> {
        let options = SetupOptions {
            client,
            list: source.switch("list")?,
            all: source.switch("all")?,
            direct: source.switch("direct")?,
            bridge: source.switch("bridge")?,
            project: source.switch("project")?,
            name: source.text("name").unwrap_or_else(|| brand::NAME.to_owned()),
            key_variable: settings.key_variable,
            key_stdin: source.switch("key-stdin")?,
            no_key: source.switch("no-key")?,
            print: source.switch("print")?,
            dry_run: source.switch("dry-run")?,
            yes: source.switch("yes")?,
            remove: source.switch("remove")?,
        };
        let targets = [options.client.is_some(), options.list, options.all];
        let keys = [options.key_variable.is_some(), options.key_stdin, options.no_key];
        let several = |said: &[bool]| said.iter().filter(|said| **said).count() > 1;
        let is_name = |name: &str| {
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        };
        let complaint = if several(&targets) {
            "Name one client, or --all, or --list"
        } else if !targets.contains(&true) {
            "Name a client, for example `setup cursor`; `setup --list` shows those found here"
        } else if several(&[options.direct, options.bridge]) {
            "--direct and --bridge exclude each other"
        } else if several(&keys) {
            "--key-env, --key-stdin and --no-key exclude each other"
        } else if several(&[options.print, options.remove]) {
            "--print and --remove exclude each other"
        } else if !is_name(&options.name) || options.name.len() > 64 {
            // Clients make tool names of it, and ours go into paths.
            "--name takes letters, digits, - and _, up to 64 of them"
        } else {
            return Ok(options);
        };
        Err(command_line_text(complaint))
    }
}
