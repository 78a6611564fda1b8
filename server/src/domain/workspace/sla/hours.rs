//! Opening hours: which part of the time counts (catalogue.md §3.6). A form comes in as people write it, a calendar that
//! adds and measures business time goes out. It knows no store and no record.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{
    ToSpan,
    civil::{Date, DateTime, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

use crate::vocabulary::Timestamp;

/// Most windows in a day: a morning, an afternoon and an evening, with room to spare.
const MOST_WINDOWS: usize = 6;
/// Most holidays: ten years of twenty, so that a list need not be kept up to date each month.
const MOST_HOLIDAYS: usize = 200;
/// Days that are looked at before a calendar counts as closed for good. More than every holiday in a row can cover.
const LONGEST_SEARCH_DAYS: usize = 3_660;
const DAY_MINUTES: u16 = 24 * 60;

/// Opening hours as people write them:
/// `{"time_zone":"Europe/Berlin","weekly":{"mon":["09:00-12:30","13:30-17:00"]},"holidays":["2026-12-25"]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BusinessHours {
    /// A name of the IANA time zone database.
    pub(crate) time_zone: String,
    /// Windows `HH:MM-HH:MM` by day (`mon` … `sun`); `24:00` is midnight at the day's end.
    pub(crate) weekly: BTreeMap<String, Vec<String>>,
    /// Dates on which nobody works.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) holidays: Vec<String>,
}

/// Why opening hours cannot be used: a sentence for whoever wrote them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("business_hours: {0}")]
pub(crate) struct HoursError(String);

/// When time counts.
#[derive(Clone, Debug, Default)]
pub(crate) enum Calendar {
    /// Always.
    #[default]
    Always,
    /// Within the windows of a week, holidays left out.
    Weekly(Box<Weekly>),
}

/// Windows of a week in one time zone.
#[derive(Clone, Debug)]
pub(crate) struct Weekly {
    zone: TimeZone,
    /// From Monday on; minutes of the day, in order and apart.
    days: [Vec<(u16, u16)>; 7],
    holidays: BTreeSet<Date>,
}

impl BusinessHours {
    /// The calendar that these hours mean.
    ///
    /// # Errors
    /// What of them cannot be used.
    pub(crate) fn calendar(&self) -> Result<Calendar, HoursError> {
        let zone = TimeZone::get(&self.time_zone).map_err(|_| {
            HoursError(format!(
                "`{}` is no time zone; write a name such as Europe/Berlin or UTC",
                self.time_zone.chars().take(60).collect::<String>()
            ))
        })?;
        let mut days: [Vec<(u16, u16)>; 7] = Default::default();
        for (name, windows) in &self.weekly {
            let day = weekday(name).ok_or_else(|| {
                HoursError(format!(
                    "`{name}` is no day; write mon, tue, wed, thu, fri, sat or sun"
                ))
            })?;
            if windows.len() > MOST_WINDOWS {
                return Err(HoursError(format!("{name} has more than {MOST_WINDOWS} windows")));
            }
            let mut read = windows
                .iter()
                .map(|text| window(text))
                .collect::<Result<Vec<_>, _>>()?;
            read.sort_unstable();
            if read
                .iter()
                .zip(read.iter().skip(1))
                .any(|(one, next)| one.1 > next.0)
            {
                return Err(HoursError(format!("windows of {name} overlap")));
            }
            if let Some(slot) = days.get_mut(usize::from(day.to_monday_zero_offset().unsigned_abs())) {
                *slot = read;
            }
        }
        if days.iter().all(Vec::is_empty) {
            return Err(HoursError("at least one day needs a window".to_owned()));
        }
        if self.holidays.len() > MOST_HOLIDAYS {
            return Err(HoursError(format!("at most {MOST_HOLIDAYS} holidays are kept")));
        }
        let holidays = self.holidays.iter().map(|text| {
            text.parse::<Date>().map_err(|_| {
                HoursError(format!(
                    "holiday `{text}` is no date; write for example 2026-12-25"
                ))
            })
        });
        Ok(Calendar::Weekly(Box::new(Weekly {
            zone,
            days,
            holidays: holidays.collect::<Result<_, _>>()?,
        })))
    }
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}

fn window(text: &str) -> Result<(u16, u16), HoursError> {
    let read = text
        .split_once('-')
        .and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
    read.filter(|(from, to)| from < to).ok_or_else(|| {
        HoursError(format!(
            "`{text}` is no window; write for example 09:00-17:30, and two windows for hours that pass midnight"
        ))
    })
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |part: &str| (part.len() == 2).then(|| part.parse::<u16>().ok()).flatten();
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= DAY_MINUTES).then_some(minute)
}

impl Calendar {
    /// The moment at which `business_ms` have passed since `from`. `None`: not within ten years, or out of time's range.
    pub(crate) fn add(&self, from: Timestamp, business_ms: i64) -> Option<Timestamp> {
        let weekly = match self {
            Self::Always => return from.as_millis().checked_add(business_ms.max(0)).map(Timestamp),
            Self::Weekly(weekly) => weekly,
        };
        let mut left = business_ms.max(0);
        for (opens, closes) in weekly.windows(from)?.take_while(|(opens, _)| *opens < i64::MAX) {
            let opens = opens.max(from.as_millis());
            let lasts = closes - opens;
            if lasts <= 0 {
                continue;
            }
            if left <= lasts {
                return Some(Timestamp(opens + left));
            }
            left -= lasts;
        }
        None
    }

    /// How much business time lies between two moments, in milliseconds; 0 when the second is not later.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> i64 {
        let whole = to.as_millis().saturating_sub(from.as_millis()).max(0);
        let weekly = match self {
            Self::Always => return whole,
            Self::Weekly(weekly) => weekly,
        };
        let Some(windows) = weekly.windows(from) else {
            return 0;
        };
        windows
            .take_while(|(opens, _)| *opens < to.as_millis())
            .map(|(opens, closes)| closes.min(to.as_millis()) - opens.max(from.as_millis()))
            .filter(|lasts| *lasts > 0)
            .sum()
    }
}

impl Weekly {
    /// Windows as milliseconds since the epoch, from the day before `from` on, in order.
    fn windows(&self, from: Timestamp) -> Option<impl Iterator<Item = (i64, i64)> + '_> {
        let from = jiff::Timestamp::from_millisecond(from.as_millis()).ok()?;
        // A day earlier: where a zone skips a day or a window runs to midnight, it may still be open.
        let first = self.zone.to_datetime(from).date().checked_sub(1.day()).ok()?;
        Some(
            first
                .series(1.day())
                .take(LONGEST_SEARCH_DAYS)
                .filter(|day| !self.holidays.contains(day))
                .flat_map(move |day| {
                    let at = usize::from(day.weekday().to_monday_zero_offset().unsigned_abs());
                    let windows = self.days.get(at).map_or(&[][..], Vec::as_slice);
                    windows.iter().filter_map(move |(opens, closes)| {
                        Some((
                            self.instant(day, *opens, false)?,
                            self.instant(day, *closes, true)?,
                        ))
                    })
                }),
        )
    }

    /// The moment of a minute of a day. An hour that the clocks skip does not pass: the moment of the change stands for
    /// it. Of an hour that comes twice, opening means the first and closing the second: people are there for both.
    fn instant(&self, day: Date, minute: u16, closes: bool) -> Option<i64> {
        let wall: DateTime = if minute == DAY_MINUTES {
            day.tomorrow().ok()?.at(0, 0, 0, 0)
        } else {
            let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
            day.at(hour, minute, 0, 0)
        };
        let zoned = self.zone.to_ambiguous_zoned(wall);
        let moment = if zoned.is_ambiguous() {
            let earlier = zoned.clone().earlier().ok()?.timestamp();
            let later = zoned.later().ok()?.timestamp();
            let skipped = earlier < later && self.zone.to_datetime(earlier) != wall;
            match (skipped, closes) {
                (true, _) => self.zone.following(earlier).next()?.timestamp(),
                (false, false) => earlier,
                (false, true) => later,
            }
        } else {
            zoned.compatible().ok()?.timestamp()
        };
        Some(moment.as_millisecond())
    }
}

#[cfg(test)]
mod tests;
