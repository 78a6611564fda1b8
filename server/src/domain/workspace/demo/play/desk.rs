//! Tickets and conversations of the demo.

use super::{World, author, keep, made};
use crate::{
    domain::{
        DomainError,
        workspace::{
            demo::text::{DIALOGUES, NOTES, TOPICS},
            kinds::{
                comment::Comment,
                conversation::Conversation,
                message::{Author, AuthorType, Direction, Message},
                ticket::{Priority, Ticket, TicketStatus},
            },
            record::{self, Document, Kind, Who},
            sla::{rules, timers},
            start::SUPPORT,
            talk::{
                moves::{self, Then},
                tickets,
            },
        },
    },
    store::TenantTx,
};
impl World {
    pub(super) async fn ticket(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
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

    pub(super) async fn move_ticket(
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

    pub(super) async fn comment(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
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

    pub(super) async fn say(
        &mut self,
        tx: &mut TenantTx<'_>,
        number: usize,
        line: usize,
    ) -> Result<(), DomainError> {
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

    pub(super) async fn resolve(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
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
