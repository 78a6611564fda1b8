//! Monthly caps that many processes share and none oversteps (catalogue.md §2.11, security.md K10).
//!
//! The counter of a month is the truth: it never passes the cap. A process does not ask it for every call; it takes
//! some calls in advance, which the counter holds as spent from then on, and brings back what it does not spend. The
//! table of leases says who may still have some. So a crash costs the month at most what the process had not spent,
//! and no crash, pause or clock gives anybody one call more.

use super::{Session, StoreError, Topic, row::params};
use crate::vocabulary::{TenantId, Timestamp};

/// A process asks this many times the number of processes before the last calls are handed out one by one: the larger,
/// the earlier the blocks shrink, and the fewer calls stand idle elsewhere when the cap comes near.
const SHARES: u64 = 16;

/// The counters of one tenant that have a cap.
pub struct Caps<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// One process's word on one cap.
#[derive(Clone, Debug)]
pub struct CapAsk {
    /// The counter.
    pub name: String,
    /// The month, as `2026-11`.
    pub period: String,
    /// The process.
    pub holder: String,
    /// Calls taken earlier that it brings back.
    pub unspent: u64,
    /// Calls taken earlier that it keeps.
    pub kept: u64,
    /// Calls that wait to be made now.
    pub waiting: u64,
    /// Most calls it wants in advance.
    pub block: u64,
    /// Calls of the month.
    pub cap: u64,
    /// When it is taken for dead unless it speaks again.
    pub expires_at: Timestamp,
}

/// What the counter says to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapGrant {
    /// Calls that may be made now or later.
    pub calls: u64,
    /// The counter, with all that any process holds.
    pub used: u64,
    /// Nothing was left, but other processes hold calls and were asked to bring them back.
    pub elsewhere: bool,
}

impl Caps<'_> {
    /// Brings back, keeps and takes calls in one go.
    pub async fn settle(&mut self, ask: &CapAsk) -> Result<CapGrant, StoreError> {
        // Locks the counter's row whether it is there or not, and reads it.
        const LOCK: &str = "INSERT INTO counters (tenant_id, name, period, value) VALUES ($1, $2, $3, 0)
            ON CONFLICT (tenant_id, name, period) DO UPDATE SET value = counters.value RETURNING value";
        const SET: &str = "UPDATE counters SET value = $1 WHERE tenant_id = $2 AND name = $3 AND period = $4";
        let (tenant, now) = (self.tenant.as_str(), self.session.now);
        let named = params![tenant, &ask.name, &ask.period];
        let before = self.session.query_one(LOCK, named, |row| row.int(0)).await?;
        let before = u64::try_from(before.unwrap_or(0)).unwrap_or(0);
        let others = self.others(ask, now).await?;

        let mut used = before.saturating_sub(ask.unspent);
        let left = ask.cap.saturating_sub(used);
        let block = (left / (SHARES * (others + 1))).min(ask.block);
        let calls = ask.waiting.max(block).min(left);
        used += calls;
        if used != before {
            let value = i64::try_from(used).unwrap_or(i64::MAX);
            self.session
                .execute(SET, params![value, tenant, &ask.name, &ask.period])
                .await?;
        }
        self.note(ask, ask.kept + calls).await?;
        let elsewhere = calls == 0 && ask.waiting > 0 && others > 0;
        if elsewhere {
            self.recall(ask).await?;
        }
        Ok(CapGrant {
            calls,
            used,
            elsewhere,
        })
    }

    /// How many other processes hold calls. Whoever is past its time is forgotten, its calls being spent.
    async fn others(&mut self, ask: &CapAsk, now: Timestamp) -> Result<u64, StoreError> {
        const OTHERS: &str = "SELECT COUNT(*) FROM cap_leases
            WHERE tenant_id = $1 AND name = $2 AND period = $3 AND holder <> $4 AND expires_at > $5";
        const FORGET: &str = "DELETE FROM cap_leases
            WHERE tenant_id = $1 AND name = $2 AND period = $3 AND expires_at <= $4";
        let tenant = self.tenant.as_str();
        self.session
            .execute(FORGET, params![tenant, &ask.name, &ask.period, now])
            .await?;
        let params = params![tenant, &ask.name, &ask.period, &ask.holder, now];
        let others = self.session.query_one(OTHERS, params, |row| row.int(0)).await?;
        Ok(u64::try_from(others.unwrap_or(0)).unwrap_or(0))
    }

    /// Writes down how many calls the process holds now.
    async fn note(&mut self, ask: &CapAsk, held: u64) -> Result<(), StoreError> {
        const NOTE: &str =
            "INSERT INTO cap_leases (tenant_id, name, period, holder, calls, expires_at, recalled)
            VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (tenant_id, name, period, holder)
            DO UPDATE SET calls = excluded.calls, expires_at = excluded.expires_at, recalled = 0";
        const LEAVE: &str = "DELETE FROM cap_leases
            WHERE tenant_id = $1 AND name = $2 AND period = $3 AND holder = $4";
        let tenant = self.tenant.as_str();
        if held == 0 {
            let params = params![tenant, &ask.name, &ask.period, &ask.holder];
            return self.session.execute(LEAVE, params).await.map(|_| ());
        }
        let held = i64::try_from(held).unwrap_or(i64::MAX);
        let params = params![tenant, &ask.name, &ask.period, &ask.holder, held, ask.expires_at];
        self.session.execute(NOTE, params).await.map(|_| ())
    }

    /// Asks the other processes to bring back what they do not need.
    async fn recall(&mut self, ask: &CapAsk) -> Result<(), StoreError> {
        const RECALL: &str = "UPDATE cap_leases SET recalled = 1
            WHERE tenant_id = $1 AND name = $2 AND period = $3 AND holder <> $4 AND recalled = 0";
        let params = params![self.tenant.as_str(), &ask.name, &ask.period, &ask.holder];
        if self.session.execute(RECALL, params).await? > 0 {
            self.session.raise(Topic::Caps).await?;
        }
        Ok(())
    }
}

/// Statements on the caps of all tenants.
pub struct SystemCaps<'t> {
    pub(super) session: &'t mut Session,
}

impl SystemCaps<'_> {
    /// The counters from which a process holds calls that others ask for: tenant and name.
    pub async fn recalled_from(&mut self, holder: &str) -> Result<Vec<(TenantId, String)>, StoreError> {
        const RECALLED: &str = "SELECT tenant_id, name FROM cap_leases WHERE holder = $1 AND recalled = 1";
        self.session
            .query(RECALLED, params![holder], |row| Ok((row.name(0)?, row.text(1)?)))
            .await
    }
}
