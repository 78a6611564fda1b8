//! The call log as people read it: everybody's calls or one person's, and sums by day.
//! What makes the log trustworthy stands in `audit.rs`.

use super::{
    AuditEntry, AuditFilter, AuditStatus, Session, StoreError,
    chain::hex,
    row::{from_json, params},
};
use crate::vocabulary::{KeyId, TenantId, Timestamp, ToolName, UserId};

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

/// The log of one tenant, as a page shows it.
pub struct CallView<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// A condition on whose rows, with its two parameters at `$at` and the next.
fn whose(at: usize) -> String {
    let next = at + 1;
    format!(
        "(CAST(${at} AS TEXT) IS NULL OR api_key_id IN
            (SELECT key_id FROM api_keys WHERE tenant_id = $1 AND owner_id = ${at})
          -- Of calls without a key. A text within a row has its quotes escaped: nothing a stranger writes looks like it.
          OR (api_key_id IS NULL AND body LIKE ${next}))"
    )
}

fn mark_of(user: Option<&UserId>) -> Option<String> {
    user.map(|user| format!("%\"user_id\":\"{user}\"%"))
}

impl CallView<'_> {
    /// Rows newest first, those before number `before` when given; of one person when `owner` names them.
    pub async fn list(
        &mut self,
        filter: &AuditFilter,
        owner: Option<&UserId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let sql = format!(
            "SELECT seq, body, hash FROM audit_log WHERE tenant_id = $1 AND seq < $2
             AND (CAST($3 AS TEXT) IS NULL OR api_key_id = $3) AND (CAST($4 AS TEXT) IS NULL OR tool_name = $4)
             AND (CAST($5 AS TEXT) IS NULL OR status = $5) AND ts >= $6 AND ts < $7 AND {}
             ORDER BY seq DESC LIMIT $10",
            whose(8)
        );
        let mark = mark_of(owner);
        let params = params![
            self.tenant.as_str(),
            before.unwrap_or(i64::MAX),
            filter.api_key_id.as_ref().map(KeyId::as_str),
            filter.tool_name.as_ref().map(ToolName::as_str),
            filter.status.map(AuditStatus::as_str),
            filter.from.map_or(i64::MIN, |t| t.0),
            filter.to.map_or(i64::MAX, |t| t.0),
            owner.map(UserId::as_str),
            mark.as_deref(),
            limit,
        ];
        self.session
            .query(&sql, params, |row| {
                let (seq, body) = (row.int(0)?, row.text(1)?);
                Ok(AuditEntry {
                    seq,
                    id: format!("aud_{seq}"),
                    record: from_json(&body)?,
                    hash: hex(&row.digest(2)?),
                    body,
                })
            })
            .await
    }

    /// Sums of the calls since a moment, by day, oldest first. Of more than [`MOST_SUMMED`] calls the newest count.
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
                FROM audit_log WHERE tenant_id = $1 AND ts >= $2 AND status <> 'intent' AND {}
                ORDER BY seq DESC LIMIT $5) AS newest
             GROUP BY ts / 86400000 ORDER BY day",
            whose(3)
        );
        let mark = mark_of(owner);
        let params = params![
            self.tenant.as_str(),
            since,
            owner.map(UserId::as_str),
            mark.as_deref(),
            MOST_SUMMED,
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
