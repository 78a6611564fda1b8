//! What others are told: an event comes in with the transaction it belongs to, a signed webhook or a mail goes out after it.
//!
//! ```text
//! announce(tx, event) ─ job ─→ Courier ─┬─ job: webhook ─→ POST, signed
//!                                       └─ job: one mail for each recipient ─→ SMTP
//! ```
//!
//! Events, webhooks and mails are jobs of one queue (design.md D11): leased by any replica, tried again with growing pauses,
//! and left where an operator sees them when every attempt failed. Messages to people outside ([`dispatch`]) go the same way,
//! and their record is told how far they are. A receiver that remembers the event's id is told once: an
//! attempt whose worker died may have arrived, and is repeated under the same id.

mod backoff;
mod courier;
mod dispatch;
mod invitation;
mod mail;
mod settings;
mod webhook;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use courier::Courier;
pub use dispatch::{Dispatch, Dispatcher, Envelope, Fate, Way, dispatch};
pub use invitation::{InvitationToken, hash_of_token};
pub use settings::{NotificationSettings, OutboxError};

use crate::{
    store::{NewJob, StoreError, TenantTx},
    vocabulary::{Timestamp, UserId, new_id},
};

/// The queue of all that goes out.
pub const QUEUE: &str = "outbox";
/// Attempts over a day (catalogue.md §3.1), after which a person has to look.
pub const ATTEMPTS: u32 = 6;
/// Leases of a message to somebody outside after its last attempt, which send nothing: if that attempt's worker went away,
/// the next one writes down on the message that it failed, or the one after that.
const SETTLINGS: u32 = 4;

/// Something that happened, as it is told to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Identity; every attempt to tell anybody carries it.
    pub id: String,
    /// What happened, e.g. `review.pending`.
    pub event: String,
    /// When.
    pub created_at: Timestamp,
    /// The facts, for programs.
    pub data: Value,
    /// Subject and text, for people.
    pub letter: Letter,
    /// Who gets the letter.
    pub to: Recipients,
}

/// What people are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The page of the console that it is about.
    pub path: String,
}

/// Who is written to. Looked up when the event is delivered, so that nobody is written to who left meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipients {
    /// Only the webhook is told.
    Nobody,
    /// One person.
    Person(UserId),
    /// Everybody in one of these groups. [`crate::catalogue::ADMINS`] is every owner and admin.
    Groups {
        /// The groups.
        groups: Vec<String>,
        /// But not this person, who caused it.
        but: UserId,
    },
    /// Somebody outside, who gets the letter alone: no link into the console, and nobody else is told.
    Address(String),
    /// Somebody who is invited, at this address. The letter gets the link that lets them in; it is made when the letter is
    /// sent, and stands nowhere else.
    Invited {
        /// The invitation.
        invitation: String,
        /// Where it is sent.
        address: String,
    },
}

impl Event {
    /// A new event, which happened now.
    pub fn new(event: &str, now: Timestamp, data: Value, letter: Letter, to: Recipients) -> Self {
        Self {
            id: new_id("evt", now),
            event: event.to_owned(),
            created_at: now,
            data,
            letter,
            to,
        }
    }
}

/// Writes an event down beside the change it tells of: both are committed, or neither is.
///
/// # Errors
/// When the store refuses.
pub async fn announce(tx: &mut TenantTx<'_>, event: Event) -> Result<(), StoreError> {
    let job = Parcel::Event { event }.into_job(tx.now())?;
    tx.jobs().enqueue(&job).await.map(|_| ())
}

/// What one job of the queue carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Parcel {
    /// An event that nobody has been told of yet.
    Event {
        /// The event.
        event: Event,
    },
    /// A webhook to be posted.
    Webhook {
        /// The event.
        event: Event,
    },
    /// A mail to be sent.
    Mail {
        /// The event.
        event: Event,
        /// The recipient's address.
        address: String,
    },
    /// A message to somebody outside.
    Dispatch {
        /// The message.
        dispatch: Dispatch,
    },
}

impl Parcel {
    /// The job that carries it. The same parcel is the same job, however often it is queued.
    fn into_job(self, now: Timestamp) -> Result<NewJob, StoreError> {
        let id = match &self {
            Self::Event { event } => event.id.clone(),
            Self::Webhook { event } => format!("{}.webhook", event.id),
            Self::Mail { event, address } => format!("{}.mail.{address}", event.id),
            Self::Dispatch { dispatch } => dispatch.id.clone(),
        };
        Ok(NewJob {
            id,
            queue: QUEUE.to_owned(),
            payload: serde_json::to_value(&self).map_err(|e| StoreError::Invalid { what: e.to_string() })?,
            run_at: now,
            max_attempts: match &self {
                Self::Dispatch { .. } => ATTEMPTS + SETTLINGS,
                _ => ATTEMPTS,
            },
        })
    }

    /// What it is, for people: `webhook`, or the address.
    pub fn destination(&self) -> &str {
        match self {
            Self::Event { .. } => "everybody concerned",
            Self::Webhook { .. } => "webhook",
            Self::Mail { address, .. } => address,
            Self::Dispatch { dispatch } => match &dispatch.way {
                Way::Mail(envelope) => &envelope.to,
                Way::Webhook { .. } => "webhook",
            },
        }
    }

    /// What is told, e.g. `review.pending`.
    pub fn event(&self) -> &str {
        match self {
            Self::Event { event } | Self::Webhook { event } | Self::Mail { event, .. } => &event.event,
            Self::Dispatch { dispatch } => match &dispatch.way {
                Way::Mail(_) => "message.outbound",
                Way::Webhook { event, .. } => event,
            },
        }
    }
}
