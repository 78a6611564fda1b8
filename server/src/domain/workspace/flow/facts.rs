//! What conditions and templates look at: the records of an event by the names of their kinds, as they are and, where the
//! event is a change, as they were.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest path of a field, in bytes.
const LONGEST_PATH: usize = 120;
/// Most names in a path: a record, a field, and a few levels of a custom object.
const DEEPEST_PATH: usize = 6;

/// Records by kind: `{"ticket": {...}, "contact": {...}}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// As they are.
    pub after: Map<String, Value>,
    /// As they were; empty for what is new.
    pub before: Map<String, Value>,
}

impl Facts {
    /// The value at a path. Missing ones and `null` are the same.
    pub fn now(&self, path: &str) -> Option<&Value> {
        value_at(&self.after, path)
    }

    /// The value that was there before, if the record was there before.
    pub fn was(&self, path: &str) -> Option<&Value> {
        value_at(&self.before, path)
    }

    /// Whether the event changed the value at a path: the record was there before, and had another value.
    pub fn changed(&self, path: &str) -> bool {
        let record = path.split('.').next().unwrap_or_default();
        self.before.contains_key(record) && self.was(path) != self.now(path)
    }
}

fn value_at<'v>(records: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let mut names = path.split('.');
    let first = records.get(names.next()?)?;
    let found = names.try_fold(first, |value, name| value.as_object()?.get(name))?;
    (!found.is_null()).then_some(found)
}

/// Whether a text is a path: names of `a-z`, `0-9` and `_` with dots between, the first one a record, at least one more.
pub fn is_path(text: &str) -> bool {
    let names = text.split('.');
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    text.len() <= LONGEST_PATH
        && (2..=DEEPEST_PATH).contains(&names.clone().count())
        && names.clone().all(is_name)
        && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(after: &Value, before: &Value) -> Facts {
        serde_json::from_value(json!({ "after": after, "before": before })).unwrap()
    }

    #[test]
    fn paths_lead_into_records() {
        let facts = facts(
            &json!({ "ticket": { "number": 7, "assignee": null, "custom": { "tier": "gold" } } }),
            &json!({}),
        );
        assert_eq!(facts.now("ticket.number"), Some(&json!(7)));
        assert_eq!(facts.now("ticket.custom.tier"), Some(&json!("gold")));
        for missing in [
            "ticket.assignee",
            "ticket.number.x",
            "lead.name",
            "ticket.custom.x",
        ] {
            assert_eq!(facts.now(missing), None, "{missing}");
        }
    }

    #[test]
    fn only_what_was_there_before_can_have_changed() {
        let changed = facts(
            &json!({ "ticket": { "status": "open", "assignee": "a" } }),
            &json!({ "ticket": { "status": "waiting" } }),
        );
        assert!(changed.changed("ticket.status") && changed.changed("ticket.assignee"));
        assert!(!changed.changed("ticket.priority"));
        let new = facts(&json!({ "ticket": { "status": "open" } }), &json!({}));
        assert!(!new.changed("ticket.status"));
    }

    #[test]
    fn paths_have_a_form() {
        assert!(is_path("ticket.priority") && is_path("account.custom.tier_2"));
        let long = format!("ticket.{}", "x".repeat(120));
        for bad in [
            "ticket",
            "",
            ".a",
            "a.",
            "a..b",
            "A.b",
            "a.b c",
            "1.b",
            "a.b.c.d.e.f.g",
            &long,
        ] {
            assert!(!is_path(bad), "{bad}");
        }
    }
}
