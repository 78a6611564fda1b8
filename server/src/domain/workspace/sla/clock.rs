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
mod tests;
