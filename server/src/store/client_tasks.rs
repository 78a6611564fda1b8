//! Calls that go on after their reply (protocol.md §5): one row each, which whoever runs it keeps alive.
//!
//! | Status | Means | Next |
//! |---|---|---|
//! | `working` | it runs | any other |
//! | `input_required` | it waits for answers | `working`, `cancelled`, `failed` |
//! | `completed` `failed` `cancelled` | over, for good | – |

use super::{
    Session, StoreError, Topic,
    row::{RowRef, params},
};
use crate::vocabulary::{EditionName, TenantId, Timestamp, ToolName, UserId};

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// It runs.
    Working,
    /// It waits for answers.
    InputRequired,
    /// It has a result, a tool's own failure included.
    Completed,
    /// It ended without a result.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl TaskStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Working,
        Self::InputRequired,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The protocol's word, which is also the table's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more becomes of it.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Working | Self::InputRequired)
    }
}

impl std::str::FromStr for TaskStatus {
    type Err = StoreError;
    fn from_str(word: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| StoreError::Row(format!("unknown status `{word}` of a task")))
    }
}

/// A task to be kept.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub user: UserId,
    /// Through which edition it was called.
    pub edition: EditionName,
    /// Which tool runs.
    pub tool: ToolName,
    /// For how long it is kept, in milliseconds.
    pub lifetime_ms: i64,
    /// For how long it counts as running unless somebody says so again, in milliseconds.
    pub alive_ms: i64,
}

/// A task as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub status: TaskStatus,
    /// Its client wants it stopped.
    pub cancel_asked: bool,
    /// Questions by key, sealed.
    pub requests: Option<Vec<u8>>,
    /// Answers by key, sealed.
    pub answers: Option<Vec<u8>>,
    /// What it came to, sealed.
    pub outcome: Option<Vec<u8>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its status last changed.
    pub updated_at: Timestamp,
    /// Until when it counts as running.
    pub alive_until: Timestamp,
    /// Until when it is kept.
    pub expires_at: Timestamp,
}

/// Statements on one tenant's tasks.
pub struct ClientTasks<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// Statements on all tasks, for the sweep.
pub struct SystemClientTasks<'t> {
    pub(super) session: &'t mut Session,
}

const COLUMNS: &str = "task_id, status, cancel_asked, requests, answers, outcome, created_at, updated_at,
    alive_until, expires_at";

fn task(row: &RowRef<'_>) -> Result<TaskRow, StoreError> {
    Ok(TaskRow {
        id: row.text(0)?,
        status: row.text(1)?.parse()?,
        cancel_asked: row.flag(2)?,
        requests: row.opt_blob(3)?,
        answers: row.opt_blob(4)?,
        outcome: row.opt_blob(5)?,
        created_at: row.time(6)?,
        updated_at: row.time(7)?,
        alive_until: row.time(8)?,
        expires_at: row.time(9)?,
    })
}

impl ClientTasks<'_> {
    /// Keeps a task that runs.
    pub async fn insert(&mut self, new: &NewTask) -> Result<TaskRow, StoreError> {
        let sql = format!(
            "INSERT INTO client_tasks (tenant_id, task_id, user_id, edition, tool_name, status, cancel_asked,
                created_at, updated_at, alive_until, expires_at)
             VALUES ($1, $2, $3, $4, $5, 'working', 0, $6, $6, $7, $8) RETURNING {COLUMNS}"
        );
        let now = self.session.now;
        let params = params![
            self.tenant.as_str(),
            &new.id,
            new.user.as_str(),
            new.edition.as_str(),
            new.tool.as_str(),
            now,
            now.plus_millis(new.alive_ms),
            now.plus_millis(new.lifetime_ms)
        ];
        let row = self.session.query_one(&sql, params, task).await?;
        row.ok_or_else(|| StoreError::Row("a task is missing".into()))
    }

    /// How many tasks of a person are under way.
    pub async fn under_way(&mut self, user: &UserId) -> Result<i64, StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM client_tasks WHERE tenant_id = $1 AND user_id = $2
            AND status IN ('working', 'input_required') AND alive_until > $3";
        let params = params![self.tenant.as_str(), user.as_str(), self.session.now];
        let count = self.session.query_one(COUNT, params, |row| row.int(0)).await?;
        Ok(count.unwrap_or(0))
    }

    /// A person's task, held until this transaction ends where it can be changed.
    pub async fn find(&mut self, id: &str, user: &UserId) -> Result<Option<TaskRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM client_tasks WHERE tenant_id = $1 AND task_id = $2 AND user_id = $3 AND expires_at > $4"
        );
        let params = params![self.tenant.as_str(), id, user.as_str(), self.session.now];
        self.session.query_one(&sql, params, task).await
    }

    /// The same, held until this transaction ends.
    pub async fn hold(&mut self, id: &str, user: &UserId) -> Result<Option<TaskRow>, StoreError> {
        if self.session.is_postgres() {
            const HOLD: &str = "SELECT 1 FROM client_tasks WHERE tenant_id = $1 AND task_id = $2 FOR UPDATE";
            let params = params![self.tenant.as_str(), id];
            self.session.query(HOLD, params, |_| Ok(())).await?;
        }
        self.find(id, user).await
    }

    /// Says that a task still runs.
    pub async fn keep_alive(&mut self, id: &str, alive_ms: i64) -> Result<(), StoreError> {
        const ALIVE: &str = "UPDATE client_tasks SET alive_until = $1 WHERE tenant_id = $2 AND task_id = $3
            AND status IN ('working', 'input_required')";
        let until = self.session.now.plus_millis(alive_ms);
        self.session
            .execute(ALIVE, params![until, self.tenant.as_str(), id])
            .await
            .map(|_| ())
    }

    /// Puts questions, or takes them back with `None`, and tells whoever looks.
    pub async fn set_questions(&mut self, id: &str, requests: Option<&[u8]>) -> Result<(), StoreError> {
        const SET: &str =
            "UPDATE client_tasks SET status = $1, requests = $2, answers = NULL, updated_at = $3
            WHERE tenant_id = $4 AND task_id = $5 AND status IN ('working', 'input_required')";
        let status = match requests {
            Some(_) => TaskStatus::InputRequired,
            None => TaskStatus::Working,
        };
        let params = params![
            status.as_str(),
            requests,
            self.session.now,
            self.tenant.as_str(),
            id
        ];
        self.session.execute(SET, params).await?;
        self.session.raise(Topic::Tasks).await.map(|_| ())
    }

    /// Keeps answers, all that are there so far, and tells whoever runs the task.
    pub async fn set_answers(&mut self, id: &str, answers: &[u8]) -> Result<(), StoreError> {
        const SET: &str = "UPDATE client_tasks SET answers = $1, updated_at = $2
            WHERE tenant_id = $3 AND task_id = $4 AND status = 'input_required'";
        let params = params![answers, self.session.now, self.tenant.as_str(), id];
        self.session.execute(SET, params).await?;
        self.session.raise(Topic::Tasks).await.map(|_| ())
    }

    /// Asks for a task to be stopped, and tells whoever runs it.
    pub async fn ask_cancel(&mut self, id: &str) -> Result<(), StoreError> {
        const ASK: &str = "UPDATE client_tasks SET cancel_asked = 1 WHERE tenant_id = $1 AND task_id = $2
            AND status IN ('working', 'input_required')";
        self.session
            .execute(ASK, params![self.tenant.as_str(), id])
            .await?;
        self.session.raise(Topic::Tasks).await.map(|_| ())
    }

    /// Ends a task that is not over yet, and tells whoever looks.
    pub async fn finish(
        &mut self,
        id: &str,
        status: TaskStatus,
        outcome: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        const FINISH: &str =
            "UPDATE client_tasks SET status = $1, outcome = $2, requests = NULL, answers = NULL,
                updated_at = $3
            WHERE tenant_id = $4 AND task_id = $5 AND status IN ('working', 'input_required')";
        let params = params![
            status.as_str(),
            outcome,
            self.session.now,
            self.tenant.as_str(),
            id
        ];
        self.session.execute(FINISH, params).await?;
        self.session.raise(Topic::Tasks).await.map(|_| ())
    }
}

impl SystemClientTasks<'_> {
    /// Forgets tasks that nobody can ask for any more, at most `limit`; gives how many.
    pub async fn purge(&mut self, limit: u32) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM client_tasks WHERE (tenant_id, task_id) IN (
            SELECT tenant_id, task_id FROM client_tasks WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
        let params = params![self.session.now, limit];
        self.session.execute(PURGE, params).await
    }
}
