//! JSON checked and taken apart at close to the speed of memory, without building anything.
//!
//! In: a text. Out: the members of its outermost object and of the objects directly inside, as slices of the text; or
//! nothing, if the text is not such an object, nests too deeply, or is not JSON at all. It says neither what is wrong nor
//! where: whoever gets nothing asks the full decoder ([`crate::jsonrpc::decode`]), which does. Large replies are what a
//! bridge spends its time on, and a general deserializer takes several times as long to skip over them.

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

/// Walks through `text`, which must be one JSON object, and shows `visit` its members. `None` if it is anything else; what
/// was shown until then means nothing.
pub fn members<'a>(text: &'a str, mut visit: impl FnMut(Member<'a>)) -> Option<()> {
    let mut cursor = Cursor {
        bytes: text.as_bytes(),
        at: 0,
    };
    // Where the key and the value of the open member at depth 1 and 2 begin.
    let mut open = [Open::default(); 3];
    let mut is_object: u128 = 0;
    let mut depth = 0_u32;
    cursor.space();
    if cursor.peek() != Some(b'{') {
        return None;
    }
    loop {
        // A value begins here.
        match cursor.peek()? {
            opener @ (b'{' | b'[') => {
                cursor.at += 1;
                depth += 1;
                if depth > DEPTH {
                    return None;
                }
                is_object = is_object << 1 | u128::from(opener == b'{');
                cursor.space();
                if cursor.peek()? == if opener == b'{' { b'}' } else { b']' } {
                    cursor.at += 1;
                    depth -= 1;
                    is_object >>= 1;
                } else {
                    if opener == b'{' {
                        key(&mut cursor, depth, &mut open)?;
                    }
                    continue;
                }
            }
            b'"' => cursor.string()?,
            b'-' | b'0'..=b'9' => cursor.number()?,
            b't' => cursor.word(b"true")?,
            b'f' => cursor.word(b"false")?,
            b'n' => cursor.word(b"null")?,
            _ => return None,
        }
        // A value has ended here, and with it perhaps what it is in.
        loop {
            let end = cursor.at;
            cursor.space();
            if depth == 0 {
                return (cursor.at == cursor.bytes.len()).then_some(());
            }
            let in_object = is_object & 1 == 1;
            if in_object
                && depth <= 2
                && let Some(Open { key, value }) = usize::try_from(depth)
                    .ok()
                    .and_then(|depth| open.get(depth).copied())
            {
                visit(Member {
                    depth,
                    key: text.get(key.0..key.1)?,
                    value: text.get(value..end)?,
                });
            }
            let next = cursor.peek()?;
            cursor.at += 1;
            match (next, in_object) {
                (b',', true) => {
                    cursor.space();
                    key(&mut cursor, depth, &mut open)?;
                    break;
                }
                (b',', false) => {
                    cursor.space();
                    break;
                }
                (b'}', true) | (b']', false) => {
                    depth -= 1;
                    is_object >>= 1;
                }
                _ => return None,
            }
        }
    }
}

/// The member that is open at a depth.
#[derive(Clone, Copy, Default)]
struct Open {
    /// The key between its quotes.
    key: (usize, usize),
    value: usize,
}

/// Passes a key and its colon, up to the value.
fn key(cursor: &mut Cursor<'_>, depth: u32, open: &mut [Open; 3]) -> Option<()> {
    if cursor.peek()? != b'"' {
        return None;
    }
    let start = cursor.at + 1;
    cursor.string()?;
    let key = (start, cursor.at - 1);
    cursor.space();
    if cursor.peek()? != b':' {
        return None;
    }
    cursor.at += 1;
    cursor.space();
    if let Some(slot) = usize::try_from(depth).ok().and_then(|depth| open.get_mut(depth)) {
        *slot = Open {
            key,
            value: cursor.at,
        };
    }
    Some(())
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        // One comparison tells that there is none, which is so nearly everywhere.
        while let Some(byte) = self.peek()
            && byte <= b' '
            && matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
        {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let end = self.at + word.len();
        (self.bytes.get(self.at..end)? == word).then(|| self.at = end)
    }

    /// Passes a string; the cursor is on its opening quote.
    #[inline]
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            // Eight bytes at a time while none of them matters.
            while let Some(chunk) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
                let marks = special(u64::from_le_bytes(*chunk));
                if marks != 0 {
                    // Invariant: a mark is the highest bit of its byte, so this is 0 to 7.
                    self.at += (marks.trailing_zeros() / 8) as usize;
                    break;
                }
                self.at += 8;
            }
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = self.bytes.get(self.at + 2..self.at + 6)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

/// The highest bit of each byte that ends or breaks a string: a quote, a backslash, a control character. Bits above the lowest
/// one may be wrong, by the borrow of a subtraction; the lowest is right.
#[inline]
fn special(chunk: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let quote = zero(chunk ^ (ONES * 0x22));
    let backslash = zero(chunk ^ (ONES * 0x5c));
    let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
    (quote | backslash | control) & HIGH
}

#[cfg(test)]
mod tests;
