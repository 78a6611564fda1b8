//! Questions that a running call put to its client, and their answers: the one comes as a request of its own, to
//! whatever replica, and the other waits on the replica that asked.

use super::{Session, StoreError, Topic, row::params};
use crate::vocabulary::{TenantId, UserId};

/// Statements on one tenant's questions.
pub struct ClientQuestions<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// Statements on all questions, for whoever wakes those who wait, and for the sweep.
pub struct SystemClientQuestions<'t> {
    pub(super) session: &'t mut Session,
}

impl ClientQuestions<'_> {
    /// Opens a question to a person's client for `lifetime_ms`.
    pub async fn ask(&mut self, id: &str, user: &UserId, lifetime_ms: i64) -> Result<(), StoreError> {
        const ASK: &str =
            "INSERT INTO client_questions (tenant_id, question_id, user_id, version, expires_at)
            VALUES ($1, $2, $3, 0, $4)";
        let expires_at = self.session.now.plus_millis(lifetime_ms);
        let params = params![self.tenant.as_str(), id, user.as_str(), expires_at];
        self.session.execute(ASK, params).await.map(|_| ())
    }

    /// Takes a person's answer and tells whoever waits for it. `false`: nobody asked them, or it was answered before.
    pub async fn answer(&mut self, id: &str, user: &UserId, answer: &[u8]) -> Result<bool, StoreError> {
        const ANSWER: &str =
            "UPDATE client_questions SET answer = $1 WHERE tenant_id = $2 AND question_id = $3
            AND user_id = $4 AND answer IS NULL AND expires_at > $5";
        const NUMBER: &str =
            "UPDATE client_questions SET version = $1 WHERE tenant_id = $2 AND question_id = $3";
        let tenant = self.tenant.as_str();
        let params = params![answer, tenant, id, user.as_str(), self.session.now];
        if self.session.execute(ANSWER, params).await? == 0 {
            return Ok(false);
        }
        // Only what changed something is told: made-up answers wake nobody.
        let version = self.session.raise(Topic::Answers).await?;
        self.session.execute(NUMBER, params![version, tenant, id]).await?;
        Ok(true)
    }

    /// The answer, once it is there.
    pub async fn find_answer(&mut self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        const FIND: &str = "SELECT answer FROM client_questions WHERE tenant_id = $1 AND question_id = $2";
        let params = params![self.tenant.as_str(), id];
        let found = self
            .session
            .query_one(FIND, params, |row| row.opt_blob(0))
            .await?;
        Ok(found.flatten())
    }

    /// Closes a question.
    pub async fn close(&mut self, id: &str) -> Result<(), StoreError> {
        const CLOSE: &str = "DELETE FROM client_questions WHERE tenant_id = $1 AND question_id = $2";
        let params = params![self.tenant.as_str(), id];
        self.session.execute(CLOSE, params).await.map(|_| ())
    }
}

impl SystemClientQuestions<'_> {
    /// Ids of the questions that were answered after a version, with that of each answer.
    pub async fn answered_since(
        &mut self,
        version: i64,
        limit: u32,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        const ANSWERED: &str = "SELECT question_id, version FROM client_questions WHERE version > $1
            ORDER BY version LIMIT $2";
        let read = |row: &super::row::RowRef<'_>| Ok((row.text(0)?, row.int(1)?));
        self.session.query(ANSWERED, params![version, limit], read).await
    }

    /// Forgets questions that nobody answered in time, at most `limit`; gives how many.
    pub async fn purge(&mut self, limit: u32) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM client_questions WHERE (tenant_id, question_id) IN (
            SELECT tenant_id, question_id FROM client_questions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
        let params = params![self.session.now, limit];
        self.session.execute(PURGE, params).await
    }
}
