//! `list_conversations` and `get_conversation`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    domain::{
        Call, DomainError, HandlerResult, Outcome,
        workspace::{
            engine::Desk,
            kinds::{
                contact::Contact,
                conversation::Conversation,
                message::{Message, MessageKind},
                ticket::Ticket,
            },
            listing::{Filter, Filters},
            record::{self, Kind, Stored},
            refs,
        },
    },
    store::{RecordCursor, RecordQuery, TenantTx},
};

/// What conversations are filtered by.
pub(super) const FILTERS: Filters = &[
    ("status", "status", Filter::Word),
    ("assignee", "assignee", Filter::Person),
    ("channel", "channel_id", Filter::Record("channel")),
    ("contact_id", "contact_id", Filter::Record("contact")),
    ("unread", "unread", Filter::Flag),
];
/// Notes that are skipped in one call: a conversation with more of them between two messages shows fewer messages a page.
const MOST_LOOKED_AT: u32 = 400;

#[derive(Debug, Deserialize)]
struct GetArguments {
    id: String,
    #[serde(default = "fifty")]
    messages: u32,
    before: Option<String>,
    #[serde(default = "yes")]
    include_notes: bool,
}

fn fifty() -> u32 {
    50
}

fn yes() -> bool {
    true
}

/// Where a page of messages begins.
#[derive(Serialize, Deserialize)]
struct Cursor(RecordCursor);

/// One conversation with its messages, the oldest of the page first.
pub(super) async fn get(desk: &Desk, tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let arguments: GetArguments = call.arguments.parse()?;
    let found: Stored<Conversation> = refs::get(&mut tx.reading(), &arguments.id, true).await?;
    let binding = format!(
        "messages {} {} {}",
        tx.tenant(),
        found.id,
        arguments.include_notes
    );
    let before = arguments
        .before
        .as_deref()
        .map(|sealed| desk.seal.open_text::<Cursor>(&binding, sealed));
    let mut after = before
        .transpose()
        .map_err(|_| DomainError::argument("before does not belong to this conversation"))?
        .map(|cursor| cursor.0);
    let mut messages = Vec::new();
    let mut looked_at = 0;
    let wanted = usize::try_from(arguments.messages).unwrap_or(usize::MAX);
    loop {
        let query = RecordQuery {
            sort: Message::of_conversation(&found.id),
            after: after.take(),
            limit: arguments.messages,
            ..RecordQuery::default()
        };
        let page = tx.records(Message::NAME).list(&query).await?;
        for row in &page.records {
            let message = Stored::<Message>::of(row)?;
            looked_at += 1;
            if arguments.include_notes || message.fields().kind == MessageKind::Message {
                messages.push(message);
            }
        }
        after = page.next;
        // Notes that are left out may fill a whole page.
        if after.is_none() || messages.len() >= wanted || looked_at >= MOST_LOOKED_AT {
            break;
        }
    }
    if messages.len() > wanted {
        messages.truncate(wanted);
        after = messages.last().map(Message::cursor).transpose()?;
    }
    messages.reverse();
    let cursor = after.map(|after| desk.seal.seal_text(&binding, &Cursor(after)));
    let cursor = cursor.transpose().map_err(DomainError::internal)?;

    let mut out = Map::new();
    out.insert("conversation".to_owned(), found.view()?);
    if let Some(contact) = find::<Contact>(tx, found.fields().contact_id.as_deref()).await? {
        let fields = contact.fields();
        let shown = json!({ "id": contact.id, "name": fields.name, "email": fields.email, "account_id": fields.account_id });
        out.insert("contact".to_owned(), shown);
    }
    if let Some(ticket) = find::<Ticket>(tx, found.fields().ticket_id.as_deref()).await? {
        let fields = ticket.fields();
        let shown = json!({ "id": ticket.id, "number": fields.number, "title": fields.title, "status": fields.status });
        out.insert("ticket".to_owned(), shown);
    }
    let shown = messages.iter().map(Stored::view).collect::<Result<Vec<_>, _>>()?;
    out.insert("messages".to_owned(), shown.into());
    out.insert("previous_cursor".to_owned(), json!(cursor));
    Ok(Outcome::structured(&Value::Object(out))?.touching([found.id]))
}

async fn find<K: Kind>(tx: &mut TenantTx<'_>, id: Option<&str>) -> Result<Option<Stored<K>>, DomainError> {
    match id {
        Some(id) => record::find(&mut tx.reading(), id).await,
        None => Ok(None),
    }
}
