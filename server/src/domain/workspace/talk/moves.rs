//! How a conversation moves (catalogue.md §3.3), its clocks with it. Documents come in and go out changed; the store is
//! asked for rules alone.

use crate::{
    domain::workspace::{
        kinds::{
            conversation::{Conversation, ConversationStatus, LastMessage},
            message::{AuthorType, Direction, Message, MessageKind},
        },
        sla::{rules::Rules, timers::Timed},
    },
    vocabulary::Timestamp,
};

/// Longest beginning of a message that lists show, in characters.
const SNIPPET: usize = 160;

/// Somebody outside wrote. `assignee_works`: whether the one whose conversation it is, is still there.
pub(crate) fn came_in(conversation: &mut Conversation, rules: &Rules, assignee_works: bool, now: Timestamp) {
    let was = conversation.status;
    conversation.unread = true;
    if matches!(was, ConversationStatus::Waiting | ConversationStatus::Resolved) {
        if assignee_works {
            conversation.status = ConversationStatus::Assigned;
        } else {
            conversation.status = ConversationStatus::Open;
            conversation.assignee = None;
        }
        conversation.resolved_at = None;
    }
    let Some(mut sla) = conversation.clocks().cloned() else {
        return;
    };
    match was {
        ConversationStatus::Resolved => sla.reopened(now, &rules.calendar),
        ConversationStatus::Waiting => sla.goes_on(now, &rules.calendar),
        _ => {}
    }
    conversation.set_clocks(sla);
}

/// What is done with a conversation once a reply is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Then {
    /// It waits for the other side.
    #[default]
    Waiting,
    /// It is done.
    Resolve,
    /// It stays as it is.
    Keep,
}

/// We answered.
pub(crate) fn answered(conversation: &mut Conversation, rules: &Rules, then: Then, now: Timestamp) {
    conversation.unread = false;
    conversation.first_response_at = conversation.first_response_at.or(Some(now));
    if let Some(mut sla) = conversation.clocks().cloned() {
        sla.answered(now, &rules.calendar);
        if then == Then::Waiting {
            sla.waits(now, &rules.calendar);
        }
        conversation.set_clocks(sla);
    }
    match then {
        Then::Waiting => {
            if conversation.status == ConversationStatus::Resolved {
                reopen_clock(conversation, rules, now);
                conversation.resolved_at = None;
            }
            conversation.status = ConversationStatus::Waiting;
        }
        Then::Resolve => resolve(conversation, rules, now),
        Then::Keep => {}
    }
}

fn reopen_clock(conversation: &mut Conversation, rules: &Rules, now: Timestamp) {
    if let Some(mut sla) = conversation.clocks().cloned() {
        sla.reopened(now, &rules.calendar);
        sla.waits(now, &rules.calendar);
        conversation.set_clocks(sla);
    }
}

/// It is done.
pub(crate) fn resolve(conversation: &mut Conversation, rules: &Rules, now: Timestamp) {
    conversation.status = ConversationStatus::Resolved;
    conversation.resolved_at = Some(now);
    conversation.unread = false;
    if let Some(mut sla) = conversation.clocks().cloned() {
        sla.resolved(now, &rules.calendar);
        conversation.set_clocks(sla);
    }
}

/// Somebody has it, or nobody.
pub(crate) fn assign(conversation: &mut Conversation, assignee: Option<String>) {
    conversation.status = match (conversation.status, &assignee) {
        (ConversationStatus::Open, Some(_)) => ConversationStatus::Assigned,
        (ConversationStatus::Assigned, None) => ConversationStatus::Open,
        (status, _) => status,
    };
    conversation.assignee = assignee;
}

/// What lists show of a message.
pub(crate) fn note_message(conversation: &mut Conversation, message: &Message, now: Timestamp) {
    if message.kind == MessageKind::Note {
        return;
    }
    conversation.last_message_at = Some(now);
    let line = message.body.split_whitespace().collect::<Vec<_>>().join(" ");
    let author = &message.author;
    conversation.last_message = Some(LastMessage {
        author: if author.name.is_empty() {
            author.kind.as_str().to_owned()
        } else {
            author.name.clone()
        },
        snippet: line.chars().take(SNIPPET).collect(),
        at: now,
    });
    conversation.bot_handled = match (message.direction, author.kind) {
        (Direction::Out, AuthorType::Bot) => {
            conversation.first_response_at.is_none() || conversation.bot_handled
        }
        (Direction::Out, _) => false,
        (Direction::In, _) => conversation.bot_handled,
    };
}
