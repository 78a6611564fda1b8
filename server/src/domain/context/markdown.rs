//! Markdown as notes use it: a text in, its blocks, headings, wikilinks and inline tags out.
//!
//! Not a CommonMark parser. Search needs to know where a section begins, what is code and what is linked;
//! emphasis and lists are words like others.

use super::blocks::{Block, BlockKind, Builder};
use super::frontmatter::push_tag;

/// Links kept per document.
const MAX_LINKS: usize = 100;

/// Adds the blocks of `body`, a Markdown text after its front matter.
pub(super) fn push_blocks(body: &str, builder: &mut Builder) {
    let mut fence: Option<Fence<'_>> = None;
    // Blank lines belong to the block before them; what follows one opens a new block.
    let mut after_blank = true;
    let mut paragraph_lines = 0;
    for line in body.split_inclusive('\n') {
        let content = line.trim_end();
        if let Some(open) = &fence {
            builder.extend(line.len());
            if open.is_closed_by(content) {
                fence = None;
                after_blank = true;
            }
            continue;
        }
        if content.is_empty() {
            builder.extend(line.len());
            after_blank = true;
            continue;
        }
        let last = builder.last().map(|block| block.kind);
        if let Some(open) = Fence::opened_by(content) {
            builder.push(BlockKind::Code, line.len());
            fence = Some(open);
        } else if let Some(level) = heading_level(content) {
            builder.push(BlockKind::Heading(level), line.len());
            after_blank = true;
            continue;
        } else if paragraph_lines == 1
            && !after_blank
            && last == Some(BlockKind::Text)
            && let Some(level) = underline_level(content)
        {
            builder.extend(line.len());
            builder.make_heading(level);
            after_blank = true;
            continue;
        } else {
            let kind = if content.trim_start().starts_with('|') {
                BlockKind::Table
            } else {
                BlockKind::Text
            };
            if after_blank || last != Some(kind) {
                builder.push(kind, line.len());
                paragraph_lines = 1;
            } else {
                builder.extend(line.len());
                paragraph_lines += 1;
            }
        }
        after_blank = false;
    }
}

/// An open code fence.
struct Fence<'t> {
    marker: &'t str,
}

impl<'t> Fence<'t> {
    /// Three or more backticks or tildes open one; a backtick fence has no backtick in its info string,
    /// else it is inline code.
    fn opened_by(line: &'t str) -> Option<Self> {
        let text = line.trim_start();
        let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let info = text.trim_start_matches(mark);
        let marker = text.get(..text.len() - info.len())?;
        (marker.len() >= 3 && !(mark == '`' && info.contains('`'))).then_some(Self { marker })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let text = line.trim_start();
        text.strip_prefix(self.marker).is_some_and(|rest| {
            self.marker
                .chars()
                .next()
                .is_some_and(|mark| rest.trim_start_matches(mark).is_empty())
        })
    }
}

fn heading_level(line: &str) -> Option<u8> {
    // Up to three blanks of indentation; more would be code.
    let text = line.trim_start_matches(' ');
    let rest = text.trim_start_matches('#');
    let level = text.len() - rest.len();
    let spaced = rest.is_empty() || rest.starts_with([' ', '\t']);
    (line.len() - text.len() <= 3 && (1..=6).contains(&level) && spaced)
        .then(|| u8::try_from(level).ok())
        .flatten()
}

fn underline_level(line: &str) -> Option<u8> {
    let all = |mark: char| line.len() >= 2 && line.chars().all(|c| c == mark);
    if all('=') { Some(1) } else { all('-').then_some(2) }
}

/// The text of a heading block, without its marks or underline.
#[must_use]
pub fn heading_text(block: &str) -> &str {
    let line = block.lines().next().unwrap_or_default().trim();
    let text = line.trim_start_matches('#');
    let closed = text.trim_end_matches('#');
    // `# C#` keeps its sign: closing marks stand after a blank.
    if closed.ends_with([' ', '\t']) || closed.is_empty() {
        closed.trim()
    } else {
        text.trim()
    }
}

/// What the body of a vault's note refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Targets of `[[wikilinks]]` and `![[embeds]]`, without heading or alias, in order, each once.
    pub links: Vec<String>,
    /// Inline `#tags`, without `#`, in order, each once.
    pub tags: Vec<String>,
}

/// Finds wikilinks and inline tags in `text`, leaving code and front matter out.
#[must_use]
pub fn references(text: &str, blocks: &[Block]) -> References {
    let mut found = References::default();
    for block in blocks {
        if !matches!(block.kind, BlockKind::Code | BlockKind::FrontMatter) {
            let body = text.get(block.bytes.clone()).unwrap_or_default();
            body.lines().for_each(|line| read_line(line, &mut found));
        }
    }
    found
}

fn read_line(line: &str, found: &mut References) {
    let mut rest = line;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let after = if c == '`' {
            skip_code(rest)
        } else if let Some((target, after)) = wikilink(rest) {
            if found.links.len() < MAX_LINKS
                && !target.is_empty()
                && !found.links.iter().any(|link| link == target)
            {
                found.links.push(target.to_owned());
            }
            after
        } else if c == '#' && (before.is_whitespace() || matches!(before, '(' | ',')) {
            let (tag, after) = inline_tag(rest);
            push_tag(&mut found.tags, tag);
            after
        } else {
            rest.get(c.len_utf8()..).unwrap_or_default()
        };
        before = rest
            .get(..rest.len() - after.len())
            .and_then(|taken| taken.chars().next_back())
            .unwrap_or(' ');
        rest = after;
    }
}

/// Skips a code span, or only its backticks when nothing closes it.
fn skip_code(text: &str) -> &str {
    let inner = text.trim_start_matches('`');
    let marks = text.get(..text.len() - inner.len()).unwrap_or_default();
    inner
        .find(marks)
        .and_then(|at| inner.get(at + marks.len()..))
        .unwrap_or(inner)
}

fn wikilink(text: &str) -> Option<(&str, &str)> {
    let (inner, after) = text.strip_prefix("[[")?.split_once("]]")?;
    let target = inner
        .split(['|', '#', '^'])
        .next()
        .unwrap_or_default()
        .trim_end_matches('\\')
        .trim();
    (!inner.contains("[[")).then_some((target, after))
}

/// The tag at the head of `text`, which starts with `#`: empty when it is none, for it needs a character
/// that is no digit, or `#1` would be one.
fn inline_tag(text: &str) -> (&str, &str) {
    let rest = text.strip_prefix('#').unwrap_or(text);
    let end = rest
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '/')))
        .unwrap_or(rest.len());
    let (tag, after) = rest.split_at(end);
    let is_tag = tag.chars().any(|c| !c.is_ascii_digit()) && !after.starts_with('#');
    (if is_tag { tag } else { "" }, after)
}

#[cfg(test)]
mod tests {
    use super::super::blocks::{TextType, blocks};
    use super::*;

    fn kinds(text: &str) -> Vec<(BlockKind, &str)> {
        blocks(TextType::Markdown, text)
            .into_iter()
            .map(|block| (block.kind, &text[block.bytes]))
            .collect()
    }

    fn refs(text: &str) -> References {
        references(text, &blocks(TextType::Markdown, text))
    }

    #[test]
    fn a_note_falls_into_blocks() {
        use BlockKind::{Code, FrontMatter, Heading, Table, Text};
        let text = "---\na: 1\n---\n# One\ntext\nmore\n\n```rust\n# no heading\n\n```\n| a |\n|---|\nafter\n\nTwo\n---\n### Three ###\n";
        assert_eq!(
            kinds(text),
            [
                (FrontMatter, "---\na: 1\n---\n"),
                (Heading(1), "# One\n"),
                (Text, "text\nmore\n\n"),
                (Code, "```rust\n# no heading\n\n```\n"),
                (Table, "| a |\n|---|\n"),
                (Text, "after\n\n"),
                (Heading(2), "Two\n---\n"),
                (Heading(3), "### Three ###\n"),
            ]
        );
    }

    #[test]
    fn fences_close_with_their_own_mark() {
        for text in [
            "````\n```\n# x\n````\n",
            "~~~\n```\n# x\n~~~~\n",
            "  ```\n# x\n  ```\n",
            "```\n# x\nnever closed",
        ] {
            assert_eq!(kinds(text), [(BlockKind::Code, text)], "{text}");
        }
        assert_eq!(
            kinds("```a``` b\n# x")[0].0,
            BlockKind::Text,
            "inline code is no fence"
        );
    }

    #[test]
    fn what_is_and_is_not_a_heading() {
        for (line, level) in [
            ("# a", Some(1)),
            ("###### a", Some(6)),
            ("####### a", None),
            ("#a", None),
            ("   ## a", Some(2)),
            ("    # a", None),
            ("#", Some(1)),
        ] {
            assert_eq!(heading_level(line), level, "{line}");
        }
        assert_eq!(
            kinds("a\nb\n---\n").len(),
            1,
            "a rule under two lines is no heading"
        );
        assert_eq!(kinds("a\n\n---\n")[0].0, BlockKind::Text);
    }

    #[test]
    fn heading_texts() {
        for (block, text) in [
            ("# One\n", "One"),
            ("## Two ##\n", "Two"),
            ("# C#\n", "C#"),
            ("Three\n===\n", "Three"),
            ("#\n", ""),
            ("# #tag\n", "#tag"),
        ] {
            assert_eq!(heading_text(block), text, "{block}");
        }
    }

    #[test]
    fn links_and_tags_outside_code() {
        let text = "---\nx: '[[No]] #no'\n---\n# About #topic\nSee [[Home]], [[Home|again]], ![[pic.png]] and [[A b#Part|c]].\n\
                    `[[no]] #no` ``a ` #no`` #area/ops, (#in-brackets) a#no #12 #1st #über\n```\n#no [[no]]\n```\n- #Topic\n[[ [[x]]\n";
        let found = refs(text);
        assert_eq!(found.links, ["Home", "pic.png", "A b", "x"]);
        assert_eq!(found.tags, ["topic", "area/ops", "in-brackets", "1st", "über"]);
    }

    #[test]
    fn references_are_bounded() {
        let text: String = (0..1000).map(|n| format!("[[n{n}]] #t{n}\n")).collect();
        let found = refs(&text);
        assert_eq!(
            (found.links.len(), found.tags.len()),
            (MAX_LINKS, super::super::frontmatter::MAX_TAGS)
        );
    }
}
