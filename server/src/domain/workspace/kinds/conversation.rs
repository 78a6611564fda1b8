//! A conversation with somebody outside.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::words;
use crate::{
    domain::workspace::{
        record::{Index, Kind, Link},
        sla::{Sla, timers::Timed},
    },
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
    /// Where the two clocks of catalogue.md §3.6 stand.
    pub(crate) sla: Option<Value>,
    /// The clocks themselves.
    pub(crate) clocks: Option<Sla>,
    /// The lead that a sender became whom nobody knew.
    pub(crate) lead_id: Option<String>,
    /// Where the sender wrote from, and is answered.
    pub(crate) email: Option<String>,
    /// As they call themselves.
    pub(crate) name: Option<String>,
    /// The sender's id in the system that brought the message.
    pub(crate) external_id: Option<String>,
    pub(crate) last_message: Option<LastMessage>,
    /// Questions that the bot found no answer to, one after the other.
    pub(crate) bot_unanswered: u32,
    /// The channel whose people the bot left it to, where it is another one.
    pub(crate) handed_to: Option<String>,
    /// Whether the bot has left it to people.
    pub(crate) bot_silent: bool,
}

/// The last thing that was said, as lists show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LastMessage {
    pub(crate) author: String,
    pub(crate) snippet: String,
    pub(crate) at: Timestamp,
}

impl Timed for Conversation {
    fn clocks(&self) -> Option<&Sla> {
        self.clocks.as_ref()
    }

    fn set_clocks(&mut self, sla: Sla) {
        self.sla = Some(sla.shown());
        self.clocks = Some(sla);
    }
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
    const QUIET: &'static [&'static str] = &[
        "last_message_at",
        "last_message",
        "first_response_at",
        "resolved_at",
        "sla",
        "clocks",
        "bot_unanswered",
        "bot_silent",
        "handed_to",
    ];
    const SPOKEN_IN: &'static [(&'static str, &'static str)] = &[("message", "conversation_id")];
    const SECRETS: &'static [&'static str] = &["visitor", "clocks", "bot_unanswered", "bot_silent"];
    const APART: &'static [(&'static str, &'static str)] =
        &[("assignee", "last_message_at"), ("status", "last_message_at")];

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
        let said = [&self.name, &self.email].into_iter().flatten();
        Some((self.title(), said.cloned().collect::<Vec<_>>().join(" ")))
    }

    fn events(before: Option<&Self>, after: &Self) -> Vec<&'static str> {
        let mut events = Vec::new();
        if before.is_none() {
            events.push("conversation.created");
        }
        let had = before.and_then(|before| before.assignee.as_ref());
        if after.assignee.is_some() && after.assignee.as_ref() != had {
            events.push("conversation.assigned");
        }
        let was = before.map(|before| before.status);
        if after.status == ConversationStatus::Resolved && was != Some(ConversationStatus::Resolved) {
            events.push("conversation.resolved");
        }
        events
    }
}
