//! The YAML that configuration programs write → a tree with places.
//!
//! Blocks of maps and lists, texts on one line, block texts, and flow values on one line. Anchors, aliases, tags, several
//! documents, keys that are no text and texts that go on without a quote are refused by name: guessing at them could lose
//! someone's settings. Plain words stay words, whatever YAML's version would make of `no` or `1e3`.

use super::{DEPTH, Form, Member, Node, Problem, Value};

/// A line with something on it.
#[derive(Clone, Copy)]
struct Line<'t> {
    /// Where `content` begins in the text.
    at: usize,
    /// How far in it begins. Inside `- key: …` the dash counts as a blank.
    indent: usize,
    /// Without the comment and the blanks at its end.
    content: &'t str,
    /// Its number among all lines, blank ones and comments included.
    number: usize,
}

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut at = text.len() - body.len();
    let mut all = Vec::new();
    for raw in body.split_inclusive('\n') {
        all.push((at, raw.trim_end_matches(['\n', '\r'])));
        at += raw.len();
    }
    let mut reader = Reader {
        lines: Vec::new(),
        at: 0,
        all,
    };
    reader.collect()?;
    if reader.lines.is_empty() {
        return Ok(Node {
            span: text.len()..text.len(),
            form: Form::Block,
            value: Value::Map(Vec::new()),
        });
    }
    let node = reader.block(0)?;
    match reader.peek() {
        Some(line) => Err(Problem::new(
            line.at,
            "this line is indented differently from its neighbours",
        )),
        None => Ok(node),
    }
}

struct Reader<'t> {
    lines: Vec<Line<'t>>,
    /// The line to read next.
    at: usize,
    /// Every line as it is, for block texts.
    all: Vec<(usize, &'t str)>,
}

impl<'t> Reader<'t> {
    /// Finds the lines that hold something.
    fn collect(&mut self) -> Result<(), Problem> {
        for (number, (at, raw)) in self.all.iter().enumerate() {
            let trimmed = raw.trim_start_matches(' ');
            let indent = raw.len() - trimmed.len();
            if trimmed.trim().is_empty() || trimmed.starts_with('#') {
                continue;
            }
            self.lines.push(Line {
                at: at + indent,
                indent,
                content: trimmed,
                number,
            });
        }
        if let Some(line) = self.lines.first()
            && line.content.trim_end() == "---"
        {
            self.lines.remove(0);
        }
        if let Some(line) = self.lines.first().filter(|line| line.content.starts_with('%')) {
            return Err(Problem::new(line.at, "directives are not edited"));
        }
        Ok(())
    }

    fn peek(&self) -> Option<Line<'t>> {
        self.lines.get(self.at).copied()
    }

    /// Reads the block that begins at the next line.
    fn block(&mut self, depth: usize) -> Result<Node, Problem> {
        let Some(line) = self.peek() else {
            return Err(Problem::new(0, "the file ends too early"));
        };
        if depth > DEPTH {
            return Err(Problem::new(line.at, "values nest too deep"));
        }
        if line.content.starts_with('\t') {
            return Err(Problem::new(line.at, "a tab indents this line"));
        }
        if line.indent == 0 && (is_marker(line.content, "---") || is_marker(line.content, "...")) {
            return Err(Problem::new(line.at, "files of several documents are not edited"));
        }
        if is_item(line.content) {
            self.list(line.indent, depth)
        } else if split_key(line.content, line.at)?.is_some() {
            self.map(line.indent, depth)
        } else {
            self.at += 1;
            let node = scalar(without_comment(line.content), line.at, depth)?;
            self.ends_here(line.indent)?;
            Ok(node)
        }
    }

    /// Refuses a text that goes on in the next line.
    fn ends_here(&self, indent: usize) -> Result<(), Problem> {
        match self.peek() {
            Some(next) if next.indent > indent => Err(Problem::new(
                next.at,
                "texts over several lines are not edited, or this line is indented too far",
            )),
            _ => Ok(()),
        }
    }

    fn list(&mut self, indent: usize, depth: usize) -> Result<Node, Problem> {
        let mut items: Vec<Node> = Vec::new();
        let mut span = self.peek().map_or(0..0, |line| line.at..line.at);
        while let Some(line) = self
            .peek()
            .filter(|line| line.indent == indent && is_item(line.content))
        {
            let rest = line.content.get(1..).unwrap_or_default();
            let inner = rest.trim_start_matches(' ');
            let item = if without_comment(inner).is_empty() {
                self.at += 1;
                self.nested(indent, line, depth)?
            } else {
                // The rest of the line is a block of its own, further in.
                let shift = line.content.len() - inner.len();
                if let Some(slot) = self.lines.get_mut(self.at) {
                    slot.at += shift;
                    slot.indent += shift;
                    slot.content = inner;
                }
                self.inner_of_item(depth)?
            };
            span.end = item.span.end.max(line.at + 1);
            items.push(item);
        }
        Ok(Node {
            span,
            form: Form::Block,
            value: Value::List(items),
        })
    }

    /// What stands after a dash on its line: a block, or a single value.
    fn inner_of_item(&mut self, depth: usize) -> Result<Node, Problem> {
        let Some(line) = self.peek() else {
            return Err(Problem::new(0, "the file ends too early"));
        };
        if line.content.starts_with(['|', '>']) {
            self.at += 1;
            return Ok(self.block_text(line, line.indent.saturating_sub(1), line.at));
        }
        self.block(depth + 1)
    }

    fn map(&mut self, indent: usize, depth: usize) -> Result<Node, Problem> {
        let mut members: Vec<Member> = Vec::new();
        let mut span = self.peek().map_or(0..0, |line| line.at..line.at);
        while let Some(line) = self.peek().filter(|line| line.indent == indent) {
            if is_marker(line.content, "---") || is_marker(line.content, "...") {
                return Err(Problem::new(line.at, "files of several documents are not edited"));
            }
            if line.content.starts_with('\t') {
                return Err(Problem::new(line.at, "a tab indents this line"));
            }
            let Some((key, used)) = split_key(line.content, line.at)? else {
                return Err(Problem::new(line.at, "a name and a colon should be here"));
            };
            if members.iter().any(|member| member.key == key) {
                return Err(Problem::new(
                    line.at,
                    format!("the name `{key}` is there a second time"),
                ));
            }
            self.at += 1;
            let rest = line.content.get(used..).unwrap_or_default();
            let inner = rest.trim_start_matches([' ', '\t']);
            let at = line.at + used + (rest.len() - inner.len());
            let node = if without_comment(inner).is_empty() {
                let key_end = Line {
                    at: line.at + used - 1,
                    ..line
                };
                self.nested(indent, key_end, depth)?
            } else if inner.starts_with(['|', '>']) {
                self.block_text(line, indent, at)
            } else {
                let node = scalar(without_comment(inner), at, depth)?;
                self.ends_here(indent)?;
                node
            };
            span.end = node.span.end;
            members.push(Member {
                key,
                start: line.at,
                node,
            });
        }
        Ok(Node {
            span,
            form: Form::Block,
            value: Value::Map(members),
        })
    }

    /// The block below a key or a dash with nothing after it, or nothing.
    fn nested(&mut self, indent: usize, line: Line<'t>, depth: usize) -> Result<Node, Problem> {
        match self.peek() {
            Some(next) if next.indent > indent => self.block(depth + 1),
            // The items of a list may stand below their key without further indentation.
            Some(next) if next.indent == indent && is_item(next.content) && !is_item(line.content) => {
                self.list(indent, depth + 1)
            }
            _ => Ok(Node {
                span: line.at + 1..line.at + 1,
                form: Form::Block,
                value: Value::Plain(String::new()),
            }),
        }
    }

    /// A `|` or `>` text: kept with its header and its lines as they are, because only its being unchanged matters.
    fn block_text(&mut self, line: Line<'t>, indent: usize, at: usize) -> Node {
        let mut end = line.at + without_comment(line.content).len();
        let mut text = String::from(line.content.get(at - line.at..).unwrap_or_default());
        for (number, (start, raw)) in self.all.iter().enumerate().skip(line.number + 1) {
            let inner = raw.trim_start_matches(' ');
            let is_blank = inner.trim().is_empty();
            if !is_blank && raw.len() - inner.len() <= indent {
                break;
            }
            if !is_blank {
                end = start + raw.len();
            }
            text.push('\n');
            text.push_str(raw);
            while self.peek().is_some_and(|line| line.number == number) {
                self.at += 1;
            }
        }
        Node {
            span: at..end,
            form: Form::Block,
            value: Value::Text(text.trim_end().to_owned()),
        }
    }
}

/// Whether a line is `marker`, alone or before something else.
fn is_marker(content: &str, marker: &str) -> bool {
    content
        .strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

fn is_item(content: &str) -> bool {
    content == "-" || content.starts_with("- ")
}

/// The line without the comment at its end. A `#` inside quotes is none.
fn without_comment(content: &str) -> &str {
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
fn split_key(content: &str, at: usize) -> Result<Option<(String, usize)>, Problem> {
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
fn scalar(content: &str, at: usize, depth: usize) -> Result<Node, Problem> {
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
