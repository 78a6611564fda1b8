//! A configuration file as text and as a tree, and the way from one text to the next.
//!
//! In comes the text of a file; out goes the same text with one value set or deleted and every other byte as it was. The
//! readers here are our own because an edit needs to know where each value stands, and because three formats cost 74 KB of
//! the program that way, where jsonc-parser and toml_edit cost 284 KB for two. What they do not understand they refuse. Nothing here trusts the edits: [`changed`] makes the tree that an edit has to lead to, without looking at text,
//! and callers compare before they write.

mod json;
mod json_edit;
mod text;
mod toml;
mod toml_edit;
mod yaml;
mod yaml_edit;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub(crate) use text::position;
use text::{indentation, line_end, line_start, newline, next_line, quote, splice};

/// How deep values may nest: far more than any configuration, far less than the stack.
const DEPTH: usize = 100;

/// The notation of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Strict JSON: the client ignores a file with comments or trailing commas.
    Json,
    /// JSON with comments and trailing commas.
    Jsonc,
    /// TOML.
    Toml,
    /// YAML, as far as configuration programs write it: no anchors, tags or several documents.
    Yaml,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Bytes of the text, from the value's first to its last. Empty for a value that stands nowhere.
    pub(crate) span: Range<usize>,
    pub(crate) form: Form,
    pub(crate) value: Value,
}

/// How a value is written, where that changes how it is edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Between its own delimiters.
    Inline,
    /// A TOML table with a header, or a block of YAML.
    Block,
    /// A table that exists only as part of other names.
    Implied,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A text, decoded.
    Text(String),
    /// A number, a date, a truth value or nothing, as it is spelled.
    Plain(String),
    /// A list.
    List(Vec<Node>),
    /// Names and values in their order.
    Map(Vec<Member>),
}

/// A name and its value.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) key: String,
    /// Where the name begins.
    pub(crate) start: usize,
    pub(crate) node: Node,
}

/// Places and forms are how a value is written, not what it is.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Member) -> bool {
        self.key == other.key && self.node == other.node
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Node {
        Node {
            span: 0..0,
            form: Form::Inline,
            value,
        }
    }
}

impl Node {
    /// A text that stands nowhere.
    pub(crate) fn text(text: impl Into<String>) -> Node {
        Value::Text(text.into()).into()
    }

    /// An empty map that stands nowhere.
    pub(crate) fn empty_map() -> Node {
        Value::Map(Vec::new()).into()
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members; none if it is no map.
    pub(crate) fn members(&self) -> &[Member] {
        match &self.value {
            Value::Map(members) => members,
            _ => &[],
        }
    }

    /// The items; none if it is no list.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Whether it is a map.
    pub(crate) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// The value of a member.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.member(key).map(|member| &member.node)
    }

    /// A member.
    pub(crate) fn member(&self, key: &str) -> Option<&Member> {
        self.members().iter().find(|member| member.key == key)
    }

    /// The value at the end of a path.
    pub(crate) fn find(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Whether the empty YAML or JSON value stands here: `null`, or nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Plain(word) if ["", "null", "~"].contains(&word.as_str()))
    }
}

/// Why a text cannot be read or edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The byte it was noticed at.
    pub(crate) at: usize,
    /// What is wrong there, as the end of a sentence.
    pub(crate) reason: String,
}

impl Problem {
    fn new(at: usize, reason: impl Into<String>) -> Problem {
        Problem {
            at,
            reason: reason.into(),
        }
    }
}

/// Reads a text. An empty one is an empty map in every format.
pub(crate) fn parse(text: &str, format: Format) -> Result<Node, Problem> {
    match format {
        Format::Json => json::parse(text, json::Dialect::Strict),
        Format::Jsonc => json::parse(text, json::Dialect::Comments),
        Format::Toml => toml::parse(text),
        Format::Yaml => yaml::parse(text),
    }
}

/// Whether two trees of a format say the same. The order of names counts where an edit has no reason to change it: a line
/// added to a TOML table stands before the tables inside it, so there it does not.
pub(crate) fn is_same(one: &Node, other: &Node, format: Format) -> bool {
    if format != Format::Toml {
        return one == other;
    }
    match (&one.value, &other.value) {
        (Value::Map(one), Value::Map(other)) => {
            one.len() == other.len()
                && one.iter().all(|member| {
                    let twin = other.iter().find(|twin| twin.key == member.key);
                    twin.is_some_and(|twin| is_same(&member.node, &twin.node, format))
                })
        }
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other, format))
        }
        (one, other) => one == other,
    }
}

/// One change of a tree.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// The member at the end of the path has this value; maps on the way are made.
    Set(Vec<String>, Node),
    /// There is no such member.
    Delete(Vec<String>),
    /// The list at the end of the path has this item, as its last one. JSON only.
    Append(Vec<String>, Node),
    /// The list at the end of the path has no item at this index. JSON only.
    DeleteItem(Vec<String>, usize),
}

/// Makes one change in the text.
pub(crate) fn apply(text: &str, format: Format, change: &Change) -> Result<String, Problem> {
    let root = parse(text, format)?;
    match format {
        Format::Json | Format::Jsonc => json_edit::apply(text, &root, change),
        Format::Toml => toml_edit::apply(text, &root, change),
        Format::Yaml => yaml_edit::apply(text, &root, change),
    }
}

/// What a tree is after a change: the proof's other side, made without the text.
pub(crate) fn changed(mut root: Node, change: &Change) -> Node {
    match change {
        Change::Set(path, value) => put(&mut root, path, value),
        Change::Delete(path) => {
            if let Some((key, parent)) = path.split_last()
                && let Some(node) = find_mut(&mut root, parent)
                && let Value::Map(members) = &mut node.value
            {
                members.retain(|member| member.key != *key);
            }
            without_hollow(&mut root, path);
        }
        Change::Append(path, value) => {
            if find_mut(&mut root, path).is_none() {
                put(&mut root, path, &Value::List(Vec::new()).into());
            }
            if let Some(node) = find_mut(&mut root, path)
                && let Value::List(items) = &mut node.value
            {
                items.push(value.clone());
            }
        }
        Change::DeleteItem(path, index) => {
            if let Some(node) = find_mut(&mut root, path)
                && let Value::List(items) = &mut node.value
                && *index < items.len()
            {
                items.remove(*index);
            }
        }
    }
    root
}

/// Takes out the tables on a path that existed only as part of the names of what is gone.
fn without_hollow(root: &mut Node, path: &[String]) {
    for length in (1..path.len()).rev() {
        let Some((key, parents)) = path.get(..length).and_then(<[String]>::split_last) else {
            return;
        };
        if let Some(parent) = find_mut(root, parents)
            && let Value::Map(members) = &mut parent.value
        {
            members.retain(|member| {
                let node = &member.node;
                member.key != *key || node.form != Form::Implied || !node.members().is_empty()
            });
        }
    }
}

fn find_mut<'n>(root: &'n mut Node, path: &[String]) -> Option<&'n mut Node> {
    path.iter().try_fold(root, |node, key| match &mut node.value {
        Value::Map(members) => members
            .iter_mut()
            .find(|member| member.key == *key)
            .map(|member| &mut member.node),
        _ => None,
    })
}

fn put(node: &mut Node, path: &[String], value: &Node) {
    let Some((key, rest)) = path.split_first() else {
        *node = value.clone();
        return;
    };
    if !node.is_map() {
        // Only YAML's `key:` with nothing after it gets here: the editors refuse to put a member into anything else.
        node.value = Value::Map(Vec::new());
    }
    let Value::Map(members) = &mut node.value else {
        return;
    };
    let at = members.iter().position(|member| member.key == *key);
    let at = at.unwrap_or_else(|| {
        members.push(Member {
            key: key.clone(),
            start: 0,
            node: Node::empty_map(),
        });
        members.len() - 1
    });
    if let Some(member) = members.get_mut(at) {
        put(&mut member.node, rest, value);
    }
}

/// Renders a value as one piece of JSON on one line.
pub(crate) fn compact(node: &Node) -> String {
    json_edit::compact(node)
}

/// Renders a value as JSON without a blank, for addresses.
pub(crate) fn minimal(node: &Node) -> String {
    json_edit::one_line(node, "")
}

/// Renders a value in a format as it would stand in a new file under this path.
pub(crate) fn snippet(format: Format, path: &[String], value: &Node) -> Result<String, Problem> {
    apply("", format, &Change::Set(path.to_vec(), value.clone()))
}
