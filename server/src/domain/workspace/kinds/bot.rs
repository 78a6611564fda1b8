//! The bot that answers first.

use serde::{Deserialize, Serialize};

use crate::domain::workspace::record::{Index, Kind, Link};

/// Words that make the bot do something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Directive {
    pub(crate) when: String,
    #[serde(rename = "do")]
    pub(crate) action: String,
}

/// When the bot gives up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Handoff {
    pub(crate) after_unanswered: u32,
    pub(crate) keywords: Vec<String>,
    pub(crate) to_channel: Option<String>,
}

impl Default for Handoff {
    fn default() -> Self {
        Self {
            after_unanswered: 2,
            keywords: Vec::new(),
            to_channel: None,
        }
    }
}

/// A bot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Bot {
    pub(crate) name: String,
    pub(crate) enabled: bool,
    pub(crate) persona: String,
    pub(crate) tone: String,
    pub(crate) directives: Vec<Directive>,
    pub(crate) handoff: Handoff,
    /// 0..=1: how sure an answer must be.
    pub(crate) answer_threshold: f64,
    pub(crate) channels: Vec<String>,
}

impl Kind for Bot {
    const NAME: &'static str = "bot";
    const PREFIX: &'static str = "bot";
    const READ: &'static str = "admin:bots";
    const KEYS: &'static [&'static str] = &["name"];
    const LINKS: &'static [(&'static str, Link)] = &[("channels", Link::Record("channel"))];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn index(&self, index: &mut Index) {
        index.unique_text("name", &self.name);
        index.put("enabled", self.enabled);
        for channel in &self.channels {
            index.word("channel", channel);
        }
    }
}
