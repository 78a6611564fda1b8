//! Full text: which rows hold the words asked for, best first, at a bounded cost.
//!
//! Words come in folded (lower case, without marks, split as the caller indexes them); row numbers and ranks
//! go out. Every tenant has indexes of its own in SQLite, so neither ranks nor timings mix tenants;
//! PostgreSQL keeps one index in which each row and each question carries a lexeme of its tenant.
//!
//! Ranking costs some 0.5 µs for each row that matches, so a word in 100 000 rows would cost 50 ms and say
//! nothing. [`Ranking::Auto`] therefore takes words from the rarest on while a budget lasts; the frequent
//! rest only helps to rank. When every word is frequent, the newest rows that hold all of them are ranked.

mod dialect;
mod eras;
mod fts5;
mod later;
mod lexemes;
mod words;

pub(crate) use eras::RecordWords;
pub(crate) use later::Later;

use dialect::FTS5;
use later::Entry;

use super::{Session, StoreError, row::params};
use crate::vocabulary::TenantId;

/// Rows that [`Ranking::Auto`] may rank for one question.
const RANKED_ROWS: u64 = 5_000;
/// Rows that words which only help, or are all frequent, may stand in together: bm25 walks through the rows of each of
/// its words once to count them, at some 20 ns a row.
const COUNTED_ROWS: u64 = 150_000;
/// Rows ranked when every word is frequent.
const NEWEST_ROWS: u32 = 1_000;
/// Records of each kind that are ranked where a kind is large: enough for some pages, and few enough to be read in a millisecond
/// or two.
const NEWEST_PER_KIND: u32 = 200;
/// bm25 ranks so many rows in two milliseconds, and counts the rows of so many words and kinds in half of one. Past either, the
/// newest records of each kind are ranked, by where they hold the words.
const RANKED_RECORDS: u64 = 500;
const COUNTED_RECORDS: u64 = 10_000;
/// SQLite has an index of words by so many first letters. Past that it would put together, for each question, what all words that
/// begin so stand in.
const INDEXED_LETTERS: usize = 4;
/// Words by which the beginning of one is replaced at most: more than that are rare ones, mostly.
const MOST_BEGUN: usize = 48;
/// A word that is asked for costs as much as the rows of a beginning that are gathered: some 70 µs and 70 ns each.
const WORD_COSTS: u64 = 1_000;
/// A word in at least so many rows is taken as it is, even where it may go on: to gather all that begin with it costs some
/// 50 ns a row.
const OPEN_ROWS: u64 = 1_000;
/// PostgreSQL knows no cheap count of a word's rows: it ranks the first so many it finds.
const POSTGRES_ROWS: i64 = 5_000;
/// Longest text indexed of one row, in bytes. PostgreSQL refuses more than 1 MiB of lexemes.
const MOST_BYTES: usize = 256 << 10;
/// Most terms of one question.
const MOST_TERMS: usize = 64;

/// Whether one of the terms is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matching {
    /// A row with any of them.
    #[default]
    Any,
    /// Only rows with all of them.
    All,
}

/// Which of the matching rows are ranked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranking {
    /// The store bounds the cost by itself.
    #[default]
    Auto,
    /// All: the caller knows that they are few.
    All,
    /// The newest so many: there may be any number.
    Newest(u32),
}

/// A question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextQuery {
    /// What rows must hold: words, or phrases of several words in sequence.
    pub terms: Vec<Vec<String>>,
    /// Any or all of the terms.
    pub matching: Matching,
    /// Terms that raise the rank of a row that matches.
    pub helpers: Vec<Vec<String>>,
    /// The last word of the last term may go on: what a person is still typing.
    pub prefix_last: bool,
    /// Which rows are ranked.
    pub ranking: Ranking,
}

impl TextQuery {
    /// Rows with any of these words.
    pub fn any_of<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Self {
        let terms = words
            .into_iter()
            .map(|word| vec![word.as_ref().to_owned()])
            .collect();
        Self {
            terms,
            ..Self::default()
        }
    }

    /// Whether the last word of a term may go on.
    fn is_open(&self, term: usize) -> bool {
        self.prefix_last && term + 1 == self.terms.len()
    }

    /// The same without characters that an engine could take for more than letters.
    fn cleaned(&self) -> Self {
        let terms = |terms: &[Vec<String>]| {
            terms
                .iter()
                .map(|term| clean(term))
                .filter(|term| !term.is_empty())
                .take(MOST_TERMS)
                .collect()
        };
        Self {
            terms: terms(&self.terms),
            helpers: terms(&self.helpers),
            ..self.clone()
        }
    }
}

/// A row that matches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextHit {
    /// The row's number: of a chunk, a memory or a record.
    pub row_id: i64,
    /// How well it matches: higher is better. Comparable within one answer only.
    pub rank: f64,
}

/// What is indexed apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shelf {
    Chunks,
    Memory,
    Records,
}

impl Shelf {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Chunks => "chunks",
            Self::Memory => "memory",
            Self::Records => "records",
        }
    }

    /// The bit in `tenants.shelves` that says the SQLite table exists.
    fn bit(self) -> i64 {
        match self {
            Self::Chunks => 1,
            Self::Memory => 2,
            Self::Records => 4,
        }
    }
}

/// A term as an expression of letters and digits, so that nothing asked can be an operator.
fn clean(term: &[String]) -> Vec<String> {
    let kept = |word: &String| word.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    term.iter().map(kept).filter(|word| !word.is_empty()).collect()
}

/// A tag as one word, whatever characters are in it. It begins with a character of the private use area, which
/// is part of words to both engines and is in no word asked for: `clean` leaves letters and digits. So columns
/// need not be told apart, which halves the cost of a word that stands everywhere.
fn tag_word(tag: &str) -> String {
    format!("\u{E000}{}", super::chain::hex(tag.as_bytes()))
}

/// A term as it stands in the titles of records alone. SQLite's index has their words once more beside the tag: whether a word of
/// a row stands in a certain column it tells only by a walk over all rows that hold the word.
fn titled(term: &[String]) -> Vec<String> {
    term.iter().map(|word| titled_word(word)).collect()
}

/// A word with its first letter moved to a plane of private use. So it is as long as it was, and its beginning in the index of
/// beginnings wherever that of the word is. Letters of other planes than the first, which few words begin with, share a place.
fn titled_word(word: &str) -> String {
    let mut letters = word.chars();
    let moved = |first: char| char::from_u32(0xF_0000 | (u32::from(first) & 0xFFFF));
    let first = letters.next().and_then(moved);
    first.into_iter().chain(letters).collect()
}

pub(crate) fn cut(text: &str) -> &str {
    let mut end = text.len().min(MOST_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

impl Session {
    /// The full-text table of a tenant, with everything in it that this transaction and those before it brought. `None`:
    /// there is none, and nothing was indexed yet.
    async fn whole_shelf(&mut self, tenant: &TenantId, shelf: Shelf) -> Result<Option<String>, StoreError> {
        self.index_now().await?;
        self.shelf_table(tenant, shelf).await
    }

    /// The full-text table of a tenant, if there is one.
    async fn shelf_table(&mut self, tenant: &TenantId, shelf: Shelf) -> Result<Option<String>, StoreError> {
        let (number, shelves) = self.shelves(tenant).await?;
        Ok((shelves & shelf.bit() != 0).then(|| format!("fts_{}_{number}", shelf.as_str())))
    }

    async fn shelves(&mut self, tenant: &TenantId) -> Result<(i64, i64), StoreError> {
        const SHELVES: &str = "SELECT number, shelves FROM tenants WHERE tenant_id = $1";
        let found = self
            .query_one(SHELVES, params![tenant.as_str()], |row| {
                Ok((row.int(0)?, row.int(1)?))
            })
            .await?;
        found.ok_or_else(|| StoreError::Invalid {
            what: format!("there is no tenant `{tenant}`"),
        })
    }

    async fn make_shelf_table(&mut self, tenant: &TenantId, shelf: Shelf) -> Result<String, StoreError> {
        if let Some(table) = self.shelf_table(tenant, shelf).await? {
            return Ok(table);
        }
        // Invariant: the name is made of a fixed word and a number the database gave, never of text.
        let (number, shelves) = self.shelves(tenant).await?;
        let table = format!("fts_{}_{number}", shelf.as_str());
        // Without content: rows hold their text already. The tag is a word of its own, with no weight. Words of one
        // transaction are gathered up to 16 MB before they are written: a sync's commits are large.
        // Words that are being typed are asked for in records alone; the first letters have an index of their own.
        // What lists words one after the other lists them without reading their rows, what counts them reads all.
        let (begun, words) = if shelf == Shelf::Records {
            (", prefix='2 3 4'", "instance")
        } else {
            ("", "row")
        };
        self.batch(&format!(
            "CREATE VIRTUAL TABLE {table} USING fts5(title, body, tag, content='', contentless_delete=1,
                tokenize='unicode61 remove_diacritics 2'{begun});
             INSERT INTO {table} ({table}, rank) VALUES ('hashsize', 16777216);
             CREATE VIRTUAL TABLE {table}_words USING fts5vocab('{table}', '{words}')"
        ))
        .await?;
        const MARK: &str = "UPDATE tenants SET shelves = $1 WHERE tenant_id = $2";
        self.execute(MARK, params![shelves | shelf.bit(), tenant.as_str()])
            .await?;
        Ok(table)
    }

    /// Indexes a row anew. `fresh`: it was not indexed before.
    pub(crate) async fn index_text(
        &mut self,
        tenant: &TenantId,
        shelf: Shelf,
        row_id: i64,
        (title, body, tag): (&str, &str, &str),
        fresh: bool,
    ) -> Result<(), StoreError> {
        let (title, body) = (cut(title), cut(body));
        if self.is_postgres() {
            const AGAIN: &str =
                "ON CONFLICT (tenant_id, shelf, row_id) DO UPDATE SET lexemes = excluded.lexemes";
            let done = if shelf == Shelf::Records {
                // A row that is known stays in its era.
                let sql = format!(
                    "INSERT INTO texts (tenant_id, row_id, shelf, lexemes, era) VALUES ($1, $2, $3, {}) {AGAIN}",
                    RecordWords::columns(3, "$2")
                );
                let words = RecordWords::of(tag, title, body);
                let [place, title, text] = words.params();
                self.execute(&sql, &[tenant.as_str().into(), row_id.into(), place, title, text])
                    .await
            } else {
                let sql = format!(
                    "INSERT INTO texts (tenant_id, shelf, row_id, lexemes)
                     VALUES ($1, $2, $3, {} || array_to_tsvector(ARRAY[$6, $7])) {AGAIN}",
                    eras::lexemes(4, 5)
                );
                let place = place(shelf, tag);
                let (home, tag) = (home(tenant, &place), tag_word(tag));
                let params = params![tenant.as_str(), &place, row_id, title, body, &home, &tag];
                self.execute(&sql, params).await
            };
            return done.map(|_| ());
        }
        let mut tag = tag_word(tag);
        if shelf == Shelf::Records {
            let words: Vec<String> = title.split_whitespace().map(str::to_owned).collect();
            tag = format!("{tag} {}", titled(&words).join(" "));
        }
        self.index_later(Entry {
            tenant: tenant.clone(),
            shelf,
            row_id,
            known: !fresh,
            words: Some((title.to_owned(), body.to_owned(), tag)),
        })
        .await
    }

    /// Takes a row out of its index.
    pub(crate) async fn forget_text(
        &mut self,
        tenant: &TenantId,
        shelf: Shelf,
        row_id: i64,
        tag: &str,
    ) -> Result<(), StoreError> {
        if self.is_postgres() {
            const FORGET: &str = "DELETE FROM texts WHERE tenant_id = $1 AND shelf = $2 AND row_id = $3";
            return self
                .execute(FORGET, params![tenant.as_str(), &place(shelf, tag), row_id])
                .await
                .map(|_| ());
        }
        self.index_later(Entry {
            tenant: tenant.clone(),
            shelf,
            row_id,
            known: true,
            words: None,
        })
        .await
    }

    /// Rows that match, best first; with tags, only those that have one of them.
    pub(crate) async fn find_text(
        &mut self,
        tenant: &TenantId,
        shelf: Shelf,
        query: &TextQuery,
        tags: &[&str],
        limit: u32,
    ) -> Result<Vec<TextHit>, StoreError> {
        let query = query.cleaned();
        if query.terms.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        if self.is_postgres() {
            if shelf == Shelf::Records {
                return self.find_in_places(tenant, &query, tags, limit).await;
            }
            return self.find_lexemes(tenant, shelf, &query, tags, limit).await;
        }
        let Some(table) = self.whole_shelf(tenant, shelf).await? else {
            return Ok(Vec::new());
        };
        let query = self.closed(&table, query)?;
        let rows = self.rows_of_words(&table, &query)?;
        if shelf == Shelf::Records && self.is_wide(&table, &query, &rows, tags)? {
            return self.find_newest(&table, &query, &rows, tags, limit).await;
        }
        let steps = match query.ranking {
            Ranking::Auto => Self::affordable(query, &rows),
            Ranking::All | Ranking::Newest(_) => vec![query],
        };
        let mut hits: Vec<TextHit> = Vec::new();
        for step in steps {
            let found = self.find_fts5(&table, &step, tags, limit).await?;
            append(&mut hits, found);
            if hits.len() >= limit as usize {
                break;
            }
        }
        hits.truncate(limit as usize);
        Ok(hits)
    }

    /// The newest records of some kinds that match, so many of each, whatever their rank, newest first.
    pub(super) async fn newest_text(
        &mut self,
        tenant: &TenantId,
        query: &TextQuery,
        wanted: &[(&str, u32)],
    ) -> Result<Vec<Vec<i64>>, StoreError> {
        let query = query.cleaned();
        if query.terms.is_empty() {
            return Ok(vec![Vec::new(); wanted.len()]);
        }
        if self.is_postgres() {
            return self.newest_of_places(tenant, &query, wanted).await;
        }
        let Some(table) = self.whole_shelf(tenant, Shelf::Records).await? else {
            return Ok(vec![Vec::new(); wanted.len()]);
        };
        let query = self.closed(&table, query)?;
        let whole = self.whole(&table, &query)?;
        let sql = format!("SELECT rowid FROM {table} WHERE {table} MATCH $1 ORDER BY rowid DESC LIMIT $2");
        let mut newest = Vec::with_capacity(wanted.len());
        for &(kind, most) in wanted {
            let expression = format!("{whole} AND {}", FTS5.any_tag(&[kind]));
            let params = params![&expression, most];
            newest.push(self.query(&sql, params, |row| row.int(0)).await?);
        }
        Ok(newest)
    }
}

/// The best so many, of equal ones the newer.
fn best(mut hits: Vec<TextHit>, limit: u32) -> Vec<TextHit> {
    hits.sort_by(|a, b| b.rank.total_cmp(&a.rank).then(b.row_id.cmp(&a.row_id)));
    hits.truncate(limit as usize);
    hits
}

/// Adds the hits of a later step, which never rank above those of an earlier one.
fn append(hits: &mut Vec<TextHit>, later: Vec<TextHit>) {
    let seen: std::collections::HashSet<i64> = hits.iter().map(|hit| hit.row_id).collect();
    let most = hits.last().map_or(f64::INFINITY, |hit| hit.rank);
    let new = later.into_iter().filter(|hit| !seen.contains(&hit.row_id));
    hits.extend(new.map(|hit| TextHit {
        rank: hit.rank.min(most),
        ..hit
    }));
}

/// Where PostgreSQL keeps a row's words: records of one kind stand together, in the order of their numbers.
fn place(shelf: Shelf, tag: &str) -> String {
    match shelf {
        Shelf::Records => format!("{}/{tag}", shelf.as_str()),
        Shelf::Chunks | Shelf::Memory => shelf.as_str().to_owned(),
    }
}

/// The lexeme that every row of a tenant's place carries. A slug needs no quoting inside quotes, nor does a kind.
fn home(tenant: &TenantId, place: &str) -> String {
    format!("in/{tenant}/{place}")
}

#[cfg(test)]
mod tests {
    use super::{dialect::TSQUERY, *};

    fn query(terms: &[&[&str]], matching: Matching) -> TextQuery {
        let terms = terms
            .iter()
            .map(|term| term.iter().map(|&word| word.to_owned()).collect())
            .collect();
        TextQuery {
            terms,
            matching,
            ..TextQuery::default()
        }
    }

    #[test]
    fn questions_become_expressions_of_both_dialects() {
        let mut asked = query(&[&["meeting"], &["road", "map"]], Matching::Any);
        assert_eq!(FTS5.whole(&asked), r#"(("meeting") OR ("road" + "map"))"#);
        assert_eq!(
            TSQUERY.terms(&asked.terms, Matching::All, true),
            "(('meeting') & ('road' <-> 'map':*))"
        );
        asked = query(&[&["rare"]], Matching::Any);
        asked.helpers = vec![vec!["the".into()]];
        assert_eq!(
            FTS5.whole(&asked),
            r#"((("rare")) AND ((("rare")) OR (("the"))))"#
        );
    }

    #[test]
    fn nothing_asked_becomes_an_operator() {
        for hostile in [r#"a" OR b"#, "x' | 'y", "NEAR(a, b)", "title:a", "a*", r"\'"] {
            let words = clean(&[hostile.to_owned()]);
            assert!(
                words.iter().all(|word| word.chars().all(char::is_alphanumeric)),
                "{hostile}: {words:?}"
            );
        }
        assert!(clean(&["'".into(), " ".into()]).is_empty());
    }

    #[test]
    fn a_word_of_a_title_is_as_long_and_no_other_word() {
        assert_eq!(titled_word("gain"), "\u{F0067}ain");
        assert_ne!(titled_word("gain"), titled_word("main"));
        assert_eq!(titled_word("ü"), "\u{F00FC}");
        assert_eq!(titled_word(""), "");
        let last = titled_word("\u{FFFF}a");
        assert_eq!(last.chars().count(), 2);
        assert!(titled_word("\u{2A6D6}").chars().all(|c| !c.is_alphanumeric()));
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = "é".repeat(MOST_BYTES);
        assert!(cut(&text).len() <= MOST_BYTES && cut(&text).chars().all(|c| c == 'é'));
    }
}
