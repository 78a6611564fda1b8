//! Good places in a text: where to cut it, where to take it up again, and how far along they are.

use std::ops::Range;

/// Where to cut a text longer than `max` bytes: at its last line or sentence end within `max`, else after
/// its last word, else at a character. With `by_line` a line end wins over everything.
pub(super) fn cut(text: &str, max: usize, by_line: bool) -> usize {
    let window = text.get(..text.floor_char_boundary(max)).unwrap_or(text);
    let (mut line, mut sentence, mut blank) = (0, 0, 0);
    let mut before = ' ';
    for (at, c) in window.char_indices() {
        let after = at + c.len_utf8();
        if c == '\n' {
            line = after;
        } else if matches!(c, '。' | '！' | '？')
            || (c.is_whitespace() && matches!(before, '.' | '!' | '?' | ';' | '}'))
        {
            sentence = after;
        } else if c.is_whitespace() || matches!(c, ',' | '、' | '，') {
            blank = after;
        }
        before = c;
    }
    // A cut near the head would leave a crumb.
    let worth = |at: usize| at > max / 4;
    if by_line && line > 0 {
        line
    } else if worth(line.max(sentence)) {
        line.max(sentence)
    } else if worth(blank) {
        blank
    } else {
        window.len()
    }
}

/// Where in `window`, the end of a chunk, the part begins that the next one repeats: after its first sentence
/// or line end, else after its first word, else at its head.
pub(super) fn overlap(window: &str) -> usize {
    let mut before = ' ';
    let mut word = None;
    for (at, c) in window.char_indices() {
        let after = at + c.len_utf8();
        if ends_sentence(before, c) {
            return after;
        }
        if c.is_whitespace() && word.is_none() {
            word = Some(after);
        }
        before = c;
    }
    word.unwrap_or(0)
}

fn ends_sentence(before: char, c: char) -> bool {
    c == '\n' || matches!(c, '。' | '！' | '？') || (c.is_whitespace() && matches!(before, '.' | '!' | '?'))
}

/// `bytes` without blank lines at its head and blanks at its end; `None` when nothing is left. The first
/// line keeps its indentation, which in code means something.
pub(super) fn trimmed(text: &str, bytes: Range<usize>) -> Option<Range<usize>> {
    let content = text.get(bytes.clone())?;
    let lead = content.len() - content.trim_start().len();
    let head = content.get(..lead)?.rfind('\n').map_or(0, |at| at + 1);
    let tail = content.trim_end().len();
    (head < tail).then(|| bytes.start + head..bytes.start + tail)
}

/// Turns byte offsets into character offsets without counting the text from its start each time.
pub(super) struct CharCounter<'t> {
    text: &'t str,
    byte: usize,
    chars: usize,
}

impl<'t> CharCounter<'t> {
    /// At the head of `text`.
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            byte: 0,
            chars: 0,
        }
    }

    /// The character offset of byte offset `byte`.
    pub(super) fn at(&mut self, byte: usize) -> usize {
        let between = |from, to| self.text.get(from..to).map_or(0, |part| part.chars().count());
        // An overlap begins a little before the last end.
        self.chars = if byte >= self.byte {
            self.chars + between(self.byte, byte)
        } else {
            self.chars - between(byte, self.byte)
        };
        self.byte = byte;
        self.chars
    }
}
