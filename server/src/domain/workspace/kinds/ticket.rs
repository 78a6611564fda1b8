//! A ticket: work for somebody who asked for it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::words;
use crate::{
    domain::{
        DomainError,
        workspace::{
            record::{Index, Kind, Link},
            sla::{Sla, timers::Timed},
            state,
        },
    },
    vocabulary::Timestamp,
};

words! {
    /// Where a ticket stands.
    TicketStatus { Open = "open", InProgress = "in_progress", Waiting = "waiting", Resolved = "resolved", Closed = "closed" }
}
words! {
    /// How soon it matters.
    Priority { Medium = "medium", Low = "low", High = "high", Urgent = "urgent" }
}

impl Priority {
    /// Larger is more urgent.
    pub(crate) fn rank(self) -> i64 {
        match self {
            Self::Low => 1,
            Self::Medium => 2,
            Self::High => 3,
            Self::Urgent => 4,
        }
    }
}

impl TicketStatus {
    /// Whether it is done.
    pub(crate) fn is_done(self) -> bool {
        matches!(self, Self::Resolved | Self::Closed)
    }
}

/// Times that a ticket was opened again that are remembered: more are no news.
const MOST_REOPENINGS: usize = 20;
/// How long after its end a ticket can be opened again, in milliseconds.
const REOPEN_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// A ticket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Ticket {
    /// Of the tenant, from 1.
    pub(crate) number: i64,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) status: TicketStatus,
    pub(crate) priority: Priority,
    /// A user's id.
    pub(crate) assignee: Option<String>,
    /// A contact's id.
    pub(crate) requester: Option<String>,
    pub(crate) account_id: Option<String>,
    pub(crate) conversation_id: Option<String>,
    /// The channel of that conversation, whose hours count.
    pub(crate) channel_id: Option<String>,
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) resolution: Option<String>,
    pub(crate) resolved_at: Option<Timestamp>,
    pub(crate) closed_at: Option<Timestamp>,
    /// When it was opened again, the last few times.
    pub(crate) reopened_at: Vec<Timestamp>,
    /// Where the two clocks of catalogue.md §3.6 stand.
    pub(crate) sla: Option<Value>,
    /// The clocks themselves.
    pub(crate) clocks: Option<Sla>,
}

impl Timed for Ticket {
    fn clocks(&self) -> Option<&Sla> {
        self.clocks.as_ref()
    }

    fn set_clocks(&mut self, sla: Sla) {
        self.sla = Some(sla.shown());
        self.clocks = Some(sla);
    }
}

impl Ticket {
    /// The worse of its two clocks, as lists are filtered by: `ok`, `due_soon` or `breached`.
    pub(crate) fn sla_word(&self) -> &'static str {
        let state = |clock: &str| {
            let sla = self.sla.as_ref();
            sla.and_then(|sla| sla.get(clock)?.get("state")?.as_str())
                .unwrap_or_default()
        };
        let states = [state("first_response"), state("resolution")];
        ["breached", "due_soon"]
            .into_iter()
            .find(|word| states.contains(word))
            .unwrap_or("ok")
    }
}

impl Kind for Ticket {
    const NAME: &'static str = "ticket";
    const PREFIX: &'static str = "tkt";
    const READ: &'static str = "tickets:read";
    const KEYS: &'static [&'static str] = &["number", "title"];
    const BODIES: &'static [&'static str] = &["description"];
    const LINKS: &'static [(&'static str, Link)] = &[
        ("assignee", Link::Person),
        ("requester", Link::Record("contact")),
        ("account_id", Link::Record("account")),
        ("conversation_id", Link::Record("conversation")),
        ("channel_id", Link::Record("channel")),
    ];
    const QUIET: &'static [&'static str] = &[
        "number",
        "channel_id",
        "resolved_at",
        "closed_at",
        "reopened_at",
        "sla",
        "clocks",
    ];
    const SECRETS: &'static [&'static str] = &["clocks"];
    const SORTS: &'static [(&'static str, &'static str)] = &[("priority", "priority_rank")];
    const APART: &'static [(&'static str, &'static str)] = &[("assignee", "due_at"), ("status", "due_at")];

    fn title(&self) -> String {
        self.title.clone()
    }

    fn label(&self) -> String {
        format!("ticket #{} \"{}\"", self.number, self.title)
    }

    fn index(&self, index: &mut Index) {
        index.unique("number", self.number);
        index.text("title", &self.title);
        index.word("status", self.status.as_str());
        index.word("priority", self.priority.as_str());
        index.put("priority_rank", self.priority.rank());
        index.word("assignee", self.assignee.as_deref().unwrap_or_default());
        index.word("requester", self.requester.as_deref().unwrap_or_default());
        index.word("account_id", self.account_id.as_deref().unwrap_or_default());
        index.word(
            "conversation_id",
            self.conversation_id.as_deref().unwrap_or_default(),
        );
        index.word("channel_id", self.channel_id.as_deref().unwrap_or_default());
        index.word("sla", self.sla_word());
        // Without a due date, last.
        index.put("due_at", self.due_at.unwrap_or(Timestamp(i64::MAX)));
        index.put("resolved_at", self.resolved_at.unwrap_or_default());
    }

    fn words(&self) -> Option<(String, String)> {
        let resolution = self.resolution.as_deref().unwrap_or_default();
        Some((
            format!("{} {}", self.number, self.title),
            format!("{} {resolution}", self.description),
        ))
    }

    fn settle(&mut self, before: Option<&Self>, now: Timestamp) -> Result<(), DomainError> {
        let from = before.map_or(TicketStatus::Open, |before| before.status);
        let to = self.status;
        if from == to {
            return Ok(());
        }
        let ended = before.and_then(|before| before.closed_at.or(before.resolved_at));
        if from.is_done()
            && !to.is_done()
            && ended.is_some_and(|at| now.as_millis() - at.as_millis() > REOPEN_MS)
        {
            return Err(DomainError::Rule(
                "a closed ticket can be reopened for 30 days; create a new one".to_owned(),
            ));
        }
        state::TICKET.check("ticket", from, to)?;
        if to.is_done() {
            self.resolved_at = self.resolved_at.or(Some(now));
            self.closed_at = (to == TicketStatus::Closed).then_some(now);
        } else {
            (self.resolved_at, self.closed_at) = (None, None);
            if from.is_done() {
                self.reopened_at.push(now);
                let spare = self.reopened_at.len().saturating_sub(MOST_REOPENINGS);
                self.reopened_at.drain(..spare);
            }
        }
        Ok(())
    }

    fn events(before: Option<&Self>, after: &Self) -> Vec<&'static str> {
        let mut events = Vec::new();
        let was = before.map(|before| before.status);
        match (was, after.status) {
            (None, _) => events.push("ticket.created"),
            (Some(was), TicketStatus::Closed) if was != TicketStatus::Closed => events.push("ticket.closed"),
            (Some(was), TicketStatus::Resolved) if was != TicketStatus::Resolved => {
                events.push("ticket.resolved");
            }
            (Some(was), now) if was.is_done() && !now.is_done() => events.push("ticket.reopened"),
            _ => {}
        }
        let assigned = before.and_then(|before| before.assignee.as_ref());
        if after.assignee.is_some() && after.assignee.as_ref() != assigned {
            events.push("ticket.assigned");
        }
        events
    }
}
