//! A message of a conversation, or a note beside it.

use serde::{Deserialize, Serialize};

use super::words::words;
use crate::domain::workspace::record::{Index, Kind};

words! {
    /// Whether the other side sees it.
    MessageKind { Message = "message", Note = "note" }
}
words! {
    /// Which way a message goes.
    Direction { In = "in", Out = "out" }
}
words! {
    /// What wrote a message.
    AuthorType { Contact = "contact", Member = "member", Bot = "bot" }
}
words! {
    /// How far a message to the outside is.
    DeliveryStatus { Queued = "queued", Sent = "sent", Delivered = "delivered", Failed = "failed" }
}

/// Who wrote a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Author {
    #[serde(rename = "type")]
    pub(crate) kind: AuthorType,
    pub(crate) id: String,
    pub(crate) name: String,
}

/// What became of a message to the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Delivery {
    /// `webhook`, `smtp` or `none`.
    pub(crate) adapter: String,
    pub(crate) status: DeliveryStatus,
    pub(crate) attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// A message.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Message {
    pub(crate) conversation_id: String,
    pub(crate) kind: MessageKind,
    pub(crate) direction: Direction,
    pub(crate) author: Author,
    /// Markdown.
    pub(crate) body: String,
    pub(crate) article_ids: Vec<String>,
    pub(crate) delivery: Option<Delivery>,
}

impl Kind for Message {
    const NAME: &'static str = "message";
    const PREFIX: &'static str = "msg";
    const READ: &'static str = "conversations:read";
    const BODIES: &'static [&'static str] = &["body"];

    fn title(&self) -> String {
        self.author.name.clone()
    }

    fn index(&self, index: &mut Index) {
        index.word("conversation_id", &self.conversation_id);
    }

    fn words(&self) -> Option<(String, String)> {
        Some((String::new(), self.body.clone()))
    }
}
