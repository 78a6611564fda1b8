//! `list_opportunities` and `get_opportunity`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    domain::{
        Call, DomainError, HandlerResult, Outcome,
        workspace::{
            engine::Desk,
            history,
            kinds::{account::Account, contact::Contact, opportunity::Opportunity},
            listing::{self, Filter, Filters},
            record::{self, Kind, Stored},
            refs, related,
            write::object,
        },
    },
    store::{TenantTx, Total},
};

/// What opportunities are filtered by.
const FILTERS: Filters = &[
    ("stage", "stage", Filter::Word),
    ("account_id", "account_id", Filter::Record("account")),
    ("owner", "owner", Filter::Person),
    ("closing_before", "close_date", Filter::Before),
    ("min_amount_cents", "amount_cents", Filter::AtLeast),
];
/// Deals that totals are made of, at most: to add more up would keep others waiting.
const MOST_SUMMED: u32 = 100_000;
/// Currencies with sums of their own; nobody deals in more, and codes are any three letters.
const MOST_CURRENCIES: usize = 20;

/// Deals, and what they come to.
pub(super) async fn list(desk: &Desk, tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let page = listing::page::<Opportunity>(desk, tx, &call, FILTERS).await?;
    let mut out = page.view()?;
    let apart = tx
        .records(Opportunity::NAME)
        .totals(
            &page.conditions,
            ("amount_cents", "probability"),
            "currency",
            MOST_SUMMED,
        )
        .await?;
    out.insert("totals".to_owned(), totals(apart).into());
    let ids = page.items.iter().map(|item| item.id.clone());
    Ok(Outcome::structured(&out)?.touching(ids.take(20)))
}

/// What deals come to. Where they are in one currency it is named; where they are in several, each has sums of its own, and
/// cents are added up as they are.
fn totals(mut apart: Vec<(String, Total)>) -> Map<String, Value> {
    let mut all = Total::default();
    for (_, one) in &apart {
        all.count += one.count;
        all.sum += one.sum;
        all.product += one.product;
    }
    let mut totals = sums(&all);
    if all.count == i64::from(MOST_SUMMED) {
        totals.insert("at_least".to_owned(), true.into());
    }
    let named = |(currency, total): &(String, Total)| {
        let mut sums = sums(total);
        sums.insert("currency".to_owned(), currency.as_str().into());
        Value::Object(sums)
    };
    match apart.as_slice() {
        [] => {}
        [(currency, _)] => {
            totals.insert("currency".to_owned(), currency.as_str().into());
        }
        _ => {
            // Of most deals first; they stand in the order of their names, and stay in it.
            apart.sort_by_key(|(_, total)| std::cmp::Reverse(total.count));
            let shown = apart.iter().take(MOST_CURRENCIES).map(named);
            totals.insert("by_currency".to_owned(), shown.collect());
        }
    }
    totals
}

fn sums(total: &Total) -> Map<String, Value> {
    let pairs = [
        ("count", json!(total.count)),
        ("amount_cents", json!(total.sum)),
        ("weighted_cents", json!(hundredth(total.product))),
    ];
    pairs
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

/// The hundredth part of a sum, half to even (catalogue.md §3.7).
fn hundredth(sum: i128) -> i128 {
    let (whole, rest) = (sum.div_euclid(100), sum.rem_euclid(100));
    whole + i128::from(rest > 50 || (rest == 50 && whole % 2 != 0))
}

#[derive(Debug, Deserialize)]
struct GetArguments {
    id: String,
}

/// One deal with its people and its way through the stages.
pub(super) async fn get(tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let arguments: GetArguments = call.arguments.parse()?;
    let deal: Stored<Opportunity> = refs::get(&mut tx.reading(), &arguments.id, true).await?;
    let mut out = object(Opportunity::NAME, deal.view()?);
    if let Some(account) = record::find::<Account>(&mut tx.reading(), &deal.fields().account_id).await? {
        out.insert(Account::NAME.to_owned(), account.summary()?);
    }
    let mut people = Vec::new();
    for id in &deal.fields().contact_ids {
        if let Some(contact) = record::find::<Contact>(&mut tx.reading(), id).await? {
            people.push(contact);
        }
    }
    out.insert("contacts".to_owned(), related::summaries(&people)?);
    out.insert("stage_history".to_owned(), stages(tx, &deal).await?.into());
    out.insert("notes".to_owned(), related::notes(tx, &deal.id, 10).await?);
    Ok(Outcome::structured(&out)?.touching([deal.id]))
}

/// The changes of its stage alone, newest first.
async fn stages(tx: &mut TenantTx<'_>, deal: &Stored<Opportunity>) -> Result<Vec<Value>, DomainError> {
    let all = history::of(tx, deal, 100).await?;
    let moved = all.into_iter().filter_map(|change| {
        let fields = change.get("fields")?.as_array()?;
        let stage = fields
            .iter()
            .find(|field| field.get("field").is_some_and(|name| name == "stage"))?;
        Some(json!({
            "at": change.get("at")?,
            "by": change.get("by")?,
            "from": stage.get("from"),
            "to": stage.get("to"),
        }))
    });
    Ok(moved.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighted_cents_are_rounded_half_to_even() {
        for (sum, cents) in [
            (0, 0),
            (49, 0),
            (50, 0),
            (51, 1),
            (150, 2),
            (250, 2),
            (251, 3),
            (10_000, 100),
        ] {
            assert_eq!(hundredth(sum), cents, "{sum}");
        }
    }
}
