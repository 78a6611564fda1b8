//! Tenants, and the one of a store that one person uses. Operator's work only.

use futures_util::FutureExt;
use serde_json::json;

use super::{OperateError, Standing, note, words};
use crate::{
    store::{NewTenant, NewUser, Store, SystemTx, Tenant, TenantStatus, TenantTx},
    vocabulary::{Role, TenantId, UserId, new_id},
};

/// The tenant of a store that one person uses on their own machine.
pub const LOCAL_TENANT: &str = "local";
/// Who owns that tenant until somebody with a name does.
pub const LOCAL_OWNER: &str = "operator@localhost";
/// Makes a tenant. Operator's work only.
///
/// # Errors
/// When the name is taken or has the wrong form.
pub async fn add(store: &Store, id: &str, name: &str) -> Result<Tenant, OperateError> {
    let new = NewTenant {
        id: TenantId::new(id)?,
        name: words::name("name", name)?,
        monthly_cap: None,
    };
    store
        .system_write(move |tx| {
            async move {
                let tenant = tx.tenants().insert(&new).await?;
                let mut tx = tx.within(&tenant.id);
                let after = Some(json!({ "name": tenant.name }));
                note(
                    &mut tx,
                    &Standing::Operator,
                    "tenant.add",
                    tenant.id.as_str(),
                    None,
                    after,
                );
                Ok(tenant)
            }
            .boxed()
        })
        .await
}

/// Suspends a tenant, so that none of its credentials opens anything, or admits it again. Operator's work only.
///
/// # Errors
/// When there is no tenant of that name.
pub async fn set_status(store: &Store, tenant: &TenantId, status: TenantStatus) -> Result<(), OperateError> {
    let tenant = tenant.clone();
    store
        .system_write(move |tx| {
            async move {
                if !tx.tenants().set_status(&tenant, status).await? {
                    return Err(no_tenant(&tenant));
                }
                let command = match status {
                    TenantStatus::Active => "tenant.admit",
                    TenantStatus::Suspended => "tenant.suspend",
                };
                let mut tx = tx.within(&tenant);
                let after = Some(json!({ "status": status.as_str() }));
                note(
                    &mut tx,
                    &Standing::Operator,
                    command,
                    tenant.as_str(),
                    None,
                    after,
                );
                Ok(())
            }
            .boxed()
        })
        .await
}

fn no_tenant(tenant: &TenantId) -> OperateError {
    OperateError::NotFound(format!(
        "there is no tenant `{tenant}`; see `footbridge-server tenant list`"
    ))
}

/// Sees to it that a tenant exists before something is put into it.
///
/// A store that knows no tenant yet gets the tenant `local` with its owner: whoever holds the data folder owns it.
///
/// # Errors
/// When there is no tenant of that name; the text names those there are.
pub(super) async fn prepare_tenant(tx: &mut SystemTx<'_>, tenant: &TenantId) -> Result<(), OperateError> {
    if tx.tenants().find(tenant).await?.is_some() {
        return Ok(());
    }
    let known = tx.tenants().list().await?;
    if tenant.as_str() != LOCAL_TENANT || !known.is_empty() {
        let known: Vec<_> = known.iter().map(|tenant| tenant.id.as_str()).collect();
        return Err(OperateError::NotFound(format!(
            "there is no tenant `{tenant}`; there are: {}. Add it with `footbridge-server tenant add {tenant}`",
            if known.is_empty() {
                "none yet".to_owned()
            } else {
                known.join(", ")
            }
        )));
    }
    let local = NewTenant {
        id: tenant.clone(),
        name: "Local".to_owned(),
        monthly_cap: None,
    };
    tx.tenants().insert(&local).await?;
    add_local_owner(&mut tx.within(tenant)).await
}

async fn add_local_owner(tx: &mut TenantTx<'_>) -> Result<(), OperateError> {
    let id = UserId::new(&new_id("usr", tx.now()))?;
    let owner = NewUser {
        id,
        email: LOCAL_OWNER.to_owned(),
        name: "Operator".to_owned(),
        role: Role::Owner,
        groups: Vec::new(),
        password_hash: None,
    };
    tx.users().insert(&owner).await?;
    Ok(())
}

/// Every tenant.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(store: &Store) -> Result<Vec<Tenant>, OperateError> {
    store
        .system_read(|tx| async move { Ok(tx.tenants().list().await?) }.boxed())
        .await
}
