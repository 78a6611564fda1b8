//! The value of the pipeline, what was won, and how long it took.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    formula::{mean_tenths, share, weighted_cents},
    period::Period,
};
use crate::vocabulary::Timestamp;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The stages in their order, the open ones first.
pub const STAGES: [&str; 5] = ["qualification", "proposal", "negotiation", "won", "lost"];

/// What is known of a deal.
#[derive(Clone, Debug, Default)]
pub struct DealRow {
    /// Its stage, the word.
    pub stage: String,
    /// Who has it, as readers name them.
    pub owner: String,
    /// What it is worth.
    pub amount_cents: i64,
    /// In which currency.
    pub currency: String,
    /// 0 to 100.
    pub probability: i64,
    /// When it was written down.
    pub created_at: Timestamp,
    /// When it came into its stage.
    pub stage_changed_at: Timestamp,
    /// When it is hoped to close, as `2026-11-20`.
    pub close_date: Option<String>,
}

/// By what rows are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// By stage, in the order of stages.
    Stage,
    /// By owner.
    Owner,
    /// By month: open deals by the one they are hoped to close in, ended ones by the one they ended in.
    Month,
}

/// Figures of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PipelineFigures {
    /// Open deals, now.
    pub open: i64,
    /// What they are worth.
    pub open_cents: i64,
    /// The same, each by its probability.
    pub weighted_cents: i64,
    /// Deals won in the period.
    pub won: i64,
    /// What they are worth.
    pub won_cents: i64,
    /// Deals lost in the period.
    pub lost: i64,
    /// Won ÷ (won + lost).
    pub win_rate: Option<f64>,
    /// How long open deals have been in their stage, on average.
    pub avg_stage_age_days: Option<f64>,
}

/// A line with its name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PipelineLine {
    /// A stage, an owner or a month.
    pub group: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: PipelineFigures,
}

/// The totals.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PipelineTotals {
    /// What open deals are worth, now.
    pub open_cents: i64,
    /// The same, each by its probability.
    pub weighted_cents: i64,
    /// What was won in the period.
    pub won_cents: i64,
    /// Won ÷ (won + lost), by when they ended.
    pub win_rate: Option<f64>,
    /// From being written down to being won, on average.
    pub avg_cycle_days: Option<f64>,
    /// The one currency of all these deals; absent where there are several, whose cents are then added up as they are.
    pub currency: Option<String>,
}

fn is_open(row: &DealRow) -> bool {
    !matches!(row.stage.as_str(), "won" | "lost")
}

fn figures<'r>(
    rows: &(impl Iterator<Item = &'r DealRow> + Clone),
    period: &Period,
    now: Timestamp,
) -> PipelineFigures {
    let open = rows.clone().filter(|row| is_open(row));
    let ended = |stage: &'static str| {
        rows.clone()
            .filter(move |row| row.stage == stage && period.holds(row.stage_changed_at))
    };
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let (won, lost) = (count(ended("won").count()), count(ended("lost").count()));
    PipelineFigures {
        open: count(open.clone().count()),
        open_cents: open.clone().map(|row| row.amount_cents).sum(),
        weighted_cents: weighted_cents(open.clone().map(|row| (row.amount_cents, row.probability))),
        won,
        won_cents: ended("won").map(|row| row.amount_cents).sum(),
        lost,
        win_rate: share(won, won + lost),
        avg_stage_age_days: mean_tenths(
            open.map(|row| (now.as_millis() - row.stage_changed_at.as_millis()).max(0)),
            DAY_MS,
        ),
    }
}

/// The totals, and a line for each group that has deals; every stage has one.
pub fn report(
    rows: &[DealRow],
    period: &Period,
    by: Grouping,
    now: Timestamp,
) -> (PipelineTotals, Vec<PipelineLine>) {
    let all = figures(&rows.iter(), period, now);
    let won = rows
        .iter()
        .filter(|row| row.stage == "won" && period.holds(row.stage_changed_at));
    let cycles = won.map(|row| (row.stage_changed_at.as_millis() - row.created_at.as_millis()).max(0));
    let counted: Vec<&DealRow> = rows
        .iter()
        .filter(|row| is_open(row) || period.holds(row.stage_changed_at))
        .collect();
    let first = counted.first().map(|row| row.currency.as_str());
    let totals = PipelineTotals {
        open_cents: all.open_cents,
        weighted_cents: all.weighted_cents,
        won_cents: all.won_cents,
        win_rate: all.win_rate,
        avg_cycle_days: mean_tenths(cycles, DAY_MS),
        currency: first
            .filter(|first| counted.iter().all(|row| row.currency == **first))
            .map(str::to_owned),
    };
    let mut groups: BTreeMap<(usize, String), Vec<&DealRow>> = BTreeMap::new();
    if by == Grouping::Stage {
        groups.extend(
            STAGES
                .iter()
                .zip(0..)
                .map(|(stage, at)| ((at, (*stage).to_owned()), Vec::new())),
        );
    }
    for row in counted {
        let key = match by {
            Grouping::Stage => {
                let place = STAGES.iter().position(|stage| *stage == row.stage);
                (place.unwrap_or(STAGES.len()), row.stage.clone())
            }
            Grouping::Owner => (0, row.owner.clone()),
            Grouping::Month if is_open(row) => match row.close_date.as_ref().and_then(|date| date.get(..7)) {
                Some(month) => (0, month.to_owned()),
                None => (1, "no close date".to_owned()),
            },
            Grouping::Month => (0, period.month(row.stage_changed_at)),
        };
        groups.entry(key).or_default().push(row);
    }
    let lines = groups.into_iter().map(|((_, group), rows)| PipelineLine {
        group,
        figures: figures(&rows.into_iter(), period, now),
    });
    (totals, lines.collect())
}

#[cfg(test)]
mod tests {
    use super::{super::period::Asked, *};

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn deal(stage: &str, owner: &str, cents: i64, probability: i64, changed: &str) -> DealRow {
        DealRow {
            stage: stage.into(),
            owner: owner.into(),
            amount_cents: cents,
            currency: "EUR".into(),
            probability,
            created_at: at("2026-11-01"),
            stage_changed_at: at(changed),
            close_date: Some("2026-12-24".into()),
        }
    }

    #[test]
    fn open_deals_count_now_and_ended_ones_when_they_ended() {
        let asked = Asked {
            period: "custom",
            from: Some("2026-11-10"),
            to: Some("2026-11-20"),
            time_zone: "UTC",
        };
        let now = at("2026-11-20");
        let period = Period::of(asked, now).unwrap();
        let rows = [
            deal("proposal", "Ada", 1_001, 50, "2026-11-18"),
            deal("negotiation", "Bob", 2_000, 70, "2026-11-15"),
            deal("won", "Ada", 5_000, 100, "2026-11-11"),
            deal("won", "Ada", 7_000, 100, "2026-10-11"),
            deal("lost", "Bob", 900, 0, "2026-11-12"),
        ];
        let (totals, stages) = report(&rows, &period, Grouping::Stage, now);
        assert_eq!(
            (totals.open_cents, totals.weighted_cents, totals.won_cents),
            (3_001, 1_900, 5_000)
        );
        assert_eq!((totals.win_rate, totals.avg_cycle_days), (Some(0.5), Some(10.0)));
        assert_eq!(totals.currency.as_deref(), Some("EUR"));
        let names: Vec<_> = stages.iter().map(|line| line.group.as_str()).collect();
        assert_eq!(names, STAGES);
        assert_eq!(stages[1].figures.avg_stage_age_days, Some(2.0));
        assert_eq!(stages[0].figures, PipelineFigures::default());
        let (_, owners) = report(&rows, &period, Grouping::Owner, now);
        let rates: Vec<_> = owners
            .iter()
            .map(|line| (line.group.as_str(), line.figures.win_rate))
            .collect();
        assert_eq!(rates, [("Ada", Some(1.0)), ("Bob", Some(0.0))]);
        let (_, months) = report(&rows, &period, Grouping::Month, now);
        let names: Vec<_> = months.iter().map(|line| line.group.as_str()).collect();
        assert_eq!(names, ["2026-11", "2026-12"]);
    }

    #[test]
    fn several_currencies_are_not_named_as_one() {
        let asked = Asked {
            period: "30d",
            from: None,
            to: None,
            time_zone: "UTC",
        };
        let now = at("2026-11-20");
        let period = Period::of(asked, now).unwrap();
        let mut rows = [
            deal("proposal", "Ada", 1, 50, "2026-11-18"),
            deal("proposal", "Ada", 1, 50, "2026-11-18"),
        ];
        rows[1].currency = "USD".into();
        assert_eq!(report(&rows, &period, Grouping::Stage, now).0.currency, None);
        let (totals, months) = report(&[], &period, Grouping::Month, now);
        assert_eq!((totals, months), (PipelineTotals::default(), Vec::new()));
    }
}
