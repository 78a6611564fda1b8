//! One step after the other: each makes or changes a record by the rules that hold for real ones.

mod crm;
mod desk;

use super::{
    Filled,
    dice::Dice,
    schedule::Step,
    text::{FIRST, LAST},
};
use crate::{
    domain::{
        DomainError,
        workspace::{
            kinds::message::{Author, AuthorType},
            record::{self, Kind, Stored},
        },
    },
    store::TenantTx,
    vocabulary::Timestamp,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A person of a customer.
#[derive(Clone)]
struct Person {
    id: String,
    name: String,
    email: String,
    account: String,
}

/// What has been made so far, by number.
pub(super) struct World {
    dice: Dice,
    team: Vec<String>,
    accounts: Vec<String>,
    people: Vec<Person>,
    leads: Vec<Option<String>>,
    deals: Vec<Option<String>>,
    tickets: Vec<Option<String>>,
    conversations: Vec<Option<String>>,
    articles: usize,
}

impl World {
    /// Nothing but people to work there.
    pub(super) fn new(team: Vec<String>) -> Self {
        Self {
            dice: Dice::new(6),
            team,
            accounts: Vec::new(),
            people: Vec::new(),
            leads: Vec::new(),
            deals: Vec::new(),
            tickets: Vec::new(),
            conversations: Vec::new(),
            articles: 0,
        }
    }

    /// How much there is.
    pub(super) fn filled(&self) -> Filled {
        let made = |all: &[Option<String>]| all.iter().flatten().count();
        Filled {
            accounts: self.accounts.len(),
            contacts: self.people.len(),
            leads: made(&self.leads),
            opportunities: made(&self.deals),
            tickets: made(&self.tickets),
            conversations: made(&self.conversations),
            articles: self.articles,
        }
    }

    /// Plays one step.
    ///
    /// # Errors
    /// When a rule of the workspace says no, which is a fault of the play.
    pub(super) async fn play(&mut self, tx: &mut TenantTx<'_>, step: Step) -> Result<(), DomainError> {
        match step {
            Step::Article(number) => self.article(tx, number).await,
            Step::Account(number) => self.account(tx, number).await,
            Step::Contact(number) => self.contact(tx, number).await,
            Step::Lead(number) => self.lead(tx, number).await,
            Step::MoveLead(number, status) => self.move_lead(tx, number, status).await,
            Step::Deal(number) => self.deal(tx, number).await,
            Step::MoveDeal(number, stage) => self.move_deal(tx, number, stage).await,
            Step::Ticket(number) => self.ticket(tx, number).await,
            Step::MoveTicket(number, status) => self.move_ticket(tx, number, status).await,
            Step::Comment(number) => self.comment(tx, number).await,
            Step::Say(number, line) => self.say(tx, number, line).await,
            Step::Resolve(number) => self.resolve(tx, number).await,
        }
    }

    fn member(&mut self) -> String {
        self.dice.pick(&self.team).cloned().unwrap_or_default()
    }

    fn somebody(&mut self) -> Option<Person> {
        self.dice.pick(&self.people).cloned()
    }

    fn name(&mut self) -> String {
        let first = self.dice.pick(&FIRST).copied().unwrap_or_default();
        let last = self.dice.pick(&LAST).copied().unwrap_or_default();
        format!("{first} {last}")
    }
}

/// Remembers a record's id under its number.
fn keep(ids: &mut Vec<Option<String>>, number: usize, id: String) {
    if ids.len() <= number {
        ids.resize(number + 1, None);
    }
    if let Some(slot) = ids.get_mut(number) {
        *slot = Some(id);
    }
}

/// The record of that number, if it was made.
async fn made<K: Kind>(
    tx: &mut TenantTx<'_>,
    ids: &[Option<String>],
    number: usize,
) -> Result<Option<Stored<K>>, DomainError> {
    match ids.get(number).and_then(Option::as_ref) {
        Some(id) => record::find(&mut tx.reading(), id).await,
        None => Ok(None),
    }
}

/// A member as an author.
async fn author(tx: &mut TenantTx<'_>, id: &str) -> Result<Author, DomainError> {
    let name = match id.parse() {
        Ok(id) => tx.users().find(&id).await?.map(|user| user.name),
        Err(_) => None,
    };
    Ok(Author {
        kind: AuthorType::Member,
        id: id.to_owned(),
        name: name.unwrap_or_default(),
    })
}

fn date(at: Timestamp) -> String {
    at.to_string().chars().take("2026-11-28".len()).collect()
}
