//! `add_conversation_note`: what the team says to itself.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::planned::{self, Key, Taken};
use crate::{
    domain::{
        Apply, Change, DomainError, Plan, PlanCall, ToolResult,
        workspace::{
            kinds::{conversation::Conversation, message::Message},
            record::{Kind, Stored},
            refs,
            talk::acts,
            write::{self, object},
        },
    },
    outbox::{Event, Letter, Recipients, announce},
    store::{ReadTx, TenantTx},
    vocabulary::UserId,
};

#[derive(Debug, Deserialize)]
struct NoteArguments {
    body: String,
    #[serde(default)]
    mentions: Vec<String>,
}

/// A note on its way.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    body: String,
    mentions: Vec<String>,
}

/// Plans a note.
pub(super) async fn plan(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let once = match planned::key(tx, &call).await? {
        Key::Fresh(once) => once,
        Key::Replay(plan) => return Ok(plan),
    };
    let before: Stored<Conversation> = write::named(tx, &call).await?;
    let reader = write::reader::<Conversation>(&call)?;
    let me = call.principal().facts().user.clone();
    let arguments: NoteArguments = call.arguments.parse()?;
    let label = planned::label(&before);
    let mut plan = Plan::new(format!("Note on the conversation {}", reader.text(&label)))
        .with(Change::create(Message::NAME, "note", arguments.body.as_str()));
    let mut mentions = Vec::new();
    for text in &arguments.mentions {
        let user = refs::user(tx, &me, text).await?;
        refs::working(&user)?;
        if !mentions.contains(&user.id.to_string()) {
            plan = plan.with_effect(format!("{} is told", refs::person(&user)));
            mentions.push(user.id.to_string());
        }
    }
    let note = Note {
        body: arguments.body,
        mentions,
    };
    planned::carrying(plan, &before.id, &note, once)
}

/// Adds what was planned, and tells whoever it is for.
pub(super) async fn carry_out(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let planned = match planned::take::<Note>(&apply)? {
        Taken::Do(planned) => planned,
        Taken::Done(result) => return Ok(result),
    };
    let hand = planned::hand(tx, &apply).await?;
    let (id, mentions) = (planned.id.as_str(), planned.what.mentions.clone());
    let note = acts::note(tx, id, &planned.what.body, mentions, &hand).await?;
    for user in &note.fields().mentions {
        let Ok(user) = UserId::new(user) else { continue };
        let letter = Letter {
            subject: format!("You were mentioned by {}", note.fields().author.name),
            text: note.fields().body.clone(),
            path: format!("/console/inbox/{id}"),
        };
        let data = json!({ "conversation_id": id, "message_id": note.id });
        let event = Event::new(
            "conversation.mention",
            tx.now(),
            data,
            letter,
            Recipients::Person(user),
        );
        announce(tx, event).await?;
    }
    let result = object(Message::NAME, note.view()?);
    planned.answer(tx, result, [id.to_owned(), note.id]).await
}
