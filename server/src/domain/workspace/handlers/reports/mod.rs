//! The four reports of catalogue.md §3.4: what the store counts and takes out (`rows`), put into the formulas of §3.7.

pub(in crate::domain::workspace) mod charts;
mod overview;
mod rows;

use serde::Serialize;
use serde_json::{Map, Value, json};

use self::rows::Gathered;
use crate::{
    domain::{
        Call, DomainError, HandlerResult, Handlers, Outcome,
        workspace::{
            kinds::channel::Channel,
            refs,
            report::{
                conversations,
                period::{Asked, Period},
                pipeline, tickets,
            },
        },
    },
    store::TenantTx,
};

/// The tenant's setting with the time zone of its days.
const ZONE_SETTING: &str = "workspace.time_zone";

pub(super) fn register(table: &mut Handlers) {
    table.read("reports::overview", |tx, call| {
        Box::pin(overview::overview(tx, call))
    });
    table.read("reports::conversations", |tx, call| {
        Box::pin(conversation_report(tx, call))
    });
    table.read("reports::tickets", |tx, call| Box::pin(ticket_report(tx, call)));
    table.read("reports::pipeline", |tx, call| {
        Box::pin(pipeline_report(tx, call))
    });
}

/// The period that a call asks for, and the one before it, if it is to be compared.
async fn periods(tx: &mut TenantTx<'_>, call: &Call) -> Result<(Period, Option<Period>), DomainError> {
    let arguments = call.arguments.as_map();
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    let own = own_zone(tx).await?;
    let asked = Asked {
        period: text("period").unwrap_or("30d"),
        from: text("from"),
        to: text("to"),
        time_zone: text("time_zone").unwrap_or(&own),
    };
    let period = Period::of(asked, call.now).map_err(|error| DomainError::argument(error.to_string()))?;
    let compares = arguments.get("compare").and_then(Value::as_bool).unwrap_or(true);
    let before = compares.then(|| period.before());
    Ok((period, before))
}

/// The time zone of the tenant's days.
async fn own_zone(tx: &mut TenantTx<'_>) -> Result<String, DomainError> {
    let own: Option<String> = tx.settings().get(ZONE_SETTING).await?;
    Ok(own.unwrap_or_else(|| "UTC".to_owned()))
}

/// The user that an argument names, as rows name people.
async fn person(tx: &mut TenantTx<'_>, call: &Call, name: &str) -> Result<Option<String>, DomainError> {
    let Some(text) = call.arguments.as_map().get(name).and_then(Value::as_str) else {
        return Ok(None);
    };
    if text == "unassigned" {
        return Ok(Some(String::new()));
    }
    let me = &call.permit.principal().facts().user;
    let user = refs::user(&mut tx.reading(), me, text).await?;
    Ok(Some(rows::name_of(&user)))
}

/// Whether a row is somebody's whom an argument names; nobody is the empty text.
fn is_of(wanted: Option<&String>, person: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| person.unwrap_or_default() == wanted)
}

/// A report of a period, beside the same of the period before.
fn compared<T: Serialize, L: Serialize>(
    period: &Period,
    before: Option<&Period>,
    partial: bool,
    of: impl Fn(&Period) -> (T, Vec<L>),
) -> HandlerResult {
    let (totals, lines) = of(period);
    let previous = before.map(|before| json!(of(before).0));
    report(period, json!(totals), previous, json!(lines), partial)
}

/// A report as a reader sees it.
fn report(
    period: &Period,
    totals: Value,
    previous: Option<Value>,
    lines: Value,
    partial: bool,
) -> HandlerResult {
    let mut out = Map::new();
    out.insert("period".to_owned(), json!(period.view()));
    out.insert("totals".to_owned(), totals);
    if let Some(previous) = previous {
        out.insert("previous".to_owned(), previous);
    }
    out.insert("rows".to_owned(), lines);
    if partial {
        let note = format!(
            "only {} records were looked at; ask for a shorter period",
            rows::MOST_ROWS
        );
        out.insert("note".to_owned(), note.into());
    }
    Outcome::structured(&Value::Object(out))
}

async fn conversation_report(tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let (period, before) = periods(tx, &call).await?;
    let channel = match call.arguments.as_map().get("channel").and_then(Value::as_str) {
        Some(text) => Some(
            refs::get::<Channel>(&mut tx.reading(), text, true)
                .await?
                .doc
                .fields
                .name,
        ),
        None => None,
    };
    let member = person(tx, &call, "member").await?;
    let by = match call.arguments.as_map().get("group_by").and_then(Value::as_str) {
        Some("week") => conversations::Grouping::Week,
        Some("channel") => conversations::Grouping::Channel,
        Some("member") => conversations::Grouping::Member,
        _ => conversations::Grouping::Day,
    };
    let since = before.as_ref().unwrap_or(&period).from;
    let Gathered { mut rows, partial } = rows::conversations(tx, since, period.to).await?;
    rows.retain(|row| {
        channel.as_ref().is_none_or(|wanted| row.channel == *wanted)
            && is_of(member.as_ref(), row.member.as_deref())
    });
    compared(&period, before.as_ref(), partial, |period| {
        conversations::report(&rows, period, by)
    })
}

async fn ticket_report(tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let (period, before) = periods(tx, &call).await?;
    let priority = call.arguments.as_map().get("priority").and_then(Value::as_str);
    let assignee = person(tx, &call, "assignee").await?;
    let by = match call.arguments.as_map().get("group_by").and_then(Value::as_str) {
        Some("week") => tickets::Grouping::Week,
        Some("priority") => tickets::Grouping::Priority,
        Some("assignee") => tickets::Grouping::Assignee,
        Some("status") => tickets::Grouping::Status,
        _ => tickets::Grouping::Day,
    };
    let since = before.as_ref().unwrap_or(&period).from;
    let Gathered { mut rows, partial } = rows::tickets(tx, since, period.to).await?;
    rows.retain(|row| {
        priority.is_none_or(|wanted| row.priority == wanted)
            && is_of(assignee.as_ref(), row.assignee.as_deref())
    });
    compared(&period, before.as_ref(), partial, |period| {
        tickets::report(&rows, period, by)
    })
}

async fn pipeline_report(tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let (period, before) = periods(tx, &call).await?;
    let owner = person(tx, &call, "owner").await?;
    let by = match call.arguments.as_map().get("group_by").and_then(Value::as_str) {
        Some("owner") => pipeline::Grouping::Owner,
        Some("month") => pipeline::Grouping::Month,
        _ => pipeline::Grouping::Stage,
    };
    let since = before.as_ref().unwrap_or(&period).from;
    let Gathered { mut rows, partial } = rows::deals(tx, since, period.to).await?;
    rows.retain(|row| is_of(owner.as_ref(), Some(&row.owner)));
    let (totals, lines) = pipeline::report(&rows, &period, by, call.now);
    // What is open is so now and not in an earlier period, so of that only what ended compares.
    let previous = before.map(|before| {
        let (totals, _) = pipeline::report(&rows, &before, by, call.now);
        json!({ "won_cents": totals.won_cents, "win_rate": totals.win_rate, "avg_cycle_days": totals.avg_cycle_days })
    });
    report(&period, json!(totals), previous, json!(lines), partial)
}
