//! Changes in the text of a JSON file. New members take on the manners of their neighbours: indentation, line ends, trailing
//! commas.

use std::ops::Range;

use super::{Change, Form, Node, Problem, Value, indentation, newline, quote, splice};

/// Makes one change. `root` is the tree of `text`.
pub(super) fn apply(text: &str, root: &Node, change: &Change) -> Result<String, Problem> {
    if !root.is_map() {
        return Err(Problem::new(root.span.start, "the file should hold an object"));
    }
    match change {
        Change::Set(path, value) => set(text, root, path, value),
        Change::Append(path, item) => append(text, root, path, item),
        Change::Delete(path) => {
            let Some((key, parent)) = path.split_last() else {
                return Ok(text.to_owned());
            };
            let (parent, missing) = deepest(root, parent)?;
            let children = children(parent);
            match parent.members().iter().position(|member| member.key == *key) {
                Some(index) if missing.is_empty() => remove(text, parent, &children, index),
                _ => Ok(text.to_owned()),
            }
        }
        Change::DeleteItem(path, index) => {
            let (list, _) = deepest(root, path)?;
            remove(text, list, &children(list), *index)
        }
    }
}

fn set(text: &str, root: &Node, path: &[String], value: &Node) -> Result<String, Problem> {
    let (node, missing) = deepest(root, path)?;
    let manners = Manners::of(text, root);
    let Some((key, inner)) = missing.split_first() else {
        let lines = text.get(node.span.clone()).is_some_and(|old| old.contains('\n')) || !holds_values(node);
        let new = manners.render(value, indentation(text, node.span.start), lines);
        return splice(text, &[(node.span.clone(), new)]);
    };
    if !node.is_map() {
        return Err(Problem::new(node.span.start, "an object should be here"));
    }
    let value = inner.iter().rev().fold(value.clone(), |value, key| {
        Value::Map(vec![super::Member {
            key: key.clone(),
            start: 0,
            node: value,
        }])
        .into()
    });
    let name = format!("{}: ", quote(key));
    insert(text, node, &manners, &name, &value)
}

fn append(text: &str, root: &Node, path: &[String], item: &Node) -> Result<String, Problem> {
    let (node, missing) = deepest(root, path)?;
    if !missing.is_empty() {
        let list = Value::List(vec![item.clone()]).into();
        return set(text, root, path, &list);
    }
    if !matches!(node.value, Value::List(_)) {
        return Err(Problem::new(node.span.start, "a list should be here"));
    }
    insert(text, node, &Manners::of(text, root), "", item)
}

/// The last value on the path that exists, and what of the path is missing after it.
fn deepest<'n, 'p>(root: &'n Node, path: &'p [String]) -> Result<(&'n Node, &'p [String]), Problem> {
    let mut node = root;
    for (done, key) in path.iter().enumerate() {
        if !node.is_map() {
            return Err(Problem::new(node.span.start, "an object should be here"));
        }
        match node.get(key) {
            Some(next) => node = next,
            None => return Ok((node, path.get(done..).unwrap_or_default())),
        }
    }
    Ok((node, &[]))
}

/// Where the members or items of a value stand, names included.
fn children(node: &Node) -> Vec<Range<usize>> {
    match &node.value {
        Value::Map(members) => members
            .iter()
            .map(|member| member.start..member.node.span.end)
            .collect(),
        Value::List(items) => items.iter().map(|item| item.span.clone()).collect(),
        _ => Vec::new(),
    }
}

fn holds_values(node: &Node) -> bool {
    !node.members().is_empty() || !node.items().is_empty()
}

/// Puts a new last member (`name` not empty) or item into an object or list.
fn insert(
    text: &str,
    container: &Node,
    manners: &Manners,
    name: &str,
    value: &Node,
) -> Result<String, Problem> {
    let line = manners.newline;
    if container.form == Form::Implied {
        // A file without a value.
        let member = format!(
            "{}{name}{}",
            manners.unit,
            manners.render(value, &manners.unit, true)
        );
        let gap = if text.is_empty() || text.ends_with(['\n', '\u{feff}']) {
            ""
        } else {
            line
        };
        return Ok(format!("{text}{gap}{{{line}{member}{line}}}{line}"));
    }
    let (open, close) = (container.span.start, container.span.end - 1);
    let children = children(container);
    let (Some(first), Some(last)) = (children.first(), children.last()) else {
        let outer = indentation(text, open);
        let indent = format!("{outer}{}", manners.unit);
        let inner = text.get(open + 1..close).unwrap_or_default().trim_end();
        let new = format!(
            "{line}{indent}{name}{}{line}{outer}",
            manners.render(value, &indent, true)
        );
        return splice(text, &[(open + 1 + inner.len()..close, new)]);
    };
    let between = text.get(open..first.start).unwrap_or_default();
    let trailing = comma_after(text, last.end);
    if !between.contains('\n') {
        let item = format!("{name}{}", manners.render(value, "", false));
        return match trailing {
            Some(at) => splice(text, &[(at + 1..at + 1, format!(" {item},"))]),
            None => splice(text, &[(last.end..last.end, format!(", {item}"))]),
        };
    }
    let indent = indentation(text, first.start);
    let item = format!("{line}{indent}{name}{}", manners.render(value, indent, true));
    match trailing {
        Some(at) => {
            let end = end_of_notes(text, at + 1);
            splice(text, &[(end..end, format!("{item},"))])
        }
        None => {
            let end = end_of_notes(text, last.end);
            splice(text, &[(last.end..last.end, ",".to_owned()), (end..end, item)])
        }
    }
}

/// Takes a member or item out, with the comma and the line that it needed.
fn remove(text: &str, container: &Node, children: &[Range<usize>], index: usize) -> Result<String, Problem> {
    let Some(child) = children.get(index) else {
        return Ok(text.to_owned());
    };
    let before = text.get(..child.start).unwrap_or_default();
    let trimmed = before.trim_end_matches([' ', '\t']);
    // The line break before it goes with it; the comment of a neighbour on that line stays.
    let start = trimmed
        .strip_suffix('\n')
        .map_or(trimmed, |rest| rest.strip_suffix('\r').unwrap_or(rest))
        .len();
    let comma = comma_after(text, child.end);
    let (open, close) = (container.span.start, container.span.end - 1);
    if children.len() == 1 {
        let end = comma.map_or(child.end, |comma| comma + 1);
        let around = [text.get(open + 1..child.start), text.get(end..close)];
        if around
            .iter()
            .all(|gap| gap.is_some_and(|gap| gap.trim().is_empty()))
        {
            return splice(text, &[(open + 1..close, String::new())]);
        }
        return splice(text, &[(start..end, String::new())]);
    }
    let previous = index.checked_sub(1).and_then(|index| children.get(index));
    match (comma, previous) {
        // The first of a line of several: the blanks before it stay for the next one.
        (Some(comma), None) if start == trimmed.len() => {
            let rest = text.get(comma + 1..).unwrap_or_default();
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            splice(text, &[(child.start..comma + 1 + blanks, String::new())])
        }
        (Some(comma), _) => splice(text, &[(start..comma + 1, String::new())]),
        (None, Some(previous)) => {
            let comma = comma_after(text, previous.end).unwrap_or(previous.end);
            let start = start.max(comma + 1);
            splice(
                text,
                &[
                    (comma..comma + 1, String::new()),
                    (start..child.end, String::new()),
                ],
            )
        }
        (None, None) => splice(text, &[(start..child.end, String::new())]),
    }
}

/// The comma after a value, if the next thing that is neither blank nor comment is one.
fn comma_after(text: &str, mut at: usize) -> Option<usize> {
    loop {
        let rest = text.get(at..)?;
        if rest.starts_with(',') {
            return Some(at);
        }
        at += match rest.chars().next()? {
            ' ' | '\t' | '\r' | '\n' => 1,
            '/' if rest.starts_with("//") => rest.find('\n')?,
            '/' => rest.find("*/")? + 2,
            _ => return None,
        };
    }
}

/// Where the comments that follow on the same line end.
fn end_of_notes(text: &str, from: usize) -> usize {
    let mut at = from;
    let mut end = from;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        match rest.chars().next() {
            Some(' ' | '\t') => at += 1,
            Some('/') if rest.starts_with("//") => return super::line_end(text, at),
            Some('/') => match rest.find("*/") {
                Some(length) if !rest.get(..length).unwrap_or_default().contains('\n') => {
                    at += length + 2;
                    end = at;
                }
                _ => return end,
            },
            _ => return end,
        }
    }
}

/// How the file is laid out.
struct Manners {
    newline: &'static str,
    unit: String,
}

impl Manners {
    fn of(text: &str, root: &Node) -> Manners {
        let first = children(root).first().map_or(0, |child| child.start);
        let own_line = text
            .get(root.span.start..first)
            .is_some_and(|gap| gap.contains('\n'));
        let unit = if own_line { indentation(text, first) } else { "" };
        Manners {
            newline: newline(text),
            unit: if unit.is_empty() { "  " } else { unit }.to_owned(),
        }
    }

    /// Renders a value whose line begins with `indent`; `lines` spreads maps over lines.
    fn render(&self, node: &Node, indent: &str, lines: bool) -> String {
        let inner = format!("{indent}{}", self.unit);
        let simple = |items: &[Node]| items.iter().all(|item| !holds_values(item));
        let (brackets, parts): (_, Vec<String>) = match &node.value {
            Value::Map(members) if !members.is_empty() && lines => (
                ['{', '}'],
                members
                    .iter()
                    .map(|member| {
                        format!(
                            "{}: {}",
                            quote(&member.key),
                            self.render(&member.node, &inner, true)
                        )
                    })
                    .collect(),
            ),
            Value::List(items) if lines && !simple(items) => (
                ['[', ']'],
                items.iter().map(|item| self.render(item, &inner, true)).collect(),
            ),
            _ => return compact(node),
        };
        let line = self.newline;
        let parts = parts.join(&format!(",{line}{inner}"));
        format!("{}{line}{inner}{parts}{line}{indent}{}", brackets[0], brackets[1])
    }
}

/// Renders a value on one line, as a person would write it.
pub(super) fn compact(node: &Node) -> String {
    one_line(node, " ")
}

/// Renders a value on one line, `gap` between its parts.
pub(super) fn one_line(node: &Node, gap: &str) -> String {
    let separator = format!(",{gap}");
    match &node.value {
        Value::Text(text) => quote(text),
        Value::Plain(word) => word.clone(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| one_line(item, gap)).collect();
            format!("[{}]", items.join(&separator))
        }
        Value::Map(members) if members.is_empty() => "{}".to_owned(),
        Value::Map(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|member| format!("{}:{gap}{}", quote(&member.key), one_line(&member.node, gap)))
                .collect();
            format!("{{{gap}{}{gap}}}", members.join(&separator))
        }
    }
}
