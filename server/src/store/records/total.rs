//! Sums over records that meet conditions, made by the engine: of a million records, a row comes back for each word that they share.

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
    /// Adds `number` up, and `number` times `factor`, over the records that meet the conditions, of which at most `most` count:
    /// apart for each `word` of theirs, in its order. All three stand at the root of the document; a whole number that is missing
    /// counts as nought, a word as the empty one.
    ///
    /// # Errors
    /// When the store fails, or holds a text where a number should be.
    pub async fn totals(
        &mut self,
        conditions: &[Condition],
        (number, factor): (&str, &str),
        word: &str,
        most: u32,
    ) -> Result<Vec<(String, Total)>, StoreError> {
        if conditions.iter().any(Condition::is_void) {
            return Ok(Vec::new());
        }
        let postgres = self.session.is_postgres();
        let one = field(postgres, number)?;
        let product = format!("{one} * {}", field(postgres, factor)?);
        let part = |value: &str, operator: &str| {
            format!(", CAST(COALESCE(SUM(({value}) {operator} {PART}), 0) AS BIGINT)")
        };
        let mut statement = Statement::default();
        statement.push(&format!(
            "SELECT {}, COUNT(*){}{}{}{} FROM (SELECT DISTINCT s.id",
            text(postgres, word)?,
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
        statement.push(" GROUP BY 1");
        let mut totals = self
            .session
            .query(&statement.sql, &statement.params(), |row| {
                let whole = |at: usize| -> Result<i128, StoreError> {
                    Ok(i128::from(row.int(at)?) * i128::from(PART) + i128::from(row.int(at + 1)?))
                };
                let total = Total {
                    count: row.int(1)?,
                    sum: whole(2)?,
                    product: whole(4)?,
                };
                Ok((row.text(0)?, total))
            })
            .await?;
        // Here and not there, because engines order texts differently.
        totals.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(totals)
    }
}

/// Names are ours, but a statement holds no text that was not checked.
fn checked(name: &str) -> Result<(), StoreError> {
    if name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        return Ok(());
    }
    Err(StoreError::Invalid {
        what: format!("`{name}` is no field of a document"),
    })
}

/// A text of a document.
fn text(postgres: bool, name: &str) -> Result<String, StoreError> {
    checked(name)?;
    Ok(if postgres {
        format!("COALESCE(r.doc::jsonb ->> '{name}', '')")
    } else {
        format!("COALESCE(json_extract(r.doc, '$.{name}'), '')")
    })
}

/// A whole number of a document.
fn field(postgres: bool, name: &str) -> Result<String, StoreError> {
    checked(name)?;
    Ok(if postgres {
        format!("COALESCE(CAST(r.doc::jsonb ->> '{name}' AS BIGINT), 0)")
    } else {
        format!("COALESCE(CAST(json_extract(r.doc, '$.{name}') AS INTEGER), 0)")
    })
}
