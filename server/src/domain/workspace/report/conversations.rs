//! Volume, response and resolution times of conversations.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{formula::nearest_rank, period::Period};
use crate::vocabulary::Timestamp;

/// What is known of a conversation.
#[derive(Clone, Debug, Default)]
pub struct ConversationRow {
    /// When it began.
    pub created_at: Timestamp,
    /// Its channel, as readers name it.
    pub channel: String,
    /// Who has it, as readers name them.
    pub member: Option<String>,
    /// Business seconds from the first message in to the first one out, once there is one.
    pub first_response_s: Option<i64>,
    /// When it was last resolved.
    pub resolved_at: Option<Timestamp>,
    /// Business seconds from its beginning until then.
    pub resolution_s: Option<i64>,
    /// Whether no person of the team wrote in it.
    pub by_bot: bool,
}

/// By what rows are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// By day.
    Day,
    /// By week, named by its Monday.
    Week,
    /// By channel.
    Channel,
    /// By member.
    Member,
}

/// A line of the report, and its totals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConversationFigures {
    /// Conversations that began.
    pub opened: i64,
    /// Conversations that were resolved.
    pub resolved: i64,
    /// Those of them in which no person of the team wrote.
    pub bot_resolved: i64,
    /// Median of the first responses of those that began.
    pub first_response_p50_s: Option<i64>,
    /// Nine of ten were quicker, or as quick.
    pub first_response_p90_s: Option<i64>,
    /// Median of the resolution times of those that were resolved.
    pub resolution_p50_s: Option<i64>,
}

/// A line with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConversationLine {
    /// A day, the Monday of a week, a channel or a member.
    pub group: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: ConversationFigures,
}

/// Figures in the making.
#[derive(Clone, Debug, Default)]
struct Sums {
    opened: i64,
    resolved: i64,
    bot_resolved: i64,
    responses: Vec<i64>,
    resolutions: Vec<i64>,
}

impl Sums {
    fn open(&mut self, row: &ConversationRow) {
        self.opened += 1;
        self.responses.extend(row.first_response_s);
    }

    fn resolve(&mut self, row: &ConversationRow) {
        self.resolved += 1;
        self.bot_resolved += i64::from(row.by_bot);
        self.resolutions.extend(row.resolution_s);
    }

    fn figures(mut self) -> ConversationFigures {
        ConversationFigures {
            opened: self.opened,
            resolved: self.resolved,
            bot_resolved: self.bot_resolved,
            first_response_p50_s: nearest_rank(&mut self.responses, 50),
            first_response_p90_s: nearest_rank(&mut self.responses, 90),
            resolution_p50_s: nearest_rank(&mut self.resolutions, 50),
        }
    }
}

/// The totals, and a line for each group. What began counts in the group of its beginning, what was resolved in that of its
/// end. Days and weeks without anything are there too.
pub fn report(
    rows: &[ConversationRow],
    period: &Period,
    by: Grouping,
) -> (ConversationFigures, Vec<ConversationLine>) {
    let mut totals = Sums::default();
    let mut groups: BTreeMap<String, Sums> = BTreeMap::new();
    if matches!(by, Grouping::Day | Grouping::Week) {
        let names = period.groups(by == Grouping::Week).into_iter();
        groups.extend(names.map(|(name, _)| (name, Sums::default())));
    }
    let name = |row: &ConversationRow, at: Timestamp| match by {
        Grouping::Day => period.day(at),
        Grouping::Week => period.week(at),
        Grouping::Channel => row.channel.clone(),
        Grouping::Member => row.member.clone().unwrap_or_else(|| "unassigned".to_owned()),
    };
    for row in rows {
        if period.holds(row.created_at) {
            totals.open(row);
            groups.entry(name(row, row.created_at)).or_default().open(row);
        }
        if let Some(at) = row.resolved_at.filter(|at| period.holds(*at)) {
            totals.resolve(row);
            groups.entry(name(row, at)).or_default().resolve(row);
        }
    }
    let lines = groups.into_iter().map(|(group, sums)| ConversationLine {
        group,
        figures: sums.figures(),
    });
    (totals.figures(), lines.collect())
}

#[cfg(test)]
mod tests {
    use super::{super::period::Asked, *};

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn openings_and_ends_count_where_they_happened() {
        let asked = Asked {
            period: "custom",
            from: Some("2026-11-16"),
            to: Some("2026-11-19"),
            time_zone: "UTC",
        };
        let period = Period::of(asked, at("2026-11-20")).unwrap();
        let row = |created: &str, resolved: Option<&str>, response: i64, by_bot: bool| ConversationRow {
            created_at: at(created),
            channel: "support".into(),
            member: (!by_bot).then(|| "Ada".into()),
            first_response_s: Some(response),
            resolved_at: resolved.map(at),
            resolution_s: resolved.map(|_| response * 10),
            by_bot,
        };
        let rows = [
            row("2026-11-16T08:00:00Z", Some("2026-11-18T08:00:00Z"), 60, false),
            row("2026-11-16T09:00:00Z", Some("2026-11-16T10:00:00Z"), 5, true),
            row("2026-11-10T09:00:00Z", Some("2026-11-16T11:00:00Z"), 90, false),
            row("2026-11-18T09:00:00Z", Some("2026-11-19T00:00:00Z"), 30, false),
        ];
        let (totals, days) = report(&rows, &period, Grouping::Day);
        assert_eq!((totals.opened, totals.resolved, totals.bot_resolved), (3, 3, 1));
        assert_eq!(
            (totals.first_response_p50_s, totals.first_response_p90_s),
            (Some(30), Some(60))
        );
        assert_eq!(totals.resolution_p50_s, Some(600));
        let brief: Vec<_> = days
            .iter()
            .map(|line| (line.group.as_str(), line.figures.opened, line.figures.resolved))
            .collect();
        assert_eq!(
            brief,
            [("2026-11-16", 2, 2), ("2026-11-17", 0, 0), ("2026-11-18", 1, 1)]
        );
        assert_eq!(days[1].figures.first_response_p50_s, None);
        let (_, members) = report(&rows, &period, Grouping::Member);
        let names: Vec<_> = members.iter().map(|line| line.group.as_str()).collect();
        assert_eq!(names, ["Ada", "unassigned"]);
    }
}
