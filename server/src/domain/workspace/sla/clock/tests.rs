//! Clocks: what starts, stops, pauses and restarts them, minute by minute.

use super::*;
use crate::domain::workspace::sla::BusinessHours;

const MINUTE: i64 = 60_000;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// Easter 2027 in Berlin: Good Friday and Easter Monday are holidays, and in between the clocks go forward.
fn berlin() -> Calendar {
    let hours: BusinessHours = serde_json::from_str(
        r#"{"time_zone":"Europe/Berlin",
            "weekly":{"mon":["09:00-17:00"],"tue":["09:00-17:00"],"wed":["09:00-17:00"],"thu":["09:00-17:00"],
                      "fri":["09:00-12:00","13:00-17:00"]},
            "holidays":["2027-03-26","2027-03-29"]}"#,
    )
    .unwrap();
    hours.calendar().unwrap()
}

type Act = fn(&mut Sla, Timestamp, &Calendar);

/// Lives through the minutes from `from` to `to`, doing what is to be done at its minute, and writes down every change
/// of state and every piece of news.
fn live(mut sla: Sla, from: &str, to: &str, calendar: &Calendar, acts: &[(&str, Act)]) -> Vec<String> {
    let mut story = Vec::new();
    let (mut now, end) = (at(from), at(to));
    let mut states = (sla.first_response.state, sla.resolution.state);
    while now <= end {
        for (which, news) in sla.tick(now) {
            story.push(format!("{now} {which} {}", news.event()));
        }
        for (moment, act) in acts {
            if at(moment) == now {
                act(&mut sla, now, calendar);
            }
        }
        let next = (sla.first_response.state, sla.resolution.state);
        if next != states {
            story.push(format!("{now} {:?} {:?}", next.0, next.1));
            states = next;
        }
        // Whoever sleeps until the clock asks to be looked at misses nothing.
        assert!(sla.wakes_at().is_none_or(|at| at > now), "{now}");
        now = now.plus_millis(MINUTE);
    }
    story
}

#[test]
fn a_fortnight_over_easter_and_the_change_of_the_clocks() {
    let calendar = berlin();
    // Thursday afternoon, priority high: 4 hours to answer, 24 to resolve.
    let created = "2027-03-25T15:00:00+01:00";
    let sla = Sla::start(Goals::of(Priority::High), at(created), &calendar);
    assert_eq!(sla.first_response.due_at, Some(at("2027-03-30T11:00:00+02:00")));
    assert_eq!(sla.resolution.due_at, Some(at("2027-04-01T15:00:00+02:00")));
    let story = live(
        sla,
        created,
        "2027-04-08T15:00:00+02:00",
        &calendar,
        &[
            ("2027-03-30T11:30:00+02:00", |sla, now, calendar| {
                sla.answered(now, calendar);
                sla.waits(now, calendar);
            }),
            ("2027-03-31T10:00:00+02:00", Sla::goes_on),
            ("2027-04-02T10:00:00+02:00", Sla::resolved),
            // On a Friday afternoon, with three and a half hours left.
            ("2027-04-02T16:30:00+02:00", Sla::reopened),
        ],
    );
    assert_eq!(
        story,
        [
            // Two hours of Thursday; Friday to Monday nobody is there; 80 % of four hours on Tuesday.
            "2027-03-30T08:12:00.000Z first_response sla.due_soon",
            "2027-03-30T08:12:00.000Z DueSoon Running",
            "2027-03-30T09:00:00.000Z first_response sla.breached",
            "2027-03-30T09:00:00.000Z Breached Running",
            "2027-03-30T09:30:00.000Z Breached Paused",
            "2027-03-31T08:00:00.000Z Breached Running",
            // 4.5 hours before the pause, 7 on Wednesday, 7.7 on Thursday: 19.2 of 24.
            "2027-04-01T14:42:00.000Z resolution sla.due_soon",
            "2027-04-01T14:42:00.000Z Breached DueSoon",
            "2027-04-02T08:00:00.000Z Breached Met",
            "2027-04-02T14:30:00.000Z Breached Running",
            // Half an hour of Friday, then Monday: 80 % and all of three and a half hours.
            "2027-04-05T09:18:00.000Z resolution sla.due_soon",
            "2027-04-05T09:18:00.000Z Breached DueSoon",
            "2027-04-05T10:00:00.000Z resolution sla.breached",
            "2027-04-05T10:00:00.000Z Breached Breached",
        ]
    );
}

#[test]
fn without_hours_every_hour_counts_and_an_hour_is_an_hour() {
    let sla = Sla::start(
        Goals::of(Priority::Urgent),
        at("2027-03-28T00:30:00Z"),
        &Calendar::Always,
    );
    let story = live(
        sla,
        "2027-03-28T00:30:00Z",
        "2027-03-28T08:31:00Z",
        &Calendar::Always,
        &[],
    );
    assert_eq!(
        story,
        [
            "2027-03-28T01:18:00.000Z first_response sla.due_soon",
            "2027-03-28T01:18:00.000Z DueSoon Running",
            "2027-03-28T01:30:00.000Z first_response sla.breached",
            "2027-03-28T01:30:00.000Z Breached Running",
            "2027-03-28T06:54:00.000Z resolution sla.due_soon",
            "2027-03-28T06:54:00.000Z Breached DueSoon",
            "2027-03-28T08:30:00.000Z resolution sla.breached",
            "2027-03-28T08:30:00.000Z Breached Breached",
        ]
    );
}

#[test]
fn a_matter_reopened_with_nothing_left_has_an_hour() {
    let always = Calendar::Always;
    let start = at("2027-01-01");
    let mut clock = Clock::start(60, start, &always);
    let done = start.plus_millis(50 * MINUTE);
    clock.meet(done, &always);
    assert_eq!((clock.state, clock.wakes_at()), (ClockState::Met, None));
    clock.resume(done, &always);
    assert_eq!(clock.state, ClockState::Met, "only reopening starts it again");
    clock.reopen(done, &always);
    assert_eq!(clock.due_at, Some(done.plus_millis(60 * MINUTE)));
    assert_eq!(clock.wakes_at(), Some(done.plus_millis(48 * MINUTE)));
}

#[test]
fn another_priority_keeps_what_is_used() {
    let always = Calendar::Always;
    let start = at("2027-01-01");
    let mut sla = Sla::start(Goals::of(Priority::Low), start, &always);
    let later = start.plus_millis(30 * MINUTE);
    sla.retarget(Goals::of(Priority::Urgent), later, &always);
    assert_eq!(sla.first_response.due_at, Some(start.plus_millis(60 * MINUTE)));
    assert_eq!(sla.resolution.due_at, Some(start.plus_millis(480 * MINUTE)));
    // Paused clocks take the new goal too, and do not run by it.
    sla.waits(later, &always);
    sla.retarget(Goals::of(Priority::High), later, &always);
    assert_eq!(sla.resolution.state, ClockState::Paused);
    sla.goes_on(later.plus_millis(MINUTE), &always);
    assert_eq!(
        sla.resolution.due_at,
        Some(start.plus_millis((24 * 60 + 1) * MINUTE))
    );
}

#[test]
fn missed_moments_are_told_late_but_once_and_survive_the_store() {
    let always = Calendar::Always;
    let start = at("2027-01-01");
    let mut sla = Sla::start(Goals::of(Priority::Urgent), start, &always);
    let stored = serde_json::to_string(&sla).unwrap();
    assert_eq!(serde_json::from_str::<Sla>(&stored).unwrap(), sla);
    let much_later = start.plus_millis(90 * MINUTE);
    assert_eq!(
        sla.tick(much_later),
        [
            ("first_response", News::DueSoon),
            ("first_response", News::Breached)
        ]
    );
    assert_eq!(sla.tick(much_later), []);
    assert_eq!(sla.shown()["first_response"]["state"], "breached");
    sla.waits(much_later, &always);
    assert_eq!(sla.tick(start.plus_millis(1000 * MINUTE)), [], "no time passes");
}
