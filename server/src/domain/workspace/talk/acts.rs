//! What people do with conversations after their yes, and flows by themselves.

use serde::{Deserialize, Serialize};

use super::{
    assign as by_rule,
    moves::{self, Then},
    outbound, tickets,
};
use crate::{
    domain::{
        DomainError,
        workspace::{
            kinds::{
                channel::Channel,
                conversation::{Conversation, ConversationStatus},
                message::{Author, AuthorType, Direction, Format, Message, MessageKind},
            },
            record::{self, Document, Kind, Stored, Who},
            refs,
            sla::{rules, timers},
        },
    },
    store::{ReadTx, TenantTx, User},
    vocabulary::{Timestamp, UserId, new_id},
};

/// Who acts, for history and as the author of what they write.
pub(crate) struct Hand {
    pub(crate) who: Who,
    author: Author,
}

impl Hand {
    /// The hand of a part of the workspace, which writes under a name of its own.
    pub(crate) fn of_program(who: Who, author: Author) -> Self {
        Self { who, author }
    }

    /// The hand of a user.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn of(tx: &mut TenantTx<'_>, user: &UserId, who: Who) -> Result<Self, DomainError> {
        let found = tx.users().find(user).await?;
        let name = found.map_or_else(String::new, |user| {
            if user.name.is_empty() {
                user.email
            } else {
                user.name
            }
        });
        let author = Author {
            kind: AuthorType::Member,
            id: user.to_string(),
            name,
        };
        Ok(Self { who, author })
    }
}

/// A reply to be sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) body: String,
    pub(crate) format: Format,
    pub(crate) article_ids: Vec<String>,
    pub(crate) then: Then,
}

/// What a reply by a person makes of a conversation: nobody's becomes that of whoever replies, and no bot speaks any more.
pub(crate) fn replied(
    conversation: &mut Conversation,
    rules: &rules::Rules,
    then: Then,
    me: &str,
    now: Timestamp,
) {
    if conversation.assignee.is_none() {
        moves::assign(conversation, Some(me.to_owned()));
    }
    conversation.bot_silent = true;
    moves::answered(conversation, rules, then, now);
}

/// Sends a reply. `version`: what the conversation must be at, if somebody looked at it before.
///
/// # Errors
/// When the channel cannot send, nobody knows where to, or somebody changed the conversation meanwhile.
pub(crate) async fn reply(
    tx: &mut TenantTx<'_>,
    id: &str,
    version: Option<u32>,
    reply: Reply,
    hand: &Hand,
) -> Result<(Stored<Message>, Stored<Conversation>), DomainError> {
    let found: Stored<Conversation> = record::get(&mut tx.reading(), id).await?;
    let channel = record::get::<Channel>(&mut tx.reading(), &found.fields().channel_id).await?;
    let route = outbound::route(&mut tx.reading(), channel.fields(), found.fields()).await?;
    let message = Message {
        direction: Direction::Out,
        author: hand.author.clone(),
        body: reply.body,
        format: reply.format,
        article_ids: reply.article_ids,
        ..Message::default()
    };
    let message = outbound::send(tx, &channel, (id, found.fields()), message, &route, &hand.who).await?;
    let rules = rules::of_channel(&mut tx.reading(), Some(channel.fields())).await?;
    let now = tx.now();
    let mut doc = found.doc;
    moves::note_message(&mut doc.fields, message.fields(), now);
    replied(&mut doc.fields, &rules, reply.then, &hand.author.id, now);
    if let Some(ticket) = &doc.fields.ticket_id {
        tickets::answered(tx, ticket, &hand.who).await?;
    }
    let conversation = write(tx, id, version, &doc, &hand.who).await?;
    Ok((message, conversation))
}

/// Adds an internal note.
///
/// # Errors
/// When the store fails.
pub(crate) async fn note(
    tx: &mut TenantTx<'_>,
    id: &str,
    body: &str,
    mentions: Vec<String>,
    hand: &Hand,
) -> Result<Stored<Message>, DomainError> {
    let note = Message {
        conversation_id: id.to_owned(),
        kind: MessageKind::Note,
        direction: Direction::Out,
        author: hand.author.clone(),
        body: body.to_owned(),
        mentions,
        ..Message::default()
    };
    outbound::add(tx, &new_id(Message::PREFIX, tx.now()), note, &hand.who).await
}

/// Whom an assignment means.
pub(crate) struct Meant {
    /// Nobody, if `None`.
    pub(crate) user: Option<User>,
    /// Whether the channel's rule chose.
    pub(crate) by_rule: bool,
}

/// Finds whom `text` means in a channel: `unassigned`, `auto` for whom its rule chooses, or somebody who works in it.
///
/// # Errors
/// When nobody is called so, or they are deactivated or not in the channel.
pub(crate) async fn meant(
    tx: &mut ReadTx<'_>,
    channel: &Stored<Channel>,
    me: &UserId,
    text: &str,
) -> Result<Meant, DomainError> {
    let by_rule = text == "auto";
    let user = match text {
        "unassigned" => None,
        "auto" => by_rule::choose(tx, channel).await?,
        text => {
            let user = refs::user(tx, me, text).await?;
            refs::working(&user)?;
            if !by_rule::is_in(channel.fields(), &user.id) {
                return Err(DomainError::Rule(format!(
                    "{} is not in the channel \"{}\"; choose one of its members, or add them with update_channel",
                    refs::person(&user),
                    channel.fields().name
                )));
            }
            Some(user)
        }
    };
    Ok(Meant { user, by_rule })
}

/// Gives a conversation to somebody or nobody. `chosen`: whether the channel's rule chose them.
///
/// # Errors
/// When somebody changed the conversation meanwhile.
pub(crate) async fn assign(
    tx: &mut TenantTx<'_>,
    id: &str,
    version: Option<u32>,
    assignee: Option<String>,
    chosen: bool,
    hand: &Hand,
) -> Result<Stored<Conversation>, DomainError> {
    let found: Stored<Conversation> = record::get(&mut tx.reading(), id).await?;
    if assignee == found.fields().assignee {
        return Ok(found);
    }
    if chosen && assignee.is_some() {
        by_rule::turn(tx, &found.fields().channel_id).await?;
    }
    let mut doc = found.doc;
    moves::assign(&mut doc.fields, assignee);
    // A person has decided: the bot is out of it.
    doc.fields.bot_silent = true;
    write(tx, id, version, &doc, &hand.who).await
}

/// Resolves a conversation. `false`: it was resolved already, and nothing changed.
///
/// # Errors
/// When somebody changed the conversation meanwhile.
pub(crate) async fn close(
    tx: &mut TenantTx<'_>,
    id: &str,
    version: Option<u32>,
    resolution: Option<&str>,
    hand: &Hand,
) -> Result<(Stored<Conversation>, bool), DomainError> {
    let found: Stored<Conversation> = record::get(&mut tx.reading(), id).await?;
    // Two people may close it at once: the second finds it done.
    if found.fields().status == ConversationStatus::Resolved {
        return Ok((found, false));
    }
    let rules = rules::of(&mut tx.reading(), Some(&found.fields().channel_id)).await?;
    let mut doc = found.doc;
    moves::resolve(&mut doc.fields, &rules, tx.now());
    let written = write(tx, id, version, &doc, &hand.who).await?;
    if let Some(resolution) = resolution {
        note(tx, id, resolution, Vec::new(), hand).await?;
    }
    Ok((written, true))
}

/// Writes a conversation's next version, and sees to its clocks.
///
/// # Errors
/// When somebody changed it meanwhile.
pub(crate) async fn write(
    tx: &mut TenantTx<'_>,
    id: &str,
    version: Option<u32>,
    doc: &Document<Conversation>,
    who: &Who,
) -> Result<Stored<Conversation>, DomainError> {
    let written = record::update(tx, id, doc, version, who).await?;
    let written = written.ok_or_else(|| DomainError::not_found(Conversation::NAME, id))?;
    timers::schedule(tx, id, written.fields()).await?;
    Ok(written)
}
