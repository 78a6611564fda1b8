//! What a plan about a conversation hands on to what carries it out.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    domain::{
        Apply, DomainError, Plan, PlanCall, ToolResult,
        workspace::{
            change::Names,
            kinds::conversation::Conversation,
            once::{self, Once, Seen},
            record::{Kind, Stored, Who},
            refs,
            talk::acts::Hand,
        },
    },
    store::{ReadTx, TenantTx},
    vocabulary::UserId,
};

/// A plan's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Planned<T> {
    /// The conversation.
    pub(super) id: String,
    /// What the tool needs.
    pub(super) what: T,
    once: Option<Once>,
    replay: Option<Value>,
}

/// What the key for idempotency of a call says.
pub(super) enum Key {
    /// Go on; remember the result under this, if there is one.
    Fresh(Option<Once>),
    /// The call was made before: this is its plan.
    Replay(Plan),
}

/// Looks at the key of a call.
///
/// # Errors
/// A conflict, when it was used with other arguments.
pub(super) async fn key(tx: &mut ReadTx<'_>, call: &PlanCall) -> Result<Key, DomainError> {
    let tool = call.grant.tool().name.as_str();
    let seen = once::look(tx, call.principal(), tool, call.arguments.as_map(), call.now).await?;
    Ok(match seen {
        Seen::NoKey => Key::Fresh(None),
        Seen::New(once) => Key::Fresh(Some(once)),
        Seen::Before(result) => {
            let plan = Plan::new("This call was made before; it gives the same result and changes nothing");
            Key::Replay(plan.carrying(&Planned {
                id: String::new(),
                what: Value::Null,
                once: None,
                replay: Some(result),
            })?)
        }
    })
}

/// Hands what a tool needs on to what carries it out.
///
/// # Errors
/// When it has no JSON form, which is our fault.
pub(super) fn carrying(
    plan: Plan,
    id: &str,
    what: &impl Serialize,
    once: Option<Once>,
) -> Result<Plan, DomainError> {
    plan.carrying(&Planned {
        id: id.to_owned(),
        what: serde_json::to_value(what).map_err(DomainError::internal)?,
        once,
        replay: None,
    })
}

/// What a plan says, or the result of the call that was made before.
pub(super) enum Taken<T> {
    /// To be done.
    Do(Planned<T>),
    /// Was done.
    Done(ToolResult),
}

/// Reads a plan's payload.
///
/// # Errors
/// When it is of another tool, which is our fault.
pub(super) fn take<T: DeserializeOwned>(apply: &Apply) -> Result<Taken<T>, DomainError> {
    let planned: Planned<Value> = apply.plan.payload()?;
    if let Some(result) = planned.replay {
        return once::replayed(result).map(Taken::Done);
    }
    Ok(Taken::Do(Planned {
        id: planned.id,
        what: T::deserialize(planned.what).map_err(DomainError::internal)?,
        once: planned.once,
        replay: None,
    }))
}

impl<T> Planned<T> {
    /// The version that the plan was made on.
    pub(super) fn version(&self, apply: &Apply) -> Option<u32> {
        apply.plan.version_of(Conversation::NAME, &self.id)
    }

    /// The answer, which a key for idempotency remembers.
    ///
    /// # Errors
    /// When another call with the key was faster.
    pub(super) async fn answer(
        &self,
        tx: &mut TenantTx<'_>,
        result: Map<String, Value>,
        ids: impl IntoIterator<Item = String>,
    ) -> Result<ToolResult, DomainError> {
        once::answer(tx, self.once.as_ref(), result, ids).await
    }
}

/// The caller's hand.
///
/// # Errors
/// When the store fails.
pub(super) async fn hand(tx: &mut TenantTx<'_>, apply: &Apply) -> Result<Hand, DomainError> {
    let principal = apply.permit.principal();
    Hand::of(tx, &principal.facts().user, Who::of(principal)).await
}

/// A conversation in a sentence, for whoever may read it.
pub(super) fn label(conversation: &Stored<Conversation>) -> String {
    let fields = conversation.fields();
    let with = fields
        .name
        .as_deref()
        .or(fields.email.as_deref())
        .unwrap_or("a visitor");
    match fields.subject.as_deref() {
        Some(subject) => format!("\"{subject}\" with {with}"),
        None => format!("with {with}"),
    }
}

/// What ids in a plan about conversations are called.
///
/// # Errors
/// When the store fails.
pub(super) async fn name_person(
    tx: &mut ReadTx<'_>,
    names: &mut Names,
    id: Option<&str>,
) -> Result<(), DomainError> {
    let Some(id) = id.and_then(|id| UserId::new(id).ok()) else {
        return Ok(());
    };
    if let Some(user) = tx.users().find(&id).await? {
        names.add(id.as_str(), refs::person(&user));
    }
    Ok(())
}
