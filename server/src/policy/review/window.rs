//! The part of a day in which an approved call may run.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::vocabulary::Timestamp;

const MINUTE_MS: i64 = 60 * 1000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// From one minute of the day to another, in UTC; past midnight where the end is the earlier of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Named", into = "Named")]
pub struct TimeWindow {
    start: Minute,
    end: Minute,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    start_time: Minute,
    end_time: Minute,
}

impl TimeWindow {
    /// A window from `start` to `end`, each as `HH:MM`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn new(start: &str, end: &str) -> Result<Self, String> {
        Self::of(start.parse()?, end.parse()?)
    }

    fn of(start: Minute, end: Minute) -> Result<Self, String> {
        match start == end {
            true => Err("a time window begins and ends at different times".to_owned()),
            false => Ok(Self { start, end }),
        }
    }

    /// The window that is open at `now`, or the next one.
    pub(super) fn next(self, now: Timestamp) -> (Timestamp, Timestamp) {
        let midnight = now.as_millis().div_euclid(DAY_MS) * DAY_MS;
        let at = |minute: Minute, days: i64| {
            Timestamp(midnight.saturating_add(days * DAY_MS + i64::from(minute.0) * MINUTE_MS))
        };
        let past_midnight = i64::from(self.end < self.start);
        let of_day = |day: i64| (at(self.start, day), at(self.end, day + past_midnight));
        // One that began yesterday may still be open.
        [-1, 0]
            .map(of_day)
            .into_iter()
            .find(|(_, until)| *until > now)
            .unwrap_or_else(|| of_day(1))
    }
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} UTC", self.start, self.end)
    }
}

impl TryFrom<Named> for TimeWindow {
    type Error = String;
    fn try_from(named: Named) -> Result<Self, String> {
        Self::of(named.start_time, named.end_time)
    }
}

impl From<TimeWindow> for Named {
    fn from(window: TimeWindow) -> Self {
        Self {
            start_time: window.start,
            end_time: window.end,
        }
    }
}

/// A minute of a day, counted from midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Minute(u16);

impl FromStr for Minute {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is no time of day; write HH:MM, in UTC");
        let (hours, minutes) = text.split_once(':').ok_or_else(fault)?;
        let number = |digits: &str, below: u16| -> Option<u16> {
            let two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|number: &u16| two && *number < below)
        };
        match (number(hours, 24), number(minutes, 60)) {
            (Some(hours), Some(minutes)) => Ok(Self(hours * 60 + minutes)),
            _ => Err(fault()),
        }
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl TryFrom<String> for Minute {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Minute> for String {
    fn from(minute: Minute) -> Self {
        minute.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_has_two_digits_each() {
        assert_eq!(
            TimeWindow::new("08:05", "23:59").unwrap().to_string(),
            "08:05 to 23:59 UTC"
        );
        for (start, end) in [
            ("8:05", "09:00"),
            ("24:00", "01:00"),
            ("10:60", "11:00"),
            ("+1:00", "02:00"),
            ("", "x"),
        ] {
            let fault = TimeWindow::new(start, end).unwrap_err();
            assert!(fault.contains("HH:MM"), "{fault}");
        }
        assert!(TimeWindow::new("10:00", "10:00").is_err());
    }
}
