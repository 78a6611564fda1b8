//! JSON checked and taken apart at close to the speed of memory, without building anything.
//!
//! In: a text. Out: the members of its outermost object and of the objects directly inside, as slices of the text; or
//! nothing, if the text is not such an object, nests too deeply, or is not JSON at all. It says neither what is wrong nor
//! where: whoever gets nothing asks the full decoder ([`crate::jsonrpc::decode`]), which does. Large replies are what a
//! bridge spends its time on, and a general deserializer takes several times as long to skip over them.

mod window;

use std::ops::Range;

use window::{WINDOW, first_marked};

/// The same bytes as text, if they are UTF-8. For messages, which may be large.
pub fn text(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

/// Objects and arrays that may be open at once. One bit each remembers which of the two it is.
const DEPTH: u32 = 120;

/// A member that was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// 1 for a member of the outermost object, 2 for one of an object that is a member of that. Those come before the
    /// member they are in.
    pub depth: u32,
    /// The key as spelled, without its quotes: escapes are still in it.
    pub key: &'a str,
    /// The value as spelled.
    pub value: &'a str,
}

/// Where a member lies in the text it was found in, as offsets: the key without its quotes, and the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The key.
    pub key: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

impl Spot {
    /// The place of `member` in the text that [`members`] has found it in.
    pub(crate) fn of(text: &str, member: &Member<'_>) -> Spot {
        let range = |part: &str| {
            let start = part.as_ptr().addr() - text.as_ptr().addr();
            start..start + part.len()
        };
        Spot {
            key: range(member.key),
            value: range(member.value),
        }
    }
}

/// A message of which one member was taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside<'a> {
    /// Keys and values of the object asked for; `None` if the member is absent or no object.
    pub object: Option<Vec<(&'a str, &'a str)>>,
    /// The value of `error`.
    pub error: Option<&'a str>,
}

/// Takes the member `name` of an object apart. `None` if `text` is no object, or if something in it is spelled in a way that
/// takes more than a look: escapes in keys, or one of the two members given twice.
// On its own, because a caller that is built for size would have it built for size as well.
#[inline(never)]
pub fn inside<'a>(text: &'a str, name: &str) -> Option<Inside<'a>> {
    let mut found: Vec<(&'a str, &'a str)> = Vec::with_capacity(8);
    let (mut object, mut error, mut strange) = (None, None, false);
    members(text, |member| {
        strange |= member.key.contains('\\');
        if member.depth == 2 {
            found.push((member.key, member.value));
        } else if member.key == name {
            let members = std::mem::take(&mut found);
            strange |= object
                .replace(member.value.starts_with('{').then_some(members))
                .is_some();
        } else {
            found.clear();
            if member.key == "error" {
                strange |= error.replace(member.value).is_some();
            }
        }
    })?;
    (!strange).then(|| Inside {
        object: object.flatten(),
        error,
    })
}

/// Walks through `text`, which must be one JSON object, and shows `visit` its members. `None` if it is anything else; what
/// was shown until then means nothing.
pub fn members<'a>(text: &'a str, visit: impl FnMut(Member<'a>)) -> Option<()> {
    members_and_keys(text, &[], visit).map(drop)
}

/// The same, with a bit for each of `keys`, the first in the lowest bit: it is a key somewhere in `text`, or may be one, because
/// some string has characters spelled as escapes. At most eight keys, each shorter than 64 bytes.
pub(crate) fn members_and_keys<'a>(
    text: &'a str,
    keys: &[&str],
    mut visit: impl FnMut(Member<'a>),
) -> Option<u8> {
    let mut walk = Walk::new(text.as_bytes(), keys);
    let start = walk.space(0);
    let end = walk.object(text, start, |walk, key, start| {
        let end = match walk.byte(start)? {
            b'{' => walk.object(text, start, |walk, key, start| {
                let end = walk.value(start, DEPTH - 2)?;
                let value = text.get(start..end)?;
                visit(Member { depth: 2, key, value });
                Some(end)
            })?,
            _ => walk.value(start, DEPTH - 1)?,
        };
        let value = text.get(start..end)?;
        visit(Member { depth: 1, key, value });
        Some(end)
    })?;
    (walk.space(end) == text.len()).then_some(walk.found)
}

/// A walk over a text, from left to right. Every step is given where it begins and says where it ends.
struct Walk<'a, 'k> {
    bytes: &'a [u8],
    /// Keys that are looked for beside everything else; a bit for each length they have, and for each letter they begin with.
    wanted: &'k [&'k str],
    lengths: u64,
    letters: u32,
    /// A bit for each of them that occurs, or may.
    found: u8,
    /// Where the window begins.
    window: usize,
    /// A bit for each byte of the window that ends or breaks a string, the first in the lowest bit.
    marks: u64,
}

impl<'a, 'k> Walk<'a, 'k> {
    fn new(bytes: &'a [u8], wanted: &'k [&'k str]) -> Walk<'a, 'k> {
        // No text is as long as to have a place in this window: the first string opens another.
        Walk {
            bytes,
            wanted,
            lengths: wanted.iter().fold(0, |lengths, key| lengths | 1 << key.len()),
            letters: wanted
                .iter()
                .fold(0, |letters, key| letters | letter(key.as_bytes())),
            found: 0,
            window: usize::MAX / 2,
            marks: 0,
        }
    }

    /// Passes an object. `member` is given each key and where its value begins, and says where it ends.
    #[inline]
    fn object<'t>(
        &mut self,
        text: &'t str,
        at: usize,
        mut member: impl FnMut(&mut Walk<'a, 'k>, &'t str, usize) -> Option<usize>,
    ) -> Option<usize> {
        if self.byte(at)? != b'{' {
            return None;
        }
        let mut at = self.space(at + 1);
        if self.byte(at)? == b'}' {
            return Some(at + 1);
        }
        loop {
            if self.byte(at)? != b'"' {
                return None;
            }
            let end = self.string(at + 1)?;
            let key = text.get(at + 1..end - 1)?;
            self.note(at + 1, end - 1);
            let value = self.colon(end)?;
            at = member(self, key, value)?;
            at = self.space(at);
            match self.byte(at)? {
                b',' => at = self.space(at + 1),
                b'}' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    /// Passes a value in which at most `room` objects and arrays may be open at once.
    fn value(&mut self, mut at: usize, room: u32) -> Option<usize> {
        // What is open, the innermost in the lowest bit: 1 for an object.
        let mut is_object: u128 = 0;
        let mut depth = 0_u32;
        loop {
            // A value begins here.
            at = match self.byte(at)? {
                b'"' => self.string(at + 1)?,
                opener @ (b'{' | b'[') => {
                    if depth == room {
                        return None;
                    }
                    let inner = self.space(at + 1);
                    let is_filled_object = match (opener, self.byte(inner)?) {
                        (b'{', b'}') | (b'[', b']') => None,
                        (opener, _) => Some(opener == b'{'),
                    };
                    match is_filled_object {
                        None => inner + 1,
                        Some(opens_object) => {
                            depth += 1;
                            is_object = is_object << 1 | u128::from(opens_object);
                            at = inner;
                            if opens_object {
                                at = self.key(at)?;
                            }
                            continue;
                        }
                    }
                }
                b'-' | b'0'..=b'9' => number(self.bytes, at)?,
                b't' => word(self.bytes, at, b"true")?,
                b'f' => word(self.bytes, at, b"false")?,
                b'n' => word(self.bytes, at, b"null")?,
                _ => return None,
            };
            // A value has ended here, and with it perhaps what it is in.
            loop {
                if depth == 0 {
                    return Some(at);
                }
                let inside_object = is_object & 1 == 1;
                // What nearly everybody writes, in one look.
                if self.pair(at) == Some(*b",\"") {
                    at += 1;
                    if inside_object {
                        at = self.key(at)?;
                    }
                    break;
                }
                at = self.space(at);
                match (self.byte(at)?, inside_object) {
                    (b',', _) => {
                        at = self.space(at + 1);
                        if inside_object {
                            at = self.key(at)?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {}
                    _ => return None,
                }
                at += 1;
                depth -= 1;
                is_object >>= 1;
            }
        }
    }

    /// Passes a key and its colon, up to the value.
    #[inline(always)]
    fn key(&mut self, at: usize) -> Option<usize> {
        if self.byte(at)? != b'"' {
            return None;
        }
        let end = self.string(at + 1)?;
        self.note(at + 1, end - 1);
        self.colon(end)
    }

    /// Notes the key between two places if it is looked for.
    #[inline(always)]
    fn note(&mut self, from: usize, to: usize) {
        // Nearly every key has another length, or begins with another letter.
        let length = to - from;
        if length >= 64 || self.lengths >> length & 1 == 0 {
            return;
        }
        let key = self.bytes.get(from..to).unwrap_or_default();
        if self.letters & letter(key) != 0 {
            self.found |= find(key, self.wanted);
        }
    }

    /// Passes the colon behind a key, up to the value.
    #[inline(always)]
    fn colon(&self, mut at: usize) -> Option<usize> {
        if self.byte(at)? != b':' {
            at = self.space(at);
            if self.byte(at)? != b':' {
                return None;
            }
        }
        Some(self.space(at + 1))
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        byte(self.bytes, at)
    }

    #[inline(always)]
    fn pair(&self, at: usize) -> Option<[u8; 2]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    #[inline]
    fn space(&self, mut at: usize) -> usize {
        // One comparison tells that there is none, which is so nearly everywhere.
        while let Some(byte) = self.byte(at)
            && byte <= b' '
            && matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
        {
            at += 1;
        }
        at
    }

    /// Passes a string from behind its opening quote to behind its closing one.
    #[inline(always)]
    fn string(&mut self, mut at: usize) -> Option<usize> {
        loop {
            at = self.mark(at)?;
            match self.byte(at)? {
                b'"' => return Some(at + 1),
                b'\\' => {
                    if self.byte(at + 1) == Some(b'u') {
                        self.found = u8::MAX;
                    }
                    at = escape(self.bytes, at)?;
                }
                _ => return None,
            }
        }
    }

    /// The first byte from `at` on that ends or breaks a string.
    #[inline(always)]
    fn mark(&mut self, at: usize) -> Option<usize> {
        let within = at.wrapping_sub(self.window);
        let mut from = at;
        if within < WINDOW {
            let marks = self.marks >> within;
            if marks != 0 {
                return Some(at + marks.trailing_zeros() as usize);
            }
            from = self.window + WINDOW;
        }
        // By value, so that the walk itself may live in registers.
        (self.window, self.marks) = first_marked(self.bytes, from);
        (self.marks != 0).then(|| self.window + self.marks.trailing_zeros() as usize)
    }
}

#[inline]
fn byte(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

/// A bit for the letter that `key` begins with.
#[inline]
fn letter(key: &[u8]) -> u32 {
    key.first().map_or(0, |first| 1 << (first & 31))
}

/// The bit of `key` among `keys`.
#[inline(never)]
fn find(key: &[u8], keys: &[&str]) -> u8 {
    let place = keys.iter().position(|wanted| wanted.as_bytes() == key);
    place.map_or(0, |place| 1 << place)
}

fn word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let end = at + word.len();
    (bytes.get(at..end)? == word).then_some(end)
}

fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    match byte(bytes, at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' => {
            let digits = bytes.get(at + 2..at + 6)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 6)
        }
        _ => None,
    }
}

fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    if byte(bytes, at)? == b'-' {
        at += 1;
    }
    at = match byte(bytes, at)? {
        b'0' => at + 1,
        _ => digits(bytes, at)?,
    };
    if byte(bytes, at) == Some(b'.') {
        at = digits(bytes, at + 1)?;
    }
    if matches!(byte(bytes, at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(byte(bytes, at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = digits(bytes, at)?;
    }
    Some(at)
}

/// Passes one digit or more.
#[inline]
fn digits(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while byte(bytes, at).is_some_and(|byte| byte.is_ascii_digit()) {
        at += 1;
    }
    (at > start).then_some(at)
}

/// The highest bit of each byte that ends or breaks a string: a quote, a backslash, a control character. Bits above the lowest
/// one may be wrong, by the borrow of a subtraction; the lowest is right.
#[inline]
pub(crate) fn special(chunk: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // With its second bit turned over a quote is 0x20, next to the control characters, which stay among themselves.
    let quote_or_control = (chunk ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (chunk ^ (ONES * 0x5c)).wrapping_sub(ONES);
    (quote_or_control | backslash) & !chunk & HIGH
}

#[cfg(test)]
mod tests;
