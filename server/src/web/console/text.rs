//! Words and moments as pages show them.

use std::collections::HashMap;

use serde_json::Value;

use crate::vocabulary::{Role, Timestamp, is_hidden};

/// A moment, to the minute: `28 Nov 2026, 11:20 UTC`.
pub(super) fn when(moment: Timestamp) -> String {
    format_moment(moment, "%-d %b %Y, %H:%M UTC")
}

/// A moment, to the second: `28 Nov 11:20:07`. Always UTC, as the page says.
pub(super) fn when_exactly(moment: Timestamp) -> String {
    format_moment(moment, "%-d %b %H:%M:%S UTC")
}

/// A day: `28 Nov 2026`.
pub(in crate::web) fn day(moment: Timestamp) -> String {
    format_moment(moment, "%-d %b %Y")
}

fn format_moment(moment: Timestamp, format: &str) -> String {
    match jiff::Timestamp::from_millisecond(moment.as_millis()) {
        Ok(at) => at.strftime(format).to_string(),
        Err(_) => moment.to_string(),
    }
}

/// A time that something took.
pub(super) fn took(milliseconds: i64) -> String {
    if milliseconds < 10_000 {
        format!("{milliseconds} ms")
    } else {
        format!("{} s", milliseconds / 1000)
    }
}

/// The beginning of a text that may be long.
pub(super) fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// An error's fragment as a sentence.
pub(super) fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    let mut text: String = first.to_uppercase().chain(letters).collect();
    if !text.ends_with(['.', '!', '?', '`']) {
        text.push('.');
    }
    text
}

/// A name, or else something that is never empty.
pub(super) fn name_or(name: &str, email: &str) -> String {
    let name = if name.trim().is_empty() { email } else { name };
    name.to_owned()
}

/// Ids with their names, by name, for those who choose one.
pub(super) fn sorted(names: &HashMap<String, String>) -> Vec<(String, String)> {
    let mut names: Vec<_> = names
        .iter()
        .map(|(id, name)| (id.clone(), name.clone()))
        .collect();
    names.sort_by(|(_, one), (_, other)| one.cmp(other));
    names
}

/// What each role may do, for those who choose one.
pub(super) const ROLES: [(&str, &str); 4] = [
    ("owner", "everything, owners included"),
    ("admin", "people, keys and settings"),
    ("auditor", "reads everything, changes nothing"),
    ("member", "works with the tools, mints own keys"),
];

/// Groups as a person types them, one a line: names from elsewhere may hold blanks and commas.
pub(super) fn groups(typed: &str) -> Vec<String> {
    typed
        .lines()
        .map(str::trim)
        .filter(|group| !group.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A role by its word, as a form sends it.
pub(super) fn role(word: &str) -> Option<Role> {
    ROLES
        .iter()
        .any(|(known, _)| *known == word)
        .then(|| word.parse().ok())
        .flatten()
}

/// What was just done, by the word that a redirect leaves in a query.
const DONE: [(&str, &str); 24] = [
    (
        "approved",
        "You said yes. The call runs when its caller makes it again, or when enough others have agreed.",
    ),
    ("declined", "You said no. Nothing was changed."),
    ("closed", "The review is revoked: its caller needs a new one."),
    ("revoked", "The key is revoked: no call begins with it any more."),
    ("narrowed", "The key is narrowed."),
    ("changed", "Saved."),
    (
        "disabled",
        "They are shut out: their keys and sessions have ended.",
    ),
    ("enabled", "They may come in again."),
    ("uninvited", "The invitation is taken back."),
    ("queued", "It is sent again."),
    ("sent", "Your reply is on its way."),
    ("noted", "The note is added."),
    ("escalated", "A ticket is open for it."),
    ("resolved", "It is resolved."),
    ("cancelled", "It is not sent."),
    ("new-password", "Your new password is set. Sign in with it."),
    ("password", "Your password is changed. Sign in with the new one."),
    ("signed-out", "You are signed out."),
    ("commented", "The comment is added."),
    ("assigned", "It is assigned."),
    (
        "archived",
        "It is archived: readers and the bot do not find it any more.",
    ),
    ("created", "It is there now."),
    ("converted", "The lead is a contact now."),
    (
        "deleted",
        "It is deleted. For 30 days an operator can bring it back.",
    ),
];

fn find_done(word: &str) -> (&'static str, &'static str) {
    let found = DONE.iter().find(|(known, _)| *known == word);
    found.copied().unwrap_or_default()
}

/// The sentence for the word that a redirect leaves in a query; a stranger's word says nothing.
pub(super) fn done(word: &str) -> &'static str {
    find_done(word).1
}

/// The word itself, if it is one of ours.
pub(super) fn done_word(word: &str) -> &'static str {
    find_done(word).0
}

/// A text in which every character that would hide or reorder others is spelled out. Lines stay lines.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_hidden(letter) && letter != '\n' {
            out.extend(letter.escape_unicode());
        } else {
            out.push(letter);
        }
    }
    out
}

/// A value as people read it. No character of it can hide or reorder what stands around.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => visible(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => visible(&other.to_string()),
    }
}

/// A word of a record's state as people write it.
pub(super) fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_times_read_well() {
        let moment = Timestamp::parse("2026-11-28T09:05:07Z").unwrap();
        assert_eq!(when(moment), "28 Nov 2026, 09:05 UTC");
        assert_eq!(when_exactly(moment), "28 Nov 09:05:07 UTC");
        assert_eq!((took(42), took(12_345)), ("42 ms".to_owned(), "12 s".to_owned()));
        assert_eq!(sentence("there is no key `x`"), "There is no key `x`");
        assert_eq!(
            sentence("a key lives 1 to 730 days"),
            "A key lives 1 to 730 days."
        );
    }

    #[test]
    fn only_roles_of_people_can_be_chosen() {
        assert_eq!(role("auditor"), Some(Role::Auditor));
        assert_eq!((role("agent"), role("root")), (None, None));
    }
}
