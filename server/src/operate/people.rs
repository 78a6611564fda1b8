//! Tenants and the people in them.

use futures_util::FutureExt;

use super::{OperateError, note};
use crate::{
    store::{NewTenant, NewUser, Store, SystemTx, Tenant, TenantTx, User},
    vocabulary::{Role, TenantId, UserId, new_id},
};

/// The tenant of a store that one person uses on their own machine.
pub const LOCAL_TENANT: &str = "local";
/// Who owns that tenant until somebody with a name does.
pub const LOCAL_OWNER: &str = "operator@localhost";

/// Makes a tenant.
///
/// # Errors
/// When the name is taken or has the wrong form.
pub async fn add_tenant(store: &Store, id: &str, name: &str) -> Result<Tenant, OperateError> {
    let new = NewTenant {
        id: TenantId::new(id)?,
        name: name.to_owned(),
        monthly_cap: None,
    };
    store
        .system_write(move |tx| {
            async move {
                let tenant = tx.tenants().insert(&new).await?;
                note(&mut tx.within(&tenant.id), "tenant.add", tenant.id.as_str())?;
                Ok(tenant)
            }
            .boxed()
        })
        .await
}

/// Sees to it that a tenant exists before something is put into it.
///
/// A store that knows no tenant yet gets the tenant `local` with its owner: whoever holds the data folder owns it.
///
/// # Errors
/// When there is no tenant of that name; the text names those there are.
pub(super) async fn prepare_tenant(tx: &mut SystemTx<'_>, tenant: &TenantId) -> Result<(), OperateError> {
    let known = tx.tenants().list().await?;
    if known.iter().any(|known| known.id == *tenant) {
        return Ok(());
    }
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
pub async fn tenants(store: &Store) -> Result<Vec<Tenant>, OperateError> {
    store
        .system_read(|tx| async move { Ok(tx.tenants().list().await?) }.boxed())
        .await
}

/// Adds a person to a tenant.
///
/// # Errors
/// When the address is taken or is none.
pub async fn add_user(
    store: &Store,
    tenant: &TenantId,
    email: &str,
    name: &str,
    role: Role,
) -> Result<User, OperateError> {
    check_email(email)?;
    let (email, name) = (email.to_owned(), name.to_owned());
    store
        .write(tenant, move |tx| {
            async move {
                let id = UserId::new(&new_id("usr", tx.now()))?;
                let new = NewUser {
                    id,
                    email,
                    name,
                    role,
                    groups: Vec::new(),
                    password_hash: None,
                };
                let user = tx.users().insert(&new).await?;
                note(tx, "user.add", user.id.as_str())?;
                Ok(user)
            }
            .boxed()
        })
        .await
}

/// The people of a tenant.
///
/// # Errors
/// When the store cannot be read.
pub async fn users(store: &Store, tenant: &TenantId) -> Result<Vec<User>, OperateError> {
    store
        .read(tenant, |tx| async move { Ok(tx.users().list().await?) }.boxed())
        .await
}

/// Changes a person's role; their keys follow within a second.
///
/// # Errors
/// When there is nobody of that address, or the tenant would be left without an owner.
pub async fn set_role(store: &Store, tenant: &TenantId, email: &str, role: Role) -> Result<(), OperateError> {
    let email = email.to_owned();
    store
        .write(tenant, move |tx| {
            async move {
                let user = changeable(tx, &email, role == Role::Owner).await?;
                tx.users().set_role(&user.id, role).await?;
                Ok(note(tx, "user.role", user.id.as_str())?)
            }
            .boxed()
        })
        .await
}

/// Shuts a person out; their keys stop within a second.
///
/// # Errors
/// When there is nobody of that address, or the tenant would be left without an owner.
pub async fn disable_user(store: &Store, tenant: &TenantId, email: &str) -> Result<(), OperateError> {
    let email = email.to_owned();
    store
        .write(tenant, move |tx| {
            async move {
                let user = changeable(tx, &email, false).await?;
                tx.users().disable(&user.id).await?;
                Ok(note(tx, "user.disable", user.id.as_str())?)
            }
            .boxed()
        })
        .await
}

/// The person of that address, if the tenant keeps an owner when they are changed: without one it could never be
/// repaired from inside.
async fn changeable(tx: &mut TenantTx<'_>, email: &str, stays_owner: bool) -> Result<User, OperateError> {
    let all = tx.users().list().await?;
    let user = tx
        .users()
        .find_by_email(email)
        .await?
        .ok_or_else(|| nobody(email))?;
    let is_owner = |u: &User| u.role == Role::Owner && u.disabled_at.is_none();
    if is_owner(&user) && !stays_owner && all.iter().filter(|u| is_owner(u)).count() == 1 {
        return Err(OperateError::Rule(format!(
            "`{}` is the tenant's last owner; make somebody else owner first",
            user.email
        )));
    }
    Ok(user)
}

fn nobody(email: &str) -> OperateError {
    OperateError::NotFound(format!(
        "there is nobody called `{email}` in this tenant; see `footbridge-server user list`"
    ))
}

fn check_email(email: &str) -> Result<(), OperateError> {
    let good = email.len() <= 200
        && email
            .split_once('@')
            .is_some_and(|(left, right)| !left.is_empty() && !right.is_empty())
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if good {
        Ok(())
    } else {
        Err(OperateError::Rule(
            "an e-mail address looks like ada@example.com".to_owned(),
        ))
    }
}
