//! `get_report_overview`: the headline numbers, beside those of the period before.

use serde_json::{Map, Value, json};

use super::{periods, rows};
use crate::{
    domain::{
        Call, DomainError, HandlerResult, Outcome,
        workspace::{
            kinds::{conversation::Conversation, lead::Lead, ticket::Ticket},
            report::{
                conversations::{self, ConversationRow},
                formula::{change_percent, mean, share},
                period::Period,
                pipeline::{self, DealRow},
                tickets::{self, TicketRow},
            },
        },
    },
    store::TenantTx,
    vocabulary::Timestamp,
};

/// A headline number: its key, its value in the period, and its unit.
type Figure = (&'static str, Option<f64>, &'static str);

/// What all periods are made of.
struct Rows {
    conversations: Vec<ConversationRow>,
    tickets: Vec<TicketRow>,
    deals: Vec<DealRow>,
}

pub(super) async fn overview(tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let (period, before) = periods(tx, &call).await?;
    let since = before.as_ref().unwrap_or(&period).from;
    let rows = Rows {
        conversations: rows::conversations(tx, since, period.to).await?.rows,
        tickets: rows::tickets(tx, since, period.to).await?.rows,
        deals: rows::deals(tx, since, period.to).await?.rows,
    };
    let mut now = figures(tx, &rows, &period, call.now).await?;
    let then = match &before {
        Some(before) => figures(tx, &rows, before, call.now).await?,
        None => Vec::new(),
    };
    now.extend(standing(tx, &rows, &period, call.now).await?);
    let metrics: Vec<Value> = now
        .iter()
        .map(|(key, value, unit)| {
            let previous = then.iter().find(|(other, ..)| other == key);
            metric(key, *value, unit, previous.and_then(|(_, previous, _)| *previous))
        })
        .collect();
    let open_now = json!({
        "conversations": rows::standing::<Conversation>(tx, "status", &["open", "assigned", "waiting"]).await?,
        "tickets": rows::standing::<Ticket>(tx, "status", &["open", "in_progress", "waiting"]).await?,
        "breached": breached(&rows.tickets),
    });
    Outcome::structured(&json!({ "period": period.view(), "metrics": metrics, "open_now": open_now }))
}

/// Open tickets with a breached clock.
fn breached(tickets: &[TicketRow]) -> usize {
    let is_breached = |clock| matches!(clock, tickets::Clock::Breached(_));
    tickets
        .iter()
        .filter(|ticket| ticket.resolved_at.is_none())
        .filter(|ticket| is_breached(ticket.first_response) || is_breached(ticket.resolution))
        .count()
}

fn metric(key: &str, value: Option<f64>, unit: &str, previous: Option<f64>) -> Value {
    let mut out = Map::new();
    out.insert("key".to_owned(), key.into());
    out.insert("value".to_owned(), value.map_or(Value::Null, number));
    out.insert("unit".to_owned(), unit.into());
    if let Some(previous) = previous {
        out.insert("previous".to_owned(), number(previous));
        if let Some(change) = value.and_then(|value| change_percent(value, previous)) {
            out.insert("change_pct".to_owned(), json!(change));
        }
    }
    Value::Object(out)
}

/// Whole numbers without a point.
fn number(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return json!(value as i64);
    }
    json!(value)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts, seconds and cents stay far below 2^53"
)]
fn whole(value: i64) -> Option<f64> {
    Some(value as f64)
}

async fn figures(
    tx: &mut TenantTx<'_>,
    rows: &Rows,
    period: &Period,
    now: Timestamp,
) -> Result<Vec<Figure>, DomainError> {
    let (talk, _) = conversations::report(&rows.conversations, period, conversations::Grouping::Member);
    let (work, _) = tickets::report(&rows.tickets, period, tickets::Grouping::Status);
    let (deals, _) = pipeline::report(&rows.deals, period, pipeline::Grouping::Stage, now);
    let leads = rows::made::<Lead>(tx, period.from, period.to).await?;
    Ok(vec![
        ("conversations_opened", whole(talk.opened), "count"),
        ("conversations_resolved", whole(talk.resolved), "count"),
        (
            "first_response_p50",
            talk.first_response_p50_s.and_then(whole),
            "seconds",
        ),
        (
            "first_response_p90",
            talk.first_response_p90_s.and_then(whole),
            "seconds",
        ),
        ("resolution_p50", talk.resolution_p50_s.and_then(whole), "seconds"),
        (
            "bot_resolution_rate",
            share(talk.bot_resolved, talk.resolved),
            "share",
        ),
        ("tickets_created", whole(work.figures.created), "count"),
        ("tickets_resolved", whole(work.figures.resolved), "count"),
        ("sla_first_response", work.sla_first_response, "share"),
        ("sla_resolution", work.sla_resolution, "share"),
        ("leads_created", whole(leads), "count"),
        ("won", whole(deals.won_cents), "cents"),
        ("win_rate", deals.win_rate, "share"),
    ])
}

/// What is so now, and has no period before.
async fn standing(
    tx: &mut TenantTx<'_>,
    rows: &Rows,
    period: &Period,
    now: Timestamp,
) -> Result<Vec<Figure>, DomainError> {
    let (deals, _) = pipeline::report(&rows.deals, period, pipeline::Grouping::Stage, now);
    let (scores, at_risk) = rows::accounts(tx).await?;
    Ok(vec![
        ("pipeline", whole(deals.open_cents), "cents"),
        ("pipeline_weighted", whole(deals.weighted_cents), "cents"),
        ("account_health", mean(scores).and_then(whole), "score"),
        ("accounts_at_risk", whole(at_risk), "count"),
    ])
}
