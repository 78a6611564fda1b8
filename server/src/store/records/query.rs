//! Lists of records: conditions on fields, one field to sort by, pages by the key of their last row.
//!
//! An entry of the index is found by field, value, the moment its record was made, and the record's id. So a list goes one
//! of five ways, each bounded by the page and not by the number of records:
//!
//! - along the values of the field sorted by, every other condition looked up for each entry;
//! - along the values that records with one value of another field have, where the kind keeps those apart: see [`within`];
//! - along the entries of a condition, when the newest (or oldest) come first: they stand in that order;
//! - to the few records that meet a condition, which are sorted here;
//! - along the values again, where a range of another field is asked for: see [`sift`](super::among).

use super::{
    Condition, FieldValue, JOINED, Record, Records,
    among::FEW,
    record_at,
    statement::{Along, Bound, Statement},
};
use crate::{
    store::{StoreError, row::RowRef},
    vocabulary::Timestamp,
};

/// The field that every entry tells of: when its record was made.
pub(super) const MADE: &str = "created_at";

/// The name of an index that has the values of `sort` of those records alone whose `field` is a word. Whoever sorts by the one
/// and filters by the other walks along it and meets nothing else, however few of all records it lists.
pub fn within(field: &str, word: &str, sort: &str) -> String {
    format!("{sort} of {field} {word}")
}

/// Where a page ended. The caller seals it before it leaves the server (catalogue.md §2.14).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct RecordCursor {
    /// The last row's value of the field sorted by.
    pub value: Vec<u8>,
    /// When the last row was made, in milliseconds.
    pub at: i64,
    /// The last row's id.
    pub id: String,
}

impl RecordCursor {
    /// The page end at a record with this value of the field sorted by.
    ///
    /// # Errors
    /// When the value has no place in an index.
    pub fn of(value: &FieldValue, made: Timestamp, id: &str) -> Result<Self, StoreError> {
        Ok(Self {
            value: value.to_bytes()?,
            at: made.as_millis(),
            id: id.to_owned(),
        })
    }
}

/// Which records, in which order.
#[derive(Clone, Debug)]
pub struct RecordQuery {
    /// All of these must hold.
    pub conditions: Vec<Condition>,
    /// The field to sort by; records without it are not listed. Equal values are sorted by the moment the records were made,
    /// then by id.
    pub sort: String,
    /// Largest first.
    pub descending: bool,
    /// Go on after this page end.
    pub after: Option<RecordCursor>,
    /// Most records on the page.
    pub limit: u32,
    /// Fields of which every record has, for each word, an index named by [`within`] that is sorted as this list is.
    pub apart: Vec<String>,
}

impl RecordQuery {
    /// The words of a condition whose records are kept apart.
    fn apart<'q>(&self, condition: &'q Condition) -> Option<(&'q str, Vec<&'q str>)> {
        let Condition::OneOf(field, values) = condition else {
            return None;
        };
        let word = |value: &'q FieldValue| match value {
            FieldValue::Text(word) => Some(word.as_str()),
            _ => None,
        };
        let words: Option<Vec<&str>> = values.iter().map(word).collect();
        self.apart.contains(field).then_some((field.as_str(), words?))
    }
}

impl Default for RecordQuery {
    /// The 20 newest.
    fn default() -> Self {
        Self {
            apart: Vec::new(),
            conditions: Vec::new(),
            sort: MADE.into(),
            descending: true,
            after: None,
            limit: 20,
        }
    }
}

/// A page of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<Record>,
    /// Where to go on; `None` at the end.
    pub next: Option<RecordCursor>,
}

impl RecordPage {
    /// A page of rows in their order, one more than were asked for if there is another page.
    pub(super) fn of(mut rows: Vec<(Record, RecordCursor)>, limit: u32) -> Self {
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|(_, cursor)| cursor.clone());
        Self {
            records: rows.into_iter().map(|(record, _)| record).collect(),
            next,
        }
    }
}

/// Which way a list goes.
enum Way<'q> {
    Values,
    Apart(&'q str, Vec<&'q str>),
    Entries(&'q str, &'q [FieldValue]),
    Few(&'q Condition),
    Sift,
}

impl Records<'_> {
    /// A page of records. It is stable: records made or changed meanwhile shift no other record from page to page.
    pub async fn list(&mut self, query: &RecordQuery) -> Result<RecordPage, StoreError> {
        if query.conditions.iter().any(Condition::is_void) {
            return Ok(RecordPage::of(Vec::new(), query.limit));
        }
        match self.way(query).await? {
            Way::Values => self.walk(query, &[Along::Values(&query.sort)]).await,
            Way::Apart(field, words) => {
                let names: Vec<String> = words
                    .iter()
                    .map(|word| within(field, word, &query.sort))
                    .collect();
                let along: Vec<_> = names.iter().map(|name| Along::Apart(field, name)).collect();
                self.walk(query, &along).await
            }
            Way::Entries(field, values) => {
                let along: Vec<_> = values.iter().map(|value| Along::Value(field, value)).collect();
                self.walk(query, &along).await
            }
            Way::Few(condition) => {
                let heads = self.heads_meeting(condition).await?;
                self.page_among(query, heads).await
            }
            Way::Sift => self.sift(query).await,
        }
    }

    async fn way<'q>(&mut self, query: &'q RecordQuery) -> Result<Way<'q>, StoreError> {
        let by_age = query.sort == MADE;
        // A range of what is walked along, or of the moments that every entry tells, says where the walk begins and ends.
        let others: Vec<&Condition> = query
            .conditions
            .iter()
            .filter(|one| {
                let walked = one.is_range() && one.field() == query.sort;
                !(walked || by_age && one.window().is_some())
            })
            .collect();
        match others.as_slice() {
            [] => return Ok(Way::Values),
            [Condition::OneOf(field, values)] if by_age => return Ok(Way::Entries(field, values)),
            [one] => {
                if let Some((field, words)) = query.apart(one) {
                    return Ok(Way::Apart(field, words));
                }
            }
            _ => {}
        }
        let counts = self.counted(&others).await?;
        // Of two that many records meet, the one with fewer values: each is a walk of its own, and one of them may be of a
        // value that goes with none of the other condition's.
        let walks = |condition: &Condition| match condition {
            Condition::OneOf(_, values) => values.len(),
            Condition::Between(..) => usize::MAX,
        };
        let rarest = counts
            .iter()
            .copied()
            .zip(&others)
            .min_by_key(|(count, one)| (*count, walks(one)));
        let ranges = others.iter().any(|one| one.is_range() && one.window().is_none());
        // Of those that are kept apart, the one that fewer records meet.
        let apart = counts
            .iter()
            .zip(&others)
            .filter_map(|(count, one)| Some((*count, query.apart(one)?)))
            .min_by_key(|(count, (_, words))| (*count, words.len()));
        Ok(match rarest {
            Some((_, Condition::OneOf(field, values))) if by_age && !ranges => Way::Entries(field, values),
            Some((count, one)) if count < i64::from(FEW) && (ranges || query.apart(one).is_none()) => {
                Way::Few(one)
            }
            _ if ranges => Way::Sift,
            _ => apart.map_or(Way::Values, |(_, (field, words))| Way::Apart(field, words)),
        })
    }

    /// How many entries meet each condition, counted up to [`FEW`].
    async fn counted(&mut self, conditions: &[&Condition]) -> Result<Vec<i64>, StoreError> {
        let mut statement = Statement::default();
        for (at, condition) in conditions.iter().enumerate() {
            statement.push(if at == 0 { "SELECT " } else { ", " });
            statement.push("(SELECT COUNT(*) FROM (SELECT 1 AS one");
            statement.entries(self.tenant, self.kind, condition.field());
            statement.meets(condition)?;
            statement.push(" LIMIT ").bind(Bound::Int(FEW.into()));
            statement.push(") AS met)");
        }
        let width = conditions.len();
        let counts = self
            .session
            .query_one(&statement.sql, &statement.params(), |row| {
                (0..width).map(|at| row.int(at)).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        Ok(counts.unwrap_or_default())
    }

    /// The entries of a page, from one or several places of the index at once.
    fn entries_of_page(
        &self,
        query: &RecordQuery,
        along: &[Along<'_>],
        limit: u32,
    ) -> Result<Statement, StoreError> {
        let mut statement = Statement::default();
        for (number, place) in along.iter().enumerate() {
            // One record may have several of the values: UNION lists it once.
            if number > 0 {
                statement.push(" UNION ");
            }
            if along.len() > 1 {
                statement.push("SELECT * FROM (");
            }
            let (what, field) = match *place {
                Along::Values(name) | Along::Apart(_, name) => ("SELECT s.at, s.id, s.value", name),
                Along::Value(field, _) => ("SELECT s.at, s.id", field),
            };
            statement.push(what).entries(self.tenant, self.kind, field);
            if let Along::Value(_, value) = *place {
                statement
                    .push(" AND s.value = ")
                    .bind(Bound::Bytes(value.to_bytes()?));
            }
            for condition in &query.conditions {
                match *place {
                    Along::Value(field, _) | Along::Apart(field, _)
                        if condition.field() == field && !condition.is_range() => {}
                    Along::Values(_) | Along::Apart(..)
                        if condition.field() == query.sort && condition.is_range() =>
                    {
                        statement.meets(condition)?;
                    }
                    _ => match condition.window() {
                        Some(window) => statement.made_within(window),
                        None if condition.is_range() => {}
                        None => statement.probe(condition)?,
                    },
                }
            }
            if let Some(cursor) = &query.after {
                statement.after(*place, cursor, query.descending);
            }
            statement.ordered(*place, query.descending, limit);
            if along.len() > 1 {
                statement.push(&format!(") AS s{number}"));
            }
        }
        if along.len() > 1 {
            let down = if query.descending { " DESC" } else { "" };
            let value = if along.iter().any(|place| place.is_by_value()) {
                format!("value{down}, ")
            } else {
                String::new()
            };
            statement
                .push(&format!(" ORDER BY {value}at{down}, id{down} LIMIT "))
                .bind(Bound::Int(limit.into()));
        }
        Ok(statement)
    }

    /// What `columns` of `r`, the records of a page, say; each with the end of a page that it would be the last of. Conditions
    /// that are ranges of other fields are left to the caller.
    pub(super) async fn rows_of_page<T>(
        &mut self,
        query: &RecordQuery,
        along: &[Along<'_>],
        limit: u32,
        columns: &str,
        mut read: impl FnMut(&RowRef<'_>, usize) -> Result<T, StoreError> + Send,
    ) -> Result<Vec<(T, RecordCursor)>, StoreError>
    where
        T: Send,
    {
        let by_value = along.iter().any(|place| place.is_by_value());
        let down = if query.descending { " DESC" } else { "" };
        let (value, order) = if by_value {
            ("page.value", format!("page.value{down}, "))
        } else {
            ("NULL", String::new())
        };
        // The entries first, then their records: nothing is read of a record that is not on the page.
        let mut statement = self.entries_of_page(query, along, limit)?;
        statement
            .sql
            .insert_str(0, &format!("SELECT page.at, page.id, {value}, {columns} FROM ("));
        statement.records_of_page(self.session.is_postgres(), self.tenant, self.kind);
        statement.push(&format!(" ORDER BY {order}page.at{down}, page.id{down}"));
        self.session
            .query(&statement.sql, &statement.params(), |row| {
                let at = row.int(0)?;
                let cursor = RecordCursor {
                    value: if by_value {
                        row.blob(2)?
                    } else {
                        FieldValue::Int(at).to_bytes()?
                    },
                    at,
                    id: row.text(1)?,
                };
                Ok((read(row, 3)?, cursor))
            })
            .await
    }

    async fn walk(&mut self, query: &RecordQuery, along: &[Along<'_>]) -> Result<RecordPage, StoreError> {
        // One more than asked for tells whether there is a next page.
        let limit = query.limit.saturating_add(1);
        let rows = self.rows_of_page(query, along, limit, JOINED, record_at).await?;
        Ok(RecordPage::of(rows, query.limit))
    }

    /// How many records meet the conditions, counted up to `most`.
    pub async fn count(&mut self, conditions: &[Condition], most: u32) -> Result<i64, StoreError> {
        if conditions.iter().any(Condition::is_void) {
            return Ok(0);
        }
        let all: Vec<&Condition> = conditions.iter().collect();
        let rarest = match all.as_slice() {
            [] => None,
            [one] => Some(*one),
            _ => {
                // A range cannot be looked up for each entry of another field, so it leads.
                let counts = self.counted(&all).await?;
                let led = all
                    .iter()
                    .zip(counts)
                    .min_by_key(|(one, count)| (!one.is_range(), *count));
                led.map(|(one, _)| *one)
            }
        };
        let mut statement = Statement::default();
        statement.push("SELECT COUNT(*) FROM (SELECT DISTINCT s.id");
        statement.entries(self.tenant, self.kind, rarest.map_or(MADE, Condition::field));
        if let Some(rarest) = rarest {
            statement.meets(rarest)?;
        }
        for condition in all.into_iter().filter(|one| Some(*one) != rarest) {
            match condition.window() {
                Some(window) => statement.made_within(window),
                None => statement.probe(condition)?,
            }
        }
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
