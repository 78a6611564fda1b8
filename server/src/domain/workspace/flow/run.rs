//! One event in one flow, as it is written down.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{definition::Definition, facts::Facts, step::Step};
use crate::vocabulary::{Timestamp, sha256};

/// How deep a flow may cause a flow: an event of that depth starts nothing any more (catalogue.md §3.5).
pub const DEEPEST: u32 = 5;

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Pauses, by a step `wait` or before a step is tried again.
    Waiting,
    /// Is being carried out, or will be at once.
    #[default]
    Running,
    /// Every step is done.
    Succeeded,
    /// A step failed for good; those behind it were not begun.
    Failed,
    /// Not begun, and the reason says why.
    Skipped,
}

impl RunStatus {
    /// The word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Whether nothing will happen any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped)
    }
}

/// Where a step of a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Not begun.
    #[default]
    Pending,
    /// Tried, and will be tried again, or pauses.
    Waiting,
    /// Done.
    Succeeded,
    /// Failed for good.
    Failed,
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRun {
    /// What is done.
    pub action: String,
    /// Where it stands.
    pub status: StepStatus,
    /// Attempts so far.
    pub attempts: u32,
    /// What it worked on, without texts and secrets.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input: Value,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was done or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Kind of record.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// The event of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// Identity; a webhook carries it, so that a receiver that remembers it acts once.
    pub id: String,
    /// What happened.
    pub event: String,
    /// When.
    pub created_at: Timestamp,
    /// To what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// How many flows led to it.
    pub depth: u32,
}

/// One event in one flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The flow.
    pub flow_id: String,
    /// What it was called when it ran.
    pub flow_name: String,
    /// What started it.
    pub cause: Cause,
    /// Where it stands.
    pub status: RunStatus,
    /// Its steps.
    pub steps: Vec<StepRun>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it failed or was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a run goes by until it is over: the flow and the records as they were when it began. It stands in the run's job and not
/// in its log, where more people read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Orders {
    /// The run.
    pub run_id: String,
    /// The steps, as the flow had them when it began.
    pub steps: Vec<Step>,
    /// What the steps' texts are filled from.
    pub facts: Facts,
}

/// The id of the one run of an event in a flow. Whoever asks twice gets the same, so the second run cannot be written.
pub fn run_id(event_id: &str, created_at: Timestamp, flow_id: &str) -> String {
    let digest = sha256(&format!("{event_id}\n{flow_id}"));
    let (random, _) = digest.split_at(16);
    let random = random
        .iter()
        .fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
    let millis = u64::try_from(created_at.as_millis()).unwrap_or(0);
    format!("run_{}", ulid::Ulid::from_parts(millis, random))
}

impl Run {
    /// A run that begins.
    pub fn begin(flow_id: &str, flow: &Definition, cause: Cause, now: Timestamp) -> Self {
        let steps = flow.steps.iter().map(|step| StepRun {
            action: step.action().to_owned(),
            status: StepStatus::Pending,
            attempts: 0,
            input: Value::Null,
            output: Value::Null,
            error: None,
            ended_at: None,
        });
        Self {
            flow_id: flow_id.to_owned(),
            flow_name: flow.name.clone(),
            cause,
            status: RunStatus::Running,
            steps: steps.collect(),
            started_at: now,
            ended_at: None,
            error: None,
        }
    }

    /// The same run, not to be carried out.
    #[must_use]
    pub fn skipped(mut self, why: &str, now: Timestamp) -> Self {
        self.end(RunStatus::Skipped, Some(why.to_owned()), now);
        self
    }

    /// The step that is next; `None` when none is left.
    pub fn position(&self) -> Option<usize> {
        if self.status.is_over() {
            return None;
        }
        self.steps
            .iter()
            .position(|step| step.status != StepStatus::Succeeded)
    }

    /// Notes that a step is being tried, with what it works on.
    pub fn attempt(&mut self, at: usize, input: Value) {
        self.status = RunStatus::Running;
        if let Some(step) = self.steps.get_mut(at) {
            step.attempts = step.attempts.saturating_add(1);
            step.input = input;
        }
    }

    /// Notes that a step is done; the run too, if it was the last one.
    pub fn succeed(&mut self, at: usize, output: Value, now: Timestamp) {
        if let Some(step) = self.steps.get_mut(at) {
            step.status = StepStatus::Succeeded;
            step.output = output;
            step.error = None;
            step.ended_at = Some(now);
        }
        if self.position().is_none() {
            self.end(RunStatus::Succeeded, None, now);
        } else {
            self.status = RunStatus::Running;
        }
    }

    /// Notes that a step pauses; `error` is why it must be tried again.
    pub fn wait(&mut self, at: usize, error: Option<String>) {
        self.status = RunStatus::Waiting;
        if let Some(step) = self.steps.get_mut(at) {
            step.status = StepStatus::Waiting;
            step.error = error;
        }
    }

    /// Notes that a step failed for good, and the run with it.
    pub fn fail(&mut self, at: usize, error: &str, now: Timestamp) {
        if let Some(step) = self.steps.get_mut(at) {
            step.status = StepStatus::Failed;
            step.error = Some(error.to_owned());
            step.ended_at = Some(now);
        }
        let place = format!("step {}: {error}", at + 1);
        self.end(RunStatus::Failed, Some(place), now);
    }

    fn end(&mut self, status: RunStatus, error: Option<String>, now: Timestamp) {
        self.status = status;
        self.error = error;
        self.ended_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        let flow = Definition::read(
            r#"{"name":"A","trigger":"custom.a","steps":[
                {"action":"wait","duration":"1s"},{"action":"webhook","url":"https://hooks.example/x"}]}"#,
        )
        .unwrap();
        let cause = Cause {
            id: "evt_1".into(),
            event: "custom.a".into(),
            created_at: Timestamp(1_000),
            subject: None,
            depth: 0,
        };
        Run::begin("flw_1", &flow, cause, Timestamp(2_000))
    }

    #[test]
    fn a_run_goes_from_step_to_step_to_its_end() {
        let (mut run, now) = (run(), Timestamp(3_000));
        assert_eq!(run.position(), Some(0));
        run.attempt(0, Value::Null);
        run.wait(0, None);
        assert_eq!((run.status, run.position()), (RunStatus::Waiting, Some(0)));
        run.succeed(0, Value::Null, now);
        assert_eq!((run.status, run.position()), (RunStatus::Running, Some(1)));
        run.attempt(1, Value::Null);
        run.wait(1, Some("the webhook answered 500".into()));
        run.attempt(1, Value::Null);
        assert_eq!(run.steps[1].attempts, 2);
        run.succeed(1, Value::Null, now);
        assert_eq!((run.status, run.ended_at), (RunStatus::Succeeded, Some(now)));
        assert_eq!(run.position(), None);
    }

    #[test]
    fn what_failed_ends_the_run_and_says_where() {
        let mut run = run();
        run.succeed(0, Value::Null, Timestamp(3_000));
        run.attempt(1, Value::Null);
        run.fail(1, "the webhook answered 404", Timestamp(4_000));
        assert_eq!((run.status, run.position()), (RunStatus::Failed, None));
        assert_eq!(run.error.as_deref(), Some("step 2: the webhook answered 404"));
    }

    #[test]
    fn an_event_in_a_flow_has_one_id() {
        let moment = Timestamp(1_700_000_000_000);
        let id = run_id("evt_1", moment, "flw_1");
        assert_eq!(id, run_id("evt_1", moment, "flw_1"));
        assert_ne!(id, run_id("evt_1", moment, "flw_2"));
        assert_ne!(id, run_id("evt_2", moment, "flw_1"));
        assert_eq!(id.len(), 30);
    }
}
