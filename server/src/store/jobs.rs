//! Work to be done later, by any replica (design.md D11).
//!
//! A job is leased for a time. Who holds the lease finishes, fails or extends it; when the time is over, the
//! next one may lease it, and is told that an earlier attempt was lost. A crash loses no job and runs none
//! twice without saying so.

use super::{
    Session, StoreError,
    row::{RowRef, params, to_json},
};
use crate::vocabulary::{TenantId, Timestamp};

/// What a job's last error says when its worker never came back.
const LOST: &str = "the worker that held it went away";

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Waits for its moment or for a worker.
    Queued,
    /// Is being worked on.
    Leased,
    /// Finished.
    Done,
    /// Failed for good.
    Failed,
    /// Called off before it ran.
    Cancelled,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Leased,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];
    /// The states in which something may still have to be done: by a worker, or by a person.
    pub const OPEN: [Self; 3] = [Self::Queued, Self::Leased, Self::Failed];

    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl std::str::FromStr for JobState {
    type Err = StoreError;
    fn from_str(word: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| StoreError::Row(format!("unknown job state `{word}`")))
    }
}

/// A job to be queued.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Identity; queueing the same id twice queues one job.
    pub id: String,
    /// Which workers take it.
    pub queue: String,
    /// What they need to know.
    pub payload: serde_json::Value,
    /// Not before this moment.
    pub run_at: Timestamp,
    /// Attempts until it has failed for good, at least 1.
    pub max_attempts: u32,
}

/// A job as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Whose job it is.
    pub tenant: TenantId,
    /// Identity.
    pub id: String,
    /// Which workers take it.
    pub queue: String,
    /// What they need to know.
    pub payload: serde_json::Value,
    /// Where it stands.
    pub state: JobState,
    /// When it is due; while leased, when the lease ends.
    pub run_at: Timestamp,
    /// Attempts so far, the present one included.
    pub attempt: u32,
    /// Attempts until it has failed for good.
    pub max_attempts: u32,
    /// Who holds or held the lease.
    pub lease_owner: Option<String>,
    /// What it came to.
    pub result: Option<serde_json::Value>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Job {
    /// Whether the attempt before this one was lost: it may have taken effect.
    pub fn was_lost(&self) -> bool {
        self.last_error.as_deref() == Some(LOST)
    }
}

const COLUMNS: &str =
    "tenant_id, job_id, queue, payload, state, run_at, attempt, max_attempts, lease_owner, result,
    last_error, created_at, updated_at";

fn job(row: &RowRef<'_>) -> Result<Job, StoreError> {
    Ok(Job {
        tenant: row.name(0)?,
        id: row.text(1)?,
        queue: row.text(2)?,
        payload: row.json(3)?,
        state: row.name(4)?,
        run_at: row.time(5)?,
        attempt: row.count(6)?,
        max_attempts: row.count(7)?,
        lease_owner: row.opt_text(8)?,
        result: row
            .opt_text(9)?
            .map(|text| super::row::from_json(&text))
            .transpose()?,
        last_error: row.opt_text(10)?,
        created_at: row.time(11)?,
        updated_at: row.time(12)?,
    })
}

/// Jobs of one tenant.
pub struct Jobs<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// Jobs of all tenants, for the workers.
pub struct SystemJobs<'t> {
    pub(super) session: &'t mut Session,
}

impl Jobs<'_> {
    /// Queues a job; `false` when that id was queued before.
    pub async fn enqueue(&mut self, new: &NewJob) -> Result<bool, StoreError> {
        const ENQUEUE: &str =
            "INSERT INTO jobs (tenant_id, job_id, queue, payload, state, run_at, attempt, max_attempts,
                created_at, updated_at)
            VALUES ($1, $2, $3, $4, 'queued', $5, 0, $6, $7, $7) ON CONFLICT DO NOTHING";
        let payload = to_json(&new.payload)?;
        let now = self.session.now;
        let params = params![
            self.tenant.as_str(),
            &new.id,
            &new.queue,
            &payload,
            new.run_at,
            new.max_attempts.max(1),
            now
        ];
        let queued = self.session.execute(ENQUEUE, params).await? > 0;
        self.session.queued |= queued;
        Ok(queued)
    }

    /// Looks one up.
    pub async fn find(&mut self, id: &str) -> Result<Option<Job>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE tenant_id = $1 AND job_id = $2");
        self.session
            .query_one(&sql, params![self.tenant.as_str(), id], job)
            .await
    }

    /// Jobs of a queue in a state, last changed first.
    pub async fn list(&mut self, queue: &str, state: JobState, limit: u32) -> Result<Vec<Job>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs WHERE tenant_id = $1 AND queue = $2 AND state = $3
             ORDER BY updated_at DESC, job_id LIMIT $4"
        );
        self.session
            .query(
                &sql,
                params![self.tenant.as_str(), queue, state.as_str(), limit],
                job,
            )
            .await
    }

    /// Calls a job off; `false` when it is not queued (any more).
    pub async fn cancel(&mut self, id: &str) -> Result<bool, StoreError> {
        const CANCEL: &str = "UPDATE jobs SET state = 'cancelled', updated_at = $1
            WHERE tenant_id = $2 AND job_id = $3 AND state = 'queued'";
        let params = params![self.session.now, self.tenant.as_str(), id];
        Ok(self.session.execute(CANCEL, params).await? > 0)
    }

    /// Queues a job that has failed for good or was called off once more, with all its attempts before it; `false` when it
    /// is neither.
    pub async fn retry(&mut self, id: &str) -> Result<bool, StoreError> {
        const RETRY: &str = "UPDATE jobs SET state = 'queued', attempt = 0, run_at = $1, updated_at = $1
            WHERE tenant_id = $2 AND job_id = $3 AND state IN ('failed', 'cancelled')";
        let params = params![self.session.now, self.tenant.as_str(), id];
        let queued = self.session.execute(RETRY, params).await? > 0;
        self.session.queued |= queued;
        Ok(queued)
    }

    /// Ends a leased job with a result. `false`: the lease was lost, somebody else decides.
    pub async fn complete(&mut self, leased: &Job, result: &serde_json::Value) -> Result<bool, StoreError> {
        const COMPLETE: &str =
            "UPDATE jobs SET state = 'done', result = $1, last_error = NULL, updated_at = $2
            WHERE tenant_id = $3 AND job_id = $4 AND state = 'leased' AND lease_owner = $5 AND attempt = $6";
        let result = to_json(result)?;
        let params = params![
            &result,
            self.session.now,
            self.tenant.as_str(),
            &leased.id,
            leased.lease_owner.as_deref(),
            leased.attempt
        ];
        Ok(self.session.execute(COMPLETE, params).await? > 0)
    }

    /// Ends a leased job that nobody will ask about: its row goes. `false`: the lease was lost, somebody else decides.
    pub async fn remove(&mut self, leased: &Job) -> Result<bool, StoreError> {
        const REMOVE: &str = "DELETE FROM jobs WHERE tenant_id = $1 AND job_id = $2 AND state = 'leased'
            AND lease_owner = $3 AND attempt = $4";
        let params = params![
            self.tenant.as_str(),
            &leased.id,
            leased.lease_owner.as_deref(),
            leased.attempt
        ];
        Ok(self.session.execute(REMOVE, params).await? > 0)
    }

    /// The same for several jobs that one call leased.
    pub async fn remove_all(&mut self, leased: &[Job]) -> Result<(), StoreError> {
        let Some(owner) = leased.first().and_then(|job| job.lease_owner.as_deref()) else {
            return Ok(());
        };
        let ids: Vec<&str> = leased.iter().map(|job| job.id.as_str()).collect();
        let listed = to_json(&ids)?;
        let sql = format!(
            "DELETE FROM jobs WHERE tenant_id = $1 AND state = 'leased' AND lease_owner = $2 AND {}",
            self.session.is_one_of("job_id", 3)
        );
        let params = params![self.tenant.as_str(), owner, &listed];
        self.session.execute(&sql, params).await.map(|_| ())
    }

    /// Puts a leased job aside until a moment, with all its attempts before it: its work goes on in parts. `false`: the
    /// lease was lost.
    pub async fn put_off(&mut self, leased: &Job, until: Timestamp) -> Result<bool, StoreError> {
        const PUT_OFF: &str = "UPDATE jobs SET state = 'queued', run_at = $1, attempt = 0, last_error = NULL,
            updated_at = $2 WHERE tenant_id = $3 AND job_id = $4 AND state = 'leased' AND lease_owner = $5 AND attempt = $6";
        let params = params![
            until,
            self.session.now,
            self.tenant.as_str(),
            &leased.id,
            leased.lease_owner.as_deref(),
            leased.attempt
        ];
        Ok(self.session.execute(PUT_OFF, params).await? > 0)
    }

    /// Ends an attempt that failed. The job is queued again for `retry_at` while attempts are left; without a
    /// moment it has failed for good. `None`: the lease was lost.
    pub async fn fail(
        &mut self,
        leased: &Job,
        error: &str,
        retry_at: Option<Timestamp>,
    ) -> Result<Option<JobState>, StoreError> {
        const FAIL: &str = "UPDATE jobs SET state = $1, run_at = $2, last_error = $3, updated_at = $4
            WHERE tenant_id = $5 AND job_id = $6 AND state = 'leased' AND lease_owner = $7 AND attempt = $8";
        let (state, run_at) = match retry_at {
            Some(at) if leased.attempt < leased.max_attempts => (JobState::Queued, at),
            _ => (JobState::Failed, self.session.now),
        };
        let params = params![
            state.as_str(),
            run_at,
            error,
            self.session.now,
            self.tenant.as_str(),
            &leased.id,
            leased.lease_owner.as_deref(),
            leased.attempt
        ];
        Ok((self.session.execute(FAIL, params).await? > 0).then_some(state))
    }

    /// Prolongs a lease to `lease_ms` from now. `false`: it was lost, the worker must stop.
    pub async fn extend(&mut self, leased: &Job, lease_ms: u32) -> Result<bool, StoreError> {
        const EXTEND: &str = "UPDATE jobs SET run_at = $1, updated_at = $2
            WHERE tenant_id = $3 AND job_id = $4 AND state = 'leased' AND lease_owner = $5 AND attempt = $6";
        let now = self.session.now;
        let params = params![
            now.plus_millis(lease_ms.into()),
            now,
            self.tenant.as_str(),
            &leased.id,
            leased.lease_owner.as_deref(),
            leased.attempt
        ];
        Ok(self.session.execute(EXTEND, params).await? > 0)
    }
}

/// How much there is to do in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDepth {
    /// The queue's name.
    pub queue: String,
    /// Jobs that wait, for their moment or a worker, or are being worked on.
    pub jobs: i64,
    /// When the next of them is due; of those being worked on, when they would be taken from a worker that is gone.
    pub next_at: Timestamp,
}

impl SystemJobs<'_> {
    /// Leases due jobs of a queue, the longest due first. `owner` must be new for each call of each worker,
    /// because it is what a lease is recognised by.
    pub async fn lease(
        &mut self,
        queue: &str,
        owner: &str,
        lease_ms: u32,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        const GIVE_UP: &str = "UPDATE jobs SET state = 'failed', last_error = $1, updated_at = $2
            WHERE queue = $3 AND state = 'leased' AND run_at <= $2 AND attempt >= max_attempts";
        let now = self.session.now;
        self.session.execute(GIVE_UP, params![LOST, now, queue]).await?;
        // Several workers ask at once: PostgreSQL lets each skip what another one is taking. SQLite has one writer.
        let skip = if self.session.is_postgres() {
            "FOR UPDATE SKIP LOCKED"
        } else {
            ""
        };
        let sql = format!(
            "UPDATE jobs SET state = 'leased', attempt = attempt + 1, lease_owner = $1, run_at = $2, updated_at = $3,
                last_error = CASE WHEN state = 'leased' THEN $4 ELSE last_error END
             WHERE (tenant_id, job_id) IN (
                SELECT tenant_id, job_id FROM jobs
                WHERE queue = $5 AND run_at <= $3 AND state IN ('queued', 'leased') ORDER BY run_at LIMIT $6 {skip}
             ) RETURNING {COLUMNS}"
        );
        let until = now.plus_millis(lease_ms.into());
        let mut jobs = self
            .session
            .query(&sql, params![owner, until, now, LOST, queue, limit], job)
            .await?;
        jobs.sort_by(|a, b| a.created_at.cmp(&b.created_at).then_with(|| a.id.cmp(&b.id)));
        Ok(jobs)
    }

    /// What waits in each queue that is not empty, and what is being worked on.
    pub async fn queues(&mut self) -> Result<Vec<QueueDepth>, StoreError> {
        const DEPTHS: &str =
            "SELECT queue, COUNT(*), MIN(run_at) FROM jobs WHERE state IN ('queued', 'leased')
            GROUP BY queue";
        self.session
            .query(DEPTHS, params![], |row| {
                Ok(QueueDepth {
                    queue: row.text(0)?.to_owned(),
                    jobs: row.int(1)?,
                    next_at: row.time(2)?,
                })
            })
            .await
    }

    /// When the next job of a queue is due, so that a worker knows how long to sleep.
    pub async fn next_due(&mut self, queue: &str) -> Result<Option<Timestamp>, StoreError> {
        const NEXT: &str = "SELECT MIN(run_at) FROM jobs WHERE queue = $1 AND state IN ('queued', 'leased')";
        let next = self
            .session
            .query_one(NEXT, params![queue], |row| row.opt_time(0))
            .await?;
        Ok(next.flatten())
    }

    /// Forgets jobs of any queue that ended before a moment, at most `most` of them; gives how many.
    pub async fn purge(&mut self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM jobs WHERE (tenant_id, job_id) IN (
                SELECT tenant_id, job_id FROM jobs
                WHERE state IN ('done', 'failed', 'cancelled') AND updated_at < $1 LIMIT $2)";
        self.session.execute(PURGE, params![before, most]).await
    }
}
