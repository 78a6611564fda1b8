//! Conditions of flows. All of a flow's conditions must hold.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::Facts;
use crate::vocabulary::Timestamp;

/// How a field is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Is this value.
    Eq,
    /// Is another value, or none.
    Neq,
    /// Is one of these values.
    In,
    /// Is none of these values.
    NotIn,
    /// A text holds this one, whatever its case; a list has this element.
    Contains,
    /// A text begins with this one, whatever its case.
    StartsWith,
    /// Is greater, or later.
    Gt,
    /// Is greater or the same.
    Gte,
    /// Is less, or earlier.
    Lt,
    /// Is less or the same.
    Lte,
    /// Has a value that is not empty.
    IsSet,
    /// Has none, or an empty one.
    IsEmpty,
    /// The event changed it.
    Changed,
    /// The event changed it to this value.
    ChangedTo,
}

/// What an operator wants beside the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Nothing.
    Nothing,
    /// One text, number or truth value.
    One,
    /// A text.
    Text,
    /// A number, or a moment.
    Ordered,
    /// A list of them.
    Many,
}

impl Operator {
    /// Every operator.
    pub const ALL: [Self; 14] = [
        Self::Eq,
        Self::Neq,
        Self::In,
        Self::NotIn,
        Self::Contains,
        Self::StartsWith,
        Self::Gt,
        Self::Gte,
        Self::Lt,
        Self::Lte,
        Self::IsSet,
        Self::IsEmpty,
        Self::Changed,
        Self::ChangedTo,
    ];

    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Neq => "neq",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Contains => "contains",
            Self::StartsWith => "starts_with",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::IsSet => "is_set",
            Self::IsEmpty => "is_empty",
            Self::Changed => "changed",
            Self::ChangedTo => "changed_to",
        }
    }

    /// The operator of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.as_str() == word)
    }

    /// What must stand in `value`.
    pub fn wants(self) -> Wants {
        match self {
            Self::IsSet | Self::IsEmpty | Self::Changed => Wants::Nothing,
            Self::In | Self::NotIn => Wants::Many,
            Self::StartsWith => Wants::Text,
            Self::Gt | Self::Gte | Self::Lt | Self::Lte => Wants::Ordered,
            Self::Eq | Self::Neq | Self::Contains | Self::ChangedTo => Wants::One,
        }
    }
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Path of the field, e.g. `ticket.priority`.
    pub field: String,
    /// How it is looked at.
    pub op: Operator,
    /// What it is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

impl Condition {
    /// Whether it holds.
    pub fn holds(&self, facts: &Facts) -> bool {
        let now = facts.now(&self.field);
        let value = self.value.as_ref();
        let compared = || compare(now?, value?);
        match self.op {
            Operator::Eq => same(now, value),
            Operator::Neq => !same(now, value),
            Operator::In => one_of(now, value),
            Operator::NotIn => !one_of(now, value),
            Operator::Contains => match now {
                Some(Value::Array(items)) => items.iter().any(|item| same(Some(item), value)),
                _ => folded(now, value).is_some_and(|(text, part)| text.contains(&part)),
            },
            Operator::StartsWith => folded(now, value).is_some_and(|(text, part)| text.starts_with(&part)),
            Operator::Gt => compared().is_some_and(Ordering::is_gt),
            Operator::Gte => compared().is_some_and(Ordering::is_ge),
            Operator::Lt => compared().is_some_and(Ordering::is_lt),
            Operator::Lte => compared().is_some_and(Ordering::is_le),
            Operator::IsSet => !is_empty(now),
            Operator::IsEmpty => is_empty(now),
            Operator::Changed => facts.changed(&self.field),
            Operator::ChangedTo => facts.changed(&self.field) && same(now, value),
        }
    }
}

fn same(now: Option<&Value>, value: Option<&Value>) -> bool {
    match (now, value) {
        // `1` and `1.0` are one number.
        (Some(Value::Number(a)), Some(Value::Number(b))) => a == b || a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

fn one_of(now: Option<&Value>, values: Option<&Value>) -> bool {
    let values = values.and_then(Value::as_array);
    values.is_some_and(|values| values.iter().any(|value| same(now, Some(value))))
}

fn folded(now: Option<&Value>, value: Option<&Value>) -> Option<(String, String)> {
    Some((now?.as_str()?.to_lowercase(), value?.as_str()?.to_lowercase()))
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => false,
    }
}

/// Numbers by size, moments by time. Whatever else has no order.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) => Some(Timestamp::parse(a)?.cmp(&Timestamp::parse(b)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(op: &str, field: &str, value: &Value) -> bool {
        let facts = serde_json::from_value(json!({
            "after": { "ticket": {
                "priority": "urgent", "title": "Server On Fire", "number": 12, "score": 1.5, "tags": ["vip", "eu"],
                "due_at": "2026-11-20T16:15:00.000Z", "status": "open", "late": false, "note": "", "custom": {},
            } },
            "before": { "ticket": { "status": "waiting", "priority": "urgent" } },
        }))
        .unwrap();
        let condition = Condition {
            field: field.to_owned(),
            op: Operator::parse(op).unwrap(),
            value: Some(value.clone()).filter(|value| !value.is_null()),
        };
        condition.holds(&facts)
    }

    #[test]
    fn every_operator_as_a_table() {
        let (yes, no) = (true, false);
        let cases = [
            ("eq", "ticket.priority", json!("urgent"), yes),
            ("eq", "ticket.priority", json!("Urgent"), no),
            ("eq", "ticket.number", json!(12.0), yes),
            ("eq", "ticket.late", json!(false), yes),
            ("eq", "ticket.missing", json!("x"), no),
            ("neq", "ticket.priority", json!("low"), yes),
            ("neq", "ticket.missing", json!("low"), yes),
            ("neq", "ticket.priority", json!("urgent"), no),
            ("in", "ticket.priority", json!(["high", "urgent"]), yes),
            ("in", "ticket.priority", json!([]), no),
            ("not_in", "ticket.priority", json!(["low"]), yes),
            ("not_in", "ticket.priority", json!(["urgent"]), no),
            ("contains", "ticket.title", json!("on fire"), yes),
            ("contains", "ticket.title", json!("water"), no),
            ("contains", "ticket.tags", json!("vip"), yes),
            ("contains", "ticket.tags", json!("vi"), no),
            ("contains", "ticket.number", json!("1"), no),
            ("starts_with", "ticket.title", json!("server"), yes),
            ("starts_with", "ticket.title", json!("fire"), no),
            ("gt", "ticket.number", json!(11), yes),
            ("gt", "ticket.number", json!(12), no),
            ("gte", "ticket.number", json!(12), yes),
            ("lt", "ticket.score", json!(2), yes),
            ("lte", "ticket.score", json!(1.5), yes),
            ("lt", "ticket.due_at", json!("2026-11-21"), yes),
            ("gt", "ticket.due_at", json!("2026-11-21"), no),
            ("gt", "ticket.title", json!(1), no),
            ("gt", "ticket.missing", json!(1), no),
            ("is_set", "ticket.late", Value::Null, yes),
            ("is_set", "ticket.note", Value::Null, no),
            ("is_empty", "ticket.note", Value::Null, yes),
            ("is_empty", "ticket.custom", Value::Null, yes),
            ("is_empty", "ticket.missing", Value::Null, yes),
            ("is_empty", "ticket.tags", Value::Null, no),
            ("changed", "ticket.status", Value::Null, yes),
            ("changed", "ticket.priority", Value::Null, no),
            ("changed_to", "ticket.status", json!("open"), yes),
            ("changed_to", "ticket.status", json!("waiting"), no),
            ("changed_to", "ticket.priority", json!("urgent"), no),
        ];
        for (op, field, value, expected) in cases {
            assert_eq!(holds(op, field, &value), expected, "{field} {op} {value}");
        }
    }

    #[test]
    fn words_of_operators_are_those_of_files() {
        for operator in Operator::ALL {
            assert_eq!(Operator::parse(operator.as_str()), Some(operator));
            assert_eq!(serde_json::to_value(operator).unwrap(), operator.as_str());
        }
        assert_eq!(Operator::parse("matches"), None);
    }
}
