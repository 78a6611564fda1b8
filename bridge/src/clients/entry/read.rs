//! An entry as it stands in a file: what it starts or connects to, whose it is, and what becomes of it when ours is renewed.

use super::{ENVIRONMENTS, input_id};
use crate::brand;
use crate::clients::Client;
use crate::clients::document::{self, Format, Node, Value};
use crate::options::{KEY_ENV_VARIABLE, KEY_FILE_VARIABLE, KEY_VARIABLE, URL_VARIABLE};

/// An entry of a file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Line and column, from one.
    pub(crate) position: (usize, usize),
    /// All of it.
    pub(crate) node: Node,
}

/// What an entry starts, as it is written.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EntryCommand {
    pub(crate) command: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
}

impl EntryCommand {
    /// The key that the bridge would find, as it is written.
    pub(crate) fn key(&self) -> Option<&str> {
        self.variable(self.named_variable().unwrap_or(KEY_VARIABLE))
    }

    /// The variable that the bridge is told to find the key in. A flag wins, as with the bridge.
    fn named_variable(&self) -> Option<&str> {
        let mut words = self.args.iter();
        let flag = words.find_map(|word| word.strip_prefix("--key-env"));
        let by_flag = flag.and_then(|rest| match rest.strip_prefix('=') {
            Some(name) => Some(name),
            None => words.next().map(String::as_str),
        });
        by_flag.or_else(|| self.variable(KEY_ENV_VARIABLE))
    }

    /// What the entry sets a variable to.
    fn variable(&self, name: &str) -> Option<&str> {
        let mut variables = self.env.iter();
        variables
            .find(|(variable, _)| variable == name)
            .map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for EntryCommand {
    /// Without the values of the environment: one of them is the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("EntryCommand")
            .field("command", &self.command)
            .field("args", &self.args)
            .field("env", &names)
            .finish()
    }
}

/// The command that a client starts for this entry, its arguments and its environment. None: it starts nothing.
pub(crate) fn entry_command(entry: &Node) -> Option<EntryCommand> {
    let texts = |node: &Node| -> Vec<String> {
        node.items()
            .iter()
            .filter_map(Node::as_text)
            .map(str::to_owned)
            .collect()
    };
    let command = entry.get("command").or_else(|| entry.get("cmd"))?;
    // OpenCode and Kilo keep command and arguments in one list.
    let (command, mut args) = match command.as_text() {
        Some(command) => (command.to_owned(), Vec::new()),
        None => {
            let mut words = texts(command);
            if words.is_empty() {
                return None;
            }
            (words.remove(0), words)
        }
    };
    args.extend(entry.get("args").map(texts).unwrap_or_default());
    let env = ENVIRONMENTS.iter().find_map(|name| entry.get(name));
    let env = env.map_or(&[][..], Node::members).iter();
    Some(EntryCommand {
        command,
        args,
        env: env
            .filter_map(|member| Some((member.key.clone(), member.node.as_text()?.to_owned())))
            .collect(),
    })
}

/// The address that a client connects to for this entry by itself. None: it starts a program.
pub(crate) fn entry_url(entry: &Node) -> Option<&str> {
    ["url", "serverUrl", "httpUrl", "uri"]
        .iter()
        .find_map(|name| entry.get(name))?
        .as_text()
}

/// Whether an entry is ours: it starts this program (under any path), or leads to `url`.
pub(crate) fn is_ours(entry: &Node, url: Option<&str>) -> bool {
    if let Some(started) = entry_command(entry) {
        // Both kinds of separators: the file may have been written on another system.
        let file = started.command.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = file.strip_suffix(".exe").unwrap_or(file);
        return stem == brand::NAME || started.env.iter().any(|(name, _)| name == URL_VARIABLE);
    }
    let same = |one: &str, other: &str| one.trim_end_matches('/') == other.trim_end_matches('/');
    entry_url(entry).is_some_and(|theirs| url.is_some_and(|ours| same(ours, theirs)))
}

/// Whether an entry sends a key of ours, or asks for one: enough to know whose it was, not where it leads.
pub(crate) fn mentions_us(entry: &Node, name: &str) -> bool {
    let text = document::compact(entry);
    let mut prefixes = brand::KEY_PREFIXES.split_whitespace();
    let has_key = prefixes.any(|prefix| text.contains(&format!("Bearer {prefix}")));
    has_key || text.contains(KEY_VARIABLE) || text.contains(&format!("${{input:{}}}", input_id(name)))
}

/// What an entry becomes when ours is to say the same as `new`: what a person added stays, what another shape needed goes.
pub(crate) fn merge(client: &Client, old: &Node, new: &Node) -> Node {
    let of_shapes = [client.direct, client.bridge].into_iter().flatten();
    let mut shaped = Vec::new();
    for shape in of_shapes {
        for text in [shape.entry, shape.reference] {
            if let Ok(node) = document::parse(text, Format::Json) {
                shaped.extend(node.members().iter().map(|member| member.key.clone()));
            }
        }
    }
    let started = entry_command(old);
    let named = started.as_ref().and_then(EntryCommand::named_variable);
    let ours_inside = |key: &str| {
        [
            URL_VARIABLE,
            KEY_VARIABLE,
            KEY_ENV_VARIABLE,
            KEY_FILE_VARIABLE,
            "Authorization",
        ]
        .contains(&key)
            || named == Some(key)
    };
    let mut merged = old.clone();
    let Value::Map(members) = &mut merged.value else {
        return new.clone();
    };
    // Switching an entry off is the person's choice, not the shape's.
    members.retain(|member| {
        new.get(&member.key).is_some() || !shaped.contains(&member.key) || member.key == "enabled"
    });
    for member in new.members() {
        let Some(old) = members.iter_mut().find(|old| old.key == member.key) else {
            members.push(member.clone());
            continue;
        };
        if member.key == "enabled" || member.key == "timeout" || member.key == "tools" {
            continue;
        }
        match (&mut old.node.value, &member.node.value) {
            (Value::Map(inside), Value::Map(wanted)) => {
                inside.retain(|old| wanted.iter().any(|new| new.key == old.key) || !ours_inside(&old.key));
                for new in wanted {
                    match inside.iter_mut().find(|old| old.key == new.key) {
                        Some(old) => old.node = new.node.clone(),
                        None => inside.push(new.clone()),
                    }
                }
            }
            _ => old.node = member.node.clone(),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::find;

    fn node(json: &str) -> Node {
        document::parse(json, Format::Json).unwrap()
    }

    #[test]
    fn entries_are_read_back_whatever_their_shape() {
        for (entry, command, args) in [
            (
                r#"{"command":"/p","args":["a"],"env":{"A":"1"}}"#,
                "/p",
                &["a"][..],
            ),
            (r#"{"command":["/p","a"],"environment":{"A":"1"}}"#, "/p", &["a"]),
            (r#"{"cmd":"/p","args":[],"envs":{"A":"1"}}"#, "/p", &[]),
        ] {
            let read = entry_command(&node(entry)).unwrap();
            assert_eq!(
                (read.command.as_str(), read.args.as_slice()),
                (
                    command,
                    &args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()[..]
                )
            );
            assert_eq!(read.env, [("A".to_owned(), "1".to_owned())]);
            assert!(
                !format!("{read:?}").contains("\"1\""),
                "values do not show themselves"
            );
        }
        assert!(entry_command(&node(r#"{"url":"https://s/mcp"}"#)).is_none());
        assert_eq!(
            entry_url(&node(r#"{"serverUrl":"https://s/mcp"}"#)),
            Some("https://s/mcp")
        );
    }

    #[test]
    fn the_key_is_found_where_the_bridge_would_find_it() {
        for entry in [
            r#"{"command":"/p","args":[],"env":{"FOOTBRIDGE_KEY":"k"}}"#,
            r#"{"command":"/p","env":{"FOOTBRIDGE_KEY":"x","WORK":"k","FOOTBRIDGE_KEY_ENV":"WORK"}}"#,
            r#"{"command":"/p","args":["--key-env","WORK"],"env":{"WORK":"k","FOOTBRIDGE_KEY_ENV":"X"}}"#,
            r#"{"command":["/p","--key-env=WORK"],"env":{"WORK":"k"}}"#,
        ] {
            assert_eq!(entry_command(&node(entry)).unwrap().key(), Some("k"), "{entry}");
        }
        let without = r#"{"command":"/p","args":["--key-env"],"env":{"WORK":"k"}}"#;
        assert_eq!(entry_command(&node(without)).unwrap().key(), None);
    }

    #[test]
    fn ours_are_known_by_program_variable_or_address() {
        for (entry, is_it) in [
            (r#"{"command":"/any/where/footbridge"}"#, true),
            (r#"{"command":"C:\\x\\footbridge.exe"}"#, true),
            (
                r#"{"command":"npx","args":["x"],"env":{"FOOTBRIDGE_URL":"y"}}"#,
                true,
            ),
            (r#"{"command":"npx","args":["footbridge"]}"#, false),
            (r#"{"url":"https://s/mcp/"}"#, true),
            (r#"{"url":"https://other/mcp"}"#, false),
            (r#"{"command":[]}"#, false),
        ] {
            assert_eq!(is_ours(&node(entry), Some("https://s/mcp")), is_it, "{entry}");
        }
    }

    #[test]
    fn a_persons_additions_stay_when_an_entry_is_renewed() {
        let client = find("cursor").unwrap();
        let old = node(
            r#"{"command":"/old","args":["x"],"env":{"FOOTBRIDGE_URL":"u","FOOTBRIDGE_KEY":"k","HTTPS_PROXY":"p"},"disabled":true}"#,
        );
        let bridge = node(r#"{"command":"/new","args":[],"env":{"FOOTBRIDGE_URL":"v"}}"#);
        assert_eq!(
            document::minimal(&merge(client, &old, &bridge)),
            r#"{"command":"/new","args":[],"env":{"FOOTBRIDGE_URL":"v","HTTPS_PROXY":"p"},"disabled":true}"#
        );
        let named = node(
            r#"{"command":"/old","args":[],"env":{"FOOTBRIDGE_URL":"u","WORK_KEY":"k","FOOTBRIDGE_KEY_ENV":"WORK_KEY","OTHER":"p"}}"#,
        );
        assert_eq!(
            document::minimal(&merge(client, &named, &bridge)),
            r#"{"command":"/new","args":[],"env":{"FOOTBRIDGE_URL":"v","OTHER":"p"}}"#,
            "a key that is used no more does not stay behind"
        );
        let direct = node(r#"{"url":"v"}"#);
        assert_eq!(
            document::minimal(&merge(client, &old, &direct)),
            r#"{"disabled":true,"url":"v"}"#
        );
    }
}
