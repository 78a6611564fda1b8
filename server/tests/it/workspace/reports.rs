//! Reports equal a count that is made here by other means, over records of forty days; on both engines.

use footbridge_server::{
    store::{Draft, Field},
    vocabulary::Timestamp,
};
use serde_json::{Value, json};

use super::house::{ALL, Rooms};
use crate::store::harness::{Place, for_each_engine, run, write};

const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Records of each kind, four hours apart: forty days.
const COUNT: i64 = 240;

/// Numbers that look thrown and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % sides).unwrap()
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.roll(all.len() as u64)).unwrap()]
    }
}

/// A ticket: opened, resolved, its priority, and when its clock was breached.
type Opened = (i64, Option<i64>, &'static str, Option<i64>);

/// A conversation: began, first answered, resolved, whether by the bot, whether in the channel with hours of its own.
type Talk = (i64, Option<i64>, Option<i64>, bool, bool);

/// What was put into the store, as the test knows it.
#[derive(Default)]
struct Known {
    talks: Vec<Talk>,
    /// The holiday of the channel with hours of its own, as days since 1970 where it is.
    holiday: i64,
    tickets: Vec<Opened>,
    /// Stage, since when, cents, probability, written down.
    deals: Vec<(&'static str, i64, i64, i64, i64)>,
    end: i64,
}

async fn insert(rooms: &Rooms, kind: &'static str, id: String, doc: Value, fields: Vec<Field>) {
    write(&rooms.store, "acme", move |tx| {
        Box::pin(async move {
            let mut draft = Draft::of(&doc)?;
            draft.fields = fields;
            tx.records(kind).insert(&id, &draft, "test").await.map(drop)
        })
    })
    .await;
}

/// How far the clocks of the channel with hours of its own, in Kolkata, are ahead. They are never changed.
const AHEAD_MS: i64 = 330 * MINUTE_MS;
/// Its hours, from Monday to Friday, in minutes of the day.
const HOURS: std::ops::Range<i64> = 9 * 60..17 * 60 + 30;

/// Seconds of that channel's hours between two moments, counted minute by minute.
fn worked_s(from: i64, to: i64, holiday: i64) -> i64 {
    let mut minute = whole_minute(from);
    let mut sum = 0;
    while minute < to {
        let there = minute + AHEAD_MS;
        let (day, of_day) = (there.div_euclid(DAY_MS), there.rem_euclid(DAY_MS) / MINUTE_MS);
        // The first of January 1970 was a Thursday.
        let is_workday = (day + 3).rem_euclid(7) < 5 && day != holiday;
        if is_workday && HOURS.contains(&of_day) {
            sum += (minute + MINUTE_MS).min(to) - minute.max(from);
        }
        minute += MINUTE_MS;
    }
    sum / 1000
}

fn whole_minute(moment: i64) -> i64 {
    moment - moment.rem_euclid(MINUTE_MS)
}

impl Known {
    /// Seconds that count between two moments of a conversation.
    fn seconds(&self, from: i64, to: i64, has_hours: bool) -> i64 {
        if has_hours {
            worked_s(from, to, self.holiday)
        } else {
            (to - from) / 1000
        }
    }
}

async fn fill(rooms: &Rooms) -> Known {
    let mut dice = Dice(42);
    let start = rooms.clock.now().0;
    let end = start + COUNT * 4 * HOUR_MS;
    // A Wednesday of the last days.
    let mut holiday = (end + AHEAD_MS).div_euclid(DAY_MS) - 1;
    while (holiday + 3).rem_euclid(7) != 2 {
        holiday -= 1;
    }
    let mut known = Known {
        end,
        holiday,
        ..Known::default()
    };
    let day = Timestamp(holiday * DAY_MS).to_string()[..10].to_owned();
    let window = ["09:00-17:30"];
    let hours = json!({ "time_zone": "Asia/Kolkata", "holidays": [day],
        "weekly": { "mon": window, "tue": window, "wed": window, "thu": window, "fri": window } });
    let channel = json!({ "name": "Day", "slug": "day", "active": true, "business_hours": hours });
    insert(rooms, "channel", "chn_day".to_owned(), channel, Vec::new()).await;
    for n in 0..COUNT {
        let now = rooms.clock.now().0;
        let later =
            |dice: &mut Dice, most: u64| Some(now + dice.roll(most) * 7 * 60_000).filter(|at| *at < end);
        let (answered, resolved) = (later(&mut dice, 400), later(&mut dice, 2_000));
        let (by_bot, has_hours) = (dice.roll(3) == 0, n % 2 == 0);
        let at = |moment: Option<i64>| moment.map(|moment| Timestamp(moment).to_string());
        insert(
            rooms,
            "conversation",
            format!("cnv_{n}"),
            json!({
                "channel_id": if has_hours { "chn_day" } else { "chn_x" }, "status": if resolved.is_some() { "resolved" } else { "open" }, "bot_handled": by_bot,
                "first_response_at": at(answered), "resolved_at": at(resolved), "assignee": "usr_ben",
            }),
            vec![
                Field::new("resolved_at", resolved.unwrap_or(0)),
                Field::new("status", if resolved.is_some() { "resolved" } else { "open" }),
            ],
        )
        .await;
        known.talks.push((now, answered, resolved, by_bot, has_hours));

        let (resolved, late) = (later(&mut dice, 3_000), later(&mut dice, 4_000));
        // A clock that was met is never breached.
        let breached = late.filter(|at| resolved.is_none_or(|done| *at < done));
        let priority = dice.of(&["low", "medium", "high", "urgent"]);
        let status = if resolved.is_some() {
            "resolved"
        } else {
            "in_progress"
        };
        let state = if breached.is_some() { "breached" } else { "running" };
        insert(
            rooms,
            "ticket",
            format!("tkt_{n}"),
            json!({
                "number": n, "title": "T", "status": status, "priority": priority, "resolved_at": at(resolved),
                "sla": { "first_response": { "state": "met", "due_at": at(Some(now)) },
                         "resolution": { "state": state, "due_at": at(breached) } },
            }),
            vec![
                Field::new("status", status),
                Field::new("resolved_at", resolved.unwrap_or(0)),
            ],
        )
        .await;
        known.tickets.push((now, resolved, priority, breached));

        let stage = dice.of(&["qualification", "proposal", "negotiation", "won", "lost"]);
        let (cents, probability, since) = (
            dice.roll(900_001),
            dice.roll(101),
            now - dice.roll(20) * DAY_MS / 3,
        );
        insert(
            rooms,
            "opportunity",
            format!("opp_{n}"),
            json!({
                "name": "D", "stage": stage, "amount_cents": cents, "currency": "EUR", "probability": probability,
                "owner": "usr_ben", "stage_changed_at": Timestamp(since).to_string(),
            }),
            vec![
                Field::new("stage", stage),
                Field::new("stage_changed_at", since),
            ],
        )
        .await;
        known.deals.push((stage, since, cents, probability, now));
        let lead = vec![Field::new("status", "new")];
        insert(rooms, "lead", format!("lead_{n}"), json!({ "name": "L" }), lead).await;
        rooms.clock.advance(4 * HOUR_MS);
    }
    for (n, (stage, score)) in [
        ("active", Some(70)),
        ("active", Some(81)),
        ("active", None),
        ("at_risk", Some(9)),
    ]
    .into_iter()
    .enumerate()
    {
        let doc = json!({ "name": "A", "lifecycle_stage": stage, "health_score": score });
        let fields = vec![Field::new("lifecycle_stage", stage)];
        insert(rooms, "account", format!("acc_{n}"), doc, fields).await;
    }
    known
}

/// The smallest value that `percent` of the values do not exceed, found by counting.
fn percentile(values: &[i64], percent: usize) -> Value {
    let enough =
        |limit: i64| values.iter().filter(|value| **value <= limit).count() * 100 >= percent * values.len();
    values
        .iter()
        .copied()
        .filter(|value| enough(*value))
        .min()
        .map_or(Value::Null, Value::from)
}

fn midnight(moment: i64) -> i64 {
    moment - moment.rem_euclid(DAY_MS)
}

#[test]
fn reports_equal_a_count_by_other_means() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let known = fill(&rooms).await;
        // `7d` is today so far and the six days before, in UTC.
        let from = midnight(known.end) - 6 * DAY_MS;
        let inside = |at: &i64| (from..known.end).contains(at);
        let ask = |tool: &'static str, more: Value| {
            let mut arguments = json!({ "period": "7d", "time_zone": "UTC", "compare": false });
            arguments
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            rooms.call(&key, tool, arguments)
        };

        let talks = ask("get_conversation_report", json!({})).await;
        let opened: Vec<_> = known.talks.iter().filter(|(at, ..)| inside(at)).collect();
        let resolved: Vec<_> = known
            .talks
            .iter()
            .filter(|(_, _, at, ..)| at.as_ref().is_some_and(inside))
            .collect();
        let responses: Vec<i64> = opened
            .iter()
            .filter_map(|(at, answered, .., hours)| Some(known.seconds(*at, (*answered)?, *hours)))
            .collect();
        let resolutions: Vec<i64> = resolved
            .iter()
            .filter_map(|(at, _, done, _, hours)| Some(known.seconds(*at, (*done)?, *hours)))
            .collect();
        let by_bot = resolved.iter().filter(|(.., by_bot, _)| *by_bot).count();
        assert!(by_bot > 0 && responses.len() > 10, "the data say something");
        assert_eq!(
            talks["totals"],
            json!({
                "opened": opened.len(), "resolved": resolved.len(), "bot_resolved": by_bot,
                "first_response_p50_s": percentile(&responses, 50), "first_response_p90_s": percentile(&responses, 90),
                "resolution_p50_s": percentile(&resolutions, 50),
            })
        );
        let days = talks["rows"].as_array().unwrap();
        assert_eq!(days.len(), 7);
        let sum = |field: &str| days.iter().map(|day| day[field].as_i64().unwrap()).sum::<i64>();
        assert_eq!(
            json!([sum("opened"), sum("resolved")]),
            json!([opened.len(), resolved.len()])
        );

        let tickets = ask("get_ticket_report", json!({})).await;
        let open_at = |moment: i64| {
            let open = known
                .tickets
                .iter()
                .filter(|(at, done, ..)| *at < moment && done.is_none_or(|done| done >= moment));
            open.count()
        };
        for (n, day) in tickets["rows"].as_array().unwrap().iter().enumerate() {
            let begin = from + i64::try_from(n).unwrap() * DAY_MS;
            let end = (begin + DAY_MS).min(known.end);
            let on_day = |at: Option<i64>| at.is_some_and(|at| (begin..end).contains(&at));
            let count = |part: fn(&Opened) -> Option<i64>| {
                known.tickets.iter().filter(|ticket| on_day(part(ticket))).count()
            };
            let breached = count(|(.., breached)| *breached);
            assert_eq!(
                *day,
                json!({
                    "group": Timestamp(begin).to_string()[..10], "created": count(|(at, ..)| Some(*at)),
                    "resolved": count(|(_, done, ..)| *done), "reopened": 0, "breached_first_response": 0,
                    "breached_resolution": breached, "backlog_end": open_at(end),
                })
            );
        }
        let urgent = ask(
            "get_ticket_report",
            json!({ "group_by": "priority", "priority": "urgent" }),
        )
        .await;
        let created = known
            .tickets
            .iter()
            .filter(|(at, _, priority, _)| *priority == "urgent" && inside(at))
            .count();
        assert_eq!(
            (&urgent["rows"][0]["group"], &urgent["totals"]["created"]),
            (&json!("urgent"), &json!(created))
        );

        let pipeline = ask("get_pipeline_report", json!({})).await;
        let open = |stage: &&str| !["won", "lost"].contains(stage);
        let ended = |wanted: &str| -> Vec<&(&str, i64, i64, i64, i64)> {
            known
                .deals
                .iter()
                .filter(|(stage, since, ..)| *stage == wanted && inside(since))
                .collect()
        };
        let (won, lost) = (ended("won"), ended("lost"));
        let open_cents: i64 = known
            .deals
            .iter()
            .filter(|(stage, ..)| open(stage))
            .map(|(_, _, cents, ..)| cents)
            .sum();
        let weighted: i128 = known
            .deals
            .iter()
            .filter(|(stage, ..)| open(stage))
            .map(|(_, _, cents, probability, _)| i128::from(cents * probability))
            .sum();
        let (whole, rest) = (weighted / 100, weighted % 100);
        let weighted = whole + i128::from(rest > 50 || (rest == 50 && whole % 2 == 1));
        let totals = &pipeline["totals"];
        assert_eq!(totals["open_cents"], open_cents);
        assert_eq!(i128::from(totals["weighted_cents"].as_i64().unwrap()), weighted);
        assert_eq!(
            totals["won_cents"],
            won.iter().map(|(_, _, cents, ..)| *cents).sum::<i64>()
        );
        #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
        let rate = won.len() as f64 / (won.len() + lost.len()) as f64;
        assert!(
            (totals["win_rate"].as_f64().unwrap() - rate).abs() < 0.000_051,
            "{totals} {rate}"
        );

        let overview = ask("get_report_overview", json!({})).await;
        let metric = |name: &str| {
            let all = overview["metrics"].as_array().unwrap();
            all.iter().find(|metric| metric["key"] == name).unwrap()["value"].clone()
        };
        assert_eq!(metric("conversations_opened"), json!(opened.len()));
        assert_eq!(metric("resolution_p50"), percentile(&resolutions, 50));
        assert_eq!(
            metric("tickets_created"),
            json!(known.tickets.iter().filter(|(at, ..)| inside(at)).count())
        );
        assert_eq!(
            metric("leads_created"),
            json!(known.tickets.iter().filter(|(at, ..)| inside(at)).count())
        );
        // The mean of 70 and 81 goes to the even neighbour.
        assert_eq!(
            (metric("account_health"), metric("accounts_at_risk")),
            (json!(76), json!(1))
        );
        let breached = known
            .tickets
            .iter()
            .filter(|(_, done, _, breached)| done.is_none() && breached.is_some())
            .count();
        assert_eq!(
            overview["open_now"],
            json!({
                "conversations": known.talks.iter().filter(|(_, _, done, ..)| done.is_none()).count(),
                "tickets": known.tickets.iter().filter(|(_, done, ..)| done.is_none()).count(),
                "breached": breached,
            })
        );
    });
}

#[test]
fn periods_compare_and_refuse_what_they_cannot_be() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        let known = fill(&rooms).await;
        let overview = rooms
            .call(
                &key,
                "get_report_overview",
                json!({ "period": "7d", "time_zone": "UTC" }),
            )
            .await;
        let opened = &overview["metrics"][0];
        let from = midnight(known.end) - 6 * DAY_MS;
        let length = known.end - from;
        let before = known
            .talks
            .iter()
            .filter(|(at, ..)| (from - length..from).contains(at))
            .count();
        assert_eq!(
            (&opened["key"], &opened["previous"]),
            (&json!("conversations_opened"), &json!(before))
        );
        for (arguments, said) in [
            (json!({ "period": "custom" }), "400 Bad Request: from: is needed"),
            (
                json!({ "time_zone": "Mars/Base" }),
                "400 Bad Request: time_zone: `Mars/Base`",
            ),
            (
                json!({ "period": "custom", "from": "today", "to": "-7d" }),
                "400 Bad Request: from: must lie before to",
            ),
            (json!({ "period": "1y" }), "400 Bad Request: period"),
        ] {
            let refused = rooms.refusal(&key, "get_report_overview", arguments).await;
            assert!(refused.starts_with(said), "{refused}");
        }
        let refused = rooms
            .refusal(&key, "get_conversation_report", json!({ "channel": "nowhere" }))
            .await;
        assert!(refused.starts_with("404 Not Found: channel nowhere"), "{refused}");
        let empty = rooms.key("zeta", ALL).await;
        let report = rooms.call(&empty, "get_pipeline_report", json!({})).await;
        assert_eq!(
            (&report["totals"]["open_cents"], &report["totals"]["win_rate"]),
            (&json!(0), &Value::Null)
        );
    });
}
