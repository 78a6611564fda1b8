//! `list_tickets` and `get_ticket`.

use serde::Deserialize;

use crate::{
    domain::{
        Call, HandlerResult, Outcome,
        workspace::{
            history,
            kinds::{comment::Comment, conversation::Conversation, ticket::Ticket},
            listing::{Filter, Filters},
            record::{self, Kind, Stored},
            refs, related,
            write::object,
        },
    },
    store::TenantTx,
};

/// What tickets are filtered by.
pub(super) const FILTERS: Filters = &[
    ("status", "status", Filter::Word),
    ("assignee", "assignee", Filter::Person),
    ("priority", "priority", Filter::Word),
    ("requester", "requester", Filter::Record("contact")),
    ("account_id", "account_id", Filter::Record("account")),
    ("channel", "channel_id", Filter::Record("channel")),
    ("sla", "sla", Filter::Word),
];
/// Comments and changes shown beside a ticket.
const MOST: u32 = 100;

#[derive(Debug, Deserialize)]
struct GetArguments {
    id: String,
}

/// One ticket with what was said and done about it.
pub(super) async fn get(tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let arguments: GetArguments = call.arguments.parse()?;
    let ticket: Stored<Ticket> = refs::get(&mut tx.reading(), &arguments.id, true).await?;
    let mut out = object(Ticket::NAME, ticket.view()?);
    let mut comments = related::by::<Comment>(tx, "ticket_id", &ticket.id, MOST).await?;
    comments.reverse();
    let comments = comments.iter().map(Stored::view).collect::<Result<Vec<_>, _>>()?;
    out.insert("comments".to_owned(), comments.into());
    out.insert("history".to_owned(), history::of(tx, &ticket, MOST).await?.into());
    if let Some(id) = &ticket.fields().conversation_id
        && let Some(conversation) = record::find::<Conversation>(&mut tx.reading(), id).await?
    {
        out.insert(Conversation::NAME.to_owned(), conversation.summary()?);
    }
    Ok(Outcome::structured(&out)?.touching([ticket.id]))
}
