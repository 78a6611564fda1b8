//! The records of an event: its subject, and those that the subject names, as far as a flow looks at them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::facts::Facts;
use crate::{
    domain::{
        DomainError,
        workspace::{
            events::Event,
            kinds::{
                account::Account, contact::Contact, conversation::Conversation, lead::Lead, message::Message,
                opportunity::Opportunity, ticket::Ticket,
            },
            record::{self, Kind},
        },
    },
    store::ReadTx,
};

/// Steps from the subject: a message's conversation's contact's account.
const DEEPEST: usize = 3;

/// Records that were read for an event in one transaction, by kind and id: each is read once, however many flows look at it.
#[derive(Default)]
pub(crate) struct Seen(HashMap<(String, String), Option<Value>>);

impl Seen {
    /// A record as it was when it was first asked for.
    pub(super) async fn view(
        &mut self,
        tx: &mut ReadTx<'_>,
        kind: &str,
        id: &str,
    ) -> Result<Option<Value>, DomainError> {
        let place = (kind.to_owned(), id.to_owned());
        if let Some(known) = self.0.get(&place) {
            return Ok(known.clone());
        }
        let found = view(tx, kind, id).await?;
        self.0.insert(place, found.clone());
        Ok(found)
    }
}

/// The facts of an event. `wanted` are the kinds of records that anybody will look at; nothing else is read.
///
/// # Errors
/// When the store fails.
pub(crate) async fn facts(
    tx: &mut ReadTx<'_>,
    event: &Event,
    is_custom: bool,
    wanted: &[String],
    seen: &mut Seen,
) -> Result<Facts, DomainError> {
    let (kind, id) = &event.subject;
    let mut facts = Facts::default();
    if is_custom {
        facts.after.insert("payload".to_owned(), event.data.clone());
        if let Some(subject) = seen.view(tx, kind, id).await? {
            facts.after.insert(kind.clone(), subject);
        }
    } else {
        facts.after.insert(kind.clone(), event.data.clone());
        if let Some(before) = &event.before {
            facts.before.insert(kind.clone(), before.clone());
        }
    }
    for _ in 0..DEEPEST {
        let missing = |name: &str| wanted.iter().any(|kind| kind == name) && !facts.after.contains_key(name);
        if !LINKED.iter().any(|(_, _, to)| missing(to)) {
            break;
        }
        let found = named(&facts.after);
        for (kind, id) in found {
            if !facts.after.contains_key(kind)
                && let Some(record) = seen.view(tx, kind, &id).await?
            {
                facts.after.insert(kind.to_owned(), record);
            }
        }
    }
    Ok(facts)
}

/// Which field of which record names which.
const LINKED: &[(&str, &str, &str)] = &[
    ("message", "conversation_id", Conversation::NAME),
    ("conversation", "contact_id", Contact::NAME),
    ("conversation", "ticket_id", Ticket::NAME),
    ("ticket", "requester", Contact::NAME),
    ("ticket", "account_id", Account::NAME),
    ("ticket", "conversation_id", Conversation::NAME),
    ("contact", "account_id", Account::NAME),
    ("opportunity", "account_id", Account::NAME),
];

/// What the records at hand name.
fn named(records: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let id = |(from, field, to): &(&str, &str, &'static str)| {
        let id = records.get(*from)?.get(*field)?.as_str()?;
        Some((*to, id.to_owned()))
    };
    LINKED.iter().filter_map(id).collect()
}

/// A record by its kind and id, as answers show it; `None` for kinds that flows do not look at.
///
/// # Errors
/// When the store fails.
pub(crate) async fn view(tx: &mut ReadTx<'_>, kind: &str, id: &str) -> Result<Option<Value>, DomainError> {
    match kind {
        "lead" => one::<Lead>(tx, id).await,
        "contact" => one::<Contact>(tx, id).await,
        "account" => one::<Account>(tx, id).await,
        "opportunity" => one::<Opportunity>(tx, id).await,
        "conversation" => one::<Conversation>(tx, id).await,
        "message" => one::<Message>(tx, id).await,
        "ticket" => one::<Ticket>(tx, id).await,
        _ => Ok(None),
    }
}

async fn one<K: Kind>(tx: &mut ReadTx<'_>, id: &str) -> Result<Option<Value>, DomainError> {
    let found = record::find::<K>(tx, id).await?;
    found.map(|record| record.view()).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::workspace::record::Link;

    /// What a flow follows is what the kinds say of themselves.
    #[test]
    fn links_are_those_of_the_kinds() {
        let declared = |kind: &str| match kind {
            "message" => Message::LINKS,
            "conversation" => Conversation::LINKS,
            "ticket" => Ticket::LINKS,
            "contact" => Contact::LINKS,
            _ => Opportunity::LINKS,
        };
        for (from, field, to) in LINKED {
            // A message's conversation is its place and no reference that callers write.
            if *from != "message" {
                assert!(
                    declared(from).contains(&(*field, Link::Record(to))),
                    "{from}.{field}"
                );
            }
        }
    }
}
