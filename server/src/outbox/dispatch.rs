//! Messages to people outside: written down with the transaction that decided on them, delivered from the same queue, and
//! their record told what became of each attempt.

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Parcel;
use crate::{
    store::{StoreError, TenantTx},
    vocabulary::{TenantId, Timestamp},
};

/// A message to somebody outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// Identity; every attempt carries it.
    pub id: String,
    /// Kind and id of the record that it is the message of.
    pub about: (String, String),
    /// How it goes.
    pub way: Way,
}

/// How a message leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "snake_case")]
pub enum Way {
    /// By mail.
    Mail(Box<Envelope>),
    /// To a program of the tenant's that passes it on, signed with the tenant's key.
    Webhook {
        /// Where to.
        url: String,
        /// What it is, e.g. `message.outbound`.
        event: String,
        /// When it was written.
        created_at: Timestamp,
        /// The message.
        data: Value,
    },
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Who it is from; the server's own address where nothing is said.
    pub from: Option<String>,
    /// Who it is to.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same for programs that show HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// Its id, without brackets: the same for every attempt, and what an answer names.
    pub message_id: String,
    /// Ids of the mails it answers, the oldest first.
    pub answers: Vec<String>,
    /// Whether a program wrote it, which other programs must know (RFC 3834).
    pub automatic: bool,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The next system took it and passes it on.
    Sent,
    /// It is where it should be.
    Delivered,
    /// Not now; it will be tried again.
    Waits(String),
    /// Not at all.
    Failed(String),
}

/// Who dispatches: it has the tenants' keys, and wants to know what became of its messages.
pub trait Dispatcher: Send + Sync {
    /// What webhooks of a tenant are signed with.
    fn signing_secret(&self, tenant: &TenantId) -> SecretString;

    /// Writes down what became of attempt number `attempt`, in the transaction that ends it.
    fn report<'t>(
        &'t self,
        tx: &'t mut TenantTx<'_>,
        dispatch: &'t Dispatch,
        attempt: u32,
        fate: Fate,
    ) -> BoxFuture<'t, Result<(), StoreError>>;
}

/// Writes a message down beside the change it belongs to: both are committed, or neither is.
///
/// # Errors
/// When the store refuses.
pub async fn dispatch(tx: &mut TenantTx<'_>, dispatch: Dispatch) -> Result<(), StoreError> {
    let job = Parcel::Dispatch { dispatch }.into_job(tx.now())?;
    tx.jobs().enqueue(&job).await.map(|_| ())
}
