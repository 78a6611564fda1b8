//! Records that are few enough to be judged and sorted here. They come as heads: their index entries, without documents.

use super::{
    COLUMNS, Condition, FieldValue, Record, RecordCursor, RecordPage, RecordQuery, Records, UnreadEntry,
    query::MADE,
    record,
    statement::{Along, Statement},
};
use crate::store::{
    StoreError,
    memory::in_order,
    row::{RowRef, params, to_json},
};

/// Records up to this many are sorted here. More that meet a condition are at least a hundredth of 100 000, so that the walk
/// along an index meets one of them soon.
pub(super) const FEW: u32 = 1_000;
/// Heads looked at at once where a range of another field is asked for.
const SIFTED_AT_ONCE: u32 = 500;

/// Records that others name: those in `field` of the documents of these rows of another kind.
#[derive(Clone, Debug)]
pub struct NamedBy<'r> {
    /// The kind of the others.
    pub kind: &'r str,
    /// The field that holds an id.
    pub field: &'r str,
    /// Which others.
    pub row_ids: &'r [i64],
}

/// What a record is found by.
pub(super) struct Head {
    row_id: i64,
    at: i64,
    id: String,
    entries: Vec<UnreadEntry>,
}

const HEAD: &str = "r.row_id, r.created_at, r.id, r.fields";
/// The same where nobody asks for more than the moment, which is there without the entries: to read those is most of the work.
const BARE_HEAD: &str = "r.row_id, r.created_at, r.id, '[]'";

fn head(row: &RowRef<'_>, from: usize) -> Result<Head, StoreError> {
    Ok(Head {
        row_id: row.int(from)?,
        at: row.int(from + 1)?,
        id: row.text(from + 2)?,
        entries: row.json(from + 3)?,
    })
}

impl Head {
    fn meets(&self, condition: &Condition) -> Result<bool, StoreError> {
        for entry in self
            .entries
            .iter()
            .filter(|entry| entry.name == condition.field())
        {
            if condition.holds(&entry.value()?)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Its place in a list; `None`: it is not in it.
    fn place(&self, query: &RecordQuery) -> Result<Option<RecordCursor>, StoreError> {
        for condition in &query.conditions {
            let is_met = match condition.window() {
                Some((from, to)) => {
                    from.is_none_or(|from| from <= self.at) && to.is_none_or(|to| self.at < to)
                }
                None => self.meets(condition)?,
            };
            if !is_met {
                return Ok(None);
            }
        }
        if query.sort == MADE {
            return Ok(Some(RecordCursor {
                value: FieldValue::Int(self.at).to_bytes()?,
                at: self.at,
                id: self.id.clone(),
            }));
        }
        let Some(sorted) = self.entries.iter().find(|entry| entry.name == query.sort) else {
            return Ok(None);
        };
        Ok(Some(RecordCursor {
            value: sorted.value()?,
            at: self.at,
            id: self.id.clone(),
        }))
    }
}

impl Records<'_> {
    /// A page of what a list would have of these rows, and of the records that others name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_among(
        &mut self,
        query: &RecordQuery,
        row_ids: &[i64],
        named: &[NamedBy<'_>],
    ) -> Result<RecordPage, StoreError> {
        let bare = query.sort == MADE && query.conditions.iter().all(|one| one.window().is_some());
        let columns = if bare { BARE_HEAD } else { HEAD };
        let mut heads = self.heads_of(row_ids, columns).await?;
        for named in named {
            heads.extend(self.heads_named_by(named, columns).await?);
        }
        heads.sort_unstable_by_key(|head| head.row_id);
        heads.dedup_by_key(|head| head.row_id);
        self.page_among(query, heads).await
    }

    async fn heads_of(&mut self, row_ids: &[i64], columns: &str) -> Result<Vec<Head>, StoreError> {
        let sql = format!(
            "SELECT {columns} FROM records AS r{} WHERE r.tenant_id = $1 AND r.kind = $2 AND r.deleted_at IS NULL
             AND {}",
            self.session.by_row_number(),
            self.session.is_among("r.row_id", 3)
        );
        let numbers = self.session.numbers(row_ids);
        let params = params![self.tenant.as_str(), self.kind, &numbers];
        self.session.query(&sql, params, |row| head(row, 0)).await
    }

    async fn heads_named_by(&mut self, named: &NamedBy<'_>, columns: &str) -> Result<Vec<Head>, StoreError> {
        if named.row_ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut statement = Statement::default();
        statement.push(&format!(
            "SELECT {columns} FROM (SELECT DISTINCT {} AS id FROM records AS other{} WHERE other.tenant_id = ",
            self.session.json_text("other.doc", named.field),
            self.session.by_row_number(),
        ));
        statement
            .text(self.tenant.as_str())
            .push(" AND other.kind = ")
            .text(named.kind)
            .push(" AND other.deleted_at IS NULL AND ")
            .among(self.session, "other.row_id", named.row_ids);
        statement.records_of_page(self.session.is_postgres(), self.tenant, self.kind);
        statement.push(" WHERE r.deleted_at IS NULL");
        self.session
            .query(&statement.sql, &statement.params(), |row| head(row, 0))
            .await
    }

    /// Which of these rows meet conditions, in the order given, without a look into their documents.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn meeting(
        &mut self,
        conditions: &[Condition],
        row_ids: &[i64],
    ) -> Result<Vec<i64>, StoreError> {
        let mut met = Vec::new();
        for head in self.heads_of(row_ids, HEAD).await? {
            let mut all = true;
            for condition in conditions {
                all = all && head.meets(condition)?;
            }
            if all {
                met.push(head.row_id);
            }
        }
        Ok(in_order(row_ids, met, |row_id| *row_id))
    }

    /// The heads of all records that meet a condition.
    pub(super) async fn heads_meeting(&mut self, condition: &Condition) -> Result<Vec<Head>, StoreError> {
        let mut statement = Statement::default();
        statement.push(&format!("SELECT {HEAD} FROM (SELECT DISTINCT s.id"));
        statement.entries(self.tenant, self.kind, condition.field());
        statement.meets(condition)?;
        let postgres = self.session.is_postgres();
        statement.records_of_page(postgres, self.tenant, self.kind);
        self.session
            .query(&statement.sql, &statement.params(), |row| head(row, 0))
            .await
    }

    /// The page of a list whose records are among these.
    pub(super) async fn page_among(
        &mut self,
        query: &RecordQuery,
        heads: Vec<Head>,
    ) -> Result<RecordPage, StoreError> {
        let mut listed = Vec::with_capacity(heads.len());
        for head in heads {
            if let Some(cursor) = head.place(query)? {
                listed.push((head.row_id, cursor));
            }
        }
        listed.sort_by(|(_, one), (_, other)| one.cmp(other));
        if query.descending {
            listed.reverse();
        }
        if let Some(after) = &query.after {
            listed.retain(|(_, here)| {
                if query.descending {
                    here < after
                } else {
                    here > after
                }
            });
        }
        listed.truncate(query.limit as usize + 1);
        self.with_documents(query, listed).await
    }

    /// A page where ranges are asked for of fields that are not walked along: they are judged here, batch after batch.
    pub(super) async fn sift(&mut self, query: &RecordQuery) -> Result<RecordPage, StoreError> {
        let along = [Along::Values(&query.sort)];
        let mut step = query.clone();
        let mut listed = Vec::new();
        loop {
            let rows = self
                .rows_of_page(&step, &along, SIFTED_AT_ONCE, HEAD, head)
                .await?;
            let last = rows.len() < SIFTED_AT_ONCE as usize;
            step.after = rows.last().map(|(_, cursor)| cursor.clone());
            for (head, cursor) in rows {
                if head.place(query)?.is_some() {
                    listed.push((head.row_id, cursor));
                }
            }
            if last || listed.len() > query.limit as usize {
                break;
            }
        }
        listed.truncate(query.limit as usize + 1);
        self.with_documents(query, listed).await
    }

    async fn with_documents(
        &mut self,
        query: &RecordQuery,
        listed: Vec<(i64, RecordCursor)>,
    ) -> Result<RecordPage, StoreError> {
        let numbers: Vec<i64> = listed.iter().map(|(row_id, _)| *row_id).collect();
        let records = self.find_rows(&numbers).await?;
        let mut cursors: std::collections::HashMap<i64, RecordCursor> = listed.into_iter().collect();
        let rows = records
            .into_iter()
            .filter_map(|record| cursors.remove(&record.row_id).map(|cursor| (record, cursor)))
            .collect();
        Ok(RecordPage::of(rows, query.limit))
    }

    /// Records by their ids, in no particular order; deleted ones are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_all(&mut self, ids: &[String]) -> Result<Vec<Record>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM records WHERE tenant_id = $1 AND kind = $2 AND deleted_at IS NULL AND {}",
            self.session.is_one_of("id", 3)
        );
        let listed = to_json(&ids)?;
        let params = params![self.tenant.as_str(), self.kind, &listed];
        self.session.query(&sql, params, record).await
    }

    /// Which of these ids are taken, by deleted records too.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn taken(&mut self, ids: &[String]) -> Result<Vec<String>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT id FROM records WHERE tenant_id = $1 AND kind = $2 AND {}",
            self.session.is_one_of("id", 3)
        );
        let listed = to_json(&ids)?;
        let params = params![self.tenant.as_str(), self.kind, &listed];
        self.session.query(&sql, params, |row| row.text(0)).await
    }

    /// Records by their row numbers, in the order of the numbers given; deleted ones are left out.
    pub async fn find_rows(&mut self, row_ids: &[i64]) -> Result<Vec<Record>, StoreError> {
        if row_ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM records{} WHERE tenant_id = $1 AND kind = $2 AND deleted_at IS NULL
             AND {}",
            self.session.by_row_number(),
            self.session.is_among("row_id", 3)
        );
        let numbers = self.session.numbers(row_ids);
        let params = params![self.tenant.as_str(), self.kind, &numbers];
        let found = self.session.query(&sql, params, record).await?;
        Ok(in_order(row_ids, found, |record| record.row_id))
    }
}
