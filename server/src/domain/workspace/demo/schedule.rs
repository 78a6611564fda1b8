//! What happens when: the whole play as a list of steps in the order of their moments.

use super::{
    dice::Dice,
    text::{ARTICLES, COMPANIES, DIALOGUES},
};
use crate::{
    domain::workspace::kinds::{lead::LeadStatus, opportunity::Stage, ticket::TicketStatus},
    vocabulary::Timestamp,
};

/// How long the play takes.
pub(super) const DAYS: i64 = 90;
const HOUR_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How many of each there are.
const CONTACTS: usize = 90;
const LEADS: usize = 60;
const DEALS: usize = 45;
const TICKETS: usize = 300;
const CONVERSATIONS: usize = 120;

/// One step. Numbers say which of its kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Article(usize),
    Account(usize),
    Contact(usize),
    Lead(usize),
    MoveLead(usize, LeadStatus),
    Deal(usize),
    MoveDeal(usize, Stage),
    Ticket(usize),
    MoveTicket(usize, TicketStatus),
    Comment(usize),
    /// The line of its dialogue that is said next.
    Say(usize, usize),
    Resolve(usize),
}

/// The steps, the earliest first.
pub(super) fn of(begin: Timestamp) -> Vec<(Timestamp, Step)> {
    let mut dice = Dice::new(20);
    let mut steps: Vec<(i64, Step)> = Vec::new();
    for number in 0..ARTICLES.len() {
        steps.push((dice.between(0, 20) * HOUR_MS / 4, Step::Article(number)));
    }
    for number in 0..COMPANIES.len() {
        steps.push((
            6 * HOUR_MS + dice.between(0, 60) * HOUR_MS / 10,
            Step::Account(number),
        ));
    }
    for number in 0..CONTACTS {
        steps.push((
            13 * HOUR_MS + dice.between(0, 60) * HOUR_MS / 10,
            Step::Contact(number),
        ));
    }
    for number in 0..LEADS {
        let mut at = spread(&mut dice, number, LEADS);
        steps.push((at, Step::Lead(number)));
        let way = [(70, LeadStatus::Working), (55, LeadStatus::Qualified)];
        for (percent, status) in way {
            if !dice.happens(percent) {
                if dice.happens(30) {
                    steps.push((
                        at + dice.between(20, 90) * HOUR_MS,
                        Step::MoveLead(number, LeadStatus::Disqualified),
                    ));
                }
                break;
            }
            at += dice.between(4, 120) * HOUR_MS;
            steps.push((at, Step::MoveLead(number, status)));
        }
    }
    for number in 0..DEALS {
        let mut at = spread(&mut dice, number, DEALS);
        steps.push((at, Step::Deal(number)));
        for stage in [Stage::Proposal, Stage::Negotiation, Stage::Won] {
            at += dice.between(48, 400) * HOUR_MS;
            if dice.happens(25) {
                steps.push((at, Step::MoveDeal(number, Stage::Lost)));
                break;
            }
            steps.push((at, Step::MoveDeal(number, stage)));
        }
    }
    for number in 0..TICKETS {
        let opened = spread(&mut dice, number, TICKETS);
        steps.push((opened, Step::Ticket(number)));
        // Something is always left to do.
        if number > 200 && number.is_multiple_of(14) {
            continue;
        }
        let answered = opened + dice.between(10, 360) * HOUR_MS / 60;
        steps.push((answered, Step::MoveTicket(number, TicketStatus::InProgress)));
        steps.push((answered + HOUR_MS / 12, Step::Comment(number)));
        let mut done = answered + dice.between(60, 5_000) * HOUR_MS / 60;
        if dice.happens(30) {
            steps.push((
                answered + (done - answered) / 2,
                Step::MoveTicket(number, TicketStatus::Waiting),
            ));
        }
        steps.push((done, Step::MoveTicket(number, TicketStatus::Resolved)));
        if dice.happens(6) {
            done += dice.between(2, 40) * HOUR_MS;
            steps.push((done, Step::MoveTicket(number, TicketStatus::Open)));
            done += dice.between(2, 40) * HOUR_MS;
            steps.push((done, Step::MoveTicket(number, TicketStatus::Resolved)));
        }
        if dice.happens(60) {
            steps.push((
                done + dice.between(24, 72) * HOUR_MS,
                Step::MoveTicket(number, TicketStatus::Closed),
            ));
        }
    }
    for number in 0..CONVERSATIONS {
        let mut at = spread(&mut dice, number, CONVERSATIONS);
        let lines = DIALOGUES
            .get(number % DIALOGUES.len())
            .map_or(0, |(_, lines)| lines.len());
        let said = if dice.happens(70) { lines } else { lines / 2 };
        for line in 0..said {
            steps.push((at, Step::Say(number, line)));
            at += dice.between(5, 240) * HOUR_MS / 60;
        }
        steps.push((at + dice.between(1, 30) * HOUR_MS, Step::Resolve(number)));
    }
    // What would come later has not happened yet.
    steps.retain(|(at, _)| *at < DAYS * DAY_MS);
    steps.sort_by_key(|(at, _)| *at);
    steps
        .into_iter()
        .map(|(at, step)| (begin.plus_millis(at), step))
        .collect()
}

/// A moment in working hours: one after the other over the days, the last ones on the last day.
fn spread(dice: &mut Dice, number: usize, all: usize) -> i64 {
    let share = |part: i64| -> i64 {
        let (number, all) = (
            i64::try_from(number).unwrap_or(0),
            i64::try_from(all).unwrap_or(1),
        );
        part * number / all
    };
    let day = 1 + share(DAYS - 1);
    day * DAY_MS + 8 * HOUR_MS + dice.between(0, 59) * HOUR_MS / 6 - HOUR_MS / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_moment_makes_the_same_play() {
        let play = || format!("{:?}", of(Timestamp(1_795_190_400_000)));
        assert_eq!(play(), play());
        let steps = of(Timestamp(0));
        assert!(steps.is_sorted_by_key(|(at, _)| *at));
        let of_kind = |wanted: fn(&Step) -> bool| steps.iter().filter(|(_, step)| wanted(step)).count();
        assert_eq!(of_kind(|step| matches!(step, Step::Account(_))), 40);
        assert_eq!(of_kind(|step| matches!(step, Step::Ticket(_))), 300);
    }
}
