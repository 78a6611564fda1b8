//! Business hours across days, holidays and the changes of the clock.

use super::*;

fn hours(zone: &str, weekly: &[(&str, &[&str])], holidays: &[&str]) -> Calendar {
    let form = BusinessHours {
        time_zone: zone.to_owned(),
        weekly: weekly
            .iter()
            .map(|(day, windows)| {
                (
                    (*day).to_owned(),
                    windows.iter().map(|w| (*w).to_owned()).collect(),
                )
            })
            .collect(),
        holidays: holidays.iter().map(|day| (*day).to_owned()).collect(),
    };
    form.calendar().unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

const HOUR: i64 = 3_600_000;
const OFFICE: &[(&str, &[&str])] = &[
    ("mon", &["09:00-17:00"]),
    ("tue", &["09:00-17:00"]),
    ("wed", &["09:00-17:00"]),
    ("thu", &["09:00-17:00"]),
    ("fri", &["09:00-12:00", "13:00-17:00"]),
];

#[test]
fn time_passes_only_while_somebody_is_there() {
    let berlin = hours("Europe/Berlin", OFFICE, &["2026-12-25"]);
    for (from, ms, to) in [
        // Within a window; over lunch; over a night; over a weekend; over a holiday and a weekend.
        ("2026-11-30T09:00:00+01:00", HOUR, "2026-11-30T10:00:00+01:00"),
        ("2026-11-27T11:30:00+01:00", HOUR, "2026-11-27T13:30:00+01:00"),
        ("2026-11-30T16:30:00+01:00", HOUR, "2026-12-01T09:30:00+01:00"),
        ("2026-11-27T16:30:00+01:00", HOUR, "2026-11-30T09:30:00+01:00"),
        ("2026-12-24T16:30:00+01:00", HOUR, "2026-12-28T09:30:00+01:00"),
        // Before hours, on a closed day, and exactly at a window's end.
        ("2026-11-30T03:00:00+01:00", 8 * HOUR, "2026-11-30T17:00:00+01:00"),
        (
            "2026-11-29T12:00:00+01:00",
            8 * HOUR + 1,
            "2026-12-01T09:00:00.001+01:00",
        ),
        ("2026-11-30T17:00:00+01:00", 0, "2026-12-01T09:00:00+01:00"),
    ] {
        assert_eq!(berlin.add(at(from), ms), Some(at(to)), "{from} + {ms}");
        if ms > 0 {
            assert_eq!(berlin.between(at(from), at(to)), ms, "{from} to {to}");
        }
    }
    assert_eq!(
        berlin.between(at("2026-11-30T10:00:00Z"), at("2026-11-29T10:00:00Z")),
        0
    );
}

#[test]
fn a_night_that_is_an_hour_longer_or_shorter_counts_as_it_was() {
    let night: &[(&str, &[&str])] = &[("sat", &["22:00-24:00"]), ("sun", &["00:00-06:00"])];
    let berlin = hours("Europe/Berlin", night, &[]);
    let saturday = |date: &str| at(&format!("{date}T12:00:00Z"));
    // The last Sundays of March and October 2027.
    for (date, hours) in [
        ("2027-03-20", 8),
        ("2027-03-27", 7),
        ("2027-10-23", 8),
        ("2027-10-30", 9),
    ] {
        let day = saturday(date);
        assert_eq!(
            berlin.between(day, day.plus_millis(24 * HOUR)),
            hours * HOUR,
            "{date}"
        );
    }
    // Windows that begin or end within the hour that is skipped, or that comes twice.
    let odd = hours("Europe/Berlin", &[("sun", &["01:30-02:30"])], &[]);
    let sunday = |date: &str| at(&format!("{date}T00:00:00+01:00"));
    assert_eq!(odd.between(sunday("2027-03-28"), sunday("2027-03-29")), HOUR / 2);
    assert_eq!(odd.between(sunday("2027-10-31"), sunday("2027-11-01")), 2 * HOUR);
    let inside = hours(
        "Europe/Berlin",
        &[("sun", &["02:15-02:45"]), ("mon", &["09:00-10:00"])],
        &[],
    );
    assert_eq!(
        inside.add(sunday("2027-03-28"), HOUR / 2),
        Some(at("2027-03-29T09:30:00+02:00")),
        "a window that never was opens nothing"
    );
}

#[test]
fn adding_and_measuring_agree_across_zones() {
    for zone in [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "Pacific/Apia",
    ] {
        let calendar = hours(zone, OFFICE, &["2027-01-01"]);
        let mut from = at("2026-10-20T00:00:00Z");
        for _ in 0..200 {
            let to = calendar.add(from, 5 * HOUR).unwrap();
            assert_eq!(calendar.between(from, to), 5 * HOUR, "{zone} {from}");
            from = from.plus_millis(11 * HOUR + 7 * 60_000);
        }
    }
}

#[test]
fn hours_that_cannot_be_meant_are_named() {
    let form = |json: &str| {
        serde_json::from_str::<BusinessHours>(json)
            .unwrap()
            .calendar()
            .unwrap_err()
            .to_string()
    };
    for (json, says) in [
        (
            r#"{"time_zone":"Mars/Base","weekly":{"mon":["09:00-17:00"]}}"#,
            "no time zone",
        ),
        (
            r#"{"time_zone":"UTC","weekly":{"Monday":["09:00-17:00"]}}"#,
            "no day",
        ),
        (
            r#"{"time_zone":"UTC","weekly":{"mon":["17:00-09:00"]}}"#,
            "no window",
        ),
        (r#"{"time_zone":"UTC","weekly":{"mon":["9-17"]}}"#, "no window"),
        (
            r#"{"time_zone":"UTC","weekly":{"mon":["09:00-24:01"]}}"#,
            "no window",
        ),
        (
            r#"{"time_zone":"UTC","weekly":{"mon":["09:00-12:00","11:00-13:00"]}}"#,
            "overlap",
        ),
        (r#"{"time_zone":"UTC","weekly":{"mon":[]}}"#, "at least one day"),
        (
            r#"{"time_zone":"UTC","weekly":{"mon":["09:00-17:00"]},"holidays":["25.12."]}"#,
            "no date",
        ),
    ] {
        assert!(form(json).contains(says), "{json}: {}", form(json));
    }
}
