//! Who wrote a message: a contact, a lead, or nobody whom we can name (catalogue.md §3.1).

use super::Arrival;
use crate::{
    domain::{
        DomainError,
        workspace::{
            kinds::{
                channel::{Channel, ChannelType},
                contact::Contact,
                conversation::Conversation,
                lead::{Lead, LeadSource},
                message::{Author, AuthorType},
            },
            record::{self, Document, Kind, Stored, Who, fold},
        },
    },
    store::{Condition, ReadTx, RecordQuery, TenantTx},
};

/// How exactly it is known when a contact was last here. Each line of a chat would otherwise be a version of the contact, and
/// whoever is about to change it would have to look again.
const SEEN_EVERY_MS: i64 = 5 * 60 * 1000;

/// Who wrote: somebody known, or a new lead.
pub(super) enum Sender {
    Contact(Stored<Contact>),
    Lead(Stored<Lead>),
    /// A visitor who said no address.
    Nobody,
}

impl Sender {
    /// Their address, if we know it.
    pub(super) fn email(&self) -> Option<String> {
        match self {
            Self::Contact(contact) => contact.fields().email.clone(),
            Self::Lead(lead) => lead.fields().email.clone(),
            Self::Nobody => None,
        }
    }

    /// Notes on a conversation whose it is.
    pub(super) fn recognise(&self, conversation: &mut Conversation) {
        match self {
            Self::Contact(contact) => conversation.contact_id = Some(contact.id.clone()),
            Self::Lead(lead) if conversation.contact_id.is_none() => {
                conversation.lead_id = Some(lead.id.clone());
            }
            _ => {}
        }
    }

    /// Notes on a contact that they were here.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn seen(&self, tx: &mut TenantTx<'_>, who: &Who) -> Result<(), DomainError> {
        let Self::Contact(contact) = self else {
            return Ok(());
        };
        let now = tx.now();
        let last = contact.fields().last_seen_at;
        if last.is_some_and(|last| now.as_millis() - last.as_millis() < SEEN_EVERY_MS) {
            return Ok(());
        }
        let mut doc = contact.doc.clone();
        doc.fields.last_seen_at = Some(now);
        record::update(tx, &contact.id, &doc, None, who).await.map(drop)
    }

    /// As the author of what they write.
    pub(super) fn as_author(&self, arrival: &Arrival) -> Author {
        let (id, name) = match self {
            Self::Contact(contact) => (contact.id.clone(), contact.fields().name.clone()),
            Self::Lead(lead) => (lead.id.clone(), lead.fields().name.clone()),
            Self::Nobody => (
                String::new(),
                arrival.name.clone().unwrap_or_else(|| "Visitor".to_owned()),
            ),
        };
        Author {
            kind: AuthorType::Contact,
            id,
            name,
        }
    }
}

async fn first_with_email<K: Kind>(
    tx: &mut ReadTx<'_>,
    email: &str,
) -> Result<Option<Stored<K>>, DomainError> {
    let query = RecordQuery {
        conditions: vec![Condition::is("email", fold(email))],
        descending: false,
        limit: 1,
        ..RecordQuery::default()
    };
    let found = tx.records(K::NAME).list(&query).await?.records;
    Ok(found.first().map(Stored::of).transpose()?)
}

/// Finds who wrote; a stranger becomes a lead.
///
/// # Errors
/// When the store fails.
pub(super) async fn find(
    tx: &mut TenantTx<'_>,
    channel: &Stored<Channel>,
    arrival: &Arrival,
    thread: Option<&Stored<Conversation>>,
    who: &Who,
) -> Result<Sender, DomainError> {
    // A visitor gives the address once; the conversation keeps it.
    let known = thread.and_then(|thread| thread.fields().email.clone());
    let Some(email) = arrival.email.clone().or(known) else {
        return Ok(Sender::Nobody);
    };
    if let Some(contact) = first_with_email::<Contact>(&mut tx.reading(), &email).await? {
        return Ok(Sender::Contact(contact));
    }
    if let Some(lead) = first_with_email::<Lead>(&mut tx.reading(), &email).await? {
        return Ok(Sender::Lead(lead));
    }
    let local = email.split('@').next().unwrap_or(&email).to_owned();
    let mut lead = Lead {
        name: arrival.name.clone().unwrap_or(local),
        email: Some(email),
        source: match channel.fields().kind {
            ChannelType::Email => LeadSource::Email,
            ChannelType::Web => LeadSource::Web,
            ChannelType::Api => LeadSource::Api,
        },
        ..Lead::default()
    };
    lead.settle(None, tx.now())?;
    Ok(Sender::Lead(record::insert(tx, Document::new(lead), who).await?))
}
