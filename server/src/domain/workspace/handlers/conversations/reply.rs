//! `reply_to_conversation`: the one tool here whose effect leaves the house.

use serde::Deserialize;

use super::planned::{self, Key, Taken};
use crate::{
    domain::{
        Apply, Change, DomainError, Plan, PlanCall, ToolResult,
        workspace::{
            change::{self, Names},
            kinds::{
                article::Article,
                channel::Channel,
                conversation::Conversation,
                message::{Format, Message},
            },
            record::{self, Kind, Stored},
            refs,
            sla::rules,
            talk::{
                acts::{self, Reply},
                moves::Then,
                outbound,
            },
            write::{self, object},
        },
    },
    store::{ReadTx, TenantTx},
};

#[derive(Debug, Deserialize)]
struct ReplyArguments {
    body: String,
    #[serde(default)]
    format: Format,
    #[serde(default)]
    article_ids: Vec<String>,
    #[serde(default)]
    then: Then,
}

/// Plans a reply.
pub(super) async fn plan(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let once = match planned::key(tx, &call).await? {
        Key::Fresh(once) => once,
        Key::Replay(plan) => return Ok(plan),
    };
    let before: Stored<Conversation> = write::named(tx, &call).await?;
    let reader = write::reader::<Conversation>(&call)?;
    let me = call.principal().facts().user.to_string();
    let arguments: ReplyArguments = call.arguments.parse()?;
    let channel = record::get::<Channel>(tx, &before.fields().channel_id).await?;
    let route = outbound::route(tx, channel.fields(), before.fields()).await?;
    let (article_ids, body) = with_articles(tx, &arguments).await?;

    let label = planned::label(&before);
    let to = route.address().map_or_else(String::new, |address| {
        format!(" by mail to {}", reader.text(address))
    });
    let mut plan = Plan::new(format!("Reply{to} in the conversation {}", reader.text(&label)))
        .with(Change::create(Message::NAME, "body", body.as_str()));
    let rules = rules::of_channel(tx, Some(channel.fields())).await?;
    let mut after = before.doc.clone();
    acts::replied(&mut after.fields, &rules, arguments.then, &me, call.now);
    let mut names = Names::default();
    planned::name_person(tx, &mut names, Some(&me)).await?;
    (plan, _) = change::changes(plan, Some(&before), &after, &reader, &names)?;
    plan = plan.with_effect(route.effect());
    if before
        .fields()
        .assignee
        .as_ref()
        .is_some_and(|assignee| *assignee != me)
    {
        plan = plan.with_warning("the conversation is somebody else's");
    }
    let reply = Reply {
        body,
        format: arguments.format,
        article_ids,
        then: arguments.then,
    };
    planned::carrying(plan, &before.id, &reply, once)
}

/// The ids of articles, and the body with their titles below it. Only what everybody may read is sent outside.
async fn with_articles(
    tx: &mut ReadTx<'_>,
    arguments: &ReplyArguments,
) -> Result<(Vec<String>, String), DomainError> {
    let mut ids = Vec::new();
    let mut body = arguments.body.clone();
    for named in &arguments.article_ids {
        let article: Stored<Article> = refs::get(tx, named, false).await?;
        if !article.fields().is_quotable() {
            return Err(DomainError::Rule(format!(
                "the article {named} is not published for everybody; publish it as public, or leave it out"
            )));
        }
        if ids.is_empty() {
            body.push_str("\n\nSee also:");
        }
        body.push_str(&format!("\n- {}", article.fields().title));
        ids.push(article.id);
    }
    Ok((ids, body))
}

/// Sends what was planned.
pub(super) async fn carry_out(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let planned = match planned::take::<Reply>(&apply)? {
        Taken::Do(planned) => planned,
        Taken::Done(result) => return Ok(result),
    };
    let hand = planned::hand(tx, &apply).await?;
    let version = planned.version(&apply);
    let (message, conversation) = acts::reply(tx, &planned.id, version, planned.what.clone(), &hand).await?;
    let mut result = object(Message::NAME, message.view()?);
    result.insert(Conversation::NAME.to_owned(), conversation.view()?);
    planned.answer(tx, result, [conversation.id, message.id]).await
}
