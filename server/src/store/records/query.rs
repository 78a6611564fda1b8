//! Lists of records: conditions on fields, one field to sort by, pages by the key of their last row.

use super::{Field, FieldValue, JOINED, Record, Records, record};
use crate::store::{StoreError, row::Param};

/// What a field of a listed record must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// One of these values; a field with several values needs one of them.
    OneOf(String, Vec<FieldValue>),
    /// Within a range of one kind of value: from this on, and before that.
    Between(String, Option<FieldValue>, Option<FieldValue>),
}

impl Condition {
    /// The field has this value.
    pub fn is(field: &str, value: impl Into<FieldValue>) -> Self {
        Self::OneOf(field.to_owned(), vec![value.into()])
    }

    /// Whether a value of the field is what is asked for.
    fn holds(&self, value: &[u8]) -> Result<bool, StoreError> {
        match self {
            Self::OneOf(_, values) => {
                for wanted in values {
                    if wanted.to_bytes()? == value {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Between(_, from, to) => {
                let bounds = bounds(from.as_ref(), to.as_ref())?;
                Ok(bounds.is_none_or(|(from, to)| *from <= *value && *value < *to))
            }
        }
    }
}

/// Where a page ended. The caller seals it before it leaves the server (catalogue.md §2.14).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RecordCursor {
    /// The last row's value of the field sorted by.
    pub value: Vec<u8>,
    /// The last row's id.
    pub id: String,
}

impl RecordCursor {
    /// The page end at a record with this value of the field sorted by.
    ///
    /// # Errors
    /// When the value has no place in an index.
    pub fn at(value: &FieldValue, id: &str) -> Result<Self, StoreError> {
        Ok(Self {
            value: value.to_bytes()?,
            id: id.to_owned(),
        })
    }
}

/// Which records, in which order.
#[derive(Clone, Debug)]
pub struct RecordQuery {
    /// All of these must hold.
    pub conditions: Vec<Condition>,
    /// The field to sort by; records without it are not listed. Equal values are sorted by id.
    pub sort: String,
    /// Largest first.
    pub descending: bool,
    /// Go on after this page end.
    pub after: Option<RecordCursor>,
    /// Most records on the page.
    pub limit: u32,
}

impl Default for RecordQuery {
    /// The 20 newest.
    fn default() -> Self {
        Self {
            conditions: Vec::new(),
            sort: "created_at".into(),
            descending: true,
            after: None,
            limit: 20,
        }
    }
}

impl RecordQuery {
    /// The value that a record with these fields is sorted by, as a cursor has it. `None`: it is not in this list.
    ///
    /// # Errors
    /// When a value is too long for an index.
    pub fn sort_value(&self, record: &Record, fields: &[Field]) -> Result<Option<Vec<u8>>, StoreError> {
        let entries = super::change::entries_of(fields, record.created_at, record.updated_at)?;
        for condition in &self.conditions {
            let (Condition::OneOf(field, _) | Condition::Between(field, ..)) = condition;
            let mut holds = false;
            for entry in entries.iter().filter(|entry| entry.name == *field) {
                holds |= condition.holds(&entry.value)?;
            }
            if !holds {
                return Ok(None);
            }
        }
        let sorted = entries.into_iter().find(|entry| entry.name == self.sort);
        Ok(sorted.map(|entry| entry.value))
    }
}

/// A page of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<Record>,
    /// Where to go on; `None` at the end.
    pub next: Option<RecordCursor>,
}

/// From where to where, in bytes.
type Range = (Vec<u8>, Vec<u8>);

/// From where to where a range goes; `None` when it has no end.
fn bounds(from: Option<&FieldValue>, to: Option<&FieldValue>) -> Result<Option<Range>, StoreError> {
    let Some(kind) = from.or(to) else { return Ok(None) };
    let (low, high) = kind.kind_bounds();
    let from = from.map_or(Ok(low.to_vec()), FieldValue::to_bytes)?;
    let to = to.map_or(Ok(high.to_vec()), FieldValue::to_bytes)?;
    Ok(Some((from, to)))
}

/// A bound value that the statement owns.
pub(super) enum Bound {
    Text(String),
    Bytes(Vec<u8>),
    Int(i64),
}

/// A statement in the making. Values are numbered in the order in which they are mentioned.
pub(super) struct Statement {
    pub(super) sql: String,
    bound: Vec<Bound>,
}

impl Statement {
    pub(super) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    pub(super) fn bind(&mut self, value: Bound) -> &mut Self {
        self.bound.push(value);
        let slot = format!("${}", self.bound.len());
        self.push(&slot)
    }

    /// `sort` is the field that the rows are walked by.
    fn conditions(&mut self, conditions: &[Condition], sort: &str) -> Result<(), StoreError> {
        for condition in conditions {
            let (Condition::OneOf(field, _) | Condition::Between(field, ..)) = condition;
            // A range of the field walked by says where the walk begins and ends.
            if let Condition::Between(_, from, to) = condition
                && field == sort
            {
                if let Some((from, to)) = bounds(from.as_ref(), to.as_ref())? {
                    self.push(" AND s.value >= ").bind(Bound::Bytes(from));
                    self.push(" AND s.value < ").bind(Bound::Bytes(to));
                }
                continue;
            }
            self.push(
                " AND EXISTS (SELECT 1 FROM record_fields AS f
                   WHERE f.tenant_id = s.tenant_id AND f.kind = s.kind AND f.id = s.id AND f.field = ",
            );
            self.bind(Bound::Text(field.clone()));
            match condition {
                Condition::OneOf(_, values) => {
                    // No value is acceptable: nothing is listed.
                    self.push(if values.is_empty() {
                        " AND f.value IN (NULL"
                    } else {
                        " AND f.value IN ("
                    });
                    for (at, value) in values.iter().enumerate() {
                        self.push(if at == 0 { "" } else { ", " })
                            .bind(Bound::Bytes(value.to_bytes()?));
                    }
                    self.push("))");
                }
                Condition::Between(_, from, to) => {
                    let Some((from, to)) = bounds(from.as_ref(), to.as_ref())? else {
                        self.push(")");
                        continue;
                    };
                    self.push(" AND f.value >= ").bind(Bound::Bytes(from));
                    self.push(" AND f.value < ").bind(Bound::Bytes(to));
                    self.push(")");
                }
            }
        }
        Ok(())
    }

    pub(super) fn params(&self) -> Vec<Param<'_>> {
        let param = |bound| match bound {
            &Bound::Int(value) => Param::Int(value),
            Bound::Text(text) => Param::Text(text),
            Bound::Bytes(bytes) => Param::Blob(bytes),
        };
        self.bound.iter().map(param).collect()
    }
}

impl Records<'_> {
    pub(super) fn select(&self, what: &str, sort: &str) -> Statement {
        let mut statement = Statement {
            sql: what.to_owned(),
            bound: Vec::new(),
        };
        statement
            .push(" WHERE s.tenant_id = ")
            .bind(Bound::Text(self.tenant.to_string()));
        statement
            .push(" AND s.kind = ")
            .bind(Bound::Text(self.kind.to_owned()));
        statement
            .push(" AND s.field = ")
            .bind(Bound::Text(sort.to_owned()));
        statement
    }

    /// A page of records. It is stable: records made or changed meanwhile shift no other record from page to page.
    pub async fn list(&mut self, query: &RecordQuery) -> Result<RecordPage, StoreError> {
        let what = format!(
            "SELECT {JOINED}, s.value FROM record_fields AS s
             JOIN records AS r ON r.tenant_id = s.tenant_id AND r.kind = s.kind AND r.id = s.id"
        );
        let mut statement = self.select(&what, &query.sort);
        let (side, order) = if query.descending {
            ("<", " DESC")
        } else {
            (">", "")
        };
        if let Some(after) = &query.after {
            statement
                .push(&format!(" AND (s.value, s.id) {side} ("))
                .bind(Bound::Bytes(after.value.clone()));
            statement.push(", ").bind(Bound::Text(after.id.clone())).push(")");
        }
        statement.conditions(&query.conditions, &query.sort)?;
        // One more than asked for tells whether there is a next page.
        statement.push(&format!(" ORDER BY s.value{order}, s.id{order} LIMIT "));
        statement.bind(Bound::Int(i64::from(query.limit) + 1));
        let mut rows = self
            .session
            .query(&statement.sql, &statement.params(), |row| {
                Ok((record(row)?, row.blob(7)?))
            })
            .await?;
        let more = rows.len() > query.limit as usize;
        rows.truncate(query.limit as usize);
        let next = match rows.last() {
            Some((last, value)) if more => Some(RecordCursor {
                value: value.clone(),
                id: last.id.clone(),
            }),
            _ => None,
        };
        Ok(RecordPage {
            records: rows.into_iter().map(|(record, _)| record).collect(),
            next,
        })
    }

    /// How many records meet the conditions, counted up to `most`.
    pub async fn count(&mut self, conditions: &[Condition], most: u32) -> Result<i64, StoreError> {
        let mut statement = self.select(
            "SELECT COUNT(*) FROM (SELECT 1 AS one FROM record_fields AS s",
            "created_at",
        );
        statement.conditions(conditions, "created_at")?;
        statement
            .push(" LIMIT ")
            .bind(Bound::Int(most.into()))
            .push(") AS counted");
        let count = self
            .session
            .query_one(&statement.sql, &statement.params(), |row| row.int(0))
            .await?;
        Ok(count.unwrap_or(0))
    }
}
