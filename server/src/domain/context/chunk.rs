//! Cuts a text into chunks of about 400 tokens: what search ranks and a model reads.
//!
//! A chunk is an exact slice of its source, so that its offsets mean something to whoever has the file.
//! Where it may begin, best first: at a heading, at a block, at a sentence or line, at a word. Sections
//! shorter than 100 tokens share a chunk, a heading always travels with what it heads, and a code fence is
//! never cut unless it alone exceeds [`MAX_CODE_TOKENS`]; then it is cut between lines. Where prose had to be
//! cut inside a section, the next chunk repeats about 50 tokens of it. Same text, same chunks.
//!
//! **Tokens** are estimated as UTF-8 bytes / 4, the estimate used all over Footbridge: close for English and
//! code, high for other alphabets, a little low for Chinese; and it costs nothing.

use std::ops::Range;

use serde::Serialize;

use super::blocks::{self, Block, BlockKind, TextType};
use super::{markdown, rst};

mod cut;

use cut::{CharCounter, cut, overlap, trimmed};

/// Tokens a chunk aims at and, code aside, never exceeds.
pub const TARGET_TOKENS: usize = 400;
/// Tokens repeated where prose is cut inside a section.
pub const OVERLAP_TOKENS: usize = 50;
/// Tokens of the longest code block kept whole. Half a function answers nothing; a generated file of
/// thousands of lines in one chunk drowns what was asked.
pub const MAX_CODE_TOKENS: usize = 1600;

const BYTES_PER_TOKEN: usize = 4;
const TARGET_BYTES: usize = TARGET_TOKENS * BYTES_PER_TOKEN;
const OVERLAP_BYTES: usize = OVERLAP_TOKENS * BYTES_PER_TOKEN;
const MAX_CODE_BYTES: usize = MAX_CODE_TOKENS * BYTES_PER_TOKEN;
/// A heading opens a new chunk once the one at hand holds this much.
const MIN_SECTION_BYTES: usize = 100 * BYTES_PER_TOKEN;
/// Longer paragraphs are cut into pieces of at most this much before packing.
const PIECE_BYTES: usize = 100 * BYTES_PER_TOKEN;
/// Longest heading path kept.
const MAX_PATH_BYTES: usize = 300;

/// What a chunk mostly consists of: `chunk_type` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkType {
    /// Prose, headings, lists, or a mixture.
    Text,
    /// A code block.
    Code,
    /// Rows of a table or CSV file.
    Table,
    /// Lines of a JSON or YAML file.
    Data,
    /// The front matter of a note.
    Frontmatter,
}

impl ChunkType {
    /// The word used on the wire and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Code => "code",
            Self::Table => "table",
            Self::Data => "data",
            Self::Frontmatter => "frontmatter",
        }
    }

    fn of(kind: BlockKind) -> Self {
        match kind {
            BlockKind::FrontMatter => Self::Frontmatter,
            BlockKind::Heading(_) | BlockKind::Text => Self::Text,
            BlockKind::Code => Self::Code,
            BlockKind::Table => Self::Table,
            BlockKind::Data => Self::Data,
        }
    }
}

/// One chunk of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk<'t> {
    /// Position in its entity, from 0.
    pub index: u32,
    /// What it mostly is.
    pub chunk_type: ChunkType,
    /// The headings above it, outermost first, joined by ` › `; for CSV the header record. Indexed with the
    /// chunk, because the middle of a section rarely repeats what it is about.
    pub heading: String,
    /// The slice itself, without blank lines around it.
    pub content: &'t str,
    /// First character, counted in Unicode scalar values from the start of the text.
    pub char_offset_start: usize,
    /// One past the last character.
    pub char_offset_end: usize,
}

/// The public id of chunk `index` of `entity_id`: `<entity>:<index>`.
#[must_use]
pub fn chunk_id(entity_id: &str, index: u32) -> String {
    format!("{entity_id}:{index}")
}

/// Splits a public chunk id; `None` when it is none. An index has one spelling: no sign, no leading zero.
#[must_use]
pub fn parse_chunk_id(chunk_id: &str) -> Option<(&str, u32)> {
    let (entity_id, digits) = chunk_id.rsplit_once(':')?;
    let index: u32 = digits.parse().ok()?;
    (!entity_id.is_empty() && index.to_string() == digits).then_some((entity_id, index))
}

/// Tokens in `text`, estimated as bytes / 4, rounded up.
#[must_use]
pub fn estimate_tokens(text: &str) -> usize {
    text.len().div_ceil(BYTES_PER_TOKEN)
}

/// Cuts `text`; nothing comes of a blank one.
#[must_use]
pub fn chunks(text_type: TextType, text: &str) -> Vec<Chunk<'_>> {
    let pieces = pieces(text, &blocks::blocks(text_type, text));
    let mut path = HeadingPath::new(text_type, text);
    let mut counter = CharCounter::new(text);
    let mut chunks: Vec<Chunk<'_>> = Vec::new();
    let mut first = 0;
    let mut start = 0;
    while first < pieces.len() {
        let next = first + pack(pieces.get(first..).unwrap_or_default(), start);
        let taken = pieces.get(first..next).unwrap_or_default();
        let end = taken.last().map_or(start, |piece| piece.bytes.end);
        path.walk(taken.first().into_iter());
        if let Some(bytes) = trimmed(text, start..end) {
            chunks.push(Chunk {
                index: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
                chunk_type: type_of(taken),
                heading: path.joined(),
                char_offset_start: counter.at(bytes.start),
                char_offset_end: counter.at(bytes.end),
                content: text.get(bytes).unwrap_or_default(),
            });
        }
        path.walk(taken.iter().skip(1));
        start = pieces
            .get(next)
            .map_or(end, |piece| overlap_start(text, start, taken, piece));
        first = next;
    }
    chunks
}

/// The smallest unit of packing: a block, or a part of a long one.
#[derive(Debug, Clone)]
struct Piece {
    kind: BlockKind,
    bytes: Range<usize>,
    /// It is the first piece of its block: a better place to cut than the others.
    opens: bool,
}

impl Piece {
    fn is_heading(&self) -> bool {
        matches!(self.kind, BlockKind::Heading(_))
    }
}

fn pieces(text: &str, blocks: &[Block]) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(blocks.len());
    for Block { kind, bytes } in blocks {
        let (whole, part) = match kind {
            BlockKind::Code => (MAX_CODE_BYTES, TARGET_BYTES),
            _ => (PIECE_BYTES, PIECE_BYTES),
        };
        let by_line = !matches!(kind, BlockKind::Text | BlockKind::Heading(_));
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let len = if rest.len() <= whole && rest.start == bytes.start || rest.len() <= part {
                rest.len()
            } else {
                cut(text.get(rest.clone()).unwrap_or_default(), part, by_line).clamp(1, rest.len())
            };
            // Only the first piece of a long heading heads anything.
            let kind = if rest.start > bytes.start && matches!(kind, BlockKind::Heading(_)) {
                BlockKind::Text
            } else {
                *kind
            };
            pieces.push(Piece {
                kind,
                bytes: rest.start..rest.start + len,
                opens: rest.start == bytes.start,
            });
            rest.start += len;
        }
    }
    pieces
}

/// How many of `pieces` the next chunk takes, when its text begins at byte `start`. At least one.
fn pack(pieces: &[Piece], start: usize) -> usize {
    let mut only_headings = true;
    for (at, piece) in pieces.iter().enumerate() {
        let Some(before) = at.checked_sub(1).and_then(|at| pieces.get(at)) else {
            only_headings = piece.is_heading();
            continue;
        };
        let held = before.bytes.end - start;
        let ends_section = piece.is_heading() && !before.is_heading() && held >= MIN_SECTION_BYTES;
        let ends_head = before.kind == BlockKind::FrontMatter && piece.kind != BlockKind::FrontMatter;
        if ends_section || ends_head {
            return at;
        }
        // A heading waits for its body, however long that is.
        if piece.bytes.end - start > TARGET_BYTES && !only_headings {
            return step_back(pieces, at, start);
        }
        only_headings &= piece.is_heading();
    }
    pieces.len()
}

/// Moves a cut forced before piece `at` back to a block's beginning, unless that halves the chunk, and off
/// trailing headings.
fn step_back(pieces: &[Piece], at: usize, start: usize) -> usize {
    let opens = |at: &usize| {
        pieces
            .get(*at)
            .is_some_and(|piece| piece.opens && piece.bytes.start - start >= TARGET_BYTES / 2)
    };
    let mut at = (1..=at).rev().find(opens).unwrap_or(at);
    while at > 1 && pieces.get(at - 1).is_some_and(Piece::is_heading) {
        at -= 1;
    }
    at
}

/// Where the text of the next chunk begins: at `next`, or up to [`OVERLAP_TOKENS`] earlier when both sides of
/// the cut are prose of one section.
fn overlap_start(text: &str, start: usize, taken: &[Piece], next: &Piece) -> usize {
    let end = next.bytes.start;
    let Some(prose) = taken
        .iter()
        .rev()
        .take_while(|piece| piece.kind == BlockKind::Text)
        .last()
    else {
        return end;
    };
    if next.kind != BlockKind::Text {
        return end;
    }
    // Never back to where the last chunk began, or two chunks could be the same.
    let floor = prose.bytes.start.max(start + 1).min(end);
    let from = text.ceil_char_boundary(end.saturating_sub(OVERLAP_BYTES).max(floor));
    if from == prose.bytes.start {
        return from;
    }
    from + overlap(text.get(from..end).unwrap_or_default())
}

/// The type that holds more than half of the bytes, else text.
fn type_of(pieces: &[Piece]) -> ChunkType {
    let all: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
    let share = |wanted| {
        pieces
            .iter()
            .filter(|piece| ChunkType::of(piece.kind) == wanted)
            .map(|piece| piece.bytes.len())
            .sum::<usize>()
    };
    [
        ChunkType::Code,
        ChunkType::Table,
        ChunkType::Data,
        ChunkType::Frontmatter,
    ]
    .into_iter()
    .find(|wanted| share(*wanted) * 2 > all)
    .unwrap_or(ChunkType::Text)
}

/// The headings above the piece at hand.
struct HeadingPath<'t> {
    text_type: TextType,
    text: &'t str,
    levels: Vec<(u8, &'t str)>,
}

impl<'t> HeadingPath<'t> {
    fn new(text_type: TextType, text: &'t str) -> Self {
        let header = if text_type == TextType::Csv {
            text.lines().next().unwrap_or_default().trim()
        } else {
            ""
        };
        Self {
            text_type,
            text,
            levels: if header.is_empty() {
                Vec::new()
            } else {
                vec![(0, header)]
            },
        }
    }

    fn walk<'p>(&mut self, pieces: impl Iterator<Item = &'p Piece>) {
        for piece in pieces {
            let BlockKind::Heading(level) = piece.kind else {
                continue;
            };
            let block = self.text.get(piece.bytes.clone()).unwrap_or_default();
            let heading = match self.text_type {
                TextType::Rst => rst::heading_text(block),
                _ => markdown::heading_text(block),
            };
            self.levels.retain(|(above, _)| *above < level);
            self.levels.push((level, heading));
        }
    }

    fn joined(&self) -> String {
        let mut path = self
            .levels
            .iter()
            .map(|(_, heading)| *heading)
            .collect::<Vec<_>>()
            .join(" › ");
        path.truncate(path.floor_char_boundary(MAX_PATH_BYTES));
        path
    }
}

#[cfg(test)]
mod tests;
