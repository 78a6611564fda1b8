//! TOML 1.0 → a tree with places.
//!
//! Numbers and dates are kept as they are spelled and only looked at for their characters: an edit leaves them alone, and
//! whether `2026-13-45` is a date is for the client to say. Everything that decides where a value begins and ends, and which
//! table it belongs to, is checked.

use super::{DEPTH, Form, Member, Node, Problem, Value};

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

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, reason: &str) -> Result<(), Problem> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(Problem::new(self.at, reason))
        }
    }

    /// Skips blanks within a line.
    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Skips a comment.
    fn comment(&mut self) {
        if self.peek() == Some(b'#') {
            let rest = self.rest();
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    /// Skips blanks, comments and ends of lines.
    fn blank_lines(&mut self) -> Result<(), Problem> {
        loop {
            self.blank();
            self.comment();
            if !self.end_of_line()? {
                return Ok(());
            }
        }
    }

    fn end_of_line(&mut self) -> Result<bool, Problem> {
        if self.eat(b'\n') {
            return Ok(true);
        }
        if !self.eat(b'\r') {
            return Ok(false);
        }
        self.expect(b'\n', "a carriage return stands alone")?;
        Ok(true)
    }

    /// What has to follow a header or a value.
    fn line_end(&mut self) -> Result<(), Problem> {
        self.blank();
        self.comment();
        if self.peek().is_none() || self.end_of_line()? {
            return Ok(());
        }
        Err(Problem::new(self.at, "something follows the end of the value"))
    }

    /// A dotted key: its parts, each with its place. Ends before what follows it.
    fn key(&mut self) -> Result<Vec<(String, usize)>, Problem> {
        let mut parts = Vec::new();
        loop {
            self.blank();
            let start = self.at;
            let part = match self.peek() {
                Some(b'"') => self.basic()?,
                Some(b'\'') => self.literal()?,
                _ => {
                    let rest = self.rest();
                    let end = rest
                        .find(|letter: char| {
                            !letter.is_ascii_alphanumeric() && letter != '-' && letter != '_'
                        })
                        .unwrap_or(rest.len());
                    if end == 0 {
                        return Err(Problem::new(start, "a key should be here"));
                    }
                    let part = rest.get(..end).unwrap_or_default().to_owned();
                    self.at += end;
                    part
                }
            };
            parts.push((part, start));
            self.blank();
            if !self.eat(b'.') {
                return Ok(parts);
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        let start = self.at;
        if depth > DEPTH {
            return Err(Problem::new(start, "values nest too deep"));
        }
        let value = match self.peek() {
            Some(b'"') if self.rest().starts_with("\"\"\"") => Value::Text(self.lines("\"\"\"")?),
            Some(b'\'') if self.rest().starts_with("'''") => Value::Text(self.lines("'''")?),
            Some(b'"') => Value::Text(self.basic()?),
            Some(b'\'') => Value::Text(self.literal()?),
            Some(b'[') => Value::List(self.items(depth)?),
            Some(b'{') => Value::Map(self.inline_table(depth)?),
            _ => Value::Plain(self.word()?),
        };
        Ok(Node {
            span: start..self.at,
            form: Form::Inline,
            value,
        })
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.blank_lines()?;
            if self.eat(b']') {
                return Ok(items);
            }
            items.push(self.value(depth + 1)?);
            self.blank_lines()?;
            if self.eat(b']') {
                return Ok(items);
            }
            self.expect(b',', "a comma or `]` should be here")?;
        }
    }

    fn inline_table(&mut self, depth: usize) -> Result<Vec<Member>, Problem> {
        let mut table = Node {
            form: Form::Implied,
            ..Node::empty_map()
        };
        self.at += 1;
        self.blank();
        if self.eat(b'}') {
            return Ok(Vec::new());
        }
        loop {
            self.blank();
            let start = self.at;
            let key = self.key()?;
            self.expect(b'=', "an equals sign should be here")?;
            self.blank();
            let value = self.value(depth + 1)?;
            define(&mut table, &key, start, value)?;
            self.blank();
            if self.eat(b'}') {
                break;
            }
            self.expect(b',', "a comma or `}` should be here")?;
        }
        match table.value {
            Value::Map(members) => Ok(members),
            _ => Ok(Vec::new()),
        }
    }

    /// A literal text on one line.
    fn literal(&mut self) -> Result<String, Problem> {
        let start = self.at;
        let inner = self.rest().get(1..).unwrap_or_default();
        let end = inner
            .find(['\'', '\n'])
            .filter(|end| inner.as_bytes().get(*end) == Some(&b'\''))
            .ok_or_else(|| {
                Problem::new(
                    start,
                    "the text that begins here has no closing quote on its line",
                )
            })?;
        let text = inner.get(..end).unwrap_or_default().to_owned();
        self.at += end + 2;
        Ok(text)
    }

    /// A text with escapes on one line.
    fn basic(&mut self) -> Result<String, Problem> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(letter) = self.rest().chars().next().filter(|letter| *letter != '\n') else {
                return Err(Problem::new(
                    start,
                    "the text that begins here has no closing quote on its line",
                ));
            };
            self.at += letter.len_utf8();
            match letter {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                letter => text.push(letter),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, Problem> {
        let at = self.at - 1;
        let wrong = || Problem::new(at, "a wrong escape");
        let letter = self.peek().ok_or_else(wrong)?;
        self.at += 1;
        let digits = match letter {
            b'b' => return Ok('\u{8}'),
            b't' => return Ok('\t'),
            b'n' => return Ok('\n'),
            b'f' => return Ok('\u{c}'),
            b'r' => return Ok('\r'),
            b'e' => return Ok('\u{1b}'),
            b'"' => return Ok('"'),
            b'\\' => return Ok('\\'),
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            _ => return Err(wrong()),
        };
        let code = self.rest().get(..digits).ok_or_else(wrong)?;
        if !code.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let code = u32::from_str_radix(code, 16).map_err(|_| wrong())?;
        self.at += digits;
        char::from_u32(code).ok_or_else(wrong)
    }

    /// A text over several lines, between three quotes.
    fn lines(&mut self, quotes: &str) -> Result<String, Problem> {
        let start = self.at;
        self.at += 3;
        if self.rest().starts_with("\r\n") {
            self.at += 1;
        }
        self.eat(b'\n');
        let mut text = String::new();
        loop {
            if self.rest().starts_with(quotes) {
                self.at += 3;
                // Up to two more quotes belong to the text.
                let quote = quotes.as_bytes().first().copied().unwrap_or_default();
                for _ in 0..2 {
                    if self.eat(quote) {
                        text.push(char::from(quote));
                    }
                }
                return Ok(text);
            }
            let Some(letter) = self.rest().chars().next() else {
                return Err(Problem::new(start, "the text that begins here never ends"));
            };
            self.at += letter.len_utf8();
            if letter != '\\' || quotes == "'''" {
                text.push(letter);
                continue;
            }
            let rest = self.rest();
            if rest.trim_start_matches([' ', '\t', '\r']).starts_with('\n') {
                self.at += rest.len() - rest.trim_start().len();
            } else {
                text.push(self.escape()?);
            }
        }
    }

    /// A number, a date or a truth value.
    fn word(&mut self) -> Result<String, Problem> {
        let rest = self.rest();
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "+-_.:".contains(letter);
        let mut end = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        // `1979-05-27 07:32:00`: the one blank that may stand inside.
        let after = rest.get(end..).unwrap_or_default();
        let date = rest.get(..end).unwrap_or_default();
        if date.len() == 10
            && date.matches('-').count() == 2
            && after.starts_with(' ')
            && after[1..].starts_with(|letter: char| letter.is_ascii_digit())
        {
            let time = &after[1..];
            end += 1 + time.find(|letter| !is_part(letter)).unwrap_or(time.len());
        }
        let word = rest.get(..end).unwrap_or_default();
        let number = word.trim_start_matches(['+', '-']);
        let is_value = ["true", "false"].contains(&word)
            || ["inf", "nan"].contains(&number)
            || number.starts_with(|letter: char| letter.is_ascii_digit());
        if !is_value {
            return Err(Problem::new(self.at, "this is no TOML value"));
        }
        let word = word.to_owned();
        self.at += end;
        Ok(word)
    }
}
