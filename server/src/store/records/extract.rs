//! A few values of many records, for figures: found by an indexed field, taken out of the documents by the engine.

use super::{
    FieldValue, Records,
    statement::{Bound, Statement},
};
use crate::{store::StoreError, vocabulary::Timestamp};

/// Which records, and what of them.
#[derive(Clone, Debug)]
pub struct Extract<'a> {
    /// The indexed field that finds them.
    pub field: &'a str,
    /// Only those with one of these values; empty: all in the range.
    pub one_of: Vec<FieldValue>,
    /// From this value on.
    pub from: Option<FieldValue>,
    /// And before this one.
    pub to: Option<FieldValue>,
    /// What is taken out of their documents: paths as `status` or `sla.resolution.state`.
    pub paths: &'a [&'a str],
    /// Most records.
    pub most: u32,
}

/// What was taken out of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// Identity.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The values as text, in the order of the paths: numbers in digits, truth as `true` and `false`, lists and objects as
    /// JSON. `None` where there is nothing or `null`.
    pub values: Vec<Option<String>>,
}

impl Records<'_> {
    /// Takes values out of records, at most [`Extract::most`] of them, in no particular order. Deleted ones have no index
    /// entries, so they are not found.
    pub async fn extract(&mut self, wanted: &Extract<'_>) -> Result<Vec<Extracted>, StoreError> {
        let (postgres, mut what) = (self.session.is_postgres(), "SELECT r.id, r.created_at".to_owned());
        for path in wanted.paths {
            // Paths are ours, but a statement holds no text that was not checked.
            if !path
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.".contains(&b))
            {
                return Err(StoreError::Invalid {
                    what: format!("`{path}` is no path"),
                });
            }
            if postgres {
                let names = path.replace('.', ",");
                what.push_str(&format!(", (r.doc::jsonb #>> '{{{names}}}')"));
            } else {
                // `json_extract` would give truth as a number.
                what.push_str(&format!(
                    ", CASE json_type(r.doc, '$.{path}') WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'
                       ELSE CAST(json_extract(r.doc, '$.{path}') AS TEXT) END"
                ));
            }
        }
        let mut statement = Statement::default();
        statement.push(&what).push(
            " FROM record_fields AS s JOIN records AS r ON r.tenant_id = s.tenant_id AND r.kind = s.kind AND r.id = s.id
              WHERE s.tenant_id = ",
        );
        statement
            .text(self.tenant.as_str())
            .push(" AND s.kind = ")
            .text(self.kind);
        statement.push(" AND s.field = ").text(wanted.field);
        let mut values = wanted.one_of.iter();
        if let Some(first) = values.next() {
            statement
                .push(" AND s.value IN (")
                .bind(Bound::Bytes(first.to_bytes()?));
            for value in values {
                statement.push(", ").bind(Bound::Bytes(value.to_bytes()?));
            }
            statement.push(")");
        }
        within(&mut statement, ">=", wanted.from.as_ref())?;
        within(&mut statement, "<", wanted.to.as_ref())?;
        statement.push(" LIMIT ").bind(Bound::Int(wanted.most.into()));
        let count = wanted.paths.len();
        self.session
            .query(&statement.sql, &statement.params(), |row| {
                Ok(Extracted {
                    id: row.text(0)?,
                    created_at: row.time(1)?,
                    values: (2..count + 2)
                        .map(|at| row.opt_text(at))
                        .collect::<Result<_, _>>()?,
                })
            })
            .await
    }
}

fn within(statement: &mut Statement, side: &str, value: Option<&FieldValue>) -> Result<(), StoreError> {
    if let Some(value) = value {
        statement
            .push(&format!(" AND s.value {side} "))
            .bind(Bound::Bytes(value.to_bytes()?));
    }
    Ok(())
}
