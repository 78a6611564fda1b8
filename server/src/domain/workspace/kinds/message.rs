//! A message of a conversation, or a note beside it.

use serde::{Deserialize, Serialize};

use super::words::words;
use crate::{
    domain::workspace::{
        record::{Index, Kind, Stored},
        talk::inbound::mail_key,
    },
    store::{RecordCursor, StoreError},
    vocabulary::Timestamp,
};

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
    /// How a body is written.
    Format { Markdown = "markdown", Text = "text" }
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
    pub(crate) format: Format,
    /// The channel that it came in or goes out by; none for a note.
    pub(crate) channel_id: String,
    /// When it was written.
    pub(crate) at: Timestamp,
    /// Its number in the conversation: what is said and answered in one transaction has one moment.
    pub(crate) number: i64,
    /// Its own id where it came from or goes to: of a mail, the one that answers name.
    pub(crate) mail_id: Option<String>,
    /// What it repeats of earlier messages.
    pub(crate) quoted: Option<String>,
    /// Files that came with it: named, not stored.
    pub(crate) attachments: Vec<Enclosure>,
    /// Whether more came than is kept.
    pub(crate) cut: bool,
    /// Users whom a note is for.
    pub(crate) mentions: Vec<String>,
}

/// Messages of one conversation that can be told apart within a millisecond.
const IN_A_MOMENT: i64 = 1_000;

/// A file that came with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Enclosure {
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) bytes: u64,
}

impl Message {
    /// The index that has the messages of one conversation alone, by their time.
    pub(crate) fn of_conversation(id: &str) -> String {
        format!("of {id}")
    }

    /// Where it stands among the messages of its conversation: by its moment, and within one by its number.
    fn place(&self) -> i64 {
        let within = self.number.rem_euclid(IN_A_MOMENT);
        self.at
            .as_millis()
            .saturating_mul(IN_A_MOMENT)
            .saturating_add(within)
    }

    /// Where a page of a conversation's messages that ends with this one ends.
    ///
    /// # Errors
    /// When its time has no place in an index, which is our fault.
    pub(crate) fn cursor(message: &Stored<Self>) -> Result<RecordCursor, StoreError> {
        RecordCursor::of(&message.fields().place().into(), message.created_at, &message.id)
    }
}

impl Kind for Message {
    const NAME: &'static str = "message";
    const PREFIX: &'static str = "msg";
    const READ: &'static str = "conversations:read";
    const BODIES: &'static [&'static str] = &["body", "quoted"];
    const QUIET: &'static [&'static str] = &["conversation_id", "channel_id", "at", "number", "direction"];

    fn title(&self) -> String {
        self.author.name.clone()
    }

    fn index(&self, index: &mut Index) {
        index.word("conversation_id", &self.conversation_id);
        index.put(&Self::of_conversation(&self.conversation_id), self.place());
        if let Some(id) = &self.mail_id {
            index.word("mail_id", &mail_key(&self.channel_id, id));
        }
    }

    fn words(&self) -> Option<(String, String)> {
        Some((String::new(), self.body.clone()))
    }

    fn events(before: Option<&Self>, after: &Self) -> Vec<&'static str> {
        let came_in = after.kind == MessageKind::Message && after.direction == Direction::In;
        if before.is_none() && came_in {
            vec!["message.received"]
        } else {
            Vec::new()
        }
    }
}
