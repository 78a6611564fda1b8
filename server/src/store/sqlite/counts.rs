//! About how many rows of a full-text table hold a word: what steers how a question is asked.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::SqliteConnection;
use crate::store::{
    StoreError,
    row::{RowRef, params},
};

/// Rows of a word that are counted one by one, from the newest back. Past that, the word is taken to be as frequent in all older
/// rows as in these: to walk a million rows takes 17 ms, and so many 0.1.
const COUNTED: u64 = 1_000;
/// How long a frequent word's count is used.
const COUNT_LASTS: Duration = Duration::from_secs(300);
/// Most counts remembered; then all are forgotten.
const MOST_COUNTS: usize = 4_096;

/// The counts of frequent words, which all connections share. An old number is good enough: none of them decides what is found.
#[derive(Debug, Default)]
pub(super) struct WordCounts {
    /// By table and expression.
    counts: Mutex<HashMap<(String, String), Count>>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    rows: u64,
    counted: Instant,
}

impl WordCounts {
    fn of(&self, asked: &(String, String)) -> Option<u64> {
        let count = *self.counts.lock().get(asked)?;
        (count.counted.elapsed() < COUNT_LASTS).then_some(count.rows)
    }

    fn remember(&self, asked: (String, String), rows: u64) {
        let mut counts = self.counts.lock();
        if counts.len() >= MOST_COUNTS {
            counts.clear();
        }
        let counted = Instant::now();
        counts.insert(asked, Count { rows, counted });
    }
}

impl SqliteConnection {
    /// About how many rows of a full-text table hold a word: as many as there are up to [`COUNTED`].
    pub(crate) fn rows_with(&self, table: &str, word: &str) -> Result<u64, StoreError> {
        self.rows_of(table, format!("\"{word}\""))
    }

    /// About how many rows of a full-text table hold a word that begins so. It takes an index of words by so many letters: without
    /// one, the engine puts all the rows together first.
    pub(crate) fn rows_beginning(&self, table: &str, letters: &str) -> Result<u64, StoreError> {
        self.rows_of(table, format!("\"{letters}\" *"))
    }

    fn rows_of(&self, table: &str, expression: String) -> Result<u64, StoreError> {
        let asked = (table.to_owned(), expression);
        if let Some(rows) = self.counts.of(&asked) {
            return Ok(rows);
        }
        let sql = format!(
            "SELECT count(*), COALESCE(max(rowid), 0), COALESCE(min(rowid), 0), (SELECT COALESCE(min(id), 0) FROM {table}_docsize)
             FROM (SELECT rowid FROM {table} WHERE {table} MATCH $1 ORDER BY rowid DESC LIMIT {COUNTED})"
        );
        let counted = self.query(&sql, params![&asked.1], |row| {
            let number = |at| Ok::<_, StoreError>(row.int(at)?.unsigned_abs());
            Ok((number(0)?, number(1)?, number(2)?, number(3)?))
        })?;
        let &[(counted, newest, oldest, first)] = counted.as_slice() else {
            return Ok(0);
        };
        if counted < COUNTED {
            return Ok(counted);
        }
        let rows = in_all(counted, (oldest, newest), first);
        self.counts.remember(asked, rows);
        Ok(rows)
    }

    /// The words of a full-text table that begin so; `None` if there are more than `most`. The rows of none are read.
    pub(crate) fn words_beginning(
        &self,
        table: &str,
        letters: &str,
        most: usize,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let sql =
            format!("SELECT term FROM {table}_words WHERE term >= $1 AND term <= $2 ORDER BY term LIMIT 1");
        let behind_all = format!("{letters}{}", char::MAX);
        let (mut words, mut from) = (Vec::new(), letters.to_owned());
        let mut statement = self.prepare(&sql, params![&from, &behind_all])?;
        while words.len() <= most {
            let mut found = statement.raw_query();
            let Some(row) = found.next()? else {
                return Ok(Some(words));
            };
            let word = RowRef::Sqlite(row).text(0)?;
            drop(found);
            from = format!("{word}\u{1}");
            statement.raw_bind_parameter(1, &from)?;
            words.push(word);
        }
        Ok(None)
    }
}

/// The rows of a word of which the newest so many stand between two numbers, in a table whose first row has a number.
fn in_all(counted: u64, (oldest, newest): (u64, u64), first: u64) -> u64 {
    let seen = u128::from(newest.saturating_sub(oldest)) + 1;
    let all = u128::from(newest.saturating_sub(first)) + 1;
    u64::try_from(u128::from(counted) * all.max(seen) / seen).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::in_all;

    #[test]
    fn a_frequent_word_is_as_frequent_in_older_rows() {
        // In each third row of numbers 1 001 to 31 000.
        assert_eq!(in_all(1_000, (28_003, 31_000), 1_001), 10_006);
        // In these rows alone.
        assert_eq!(in_all(1_000, (1, 1_000), 1), 1_000);
        // Numbers that a broken table could hold.
        assert_eq!(in_all(1_000, (5, 5), 9), 1_000);
        assert_eq!(in_all(1_000, (u64::MAX, u64::MAX), 0), u64::MAX);
    }
}
