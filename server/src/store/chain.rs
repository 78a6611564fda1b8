//! Append-only chains of rows, one per tenant and log (catalogue.md §2.12, security.md A3).
//!
//! `hash = SHA-256(previous hash ‖ sequence number, 8 bytes big-endian ‖ body)`, the first row hanging on 32 zero
//! bytes. The body is the JSON text that is both stored and hashed; the columns beside it serve filters and are
//! compared with it. Nothing here updates or deletes a row; retention drops a chain's beginning and keeps its last
//! hash as the new anchor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Session, StoreError,
    row::{RowRef, params},
};
use crate::vocabulary::Timestamp;

/// One log: its tables and the columns that repeat a text of the body.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    pub(super) log: &'static str,
    pub(super) heads: &'static str,
    pub(super) columns: &'static [&'static str],
}

/// What every body begins with. A tenant id is a slug and needs no escaping, so a row names its own tenant at a fixed
/// place and cannot be moved under another one unnoticed.
pub(super) fn prefix_of(owner: &str) -> String {
    format!("{{\"tenant_id\":\"{owner}\"")
}

/// A record's fields as JSON, each with a comma before it: the tenant leads.
pub(super) trait Members: Serialize {
    /// Appends them.
    ///
    /// # Errors
    /// When a value has no JSON form.
    fn write(&self, body: &mut Vec<u8>) -> serde_json::Result<()> {
        let joint = body.len();
        serde_json::to_writer(&mut *body, self)?;
        if let Some(brace) = body.get_mut(joint) {
            *brace = b',';
        }
        body.pop();
        Ok(())
    }
}

/// The body of a record: its fields as JSON, after the tenant.
pub(super) fn body_of(owner: &str, record: &impl Members) -> Result<String, StoreError> {
    let mut body = Vec::with_capacity(768);
    body.extend_from_slice(prefix_of(owner).as_bytes());
    record.write(&mut body).map_err(|e| StoreError::Invalid {
        what: format!("a log's record cannot be written: {e}"),
    })?;
    body.push(b'}');
    String::from_utf8(body).map_err(|e| StoreError::Row(e.to_string()))
}

/// The end of a chain. Kept elsewhere, it makes truncation visible (`audit verify --head`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Number of the last row; 0 before the first.
    pub seq: i64,
    /// Hash of the last row, hexadecimal; zeros before the first.
    pub hash: String,
}

/// What `verify` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditVerdict {
    /// How many rows were read and hashed.
    pub rows: u64,
    /// The chain's end according to the rows.
    pub head: AuditHead,
    /// The first thing that is wrong; `None`: the log is whole.
    pub fault: Option<AuditFault>,
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFault {
    /// The number of the row at which it shows.
    pub seq: i64,
    /// What is wrong, a fragment.
    pub what: &'static str,
}

/// A chain's end in the form the engines work with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head {
    pub(super) seq: i64,
    pub(super) hash: [u8; 32],
}

impl Head {
    /// The head after one more row.
    pub(super) fn next(&self, body: &str) -> Self {
        let seq = self.seq + 1;
        let digest = Sha256::new()
            .chain_update(self.hash)
            .chain_update(seq.to_be_bytes())
            .chain_update(body.as_bytes())
            .finalize();
        Self {
            seq,
            hash: digest.into(),
        }
    }

    pub(super) fn shown(&self) -> AuditHead {
        AuditHead {
            seq: self.seq,
            hash: hex(&self.hash),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// One row as it stands in the table.
pub(super) struct Link {
    pub(super) seq: i64,
    pub(super) body: String,
    pub(super) hash: [u8; 32],
    ts: i64,
    columns: Vec<Option<String>>,
}

impl Chain {
    /// What a statement selects for [`Chain::link`].
    pub(super) fn selected(&self) -> String {
        format!("seq, body, hash, ts, {}", self.columns.join(", "))
    }

    pub(super) fn link(&self, row: &RowRef<'_>) -> Result<Link, StoreError> {
        let columns = (4..4 + self.columns.len()).map(|at| row.opt_text(at));
        Ok(Link {
            seq: row.int(0)?,
            body: row.text(1)?,
            hash: row.digest(2)?,
            ts: row.int(3)?,
            columns: columns.collect::<Result<_, _>>()?,
        })
    }

    /// The chain's end as the store remembers it, and its anchor: the last row that retention dropped.
    pub(super) async fn heads(&self, session: &mut Session, owner: &str) -> Result<(Head, Head), StoreError> {
        let sql = format!(
            "SELECT seq, hash, base_seq, base_hash FROM {} WHERE tenant_id = $1",
            self.heads
        );
        let head = |row: &RowRef<'_>, at| {
            Ok::<_, StoreError>(Head {
                seq: row.int(at)?,
                hash: row.digest(at + 1)?,
            })
        };
        let found = session
            .query_one(&sql, params![owner], |row| Ok((head(row, 0)?, head(row, 2)?)))
            .await?;
        Ok(found.unwrap_or_default())
    }

    /// Reads the whole chain and compares every row with its hash, its neighbours, its own columns, the stored head
    /// and, when given, a head that was kept elsewhere.
    pub(super) async fn verify(
        &self,
        session: &mut Session,
        owner: &str,
        kept: Option<&AuditHead>,
    ) -> Result<AuditVerdict, StoreError> {
        let (stored_head, base) = self.heads(session, owner).await?;
        let (mut head, mut rows, mut fault) = (base, 0_u64, None);
        let mut kept_seen = kept.is_none_or(|kept| *kept == base.shown());
        let sql = format!(
            "SELECT {} FROM {} WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT 1000",
            self.selected(),
            self.log
        );
        let prefix = prefix_of(owner);
        // Rows at or below the anchor were dropped by retention; one that is there was added by hand.
        let mut after = i64::MIN;
        'pages: loop {
            let page = session
                .query(&sql, params![owner, after], |row| self.link(row))
                .await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for row in page {
                rows += 1;
                let expected = head.next(&row.body);
                fault = self.fault_in(&row, &expected, &prefix);
                if fault.is_some() {
                    break 'pages;
                }
                head = expected;
                kept_seen = kept_seen || kept.is_some_and(|kept| *kept == head.shown());
            }
        }
        if fault.is_none() {
            let what = if (head.seq, head.hash) != (stored_head.seq, stored_head.hash) {
                Some("rows at the end are missing or were added past the recorded head")
            } else if !kept_seen && kept.is_some_and(|kept| kept.seq < base.seq) {
                Some("the head that was kept is of a row that retention dropped; keep a newer one")
            } else if !kept_seen {
                Some("the chain does not pass through the head that was kept")
            } else {
                None
            };
            fault = what.map(|what| AuditFault { seq: head.seq, what });
        }
        Ok(AuditVerdict {
            rows,
            head: head.shown(),
            fault,
        })
    }

    fn fault_in(&self, row: &Link, expected: &Head, prefix: &str) -> Option<AuditFault> {
        let what = if row.seq != expected.seq {
            "a row is missing before this one"
        } else if row.hash != expected.hash {
            "the row or its hash was changed"
        } else if !row.body.starts_with(prefix) {
            "the row belongs to another tenant"
        } else {
            match serde_json::from_str::<BTreeMap<String, Value>>(&row.body) {
                Ok(body) if self.columns_say(row, &body) => return None,
                Ok(_) => "a column differs from the hashed row",
                Err(_) => "the row is not readable",
            }
        };
        Some(AuditFault {
            seq: expected.seq,
            what,
        })
    }

    /// Whether the columns repeat what the body says.
    fn columns_say(&self, row: &Link, body: &BTreeMap<String, Value>) -> bool {
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let columns = self.columns.iter().zip(&row.columns);
        text("ts").and_then(Timestamp::parse).map(|ts| ts.0) == Some(row.ts)
            && columns
                .into_iter()
                .all(|(name, value)| text(name) == value.as_deref())
    }

    /// Drops the beginning of the chain up to `before`, at most `most` rows of it, and gives the number of rows
    /// dropped. The hash of the last dropped row stays as the chain's anchor.
    pub(super) async fn drop_before(
        &self,
        session: &mut Session,
        owner: &str,
        before: Timestamp,
        most: u32,
    ) -> Result<u64, StoreError> {
        let (_, base) = self.heads(session, owner).await?;
        // The first row that stays bounds the drop: clocks step, the chain's order does not.
        let last = format!(
            "SELECT seq, hash FROM {log} WHERE tenant_id = $1 AND seq <= $2 AND seq <
             COALESCE((SELECT seq FROM {log} WHERE tenant_id = $1 AND seq <= $2 AND ts >= $3
                ORDER BY seq LIMIT 1), 9223372036854775807)
             ORDER BY seq DESC LIMIT 1",
            log = self.log
        );
        let bound = base.seq.saturating_add(most.into());
        let last = session
            .query_one(&last, params![owner, bound, before], |row| {
                Ok((row.int(0)?, row.digest(1)?))
            })
            .await?;
        let Some((seq, hash)) = last else { return Ok(0) };
        let anchor = format!(
            "UPDATE {} SET base_seq = $1, base_hash = $2 WHERE tenant_id = $3",
            self.heads
        );
        session.execute(&anchor, params![seq, &hash[..], owner]).await?;
        let drop = format!("DELETE FROM {} WHERE tenant_id = $1 AND seq <= $2", self.log);
        session.execute(&drop, params![owner, seq]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_everything() {
        let first = Head::default().next("a");
        assert_eq!(first.seq, 1);
        assert_ne!(first.hash, Head::default().next("b").hash);
        assert_ne!(first.next("a").hash, Head { seq: 5, ..first }.next("a").hash);
        let other = Head {
            hash: [1; 32],
            ..first
        };
        assert_ne!(first.next("a").hash, other.next("a").hash);
    }
}
