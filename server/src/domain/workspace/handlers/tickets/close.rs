//! `close_ticket`: resolved, or closed for good.

use serde::{Deserialize, Serialize};

use super::{comments, write as changes};
use crate::{
    domain::{
        Apply, Change, DomainError, Plan, PlanCall, ToolResult,
        workspace::{
            kinds::{
                comment::{Comment, CommentVisibility},
                ticket::{Ticket, TicketStatus},
            },
            record::Kind,
            talk::outbound,
            write::{self, Carried, object},
        },
    },
    store::{ReadTx, TenantTx},
};

#[derive(Debug, Deserialize)]
struct CloseArguments {
    outcome: TicketStatus,
    resolution: Option<String>,
    tell_requester: bool,
}

/// What is done besides.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Besides {
    unchanged: bool,
    /// What the requester reads.
    told: Option<String>,
}

/// Plans the end of a ticket. One that has ended so already stays as it is.
pub(super) async fn plan(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let before = write::named::<Ticket>(tx, &call).await?;
    let arguments: CloseArguments = call.arguments.clone().parse()?;
    let (label, status) = (before.fields().label(), before.fields().status);
    let over = status == arguments.outcome || status == TicketStatus::Closed;
    let ticket = before.fields().clone();
    let writing = write::update_with(tx, &call, before, |doc| {
        if over {
            doc.fields.resolution.clone_from(&ticket.resolution);
        } else {
            doc.fields.status = arguments.outcome;
        }
    })
    .await?;
    let label = writing.reader.text(&label).to_owned();
    if over {
        let besides = Besides {
            unchanged: true,
            told: None,
        };
        return writing.plan(&format!("Nothing to do: {label} is {status} already"), &besides);
    }
    let told = arguments.tell_requester.then(|| {
        let said = arguments.resolution.as_ref();
        let said = said.map_or_else(String::new, |said| format!("\n\n{said}"));
        format!(
            "Your request \"{}\" is {}.{said}",
            ticket.title, arguments.outcome
        )
    });
    let verb = match arguments.outcome {
        TicketStatus::Resolved => "Resolve",
        _ => "Close",
    };
    let besides = Besides {
        unchanged: false,
        told: told.clone(),
    };
    let plan = writing.plan(&format!("{verb} {label}"), &besides)?;
    let Some(told) = told else { return Ok(plan) };
    let (_, route) = outbound::comment_route(tx, &ticket).await?;
    Ok(plan
        .with(Change::create(Comment::NAME, "body", told))
        .with_effect(route.effect()))
}

/// Ends it.
pub(super) async fn carry_out(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let carried: Carried = apply.plan.payload()?;
    let besides = Besides::deserialize(&carried.extra).map_err(DomainError::internal)?;
    let ticket = changes::saved(tx, &apply, &carried).await?;
    if let Some(told) = &besides.told {
        comments::add(tx, &apply, &ticket, told, CommentVisibility::Public).await?;
    }
    let mut result = object(Ticket::NAME, ticket.view()?);
    if besides.unchanged {
        result.insert("unchanged".to_owned(), true.into());
    }
    carried.answer(tx, result, [ticket.id]).await
}
