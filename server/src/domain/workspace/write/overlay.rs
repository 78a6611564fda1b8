//! Arguments are laid over a document: references become ids, empty texts take values away.

use serde::Deserialize;
use serde_json::Value;

use super::{NOT_FIELDS, Writing, reader};
use crate::{
    catalogue::typed,
    domain::{
        DomainError, PlanCall,
        workspace::{
            change::Names,
            record::{Document, Kind, Link, Stored},
            refs,
        },
    },
    store::ReadTx,
    vocabulary::Scope,
};

/// Lays the arguments over a document.
pub(super) async fn overlay<K: Kind>(
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
    let value = Value::Object(map);
    // Which field does not fit is known of the kind alone: of a document its fields are a part that has no path.
    let doc = Document::deserialize(&value).map_err(|error| match typed::<K>(&value) {
        Err(error) => error.into(),
        Ok(_) => DomainError::argument(error.to_string()),
    })?;
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
