//! A flow, and what came of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::words;
use crate::{
    domain::workspace::record::{Index, Kind},
    vocabulary::Timestamp,
};

words! {
    /// Where a run stands.
    RunStatus { Waiting = "waiting", Running = "running", Succeeded = "succeeded", Failed = "failed", Skipped = "skipped" }
}

/// A flow: an event, conditions, steps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Flow {
    pub(crate) name: String,
    pub(crate) enabled: bool,
    pub(crate) trigger: String,
    pub(crate) conditions: Vec<Value>,
    pub(crate) steps: Vec<Value>,
    pub(crate) runs_total: i64,
    pub(crate) last_run_at: Option<Timestamp>,
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

/// One run of a flow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct FlowRun {
    pub(crate) flow_id: String,
    pub(crate) event_id: String,
    pub(crate) event: String,
    pub(crate) status: RunStatus,
    pub(crate) steps: Vec<Value>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) error: Option<String>,
    /// What the steps look at.
    pub(crate) facts: Value,
    pub(crate) depth: u32,
}

impl Kind for FlowRun {
    const NAME: &'static str = "flow_run";
    const PREFIX: &'static str = "run";
    const READ: &'static str = "flows:read";
    const BODIES: &'static [&'static str] = &["facts"];

    fn title(&self) -> String {
        self.event.clone()
    }

    fn index(&self, index: &mut Index) {
        index.word("flow_id", &self.flow_id);
        index.word("status", self.status.as_str());
        index.unique("once", format!("{}/{}", self.event_id, self.flow_id));
    }
}
