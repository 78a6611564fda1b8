//! `create_ticket`, `update_ticket` and `assign_ticket`.

use serde_json::{Value, json};

use super::comments;
use crate::{
    domain::{
        Apply, Change, DomainError, Plan, PlanCall, ToolResult,
        workspace::{
            kinds::{
                comment::{Comment, CommentVisibility},
                contact::Contact,
                conversation::Conversation,
                ticket::Ticket,
            },
            record::{self, Kind, Stored, Who},
            refs,
            talk::tickets,
            write::{self, Carried, object},
        },
    },
    store::{ReadTx, TenantTx},
};

/// Plans a ticket. From a conversation it takes who asked, and through which channel.
pub(super) async fn plan_create(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let map = call.arguments.as_map();
    let text = |name: &str| {
        map.get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let (mut requester, mut account, mut channel) = (None, None, None);
    if let Some(id) = text("conversation_id") {
        let shows = write::reader::<Conversation>(&call)?.shows();
        let conversation: Stored<Conversation> = refs::get(tx, id, shows).await?;
        requester.clone_from(&conversation.fields().contact_id);
        channel = Some(conversation.fields().channel_id.clone());
    }
    if let Some(name) = text("requester") {
        let shows = write::reader::<Contact>(&call)?.shows();
        requester = Some(refs::get::<Contact>(tx, name, shows).await?.id);
    }
    if let Some(id) = &requester {
        let contact = record::find::<Contact>(tx, id).await?;
        account = contact.map(|contact| contact.doc.fields.account_id);
    }
    let writing = write::create_with::<Ticket>(tx, &call, |doc| {
        doc.fields.requester = requester;
        doc.fields.account_id = doc.fields.account_id.take().or(account);
        doc.fields.channel_id = channel;
    })
    .await?;
    let summary = format!("Open the ticket \"{}\"", writing.doc.fields.title);
    writing.plan(&summary, &())
}

/// Opens it, and lets its conversation know.
pub(super) async fn create(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let carried: Carried = apply.plan.payload()?;
    if let Some(result) = carried.replayed()? {
        return Ok(result);
    }
    let who = Who::of(apply.permit.principal());
    let ticket = tickets::open(tx, carried.doc()?, &who).await?;
    tickets::link(tx, &ticket, &who).await?;
    let result = object(Ticket::NAME, ticket.view()?);
    carried.answer(tx, result, [ticket.id]).await
}

/// Plans a change of fields or status.
pub(super) async fn plan_update(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let before = write::named::<Ticket>(tx, &call).await?;
    let label = before.fields().label();
    let writing = write::update(tx, &call, before).await?;
    let summary = format!("Change {}", writing.reader.text(&label));
    writing.plan(&summary, &())
}

/// Changes it; its clocks follow.
pub(super) async fn update(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let carried: Carried = apply.plan.payload()?;
    let ticket = saved(tx, &apply, &carried).await?;
    let mut result = object(Ticket::NAME, ticket.view()?);
    result.insert("changed".to_owned(), json!(carried.changed));
    carried.answer(tx, result, [ticket.id]).await
}

/// Writes the ticket that was planned, if anything of it differs.
///
/// # Errors
/// When it changed since.
pub(super) async fn saved(
    tx: &mut TenantTx<'_>,
    apply: &Apply,
    carried: &Carried,
) -> Result<Stored<Ticket>, DomainError> {
    let id = carried.id.as_deref().unwrap_or_default();
    if carried.changed.is_empty() {
        return record::get(&mut tx.reading(), id).await;
    }
    let who = Who::of(apply.permit.principal());
    let version = apply.plan.version_of(Ticket::NAME, id);
    tickets::save(tx, id, carried.doc()?, version, &who).await
}

/// Plans who takes care of it.
pub(super) async fn plan_assign(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let before = write::named::<Ticket>(tx, &call).await?;
    let label = before.fields().label();
    let note = call.arguments.as_map().get("note").and_then(Value::as_str);
    let note = note.map(str::to_owned);
    let writing = write::update(tx, &call, before).await?;
    let summary = format!("Assign {}", writing.reader.text(&label));
    let plan = writing.plan(&summary, &note)?;
    Ok(match note {
        Some(note) => plan.with(Change::create(Comment::NAME, "body", note)),
        None => plan,
    })
}

/// Assigns it, with a word to whoever takes it.
pub(super) async fn assign(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let carried: Carried = apply.plan.payload()?;
    let ticket = saved(tx, &apply, &carried).await?;
    if let Some(note) = carried.extra.as_str() {
        comments::add(tx, &apply, &ticket, note, CommentVisibility::Internal).await?;
    }
    let result = object(Ticket::NAME, ticket.view()?);
    carried.answer(tx, result, [ticket.id]).await
}
