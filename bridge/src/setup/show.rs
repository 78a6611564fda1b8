//! What the person reads: the entry line by line, what to do next, links. A key is never among it.

use std::path::Path;

use super::edit::{Edit, Kind};
use super::say;
use crate::brand;
use crate::clients::document::{self, Change, Node, Value};
use crate::clients::entry::{self, KeyText};
use crate::clients::inspect::Finding;
use crate::clients::link::{self, SAMPLE_KEY};
use crate::clients::{Client, Format, Grade, Scope, Surroundings};
use crate::key;
use crate::options::{
    CA_FILE_VARIABLE, CLIENT_CERT_VARIABLE, CLIENT_KEY_VARIABLE, KEY_ENV_VARIABLE, KEY_FILE_VARIABLE,
    URL_VARIABLE,
};

/// The key as it may be printed.
pub(super) fn printable(key: &KeyText) -> KeyText {
    match key {
        KeyText::Literal(_) => KeyText::Literal(SAMPLE_KEY.to_owned()),
        other => other.clone(),
    }
}

/// What an edit changes.
pub(super) fn edit(client: &Client, file: &str, name: &str, edit: &Edit) {
    let what = match edit.kind {
        Kind::Added if edit.old.is_none() => "new file",
        Kind::Added => "new entry",
        Kind::Updated => "changed entry",
        Kind::Removed if edit.new.is_none() => "the file goes: nothing else is in it",
        Kind::Removed => "entry goes",
        Kind::Nothing => "nothing changes",
    };
    say(format_args!("{}: {file} ({what})", client.name));
    let lines = |node: &Option<Node>| {
        node.as_ref()
            .map_or_else(Vec::new, |node| rendered(client, name, &masked(node)))
    };
    let (old, new) = (lines(&edit.before), lines(&edit.after));
    for (sign, line) in differences(&old, &new) {
        say(format_args!("  {sign} {line}"));
    }
}

/// The lines of an entry in its client's notation.
fn rendered(client: &Client, name: &str, entry: &Node) -> Vec<String> {
    let is_json = matches!(client.format, Format::Json | Format::Jsonc);
    let path = match client.format {
        Format::Toml => client
            .key_path
            .iter()
            .copied()
            .chain([name])
            .map(str::to_owned)
            .collect(),
        _ => vec![name.to_owned()],
    };
    let text = document::snippet(client.format, &path, entry).unwrap_or_default();
    // Without the braces that make a whole file of it.
    let inner = text.strip_prefix("{\n").and_then(|text| text.strip_suffix("}\n"));
    let indent = if is_json { "  " } else { "" };
    inner
        .filter(|_| is_json)
        .unwrap_or(&text)
        .lines()
        .map(|line| line.strip_prefix(indent).unwrap_or(line).to_owned())
        .collect()
}

/// Lines that went, came or stayed. Lines at both ends that are the same stay; entries are too short for more.
fn differences<'l>(old: &'l [String], new: &'l [String]) -> Vec<(char, &'l str)> {
    let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let rest = old.len().min(new.len()) - same;
    let tail = old.iter().rev().zip(new.iter().rev());
    let same_tail = tail.take(rest).take_while(|(old, new)| old == new).count();
    let part = |lines: &'l [String], from: usize, to: usize, sign| {
        let lines = lines.get(from..to).unwrap_or_default().iter();
        lines.map(move |line| (sign, line.as_str())).collect::<Vec<_>>()
    };
    let mut shown = part(new, 0, same, ' ');
    shown.extend(part(old, same, old.len() - same_tail, '-'));
    shown.extend(part(new, same, new.len() - same_tail, '+'));
    shown.extend(part(new, new.len() - same_tail, new.len(), ' '));
    shown
}

/// The entry with every value that may be a secret cut short.
fn masked(node: &Node) -> Node {
    let mut node = node.clone();
    mask(&mut node, false);
    node
}

fn mask(node: &mut Node, is_secret: bool) {
    match &mut node.value {
        Value::Text(text) if is_secret => *text = cut(text),
        Value::Text(_) | Value::Plain(_) => {}
        Value::List(items) => items.iter_mut().for_each(|item| mask(item, is_secret)),
        Value::Map(members) => {
            for member in members {
                let name = member.key.to_ascii_lowercase();
                let holds = ["env", "envs", "environment", "headers", "http_headers"].contains(&&*name);
                // Addresses, paths and names are known to be harmless; what others put there is not.
                let is_known = [
                    URL_VARIABLE,
                    KEY_ENV_VARIABLE,
                    KEY_FILE_VARIABLE,
                    CA_FILE_VARIABLE,
                    CLIENT_CERT_VARIABLE,
                    CLIENT_KEY_VARIABLE,
                ]
                .contains(&member.key.as_str());
                mask(&mut member.node, (is_secret || holds) && !is_known);
            }
        }
    }
}

/// A secret's beginning. References are no secrets.
fn cut(text: &str) -> String {
    let (scheme, secret) = match text.split_once(' ') {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => (scheme, secret),
        _ => ("", text),
    };
    let is_reference = secret.contains('{') || (secret.starts_with('$') && secret.len() > 1);
    if is_reference || secret.is_empty() || ["1", "0", "true", "false"].contains(&secret) {
        return text.to_owned();
    }
    let shown = match key::known_prefix(secret) {
        Some(_) => key::shown(secret),
        None => "…".to_owned(),
    };
    let gap = if scheme.is_empty() { "" } else { " " };
    format!("{scheme}{gap}{shown}")
}

/// What to do after a file was written. `key` is how the key got into it; none where the entry went.
pub(super) fn written(
    client: &Client,
    around: &Surroundings,
    file: &str,
    edit: &Edit,
    backup: Option<&Path>,
    key: Option<&KeyText>,
) {
    let done = match edit.kind {
        Kind::Removed if edit.new.is_none() => "Removed",
        Kind::Removed if edit.is_restored => "Restored",
        _ => "Wrote",
    };
    say(format_args!("{done} {file}"));
    if let Some(backup) = backup {
        say(format_args!("The file as it was: {}", around.show(backup)));
    }
    key.map(note);
    epilogue(client);
}

/// What reading the client's files again brings to light.
pub(super) fn findings(findings: &[Finding]) {
    for finding in findings {
        let word = if finding.is_failure { "FAIL" } else { "warn" };
        say(format_args!("{word} {}: {}", finding.code, finding.message));
    }
}

/// What an entry needs from outside itself.
pub(super) fn note(key: &KeyText) {
    if let KeyText::Variable(name) = key {
        say(format_args!(
            "The entry refers to {name}: the client has to see that variable when it starts. To put the key itself into \
             the file, use --key-stdin."
        ));
    }
}

/// How the client takes notice, and what surprises people.
pub(super) fn epilogue(client: &Client) {
    if !client.restart.is_empty() {
        say(format_args!("Next: {}", client.restart));
    }
    if !client.quirk.is_empty() {
        say(format_args!("Note: {}", client.quirk));
    }
    if client.grade == Grade::C {
        say(format_args!(
            "This is known from a single or an older source: check in the app."
        ));
    }
}

/// Where a person has to paste something.
pub(super) fn instructions(client: &Client, url: &str) {
    let text = entry::place(client.text, &[("{URL}", url), ("{TITLE}", brand::TITLE)]);
    say(format_args!("{}: {text}\n", client.name));
}

/// The entry as a whole file would hold it.
pub(super) fn snippet(client: &Client, name: &str, entry: &Node, key: &KeyText) {
    let text = snippet_text(client, name, entry, key).unwrap_or_default();
    say(format_args!("{}", text.trim_end()));
    if matches!(key, KeyText::Literal(_)) && text.contains(SAMPLE_KEY) {
        say(format_args!("\nPut your key in the place of {SAMPLE_KEY}."));
    }
}

fn snippet_text(client: &Client, name: &str, entry: &Node, key: &KeyText) -> Option<String> {
    if client.list {
        // Entries are items, and an item is pasted with its list.
        let list = Value::List(vec![entry.clone()]).into();
        let path: Vec<String> = client.key_path.iter().copied().map(str::to_owned).collect();
        return document::snippet(client.format, &path, &list).ok();
    }
    let path: Vec<String> = client
        .key_path
        .iter()
        .copied()
        .chain([name])
        .map(str::to_owned)
        .collect();
    let mut text = document::snippet(client.format, &path, entry).ok()?;
    if matches!(key, KeyText::Input) {
        let change = Change::Append(vec!["inputs".to_owned()], entry::input(name));
        text = document::apply(&text, client.format, &change).ok()?;
    }
    Some(text)
}

/// The links that install the entry by a click.
pub(super) fn links(client: &Client, name: &str, url: &str) {
    let (link, web_link) = link::links(client, name, url);
    let has_any = link.is_some() || web_link.is_some();
    for link in link.into_iter().chain(web_link) {
        say(format_args!("\nOr open: {link}"));
    }
    if has_any
        && (client.link.contains("ENTRY_BASE64") || client.web_link.contains("{ENTRY}"))
        && !client.input
    {
        say(format_args!(
            "A link never carries a key: put yours in the place of {SAMPLE_KEY} afterwards."
        ));
    }
    say(format_args!(""));
}

/// What a scope is called.
pub(super) fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::User => "user",
        Scope::Project => "project",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_cut_and_references_are_not() {
        for (text, shown) in [
            ("Bearer hoard_sk_7Qd2Xk0123456789", "Bearer hoard_sk_7Qd2Xk…"),
            ("hoard_sk_7Qd2Xk0123456789abcdef", "hoard_sk_7Qd2Xk…"),
            ("sk-someone-else", "…"),
            ("${env:FOOTBRIDGE_KEY}", "${env:FOOTBRIDGE_KEY}"),
            ("Bearer $FOOTBRIDGE_KEY", "Bearer $FOOTBRIDGE_KEY"),
            ("1", "1"),
        ] {
            assert_eq!(cut(text), shown);
        }
    }

    #[test]
    fn only_changed_lines_are_marked() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (old, new) = (lines("a b c d"), lines("a x y d"));
        let marks: String = differences(&old, &new)
            .iter()
            .map(|(sign, line)| format!("{sign}{line}"))
            .collect();
        assert_eq!(marks, " a-b-c+x+y d");
        assert_eq!(differences(&[], &new).len(), 4);
    }
}
