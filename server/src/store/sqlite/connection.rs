//! Statements on one SQLite connection. Everything here blocks and runs on a store thread.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{CachedStatement, Connection};

use super::WordCounts;
use crate::{
    store::{
        StoreError,
        audit::SealedAudit,
        chain::Head,
        changes::READ_COUNTERS,
        row::{Param, RowRef, params},
    },
    vocabulary::TenantId,
};

/// A connection and what it knows of the physical transaction in progress.
pub(crate) struct SqliteConnection {
    pub(super) raw: Connection,
    /// Ends of the chains touched in this transaction. Emptied at its end: another process may append next.
    heads: HashMap<TenantId, Head>,
    pub(super) counts: Arc<WordCounts>,
}

impl SqliteConnection {
    pub(super) fn new(raw: Connection, counts: Arc<WordCounts>) -> Self {
        Self {
            raw,
            heads: HashMap::new(),
            counts,
        }
    }

    /// Prepares (from the cache) and binds.
    ///
    /// The dialects agree on `$1`: SQLite takes it as a *named* parameter and numbers names by first
    /// appearance, so statements must mention `$1`, `$2`, … in that order. Debug builds check it.
    pub(super) fn prepare(&self, sql: &str, params: &[Param<'_>]) -> Result<CachedStatement<'_>, StoreError> {
        let mut statement = self.raw.prepare_cached(sql)?;
        debug_assert_eq!(statement.parameter_count(), params.len(), "{sql}");
        for (at, param) in (1..).zip(params) {
            debug_assert_eq!(
                statement.parameter_name(at),
                Some(format!("${at}").as_str()),
                "{sql}"
            );
            statement.raw_bind_parameter(at, param)?;
        }
        Ok(statement)
    }

    pub(crate) fn query<T>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        mut map: impl FnMut(&RowRef<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.prepare(sql, params)?;
        let mut rows = statement.raw_query();
        let mut mapped = Vec::new();
        while let Some(row) = rows.next()? {
            mapped.push(map(&RowRef::Sqlite(row))?);
        }
        Ok(mapped)
    }

    pub(crate) fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        Ok(self.prepare(sql, params)?.raw_execute()? as u64)
    }

    pub(crate) fn batch(&self, sql: &str) -> Result<(), StoreError> {
        Ok(self.raw.execute_batch(sql)?)
    }

    /// The change counters as they stand.
    pub(super) fn counters(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.query(READ_COUNTERS, &[], |row| Ok((row.text(0)?, row.int(1)?)))
    }

    /// Forgets what was known of the last transaction.
    pub(super) fn forget(&mut self) {
        self.heads.clear();
    }

    fn head(&self, tenant: &TenantId) -> Result<Head, StoreError> {
        if let Some(head) = self.heads.get(tenant) {
            return Ok(*head);
        }
        const HEAD: &str = "SELECT seq, hash FROM audit_heads WHERE tenant_id = $1";
        let found = self.query(HEAD, params![tenant.as_str()], |row| {
            Ok(Head {
                seq: row.int(0)?,
                hash: row.digest(1)?,
            })
        })?;
        Ok(found.first().copied().unwrap_or_default())
    }

    /// Chains and inserts rows. On an error the chain's end in memory is unchanged.
    pub(super) fn append<'r>(
        &mut self,
        rows: impl IntoIterator<Item = (&'r TenantId, &'r SealedAudit)>,
    ) -> Result<(), StoreError> {
        const INSERT: &str =
            "INSERT INTO audit_log (tenant_id, seq, ts, api_key_id, tool_name, status, body, hash)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        // Groups are nearly always of one tenant, so the chain that is being continued is kept beside the map.
        let mut moved: Vec<(&TenantId, Head)> = Vec::new();
        let mut at = 0;
        // Prepared once for all rows: finding a statement in the cache costs as much as binding it.
        let mut statement = self.raw.prepare_cached(INSERT)?;
        for (tenant, row) in rows {
            if moved.get(at).is_none_or(|(of, _)| *of != tenant) {
                at = match moved.iter().position(|(of, _)| *of == tenant) {
                    Some(at) => at,
                    None => {
                        moved.push((tenant, self.head(tenant)?));
                        moved.len() - 1
                    }
                };
            }
            let Some((_, head)) = moved.get_mut(at) else { break };
            let next = head.next(&row.body);
            let params: &[Param<'_>] = params![
                tenant.as_str(),
                next.seq,
                row.ts,
                row.api_key_id.as_ref().map(crate::vocabulary::KeyId::as_str),
                row.tool_name.as_ref().map(crate::vocabulary::ToolName::as_str),
                row.status,
                &row.body,
                &next.hash[..],
            ];
            for (at, param) in (1..).zip(params) {
                statement.raw_bind_parameter(at, param)?;
            }
            statement.raw_execute()?;
            *head = next;
        }
        drop(statement);
        for (tenant, head) in moved {
            self.heads.insert(tenant.clone(), head);
        }
        Ok(())
    }

    /// Writes the ends of the touched chains, once per physical transaction.
    pub(super) fn save_heads(&self) -> Result<(), StoreError> {
        const SAVE: &str = "INSERT INTO audit_heads (tenant_id, seq, hash, base_seq, base_hash)
            VALUES ($1, $2, $3, 0, zeroblob(32)) ON CONFLICT (tenant_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";
        for (tenant, head) in &self.heads {
            self.execute(SAVE, params![tenant.as_str(), head.seq, &head.hash[..]])?;
        }
        Ok(())
    }
}
