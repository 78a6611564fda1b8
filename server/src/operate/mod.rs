//! What an operator or an administrator does: tenants, people, keys, sources, and building the house from a
//! configuration.
//!
//! Each function that changes or shows something takes an [`Actor`]: the operator with the data folder, who may do
//! all of it, or a person who signed in, whose role is looked up in the very transaction that acts. Each change is in
//! the log of its tenant.

mod actor;
pub mod approvals;
pub mod boot;
pub mod check;
pub mod deliveries;
pub mod editions;
pub mod flows;
pub mod groups;
pub mod invitations;
pub mod keys;
pub mod logs;
pub mod new_password;
pub mod oauth;
pub mod oidc;
pub mod passwords;
pub mod people;
pub mod restore;
pub mod retention;
pub mod reviews;
pub mod rules;
pub mod sessions;
pub mod setup;
pub mod sign_in;
pub mod sources;
pub mod tenants;
mod words;

use serde::Serialize;
use serde_json::Value;

pub use actor::Actor;
use actor::Standing;

use crate::{
    pipeline::Refused,
    store::{NewChange, StoreError, TenantTx},
    vocabulary::InvalidName,
};

/// Why a wish was not carried out. Every text is a sentence for whoever wished, and says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// A name has the wrong form.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A value is not accepted; the text says what is.
    #[error("{0}")]
    Invalid(String),
    /// What was asked for breaks a rule.
    #[error("{0}")]
    Rule(String),
    /// There is nothing of that name.
    #[error("{0}")]
    NotFound(String),
    /// It clashes with what is there, or somebody was faster.
    #[error("{0}")]
    Conflict(String),
    /// The actor's role does not allow it, or the actor is shut out.
    #[error("{0}")]
    Forbidden(String),
    /// E-mail address or password are wrong. One text for every reason, so that nobody learns which accounts exist.
    #[error(
        "the e-mail address or the password is wrong; somebody who belongs to several tenants names the tenant too"
    )]
    WrongPassword,
    /// Too many attempts.
    #[error("too many attempts to sign in; try again in {0} s")]
    TooManyAttempts(u64),
    /// Too many passwords are being checked at this moment.
    #[error("the server is checking many passwords at this moment; try again in a few seconds")]
    Busy,
    /// The identity provider cannot be asked.
    #[error("signing in at the identity provider is not possible right now: {0}; try again in a few seconds")]
    Provider(String),
    /// The machine gives no random bytes.
    #[error("the machine gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// A password could not be hashed, or a stored hash could not be read.
    #[error("a password could not be processed: {0}")]
    Hash(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OperateError {
    /// What REST and console answer under: the row of the vocabulary, where status and code stand together.
    pub fn refused(&self) -> Refused {
        match self {
            Self::Name(_) | Self::Invalid(_) => Refused::INVALID_ARGUMENTS,
            Self::WrongPassword => Refused::UNAUTHORIZED,
            Self::Forbidden(_) => Refused::ROLE_REQUIRED,
            Self::NotFound(_) => Refused::NOT_FOUND,
            Self::Conflict(_) | Self::Store(StoreError::Conflict { .. }) => Refused::CONFLICT,
            Self::Rule(_) => Refused::RULE_VIOLATION,
            Self::TooManyAttempts(_) => Refused::RATE_LIMITED,
            Self::Busy | Self::Provider(_) => Refused::UNAVAILABLE,
            Self::Store(error) if error.is_outage() || error.is_retryable() => Refused::UNAVAILABLE,
            Self::Random(_) | Self::Hash(_) | Self::Store(_) => Refused::INTERNAL,
        }
    }

    /// Whether the text is for the caller. Otherwise the door logs it and answers with a reference.
    pub fn is_for_the_caller(&self) -> bool {
        self.refused().http < 500 || matches!(self, Self::Busy | Self::Provider(_))
    }

    /// Seconds for `Retry-After`, where coming back helps.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::TooManyAttempts(seconds) => Some(*seconds),
            Self::Busy | Self::Provider(_) => Some(3),
            Self::Store(error) if error.is_outage() || error.is_retryable() => Some(5),
            _ => None,
        }
    }
}

/// Notes a change in the tenant's change log, in the same transaction. `action` is `<kind of record>.<verb>`; the log
/// keeps of `before` and `after` what differs.
fn note(
    tx: &mut TenantTx<'_>,
    by: &Standing,
    action: &'static str,
    object_id: &str,
    before: Option<Value>,
    after: Option<Value>,
) {
    let kind = action.split('.').next().unwrap_or(action);
    let mut change = NewChange::new(by.as_logged(), action, kind, object_id);
    (change.before, change.after) = (before, after);
    tx.log_change(change);
}

/// A row as the change log keeps it: what lists show of it.
fn logged(view: &impl Serialize) -> Option<Value> {
    serde_json::to_value(view).ok()
}
