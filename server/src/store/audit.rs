//! The call log: an append-only chain of rows per tenant (catalogue.md §2.12, security.md A1–A4).
//!
//! An [`AuditRecord`] comes in and is sealed at once into the JSON bytes that are both stored and hashed.
//! When the transaction ends, the rows join their tenant's chain:
//! `hash = SHA-256(previous hash ‖ sequence number, 8 bytes big-endian ‖ body)`, the first row hanging on
//! 32 zero bytes. Nothing here updates or deletes a row; retention drops a chain's beginning and keeps its
//! last hash as the new anchor.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Session, StoreError,
    row::{RowRef, from_json, params},
};
use crate::vocabulary::{EditionName, KeyId, Scope, TenantId, Timestamp, ToolName, UserId};

/// How a call ended, as the log writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditStatus {
    /// About to run something outside the store; the outcome's row follows (security.md A1).
    Intent,
    /// Ran.
    Allow,
    /// Answered with a preview.
    Preview,
    /// The person said no.
    Declined,
    /// Waits for a review.
    PendingReview,
    /// A scope was missing.
    DenyScope,
    /// The role was too low.
    DenyRole,
    /// Over the rate.
    DenyRate,
    /// Over the monthly cap.
    DenyCap,
    /// A guardrail stopped it.
    Blocked,
    /// Arguments did not fit.
    Invalid,
    /// The REST API behind answered 4xx.
    #[serde(rename = "upstream_4xx")]
    Upstream4xx,
    /// The REST API behind answered 5xx.
    #[serde(rename = "upstream_5xx")]
    Upstream5xx,
    /// The REST API behind could not be reached.
    NetworkError,
    /// The client went away before the answer.
    ClientGone,
    /// Our fault.
    Exception,
}

impl AuditStatus {
    /// The word in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Allow => "allow",
            Self::Preview => "preview",
            Self::Declined => "declined",
            Self::PendingReview => "pending_review",
            Self::DenyScope => "deny_scope",
            Self::DenyRole => "deny_role",
            Self::DenyRate => "deny_rate",
            Self::DenyCap => "deny_cap",
            Self::Blocked => "blocked",
            Self::Invalid => "invalid",
            Self::Upstream4xx => "upstream_4xx",
            Self::Upstream5xx => "upstream_5xx",
            Self::NetworkError => "network_error",
            Self::ClientGone => "client_gone",
            Self::Exception => "exception",
        }
    }
}

/// What kind of credential acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// An API key.
    ApiKey,
    /// An OAuth access token.
    Jwt,
    /// A credential without scopes (catalogue.md §4.6).
    Legacy,
    /// A worker's token of the context edition.
    Agent,
    /// A person in the console.
    Session,
    /// The operator at the command line.
    Operator,
}

/// One event as the caller knows it. Its number and hash are given by the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When it happened, by the caller's clock.
    pub ts: Timestamp,
    /// How it ended.
    pub status: AuditStatus,
    /// What kind of credential acted.
    pub scope_kind: ScopeKind,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// With which key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_id: Option<KeyId>,
    /// The visible beginning of that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_prefix: Option<Cow<'static, str>>,
    /// Through which edition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edition: Option<EditionName>,
    /// The tool's canonical name, or the operator's command as `key.revoke`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<ToolName>,
    /// The letter of catalogue.md §2.6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'static, str>>,
    /// The scope the tool asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_tag: Option<Scope>,
    /// HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Time from request to answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Class of the error, one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<Cow<'static, str>>,
    /// The JSON-RPC id, or the reference shown to the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Cow<'static, str>>,
    /// Size of the answer in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_bytes: Option<u64>,
    /// SHA-256 of the canonical arguments, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_digest: Option<Cow<'static, str>>,
    /// The arguments after redaction, when `audit.args = "redacted"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<serde_json::Value>,
    /// SHA-256 of the plan that was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<Cow<'static, str>>,
    /// SHA-256 of the tool's definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_digest: Option<Cow<'static, str>>,
    /// The review that allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_id: Option<Cow<'static, str>>,
    /// Records touched, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub record_ids: Vec<String>,
    /// The client's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<Cow<'static, str>>,
    /// The client's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_version: Option<Cow<'static, str>>,
    /// Protocol revision of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<Cow<'static, str>>,
    /// The peer's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<Cow<'static, str>>,
    /// Which replica served it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<Cow<'static, str>>,
}

impl AuditRecord {
    /// A record with the fields every event has.
    pub fn new(ts: Timestamp, status: AuditStatus, scope_kind: ScopeKind) -> Self {
        Self {
            ts,
            status,
            scope_kind,
            user_id: None,
            api_key_id: None,
            key_prefix: None,
            edition: None,
            tool_name: None,
            kind: None,
            scope_tag: None,
            http_status: None,
            latency_ms: None,
            error_class: None,
            request_id: None,
            result_bytes: None,
            args_digest: None,
            args: None,
            plan_digest: None,
            definition_digest: None,
            review_id: None,
            record_ids: Vec::new(),
            client_name: None,
            client_version: None,
            protocol_version: None,
            ip: None,
            replica: None,
        }
    }

    /// Fixes the bytes. Done by the caller's thread, so that the writer only hashes and inserts.
    pub(crate) fn seal(self, tenant: &TenantId) -> Result<SealedAudit, StoreError> {
        let mut body = Vec::with_capacity(640);
        // Invariant: a tenant id is a slug and needs no escaping, so the row names its own tenant at a fixed
        // place and cannot be moved under another one unnoticed.
        body.extend_from_slice(prefix_of(tenant).as_bytes());
        let joint = body.len();
        serde_json::to_writer(&mut body, &self).map_err(|e| StoreError::Invalid {
            what: format!("an audit record cannot be written: {e}"),
        })?;
        if let Some(brace) = body.get_mut(joint) {
            *brace = b',';
        }
        let body = String::from_utf8(body).map_err(|e| StoreError::Row(e.to_string()))?;
        Ok(SealedAudit {
            ts: self.ts,
            api_key_id: self.api_key_id,
            tool_name: self.tool_name,
            status: self.status.as_str(),
            body,
        })
    }
}

fn prefix_of(tenant: &TenantId) -> String {
    format!("{{\"tenant_id\":\"{tenant}\"")
}

/// A record whose bytes are fixed, with the columns that lists are filtered by.
#[derive(Clone, Debug)]
pub(crate) struct SealedAudit {
    pub(super) ts: Timestamp,
    pub(super) api_key_id: Option<KeyId>,
    pub(super) tool_name: Option<ToolName>,
    pub(super) status: &'static str,
    pub(super) body: String,
}

/// The end of a tenant's chain. Kept elsewhere, it makes truncation visible (`audit verify --head`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Number of the last row; 0 before the first.
    pub seq: i64,
    /// Hash of the last row, hexadecimal; zeros before the first.
    pub hash: String,
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

    fn shown(&self) -> AuditHead {
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

/// One row of the log.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Its number in the tenant's chain, from 1 without gaps.
    pub seq: i64,
    /// `aud_<seq>`.
    pub id: String,
    /// What happened.
    pub record: AuditRecord,
    /// Hash of the row, hexadecimal.
    pub hash: String,
    /// The hashed bytes.
    pub body: String,
}

/// Which rows of the log to list.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only this key's calls.
    pub api_key_id: Option<KeyId>,
    /// Only this tool.
    pub tool_name: Option<ToolName>,
    /// Only this outcome.
    pub status: Option<AuditStatus>,
    /// Only from this moment on.
    pub from: Option<Timestamp>,
    /// Only before this moment.
    pub to: Option<Timestamp>,
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

/// The log of one tenant, for readers.
pub struct AuditLog<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

const COLUMNS: &str = "seq, body, hash, ts, api_key_id, tool_name, status";

struct Stored {
    seq: i64,
    body: String,
    hash: [u8; 32],
    ts: i64,
    api_key_id: Option<String>,
    tool_name: Option<String>,
    status: String,
}

fn stored(row: &RowRef<'_>) -> Result<Stored, StoreError> {
    Ok(Stored {
        seq: row.int(0)?,
        body: row.text(1)?,
        hash: row.digest(2)?,
        ts: row.int(3)?,
        api_key_id: row.opt_text(4)?,
        tool_name: row.opt_text(5)?,
        status: row.text(6)?,
    })
}

impl AuditLog<'_> {
    /// Rows newest first, those before number `before` when given.
    pub async fn list(
        &mut self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.page(filter, before.unwrap_or(i64::MAX), "<", "DESC", limit)
            .await
    }

    /// Rows oldest first, those after number `after` (0 from the beginning): for exports and followers.
    pub async fn follow(
        &mut self,
        filter: &AuditFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.page(filter, after, ">", "ASC", limit).await
    }

    async fn page(
        &mut self,
        filter: &AuditFilter,
        bound: i64,
        side: &str,
        order: &str,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM audit_log WHERE tenant_id = $1 AND seq {side} $2
             AND (CAST($3 AS TEXT) IS NULL OR api_key_id = $3) AND (CAST($4 AS TEXT) IS NULL OR tool_name = $4)
             AND (CAST($5 AS TEXT) IS NULL OR status = $5) AND ts >= $6 AND ts < $7
             ORDER BY seq {order} LIMIT $8"
        );
        let params = params![
            self.tenant.as_str(),
            bound,
            filter.api_key_id.as_ref().map(KeyId::as_str),
            filter.tool_name.as_ref().map(ToolName::as_str),
            filter.status.map(AuditStatus::as_str),
            filter.from.map_or(i64::MIN, |t| t.0),
            filter.to.map_or(i64::MAX, |t| t.0),
            limit,
        ];
        self.session
            .query(&sql, params, |row| {
                let row = stored(row)?;
                Ok(AuditEntry {
                    seq: row.seq,
                    id: format!("aud_{}", row.seq),
                    record: from_json(&row.body)?,
                    hash: hex(&row.hash),
                    body: row.body,
                })
            })
            .await
    }

    /// The end of the chain as the store remembers it.
    pub async fn head(&mut self) -> Result<AuditHead, StoreError> {
        Ok(self.heads().await?.0.shown())
    }

    /// The chain's end and its anchor: the last row that retention dropped.
    async fn heads(&mut self) -> Result<(Head, Head), StoreError> {
        const HEADS: &str = "SELECT seq, hash, base_seq, base_hash FROM audit_heads WHERE tenant_id = $1";
        let found = self
            .session
            .query_one(HEADS, params![self.tenant.as_str()], |row| {
                let head = Head {
                    seq: row.int(0)?,
                    hash: row.digest(1)?,
                };
                Ok((
                    head,
                    Head {
                        seq: row.int(2)?,
                        hash: row.digest(3)?,
                    },
                ))
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    /// Reads the whole chain and compares every row with its hash, its neighbours, its own columns, the
    /// stored head and, when given, a head that was kept elsewhere.
    pub async fn verify(&mut self, kept: Option<&AuditHead>) -> Result<AuditVerdict, StoreError> {
        let (stored_head, base) = self.heads().await?;
        let (mut head, mut rows, mut fault) = (base, 0_u64, None);
        let mut kept_seen = kept.is_none_or(|kept| *kept == base.shown());
        let sql = format!(
            "SELECT {COLUMNS} FROM audit_log WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT 1000"
        );
        let prefix = prefix_of(self.tenant);
        // Rows at or below the anchor were dropped by retention; one that is there was added by hand.
        let mut after = i64::MIN;
        'pages: loop {
            let page = self
                .session
                .query(&sql, params![self.tenant.as_str(), after], stored)
                .await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for row in page {
                rows += 1;
                let expected = head.next(&row.body);
                fault = fault_in(&row, &expected, &prefix);
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

    /// Drops the beginning of the chain up to `before` (retention, catalogue.md §2.12) and gives the number of
    /// rows dropped. The hash of the last dropped row stays as the chain's anchor.
    pub async fn drop_before(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        // The first row that stays bounds the drop: clocks step, the chain's order does not.
        const LAST: &str = "SELECT seq, hash FROM audit_log WHERE tenant_id = $1 AND seq <
            COALESCE((SELECT MIN(seq) FROM audit_log WHERE tenant_id = $1 AND ts >= $2), 9223372036854775807)
            ORDER BY seq DESC LIMIT 1";
        let tenant = self.tenant.as_str();
        let last = self
            .session
            .query_one(LAST, params![tenant, before], |row| {
                Ok((row.int(0)?, row.digest(1)?))
            })
            .await?;
        let Some((seq, hash)) = last else { return Ok(0) };
        self.session
            .execute(
                "UPDATE audit_heads SET base_seq = $1, base_hash = $2 WHERE tenant_id = $3",
                params![seq, &hash[..], tenant],
            )
            .await?;
        self.session
            .execute(
                "DELETE FROM audit_log WHERE tenant_id = $1 AND seq <= $2",
                params![tenant, seq],
            )
            .await
    }
}

fn fault_in(row: &Stored, expected: &Head, prefix: &str) -> Option<AuditFault> {
    #[derive(Deserialize)]
    struct Columns {
        ts: Timestamp,
        api_key_id: Option<String>,
        tool_name: Option<String>,
        status: String,
    }
    let what = if row.seq != expected.seq {
        "a row is missing before this one"
    } else if row.hash != expected.hash {
        "the row or its hash was changed"
    } else if !row.body.starts_with(prefix) {
        "the row belongs to another tenant"
    } else {
        match serde_json::from_str::<Columns>(&row.body) {
            Ok(body)
                if body.ts.0 == row.ts
                    && body.api_key_id == row.api_key_id
                    && body.tool_name == row.tool_name
                    && body.status == row.status =>
            {
                return None;
            }
            Ok(_) => "a column differs from the hashed row",
            Err(_) => "the row is not readable",
        }
    };
    Some(AuditFault {
        seq: expected.seq,
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> SealedAudit {
        let mut record = AuditRecord::new(
            Timestamp(1_700_000_000_000),
            AuditStatus::Upstream4xx,
            ScopeKind::ApiKey,
        );
        record.tool_name = Some(ToolName::new("create_lead").unwrap());
        record.seal(&TenantId::new("acme").unwrap()).unwrap()
    }

    #[test]
    fn the_body_is_json_that_names_its_tenant_first_and_reads_back() {
        let sealed = sealed();
        assert!(
            sealed.body.starts_with(
                r#"{"tenant_id":"acme","ts":"2023-11-14T22:13:20.000Z","status":"upstream_4xx""#
            )
        );
        let back: AuditRecord = from_json(&sealed.body).unwrap();
        assert_eq!(back.tool_name.unwrap().as_str(), "create_lead");
    }

    #[test]
    fn the_hash_depends_on_everything() {
        let first = Head::default().next("a");
        assert_eq!(first.seq, 1);
        assert_ne!(first.hash, Head::default().next("b").hash);
        assert_ne!(first.next("a").hash, Head { seq: 5, ..first }.next("a").hash);
        assert_ne!(
            first.next("a").hash,
            Head {
                hash: [1; 32],
                ..first
            }
            .next("a")
            .hash
        );
    }

    #[test]
    fn every_status_has_one_word_in_column_and_body() {
        for status in [
            AuditStatus::Upstream5xx,
            AuditStatus::DenyScope,
            AuditStatus::Intent,
            AuditStatus::NetworkError,
        ] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
