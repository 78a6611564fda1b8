//! Sessions of legacy clients of which something must be remembered: that they ended, what they want to hear. All else
//! of a session stands in its sealed id.

use super::{
    Session, StoreError, Topic,
    row::{RowRef, params, to_json},
};
use crate::vocabulary::{TenantId, Timestamp, UserId};

/// Rows of one person that are kept; with one more the oldest is forgotten, and its session is as it was in the
/// beginning. A client that ends its sessions needs one row a session, so this is a day of a busy one.
const MOST_PER_USER: u32 = 1000;

/// What is remembered of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    /// Its client ended it.
    pub ended: bool,
    /// The least severe log messages that are told, by the protocol's word.
    pub log_level: Option<String>,
    /// Resources whose changes are told.
    pub uris: Vec<String>,
}

/// A session's row, as it is kept in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// SHA-256 of the session's id.
    pub hash: [u8; 32],
    /// What is remembered.
    pub state: SessionState,
    /// From when on nobody comes with the session any more.
    pub expires_at: Timestamp,
    /// The counter of [`Topic::Sessions`] when it was last changed.
    pub version: i64,
}

/// Statements on one tenant's sessions.
pub struct ClientSessions<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// Statements on all sessions, for the table that is kept in memory and for the sweep.
pub struct SystemClientSessions<'t> {
    pub(super) session: &'t mut Session,
}

const COLUMNS: &str = "session_hash, ended, log_level, uris_json, expires_at, version";

fn row(row: &RowRef<'_>) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        hash: row.digest(0)?,
        state: SessionState {
            ended: row.flag(1)?,
            log_level: row.opt_text(2)?,
            uris: row.json(3)?,
        },
        expires_at: row.time(4)?,
        version: row.int(5)?,
    })
}

impl ClientSessions<'_> {
    /// The row of a session, held until this transaction ends.
    pub async fn hold(&mut self, hash: &[u8; 32]) -> Result<Option<SessionRow>, StoreError> {
        let hold = if self.session.is_postgres() {
            " FOR UPDATE"
        } else {
            ""
        };
        let sql =
            format!("SELECT {COLUMNS} FROM client_sessions WHERE tenant_id = $1 AND session_hash = $2{hold}");
        let params = params![self.tenant.as_str(), &hash[..]];
        self.session.query_one(&sql, params, row).await
    }

    /// Remembers what became of a session, and tells every process.
    pub async fn put(
        &mut self,
        user: &UserId,
        hash: &[u8; 32],
        state: &SessionState,
        expires_at: Timestamp,
    ) -> Result<SessionRow, StoreError> {
        const PUT: &str = "INSERT INTO client_sessions
                (tenant_id, session_hash, user_id, ended, log_level, uris_json, version, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (tenant_id, session_hash) DO UPDATE SET ended = excluded.ended,
                log_level = excluded.log_level, uris_json = excluded.uris_json, version = excluded.version";
        // SQLite wants a limit before an offset.
        const FORGET: &str = "DELETE FROM client_sessions WHERE tenant_id = $1 AND session_hash IN (
            SELECT session_hash FROM client_sessions WHERE tenant_id = $1 AND user_id = $2
            ORDER BY version DESC LIMIT 1000 OFFSET $3)";
        let version = self.session.raise(Topic::Sessions).await?;
        let uris = to_json(&state.uris)?;
        let tenant = self.tenant.as_str();
        let params = params![
            tenant,
            &hash[..],
            user.as_str(),
            state.ended,
            state.log_level.as_deref(),
            &uris,
            version,
            expires_at
        ];
        self.session.execute(PUT, params).await?;
        let params = params![tenant, user.as_str(), MOST_PER_USER];
        self.session.execute(FORGET, params).await?;
        Ok(SessionRow {
            hash: *hash,
            state: state.clone(),
            expires_at,
            version,
        })
    }
}

impl SystemClientSessions<'_> {
    /// Rows that changed after a version, the oldest change first.
    pub async fn changed_since(&mut self, version: i64, limit: u32) -> Result<Vec<SessionRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM client_sessions WHERE version > $1 AND expires_at > $2 ORDER BY version LIMIT $3"
        );
        let params = params![version, self.session.now, limit];
        self.session.query(&sql, params, row).await
    }

    /// Forgets sessions that are over, at most `limit`; gives how many.
    pub async fn purge(&mut self, limit: u32) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM client_sessions WHERE (tenant_id, session_hash) IN (
            SELECT tenant_id, session_hash FROM client_sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
        let params = params![self.session.now, limit];
        self.session.execute(PURGE, params).await
    }
}
