//! JSON, strict or with comments → a tree with places.

use super::{DEPTH, Form, Member, Node, Problem, Value};

/// Which JSON the client reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// RFC 8259.
    Strict,
    /// With `//` and `/* */` comments and trailing commas.
    Comments,
}

/// Reads a text; one without any value is an empty map.
pub(super) fn parse(text: &str, dialect: Dialect) -> Result<Node, Problem> {
    let mut reader = Reader {
        text,
        at: if text.starts_with('\u{feff}') { 3 } else { 0 },
        dialect,
    };
    reader.blank()?;
    if reader.at == text.len() {
        return Ok(Node {
            span: text.len()..text.len(),
            form: Form::Implied,
            value: Value::Map(Vec::new()),
        });
    }
    let node = reader.value(0)?;
    reader.blank()?;
    if reader.at < text.len() {
        return Err(Problem::new(reader.at, "something follows the end of the value"));
    }
    Ok(node)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    dialect: Dialect,
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

    /// Skips white space and comments.
    fn blank(&mut self) -> Result<(), Problem> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(b'/') => {
                    if self.dialect == Dialect::Strict {
                        return Err(Problem::new(
                            self.at,
                            "a comment, and this client reads plain JSON",
                        ));
                    }
                    let rest = self.rest();
                    self.at += if rest.starts_with("//") {
                        rest.find('\n').unwrap_or(rest.len())
                    } else if rest.starts_with("/*") {
                        rest.find("*/")
                            .map(|end| end + 2)
                            .ok_or_else(|| Problem::new(self.at, "the comment that begins here never ends"))?
                    } else {
                        return Err(Problem::new(self.at, "`/` begins no value"));
                    };
                }
                _ => return Ok(()),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        let start = self.at;
        if depth > DEPTH {
            return Err(Problem::new(start, "values nest too deep"));
        }
        let value = match self.peek() {
            Some(b'{') => Value::Map(self.members(depth)?),
            Some(b'[') => Value::List(self.items(depth)?),
            Some(b'"') => Value::Text(self.string()?),
            Some(_) => Value::Plain(self.word()?),
            None => return Err(Problem::new(start, "the file ends where a value should be")),
        };
        Ok(Node {
            span: start..self.at,
            form: Form::Inline,
            value,
        })
    }

    fn members(&mut self, depth: usize) -> Result<Vec<Member>, Problem> {
        let mut members: Vec<Member> = Vec::new();
        let open = self.at;
        self.at += 1;
        loop {
            self.blank()?;
            if self.eat(b'}') {
                return Ok(members);
            }
            let start = self.at;
            match self.peek() {
                Some(b'"') => {}
                None => return Err(Problem::new(open, "the `{` here is never closed")),
                Some(_) => return Err(Problem::new(start, "a name in double quotes should be here")),
            }
            let key = self.string()?;
            if members.iter().any(|member| member.key == key) {
                return Err(Problem::new(
                    start,
                    format!("the name \"{key}\" is there a second time"),
                ));
            }
            self.blank()?;
            if !self.eat(b':') {
                return Err(Problem::new(self.at, "a colon should be here"));
            }
            self.blank()?;
            let node = self.value(depth + 1)?;
            members.push(Member { key, start, node });
            if !self.comma(b'}')? {
                return Ok(members);
            }
        }
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        let open = self.at;
        self.at += 1;
        loop {
            self.blank()?;
            if self.eat(b']') {
                return Ok(items);
            }
            if self.peek().is_none() {
                return Err(Problem::new(open, "the `[` here is never closed"));
            }
            items.push(self.value(depth + 1)?);
            if !self.comma(b']')? {
                return Ok(items);
            }
        }
    }

    /// What stands between two members: true for a comma, false for the end.
    fn comma(&mut self, close: u8) -> Result<bool, Problem> {
        self.blank()?;
        let at = self.at;
        if self.eat(close) {
            return Ok(false);
        }
        if !self.eat(b',') {
            let reason = if self.peek().is_none() {
                "the file ends too early"
            } else {
                "a comma is missing before this"
            };
            return Err(Problem::new(at, reason));
        }
        if self.dialect == Dialect::Strict {
            self.blank()?;
            if self.peek() == Some(close) {
                return Err(Problem::new(at, "a trailing comma"));
            }
        }
        Ok(true)
    }

    fn string(&mut self) -> Result<String, Problem> {
        let start = self.at;
        let mut bytes = self.rest().bytes().skip(1);
        let mut end = start + 1;
        loop {
            match bytes.next() {
                Some(b'"') => break,
                Some(b'\\') => {
                    bytes.next();
                    end += 2;
                }
                Some(byte) if byte < b' ' => {
                    return Err(Problem::new(
                        start,
                        "the text that begins here has no closing quote on its line",
                    ));
                }
                Some(_) => end += 1,
                None => return Err(Problem::new(start, "the text that begins here never ends")),
            }
        }
        let raw = self.text.get(start..=end).unwrap_or_default();
        self.at = end + 1;
        serde_json::from_str(raw).map_err(|_| Problem::new(start, "a wrong escape in this text"))
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<String, Problem> {
        let rest = self.rest();
        let end = rest
            .find(|letter: char| !letter.is_ascii_alphanumeric() && !"+-.".contains(letter))
            .unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        if word.is_empty() || serde_json::from_str::<&serde_json::value::RawValue>(word).is_err() {
            return Err(Problem::new(self.at, "this is no JSON value"));
        }
        let word = word.to_owned();
        self.at += end;
        Ok(word)
    }
}
