//! What a scanned text says about itself: title, tags and metadata, by connector and type.

use serde_json::{Map, Value};

use super::blocks::{BlockKind, TextType, blocks};
use super::scan::Connector;
use super::{frontmatter, markdown, rst};

/// Longest title kept, in bytes.
const MAX_TITLE_BYTES: usize = 200;

/// The description of one entity, next to its chunks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// Front matter, else the first top-level heading, else the first heading, else the file's name.
    pub title: String,
    /// Front matter tags, then inline ones.
    pub tags: Vec<String>,
    /// The other keys of the front matter; in a vault also `links`, the targets of wikilinks.
    pub metadata: Map<String, Value>,
}

/// Reads the description of the file `path` with content `text`.
///
/// Inline `#tags` and `[[wikilinks]]` are read in vaults alone: elsewhere `#include` and `[[x]]` are code or prose.
#[must_use]
pub fn describe(connector: Connector, path: &str, text_type: TextType, text: &str) -> Document {
    let mut document = Document::default();
    let blocks = match text_type {
        TextType::Markdown | TextType::Rst => blocks(text_type, text),
        TextType::Plain | TextType::Csv | TextType::Json | TextType::Yaml => Vec::new(),
    };
    if text_type == TextType::Markdown {
        if let Some(front) = frontmatter::read(text) {
            document.title = front.title.unwrap_or_default();
            document.tags = front.tags;
            document.metadata = front.metadata;
        }
        if connector == Connector::Obsidian {
            let found = markdown::references(text, &blocks);
            found
                .tags
                .iter()
                .for_each(|tag| frontmatter::push_tag(&mut document.tags, tag));
            if !found.links.is_empty() {
                document.metadata.insert("links".to_owned(), found.links.into());
            }
        }
    }
    if document.title.is_empty() {
        let headings = || {
            blocks.iter().filter_map(|block| {
                let BlockKind::Heading(level) = block.kind else {
                    return None;
                };
                let block = text.get(block.bytes.clone())?;
                let heading = if text_type == TextType::Rst {
                    rst::heading_text(block)
                } else {
                    markdown::heading_text(block)
                };
                (!heading.is_empty()).then_some((level, heading))
            })
        };
        let heading = headings()
            .find(|(level, _)| *level == 1)
            .or_else(|| headings().next());
        document.title = heading
            .map_or_else(|| stem(path), |(_, heading)| heading)
            .to_owned();
    }
    document
        .title
        .truncate(document.title.floor_char_boundary(MAX_TITLE_BYTES));
    document
}

/// The file's name without folders and extension.
fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn title(path: &str, text: &str) -> String {
        describe(
            Connector::LocalFiles,
            path,
            TextType::of_path(path).unwrap(),
            text,
        )
        .title
    }

    #[test]
    fn titles_from_the_best_source() {
        assert_eq!(title("a/b.md", "---\ntitle: Front\n---\n# Head\n"), "Front");
        assert_eq!(title("a/b.md", "## Low\n\n# Head\n"), "Head");
        assert_eq!(title("a/b.md", "text\n\n## Low\n"), "Low");
        assert_eq!(title("a/b.c.md", "#\ntext"), "b.c");
        assert_eq!(title("a/b.rst", "Title\n=====\n"), "Title");
        assert_eq!(title("a/list.csv", "# id,name\n"), "list");
        let long = format!("# {}\n", "é".repeat(200));
        assert_eq!(title("x.md", &long).len(), MAX_TITLE_BYTES);
    }

    #[test]
    fn links_and_inline_tags_in_vaults_only() {
        let text = "---\ntags: [a]\nstatus: open\n---\nSee [[Home]] #b #A\n";
        let vault = describe(Connector::Obsidian, "n.md", TextType::Markdown, text);
        assert_eq!(vault.tags, ["a", "b"]);
        assert_eq!(
            Value::Object(vault.metadata),
            json!({ "status": "open", "links": ["Home"] })
        );
        let files = describe(Connector::LocalFiles, "n.md", TextType::Markdown, text);
        assert_eq!(files.tags, ["a"]);
        assert_eq!(Value::Object(files.metadata), json!({ "status": "open" }));
    }
}
