//! Records that belong to another one: the notes of a lead, the tickets of a contact.

use serde_json::Value;

use super::{
    kinds::note::CrmNote,
    record::{Kind, Stored},
};
use crate::{
    domain::DomainError,
    store::{Condition, RecordQuery, TenantTx},
};

/// The newest records whose field has this value, at most `limit`.
///
/// # Errors
/// When the store fails.
pub(crate) async fn by<K: Kind>(
    tx: &mut TenantTx<'_>,
    field: &str,
    value: &str,
    limit: u32,
) -> Result<Vec<Stored<K>>, DomainError> {
    meeting(tx, vec![Condition::is(field, value)], limit).await
}

/// The newest records that meet conditions, at most `limit`.
///
/// # Errors
/// When the store fails.
pub(crate) async fn meeting<K: Kind>(
    tx: &mut TenantTx<'_>,
    conditions: Vec<Condition>,
    limit: u32,
) -> Result<Vec<Stored<K>>, DomainError> {
    let query = RecordQuery {
        conditions,
        limit,
        ..RecordQuery::default()
    };
    let found = tx.records(K::NAME).list(&query).await?.records;
    Ok(found.iter().map(Stored::of).collect::<Result<_, _>>()?)
}

/// Records as lists show them.
///
/// # Errors
/// When one has no JSON form, which is our fault.
pub(crate) fn summaries<K: Kind>(found: &[Stored<K>]) -> Result<Value, DomainError> {
    let views = found.iter().map(Stored::summary).collect::<Result<Vec<_>, _>>()?;
    Ok(views.into())
}

/// The newest notes of a record of the CRM.
///
/// # Errors
/// When the store fails.
pub(crate) async fn notes(tx: &mut TenantTx<'_>, id: &str, limit: u32) -> Result<Value, DomainError> {
    let notes = by::<CrmNote>(tx, "object_id", id, limit).await?;
    let views = notes.iter().map(Stored::view).collect::<Result<Vec<_>, _>>()?;
    Ok(views.into())
}
