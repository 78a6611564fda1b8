//! reStructuredText, as far as search needs it: section titles and literal blocks.

use super::blocks::{BlockKind, Builder};

/// Adds the blocks of an `.rst` text.
pub(super) fn push_blocks(text: &str, builder: &mut Builder) {
    // Levels are given by order of appearance of the underline's character.
    let mut marks: Vec<char> = Vec::new();
    let mut after_blank = true;
    let mut expects_literal = false;
    let mut in_literal = false;
    let mut paragraph: Option<Paragraph> = None;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        if content.is_empty() {
            builder.extend(line.len());
            after_blank = true;
            continue;
        }
        let indented = content.starts_with([' ', '\t']);
        if indented && (in_literal || (expects_literal && after_blank)) {
            if in_literal {
                builder.extend(line.len());
            } else {
                builder.push(BlockKind::Code, line.len());
            }
            (in_literal, expects_literal, after_blank) = (true, false, false);
            continue;
        }
        if in_literal {
            (in_literal, after_blank) = (false, true);
        }
        let is_directive = content.starts_with(".. ") && content.contains("code-block::");
        let title = paragraph.filter(|paragraph| !after_blank && paragraph.may_be_title());
        if let (Some(title), Some(mark)) = (title, underline(content))
            && content.chars().count() >= title.width
        {
            let position = marks.iter().position(|known| *known == mark).unwrap_or_else(|| {
                marks.push(mark);
                marks.len() - 1
            });
            builder.extend(line.len());
            builder.make_heading(u8::try_from(position.min(5) + 1).unwrap_or(6));
            (paragraph, after_blank, expects_literal) = (None, true, false);
            continue;
        }
        if after_blank || paragraph.is_none() {
            builder.push(BlockKind::Text, line.len());
            paragraph = None;
        } else {
            builder.extend(line.len());
        }
        let lines = paragraph.map_or(1, |paragraph| paragraph.lines + 1);
        let overlined = paragraph.map_or(underline(content).is_some(), |paragraph| paragraph.overlined);
        paragraph = Some(Paragraph {
            lines,
            overlined,
            width: content.trim().chars().count(),
        });
        expects_literal = content.ends_with("::") || is_directive || (expects_literal && indented);
        after_blank = false;
    }
}

#[derive(Clone, Copy)]
struct Paragraph {
    lines: usize,
    /// Its first line is a run of one mark: a title may have a line above it too.
    overlined: bool,
    /// Characters of its last line; an underline is at least as long.
    width: usize,
}

impl Paragraph {
    fn may_be_title(self) -> bool {
        self.lines == 1 + usize::from(self.overlined)
    }
}

/// The character of a line that is nothing but one repeated punctuation mark.
fn underline(line: &str) -> Option<char> {
    let mark = line.chars().next().filter(char::is_ascii_punctuation)?;
    (line.len() >= 2 && line.chars().all(|c| c == mark)).then_some(mark)
}

/// The text of a heading block, without its underline or overline.
#[must_use]
pub fn heading_text(block: &str) -> &str {
    block
        .lines()
        .find(|line| underline(line.trim_end()).is_none())
        .unwrap_or_default()
        .trim()
}

#[cfg(test)]
mod tests {
    use super::super::blocks::{TextType, blocks};
    use super::*;

    #[test]
    fn sections_and_literals() {
        use BlockKind::{Code, Heading, Text};
        let text = "=====\nTitle\n=====\n\nText here::\n\n   code = 1\n\n   more\n\nAfter\n\nPart\n----\nBody\n\n.. code-block:: rust\n   :linenos:\n\n   fn x() {}\n\nPart two\n--------\n";
        let found: Vec<_> = blocks(TextType::Rst, text)
            .into_iter()
            .map(|block| (block.kind, &text[block.bytes]))
            .collect();
        assert_eq!(
            found,
            [
                (Heading(1), "=====\nTitle\n=====\n\n"),
                (Text, "Text here::\n\n"),
                (Code, "   code = 1\n\n   more\n\n"),
                (Text, "After\n\n"),
                (Heading(2), "Part\n----\n"),
                (Text, "Body\n\n"),
                (Text, ".. code-block:: rust\n   :linenos:\n\n"),
                (Code, "   fn x() {}\n\n"),
                (Heading(2), "Part two\n--------\n"),
            ]
        );
        assert_eq!(heading_text("=====\nTitle\n=====\n\n"), "Title");
        assert_eq!(heading_text("Part\n----\n"), "Part");
    }

    #[test]
    fn what_is_no_heading() {
        for text in ["a\nb\n---\n", "Long title\n---\n", "a\n\n---\n", "---\n"] {
            let found = blocks(TextType::Rst, text);
            assert!(found.iter().all(|block| block.kind == BlockKind::Text), "{text}");
        }
    }
}
