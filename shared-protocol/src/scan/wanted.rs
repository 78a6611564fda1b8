//! Keys that are looked for beside everything else: which of them a text has.

/// At most eight keys, each shorter than 63 bytes.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'k> {
    keys: &'k [&'k str],
    /// A bit for each length they have.
    lengths: u64,
    /// A bit for each letter they begin with.
    letters: u32,
    /// A bit for each of them that occurs, or may.
    found: u8,
}

impl<'k> Wanted<'k> {
    pub(super) fn new(keys: &'k [&'k str]) -> Wanted<'k> {
        Wanted {
            keys,
            lengths: keys.iter().fold(0, |lengths, key| lengths | 1 << key.len()),
            letters: keys
                .iter()
                .fold(0, |letters, key| letters | letter(key.as_bytes())),
            found: 0,
        }
    }

    /// A bit for each of the keys that occurs, or may, the first in the lowest bit.
    pub(super) fn found(&self) -> u8 {
        self.found
    }

    /// Notes the key that `text` begins with, `length` bytes long, if it is looked for.
    #[inline(always)]
    pub(super) fn note(&mut self, text: &[u8], length: usize) {
        // Nearly every key has another length, or begins with another letter.
        if self.lengths >> length.min(63) & 1 == 0 {
            return;
        }
        let key = text.get(..length).unwrap_or_default();
        if self.letters & letter(key) != 0 {
            self.found |= find(key, self.keys);
        }
    }

    /// Notes a string whose characters are not all spelled as they are: it may be any of the keys.
    pub(super) fn may_be_any(&mut self) {
        self.found = u8::MAX;
    }
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
