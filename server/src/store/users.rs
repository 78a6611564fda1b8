//! People and services of a tenant: rows and statements.

use super::{
    Session, StoreError, Topic,
    row::{Param, RowRef, params, to_json},
};
use crate::vocabulary::{Role, TenantId, Timestamp, UserId};

/// A person or service.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Identity.
    pub id: UserId,
    /// E-mail address as given; unique in the tenant, whatever the case of its letters.
    pub email: String,
    /// Name for people.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Free names that policies refer to.
    pub groups: Vec<String>,
    /// Hash of the console password, in the hash's own text form.
    pub password_hash: Option<String>,
    /// When they were added.
    pub created_at: Timestamp,
    /// Since when they may do nothing.
    pub disabled_at: Option<Timestamp>,
    /// When the password was last set; sessions begun before that are over.
    pub password_set_at: Option<Timestamp>,
}

impl std::fmt::Debug for User {
    /// Leaves the password hash out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// A user to be added.
#[derive(Clone)]
pub struct NewUser {
    /// Identity.
    pub id: UserId,
    /// E-mail address.
    pub email: String,
    /// Name for people.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Free names.
    pub groups: Vec<String>,
    /// Hash of the console password.
    pub password_hash: Option<String>,
}

/// Statements on one tenant's users.
pub struct Users<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// Statements on everybody.
pub struct SystemUsers<'t> {
    pub(super) session: &'t mut Session,
}

const COLUMNS: &str = "user_id, email, name, role, groups_json, password_hash, created_at, disabled_at, password_set_at, tenant_id";

fn user(row: &RowRef<'_>) -> Result<User, StoreError> {
    Ok(User {
        id: row.name(0)?,
        email: row.text(1)?,
        name: row.text(2)?,
        role: row.name(3)?,
        groups: row.json(4)?,
        password_hash: row.opt_text(5)?,
        created_at: row.time(6)?,
        disabled_at: row.opt_time(7)?,
        password_set_at: row.opt_time(8)?,
    })
}

fn owned_user(row: &RowRef<'_>) -> Result<(TenantId, User), StoreError> {
    Ok((row.name(9)?, user(row)?))
}

impl Users<'_> {
    /// Makes every other change to people wait until this transaction ends, and tells everybody of a change.
    ///
    /// Invariant: whoever decides by what other rows say ("is this the last owner?") calls this before reading
    /// them. The counter's row stays locked until the commit, on either engine.
    pub async fn lock(&mut self) -> Result<(), StoreError> {
        self.session.raise(Topic::Users).await.map(|_| ())
    }

    /// Whether the tenant's credentials are accepted at all.
    pub async fn tenant_is_active(&mut self) -> Result<bool, StoreError> {
        const ACTIVE: &str = "SELECT 1 FROM tenants WHERE tenant_id = $1 AND status = 'active'";
        let found = self
            .session
            .query_one(ACTIVE, params![self.tenant.as_str()], |_| Ok(()))
            .await?;
        Ok(found.is_some())
    }

    /// Adds a user; [`StoreError::Conflict`] when id or e-mail are taken in this tenant.
    pub async fn insert(&mut self, new: &NewUser) -> Result<User, StoreError> {
        let sql = format!(
            "INSERT INTO users (tenant_id, user_id, email, email_key, name, role, groups_json, password_hash,
                created_at, password_set_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
        );
        let (groups, email_key) = (to_json(&new.groups)?, new.email.to_lowercase());
        let params = params![
            self.tenant.as_str(),
            new.id.as_str(),
            &new.email,
            &email_key,
            &new.name,
            new.role.as_str(),
            &groups,
            new.password_hash.as_deref(),
            self.session.now,
            new.password_hash.as_ref().map(|_| self.session.now),
        ];
        let made = self.session.query_one(&sql, params, user).await?;
        let made = made.ok_or_else(|| StoreError::conflict(format!("user `{}`", new.email)))?;
        self.session.raise(Topic::Users).await?;
        Ok(made)
    }

    /// Looks one up by id.
    pub async fn find(&mut self, id: &UserId) -> Result<Option<User>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM users WHERE tenant_id = $1 AND user_id = $2");
        self.session
            .query_one(&sql, params![self.tenant.as_str(), id.as_str()], user)
            .await
    }

    /// Looks one up by e-mail, whatever the case of its letters.
    pub async fn find_by_email(&mut self, email: &str) -> Result<Option<User>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM users WHERE tenant_id = $1 AND email_key = $2");
        self.session
            .query_one(&sql, params![self.tenant.as_str(), &email.to_lowercase()], user)
            .await
    }

    /// All users of the tenant, oldest first.
    pub async fn list(&mut self) -> Result<Vec<User>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM users WHERE tenant_id = $1 ORDER BY created_at, user_id");
        self.session
            .query(&sql, params![self.tenant.as_str()], user)
            .await
    }

    /// Changes the role; `false` when there is no such user.
    pub async fn set_role(&mut self, id: &UserId, role: Role) -> Result<bool, StoreError> {
        self.set("role", role.as_str().into(), id).await
    }

    /// Replaces the groups; `false` when there is no such user.
    pub async fn set_groups(&mut self, id: &UserId, groups: &[String]) -> Result<bool, StoreError> {
        let groups = to_json(&groups)?;
        self.set("groups_json", (&groups).into(), id).await
    }

    /// Replaces the name; `false` when there is no such user.
    pub async fn set_name(&mut self, id: &UserId, name: &str) -> Result<bool, StoreError> {
        self.set("name", name.into(), id).await
    }

    /// Replaces the password's hash; `false` when there is no such user.
    pub async fn set_password_hash(&mut self, id: &UserId, hash: Option<&str>) -> Result<bool, StoreError> {
        const SET: &str = "UPDATE users SET password_hash = $1, password_set_at = $2
            WHERE tenant_id = $3 AND user_id = $4";
        let params = params![hash, self.session.now, self.tenant.as_str(), id.as_str()];
        let changed = self.session.execute(SET, params).await? > 0;
        if changed {
            self.session.raise(Topic::Users).await?;
        }
        Ok(changed)
    }

    /// Takes all rights from a user, now; `false` when there is no such user.
    pub async fn disable(&mut self, id: &UserId) -> Result<bool, StoreError> {
        let now = self.session.now;
        self.set("disabled_at", now.into(), id).await
    }

    /// Gives a disabled user their rights back; `false` when there is no such user.
    pub async fn enable(&mut self, id: &UserId) -> Result<bool, StoreError> {
        self.set("disabled_at", Param::Null, id).await
    }

    async fn set(&mut self, column: &'static str, value: Param<'_>, id: &UserId) -> Result<bool, StoreError> {
        let sql = format!("UPDATE users SET {column} = $1 WHERE tenant_id = $2 AND user_id = $3");
        let params = [value, self.tenant.as_str().into(), id.as_str().into()];
        let changed = self.session.execute(&sql, &params).await? > 0;
        if changed {
            self.session.raise(Topic::Users).await?;
        }
        Ok(changed)
    }
}

impl SystemUsers<'_> {
    /// Everybody of that e-mail address, with their tenants: the log-in asks before a tenant is known.
    pub async fn find_by_email(&mut self, email: &str) -> Result<Vec<(TenantId, User)>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM users WHERE email_key = $1 ORDER BY tenant_id");
        self.session
            .query(&sql, params![&email.to_lowercase()], owned_user)
            .await
    }

    /// Whether anybody active has this role.
    pub async fn has_active(&mut self, role: Role) -> Result<bool, StoreError> {
        const ONE: &str = "SELECT 1 FROM users WHERE role = $1 AND disabled_at IS NULL LIMIT 1";
        let found = self
            .session
            .query_one(ONE, params![role.as_str()], |_| Ok(()))
            .await?;
        Ok(found.is_some())
    }

    /// Everybody, for the table that is kept in memory.
    pub async fn all(&mut self) -> Result<Vec<(TenantId, User)>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM users ORDER BY tenant_id, user_id");
        self.session.query(&sql, &[], owned_user).await
    }
}
