//! Invitations into a tenant: rows and statements. Only the hash of a token comes in; no token ever does.

use super::{
    Session, StoreError,
    row::{RowRef, params, to_json},
};
use crate::vocabulary::{Role, TenantId, Timestamp, UserId};

/// An invitation as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Identity, `inv_<ULID>`. Never the token.
    pub id: String,
    /// Whom it is for.
    pub email: String,
    /// The role it gives.
    pub role: Role,
    /// The groups it puts them into.
    pub groups: Vec<String>,
    /// Who invited; `None`: the operator.
    pub invited_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// An invitation to be stored.
#[derive(Clone)]
pub struct NewInvitation {
    /// Identity.
    pub id: String,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Whom it is for.
    pub email: String,
    /// The role it gives.
    pub role: Role,
    /// The groups it puts them into.
    pub groups: Vec<String>,
    /// Who invites; `None`: the operator.
    pub invited_by: Option<UserId>,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
}

/// Statements on one tenant's invitations.
pub struct Invitations<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// Statements on everybody's invitations: a token names no tenant.
pub struct SystemInvitations<'t> {
    pub(super) session: &'t mut Session,
}

const COLUMNS: &str =
    "invitation_id, email, role, groups_json, invited_by, created_at, expires_at, accepted_at,
    revoked_at, tenant_id";

fn invitation(row: &RowRef<'_>) -> Result<Invitation, StoreError> {
    let invited_by = row.opt_text(4)?.map(|id| UserId::new(&id)).transpose();
    Ok(Invitation {
        id: row.text(0)?,
        email: row.text(1)?,
        role: row.name(2)?,
        groups: row.json(3)?,
        invited_by: invited_by.map_err(|e| StoreError::Row(e.to_string()))?,
        created_at: row.time(5)?,
        expires_at: row.time(6)?,
        accepted_at: row.opt_time(7)?,
        revoked_at: row.opt_time(8)?,
    })
}

fn owned(row: &RowRef<'_>) -> Result<(TenantId, Invitation), StoreError> {
    Ok((row.name(9)?, invitation(row)?))
}

impl Invitations<'_> {
    /// Stores an invitation; open ones for the same address are taken back, so that one link works at a time.
    pub async fn insert(&mut self, new: &NewInvitation) -> Result<Invitation, StoreError> {
        const REPLACE: &str = "UPDATE invitations SET revoked_at = $1
            WHERE tenant_id = $2 AND email_key = $3 AND accepted_at IS NULL AND revoked_at IS NULL";
        let sql = format!(
            "INSERT INTO invitations (tenant_id, invitation_id, hash, email, email_key, role, groups_json, invited_by,
                created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
        );
        let (groups, email_key) = (to_json(&new.groups)?, new.email.to_lowercase());
        let now = self.session.now;
        self.session
            .execute(REPLACE, params![now, self.tenant.as_str(), &email_key])
            .await?;
        let params = params![
            self.tenant.as_str(),
            &new.id,
            &new.hash[..],
            &new.email,
            &email_key,
            new.role.as_str(),
            &groups,
            new.invited_by.as_ref().map(UserId::as_str),
            now,
            new.expires_at,
        ];
        let made = self.session.query_one(&sql, params, invitation).await?;
        made.ok_or_else(|| StoreError::conflict(format!("invitation `{}`", new.id)))
    }

    /// Invitations that can still be accepted, newest first.
    pub async fn list_open(&mut self) -> Result<Vec<Invitation>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM invitations WHERE tenant_id = $1 AND accepted_at IS NULL AND revoked_at IS NULL
                AND expires_at > $2 ORDER BY created_at DESC, invitation_id DESC"
        );
        let params = params![self.tenant.as_str(), self.session.now];
        self.session.query(&sql, params, invitation).await
    }

    /// Gives an open invitation another token, so that the one before it opens nothing any more; `false` when there is no
    /// open one of that id.
    pub async fn renew(&mut self, id: &str, hash: &[u8; 32]) -> Result<bool, StoreError> {
        const RENEW: &str = "UPDATE invitations SET hash = $1 WHERE tenant_id = $2 AND invitation_id = $3
            AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $4";
        let params = params![&hash[..], self.tenant.as_str(), id, self.session.now];
        Ok(self.session.execute(RENEW, params).await? > 0)
    }

    /// Takes an open invitation back and gives it; `None` when there is no open one of that id.
    pub async fn revoke(&mut self, id: &str) -> Result<Option<Invitation>, StoreError> {
        let sql = format!(
            "UPDATE invitations SET revoked_at = $1 WHERE tenant_id = $2 AND invitation_id = $3
                AND accepted_at IS NULL AND revoked_at IS NULL RETURNING {COLUMNS}"
        );
        let params = params![self.session.now, self.tenant.as_str(), id];
        self.session.query_one(&sql, params, invitation).await
    }
}

impl SystemInvitations<'_> {
    /// The open invitation behind a token's hash. `None`: unknown, used, taken back or expired; all look the same.
    pub async fn find_open(&mut self, hash: &[u8; 32]) -> Result<Option<(TenantId, Invitation)>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM invitations WHERE hash = $1 AND accepted_at IS NULL AND revoked_at IS NULL
                AND expires_at > $2"
        );
        let params = params![&hash[..], self.session.now];
        self.session.query_one(&sql, params, owned).await
    }

    /// Uses an invitation up and gives it. Of two that try, one gets it.
    pub async fn redeem(&mut self, hash: &[u8; 32]) -> Result<Option<(TenantId, Invitation)>, StoreError> {
        let sql = format!(
            "UPDATE invitations SET accepted_at = $1 WHERE hash = $2 AND accepted_at IS NULL AND revoked_at IS NULL
                AND expires_at > $1 RETURNING {COLUMNS}"
        );
        let params = params![self.session.now, &hash[..]];
        self.session.query_one(&sql, params, owned).await
    }

    /// Forgets invitations that ended before `before`; gives how many.
    pub async fn purge(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        const PURGE: &str =
            "DELETE FROM invitations WHERE expires_at < $1 OR accepted_at < $1 OR revoked_at < $1";
        self.session.execute(PURGE, params![before]).await
    }
}
