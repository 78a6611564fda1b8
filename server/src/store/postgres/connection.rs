//! One transaction on one pooled connection.

use std::{collections::BTreeMap, time::Duration};

use deadpool_postgres::Object;
use futures_util::future::join;
use tokio_postgres::{Row, types::ToSql};

use super::Shared;
use crate::{
    store::{StoreError, audit::SealedAudit, chain::Head, row::Param},
    vocabulary::{KeyId, TenantId, ToolName},
};

/// A connection inside a transaction.
///
/// Invariant: it goes back to the pool only after COMMIT or ROLLBACK succeeded. Dropped in any other state,
/// it is closed, and the server undoes the transaction.
pub(crate) struct PgConnection {
    client: Option<Object>,
    /// The transaction's number, once known: what a lost COMMIT is looked up by.
    transaction: Option<String>,
}

impl Drop for PgConnection {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

impl PgConnection {
    /// Takes a connection and begins. `scope` is the tenant for row-level security, or `*`.
    pub(super) async fn begin(shared: &Shared, writes: bool, scope: &str) -> Result<Self, StoreError> {
        // Invariant: a scope is a tenant's slug or `*`; neither needs quoting.
        let begin = if writes {
            format!("BEGIN; SET LOCAL footbridge.tenant = '{scope}'")
        } else {
            format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL footbridge.tenant = '{scope}'"
            )
        };
        // A pooled connection may have died unseen. Nothing was asked of it, so another one may be tried.
        let mut attempts = 0;
        loop {
            attempts += 1;
            let client = shared.pool.get().await.map_err(|e| shared.noted(pool_error(e)))?;
            let mut connection = Self {
                client: Some(client),
                transaction: None,
            };
            match connection.batch(&begin).await {
                Ok(()) => return Ok(connection),
                Err(StoreError::Unreachable { .. }) if attempts < 3 => {
                    drop(connection.client.take().map(Object::take));
                }
                Err(error) => return Err(shared.noted(error)),
            }
        }
    }

    fn client(&self) -> Result<&Object, StoreError> {
        self.client
            .as_ref()
            .ok_or(StoreError::Work("went on after its transaction ended"))
    }

    pub(crate) async fn query(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as _).collect();
        Ok(client.query(&statement, &params).await?)
    }

    pub(crate) async fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as _).collect();
        Ok(client.execute(&statement, &params).await?)
    }

    pub(crate) async fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        Ok(self.client()?.batch_execute(sql).await?)
    }

    /// Chains and inserts audit rows, as the last thing before the commit: the head of a chain is a row that
    /// every writer of the tenant locks, so it is held as briefly as can be. Tenants are taken in one order
    /// everywhere, so two such transactions never wait for each other in a circle.
    pub(super) async fn append_audits(&mut self, rows: &[(TenantId, SealedAudit)]) -> Result<(), StoreError> {
        let mut chains: BTreeMap<&TenantId, Vec<&SealedAudit>> = BTreeMap::new();
        for (tenant, row) in rows {
            chains.entry(tenant).or_default().push(row);
        }
        for (tenant, rows) in chains {
            self.append_chain(tenant, &rows).await?;
        }
        Ok(())
    }

    async fn append_chain(&mut self, tenant: &TenantId, rows: &[&SealedAudit]) -> Result<(), StoreError> {
        const LOCK: &str =
            "SELECT seq, hash, pg_current_xact_id()::text FROM audit_heads WHERE tenant_id = $1 FOR UPDATE";
        const START: &str = "INSERT INTO audit_heads (tenant_id, seq, hash, base_seq, base_hash)
            VALUES ($1, 0, $2, 0, $2) ON CONFLICT (tenant_id) DO NOTHING";
        const INSERT: &str =
            "INSERT INTO audit_log (tenant_id, seq, ts, api_key_id, tool_name, status, body, hash)
            SELECT $1, seq, ts, api_key_id, tool_name, status, body, hash FROM UNNEST(
                $2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::BYTEA[]
            ) AS new (seq, ts, api_key_id, tool_name, status, body, hash)";
        const MOVE: &str = "UPDATE audit_heads SET seq = $2, hash = $3 WHERE tenant_id = $1";

        let tenant = tenant.as_str();
        let mut found = self.query(LOCK, &[tenant.into()]).await?;
        if found.is_empty() {
            self.execute(START, &[tenant.into(), Param::Blob(&[0; 32])])
                .await?;
            found = self.query(LOCK, &[tenant.into()]).await?;
        }
        let row = found
            .first()
            .ok_or_else(|| StoreError::Row("the head of an audit chain is missing".into()))?;
        let unreadable = |e: tokio_postgres::Error| StoreError::Row(e.to_string());
        let hash: Vec<u8> = row.try_get(1).map_err(unreadable)?;
        let hash = hash
            .try_into()
            .map_err(|_| StoreError::Row("a digest is not 32 bytes".into()))?;
        let mut head = Head {
            seq: row.try_get(0).map_err(unreadable)?,
            hash,
        };
        self.transaction = Some(row.try_get(2).map_err(unreadable)?);

        let heads: Vec<Head> = rows
            .iter()
            .map(|row| {
                head = head.next(&row.body);
                head
            })
            .collect();
        let seqs: Vec<i64> = heads.iter().map(|head| head.seq).collect();
        let hashes: Vec<&[u8]> = heads.iter().map(|head| &head.hash[..]).collect();
        let times: Vec<i64> = rows.iter().map(|row| row.ts.0).collect();
        let keys: Vec<Option<&str>> = rows
            .iter()
            .map(|row| row.api_key_id.as_ref().map(KeyId::as_str))
            .collect();
        let tools: Vec<Option<&str>> = rows
            .iter()
            .map(|row| row.tool_name.as_ref().map(ToolName::as_str))
            .collect();
        let statuses: Vec<&str> = rows.iter().map(|row| row.status).collect();
        let bodies: Vec<&str> = rows.iter().map(|row| row.body.as_str()).collect();

        let client = self.client()?;
        let (insert, advance) = (
            client.prepare_cached(INSERT).await?,
            client.prepare_cached(MOVE).await?,
        );
        let (last, hash) = (head.seq, &head.hash[..]);
        // Sent together: one round trip instead of two.
        let (inserted, moved) = join(
            client.execute(
                &insert,
                &[&tenant, &seqs, &times, &keys, &tools, &statuses, &bodies, &hashes],
            ),
            client.execute(&advance, &[&tenant, &last, &hash]),
        )
        .await;
        inserted?;
        moved?;
        Ok(())
    }

    /// Ends the transaction without effect.
    pub(super) async fn roll_back(&mut self) {
        // On an error the connection stays in place and is closed on drop, which rolls back as well.
        if self.batch("ROLLBACK").await.is_ok() {
            drop(self.client.take());
        }
    }

    /// Ends the transaction; `Ok` only if it is known to have taken effect.
    pub(super) async fn commit(&mut self, shared: &Shared) -> Result<(), StoreError> {
        const NUMBER: &str = "SELECT pg_current_xact_id_if_assigned()::text";
        let client = self.client()?;
        let committed = if self.transaction.is_some() {
            client.batch_execute("COMMIT").await
        } else {
            // Asked in the same round trip, for the case that the connection breaks in between.
            let ask = client.prepare_cached(NUMBER).await?;
            let (number, committed) = join(client.query_opt(&ask, &[]), client.batch_execute("COMMIT")).await;
            match number {
                Ok(row) => self.transaction = row.and_then(|row| row.try_get(0).ok().flatten()),
                // In a transaction that failed before, COMMIT means ROLLBACK.
                Err(error) if error.as_db_error().is_some() => return Err(error.into()),
                Err(_) => {}
            }
            committed
        };
        let Err(error) = committed else {
            drop(self.client.take());
            return Ok(());
        };
        match StoreError::from(error) {
            StoreError::Unreachable { .. } => {
                // The connection is of no use any more.
                drop(self.client.take().map(Object::take));
                self.look_up(shared).await
            }
            // The server spoke: the transaction is undone.
            told => Err(told),
        }
    }

    /// Asks on another connection how the transaction ended.
    async fn look_up(&self, shared: &Shared) -> Result<(), StoreError> {
        const STATUS: &str = "SELECT pg_xact_status($1::text::xid8)";
        let Some(number) = &self.transaction else {
            return Err(StoreError::OutcomeUnknown);
        };
        for attempt in 0_u32..6 {
            if let Ok(client) = shared.pool.get().await
                && let Ok(row) = client.query_one(STATUS, &[number]).await
            {
                match row.try_get::<_, Option<&str>>(0) {
                    Ok(Some("committed")) => return Ok(()),
                    Ok(Some("aborted")) => {
                        let detail = "the connection broke and the transaction was undone".into();
                        return Err(StoreError::Unreachable {
                            host: shared.host.clone(),
                            detail,
                        });
                    }
                    // Still being undone, or too old to be known.
                    _ => {}
                }
            }
            tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
        }
        Err(StoreError::OutcomeUnknown)
    }
}

/// Why no connection could be had.
pub(super) fn pool_error(error: deadpool_postgres::PoolError) -> StoreError {
    use deadpool_postgres::{HookError, PoolError, TimeoutType};
    match error {
        PoolError::Backend(error) => error.into(),
        PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
        PoolError::Timeout(TimeoutType::Wait) => StoreError::TimedOut {
            what: "all database connections are in use".into(),
        },
        PoolError::Timeout(_) => StoreError::Unreachable {
            host: "the configured address".into(),
            detail: "no answer in time".into(),
        },
        PoolError::Closed => StoreError::Closed,
        other => StoreError::Unreachable {
            host: "the configured address".into(),
            detail: other.to_string(),
        },
    }
}
