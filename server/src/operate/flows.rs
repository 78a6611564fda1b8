//! Flows of a tenant, put in by file and switched on and off. Whoever manages the tenant may; no tool does
//! (catalogue.md §3.5).

use futures_util::{FutureExt, future::BoxFuture};
use secrecy::SecretString;
use serde_json::Value;

use super::{Actor, OperateError, boot};
use crate::{
    domain::{
        DomainError,
        workspace::flow::{
            book::{self, FlowRow, Rehearsal, RunRow},
            definition::Definition,
            hook::Hooks,
        },
    },
    store::{Store, TenantTx},
    vocabulary::TenantId,
};

/// What does the work inside a transaction.
type Work<T> =
    Box<dyn for<'t> FnOnce(&'t mut TenantTx<'_>, &'t str) -> BoxFuture<'t, Result<T, DomainError>> + Send>;

async fn managed<T: Send + 'static>(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    work: Work<T>,
) -> Result<T, OperateError> {
    let actor = actor.clone();
    store
        .write(tenant, move |tx| {
            async move {
                if !tx.users().tenant_is_active().await? {
                    return Err(OperateError::NotFound(format!(
                        "there is no active tenant `{}`; see `footbridge-server tenant list`",
                        tx.tenant()
                    )));
                }
                let by = actor.standing(tx).await?;
                by.must_manage()?;
                let who = by.user().map_or("operator", |user| user.id.as_str()).to_owned();
                Ok(work(tx, &who).await?)
            }
            .boxed()
        })
        .await
}

/// Puts a flow in: a new one, switched off, or another definition for the one of that name.
///
/// # Errors
/// When the actor does not manage the tenant, or it has too many flows.
pub async fn apply(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    definition: Definition,
) -> Result<FlowRow, OperateError> {
    let work: Work<FlowRow> =
        Box::new(move |tx, who| async move { book::apply(tx, &definition, who).await }.boxed());
    managed(store, actor, tenant, work).await
}

/// Switches a flow on or off.
///
/// # Errors
/// When the actor does not manage the tenant, or there is no flow of that id or name.
pub async fn switch(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    flow: &str,
    enabled: bool,
) -> Result<FlowRow, OperateError> {
    let flow = flow.to_owned();
    let work: Work<FlowRow> =
        Box::new(move |tx, who| async move { book::switch(tx, &flow, enabled, who).await }.boxed());
    managed(store, actor, tenant, work).await
}

/// Every flow, by name; for everybody who works in the tenant.
///
/// # Errors
/// When the actor is shut out, or the store fails.
pub async fn list(store: &Store, actor: &Actor, tenant: &TenantId) -> Result<Vec<FlowRow>, OperateError> {
    let actor = actor.clone();
    store
        .read(tenant, move |tx| {
            async move {
                actor.standing(tx).await?;
                Ok(book::list(tx).await?)
            }
            .boxed()
        })
        .await
}

/// A flow with its definition and its last runs, newest first.
///
/// # Errors
/// When the actor is shut out, or there is no flow of that id or name.
pub async fn show(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    flow: &str,
    runs: u32,
) -> Result<(FlowRow, Definition, Vec<RunRow>), OperateError> {
    let (actor, flow) = (actor.clone(), flow.to_owned());
    store
        .read(tenant, move |tx| {
            async move {
                actor.standing(tx).await?;
                Ok(book::show(tx, &flow, runs).await?)
            }
            .boxed()
        })
        .await
}

/// What an event would start, and what the steps would be; nothing is carried out.
///
/// # Errors
/// What of the event cannot be understood.
pub async fn rehearse(
    store: &Store,
    tenant: &TenantId,
    event: Value,
) -> Result<Vec<Rehearsal>, OperateError> {
    store
        .read(tenant, move |tx| {
            async move { Ok(book::rehearse(&mut tx.reading(), &event).await?) }.boxed()
        })
        .await
}

/// What the tenant's webhooks are signed with, for whoever runs a receiver. The operator's to tell.
///
/// # Errors
/// When the store fails.
pub async fn webhook_secret(store: &Store, tenant: &TenantId) -> Result<SecretString, OperateError> {
    let seal = boot::seal_key(store).await?;
    Ok(Hooks::secret(&seal, tenant))
}

impl From<DomainError> for OperateError {
    fn from(error: DomainError) -> Self {
        let said = error.to_string();
        match error {
            DomainError::Arguments(_) | DomainError::Protocol(_) => Self::Invalid(said),
            DomainError::NotFound { what, id } => {
                let id: String = id.chars().take(80).collect();
                Self::NotFound(format!("there is no {what} `{id}`"))
            }
            DomainError::Conflict(_) | DomainError::ConflictWith { .. } => Self::Conflict(said),
            DomainError::Store(error) => Self::Store(error),
            DomainError::Internal(source) => Self::Store(crate::store::StoreError::Row(source.to_string())),
            _ => Self::Rule(said),
        }
    }
}
