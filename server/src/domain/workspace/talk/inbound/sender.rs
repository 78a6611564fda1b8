//! Who wrote: somebody known, or a new lead.

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

/// Who wrote: somebody known, or a new lead.
pub(super) enum Sender {
    Contact(Stored<Contact>),
    Lead(Stored<Lead>),
    /// A visitor who said no address.
    Nobody,
}

impl Sender {
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

pub(super) async fn author(
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

pub(super) fn recognised(conversation: &mut Conversation, sender: &Sender) {
    match sender {
        Sender::Contact(contact) => conversation.contact_id = Some(contact.id.clone()),
        Sender::Lead(lead) if conversation.contact_id.is_none() => {
            conversation.lead_id = Some(lead.id.clone());
        }
        _ => {}
    }
}
