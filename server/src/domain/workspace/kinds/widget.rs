//! A chat window on somebody's site.

use serde::{Deserialize, Serialize};

use crate::domain::workspace::record::{Index, Kind, Link};

/// How it looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Theme {
    pub(crate) color: Option<String>,
    pub(crate) position: Option<String>,
}

/// A widget.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Widget {
    pub(crate) name: String,
    pub(crate) active: bool,
    pub(crate) channel_id: String,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) welcome_message: String,
    pub(crate) theme: Theme,
    pub(crate) ask_email: bool,
}

impl Kind for Widget {
    const NAME: &'static str = "widget";
    const PREFIX: &'static str = "wgt";
    const READ: &'static str = "admin:widgets";
    const KEYS: &'static [&'static str] = &["name"];
    const LINKS: &'static [(&'static str, Link)] = &[("channel_id", Link::Record("channel"))];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn index(&self, index: &mut Index) {
        index.unique_text("name", &self.name);
        index.put("active", self.active);
        index.word("channel_id", &self.channel_id);
    }
}
