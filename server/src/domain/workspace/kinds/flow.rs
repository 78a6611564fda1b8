//! A flow, and what came of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    domain::{
        DomainError,
        workspace::{
            flow::{definition::Definition, run::Run},
            record::{Index, Kind},
        },
    },
    vocabulary::Timestamp,
};

/// A flow: an event, conditions, steps. They are kept as the file says them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Flow {
    pub(crate) name: String,
    pub(crate) enabled: bool,
    pub(crate) trigger: String,
    pub(crate) conditions: Vec<Value>,
    pub(crate) steps: Vec<Value>,
    /// Runs so far, filled in where a flow is shown: every run would be a version otherwise.
    pub(crate) runs_total: i64,
    /// When the last one began, filled in likewise.
    pub(crate) last_run_at: Option<Timestamp>,
}

impl Flow {
    /// What of a flow its file says.
    ///
    /// # Errors
    /// When it has no JSON form, which is our fault.
    pub(crate) fn set(&mut self, definition: &Definition) -> Result<(), DomainError> {
        let list = |value: Result<Value, serde_json::Error>| match value {
            Ok(Value::Array(items)) => Ok(items),
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(DomainError::internal(error)),
        };
        self.name.clone_from(&definition.name);
        self.trigger.clone_from(&definition.trigger);
        self.conditions = list(serde_json::to_value(&definition.conditions))?;
        self.steps = list(serde_json::to_value(&definition.steps))?;
        Ok(())
    }

    /// The flow as its file says it. Whatever was stored was judged before.
    ///
    /// # Errors
    /// When this version cannot read it.
    pub(crate) fn definition(&self) -> Result<Definition, DomainError> {
        let value = json!({
            "name": self.name, "trigger": self.trigger, "conditions": self.conditions, "steps": self.steps,
        });
        Definition::deserialize(value).map_err(DomainError::internal)
    }
}

impl Kind for Flow {
    const NAME: &'static str = "flow";
    const PREFIX: &'static str = "flw";
    const READ: &'static str = "flows:read";
    const KEYS: &'static [&'static str] = &["name"];
    const QUIET: &'static [&'static str] = &["runs_total", "last_run_at"];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn index(&self, index: &mut Index) {
        index.unique_text("name", &self.name);
        index.put("enabled", self.enabled);
        index.word("trigger", &self.trigger);
    }
}

impl Kind for Run {
    const NAME: &'static str = "flow_run";
    const PREFIX: &'static str = "run";
    const READ: &'static str = "flows:read";

    fn title(&self) -> String {
        self.cause.event.clone()
    }

    fn index(&self, index: &mut Index) {
        index.word("flow_id", &self.flow_id);
        index.word("status", self.status.as_str());
    }
}
