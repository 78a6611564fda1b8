//! Backlog, service levels and throughput of tickets.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{formula::share, period::Period};
use crate::vocabulary::Timestamp;

/// How a clock of a service level ended, or stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// Neither met nor breached yet.
    #[default]
    Open,
    /// Met.
    Met,
    /// Breached, at that moment.
    Breached(Timestamp),
}

/// What is known of a ticket.
#[derive(Clone, Debug, Default)]
pub struct TicketRow {
    /// When it was opened.
    pub created_at: Timestamp,
    /// Where it stands, the word.
    pub status: String,
    /// How urgent it is, the word.
    pub priority: String,
    /// Who has it, as readers name them.
    pub assignee: Option<String>,
    /// When it was last resolved; absent while it is open again.
    pub resolved_at: Option<Timestamp>,
    /// When it was opened again, each time.
    pub reopened_at: Vec<Timestamp>,
    /// Its clock of the first response.
    pub first_response: Clock,
    /// Its clock of the resolution.
    pub resolution: Clock,
}

/// By what rows are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// By day.
    Day,
    /// By week, named by its Monday.
    Week,
    /// By priority.
    Priority,
    /// By assignee.
    Assignee,
    /// By status, as it is now.
    Status,
}

/// A line of the report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TicketFigures {
    /// Opened.
    pub created: i64,
    /// Resolved.
    pub resolved: i64,
    /// Opened again.
    pub reopened: i64,
    /// Clocks of the first response that were breached.
    pub breached_first_response: i64,
    /// Clocks of the resolution that were breached.
    pub breached_resolution: i64,
    /// Not resolved at the end of the day or week, or of the period.
    pub backlog_end: i64,
}

/// A line with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TicketLine {
    /// A day, the Monday of a week, a priority, a member or a status.
    pub group: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: TicketFigures,
}

/// The totals of a period.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TicketTotals {
    /// Its figures.
    #[serde(flatten)]
    pub figures: TicketFigures,
    /// Met ÷ (met + breached) of the first responses of tickets opened in the period.
    pub sla_first_response: Option<f64>,
    /// The same of the resolutions.
    pub sla_resolution: Option<f64>,
}

impl TicketRow {
    fn is_open_at(&self, moment: Timestamp) -> bool {
        self.created_at < moment && self.resolved_at.is_none_or(|at| at >= moment)
    }
}

/// The totals, and a line for each group. Each event counts in the group of its day; days and weeks without anything are there
/// too.
pub fn report(rows: &[TicketRow], period: &Period, by: Grouping) -> (TicketTotals, Vec<TicketLine>) {
    let mut totals = TicketFigures::default();
    let mut groups: BTreeMap<String, TicketFigures> = BTreeMap::new();
    let timed = matches!(by, Grouping::Day | Grouping::Week);
    if timed {
        for (name, end) in period.groups(by == Grouping::Week) {
            let backlog_end = rows.iter().filter(|row| row.is_open_at(end)).count();
            groups.entry(name).or_default().backlog_end = i64::try_from(backlog_end).unwrap_or(i64::MAX);
        }
    }
    let name = |row: &TicketRow, at: Timestamp| match by {
        Grouping::Day => period.day(at),
        Grouping::Week => period.week(at),
        Grouping::Priority => row.priority.clone(),
        Grouping::Assignee => row.assignee.clone().unwrap_or_else(|| "unassigned".to_owned()),
        Grouping::Status => row.status.clone(),
    };
    for row in rows {
        let mut count = |at: Option<Timestamp>, part: fn(&mut TicketFigures) -> &mut i64| {
            if let Some(at) = at.filter(|at| period.holds(*at)) {
                *part(&mut totals) += 1;
                *part(groups.entry(name(row, at)).or_default()) += 1;
            }
        };
        count(Some(row.created_at), |figures| &mut figures.created);
        count(row.resolved_at, |figures| &mut figures.resolved);
        for at in &row.reopened_at {
            count(Some(*at), |figures| &mut figures.reopened);
        }
        count(breach(row.first_response), |figures| {
            &mut figures.breached_first_response
        });
        count(breach(row.resolution), |figures| &mut figures.breached_resolution);
        if row.is_open_at(period.to) {
            totals.backlog_end += 1;
            if !timed {
                groups.entry(name(row, row.created_at)).or_default().backlog_end += 1;
            }
        }
    }
    let opened: Vec<&TicketRow> = rows.iter().filter(|row| period.holds(row.created_at)).collect();
    let totals = TicketTotals {
        figures: totals,
        sla_first_response: attainment(opened.iter().map(|row| row.first_response)),
        sla_resolution: attainment(opened.iter().map(|row| row.resolution)),
    };
    let lines = groups
        .into_iter()
        .map(|(group, figures)| TicketLine { group, figures });
    (totals, lines.collect())
}

fn breach(clock: Clock) -> Option<Timestamp> {
    match clock {
        Clock::Breached(at) => Some(at),
        Clock::Open | Clock::Met => None,
    }
}

/// Met ÷ (met + breached).
fn attainment(clocks: impl Iterator<Item = Clock>) -> Option<f64> {
    let (mut met, mut ended) = (0, 0);
    for clock in clocks {
        met += i64::from(clock == Clock::Met);
        ended += i64::from(clock != Clock::Open);
    }
    share(met, ended)
}

#[cfg(test)]
mod tests {
    use super::{super::period::Asked, *};

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn events_count_on_their_day_and_the_backlog_at_its_end() {
        let asked = Asked {
            period: "custom",
            from: Some("2026-11-16"),
            to: Some("2026-11-19"),
            time_zone: "UTC",
        };
        let period = Period::of(asked, at("2026-11-20")).unwrap();
        let rows = [
            TicketRow {
                created_at: at("2026-11-16T08:00:00Z"),
                status: "resolved".into(),
                priority: "high".into(),
                resolved_at: Some(at("2026-11-18T09:00:00Z")),
                reopened_at: vec![at("2026-11-17T09:00:00Z")],
                first_response: Clock::Met,
                resolution: Clock::Breached(at("2026-11-17T08:00:00Z")),
                ..TicketRow::default()
            },
            TicketRow {
                created_at: at("2026-11-01T08:00:00Z"),
                status: "open".into(),
                priority: "low".into(),
                first_response: Clock::Breached(at("2026-11-02T08:00:00Z")),
                ..TicketRow::default()
            },
            TicketRow {
                created_at: at("2026-11-18T08:00:00Z"),
                status: "open".into(),
                priority: "high".into(),
                assignee: Some("Ada".into()),
                first_response: Clock::Breached(at("2026-11-18T16:00:00Z")),
                ..TicketRow::default()
            },
        ];
        let (totals, days) = report(&rows, &period, Grouping::Day);
        let figures =
            |created, resolved, reopened, breached_first_response, breached_resolution, backlog_end| {
                TicketFigures {
                    created,
                    resolved,
                    reopened,
                    breached_first_response,
                    breached_resolution,
                    backlog_end,
                }
            };
        assert_eq!(totals.figures, figures(2, 1, 1, 1, 1, 2));
        assert_eq!(
            (totals.sla_first_response, totals.sla_resolution),
            (Some(0.5), Some(0.0))
        );
        let lines: Vec<_> = days.into_iter().map(|line| (line.group, line.figures)).collect();
        assert_eq!(
            lines,
            [
                ("2026-11-16".to_owned(), figures(1, 0, 0, 0, 0, 2)),
                ("2026-11-17".to_owned(), figures(0, 0, 1, 0, 1, 2)),
                ("2026-11-18".to_owned(), figures(1, 1, 0, 1, 0, 2)),
            ]
        );
        let (_, priorities) = report(&rows, &period, Grouping::Priority);
        let backlog: Vec<_> = priorities
            .iter()
            .map(|line| (line.group.as_str(), line.figures.backlog_end))
            .collect();
        assert_eq!(backlog, [("high", 1), ("low", 1)]);
    }

    #[test]
    fn without_ended_clocks_there_is_no_attainment() {
        let asked = Asked {
            period: "today",
            from: None,
            to: None,
            time_zone: "UTC",
        };
        let period = Period::of(asked, at("2026-11-20T10:00:00Z")).unwrap();
        let (totals, lines) = report(&[], &period, Grouping::Day);
        assert_eq!(totals.sla_resolution, None);
        assert_eq!(lines.len(), 1);
    }
}
