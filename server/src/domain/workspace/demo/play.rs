//! One step after the other: each makes or changes a record by the rules that hold for real ones.

use super::{
    Filled,
    dice::Dice,
    schedule::Step,
    text::{ARTICLES, COMPANIES, DIALOGUES, FIRST, LAST, NOTES, POSITIONS, TOPICS},
};
use crate::{
    domain::{
        DomainError,
        workspace::{
            kinds::{
                account::{Account, LifecycleStage},
                article::{Article, ArticleStatus, Visibility},
                comment::Comment,
                contact::Contact,
                conversation::Conversation,
                lead::{Lead, LeadSource, LeadStatus},
                message::{Author, AuthorType, Direction, Message},
                opportunity::{Opportunity, Stage},
                ticket::{Priority, Ticket, TicketStatus},
            },
            record::{self, Document, Kind, Stored, Who},
            sla::{rules, timers},
            start::SUPPORT,
            talk::{
                moves::{self, Then},
                tickets,
            },
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

    async fn article(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let Some((title, collection, public, body)) = ARTICLES.get(number).copied() else {
            return Ok(());
        };
        let who = self.member();
        let mut article = Article {
            title: title.to_owned(),
            slug: title.to_lowercase().replace(' ', "-"),
            body_markdown: body.to_owned(),
            collection: Some(collection.to_owned()),
            status: ArticleStatus::Published,
            visibility: if public {
                Visibility::Public
            } else {
                Visibility::Internal
            },
            author: who.clone(),
            ..Article::default()
        };
        article.settle(None, tx.now())?;
        record::insert(tx, Document::new(article), &Who::system(&who)).await?;
        self.articles += 1;
        Ok(())
    }

    async fn account(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let Some((name, industry)) = COMPANIES.get(number).copied() else {
            return Ok(());
        };
        let health = self.dice.between(20, 98);
        let domain: String = name
            .to_lowercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let owner = self.member();
        let mut account = Account {
            name: name.to_owned(),
            domain: Some(format!("{domain}.example")),
            website: Some(format!("https://{domain}.example")),
            industry: Some(industry.to_owned()),
            lifecycle_stage: match health {
                0..30 => LifecycleStage::Churned,
                30..45 => LifecycleStage::AtRisk,
                45..85 => LifecycleStage::Active,
                _ => LifecycleStage::Prospect,
            },
            health_score: Some(health),
            owner: owner.clone(),
            ..Account::default()
        };
        account.settle(None, tx.now())?;
        let made = record::insert(tx, Document::new(account), &Who::system(&owner)).await?;
        self.accounts.push(made.id);
        Ok(())
    }

    async fn contact(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let name = self.name();
        let owner = self.member();
        // Every company has somebody; the larger ones have more.
        let account = match self.accounts.get(number) {
            Some(account) => account.clone(),
            None => self.dice.pick(&self.accounts).cloned().unwrap_or_default(),
        };
        let email = format!(
            "{}.{number}@customer.example",
            name.to_lowercase().replace(' ', ".")
        );
        let contact = Contact {
            name: name.clone(),
            account_id: account.clone(),
            email: Some(email.clone()),
            phone: Some(format!("+49 30 {:07}", self.dice.between(1_000_000, 9_999_999))),
            title: self.dice.pick(&POSITIONS).map(|title| (*title).to_owned()),
            owner: owner.clone(),
            last_seen_at: None,
        };
        let made = record::insert(tx, Document::new(contact), &Who::system(&owner)).await?;
        self.people.push(Person {
            id: made.id,
            name,
            email,
            account,
        });
        Ok(())
    }

    async fn lead(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let name = self.name();
        let owner = self.member();
        let sources = [
            LeadSource::Web,
            LeadSource::Email,
            LeadSource::Manual,
            LeadSource::Import,
        ];
        let mut lead = Lead {
            email: Some(format!(
                "{}.{number}@lead.example",
                name.to_lowercase().replace(' ', ".")
            )),
            company: COMPANIES
                .get(number % COMPANIES.len())
                .map(|(company, _)| format!("{company} Partners")),
            title: self.dice.pick(&POSITIONS).map(|title| (*title).to_owned()),
            source: self.dice.pick(&sources).copied().unwrap_or_default(),
            owner: owner.clone(),
            value_cents: Some(self.dice.between(2, 90) * 10_000),
            name,
            ..Lead::default()
        };
        lead.settle(None, tx.now())?;
        let made = record::insert(tx, Document::new(lead), &Who::system(&owner)).await?;
        keep(&mut self.leads, number, made.id);
        Ok(())
    }

    async fn move_lead(
        &mut self,
        tx: &mut TenantTx<'_>,
        number: usize,
        status: LeadStatus,
    ) -> Result<(), DomainError> {
        let Some(found) = made::<Lead>(tx, &self.leads, number).await? else {
            return Ok(());
        };
        let mut doc = found.doc.clone();
        doc.fields.status = status;
        doc.fields.settle(Some(found.fields()), tx.now())?;
        let who = Who::system(&found.fields().owner);
        record::update(tx, &found.id, &doc, None, &who).await.map(drop)
    }

    async fn deal(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let Some(person) = self.somebody() else {
            return Ok(());
        };
        let owner = self.member();
        let kinds = ["Yearly plan", "More seats", "Pilot", "Renewal", "Second site"];
        let close = tx.now().plus_millis(self.dice.between(10, 80) * DAY_MS);
        let mut deal = Opportunity {
            name: format!(
                "{} for {}",
                self.dice.pick(&kinds).copied().unwrap_or_default(),
                person.name
            ),
            account_id: person.account,
            contact_ids: vec![person.id],
            amount_cents: self.dice.between(5, 400) * 10_000,
            close_date: Some(date(close)),
            owner: owner.clone(),
            ..Opportunity::default()
        };
        deal.settle(None, tx.now())?;
        let made = record::insert(tx, Document::new(deal), &Who::system(&owner)).await?;
        keep(&mut self.deals, number, made.id);
        Ok(())
    }

    async fn move_deal(
        &mut self,
        tx: &mut TenantTx<'_>,
        number: usize,
        stage: Stage,
    ) -> Result<(), DomainError> {
        let Some(found) = made::<Opportunity>(tx, &self.deals, number).await? else {
            return Ok(());
        };
        let reasons = [
            "price",
            "chose another vendor",
            "no budget this year",
            "project stopped",
        ];
        let mut doc = found.doc.clone();
        doc.fields.stage = stage;
        if stage == Stage::Lost {
            doc.fields.lost_reason = self.dice.pick(&reasons).map(|reason| (*reason).to_owned());
        }
        doc.fields.settle(Some(found.fields()), tx.now())?;
        let who = Who::system(&found.fields().owner);
        record::update(tx, &found.id, &doc, None, &who).await.map(drop)
    }

    async fn ticket(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let (Some(person), Some(topic)) = (self.somebody(), self.dice.pick(&TOPICS)) else {
            return Ok(());
        };
        let priority = match self.dice.below(20) {
            0 => Priority::Urgent,
            1..5 => Priority::High,
            5..15 => Priority::Medium,
            _ => Priority::Low,
        };
        let assignee = if number.is_multiple_of(7) {
            self.team.first().cloned()
        } else {
            self.dice.happens(85).then(|| self.member())
        };
        let ticket = Ticket {
            title: topic.title.to_owned(),
            description: format!("{}\n\n{}", topic.asked, person.name),
            priority,
            assignee,
            requester: Some(person.id),
            account_id: Some(person.account),
            channel_id: Some(SUPPORT.to_owned()),
            ..Ticket::default()
        };
        let mut doc = Document::new(ticket);
        doc.tags = vec![topic.tag.to_owned()];
        let made = tickets::open(tx, doc, &Who::system("inbound")).await?;
        keep(&mut self.tickets, number, made.id);
        Ok(())
    }

    async fn move_ticket(
        &mut self,
        tx: &mut TenantTx<'_>,
        number: usize,
        status: TicketStatus,
    ) -> Result<(), DomainError> {
        let Some(found) = made::<Ticket>(tx, &self.tickets, number).await? else {
            return Ok(());
        };
        let worker = match &found.fields().assignee {
            Some(assignee) => assignee.clone(),
            None => self.member(),
        };
        let mut doc = found.doc.clone();
        doc.fields.status = status;
        doc.fields.assignee = Some(worker.clone());
        if status == TicketStatus::Resolved {
            let topic = TOPICS.iter().find(|topic| topic.title == doc.fields.title);
            doc.fields.resolution = topic.map(|topic| topic.resolution.to_owned());
        }
        doc.fields.settle(Some(found.fields()), tx.now())?;
        let who = Who::system(&worker);
        tickets::save(tx, &found.id, doc, None, &who).await.map(drop)
    }

    async fn comment(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let Some(found) = made::<Ticket>(tx, &self.tickets, number).await? else {
            return Ok(());
        };
        let worker = found.fields().assignee.clone().unwrap_or_default();
        let comment = Comment {
            ticket_id: found.id.clone(),
            body: self
                .dice
                .pick(&NOTES)
                .map(|note| (*note).to_owned())
                .unwrap_or_default(),
            author: author(tx, &worker).await?,
            ..Comment::default()
        };
        let who = Who::system(&worker);
        record::insert(tx, Document::new(comment), &who).await?;
        // Their first answer goes out at the same time.
        tickets::answered(tx, &found.id, &who).await
    }

    async fn say(&mut self, tx: &mut TenantTx<'_>, number: usize, line: usize) -> Result<(), DomainError> {
        let Some((subject, lines)) = DIALOGUES.get(number % DIALOGUES.len()) else {
            return Ok(());
        };
        let Some(body) = lines.get(line).map(|line| (*line).to_owned()) else {
            return Ok(());
        };
        let now = tx.now();
        let rules = rules::of(&mut tx.reading(), Some(SUPPORT)).await?;
        let inbound = line.is_multiple_of(2);
        let found = match made::<Conversation>(tx, &self.conversations, number).await? {
            Some(found) => found,
            None => {
                let Some(person) = self.somebody() else {
                    return Ok(());
                };
                let mut conversation = Conversation {
                    channel_id: SUPPORT.to_owned(),
                    contact_id: Some(person.id),
                    email: Some(person.email),
                    name: Some(person.name),
                    subject: Some((*subject).to_owned()),
                    ..Conversation::default()
                };
                timers::Timed::set_clocks(&mut conversation, rules.start(Priority::Medium, now));
                let who = Who::system("inbound");
                let made = record::insert(tx, Document::new(conversation), &who).await?;
                keep(&mut self.conversations, number, made.id.clone());
                made
            }
        };
        let mut doc = found.doc.clone();
        let worker = match &doc.fields.assignee {
            Some(worker) => worker.clone(),
            None => self.member(),
        };
        let message = Message {
            conversation_id: found.id.clone(),
            channel_id: SUPPORT.to_owned(),
            direction: if inbound { Direction::In } else { Direction::Out },
            author: if inbound {
                Author {
                    kind: AuthorType::Contact,
                    id: doc.fields.contact_id.clone().unwrap_or_default(),
                    name: doc.fields.name.clone().unwrap_or_default(),
                }
            } else {
                author(tx, &worker).await?
            },
            body,
            at: now,
            ..Message::default()
        };
        let who = Who::system(if inbound { "inbound" } else { &worker });
        let message = record::insert(tx, Document::new(message), &who).await?;
        moves::note_message(&mut doc.fields, message.fields(), now);
        if inbound {
            moves::came_in(&mut doc.fields, &rules, true, now);
        } else {
            moves::assign(&mut doc.fields, Some(worker));
            moves::answered(&mut doc.fields, &rules, Then::Waiting, now);
        }
        record::update(tx, &found.id, &doc, None, &who).await?;
        timers::schedule(tx, &found.id, &doc.fields).await
    }

    async fn resolve(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let Some(found) = made::<Conversation>(tx, &self.conversations, number).await? else {
            return Ok(());
        };
        let now = tx.now();
        let rules = rules::of(&mut tx.reading(), Some(SUPPORT)).await?;
        let mut doc = found.doc.clone();
        moves::resolve(&mut doc.fields, &rules, now);
        let who = Who::system(doc.fields.assignee.as_deref().unwrap_or("routing"));
        record::update(tx, &found.id, &doc, None, &who).await?;
        timers::schedule(tx, &found.id, &doc.fields).await
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
