//! Lists narrowed by words: the records that hold them, or of which others that hold them speak.

use crate::{
    domain::{DomainError, context::words::words, workspace::record::Kind},
    store::{Matching, NamedBy, RecordPage, RecordQuery, TenantTx, TextQuery},
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
    let spoken = K::SPOKEN_IN.iter().map(|(kind, _)| (*kind, MOST_SPOKEN));
    let wanted: Vec<(&str, u32)> = [(K::NAME, MOST_HITS)].into_iter().chain(spoken).collect();
    let rows = tx.newest_words(&wanted, &question(q)).await?;
    let Some((own, spoken)) = rows.split_first() else {
        return Ok(RecordPage::default());
    };
    let named: Vec<NamedBy<'_>> = K::SPOKEN_IN
        .iter()
        .zip(spoken)
        .map(|(&(kind, field), row_ids)| NamedBy { kind, field, row_ids })
        .collect();
    Ok(tx.records(K::NAME).list_among(query, own, &named).await?)
}
