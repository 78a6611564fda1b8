//! A chart of the last days, drawn on the server: bars of calls with their failures, a line of average times, and the
//! same figures as a table.

use askama::Template;

use super::{PageError, text};
use crate::{
    store::{CallDay, MOST_SUMMED},
    vocabulary::Timestamp,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Of the drawing, in its own units.
const WIDTH: i64 = 720;
const FLOOR: i64 = 140;
const HEIGHT: i64 = 120;
/// Room between two bars.
const GAP: i64 = 12;

struct Bar {
    title: String,
    label: String,
    x: i64,
    y: i64,
    width: i64,
    height: i64,
    error_y: i64,
    error_height: i64,
    middle: i64,
}

#[derive(Template)]
#[template(path = "console/chart.html")]
struct Chart {
    total: i64,
    errors: i64,
    average: String,
    top: i64,
    slowest: String,
    bars: Vec<Bar>,
    line: String,
    dots: Vec<(i64, i64)>,
    /// Day, calls, errors, average.
    days: Vec<(String, i64, i64, String)>,
    partial: bool,
}

/// Draws `count` days from `since`, which is a midnight.
pub(super) fn draw(known: &[CallDay], since: Timestamp, count: i64) -> Result<String, PageError> {
    let first = since.as_millis().div_euclid(DAY_MS);
    let days: Vec<CallDay> = (first..first + count)
        .map(|day| {
            let found = known.iter().find(|known| known.day == day);
            found.copied().unwrap_or(CallDay {
                day,
                ..CallDay::default()
            })
        })
        .collect();
    let sum = |part: fn(&CallDay) -> i64| days.iter().map(part).sum::<i64>();
    let most = days.iter().map(|day| day.calls).max().unwrap_or(0).max(1);
    let slowest = days.iter().filter_map(average).max().unwrap_or(0).max(1);
    let step = WIDTH / count.max(1);
    let (mut bars, mut dots) = (Vec::new(), Vec::new());
    for (place, day) in (0_i64..).zip(&days) {
        let height = |calls: i64| calls * HEIGHT / most;
        let (x, middle) = (place * step + GAP / 2, place * step + step / 2);
        let label = text::day(Timestamp(day.day * DAY_MS));
        bars.push(Bar {
            title: format!("{label}: {} calls, {} refused or failed", day.calls, day.errors),
            // The month is said by the table; here the day of it is enough.
            label: label.split(' ').take(2).collect::<Vec<_>>().join(" "),
            x,
            y: FLOOR - height(day.calls),
            width: step - GAP,
            height: height(day.calls),
            error_y: FLOOR - height(day.errors),
            error_height: height(day.errors),
            middle,
        });
        if let Some(took) = average(day) {
            dots.push((middle, FLOOR - took * HEIGHT / slowest));
        }
    }
    let line = if dots.len() > 1 {
        dots.iter()
            .map(|(x, y)| format!("{x},{y}"))
            .collect::<Vec<_>>()
            .join(" ")
    } else {
        String::new()
    };
    let said = |took: Option<i64>| took.map_or_else(|| "–".to_owned(), text::took);
    let whole = CallDay {
        latency_ms: sum(|day| day.latency_ms),
        timed: sum(|day| day.timed),
        ..CallDay::default()
    };
    let chart = Chart {
        total: sum(|day| day.calls),
        errors: sum(|day| day.errors),
        average: said(average(&whole)),
        top: most,
        slowest: text::took(slowest),
        bars,
        line,
        dots,
        partial: sum(|day| day.calls) >= i64::from(MOST_SUMMED),
        days: days
            .iter()
            .rev()
            .map(|day| {
                let label = text::day(Timestamp(day.day * DAY_MS));
                (label, day.calls, day.errors, said(average(day)))
            })
            .collect(),
    };
    chart.render().map_err(|error| PageError::internal(&error))
}

fn average(day: &CallDay) -> Option<i64> {
    (day.timed > 0).then(|| day.latency_ms / day.timed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_without_calls_stand_in_the_chart_too() {
        let since = Timestamp::parse("2026-11-15").unwrap();
        let day = since.as_millis() / DAY_MS;
        let known = [CallDay {
            day: day + 1,
            calls: 10,
            errors: 2,
            latency_ms: 400,
            timed: 10,
        }];
        let drawn = draw(&known, since, 14).unwrap();
        assert_eq!(drawn.matches("<rect class=\"calls\"").count(), 14);
        assert!(
            drawn.contains("16 Nov 2026: 10 calls, 2 refused or failed"),
            "{drawn}"
        );
        assert!(drawn.contains("height=\"120\"") && drawn.contains("height=\"24\""));
        assert!(drawn.contains("40 ms"));
        assert!(draw(&[], since, 14).unwrap().contains("–"));
    }
}
