//! Small JSON values by name, of a tenant or of the server, and one-time setup tokens.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session, StoreError, Topic,
    row::{from_json, params, to_json},
};
use crate::vocabulary::{TenantId, Timestamp};

/// Settings of one owner.
pub struct Settings<'t> {
    pub(super) session: &'t mut Session,
    /// A tenant's id, or empty for the server.
    pub(super) owner: &'t str,
}

impl Settings<'_> {
    /// The value of that name.
    pub async fn get<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, StoreError> {
        const GET: &str = "SELECT value_json FROM settings WHERE tenant_id = $1 AND name = $2";
        let text = self
            .session
            .query_one(GET, params![self.owner, name], |row| row.text(0))
            .await?;
        text.map(|text| from_json(&text)).transpose()
    }

    /// Sets the value of that name.
    pub async fn set<T: Serialize + Sync>(&mut self, name: &str, value: &T) -> Result<(), StoreError> {
        const SET: &str = "INSERT INTO settings (tenant_id, name, value_json, updated_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id, name) DO UPDATE SET value_json = excluded.value_json, updated_at = excluded.updated_at";
        let text = to_json(value)?;
        self.session
            .execute(SET, params![self.owner, name, &text, self.session.now])
            .await?;
        self.session.raise(Topic::Settings).await.map(|_| ())
    }

    /// Removes a value; `false` when there was none.
    pub async fn remove(&mut self, name: &str) -> Result<bool, StoreError> {
        const REMOVE: &str = "DELETE FROM settings WHERE tenant_id = $1 AND name = $2";
        let removed = self.session.execute(REMOVE, params![self.owner, name]).await? > 0;
        if removed {
            self.session.raise(Topic::Settings).await?;
        }
        Ok(removed)
    }

    /// Names and values as stored, by name.
    pub async fn list(&mut self) -> Result<Vec<(String, serde_json::Value)>, StoreError> {
        const LIST: &str = "SELECT name, value_json FROM settings WHERE tenant_id = $1 ORDER BY name";
        self.session
            .query(LIST, params![self.owner], |row| Ok((row.text(0)?, row.json(1)?)))
            .await
    }
}

/// The value of one name for every tenant that has set it.
pub(super) async fn of_tenants<T: DeserializeOwned>(
    session: &mut Session,
    name: &str,
) -> Result<Vec<(TenantId, T)>, StoreError> {
    const ALL: &str = "SELECT tenant_id, value_json FROM settings WHERE name = $1 AND tenant_id <> ''";
    session
        .query(ALL, params![name], |row| Ok((row.name(0)?, row.json(1)?)))
        .await
}

/// Tokens that can be redeemed once, before they expire. Only their hashes are stored.
pub struct SetupTokens<'t> {
    pub(super) session: &'t mut Session,
}

impl SetupTokens<'_> {
    /// Remembers a token by its SHA-256. `purpose` comes back when it is redeemed.
    pub async fn insert(
        &mut self,
        hash: &[u8; 32],
        purpose: &str,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        const INSERT: &str =
            "INSERT INTO setup_tokens (hash, purpose, created_at, expires_at) VALUES ($1, $2, $3, $4)";
        let params = params![&hash[..], purpose, self.session.now, expires_at];
        self.session.execute(INSERT, params).await.map(|_| ())
    }

    /// Whether a token could be redeemed for this purpose now.
    pub async fn is_good(&mut self, hash: &[u8; 32], purpose: &str) -> Result<bool, StoreError> {
        const GOOD: &str = "SELECT 1 FROM setup_tokens
            WHERE hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3";
        let params = params![&hash[..], purpose, self.session.now];
        let found = self.session.query_one(GOOD, params, |_| Ok(())).await?;
        Ok(found.is_some())
    }

    /// Uses a token up and gives its purpose. `None`: unknown, used or expired; all three look the same.
    pub async fn redeem(&mut self, hash: &[u8; 32]) -> Result<Option<String>, StoreError> {
        const REDEEM: &str = "UPDATE setup_tokens SET used_at = $1
            WHERE hash = $2 AND used_at IS NULL AND expires_at > $1 RETURNING purpose";
        self.session
            .query_one(REDEEM, params![self.session.now, &hash[..]], |row| row.text(0))
            .await
    }

    /// Forgets used and expired tokens; gives how many.
    pub async fn purge(&mut self) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM setup_tokens WHERE used_at IS NOT NULL OR expires_at <= $1";
        self.session.execute(PURGE, params![self.session.now]).await
    }
}
