//! Links to a new password: rows and statements. Only the hash of a token comes in; no token ever does.

use super::{
    Session, StoreError,
    row::{RowRef, params},
};
use crate::vocabulary::{TenantId, Timestamp, UserId};

/// A link as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordReset {
    /// Whose password it sets.
    pub user: UserId,
    /// Who made it; `None`: the operator.
    pub made_by: Option<UserId>,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
}

/// Statements on the links of one tenant's people.
pub struct PasswordResets<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// Statements on everybody's links: a token names no tenant.
pub struct SystemPasswordResets<'t> {
    pub(super) session: &'t mut Session,
}

const COLUMNS: &str = "user_id, made_by, expires_at, tenant_id";

fn owned(row: &RowRef<'_>) -> Result<(TenantId, PasswordReset), StoreError> {
    let made_by = row.opt_text(1)?.map(|id| UserId::new(&id)).transpose();
    let reset = PasswordReset {
        user: row.name(0)?,
        made_by: made_by.map_err(|e| StoreError::Row(e.to_string()))?,
        expires_at: row.time(2)?,
    };
    Ok((row.name(3)?, reset))
}

impl PasswordResets<'_> {
    /// Stores a link, in the place of an older one of the same person.
    pub async fn set(&mut self, hash: &[u8; 32], reset: &PasswordReset) -> Result<(), StoreError> {
        const SET: &str =
            "INSERT INTO password_resets (tenant_id, user_id, hash, made_by, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (tenant_id, user_id) DO UPDATE SET hash = excluded.hash, made_by = excluded.made_by,
                created_at = excluded.created_at, expires_at = excluded.expires_at";
        let params = params![
            self.tenant.as_str(),
            reset.user.as_str(),
            &hash[..],
            reset.made_by.as_ref().map(UserId::as_str),
            self.session.now,
            reset.expires_at,
        ];
        self.session.execute(SET, params).await?;
        Ok(())
    }

    /// Ends a person's link, if there is one.
    pub async fn end(&mut self, user: &UserId) -> Result<(), StoreError> {
        const END: &str = "DELETE FROM password_resets WHERE tenant_id = $1 AND user_id = $2";
        let params = params![self.tenant.as_str(), user.as_str()];
        self.session.execute(END, params).await?;
        Ok(())
    }
}

impl SystemPasswordResets<'_> {
    /// The link behind a token's hash. `None`: unknown, used, replaced or expired; all look the same.
    pub async fn find(&mut self, hash: &[u8; 32]) -> Result<Option<(TenantId, PasswordReset)>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM password_resets WHERE hash = $1 AND expires_at > $2");
        let params = params![&hash[..], self.session.now];
        self.session.query_one(&sql, params, owned).await
    }

    /// Uses a link up and gives it. Of two that try, one gets it.
    pub async fn redeem(&mut self, hash: &[u8; 32]) -> Result<Option<(TenantId, PasswordReset)>, StoreError> {
        let sql =
            format!("DELETE FROM password_resets WHERE hash = $1 AND expires_at > $2 RETURNING {COLUMNS}");
        let params = params![&hash[..], self.session.now];
        self.session.query_one(&sql, params, owned).await
    }

    /// Forgets links that have expired; gives how many.
    pub async fn purge(&mut self) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM password_resets WHERE expires_at <= $1";
        self.session.execute(PURGE, params![self.session.now]).await
    }
}
