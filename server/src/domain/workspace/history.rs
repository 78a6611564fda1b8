//! What happened to a record, field by field, as it is read.

use serde_json::{Map, Value, json};

use super::record::{Document, Kind, Stored};
use crate::{domain::DomainError, store::TenantTx};

/// The changes of a record, newest first, at most `limit`.
///
/// # Errors
/// When the store fails.
pub(crate) async fn of<K: Kind>(
    tx: &mut TenantTx<'_>,
    stored: &Stored<K>,
    limit: u32,
) -> Result<Vec<Value>, DomainError> {
    let rows = tx.records(K::NAME).history(&stored.id, limit).await?;
    // Each row has what it replaced; what it made is what the next one replaced, or what is there now.
    let mut after = stored.doc.to_map()?;
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let before = match &row.before {
            Some(text) => {
                let doc: Document<K> = serde_json::from_str(text).map_err(DomainError::internal)?;
                doc.to_map()?
            }
            None => Map::new(),
        };
        out.push(json!({
            "version": row.version,
            "at": row.at,
            "by": row.actor,
            "change": row.change,
            "fields": differences::<K>(&before, &after),
        }));
        after = before;
    }
    Ok(out)
}

/// Names, old and new values of the fields that differ. Bodies are named only: they are read where they stand.
fn differences<K: Kind>(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<Value> {
    let names = before
        .keys()
        .chain(after.keys().filter(|name| !before.contains_key(*name)));
    let seen = |name: &&String| !K::SECRETS.contains(&name.as_str()) && before.get(*name) != after.get(*name);
    names
        .filter(seen)
        .map(|name| {
            if K::BODIES.contains(&name.as_str()) {
                return json!({ "field": name });
            }
            let mut entry = Map::new();
            entry.insert("field".to_owned(), json!(name));
            for (side, map) in [("from", before), ("to", after)] {
                if let Some(value) = map.get(name) {
                    entry.insert(side.to_owned(), value.clone());
                }
            }
            Value::Object(entry)
        })
        .collect()
}
