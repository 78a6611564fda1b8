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
            record::{self, Kind, Stored, Who},
            refs,
            sla::rules,
            talk::{assign as by_rule, moves},
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
    let chosen = match arguments.assignee.as_str() {
        "unassigned" => None,
        "auto" => by_rule::choose(tx, &channel).await?,
        text => {
            let user = refs::user(tx, &me, text).await?;
            refs::working(&user)?;
            if !by_rule::is_in(channel.fields(), &user.id) {
                return Err(DomainError::Rule(format!(
                    "{} is not in the channel \"{}\"",
                    refs::person(&user),
                    channel.fields().name
                )));
            }
            Some(user)
        }
    };
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
    if arguments.assignee == "auto" && chosen.is_none() {
        plan = plan.with_warning("the channel's rule finds nobody; the conversation stays with nobody");
    }
    if let Some(note) = &arguments.note {
        plan = plan.with(Change::create(Message::NAME, "note", note.as_str()));
    }
    let assign = Assign {
        assignee,
        by_rule: arguments.assignee == "auto",
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
    let mut found = planned.conversation(tx).await?;
    if planned.what.assignee != found.fields().assignee {
        let who = Who::of(apply.permit.principal());
        let mut doc = found.doc.clone();
        moves::assign(&mut doc.fields, planned.what.assignee.clone());
        // A person has decided: the bot is out of it.
        doc.fields.bot_silent = true;
        if planned.what.by_rule && planned.what.assignee.is_some() {
            by_rule::turn(tx, &doc.fields.channel_id).await?;
        }
        found = planned.write(tx, &apply, &doc, &who).await?;
    }
    if let Some(note) = &planned.what.note {
        planned::add_note(tx, &apply, &found.id, note, Vec::new()).await?;
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
    let found = planned.conversation(tx).await?;
    // Two people may close it at once: the second finds it done.
    if found.fields().status == ConversationStatus::Resolved {
        let mut result = object(Conversation::NAME, found.view()?);
        result.insert("unchanged".to_owned(), true.into());
        return planned.answer(tx, result, [found.id]).await;
    }
    let who = Who::of(apply.permit.principal());
    let rules = rules::of(&mut tx.reading(), Some(&found.fields().channel_id)).await?;
    let mut doc = found.doc.clone();
    moves::resolve(&mut doc.fields, &rules, tx.now());
    let written = planned.write(tx, &apply, &doc, &who).await?;
    if let Some(resolution) = &planned.what.resolution {
        planned::add_note(tx, &apply, &written.id, resolution, Vec::new()).await?;
    }
    planned
        .answer(tx, object(Conversation::NAME, written.view()?), [written.id])
        .await
}
