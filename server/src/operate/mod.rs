//! What an operator does: tenants, people, keys, sources, and building the house from a configuration.
//!
//! Whoever gets here may do all of it: the person with the data folder, or a door that has checked a role.
//! Each change is in the audit log of its tenant.

pub mod approvals;
pub mod boot;
pub mod check;
pub mod editions;
pub mod keys;
pub mod oauth;
pub mod people;
pub mod rules;
pub mod sessions;
pub mod setup;
pub mod sources;

use std::borrow::Cow;

use crate::{
    store::{AuditRecord, AuditStatus, ScopeKind, StoreError, TenantTx},
    vocabulary::{InvalidName, ToolName},
};

/// Why an operator's wish was not carried out. Every text says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// A name has the wrong form.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// What was asked for breaks a rule.
    #[error("{0}")]
    Rule(String),
    /// There is nothing of that name.
    #[error("{0}")]
    NotFound(String),
    /// The machine gives no random bytes.
    #[error("the machine gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Notes an operator's change in the tenant's log, in the same transaction.
fn note(tx: &mut TenantTx<'_>, command: &str, record_id: &str) -> Result<(), StoreError> {
    let mut record = AuditRecord::new(tx.now(), AuditStatus::Allow, ScopeKind::Operator);
    record.tool_name = ToolName::new(command).ok();
    record.kind = Some(Cow::Borrowed("operator"));
    record.record_ids = vec![record_id.to_owned()];
    tx.audit(record)
}
