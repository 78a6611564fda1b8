//! Records are read and written: each change with its history, the change log and the news of it.

use serde_json::{Map, Value};

use super::{Document, Kind, Stored, Who};
use crate::{
    domain::{
        DomainError,
        workspace::events::{self, Event},
    },
    store::{NewChange, ReadTx, StoreError, TenantTx},
};

/// The record of that id.
///
/// # Errors
/// When the store fails.
pub(crate) async fn find<K: Kind>(tx: &mut ReadTx<'_>, id: &str) -> Result<Option<Stored<K>>, DomainError> {
    let found = tx.records(K::NAME).find(id).await?;
    Ok(found.as_ref().map(Stored::of).transpose()?)
}

/// The record of that id, which must be there.
///
/// # Errors
/// `not_found`, the same for another tenant's.
pub(crate) async fn get<K: Kind>(tx: &mut ReadTx<'_>, id: &str) -> Result<Stored<K>, DomainError> {
    let found = find(tx, id).await?;
    found.ok_or_else(|| DomainError::not_found(K::NAME, id))
}

/// Adds a record, with its history, its line in the change log and its events.
///
/// # Errors
/// When a value that must be unique is taken.
pub(crate) async fn insert<K: Kind>(
    tx: &mut TenantTx<'_>,
    mut doc: Document<K>,
    who: &Who,
) -> Result<Stored<K>, DomainError> {
    let id = tx.new_id(K::PREFIX);
    if doc.created_by.is_empty() {
        doc.created_by.clone_from(&who.name);
    }
    let draft = doc.draft()?;
    if draft.fields.iter().any(|field| field.unique) {
        return insert_as(tx, &id, doc, who).await;
    }
    // Nothing can be in its way, so it need not be waited for.
    tx.records(K::NAME).insert_new(&id, &draft, &who.name).await?;
    let made = Stored {
        id,
        version: 1,
        created_at: tx.now(),
        updated_at: tx.now(),
        doc: draft.parse()?,
    };
    told(tx, None, Some(&made), &made.id, who).await?;
    Ok(made)
}

/// The same under a chosen id.
///
/// # Errors
/// When it, or a value that must be unique, is taken.
pub(crate) async fn insert_as<K: Kind>(
    tx: &mut TenantTx<'_>,
    id: &str,
    mut doc: Document<K>,
    who: &Who,
) -> Result<Stored<K>, DomainError> {
    if doc.created_by.is_empty() {
        doc.created_by.clone_from(&who.name);
    }
    let made = tx.records(K::NAME).insert(id, &doc.draft()?, &who.name).await;
    let made = Stored::of(&made.map_err(|error| taken::<K>(error, &doc.fields))?)?;
    told(tx, None, Some(&made), &made.id, who).await?;
    Ok(made)
}

/// Replaces a record's document. Nothing happens, and `None` comes back, when there is none of that id.
///
/// # Errors
/// When it is not at `if_version` any more, or a value that must be unique is taken.
pub(crate) async fn update<K: Kind>(
    tx: &mut TenantTx<'_>,
    id: &str,
    doc: &Document<K>,
    if_version: Option<u32>,
    who: &Who,
) -> Result<Option<Stored<K>>, DomainError> {
    let Some(before) = find::<K>(&mut tx.reading(), id).await? else {
        return Ok(None);
    };
    if if_version.is_some_and(|version| version != before.version) {
        return Err(moved(&before));
    }
    let changed = tx
        .records(K::NAME)
        .update(id, &doc.draft()?, if_version, &who.name)
        .await
        .map_err(|error| taken::<K>(error, &doc.fields))?;
    let Some(changed) = changed.as_ref().map(Stored::of).transpose()? else {
        return Ok(None);
    };
    told(tx, Some(&before), Some(&changed), id, who).await?;
    Ok(Some(changed))
}

/// Deletes a record so that an operator can bring it back. `false`: there is none of that id.
///
/// # Errors
/// When it is not at `if_version` any more.
pub(crate) async fn delete<K: Kind>(
    tx: &mut TenantTx<'_>,
    id: &str,
    if_version: Option<u32>,
    who: &Who,
) -> Result<bool, DomainError> {
    let Some(before) = find::<K>(&mut tx.reading(), id).await? else {
        return Ok(false);
    };
    if if_version.is_some_and(|version| version != before.version) {
        return Err(moved(&before));
    }
    tx.records(K::NAME).delete(id, if_version, &who.name).await?;
    told(tx, Some(&before), None, id, who).await?;
    Ok(true)
}

/// Somebody else was first.
fn moved<K: Kind>(now: &Stored<K>) -> DomainError {
    DomainError::Conflict(format!(
        "{} was changed meanwhile and is at version {} now; look at it and call again",
        now.doc.fields.label(),
        now.version
    ))
}

/// A unique value that another record has, told as what it is.
fn taken<K: Kind>(error: StoreError, fields: &K) -> DomainError {
    match error {
        StoreError::Conflict { what } => DomainError::Conflict(format!(
            "{}: {what} is used already; choose another",
            fields.label()
        )),
        other => other.into(),
    }
}

/// Leaves the line in the change log, and says what happened to whoever follows events.
async fn told<K: Kind>(
    tx: &mut TenantTx<'_>,
    before: Option<&Stored<K>>,
    after: Option<&Stored<K>>,
    id: &str,
    who: &Who,
) -> Result<(), DomainError> {
    let of = |stored: Option<&Stored<K>>| stored.map(|stored| stored.doc.to_map()).transpose();
    let (was, is) = (of(before)?, of(after)?);
    let differs = |these: &Map<String, Value>, those: Option<&Map<String, Value>>| -> Value {
        let kept = these.iter().filter(|(name, value)| {
            !K::SECRETS.contains(&name.as_str()) && those.and_then(|those| those.get(*name)) != Some(*value)
        });
        Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    let action = match (&was, &is) {
        (None, _) => "record.create",
        (_, None) => "record.delete",
        _ => "record.update",
    };
    let mut change = NewChange::new(who.actor(), action, K::NAME, id);
    change.before = was.as_ref().map(|was| differs(was, is.as_ref()));
    change.after = is.as_ref().map(|is| differs(is, was.as_ref()));
    tx.log_change(change);
    let Some(after) = after else { return Ok(()) };
    for name in K::events(before.map(Stored::fields), after.fields()) {
        let event = Event {
            name: name.to_owned(),
            subject: (K::NAME.to_owned(), id.to_owned()),
            data: after.view()?,
            before: before.map(Stored::view).transpose()?,
            depth: who.depth,
            flow: who.flow.clone(),
        };
        events::emit(tx, event).await?;
    }
    Ok(())
}
