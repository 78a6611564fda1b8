//! Sums over records that meet conditions, made by the engine: of a million records, one row comes back.

use super::{
    Condition, Records,
    query::MADE,
    statement::{Bound, Statement},
};
use crate::store::StoreError;

/// Sums are made of two parts, so that no engine's whole numbers overflow before ours do.
const PART: i64 = 1_000_000;

/// What records come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// How many they are.
    pub count: i64,
    /// The sum of a number in their documents.
    pub sum: i128,
    /// The sum of that number times another one in the same document.
    pub product: i128,
}

impl Records<'_> {
    /// Adds `number` up, and `number` times `factor`, over the records that meet the conditions, of which at most `most` count.
    /// Both are whole numbers at the root of the document; one that is missing counts as nought.
    ///
    /// # Errors
    /// When the store fails, or holds a text where a number should be.
    pub async fn total(
        &mut self,
        conditions: &[Condition],
        (number, factor): (&str, &str),
        most: u32,
    ) -> Result<Total, StoreError> {
        if conditions.iter().any(Condition::is_void) {
            return Ok(Total::default());
        }
        let postgres = self.session.is_postgres();
        let one = field(postgres, number)?;
        let product = format!("{one} * {}", field(postgres, factor)?);
        let part = |value: &str, operator: &str| {
            format!(", CAST(COALESCE(SUM(({value}) {operator} {PART}), 0) AS BIGINT)")
        };
        let mut statement = Statement::default();
        statement.push(&format!(
            "SELECT COUNT(*){}{}{}{} FROM (SELECT DISTINCT s.id",
            part(&one, "/"),
            part(&one, "%"),
            part(&product, "/"),
            part(&product, "%")
        ));
        // A range cannot be looked up for each entry of another field, so it leads.
        let led = conditions
            .iter()
            .filter(|one| one.window().is_none())
            .min_by_key(|one| !one.is_range());
        statement.entries(self.tenant, self.kind, led.map_or(MADE, Condition::field));
        if let Some(led) = led {
            statement.meets(led)?;
        }
        for condition in conditions.iter().filter(|one| Some(*one) != led) {
            match condition.window() {
                Some(window) => statement.made_within(window),
                None => statement.probe(condition)?,
            }
        }
        statement.push(" LIMIT ").bind(Bound::Int(most.into()));
        statement.records_of_page(postgres, self.tenant, self.kind);
        let total = self
            .session
            .query_one(&statement.sql, &statement.params(), |row| {
                let whole = |at: usize| -> Result<i128, StoreError> {
                    Ok(i128::from(row.int(at)?) * i128::from(PART) + i128::from(row.int(at + 1)?))
                };
                Ok(Total {
                    count: row.int(0)?,
                    sum: whole(1)?,
                    product: whole(3)?,
                })
            })
            .await?;
        Ok(total.unwrap_or_default())
    }
}

/// A whole number of a document. Names are ours, but a statement holds no text that was not checked.
fn field(postgres: bool, name: &str) -> Result<String, StoreError> {
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        return Err(StoreError::Invalid {
            what: format!("`{name}` is no field of a document"),
        });
    }
    Ok(if postgres {
        format!("COALESCE(CAST(r.doc::jsonb ->> '{name}' AS BIGINT), 0)")
    } else {
        format!("COALESCE(CAST(json_extract(r.doc, '$.{name}') AS INTEGER), 0)")
    })
}
