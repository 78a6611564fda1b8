//! What stands to the right of a colon: scalars, quoted text and flow values.

use serde_json::{Map, Value};

use super::MAX_DEPTH;

/// `key: rest`, with a plain or quoted key of at most 200 bytes.
pub(super) fn split_pair(line: &str) -> Option<(String, &str)> {
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
pub(super) fn without_comment(text: &str) -> &str {
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
pub(super) fn scalar(text: &str) -> Value {
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
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// A flow list or map, when nothing but blanks or a comment follows it.
pub(super) fn flow(text: &str) -> Option<Value> {
    let mut flow = Flow { rest: text };
    let value = flow.value(0)?;
    let rest = flow.rest.trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(value)
}

/// The reader of `[a, {b: c}]`.
struct Flow<'t> {
    rest: &'t str,
}

impl Flow<'_> {
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

/// A scalar as text; `None` for null, lists and maps.
pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
