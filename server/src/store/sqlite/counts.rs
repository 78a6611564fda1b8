//! How many rows of a full-text table hold a word: what steers how a question is asked.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::SqliteConnection;
use crate::store::{
    StoreError,
    row::{RowRef, params},
};

/// A word in at least so many rows is remembered as frequent; counting rarer ones costs next to nothing.
const FREQUENT: u64 = 1_000;
/// How long a frequent word's count is used.
const COUNT_LASTS: Duration = Duration::from_secs(300);
/// Most counts remembered; then all are forgotten.
const MOST_COUNTS: usize = 4_096;

/// The counts of frequent words, which all connections share. Counting one costs milliseconds, and an old number is good enough:
/// none of them decides what is found.
#[derive(Debug, Default)]
pub(super) struct WordCounts {
    tables: Mutex<HashMap<String, Known>>,
}

/// What is known of a table.
#[derive(Debug, Default)]
struct Known {
    words: BTreeMap<String, Count>,
    beginnings: HashMap<String, Count>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    rows: u64,
    counted: Instant,
}

impl Count {
    fn fresh(self) -> Option<u64> {
        (self.counted.elapsed() < COUNT_LASTS).then_some(self.rows)
    }
}

impl WordCounts {
    fn of_word(&self, table: &str, word: &str) -> Option<u64> {
        self.tables.lock().get(table)?.words.get(word)?.fresh()
    }

    fn of_beginning(&self, table: &str, letters: &str) -> Option<u64> {
        self.tables.lock().get(table)?.beginnings.get(letters)?.fresh()
    }

    /// The frequent words that begin so, in order.
    fn beginning(&self, table: &str, letters: &str) -> Vec<(String, u64)> {
        let tables = self.tables.lock();
        let Some(known) = tables.get(table) else {
            return Vec::new();
        };
        let words = known.words.range(letters.to_owned()..);
        words
            .take_while(|(word, _)| word.starts_with(letters))
            .filter_map(|(word, count)| Some((word.clone(), count.fresh()?)))
            .collect()
    }

    fn remember(&self, table: &str, rows: u64, note: impl FnOnce(&mut Known, Count)) {
        if rows < FREQUENT {
            return;
        }
        let mut tables = self.tables.lock();
        let remembered: usize = tables
            .values()
            .map(|known| known.words.len() + known.beginnings.len())
            .sum();
        if remembered >= MOST_COUNTS {
            tables.clear();
        }
        let count = Count {
            rows,
            counted: Instant::now(),
        };
        note(tables.entry(table.to_owned()).or_default(), count);
    }

    fn remember_word(&self, table: &str, word: &str, rows: u64) {
        self.remember(table, rows, |known, count| {
            known.words.insert(word.to_owned(), count);
        });
    }
}

impl SqliteConnection {
    /// About how many rows of a full-text table hold a word.
    pub(crate) fn rows_with(&self, table: &str, word: &str) -> Result<u64, StoreError> {
        if let Some(rows) = self.counts.of_word(table, word) {
            return Ok(rows);
        }
        let sql = format!("SELECT doc FROM {table}_words WHERE term = $1");
        let rows = self
            .query(&sql, params![word], |row| row.int(0))?
            .first()
            .map_or(0, |rows| rows.unsigned_abs());
        self.counts.remember_word(table, word, rows);
        Ok(rows)
    }

    /// About how many rows of a full-text table hold a word that begins so, counted up to `most`.
    pub(crate) fn rows_beginning(&self, table: &str, letters: &str, most: u64) -> Result<u64, StoreError> {
        if let Some(rows) = self.counts.of_beginning(table, letters) {
            return Ok(rows);
        }
        let mut rows = 0;
        self.each_word(table, (letters, &behind_all(letters)), |_, of_word| {
            rows += of_word;
            rows < most
        })?;
        self.counts.remember(table, rows, |known, count| {
            known.beginnings.insert(letters.to_owned(), count);
        });
        Ok(rows)
    }

    /// The words of a full-text table that begin so, and about how many rows hold one; `None` if there are more than `most`.
    ///
    /// No word is missing, however new. To read a word is to count its rows, so the frequent ones that are remembered are passed
    /// over.
    pub(crate) fn words_beginning(
        &self,
        table: &str,
        letters: &str,
        most: usize,
    ) -> Result<Option<(Vec<String>, u64)>, StoreError> {
        let (mut words, mut rows) = (Vec::new(), 0_u64);
        let mut from = letters.to_owned();
        let known = self.counts.beginning(table, letters);
        for frequent in known.into_iter().map(Some).chain([None]) {
            let to = frequent
                .as_ref()
                .map_or_else(|| behind_all(letters), |(word, _)| ahead_of(word));
            self.each_word(table, (&from, &to), |word, of_word| {
                self.counts.remember_word(table, word, of_word);
                words.push(word.to_owned());
                rows = rows.saturating_add(of_word);
                words.len() <= most
            })?;
            if let Some((word, of_word)) = frequent {
                from = format!("{word}\u{1}");
                words.push(word);
                rows = rows.saturating_add(of_word);
            }
            if words.len() > most {
                return Ok(None);
            }
        }
        Ok(Some((words, rows)))
    }

    /// Shows `each` the words from one to another, both included, with their rows, until it has seen enough.
    fn each_word(
        &self,
        table: &str,
        (from, to): (&str, &str),
        mut each: impl FnMut(&str, u64) -> bool,
    ) -> Result<(), StoreError> {
        let sql = format!("SELECT term, doc FROM {table}_words WHERE term >= $1 AND term <= $2");
        let mut statement = self.prepare(&sql, params![from, to])?;
        let mut found = statement.raw_query();
        while let Some(row) = found.next()? {
            let row = RowRef::Sqlite(row);
            if !each(&row.text(0)?, row.int(1)?.unsigned_abs()) {
                break;
            }
        }
        Ok(())
    }
}

/// What is behind all words that begin so.
fn behind_all(letters: &str) -> String {
    format!("{letters}{}", char::MAX)
}

/// What is behind all words ahead of one, and ahead of that one.
fn ahead_of(word: &str) -> String {
    let mut letters = word.to_owned();
    let last = letters.pop().and_then(|last| (char::MIN..last).next_back());
    last.map_or(letters.clone(), |last| behind_all(&format!("{letters}{last}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_leave_out_the_word_itself_and_nothing_else() {
        let to = ahead_of("area51");
        for before in ["area", "area5", "area50", "area5012", "area50\u{ffff}"] {
            assert!(before <= to.as_str(), "{before}");
        }
        for behind in ["area51", "area512", "area6", "b"] {
            assert!(behind > to.as_str(), "{behind}");
        }
        assert!("area99" < behind_all("area").as_str());
        assert!("areb" > behind_all("area").as_str());
        // The character before this one is on the other side of the surrogates.
        assert!(ahead_of("\u{e000}").as_str() > "\u{d7ff}");
    }
}
