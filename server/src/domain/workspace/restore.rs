//! Deleted records: an operator can bring them back for thirty days, then they are gone for good.

use super::{
    kinds::{
        account::Account, article::Article, contact::Contact, lead::Lead, note::CrmNote,
        opportunity::Opportunity,
    },
    once,
    record::{self, Kind, Stored, Who},
};
use crate::{
    domain::DomainError,
    store::{StoreError, TenantTx},
    vocabulary::Timestamp,
};

/// How long a deleted record can be restored, in milliseconds.
pub(crate) const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Kinds whose records are deleted softly.
const KINDS: [&str; 6] = [
    Lead::NAME,
    Account::NAME,
    Contact::NAME,
    Opportunity::NAME,
    CrmNote::NAME,
    Article::NAME,
];
/// Remembered results that one pass forgets, so that no transaction grows large.
const FORGOTTEN_AT_ONCE: u32 = 1_000;

/// Brings a deleted record of the CRM back, with its words. `false`: there is none to bring back.
///
/// # Errors
/// When a value that must be unique was taken meanwhile.
pub(crate) async fn restore(tx: &mut TenantTx<'_>, kind: &str, id: &str) -> Result<bool, DomainError> {
    match kind {
        Lead::NAME => one::<Lead>(tx, id).await,
        Account::NAME => one::<Account>(tx, id).await,
        Contact::NAME => one::<Contact>(tx, id).await,
        Opportunity::NAME => one::<Opportunity>(tx, id).await,
        other => Err(DomainError::argument(format!(
            "`{other}` cannot be restored; lead, account, contact and opportunity can"
        ))),
    }
}

async fn one<K: Kind>(tx: &mut TenantTx<'_>, id: &str) -> Result<bool, DomainError> {
    let who = Who::system("operator");
    if !tx.records(K::NAME).restore(id, &who.name).await? {
        return Ok(false);
    }
    // Its words come back with the next version.
    let restored: Stored<K> = record::get(&mut tx.reading(), id).await?;
    record::update(tx, id, &restored.doc, None, &who).await?;
    Ok(true)
}

/// Removes what was deleted too long ago, and forgets the results of calls that were made only once.
///
/// # Errors
/// When the store fails.
pub(crate) async fn tidy(tx: &mut TenantTx<'_>, now: Timestamp) -> Result<usize, StoreError> {
    let mut gone = 0;
    for kind in KINDS {
        gone += tx.records(kind).purge(now.plus_millis(-KEPT_MS)).await?;
    }
    let remembered = now.plus_millis(-once::KEPT_MS);
    gone += tx
        .records(once::KIND)
        .purge_unchanged(remembered, FORGOTTEN_AT_ONCE)
        .await?;
    Ok(gone)
}
