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
    chain::{Chain, Head, Members, body_of},
    log::{Kept, Log, LogEntry, Test},
    redact::redacted,
    row::{Param, params},
};
use crate::vocabulary::{KeyId, TenantId, Timestamp, UserId};

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

/// One row of the change log.
pub type ChangeEntry = LogEntry<ChangeRecord>;
/// The change log of one tenant, or of the server itself, for readers.
pub type ChangeLog<'t> = Log<'t, ChangeRecord>;

impl Members for ChangeRecord {}

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

impl Kept for ChangeRecord {
    type Filter = ChangeFilter;
    const CHAIN: Chain = Chain {
        log: "change_log",
        heads: "change_heads",
        columns: &["user_id", "action", "object_kind", "object_id"],
    };
    const ID: &'static str = "chg";

    fn tests(filter: &ChangeFilter) -> Vec<Test<'_>> {
        [
            Test::column("user_id", filter.user_id.as_ref().map(UserId::as_str)),
            Test::column("action", filter.action.as_deref()),
            Test::column("object_kind", filter.object_kind.as_deref()),
            Test::column("object_id", filter.object_id.as_deref()),
            filter.from.map(Test::From),
            filter.to.map(Test::Until),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Rows in one statement: on PostgreSQL, what a row costs is its way to the server and back. Few enough forms of the statement
/// to be kept prepared.
const ROWS_AT_ONCE: usize = 16;
/// Columns of a row.
const COLUMNS: usize = 9;

/// The statement that adds so many rows.
fn insert(rows: usize) -> String {
    let row = |at: usize| {
        let slots: Vec<String> = (1..=COLUMNS)
            .map(|column| format!("${}", at * COLUMNS + column))
            .collect();
        format!("({})", slots.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO change_log (tenant_id, seq, ts, user_id, action, object_kind, object_id, body, hash) VALUES {}",
        rows.join(", ")
    )
}

impl Session {
    /// Tells of queued jobs, then chains and inserts the change rows that the work collected, as the last thing but the call
    /// log's: the head of a chain stays locked until the commit. Owners are taken in one order everywhere, so two such transactions never
    /// wait for each other in a circle.
    pub(super) async fn append_changes(&mut self) -> Result<(), StoreError> {
        const HEAD: &str = "INSERT INTO change_heads (tenant_id, seq, hash, base_seq, base_hash)
            VALUES ($1, 0, $2, 0, $2) ON CONFLICT (tenant_id) DO UPDATE SET seq = change_heads.seq
            RETURNING seq, hash";
        const MOVE: &str = "UPDATE change_heads SET seq = $1, hash = $2 WHERE tenant_id = $3";
        self.write_fresh().await?;
        self.tell_of_jobs().await?;
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
            for some in of_one.chunks(ROWS_AT_ONCE) {
                let mut rows = Vec::with_capacity(some.len());
                for (owner, record) in some {
                    let body = body_of(owner, record)?;
                    head = head.next(&body);
                    rows.push((record, body, head));
                }
                let mut params = Vec::with_capacity(rows.len() * COLUMNS);
                for (record, body, head) in &rows {
                    let row: &[Param<'_>; COLUMNS] = params![
                        owner,
                        head.seq,
                        record.ts,
                        record.actor.user_id.as_ref().map(UserId::as_str),
                        &record.action,
                        &record.object_kind,
                        &record.object_id,
                        body,
                        &head.hash[..],
                    ];
                    params.extend(row);
                }
                self.execute(&insert(rows.len()), &params).await?;
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
    use crate::store::row::from_json;

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
