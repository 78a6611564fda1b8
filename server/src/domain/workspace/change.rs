//! A change of a record as people read it before they agree: field by field, and whatever names something by its name.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::record::{Document, Kind, Stored};
use crate::domain::{Change, DomainError, Plan, Reader};

/// What ids in a change are called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(HashMap<String, String>);

impl Names {
    /// Remembers what an id is called.
    pub(crate) fn add(&mut self, id: &str, title: String) {
        self.0.insert(id.to_owned(), title);
    }

    /// A value in which ids are written as their names.
    fn spell(&self, value: &Value) -> Value {
        match value {
            Value::String(id) => match self.0.get(id) {
                Some(title) => format!("{title} ({id})").into(),
                None => value.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.spell(item)).collect(),
            other => other.clone(),
        }
    }
}

/// Adds every field that differs to a plan, and notes the version that it was read at. Gives the names of the fields.
///
/// # Errors
/// When a document has no JSON form, which is our fault.
pub(crate) fn changes<K: Kind>(
    mut plan: Plan,
    before: Option<&Stored<K>>,
    after: &Document<K>,
    reader: &Reader,
    names: &Names,
) -> Result<(Plan, Vec<String>), DomainError> {
    let was = flat(
        before
            .map(|before| before.doc.to_map())
            .transpose()?
            .unwrap_or_default(),
    );
    let is = flat(after.to_map()?);
    let mut changed = Vec::new();
    for (field, to) in &is {
        if was.get(field) == Some(to) || is_quiet::<K>(field) || (before.is_none() && is_empty(to)) {
            continue;
        }
        let to = names.spell(to);
        plan = plan.with(match before {
            None => Change::create(K::NAME, field.clone(), to),
            Some(before) => {
                let from = reader.show(was.get(field).map_or(Value::Null, |from| names.spell(from)));
                Change::update(K::NAME, before.id.as_str(), field.clone(), from, to)
            }
        });
        changed.push(field.clone());
    }
    if let Some(before) = before {
        for (field, from) in &was {
            if !is.contains_key(field) && !is_quiet::<K>(field) {
                let from = reader.show(names.spell(from));
                plan = plan.with(Change::update(
                    K::NAME,
                    before.id.as_str(),
                    field.clone(),
                    from,
                    Value::Null,
                ));
                changed.push(field.clone());
            }
        }
        plan = plan.on(K::NAME, before.id.as_str(), before.version);
    }
    Ok((plan, changed))
}

fn is_quiet<K: Kind>(field: &str) -> bool {
    field == "created_by" || K::QUIET.contains(&field)
}

/// Whether a value says nothing in a new record.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(flag) => !flag,
        other => other.is_null(),
    }
}

/// The tenant's own fields beside the others, as `custom.<name>`.
fn flat(mut map: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(custom)) = map.remove("custom") {
        for (name, value) in custom {
            map.insert(format!("custom.{name}"), value);
        }
    }
    map
}
