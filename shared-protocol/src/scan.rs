//! JSON checked and taken apart at close to the speed of memory, without building anything.
//!
//! In: a text. Out: the members of its outermost object and of the objects directly inside, as slices of the text; or
//! nothing, if the text is not such an object, nests too deeply, or is not JSON at all. It says neither what is wrong nor
//! where: whoever gets nothing asks the full decoder ([`crate::jsonrpc::decode`]), which does. Large replies are what a
//! bridge spends its time on, and a general deserializer takes several times as long to skip over them.

mod number;
mod wanted;
mod window;

use std::ops::Range;

use number::{number, short_number};
use wanted::Wanted;
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
/// some string has characters spelled as escapes. At most eight keys, each shorter than 63 bytes.
pub(crate) fn members_and_keys<'a>(
    text: &'a str,
    keys: &[&str],
    mut visit: impl FnMut(Member<'a>),
) -> Option<u8> {
    let mut walk = Walk::new(text.as_bytes(), keys);
    walk.space();
    walk.object(text, |walk, key, is_string| {
        let start = walk.at(text) - usize::from(is_string);
        if !is_string && walk.byte() == b'{' {
            walk.object(text, |walk, key, is_string| {
                let start = walk.at(text) - usize::from(is_string);
                walk.value(is_string, DEPTH - 2)?;
                let value = text.get(start..walk.at(text))?;
                visit(Member { depth: 2, key, value });
                Some(())
            })?;
        } else {
            walk.value(is_string, DEPTH - 1)?;
        }
        let value = text.get(start..walk.at(text))?;
        visit(Member { depth: 1, key, value });
        Some(())
    })?;
    walk.space();
    walk.rest.is_empty().then_some(walk.wanted.found())
}

/// A walk over a text, from left to right.
#[derive(Clone, Copy)]
struct Walk<'a, 'k> {
    /// What was not passed yet.
    rest: &'a [u8],
    /// Keys that are looked for beside everything else.
    wanted: Wanted<'k>,
    /// How long the rest was where the window began.
    window: usize,
    /// A bit for each byte of the window that ends or breaks a string, the first in the lowest bit.
    marks: u64,
}

impl<'a, 'k> Walk<'a, 'k> {
    fn new(bytes: &'a [u8], wanted: &'k [&'k str]) -> Walk<'a, 'k> {
        Walk {
            rest: bytes,
            wanted: Wanted::new(wanted),
            // No text is as long as to have a place in this window: the first string opens another.
            window: usize::MAX,
            marks: 0,
        }
    }

    /// The place in `text`, which is what is walked over.
    fn at(&self, text: &str) -> usize {
        text.len() - self.rest.len()
    }

    /// Passes an object. `member` is given each key, and whether its value is a string whose opening quote was passed, and
    /// passes the value.
    #[inline]
    fn object<'t>(
        &mut self,
        text: &'t str,
        mut member: impl FnMut(&mut Walk<'a, 'k>, &'t str, bool) -> Option<()>,
    ) -> Option<()> {
        if !self.takes(*b"{") {
            return None;
        }
        self.space();
        if self.takes(*b"}") {
            return Some(());
        }
        loop {
            if !self.takes(*b"\"") {
                return None;
            }
            let start = self.at(text);
            let (length, is_string) = self.key()?;
            member(self, text.get(start..start + length)?, is_string)?;
            self.space();
            if self.takes(*b"}") {
                return Some(());
            }
            if !self.takes(*b",") {
                return None;
            }
            self.space();
        }
    }

    /// Passes a value in which at most `room` objects and arrays may be open at once. `is_string` says that it is a string
    /// whose opening quote was passed.
    fn value(&mut self, mut is_string: bool, room: u32) -> Option<()> {
        // A copy may live in registers.
        let mut walk = *self;
        // What is open, the innermost in the lowest bit: 1 for an object.
        let mut is_object: u128 = 0;
        let mut depth = 0_u32;
        'value: loop {
            // A value begins here.
            if is_string || walk.takes(*b"\"") {
                walk.plain()?;
                // What nearly everybody writes, in one look: the next member.
                if is_object & 1 == 1 && walk.takes(*b"\",\"") {
                    (_, is_string) = walk.key()?;
                    continue 'value;
                }
                walk.end_string()?;
            } else {
                match walk.byte() {
                    // What nearly everybody writes, in one look: an object with a member.
                    b'{' if depth < room && walk.takes(*b"{\"") => {
                        depth += 1;
                        is_object = is_object << 1 | 1;
                        (_, is_string) = walk.key()?;
                        continue 'value;
                    }
                    b'-' | b'0'..=b'9' => match walk.eight().and_then(short_number) {
                        Some(length) => walk.pass(length)?,
                        None => walk.pass(number(walk.rest)?)?,
                    },
                    opener @ (b'{' | b'[') => {
                        if depth == room {
                            return None;
                        }
                        walk.pass(1)?;
                        walk.space();
                        let opens_object = opener == b'{';
                        let is_empty = match opens_object {
                            true => walk.takes(*b"}"),
                            false => walk.takes(*b"]"),
                        };
                        if !is_empty {
                            depth += 1;
                            is_object = is_object << 1 | u128::from(opens_object);
                            is_string = false;
                            if opens_object {
                                if !walk.takes(*b"\"") {
                                    return None;
                                }
                                (_, is_string) = walk.key()?;
                            }
                            continue 'value;
                        }
                    }
                    b't' if walk.takes(*b"true") => {}
                    b'f' if walk.takes(*b"false") => {}
                    b'n' if walk.takes(*b"null") => {}
                    _ => return None,
                }
            }
            // A value has ended here, and with it perhaps what it is in.
            loop {
                if depth == 0 {
                    *self = walk;
                    return Some(());
                }
                let inside_object = is_object & 1 == 1;
                // What nearly everybody writes, in one look.
                if walk.takes(*b",\"") {
                    is_string = true;
                    if inside_object {
                        (_, is_string) = walk.key()?;
                    }
                    continue 'value;
                }
                walk.space();
                match (walk.byte(), inside_object) {
                    (b',', _) => {
                        walk.pass(1)?;
                        walk.space();
                        is_string = false;
                        if inside_object {
                            if !walk.takes(*b"\"") {
                                return None;
                            }
                            (_, is_string) = walk.key()?;
                        }
                        continue 'value;
                    }
                    (b'}', true) | (b']', false) => {}
                    _ => return None,
                }
                walk.pass(1)?;
                depth -= 1;
                is_object >>= 1;
            }
        }
    }

    /// Passes a key, from behind its opening quote, and its colon, up to the value; if that is a string, its opening quote as
    /// well. Says how long the key is, and whether it is a string that follows.
    #[inline(always)]
    fn key(&mut self) -> Option<(usize, bool)> {
        let text = self.rest;
        self.plain()?;
        let length = text.len() - self.rest.len();
        // What nearly everybody writes, in one look.
        if self.takes(*b"\":\"") {
            self.wanted.note(text, length);
            return Some((length, true));
        }
        self.end_string()?;
        let length = text.len() - self.rest.len() - 1;
        self.wanted.note(text, length);
        if !self.takes(*b":") {
            self.space();
            if !self.takes(*b":") {
                return None;
            }
        }
        self.space();
        Some((length, false))
    }

    /// Passes as many bytes.
    #[inline(always)]
    fn pass(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    /// Passes `word` if it is what comes next.
    #[inline(always)]
    fn takes<const N: usize>(&mut self, word: [u8; N]) -> bool {
        match self.rest.split_first_chunk() {
            Some((chunk, rest)) if *chunk == word => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// The next eight bytes, the first of them lowest.
    #[inline(always)]
    fn eight(&self) -> Option<u64> {
        self.rest.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
    }

    /// The next byte, or zero behind the end of the text.
    #[inline(always)]
    fn byte(&self) -> u8 {
        self.rest.first().copied().unwrap_or(0)
    }

    /// Passes blanks.
    #[inline(always)]
    fn space(&mut self) {
        // One comparison tells that there is none, which is so nearly everywhere, and another that there is one.
        if self.byte() <= b' ' {
            self.takes(*b" ");
            if self.byte() <= b' ' {
                self.rest = spaces(self.rest);
            }
        }
    }

    /// Passes what is plain in a string, up to its closing quote, an escape, or what no string may have.
    #[inline(always)]
    fn plain(&mut self) -> Option<()> {
        let mark = self.mark()?;
        self.pass(mark)
    }

    /// Passes the rest of a string from there on, and its closing quote.
    #[inline(always)]
    fn end_string(&mut self) -> Option<()> {
        if !self.takes(*b"\"") {
            *self = self.escaped()?;
        }
        Some(())
    }

    #[inline(never)]
    fn escaped(mut self) -> Option<Self> {
        while !self.takes(*b"\"") {
            if self.byte() != b'\\' {
                return None;
            }
            if self.rest.get(1) == Some(&b'u') {
                self.wanted.may_be_any();
            }
            self.pass(escape(self.rest)?)?;
            self.plain()?;
        }
        Some(self)
    }

    /// How far the next byte is that ends or breaks a string.
    #[inline(always)]
    fn mark(&mut self) -> Option<usize> {
        let within = self.window.wrapping_sub(self.rest.len());
        let mut from = 0;
        if within < WINDOW {
            let marks = self.marks >> within;
            if marks != 0 {
                return Some(marks.trailing_zeros() as usize);
            }
            from = WINDOW - within;
        }
        // By value, so that the walk itself may live in registers.
        let (at, marks) = first_marked(self.rest, from);
        self.window = self.rest.len().wrapping_sub(at);
        self.marks = marks;
        (marks != 0).then(|| at + marks.trailing_zeros() as usize)
    }
}

/// What follows the blanks.
#[inline(never)]
fn spaces(rest: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    let blanks = rest.iter().take_while(|byte| is_blank(byte)).count();
    rest.get(blanks..).unwrap_or_default()
}

/// The length of an escape.
fn escape(rest: &[u8]) -> Option<usize> {
    match rest.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => {
            let digits = rest.get(2..6)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(6)
        }
        _ => None,
    }
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
