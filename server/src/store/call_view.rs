//! Sums of the call log by day, of everybody's calls or one person's. The rows themselves are read in `log.rs`.

use super::{Session, StoreError, row::params};
use crate::vocabulary::{TenantId, Timestamp, UserId};

/// Newest rows that sums by day are made of, so that a page costs the same however long the log is.
pub const MOST_SUMMED: u32 = 20_000;

/// The calls of one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallDay {
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    /// Calls that ended.
    pub calls: i64,
    /// Those of them that were refused or failed.
    pub errors: i64,
    /// Sum of their times in milliseconds.
    pub latency_ms: i64,
    /// How many of them had a time.
    pub timed: i64,
}

/// The calls of one tenant, as a chart shows them.
pub struct CallView<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

impl CallView<'_> {
    /// Sums of the calls since a moment, by day, oldest first. Of more than [`MOST_SUMMED`] calls of
    /// the tenant the newest count.
    pub async fn days(
        &mut self,
        since: Timestamp,
        owner: Option<&UserId>,
    ) -> Result<Vec<CallDay>, StoreError> {
        let latency = if self.session.is_postgres() {
            "CAST(CAST(body AS JSON) ->> 'latency_ms' AS BIGINT)"
        } else {
            "json_extract(body, '$.latency_ms')"
        };
        let sql = format!(
            "SELECT ts / 86400000 AS day, COUNT(*), CAST(SUM(bad) AS BIGINT), CAST(COALESCE(SUM(latency), 0) AS BIGINT),
                COUNT(latency)
             FROM (SELECT ts, CASE WHEN status IN ('allow', 'preview', 'pending_review') THEN 0 ELSE 1 END AS bad,
                    {latency} AS latency
                FROM (SELECT ts, status, body FROM audit_log WHERE tenant_id = $1 AND ts >= $2 AND status <> 'intent'
                    ORDER BY seq DESC LIMIT $3) AS newest
                WHERE CAST($4 AS TEXT) IS NULL OR {} = $4) AS timed
             GROUP BY ts / 86400000 ORDER BY day",
            self.session.json_text("body", "user_id")
        );
        let params = params![
            self.tenant.as_str(),
            since,
            MOST_SUMMED,
            owner.map(UserId::as_str),
        ];
        self.session
            .query(&sql, params, |row| {
                Ok(CallDay {
                    day: row.int(0)?,
                    calls: row.int(1)?,
                    errors: row.int(2)?,
                    latency_ms: row.int(3)?,
                    timed: row.int(4)?,
                })
            })
            .await
    }
}
