//! YAML front matter at the head of a note: text in, title, tags and JSON metadata out.
//!
//! A small tolerant reader rather than a YAML crate, for two reasons. Notes are written by hand and by
//! templates, and a strict parser throws away all of `title: Plan: phase 2` or `up: [[Home]]` where a person
//! sees what is meant. And a note is a stranger's bytes: here there are no anchors, no type tags and no
//! multi-document streams, so nothing can grow beyond what was read. Lines that mean nothing are skipped.
//!
//! The subset: maps, block lists, flow lists and maps, quoted and plain scalars, `|` and `>` blocks, comments.

use serde_json::{Map, Value};

mod values;

use values::{clean, flow, scalar, scalar_text, split_pair, without_comment};

/// Front matter longer than this is body text. Holds the 32 KiB of metadata a note in the inbox may carry
/// (catalogue.md §1.1), with its title and tags.
pub const MAX_BYTES: usize = 48 * 1024;
/// Levels of nesting kept; deeper values read as plain text.
const MAX_DEPTH: usize = 8;
/// Tags kept per document (catalogue.md §1.1: arrays hold at most 100 items).
pub const MAX_TAGS: usize = 100;

/// What the head of a note says about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FrontMatter {
    /// The `title` key, when it is a non-empty scalar.
    pub title: Option<String>,
    /// `tags` and `tag`, without `#`, in order, each once.
    pub tags: Vec<String>,
    /// Every other key, as JSON. Dates stay strings.
    pub metadata: Map<String, Value>,
}

/// Byte length of the front matter at the head of `text`, both fences and their line ends included.
///
/// `None` when the first line is not `---`, no closing `---` or `...` follows, or it exceeds [`MAX_BYTES`].
#[must_use]
pub fn span(text: &str) -> Option<usize> {
    let mut lines = text.split_inclusive('\n');
    let opening = lines.next().filter(|line| line.trim_end() == "---")?;
    let mut end = opening.len();
    for line in lines {
        end += line.len();
        if end > MAX_BYTES {
            return None;
        }
        if matches!(line.trim_end(), "---" | "...") {
            return Some(end);
        }
    }
    None
}

/// Reads the front matter at the head of `text`; `None` where [`span`] finds none.
#[must_use]
pub fn read(text: &str) -> Option<FrontMatter> {
    let block = text.get(..span(text)?)?;
    let inner: Vec<&str> = block.lines().collect();
    let inner = inner.get(1..inner.len().saturating_sub(1)).unwrap_or_default();
    let mut front = FrontMatter {
        metadata: Reader::new(inner).map(0, 0),
        ..FrontMatter::default()
    };
    if let Some(title) = front
        .metadata
        .get("title")
        .and_then(scalar_text)
        .filter(|title| !title.is_empty())
    {
        front.metadata.remove("title");
        front.title = Some(title);
    }
    for key in ["tags", "tag"] {
        if let Some(value) = front.metadata.remove(key) {
            collect_tags(&value, &mut front.tags);
        }
    }
    Some(front)
}

/// Adds `tag` unless it is empty, already there in any case, or one too many.
pub fn push_tag(tags: &mut Vec<String>, tag: &str) {
    let tag = tag.trim().trim_start_matches('#').trim_end_matches('/');
    let known = |other: &String| other.to_lowercase() == tag.to_lowercase();
    if !tag.is_empty() && tags.len() < MAX_TAGS && !tags.iter().any(known) {
        tags.push(tag.to_owned());
    }
}

fn collect_tags(value: &Value, tags: &mut Vec<String>) {
    match value {
        // Both `a, b` and `a b` are in use; with a comma, blanks belong to the tag.
        Value::String(text) if text.contains(',') => text.split(',').for_each(|tag| push_tag(tags, tag)),
        Value::String(text) => text.split_whitespace().for_each(|tag| push_tag(tags, tag)),
        Value::Array(items) => {
            for item in items {
                if let Some(text) = scalar_text(item) {
                    push_tag(tags, &text);
                }
            }
        }
        other => {
            if let Some(text) = scalar_text(other) {
                push_tag(tags, &text);
            }
        }
    }
}

/// One line: its indentation in characters and the rest.
#[derive(Clone, Copy)]
struct Line<'t> {
    indent: usize,
    text: &'t str,
}

impl Line<'_> {
    fn is_blank(&self) -> bool {
        self.text.is_empty() || self.text.starts_with('#')
    }

    fn is_item(&self) -> bool {
        self.text == "-" || self.text.starts_with("- ")
    }
}

struct Reader<'t> {
    lines: Vec<Line<'t>>,
    at: usize,
}

impl<'t> Reader<'t> {
    fn new(lines: &[&'t str]) -> Self {
        let line = |line: &&'t str| {
            let text = line.trim_start();
            Line {
                indent: line.len() - text.len(),
                text: text.trim_end(),
            }
        };
        Self {
            lines: lines.iter().map(line).collect(),
            at: 0,
        }
    }

    /// The next line that says something, without taking it.
    fn peek(&mut self) -> Option<Line<'t>> {
        while self.lines.get(self.at).is_some_and(Line::is_blank) {
            self.at += 1;
        }
        self.lines.get(self.at).copied()
    }

    fn map(&mut self, indent: usize, depth: usize) -> Map<String, Value> {
        let mut map = Map::new();
        while let Some(line) = self.peek() {
            if line.indent < indent {
                break;
            }
            self.at += 1;
            // A line that is deeper than its place, or is no pair, means nothing: skipped.
            if line.indent == indent
                && let Some((key, rest)) = split_pair(line.text)
            {
                let value = self.value(rest, indent, depth);
                map.insert(key, value);
            }
        }
        map
    }

    fn list(&mut self, indent: usize, depth: usize) -> Vec<Value> {
        let mut items = Vec::new();
        while let Some(line) = self.peek() {
            if line.indent != indent || !line.is_item() {
                break;
            }
            let rest = line.text.get(1..).unwrap_or_default();
            let text = rest.trim_start();
            let inner = indent + 1 + (rest.len() - text.len());
            let starts_map = depth < MAX_DEPTH && !text.starts_with(['[', '{']) && split_pair(text).is_some();
            let starts_list = depth < MAX_DEPTH && Line { indent: inner, text }.is_item();
            if (starts_map || starts_list)
                && let Some(line) = self.lines.get_mut(self.at)
            {
                // `- a: 1` and `- - x`: the rest of this line opens a block one level deeper.
                *line = Line { indent: inner, text };
                items.push(if starts_map {
                    Value::Object(self.map(inner, depth + 1))
                } else {
                    Value::Array(self.list(inner, depth + 1))
                });
            } else {
                self.at += 1;
                // One deeper than the dash, so that an empty item does not swallow its siblings.
                items.push(self.value(text, indent + 1, depth));
            }
        }
        items
    }

    /// What follows a key or a dash at `indent`; `rest` is the remainder of its line.
    fn value(&mut self, rest: &'t str, indent: usize, depth: usize) -> Value {
        let rest = without_comment(rest.trim());
        if rest.is_empty() {
            return match self.peek() {
                Some(next) if depth < MAX_DEPTH && next.is_item() && next.indent >= indent => {
                    Value::Array(self.list(next.indent, depth + 1))
                }
                Some(next) if depth < MAX_DEPTH && next.indent > indent => {
                    Value::Object(self.map(next.indent, depth + 1))
                }
                _ => Value::Null,
            };
        }
        if matches!(rest, "|" | "|-" | "|+" | ">" | ">-" | ">+") {
            return Value::String(self.block_text(indent, rest.starts_with('|')));
        }
        // `up: [[Home]]` is a link to a note, not a list in a list.
        let is_link = rest.starts_with("[[") && rest.ends_with("]]");
        if rest.starts_with(['[', '{']) && !is_link {
            return self.flow(rest).unwrap_or_else(|| Value::String(clean(rest)));
        }
        if rest.starts_with(['"', '\'']) {
            return scalar(rest);
        }
        let continued = self.continuation(indent);
        if continued.is_empty() {
            scalar(rest)
        } else {
            Value::String(clean(&format!("{rest}{continued}")))
        }
    }

    /// Lines indented deeper than a plain scalar's key, folded into it.
    fn continuation(&mut self, indent: usize) -> String {
        let mut folded = String::new();
        while let Some(line) = self
            .lines
            .get(self.at)
            .filter(|line| !line.is_blank() && line.indent > indent)
        {
            folded.push(' ');
            folded.push_str(line.text);
            self.at += 1;
        }
        folded
    }

    /// A `|` (kept) or `>` (folded) block: every line deeper than `indent`.
    fn block_text(&mut self, indent: usize, keep: bool) -> String {
        let mut text = String::new();
        let mut base = None;
        while let Some(line) = self
            .lines
            .get(self.at)
            .filter(|line| line.text.is_empty() || line.indent > indent)
        {
            let base = *base.get_or_insert(line.indent);
            if keep {
                text.extend(std::iter::repeat_n(' ', line.indent.saturating_sub(base)));
            }
            text.push_str(line.text);
            text.push(if keep || line.text.is_empty() { '\n' } else { ' ' });
            self.at += 1;
        }
        clean(text.trim())
    }

    /// A flow list or map, which may run over several lines. `None` when it never closes.
    fn flow(&mut self, first: &str) -> Option<Value> {
        let mut text = first.to_owned();
        let mut taken = 0;
        loop {
            if let Some(value) = flow(&text) {
                self.at += taken;
                return Some(value);
            }
            let line = self
                .lines
                .get(self.at + taken)
                .filter(|_| taken < MAX_FLOW_LINES)?;
            text.push(' ');
            text.push_str(line.text);
            taken += 1;
        }
    }
}

/// Lines one flow value may span, so that a stray bracket does not cost a reading of the whole block.
const MAX_FLOW_LINES: usize = 64;

#[cfg(test)]
mod tests;
