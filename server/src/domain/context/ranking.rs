//! Asks the store's full-text indexes by a plan and makes one ranking of the answers: terms in, rows out, best
//! first. What the rows hold is read by whoever shows them.

use super::{
    fuse::{Group, RankedList, fuse},
    lexicons::{Shelf, Words},
    plan::{self, NEWEST_CHUNKS, Search},
    query::{self, Term},
};
use crate::store::{Matching, Ranking, StoreError, TenantTx, TextQuery};

/// Rows taken of each list. Always the same, so that the pages of one question fit together.
const DEPTH: u32 = 1_000;
/// Hits that make the next, looser search of a plan unnecessary.
const ENOUGH: usize = 100;

/// A row of one of the shelves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Row {
    /// A chunk, by its row number.
    Chunk(i64),
    /// A memory, by its row number.
    Memory(i64),
}

/// A row and its score, by reciprocal ranks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranked {
    pub(super) row: Row,
    pub(super) score: f64,
}

/// The lists that make up a ranking.
#[derive(Debug, Default)]
pub(super) struct Lists {
    lists: Vec<Vec<(Row, u32)>>,
}

impl Lists {
    /// Adds what a shelf answers to `terms`: as asked, and by words near those.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn ask(
        &mut self,
        tx: &mut TenantTx<'_>,
        shelf: Shelf,
        terms: &[Term],
        words: &Words,
        source: Option<&str>,
    ) -> Result<(), StoreError> {
        let plan = plan::plan(terms, &words.lexicon);
        let mut exact: Vec<(Row, u32)> = Vec::new();
        for search in &plan.exact {
            let seen: std::collections::HashSet<Row> = exact.iter().map(|(row, _)| *row).collect();
            let found = find(tx, shelf, &text_query(search, words.current), source).await?;
            exact.extend(found.into_iter().filter(|(row, _)| !seen.contains(row)));
            if exact.len() >= ENOUGH {
                break;
            }
        }
        self.lists.push(exact);
        if let Some(search) = &plan.near {
            self.lists
                .push(find(tx, shelf, &text_query(search, words.current), source).await?);
        }
        Ok(())
    }

    /// One ranking of all lists, best first.
    pub(super) fn rank(&self) -> Vec<Ranked> {
        let lists: Vec<RankedList<'_, Row>> = self
            .lists
            .iter()
            .map(|hits| RankedList { weight: 1.0, hits })
            .collect();
        let ranked = |group: Group<Row>| Ranked {
            row: group.entity,
            score: group.score,
        };
        fuse(&lists).into_iter().map(ranked).collect()
    }
}

async fn find(
    tx: &mut TenantTx<'_>,
    shelf: Shelf,
    query: &TextQuery,
    source: Option<&str>,
) -> Result<Vec<(Row, u32)>, StoreError> {
    let hits = match shelf {
        Shelf::Notes => tx.notes().text_candidates(query, source, DEPTH).await?,
        Shelf::Memory => tx.memory().text_candidates(query, DEPTH).await?,
    };
    let row = |row_id| match shelf {
        Shelf::Notes => Row::Chunk(row_id),
        Shelf::Memory => Row::Memory(row_id),
    };
    Ok(hits.into_iter().map(|hit| (row(hit.row_id), 0)).collect())
}

/// A planned search in the store's words. Where the plan's counts are out of date, the store bounds the cost by
/// counts of its own.
fn text_query(search: &Search, counts_are_current: bool) -> TextQuery {
    let terms = |terms: &[Term]| terms.iter().map(|term| term.words().to_vec()).collect();
    TextQuery {
        terms: terms(&search.terms),
        matching: match search.matching {
            query::Matching::Any => Matching::Any,
            query::Matching::All => Matching::All,
        },
        helpers: terms(&search.helpers),
        prefix_last: false,
        ranking: match search.ranking {
            _ if !counts_are_current => Ranking::Auto,
            plan::Ranking::All => Ranking::All,
            plan::Ranking::Newest => Ranking::Newest(u32::try_from(NEWEST_CHUNKS).unwrap_or(u32::MAX)),
        },
    }
}
