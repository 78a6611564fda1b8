//! Who is signed in to the console or over REST: rows and statements. Only hashes come in.

use super::{
    Session, StoreError,
    row::{RowRef, params},
};
use crate::vocabulary::{InvalidName, Role, TenantId, Timestamp, UserId};

/// Through what a person is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInKind {
    /// A browser with a cookie.
    Browser,
    /// A program with a bearer token.
    Token,
}

impl SignInKind {
    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Token => "token",
        }
    }
}

impl std::str::FromStr for SignInKind {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        [Self::Browser, Self::Token]
            .into_iter()
            .find(|kind| kind.as_str() == value)
            .ok_or_else(|| InvalidName {
                what: "kind of sign-in",
                value: value.chars().take(80).collect(),
                rule: "browser or token",
            })
    }
}

/// A person who is signed in now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Identity, `ses_<ULID>`.
    pub id: String,
    /// Whose rows they see.
    pub tenant: TenantId,
    /// Who.
    pub user: UserId,
    /// Their address.
    pub email: String,
    /// Their name for people.
    pub name: String,
    /// What they may do, as of now.
    pub role: Role,
    /// Free names that policies refer to, as of now.
    pub groups: Vec<String>,
    /// When they signed in.
    pub created_at: Timestamp,
    /// When they were last seen, to the minute.
    pub used_at: Timestamp,
    /// When they have to sign in again at the latest.
    pub expires_at: Timestamp,
}

/// A sign-in to be stored.
#[derive(Clone, Debug)]
pub struct NewSignIn {
    /// Identity.
    pub id: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// Who.
    pub user: UserId,
    /// Through what.
    pub kind: SignInKind,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// Statements on one tenant's sign-ins.
pub struct SignIns<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// Statements on all sign-ins: who holds this secret is asked before a tenant is known.
pub struct SystemSignIns<'t> {
    pub(super) session: &'t mut Session,
}

fn sign_in(row: &RowRef<'_>) -> Result<SignIn, StoreError> {
    Ok(SignIn {
        id: row.text(0)?,
        tenant: row.name(1)?,
        user: row.name(2)?,
        email: row.text(3)?,
        name: row.text(4)?,
        role: row.name(5)?,
        groups: row.json(6)?,
        created_at: row.time(7)?,
        used_at: row.time(8)?,
        expires_at: row.time(9)?,
    })
}

impl SignIns<'_> {
    /// Adds one.
    pub async fn insert(&mut self, new: &NewSignIn) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO sign_ins
            (tenant_id, sign_in_id, hash, user_id, kind, created_at, used_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $6, $7)";
        let params = params![
            self.tenant.as_str(),
            &new.id,
            &new.hash[..],
            new.user.as_str(),
            new.kind.as_str(),
            self.session.now,
            new.expires_at,
        ];
        self.session.execute(INSERT, params).await.map(|_| ())
    }

    /// Notes that it was used now.
    pub async fn touch(&mut self, id: &str) -> Result<(), StoreError> {
        const TOUCH: &str = "UPDATE sign_ins SET used_at = $1 WHERE tenant_id = $2 AND sign_in_id = $3";
        let params = params![self.session.now, self.tenant.as_str(), id];
        self.session.execute(TOUCH, params).await.map(|_| ())
    }

    /// Ends one; `false` when it had ended.
    pub async fn end(&mut self, id: &str) -> Result<bool, StoreError> {
        const END: &str = "DELETE FROM sign_ins WHERE tenant_id = $1 AND sign_in_id = $2";
        let params = params![self.tenant.as_str(), id];
        Ok(self.session.execute(END, params).await? > 0)
    }

    /// Ends all of one person, as after a new password; gives how many.
    pub async fn end_all(&mut self, user: &UserId) -> Result<u64, StoreError> {
        const END: &str = "DELETE FROM sign_ins WHERE tenant_id = $1 AND user_id = $2";
        let params = params![self.tenant.as_str(), user.as_str()];
        self.session.execute(END, params).await
    }
}

impl SystemSignIns<'_> {
    /// Who holds this secret. `None` when it is unknown, was ended, expired, or was not used since `idle_since`, and
    /// when the person or their tenant is shut out: all of these look the same.
    pub async fn find(
        &mut self,
        hash: &[u8; 32],
        kind: SignInKind,
        idle_since: Timestamp,
    ) -> Result<Option<SignIn>, StoreError> {
        const FIND: &str =
            "SELECT s.sign_in_id, s.tenant_id, s.user_id, u.email, u.name, u.role, u.groups_json,
                s.created_at, s.used_at, s.expires_at
            FROM sign_ins s
            JOIN users u ON u.tenant_id = s.tenant_id AND u.user_id = s.user_id
            JOIN tenants t ON t.tenant_id = s.tenant_id
            WHERE s.hash = $1 AND s.kind = $2 AND s.expires_at > $3 AND s.used_at > $4
              AND u.disabled_at IS NULL AND t.status = 'active'";
        let params = params![&hash[..], kind.as_str(), self.session.now, idle_since];
        self.session.query_one(FIND, params, sign_in).await
    }

    /// Forgets those that can be used no more; gives how many.
    pub async fn purge(&mut self) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM sign_ins WHERE expires_at <= $1";
        self.session.execute(PURGE, params![self.session.now]).await
    }
}
