//! What a call would do, before it does it (catalogue.md §2.8): a planning handler reads and writes down every
//! change; what carries the plan out gets exactly that plan.
//!
//! Invariant: a plan depends on the arguments, the store and [`PlanCall::now`] alone. It is made again when the yes
//! comes, and a plan that then differs in anything is not carried out. Identifiers and moments that are new each
//! time therefore belong into what applies it.

use std::{borrow::Cow, sync::Arc};

use futures_util::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{DomainError, Progress, TenantStore, ToolResult};
use crate::{
    access::{Grant, Principal},
    catalogue::{Arguments, Edition},
    policy::Permit,
    store::{ReadTx, TenantTx},
    vocabulary::{Scope, Timestamp, canonical, sha256},
};

/// What a planning handler works on. It holds no permit: planning has no effect.
#[derive(Debug)]
pub struct PlanCall {
    /// Proof that the caller may call the tool.
    pub grant: Grant,
    /// The edition, which knows what scopes mean.
    pub edition: Arc<Edition>,
    /// Validated arguments.
    pub arguments: Arguments,
    /// When the call was first made; the same when the plan is made again.
    pub now: Timestamp,
}

impl PlanCall {
    /// Who calls.
    pub fn principal(&self) -> &Principal {
        self.grant.principal()
    }

    /// What shows values to whoever holds a scope, and hides them from a key that may write and not read
    /// (catalogue.md §2.3).
    pub fn reader(&self, scope: &Scope) -> Reader {
        let held = &self.principal().facts().scopes;
        let hidden = !self.edition.scopes.satisfies(held, scope);
        Reader(hidden.then(|| format!("(hidden: needs {scope})").into()))
    }
}

/// Shows stored values, or hides them.
#[derive(Clone, Debug)]
pub struct Reader(Option<Arc<str>>);

impl Reader {
    /// A value from the store, as this caller may see it.
    pub fn show(&self, value: impl Into<Value>) -> Shown {
        Shown {
            value: value.into(),
            hidden: self.0.clone(),
        }
    }

    /// Whether the caller may see what is stored.
    pub fn shows(&self) -> bool {
        self.0.is_none()
    }

    /// A stored text to be woven into a sentence.
    pub fn text<'a>(&'a self, stored: &'a str) -> &'a str {
        self.0.as_deref().unwrap_or(stored)
    }
}

/// A stored value on its way to a caller. What decides whether a plan is still the same is the value; what the
/// caller sees may be that it is hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    value: Value,
    hidden: Option<Arc<str>>,
}

impl Shown {
    /// A value that no scope of ours hides.
    pub fn open(value: impl Into<Value>) -> Self {
        Self {
            value: value.into(),
            hidden: None,
        }
    }

    /// As the caller sees it.
    pub fn visible(&self) -> Value {
        match &self.hidden {
            Some(text) => Value::String(text.to_string()),
            None => self.value.clone(),
        }
    }
}

/// What one change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Adds.
    Create,
    /// Changes.
    Update,
    /// Removes.
    Delete,
    /// Sets something in motion.
    Run,
}

impl Op {
    /// The word in previews.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Run => "run",
        }
    }
}

/// One change of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is done.
    pub op: Op,
    /// To which kind of record.
    pub object: Cow<'static, str>,
    /// To which record, when it exists.
    pub id: Option<String>,
    /// To which of its fields; the whole record when absent.
    pub field: Option<Cow<'static, str>>,
    /// What is there now.
    pub from: Option<Shown>,
    /// What will be there.
    pub to: Option<Value>,
}

impl Change {
    /// A field of a new record.
    pub fn create(
        object: impl Into<Cow<'static, str>>,
        field: impl Into<Cow<'static, str>>,
        to: impl Into<Value>,
    ) -> Self {
        Self {
            op: Op::Create,
            object: object.into(),
            id: None,
            field: Some(field.into()),
            from: None,
            to: Some(to.into()),
        }
    }

    /// A field of a record that exists.
    pub fn update(
        object: impl Into<Cow<'static, str>>,
        id: impl Into<String>,
        field: impl Into<Cow<'static, str>>,
        from: Shown,
        to: impl Into<Value>,
    ) -> Self {
        Self {
            op: Op::Update,
            object: object.into(),
            id: Some(id.into()),
            field: Some(field.into()),
            from: Some(from),
            to: Some(to.into()),
        }
    }

    /// A whole record that goes.
    pub fn delete(object: impl Into<Cow<'static, str>>, id: impl Into<String>) -> Self {
        Self {
            op: Op::Delete,
            object: object.into(),
            id: Some(id.into()),
            field: None,
            from: None,
            to: None,
        }
    }

    /// Something that is set in motion.
    pub fn run(object: impl Into<Cow<'static, str>>, id: Option<String>) -> Self {
        Self {
            op: Op::Run,
            object: object.into(),
            id,
            field: None,
            from: None,
            to: None,
        }
    }
}

/// Everything that a call would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The whole in one sentence.
    pub summary: String,
    /// Every change, field by field.
    pub changes: Vec<Change>,
    /// What follows from it elsewhere.
    pub effects: Vec<String>,
    /// What a person should know before agreeing.
    pub warnings: Vec<String>,
    versions: Vec<(&'static str, String, u32)>,
    payload: Value,
}

impl Plan {
    /// A plan that is summed up by one sentence.
    pub fn new(summary: impl Into<String>) -> Self {
        Self {
            summary: summary.into(),
            ..Self::default()
        }
    }

    /// Adds a change.
    #[must_use]
    pub fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Adds what follows from it elsewhere.
    #[must_use]
    pub fn with_effect(mut self, effect: impl Into<String>) -> Self {
        self.effects.push(effect.into());
        self
    }

    /// Adds a warning.
    #[must_use]
    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// Notes at which version a record was read: another version makes another plan.
    #[must_use]
    pub fn on(mut self, object: &'static str, id: impl Into<String>, version: u32) -> Self {
        self.versions.push((object, id.into(), version));
        self
    }

    /// The version at which a record was read, for the statement that changes it.
    pub fn version_of(&self, object: &str, id: &str) -> Option<u32> {
        let mut versions = self.versions.iter();
        versions
            .find(|(kind, of, _)| *kind == object && of == id)
            .map(|(_, _, version)| *version)
    }

    /// Hands something on to what applies the plan. It is part of the plan.
    ///
    /// # Errors
    /// When the value has no JSON form, which is our fault.
    pub fn carrying(mut self, payload: &impl Serialize) -> Result<Self, DomainError> {
        self.payload = serde_json::to_value(payload).map_err(DomainError::internal)?;
        Ok(self)
    }

    /// What [`Plan::carrying`] handed on.
    ///
    /// # Errors
    /// When it is of another type, which is our fault.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, DomainError> {
        T::deserialize(&self.payload).map_err(DomainError::internal)
    }

    /// SHA-256 of the plan in canonical form, hidden values included, so that every key of a person finds the same
    /// plan. The summary says in words what the changes say and may have words hidden, so it does not count. `tool`
    /// is the digest of the tool's definition: the same changes by another tool are another plan.
    pub fn digest(&self, tool: &[u8; 32]) -> [u8; 32] {
        let changes: Vec<Value> = self
            .changes
            .iter()
            .map(|change| {
                json!([
                    change.op.as_str(),
                    change.object,
                    change.id,
                    change.field,
                    change.from.as_ref().map(|from| &from.value),
                    change.to
                ])
            })
            .collect();
        let versions: Vec<Value> = self.versions.iter().map(|read| json!(read)).collect();
        sha256(&canonical(&json!([
            tool,
            changes,
            self.effects,
            self.warnings,
            versions,
            self.payload
        ])))
    }
}

/// What carries a plan out.
#[derive(Debug)]
pub struct Apply {
    /// Proof that this call may run.
    pub permit: Permit,
    /// What to do, and nothing else.
    pub plan: Plan,
    /// Whether somebody agreed to exactly this plan: then it happens exactly, or not at all.
    pub agreed: bool,
    /// Where to report how far the work is.
    pub progress: Progress,
    /// Fires when nobody waits for the answer any more.
    pub cancelled: CancellationToken,
    /// The moment that the plan was made for.
    pub now: Timestamp,
}

type Planner =
    dyn for<'t> Fn(&'t mut ReadTx<'_>, PlanCall) -> BoxFuture<'t, Result<Plan, DomainError>> + Send + Sync;
type Inside = dyn for<'t> Fn(&'t mut TenantTx<'_>, Apply) -> BoxFuture<'t, Result<ToolResult, DomainError>>
    + Send
    + Sync;
type Outside =
    dyn Fn(TenantStore, Apply) -> BoxFuture<'static, Result<ToolResult, DomainError>> + Send + Sync;

type RemotePlanner = dyn Fn(PlanCall) -> BoxFuture<'static, Result<Plan, DomainError>> + Send + Sync;

/// What a plan is made of.
#[derive(Clone)]
pub(crate) enum PlanSource {
    /// The store, in one snapshot.
    Store(Arc<Planner>),
    /// Another system, which no transaction waits for.
    Remote(Arc<RemotePlanner>),
}

/// A handler in two steps.
#[derive(Clone)]
pub struct Planned {
    /// Reads and writes the plan down.
    pub(crate) plan: PlanSource,
    /// Carries it out.
    pub(crate) apply: Applier,
}

/// Where a plan is carried out.
#[derive(Clone)]
pub(crate) enum Applier {
    /// In the transaction that also carries the audit event and the end of the waiting call.
    Inside(Arc<Inside>),
    /// Outside the store's transactions.
    Outside(Arc<Outside>),
}

impl Planned {
    pub(super) fn in_transaction(plan: Arc<Planner>, apply: Arc<Inside>) -> Self {
        Self {
            plan: PlanSource::Store(plan),
            apply: Applier::Inside(apply),
        }
    }

    pub(super) fn outside(plan: Arc<Planner>, apply: Arc<Outside>) -> Self {
        Self {
            plan: PlanSource::Store(plan),
            apply: Applier::Outside(apply),
        }
    }

    pub(super) fn remote(plan: Arc<RemotePlanner>, apply: Arc<Outside>) -> Self {
        Self {
            plan: PlanSource::Remote(plan),
            apply: Applier::Outside(apply),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(from: Shown) -> Plan {
        Plan::new("Close ticket #12")
            .with(Change::update("ticket", "tkt_1", "status", from, "closed"))
            .on("ticket", "tkt_1", 3)
    }

    #[test]
    fn every_part_of_a_plan_counts_and_what_is_hidden_counts_too() {
        let tool = [1; 32];
        let open = Reader(None);
        let closed = Reader(Some("(hidden: needs tickets:read)".into()));
        let first = plan(open.show("open"));
        assert_eq!(first.digest(&tool), plan(open.show("open")).digest(&tool));
        assert_eq!(first.digest(&tool), plan(closed.show("open")).digest(&tool));
        assert_eq!(closed.show("open").visible(), "(hidden: needs tickets:read)");
        assert_eq!(closed.text("Ada"), "(hidden: needs tickets:read)");
        let others = [
            plan(open.show("waiting")),
            plan(open.show("open")).on("ticket", "tkt_2", 1),
            plan(open.show("open")).with_effect("sends a message"),
            plan(open.show("open")).with_warning("has an open conversation"),
            plan(open.show("open")).with(Change::delete("ticket", "tkt_2")),
            plan(open.show("open")).carrying(&1).unwrap(),
        ];
        for other in others {
            assert_ne!(first.digest(&tool), other.digest(&tool), "{other:?}");
        }
        let reworded = Plan {
            summary: "Close (hidden)".to_owned(),
            ..plan(open.show("open"))
        };
        assert_eq!(first.digest(&tool), reworded.digest(&tool));
        assert_ne!(first.digest(&tool), first.digest(&[2; 32]));
        assert_eq!(first.version_of("ticket", "tkt_1"), Some(3));
        assert_eq!(first.version_of("ticket", "tkt_2"), None);
    }
}
