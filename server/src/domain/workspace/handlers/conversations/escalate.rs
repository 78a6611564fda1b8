//! `escalate_conversation`: a ticket from a conversation, each knowing the other.

use serde::{Deserialize, Serialize};

use super::planned::{self, Taken};
use crate::{
    domain::{
        Apply, Change, DomainError, Plan, PlanCall, ToolResult,
        workspace::{
            change::{self, Names},
            kinds::{
                channel::Channel,
                contact::Contact,
                conversation::Conversation,
                message::Message,
                ticket::{Priority, Ticket},
            },
            record::{self, Document, Kind, Stored},
            refs,
            talk::{
                acts::{self, Reply},
                moves::Then,
                outbound, tickets,
            },
            write::{self, object},
        },
    },
    store::{ReadTx, TenantTx},
};

/// Longest title that is made of a reason, in characters.
const MOST_TITLE: usize = 200;

#[derive(Debug, Deserialize)]
struct EscalateArguments {
    reason: String,
    title: Option<String>,
    #[serde(default = "high")]
    priority: Priority,
    assignee: Option<String>,
    #[serde(default)]
    tell_customer: bool,
}

fn high() -> Priority {
    Priority::High
}

/// An escalation on its way.
#[derive(Debug, Serialize, Deserialize)]
struct Escalate {
    ticket: Ticket,
    tell_customer: bool,
}

/// Plans the ticket.
pub(super) async fn plan(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let before: Stored<Conversation> = write::named(tx, &call).await?;
    let reader = write::reader::<Conversation>(&call)?;
    let me = call.principal().facts().user.clone();
    let arguments: EscalateArguments = call.arguments.parse()?;
    if let Some(id) = &before.fields().ticket_id {
        let ticket = record::find::<Ticket>(tx, id).await?;
        let number = ticket.map_or_else(|| id.clone(), |ticket| format!("#{}", ticket.fields().number));
        return Err(DomainError::Conflict(format!(
            "already linked to ticket {number}; go on there"
        )));
    }
    let mut names = Names::default();
    let assignee = match arguments.assignee.as_deref() {
        None => before.fields().assignee.clone(),
        Some("unassigned") => None,
        Some(text) => {
            let user = refs::user(tx, &me, text).await?;
            refs::working(&user)?;
            Some(user.id.to_string())
        }
    };
    planned::name_person(tx, &mut names, assignee.as_deref()).await?;
    let account_id = match &before.fields().contact_id {
        Some(id) => record::find::<Contact>(tx, id)
            .await?
            .map(|contact| contact.doc.fields.account_id),
        None => None,
    };
    // A subject is shown to those who may read it; for others the reason has to do.
    let subject = before.fields().subject.clone().filter(|_| reader.shows());
    let title = arguments.title.or(subject);
    let title = title.unwrap_or_else(|| arguments.reason.lines().next().unwrap_or_default().to_owned());
    let ticket = Ticket {
        title: title.chars().take(MOST_TITLE).collect(),
        description: arguments.reason,
        priority: arguments.priority,
        assignee,
        requester: before.fields().contact_id.clone(),
        account_id,
        conversation_id: Some(before.id.clone()),
        channel_id: Some(before.fields().channel_id.clone()),
        ..Ticket::default()
    };
    let label = planned::label(&before);
    let mut plan = Plan::new(format!(
        "Open a ticket from the conversation {}",
        reader.text(&label)
    ));
    (plan, _) = change::changes(plan, None, &Document::new(ticket.clone()), &reader, &names)?;
    plan = plan
        .with(Change::update(
            Conversation::NAME,
            before.id.as_str(),
            "ticket_id",
            reader.show(serde_json::Value::Null),
            "the new ticket",
        ))
        .on(Conversation::NAME, before.id.as_str(), before.version)
        .with_effect("event ticket.created, which flows may follow");
    if arguments.tell_customer {
        let channel = record::get::<Channel>(tx, &before.fields().channel_id).await?;
        let route = outbound::route(tx, channel.fields(), before.fields()).await?;
        plan = plan
            .with(Change::create(Message::NAME, "body", told("<number>")))
            .with_effect(route.effect());
    }
    let escalate = Escalate {
        ticket,
        tell_customer: arguments.tell_customer,
    };
    planned::carrying(plan, &before.id, &escalate, None)
}

/// What the customer reads.
fn told(number: impl std::fmt::Display) -> String {
    format!("We have opened ticket #{number} for this and will keep you informed.")
}

/// Opens what was planned.
pub(super) async fn carry_out(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let planned = match planned::take::<Escalate>(&apply)? {
        Taken::Do(planned) => planned,
        Taken::Done(result) => return Ok(result),
    };
    let hand = planned::hand(tx, &apply).await?;
    let mut ticket = tickets::open(tx, Document::new(planned.what.ticket.clone()), &hand.who).await?;
    let found: Stored<Conversation> = record::get(&mut tx.reading(), &planned.id).await?;
    let mut doc = found.doc;
    doc.fields.ticket_id = Some(ticket.id.clone());
    let mut conversation = acts::write(tx, &planned.id, planned.version(&apply), &doc, &hand.who).await?;
    if planned.what.tell_customer {
        let reply = Reply {
            body: told(ticket.fields().number),
            then: Then::Keep,
            ..Reply::default()
        };
        (_, conversation) = acts::reply(tx, &planned.id, None, reply, &hand).await?;
        ticket = record::get(&mut tx.reading(), &ticket.id).await?;
    }
    let mut result = object(Conversation::NAME, conversation.view()?);
    result.insert(Ticket::NAME.to_owned(), ticket.view()?);
    planned.answer(tx, result, [conversation.id, ticket.id]).await
}
