//! A flow as a file says it: TOML, or JSON with the same keys. Every fault is named at once, with the place where it is.

mod parts;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

use parts::{read_condition, read_step};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use table::Table;

use super::{condition::Condition, step::Step, template::Template, trigger};

/// Largest file that is read, in bytes: eight steps with their longest bodies fit.
pub const LARGEST_FILE: usize = 256 * 1024;
/// Most conditions of a flow (catalogue.md §3.5).
const MOST_CONDITIONS: usize = 8;
/// Most steps of a flow (catalogue.md §3.5).
const MOST_STEPS: usize = 8;
/// Longest name, in characters (catalogue.md §1.1).
const LONGEST_NAME: usize = 80;

/// A flow: what starts it, what must hold, what is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// What people call it; unique in its tenant.
    pub name: String,
    /// The event.
    pub trigger: String,
    /// All of these must hold.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What is done, in this order.
    pub steps: Vec<Step>,
}

/// Everything that is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl Definition {
    /// Reads a file: JSON if it begins like an object, TOML otherwise.
    ///
    /// # Errors
    /// Every fault.
    pub fn read(text: &str) -> Result<Self, Faults> {
        let one = |fault: String| Faults(vec![fault]);
        if text.len() > LARGEST_FILE {
            return Err(one(format!(
                "the file has {} bytes, at most {LARGEST_FILE} are read",
                text.len()
            )));
        }
        let value: Value = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|e| one(format!("not JSON: {e}")))?
        } else {
            // The message of TOML shows the line over several lines.
            toml::from_str(text).map_err(|e| one(format!("not TOML: {}", e.to_string().trim_end())))?
        };
        Self::of(&value)
    }

    /// Reads a definition from a value.
    ///
    /// # Errors
    /// Every fault.
    pub fn of(value: &Value) -> Result<Self, Faults> {
        let Some(table) = value.as_object() else {
            return Err(Faults(vec![
                "a flow is an object with name, trigger and steps".into(),
            ]));
        };
        let mut faults = Vec::new();
        let mut top = Table::new(
            table,
            "",
            &["name", "trigger", "conditions", "steps"],
            &mut faults,
        );
        let name = top.line("name", LONGEST_NAME);
        let trigger = top.text("trigger", LONGEST_NAME);
        if !trigger.is_empty() && !trigger::is_trigger(&trigger) {
            top.fault("trigger", &trigger::no_trigger(&trigger));
        }
        let conditions = top.list("conditions", 0, MOST_CONDITIONS);
        let steps = top.list("steps", 1, MOST_STEPS);
        let conditions = conditions.iter().zip(0..).filter_map(|(value, at)| {
            let place = format!("conditions[{at}].");
            read_condition(Table::of(value, &place, &["field", "op", "value"], &mut faults)?)
        });
        let conditions: Vec<_> = conditions.collect();
        let mut read = Vec::new();
        for (value, at) in steps.iter().zip(0..) {
            read.extend(read_step(value, &format!("steps[{at}]."), &mut faults));
        }
        if faults.is_empty() {
            Ok(Self {
                name,
                trigger,
                conditions,
                steps: read,
            })
        } else {
            Err(Faults(faults))
        }
    }

    /// Kinds of records that its conditions, texts and actions look at.
    pub fn records(&self) -> Vec<&str> {
        let conditions = self.conditions.iter().map(|condition| condition.field.as_str());
        let mut paths: Vec<&str> = conditions.collect();
        for step in &self.steps {
            for text in step.templates() {
                if let Ok(template) = Template::parse(text) {
                    paths.extend(template.fields());
                }
            }
            match step {
                Step::UpdateField { field, .. } => paths.push(field),
                Step::CreateTicket { .. } => paths.extend(["contact", "account", "conversation"]),
                Step::Assign { .. } => paths.extend(["ticket", "conversation"]),
                Step::AddLifecycleEvent { .. } => paths.push("account"),
                _ => {}
            }
        }
        let mut records: Vec<&str> = paths.iter().filter_map(|path| path.split('.').next()).collect();
        records.sort_unstable();
        records.dedup();
        records
    }
}
