//! A clock of a service level: it runs, pauses, warns, is met or breached (catalogue.md §3.6).
//!
//! What is stored is enough to go on: how long the present run may take, how much of it is used, and since when it runs.
//! Moments come in; nothing here looks at the time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::hours::Calendar;
use crate::{domain::workspace::kinds::ticket::Priority, vocabulary::Timestamp};

const HOUR_MS: i64 = 60 * 60 * 1000;
/// What a reopened matter has at least.
const LEAST_AFTER_REOPENING_MS: i64 = HOUR_MS;
/// Share of the goal, in hundredths, after which the clock warns.
const WARNS_AT_PERCENT: i64 = 80;

/// What a channel or tenant promises, by priority.
pub(crate) type Promises = BTreeMap<Priority, Goals>;

/// What is promised for one priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Goals {
    /// Minutes of business time until somebody answers.
    pub(crate) first_response_minutes: u32,
    /// Minutes of business time until it is resolved.
    pub(crate) resolution_minutes: u32,
}

impl Goals {
    /// The defaults of catalogue.md §3.6.
    pub(crate) fn of(priority: Priority) -> Self {
        let hours = |first: u32, resolution: u32| Self {
            first_response_minutes: first * 60,
            resolution_minutes: resolution * 60,
        };
        match priority {
            Priority::Urgent => hours(1, 8),
            Priority::High => hours(4, 24),
            Priority::Medium => hours(8, 72),
            Priority::Low => hours(24, 120),
        }
    }

    /// What a channel or tenant promises; where it says nothing, the defaults.
    pub(crate) fn chosen(promised: &Promises, priority: Priority) -> Self {
        promised
            .get(&priority)
            .copied()
            .unwrap_or_else(|| Self::of(priority))
    }
}

/// Where a clock stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClockState {
    /// Time passes.
    Running,
    /// No time passes: somebody else has to act.
    Paused,
    /// Done in time.
    Met,
    /// Time passes, and little is left.
    DueSoon,
    /// The time is over. It stays so, done or not, until it is reopened.
    Breached,
}

/// What a clock tells, once for each run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Most of the time is used.
    DueSoon,
    /// The time is over.
    Breached,
}

impl News {
    /// The event's name (catalogue.md §3.5).
    pub(crate) fn event(self) -> &'static str {
        match self {
            Self::DueSoon => "sla.due_soon",
            Self::Breached => "sla.breached",
        }
    }
}

/// One clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Clock {
    /// Where it stands.
    pub(crate) state: ClockState,
    /// When the time is over; none while it is paused, or if it never is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) due_at: Option<Timestamp>,
    /// Business time of the present run.
    goal_ms: i64,
    /// How much of it was used up to `since`.
    used_ms: i64,
    /// Since when it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// When it warns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warns_at: Option<Timestamp>,
    /// What it told in this run.
    #[serde(default)]
    warned: bool,
    #[serde(default)]
    over: bool,
}

impl Clock {
    /// A clock that begins to run.
    pub(crate) fn start(goal_minutes: u32, now: Timestamp, calendar: &Calendar) -> Self {
        let mut clock = Self {
            state: ClockState::Running,
            due_at: None,
            goal_ms: i64::from(goal_minutes) * 60_000,
            used_ms: 0,
            since: None,
            warns_at: None,
            warned: false,
            over: false,
        };
        clock.run(now, calendar);
        clock
    }

    fn run(&mut self, now: Timestamp, calendar: &Calendar) {
        self.since = Some(now);
        self.due_at = calendar.add(now, self.goal_ms - self.used_ms);
        let warns_after = self.goal_ms * WARNS_AT_PERCENT / 100 - self.used_ms;
        self.warns_at = calendar.add(now, warns_after);
        self.state = match (self.over, self.warned) {
            (true, _) => ClockState::Breached,
            (false, true) => ClockState::DueSoon,
            (false, false) => ClockState::Running,
        };
    }

    fn halt(&mut self, now: Timestamp, calendar: &Calendar) {
        if let Some(since) = self.since.take() {
            self.used_ms = self.used_ms.saturating_add(calendar.between(since, now));
        }
        self.warns_at = None;
    }

    /// Whether time passes.
    pub(crate) fn is_running(&self) -> bool {
        self.since.is_some()
    }

    /// Lets no time pass until [`Clock::resume`].
    pub(crate) fn pause(&mut self, now: Timestamp, calendar: &Calendar) {
        if self.is_running() {
            self.halt(now, calendar);
            self.due_at = None;
            if !self.over {
                self.state = ClockState::Paused;
            }
        }
    }

    /// Lets time pass again.
    pub(crate) fn resume(&mut self, now: Timestamp, calendar: &Calendar) {
        if !self.is_running() && self.due_at.is_none() && self.state != ClockState::Met {
            self.run(now, calendar);
        }
    }

    /// It is done. What was breached stays so.
    pub(crate) fn meet(&mut self, now: Timestamp, calendar: &Calendar) {
        if self.is_running() || self.state == ClockState::Paused {
            self.halt(now, calendar);
            // A moment is kept even where the clock was paused: it is over, and does not resume.
            self.due_at = self.due_at.or(Some(now));
            if !self.over {
                self.state = ClockState::Met;
            }
        }
    }

    /// It was not done after all: a new run of what was left, at least an hour.
    pub(crate) fn reopen(&mut self, now: Timestamp, calendar: &Calendar) {
        if self.is_running() {
            return;
        }
        let left = (self.goal_ms - self.used_ms).max(LEAST_AFTER_REOPENING_MS);
        (self.goal_ms, self.used_ms) = (left, 0);
        (self.warned, self.over) = (false, false);
        self.run(now, calendar);
    }

    /// Another goal, such as that of another priority; what is used stays used.
    pub(crate) fn retarget(&mut self, goal_minutes: u32, now: Timestamp, calendar: &Calendar) {
        let goal_ms = i64::from(goal_minutes) * 60_000;
        if matches!(self.state, ClockState::Met) || goal_ms == self.goal_ms {
            return;
        }
        let running = self.is_running();
        self.halt(now, calendar);
        self.goal_ms = goal_ms;
        if running {
            self.run(now, calendar);
        }
    }

    /// What is new at this moment, in order; each is said once a run.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<News> {
        let mut news = Vec::new();
        if !self.is_running() {
            return news;
        }
        if !self.warned && self.warns_at.is_some_and(|at| at <= now) {
            self.warned = true;
            self.state = ClockState::DueSoon;
            news.push(News::DueSoon);
        }
        if !self.over && self.due_at.is_some_and(|at| at <= now) {
            self.over = true;
            self.state = ClockState::Breached;
            news.push(News::Breached);
        }
        news
    }

    /// When to look at it again.
    pub(crate) fn wakes_at(&self) -> Option<Timestamp> {
        self.since?;
        match (self.warned, self.over) {
            (_, true) => None,
            (false, false) => self.warns_at.or(self.due_at),
            (true, false) => self.due_at,
        }
    }
}

/// The two clocks of a ticket or conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sla {
    /// Until somebody answers.
    pub(crate) first_response: Clock,
    /// Until it is resolved.
    pub(crate) resolution: Clock,
}

impl Sla {
    /// Both begin.
    pub(crate) fn start(goals: Goals, now: Timestamp, calendar: &Calendar) -> Self {
        Self {
            first_response: Clock::start(goals.first_response_minutes, now, calendar),
            resolution: Clock::start(goals.resolution_minutes, now, calendar),
        }
    }

    /// Somebody answered.
    pub(crate) fn answered(&mut self, now: Timestamp, calendar: &Calendar) {
        self.first_response.meet(now, calendar);
    }

    /// The other side has to act: only the resolution waits for it.
    pub(crate) fn waits(&mut self, now: Timestamp, calendar: &Calendar) {
        self.resolution.pause(now, calendar);
    }

    /// We have to act again.
    pub(crate) fn goes_on(&mut self, now: Timestamp, calendar: &Calendar) {
        self.resolution.resume(now, calendar);
    }

    /// It is resolved; an answer is not owed any more.
    pub(crate) fn resolved(&mut self, now: Timestamp, calendar: &Calendar) {
        self.first_response.meet(now, calendar);
        self.resolution.meet(now, calendar);
    }

    /// It is not resolved after all.
    pub(crate) fn reopened(&mut self, now: Timestamp, calendar: &Calendar) {
        self.resolution.reopen(now, calendar);
    }

    /// The goals of another priority.
    pub(crate) fn retarget(&mut self, goals: Goals, now: Timestamp, calendar: &Calendar) {
        self.first_response
            .retarget(goals.first_response_minutes, now, calendar);
        self.resolution.retarget(goals.resolution_minutes, now, calendar);
    }

    /// What is new: which clock, and what of it.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<(&'static str, News)> {
        let first = self
            .first_response
            .tick(now)
            .into_iter()
            .map(|news| ("first_response", news));
        let mut news: Vec<_> = first.collect();
        news.extend(
            self.resolution
                .tick(now)
                .into_iter()
                .map(|news| ("resolution", news)),
        );
        news
    }

    /// When to look again.
    pub(crate) fn wakes_at(&self) -> Option<Timestamp> {
        let clocks = [&self.first_response, &self.resolution];
        clocks.into_iter().filter_map(Clock::wakes_at).min()
    }

    /// The worse of both, as lists mark it: `ok`, `due_soon` or `breached`.
    pub(crate) fn standing(&self) -> &'static str {
        let states = [self.first_response.state, self.resolution.state];
        if states.contains(&ClockState::Breached) {
            "breached"
        } else if states.contains(&ClockState::DueSoon) {
            "due_soon"
        } else {
            "ok"
        }
    }

    /// As records show it: where each clock stands, and when its time is over.
    pub(crate) fn shown(&self) -> Value {
        let clock = |clock: &Clock| json!({ "state": clock.state, "due_at": clock.due_at });
        json!({ "first_response": clock(&self.first_response), "resolution": clock(&self.resolution) })
    }
}

#[cfg(test)]
mod tests {
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
}
