//! What was said on replies that are streams: kept for a while, for clients whose connection was cut.
//!
//! Position 0 opens a stream and says nothing. The last message is the answer itself.

use super::{Session, StoreError, Topic, row::params};
use crate::vocabulary::{TenantId, UserId};

/// One kept message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyMessage {
    /// Its place in the stream.
    pub position: u32,
    /// The message, sealed.
    pub message: Vec<u8>,
    /// Nothing comes after it.
    pub is_last: bool,
}

/// Statements on one tenant's streams.
pub struct ReplyMessages<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// Statements on all streams, for the sweep.
pub struct SystemReplyMessages<'t> {
    pub(super) session: &'t mut Session,
}

impl ReplyMessages<'_> {
    /// Keeps a message for `lifetime_ms`, and tells whoever waits for the rest of the stream.
    pub async fn keep(
        &mut self,
        stream: &str,
        user: &UserId,
        message: &ReplyMessage,
        lifetime_ms: i64,
    ) -> Result<(), StoreError> {
        const KEEP: &str = "INSERT INTO reply_messages
                (tenant_id, stream_id, position, user_id, message, is_last, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
        let expires_at = self.session.now.plus_millis(lifetime_ms);
        let params = params![
            self.tenant.as_str(),
            stream,
            message.position,
            user.as_str(),
            message.message.as_slice(),
            message.is_last,
            expires_at
        ];
        self.session.execute(KEEP, params).await?;
        // Nobody can wait for a stream before it is open.
        if message.position > 0 {
            self.session.raise(Topic::Replies).await?;
        }
        Ok(())
    }

    /// Whether a stream of that person's is kept.
    pub async fn is_known(&mut self, stream: &str, user: &UserId) -> Result<bool, StoreError> {
        const KNOWN: &str =
            "SELECT 1 FROM reply_messages WHERE tenant_id = $1 AND stream_id = $2 AND user_id = $3
            AND expires_at > $4 LIMIT 1";
        let params = params![self.tenant.as_str(), stream, user.as_str(), self.session.now];
        Ok(self.session.query_one(KNOWN, params, |_| Ok(())).await?.is_some())
    }

    /// What was said on a person's stream after a position, in order.
    pub async fn after(
        &mut self,
        stream: &str,
        user: &UserId,
        position: u32,
    ) -> Result<Vec<ReplyMessage>, StoreError> {
        const AFTER: &str = "SELECT position, message, is_last FROM reply_messages WHERE tenant_id = $1
            AND stream_id = $2 AND user_id = $3 AND position > $4 AND expires_at > $5 ORDER BY position LIMIT 100";
        let params = params![
            self.tenant.as_str(),
            stream,
            user.as_str(),
            position,
            self.session.now
        ];
        let read = |row: &super::row::RowRef<'_>| {
            Ok(ReplyMessage {
                position: row.count(0)?,
                message: row.blob(1)?,
                is_last: row.flag(2)?,
            })
        };
        self.session.query(AFTER, params, read).await
    }
}

impl SystemReplyMessages<'_> {
    /// Forgets what nobody may ask for any more, at most `limit` messages; gives how many.
    pub async fn purge(&mut self, limit: u32) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM reply_messages WHERE (tenant_id, stream_id, position) IN (
            SELECT tenant_id, stream_id, position FROM reply_messages WHERE expires_at <= $1
            ORDER BY expires_at LIMIT $2)";
        let params = params![self.session.now, limit];
        self.session.execute(PURGE, params).await
    }
}
