//! A plan as others see it: as JSON for programs, as prose for people, with hidden values hidden.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::plan::Plan;
use crate::vocabulary::is_hidden;

/// Longest value shown in prose, in characters; the JSON has the whole.
const LONGEST_VALUE: usize = 300;
/// Most changes named one by one in prose.
const MOST_LINES: usize = 40;

/// What is shown before a yes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    summary: String,
    changes: Vec<Map<String, Value>>,
    effects: Vec<String>,
    warnings: Vec<String>,
}

impl From<&Plan> for Preview {
    fn from(plan: &Plan) -> Self {
        let changes = plan.changes.iter().map(|change| {
            let mut out = Map::new();
            let mut put = |key: &str, value: Option<Value>| {
                if let Some(value) = value {
                    out.insert(key.to_owned(), value);
                }
            };
            put("op", Some(json!(change.op.as_str())));
            put("object", Some(json!(change.object)));
            put("id", change.id.as_ref().map(|id| json!(id)));
            put("field", change.field.as_ref().map(|field| json!(field)));
            put("from", change.from.as_ref().map(super::plan::Shown::visible));
            put("to", change.to.clone());
            out
        });
        Self {
            summary: plan.summary.clone(),
            changes: changes.collect(),
            effects: plan.effects.clone(),
            warnings: plan.warnings.clone(),
        }
    }
}

impl Preview {
    /// The whole in one sentence.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Marks the changes that an earlier preview did not show.
    #[must_use]
    pub fn marked_against(mut self, earlier: &Self) -> Self {
        for change in &mut self.changes {
            if !earlier.changes.contains(change) {
                change.insert("changed_since_preview".to_owned(), Value::Bool(true));
            }
        }
        self
    }

    /// Prose that a person can judge by. No character of a record can hide or reorder what stands here.
    pub fn prose(&self) -> String {
        let mut out = visible(&self.summary);
        for change in self.changes.iter().take(MOST_LINES) {
            let part = |key: &str| change.get(key);
            let text = |key: &str| part(key).and_then(Value::as_str).unwrap_or_default();
            let _ = write!(out, "\n- {} {}", text("op"), text("object"));
            if let Some(id) = part("id").and_then(Value::as_str) {
                let _ = write!(out, " {}", visible(id));
            }
            if let Some(field) = part("field").and_then(Value::as_str) {
                let _ = write!(out, ": {field}");
            }
            match (part("from"), part("to")) {
                (Some(from), Some(to)) => {
                    let _ = write!(out, ": {} → {}", value(from), value(to));
                }
                (None, Some(to)) => {
                    let _ = write!(out, " = {}", value(to));
                }
                (Some(from), None) => {
                    let _ = write!(out, ": {} → nothing", value(from));
                }
                (None, None) => {}
            }
            if part("changed_since_preview").is_some() {
                out.push_str(" (new since the last preview)");
            }
        }
        if self.changes.len() > MOST_LINES {
            let _ = write!(out, "\n- and {} more changes", self.changes.len() - MOST_LINES);
        }
        for effect in &self.effects {
            let _ = write!(out, "\nAlso: {}", visible(effect));
        }
        for warning in &self.warnings {
            let _ = write!(out, "\nWarning: {}", visible(warning));
        }
        out
    }
}

fn value(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST_VALUE) {
        None => visible(&text),
        Some((end, _)) => format!("{}…", visible(text.get(..end).unwrap_or_default())),
    }
}

/// A text in which every hidden character is spelled out.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Change;

    #[test]
    fn a_preview_reads_as_prose_and_hides_nothing_in_it() {
        let plan = Plan::new("Create lead \"Ada\u{202e}\"")
            .with(Change::create("lead", "name", "Ada\u{200b} Byron"))
            .with(Change::delete("note", "not_1"))
            .with_effect("fires flow \"New lead\"")
            .with_warning("a lead of this name exists");
        assert_eq!(
            Preview::from(&plan).prose(),
            "Create lead \"Ada\\u{202e}\"\n- create lead: name = \"Ada\\u{200b} Byron\"\n- delete note not_1\n\
             Also: fires flow \"New lead\"\nWarning: a lead of this name exists"
        );
    }

    #[test]
    fn long_plans_are_cut_in_prose_and_whole_in_json() {
        let mut plan = Plan::new("Many");
        for _ in 0..50 {
            plan = plan.with(Change::create("row", "text", "x".repeat(400)));
        }
        let preview = Preview::from(&plan);
        let prose = preview.prose();
        assert!(prose.ends_with("- and 10 more changes"), "{prose}");
        assert!(prose.len() < 41 * (LONGEST_VALUE + 40));
        assert_eq!(json!(preview)["changes"][49]["to"], "x".repeat(400));
    }

    #[test]
    fn what_an_earlier_preview_did_not_show_is_marked() {
        let one = Plan::new("s")
            .with(Change::create("row", "a", 1))
            .with(Change::create("row", "b", 1));
        let two = Plan::new("s")
            .with(Change::create("row", "a", 1))
            .with(Change::create("row", "b", 2));
        let marked = json!(Preview::from(&two).marked_against(&Preview::from(&one)));
        assert_eq!(marked["changes"][0].get("changed_since_preview"), None);
        assert_eq!(marked["changes"][1]["changed_since_preview"], true);
    }
}
