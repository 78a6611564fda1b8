//! Changes in the text of a YAML file: whole lines are added below a key, replaced or taken out.

use super::{Change, Form, Node, Problem, Value, indentation, line_start, newline, next_line, quote, splice};

/// Makes one change. `root` is the tree of `text`.
pub(super) fn apply(text: &str, root: &Node, change: &Change) -> Result<String, Problem> {
    if !root.is_map() {
        return Err(Problem::new(
            root.span.start,
            "the file should hold names and values",
        ));
    }
    match change {
        Change::Set(path, value) => set(text, root, path, value),
        Change::Delete(path) => delete(text, root, path),
        Change::Append(..) | Change::DeleteItem(..) => Err(Problem::new(0, "lists of YAML are not edited")),
    }
}

fn set(text: &str, root: &Node, path: &[String], value: &Node) -> Result<String, Problem> {
    let Some((key, rest)) = path.split_first() else {
        return Ok(text.to_owned());
    };
    let mut parent = root;
    let (mut key, mut rest) = (key, rest);
    while let Some(member) = parent.member(key) {
        let node = &member.node;
        let Some((next, after)) = rest.split_first() else {
            // Replaced as a whole.
            let indent = indentation(text, member.start);
            if indent.len() != member.start - line_start(text, member.start) {
                return Err(Problem::new(
                    member.start,
                    "this entry shares its line with another",
                ));
            }
            let start = line_start(text, member.start) + bom(text, member.start);
            let end = end_of(text, member.start, node);
            let lines = render(key, value, indent).join(newline(text));
            return splice(text, &[(start..end, lines)]);
        };
        if node.is_null() || (node.members().is_empty() && node.is_map() && node.form == Form::Inline) {
            // `key:` or `key: {}`.
            let indent = format!("{}  ", indentation(text, member.start));
            let lines = nested(next, after, value, &indent);
            let line = newline(text);
            let block = format!("{line}{}", lines.join(line));
            let key = key_end(text, member.start)?;
            // What says that there is nothing goes; a comment behind it stays with the key.
            let nothing = key..node.span.end.max(key);
            let end = super::line_end(text, nothing.end);
            return splice(text, &[(nothing, String::new()), (end..end, block)]);
        }
        if !node.is_map() || node.form == Form::Inline {
            return Err(Problem::new(
                node.span.start,
                "this value is written in a way that is not edited",
            ));
        }
        (parent, key, rest) = (node, next, after);
    }
    let line = newline(text);
    let Some(last) = parent.members().last() else {
        // A file without a value.
        let gap = if text.trim_start_matches('\u{feff}').is_empty() || text.ends_with('\n') {
            ""
        } else {
            line
        };
        return Ok(format!(
            "{text}{gap}{}{line}",
            nested(key, rest, value, "").join(line)
        ));
    };
    let indent = indentation(text, last.start);
    let lines = nested(key, rest, value, indent).join(line);
    let end = end_of(text, last.start, &last.node);
    let end = super::line_end(text, end);
    splice(text, &[(end..end, format!("{line}{lines}"))])
}

fn delete(text: &str, root: &Node, path: &[String]) -> Result<String, Problem> {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    let Some((key, parents)) = keys.split_last() else {
        return Ok(text.to_owned());
    };
    let Some(parent) = root.find(parents) else {
        return Ok(text.to_owned());
    };
    let Some(member) = parent.member(key) else {
        return Ok(text.to_owned());
    };
    if parent.form == Form::Inline {
        return Err(Problem::new(
            member.start,
            "this value is written in a way that is not edited",
        ));
    }
    let start = line_start(text, member.start) + bom(text, member.start);
    let end = next_line(text, end_of(text, member.start, &member.node));
    if parent.members().len() == 1 && !parents.is_empty() {
        // A key with nothing below it means nothing to some readers: say that it is an empty map.
        let holder = parents
            .split_last()
            .and_then(|(key, above)| root.find(above)?.member(key));
        let key = key_end(text, holder.map_or(0, |holder| holder.start))?;
        return splice(text, &[(key..key, " {}".to_owned()), (start..end, String::new())]);
    }
    // The last line of a file that does not end its last line.
    if end == text.len() && !text.ends_with('\n') {
        let before = text.get(..start).unwrap_or_default();
        let trimmed = before.strip_suffix('\n').unwrap_or(before);
        let trimmed = trimmed.strip_suffix('\r').unwrap_or(trimmed);
        return Ok(trimmed.to_owned());
    }
    splice(text, &[(start..end, String::new())])
}

/// Where the key that begins at `start` ends, its colon included.
fn key_end(text: &str, start: usize) -> Result<usize, Problem> {
    let line = text.get(start..super::line_end(text, start)).unwrap_or_default();
    let key = super::yaml::split_key(line, start)?;
    key.map(|(_, length)| start + length)
        .ok_or_else(|| Problem::new(start, "a name and a colon should be here"))
}

/// The byte order mark that stands in the first line before everything else.
fn bom(text: &str, at: usize) -> usize {
    if line_start(text, at) == 0 && text.starts_with('\u{feff}') {
        3
    } else {
        0
    }
}

/// Where a member ends: a value that stands nowhere ends with its key.
fn end_of(text: &str, start: usize, node: &Node) -> usize {
    if node.is_null() && node.form == Form::Block {
        super::line_end(text, start)
    } else {
        node.span.end
    }
}

/// The lines of a value below keys that do not exist yet.
fn nested(key: &str, rest: &[String], value: &Node, indent: &str) -> Vec<String> {
    let whole = rest.iter().rev().fold(value.clone(), |value, key| {
        Value::Map(vec![super::Member {
            key: key.clone(),
            start: 0,
            node: value,
        }])
        .into()
    });
    render(key, &whole, indent)
}

/// The lines of a key and its value.
fn render(key: &str, node: &Node, indent: &str) -> Vec<String> {
    let key = word_or_quoted(key);
    let inner = format!("{indent}  ");
    match &node.value {
        Value::Map(members) if !members.is_empty() => {
            let mut lines = vec![format!("{indent}{key}:")];
            for member in members {
                lines.extend(render(&member.key, &member.node, &inner));
            }
            lines
        }
        Value::List(items) if items.iter().any(Node::is_map) => {
            let mut lines = vec![format!("{indent}{key}:")];
            for item in items {
                lines.extend(render_item(item, &inner));
            }
            lines
        }
        _ => vec![format!("{indent}{key}: {}", inline(node))],
    }
}

/// The lines of an item of a list.
fn render_item(item: &Node, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for member in item.members() {
        lines.extend(render(&member.key, &member.node, &format!("{indent}  ")));
    }
    match lines.first_mut() {
        Some(first) => *first = format!("{indent}- {}", first.trim_start()),
        None => lines.push(format!("{indent}- {}", inline(item))),
    }
    lines
}

/// A value on one line.
fn inline(node: &Node) -> String {
    match &node.value {
        // A block text, kept as it was read.
        Value::Text(text) if node.form == Form::Block => text.clone(),
        Value::Text(text) => word_or_quoted(text),
        Value::Plain(word) => word.clone(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(members) if members.is_empty() => "{}".to_owned(),
        Value::Map(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|member| format!("{}: {}", word_or_quoted(&member.key), inline(&member.node)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
    }
}

/// A text without quotes only where no reader of YAML can take it for anything else.
fn word_or_quoted(text: &str) -> String {
    let is_word = text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if is_word { text.to_owned() } else { quote(text) }
}
