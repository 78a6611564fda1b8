//! Calls that wait for a yes: one row, whichever door the yes comes through (catalogue.md §2.8).
//!
//! | State | Means | Next |
//! |---|---|---|
//! | `pending` | previewed, nobody has answered | `approved`, `declined`, `superseded`, `running` |
//! | `approved` | a person said yes elsewhere; the call has not come back yet | `superseded`, `running` |
//! | `declined` | somebody said no | – |
//! | `superseded` | what it was to change looks different now; a newer preview stands | – |
//! | `running` | taken, once and for all; seen by others only while the effect lies outside the store | `done` |
//! | `done` | its result is kept for whoever asks again | – |

use super::{
    Session, StoreError,
    row::{RowRef, params},
};
use crate::vocabulary::{Consent, EditionName, TenantId, Timestamp, ToolName, UserId};

/// How long a preview may be confirmed, and an approval waits for its call (catalogue.md §2.8).
pub const PENDING_LIFETIME_MS: i64 = 10 * 60 * 1000;
/// How long a result is kept for a call that lost its answer (catalogue.md §2.8).
const RESULT_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;
/// How long a row that came to nothing is kept, so that its token can be told why.
const REASON_LIFETIME_MS: i64 = 60 * 60 * 1000;
/// Previews of one person that are kept; with one more the oldest is forgotten. More wait for nobody.
const MOST_PER_USER: u32 = 100;

/// Where a waiting call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingState {
    /// Nobody has answered.
    Pending,
    /// A person said yes elsewhere.
    Approved,
    /// Somebody said no.
    Declined,
    /// A newer preview took its place.
    Superseded,
    /// Taken.
    Running,
    /// Its result is kept.
    Done,
}

impl PendingState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Approved,
        Self::Declined,
        Self::Superseded,
        Self::Running,
        Self::Done,
    ];

    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Superseded => "superseded",
            Self::Running => "running",
            Self::Done => "done",
        }
    }

    /// Whether a yes may still come, or has come and not been used.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Approved)
    }
}

impl std::str::FromStr for PendingState {
    type Err = StoreError;
    fn from_str(word: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| StoreError::Row(format!("unknown state `{word}` of a pending call")))
    }
}

/// A call to be kept until somebody answers.
#[derive(Clone, Debug)]
pub struct NewPending {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// What a person types to approve it.
    pub code: String,
    /// Whose call it is.
    pub user: UserId,
    /// Through which edition.
    pub edition: EditionName,
    /// Which tool.
    pub tool: ToolName,
    /// SHA-256 of the canonical arguments.
    pub args_digest: [u8; 32],
    /// SHA-256 of the plan.
    pub plan_digest: [u8; 32],
    /// Who may say yes.
    pub need: Consent,
    /// The arguments and the preview, sealed.
    pub sealed: Vec<u8>,
    /// How long it waits for a yes, in milliseconds.
    pub lifetime_ms: i64,
}

/// A waiting call as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// What a person types to approve it.
    pub code: String,
    /// Whose call it is.
    pub user: UserId,
    /// Through which edition.
    pub edition: EditionName,
    /// Which tool.
    pub tool: ToolName,
    /// SHA-256 of the canonical arguments.
    pub args_digest: [u8; 32],
    /// SHA-256 of the plan.
    pub plan_digest: [u8; 32],
    /// Who may say yes.
    pub need: Consent,
    /// Where it stands.
    pub state: PendingState,
    /// The arguments and the preview, sealed; empty once it is done.
    pub sealed: Vec<u8>,
    /// When it was previewed.
    pub created_at: Timestamp,
    /// Until when a yes counts.
    pub expires_at: Timestamp,
    /// Who answered, where a person did so elsewhere.
    pub decided_by: Option<String>,
    /// What it came to, sealed.
    pub result: Option<Vec<u8>>,
}

/// Proof that a waiting call was taken, by this transaction and by no other.
#[derive(Debug)]
pub struct Taken(());

const COLUMNS: &str = "token_hash, code, user_id, edition, tool_name, args_digest, plan_digest, need, state,
    sealed, created_at, expires_at, decided_by, result";

fn pending(row: &RowRef<'_>) -> Result<Pending, StoreError> {
    let need = row.text(7)?;
    Ok(Pending {
        token_hash: row.digest(0)?,
        code: row.text(1)?,
        user: row.name(2)?,
        edition: row.name(3)?,
        tool: row.name(4)?,
        args_digest: row.digest(5)?,
        plan_digest: row.digest(6)?,
        need: Consent::parse(&need)
            .ok_or_else(|| StoreError::Row(format!("unknown need `{need}` of a pending call")))?,
        state: row.text(8)?.parse()?,
        sealed: row.blob(9)?,
        created_at: row.time(10)?,
        expires_at: row.time(11)?,
        decided_by: row.opt_text(12)?,
        result: row.opt_blob(13)?,
    })
}

/// Waiting calls of one tenant.
pub struct PendingCalls<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// Waiting calls of all tenants.
pub struct SystemPendingCalls<'t> {
    pub(super) session: &'t mut Session,
}

impl PendingCalls<'_> {
    /// Keeps a call; gives until when a yes counts.
    pub async fn insert(&mut self, new: &NewPending) -> Result<Timestamp, StoreError> {
        const INSERT: &str =
            "INSERT INTO pending_calls (tenant_id, token_hash, code, user_id, edition, tool_name,
                args_digest, plan_digest, need, state, sealed, created_at, expires_at, keep_until)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $11, $12, $13)";
        // SQLite wants a limit before an offset.
        const FORGET: &str = "DELETE FROM pending_calls WHERE tenant_id = $1 AND token_hash IN (
            SELECT token_hash FROM pending_calls WHERE tenant_id = $1 AND user_id = $2 AND need <> 'review'
                AND state IN ('pending', 'declined', 'superseded') AND token_hash <> $3
            ORDER BY created_at DESC, token_hash LIMIT 1000 OFFSET $4)";
        let now = self.session.now;
        let expires_at = now.plus_millis(new.lifetime_ms);
        let tenant = self.tenant.as_str();
        let params = params![
            tenant,
            &new.token_hash[..],
            &new.code,
            new.user.as_str(),
            new.edition.as_str(),
            new.tool.as_str(),
            &new.args_digest[..],
            &new.plan_digest[..],
            new.need.as_str(),
            new.sealed.as_slice(),
            now,
            expires_at,
            expires_at.plus_millis(REASON_LIFETIME_MS),
        ];
        self.session.execute(INSERT, params).await?;
        let others = MOST_PER_USER - 1;
        let params = params![tenant, new.user.as_str(), &new.token_hash[..], others];
        self.session.execute(FORGET, params).await?;
        Ok(expires_at)
    }

    /// How many calls of a person wait for their review.
    pub async fn under_review(&mut self, user: &UserId) -> Result<i64, StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM pending_calls WHERE tenant_id = $1 AND user_id = $2
            AND need = 'review' AND state = 'pending' AND expires_at > $3";
        let params = params![self.tenant.as_str(), user.as_str(), self.session.now];
        let count = self.session.query_one(COUNT, params, |row| row.int(0)).await?;
        Ok(count.unwrap_or(0))
    }

    /// The call of that token, held until this transaction ends: nobody takes it in between.
    pub async fn hold(&mut self, token_hash: &[u8; 32]) -> Result<Option<Pending>, StoreError> {
        // SQLite has one writer, who holds everything.
        let hold = if self.session.is_postgres() {
            " FOR UPDATE"
        } else {
            ""
        };
        let sql =
            format!("SELECT {COLUMNS} FROM pending_calls WHERE tenant_id = $1 AND token_hash = $2{hold}");
        let params = params![self.tenant.as_str(), &token_hash[..]];
        self.session.query_one(&sql, params, pending).await
    }

    /// The newest open call like this one: what a caller without a token comes back for.
    pub async fn find_same(
        &mut self,
        user: &UserId,
        edition: &EditionName,
        tool: &ToolName,
        args_digest: &[u8; 32],
    ) -> Result<Option<Pending>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM pending_calls WHERE tenant_id = $1 AND user_id = $2 AND edition = $3
                AND tool_name = $4 AND args_digest = $5 AND need <> 'confirm' AND expires_at > $6
                AND state IN ('pending', 'approved', 'declined')
             ORDER BY created_at DESC, token_hash LIMIT 1"
        );
        let params = params![
            self.tenant.as_str(),
            user.as_str(),
            edition.as_str(),
            tool.as_str(),
            &args_digest[..],
            self.session.now
        ];
        self.session.query_one(&sql, params, pending).await
    }

    /// Takes a call that was [held](Self::hold). `None`: it was taken or ended before.
    pub async fn take(&mut self, token_hash: &[u8; 32]) -> Result<Option<Taken>, StoreError> {
        const TAKE: &str = "UPDATE pending_calls SET state = 'running', keep_until = $1
            WHERE tenant_id = $2 AND token_hash = $3 AND state IN ('pending', 'approved') AND expires_at > $4";
        let now = self.session.now;
        let params = params![
            now.plus_millis(RESULT_LIFETIME_MS),
            self.tenant.as_str(),
            &token_hash[..],
            now
        ];
        Ok((self.session.execute(TAKE, params).await? > 0).then_some(Taken(())))
    }

    /// Keeps what a taken call came to.
    pub async fn finish(&mut self, token_hash: &[u8; 32], result: &[u8]) -> Result<(), StoreError> {
        const FINISH: &str =
            "UPDATE pending_calls SET state = 'done', result = $1, sealed = $2, keep_until = $3
            WHERE tenant_id = $4 AND token_hash = $5 AND state = 'running'";
        let nothing: &[u8] = &[];
        let keep = self.session.now.plus_millis(RESULT_LIFETIME_MS);
        let params = params![result, nothing, keep, self.tenant.as_str(), &token_hash[..]];
        self.session.execute(FINISH, params).await.map(|_| ())
    }

    /// Opens a taken call again whose effect is known not to have happened.
    pub async fn give_back(&mut self, token_hash: &[u8; 32]) -> Result<(), StoreError> {
        const GIVE_BACK: &str = "UPDATE pending_calls SET state = CASE WHEN decided_by IS NULL THEN 'pending'
                ELSE 'approved' END WHERE tenant_id = $1 AND token_hash = $2 AND state = 'running'";
        let params = params![self.tenant.as_str(), &token_hash[..]];
        self.session.execute(GIVE_BACK, params).await.map(|_| ())
    }

    /// Ends a call without an effect; `false` when it was taken or ended like this before.
    pub async fn end(&mut self, token_hash: &[u8; 32], state: PendingState) -> Result<bool, StoreError> {
        const END: &str = "UPDATE pending_calls SET state = $1
            WHERE tenant_id = $2 AND token_hash = $3 AND state IN ('pending', 'approved', 'declined')";
        let params = params![state.as_str(), self.tenant.as_str(), &token_hash[..]];
        Ok(self.session.execute(END, params).await? > 0)
    }

    /// The call of that code, while a yes counts.
    pub async fn find_code(&mut self, code: &str) -> Result<Option<Pending>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM pending_calls WHERE tenant_id = $1 AND code = $2 AND expires_at > $3"
        );
        let params = params![self.tenant.as_str(), code, self.session.now];
        self.session.query_one(&sql, params, pending).await
    }

    /// Writes down the answer that others gave. A yes leaves the call `lifetime_ms` to come back.
    /// `false`: it does not wait for an answer (any more).
    pub async fn decide(
        &mut self,
        code: &str,
        approve: bool,
        by: &str,
        lifetime_ms: i64,
    ) -> Result<bool, StoreError> {
        const DECIDE: &str = "UPDATE pending_calls SET state = $1, decided_by = $2, expires_at = $3,
                keep_until = $4
            WHERE tenant_id = $5 AND code = $6 AND state = 'pending' AND need <> 'confirm' AND expires_at > $7";
        let now = self.session.now;
        let state = if approve {
            PendingState::Approved
        } else {
            PendingState::Declined
        };
        let expires_at = now.plus_millis(lifetime_ms);
        let params = params![
            state.as_str(),
            by,
            expires_at,
            expires_at.plus_millis(REASON_LIFETIME_MS),
            self.tenant.as_str(),
            code,
            now
        ];
        Ok(self.session.execute(DECIDE, params).await? > 0)
    }

    /// Calls that wait for a person, the oldest first. Reviews are kept elsewhere.
    pub async fn waiting(&mut self, limit: u32) -> Result<Vec<Pending>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM pending_calls WHERE tenant_id = $1 AND state = 'pending' AND need = 'human'
                AND expires_at > $2 ORDER BY created_at, token_hash LIMIT $3"
        );
        let params = params![self.tenant.as_str(), self.session.now, limit];
        self.session.query(&sql, params, pending).await
    }
}

impl SystemPendingCalls<'_> {
    /// Forgets what nobody can ask for any more, at most `limit` rows; gives how many.
    pub async fn purge(&mut self, limit: u32) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM pending_calls WHERE (tenant_id, token_hash) IN (
            SELECT tenant_id, token_hash FROM pending_calls WHERE keep_until <= $1 ORDER BY keep_until LIMIT $2)";
        let params = params![self.session.now, limit];
        self.session.execute(PURGE, params).await
    }
}
