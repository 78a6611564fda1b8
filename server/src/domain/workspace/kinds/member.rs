//! What the workspace knows of a user beyond their rights. Its id is the user's own.

use serde::{Deserialize, Serialize};

use super::words::words;
use crate::domain::workspace::record::{Index, Kind, Link};

words! {
    /// Whether somebody works here.
    MemberStatus { Active = "active", Invited = "invited", Deactivated = "deactivated" }
}

/// A member.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Member {
    pub(crate) email: String,
    pub(crate) name: String,
    /// `owner`, `admin` or `member`; the user's role wins.
    pub(crate) role: String,
    pub(crate) status: MemberStatus,
    pub(crate) channels: Vec<String>,
    pub(crate) out_of_office: bool,
    /// Open conversations and tickets.
    pub(crate) open_load: i64,
}

impl Kind for Member {
    const NAME: &'static str = "member";
    const PREFIX: &'static str = "usr";
    const READ: &'static str = "admin:members";
    const KEYS: &'static [&'static str] = &["email", "name"];
    const LINKS: &'static [(&'static str, Link)] = &[("channels", Link::Record("channel"))];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn index(&self, index: &mut Index) {
        index.unique_text("email", &self.email);
        index.text("name", &self.name);
        index.word("role", &self.role);
        index.word("status", self.status.as_str());
        for channel in &self.channels {
            index.word("channel", channel);
        }
    }
}
