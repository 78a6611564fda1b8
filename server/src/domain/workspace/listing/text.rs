//! Lists narrowed by words: the records that hold them, or of which others that hold them speak.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{
    domain::{
        DomainError,
        context::words::words,
        workspace::record::{Kind, Stored},
    },
    store::{Matching, Record, RecordCursor, RecordPage, RecordQuery, TenantTx, TextQuery},
};

/// Records that a text filter looks at, best first.
const MOST_HITS: u32 = 2_000;

/// Records of another kind, best first, in which a text filter looks for the words too. Each may name a record to be read.
const MOST_SPOKEN: u32 = 300;

/// The full-text question that a filter is: all its words, the last one still being typed.
pub(crate) fn question(text: &str) -> TextQuery {
    TextQuery {
        terms: words(text).into_iter().map(|word| vec![word]).collect(),
        matching: Matching::All,
        prefix_last: true,
        ..TextQuery::default()
    }
}

/// The page of those that hold the words asked for. They are few, so they are sorted here.
///
/// # Errors
/// When the store fails.
pub(super) async fn matching<K: Kind>(
    tx: &mut TenantTx<'_>,
    q: &str,
    query: &RecordQuery,
) -> Result<RecordPage, DomainError> {
    let hits = tx
        .records(K::NAME)
        .text_candidates(&question(q), MOST_HITS)
        .await?;
    let rows: Vec<i64> = hits.iter().map(|hit| hit.row_id).collect();
    let mut found = tx.records(K::NAME).find_rows(&rows).await?;
    for (kind, field) in K::SPOKEN_IN {
        spoken_in::<K>(tx, (kind, field), q, &mut found).await?;
    }
    let mut sorted = Vec::new();
    for record in found {
        let index = Stored::<K>::of(&record)?.doc.index();
        if let Some(value) = query.sort_value(&record, index.fields())? {
            sorted.push((
                RecordCursor {
                    value,
                    id: record.id.clone(),
                },
                record,
            ));
        }
    }
    let key = |cursor: &RecordCursor| (cursor.value.clone(), cursor.id.clone());
    sorted.sort_by_key(|(cursor, _)| key(cursor));
    if query.descending {
        sorted.reverse();
    }
    let after = query.after.as_ref().map(key);
    let mut rest = sorted.into_iter().skip_while(|(cursor, _)| {
        after.as_ref().is_some_and(|after| {
            let here = key(cursor);
            if query.descending {
                here >= *after
            } else {
                here <= *after
            }
        })
    });
    let page: Vec<_> = rest.by_ref().take(query.limit as usize).collect();
    let next = rest
        .next()
        .and_then(|_| page.last().map(|(cursor, _)| cursor.clone()));
    Ok(RecordPage {
        records: page.into_iter().map(|(_, record)| record).collect(),
        next,
    })
}

/// Adds the records that others of `kind`, which hold the words asked for, name in `field`.
async fn spoken_in<K: Kind>(
    tx: &mut TenantTx<'_>,
    (kind, field): (&'static str, &str),
    q: &str,
    found: &mut Vec<Record>,
) -> Result<(), DomainError> {
    let hits = tx
        .records(kind)
        .text_candidates(&question(q), MOST_SPOKEN)
        .await?;
    let rows: Vec<i64> = hits.iter().map(|hit| hit.row_id).collect();
    let mut seen: HashSet<String> = found.iter().map(|record| record.id.clone()).collect();
    for saying in tx.records(kind).find_rows(&rows).await? {
        let fields: Map<String, Value> = saying.parse()?;
        let Some(id) = fields.get(field).and_then(Value::as_str) else {
            continue;
        };
        if seen.insert(id.to_owned())
            && let Some(record) = tx.records(K::NAME).find(id).await?
        {
            found.push(record);
        }
    }
    Ok(())
}
