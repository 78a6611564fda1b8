//! Statements over the entries of the index, put together from what a list asks for.

use super::{Condition, FieldValue, RecordCursor, condition::bounds};
use crate::{
    store::{Session, StoreError, row::Param},
    vocabulary::TenantId,
};

/// A bound value that the statement owns.
pub(super) enum Bound {
    Text(String),
    Bytes(Vec<u8>),
    Int(i64),
}

/// A statement in the making. Values are numbered in the order in which they are mentioned.
#[derive(Default)]
pub(super) struct Statement {
    pub(super) sql: String,
    bound: Vec<Bound>,
}

/// What a row of the index is walked along by.
#[derive(Clone, Copy)]
pub(super) enum Along<'a> {
    /// A field's values, in their order.
    Values(&'a str),
    /// The records that have one value of a field, in the order of their making.
    Value(&'a str, &'a FieldValue),
    /// Values of the field sorted by, of the records with one word of a field: that field, and the name of the index.
    Apart(&'a str, &'a str),
}

impl Along<'_> {
    /// Whether it goes in the order of values, and not only of moments.
    pub(super) fn is_by_value(self) -> bool {
        !matches!(self, Along::Value(..))
    }
}

/// OFFSET keeps PostgreSQL from making a join of it, which would read all entries before the first row comes.
const SAME_RECORD: &str = " AND f.at = s.at AND f.id = s.id LIMIT 1 OFFSET 0)";

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

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bind(Bound::Text(text.to_owned()))
    }

    /// A column is one of these numbers.
    pub(super) fn among(&mut self, session: &Session, column: &str, numbers: &[i64]) -> &mut Self {
        self.bound.push(Bound::Text(session.numbers(numbers)));
        let among = session.is_among(column, self.bound.len());
        self.push(&among)
    }

    pub(super) fn params(&self) -> Vec<Param<'_>> {
        let param = |bound| match bound {
            &Bound::Int(value) => Param::Int(value),
            Bound::Text(text) => Param::Text(text),
            Bound::Bytes(bytes) => Param::Blob(bytes),
        };
        self.bound.iter().map(param).collect()
    }

    /// `s.` names entries of this field.
    pub(super) fn entries(&mut self, tenant: &TenantId, kind: &str, field: &str) -> &mut Self {
        self.push(" FROM record_fields AS s WHERE s.tenant_id = ")
            .text(tenant.as_str());
        self.push(" AND s.kind = ").text(kind);
        self.push(" AND s.field = ").text(field)
    }

    /// The entries that meet a condition on the field that is walked along.
    pub(super) fn meets(&mut self, condition: &Condition) -> Result<(), StoreError> {
        match condition {
            Condition::OneOf(_, values) => self.one_of("s", values),
            Condition::Between(_, from, to) => self.between("s", from.as_ref(), to.as_ref()),
        }
    }

    fn one_of(&mut self, entry: &str, values: &[FieldValue]) -> Result<(), StoreError> {
        self.push(&format!(" AND {entry}.value IN ("));
        for (at, value) in values.iter().enumerate() {
            self.push(if at == 0 { "" } else { ", " })
                .bind(Bound::Bytes(value.to_bytes()?));
        }
        // No value is acceptable: nothing is listed.
        self.push(if values.is_empty() { "NULL)" } else { ")" });
        Ok(())
    }

    fn between(
        &mut self,
        entry: &str,
        from: Option<&FieldValue>,
        to: Option<&FieldValue>,
    ) -> Result<(), StoreError> {
        if let Some((from, to)) = bounds(from, to)? {
            self.push(&format!(" AND {entry}.value >= "))
                .bind(Bound::Bytes(from));
            self.push(&format!(" AND {entry}.value < "))
                .bind(Bound::Bytes(to));
        }
        Ok(())
    }

    /// Made within a window.
    pub(super) fn made_within(&mut self, (from, to): (Option<i64>, Option<i64>)) {
        for (side, moment) in [(">=", from), ("<", to)] {
            if let Some(moment) = moment {
                self.push(&format!(" AND s.at {side} ")).bind(Bound::Int(moment));
            }
        }
    }

    /// The record of the entry has another one that meets a condition. An entry is found by its value, the moment its record
    /// was made and the record's id; a range of values cannot be, so each of its entries is looked at.
    pub(super) fn probe(&mut self, condition: &Condition) -> Result<(), StoreError> {
        match condition {
            Condition::OneOf(field, values) => {
                // Each value by itself: a list of values leaves PostgreSQL free to read all entries of the field.
                self.push(" AND (");
                for (at, value) in values.iter().enumerate() {
                    self.push(if at == 0 { "" } else { " OR " });
                    self.other_entry(field);
                    self.push(" AND f.value = ").bind(Bound::Bytes(value.to_bytes()?));
                    self.push(SAME_RECORD);
                }
                self.push(")");
            }
            Condition::Between(field, from, to) => {
                self.push(" AND ");
                self.other_entry(field);
                self.between("f", from.as_ref(), to.as_ref())?;
                self.push(SAME_RECORD);
            }
        }
        Ok(())
    }

    fn other_entry(&mut self, field: &str) {
        self.push(
            "EXISTS (SELECT 1 FROM record_fields AS f WHERE f.tenant_id = s.tenant_id AND f.kind = s.kind AND f.field = ",
        );
        self.text(field);
    }

    /// The records of the page, one look-up for each of its entries and nothing else: PostgreSQL might read the whole table
    /// to join it, where it takes the page for longer than it is.
    pub(super) fn records_of_page(&mut self, postgres: bool, tenant: &TenantId, kind: &str) {
        self.push(if postgres {
            ") AS page JOIN LATERAL (SELECT * FROM records AS one WHERE one.tenant_id = "
        } else {
            ") AS page JOIN records AS r ON r.tenant_id = "
        });
        self.text(tenant.as_str());
        self.push(if postgres {
            " AND one.kind = "
        } else {
            " AND r.kind = "
        })
        .text(kind);
        self.push(if postgres {
            " AND one.id = page.id OFFSET 0) AS r ON TRUE"
        } else {
            " AND r.id = page.id"
        });
    }

    /// Goes on after a page end.
    pub(super) fn after(&mut self, along: Along<'_>, cursor: &RecordCursor, descending: bool) {
        let side = if descending { "<" } else { ">" };
        match along {
            Along::Values(_) | Along::Apart(..) => {
                self.push(&format!(" AND (s.value, s.at, s.id) {side} ("))
                    .bind(Bound::Bytes(cursor.value.clone()))
                    .push(", ");
            }
            Along::Value(..) => {
                self.push(&format!(" AND (s.at, s.id) {side} ("));
            }
        }
        self.bind(Bound::Int(cursor.at))
            .push(", ")
            .text(&cursor.id)
            .push(")");
    }

    /// In the order of the walk, at most so many.
    pub(super) fn ordered(&mut self, along: Along<'_>, descending: bool, limit: u32) {
        let down = if descending { " DESC" } else { "" };
        let value = match along {
            Along::Values(_) | Along::Apart(..) => format!("s.value{down}, "),
            Along::Value(..) => String::new(),
        };
        self.push(&format!(" ORDER BY {value}s.at{down}, s.id{down} LIMIT "))
            .bind(Bound::Int(limit.into()));
    }
}
