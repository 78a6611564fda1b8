//! Changes in the text of a TOML file: lines are added to a table, taken out of it, or a whole table stands at the end.

use super::{
    Change, Form, Member, Node, Problem, Value, line_end, line_start, newline, next_line, quote, splice,
};

/// Makes one change. `root` is the tree of `text`.
pub(super) fn apply(text: &str, root: &Node, change: &Change) -> Result<String, Problem> {
    match change {
        Change::Set(path, value) => set(text, root, path, value),
        Change::Delete(path) => delete(text, root, path),
        Change::Append(..) | Change::DeleteItem(..) => Err(Problem::new(0, "lists of TOML are not edited")),
    }
}

fn set(text: &str, root: &Node, path: &[String], value: &Node) -> Result<String, Problem> {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    if let Some(old) = root.find(&keys) {
        if old.form == Form::Inline {
            return splice(text, &[(old.span.clone(), inline(value))]);
        }
        return Err(Problem::new(
            old.span.start,
            "this table is written in a way that is not edited",
        ));
    }
    let Some((key, parents)) = path.split_last() else {
        return Ok(text.to_owned());
    };
    let parent = root.find(keys.get(..parents.len()).unwrap_or_default());
    match parent {
        // A line more in a table that has a header.
        Some(table) if table.form == Form::Block && !parents.is_empty() && table.is_map() => {
            let end = line_end(text, table.span.end);
            let line = format!("{}{} = {}", newline(text), bare_or_quoted(key), inline(value));
            splice(text, &[(end..end, line)])
        }
        Some(table) if table.form == Form::Inline && table.is_map() => {
            let member = format!("{} = {}", bare_or_quoted(key), inline(value));
            match table.members().last() {
                None => splice(text, &[(table.span.clone(), format!("{{ {member} }}"))]),
                Some(last) => {
                    let end = end_in_line(last)?;
                    splice(text, &[(end..end, format!(", {member}"))])
                }
            }
        }
        _ if value.is_map() => {
            // Someone may have written the parent in one line: a header cannot add to it.
            let blocked = (1..keys.len())
                .filter_map(|length| root.find(keys.get(..length)?))
                .find(|node| node.form == Form::Inline);
            if let Some(node) = blocked {
                return Err(Problem::new(
                    node.span.start,
                    "this table is written in a way that is not edited",
                ));
            }
            Ok(append_table(text, path, value))
        }
        _ => Err(Problem::new(
            0,
            "the place of this value is written in a way that is not edited",
        )),
    }
}

/// A table of its own at the end of the file.
fn append_table(text: &str, path: &[String], value: &Node) -> String {
    let line = newline(text);
    let header: Vec<String> = path.iter().map(|key| bare_or_quoted(key)).collect();
    let mut lines = vec![format!("[{}]", header.join("."))];
    for member in value.members() {
        lines.push(format!(
            "{} = {}",
            bare_or_quoted(&member.key),
            inline(&member.node)
        ));
    }
    let block = lines.join(line);
    let bare = text.trim_start_matches('\u{feff}');
    let gap = if bare.is_empty() || bare.ends_with("\n\n") || bare.ends_with("\n\r\n") {
        String::new()
    } else if bare.ends_with('\n') {
        line.to_owned()
    } else {
        format!("{line}{line}")
    };
    // A file without an end of line at its end stays one.
    let end = if bare.is_empty() || bare.ends_with('\n') {
        line
    } else {
        ""
    };
    format!("{text}{gap}{block}{end}")
}

fn delete(text: &str, root: &Node, path: &[String]) -> Result<String, Problem> {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    let Some((key, parents)) = keys.split_last() else {
        return Ok(text.to_owned());
    };
    let parent = root.find(parents);
    let Some(member) = parent.and_then(|parent| parent.member(key)) else {
        return Ok(text.to_owned());
    };
    if member.node.form == Form::Inline {
        if let Some(table) = parent.filter(|parent| parent.form == Form::Inline) {
            return delete_in_line(text, table, member);
        }
        let (start, end) = (
            line_start(text, member.start),
            next_line(text, member.node.span.end),
        );
        return splice(text, &[(start..end, String::new())]);
    }
    let mut blocks = Vec::new();
    headers(&member.node, &mut blocks)?;
    blocks.sort_by_key(|block: &std::ops::Range<usize>| block.start);
    let edits: Vec<_> = blocks
        .into_iter()
        .map(|block| {
            let end = next_line(text, block.end);
            (
                start_of_block(text, line_start(text, block.start), end)..end,
                String::new(),
            )
        })
        .collect();
    let new = splice(text, &edits)?;
    // The end of line that stood before the table was ours, where the table's own was missing.
    if text.ends_with('\n') {
        return Ok(new);
    }
    let trimmed = new.strip_suffix('\n').unwrap_or(&new);
    Ok(trimmed.strip_suffix('\r').unwrap_or(trimmed).to_owned())
}

/// Takes a member out of a table in braces, with the comma that it needed.
fn delete_in_line(text: &str, table: &Node, member: &Member) -> Result<String, Problem> {
    let (start, end) = (member.start, end_in_line(member)?);
    let members = table.members();
    let at = members.iter().position(|other| other.start == start).unwrap_or(0);
    let before = at.checked_sub(1).and_then(|at| members.get(at));
    let range = match (before, members.get(at + 1)) {
        (Some(before), _) => end_in_line(before)?..end,
        (None, Some(after)) => start..after.start,
        (None, None) => table.span.start + 1..table.span.end - 1,
    };
    splice(text, &[(range, String::new())])
}

/// Where a member of a table in braces ends. Dotted keys end in several places.
fn end_in_line(member: &Member) -> Result<usize, Problem> {
    if member.node.form == Form::Inline {
        Ok(member.node.span.end)
    } else {
        Err(Problem::new(member.start, "dotted keys are not edited"))
    }
}

/// Where the lines of a table begin, with the blank line that set it off.
fn start_of_block(text: &str, start: usize, end: usize) -> usize {
    let before = text.get(..start).unwrap_or_default();
    let rest = text.get(end..).unwrap_or_default();
    let is_set_off_below = rest.is_empty() || rest.starts_with(['\n', '\r']);
    let line = before
        .strip_suffix('\n')
        .map(|rest| rest.strip_suffix('\r').unwrap_or(rest));
    match line {
        Some(line) if is_set_off_below && line.ends_with('\n') => line.len(),
        _ => start,
    }
}

/// The places of a table and of all tables inside it, each from its header to its last line.
fn headers(node: &Node, blocks: &mut Vec<std::ops::Range<usize>>) -> Result<(), Problem> {
    if node.form == Form::Inline {
        return Ok(());
    }
    if !node.is_map() {
        return Err(Problem::new(node.span.start, "lists of tables are not edited"));
    }
    if node.form == Form::Block {
        blocks.push(node.span.clone());
    }
    for member in node.members() {
        if node.form == Form::Implied && member.node.form == Form::Inline {
            return Err(Problem::new(member.start, "dotted keys are not edited"));
        }
        headers(&member.node, blocks)?;
    }
    Ok(())
}

/// A value on one line.
fn inline(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => quote(text),
        Value::Plain(word) => word.clone(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(members) if members.is_empty() => "{}".to_owned(),
        Value::Map(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|member| format!("{} = {}", bare_or_quoted(&member.key), inline(&member.node)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
    }
}

fn bare_or_quoted(key: &str) -> String {
    let is_bare = !key.is_empty()
        && key
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_');
    if is_bare { key.to_owned() } else { quote(key) }
}
