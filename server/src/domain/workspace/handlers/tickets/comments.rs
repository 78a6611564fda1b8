//! `comment_on_ticket`: among colleagues, or to whoever asked.

use crate::{
    domain::{
        Apply, DomainError, Plan, PlanCall, ToolResult,
        workspace::{
            kinds::{
                comment::{Comment, CommentVisibility},
                message::{Author, AuthorType},
                ticket::Ticket,
            },
            record::{self, Document, Kind, Stored, Who},
            talk::{outbound, tickets},
            write::{self, Carried, object},
        },
    },
    store::{ReadTx, TenantTx},
};

/// Plans a comment. Where a public one would go is part of the plan.
pub(super) async fn plan(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let ticket = write::named::<Ticket>(tx, &call).await?;
    let id = ticket.id.clone();
    let writing = write::create_with::<Comment>(tx, &call, |doc| doc.fields.ticket_id = id).await?;
    let public = writing.doc.fields.visibility == CommentVisibility::Public;
    let label = ticket.fields().label();
    let how = if public {
        "Reply to the requester of"
    } else {
        "Comment internally on"
    };
    let summary = format!("{how} {}", writing.reader.text(&label));
    let plan = writing.plan(&summary, &())?;
    if !public {
        return Ok(plan);
    }
    let (_, route) = outbound::comment_route(tx, ticket.fields()).await?;
    Ok(plan.with_effect(route.effect()))
}

/// Adds the comment, and sends a public one.
pub(super) async fn carry_out(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let carried: Carried = apply.plan.payload()?;
    if let Some(result) = carried.replayed()? {
        return Ok(result);
    }
    let planned = carried.doc::<Comment>()?.fields;
    let ticket: Stored<Ticket> = record::get(&mut tx.reading(), &planned.ticket_id).await?;
    let comment = add(tx, &apply, &ticket, &planned.body, planned.visibility).await?;
    let ticket: Stored<Ticket> = record::get(&mut tx.reading(), &ticket.id).await?;
    let mut result = object(Comment::NAME, comment.view()?);
    result.insert(Ticket::NAME.to_owned(), ticket.view()?);
    carried.answer(tx, result, [comment.id, ticket.id]).await
}

/// Adds a comment of the caller's.
///
/// # Errors
/// When a public one has nowhere to go.
pub(super) async fn add(
    tx: &mut TenantTx<'_>,
    apply: &Apply,
    ticket: &Stored<Ticket>,
    body: &str,
    visibility: CommentVisibility,
) -> Result<Stored<Comment>, DomainError> {
    let who = Who::of(apply.permit.principal());
    let route = match visibility {
        CommentVisibility::Internal => None,
        CommentVisibility::Public => Some(outbound::comment_route(&mut tx.reading(), ticket.fields()).await?),
    };
    let comment = Comment {
        ticket_id: ticket.id.clone(),
        visibility,
        body: body.to_owned(),
        author: author(tx, apply).await?,
        delivery: route.as_ref().map(|(_, route)| outbound::comment_delivery(route)),
    };
    let comment = record::insert(tx, Document::new(comment), &who).await?;
    if let Some((channel, route)) = route {
        outbound::send_comment(tx, &channel, ticket.fields(), &comment, &route).await?;
        tickets::answered(tx, &ticket.id, &who).await?;
    }
    Ok(comment)
}

/// The caller as the author of what they write.
async fn author(tx: &mut TenantTx<'_>, apply: &Apply) -> Result<Author, DomainError> {
    let me = apply.permit.principal().facts().user.clone();
    let user = tx.users().find(&me).await?;
    let name = user.map(|user| {
        if user.name.is_empty() {
            user.email
        } else {
            user.name
        }
    });
    Ok(Author {
        kind: AuthorType::Member,
        id: me.to_string(),
        name: name.unwrap_or_default(),
    })
}
