//! What reports are made of: a few values of the records that a period is about, found by their indexes and taken out of
//! their documents by the store, in the one snapshot of the call.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::{
    domain::{
        DomainError,
        workspace::{
            kinds::{
                account::Account,
                channel::Channel,
                conversation::Conversation,
                opportunity::{Opportunity, Stage},
                ticket::Ticket,
            },
            record::{Kind, Stored},
            report::{
                conversations::ConversationRow,
                pipeline::DealRow,
                tickets::{Clock, TicketRow},
            },
            sla::{Calendar, rules},
        },
    },
    store::{Extract, Extracted, FieldValue, RecordQuery, TenantTx, User},
    vocabulary::Timestamp,
};

/// Most records that one index gives to a report: a tenant of the size that the edition is made for, twice.
pub(super) const MOST_ROWS: u32 = 200_000;
/// Most channels of a tenant that are known by name.
const MOST_CHANNELS: u32 = 200;

/// Rows, and whether there were more than a report looks at.
pub(super) struct Gathered<R> {
    pub(super) rows: Vec<R>,
    pub(super) partial: bool,
}

/// Records of one kind that any of several indexes finds, each once.
struct Finder<'p> {
    paths: &'p [&'p str],
    seen: HashSet<String>,
    found: Vec<Extracted>,
    partial: bool,
}

impl<'p> Finder<'p> {
    fn new(paths: &'p [&'p str]) -> Self {
        Self {
            paths,
            seen: HashSet::new(),
            found: Vec::new(),
            partial: false,
        }
    }

    async fn add<K: Kind>(
        &mut self,
        tx: &mut TenantTx<'_>,
        field: &str,
        one_of: Vec<FieldValue>,
        within: Option<(Timestamp, Timestamp)>,
    ) -> Result<(), DomainError> {
        let wanted = Extract {
            field,
            one_of,
            from: within.map(|(from, _)| from.into()),
            to: within.map(|(_, to)| to.into()),
            paths: self.paths,
            most: MOST_ROWS,
        };
        let found = tx.records(K::NAME).extract(&wanted).await?;
        self.partial |= found.len() >= MOST_ROWS as usize;
        for row in found {
            if self.seen.insert(row.id.clone()) {
                self.found.push(row);
            }
        }
        Ok(())
    }
}

fn text(row: &Extracted, at: usize) -> Option<&str> {
    row.values.get(at)?.as_deref().filter(|text| !text.is_empty())
}

fn moment(row: &Extracted, at: usize) -> Option<Timestamp> {
    Timestamp::parse(text(row, at)?)
}

fn number(row: &Extracted, at: usize) -> i64 {
    text(row, at)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_default()
}

/// What rows call a person.
pub(super) fn name_of(user: &User) -> String {
    if user.name.is_empty() {
        user.email.clone()
    } else {
        user.name.clone()
    }
}

/// Names of people by their ids.
pub(super) async fn people(tx: &mut TenantTx<'_>) -> Result<HashMap<String, String>, DomainError> {
    let users = tx.users().list().await?;
    Ok(users
        .iter()
        .map(|user| (user.id.to_string(), name_of(user)))
        .collect())
}

/// The name of an id; somebody who is gone keeps it.
fn named(names: &HashMap<String, String>, id: Option<&str>) -> Option<String> {
    id.map(|id| names.get(id).cloned().unwrap_or_else(|| id.to_owned()))
}

/// A channel as rows know it.
struct Lane {
    name: String,
    /// When time counts in it.
    hours: Calendar,
}

/// Every channel, and one for whatever is in none that is known: there the tenant's hours count.
async fn channels(tx: &mut TenantTx<'_>) -> Result<(HashMap<String, Lane>, Lane), DomainError> {
    let nowhere = Lane {
        name: "unknown".to_owned(),
        hours: rules::of_channel(&mut tx.reading(), None).await?.calendar,
    };
    let query = RecordQuery {
        limit: MOST_CHANNELS,
        ..RecordQuery::default()
    };
    let mut lanes = HashMap::new();
    for record in tx.records(Channel::NAME).list(&query).await?.records {
        let channel = Stored::<Channel>::of(&record)?;
        let hours = rules::own_hours(channel.fields()).unwrap_or_else(|| nowhere.hours.clone());
        let name = channel.fields().name.clone();
        lanes.insert(channel.id, Lane { name, hours });
    }
    Ok((lanes, nowhere))
}

/// Conversations that began or were resolved between two moments.
pub(super) async fn conversations(
    tx: &mut TenantTx<'_>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Gathered<ConversationRow>, DomainError> {
    let paths = [
        "channel_id",
        "assignee",
        "first_response_at",
        "resolved_at",
        "bot_handled",
    ];
    let mut finder = Finder::new(&paths);
    for field in ["created_at", "resolved_at"] {
        finder
            .add::<Conversation>(tx, field, Vec::new(), Some((from, to)))
            .await?;
    }
    let names = people(tx).await?;
    let (lanes, nowhere) = channels(tx).await?;
    let rows = finder.found.iter().map(|row| {
        let lane = text(row, 0).and_then(|id| lanes.get(id)).unwrap_or(&nowhere);
        let seconds = |end: Timestamp| lane.hours.between(row.created_at, end) / 1000;
        let resolved_at = moment(row, 3);
        ConversationRow {
            created_at: row.created_at,
            channel: lane.name.clone(),
            member: named(&names, text(row, 1)),
            first_response_s: moment(row, 2).map(seconds),
            resolved_at,
            resolution_s: resolved_at.map(seconds),
            by_bot: text(row, 4) == Some("true"),
        }
    });
    Ok(Gathered {
        rows: rows.collect(),
        partial: finder.partial,
    })
}

/// Tickets that were opened or resolved between two moments, and those that are open.
pub(super) async fn tickets(
    tx: &mut TenantTx<'_>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Gathered<TicketRow>, DomainError> {
    let paths = [
        "status",
        "priority",
        "assignee",
        "resolved_at",
        "reopened_at",
        "sla.first_response.state",
        "sla.first_response.due_at",
        "sla.resolution.state",
        "sla.resolution.due_at",
    ];
    let mut finder = Finder::new(&paths);
    let open = ["open", "in_progress", "waiting"].map(FieldValue::from).to_vec();
    finder.add::<Ticket>(tx, "status", open, None).await?;
    finder
        .add::<Ticket>(tx, "created_at", Vec::new(), Some((from, to)))
        .await?;
    // Whatever was resolved later was open at some time of the period.
    let ever_after = (from, Timestamp(i64::MAX));
    finder
        .add::<Ticket>(tx, "resolved_at", Vec::new(), Some(ever_after))
        .await?;
    let names = people(tx).await?;
    let rows = finder.found.iter().map(|row| TicketRow {
        created_at: row.created_at,
        status: text(row, 0).unwrap_or_default().to_owned(),
        priority: text(row, 1).unwrap_or_default().to_owned(),
        assignee: named(&names, text(row, 2)),
        resolved_at: moment(row, 3),
        reopened_at: text(row, 4)
            .and_then(|list| serde_json::from_str(list).ok())
            .unwrap_or_default(),
        first_response: clock(text(row, 5), moment(row, 6)),
        resolution: clock(text(row, 7), moment(row, 8)),
    });
    Ok(Gathered {
        rows: rows.collect(),
        partial: finder.partial,
    })
}

fn clock(state: Option<&str>, due_at: Option<Timestamp>) -> Clock {
    match (state, due_at) {
        (Some("met"), _) => Clock::Met,
        (Some("breached"), Some(at)) => Clock::Breached(at),
        _ => Clock::Open,
    }
}

/// Deals that are open, and those that ended between two moments.
pub(super) async fn deals(
    tx: &mut TenantTx<'_>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Gathered<DealRow>, DomainError> {
    let paths = [
        "stage",
        "owner",
        "amount_cents",
        "currency",
        "probability",
        "stage_changed_at",
        "close_date",
    ];
    let mut finder = Finder::new(&paths);
    let open = [Stage::Qualification, Stage::Proposal, Stage::Negotiation];
    let open = open.map(|stage| FieldValue::from(stage.as_str())).to_vec();
    finder.add::<Opportunity>(tx, "stage", open, None).await?;
    finder
        .add::<Opportunity>(tx, "stage_changed_at", Vec::new(), Some((from, to)))
        .await?;
    let names = people(tx).await?;
    let rows = finder.found.iter().map(|row| DealRow {
        stage: text(row, 0).unwrap_or_default().to_owned(),
        owner: named(&names, text(row, 1)).unwrap_or_default(),
        amount_cents: number(row, 2),
        currency: text(row, 3).unwrap_or_default().to_owned(),
        probability: number(row, 4),
        created_at: row.created_at,
        stage_changed_at: moment(row, 5).unwrap_or(row.created_at),
        close_date: text(row, 6).map(str::to_owned),
    });
    Ok(Gathered {
        rows: rows.collect(),
        partial: finder.partial,
    })
}

/// Health scores of active accounts, and how many accounts are at risk.
pub(super) async fn accounts(tx: &mut TenantTx<'_>) -> Result<(Vec<i64>, i64), DomainError> {
    let mut finder = Finder::new(&["lifecycle_stage", "health_score"]);
    let stages = ["active", "at_risk"].map(FieldValue::from).to_vec();
    finder.add::<Account>(tx, "lifecycle_stage", stages, None).await?;
    let (mut scores, mut at_risk) = (Vec::new(), 0);
    for row in &finder.found {
        match text(row, 0) {
            Some("at_risk") => at_risk += 1,
            _ => scores.extend(text(row, 1).and_then(|score| score.parse::<i64>().ok())),
        }
    }
    Ok((scores, at_risk))
}

/// How many records of a kind were made between two moments.
pub(super) async fn made<K: Kind>(
    tx: &mut TenantTx<'_>,
    from: Timestamp,
    to: Timestamp,
) -> Result<i64, DomainError> {
    let mut finder = Finder::new(&[]);
    finder
        .add::<K>(tx, "created_at", Vec::new(), Some((from, to)))
        .await?;
    Ok(i64::try_from(finder.found.len()).unwrap_or(i64::MAX))
}

/// How many records are in one of these states now.
pub(super) async fn standing<K: Kind>(
    tx: &mut TenantTx<'_>,
    field: &str,
    words: &[&str],
) -> Result<Value, DomainError> {
    let mut finder = Finder::new(&[]);
    let words = words.iter().map(|word| FieldValue::from(*word)).collect();
    finder.add::<K>(tx, field, words, None).await?;
    Ok(finder.found.len().into())
}
