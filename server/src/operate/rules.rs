//! What a tenant asks for beyond what its tools do: rules that only tighten (catalogue.md §2.7).

use futures_util::FutureExt;

use super::{OperateError, Standing, logged, note};
use crate::{
    policy::{RULES, TenantRules},
    store::Store,
    vocabulary::{Consent, TenantId, ToolName},
};

/// The rules of a tenant.
///
/// # Errors
/// When the store cannot be read.
pub async fn show(store: &Store, tenant: &TenantId) -> Result<TenantRules, OperateError> {
    let rules = store.read(tenant, |tx| {
        async move { tx.settings().get::<TenantRules>(RULES).await }.boxed()
    });
    Ok(rules.await?.unwrap_or_default())
}

/// Sets what a tenant asks for: before every change, or before one tool. Servers follow within a second.
///
/// # Errors
/// When the store cannot be written.
pub async fn set(
    store: &Store,
    tenant: &TenantId,
    tool: Option<&ToolName>,
    consent: Consent,
) -> Result<TenantRules, OperateError> {
    let tool = tool.cloned();
    let subject = tool
        .as_ref()
        .map_or_else(|| "writes".to_owned(), ToString::to_string);
    change(store, tenant, subject, move |rules| match tool {
        None => rules.writes = consent,
        Some(tool) if consent == Consent::Auto => drop(rules.tools.remove(&tool)),
        Some(tool) => drop(rules.tools.insert(tool, consent)),
    })
    .await
}

/// Sets whether owners and admins of a tenant may approve reviews of their own calls.
///
/// # Errors
/// When the store cannot be written.
pub async fn set_admin_self_approval(
    store: &Store,
    tenant: &TenantId,
    allowed: bool,
) -> Result<TenantRules, OperateError> {
    let subject = "admin_self_approval".to_owned();
    change(store, tenant, subject, move |rules| {
        rules.admin_self_approval = allowed;
    })
    .await
}

async fn change(
    store: &Store,
    tenant: &TenantId,
    subject: String,
    change: impl FnOnce(&mut TenantRules) + Send + 'static,
) -> Result<TenantRules, OperateError> {
    store
        .write(tenant, move |tx| {
            async move {
                let mut rules = tx.settings().get::<TenantRules>(RULES).await?.unwrap_or_default();
                let before = logged(&rules);
                change(&mut rules);
                tx.settings().set(RULES, &rules).await?;
                note(
                    tx,
                    &Standing::Operator,
                    "tenant.policy",
                    &subject,
                    before,
                    logged(&rules),
                );
                Ok::<_, OperateError>(rules)
            }
            .boxed()
        })
        .await
}
