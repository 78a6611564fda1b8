//! Creating and changing records, whatever their kind: arguments become a document, the document a plan, the plan a row.
//! The names of arguments are those of fields, so a kind's declarations say all there is to say.

mod carry;
mod overlay;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    change::Names,
    custom, grammar,
    once::{self, Once, Seen},
    record::{Document, Kind, Stored, fold},
    refs,
};
use crate::{
    domain::{DomainError, Handlers, Plan, PlanCall, Reader},
    store::{Condition, ReadTx, RecordQuery},
    vocabulary::Scope,
};
pub(crate) use carry::carry_out;
use overlay::overlay;

/// Arguments that say how to write, not what.
const NOT_FIELDS: [&str; 5] = ["id", "if_version", "idempotency_key", "on_duplicate", "note"];

/// A record on its way to be written.
pub(crate) struct Writing<K> {
    /// As it is; `None` for a new one.
    pub(crate) before: Option<Stored<K>>,
    /// As it will be.
    pub(crate) doc: Document<K>,
    /// Shows what is stored, or hides it.
    pub(crate) reader: Reader,
    /// What ids are called.
    pub(crate) names: Names,
    /// What the plan says besides.
    pub(crate) warnings: Vec<String>,
    once: Option<Once>,
    replay: Option<Value>,
}

/// What a plan hands on to what carries it out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Carried {
    /// Which record; `None` for a new one.
    pub(crate) id: Option<String>,
    /// Its document to be.
    doc: Value,
    /// Which fields differ.
    pub(crate) changed: Vec<String>,
    /// Whatever the tool needs besides.
    pub(crate) extra: Value,
    once: Option<Once>,
    /// The result of the same call, made before.
    replay: Option<Value>,
}

/// What shows a kind's records to this caller, or hides them.
///
/// # Errors
/// When the kind's scope is no scope, which is our fault.
pub(crate) fn reader<K: Kind>(call: &PlanCall) -> Result<Reader, DomainError> {
    let scope = Scope::new(K::READ).map_err(DomainError::internal)?;
    Ok(call.reader(&scope))
}

/// Plans a new record from the arguments.
///
/// # Errors
/// What of the arguments cannot be: a reference, a rule, a value that another record has.
pub(crate) async fn create<K: Kind>(tx: &mut ReadTx<'_>, call: &PlanCall) -> Result<Writing<K>, DomainError> {
    create_with(tx, call, |_| ()).await
}

/// The same; `shape` has a hand in the document before its rules are asked.
///
/// # Errors
/// As [`create`].
pub(crate) async fn create_with<K: Kind>(
    tx: &mut ReadTx<'_>,
    call: &PlanCall,
    shape: impl FnOnce(&mut Document<K>) + Send,
) -> Result<Writing<K>, DomainError> {
    let arguments = call.arguments.as_map();
    let seen = once::look(
        tx,
        call.principal(),
        call.grant.tool().name.as_str(),
        arguments,
        call.now,
    )
    .await?;
    let base = Document::new(K::default());
    let mut writing = overlay(tx, call, None, base).await?;
    match seen {
        Seen::NoKey => {}
        Seen::New(once) => writing.once = Some(once),
        Seen::Before(result) => {
            writing.replay = Some(result);
            return Ok(writing);
        }
    }
    writing.doc.created_by = call.principal().facts().user.to_string();
    shape(&mut writing.doc);
    settle(tx, call, &mut writing).await?;
    duplicates(tx, call, &mut writing).await?;
    Ok(writing)
}

/// Plans a change of a record from the arguments.
///
/// # Errors
/// As [`create`]; also when the record is at another version than the caller says.
pub(crate) async fn update<K: Kind>(
    tx: &mut ReadTx<'_>,
    call: &PlanCall,
    before: Stored<K>,
) -> Result<Writing<K>, DomainError> {
    update_with(tx, call, before, |_| ()).await
}

/// The same; `shape` has a hand in the document before its rules are asked.
///
/// # Errors
/// As [`update`].
pub(crate) async fn update_with<K: Kind>(
    tx: &mut ReadTx<'_>,
    call: &PlanCall,
    before: Stored<K>,
    shape: impl FnOnce(&mut Document<K>) + Send,
) -> Result<Writing<K>, DomainError> {
    let wanted = call.arguments.as_map().get("if_version").and_then(Value::as_u64);
    if wanted.is_some_and(|wanted| wanted != u64::from(before.version)) {
        return Err(DomainError::Conflict(format!(
            "{} is at version {}; look at it and call again",
            before.id, before.version
        )));
    }
    let base = before.doc.clone();
    let mut writing = overlay(tx, call, Some(before), base).await?;
    shape(&mut writing.doc);
    settle(tx, call, &mut writing).await?;
    Ok(writing)
}

/// The record that the argument `id` names.
///
/// # Errors
/// `not_found`, or a conflict with candidates.
pub(crate) async fn named<K: Kind>(tx: &mut ReadTx<'_>, call: &PlanCall) -> Result<Stored<K>, DomainError> {
    let text = call.arguments.as_map().get("id").and_then(Value::as_str);
    refs::get(tx, text.unwrap_or_default(), reader::<K>(call)?.shows()).await
}

/// Rules and own fields.
async fn settle<K: Kind>(
    tx: &mut ReadTx<'_>,
    call: &PlanCall,
    writing: &mut Writing<K>,
) -> Result<(), DomainError> {
    let before = writing.before.as_ref();
    writing.doc.fields.settle(before.map(Stored::fields), call.now)?;
    let held = before.map(|before| &before.doc.custom);
    custom::check(tx, K::NAME, held, &writing.doc.custom).await
}

/// Refuses, or warns of, a second record of the same e-mail address or domain.
async fn duplicates<K: Kind>(
    tx: &mut ReadTx<'_>,
    call: &PlanCall,
    writing: &mut Writing<K>,
) -> Result<(), DomainError> {
    let map = writing.doc.to_map()?;
    for (kind, field) in K::DUPLICATES {
        let Some(value) = map.get(*field).and_then(Value::as_str) else {
            continue;
        };
        let query = RecordQuery {
            conditions: vec![Condition::is(field, fold(value))],
            limit: 1,
            ..RecordQuery::default()
        };
        let Some(other) = tx.records(kind).list(&query).await?.records.pop() else {
            continue;
        };
        let said = format!("{} has the {field} {value} already", grammar::a(kind));
        if call
            .arguments
            .as_map()
            .get("on_duplicate")
            .and_then(Value::as_str)
            == Some("create")
        {
            writing.warnings.push(said);
            continue;
        }
        let details = if writing.reader.shows() {
            json!({ "object_type": kind, "id": other.id })
        } else {
            json!({})
        };
        return Err(DomainError::ConflictWith {
            message: format!("{said}; change that one, or call again with on_duplicate: create"),
            details,
        });
    }
    Ok(())
}

/// The object `{name: value}`.
pub(crate) fn object(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}

/// Plans a new record whose kind says all there is to say.
///
/// # Errors
/// As [`create`].
pub(crate) async fn plan_create<K: Kind>(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let writing = create::<K>(tx, &call).await?;
    let summary = format!("Create {}", writing.doc.fields.label());
    writing.plan(&summary, &())
}

/// Plans a change of the record that `id` names.
///
/// # Errors
/// As [`update`].
pub(crate) async fn plan_update<K: Kind>(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let before = named::<K>(tx, &call).await?;
    let writing = update(tx, &call, before).await?;
    let label = writing.before.as_ref().map(|before| before.fields().label());
    let summary = format!("Change {}", writing.reader.text(&label.unwrap_or_default()));
    writing.plan(&summary, &())
}

/// Registers a tool that adds a record.
pub(crate) fn register_create<K: Kind>(handlers: &mut Handlers, name: &'static str) {
    handlers.planned(
        name,
        |tx, call| Box::pin(plan_create::<K>(tx, call)),
        |tx, apply| Box::pin(carry_out::<K>(tx, apply)),
    );
}

/// Registers a tool that changes a record.
pub(crate) fn register_update<K: Kind>(handlers: &mut Handlers, name: &'static str) {
    handlers.planned(
        name,
        |tx, call| Box::pin(plan_update::<K>(tx, call)),
        |tx, apply| Box::pin(carry_out::<K>(tx, apply)),
    );
}
