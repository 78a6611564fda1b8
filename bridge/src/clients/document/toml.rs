//! TOML 1.0 → a tree with places.
//!
//! Numbers and dates are kept as they are spelled and only looked at for their characters: an edit leaves them alone, and
//! whether `2026-13-45` is a date is for the client to say. Everything that decides where a value begins and ends, and which
//! table it belongs to, is checked.

mod reader;

use super::{Form, Member, Node, Problem, Value};
use reader::Reader;

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let mut reader = Reader {
        text,
        at: if text.starts_with('\u{feff}') { 3 } else { 0 },
    };
    let mut root = Node {
        span: reader.at..reader.at,
        form: Form::Block,
        value: Value::Map(Vec::new()),
    };
    // The header that applies: its path, and whether it stands for an item of a list.
    let mut header: Vec<(String, usize)> = Vec::new();
    loop {
        reader.blank_lines()?;
        let start = reader.at;
        match reader.peek() {
            None => return Ok(root),
            Some(b'[') => {
                reader.at += 1;
                let item = reader.eat(b'[');
                reader.blank();
                header = reader.key()?;
                reader.expect(b']', "`]` should be here")?;
                if item {
                    reader.expect(b']', "`]]` should be here")?;
                }
                let end = reader.at;
                reader.line_end()?;
                open(&mut root, &header, start..end, item)?;
            }
            Some(_) => {
                let key = reader.key()?;
                reader.expect(b'=', "an equals sign should be here")?;
                reader.blank();
                let value = reader.value(0)?;
                let end = value.span.end;
                reader.line_end()?;
                let path: Vec<&str> = header.iter().map(|(key, _)| key.as_str()).collect();
                let table = table_at(&mut root, &path)
                    .ok_or_else(|| Problem::new(start, "this table cannot be extended"))?;
                define(table, &key, start, value)?;
                table.span.end = end;
            }
        }
    }
}

/// The table that a header opened; of a list of tables, the last one.
fn table_at<'n>(root: &'n mut Node, path: &[&str]) -> Option<&'n mut Node> {
    let mut node = root;
    for key in path {
        let Value::Map(members) = &mut node.value else {
            return None;
        };
        node = &mut members.iter_mut().find(|member| member.key == *key)?.node;
        if matches!(node.value, Value::List(_)) {
            node = last_table(node)?;
        }
    }
    Some(node)
}

/// The last table of a list. Only lists that were made by headers hold tables that a header can speak of.
fn last_table(list: &mut Node) -> Option<&mut Node> {
    match &mut list.value {
        Value::List(items) => items.last_mut().filter(|last| last.form == Form::Block),
        _ => None,
    }
}

/// Makes the table of a header.
fn open(
    root: &mut Node,
    header: &[(String, usize)],
    span: std::ops::Range<usize>,
    item: bool,
) -> Result<(), Problem> {
    let twice = |key: &str, at| Problem::new(at, format!("`{key}` is defined a second time"));
    let Some(((last, last_at), parents)) = header.split_last() else {
        return Ok(());
    };
    let mut node = root;
    for (key, at) in parents {
        node = child(node, key, *at).ok_or_else(|| twice(key, *at))?;
        if matches!(node.value, Value::List(_)) {
            node = last_table(node).ok_or_else(|| twice(key, *at))?;
        } else if node.form == Form::Inline {
            return Err(twice(key, *at));
        }
    }
    let table = Node {
        span: span.clone(),
        form: Form::Block,
        value: Value::Map(Vec::new()),
    };
    let Value::Map(members) = &mut node.value else {
        return Err(twice(last, *last_at));
    };
    let start = span.start;
    match members.iter_mut().find(|member| member.key == *last) {
        None => {
            let node = if item {
                Node {
                    span,
                    form: Form::Block,
                    value: Value::List(vec![table]),
                }
            } else {
                table
            };
            members.push(Member {
                key: last.clone(),
                start,
                node,
            });
            Ok(())
        }
        Some(member) => match &mut member.node {
            Node {
                form: Form::Block,
                value: Value::List(items),
                ..
            } if item => {
                items.push(table);
                Ok(())
            }
            // `[a.b]` made `a`; now its own header comes.
            implied @ Node {
                form: Form::Implied,
                value: Value::Map(_),
                ..
            } if !item => {
                implied.form = Form::Block;
                implied.span = span;
                member.start = start;
                Ok(())
            }
            _ => Err(twice(last, *last_at)),
        },
    }
}

/// The member of a map, made if it is missing.
fn child<'n>(node: &'n mut Node, key: &str, at: usize) -> Option<&'n mut Node> {
    let Value::Map(members) = &mut node.value else {
        return None;
    };
    let index = members.iter().position(|member| member.key == key);
    let index = index.unwrap_or_else(|| {
        members.push(Member {
            key: key.to_owned(),
            start: at,
            node: Node {
                form: Form::Implied,
                ..Node::empty_map()
            },
        });
        members.len() - 1
    });
    members.get_mut(index).map(|member| &mut member.node)
}

/// Gives a dotted key of a table its value.
fn define(table: &mut Node, key: &[(String, usize)], start: usize, value: Node) -> Result<(), Problem> {
    let Some(((last, at), parents)) = key.split_last() else {
        return Ok(());
    };
    let twice = |key: &str, at| Problem::new(at, format!("`{key}` is defined a second time"));
    let mut node = table;
    for (key, at) in parents {
        node = child(node, key, *at)
            .filter(|node| node.form == Form::Implied)
            .ok_or_else(|| twice(key, *at))?;
    }
    let Value::Map(members) = &mut node.value else {
        return Err(twice(last, *at));
    };
    if members.iter().any(|member| member.key == *last) {
        return Err(twice(last, *at));
    }
    members.push(Member {
        key: last.clone(),
        start,
        node: value,
    });
    Ok(())
}
