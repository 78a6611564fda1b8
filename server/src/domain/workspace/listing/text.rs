//! Lists narrowed by words: the records that hold them, or of which others that hold them speak.

use crate::{
    domain::{DomainError, context::words::words, workspace::record::Kind},
    store::{Matching, NamedBy, RecordPage, RecordQuery, TenantTx, TextQuery},
};

/// How far a text filter looks: at so many of the newest records with the words, and at so many of another kind in which it looks for
/// them too. Further where what it found does not fill a page; a word in more than that says too little to go on.
const LOOKS: [(u32, u32); 2] = [(200, 100), (500, 200)];

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
    let mut page = RecordPage::default();
    for (own, spoken) in LOOKS {
        let spoken = K::SPOKEN_IN.iter().map(|(kind, _)| (*kind, spoken));
        let wanted: Vec<(&str, u32)> = [(K::NAME, own)].into_iter().chain(spoken).collect();
        let found = tx.newest_words(&wanted, &question(q)).await?;
        let is_all = found
            .iter()
            .zip(&wanted)
            .all(|(rows, (_, most))| rows.len() < *most as usize);
        let Some((own, spoken)) = found.split_first() else {
            break;
        };
        let named: Vec<NamedBy<'_>> = K::SPOKEN_IN
            .iter()
            .zip(spoken)
            .map(|(&(kind, field), row_ids)| NamedBy { kind, field, row_ids })
            .collect();
        page = tx.records(K::NAME).list_among(query, own, &named).await?;
        if is_all || page.next.is_some() {
            break;
        }
    }
    Ok(page)
}
