//! The people of a tenant.
//!
//! A person is named by id or by e-mail address. Whatever changes somebody's rights acts at once on their keys, on
//! every replica: a key holds no role of its own (catalogue.md §2.2).

use futures_util::FutureExt;
use serde::Serialize;

use super::{Actor, OperateError, Standing, logged, note, words};
use crate::{
    store::{NewUser, Store, TenantTx, User},
    vocabulary::{Role, TenantId, Timestamp, UserId, new_id},
};

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

pub(super) fn nobody(who: &str) -> OperateError {
    let who: String = who.chars().take(80).collect();
    OperateError::NotFound(format!(
        "there is nobody called `{who}` in this tenant; see `footbridge-server user list`"
    ))
}
