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
}

impl Kind for Article {
    const NAME: &'static str = "article";
    const PREFIX: &'static str = "art";
    const READ: &'static str = "knowledge:read";
    const KEYS: &'static [&'static str] = &["slug", "title"];
    const BODIES: &'static [&'static str] = &["body_markdown"];
    const LINKS: &'static [(&'static str, Link)] =
        &[("author", Link::Person), ("redirect_to", Link::Record("article"))];
    const QUIET: &'static [&'static str] = &["revision", "published_at"];

    fn title(&self) -> String {
        self.title.clone()
    }

    fn index(&self, index: &mut Index) {
        index.unique("slug", self.slug.as_str());
        index.text("title", &self.title);
        index.word("status", self.status.as_str());
        index.word("visibility", self.visibility.as_str());
        index.word("collection", self.collection.as_deref().unwrap_or_default());
        index.word("author", &self.author);
        // What the bot and the widget may quote.
        index.put(
            "quotable",
            self.status == ArticleStatus::Published && self.visibility == Visibility::Public,
        );
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
