//! Finds who is there to take a conversation, and asks the channel's rule.

use super::routing::{self, Candidate};
use crate::{
    domain::{
        DomainError,
        workspace::{
            kinds::{
                channel::{Channel, Routing},
                conversation::Conversation,
                conversation::ConversationStatus,
                member::Member,
                ticket::Ticket,
                ticket::TicketStatus,
            },
            record::{self, Kind, Stored},
        },
    },
    store::{Condition, FieldValue, ReadTx, TenantTx, User},
    vocabulary::UserId,
};

/// Open records of one person that are counted; whoever has more is busy enough.
const MOST_COUNTED: u32 = 1_000;

/// The name of the counter of a channel's assignments.
fn counter(channel: &str) -> String {
    format!("workspace.turn.{channel}")
}

/// Whom the channel's rule chooses now. Nothing is changed: see [`turn`].
///
/// # Errors
/// When the store fails.
pub(crate) async fn choose(
    tx: &mut ReadTx<'_>,
    channel: &Stored<Channel>,
) -> Result<Option<User>, DomainError> {
    let rule = channel.fields().routing;
    if rule == Routing::Manual {
        return Ok(None);
    }
    let mut users = Vec::new();
    let mut candidates = Vec::new();
    for id in &channel.fields().members {
        let Ok(id) = UserId::new(id) else { continue };
        let Some(user) = tx.users().find(&id).await? else {
            continue;
        };
        let member = record::find::<Member>(tx, id.as_str()).await?;
        let away = member.is_some_and(|member| member.fields().out_of_office);
        let available = user.disabled_at.is_none() && !away;
        let open_load = if rule == Routing::LeastBusy && available {
            load(tx, id.as_str()).await?
        } else {
            0
        };
        candidates.push(Candidate {
            id: id.to_string(),
            available,
            open_load,
        });
        users.push(user);
    }
    let turn = tx.count(&counter(&channel.id)).await?;
    let chosen = routing::choose(rule, &candidates, u64::try_from(turn).unwrap_or(0));
    let chosen = chosen.map(|candidate| candidate.id.clone());
    Ok(users
        .into_iter()
        .find(|user| Some(user.id.as_str()) == chosen.as_deref()))
}

/// Counts an assignment by the channel's rule, so that the next one is somebody else's turn.
///
/// # Errors
/// When the store fails.
pub(crate) async fn turn(tx: &mut TenantTx<'_>, channel: &str) -> Result<(), DomainError> {
    tx.counters().next(&counter(channel)).await?;
    Ok(())
}

/// Open conversations and tickets of a person.
///
/// # Errors
/// When the store fails.
pub(crate) async fn load(tx: &mut ReadTx<'_>, user: &str) -> Result<i64, DomainError> {
    let mine = |open: Vec<FieldValue>| {
        vec![
            Condition::is("assignee", user),
            Condition::OneOf("status".to_owned(), open),
        ]
    };
    let conversations = [
        ConversationStatus::Open,
        ConversationStatus::Assigned,
        ConversationStatus::Waiting,
    ];
    let conversations = mine(conversations.map(|status| status.as_str().into()).to_vec());
    let tickets = [
        TicketStatus::Open,
        TicketStatus::InProgress,
        TicketStatus::Waiting,
    ];
    let tickets = mine(tickets.map(|status| status.as_str().into()).to_vec());
    Ok(tx
        .records(Conversation::NAME)
        .count(&conversations, MOST_COUNTED)
        .await?
        + tx.records(Ticket::NAME).count(&tickets, MOST_COUNTED).await?)
}

/// Whether somebody may get conversations of a channel: a channel without members is everybody's.
pub(crate) fn is_in(channel: &Channel, user: &UserId) -> bool {
    channel.members.is_empty() || channel.members.iter().any(|member| member == user.as_str())
}
