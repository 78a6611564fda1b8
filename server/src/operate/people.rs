//! Tenants and the people in them.
//!
//! A person is named by id or by e-mail address. Whatever changes somebody's rights acts at once on their keys, on
//! every replica: a key holds no role of its own (catalogue.md §2.2).

use futures_util::FutureExt;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;

use super::{Actor, OperateError, Standing, logged, note, passwords, sessions, sign_in, words};
use crate::{
    store::{NewTenant, NewUser, Store, SystemTx, Tenant, TenantStatus, TenantTx, User},
    vocabulary::{Role, TenantId, Timestamp, UserId, new_id},
};

/// The tenant of a store that one person uses on their own machine.
pub const LOCAL_TENANT: &str = "local";
/// Who owns that tenant until somebody with a name does.
pub const LOCAL_OWNER: &str = "operator@localhost";
/// Most people of one tenant: a list that one page can hold, and a table that every replica keeps in memory.
pub const MOST_PEOPLE: usize = 10_000;

/// A person as lists and replies show them: no hash, ever.
#[derive(Clone, Debug, Serialize)]
pub struct PersonView {
    /// Identity.
    pub id: UserId,
    /// E-mail address.
    pub email: String,
    /// Name for people.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Free names that policies refer to.
    pub groups: Vec<String>,
    /// Whether they may do anything at present.
    pub active: bool,
    /// Whether they can sign in with a password.
    pub has_password: bool,
    /// When they were added.
    pub created_at: Timestamp,
    /// Since when they are shut out.
    pub disabled_at: Option<Timestamp>,
}

impl From<&User> for PersonView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.clone(),
            email: user.email.clone(),
            name: user.name.clone(),
            role: user.role,
            groups: user.groups.clone(),
            active: user.disabled_at.is_none(),
            has_password: user.password_hash.is_some(),
            created_at: user.created_at,
            disabled_at: user.disabled_at,
        }
    }
}

/// Somebody to be added.
#[derive(Clone, Debug)]
pub struct NewPerson {
    /// E-mail address.
    pub email: String,
    /// Name for people; empty: the address up to its `@`.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Free names.
    pub groups: Vec<String>,
}

impl NewPerson {
    /// The person with what they said of themselves checked and trimmed.
    pub(super) fn checked(self) -> Result<Self, OperateError> {
        let email = words::email(&self.email)?;
        let name = words::name("name", &self.name)?;
        let name = if name.is_empty() {
            email.split('@').next().unwrap_or_default().to_owned()
        } else {
            name
        };
        Ok(Self {
            name: words::name("name", &name)?,
            groups: words::groups(&self.groups)?,
            email,
            role: self.role,
        })
    }
}

/// Makes a tenant. Operator's work only.
///
/// # Errors
/// When the name is taken or has the wrong form.
pub async fn add_tenant(store: &Store, id: &str, name: &str) -> Result<Tenant, OperateError> {
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
pub async fn set_tenant_status(
    store: &Store,
    tenant: &TenantId,
    status: TenantStatus,
) -> Result<(), OperateError> {
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
pub async fn tenants(store: &Store) -> Result<Vec<Tenant>, OperateError> {
    store
        .system_read(|tx| async move { Ok(tx.tenants().list().await?) }.boxed())
        .await
}

/// Adds a person to a tenant. They can sign in once they have a password; with an invitation they choose it.
///
/// # Errors
/// When the address is taken or is none, or the actor may not give that role.
pub async fn add_user(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    person: NewPerson,
) -> Result<User, OperateError> {
    let (actor, person) = (actor.clone(), person.checked()?);
    store
        .write(tenant, move |tx| {
            async move {
                tx.users().lock().await?;
                let by = actor.standing(tx).await?;
                by.must_command(person.role)?;
                let user = insert(tx, person, None).await?;
                note(
                    tx,
                    &by,
                    "user.add",
                    user.id.as_str(),
                    None,
                    logged(&PersonView::from(&user)),
                );
                Ok(user)
            }
            .boxed()
        })
        .await
}

/// Adds a checked person. The caller holds the lock on people.
pub(super) async fn insert(
    tx: &mut TenantTx<'_>,
    person: NewPerson,
    password_hash: Option<String>,
) -> Result<User, OperateError> {
    let known = tx.users().list().await?;
    if known.len() >= MOST_PEOPLE {
        return Err(OperateError::Rule(format!(
            "a tenant has at most {MOST_PEOPLE} people"
        )));
    }
    if tx.users().find_by_email(&person.email).await?.is_some() {
        return Err(OperateError::Conflict(format!(
            "`{}` is in this tenant already",
            person.email
        )));
    }
    let new = NewUser {
        id: UserId::new(&new_id("usr", tx.now()))?,
        email: person.email,
        name: person.name,
        role: person.role,
        groups: person.groups,
        password_hash,
    };
    Ok(tx.users().insert(&new).await?)
}

/// The people of a tenant, oldest first. Members see themselves.
///
/// # Errors
/// When the actor is shut out, or the store cannot be read.
pub async fn users(store: &Store, actor: &Actor, tenant: &TenantId) -> Result<Vec<User>, OperateError> {
    let actor = actor.clone();
    store
        .read(tenant, move |tx| {
            async move {
                let by = actor.standing(tx).await?;
                let all = tx.users().list().await?;
                Ok(all
                    .into_iter()
                    .filter(|user| by.sees_everybody() || by.is(&user.id))
                    .collect())
            }
            .boxed()
        })
        .await
}

/// One person, by id or e-mail address. Whom the actor may not see is answered like nobody.
///
/// # Errors
/// When there is nobody of that name, or the actor is shut out.
pub async fn find_user(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    who: &str,
) -> Result<User, OperateError> {
    let (actor, who) = (actor.clone(), who.to_owned());
    store
        .read(tenant, move |tx| {
            async move {
                let by = actor.standing(tx).await?;
                let user = person(tx, &who).await?;
                if by.sees_everybody() || by.is(&user.id) {
                    Ok(user)
                } else {
                    Err(nobody(&who))
                }
            }
            .boxed()
        })
        .await
}

/// Who a signed-in person is now. A door asks this with each request: role, name and groups change, and whoever was
/// disabled, or whose tenant was suspended, is told so.
///
/// # Errors
/// [`OperateError::Forbidden`] when they are shut out.
pub async fn who_is(store: &Store, tenant: &TenantId, id: &UserId) -> Result<User, OperateError> {
    let actor = Actor::Person(id.clone());
    store
        .read(tenant, move |tx| {
            async move {
                match actor.standing(tx).await? {
                    Standing::Person(user) => Ok(*user),
                    Standing::Operator => Err(OperateError::Forbidden("admin access required".to_owned())),
                }
            }
            .boxed()
        })
        .await
}

/// What is to become of a person. What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct PersonChange {
    /// Their role.
    pub role: Option<Role>,
    /// Their groups, all of them.
    pub groups: Option<Vec<String>>,
    /// Their name. People may change their own.
    pub name: Option<String>,
    /// Whether they may do anything.
    pub active: Option<bool>,
}

/// Changes a person; their keys follow within a second.
///
/// # Errors
/// When there is nobody of that name, the actor may not command them, or the tenant would be left without an owner.
pub async fn change_user(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    who: &str,
    change: PersonChange,
) -> Result<User, OperateError> {
    let (actor, who) = (actor.clone(), who.to_owned());
    store
        .write(tenant, move |tx| {
            async move { change_within(tx, &actor, &who, change).await }.boxed()
        })
        .await
}

/// The same inside a transaction.
pub(super) async fn change_within(
    tx: &mut TenantTx<'_>,
    actor: &Actor,
    who: &str,
    change: PersonChange,
) -> Result<User, OperateError> {
    let name = change
        .name
        .as_deref()
        .map(|name| words::name("name", name))
        .transpose()?;
    let groups = change.groups.as_deref().map(words::groups).transpose()?;
    let (role, active) = (change.role, change.active);
    tx.users().lock().await?;
    let by = actor.standing(tx).await?;
    let user = person(tx, who).await?;
    let only_own_name = by.is(&user.id) && role.is_none() && groups.is_none() && active.is_none();
    if !only_own_name {
        by.must_command(user.role)?;
    }
    if let Some(role) = role {
        by.must_command(role)?;
    }
    let (stays_owner, stays_active) = (
        role.unwrap_or(user.role) == Role::Owner,
        active.unwrap_or(user.disabled_at.is_none()),
    );
    if !(stays_owner && stays_active) {
        keep_an_owner(tx, &user).await?;
    }
    let before = logged(&PersonView::from(&user));
    let mut actions = Vec::new();
    if let Some(role) = role.filter(|role| *role != user.role) {
        tx.users().set_role(&user.id, role).await?;
        actions.push("user.role");
    }
    if let Some(groups) = groups.filter(|groups| *groups != user.groups) {
        tx.users().set_groups(&user.id, &groups).await?;
        actions.push("user.groups");
    }
    if let Some(name) = name.filter(|name| *name != user.name) {
        tx.users().set_name(&user.id, &name).await?;
        actions.push("user.name");
    }
    match active {
        Some(false) if user.disabled_at.is_none() => {
            tx.users().disable(&user.id).await?;
            actions.push("user.disable");
        }
        Some(true) if user.disabled_at.is_some() => {
            tx.users().enable(&user.id).await?;
            actions.push("user.enable");
        }
        _ => {}
    }
    let now = person(tx, user.id.as_str()).await?;
    let after = logged(&PersonView::from(&now));
    for action in actions {
        note(tx, &by, action, user.id.as_str(), before.clone(), after.clone());
    }
    Ok(now)
}

/// Sets a person's password as the operator, without asking for the old one. Their sessions end.
///
/// # Errors
/// When there is nobody of that name, or the password is too weak.
pub async fn set_password(
    store: &Store,
    tenant: &TenantId,
    who: &str,
    password: SecretString,
) -> Result<User, OperateError> {
    let user = find_user(store, &Actor::Operator, tenant, who).await?;
    passwords::check(&password, &[&user.email, &user.name])?;
    write_password(store, &Actor::Operator, tenant, user.id, password).await
}

/// Changes the password of the person who asks, who proves to know the present one. All their sessions end, this one
/// included: the door opens a new one.
///
/// # Errors
/// [`OperateError::WrongPassword`] when they do not; when the new one is too weak.
pub async fn change_own_password(
    store: &Store,
    tenant: &TenantId,
    id: &UserId,
    present: SecretString,
    new: SecretString,
) -> Result<User, OperateError> {
    let user = who_is(store, tenant, id).await?;
    passwords::check(&new, &[&user.email, &user.name])?;
    // Somebody may have found an open browser: guessing from inside is bounded like guessing from outside.
    let subject = format!("present@{tenant}/{id}");
    let counted = store.system_write(move |tx| {
        async move { Ok::<_, OperateError>(sign_in::count_pair(tx, &subject).await?) }.boxed()
    });
    counted.await?.map_err(OperateError::TooManyAttempts)?;
    if !passwords::verify(present, user.password_hash).await? {
        return Err(OperateError::WrongPassword);
    }
    write_password(store, &Actor::Person(id.clone()), tenant, user.id, new).await
}

async fn write_password(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    id: UserId,
    password: SecretString,
) -> Result<User, OperateError> {
    let (actor, hash) = (actor.clone(), passwords::hash(password).await?);
    store
        .write(tenant, move |tx| {
            async move {
                let by = actor.standing(tx).await?;
                if !tx.users().set_password_hash(&id, Some(&hash)).await? {
                    return Err(nobody(id.as_str()));
                }
                // Whoever knew the old one may be signed in.
                sessions::end_all(tx, &id).await?;
                note(tx, &by, "user.password", id.as_str(), None, None);
                person(tx, id.as_str()).await
            }
            .boxed()
        })
        .await
}

/// A tenant without an active owner could never be repaired from inside. The caller holds the lock on people, so of
/// two owners who shut each other out, the second finds themselves shut out.
async fn keep_an_owner(tx: &mut TenantTx<'_>, user: &User) -> Result<(), OperateError> {
    let all = tx.users().list().await?;
    let is_owner = |u: &&User| u.role == Role::Owner && u.disabled_at.is_none();
    if is_owner(&user) && all.iter().filter(is_owner).count() == 1 {
        return Err(OperateError::Rule(format!(
            "`{}` is the tenant's last owner; make somebody else owner first",
            user.email
        )));
    }
    Ok(())
}

/// The person of that id or e-mail address.
pub(super) async fn person(tx: &mut TenantTx<'_>, who: &str) -> Result<User, OperateError> {
    if let Ok(id) = UserId::new(who)
        && let Some(user) = tx.users().find(&id).await?
    {
        return Ok(user);
    }
    tx.users().find_by_email(who).await?.ok_or_else(|| nobody(who))
}

fn nobody(who: &str) -> OperateError {
    let who: String = who.chars().take(80).collect();
    OperateError::NotFound(format!(
        "there is nobody called `{who}` in this tenant; see `footbridge-server user list`"
    ))
}
