//! What stands on a line of TOML: keys, texts, numbers, lists and tables in braces.

use super::super::{DEPTH, Form, Member, Node, Problem, Value};
use super::define;

/// Reads one thing after the other.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

impl Reader<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, byte: u8, reason: &str) -> Result<(), Problem> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(Problem::new(self.at, reason))
        }
    }

    /// Skips blanks within a line.
    pub(super) fn blank(&mut self) {
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
    pub(super) fn blank_lines(&mut self) -> Result<(), Problem> {
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
    pub(super) fn line_end(&mut self) -> Result<(), Problem> {
        self.blank();
        self.comment();
        if self.peek().is_none() || self.end_of_line()? {
            return Ok(());
        }
        Err(Problem::new(self.at, "something follows the end of the value"))
    }

    /// A dotted key: its parts, each with its place. Ends before what follows it.
    pub(super) fn key(&mut self) -> Result<Vec<(String, usize)>, Problem> {
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

    pub(super) fn value(&mut self, depth: usize) -> Result<Node, Problem> {
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
