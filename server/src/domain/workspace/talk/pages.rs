//! Conversations as pages for people show them. What a person does there goes through the tools.

use std::collections::HashMap;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

use super::door::Refused;
use crate::{
    domain::{
        DomainError,
        workspace::{
            Workspace,
            kinds::{
                channel::Channel,
                conversation::{Conversation, ConversationStatus},
                message::{AuthorType, Direction, Message, MessageKind},
                ticket::Ticket,
            },
            record::{self, Kind, Stored},
        },
    },
    store::{Condition, FieldValue, ReadTx, RecordCursor, RecordQuery},
    vocabulary::{TenantId, Timestamp, UserId},
};

/// Conversations on one page.
const ON_A_PAGE: u32 = 50;
/// Messages of one conversation that are shown.
const MOST_MESSAGES: u32 = 200;

/// Which conversations are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pile {
    /// All that are not resolved.
    #[default]
    Open,
    /// Of these, those of whoever looks.
    Mine,
    /// Of these, those that nobody has.
    Unassigned,
    /// Those that are done.
    Resolved,
}

/// One conversation in the list.
#[derive(Clone, Debug)]
pub struct InboxItem {
    /// Its id.
    pub id: String,
    /// Its subject, or else its last words.
    pub title: String,
    /// Who writes.
    pub with: String,
    /// `open`, `assigned`, `waiting` or `resolved`.
    pub status: &'static str,
    /// Whose it is.
    pub assignee: Option<String>,
    /// Whether something came in that nobody answered.
    pub unread: bool,
    /// The beginning of the last message.
    pub snippet: String,
    /// When that was.
    pub at: Timestamp,
    /// `ok`, `due_soon` or `breached`.
    pub sla: &'static str,
}

/// A page of the list.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// The conversations, newest activity first.
    pub items: Vec<InboxItem>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// One thing that was said.
#[derive(Clone, Debug)]
pub struct Said {
    /// `in`, `out` or `note`.
    pub way: &'static str,
    /// Who said it.
    pub author: String,
    /// Whether that was the bot.
    pub by_bot: bool,
    /// What.
    pub body: String,
    /// What it repeats of earlier messages.
    pub quoted: Option<String>,
    /// Names and sizes of what came with it.
    pub files: Vec<(String, u64)>,
    /// When.
    pub at: Timestamp,
    /// How far it is, and why not further.
    pub delivery: Option<(&'static str, Option<String>)>,
}

/// One conversation.
#[derive(Clone, Debug)]
pub struct ConversationPage {
    /// As the list shows it.
    pub item: InboxItem,
    /// The channel's name.
    pub channel: String,
    /// The sender's address.
    pub email: Option<String>,
    /// Number and title of its ticket.
    pub ticket: Option<(i64, String)>,
    /// What was said, the oldest first.
    pub messages: Vec<Said>,
    /// Whether older messages are not shown.
    pub more: bool,
}

#[derive(Serialize, Deserialize)]
struct Cursor(RecordCursor);

impl Workspace {
    /// A page of conversations.
    ///
    /// # Errors
    /// When the cursor is none of ours, or the store fails.
    pub async fn inbox(
        &self,
        tenant: &TenantId,
        me: &UserId,
        pile: Pile,
        cursor: &str,
    ) -> Result<Inbox, Refused> {
        let binding = format!("inbox {tenant} {me} {pile:?}");
        let after = match cursor {
            "" => None,
            sealed => {
                let opened = self.desk().seal.open_text::<Cursor>(&binding, sealed);
                let cursor = opened.map_err(|_| {
                    Refused::Invalid("This page of the list is not there any more.".to_owned())
                })?;
                Some(cursor.0)
            }
        };
        let query = RecordQuery {
            conditions: conditions(pile, me),
            sort: "last_message_at".to_owned(),
            after,
            limit: ON_A_PAGE,
            ..RecordQuery::default()
        };
        let (items, next) = self
            .store()
            .read(tenant, move |tx| {
                async move {
                    let names = names(&mut tx.reading()).await?;
                    let page = tx.records(Conversation::NAME).list(&query).await?;
                    let mut items = Vec::new();
                    for row in &page.records {
                        items.push(item(&Stored::of(row)?, &names));
                    }
                    Ok::<_, DomainError>((items, page.next))
                }
                .boxed()
            })
            .await?;
        let next = next
            .map(|next| self.desk().seal.seal_text(&binding, &Cursor(next)))
            .transpose();
        Ok(Inbox {
            items,
            next: next.map_err(|error| Refused::Internal(error.to_string()))?,
        })
    }

    /// One conversation. `None`: there is none of that id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn conversation(
        &self,
        tenant: &TenantId,
        id: &str,
    ) -> Result<Option<ConversationPage>, Refused> {
        let id = id.to_owned();
        let page = self
            .store()
            .read(tenant, move |tx| {
                async move { page(&mut tx.reading(), &id).await }.boxed()
            })
            .await?;
        Ok(page)
    }
}

fn conditions(pile: Pile, me: &UserId) -> Vec<Condition> {
    let of = |states: &[ConversationStatus]| {
        let words: Vec<FieldValue> = states.iter().map(|state| state.as_str().into()).collect();
        Condition::OneOf("status".to_owned(), words)
    };
    let open = of(&[
        ConversationStatus::Open,
        ConversationStatus::Assigned,
        ConversationStatus::Waiting,
    ]);
    match pile {
        Pile::Open => vec![open],
        Pile::Mine => vec![Condition::is("assignee", me.as_str()), open],
        Pile::Unassigned => vec![Condition::is("assignee", ""), open],
        Pile::Resolved => vec![of(&[ConversationStatus::Resolved])],
    }
}

/// What people of the tenant are called.
async fn names(tx: &mut ReadTx<'_>) -> Result<HashMap<String, String>, DomainError> {
    let users = tx.users().list().await?;
    let named = users.into_iter().map(|user| {
        let name = if user.name.is_empty() {
            user.email
        } else {
            user.name
        };
        (user.id.to_string(), name)
    });
    Ok(named.collect())
}

fn item(found: &Stored<Conversation>, names: &HashMap<String, String>) -> InboxItem {
    let fields = found.fields();
    let last = fields.last_message.clone().unwrap_or_default();
    let with = fields.name.clone().or_else(|| fields.email.clone());
    let title = fields.subject.clone().filter(|subject| !subject.is_empty());
    let assignee = fields.assignee.as_ref();
    InboxItem {
        id: found.id.clone(),
        title: title.unwrap_or_else(|| "No subject".to_owned()),
        with: with.unwrap_or_else(|| "Visitor".to_owned()),
        status: fields.status.as_str(),
        assignee: assignee.map(|id| {
            names
                .get(id)
                .cloned()
                .unwrap_or_else(|| "somebody who left".to_owned())
        }),
        unread: fields.unread,
        snippet: last.snippet,
        at: fields.last_message_at.unwrap_or(found.created_at),
        sla: fields
            .clocks
            .as_ref()
            .map_or("ok", crate::domain::workspace::sla::Sla::standing),
    }
}

async fn page(tx: &mut ReadTx<'_>, id: &str) -> Result<Option<ConversationPage>, DomainError> {
    let Some(found) = record::find::<Conversation>(tx, id).await? else {
        return Ok(None);
    };
    let names = names(tx).await?;
    let channel = record::find::<Channel>(tx, &found.fields().channel_id).await?;
    let ticket = match &found.fields().ticket_id {
        Some(id) => record::find::<Ticket>(tx, id).await?,
        None => None,
    };
    let query = RecordQuery {
        sort: Message::of_conversation(id),
        limit: MOST_MESSAGES,
        ..RecordQuery::default()
    };
    let rows = tx.records(Message::NAME).list(&query).await?;
    let mut messages = Vec::new();
    for row in &rows.records {
        messages.push(said(Stored::of(row)?.doc.fields));
    }
    messages.reverse();
    Ok(Some(ConversationPage {
        item: item(&found, &names),
        channel: channel.map_or_else(String::new, |channel| channel.doc.fields.name),
        email: found.fields().email.clone(),
        ticket: ticket.map(|ticket| (ticket.fields().number, ticket.fields().title.clone())),
        messages,
        more: rows.next.is_some(),
    }))
}

fn said(message: Message) -> Said {
    Said {
        way: match (message.kind, message.direction) {
            (MessageKind::Note, _) => "note",
            (MessageKind::Message, Direction::In) => "in",
            (MessageKind::Message, Direction::Out) => "out",
        },
        by_bot: message.author.kind == AuthorType::Bot,
        author: message.author.name,
        body: message.body,
        quoted: message.quoted,
        files: message
            .attachments
            .into_iter()
            .map(|file| (file.name, file.bytes))
            .collect(),
        at: message.at,
        delivery: message
            .delivery
            .map(|delivery| (delivery.status.as_str(), delivery.error)),
    }
}
