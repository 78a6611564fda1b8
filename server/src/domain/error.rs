//! Why a handler could not do what was asked. Texts are for a model that will try again; the codes are those
//! of catalogue.md §2.10.

use serde_json::{Map, Value};

use super::http::UpstreamFault;
use crate::{catalogue::ArgumentError, store::StoreError};

/// A handler's refusal or failure.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// Arguments that no schema can judge are wrong: a pair that excludes each other, a date in the past.
    #[error(transparent)]
    Arguments(#[from] ArgumentError),
    /// There is no such record in this tenant.
    #[error("{what} {id}")]
    NotFound {
        /// The kind of record, e.g. `memory`.
        what: &'static str,
        /// The identifier that was asked for.
        id: String,
    },
    /// The record is not in the state the call needs, or another call was first.
    #[error("{0}")]
    Conflict(String),
    /// Other records are in the way; the details name those that the caller may know of.
    #[error("{message}")]
    ConflictWith {
        /// What is in the way, and what to do.
        message: String,
        /// What a program can use: ids and titles.
        details: Value,
    },
    /// A rule of the domain says no.
    #[error("{0}")]
    Rule(String),
    /// A budget of this principal is used up.
    #[error("{message}")]
    Exhausted {
        /// Which budget, and what to do.
        message: String,
        /// When to come back.
        retry_after_seconds: u64,
    },
    /// The call cannot be done without something that the client did not declare (protocol.md S-82).
    #[error("the client must declare {}", .0.keys().cloned().collect::<Vec<_>>().join(", "))]
    MissingCapability(Map<String, Value>),
    /// A parameter of the protocol, not of the tool, is wrong; answered as a JSON-RPC error.
    #[error("{0}")]
    Protocol(String),
    /// A REST API behind the tool refused or failed.
    #[error(transparent)]
    Upstream(#[from] UpstreamFault),
    /// The work was stopped because nobody waits for it.
    #[error("cancelled by the client")]
    Cancelled,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Something else of ours failed.
    #[error("internal failure")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl DomainError {
    /// There is no `what` of that id in this tenant.
    pub fn not_found(what: &'static str, id: impl Into<String>) -> Self {
        Self::NotFound { what, id: id.into() }
    }

    /// One argument is wrong in a way the schema cannot say.
    pub fn argument(fault: impl Into<String>) -> Self {
        Self::Arguments(ArgumentError::one(fault))
    }

    /// A failure that is ours to mend; the caller reads only a reference.
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Box::new(source))
    }
}
