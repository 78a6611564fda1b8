//! `assign_conversation` and `close_conversation`: in whose hands it is, and when it is out of them.

use serde::{Deserialize, Serialize};

use super::planned::{self, Taken};
use crate::{
    domain::{
        Apply, Change, DomainError, Plan, PlanCall, ToolResult,
        workspace::{
            change::{self, Names},
            kinds::{
                channel::Channel,
                conversation::{Conversation, ConversationStatus},
                message::Message,
            },
            record::{self, Kind, Stored},
            refs,
            sla::rules,
            talk::{
                acts::{self, Meant},
                moves,
            },
            write::{self, object},
        },
    },
    store::{ReadTx, TenantTx},
};

#[derive(Debug, Deserialize)]
struct AssignArguments {
    assignee: String,
    note: Option<String>,
}

/// An assignment on its way.
#[derive(Debug, Serialize, Deserialize)]
struct Assign {
    assignee: Option<String>,
    /// Whether the channel's rule chose.
    by_rule: bool,
    note: Option<String>,
}

/// Plans to give a conversation to somebody, to nobody, or to whom the channel's rule chooses.
pub(super) async fn plan_assign(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let before: Stored<Conversation> = write::named(tx, &call).await?;
    let reader = write::reader::<Conversation>(&call)?;
    let me = call.principal().facts().user.clone();
    let arguments: AssignArguments = call.arguments.parse()?;
    let channel = record::get::<Channel>(tx, &before.fields().channel_id).await?;
    let Meant {
        user: chosen,
        by_rule,
    } = acts::meant(tx, &channel, &me, &arguments.assignee).await?;
    let mut after = before.doc.clone();
    let assignee = chosen.as_ref().map(|user| user.id.to_string());
    moves::assign(&mut after.fields, assignee.clone());
    let to = chosen.as_ref().map_or_else(|| "nobody".to_owned(), refs::person);
    let label = planned::label(&before);
    let mut plan = Plan::new(format!("Assign the conversation {} to {to}", reader.text(&label)));
    let mut names = Names::default();
    planned::name_person(tx, &mut names, before.fields().assignee.as_deref()).await?;
    planned::name_person(tx, &mut names, assignee.as_deref()).await?;
    let changed;
    (plan, changed) = change::changes(plan, Some(&before), &after, &reader, &names)?;
    if changed.is_empty() {
        plan = plan.with_warning("nothing would change");
    }
    if by_rule && chosen.is_none() {
        plan = plan.with_warning("the channel's rule finds nobody; the conversation stays with nobody");
    }
    if let Some(note) = &arguments.note {
        plan = plan.with(Change::create(Message::NAME, "note", note.as_str()));
    }
    let assign = Assign {
        assignee,
        by_rule,
        note: arguments.note,
    };
    planned::carrying(plan, &before.id, &assign, None)
}

/// Assigns as was planned.
pub(super) async fn assign(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let planned = match planned::take::<Assign>(&apply)? {
        Taken::Do(planned) => planned,
        Taken::Done(result) => return Ok(result),
    };
    let hand = planned::hand(tx, &apply).await?;
    let (id, version) = (planned.id.as_str(), planned.version(&apply));
    let Assign {
        assignee,
        by_rule,
        note,
    } = &planned.what;
    let found = acts::assign(tx, id, version, assignee.clone(), *by_rule, &hand).await?;
    if let Some(note) = note {
        acts::note(tx, id, note, Vec::new(), &hand).await?;
    }
    planned
        .answer(tx, object(Conversation::NAME, found.view()?), [found.id])
        .await
}

#[derive(Debug, Serialize, Deserialize)]
struct CloseArguments {
    resolution: Option<String>,
}

/// Plans to resolve a conversation.
pub(super) async fn plan_close(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let before: Stored<Conversation> = write::named(tx, &call).await?;
    let reader = write::reader::<Conversation>(&call)?;
    let arguments: CloseArguments = call.arguments.parse()?;
    let label = planned::label(&before);
    let mut plan = Plan::new(format!("Resolve the conversation {}", reader.text(&label)));
    if before.fields().status == ConversationStatus::Resolved {
        plan = plan
            .with_warning("it is resolved already; nothing would change")
            .on(Conversation::NAME, before.id.as_str(), before.version);
    } else {
        let rules = rules::of(tx, Some(&before.fields().channel_id)).await?;
        let mut after = before.doc.clone();
        moves::resolve(&mut after.fields, &rules, call.now);
        (plan, _) = change::changes(plan, Some(&before), &after, &reader, &Names::default())?;
        if let Some(resolution) = &arguments.resolution {
            plan = plan.with(Change::create(Message::NAME, "note", resolution.as_str()));
        }
    }
    planned::carrying(plan, &before.id, &arguments, None)
}

/// Resolves as was planned.
pub(super) async fn close(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let planned = match planned::take::<CloseArguments>(&apply)? {
        Taken::Do(planned) => planned,
        Taken::Done(result) => return Ok(result),
    };
    let hand = planned::hand(tx, &apply).await?;
    let (version, resolution) = (planned.version(&apply), planned.what.resolution.as_deref());
    let (found, changed) = acts::close(tx, &planned.id, version, resolution, &hand).await?;
    let mut result = object(Conversation::NAME, found.view()?);
    if !changed {
        result.insert("unchanged".to_owned(), true.into());
    }
    planned.answer(tx, result, [found.id]).await
}
