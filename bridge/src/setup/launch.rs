//! Clients whose file is live state: their own program makes the change, started by an argument vector, never through a
//! shell. A key is never among the arguments, so an entry that would need one there is printed.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::wanted::Wanted;
use super::{Run, say, show};
use crate::clients::document::Node;
use crate::clients::entry::{self, Entry, KeyText};
use crate::clients::inspect::is_executable;
use crate::clients::{self, Client, Mode, Place, System};

impl Run<'_> {
    /// Adds the entry by the client's own program, or prints the command.
    pub(super) fn launch(
        &self,
        client: &'static Client,
        places: &[Place],
        wanted: &Wanted,
    ) -> Result<(), String> {
        let existing = self.existing(client, places)?;
        if let Some(existing) = &existing {
            let same = entry::merge(client, &existing.node, &wanted.entry) == existing.node;
            if same {
                say(format_args!("{}: the entry is up to date", client.name));
                return Ok(());
            }
        }
        let template = match wanted.mode {
            Mode::Direct => client.add_direct,
            Mode::Bridge => client.add_bridge,
        };
        let printable = show::printable(&wanted.key);
        let shown = self.entry(client, wanted.mode, &printable)?;
        let add = arguments(template, &self.options.name, &shown);
        let remove = arguments(client.remove, &self.options.name, &shown);
        let mut steps = Vec::new();
        if existing.is_some() {
            steps.push(remove);
        }
        steps.push(add);
        say(format_args!("{}: its own program adds the entry", client.name));
        for step in &steps {
            say(format_args!("  {}", command_line(client.program, step)));
        }
        let why_not = if matches!(wanted.key, KeyText::Literal(_)) {
            Some("a key does not belong on a command line that others can see".to_owned())
        } else if self.around.system == System::Windows {
            // `.cmd` files quote arguments a second time.
            Some("on Windows its arguments would be quoted twice".to_owned())
        } else if self.program(client).is_none() {
            Some(format!("there is no `{}` on the PATH", client.program))
        } else {
            None
        };
        if let Some(why_not) = why_not {
            say(format_args!(
                "\nNot run: {why_not}. Run it yourself, or paste this:\n"
            ));
            show::snippet(client, &self.options.name, &shown, &printable);
            show::epilogue(client);
            return if self.options.dry_run {
                Ok(())
            } else {
                Err(format!("{} was not changed", client.name))
            };
        }
        if !self.may_write()? {
            return Ok(());
        }
        for step in &steps {
            self.start(client, step)?;
        }
        if self.existing(client, places)?.is_none() {
            return Err(format!(
                "`{}` ended well, but its file holds no entry `{}`",
                client.program, self.options.name
            ));
        }
        say(format_args!("Done."));
        show::note(&wanted.key);
        self.check(client);
        show::epilogue(client);
        Ok(())
    }

    /// Takes the entry out by the client's own program.
    pub(super) fn launch_removal(&self, client: &'static Client, places: &[Place]) -> Result<(), String> {
        let Some(existing) = self.existing(client, places)? else {
            say(format_args!("{}: there is no entry of ours", client.name));
            return Ok(());
        };
        let step = arguments(client.remove, &self.options.name, &existing.node);
        say(format_args!(
            "{}: its own program removes the entry\n  {}",
            client.name,
            command_line(client.program, &step)
        ));
        if !self.may_write()? {
            return Ok(());
        }
        self.start(client, &step)?;
        show::epilogue(client);
        Ok(())
    }

    /// Our entry, read from the client's file. The file is only read.
    fn existing(&self, client: &Client, places: &[Place]) -> Result<Option<Entry>, String> {
        let Some(place) = places.first() else {
            return Ok(None);
        };
        let opened = clients::open(&place.path, client.format).map_err(|problem| problem.to_string())?;
        let found = clients::entries(client, &opened)
            .into_iter()
            .find(|entry| entry.name == self.options.name);
        if let Some(found) = &found
            && !entry::is_ours(&found.node, self.settings.url.as_deref())
            && !(self.options.remove && entry::mentions_us(&found.node, &self.options.name))
        {
            let (line, column) = found.position;
            return Err(format!(
                "{}:{line}:{column} an entry `{name}` that is not ours. Choose another name with --name, for example \
                 --name {name}-2",
                place.path.display(),
                name = self.options.name
            ));
        }
        Ok(found)
    }

    /// The client's program, if it is on the path.
    fn program(&self, client: &Client) -> Option<PathBuf> {
        let path = self.around.variable("PATH")?;
        std::env::split_paths(&path)
            .map(|directory| directory.join(client.program))
            .find(|program| program.is_absolute() && is_executable(program))
    }

    fn start(&self, client: &Client, arguments: &[String]) -> Result<(), String> {
        let program = self
            .program(client)
            .ok_or_else(|| format!("There is no `{}` on the PATH", client.program))?;
        let status = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::null())
            .status()
            .map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("`{}` failed ({status}); see above", client.program))
        }
    }
}

/// The arguments of a template for an entry.
fn arguments(template: &[&str], name: &str, node: &Node) -> Vec<String> {
    let started = entry::entry_command(node);
    let url = entry::entry_url(node).unwrap_or_default();
    let authorization = node
        .find(&["headers", "Authorization"])
        .and_then(Node::as_text)
        .and_then(|value| value.strip_prefix("Bearer "));
    let program = started.as_ref().map_or("", |started| started.command.as_str());
    let mut all = Vec::new();
    for item in template {
        let words: Vec<&str> = match item.split_once(' ') {
            Some((flag, value)) if flag.starts_with('-') => vec![flag, value],
            _ => vec![item],
        };
        if item.contains("{ENV}") {
            for (variable, value) in started.iter().flat_map(|started| &started.env) {
                let pair = format!("{variable}={value}");
                all.extend(words.iter().map(|word| entry::place(word, &[("{ENV}", &pair)])));
            }
        } else if !item.contains("{KEY}") || authorization.is_some() {
            let places = [
                ("{NAME}", name),
                ("{URL}", url),
                ("{EXE}", program),
                ("{KEY}", authorization.unwrap_or_default()),
            ];
            all.extend(words.iter().map(|word| entry::place(word, &places)));
        }
    }
    all
}

/// The command as a person would type it.
fn command_line(program: &str, arguments: &[String]) -> String {
    let quoted = arguments.iter().map(|argument| {
        let is_plain = !argument.is_empty()
            && argument
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "-_./:=@%+,".contains(letter));
        if is_plain {
            argument.clone()
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    });
    std::iter::once(program.to_owned())
        .chain(quoted)
        .collect::<Vec<_>>()
        .join(" ")
}
