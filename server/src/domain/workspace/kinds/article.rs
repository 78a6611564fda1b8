//! An article of the knowledge base.

use serde::{Deserialize, Serialize};

use super::words::words;
use crate::{
    domain::{
        DomainError,
        workspace::{
            record::{Index, Kind, Link},
            state,
        },
    },
    vocabulary::Timestamp,
};

words! {
    /// Whether an article is read by others.
    ArticleStatus { Draft = "draft", Published = "published", Archived = "archived" }
}
words! {
    /// By whom an article is read.
    Visibility { Internal = "internal", Public = "public" }
}

/// An article.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Article {
    pub(crate) title: String,
    pub(crate) slug: String,
    pub(crate) body_markdown: String,
    pub(crate) collection: Option<String>,
    pub(crate) status: ArticleStatus,
    pub(crate) visibility: Visibility,
    /// From 1, one more with each save.
    pub(crate) revision: u32,
    /// A user's id.
    pub(crate) author: String,
    pub(crate) published_at: Option<Timestamp>,
    /// Where readers of an archived article go.
    pub(crate) redirect_to: Option<String>,
    /// Why this revision was made.
    pub(crate) change_note: Option<String>,
}

/// A part of an article with the heading above it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section<'a> {
    pub(crate) heading: &'a str,
    pub(crate) text: &'a str,
}

impl Article {
    /// Its parts between headings, in their order. Code between fences has no headings.
    pub(crate) fn sections(&self) -> Vec<Section<'_>> {
        let body = self.body_markdown.as_str();
        let mut sections = Vec::new();
        let (mut heading, mut start, mut at, mut fenced) = ("", 0, 0, false);
        for line in body.split_inclusive('\n') {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if !fenced && let Some(next) = heading_of(line) {
                let text = body.get(start..at).unwrap_or_default();
                if !heading.is_empty() || !text.trim().is_empty() {
                    sections.push(Section { heading, text });
                }
                (heading, start) = (next, at + line.len());
            }
            at += line.len();
        }
        let text = body.get(start..).unwrap_or_default();
        if !heading.is_empty() || !text.trim().is_empty() {
            sections.push(Section { heading, text });
        }
        sections
    }
}

/// The text of a Markdown heading.
fn heading_of(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    ((1..=6).contains(&level) && rest.starts_with([' ', '\t']))
        .then(|| rest.trim().trim_end_matches('#').trim())
}

impl Kind for Article {
    const NAME: &'static str = "article";
    const PREFIX: &'static str = "art";
    const READ: &'static str = "knowledge:read";
    const KEYS: &'static [&'static str] = &["slug", "title"];
    const BODIES: &'static [&'static str] = &["body_markdown"];
    const LINKS: &'static [(&'static str, Link)] =
        &[("author", Link::Person), ("redirect_to", Link::Record("article"))];
    const QUIET: &'static [&'static str] = &["revision", "published_at", "change_note"];

    fn title(&self) -> String {
        self.title.clone()
    }

    fn index(&self, index: &mut Index) {
        index.unique("slug", self.slug.as_str());
        index.text("title", &self.title);
        index.word("status", self.status.as_str());
        index.word("visibility", self.visibility.as_str());
        index.text("collection", self.collection.as_deref().unwrap_or_default());
        index.word("author", &self.author);
        // What the bot and the widget may quote.
        index.put(
            "quotable",
            self.status == ArticleStatus::Published && self.visibility == Visibility::Public,
        );
    }

    fn words(&self) -> Option<(String, String)> {
        // A word of a heading counts twice; one of the title, by the index itself, five times.
        let headings: Vec<&str> = self.sections().iter().map(|section| section.heading).collect();
        Some((
            self.title.clone(),
            format!("{} {}", self.body_markdown, headings.join(" ")),
        ))
    }

    fn settle(&mut self, before: Option<&Self>, now: Timestamp) -> Result<(), DomainError> {
        self.revision = before.map_or(1, |before| before.revision + 1);
        let from = before.map_or(ArticleStatus::Draft, |before| before.status);
        if from != self.status {
            state::ARTICLE.check("article", from, self.status)?;
            if self.status == ArticleStatus::Published {
                self.published_at = Some(now);
            }
        }
        Ok(())
    }

    fn events(before: Option<&Self>, after: &Self) -> Vec<&'static str> {
        let was = before.map(|before| before.status);
        if after.status == ArticleStatus::Published && was != Some(ArticleStatus::Published) {
            vec!["article.published"]
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_article_falls_apart_at_its_headings() {
        let article = Article {
            body_markdown: "Before.\n\n# One\nText.\n```\n# no heading\n```\n## Two ##\n#hash\n".to_owned(),
            ..Article::default()
        };
        let sections: Vec<_> = article.sections().iter().map(|s| (s.heading, s.text)).collect();
        assert_eq!(
            sections,
            [
                ("", "Before.\n\n"),
                ("One", "Text.\n```\n# no heading\n```\n"),
                ("Two", "#hash\n")
            ]
        );
        assert_eq!(Article::default().sections(), []);
    }
}
