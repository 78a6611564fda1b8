//! Attempts to sign in, counted for all replicas together. Subjects are what the caller makes of an account or
//! an address; no e-mail address stands here.

use super::{Session, StoreError, row::params};
use crate::vocabulary::Timestamp;

/// Statements on attempts.
pub struct SignInAttempts<'t> {
    pub(super) session: &'t mut Session,
}

/// How a subject stands after an attempt was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// When its present window began.
    pub since: Timestamp,
    /// Attempts in it, this one included.
    pub count: i64,
}

impl SignInAttempts<'_> {
    /// Counts an attempt. A window that began `window_ms` ago or more, or in the future (the clock was set back),
    /// starts anew.
    pub async fn count(&mut self, subject: &str, window_ms: i64) -> Result<Attempts, StoreError> {
        const COUNT: &str = "INSERT INTO sign_in_attempts (subject, since, attempts) VALUES ($1, $2, 1)
            ON CONFLICT (subject) DO UPDATE SET
                attempts = CASE WHEN sign_in_attempts.since <= $3 OR sign_in_attempts.since > $2
                    THEN 1 ELSE sign_in_attempts.attempts + 1 END,
                since = CASE WHEN sign_in_attempts.since <= $3 OR sign_in_attempts.since > $2
                    THEN $2 ELSE sign_in_attempts.since END
            RETURNING since, attempts";
        let now = self.session.now;
        let params = params![subject, now, now.plus_millis(-window_ms)];
        let counted = self.session.query_one(COUNT, params, |row| {
            Ok(Attempts {
                since: row.time(0)?,
                count: row.int(1)?,
            })
        });
        let counted = counted.await?;
        counted.ok_or_else(|| StoreError::Row("an attempt was not counted".into()))
    }

    /// Takes one attempt back: it succeeded.
    pub async fn forgive(&mut self, subject: &str) -> Result<(), StoreError> {
        const FORGIVE: &str =
            "UPDATE sign_in_attempts SET attempts = attempts - 1 WHERE subject = $1 AND attempts > 0";
        self.session.execute(FORGIVE, params![subject]).await.map(|_| ())
    }

    /// Forgets all attempts of a subject.
    pub async fn forget(&mut self, subject: &str) -> Result<(), StoreError> {
        const FORGET: &str = "DELETE FROM sign_in_attempts WHERE subject = $1";
        self.session.execute(FORGET, params![subject]).await.map(|_| ())
    }

    /// Forgets windows that began before `before`; gives how many.
    pub async fn purge(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM sign_in_attempts WHERE since < $1";
        self.session.execute(PURGE, params![before]).await
    }
}
