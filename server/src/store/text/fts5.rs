//! Questions to SQLite's full-text tables, and what they may cost.

use std::collections::HashMap;

use super::{
    COUNTED_RECORDS, COUNTED_ROWS, INDEXED_LETTERS, MOST_BEGUN, Matching, NEWEST_PER_KIND, NEWEST_ROWS,
    OPEN_ROWS, RANKED_RECORDS, RANKED_ROWS, Ranking, TextHit, TextQuery, WORD_COSTS, best, dialect::FTS5,
    tag_word, titled,
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
    pub(super) fn closed(&self, table: &str, mut query: TextQuery) -> Result<TextQuery, StoreError> {
        if let Engine::Sqlite(connection) = &self.engine
            && query.prefix_last
            && let Some(word) = query.terms.last().and_then(|term| term.last())
        {
            query.prefix_last = connection.rows_with(table, word)? < OPEN_ROWS;
        }
        Ok(query)
    }

    /// About how many rows hold each word of each term of a question. The open end of the last word stands for all that begin so.
    pub(super) fn rows_of_words(&self, table: &str, query: &TextQuery) -> Result<Vec<Vec<u64>>, StoreError> {
        let Engine::Sqlite(connection) = &self.engine else {
            return Ok(Vec::new());
        };
        let count = |(at, term): (usize, &Vec<String>)| {
            let count = |(place, word): (usize, &String)| {
                if !query.is_open(at) || place + 1 < term.len() {
                    return connection.rows_with(table, word);
                }
                if word.chars().count() <= INDEXED_LETTERS {
                    return connection.rows_beginning(table, word);
                }
                // Words of which there are many are taken to stand in many rows.
                let begun = connection.words_beginning(table, word, MOST_BEGUN)?;
                begun.map_or(Ok(RANKED_ROWS), |words| rows_in_all(connection, table, &words))
            };
            term.iter().enumerate().map(count).collect()
        };
        query.terms.iter().enumerate().map(count).collect()
    }

    /// Whether a question to records would have bm25 rank or count too many rows.
    pub(super) fn is_wide(
        &self,
        table: &str,
        query: &TextQuery,
        rows: &[Vec<u64>],
        tags: &[&str],
    ) -> Result<bool, StoreError> {
        let Engine::Sqlite(connection) = &self.engine else {
            return Ok(false);
        };
        if query.matching != Matching::All || query.ranking != Ranking::Auto || !query.helpers.is_empty() {
            return Ok(false);
        }
        let (mut counted, mut least) = (0_u64, u64::MAX);
        for tag in tags {
            counted = counted.saturating_add(connection.rows_with(table, &tag_word(tag))?);
        }
        for rows in rows.iter().flatten() {
            counted = counted.saturating_add(*rows);
            least = least.min(*rows);
        }
        Ok(counted > COUNTED_RECORDS || least > RANKED_RECORDS)
    }

    /// The newest records of each kind that hold all that is asked for. A rare word weighs more than a frequent one, and a word in
    /// the title as much as five in the text.
    pub(super) async fn find_newest(
        &mut self,
        table: &str,
        query: &TextQuery,
        rows: &[Vec<u64>],
        tags: &[&str],
        limit: u32,
    ) -> Result<Vec<TextHit>, StoreError> {
        let terms = self.expressions(table, query)?;
        let titled = TextQuery {
            terms: query.terms.iter().map(|term| titled(term)).collect(),
            ..query.clone()
        };
        let titles = self.expressions(table, &titled)?;
        // A row with a term in its title has the term.
        let in_title = |(at, title): (usize, Expression)| {
            let mut texts: Vec<&str> = terms.iter().map(|term| term.text.as_str()).collect();
            texts.get_mut(at).into_iter().for_each(|text| *text = &title.text);
            Expression {
                text: FTS5.joined(&texts, Matching::All),
                ..title
            }
        };
        let titled: Vec<Expression> = titles.into_iter().enumerate().map(in_title).collect();
        let texts: Vec<&str> = terms.iter().map(|term| term.text.as_str()).collect();
        let all = FTS5.joined(&texts, Matching::All);
        let weights: Vec<f64> = rows.iter().map(|rows| weight(least(rows))).collect();
        let base: f64 = weights.iter().sum();
        // Few rows are found for all kinds at once.
        let rarest = rows.iter().map(|rows| least(rows)).min().unwrap_or(0);
        let most = NEWEST_PER_KIND.saturating_mul(u32::try_from(tags.len()).unwrap_or(u32::MAX));
        let are_few = rarest < u64::from(most);
        let (at_once, most) = if are_few {
            (tags.len(), most)
        } else {
            (1, NEWEST_PER_KIND)
        };
        let sql = format!("SELECT rowid FROM {table} WHERE {table} MATCH $1 ORDER BY rowid DESC LIMIT $2");
        let mut hits: HashMap<i64, f64> = HashMap::new();
        for tags in tags.chunks(at_once.max(1)) {
            let of_kind = FTS5.any_tag(tags);
            let rows = self
                .query(&sql, params![&format!("{all} AND {of_kind}"), most], |row| {
                    row.int(0)
                })
                .await?;
            let mut ranks: HashMap<i64, f64> = rows.into_iter().map(|row_id| (row_id, base)).collect();
            // Nobody comes before the only one.
            let alone = usize::from(are_few);
            let titled = titled.iter().zip(&weights).filter(|_| ranks.len() > alone);
            let mut raised = Vec::new();
            for (titled, weight) in titled.filter(|(titled, _)| !titled.is_gathered) {
                // Tags keep the newest of one kind together; where there are few, a look at those of all costs less.
                let expression = if are_few {
                    titled.text.clone()
                } else {
                    format!("{} AND {of_kind}", titled.text)
                };
                let rows = self
                    .query(&sql, params![&expression, most], |row| row.int(0))
                    .await?;
                raised.extend(rows.into_iter().map(|row_id| (row_id, weight)));
            }
            raise(&mut ranks, raised);
            hits.extend(ranks);
        }
        // What is gathered anew for each question is gathered once for all kinds.
        let oldest = hits.keys().min().copied().unwrap_or(i64::MAX);
        let since = format!(
            "SELECT rowid FROM {table} WHERE {table} MATCH $1 AND rowid >= $2 ORDER BY rowid DESC LIMIT {RANKED_ROWS}"
        );
        let titled = titled.iter().zip(&weights).filter(|_| hits.len() > 1);
        let mut raised = Vec::new();
        for (titled, weight) in titled.filter(|(titled, _)| titled.is_gathered) {
            let rows = self
                .query(&since, params![&titled.text, oldest], |row| row.int(0))
                .await?;
            raised.extend(rows.into_iter().map(|row_id| (row_id, weight)));
        }
        raise(&mut hits, raised);
        let hits = hits.into_iter().map(|(row_id, rank)| TextHit { row_id, rank });
        Ok(best(hits.collect(), limit))
    }

    /// What rows must hold that match.
    pub(super) fn whole(&self, table: &str, query: &TextQuery) -> Result<String, StoreError> {
        let terms = self.expressions(table, query)?;
        let texts: Vec<&str> = terms.iter().map(|term| term.text.as_str()).collect();
        Ok(FTS5.joined(&texts, query.matching))
    }

    /// The terms of a question. A word that may go on stands for what the engine has an index of, or for the words that begin so
    /// where those are few and frequent: rows that hold one of some words are met from the newest back, while of a beginning all
    /// rows are gathered first.
    fn expressions(&self, table: &str, query: &TextQuery) -> Result<Vec<Expression>, StoreError> {
        let express = |(at, term): (usize, &Vec<String>)| {
            let is_open = query.is_open(at);
            let whole = |is_gathered| Expression {
                text: FTS5.terms(std::slice::from_ref(term), Matching::All, is_open),
                is_gathered,
            };
            let ([letters], Engine::Sqlite(connection)) = (term.as_slice(), &self.engine) else {
                return Ok(whole(is_open));
            };
            if !is_open || letters.chars().count() <= INDEXED_LETTERS {
                return Ok(whole(false));
            }
            if let Some(words) = connection.words_beginning(table, letters, MOST_BEGUN)?
                && rows_in_all(connection, table, &words)? > WORD_COSTS * words.len() as u64
            {
                let words: Vec<Vec<String>> = words.into_iter().map(|word| vec![word]).collect();
                return Ok(Expression {
                    text: FTS5.terms(&words, Matching::Any, false),
                    is_gathered: false,
                });
            }
            Ok(whole(true))
        };
        query.terms.iter().enumerate().map(express).collect()
    }

    /// Turns a question into steps of bounded cost; a later step is taken when the earlier ones gave too little.
    pub(super) fn affordable(query: TextQuery, rows: &[Vec<u64>]) -> Vec<TextQuery> {
        // The open end of the last word may stand for any number of words.
        let open = if query.prefix_last {
            query.terms.len() - 1
        } else {
            usize::MAX
        };
        let mut counted: Vec<Counted> = rows
            .iter()
            .enumerate()
            .map(|(at, rows)| (least(rows), at))
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
            return vec![TextQuery {
                ranking: Ranking::All,
                ..query
            }];
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
            return steps;
        }
        let mut places = rare;
        places.sort_unstable();
        let (helping, _) = within(&frequent, COUNTED_ROWS);
        let mut helpers = query.helpers.clone();
        helpers.extend(pick(&helping));
        vec![TextQuery {
            terms: pick(&places),
            helpers,
            prefix_last: places.last() == Some(&open),
            ranking: Ranking::All,
            matching: Matching::Any,
        }]
    }
}

/// About how many rows hold each of some words, added up.
fn rows_in_all(connection: &SqliteConnection, table: &str, words: &[String]) -> Result<u64, StoreError> {
    words.iter().try_fold(0_u64, |sum, word| {
        Ok(sum.saturating_add(connection.rows_with(table, word)?))
    })
}

/// A term of a question.
struct Expression {
    text: String,
    /// The engine has no index of what it begins with, and puts the rows of all such words together before it shows the first.
    is_gathered: bool,
}

/// Adds four times its weight to the rank of each row that was found: a word in the title counts as much as five in the text.
fn raise(ranks: &mut HashMap<i64, f64>, raised: Vec<(i64, &f64)>) {
    for (row_id, weight) in raised {
        if let Some(rank) = ranks.get_mut(&row_id) {
            *rank += 4.0 * weight;
        }
    }
}

/// What a term adds to a rank: less, the more rows hold it.
fn weight(rows: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a weight")]
    let rows = rows as f64;
    1.0 / (2.0 + rows).ln()
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
