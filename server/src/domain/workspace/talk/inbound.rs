//! What comes in from outside becomes a message of a conversation: the sender is recognised or becomes a lead, the thread is
//! found or begun, the channel's rule finds somebody to answer (catalogue.md §3.1). One transaction for one message.

mod sender;
mod thread;

use serde::Serialize;

use super::{assign, fate, moves, outbound};
use crate::{
    domain::{
        DomainError,
        workspace::{
            bot,
            kinds::{
                channel::Channel,
                conversation::{Conversation, ConversationStatus},
                message::{Direction, Enclosure, Message},
                ticket::{Priority, Ticket, TicketStatus},
            },
            mail::{Ignored, Mail},
            record::{self, Document, Kind, Stored, Who},
            sla::{
                rules::{self, Rules},
                timers::{self, Timed},
            },
        },
    },
    store::{ReadTx, TenantTx},
    vocabulary::{Timestamp, UserId, new_id},
};
use sender::Sender;
use thread::{by_mail_id, thread};
pub(crate) use thread::{mail_key, of_visitor};

/// A message from outside, whatever brought it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrival {
    /// The sender's address, in lower case, if they said one.
    pub(crate) email: Option<String>,
    /// As they call themselves.
    pub(crate) name: Option<String>,
    /// Hash of a chat window's token.
    pub(crate) visitor: Option<String>,
    /// The sender's own word for themselves, in a system that brings messages.
    pub(crate) sender_id: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) text: String,
    pub(crate) quoted: Option<String>,
    /// The message's own id, where it came from: a second message with it is the same one.
    pub(crate) mail_id: Option<String>,
    /// Ids of messages that it answers, the nearest first.
    pub(crate) answers: Vec<String>,
    /// A conversation that it says it belongs to.
    pub(crate) conversation_id: Option<String>,
    pub(crate) attachments: Vec<Enclosure>,
    pub(crate) cut: bool,
}

impl From<Mail> for Arrival {
    fn from(mail: Mail) -> Self {
        Self {
            email: Some(mail.from.email),
            name: mail.from.name,
            subject: Some(mail.subject).filter(|subject| !subject.is_empty()),
            text: mail.text,
            quoted: mail.quoted,
            mail_id: mail.message_id,
            answers: mail.answers,
            attachments: mail
                .attachments
                .into_iter()
                .map(|file| Enclosure {
                    name: file.name,
                    media_type: file.media_type,
                    bytes: file.bytes,
                })
                .collect(),
            cut: mail.cut,
            ..Self::default()
        }
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Received {
    /// `received`, `duplicate` or `ignored`.
    pub(crate) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conversation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_id: Option<String>,
    /// Whether a conversation began with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) new_conversation: bool,
    /// Why nothing was made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
}

impl Received {
    fn ignored(reason: &'static str) -> Self {
        Self {
            status: "ignored",
            conversation_id: None,
            message_id: None,
            new_conversation: false,
            reason: Some(reason),
        }
    }

    fn as_message(status: &'static str, conversation: &str, message: &str, new: bool) -> Self {
        Self {
            status,
            conversation_id: Some(conversation.to_owned()),
            message_id: Some(message.to_owned()),
            new_conversation: new,
            reason: None,
        }
    }
}

/// A mail that no person wrote makes no conversation; one of ours that came back is marked on its message. It answers with
/// success all the same: whoever refused it would make the mail server write another one.
///
/// # Errors
/// When the store fails.
pub(crate) async fn ignore(
    tx: &mut TenantTx<'_>,
    channel: &Stored<Channel>,
    mail: &Mail,
    why: Ignored,
) -> Result<Received, DomainError> {
    if why == Ignored::Bounce {
        for id in &mail.answers {
            let Some(message) = by_mail_id(&mut tx.reading(), &channel.id, id).await? else {
                continue;
            };
            if message.fields().direction == Direction::Out {
                let now = tx.now();
                fate::bounced(tx, &message.id, now).await?;
                break;
            }
        }
    }
    Ok(Received::ignored(why.word()))
}

/// Takes a message in. `base_url`: what the server is called outside, for links in what the bot says.
///
/// # Errors
/// When the channel is closed, or the store fails.
pub(crate) async fn receive(
    tx: &mut TenantTx<'_>,
    channel: &Stored<Channel>,
    arrival: Arrival,
    base_url: &str,
) -> Result<Received, DomainError> {
    if !channel.fields().active {
        return Err(DomainError::Rule(
            "this channel is closed; nobody reads what is sent to it".to_owned(),
        ));
    }
    if arrival.email.is_some() && arrival.email == own_address(channel.fields()) {
        return Ok(Received::ignored(Ignored::Loop.word()));
    }
    if let Some(id) = &arrival.mail_id
        && let Some(seen) = by_mail_id(&mut tx.reading(), &channel.id, id).await?
    {
        let conversation = &seen.fields().conversation_id;
        return Ok(Received::as_message("duplicate", conversation, &seen.id, false));
    }
    let who = Who::system("inbound");
    let now = tx.now();
    let rules = rules::of_channel(&mut tx.reading(), Some(channel.fields())).await?;
    let thread = thread(&mut tx.reading(), channel, &arrival).await?;
    let author = sender::find(tx, channel, &arrival, thread.as_ref(), &who).await?;
    author.seen(tx, &who).await?;
    let message = Message {
        channel_id: channel.id.clone(),
        direction: Direction::In,
        author: author.as_author(&arrival),
        body: arrival.text.clone(),
        at: now,
        mail_id: arrival.mail_id.clone(),
        quoted: arrival.quoted.clone(),
        attachments: arrival.attachments.clone(),
        cut: arrival.cut,
        ..Message::default()
    };
    let is_new = thread.is_none();
    let conversation = match thread {
        Some(found) => go_on(tx, found, &message, &author, &rules, &who).await?,
        None => begin(tx, channel, &arrival, &message, &author, &rules, &who).await?,
    };
    let message = Message {
        conversation_id: conversation.id.clone(),
        ..message
    };
    let message = outbound::add(tx, &new_id(Message::PREFIX, now), message, &who).await?;
    if is_new && let Some(greeting) = &channel.fields().greeting {
        bot::greet(tx, channel, &conversation, greeting).await?;
    }
    let conversation_id = conversation.id.clone();
    requester_answered(tx, &conversation, now, &who).await?;
    let answered = bot::answer(tx, channel, &conversation, &message, base_url).await?;
    if !answered {
        hand_to_team(tx, channel, &conversation_id).await?;
    }
    Ok(Received::as_message(
        "received",
        &conversation_id,
        &message.id,
        is_new,
    ))
}

fn own_address(channel: &Channel) -> Option<String> {
    let target = channel
        .delivery
        .target
        .as_deref()
        .filter(|_| channel.delivery.adapter == "smtp")?;
    let address = target
        .rsplit_once('<')
        .map_or(target, |(_, rest)| rest.trim_end_matches('>'));
    crate::domain::workspace::mail::email(address)
}

async fn begin(
    tx: &mut TenantTx<'_>,
    channel: &Stored<Channel>,
    arrival: &Arrival,
    message: &Message,
    sender: &Sender,
    rules: &Rules,
    who: &Who,
) -> Result<Stored<Conversation>, DomainError> {
    let now = tx.now();
    let mut conversation = Conversation {
        channel_id: channel.id.clone(),
        email: arrival.email.clone(),
        name: Some(message.author.name.clone()),
        visitor: arrival.visitor.clone(),
        external_id: arrival.sender_id.clone(),
        subject: arrival.subject.clone(),
        status: ConversationStatus::Open,
        unread: true,
        ..Conversation::default()
    };
    sender.recognise(&mut conversation);
    conversation.set_clocks(rules.start(Priority::Medium, now));
    moves::note_message(&mut conversation, message, now);
    let made = record::insert(tx, Document::new(conversation), who).await?;
    timers::schedule(tx, &made.id, made.fields()).await?;
    Ok(made)
}

async fn go_on(
    tx: &mut TenantTx<'_>,
    found: Stored<Conversation>,
    message: &Message,
    sender: &Sender,
    rules: &Rules,
    who: &Who,
) -> Result<Stored<Conversation>, DomainError> {
    let now = tx.now();
    let mut doc = found.doc.clone();
    doc.fields.email = doc.fields.email.or_else(|| sender.email());
    sender.recognise(&mut doc.fields);
    let works = works(&mut tx.reading(), doc.fields.assignee.as_deref()).await?;
    moves::came_in(&mut doc.fields, rules, works, now);
    moves::note_message(&mut doc.fields, message, now);
    let changed = record::update(tx, &found.id, &doc, Some(found.version), who).await?;
    let changed = changed.ok_or_else(|| DomainError::not_found(Conversation::NAME, found.id.as_str()))?;
    timers::schedule(tx, &changed.id, changed.fields()).await?;
    Ok(changed)
}

/// Whether somebody is still there to answer.
async fn works(tx: &mut ReadTx<'_>, user: Option<&str>) -> Result<bool, DomainError> {
    let Some(id) = user.and_then(|user| UserId::new(user).ok()) else {
        return Ok(false);
    };
    Ok(tx
        .users()
        .find(&id)
        .await?
        .is_some_and(|user| user.disabled_at.is_none()))
}

/// Gives a conversation that nobody has to whom the channel's rule chooses.
///
/// # Errors
/// When the store fails.
pub(crate) async fn hand_to_team(
    tx: &mut TenantTx<'_>,
    channel: &Stored<Channel>,
    id: &str,
) -> Result<(), DomainError> {
    let Some(found) = record::find::<Conversation>(&mut tx.reading(), id).await? else {
        return Ok(());
    };
    if found.fields().assignee.is_some() || found.fields().status != ConversationStatus::Open {
        return Ok(());
    }
    let of_bot = match &found.fields().handed_to {
        Some(other) => record::find::<Channel>(&mut tx.reading(), other).await?,
        None => None,
    };
    let channel = of_bot.as_ref().unwrap_or(channel);
    let Some(user) = assign::choose(&mut tx.reading(), channel).await? else {
        return Ok(());
    };
    assign::turn(tx, &channel.id).await?;
    let mut doc = found.doc.clone();
    moves::assign(&mut doc.fields, Some(user.id.to_string()));
    record::update(tx, id, &doc, Some(found.version), &Who::system("routing")).await?;
    Ok(())
}

/// A linked ticket goes on when its requester writes (catalogue.md §3.3).
async fn requester_answered(
    tx: &mut TenantTx<'_>,
    conversation: &Stored<Conversation>,
    now: Timestamp,
    who: &Who,
) -> Result<(), DomainError> {
    let Some(id) = &conversation.fields().ticket_id else {
        return Ok(());
    };
    let Some(found) = record::find::<Ticket>(&mut tx.reading(), id).await? else {
        return Ok(());
    };
    let to = match found.fields().status {
        TicketStatus::Waiting => TicketStatus::InProgress,
        TicketStatus::Resolved => TicketStatus::Open,
        _ => return Ok(()),
    };
    let rules = rules::of(&mut tx.reading(), found.fields().channel_id.as_deref()).await?;
    let mut doc = found.doc.clone();
    doc.fields.status = to;
    if doc.fields.settle(Some(found.fields()), now).is_err() {
        // Too long ago to be opened again: the conversation alone goes on.
        return Ok(());
    }
    if let Some(mut sla) = doc.fields.clocks().cloned() {
        if to == TicketStatus::Open {
            sla.reopened(now, &rules.calendar);
        } else {
            sla.goes_on(now, &rules.calendar);
        }
        doc.fields.set_clocks(sla);
    }
    record::update(tx, id, &doc, Some(found.version), who).await?;
    timers::schedule(tx, id, &doc.fields).await
}
