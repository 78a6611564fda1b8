//! Places and pieces of a text.

use std::ops::Range;

use super::Problem;

/// Line and column of a byte, both from one; columns count characters.
pub(crate) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let before = before.strip_prefix('\u{feff}').unwrap_or(before);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    (line, column)
}

/// The end of line that the text uses; `\n` if it uses none.
pub(super) fn newline(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// The white space that the line of a byte begins with.
pub(super) fn indentation(text: &str, at: usize) -> &str {
    let start = line_start(text, at);
    let line = text.get(start..).unwrap_or_default();
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    let width = line.len() - line.trim_start_matches([' ', '\t']).len();
    line.get(..width).unwrap_or_default()
}

/// Where the line of a byte begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text.get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1)
}

/// Where the line of a byte ends: before its line break.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let end = rest.find('\n').unwrap_or(rest.len());
    let line = rest.get(..end).unwrap_or_default();
    at + line.strip_suffix('\r').unwrap_or(line).len()
}

/// Where the line after the one of a byte begins, or the end.
pub(super) fn next_line(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.find('\n').map_or(rest.len(), |newline| newline + 1)
}

/// The text with some ranges replaced. Ranges are in order and do not overlap; two insertions at one place keep their order.
pub(super) fn splice(text: &str, edits: &[(Range<usize>, String)]) -> Result<String, Problem> {
    let mut new = String::with_capacity(text.len() + 512);
    let mut from = 0;
    for (range, replacement) in edits {
        let kept = text.get(from..range.start);
        new.push_str(kept.ok_or_else(|| Problem::new(range.start, "this place cannot be edited"))?);
        new.push_str(replacement);
        from = range.end;
    }
    new.push_str(text.get(from..).unwrap_or_default());
    Ok(new)
}

/// A text in JSON's notation, which TOML and YAML read the same way.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            // TOML wants DEL escaped, YAML takes some of the others for line breaks, and editors lose the last one.
            letter if letter.is_control() || ['\u{2028}', '\u{2029}', '\u{feff}'].contains(&letter) => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
