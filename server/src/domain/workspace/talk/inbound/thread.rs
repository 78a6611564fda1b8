//! Which conversation a message continues.

use super::Arrival;
use crate::{
    domain::{
        DomainError,
        workspace::{
            kinds::{channel::Channel, conversation::Conversation, message::Message},
            record::{self, Kind, Stored},
        },
    },
    store::{Condition, ReadTx, RecordQuery},
    vocabulary::{hexadecimal, sha256},
};

/// The key under which a message is found by an id that its sender chose. Ids of one channel say nothing in another.
pub(crate) fn mail_key(channel: &str, id: &str) -> String {
    hexadecimal(&sha256(&format!("{channel}\n{id}")))
}

pub(super) async fn by_mail_id(
    tx: &mut ReadTx<'_>,
    channel: &str,
    id: &str,
) -> Result<Option<Stored<Message>>, DomainError> {
    let query = RecordQuery {
        conditions: vec![Condition::is("mail_id", mail_key(channel, id))],
        limit: 1,
        ..RecordQuery::default()
    };
    let found = tx.records(Message::NAME).list(&query).await?.records;
    Ok(found.first().map(Stored::of).transpose()?)
}

/// The conversation that a message continues. Whatever its headers say, it must be one of this channel and of this sender:
/// ids of messages are no secrets, and nobody may write into a conversation of others by naming them.
pub(super) async fn thread(
    tx: &mut ReadTx<'_>,
    channel: &Stored<Channel>,
    arrival: &Arrival,
) -> Result<Option<Stored<Conversation>>, DomainError> {
    let is_theirs = |conversation: &Conversation| {
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        conversation.channel_id == channel.id
            && (same(&conversation.email, &arrival.email)
                || same(&conversation.visitor, &arrival.visitor)
                || same(&conversation.external_id, &arrival.sender_id))
    };
    if let Some(id) = &arrival.conversation_id {
        let found = record::find::<Conversation>(tx, id).await?;
        if let Some(found) = found.filter(|found| is_theirs(found.fields())) {
            return Ok(Some(found));
        }
    }
    for id in &arrival.answers {
        let Some(message) = by_mail_id(tx, &channel.id, id).await? else {
            continue;
        };
        let found = record::find::<Conversation>(tx, &message.fields().conversation_id).await?;
        if let Some(found) = found.filter(|found| is_theirs(found.fields())) {
            return Ok(Some(found));
        }
    }
    let Some(visitor) = &arrival.visitor else {
        return Ok(None);
    };
    of_visitor(tx, channel, visitor).await
}

/// The last conversation of a chat window's visitor.
///
/// # Errors
/// When the store fails.
pub(crate) async fn of_visitor(
    tx: &mut ReadTx<'_>,
    channel: &Stored<Channel>,
    visitor: &str,
) -> Result<Option<Stored<Conversation>>, DomainError> {
    let query = RecordQuery {
        conditions: vec![
            Condition::is("visitor", visitor),
            Condition::is("channel_id", channel.id.as_str()),
        ],
        limit: 1,
        ..RecordQuery::default()
    };
    let found = tx.records(Conversation::NAME).list(&query).await?.records;
    Ok(found.first().map(Stored::of).transpose()?)
}
