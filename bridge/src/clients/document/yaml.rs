//! The YAML that configuration programs write → a tree with places.
//!
//! Blocks of maps and lists, texts on one line, block texts, and flow values on one line. Anchors, aliases, tags, several
//! documents, keys that are no text and texts that go on without a quote are refused by name: guessing at them could lose
//! someone's settings. Plain words stay words, whatever YAML's version would make of `no` or `1e3`.

mod line;

use super::{DEPTH, Form, Member, Node, Problem, Value};
pub(super) use line::split_key;
use line::{scalar, without_comment};

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
