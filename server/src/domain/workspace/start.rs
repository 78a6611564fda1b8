//! What a tenant finds in a workspace that nobody has touched yet (catalogue.md §3.1): a channel, a bot, a window for its
//! site, and three flows that are switched off. Made once, whichever replica comes first; what people delete of it stays deleted.

use super::{
    flow::{book, definition::Definition},
    kinds::{
        bot::{Bot, Handoff},
        channel::{Channel, ChannelDelivery, ChannelType, Routing},
        widget::{Theme, Widget},
    },
    record::{self, Document, Who},
};
use crate::{
    domain::DomainError,
    store::{StoreError, TenantTx},
};

/// The setting that says it was made.
const DONE: &str = "workspace.started";
/// The channel's id, the same for everybody who makes it at once.
pub(crate) const SUPPORT: &str = "chn_support";

/// Flows to begin with.
const FLOWS: [&str; 3] = [
    r#"
name = "Urgent tickets"
trigger = "ticket.created"
conditions = [{ field = "ticket.priority", op = "eq", value = "urgent" }]
steps = [{ action = "add_internal_note", body = "Urgent: #{{ticket.number}} needs its first answer within the hour." }]
"#,
    r#"
name = "Accounts at risk"
trigger = "account.went_at_risk"
steps = [{ action = "create_ticket", title = "Call {{account.name}}", description = "The account went at risk.", priority = "high" }]
"#,
    r#"
name = "Large leads"
trigger = "lead.created"
conditions = [{ field = "lead.value_cents", op = "gte", value = 1000000 }]
steps = [{ action = "add_internal_note", body = "A large one: call {{lead.name}} today." }]
"#,
];

/// Makes the first records of a tenant, unless that was done. `false`: it was.
///
/// # Errors
/// When the store fails.
pub(crate) async fn ensure(tx: &mut TenantTx<'_>) -> Result<bool, DomainError> {
    if tx.settings().get::<bool>(DONE).await?.unwrap_or_default() {
        return Ok(false);
    }
    tx.settings().set(DONE, &true).await?;
    let who = Who::system("start");
    let channel = Channel {
        name: "Support".to_owned(),
        slug: "support".to_owned(),
        kind: ChannelType::Email,
        active: true,
        routing: Routing::RoundRobin,
        delivery: ChannelDelivery {
            adapter: "none".to_owned(),
            target: None,
        },
        ..Channel::default()
    };
    let made = record::insert_as(tx, SUPPORT, Document::new(channel), &who).await;
    match made {
        Ok(_) => {}
        // Somebody made a channel of that name by hand; the rest is theirs to make, too.
        Err(DomainError::Conflict(_) | DomainError::Store(StoreError::Conflict { .. })) => return Ok(true),
        Err(error) => return Err(error),
    }
    let bot = Bot {
        name: "Assistant".to_owned(),
        enabled: false,
        persona: "Answers from the knowledge base, briefly and kindly.".to_owned(),
        tone: "friendly".to_owned(),
        handoff: Handoff::default(),
        answer_threshold: 0.35,
        channels: vec![SUPPORT.to_owned()],
        ..Bot::default()
    };
    record::insert_as(tx, "bot_assistant", Document::new(bot), &who).await?;
    let widget = Widget {
        name: "Website".to_owned(),
        active: false,
        channel_id: SUPPORT.to_owned(),
        welcome_message: "Hello! How can we help?".to_owned(),
        theme: Theme::default(),
        ask_email: true,
        ..Widget::default()
    };
    record::insert_as(tx, "wgt_website", Document::new(widget), &who).await?;
    for text in FLOWS {
        let flow = Definition::read(text).map_err(DomainError::internal)?;
        book::apply(tx, &flow, &who.name).await?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_flows_are_definitions() {
        for text in FLOWS {
            Definition::read(text).unwrap();
        }
    }
}
