//! API keys: rows and statements (catalogue.md §2.2). Only hashes come in; no plaintext key ever does.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Counters, Session, StoreError, Topic,
    row::{RowRef, from_json, params, to_json},
};
use crate::vocabulary::{EditionName, KeyId, Listing, NameStyle, Scope, TenantId, Timestamp, UserId};

/// How a key asks for confirmation, from lax to strict. It only tightens what tenant and tool say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyConfirm {
    /// As the tool says.
    #[default]
    Inherit,
    /// A preview before every write.
    Preview,
    /// A person confirms every write.
    Human,
}

impl KeyConfirm {
    /// The lower-case word used in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inherit => "inherit",
            Self::Preview => "preview",
            Self::Human => "human",
        }
    }
}

/// What narrows a key beyond its scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyLimits {
    /// Calls a calendar month; `None`: shares the tenant's budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly_cap: Option<u64>,
    /// Calls a minute; `None`: the server's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<u32>,
    /// Calls an hour; `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_hour: Option<u32>,
    /// Only tools that read.
    pub read_only: bool,
    /// How it confirms.
    pub confirm: KeyConfirm,
    /// How it spells.
    pub names: NameStyle,
    /// Only these tools; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools_allow: Vec<String>,
    /// Not these tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools_deny: Vec<String>,
    /// How much of the catalogue its clients are shown.
    #[serde(flatten)]
    pub listing: Listing,
}

/// A key as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Whose key it is.
    pub tenant: TenantId,
    /// Identity.
    pub id: KeyId,
    /// SHA-256 of the plaintext.
    pub hash: [u8; 32],
    /// The visible beginning of the plaintext.
    pub prefix: String,
    /// Name for people.
    pub name: String,
    /// The user whose role bounds it.
    pub owner: UserId,
    /// Rights it holds.
    pub scopes: Vec<Scope>,
    /// Editions it may enter.
    pub editions: Vec<EditionName>,
    /// What narrows it.
    pub limits: KeyLimits,
    /// When it was minted.
    pub created_at: Timestamp,
    /// From when on it is dead.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, for good.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// By which client it was last used.
    pub last_used_client: Option<String>,
    /// The key whose place it takes, when it was minted by a rotation.
    pub replaces: Option<KeyId>,
    /// Counter of [`Topic::Keys`] at its last change.
    pub version: i64,
}

impl std::fmt::Debug for Key {
    /// Leaves the hash out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("tenant", &self.tenant)
            .field("id", &self.id)
            .field("prefix", &self.prefix)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A key to be stored.
#[derive(Clone)]
pub struct NewKey {
    /// Identity.
    pub id: KeyId,
    /// SHA-256 of the plaintext.
    pub hash: [u8; 32],
    /// The visible beginning of the plaintext.
    pub prefix: String,
    /// Name for people.
    pub name: String,
    /// The user whose role bounds it.
    pub owner: UserId,
    /// Rights it holds.
    pub scopes: Vec<Scope>,
    /// Editions it may enter.
    pub editions: Vec<EditionName>,
    /// What narrows it.
    pub limits: KeyLimits,
    /// From when on it is dead.
    pub expires_at: Option<Timestamp>,
    /// The key whose place it takes. Each key is replaced once.
    pub replaces: Option<KeyId>,
}

/// What may be changed of a key.
#[derive(Clone)]
pub struct KeyRights {
    /// Name for people.
    pub name: String,
    /// Rights it holds.
    pub scopes: Vec<Scope>,
    /// Editions it may enter.
    pub editions: Vec<EditionName>,
    /// What narrows it.
    pub limits: KeyLimits,
    /// From when on it is dead.
    pub expires_at: Option<Timestamp>,
}

/// Statements on one tenant's keys.
pub struct Keys<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// Statements on all keys.
pub struct SystemKeys<'t> {
    pub(super) session: &'t mut Session,
}

/// The counter of a key's calls. An id has no `~`, which is the last of printable characters.
fn calls_of(id: &str) -> String {
    format!("calls/{id}")
}

const COLUMNS: &str =
    "tenant_id, key_id, hash, prefix, name, owner_id, scopes_json, editions_json, limits_json,
    created_at, expires_at, revoked_at, last_used_at, last_used_client, version, replaces_id";

fn key(row: &RowRef<'_>) -> Result<Key, StoreError> {
    Repeated::default().key(row)
}

/// What rows repeat of each other: of ten thousand keys most say the same of rights and limits. It is read once, and its
/// texts are in memory once.
#[derive(Default)]
struct Repeated {
    tenants: HashMap<String, TenantId>,
    owners: HashMap<String, UserId>,
    scopes: HashMap<String, Vec<Scope>>,
    editions: HashMap<String, Vec<EditionName>>,
    limits: HashMap<String, KeyLimits>,
}

/// What a text was read as before, or what it is read as now.
fn once<T: Clone>(
    seen: &mut HashMap<String, T>,
    text: &str,
    read: impl FnOnce(&str) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    if let Some(known) = seen.get(text) {
        return Ok(known.clone());
    }
    let value = read(text)?;
    seen.insert(text.to_owned(), value.clone());
    Ok(value)
}

/// Reads a name that the vocabulary checks.
fn named<T>(text: &str) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e: T::Err| StoreError::Row(e.to_string()))
}

impl Repeated {
    fn key(&mut self, row: &RowRef<'_>) -> Result<Key, StoreError> {
        let replaces = row.opt_text(15)?.map(|id| KeyId::new(&id)).transpose();
        Ok(Key {
            tenant: once(&mut self.tenants, row.borrowed(0)?, named)?,
            id: row.name(1)?,
            hash: row.digest(2)?,
            prefix: row.text(3)?,
            name: row.text(4)?,
            owner: once(&mut self.owners, row.borrowed(5)?, named)?,
            scopes: once(&mut self.scopes, row.borrowed(6)?, from_json)?,
            editions: once(&mut self.editions, row.borrowed(7)?, from_json)?,
            limits: once(&mut self.limits, row.borrowed(8)?, from_json)?,
            created_at: row.time(9)?,
            expires_at: row.opt_time(10)?,
            revoked_at: row.opt_time(11)?,
            last_used_at: row.opt_time(12)?,
            last_used_client: row.opt_text(13)?,
            replaces: replaces.map_err(|e| StoreError::Row(e.to_string()))?,
            version: row.int(14)?,
        })
    }
}

impl Keys<'_> {
    /// Makes every other change to keys wait until this transaction ends.
    ///
    /// Invariant: whoever writes back what they read of a key calls this before reading it.
    pub async fn lock(&mut self) -> Result<(), StoreError> {
        self.session.raise(Topic::Keys).await.map(|_| ())
    }

    /// Stores a key; [`StoreError::Conflict`] when id or hash exist, or another key replaces the same one.
    pub async fn insert(&mut self, new: &NewKey) -> Result<Key, StoreError> {
        let version = self.session.raise(Topic::Keys).await?;
        let sql = format!(
            "INSERT INTO api_keys (tenant_id, key_id, hash, prefix, name, owner_id, scopes_json, editions_json,
                limits_json, created_at, expires_at, version, replaces_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
        );
        let (scopes, editions, limits) = (
            to_json(&new.scopes)?,
            to_json(&new.editions)?,
            to_json(&new.limits)?,
        );
        let params = params![
            self.tenant.as_str(),
            new.id.as_str(),
            &new.hash[..],
            &new.prefix,
            &new.name,
            new.owner.as_str(),
            &scopes,
            &editions,
            &limits,
            self.session.now,
            new.expires_at,
            version,
            new.replaces.as_ref().map(KeyId::as_str),
        ];
        let made = self.session.query_one(&sql, params, key).await?;
        made.ok_or_else(|| StoreError::conflict(format!("key `{}`", new.id)))
    }

    /// Looks one up by id.
    pub async fn find(&mut self, id: &KeyId) -> Result<Option<Key>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE tenant_id = $1 AND key_id = $2");
        self.session
            .query_one(&sql, params![self.tenant.as_str(), id.as_str()], key)
            .await
    }

    /// Keys whose visible beginning is `prefix`: what a person reads off a screen.
    pub async fn find_by_prefix(&mut self, prefix: &str) -> Result<Vec<Key>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM api_keys WHERE tenant_id = $1 AND prefix = $2 ORDER BY key_id");
        self.session
            .query(&sql, params![self.tenant.as_str(), prefix], key)
            .await
    }

    /// All keys of the tenant, newest first, dead ones included.
    pub async fn list(&mut self) -> Result<Vec<Key>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM api_keys WHERE tenant_id = $1 ORDER BY created_at DESC, key_id DESC"
        );
        self.session.query(&sql, params![self.tenant.as_str()], key).await
    }

    /// Revokes a key for good; `false` when it does not exist or was revoked before.
    pub async fn revoke(&mut self, id: &KeyId) -> Result<bool, StoreError> {
        let version = self.session.raise(Topic::Keys).await?;
        const REVOKE: &str = "UPDATE api_keys SET revoked_at = $1, version = $2
            WHERE tenant_id = $3 AND key_id = $4 AND revoked_at IS NULL";
        let params = params![self.session.now, version, self.tenant.as_str(), id.as_str()];
        Ok(self.session.execute(REVOKE, params).await? > 0)
    }

    /// Lets a key expire at a moment that is not later than its present one; `false` when there is no such
    /// key or it would live longer.
    pub async fn expire_at(&mut self, id: &KeyId, at: Timestamp) -> Result<bool, StoreError> {
        let version = self.session.raise(Topic::Keys).await?;
        const EXPIRE: &str = "UPDATE api_keys SET expires_at = $1, version = $2
            WHERE tenant_id = $3 AND key_id = $4 AND (expires_at IS NULL OR expires_at >= $1)";
        let params = params![at, version, self.tenant.as_str(), id.as_str()];
        Ok(self.session.execute(EXPIRE, params).await? > 0)
    }

    /// Replaces what may be changed. The caller has checked, after [`Keys::lock`], that it only narrows. `false`: no
    /// such key.
    pub async fn narrow(&mut self, id: &KeyId, rights: &KeyRights) -> Result<bool, StoreError> {
        let version = self.session.raise(Topic::Keys).await?;
        const NARROW: &str =
            "UPDATE api_keys SET name = $1, scopes_json = $2, editions_json = $3, limits_json = $4,
            expires_at = $5, version = $6 WHERE tenant_id = $7 AND key_id = $8";
        let (scopes, editions, limits) = (
            to_json(&rights.scopes)?,
            to_json(&rights.editions)?,
            to_json(&rights.limits)?,
        );
        let params = params![
            &rights.name,
            &scopes,
            &editions,
            &limits,
            rights.expires_at,
            version,
            self.tenant.as_str(),
            id.as_str(),
        ];
        Ok(self.session.execute(NARROW, params).await? > 0)
    }

    /// The key that was minted in place of this one.
    pub async fn find_successor(&mut self, id: &KeyId) -> Result<Option<Key>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE tenant_id = $1 AND replaces_id = $2");
        let params = params![self.tenant.as_str(), id.as_str()];
        self.session.query_one(&sql, params, key).await
    }

    /// Adds to the calls that a key made in a month, as `2026-11`. For people to read: caps are counted elsewhere.
    pub async fn count_calls(&mut self, id: &KeyId, month: &str, calls: i64) -> Result<(), StoreError> {
        let mut counters = Counters {
            session: self.session,
            tenant: self.tenant,
        };
        counters
            .add(&calls_of(id.as_str()), month, calls, None)
            .await
            .map(|_| ())
    }

    /// The calls that a key made in a month.
    pub async fn calls(&mut self, id: &KeyId, month: &str) -> Result<i64, StoreError> {
        let mut counters = Counters {
            session: self.session,
            tenant: self.tenant,
        };
        counters.get(&calls_of(id.as_str()), month).await
    }

    /// The calls of every key that made some in a month.
    pub async fn all_calls(&mut self, month: &str) -> Result<HashMap<String, i64>, StoreError> {
        const ALL: &str = "SELECT name, value FROM counters
            WHERE tenant_id = $1 AND period = $2 AND name >= $3 AND name < $4";
        let (from, to) = (calls_of(""), calls_of("~"));
        let params = params![self.tenant.as_str(), month, &from, &to];
        let rows = self.session.query(ALL, params, |row| {
            let name = row.text(0)?;
            Ok((name.trim_start_matches(&calls_of("")).to_owned(), row.int(1)?))
        });
        Ok(rows.await?.into_iter().collect())
    }

    /// How many keys of that owner still open something.
    pub async fn count_live(&mut self, owner: &UserId) -> Result<i64, StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM api_keys WHERE tenant_id = $1 AND owner_id = $2
            AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)";
        let params = params![self.tenant.as_str(), owner.as_str(), self.session.now];
        let count = self.session.query_one(COUNT, params, |row| row.int(0)).await?;
        Ok(count.unwrap_or(0))
    }

    /// Keys in the order of their ids, newest first, after `before`; only those of `owner` if one is named. At most
    /// `limit`.
    pub async fn page(
        &mut self,
        owner: Option<&UserId>,
        before: Option<&KeyId>,
        limit: u32,
    ) -> Result<Vec<Key>, StoreError> {
        // An id begins with the time of its making, so its order is the order of minting.
        let sql = format!(
            "SELECT {COLUMNS} FROM api_keys WHERE tenant_id = $1 AND owner_id = COALESCE($2, owner_id)
                AND key_id < COALESCE($3, '~') ORDER BY key_id DESC LIMIT $4"
        );
        let params = params![
            self.tenant.as_str(),
            owner.map(UserId::as_str),
            before.map(KeyId::as_str),
            limit,
        ];
        self.session.query(&sql, params, key).await
    }

    /// Notes when and by which client a key was used. It does not raise the keys' counter: tables in memory
    /// need not hear of every call.
    pub async fn touch(&mut self, id: &KeyId, at: Timestamp, client: Option<&str>) -> Result<(), StoreError> {
        const TOUCH: &str =
            "UPDATE api_keys SET last_used_at = $1, last_used_client = COALESCE($2, last_used_client)
            WHERE tenant_id = $3 AND key_id = $4 AND (last_used_at IS NULL OR last_used_at <= $1)";
        self.session
            .execute(TOUCH, params![at, client, self.tenant.as_str(), id.as_str()])
            .await
            .map(|_| ())
    }
}

impl SystemKeys<'_> {
    /// The key of that hash, whoever owns it.
    pub async fn find_by_hash(&mut self, hash: &[u8; 32]) -> Result<Option<Key>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE hash = $1");
        self.session.query_one(&sql, params![&hash[..]], key).await
    }

    /// Every key and the version to go on from with [`SystemKeys::changed_since`].
    pub async fn all(&mut self) -> Result<(Vec<Arc<Key>>, i64), StoreError> {
        self.changed_since(0).await
    }

    /// Keys changed after `version`, and the version to go on from. Keys are never deleted, so this is all
    /// there is to know.
    pub async fn changed_since(&mut self, version: i64) -> Result<(Vec<Arc<Key>>, i64), StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE version > $1");
        let mut repeated = Repeated::default();
        let shared = |row: &RowRef<'_>| repeated.key(row).map(Arc::new);
        let keys = self.session.query(&sql, params![version], shared).await?;
        // Invariant: a version becomes visible together with the rows that carry it, because the counter's
        // row stays locked until they commit. So the newest row seen is the version seen.
        let newest = keys.iter().map(|key| key.version).max().unwrap_or(version);
        Ok((keys, newest))
    }
}
