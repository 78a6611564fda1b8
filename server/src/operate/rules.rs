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
    store
        .write(tenant, move |tx| {
            async move {
                let mut rules = tx.settings().get::<TenantRules>(RULES).await?.unwrap_or_default();
                let before = logged(&rules);
                let subject = match tool {
                    None => {
                        rules.writes = consent;
                        "writes".to_owned()
                    }
                    Some(tool) => {
                        let subject = tool.to_string();
                        if consent == Consent::Auto {
                            rules.tools.remove(&tool);
                        } else {
                            rules.tools.insert(tool, consent);
                        }
                        subject
                    }
                };
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
