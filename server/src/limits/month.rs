//! A calendar month of UTC, which caps are counted in.

use jiff::{ToSpan, civil, tz::TimeZone};

use crate::vocabulary::Timestamp;

/// From its first millisecond to the next month's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it, when caps start anew.
    pub until: Timestamp,
}

impl Month {
    /// The month of a moment.
    pub fn of(now: Timestamp) -> Self {
        let first = first_of(now);
        Self {
            from: moment(first),
            until: moment(first.saturating_add(1.month())),
        }
    }

    /// The first moment of the month that lies so many days back: what retention keeps begins there.
    pub fn keeping(now: Timestamp, days: u32) -> Timestamp {
        Self::of(now.plus_millis(-i64::from(days) * 24 * 60 * 60 * 1000)).from
    }

    /// Whether a moment lies in it.
    pub fn contains(self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// As the counters name it: `2026-11`.
    pub fn name(self) -> String {
        first_of(self.from).strftime("%Y-%m").to_string()
    }

    /// The first second after it, as texts name it: `2026-12-01T00:00:00Z`.
    pub fn resets(self) -> String {
        first_of(self.until).strftime("%Y-%m-01T00:00:00Z").to_string()
    }
}

fn first_of(now: Timestamp) -> civil::Date {
    let stamp = jiff::Timestamp::from_millisecond(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(stamp).date().first_of_month()
}

fn moment(date: civil::Date) -> Timestamp {
    let stamp = date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    // Only a date at the calendar's very end has none; its month then never ends.
    Timestamp(stamp.map_or(i64::MAX, jiff::Timestamp::as_millisecond))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_has_its_first_moment_and_not_its_last() {
        let at = |text| Timestamp::parse(text).unwrap();
        let month = Month::of(at("2026-12-31T23:59:59.999Z"));
        assert_eq!(
            (month.name().as_str(), month.resets().as_str()),
            ("2026-12", "2027-01-01T00:00:00Z")
        );
        assert!(month.contains(at("2026-12-01")) && !month.contains(at("2027-01-01")));
        assert!(!month.contains(at("2026-11-30T23:59:59.999Z")));
        assert_eq!(Month::of(at("2028-02-29")).resets(), "2028-03-01T00:00:00Z");
        assert_eq!(Month::keeping(at("2026-11-28"), 400), at("2025-10-01"));
    }
}
