//! Index entries of SQLite that wait for the end of their group of transactions.
//!
//! A full-text table writes what it has gathered at every savepoint, and merges what it wrote. A group of writers, each
//! within a savepoint of its own, would pay for that once a writer; so their entries are put into the index together,
//! before the group commits. Whatever reads the index within a transaction has them put in first.

use super::Shelf;
use crate::{
    store::{Session, StoreError, row::params},
    vocabulary::TenantId,
};

/// Bytes of text that may wait. A sync brings megabytes in one transaction.
const MOST_WAITING: usize = 2 << 20;

/// A row that enters an index, or leaves it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) tenant: TenantId,
    pub(super) shelf: Shelf,
    pub(super) row_id: i64,
    /// Whether it may be in the index already.
    pub(super) known: bool,
    /// Title, text and tag; `None` for a row that leaves.
    pub(super) words: Option<(String, String, String)>,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.words
            .as_ref()
            .map_or(0, |(title, body, tag)| title.len() + body.len() + tag.len())
    }
}

/// What waits, in the order in which it came.
#[derive(Debug, Default)]
pub(crate) struct Later {
    entries: Vec<Entry>,
    /// How many of them are in the index already, within a savepoint that may yet be undone.
    put: usize,
    /// How many are of earlier pieces of work.
    earlier: usize,
    bytes: usize,
}

impl Later {
    /// A piece of work begins.
    pub(crate) fn begin(&mut self) {
        self.earlier = self.entries.len();
        self.put = 0;
    }

    /// It ended. What it put into the index stays there if it is kept, and is to be put there again if it is not.
    pub(crate) fn end(&mut self, keep: bool) {
        if keep {
            self.entries.drain(..self.put);
        } else {
            self.entries.truncate(self.earlier);
        }
        self.put = 0;
        self.bytes = self.entries.iter().map(Entry::bytes).sum();
    }

    /// Forgets everything: the group is over.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Session {
    /// Notes an entry, to be put into its index before the group ends.
    pub(super) async fn index_later(&mut self, entry: Entry) -> Result<(), StoreError> {
        self.later.bytes += entry.bytes();
        self.later.entries.push(entry);
        if self.later.bytes > MOST_WAITING {
            self.index_now().await?;
        }
        Ok(())
    }

    /// Puts what waits into its index.
    pub(crate) async fn index_now(&mut self) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut self.later.entries);
        let done = self
            .index(entries.get(self.later.put..).unwrap_or_default())
            .await;
        // Those of earlier pieces are kept in case that this one is undone; its own are then not wanted any more.
        self.later.entries = entries;
        self.later.entries.truncate(self.later.earlier);
        self.later.put = self.later.entries.len();
        self.later.bytes = 0;
        done
    }

    async fn index(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        // Those of one group are nearly always of one table.
        let same = |one: &Entry, next: &Entry| one.tenant == next.tenant && one.shelf == next.shelf;
        for entries in entries.chunk_by(same) {
            let Some(first) = entries.first() else { continue };
            let brings_words = entries.iter().any(|entry| entry.words.is_some());
            let table = match brings_words {
                true => self.make_shelf_table(&first.tenant, first.shelf).await?,
                false => match self.shelf_table(&first.tenant, first.shelf).await? {
                    Some(table) => table,
                    None => continue,
                },
            };
            for entry in entries {
                self.index_in(&table, entry).await?;
            }
        }
        Ok(())
    }

    async fn index_in(&mut self, table: &str, entry: &Entry) -> Result<(), StoreError> {
        let Some((title, body, tag)) = &entry.words else {
            let take = format!("DELETE FROM {table} WHERE rowid = $1");
            return self.execute(&take, params![entry.row_id]).await.map(|_| ());
        };
        let or_replace = if entry.known { " OR REPLACE" } else { "" };
        let put =
            format!("INSERT{or_replace} INTO {table} (rowid, title, body, tag) VALUES ($1, $2, $3, $4)");
        self.execute(&put, params![entry.row_id, title, body, tag])
            .await
            .map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(earlier: i64, own: i64) -> Later {
        let mut later = Later::default();
        let entry = |row_id| Entry {
            tenant: TenantId::new("acme").unwrap(),
            shelf: Shelf::Memory,
            row_id,
            known: false,
            words: None,
        };
        later.entries.extend((0..earlier).map(entry));
        later.begin();
        later.entries.extend((earlier..earlier + own).map(entry));
        later
    }

    fn waiting(later: &Later) -> Vec<i64> {
        later.entries.iter().map(|entry| entry.row_id).collect()
    }

    #[test]
    fn undone_work_takes_its_own_entries_along_and_no_others() {
        let mut undone = later(2, 3);
        undone.end(false);
        assert_eq!(waiting(&undone), [0, 1]);
        let mut kept = later(2, 3);
        kept.end(true);
        assert_eq!(waiting(&kept), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn entries_that_were_put_within_undone_work_wait_again() {
        for (keep, expected) in [(true, &[7][..]), (false, &[0, 1][..])] {
            let mut put = later(2, 0);
            put.put = 2;
            put.entries.push(Entry {
                tenant: TenantId::new("acme").unwrap(),
                shelf: Shelf::Memory,
                row_id: 7,
                known: true,
                words: None,
            });
            put.end(keep);
            assert_eq!(waiting(&put), expected, "{keep}");
        }
    }
}
