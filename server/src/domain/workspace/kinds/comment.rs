//! A comment on a ticket.

use serde::{Deserialize, Serialize};

use super::{
    message::{Author, Delivery},
    words::words,
};
use crate::domain::workspace::record::{Index, Kind};

words! {
    /// Who reads a comment.
    CommentVisibility { Internal = "internal", Public = "public" }
}

/// A comment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Comment {
    pub(crate) ticket_id: String,
    pub(crate) visibility: CommentVisibility,
    pub(crate) body: String,
    pub(crate) author: Author,
    pub(crate) delivery: Option<Delivery>,
}

impl Kind for Comment {
    const NAME: &'static str = "comment";
    const PREFIX: &'static str = "com";
    const READ: &'static str = "tickets:read";

    fn title(&self) -> String {
        self.author.name.clone()
    }

    fn index(&self, index: &mut Index) {
        index.word("ticket_id", &self.ticket_id);
    }
}
