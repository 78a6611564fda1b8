//! Which days a report is about, in whose time zone, and how they are grouped.

use jiff::{
    ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};
use serde::Serialize;

use crate::vocabulary::Timestamp;

/// Longest period, in days: as many groups as a reader can look at, by day.
pub const MOST_DAYS: i32 = 366;

/// Why there is no such period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not a time zone that is known.
    #[error("time_zone: `{0}` is not known; write for example Europe/Berlin or UTC")]
    Zone(String),
    /// `custom` without its ends, or ends that are no moments.
    #[error("{0}")]
    Ends(String),
}

/// A period: whole days of a time zone, or whatever two moments enclose.
#[derive(Clone, Debug)]
pub struct Period {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
    zone: TimeZone,
    zone_name: String,
}

/// A period as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeriodView {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
    /// Whose days.
    pub time_zone: String,
}

/// What a caller asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `today`, `7d`, `30d`, `90d` or `custom`.
    pub period: &'a str,
    /// With `custom`: its first moment, a date, or a word as `-7d`.
    pub from: Option<&'a str>,
    /// With `custom`: the first moment after it; now, if absent.
    pub to: Option<&'a str>,
    /// IANA name.
    pub time_zone: &'a str,
}

impl Period {
    /// The period that was asked for. `today` is the day so far, `7d` the seven days that end with it.
    ///
    /// # Errors
    /// What of it cannot be understood.
    pub fn of(asked: Asked<'_>, now: Timestamp) -> Result<Self, PeriodError> {
        let zone_name: String = asked.time_zone.chars().take(60).collect();
        let zone = TimeZone::get(&zone_name).map_err(|_| PeriodError::Zone(zone_name.clone()))?;
        let today = date_of(now, &zone);
        let days = match asked.period {
            "today" => Some(1),
            "7d" => Some(7),
            "30d" => Some(30),
            "90d" => Some(90),
            _ => None,
        };
        let (from, to) = match days {
            Some(days) => {
                if asked.from.is_some() || asked.to.is_some() {
                    return Err(PeriodError::Ends(
                        "from, to: given with period custom only".into(),
                    ));
                }
                let first = today.saturating_sub((days - 1).days());
                (midnight(first, &zone), now)
            }
            None => {
                let from = asked
                    .from
                    .ok_or_else(|| PeriodError::Ends("from: is needed with period custom".into()))?;
                let from = moment(from, now, today, &zone).ok_or_else(|| unclear("from"))?;
                let to = match asked.to {
                    Some(to) => moment(to, now, today, &zone).ok_or_else(|| unclear("to"))?,
                    None => now,
                };
                (from, to)
            }
        };
        let longest = i64::from(MOST_DAYS) * 25 * 60 * 60 * 1000;
        if from >= to {
            return Err(PeriodError::Ends("from: must lie before to".into()));
        }
        if to.as_millis().saturating_sub(from.as_millis()) > longest {
            return Err(PeriodError::Ends(format!(
                "from: a report covers at most {MOST_DAYS} days"
            )));
        }
        Ok(Self {
            from,
            to,
            zone,
            zone_name,
        })
    }

    /// The period of the same length right before this one.
    #[must_use]
    pub fn before(&self) -> Self {
        // Days count and not hours, so that weeks around a change of the clocks compare.
        let (from, to) = (self.local(self.from), self.local(self.to));
        let length = from.until(to).unwrap_or_default();
        let first = from.saturating_sub(length);
        let at = first.to_zoned(self.zone.clone()).map(|zoned| zoned.timestamp());
        let millis = at.map_or(self.from.as_millis(), jiff::Timestamp::as_millisecond);
        Self {
            from: Timestamp(millis),
            to: self.from,
            ..self.clone()
        }
    }

    /// Whether a moment lies in it.
    pub fn holds(&self, at: Timestamp) -> bool {
        (self.from..self.to).contains(&at)
    }

    /// As a reader sees it.
    pub fn view(&self) -> PeriodView {
        PeriodView {
            from: self.from,
            to: self.to,
            time_zone: self.zone_name.clone(),
        }
    }

    fn local(&self, at: Timestamp) -> jiff::civil::DateTime {
        moment_of(at).to_zoned(self.zone.clone()).datetime()
    }

    /// The day that a moment lies in, e.g. `2026-11-20`.
    pub fn day(&self, at: Timestamp) -> String {
        date_of(at, &self.zone).to_string()
    }

    /// The Monday of the week that a moment lies in.
    pub fn week(&self, at: Timestamp) -> String {
        monday(date_of(at, &self.zone)).to_string()
    }

    /// The month that a moment lies in, e.g. `2026-11`.
    pub fn month(&self, at: Timestamp) -> String {
        date_of(at, &self.zone).strftime("%Y-%m").to_string()
    }

    /// Every day of the period with the first moment after it, or of each week, in order: groups without rows are shown too.
    pub fn groups(&self, weeks: bool) -> Vec<(String, Timestamp)> {
        let mut first = date_of(self.from, &self.zone);
        let last = date_of(Timestamp(self.to.as_millis() - 1), &self.zone);
        let step = if weeks { 7.days() } else { 1.days() };
        if weeks {
            first = monday(first);
        }
        let mut groups = Vec::new();
        while first <= last {
            let next = first.saturating_add(step);
            groups.push((first.to_string(), midnight(next, &self.zone).min(self.to)));
            if next == first {
                break;
            }
            first = next;
        }
        groups
    }
}

fn unclear(name: &str) -> PeriodError {
    PeriodError::Ends(format!(
        "{name}: must be an RFC 3339 moment, a date, today, or a word like -7d or -24h"
    ))
}

fn moment_of(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default()
}

fn date_of(at: Timestamp, zone: &TimeZone) -> Date {
    moment_of(at).to_zoned(zone.clone()).date()
}

fn monday(date: Date) -> Date {
    let past = i64::from(date.weekday().since(Weekday::Monday));
    date.saturating_sub(past.days())
}

/// The first moment of a day. Where the clocks skip midnight, it is the first one that there is.
fn midnight(date: Date, zone: &TimeZone) -> Timestamp {
    let zoned = date.to_zoned(zone.clone());
    let millis = zoned.map_or(i64::MAX, |zoned| zoned.timestamp().as_millisecond());
    Timestamp(millis)
}

/// A moment, a date of the zone, `today`, `-7d` or `-24h` (catalogue.md §2.14).
fn moment(text: &str, now: Timestamp, today: Date, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if text == "today" {
        return Some(midnight(today, zone));
    }
    if let Some(back) = text.strip_prefix('-') {
        let (number, unit) = back.split_at_checked(back.len().checked_sub(1)?)?;
        let number: i32 = number.parse().ok().filter(|n| (0..=10_000).contains(n))?;
        return match unit {
            "d" => Some(midnight(today.saturating_sub(number.days()), zone)),
            "h" => Some(now.plus_millis(-i64::from(number) * 60 * 60 * 1000)),
            _ => None,
        };
    }
    match text.parse::<Date>() {
        Ok(date) if text.len() <= "2026-11-20".len() => Some(midnight(date, zone)),
        _ => Timestamp::parse(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn period(
        period: &str,
        from: Option<&str>,
        to: Option<&str>,
        zone: &str,
        now: &str,
    ) -> Result<Period, PeriodError> {
        let asked = Asked {
            period,
            from,
            to,
            time_zone: zone,
        };
        Period::of(asked, at(now))
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let today = period("today", None, None, "Europe/Berlin", "2026-11-20T23:30:00Z").unwrap();
        assert_eq!(today.from, at("2026-11-20T23:00:00Z"));
        let week = period("7d", None, None, "America/New_York", "2026-11-20T02:00:00Z").unwrap();
        assert_eq!(week.from, at("2026-11-13T05:00:00Z"));
        assert_eq!(week.day(at("2026-11-20T02:00:00Z")), "2026-11-19");
        assert_eq!(week.week(at("2026-11-20T02:00:00Z")), "2026-11-16");
        assert_eq!(week.month(at("2026-12-01T02:00:00Z")), "2026-11");
    }

    #[test]
    fn a_day_may_have_23_or_25_hours() {
        let now = "2026-10-26T12:00:00Z";
        let custom = period(
            "custom",
            Some("2026-10-25"),
            Some("2026-10-26"),
            "Europe/Berlin",
            now,
        )
        .unwrap();
        assert_eq!(
            custom.to.as_millis() - custom.from.as_millis(),
            25 * 60 * 60 * 1000
        );
        let week = period(
            "custom",
            Some("2026-10-26"),
            Some("2026-11-02"),
            "Europe/Berlin",
            "2026-11-03",
        )
        .unwrap();
        assert_eq!(week.before().from, at("2026-10-18T22:00:00Z"));
        assert_eq!(week.before().to, week.from);
    }

    #[test]
    fn groups_cover_the_period_without_holes() {
        let week = period("7d", None, None, "Europe/Berlin", "2026-10-27T12:00:00Z").unwrap();
        let days = week.groups(false);
        assert_eq!(days.len(), 7);
        assert_eq!(days.first().unwrap().0, "2026-10-21");
        assert_eq!(
            days.last().unwrap(),
            &("2026-10-27".to_owned(), at("2026-10-27T12:00:00Z"))
        );
        assert_eq!(days[4], ("2026-10-25".to_owned(), at("2026-10-25T23:00:00Z")));
        let weeks: Vec<_> = week.groups(true).into_iter().map(|(name, _)| name).collect();
        assert_eq!(weeks, ["2026-10-19", "2026-10-26"]);
    }

    #[test]
    fn words_dates_and_moments_are_understood() {
        let now = "2026-11-20T12:00:00Z";
        for (from, expected) in [
            ("-24h", "2026-11-19T12:00:00Z"),
            ("-7d", "2026-11-13T00:00:00Z"),
            ("today", "2026-11-20T00:00:00Z"),
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T08:00:00+01:00", "2026-11-01T07:00:00Z"),
        ] {
            let read = period("custom", Some(from), None, "UTC", now).unwrap();
            assert_eq!((read.from, read.to), (at(expected), at(now)), "{from}");
        }
    }

    #[test]
    fn what_is_no_period_is_refused_with_the_field() {
        let now = "2026-11-20T12:00:00Z";
        for (asked, said) in [
            (("custom", None, None, "UTC"), "from: is needed"),
            (("custom", Some("soon"), None, "UTC"), "from: must be an RFC 3339"),
            (("custom", Some("-7w"), None, "UTC"), "from: must be an RFC 3339"),
            (("custom", Some("-"), None, "UTC"), "from: must be an RFC 3339"),
            (
                ("custom", Some("today"), Some("2026-11-19"), "UTC"),
                "from: must lie before",
            ),
            (
                ("custom", Some("2020-01-01"), None, "UTC"),
                "from: a report covers",
            ),
            (("7d", Some("today"), None, "UTC"), "from, to: given with"),
            (("7d", None, None, "Mars/Base"), "time_zone: `Mars/Base`"),
        ] {
            let (kind, from, to, zone) = asked;
            let error = period(kind, from, to, zone, now).unwrap_err().to_string();
            assert!(error.starts_with(said), "{asked:?}: {error}");
        }
    }
}
