//! `list_contacts` and `get_contact`.

use serde::Deserialize;

use crate::{
    domain::{
        Call, HandlerResult, Outcome,
        workspace::{
            kinds::{account::Account, contact::Contact, conversation::Conversation, ticket::Ticket},
            listing::{Filter, Filters},
            record::{self, Kind, Stored},
            refs, related,
            write::object,
        },
    },
    store::{Condition, FieldValue, TenantTx},
};

/// What contacts are filtered by.
pub(super) const FILTERS: Filters = &[
    ("account_id", "account_id", Filter::Record("account")),
    ("owner", "owner", Filter::Person),
    ("email", "email", Filter::Text),
];

#[derive(Debug, Deserialize)]
struct GetArguments {
    id: String,
}

/// One contact with its company and what is open.
pub(super) async fn get(tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let arguments: GetArguments = call.arguments.parse()?;
    let contact: Stored<Contact> = refs::get(&mut tx.reading(), &arguments.id, true).await?;
    let mut out = object(Contact::NAME, contact.view()?);
    if let Some(account) = record::find::<Account>(&mut tx.reading(), &contact.fields().account_id).await? {
        out.insert(Account::NAME.to_owned(), account.summary()?);
    }
    let open = |field: &str, words: &[&str]| {
        let words = words.iter().map(|word| FieldValue::from(*word)).collect();
        vec![
            Condition::is(field, contact.id.as_str()),
            Condition::OneOf("status".to_owned(), words),
        ]
    };
    let talking = open("contact_id", &["open", "assigned", "waiting"]);
    let talking = related::meeting::<Conversation>(tx, talking, 10).await?;
    out.insert("open_conversations".to_owned(), related::summaries(&talking)?);
    let asked = open("requester", &["open", "in_progress", "waiting"]);
    let asked = related::meeting::<Ticket>(tx, asked, 10).await?;
    out.insert("open_tickets".to_owned(), related::summaries(&asked)?);
    out.insert("notes".to_owned(), related::notes(tx, &contact.id, 10).await?);
    Ok(Outcome::structured(&out)?.touching([contact.id]))
}
