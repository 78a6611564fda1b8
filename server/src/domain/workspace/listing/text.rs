//! Lists narrowed by words: the records that hold them, or of which others that hold them speak.

use crate::{
    domain::{DomainError, context::words::words, workspace::record::Kind},
    store::{Matching, RecordPage, RecordQuery, TenantTx, TextQuery},
};

/// Records that a text filter looks at, newest first: a word in more than that says too little to look further.
const MOST_HITS: u32 = 500;
/// Records of another kind, newest first, in which a text filter looks for the words too.
const MOST_SPOKEN: u32 = 200;

/// The full-text question that a filter is: all its words, the last one still being typed.
pub(crate) fn question(text: &str) -> TextQuery {
    TextQuery {
        terms: words(text).into_iter().map(|word| vec![word]).collect(),
        matching: Matching::All,
        prefix_last: true,
        ..TextQuery::default()
    }
}

/// The page of those that hold the words asked for.
///
/// # Errors
/// When the store fails.
pub(super) async fn matching<K: Kind>(
    tx: &mut TenantTx<'_>,
    q: &str,
    query: &RecordQuery,
) -> Result<RecordPage, DomainError> {
    let mut rows = tx
        .records(K::NAME)
        .newest_with_text(&question(q), MOST_HITS)
        .await?;
    for (kind, field) in K::SPOKEN_IN {
        rows.extend(spoken_in::<K>(tx, (kind, field), q).await?);
    }
    rows.sort_unstable();
    rows.dedup();
    Ok(tx.records(K::NAME).list_among(query, &rows).await?)
}

/// The records that others of `kind`, which hold the words asked for, name in `field`.
async fn spoken_in<K: Kind>(
    tx: &mut TenantTx<'_>,
    (kind, field): (&'static str, &'static str),
    q: &str,
) -> Result<Vec<i64>, DomainError> {
    let rows = tx
        .records(kind)
        .newest_with_text(&question(q), MOST_SPOKEN)
        .await?;
    Ok(tx.records(K::NAME).named_by((kind, field), &rows).await?)
}
