//! A conversation with somebody outside.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::words;
use crate::{
    domain::workspace::record::{Index, Kind, Link},
    vocabulary::Timestamp,
};

words! {
    /// Where a conversation stands.
    ConversationStatus { Open = "open", Assigned = "assigned", Waiting = "waiting", Resolved = "resolved" }
}

/// A conversation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Conversation {
    pub(crate) channel_id: String,
    pub(crate) contact_id: Option<String>,
    /// Whoever writes through the widget without being known.
    pub(crate) visitor: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) status: ConversationStatus,
    /// A user's id.
    pub(crate) assignee: Option<String>,
    pub(crate) unread: bool,
    pub(crate) first_response_at: Option<Timestamp>,
    pub(crate) resolved_at: Option<Timestamp>,
    pub(crate) last_message_at: Option<Timestamp>,
    pub(crate) ticket_id: Option<String>,
    pub(crate) bot_handled: bool,
    /// The two clocks of catalogue.md §3.6.
    pub(crate) sla: Option<Value>,
}

impl Kind for Conversation {
    const NAME: &'static str = "conversation";
    const PREFIX: &'static str = "cnv";
    const READ: &'static str = "conversations:read";
    const LINKS: &'static [(&'static str, Link)] = &[
        ("channel_id", Link::Record("channel")),
        ("contact_id", Link::Record("contact")),
        ("ticket_id", Link::Record("ticket")),
        ("assignee", Link::Person),
    ];
    const QUIET: &'static [&'static str] = &["last_message_at", "first_response_at", "resolved_at", "sla"];

    fn title(&self) -> String {
        self.subject.clone().unwrap_or_default()
    }

    fn index(&self, index: &mut Index) {
        index.word("channel_id", &self.channel_id);
        index.word("contact_id", self.contact_id.as_deref().unwrap_or_default());
        index.word("visitor", self.visitor.as_deref().unwrap_or_default());
        index.word("status", self.status.as_str());
        index.word("assignee", self.assignee.as_deref().unwrap_or_default());
        index.word("ticket_id", self.ticket_id.as_deref().unwrap_or_default());
        index.put("unread", self.unread);
        index.put("resolved_at", self.resolved_at.unwrap_or_default());
        index.put("last_message_at", self.last_message_at.unwrap_or_default());
    }

    fn words(&self) -> Option<(String, String)> {
        Some((self.title(), String::new()))
    }
}
