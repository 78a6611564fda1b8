//! What stands on one line of YAML: keys, words, texts in quotes, lists and maps in brackets.

use super::super::{DEPTH, Form, Member, Node, Problem, Value};

/// The line without the comment at its end. A `#` inside quotes is none.
pub(super) fn without_comment(content: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    let mut letters = content.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some('"'), '\\') => {
                letters.next();
            }
            (Some(open), letter) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '#') if before == ' ' || before == '\t' => {
                return content.get(..at).unwrap_or_default().trim_end();
            }
            // A quote opens a text only where a value begins.
            (None, '"' | '\'') if " \t[{,:".contains(before) => quote = Some(letter),
            _ => {}
        }
        before = letter;
    }
    content.trim_end()
}

/// The key that a line begins with and the length of the line up to its colon, the colon included.
pub(in crate::clients::document) fn split_key(
    content: &str,
    at: usize,
) -> Result<Option<(String, usize)>, Problem> {
    let (key, used) = match content.chars().next() {
        Some('"' | '\'') => {
            let (key, used) = quoted(content, at)?;
            let rest = content.get(used..).unwrap_or_default();
            let gap = rest.len() - rest.trim_start().len();
            if !rest.trim_start().starts_with(':') {
                return Ok(None);
            }
            (key, used + gap)
        }
        Some('[' | '{') => return Ok(None),
        _ => {
            let content = without_comment(content);
            let colon = content
                .match_indices(':')
                .map(|(colon, _)| colon)
                .find(|colon| matches!(content.as_bytes().get(colon + 1), None | Some(b' ' | b'\t')));
            let Some(colon) = colon else { return Ok(None) };
            let key = content.get(..colon).unwrap_or_default().trim_end();
            plain(key, at)?;
            (key.to_owned(), colon)
        }
    };
    let after = content.as_bytes().get(used + 1);
    Ok(matches!(after, None | Some(b' ' | b'\t')).then_some((key, used + 1)))
}

/// Refuses what is no plain text.
fn plain(text: &str, at: usize) -> Result<(), Problem> {
    let reason = match text.chars().next() {
        Some('&' | '*') => "anchors and aliases are not edited",
        Some('!') => "tags are not edited",
        Some('?') if text == "?" || text.starts_with("? ") => "such keys are not edited",
        Some('%' | '@' | '`' | ',' | ']' | '}' | '|' | '>') => "this character begins no value",
        _ if text == "<<" => "merges are not edited",
        _ => return Ok(()),
    };
    Err(Problem::new(at, reason))
}

/// A value on one line.
pub(super) fn scalar(content: &str, at: usize, depth: usize) -> Result<Node, Problem> {
    let (value, used) = match content.chars().next() {
        Some('[' | '{') => flow(content, at, depth)?,
        Some('"' | '\'') => {
            let (text, used) = quoted(content, at)?;
            (Value::Text(text), used)
        }
        _ => {
            plain(content, at)?;
            if content.contains(": ") || content.ends_with(':') {
                return Err(Problem::new(at, "a second colon on this line"));
            }
            (word(content), content.len())
        }
    };
    if content.len() > used {
        return Err(Problem::new(at + used, "something follows the end of the value"));
    }
    Ok(Node {
        span: at..at + used,
        form: Form::Inline,
        value,
    })
}

/// A plain word: a text unless it looks like a number, a truth value or nothing.
fn word(content: &str) -> Value {
    let lower = content.to_ascii_lowercase();
    let is_plain = [
        "", "null", "~", "true", "false", "yes", "no", "on", "off", ".inf", ".nan",
    ]
    .contains(&lower.as_str())
        || content.starts_with(|letter: char| letter.is_ascii_digit() || "+-.".contains(letter));
    if is_plain {
        Value::Plain(content.to_owned())
    } else {
        Value::Text(content.to_owned())
    }
}

/// A text in quotes and its length.
fn quoted(content: &str, at: usize) -> Result<(String, usize), Problem> {
    let open = Problem::new(at, "the text that begins here has no closing quote on its line");
    let Some(quote) = content.chars().next() else {
        return Err(open);
    };
    let mut text = String::new();
    let mut letters = content.char_indices().skip(1).peekable();
    while let Some((index, letter)) = letters.next() {
        match letter {
            '\'' if quote == '\'' && letters.peek().is_some_and(|(_, next)| *next == '\'') => {
                letters.next();
                text.push('\'');
            }
            letter if letter == quote => return Ok((text, index + 1)),
            '\\' if quote == '"' => {
                let wrong = Problem::new(at + index, "a wrong escape");
                let Some((_, escaped)) = letters.next() else {
                    return Err(open);
                };
                let digits = match escaped {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    'n' => {
                        text.push('\n');
                        continue;
                    }
                    't' => {
                        text.push('\t');
                        continue;
                    }
                    'r' => {
                        text.push('\r');
                        continue;
                    }
                    '0' => {
                        text.push('\0');
                        continue;
                    }
                    '"' | '\\' | '/' | ' ' => {
                        text.push(escaped);
                        continue;
                    }
                    _ => return Err(wrong),
                };
                let code: String = letters.by_ref().take(digits).map(|(_, digit)| digit).collect();
                let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                text.push(code.ok_or(wrong)?);
            }
            letter => text.push(letter),
        }
    }
    Err(open)
}

/// A list or map in brackets, on one line, and its length.
fn flow(content: &str, at: usize, depth: usize) -> Result<(Value, usize), Problem> {
    if depth > DEPTH {
        return Err(Problem::new(at, "values nest too deep"));
    }
    let is_map = content.starts_with('{');
    let close = if is_map { '}' } else { ']' };
    let (mut items, mut members) = (Vec::new(), Vec::<Member>::new());
    let mut used = 1;
    loop {
        let rest = content.get(used..).unwrap_or_default();
        let trimmed = rest.trim_start();
        used += rest.len() - trimmed.len();
        if trimmed.starts_with(close) {
            let value = if is_map {
                Value::Map(members)
            } else {
                Value::List(items)
            };
            return Ok((value, used + 1));
        }
        if trimmed.is_empty() {
            return Err(open_ended(at));
        }
        let start = at + used;
        let mut key = None;
        if is_map {
            let (name, length) = flow_key(trimmed, start)?;
            if members.iter().any(|member| member.key == name) {
                return Err(Problem::new(
                    start,
                    format!("the name `{name}` is there a second time"),
                ));
            }
            used += length;
            key = Some(name);
        }
        let rest = content.get(used..).unwrap_or_default();
        let inner = rest.trim_start();
        used += rest.len() - inner.len();
        let (value, length) = match inner.chars().next() {
            Some('[' | '{') => flow(inner, at + used, depth + 1)?,
            Some('"' | '\'') => {
                let (text, length) = quoted(inner, at + used)?;
                (Value::Text(text), length)
            }
            _ => {
                let length = inner.find([',', ']', '}', '[', '{']).unwrap_or(inner.len());
                let text = inner.get(..length).unwrap_or_default().trim_end();
                plain(text, at + used)?;
                if !is_map && (text.is_empty() || text.contains(": ")) {
                    return Err(Problem::new(at + used, "a value should be here"));
                }
                (word(text), length)
            }
        };
        let node = Node {
            span: at + used..at + used + length,
            form: Form::Inline,
            value,
        };
        used += length;
        match key {
            Some(key) => members.push(Member { key, start, node }),
            None => items.push(node),
        }
        let rest = content.get(used..).unwrap_or_default();
        let trimmed = rest.trim_start();
        used += rest.len() - trimmed.len();
        match trimmed.chars().next() {
            Some(',') => used += 1,
            Some(letter) if letter == close => {}
            Some(_) => return Err(Problem::new(at + used, "a comma is missing before this")),
            None => return Err(open_ended(at)),
        }
    }
}

fn open_ended(at: usize) -> Problem {
    Problem::new(at, "lists and maps in brackets over several lines are not edited")
}

/// The key of a map in brackets and its length, the colon included.
fn flow_key(content: &str, at: usize) -> Result<(String, usize), Problem> {
    let missing = || Problem::new(at, "a name and a colon should be here");
    let (key, used) = if content.starts_with(['"', '\'']) {
        quoted(content, at)?
    } else {
        let end = content.find([':', ',', '}', '{', '[', ']']).ok_or_else(missing)?;
        let key = content.get(..end).unwrap_or_default().trim_end();
        plain(key, at)?;
        (key.to_owned(), key.len())
    };
    let rest = content.get(used..).unwrap_or_default();
    let gap = rest.len() - rest.trim_start().len();
    if key.is_empty() || !rest.trim_start().starts_with(':') {
        return Err(missing());
    }
    Ok((key, used + gap + 1))
}
