//! Steps that change records or write mails: each in the transaction that also notes that it was done.

use serde_json::{Map, Value, json};

use super::{
    facts::Facts,
    gather::Seen,
    run::{Cause, Subject},
    step::{self, Step},
};
use crate::{
    domain::{
        DomainError,
        workspace::{
            grammar,
            kinds::{
                account::Account,
                channel::Channel,
                comment::Comment,
                contact::Contact,
                conversation::Conversation,
                lead::Lead,
                message::{Author, AuthorType},
                note::CrmNote,
                opportunity::Opportunity,
                ticket::Ticket,
            },
            record::{self, Document, Kind, Link, Stored, Who},
            refs,
            talk::{
                acts::{self, Hand, Meant},
                tickets,
            },
        },
    },
    outbox::{self, Letter, Recipients},
    store::TenantTx,
    vocabulary::UserId,
};

/// The tag of what flows write down about an account.
const LIFECYCLE_TAG: &str = "lifecycle";

/// What a step has at hand.
pub(crate) struct Scene<'a> {
    /// The records of the event.
    pub(crate) facts: &'a Facts,
    /// The event.
    pub(crate) cause: &'a Cause,
    /// The flow, as history names it.
    pub(crate) who: &'a Who,
    /// What people call the flow.
    pub(crate) flow: &'a str,
}

impl Scene<'_> {
    /// The record of the event that a step is about: of these kinds the one that comes first.
    fn record(&self, kinds: &[&'static str]) -> Option<(&'static str, String)> {
        let subject = self.cause.subject.as_ref();
        if let Some(Subject { kind, id }) = subject
            && let Some(kind) = kinds.iter().find(|known| *known == kind)
        {
            return Some((kind, id.clone()));
        }
        kinds
            .iter()
            .find_map(|kind| Some((*kind, self.facts.now(&format!("{kind}.id"))?.as_str()?.to_owned())))
    }
}

/// Carries out a step whose texts are filled; gives what came of it. `seen` are records that the transaction has read: they are
/// there, though steps may have changed them since.
///
/// # Errors
/// The rule that it breaks: the same step on the same records would break it again.
pub(crate) async fn act(
    tx: &mut TenantTx<'_>,
    scene: &Scene<'_>,
    seen: &mut Seen,
    step: &Step,
) -> Result<Value, DomainError> {
    match step {
        Step::SendEmail { to, subject, body } => send_email(tx, scene, to, subject, body).await,
        Step::UpdateField { field, value } => update_field(tx, scene, field, value).await,
        Step::CreateTicket {
            title,
            description,
            priority,
            assignee,
        } => {
            let asked = (
                title.as_str(),
                description.as_str(),
                priority.as_deref(),
                assignee.as_deref(),
            );
            create_ticket(tx, scene, asked).await
        }
        Step::Assign { assignee } => assign(tx, scene, assignee).await,
        Step::AddInternalNote { body } => add_note(tx, scene, seen, body).await,
        Step::AddLifecycleEvent { event, body } => add_lifecycle_event(tx, scene, event, body).await,
        Step::Webhook { .. } | Step::Wait { .. } => Ok(Value::Null),
    }
}

fn rule(text: &str) -> DomainError {
    DomainError::Rule(text.to_owned())
}

async fn send_email(
    tx: &mut TenantTx<'_>,
    scene: &Scene<'_>,
    to: &str,
    subject: &str,
    body: &str,
) -> Result<Value, DomainError> {
    let address: lettre::Address = to
        .trim()
        .parse()
        .map_err(|_| rule("the address is none; the record may have no e-mail"))?;
    let letter = Letter {
        subject: subject.to_owned(),
        text: body.to_owned(),
        path: String::new(),
    };
    let to = Recipients::Address(address.to_string());
    let data = json!({ "flow": scene.flow, "event_id": scene.cause.id });
    let event = outbox::Event::new("flow.email", tx.now(), data, letter, to);
    let id = event.id.clone();
    outbox::announce(tx, event).await?;
    Ok(json!({ "delivery": id }))
}

async fn update_field(
    tx: &mut TenantTx<'_>,
    scene: &Scene<'_>,
    path: &str,
    value: &Value,
) -> Result<Value, DomainError> {
    let (kind, field) = path
        .split_once('.')
        .ok_or_else(|| rule("the field has no record"))?;
    let id = scene.facts.now(&format!("{kind}.id")).and_then(Value::as_str);
    let id = id
        .ok_or_else(|| DomainError::Rule(format!("the event has no {kind}")))?
        .to_owned();
    match kind {
        "lead" => set::<Lead>(tx, scene.who, &id, field, value).await,
        "contact" => set::<Contact>(tx, scene.who, &id, field, value).await,
        "account" => set::<Account>(tx, scene.who, &id, field, value).await,
        "opportunity" => set::<Opportunity>(tx, scene.who, &id, field, value).await,
        "ticket" => set_ticket(tx, scene.who, &id, field, value).await,
        "conversation" => set::<Conversation>(tx, scene.who, &id, field, value).await,
        other => Err(DomainError::Rule(format!(
            "flows do not set fields of {}",
            grammar::a(other)
        ))),
    }
}

/// Sets one field of a record, by the rules that hold for everybody.
async fn set<K: Kind>(
    tx: &mut TenantTx<'_>,
    who: &Who,
    id: &str,
    field: &str,
    value: &Value,
) -> Result<Value, DomainError> {
    let stored = record::get::<K>(&mut tx.reading(), id).await?;
    let Some(doc) = with(tx, &stored, field, value).await? else {
        return Ok(json!({ "id": id, "unchanged": true }));
    };
    let written = record::update(tx, id, &doc, Some(stored.version), who).await?;
    let written = written.ok_or_else(|| DomainError::not_found(K::NAME, id))?;
    Ok(json!({ "id": written.id, "version": written.version }))
}

/// The same for a ticket, whose clocks follow.
async fn set_ticket(
    tx: &mut TenantTx<'_>,
    who: &Who,
    id: &str,
    field: &str,
    value: &Value,
) -> Result<Value, DomainError> {
    let stored = record::get::<Ticket>(&mut tx.reading(), id).await?;
    let Some(doc) = with(tx, &stored, field, value).await? else {
        return Ok(json!({ "id": id, "unchanged": true }));
    };
    let saved = tickets::save(tx, id, doc, Some(stored.version), who).await?;
    Ok(json!({ "id": saved.id, "version": saved.version }))
}

/// The document of a record with one field set. `None`: it is so already.
async fn with<K: Kind>(
    tx: &mut TenantTx<'_>,
    stored: &Stored<K>,
    field: &str,
    value: &Value,
) -> Result<Option<Document<K>>, DomainError> {
    if let Some(what) = step::wrong_word(&format!("{}.{field}", K::NAME), value) {
        return Err(DomainError::Rule(format!("{field}: {what}")));
    }
    let mut map = stored.doc.to_map()?;
    if let Some(name) = field.strip_prefix("custom.") {
        let custom = map.entry("custom").or_insert_with(|| Value::Object(Map::new()));
        if let Some(custom) = custom.as_object_mut() {
            custom.insert(name.to_owned(), value.clone());
        }
    } else if field == "tags" {
        let tags = map.entry("tags").or_insert_with(|| json!([]));
        if let Some(tags) = tags.as_array_mut()
            && !tags.contains(value)
        {
            tags.push(value.clone());
        }
    } else {
        let link = K::LINKS.iter().find(|(name, _)| *name == field);
        let value = match (link, value) {
            (Some((_, Link::Person)), Value::String(who)) => json!(person(tx, who).await?),
            _ => value.clone(),
        };
        map.insert(field.to_owned(), value);
    }
    let mut doc: Document<K> = serde_json::from_value(Value::Object(map))
        .map_err(|error| DomainError::Rule(format!("{field}: {error}")))?;
    doc.fields.settle(Some(stored.fields()), tx.now())?;
    let same = serde_json::to_value(&doc).ok() == serde_json::to_value(&stored.doc).ok();
    Ok((!same).then_some(doc))
}

/// Nobody calls a flow: `me` is nobody's name.
fn nobody() -> Result<UserId, DomainError> {
    UserId::new("flow").map_err(DomainError::internal)
}

/// The id of a member who works here.
async fn person(tx: &mut TenantTx<'_>, who: &str) -> Result<String, DomainError> {
    let user = refs::user(&mut tx.reading(), &nobody()?, who.trim()).await?;
    refs::working(&user)?;
    Ok(user.id.to_string())
}

async fn create_ticket(
    tx: &mut TenantTx<'_>,
    scene: &Scene<'_>,
    (title, description, priority, assignee): (&str, &str, Option<&str>, Option<&str>),
) -> Result<Value, DomainError> {
    let assignee = match assignee.filter(|who| !who.trim().is_empty()) {
        Some(who) => Some(person(tx, who).await?),
        None => None,
    };
    let id = |kind: &str| {
        let id = scene.facts.now(&format!("{kind}.id"))?.as_str()?;
        Some(id.to_owned())
    };
    let conversation = match id(Conversation::NAME) {
        Some(id) => record::find::<Conversation>(&mut tx.reading(), &id).await?,
        None => None,
    };
    let mut fields = Ticket {
        title: title.chars().take(200).collect(),
        description: description.to_owned(),
        assignee,
        requester: id("contact"),
        account_id: id("account"),
        channel_id: conversation
            .as_ref()
            .map(|found| found.fields().channel_id.clone()),
        conversation_id: conversation.map(|found| found.id),
        ..Ticket::default()
    };
    if let Some(word) = priority {
        fields.priority = serde_json::from_value(word.into()).map_err(DomainError::internal)?;
    }
    let ticket = tickets::open(tx, Document::new(fields), scene.who).await?;
    tickets::link(tx, &ticket, scene.who).await?;
    Ok(json!({ "id": ticket.id, "number": ticket.fields().number }))
}

async fn assign(tx: &mut TenantTx<'_>, scene: &Scene<'_>, assignee: &str) -> Result<Value, DomainError> {
    let assignee = assignee.trim();
    match scene.record(&[Ticket::NAME, Conversation::NAME]) {
        Some((Ticket::NAME, id)) => {
            let stored = record::get::<Ticket>(&mut tx.reading(), &id).await?;
            let mut doc = stored.doc.clone();
            doc.fields.assignee = match assignee {
                "unassigned" => None,
                who => Some(person(tx, who).await?),
            };
            doc.fields.settle(Some(stored.fields()), tx.now())?;
            let saved = tickets::save(tx, &id, doc, Some(stored.version), scene.who).await?;
            Ok(json!({ "id": saved.id, "version": saved.version }))
        }
        Some((_, id)) => {
            let stored = record::get::<Conversation>(&mut tx.reading(), &id).await?;
            let channel = record::get::<Channel>(&mut tx.reading(), &stored.fields().channel_id).await?;
            let Meant { user, by_rule } =
                acts::meant(&mut tx.reading(), &channel, &nobody()?, assignee).await?;
            let user = user.map(|user| user.id.to_string());
            let saved = acts::assign(tx, &id, Some(stored.version), user, by_rule, &hand(scene)).await?;
            Ok(json!({ "id": saved.id, "version": saved.version }))
        }
        None => Err(rule("the event has neither ticket nor conversation")),
    }
}

async fn add_note(
    tx: &mut TenantTx<'_>,
    scene: &Scene<'_>,
    seen: &mut Seen,
    body: &str,
) -> Result<Value, DomainError> {
    let kinds = [
        "ticket",
        "conversation",
        "lead",
        "opportunity",
        "contact",
        "account",
    ];
    let (kind, id) = scene
        .record(&kinds)
        .ok_or_else(|| rule("the event has no record that takes notes"))?;
    if seen.view(&mut tx.reading(), kind, &id).await?.is_none() {
        return Err(DomainError::not_found(kind, id));
    }
    let made = match kind {
        Ticket::NAME => {
            let comment = Comment {
                ticket_id: id,
                body: body.to_owned(),
                author: author(scene),
                ..Comment::default()
            };
            record::insert(tx, Document::new(comment), scene.who).await?.id
        }
        Conversation::NAME => acts::note(tx, &id, body, Vec::new(), &hand(scene)).await?.id,
        _ => crm_note(tx, scene, (kind, id), body, &[]).await?,
    };
    Ok(json!({ "id": made }))
}

/// As whom flows write.
fn author(scene: &Scene<'_>) -> Author {
    Author {
        kind: AuthorType::Bot,
        id: scene.who.name.clone(),
        name: scene.flow.to_owned(),
    }
}

/// The flow's hand, for whatever people do by the same means.
fn hand(scene: &Scene<'_>) -> Hand {
    Hand::of_program(scene.who.clone(), author(scene))
}

async fn crm_note(
    tx: &mut TenantTx<'_>,
    scene: &Scene<'_>,
    (kind, id): (&str, String),
    body: &str,
    tags: &[String],
) -> Result<String, DomainError> {
    let note = CrmNote {
        object_type: kind.to_owned(),
        object_id: id,
        body: body.to_owned(),
        author: scene.who.name.clone(),
        ..CrmNote::default()
    };
    let mut doc = Document::new(note);
    doc.tags = tags.to_vec();
    Ok(record::insert(tx, doc, scene.who).await?.id)
}

async fn add_lifecycle_event(
    tx: &mut TenantTx<'_>,
    scene: &Scene<'_>,
    event: &str,
    body: &str,
) -> Result<Value, DomainError> {
    let account = scene.record(&[Account::NAME]).map(|(_, id)| id);
    let account = account.ok_or_else(|| rule("the event has no account"))?;
    record::get::<Account>(&mut tx.reading(), &account).await?;
    let text = if body.is_empty() {
        event.to_owned()
    } else {
        format!("{event}: {body}")
    };
    let tags = [LIFECYCLE_TAG.to_owned(), event.chars().take(80).collect()];
    let id = crm_note(tx, scene, (Account::NAME, account), &text, &tags).await?;
    Ok(json!({ "id": id }))
}
