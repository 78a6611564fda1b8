//! What was planned is written, or answered again.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Carried, Writing, object};
use crate::{
    domain::{
        Apply, DomainError, Plan, ToolResult,
        workspace::{
            change, once,
            record::{self, Document, Kind, Stored, Who},
        },
    },
    store::TenantTx,
};

impl<K: Kind> Writing<K> {
    /// Whether the same call was made before, so that nothing is written.
    pub(crate) fn is_replay(&self) -> bool {
        self.replay.is_some()
    }

    /// The plan: `summary`, the fields that differ, and `extra` for what carries it out.
    ///
    /// # Errors
    /// When something has no JSON form, which is our fault.
    pub(crate) fn plan(self, summary: &str, extra: &impl Serialize) -> Result<Plan, DomainError> {
        if let Some(result) = self.replay {
            return Plan::new("This call was made before; it gives the same result and changes nothing")
                .carrying(&Carried {
                    id: None,
                    doc: Value::Null,
                    changed: Vec::new(),
                    extra: Value::Null,
                    once: None,
                    replay: Some(result),
                });
        }
        let mut plan = Plan::new(summary);
        for warning in self.warnings {
            plan = plan.with_warning(warning);
        }
        let before = self.before.as_ref();
        let (mut plan, changed) = change::changes(plan, before, &self.doc, &self.reader, &self.names)?;
        if before.is_some() && changed.is_empty() {
            plan = plan.with_warning("nothing would change");
        }
        for event in K::events(before.map(Stored::fields), &self.doc.fields) {
            plan = plan.with_effect(format!("event {event}, which flows may follow"));
        }
        plan.carrying(&Carried {
            id: self.before.map(|before| before.id),
            doc: serde_json::to_value(&self.doc).map_err(DomainError::internal)?,
            changed,
            extra: serde_json::to_value(extra).map_err(DomainError::internal)?,
            once: self.once,
            replay: None,
        })
    }
}

impl Carried {
    /// The document to be.
    ///
    /// # Errors
    /// When it is of another kind, which is our fault.
    pub(crate) fn doc<K: Kind>(&self) -> Result<Document<K>, DomainError> {
        Document::deserialize(&self.doc).map_err(DomainError::internal)
    }

    /// The result of the same call, if it was made before.
    ///
    /// # Errors
    /// When it has no JSON form, which is our fault.
    pub(crate) fn replayed(&self) -> Result<Option<ToolResult>, DomainError> {
        let Some(result) = &self.replay else {
            return Ok(None);
        };
        once::replayed(result.clone()).map(Some)
    }

    /// Writes the document: a new record, or the next version of the one that was planned on.
    ///
    /// # Errors
    /// When it changed since.
    pub(crate) async fn write<K: Kind>(
        &self,
        tx: &mut TenantTx<'_>,
        apply: &Apply,
        doc: Document<K>,
    ) -> Result<Stored<K>, DomainError> {
        let who = Who::of(apply.permit.principal());
        match &self.id {
            None => record::insert(tx, doc, &who).await,
            Some(id) => {
                let version = apply.plan.version_of(K::NAME, id);
                let written = record::update(tx, id, &doc, version, &who).await?;
                written.ok_or_else(|| DomainError::not_found(K::NAME, id.as_str()))
            }
        }
    }

    /// The answer, which a key for idempotency remembers.
    ///
    /// # Errors
    /// When another call with the key was faster.
    pub(crate) async fn answer(
        &self,
        tx: &mut TenantTx<'_>,
        result: Map<String, Value>,
        ids: impl IntoIterator<Item = String>,
    ) -> Result<ToolResult, DomainError> {
        once::answer(tx, self.once.as_ref(), result, ids).await
    }
}

/// Carries a plan out that needs no more than its document: `{<kind>, changed?}`.
///
/// # Errors
/// As [`Carried::write`].
pub(crate) async fn carry_out<K: Kind>(
    tx: &mut TenantTx<'_>,
    apply: Apply,
) -> Result<ToolResult, DomainError> {
    let carried: Carried = apply.plan.payload()?;
    if let Some(result) = carried.replayed()? {
        return Ok(result);
    }
    let is_new = carried.id.is_none();
    if !is_new && carried.changed.is_empty() {
        let id = carried.id.as_deref().unwrap_or_default();
        let same: Stored<K> = record::get(&mut tx.reading(), id).await?;
        let mut result = object(K::NAME, same.view()?);
        result.insert("changed".to_owned(), json!([]));
        return carried.answer(tx, result, [same.id]).await;
    }
    let written = carried.write::<K>(tx, &apply, carried.doc()?).await?;
    let mut result = object(K::NAME, written.view()?);
    if !is_new {
        result.insert("changed".to_owned(), json!(carried.changed));
    }
    carried.answer(tx, result, [written.id]).await
}
