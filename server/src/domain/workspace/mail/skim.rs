//! Reads a mail of any size into bounded memory: lines of long parts are counted and dropped, so that a mail with 30 MB of
//! pictures is a few hundred kilobytes with the pictures' names in it.

/// Bytes of one part that are kept. Far more than a message may have, and enough of a picture to know its headers.
const MOST_OF_A_PART: usize = 256 * 1024;
/// Bytes of one line that are kept; RFC 5322 allows 998.
const MOST_OF_A_LINE: usize = 16 * 1024;
/// Bytes kept of a whole mail.
const MOST_OF_A_MAIL: usize = 2 * 1024 * 1024;

/// A mail in the making.
#[derive(Debug, Default)]
pub struct Skim {
    kept: Vec<u8>,
    dropped: Vec<Gap>,
    /// Bytes of the present part so far.
    part: usize,
    /// Bytes of the present line so far, and its first two bytes.
    line: usize,
    start: [u8; 2],
    /// Whether the present line began while its part was full.
    skipping: bool,
}

/// Bytes that were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    /// Where, in what was kept.
    at: usize,
    bytes: u64,
}

/// A mail that was read.
#[derive(Debug, Default)]
pub(crate) struct Skimmed {
    /// What was kept of it.
    pub(crate) bytes: Vec<u8>,
    dropped: Vec<Gap>,
}

impl Skim {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.take(byte);
        }
    }

    fn take(&mut self, byte: u8) {
        match self.line {
            0 => {
                // What belongs to a full part waits until its line says whether a new part begins.
                self.skipping = self.part >= MOST_OF_A_PART;
                self.start[0] = byte;
                if self.skipping && byte == b'-' {
                    self.line = 1;
                    return;
                }
            }
            1 if self.skipping && self.start[0] == b'-' => {
                self.line = 2;
                if byte == b'-' {
                    // A boundary, or a line that looks like one: it is short either way.
                    (self.skipping, self.part) = (false, 0);
                    self.keep(b'-');
                    self.keep(b'-');
                    return;
                }
                self.drop_bytes(2);
                self.end_line(byte);
                return;
            }
            _ => {}
        }
        self.line += 1;
        if self.line == 2 && self.start[0] == b'-' && byte == b'-' {
            self.part = 0;
        }
        if self.skipping || self.line > MOST_OF_A_LINE && byte != b'\n' {
            self.drop_bytes(1);
        } else {
            self.keep(byte);
        }
        self.end_line(byte);
    }

    fn end_line(&mut self, byte: u8) {
        if byte == b'\n' {
            self.line = 0;
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.kept.len() < MOST_OF_A_MAIL {
            self.kept.push(byte);
            self.part += 1;
        } else {
            self.drop_bytes(1);
        }
    }

    fn drop_bytes(&mut self, bytes: u64) {
        let at = self.kept.len();
        match self.dropped.last_mut() {
            Some(gap) if gap.at == at => gap.bytes += bytes,
            _ => self.dropped.push(Gap { at, bytes }),
        }
    }

    /// What it came to.
    pub(crate) fn finish(self) -> Skimmed {
        Skimmed {
            bytes: self.kept,
            dropped: self.dropped,
        }
    }
}

impl Skimmed {
    /// A whole mail.
    #[cfg(test)]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut skim = Skim::default();
        skim.push(bytes);
        skim.finish()
    }

    /// How many bytes were dropped between two places of what was kept.
    pub(crate) fn dropped_between(&self, from: usize, to: usize) -> u64 {
        // A part ends before the line break in front of the next boundary; what was dropped was dropped behind it.
        let within = self
            .dropped
            .iter()
            .filter(|gap| gap.at > from && gap.at <= to.saturating_add(2));
        within.map(|gap| gap.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn small_mails_pass_whole_whatever_the_pieces(mail in prop::collection::vec(any::<u8>(), 0..2000), cut in 1_usize..50) {
            let mut skim = Skim::default();
            for piece in mail.chunks(cut) {
                skim.push(piece);
            }
            let read = skim.finish();
            prop_assert_eq!(&read.bytes, &mail);
            prop_assert!(read.dropped.is_empty());
        }

        #[test]
        fn nothing_is_lost_unseen(lines in prop::collection::vec((0_usize..40_000, any::<bool>()), 0..40)) {
            let mut mail = Vec::new();
            for (length, boundary) in lines {
                mail.extend_from_slice(if boundary { b"--b" } else { b"x" });
                mail.extend(std::iter::repeat_n(b'x', length));
                mail.push(b'\n');
            }
            let read = Skimmed::of(&mail);
            let dropped = read.dropped.iter().map(|gap| gap.bytes).sum::<u64>();
            prop_assert_eq!(read.bytes.len() as u64 + dropped, mail.len() as u64);
        }
    }

    #[test]
    fn a_long_part_is_cut_and_the_next_one_is_whole() {
        let mut mail = b"--b\n\n".to_vec();
        for _ in 0..30_000 {
            mail.extend_from_slice(b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2\n");
        }
        let shown = b"--b\nContent-Type: text/plain\n\n- a list\n-\n--b--\n";
        mail.extend_from_slice(shown);
        let read = Skimmed::of(&mail);
        assert!(read.bytes.ends_with(shown));
        assert!(read.bytes.len() < MOST_OF_A_PART + 1000, "{}", read.bytes.len());
        let end = read.bytes.len() - shown.len();
        assert_eq!(
            read.bytes.len() as u64 + read.dropped_between(5, end),
            mail.len() as u64
        );
        assert_eq!(read.dropped_between(end, read.bytes.len()), 0);
    }

    #[test]
    fn one_endless_line_and_endless_parts_stay_bounded() {
        let read = Skimmed::of(&vec![b'x'; 8 * 1024 * 1024]);
        assert!(read.bytes.len() <= MOST_OF_A_LINE);
        let read = Skimmed::of("--b\n".repeat(3_000_000).as_bytes());
        assert!(read.bytes.len() <= MOST_OF_A_MAIL);
    }
}
