//! How the key gets into an entry: as a reference where the client knows such a thing, as itself otherwise, and never into a
//! file that git hands on. It comes from the settings, the terminal or standard input; there is no flag for it, because
//! command lines are public (security.md B9).

use std::cell::OnceCell;
use std::io::Read as _;

use crate::brand;
use crate::clients::entry::KeyText;
use crate::clients::link::SAMPLE_KEY;
use crate::clients::{Client, How, Mode, Scope, System};
use crate::key;
use crate::options::{KEY_VARIABLE, KeySource, SetupOptions};

/// Longest key, in bytes. What is longer is a file that was piped in by mistake.
const KEY_BYTES: usize = 8192;

/// Everything the decision depends on.
pub(super) struct Question<'a> {
    pub(super) client: &'a Client,
    pub(super) mode: Mode,
    pub(super) scope: Scope,
    /// The file is a project's and git may hand it on.
    pub(super) in_work_tree: bool,
    pub(super) system: System,
    pub(super) given: &'a KeySource,
    pub(super) options: &'a SetupOptions,
    pub(super) is_interactive: bool,
    /// What was asked for already.
    pub(super) asked: &'a OnceCell<Option<String>>,
    /// The server's, for people.
    pub(super) origin: &'a str,
}

/// Decides, and asks where nothing was said.
pub(super) fn decide(question: &Question<'_>) -> Result<KeyText, String> {
    let Question { client, options, .. } = question;
    if options.no_key {
        return Ok(KeyText::None);
    }
    // Where the client does not expand variables, the entry keeps the key in the one that was named: the bridge finds it
    // there. A client that connects by itself would not.
    if let Some(name) = options.key_variable
        && (question.mode == Mode::Direct || client.expands(question.mode, question.system))
    {
        return Ok(KeyText::Variable(name.to_owned()));
    }
    let can_refer = client.can_refer(question.mode, question.system);
    if client.input && !options.key_stdin {
        return Ok(KeyText::Input);
    }
    if question.scope == Scope::Project && can_refer && !options.key_stdin {
        return Ok(KeyText::Variable(KEY_VARIABLE.to_owned()));
    }
    let literal = match question.given {
        _ if options.key_stdin => once(question.asked, || from_stdin().map(Some))?,
        KeySource::File(path) => {
            // The bridge would refuse a file that others can read: better now than at its start.
            let key = key::read(path, question.origin).map_err(|error| error.message().to_owned())?;
            if question.mode == Mode::Bridge {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                return Ok(KeyText::File(path));
            }
            Some(key.secret.expose().to_owned())
        }
        // Set in this shell: what the client can look up itself is not copied.
        KeySource::Value(_) if can_refer && options.key_variable.is_none() => {
            return Ok(KeyText::Variable(KEY_VARIABLE.to_owned()));
        }
        KeySource::Value(key) => Some(key.expose().to_owned()),
        KeySource::None if question.in_work_tree => None,
        // Nobody types a key to see what would happen.
        KeySource::None if options.dry_run && question.is_interactive => {
            Some("key-to-be-asked-for".to_owned())
        }
        // A client's own program would get a key on its command line: it is never asked for.
        KeySource::None if question.is_interactive && client.how != How::Command => {
            once(question.asked, ask)?
        }
        KeySource::None if options.key_variable.is_some() => {
            return Err(format!(
                "{} does not expand variables in its file, so that the entry has to hold the key. Set {} for this command, \
                 or leave out --key-env",
                client.name,
                key::setting()
            ));
        }
        KeySource::None => None,
    };
    let Some(literal) = literal else {
        return Ok(KeyText::None);
    };
    if question.in_work_tree {
        return Err(format!(
            "{} cannot refer to a variable, and a key does not belong into a file of a git work tree. Leave out \
             --project, or write the entry with --no-key",
            client.name
        ));
    }
    check(&literal, question.origin).map(KeyText::Literal)
}

/// The same for an entry that is printed: nothing is asked, and a key is not shown.
pub(super) fn for_print(
    client: &Client,
    mode: Mode,
    scope: Scope,
    system: System,
    options: &SetupOptions,
) -> KeyText {
    if options.no_key {
        KeyText::None
    } else if let Some(name) = options
        .key_variable
        .filter(|_| mode == Mode::Direct || client.expands(mode, system))
    {
        KeyText::Variable(name.to_owned())
    } else if client.input {
        KeyText::Input
    } else if scope == Scope::Project && client.can_refer(mode, system) {
        KeyText::Variable(KEY_VARIABLE.to_owned())
    } else {
        KeyText::Literal(SAMPLE_KEY.to_owned())
    }
}

/// Refuses what is no key before it is in a file; takes off what was copied along with it.
fn check(text: &str, origin: &str) -> Result<String, String> {
    let key = key::examine(text, origin).map_err(|error| error.message().to_owned())?;
    let key = key.secret.expose();
    let complaint = if key.is_empty() {
        "The key is empty"
    } else if key.len() > KEY_BYTES {
        "The key is far too long: this is something else"
    } else if key
        .chars()
        .any(|letter| letter.is_whitespace() || letter.is_control())
    {
        "The key has blanks or line breaks in it"
    } else {
        return Ok(key.to_owned());
    };
    Err(complaint.to_owned())
}

/// Asks unless that was done before.
fn once(
    asked: &OnceCell<Option<String>>,
    ask: impl FnOnce() -> Result<Option<String>, String>,
) -> Result<Option<String>, String> {
    if let Some(answer) = asked.get() {
        return Ok(answer.clone());
    }
    let answer = ask()?;
    Ok(asked.get_or_init(|| answer).clone())
}

fn from_stdin() -> Result<String, String> {
    let mut text = String::new();
    let limit = u64::try_from(KEY_BYTES * 2).unwrap_or(u64::MAX);
    std::io::stdin()
        .take(limit)
        .read_to_string(&mut text)
        .map_err(|error| format!("The key cannot be read from standard input: {error}"))?;
    Ok(text)
}

/// Asks at the terminal, without showing what is typed. Nothing typed: there is no key.
fn ask() -> Result<Option<String>, String> {
    let prompt = format!("{} access key (it is not shown; empty for none): ", brand::TITLE);
    let key =
        rpassword::prompt_password(prompt).map_err(|error| format!("The key cannot be read: {error}"))?;
    Ok(Some(key).filter(|key| !key.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_refused() {
        for key in ["", "${KEY}", "YOUR_KEY", "some words", "a\nb"] {
            assert!(check(key, "https://mcp.example.com").is_err(), "{key}");
        }
        assert_eq!(
            check("Bearer key-1.2\n", "https://mcp.example.com").as_deref(),
            Ok("key-1.2")
        );
    }
}
