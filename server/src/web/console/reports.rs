//! Reports as charts: conversations and tickets day by day, deals by stage; the same figures as tables.

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::FutureExt;
use serde::Deserialize;

use super::{Frame, PageError, Person, render, text};
use crate::{
    domain::workspace::{Charts, charts},
    operate::OperateError,
    web::{Query, Web},
};

/// Of a drawing, in its own units.
const WIDTH: i64 = 720;
const FLOOR: i64 = 140;
const HEIGHT: i64 = 120;
/// Labels under bars that have room beside each other.
const MOST_LABELS: usize = 14;
/// The periods that can be chosen.
const PERIODS: [(&str, &str); 3] = [("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days")];

pub(super) fn router() -> Router<Web> {
    Router::new().route("/console/reports", get(page))
}

/// A bar of two heights.
struct Bar {
    title: String,
    label: String,
    x: i64,
    width: i64,
    middle: i64,
    y: i64,
    height: i64,
    other_y: i64,
    other_height: i64,
}

/// A chart with the table of its figures.
#[derive(Template)]
#[template(path = "console/bars.html")]
struct Bars {
    id: &'static str,
    title: &'static str,
    /// What the two heights of each bar are.
    names: (&'static str, &'static str),
    figures: Vec<(&'static str, String)>,
    top: String,
    bars: Vec<Bar>,
    heading: Vec<&'static str>,
    rows: Vec<(String, Vec<String>)>,
}

impl Bars {
    /// Sets the bars: a name and two figures each.
    fn with(mut self, columns: &[(String, i64, i64)], spell: fn(i64) -> String) -> Self {
        let most = columns
            .iter()
            .map(|(_, one, other)| *one.max(other))
            .max()
            .unwrap_or(0)
            .max(1);
        let count = i64::try_from(columns.len()).unwrap_or(1).max(1);
        let (step, every) = (WIDTH / count, columns.len().div_ceil(MOST_LABELS).max(1));
        let gap = (step / 6).max(1);
        // A figure that is not nothing is seen, however small it is beside the largest.
        let height = |figure: i64| {
            let scaled = i128::from(figure) * i128::from(HEIGHT) / i128::from(most);
            i64::try_from(scaled).unwrap_or(HEIGHT).max(i64::from(figure > 0))
        };
        self.bars = columns
            .iter()
            .zip(0_i64..)
            .map(|((name, one, other), place)| {
                let labelled = usize::try_from(place).is_ok_and(|place| place % every == 0);
                Bar {
                    title: format!(
                        "{name}: {} {}, {} {}",
                        spell(*one),
                        self.names.0,
                        spell(*other),
                        self.names.1
                    ),
                    label: if labelled { short(name) } else { String::new() },
                    x: place * step + gap / 2,
                    width: (step - gap).max(1),
                    middle: place * step + step / 2,
                    y: FLOOR - height(*one),
                    height: height(*one),
                    other_y: FLOOR - height(*other),
                    other_height: height(*other),
                }
            })
            .collect();
        self.top = spell(most);
        self
    }
}

/// `2026-11-20` as `11-20`; whatever is no date as it is.
fn short(name: &str) -> String {
    match name.as_bytes() {
        [_, _, _, _, b'-', ..] => name.get(5..).unwrap_or(name).to_owned(),
        _ => name.to_owned(),
    }
}

fn plain(figure: i64) -> String {
    figure.to_string()
}

/// Cents as whole units: charts are for looking.
fn money(cents: i64) -> String {
    (cents / 100).to_string()
}

fn duration(seconds: Option<i64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 120 => format!("{seconds} s"),
        Some(seconds) if seconds < 7_200 => format!("{} min", seconds / 60),
        Some(seconds) => format!("{} h", seconds / 3_600),
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

fn conversations(charts: &Charts) -> Bars {
    let (totals, lines) = &charts.conversations;
    let columns: Vec<_> = lines
        .iter()
        .map(|line| (line.group.clone(), line.figures.opened, line.figures.resolved))
        .collect();
    let rows = lines.iter().map(|line| {
        let figures = &line.figures;
        let cells = vec![
            plain(figures.opened),
            plain(figures.resolved),
            plain(figures.bot_resolved),
            duration(figures.first_response_p50_s),
            duration(figures.first_response_p90_s),
            duration(figures.resolution_p50_s),
        ];
        (line.group.clone(), cells)
    });
    Bars {
        id: "conversations",
        title: "Conversations",
        names: ("opened", "resolved"),
        figures: vec![
            ("Opened", plain(totals.opened)),
            ("Resolved", plain(totals.resolved)),
            ("By the bot alone", plain(totals.bot_resolved)),
            ("First response, median", duration(totals.first_response_p50_s)),
            ("Resolution, median", duration(totals.resolution_p50_s)),
        ],
        top: String::new(),
        bars: Vec::new(),
        heading: vec![
            "Day",
            "Opened",
            "Resolved",
            "By the bot alone",
            "First response, median",
            "First response, 90 of 100",
            "Resolution, median",
        ],
        rows: rows.collect(),
    }
    .with(&columns, plain)
}

fn tickets(charts: &Charts) -> Bars {
    let (totals, lines) = &charts.tickets;
    let columns: Vec<_> = lines
        .iter()
        .map(|line| (line.group.clone(), line.figures.created, line.figures.resolved))
        .collect();
    let rows = lines.iter().map(|line| {
        let figures = &line.figures;
        let cells = [
            figures.created,
            figures.resolved,
            figures.reopened,
            figures.breached_first_response,
            figures.breached_resolution,
            figures.backlog_end,
        ];
        (line.group.clone(), cells.map(plain).to_vec())
    });
    Bars {
        id: "tickets",
        title: "Tickets",
        names: ("opened", "resolved"),
        figures: vec![
            ("Opened", plain(totals.figures.created)),
            ("Resolved", plain(totals.figures.resolved)),
            ("Not resolved now", plain(totals.figures.backlog_end)),
            ("First responses in time", percent(totals.sla_first_response)),
            ("Resolutions in time", percent(totals.sla_resolution)),
        ],
        top: String::new(),
        bars: Vec::new(),
        heading: vec![
            "Day",
            "Opened",
            "Resolved",
            "Opened again",
            "Late first responses",
            "Late resolutions",
            "Open at its end",
        ],
        rows: rows.collect(),
    }
    .with(&columns, plain)
}

fn pipeline(charts: &Charts) -> Bars {
    let (totals, lines) = &charts.pipeline;
    let columns: Vec<_> = lines
        .iter()
        .map(|line| {
            let figures = &line.figures;
            let worth = figures.open_cents + figures.won_cents;
            (
                line.group.clone(),
                worth,
                figures.weighted_cents + figures.won_cents,
            )
        })
        .collect();
    let rows = lines.iter().map(|line| {
        let figures = &line.figures;
        let cells = vec![
            plain(figures.open + figures.won + figures.lost),
            money(figures.open_cents),
            money(figures.weighted_cents),
            money(figures.won_cents),
            figures
                .avg_stage_age_days
                .map_or_else(|| "–".to_owned(), |days| format!("{days:.1}")),
        ];
        (line.group.clone(), cells)
    });
    let currency = totals.currency.as_deref().unwrap_or_default();
    Bars {
        id: "pipeline",
        title: "Pipeline",
        names: ("in all", "by probability"),
        figures: vec![
            ("Open", format!("{} {currency}", money(totals.open_cents))),
            (
                "By probability",
                format!("{} {currency}", money(totals.weighted_cents)),
            ),
            ("Won", format!("{} {currency}", money(totals.won_cents))),
            ("Win rate", percent(totals.win_rate)),
        ],
        top: String::new(),
        bars: Vec::new(),
        heading: vec!["Stage", "Deals", "Open", "By probability", "Won", "Days in stage"],
        rows: rows.collect(),
    }
    .with(&columns, money)
}

#[derive(Template)]
#[template(path = "console/reports.html")]
struct ReportsPage {
    frame: Frame,
    chosen: String,
    periods: [(&'static str, &'static str); 3],
    from: String,
    to: String,
    zone: String,
    charts: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PeriodQuery {
    period: String,
}

async fn page(
    State(web): State<Web>,
    person: Person,
    Query(query): Query<PeriodQuery>,
) -> Result<Response, PageError> {
    let chosen = PERIODS.iter().find(|(word, _)| *word == query.period);
    let (chosen, _) = chosen.copied().unwrap_or(("30d", ""));
    let now = web.house().clock().now();
    let found = web
        .store()
        .read(person.tenant(), move |tx| {
            async move { Ok::<_, OperateError>(charts(tx, chosen, now).await?) }.boxed()
        })
        .await?;
    let drawn = [conversations(&found), tickets(&found), pipeline(&found)];
    let drawn = drawn
        .iter()
        .map(|bars| bars.render().map_err(|error| PageError::internal(&error)));
    let page = ReportsPage {
        frame: Frame::new(&person, "Reports", None),
        chosen: chosen.to_owned(),
        periods: PERIODS,
        from: text::when(found.period.from),
        to: text::when(found.period.to),
        zone: found.period.time_zone.clone(),
        charts: drawn.collect::<Result<_, _>>()?,
    };
    Ok(render(&page)?.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(columns: &[(String, i64, i64)]) -> Bars {
        Bars {
            id: "x",
            title: "X",
            names: ("opened", "resolved"),
            figures: Vec::new(),
            top: String::new(),
            bars: Vec::new(),
            heading: vec!["Day"],
            rows: Vec::new(),
        }
        .with(columns, plain)
    }

    #[test]
    fn the_largest_bar_fills_the_chart_and_the_smallest_is_seen() {
        let drawn = bars(&[("2026-11-20".into(), 1_000, 1), ("2026-11-21".into(), 0, 500)]);
        let heights: Vec<_> = drawn
            .bars
            .iter()
            .map(|bar| (bar.height, bar.other_height))
            .collect();
        assert_eq!(heights, [(120, 1), (0, 60)]);
        assert_eq!(drawn.bars[0].title, "2026-11-20: 1000 opened, 1 resolved");
        assert!(drawn.render().unwrap().contains(">11-20</text>"));
    }

    #[test]
    fn many_days_have_few_labels_and_no_days_no_bars() {
        let columns: Vec<_> = (0..90).map(|day| (format!("2026-01-{day}"), day, day)).collect();
        let drawn = bars(&columns);
        assert!(drawn.bars.iter().filter(|bar| !bar.label.is_empty()).count() <= MOST_LABELS);
        assert!(
            drawn
                .bars
                .iter()
                .all(|bar| bar.width > 0 && bar.x + bar.width <= WIDTH)
        );
        assert!(bars(&[]).bars.is_empty());
    }
}
