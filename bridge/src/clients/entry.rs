//! What an entry says: made from a client's shape here, read back from its file in [`read`].

mod read;

use std::path::{Path, PathBuf};

use super::document::{self, Format, Member, Node, Value};
use super::{Client, Mode, Shape, System};
use crate::brand;
use crate::options::{KEY_ENV_VARIABLE, KEY_FILE_VARIABLE, KEY_VARIABLE, URL_VARIABLE};
pub(crate) use read::{Entry, EntryCommand, entry_command, entry_url, is_ours, mentions_us, merge};

/// The key as it goes into an entry.
#[derive(Clone)]
pub(crate) enum KeyText {
    /// There is none: the server needs none, or the client signs in.
    None,
    /// Itself.
    Literal(String),
    /// The variable it is kept in.
    Variable(String),
    /// The file it is kept in, for the bridge.
    File(PathBuf),
    /// The editor asks for it.
    Input,
}

/// Everything a new entry is made of.
pub(crate) struct Ingredients<'a> {
    pub(crate) name: &'a str,
    pub(crate) url: &'a str,
    /// The program to start, for the bridge.
    pub(crate) program: &'a str,
    pub(crate) key: &'a KeyText,
    /// The variable that an entry which holds the key keeps it in. None: the one that the bridge looks into by itself.
    pub(crate) key_variable: Option<&'a str>,
    /// More of the bridge's variables, each with its value.
    pub(crate) variables: &'a [(&'static str, String)],
}

/// The id of the question by which an editor asks for the key.
pub(crate) fn input_id(name: &str) -> String {
    format!("{name}-key")
}

/// Makes the entry of a client, or says why it cannot be.
pub(crate) fn build(
    client: &Client,
    mode: Mode,
    system: System,
    with: &Ingredients<'_>,
) -> Result<Node, String> {
    let Some(shape) = client.shape(mode) else {
        return Err(match mode {
            Mode::Direct => format!(
                "{} cannot reach a server over HTTP with a key; leave out --direct",
                client.name
            ),
            Mode::Bridge => format!(
                "{} cannot start a program of this machine; leave out --bridge",
                client.name
            ),
        });
    };
    let (template, key) = key_in(client, mode, system, shape, with)?;
    let mut node = fill(template, with, key.as_deref(), named(shape, with))?;
    if let KeyText::File(path) = with.key {
        rename_key(&mut node, path);
    }
    if mode == Mode::Bridge
        && let Some(environment) = environment_mut(&mut node)
    {
        let told = named(shape, with).map(|name| (KEY_ENV_VARIABLE, name.to_owned()));
        for (name, value) in told.iter().chain(with.variables) {
            environment.push(Member {
                key: (*name).to_owned(),
                start: 0,
                node: Node::text(value.clone()),
            });
        }
    }
    Ok(node)
}

/// The variable in which the bridge finds the key, if it has to be told which.
fn named<'a>(shape: Shape, with: &Ingredients<'a>) -> Option<&'a str> {
    let name = match with.key {
        KeyText::Literal(_) | KeyText::Input => with.key_variable,
        // Passed on under its own name.
        KeyText::Variable(name) if !shape.reference.is_empty() => Some(name.as_str()),
        KeyText::Variable(_) | KeyText::File(_) | KeyText::None => None,
    };
    name.filter(|name| *name != KEY_VARIABLE)
}

/// The template that fits the key, and what stands in the key's place.
fn key_in(
    client: &Client,
    mode: Mode,
    system: System,
    shape: Shape,
    with: &Ingredients<'_>,
) -> Result<(&'static str, Option<String>), String> {
    let plain = if shape.entry.is_empty() {
        shape.reference
    } else {
        shape.entry
    };
    Ok(match with.key {
        KeyText::None if !shape.without_key.is_empty() => (shape.without_key, None),
        KeyText::None => (plain, None),
        KeyText::Literal(key) => (plain, Some(key.clone())),
        KeyText::Input => (plain, Some(format!("${{input:{}}}", input_id(with.name)))),
        KeyText::File(path) if mode == Mode::Bridge => (plain, Some(path.display().to_string())),
        KeyText::File(_) => {
            return Err("a key file is read by the bridge; add --bridge, or give the key itself".to_owned());
        }
        KeyText::Variable(name) => {
            if !shape.reference.is_empty() {
                (shape.reference, Some(name.clone()))
            } else if let Some(reference) = client.reference_on(system) {
                (plain, Some(reference.replace("{VAR}", name)))
            } else {
                return Err(format!(
                    "{} does not expand variables in its file; leave out --key-env",
                    client.name
                ));
            }
        }
    })
}

/// Reads a template and puts everything in its place.
fn fill(
    template: &str,
    with: &Ingredients<'_>,
    key: Option<&str>,
    named: Option<&str>,
) -> Result<Node, String> {
    let mut node = document::parse(template, Format::Json).map_err(|problem| problem.reason)?;
    if key.is_none() {
        without_key(&mut node);
    }
    let places = [
        ("{EXE}", with.program),
        ("{URL}", with.url),
        ("{NAME}", with.name),
        ("{URL_VARIABLE}", URL_VARIABLE),
        ("{KEY_VARIABLE}", named.unwrap_or(KEY_VARIABLE)),
        ("{KEY}", key.unwrap_or_default()),
        ("{VAR}", key.unwrap_or_default()),
    ];
    replace(&mut node, &places);
    Ok(node)
}

/// Puts the value of the first placeholder that a text holds in its place; what was put in is not looked at again.
pub(crate) fn place(text: &str, places: &[(&str, &str)]) -> String {
    let mut new = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        new.push_str(before);
        if let Some((name, value)) = places.iter().find(|(name, _)| from.starts_with(name)) {
            new.push_str(value);
            rest = from.get(name.len()..).unwrap_or_default();
        } else {
            new.push('{');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    new.push_str(rest);
    new
}

fn replace(node: &mut Node, places: &[(&str, &str)]) {
    match &mut node.value {
        Value::Text(text) => *text = place(text, places),
        Value::Plain(_) => {}
        Value::List(items) => items.iter_mut().for_each(|item| replace(item, places)),
        Value::Map(members) => {
            for member in members {
                member.key = place(&member.key, places);
                replace(&mut member.node, places);
            }
        }
    }
}

/// Takes out whatever mentions a key, and the maps and lists that held nothing else.
fn without_key(node: &mut Node) {
    let Value::Map(members) = &mut node.value else {
        return;
    };
    members.retain_mut(|member| {
        let held = !member.node.members().is_empty();
        without_key(&mut member.node);
        let mentions = |node: &Node| {
            node.as_text()
                .is_some_and(|text| text.contains("{KEY}") || text.contains("{VAR}"))
        };
        let is_empty = held && member.node.members().is_empty();
        !(mentions(&member.node) || member.node.items().iter().any(mentions) || is_empty)
    });
}

/// The names under which shapes keep the environment of a program.
const ENVIRONMENTS: [&str; 3] = ["env", "environment", "envs"];

fn environment_mut(node: &mut Node) -> Option<&mut Vec<Member>> {
    let Value::Map(members) = &mut node.value else {
        return None;
    };
    let member = members
        .iter_mut()
        .find(|member| ENVIRONMENTS.contains(&member.key.as_str()))?;
    match &mut member.node.value {
        Value::Map(members) => Some(members),
        _ => None,
    }
}

/// The key's variable becomes the one that names a file.
fn rename_key(node: &mut Node, path: &Path) {
    for member in environment_mut(node).into_iter().flatten() {
        if member.key == KEY_VARIABLE {
            member.key = KEY_FILE_VARIABLE.to_owned();
            member.node = Node::text(path.display().to_string());
        }
    }
}

/// The question by which an editor asks for the key (VS Code, Visual Studio).
pub(crate) fn input(name: &str) -> Node {
    let member = |key: &str, node: Node| Member {
        key: key.to_owned(),
        start: 0,
        node,
    };
    Value::Map(vec![
        member("type", Node::text("promptString")),
        member("id", Node::text(input_id(name))),
        member("description", Node::text(format!("{} access key", brand::TITLE))),
        member("password", Value::Plain("true".to_owned()).into()),
    ])
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::find;

    fn made(id: &str, mode: Mode, system: System, key: &KeyText) -> Result<String, String> {
        let with = Ingredients {
            name: "mine",
            url: "https://s/mcp",
            program: "/p {KEY}",
            key,
            key_variable: Some("NAMED"),
            variables: &[],
        };
        build(find(id).unwrap(), mode, system, &with).map(|node| document::minimal(&node))
    }

    #[test]
    fn the_key_gets_in_the_way_the_client_knows() {
        let literal = || KeyText::Literal("k {URL}".to_owned());
        let variable = |name: &str| KeyText::Variable(name.to_owned());
        for (id, mode, key, entry) in [
            (
                "lmstudio",
                Mode::Direct,
                KeyText::None,
                r#"{"url":"https://s/mcp"}"#,
            ),
            (
                "lmstudio",
                Mode::Direct,
                literal(),
                r#"{"url":"https://s/mcp","headers":{"Authorization":"Bearer k {URL}"}}"#,
            ),
            (
                "opencode",
                Mode::Direct,
                KeyText::None,
                r#"{"type":"remote","url":"https://s/mcp","enabled":true}"#,
            ),
            (
                "opencode",
                Mode::Direct,
                variable("V"),
                r#"{"type":"remote","url":"https://s/mcp","headers":{"Authorization":"Bearer {env:V}"},"oauth":false,"enabled":true}"#,
            ),
            (
                "codex",
                Mode::Direct,
                variable("V"),
                r#"{"url":"https://s/mcp","bearer_token_env_var":"V"}"#,
            ),
            (
                "codex",
                Mode::Bridge,
                KeyText::None,
                r#"{"command":"/p {KEY}","env":{"FOOTBRIDGE_URL":"https://s/mcp"}}"#,
            ),
            (
                "codex",
                Mode::Bridge,
                variable(KEY_VARIABLE),
                r#"{"command":"/p {KEY}","env":{"FOOTBRIDGE_URL":"https://s/mcp"},"env_vars":["FOOTBRIDGE_KEY"]}"#,
            ),
            (
                "codex",
                Mode::Bridge,
                variable("V"),
                r#"{"command":"/p {KEY}","env":{"FOOTBRIDGE_URL":"https://s/mcp","FOOTBRIDGE_KEY_ENV":"V"},"env_vars":["V"]}"#,
            ),
            (
                "claude-desktop",
                Mode::Bridge,
                literal(),
                r#"{"command":"/p {KEY}","args":[],"env":{"FOOTBRIDGE_URL":"https://s/mcp","NAMED":"k {URL}","FOOTBRIDGE_KEY_ENV":"NAMED"}}"#,
            ),
            (
                "junie",
                Mode::Bridge,
                KeyText::File("/k".into()),
                r#"{"command":"/p {KEY}","args":[],"env":{"FOOTBRIDGE_URL":"https://s/mcp","FOOTBRIDGE_KEY_FILE":"/k"}}"#,
            ),
            (
                "vscode",
                Mode::Direct,
                KeyText::Input,
                r#"{"type":"http","url":"https://s/mcp","headers":{"Authorization":"Bearer ${input:mine-key}"}}"#,
            ),
        ] {
            assert_eq!(made(id, mode, System::Linux, &key).unwrap(), entry);
        }
    }

    #[test]
    fn what_a_client_cannot_do_is_refused() {
        let variable = KeyText::Variable("V".to_owned());
        for (id, mode, system, key, word) in [
            ("junie", Mode::Direct, System::Linux, &KeyText::None, "--direct"),
            ("chatgpt", Mode::Bridge, System::Linux, &KeyText::None, "--bridge"),
            ("zed", Mode::Direct, System::Linux, &variable, "--key-env"),
            (
                "claude-code",
                Mode::Direct,
                System::Windows,
                &variable,
                "--key-env",
            ),
            (
                "cursor",
                Mode::Direct,
                System::Linux,
                &KeyText::File("/k".into()),
                "--bridge",
            ),
        ] {
            let error = made(id, mode, system, key).unwrap_err();
            assert!(error.contains(word), "{id}: {error}");
        }
    }
}
