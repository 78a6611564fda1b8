//! What a text is made of: its type by file extension, and its blocks, the pieces a chunk prefers to keep whole.
//!
//! Blocks lie end to end and cover the text, so that a chunk, being a run of them, is always an exact slice.

use std::ops::Range;

use super::{frontmatter, markdown, rst};

/// The types of text the edition reads (catalogue.md §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextType {
    /// `.md`: headings, fences, tables, front matter.
    Markdown,
    /// `.txt`: paragraphs.
    Plain,
    /// `.csv`: records.
    Csv,
    /// `.json`: lines.
    Json,
    /// `.yaml` and `.yml`: top-level keys.
    Yaml,
    /// `.rst`: reStructuredText headings and literal blocks.
    Rst,
}

impl TextType {
    /// The extensions read, without the dot, lower case.
    pub const EXTENSIONS: [&'static str; 7] = ["md", "txt", "csv", "json", "yaml", "yml", "rst"];

    /// The type of a file by its extension, in any case; `None` for every other file.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next()?;
        let (stem, extension) = name.rsplit_once('.')?;
        if stem.is_empty() {
            return None;
        }
        Some(match extension.to_ascii_lowercase().as_str() {
            "md" => Self::Markdown,
            "txt" => Self::Plain,
            "csv" => Self::Csv,
            "json" => Self::Json,
            "yaml" | "yml" => Self::Yaml,
            "rst" => Self::Rst,
            _ => return None,
        })
    }
}

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// YAML between `---` lines at the head of a note.
    FrontMatter,
    /// A heading, level 1 to 6, with its underline if it has one.
    Heading(u8),
    /// Prose.
    Text,
    /// A fenced or literal block, fences included.
    Code,
    /// Rows of a table, or the records of a CSV file.
    Table,
    /// Lines of a JSON or YAML file.
    Data,
}

/// One block: its kind and its bytes, blank lines after it included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Where it is, in bytes.
    pub bytes: Range<usize>,
}

/// The blocks of `text`: contiguous, none empty, from its first byte to its last.
#[must_use]
pub fn blocks(text_type: TextType, text: &str) -> Vec<Block> {
    match text_type {
        TextType::Markdown => {
            let head = frontmatter::span(text).unwrap_or(0);
            let mut builder = Builder::default();
            builder.push(BlockKind::FrontMatter, head);
            markdown::push_blocks(text.get(head..).unwrap_or_default(), &mut builder);
            builder.blocks
        }
        TextType::Rst => {
            let mut builder = Builder::default();
            rst::push_blocks(text, &mut builder);
            builder.blocks
        }
        TextType::Plain => paragraphs(text),
        TextType::Csv => records(text),
        // A key without indentation opens something new; what belongs to it is indented or closes it.
        TextType::Yaml => data(text, |line| !line.starts_with([' ', '\t', '-', '#'])),
        TextType::Json => data(text, |line| {
            let text = line.trim_start();
            line.len() - text.len() <= 2 && text.starts_with(['"', '{', '['])
        }),
    }
}

/// Collects blocks by their lengths.
#[derive(Debug, Default)]
pub(super) struct Builder {
    blocks: Vec<Block>,
}

impl Builder {
    fn end(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.bytes.end)
    }

    /// Opens a block of `kind` with the next `len` bytes.
    pub(super) fn push(&mut self, kind: BlockKind, len: usize) {
        let start = self.end();
        if len > 0 {
            self.blocks.push(Block {
                kind,
                bytes: start..start + len,
            });
        }
    }

    /// Adds the next `len` bytes to the block at hand; blank lines at the very head open a text block.
    pub(super) fn extend(&mut self, len: usize) {
        match self.blocks.last_mut() {
            Some(block) => block.bytes.end += len,
            None => self.push(BlockKind::Text, len),
        }
    }

    /// The kind and length of the block at hand.
    pub(super) fn last(&self) -> Option<&Block> {
        self.blocks.last()
    }

    /// Makes the block at hand a heading.
    pub(super) fn make_heading(&mut self, level: u8) {
        if let Some(block) = self.blocks.last_mut() {
            block.kind = BlockKind::Heading(level);
        }
    }
}

fn paragraphs(text: &str) -> Vec<Block> {
    let mut builder = Builder::default();
    let mut after_blank = true;
    for line in text.split_inclusive('\n') {
        let blank = line.trim().is_empty();
        if after_blank && !blank {
            builder.push(BlockKind::Text, line.len());
        } else {
            builder.extend(line.len());
        }
        after_blank = blank;
    }
    builder.blocks
}

/// One block per record: a line break inside quotes does not end it.
fn records(text: &str) -> Vec<Block> {
    let mut builder = Builder::default();
    let mut quoted = false;
    let mut in_record = 0;
    for line in text.split_inclusive('\n') {
        // An unbalanced quote must not make one record of the rest of the file.
        if quoted && in_record < MAX_RECORD_LINES {
            builder.extend(line.len());
            in_record += 1;
        } else {
            quoted = false;
            in_record = 0;
            builder.push(BlockKind::Table, line.len());
        }
        quoted ^= line.bytes().filter(|byte| *byte == b'"').count() % 2 == 1;
    }
    builder.blocks
}

/// Lines one CSV record may span.
const MAX_RECORD_LINES: usize = 100;

fn data(text: &str, opens: impl Fn(&str) -> bool) -> Vec<Block> {
    let mut builder = Builder::default();
    for line in text.split_inclusive('\n') {
        if builder.last().is_none() || (opens(line) && !line.trim().is_empty()) {
            builder.push(BlockKind::Data, line.len());
        } else {
            builder.extend(line.len());
        }
    }
    builder.blocks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slices(text_type: TextType, text: &str) -> Vec<&str> {
        blocks(text_type, text)
            .into_iter()
            .map(|block| &text[block.bytes])
            .collect()
    }

    #[test]
    fn types_by_extension() {
        assert_eq!(TextType::of_path("a/b.MD"), Some(TextType::Markdown));
        assert_eq!(TextType::of_path("b.tar.yml"), Some(TextType::Yaml));
        for other in ["", "md", ".md", "a.md/b", "a.mdx", "a.", "a.exe"] {
            assert_eq!(TextType::of_path(other), None, "{other}");
        }
        for extension in TextType::EXTENSIONS {
            assert!(
                TextType::of_path(&format!("x.{extension}")).is_some(),
                "{extension}"
            );
        }
    }

    #[test]
    fn paragraphs_records_and_keys() {
        assert_eq!(
            slices(TextType::Plain, "\na\nb\n\n\nc"),
            ["\n", "a\nb\n\n\n", "c"]
        );
        assert_eq!(
            slices(TextType::Csv, "h\n\"a\nb\",1\nc,2\n"),
            ["h\n", "\"a\nb\",1\n", "c,2\n"]
        );
        assert_eq!(
            slices(TextType::Yaml, "a:\n  b: 1\n- x\nc: 2\n"),
            ["a:\n  b: 1\n- x\n", "c: 2\n"]
        );
        assert_eq!(
            slices(TextType::Json, "{\n  \"a\": {\n    \"b\": 1\n  }\n}"),
            ["{\n", "  \"a\": {\n    \"b\": 1\n  }\n}"]
        );
    }

    proptest! {
        #[test]
        fn blocks_cover_any_text(text in "(?s)[a-c#`~|:=\\-\" \n\r.é]{0,200}") {
            for name in TextType::EXTENSIONS {
                let text_type = TextType::of_path(&format!("x.{name}")).unwrap();
                prop_assert_eq!(slices(text_type, &text).concat(), text.as_str());
                prop_assert!(blocks(text_type, &text).iter().all(|block| !block.bytes.is_empty()));
            }
        }
    }
}
