//! What a record is: a typed document with what all have in common, found by declared fields, changed only together with
//! its history, the change log and the news of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::events::{self, Event};
use crate::{
    access::{Credential, Principal},
    domain::{DomainError, context::words::index_text},
    store::{self, Draft, Field, FieldValue, NewChange, ReadTx, Record, ScopeKind, StoreError, TenantTx},
    vocabulary::{Timestamp, UserId, new_id},
};

/// What a field that names something names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// A user of the tenant.
    Person,
    /// A record of this kind.
    Record(&'static str),
}

/// A kind of record: its document, and what is declared of it.
pub(crate) trait Kind:
    Clone + Default + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Its word in the store, in previews, events and answers.
    const NAME: &'static str;
    /// How its ids begin.
    const PREFIX: &'static str;
    /// The scope that shows it.
    const READ: &'static str;
    /// Indexed fields by which people name one, the most exact first.
    const KEYS: &'static [&'static str] = &[];
    /// Fields that name other records or people, single or in a list.
    const LINKS: &'static [(&'static str, Link)] = &[];
    /// Kinds and their fields of which no other record should have the value that this one's field of that name has.
    const DUPLICATES: &'static [(&'static str, &'static str)] = &[];
    /// Fields left out where many are listed.
    const BODIES: &'static [&'static str] = &[];
    /// Fields that follow from others and are no news in a preview.
    const QUIET: &'static [&'static str] = &[];
    /// Fields that no answer shows.
    const SECRETS: &'static [&'static str] = &[];
    /// Sort orders whose index has another name.
    const SORTS: &'static [(&'static str, &'static str)] = &[];

    /// What people call it.
    fn title(&self) -> String;

    /// What a search shows beside the title.
    fn subtitle(&self) -> String {
        String::new()
    }

    /// Kind and title, for sentences.
    fn label(&self) -> String {
        format!("{} \"{}\"", Self::NAME, self.title())
    }

    /// Declares by what it is found, filtered and sorted.
    fn index(&self, index: &mut Index);

    /// Title and text for the full-text index, as people write them.
    fn words(&self) -> Option<(String, String)> {
        None
    }

    /// Judges a change of it, and fills in what follows from the other fields.
    ///
    /// # Errors
    /// The rule that the change breaks.
    fn settle(&mut self, _before: Option<&Self>, _now: Timestamp) -> Result<(), DomainError> {
        Ok(())
    }

    /// The events of catalogue.md §3.5 that a change is.
    fn events(_before: Option<&Self>, _after: &Self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// By what a record is found.
#[derive(Debug, Default)]
pub(crate) struct Index(Vec<Field>);

/// Longest text in an index, in bytes; longer ones are found by their beginning.
const MOST_KEY: usize = 200;

impl Index {
    /// A value.
    pub(crate) fn put(&mut self, name: &str, value: impl Into<FieldValue>) {
        self.0.push(Field::new(name, value));
    }

    /// A word as it is: a state, an id. Empty for none, so that what has none can be asked for.
    pub(crate) fn word(&mut self, name: &str, value: &str) {
        self.put(name, value);
    }

    /// Text that is compared without regard to case.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.put(name, fold(value));
    }

    /// The same, if there is any.
    pub(crate) fn optional_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A telephone number, by its digits.
    pub(crate) fn phone(&mut self, value: Option<&str>) {
        if let Some(digits) = value.and_then(phone_digits) {
            self.put("phone", digits);
        }
    }

    /// A value that names one record of the kind.
    pub(crate) fn unique(&mut self, name: &str, value: impl Into<FieldValue>) {
        self.0.push(Field::unique(name, value));
    }

    /// The same for text that is compared without regard to case.
    pub(crate) fn unique_text(&mut self, name: &str, value: &str) {
        self.unique(name, fold(value));
    }

    /// What was declared.
    pub(crate) fn fields(&self) -> &[Field] {
        &self.0
    }
}

/// Text as indexes compare it.
pub(crate) fn fold(text: &str) -> String {
    let folded = text.trim().to_lowercase();
    let end = folded.floor_char_boundary(MOST_KEY);
    folded.get(..end).unwrap_or_default().to_owned()
}

/// The digits of a telephone number, if there are enough to be one.
pub(crate) fn phone_digits(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).take(20).collect();
    let others = text.chars().filter(|c| c.is_alphabetic() || *c == '@').count();
    (digits.len() >= 3 && others == 0).then_some(digits)
}

/// A record's document: the fields of its kind, and what every record has.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Document<K> {
    /// The kind's own.
    #[serde(flatten)]
    pub(crate) fields: K,
    /// Words to filter by.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// The tenant's own fields.
    #[serde(default)]
    pub(crate) custom: Map<String, Value>,
    /// Who made it: a user's id, or what acted for nobody.
    #[serde(default)]
    pub(crate) created_by: String,
}

impl<K: Kind> Document<K> {
    /// A document without tags and custom fields.
    pub(crate) fn new(fields: K) -> Self {
        Self {
            fields,
            tags: Vec::new(),
            custom: Map::new(),
            created_by: String::new(),
        }
    }

    /// As JSON, fields without a value left out.
    ///
    /// # Errors
    /// When it has no JSON form, which is our fault.
    pub(crate) fn to_map(&self) -> Result<Map<String, Value>, DomainError> {
        match serde_json::to_value(self).map_err(DomainError::internal)? {
            Value::Object(map) => Ok(map.into_iter().filter(|(_, value)| !value.is_null()).collect()),
            _ => Ok(Map::new()),
        }
    }

    /// By what it is found.
    pub(crate) fn index(&self) -> Index {
        let mut index = Index::default();
        self.fields.index(&mut index);
        for tag in &self.tags {
            index.text("tag", tag);
        }
        index
    }

    fn draft(&self) -> Result<Draft, DomainError> {
        let mut draft = Draft::of(self)?;
        draft.fields = self.index().0;
        if let Some((title, text)) = self.fields.words() {
            draft = draft.with_words(&index_text(&title), &index_text(&text));
        }
        Ok(draft)
    }
}

/// A record that is in the store.
#[derive(Clone, Debug)]
pub(crate) struct Stored<K> {
    pub(crate) id: String,
    pub(crate) version: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) doc: Document<K>,
}

impl<K: Kind> Stored<K> {
    /// Reads a row.
    ///
    /// # Errors
    /// When its document is of another kind.
    pub(crate) fn of(record: &Record) -> Result<Self, StoreError> {
        Ok(Self {
            id: record.id.clone(),
            version: record.version,
            created_at: record.created_at,
            updated_at: record.updated_at,
            doc: record.parse()?,
        })
    }

    /// Its own fields.
    pub(crate) fn fields(&self) -> &K {
        &self.doc.fields
    }

    /// As answers show it.
    ///
    /// # Errors
    /// When it has no JSON form, which is our fault.
    pub(crate) fn view(&self) -> Result<Value, DomainError> {
        self.view_without(&[])
    }

    /// As lists show it: without bodies.
    ///
    /// # Errors
    /// When it has no JSON form, which is our fault.
    pub(crate) fn summary(&self) -> Result<Value, DomainError> {
        self.view_without(K::BODIES)
    }

    fn view_without(&self, bodies: &[&str]) -> Result<Value, DomainError> {
        let mut out = Map::new();
        out.insert("id".to_owned(), self.id.clone().into());
        let hidden = |name: &str| bodies.contains(&name) || K::SECRETS.contains(&name);
        out.extend(self.doc.to_map()?.into_iter().filter(|(name, _)| !hidden(name)));
        for (name, at) in [("created_at", self.created_at), ("updated_at", self.updated_at)] {
            out.insert(name.to_owned(), at.to_string().into());
        }
        out.insert("version".to_owned(), self.version.into());
        Ok(Value::Object(out))
    }
}

/// Who changes records, for history, change log and events.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// A user's id, or the part of the workspace that acts by itself.
    pub(crate) name: String,
    actor: Option<Arc<store::Actor>>,
    /// How many flows stand between a person and this change.
    pub(crate) depth: u32,
    /// The flow that acts.
    pub(crate) flow: Option<String>,
}

impl Who {
    /// The caller of a tool.
    pub(crate) fn of(principal: &Principal) -> Self {
        let facts = principal.facts();
        let (kind, key) = match &facts.credential {
            Credential::ApiKey { id, .. } => (ScopeKind::ApiKey, Some(id.clone())),
            Credential::Token { .. } => (ScopeKind::Jwt, None),
            Credential::LegacyToken => (ScopeKind::Legacy, None),
            Credential::Session => (ScopeKind::Session, None),
            Credential::Local => (ScopeKind::Operator, None),
        };
        Self {
            name: facts.user.to_string(),
            actor: Some(Arc::new(store::Actor {
                user_id: Some(facts.user.clone()),
                api_key_id: key,
                ..store::Actor::new(kind)
            })),
            depth: 0,
            flow: None,
        }
    }

    /// Somebody at the console, by a user's id, or the operator at the command line.
    pub(crate) fn person(name: &str) -> Self {
        let user = UserId::new(name).ok().filter(|_| name != "operator");
        Self {
            actor: user.map(|user| Arc::new(store::Actor::person(user))),
            ..Self::system(name)
        }
    }

    /// A part of the workspace that acts for nobody: `inbound`, `routing`, `bot`, `sla`, `demo`.
    pub(crate) fn system(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            actor: None,
            depth: 0,
            flow: None,
        }
    }

    /// A flow, whose changes are events one level deeper.
    pub(crate) fn flow(id: &str, depth: u32) -> Self {
        Self {
            depth,
            flow: Some(id.to_owned()),
            ..Self::system("flow")
        }
    }

    /// As the change log names them.
    pub(crate) fn actor(&self) -> store::Actor {
        let actor = self.actor.as_deref();
        actor.cloned().unwrap_or_else(store::Actor::operator)
    }
}

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
    doc: Document<K>,
    who: &Who,
) -> Result<Stored<K>, DomainError> {
    let id = new_id(K::PREFIX, tx.now());
    insert_as(tx, &id, doc, who).await
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
        StoreError::Conflict { what } => {
            DomainError::Conflict(format!("{}: {what} is used already", fields.label()))
        }
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
