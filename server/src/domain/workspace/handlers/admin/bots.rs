//! `list_bots` and `update_bot`.

use std::sync::Arc;

use serde_json::json;

use crate::{
    domain::{
        Call, DomainError, HandlerResult, Handlers, Outcome, Plan, PlanCall,
        workspace::{
            engine::Desk,
            kinds::{bot::Bot, conversation::Conversation},
            listing::{self, Filter, Filters},
            record::{Kind, Stored},
            refs, write,
        },
    },
    store::{Extract, ReadTx, TenantTx},
    vocabulary::Timestamp,
};

/// What bots are filtered by.
const FILTERS: Filters = &[("enabled", "enabled", Filter::Flag)];
/// How far back a bot's work is counted.
const COUNTED_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Conversations that are counted.
const MOST_COUNTED: u32 = 100_000;

pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    let this = Arc::clone(desk);
    table.read("bots::list", move |tx, call| {
        let desk = Arc::clone(&this);
        Box::pin(async move { list(&desk, tx, call).await })
    });
    table.planned(
        "bots::update",
        |tx, call| Box::pin(plan_update(tx, call)),
        |tx, apply| Box::pin(write::carry_out::<Bot>(tx, apply)),
    );
}

async fn list(desk: &Desk, tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let page = listing::page::<Bot>(desk, tx, &call, FILTERS).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for bot in &page.items {
        let (answered, handed_off) = work(tx, bot, call.now).await?;
        let mut view = bot.view()?;
        if let Some(view) = view.as_object_mut() {
            view.insert("answered_30d".to_owned(), answered.into());
            view.insert("handed_off_30d".to_owned(), handed_off.into());
        }
        items.push(view);
    }
    let ids = page.items.iter().map(|bot| bot.id.clone());
    Ok(Outcome::structured(&json!({ "items": items, "next_cursor": page.next_cursor }))?.touching(ids))
}

/// Conversations of the last 30 days that the bot answered alone, and those that it left to people.
async fn work(tx: &mut TenantTx<'_>, bot: &Stored<Bot>, now: Timestamp) -> Result<(i64, i64), DomainError> {
    let wanted = Extract {
        field: "created_at",
        one_of: Vec::new(),
        from: Some(now.plus_millis(-COUNTED_MS).into()),
        to: None,
        paths: &["channel_id", "bot_handled", "bot_silent"],
        most: MOST_COUNTED,
    };
    let (mut answered, mut handed_off) = (0, 0);
    for row in tx.records(Conversation::NAME).extract(&wanted).await? {
        let [channel, handled, silent] = row.values.as_slice() else {
            continue;
        };
        let is_ours = channel
            .as_ref()
            .is_some_and(|channel| bot.fields().channels.contains(channel));
        answered += i64::from(is_ours && handled.as_deref() == Some("true"));
        handed_off += i64::from(is_ours && silent.as_deref() == Some("true"));
    }
    Ok((answered, handed_off))
}

async fn plan_update(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let before = write::named::<Bot>(tx, &call).await?;
    let mut writing = write::update(tx, &call, before).await?;
    // An id is kept; callers may say slug or name.
    let handoff = &mut writing.doc.fields.handoff;
    if let Some(text) = &handoff.to_channel {
        let named = refs::record(tx, refs::kind("channel")?, text, true).await?;
        handoff.to_channel = Some(named.id);
    }
    let bot = &writing.doc.fields;
    if bot
        .directives
        .iter()
        .any(|directive| directive.when.trim().is_empty() || directive.action.trim().is_empty())
    {
        return Err(DomainError::argument("directives: each needs when and do"));
    }
    let summary = format!("Change {}", writing.reader.text(&writing.doc.fields.label()));
    writing.plan(&summary, &())
}
