//! YAML front matter at the head of a note: text in, title, tags and JSON metadata out.
//!
//! A small tolerant reader rather than a YAML crate, for two reasons. Notes are written by hand and by
//! templates, and a strict parser throws away all of `title: Plan: phase 2` or `up: [[Home]]` where a person
//! sees what is meant. And a note is a stranger's bytes: here there are no anchors, no type tags and no
//! multi-document streams, so nothing can grow beyond what was read. Lines that mean nothing are skipped.
//!
//! The subset: maps, block lists, flow lists and maps, quoted and plain scalars, `|` and `>` blocks, comments.

use serde_json::{Map, Value};

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

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
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
            if let Some(value) = Flow::new(&text).whole() {
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

/// `key: rest`, with a plain or quoted key of at most 200 bytes.
fn split_pair(line: &str) -> Option<(String, &str)> {
    let (key, rest) = if line.starts_with(['"', '\'']) {
        let (key, rest) = quoted(line)?;
        (key, rest.trim_start().strip_prefix(':')?)
    } else {
        let colon = line.match_indices(':').map(|(at, _)| at).find(|at| {
            line.get(at + 1..)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
        })?;
        (clean(line.get(..colon)?.trim_end()), line.get(colon + 1..)?)
    };
    let spaced = rest.is_empty() || rest.starts_with([' ', '\t']);
    (spaced && !key.is_empty() && key.len() <= 200).then_some((key, rest))
}

/// Cuts ` # comment` off a value that is neither quoted nor a flow value, which may quote inside.
fn without_comment(text: &str) -> &str {
    if text.starts_with(['"', '\'', '[', '{']) {
        return text;
    }
    if text.starts_with('#') {
        return "";
    }
    text.find(" #")
        .map_or(text, |at| text.get(..at).unwrap_or(text))
        .trim_end()
}

/// A scalar as JSON: quoted text, `true`, `false`, `null`, numbers that print back as they were, else text.
fn scalar(text: &str) -> Value {
    if let Some((value, _)) = text.starts_with(['"', '\'']).then(|| quoted(text)).flatten() {
        return Value::String(value);
    }
    match text {
        "true" | "True" => return Value::Bool(true),
        "false" | "False" => return Value::Bool(false),
        "null" | "Null" | "~" => return Value::Null,
        _ => {}
    }
    // `007` and `1_000` are somebody's spelling, not numbers: only what round-trips is one.
    if let Some(number) = text
        .parse::<i64>()
        .ok()
        .filter(|number| number.to_string() == text)
    {
        return number.into();
    }
    let is_decimal = text.contains('.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
    let canonical = |number: &f64| number.to_string() == text;
    if let Some(number) = text
        .parse::<f64>()
        .ok()
        .filter(|number| is_decimal && canonical(number))
    {
        return number.into();
    }
    Value::String(clean(text))
}

/// Reads one quoted scalar; hands back its text and what follows the closing quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next()?;
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            if quote == '\'' && chars.next_if(|(_, next)| *next == '\'').is_some() {
                value.push('\'');
                continue;
            }
            return Some((clean(&value), text.get(at + 1..).unwrap_or_default()));
        }
        if c == '\\' && quote == '"' {
            match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                'u' => value.push(unicode_escape(&mut chars)?),
                other => value.push(other),
            }
        } else {
            value.push(c);
        }
    }
    None
}

/// The four digits after `\u`; a UTF-16 pair takes the second escape too.
fn unicode_escape(chars: &mut std::iter::Peekable<impl Iterator<Item = (usize, char)>>) -> Option<char> {
    let mut unit = || {
        (0..4).try_fold(0_u32, |unit, _| {
            chars
                .next()
                .and_then(|(_, c)| c.to_digit(16))
                .map(|digit| unit << 4 | digit)
        })
    };
    let first = unit()?;
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first);
    }
    chars.next().filter(|(_, c)| *c == '\\')?;
    chars.next().filter(|(_, c)| *c == 'u')?;
    let second = (0..4).try_fold(0_u32, |unit, _| {
        chars
            .next()
            .and_then(|(_, c)| c.to_digit(16))
            .map(|digit| unit << 4 | digit)
    })?;
    let low = second.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
    char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + low)
}

/// Without control characters but line feed and tab: the store refuses NUL, and terminals obey escapes.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// The reader of `[a, {b: c}]`.
struct Flow<'t> {
    rest: &'t str,
}

impl<'t> Flow<'t> {
    fn new(rest: &'t str) -> Self {
        Self { rest }
    }

    /// The value, when nothing but blanks or a comment follows it.
    fn whole(mut self) -> Option<Value> {
        let value = self.value(0)?;
        let rest = self.rest.trim_start();
        (rest.is_empty() || rest.starts_with('#')).then_some(value)
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, c: char) -> bool {
        self.skip_blanks();
        self.rest.strip_prefix(c).is_some_and(|rest| {
            self.rest = rest;
            true
        })
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.take('[') {
            let mut items = Vec::new();
            while !self.take(']') {
                items.push(self.value(depth + 1)?);
                if !self.take(',') && !self.rest.starts_with(']') {
                    return None;
                }
            }
            return Some(Value::Array(items));
        }
        if self.take('{') {
            let mut map = Map::new();
            while !self.take('}') {
                let key = scalar_text(&self.scalar(&[':', ',', '}'])?)?;
                let value = if self.take(':') {
                    self.value(depth + 1)?
                } else {
                    Value::Null
                };
                map.insert(key, value);
                if !self.take(',') && !self.rest.starts_with('}') {
                    return None;
                }
            }
            return Some(Value::Object(map));
        }
        self.scalar(&[',', ']', '}'])
    }

    fn scalar(&mut self, ends: &[char]) -> Option<Value> {
        self.skip_blanks();
        if self.rest.starts_with(['"', '\'']) {
            let (text, rest) = quoted(self.rest)?;
            self.rest = rest;
            return Some(Value::String(text));
        }
        let end = self.rest.find(ends)?;
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        // An empty scalar would let a stray comma repeat for ever.
        if text.trim().is_empty() && !rest.starts_with(',') {
            return None;
        }
        Some(scalar(text.trim()))
    }
}

#[cfg(test)]
mod tests;
