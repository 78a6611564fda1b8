//! Questions to SQLite's full-text tables, and what they may cost.

use std::collections::HashMap;

use super::{
    COUNTED_RECORDS, COUNTED_ROWS, Matching, NEWEST_PER_KIND, NEWEST_ROWS, OPEN_LETTERS, OPEN_ROWS,
    RANKED_RECORDS, RANKED_ROWS, Ranking, TextHit, TextQuery, best, dialect::FTS5, tag_word,
};
use crate::store::{
    Engine, Session, StoreError,
    row::{RowRef, params},
    sqlite::SqliteConnection,
};

impl Session {
    pub(super) async fn find_fts5(
        &mut self,
        table: &str,
        query: &TextQuery,
        tags: &[&str],
        limit: u32,
    ) -> Result<Vec<TextHit>, StoreError> {
        let expression = FTS5.tagged(query, tags);
        // A word in the title weighs as much as five in the text. bm25() is smaller for better rows.
        let hit = |row: &RowRef<'_>| {
            Ok(TextHit {
                row_id: row.int(0)?,
                rank: -row.real(1)?,
            })
        };
        let rank = format!("bm25({table}, 5.0, 1.0, 0.0)");
        if let Ranking::Newest(rows) = query.ranking {
            let sql = format!(
                "SELECT rowid, {rank} FROM {table} WHERE {table} MATCH $1 ORDER BY rowid DESC LIMIT $2"
            );
            return Ok(best(
                self.query(&sql, params![&expression, rows], hit).await?,
                limit,
            ));
        }
        let sql = format!(
            "SELECT rowid, {rank} AS rank_of FROM {table} WHERE {table} MATCH $1 ORDER BY rank_of, rowid DESC LIMIT $2"
        );
        self.query(&sql, params![&expression, limit], hit).await
    }

    /// The question with its last word as it stands, where that is a word already and stands in many rows.
    pub(super) fn closed(&mut self, table: &str, mut query: TextQuery) -> Result<TextQuery, StoreError> {
        if let Engine::Sqlite(connection) = &mut self.engine
            && query.prefix_last
            && let Some(word) = query.terms.last().and_then(|term| term.last())
        {
            query.prefix_last = connection.rows_with(table, word)? < OPEN_ROWS;
        }
        Ok(query)
    }

    /// Whether a question to records would have bm25 rank or count too many rows.
    pub(super) fn is_wide(
        &mut self,
        table: &str,
        query: &TextQuery,
        tags: &[&str],
    ) -> Result<bool, StoreError> {
        let Engine::Sqlite(connection) = &mut self.engine else {
            return Ok(false);
        };
        if query.matching != Matching::All || query.ranking != Ranking::Auto || !query.helpers.is_empty() {
            return Ok(false);
        }
        let (mut counted, mut least) = (0_u64, u64::MAX);
        for tag in tags {
            counted = counted.saturating_add(connection.rows_with(table, &tag_word(tag))?);
        }
        for rows in rows_of_words(connection, table, query)?.into_iter().flatten() {
            counted = counted.saturating_add(rows);
            least = least.min(rows);
        }
        Ok(counted > COUNTED_RECORDS || least > RANKED_RECORDS)
    }

    /// The newest records of each kind that hold all that is asked for. A rare word weighs more than a frequent one, and a word in
    /// the title as much as five in the text.
    pub(super) async fn find_newest(
        &mut self,
        table: &str,
        query: &TextQuery,
        tags: &[&str],
        limit: u32,
    ) -> Result<Vec<TextHit>, StoreError> {
        let terms = self.weighed(table, query)?;
        let all: Vec<&str> = terms.iter().map(|(term, _)| term.as_str()).collect();
        let all = all.join(" AND ");
        let newest = format!("SELECT rowid FROM {table} WHERE {table} MATCH $1 ORDER BY rowid DESC LIMIT $2");
        let titled = format!(
            "SELECT rowid FROM {table} WHERE {table} MATCH $1 AND rowid >= $2 ORDER BY rowid DESC LIMIT $3"
        );
        // Each kind by itself, unless a question is dear: then all at once.
        let word = query.terms.last().and_then(|term| term.last());
        let is_dear = query.prefix_last && word.is_some_and(|word| word.chars().count() >= OPEN_LETTERS);
        let (at_once, most) = if is_dear {
            (tags.len(), NEWEST_PER_KIND * 2)
        } else {
            (1, NEWEST_PER_KIND)
        };
        let mut hits = Vec::new();
        for tags in tags.chunks(at_once.max(1)) {
            let tags: Vec<String> = tags.iter().map(|tag| format!("\"{}\"", tag_word(tag))).collect();
            let of_kind = format!("{all} AND ({})", tags.join(" OR "));
            let rows = self
                .query(&newest, params![&of_kind, most], |row| row.int(0))
                .await?;
            let Some(oldest) = rows.last().copied() else {
                continue;
            };
            let base: f64 = terms.iter().map(|(_, weight)| weight).sum();
            let mut ranks: HashMap<i64, f64> = rows.iter().map(|row_id| (*row_id, base)).collect();
            for (term, weight) in &terms {
                let in_title = format!("{of_kind} AND title : {term}");
                let rows = self
                    .query(&titled, params![&in_title, oldest, most], |row| row.int(0))
                    .await?;
                for row_id in rows {
                    if let Some(rank) = ranks.get_mut(&row_id) {
                        *rank += 4.0 * weight;
                    }
                }
            }
            hits.extend(ranks.into_iter().map(|(row_id, rank)| TextHit { row_id, rank }));
        }
        Ok(best(hits, limit))
    }

    /// The terms of a question as expressions, each with what it weighs: less, the more rows hold it.
    fn weighed(&mut self, table: &str, query: &TextQuery) -> Result<Vec<(String, f64)>, StoreError> {
        let Engine::Sqlite(connection) = &mut self.engine else {
            return Ok(Vec::new());
        };
        let rows = rows_of_words(connection, table, query)?;
        let last = query.terms.len().saturating_sub(1);
        let weigh = |(at, (term, rows)): (usize, (&Vec<String>, Vec<u64>))| {
            let is_open = query.prefix_last && at == last;
            let expression = FTS5.terms(std::slice::from_ref(term), Matching::All, is_open);
            #[expect(clippy::cast_precision_loss, reason = "a weight")]
            let weight = 1.0 / (2.0 + least(&rows) as f64).ln();
            (expression, weight)
        };
        Ok(query.terms.iter().zip(rows).enumerate().map(weigh).collect())
    }

    /// Turns a question into steps of bounded cost; a later step is taken when the earlier ones gave too little.
    pub(super) fn affordable(&mut self, table: &str, query: TextQuery) -> Result<Vec<TextQuery>, StoreError> {
        let Engine::Sqlite(connection) = &mut self.engine else {
            return Ok(vec![query]);
        };
        // The open end of the last word may stand for any number of words.
        let open = if query.prefix_last {
            query.terms.len() - 1
        } else {
            usize::MAX
        };
        let mut counted: Vec<Counted> = rows_of_words(connection, table, &query)?
            .into_iter()
            .enumerate()
            .map(|(at, rows)| (least(&rows), at))
            .collect();
        counted.sort_unstable();
        let most = match query.matching {
            // Terms that must all be there cost what the rarest costs.
            Matching::All => counted.first().map_or(0, |(rows, _)| *rows),
            Matching::Any => counted
                .iter()
                .fold(0_u64, |sum, (rows, _)| sum.saturating_add(*rows)),
        };
        if most <= RANKED_ROWS {
            return Ok(vec![TextQuery {
                ranking: Ranking::All,
                ..query
            }]);
        }
        let (rare, frequent) = within(&counted, RANKED_ROWS);
        let pick = |places: &[usize]| -> Vec<Vec<String>> {
            let picked = places.iter().filter_map(|at| query.terms.get(*at));
            picked.cloned().collect()
        };
        if query.matching == Matching::All || rare.is_empty() {
            // The rarest of the frequent words say most; those past the budget would say next to nothing.
            let (mut kept, _) = within(&counted, COUNTED_ROWS);
            if kept.is_empty() || query.matching == Matching::All {
                let most = if query.matching == Matching::All {
                    counted.len()
                } else {
                    1
                };
                kept = counted.iter().take(most).map(|(_, at)| *at).collect();
            }
            // The order of terms is kept, because the last one may be open.
            kept.sort_unstable();
            let newest = |matching| TextQuery {
                terms: pick(&kept),
                matching,
                helpers: Vec::new(),
                prefix_last: kept.last() == Some(&open),
                ranking: Ranking::Newest(NEWEST_ROWS),
            };
            let mut steps = vec![newest(Matching::All)];
            if query.matching == Matching::Any && kept.len() > 1 {
                steps.push(newest(Matching::Any));
            }
            return Ok(steps);
        }
        let mut places = rare;
        places.sort_unstable();
        let (helping, _) = within(&frequent, COUNTED_ROWS);
        let mut helpers = query.helpers.clone();
        helpers.extend(pick(&helping));
        Ok(vec![TextQuery {
            terms: pick(&places),
            helpers,
            prefix_last: places.last() == Some(&open),
            ranking: Ranking::All,
            matching: Matching::Any,
        }])
    }
}

/// How many rows hold each word of each term of a question. The open end of the last word stands for all that begin so, counted
/// up to [`RANKED_ROWS`].
fn rows_of_words(
    connection: &mut SqliteConnection,
    table: &str,
    query: &TextQuery,
) -> Result<Vec<Vec<u64>>, StoreError> {
    let last = query.terms.len().saturating_sub(1);
    let mut counted = Vec::with_capacity(query.terms.len());
    for (at, term) in query.terms.iter().enumerate() {
        let mut rows = Vec::with_capacity(term.len());
        for (place, word) in term.iter().enumerate() {
            let is_open = query.prefix_last && at == last && place + 1 == term.len();
            rows.push(if is_open {
                connection.rows_beginning(table, word, RANKED_ROWS)?
            } else {
                connection.rows_with(table, word)?
            });
        }
        counted.push(rows);
    }
    Ok(counted)
}

/// The rows of a term at most: those of its rarest word.
fn least(rows: &[u64]) -> u64 {
    rows.iter().copied().min().unwrap_or(u64::MAX)
}

/// A term's rows, and its place in the question.
type Counted = (u64, usize);

/// Splits terms, rarest first, into the places of those whose rows fit a budget and the rest.
fn within(counted: &[Counted], budget: u64) -> (Vec<usize>, Vec<Counted>) {
    let mut spent = 0_u64;
    let fits = |(rows, _): &&Counted| {
        spent = spent.saturating_add(*rows);
        spent <= budget
    };
    let kept: Vec<usize> = counted.iter().take_while(fits).map(|(_, at)| *at).collect();
    let rest = counted.get(kept.len()..).unwrap_or_default().to_vec();
    (kept, rest)
}
