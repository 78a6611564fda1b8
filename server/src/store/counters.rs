//! Numbers that must be exact across replicas: ticket numbers, calls of a month (design.md D10).

use std::collections::BTreeMap;

use super::{
    Session, StoreError,
    row::{params, to_json},
};
use crate::vocabulary::TenantId;

/// Counters of one tenant.
pub struct Counters<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

impl Counters<'_> {
    /// The next number of a sequence that starts at 1 and has no gaps in what was committed.
    pub async fn next(&mut self, name: &str) -> Result<i64, StoreError> {
        let counted = self.add(name, "", 1, None).await?;
        counted.ok_or_else(|| StoreError::Row("a counter without a cap was over it".into()))
    }

    /// Adds `by` to the counter of a period (as `2026-11`), unless that would pass `cap`. Gives the new value,
    /// or `None` when the cap is in the way and nothing was counted.
    pub async fn add(
        &mut self,
        name: &str,
        period: &str,
        by: i64,
        cap: Option<i64>,
    ) -> Result<Option<i64>, StoreError> {
        const ADD: &str = "INSERT INTO counters (tenant_id, name, period, value) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id, name, period) DO UPDATE SET value = counters.value + excluded.value
            WHERE counters.value + excluded.value <= $5 RETURNING value";
        let cap = cap.unwrap_or(i64::MAX);
        // The first count of a period meets no row, so the condition above does not see it.
        if by > cap {
            return Ok(None);
        }
        let params = params![self.tenant.as_str(), name, period, by, cap];
        self.session.query_one(ADD, params, |row| row.int(0)).await
    }

    /// Adds to several counters without a period or a cap, in the order of their names: two transactions that do so never wait
    /// for each other in a circle.
    pub async fn add_each(&mut self, counts: &BTreeMap<String, i64>) -> Result<(), StoreError> {
        // One way to the server and back. SQLite has none to go, and no list of pairs that both engines read.
        const ADD: &str = "INSERT INTO counters (tenant_id, name, period, value)
            SELECT $1, given.key, '', CAST(given.value AS BIGINT) FROM json_each_text(CAST(CAST($2 AS TEXT) AS JSON)) AS given
            ORDER BY given.key COLLATE \"C\"
            ON CONFLICT (tenant_id, name, period) DO UPDATE SET value = counters.value + excluded.value";
        if self.session.is_postgres() {
            let listed = to_json(counts)?;
            return self
                .session
                .execute(ADD, params![self.tenant.as_str(), &listed])
                .await
                .map(|_| ());
        }
        for (name, by) in counts {
            self.add(name, "", *by, None).await?;
        }
        Ok(())
    }

    /// The value of a counter, 0 before the first count.
    pub async fn get(&mut self, name: &str, period: &str) -> Result<i64, StoreError> {
        const GET: &str = "SELECT value FROM counters WHERE tenant_id = $1 AND name = $2 AND period = $3";
        let value = self
            .session
            .query_one(GET, params![self.tenant.as_str(), name, period], |row| row.int(0))
            .await?;
        Ok(value.unwrap_or(0))
    }
}
