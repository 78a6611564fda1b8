//! What stays the same for the whole of one call.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::internal;
use crate::{
    access::Grant,
    catalogue::{ArgumentError, Edition, Tool},
    domain::{Apply, Plan, PlanCall, Planned, Preview, Progress, ToolResult},
    pipeline::{
        Asking, CallError, House, ToolCall,
        doors::{Door, Kept},
        fare::Fare,
    },
    policy::{self, Permit, Remembered, SealKey, review::Review},
    store::Pending,
    telemetry::Rooms,
    vocabulary::{Consent, Timestamp, new_id},
};

/// One call on its way through the doors.
#[derive(Clone)]
pub(in crate::pipeline) struct Visit {
    pub(in crate::pipeline) edition: Arc<Edition>,
    pub(in crate::pipeline) tool: Arc<Tool>,
    pub(in crate::pipeline) grant: Grant,
    pub(in crate::pipeline) planned: Planned,
    pub(in crate::pipeline) limit: Duration,
    pub(in crate::pipeline) rooms: Rooms,
    pub(in crate::pipeline) now: Timestamp,
    pub(in crate::pipeline) progress: Progress,
    pub(in crate::pipeline) cancelled: CancellationToken,
    pub(in crate::pipeline) seal_key: Arc<SealKey>,
    pub(super) need: Consent,
    /// The review that has opened the tool to this caller for a while.
    pub(in crate::pipeline) open_by: Option<String>,
    /// What the call costs.
    pub(super) fare: Fare,
    /// The name as the caller spells it.
    pub(super) called_as: String,
    can_elicit: bool,
    pub(super) approve_at: Option<String>,
}

impl Visit {
    #[allow(
        clippy::too_many_arguments,
        reason = "each is one thing that the hall knows of the call"
    )]
    pub(in crate::pipeline) fn new(
        house: &House,
        rooms: Rooms,
        edition: &Arc<Edition>,
        grant: &Grant,
        planned: &Planned,
        need: Consent,
        open_by: Option<String>,
        call: &ToolCall<'_>,
        fare: Fare,
        now: Timestamp,
    ) -> Self {
        let tool = Arc::clone(grant.tool());
        Self {
            edition: Arc::clone(edition),
            grant: grant.clone(),
            planned: planned.clone(),
            limit: tool
                .timeout_seconds
                .map_or(house.call_timeout, Duration::from_secs),
            rooms,
            now,
            progress: call.progress.clone(),
            cancelled: call.cancelled.clone(),
            seal_key: Arc::clone(&house.seal_key),
            need,
            open_by,
            fare,
            called_as: call.name.to_owned(),
            can_elicit: !matches!(call.asking, Asking::Never) && has_forms(&call.capabilities),
            approve_at: call.approve_at.map(str::to_owned),
            tool,
        }
    }

    pub(super) fn door(&self) -> Door {
        match self.need {
            Consent::Review => Door::Elsewhere,
            _ if self.can_elicit => Door::Question,
            Consent::Human => Door::Elsewhere,
            Consent::Auto | Consent::Confirm => Door::Token,
        }
    }

    pub(super) fn new_review(&self, summary: &str) -> Review {
        let facts = self.grant.principal().facts();
        let call = (facts.edition.clone(), self.tool.name.clone(), facts.user.clone());
        let id = new_id("rev", self.now);
        Review::new(id, call, summary.to_owned(), &self.tool.review, self.now)
    }

    /// What carries a plan out.
    pub(in crate::pipeline) fn applying(
        &self,
        permit: Permit,
        plan: Plan,
        agreed: bool,
        now: Timestamp,
    ) -> Apply {
        Apply {
            permit,
            plan,
            agreed,
            progress: self.progress.clone(),
            cancelled: self.cancelled.clone(),
            now,
        }
    }

    /// What a planning handler works on.
    pub(in crate::pipeline) fn plan_call(
        &self,
        arguments: Value,
        now: Timestamp,
    ) -> Result<PlanCall, ArgumentError> {
        Ok(PlanCall {
            grant: self.grant.clone(),
            edition: Arc::clone(&self.edition),
            arguments: self.tool.input.check(arguments)?,
            now,
        })
    }

    /// What a row's sealed parts are bound to.
    pub(in crate::pipeline) fn row_binding(&self, token_hash: &[u8; 32]) -> String {
        policy::row_binding(self.grant.principal().tenant(), token_hash)
    }

    /// What was sealed beside a row; nothing when the key was changed since.
    pub(in crate::pipeline) fn remembered(&self, row: &Pending) -> Option<Remembered<Preview>> {
        let binding = self.row_binding(&row.token_hash);
        self.seal_key.open_row(&binding, &row.sealed).ok()
    }

    pub(super) fn kept_result(&self, row: &Pending) -> Result<ToolResult, CallError> {
        let binding = self.row_binding(&row.token_hash);
        let bytes = row.result.as_deref().unwrap_or_default();
        let kept: Kept = self.seal_key.open_row(&binding, bytes).map_err(internal)?;
        kept.try_into().map_err(CallError::Domain)
    }
}

/// Whether the client can show its user a form: `elicitation: {}` says so as much as `elicitation: {form: {}}`.
fn has_forms(capabilities: &Map<String, Value>) -> bool {
    capabilities
        .get("elicitation")
        .and_then(Value::as_object)
        .is_some_and(|modes| modes.is_empty() || modes.contains_key("form"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn forms_are_declared_by_name_or_by_nothing() {
        let has = |capabilities: Value| has_forms(capabilities.as_object().unwrap());
        assert!(has(json!({"elicitation": {}})) && has(json!({"elicitation": {"form": {}, "url": {}}})));
        assert!(!has(json!({"elicitation": {"url": {}}})) && !has(json!({})));
    }
}
