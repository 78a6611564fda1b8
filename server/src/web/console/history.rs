//! What happened to a record, as its page tells it.

use serde::Deserialize;
use serde_json::Value;

use super::{
    teammate::Team,
    text::{self, shown},
};
use crate::vocabulary::Timestamp;

/// Longest value of a changed field that is shown.
const LONGEST: usize = 80;

/// One change, as the tools answer it.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    at: Timestamp,
    by: String,
    change: String,
    #[serde(default)]
    fields: Vec<Field>,
}

#[derive(Debug, Deserialize)]
struct Field {
    field: String,
    #[serde(default)]
    from: Value,
    #[serde(default)]
    to: Value,
}

/// One change, as the page shows it.
pub(super) struct Line {
    pub(super) at: String,
    pub(super) by: String,
    pub(super) what: String,
}

/// Fields that a page shows elsewhere, or that say nothing to people.
const QUIET: [&str; 6] = [
    "sla",
    "number",
    "created_by",
    "resolved_at",
    "closed_at",
    "reopened_at",
];

impl Change {
    pub(super) fn line(self, team: &Team) -> Line {
        let value = |value: &Value| {
            let named = value.as_str().map(|id| team.name(Some(id)));
            text::shortened(
                &named.map_or_else(|| shown(value), |name| text::visible(&name)),
                LONGEST,
            )
        };
        let told = self
            .fields
            .iter()
            .filter(|field| !QUIET.contains(&field.field.as_str()));
        let told = told.map(|field| {
            let name = text::spaced(&field.field);
            match (&field.from, &field.to) {
                (Value::Null, Value::Null) => name,
                (Value::Null, to) => format!("{name}: {}", value(to)),
                (from, Value::Null) => format!("{name}: no longer {}", value(from)),
                (from, to) => format!("{name}: {} → {}", value(from), value(to)),
            }
        });
        let told: Vec<_> = told.collect();
        Line {
            at: text::when(self.at),
            by: text::visible(&team.name(Some(&self.by))),
            // How it began is on the page itself.
            what: match self.change.as_str() {
                "create" => "made it".to_owned(),
                change if told.is_empty() => text::spaced(change),
                _ => told.join("; "),
            },
        }
    }
}
