//! Creating and changing records, whatever their kind: arguments become a document, the document a plan, the plan a row.
//! The names of arguments are those of fields, so a kind's declarations say all there is to say.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    change::{self, Names},
    custom, grammar,
    once::{self, Once, Seen},
    record::{self, Document, Kind, Link, Stored, Who, fold},
    refs,
};
use crate::{
    domain::{Apply, DomainError, Handlers, Plan, PlanCall, Reader, ToolResult},
    store::{Condition, ReadTx, RecordQuery, TenantTx},
    vocabulary::Scope,
};

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
    let before = writing.before.as_ref().map(Stored::fields);
    writing.doc.fields.settle(before, call.now)?;
    custom::check(tx, K::NAME, &writing.doc.custom).await
}

/// Lays the arguments over a document.
async fn overlay<K: Kind>(
    tx: &mut ReadTx<'_>,
    call: &PlanCall,
    before: Option<Stored<K>>,
    base: Document<K>,
) -> Result<Writing<K>, DomainError> {
    let mut names = Names::default();
    let mut map = base.to_map()?;
    if before.is_some() {
        // What the record names now is shown by its name, too.
        for (field, link) in K::LINKS {
            if let Some(value) = map.get(*field) {
                let _ = resolved(tx, call, *link, value, &mut names).await;
            }
        }
    }
    for (name, value) in call.arguments.as_map() {
        if NOT_FIELDS.contains(&name.as_str()) {
            continue;
        }
        let link = K::LINKS.iter().find(|(field, _)| field == name);
        let value = match (link, value) {
            // An empty text takes a field's value away.
            (_, Value::String(text)) if text.is_empty() => {
                map.remove(name);
                continue;
            }
            (Some((_, Link::Person)), Value::String(text)) if text == "unassigned" => {
                map.remove(name);
                continue;
            }
            (Some((_, Link::Person)), Value::String(text)) => {
                let user = refs::user(tx, &call.principal().facts().user, text).await?;
                refs::working(&user)?;
                names.add(user.id.as_str(), refs::person(&user));
                user.id.as_str().into()
            }
            (Some((_, link)), value) => resolved(tx, call, *link, value, &mut names).await?,
            (None, Value::Object(given)) if name == "custom" => {
                let mut own = base.custom.clone();
                for (field, value) in given {
                    if value.is_null() {
                        own.remove(field);
                    } else {
                        own.insert(field.clone(), value.clone());
                    }
                }
                Value::Object(own)
            }
            (None, value) => value.clone(),
        };
        map.insert(name.clone(), value);
    }
    let doc = serde_json::from_value(Value::Object(map))
        .map_err(|error| DomainError::argument(error.to_string()))?;
    Ok(Writing {
        before,
        doc,
        reader: reader::<K>(call)?,
        names,
        warnings: Vec::new(),
        once: None,
        replay: None,
    })
}

/// References as ids; what they are called is remembered.
async fn resolved(
    tx: &mut ReadTx<'_>,
    call: &PlanCall,
    link: Link,
    value: &Value,
    names: &mut Names,
) -> Result<Value, DomainError> {
    if let Value::Array(items) = value {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            out.push(Value::String(one(tx, call, link, item, names).await?));
        }
        out.dedup();
        return Ok(out.into());
    }
    one(tx, call, link, value, names).await.map(Value::String)
}

async fn one(
    tx: &mut ReadTx<'_>,
    call: &PlanCall,
    link: Link,
    value: &Value,
    names: &mut Names,
) -> Result<String, DomainError> {
    let text = value.as_str().unwrap_or_default();
    match link {
        Link::Person => {
            let user = refs::user(tx, &call.principal().facts().user, text).await?;
            names.add(user.id.as_str(), refs::person(&user));
            Ok(user.id.to_string())
        }
        Link::Record(kind) => {
            let info = refs::kind(kind)?;
            let scope = Scope::new(info.read).map_err(DomainError::internal)?;
            let reader = call.reader(&scope);
            let named = refs::record(tx, info, text, reader.shows()).await?;
            names.add(&named.id, reader.text(&named.title).to_owned());
            Ok(named.id)
        }
    }
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

impl<K: Kind> Writing<K> {
    /// Whether the same call was made before, so that nothing is written.
    pub(crate) fn is_replay(&self) -> bool {
        self.replay.is_some()
    }

    /// The plan: `summary`, the fields that differ, and `extra` for what carries it out.
    ///
    /// # Errors
    /// When something has no JSON form, which is our fault.
    pub(crate) fn plan(self, summary: &str, extra: &impl Serialize) -> Result<Plan, DomainError> {
        if let Some(result) = self.replay {
            return Plan::new("This call was made before; it gives the same result and changes nothing")
                .carrying(&Carried {
                    id: None,
                    doc: Value::Null,
                    changed: Vec::new(),
                    extra: Value::Null,
                    once: None,
                    replay: Some(result),
                });
        }
        let mut plan = Plan::new(summary);
        for warning in self.warnings {
            plan = plan.with_warning(warning);
        }
        let before = self.before.as_ref();
        let (mut plan, changed) = change::changes(plan, before, &self.doc, &self.reader, &self.names)?;
        if before.is_some() && changed.is_empty() {
            plan = plan.with_warning("nothing would change");
        }
        for event in K::events(before.map(Stored::fields), &self.doc.fields) {
            plan = plan.with_effect(format!("event {event}, which flows may follow"));
        }
        plan.carrying(&Carried {
            id: self.before.map(|before| before.id),
            doc: serde_json::to_value(&self.doc).map_err(DomainError::internal)?,
            changed,
            extra: serde_json::to_value(extra).map_err(DomainError::internal)?,
            once: self.once,
            replay: None,
        })
    }
}

impl Carried {
    /// The document to be.
    ///
    /// # Errors
    /// When it is of another kind, which is our fault.
    pub(crate) fn doc<K: Kind>(&self) -> Result<Document<K>, DomainError> {
        Document::deserialize(&self.doc).map_err(DomainError::internal)
    }

    /// The result of the same call, if it was made before.
    ///
    /// # Errors
    /// When it has no JSON form, which is our fault.
    pub(crate) fn replayed(&self) -> Result<Option<ToolResult>, DomainError> {
        let Some(result) = &self.replay else {
            return Ok(None);
        };
        let mut result = result.clone();
        if let Some(map) = result.as_object_mut() {
            map.insert("replayed".to_owned(), true.into());
        }
        ToolResult::structured(&result).map(Some)
    }

    /// Writes the document: a new record, or the next version of the one that was planned on.
    ///
    /// # Errors
    /// When it changed since.
    pub(crate) async fn write<K: Kind>(
        &self,
        tx: &mut TenantTx<'_>,
        apply: &Apply,
        doc: Document<K>,
    ) -> Result<Stored<K>, DomainError> {
        let who = Who::of(apply.permit.principal());
        match &self.id {
            None => record::insert(tx, doc, &who).await,
            Some(id) => {
                let version = apply.plan.version_of(K::NAME, id);
                let written = record::update(tx, id, &doc, version, &who).await?;
                written.ok_or_else(|| DomainError::not_found(K::NAME, id.as_str()))
            }
        }
    }

    /// The answer, which a key for idempotency remembers.
    ///
    /// # Errors
    /// When another call with the key was faster.
    pub(crate) async fn answer(
        &self,
        tx: &mut TenantTx<'_>,
        result: Map<String, Value>,
        ids: impl IntoIterator<Item = String>,
    ) -> Result<ToolResult, DomainError> {
        let result = Value::Object(result);
        if let Some(once) = &self.once {
            once::keep(tx, once, &result).await?;
        }
        Ok(ToolResult::structured(&result)?.touching(ids))
    }
}

/// The object `{name: value}`.
pub(crate) fn object(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}

/// Carries a plan out that needs no more than its document: `{<kind>, changed?}`.
///
/// # Errors
/// As [`Carried::write`].
pub(crate) async fn carry_out<K: Kind>(
    tx: &mut TenantTx<'_>,
    apply: Apply,
) -> Result<ToolResult, DomainError> {
    let carried: Carried = apply.plan.payload()?;
    if let Some(result) = carried.replayed()? {
        return Ok(result);
    }
    let is_new = carried.id.is_none();
    if !is_new && carried.changed.is_empty() {
        let id = carried.id.as_deref().unwrap_or_default();
        let same: Stored<K> = record::get(&mut tx.reading(), id).await?;
        let mut result = object(K::NAME, same.view()?);
        result.insert("changed".to_owned(), json!([]));
        return carried.answer(tx, result, [same.id]).await;
    }
    let written = carried.write::<K>(tx, &apply, carried.doc()?).await?;
    let mut result = object(K::NAME, written.view()?);
    if !is_new {
        result.insert("changed".to_owned(), json!(carried.changed));
    }
    carried.answer(tx, result, [written.id]).await
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
