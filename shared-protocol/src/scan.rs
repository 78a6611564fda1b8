//! JSON checked and taken apart at close to the speed of memory, without building anything.
//!
//! In: a text. Out: the members of its outermost object and of the objects directly inside, as slices of the text; or
//! nothing, if the text is not such an object, nests too deeply, or is not JSON at all. It says neither what is wrong nor
//! where: whoever gets nothing asks the full decoder ([`crate::jsonrpc::decode`]), which does. Large replies are what a
//! bridge spends its time on, and a general deserializer takes several times as long to skip over them.

use std::ops::Range;

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
pub fn members<'a>(text: &'a str, mut visit: impl FnMut(Member<'a>)) -> Option<()> {
    let bytes = text.as_bytes();
    let end = object(text, space(bytes, 0), |key, start| {
        let end = match byte(bytes, start)? {
            b'{' => object(text, start, |key, start| {
                let end = value(bytes, start, DEPTH - 2)?;
                let value = text.get(start..end)?;
                visit(Member { depth: 2, key, value });
                Some(end)
            })?,
            _ => value(bytes, start, DEPTH - 1)?,
        };
        let value = text.get(start..end)?;
        visit(Member { depth: 1, key, value });
        Some(end)
    })?;
    (space(bytes, end) == bytes.len()).then_some(())
}

/// Passes the object at `at`. `member` is given each key and where its value begins, and says where it ends.
#[inline]
fn object<'a>(
    text: &'a str,
    at: usize,
    mut member: impl FnMut(&'a str, usize) -> Option<usize>,
) -> Option<usize> {
    let bytes = text.as_bytes();
    if byte(bytes, at)? != b'{' {
        return None;
    }
    let mut at = space(bytes, at + 1);
    if byte(bytes, at)? == b'}' {
        return Some(at + 1);
    }
    loop {
        let value = key(bytes, at)?;
        // Once more, for the few keys that are shown: handing the end of every key around would cost each of them.
        let key = text.get(at + 1..string(bytes, at + 1)? - 1)?;
        at = space(bytes, member(key, value)?);
        match byte(bytes, at)? {
            b',' => at = space(bytes, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Passes the value at `at`, in which at most `room` objects and arrays may be open at once; returns where it ends.
fn value(bytes: &[u8], mut at: usize, room: u32) -> Option<usize> {
    // What is open, the innermost in the lowest bit: 1 for an object.
    let mut is_object: u128 = 0;
    let mut depth = 0_u32;
    loop {
        // A value begins here.
        at = match byte(bytes, at)? {
            b'"' => string(bytes, at + 1)?,
            opener @ (b'{' | b'[') => {
                if depth == room {
                    return None;
                }
                let inner = space(bytes, at + 1);
                let is_filled_object = match (opener, byte(bytes, inner)?) {
                    (b'{', b'}') | (b'[', b']') => None,
                    (opener, _) => Some(opener == b'{'),
                };
                match is_filled_object {
                    None => inner + 1,
                    Some(opens_object) => {
                        depth += 1;
                        is_object = is_object << 1 | u128::from(opens_object);
                        at = if opens_object { key(bytes, inner)? } else { inner };
                        continue;
                    }
                }
            }
            b'-' | b'0'..=b'9' => number(bytes, at)?,
            b't' => word(bytes, at, b"true")?,
            b'f' => word(bytes, at, b"false")?,
            b'n' => word(bytes, at, b"null")?,
            _ => return None,
        };
        // A value has ended here, and with it perhaps what it is in.
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = space(bytes, at);
            let next = byte(bytes, at)?;
            at += 1;
            if is_object & 1 == 1 {
                if next == b',' {
                    at = key(bytes, space(bytes, at))?;
                    break;
                }
                if next != b'}' {
                    return None;
                }
            } else {
                if next == b',' {
                    at = space(bytes, at);
                    break;
                }
                if next != b']' {
                    return None;
                }
            }
            depth -= 1;
            is_object >>= 1;
        }
    }
}

/// Passes a key and its colon, up to the value.
#[inline]
fn key(bytes: &[u8], at: usize) -> Option<usize> {
    if byte(bytes, at)? != b'"' {
        return None;
    }
    let mut at = string(bytes, at + 1)?;
    if byte(bytes, at)? != b':' {
        at = space(bytes, at);
        if byte(bytes, at)? != b':' {
            return None;
        }
    }
    Some(space(bytes, at + 1))
}

#[inline]
fn byte(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

#[inline]
fn space(bytes: &[u8], mut at: usize) -> usize {
    // One comparison tells that there is none, which is so nearly everywhere.
    while let Some(byte) = byte(bytes, at)
        && byte <= b' '
        && matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
    {
        at += 1;
    }
    at
}

fn word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let end = at + word.len();
    (bytes.get(at..end)? == word).then_some(end)
}

/// Passes a string from behind its opening quote to behind its closing one.
#[inline]
fn string(bytes: &[u8], mut at: usize) -> Option<usize> {
    // Most strings are short and plain: those end here.
    for _ in 0..2 {
        let chunk = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>);
        let Some(chunk) = chunk else { break };
        let marks = special(u64::from_le_bytes(*chunk));
        if marks != 0 {
            // Invariant: a mark is the highest bit of its byte, so this is 0 to 7.
            at += (marks.trailing_zeros() / 8) as usize;
            if byte(bytes, at)? == b'"' {
                return Some(at + 1);
            }
            break;
        }
        at += 8;
    }
    rest_of_string(bytes, at)
}

/// Passes the rest of a string.
#[inline(never)]
fn rest_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        // Looked at all together, which compilers make vector instructions of; a loop that stops at a byte they do not.
        while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) {
            let matters = chunk.iter().fold(false, |matters, &byte| {
                matters | ((byte ^ 0x02) < 0x21) | (byte == b'\\')
            });
            if matters {
                break;
            }
            at += 16;
        }
        while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let marks = special(u64::from_le_bytes(*chunk));
            if marks != 0 {
                at += (marks.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        match byte(bytes, at)? {
            b'"' => return Some(at + 1),
            b'\\' => at = escape(bytes, at)?,
            0..=0x1f => return None,
            _ => at += 1,
        }
    }
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
fn special(chunk: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // With its second bit turned over a quote is 0x20, next to the control characters, which stay among themselves.
    let quote_or_control = (chunk ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (chunk ^ (ONES * 0x5c)).wrapping_sub(ONES);
    (quote_or_control | backslash) & !chunk & HIGH
}

#[cfg(test)]
mod tests;
