//! `list_accounts` and `get_account`.

use serde::Deserialize;

use crate::{
    domain::{
        Call, HandlerResult, Outcome,
        workspace::{
            kinds::{account::Account, contact::Contact, opportunity::Opportunity, ticket::Ticket},
            listing::{Filter, Filters},
            record::{Kind, Stored},
            refs, related,
            write::object,
        },
    },
    store::{Condition, FieldValue, TenantTx},
};

/// What accounts are filtered by.
pub(super) const FILTERS: Filters = &[
    ("lifecycle_stage", "lifecycle_stage", Filter::Word),
    ("owner", "owner", Filter::Person),
    ("max_health", "health_score", Filter::AtMost),
];
/// Open tickets are counted up to this many.
const MOST_COUNTED: u32 = 1_000;

#[derive(Debug, Deserialize)]
struct GetArguments {
    id: String,
}

/// One company with its people and its deals.
pub(super) async fn get(tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let arguments: GetArguments = call.arguments.parse()?;
    let account: Stored<Account> = refs::get(&mut tx.reading(), &arguments.id, true).await?;
    let mut out = object(Account::NAME, account.view()?);
    let people = related::by::<Contact>(tx, "account_id", &account.id, 25).await?;
    out.insert("contacts".to_owned(), related::summaries(&people)?);
    let deals = related::by::<Opportunity>(tx, "account_id", &account.id, 25).await?;
    out.insert("opportunities".to_owned(), related::summaries(&deals)?);
    out.insert("notes".to_owned(), related::notes(tx, &account.id, 10).await?);
    let open = ["open", "in_progress", "waiting"].map(FieldValue::from);
    let open = [
        Condition::is("account_id", account.id.as_str()),
        Condition::OneOf("status".to_owned(), open.into()),
    ];
    let open = tx.records(Ticket::NAME).count(&open, MOST_COUNTED).await?;
    out.insert("open_tickets".to_owned(), open.into());
    Ok(Outcome::structured(&out)?.touching([account.id]))
}
