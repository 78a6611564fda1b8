//! The fields that a tenant adds to its records: of which type each is, and whether a value is of it. A kind without
//! declarations takes plain values under any name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::listing::date;
use crate::{domain::DomainError, store::ReadTx};

/// The setting that holds a tenant's declarations, by kind of record.
pub(crate) const SETTING: &str = "workspace.custom_fields";
/// Most own fields of one record.
const MOST_FIELDS: usize = 50;
/// Longest text in one, in bytes.
const LONGEST_TEXT: usize = 4_000;

/// What a field of a tenant's own holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum FieldType {
    /// Any text.
    Text,
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
    /// A date.
    Date,
    /// One of a few words.
    Choice {
        /// The words.
        choices: Vec<String>,
    },
}

impl FieldType {
    /// The type of that name.
    ///
    /// # Errors
    /// When there is none, or a choice has no words, or another type has some.
    pub(crate) fn of(name: &str, choices: Vec<String>) -> Result<Self, DomainError> {
        let plain = match name {
            "text" => Self::Text,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "choice" if choices.is_empty() => {
                return Err(DomainError::argument("a choice needs its words"));
            }
            "choice" => return Ok(Self::Choice { choices }),
            _ => {
                return Err(DomainError::argument(format!(
                    "`{name}` is no type; text, number, boolean, date and choice are"
                )));
            }
        };
        if choices.is_empty() {
            Ok(plain)
        } else {
            Err(DomainError::argument("only a choice has words"))
        }
    }

    /// As lists name it, and for a choice its words behind it: `choice: gold, silver`.
    pub fn shown(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Choice { choices } => format!("choice: {}", choices.join(", ")),
        }
    }
}

/// Declarations: kind of record → field → type.
pub(crate) type Declared = BTreeMap<String, BTreeMap<String, FieldType>>;

/// Judges the own fields of a record of a kind. What it held before stays: a declaration judges what is written after it.
///
/// # Errors
/// Which field is of the wrong type, or is not declared.
pub(crate) async fn check(
    tx: &mut ReadTx<'_>,
    kind: &str,
    before: Option<&Map<String, Value>>,
    custom: &Map<String, Value>,
) -> Result<(), DomainError> {
    let is_written = |name: &String, value: &Value| before.and_then(|before| before.get(name)) != Some(value);
    if !custom.iter().any(|(name, value)| is_written(name, value)) {
        return Ok(());
    }
    if custom.len() > MOST_FIELDS {
        return Err(DomainError::argument(format!(
            "custom: at most {MOST_FIELDS} fields"
        )));
    }
    let declared: Option<Declared> = tx.settings().get(SETTING).await?;
    let declared = declared.unwrap_or_default();
    let fields = declared.get(kind).filter(|fields| !fields.is_empty());
    for (name, value) in custom.iter().filter(|(name, value)| is_written(name, value)) {
        match fields {
            Some(fields) => match fields.get(name) {
                Some(wanted) => fits(name, wanted, value)?,
                None => {
                    let known: Vec<&str> = fields.keys().map(String::as_str).collect();
                    return Err(DomainError::argument(format!(
                        "custom.{name}: is not a field of this workspace; there are {}",
                        known.join(", ")
                    )));
                }
            },
            None => plain(name, value)?,
        }
    }
    Ok(())
}

/// The own fields of one kind that another kind takes too, and the names of those that it does not.
///
/// # Errors
/// When the store fails.
pub(crate) async fn carried_over(
    tx: &mut ReadTx<'_>,
    to: &str,
    custom: &Map<String, Value>,
) -> Result<(Map<String, Value>, Vec<String>), DomainError> {
    let (mut taken, mut left) = (Map::new(), Vec::new());
    for (name, value) in custom {
        let one = Map::from_iter([(name.clone(), value.clone())]);
        match check(tx, to, None, &one).await {
            Ok(()) => taken.extend(one),
            Err(DomainError::Store(error)) => return Err(error.into()),
            Err(_) => left.push(name.clone()),
        }
    }
    Ok((taken, left))
}

/// Judges one value by its declaration.
fn fits(name: &str, wanted: &FieldType, value: &Value) -> Result<(), DomainError> {
    let fault = |accepted: &str| {
        Err(DomainError::argument(format!(
            "custom.{name}: must be {accepted}"
        )))
    };
    match (wanted, value) {
        (FieldType::Text, Value::String(text)) if text.len() <= LONGEST_TEXT => Ok(()),
        (FieldType::Text, _) => fault(&format!("text of at most {LONGEST_TEXT} bytes")),
        (FieldType::Number, Value::Number(_)) | (FieldType::Boolean, Value::Bool(_)) => Ok(()),
        (FieldType::Number, _) => fault("a number"),
        (FieldType::Boolean, _) => fault("true or false"),
        (FieldType::Date, Value::String(text)) => date(&format!("custom.{name}"), text).map(drop),
        (FieldType::Date, _) => fault("a date, such as 2026-11-30"),
        (FieldType::Choice { choices }, Value::String(text)) if choices.contains(text) => Ok(()),
        (FieldType::Choice { choices }, _) => fault(&format!("one of {}", choices.join(", "))),
    }
}

/// Judges the name of a field.
///
/// # Errors
/// What a name is made of.
pub(crate) fn check_name(name: &str) -> Result<(), DomainError> {
    let good = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good {
        return Ok(());
    }
    Err(DomainError::argument(format!(
        "custom: `{name}` is no name of a field; letters, digits and _ make one"
    )))
}

/// Judges one value of a kind without declarations.
fn plain(name: &str, value: &Value) -> Result<(), DomainError> {
    check_name(name)?;
    let good_value = match value {
        Value::String(text) => text.len() <= LONGEST_TEXT,
        Value::Number(_) | Value::Bool(_) => true,
        _ => false,
    };
    if !good_value {
        return Err(DomainError::argument(format!(
            "custom.{name}: must be a text of at most {LONGEST_TEXT} bytes, a number, true or false"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_type_takes_its_own_and_nothing_else() {
        let choice = FieldType::Choice {
            choices: vec!["gold".to_owned(), "silver".to_owned()],
        };
        let table = [
            (FieldType::Text, json!("x"), json!(1)),
            (FieldType::Number, json!(1.5), json!("1")),
            (FieldType::Boolean, json!(true), json!("true")),
            (FieldType::Date, json!("2026-11-30"), json!("soon")),
            (choice, json!("gold"), json!("bronze")),
        ];
        for (wanted, good, bad) in table {
            assert!(fits("tier", &wanted, &good).is_ok(), "{wanted:?}");
            let refused = fits("tier", &wanted, &bad).unwrap_err().to_string();
            assert!(refused.starts_with("custom.tier: must be "), "{refused}");
            assert!(fits("tier", &wanted, &json!(null)).is_err(), "{wanted:?}");
        }
    }

    #[test]
    fn undeclared_fields_are_plain() {
        assert!(plain("budget", &json!(3)).is_ok());
        assert!(plain("budget", &json!({ "a": 1 })).is_err());
        assert!(plain("a b", &json!(3)).is_err());
        assert!(plain("x", &json!("y".repeat(LONGEST_TEXT + 1))).is_err());
    }
}
