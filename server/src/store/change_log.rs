//! The change log: who changed which record, and how it was before and after (catalogue.md §2.12).
//!
//! It stands apart from the call log: calls are many and seldom read, changes are few and looked for by record.
//! Whatever changes a key, a member, a setting, a review or a domain record, through whichever door, writes its row
//! with [`TenantTx::log_change`](super::TenantTx::log_change) in the transaction of the change itself.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Session, StoreError,
    audit::ScopeKind,
    chain::{AuditHead, AuditVerdict, Chain, Head, body_of, hex},
    redact::redacted,
    row::{from_json, params},
};
use crate::vocabulary::{KeyId, TenantId, Timestamp, UserId};

const CHAIN: Chain = Chain {
    log: "change_log",
    heads: "change_heads",
    columns: &["user_id", "action", "object_kind", "object_id"],
};

/// Most bytes of a value before or after. Whoever wants a long document's history finds it with the document.
const LONGEST_VALUE: usize = 16 * 1024;

/// Who changes something, and through which door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    /// What kind of credential acts.
    pub scope_kind: ScopeKind,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// With which key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_id: Option<KeyId>,
    /// The peer's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The request, as the call log names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Actor {
    /// The operator at the command line.
    pub fn operator() -> Self {
        Self::new(ScopeKind::Operator)
    }

    /// A person who is signed in to the console or to REST.
    pub fn person(user: UserId) -> Self {
        Self {
            user_id: Some(user),
            ..Self::new(ScopeKind::Session)
        }
    }

    /// Somebody of whom nothing but the kind of credential is known yet.
    pub fn new(scope_kind: ScopeKind) -> Self {
        Self {
            scope_kind,
            user_id: None,
            api_key_id: None,
            ip: None,
            request_id: None,
        }
    }
}

/// One change as whoever makes it knows it. Its moment, number and hash are given when it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewChange {
    /// Who changes it.
    pub actor: Actor,
    /// What is done, as `key.mint` or `user.role`.
    pub action: &'static str,
    /// The kind of record, as `key`, `user`, `setting`, `ticket`.
    pub object_kind: Cow<'static, str>,
    /// Which record.
    pub object_id: String,
    /// What it was; `None` for a new one.
    pub before: Option<Value>,
    /// What it is now; `None` for one that is gone.
    pub after: Option<Value>,
}

impl NewChange {
    /// A change of a record, its values to be added with [`NewChange::before`] and [`NewChange::after`].
    pub fn new(
        actor: Actor,
        action: &'static str,
        object_kind: impl Into<Cow<'static, str>>,
        object_id: impl Into<String>,
    ) -> Self {
        Self {
            actor,
            action,
            object_kind: object_kind.into(),
            object_id: object_id.into(),
            before: None,
            after: None,
        }
    }

    /// The record as it was.
    #[must_use]
    pub fn before(mut self, value: Value) -> Self {
        self.before = Some(value);
        self
    }

    /// The record as it is now.
    #[must_use]
    pub fn after(mut self, value: Value) -> Self {
        self.after = Some(value);
        self
    }
}

/// One row's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// When it happened.
    pub ts: Timestamp,
    /// What was done.
    pub action: String,
    /// The kind of record.
    pub object_kind: String,
    /// Which record.
    pub object_id: String,
    /// Who did it.
    #[serde(flatten)]
    pub actor: Actor,
    /// The fields that changed, as they were; secrets are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The same fields as they are now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl ChangeRecord {
    pub(super) fn of(change: NewChange, ts: Timestamp) -> Self {
        let (before, after) = differing(change.before, change.after);
        Self {
            ts,
            action: change.action.to_owned(),
            object_kind: change.object_kind.into_owned(),
            object_id: change.object_id.chars().take(200).collect(),
            actor: change.actor,
            before: before.map(shown),
            after: after.map(shown),
        }
    }
}

/// Leaves out the fields that both values hold alike.
fn differing(before: Option<Value>, after: Option<Value>) -> (Option<Value>, Option<Value>) {
    match (before, after) {
        (Some(Value::Object(mut before)), Some(Value::Object(mut after))) => {
            after.retain(|name, value| {
                let same = before.get(name) == Some(value);
                if same {
                    before.remove(name);
                }
                !same
            });
            (Some(Value::Object(before)), Some(Value::Object(after)))
        }
        values => values,
    }
}

/// The value without its secrets, or its size where it is too long to be kept.
fn shown(value: Value) -> Value {
    let value = redacted(value);
    let bytes = value.to_string().len();
    if bytes <= LONGEST_VALUE {
        value
    } else {
        serde_json::json!({ "omitted_bytes": bytes })
    }
}

/// One row of the log.
#[derive(Clone, Debug)]
pub struct ChangeEntry {
    /// Its number in the chain, from 1 without gaps.
    pub seq: i64,
    /// `chg_<seq>`.
    pub id: String,
    /// What happened.
    pub record: ChangeRecord,
    /// Hash of the row, hexadecimal.
    pub hash: String,
    /// The hashed bytes.
    pub body: String,
}

/// Which rows of the log to list.
#[derive(Clone, Debug, Default)]
pub struct ChangeFilter {
    /// Only changes by this user.
    pub user_id: Option<UserId>,
    /// Only this action.
    pub action: Option<String>,
    /// Only records of this kind.
    pub object_kind: Option<String>,
    /// Only this record.
    pub object_id: Option<String>,
    /// Only from this moment on.
    pub from: Option<Timestamp>,
    /// Only before this moment.
    pub to: Option<Timestamp>,
}

/// The change log of one tenant, or of the server itself, for readers.
pub struct ChangeLog<'t> {
    pub(super) session: &'t mut Session,
    /// A tenant's id, or empty for the server.
    pub(super) owner: &'t str,
}

impl ChangeLog<'_> {
    /// Rows newest first, those before number `before` when given.
    pub async fn list(
        &mut self,
        filter: &ChangeFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<ChangeEntry>, StoreError> {
        self.page(filter, before.unwrap_or(i64::MAX), "<", "DESC", limit)
            .await
    }

    /// Rows oldest first, those after number `after` (0 from the beginning): for exports.
    pub async fn follow(
        &mut self,
        filter: &ChangeFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<ChangeEntry>, StoreError> {
        self.page(filter, after, ">", "ASC", limit).await
    }

    async fn page(
        &mut self,
        filter: &ChangeFilter,
        bound: i64,
        side: &str,
        order: &str,
        limit: u32,
    ) -> Result<Vec<ChangeEntry>, StoreError> {
        let sql = format!(
            "SELECT {} FROM change_log WHERE tenant_id = $1 AND seq {side} $2
             AND (CAST($3 AS TEXT) IS NULL OR user_id = $3) AND (CAST($4 AS TEXT) IS NULL OR action = $4)
             AND (CAST($5 AS TEXT) IS NULL OR object_kind = $5) AND (CAST($6 AS TEXT) IS NULL OR object_id = $6)
             AND ts >= $7 AND ts < $8 ORDER BY seq {order} LIMIT $9",
            CHAIN.selected()
        );
        let params = params![
            self.owner,
            bound,
            filter.user_id.as_ref().map(UserId::as_str),
            filter.action.as_deref(),
            filter.object_kind.as_deref(),
            filter.object_id.as_deref(),
            filter.from.map_or(i64::MIN, |t| t.0),
            filter.to.map_or(i64::MAX, |t| t.0),
            limit,
        ];
        self.session
            .query(&sql, params, |row| {
                let link = CHAIN.link(row)?;
                Ok(ChangeEntry {
                    seq: link.seq,
                    id: format!("chg_{}", link.seq),
                    record: from_json(&link.body)?,
                    hash: hex(&link.hash),
                    body: link.body,
                })
            })
            .await
    }

    /// The end of the chain as the store remembers it.
    pub async fn head(&mut self) -> Result<AuditHead, StoreError> {
        Ok(CHAIN.heads(self.session, self.owner).await?.0.shown())
    }

    /// Reads the whole chain, as [`AuditLog::verify`](super::AuditLog::verify) does.
    pub async fn verify(&mut self, kept: Option<&AuditHead>) -> Result<AuditVerdict, StoreError> {
        CHAIN.verify(self.session, self.owner, kept).await
    }

    /// Drops the beginning of the chain, as [`AuditLog::drop_before`](super::AuditLog::drop_before) does.
    pub async fn drop_before(&mut self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        CHAIN.drop_before(self.session, self.owner, before, most).await
    }
}

impl Session {
    /// Chains and inserts the change rows that the work collected, as the last thing but the call log's: the head of
    /// a chain stays locked until the commit. Owners are taken in one order everywhere, so two such transactions never
    /// wait for each other in a circle.
    pub(super) async fn append_changes(&mut self) -> Result<(), StoreError> {
        const HEAD: &str = "INSERT INTO change_heads (tenant_id, seq, hash, base_seq, base_hash)
            VALUES ($1, 0, $2, 0, $2) ON CONFLICT (tenant_id) DO UPDATE SET seq = change_heads.seq
            RETURNING seq, hash";
        const INSERT: &str =
            "INSERT INTO change_log (tenant_id, seq, ts, user_id, action, object_kind, object_id, body, hash)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        const MOVE: &str = "UPDATE change_heads SET seq = $1, hash = $2 WHERE tenant_id = $3";
        let mut changes = std::mem::take(&mut self.changes);
        changes.sort_by(|(one, _), (other, _)| one.cmp(other));
        for of_one in changes.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((owner, _)) = of_one.first() else {
                continue;
            };
            let zero = [0_u8; 32];
            let head = self
                .query_one(HEAD, params![owner, &zero[..]], |row| {
                    Ok(Head {
                        seq: row.int(0)?,
                        hash: row.digest(1)?,
                    })
                })
                .await?;
            let mut head =
                head.ok_or_else(|| StoreError::Row("the head of a change log is missing".into()))?;
            for (owner, record) in of_one {
                let body = body_of(owner, record)?;
                head = head.next(&body);
                let params = params![
                    owner,
                    head.seq,
                    record.ts,
                    record.actor.user_id.as_ref().map(UserId::as_str),
                    &record.action,
                    &record.object_kind,
                    &record.object_id,
                    &body,
                    &head.hash[..],
                ];
                self.execute(INSERT, params).await?;
            }
            self.execute(MOVE, params![head.seq, &head.hash[..], owner])
                .await?;
        }
        Ok(())
    }

    /// Keeps a change for [`Session::append_changes`].
    pub(super) fn note_change(&mut self, owner: Option<&TenantId>, change: NewChange) {
        let owner = owner.map_or_else(String::new, ToString::to_string);
        let record = ChangeRecord::of(change, self.now);
        self.changes.push((owner, record));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(before: Option<Value>, after: Option<Value>) -> ChangeRecord {
        let mut change = NewChange::new(Actor::operator(), "user.role", "user", "usr_1");
        (change.before, change.after) = (before, after);
        ChangeRecord::of(change, Timestamp(0))
    }

    #[test]
    fn only_what_differs_is_kept() {
        let row = record(
            Some(json!({"role": "owner", "name": "Ada", "old": 1})),
            Some(json!({"role": "member", "name": "Ada", "new": 2})),
        );
        assert_eq!(row.before, Some(json!({"role": "owner", "old": 1})));
        assert_eq!(row.after, Some(json!({"role": "member", "new": 2})));
        let new = record(None, Some(json!({"name": "Ada"})));
        assert_eq!((new.before, new.after), (None, Some(json!({"name": "Ada"}))));
    }

    #[test]
    fn a_value_too_long_leaves_its_size() {
        let row = record(None, Some(json!({"text": "x ".repeat(LONGEST_VALUE / 2)})));
        assert_eq!(row.after, Some(json!({"omitted_bytes": LONGEST_VALUE + 11})));
    }

    #[test]
    fn a_body_reads_back_and_names_its_owner_first() {
        let row = record(Some(json!({"a": 1})), None);
        let body = body_of("acme", &row).unwrap();
        assert!(
            body.starts_with(r#"{"tenant_id":"acme","ts":"1970-01-01T00:00:00.000Z","action":"user.role""#)
        );
        assert_eq!(from_json::<ChangeRecord>(&body).unwrap(), row);
    }
}
