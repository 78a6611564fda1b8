//! Tenants: rows and statements. Operator's work only; a tenant never sees this table.

use super::{
    Session, StoreError, Topic,
    row::{RowRef, params},
};
use crate::vocabulary::{TenantId, Timestamp};

/// Whether a tenant's credentials are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantStatus {
    /// They are.
    Active,
    /// They are not, and nothing is deleted.
    Suspended,
}

impl TenantStatus {
    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

impl std::str::FromStr for TenantStatus {
    type Err = StoreError;
    fn from_str(word: &str) -> Result<Self, StoreError> {
        match word {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            _ => Err(StoreError::Row(format!("unknown tenant status `{word}`"))),
        }
    }
}

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Identity.
    pub id: TenantId,
    /// Name for people.
    pub name: String,
    /// Whether its credentials are accepted.
    pub status: TenantStatus,
    /// Calls a calendar month that its keys share; `None`: no cap.
    pub monthly_cap: Option<i64>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A tenant to be made.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// Identity, for good.
    pub id: TenantId,
    /// Name for people.
    pub name: String,
    /// Calls a calendar month that its keys share.
    pub monthly_cap: Option<i64>,
}

/// Statements on all tenants.
pub struct Tenants<'t> {
    pub(super) session: &'t mut Session,
}

const COLUMNS: &str = "tenant_id, name, status, monthly_cap, created_at";

fn tenant(row: &RowRef<'_>) -> Result<Tenant, StoreError> {
    Ok(Tenant {
        id: row.name(0)?,
        name: row.text(1)?,
        status: row.name(2)?,
        monthly_cap: row.opt_int(3)?,
        created_at: row.time(4)?,
    })
}

impl Tenants<'_> {
    /// Makes a tenant; [`StoreError::Conflict`] when the id is taken.
    pub async fn insert(&mut self, new: &NewTenant) -> Result<Tenant, StoreError> {
        let sql = format!(
            "INSERT INTO tenants (tenant_id, name, status, monthly_cap, created_at) VALUES ($1, $2, 'active', $3, $4)
             ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
        );
        let params = params![new.id.as_str(), &new.name, new.monthly_cap, self.session.now];
        let made = self.session.query_one(&sql, params, tenant).await?;
        let made = made.ok_or_else(|| StoreError::conflict(format!("tenant `{}`", new.id)))?;
        self.session.raise(Topic::Tenants).await?;
        Ok(made)
    }

    /// Looks one up.
    pub async fn find(&mut self, id: &TenantId) -> Result<Option<Tenant>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM tenants WHERE tenant_id = $1");
        self.session.query_one(&sql, params![id.as_str()], tenant).await
    }

    /// All of them, by id.
    pub async fn list(&mut self) -> Result<Vec<Tenant>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM tenants ORDER BY tenant_id");
        self.session.query(&sql, &[], tenant).await
    }

    /// Suspends or readmits a tenant; `false` when there is none of that id.
    pub async fn set_status(&mut self, id: &TenantId, status: TenantStatus) -> Result<bool, StoreError> {
        self.change(
            "UPDATE tenants SET status = $1 WHERE tenant_id = $2",
            params![status.as_str(), id.as_str()],
        )
        .await
    }

    /// Changes name and monthly cap; `false` when there is none of that id.
    pub async fn update(
        &mut self,
        id: &TenantId,
        name: &str,
        monthly_cap: Option<i64>,
    ) -> Result<bool, StoreError> {
        const UPDATE: &str = "UPDATE tenants SET name = $1, monthly_cap = $2 WHERE tenant_id = $3";
        self.change(UPDATE, params![name, monthly_cap, id.as_str()]).await
    }

    async fn change(&mut self, sql: &str, params: &[super::row::Param<'_>]) -> Result<bool, StoreError> {
        let changed = self.session.execute(sql, params).await? > 0;
        if changed {
            self.session.raise(Topic::Tenants).await?;
        }
        Ok(changed)
    }
}
