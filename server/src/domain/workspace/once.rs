//! Calls that create with an `idempotency_key`: the same key and arguments within a day give the first result again,
//! other arguments under the same key are refused (catalogue.md §2.14).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    access::Principal,
    domain::{DomainError, ToolResult},
    store::{Draft, ReadTx, TenantTx},
    vocabulary::{Timestamp, canonical, hexadecimal, sha256},
};

/// The kind of record that remembers results.
pub(crate) const KIND: &str = "idempotency";
/// How long a result is remembered, in milliseconds.
pub(crate) const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// A key with what it was given for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Once {
    id: String,
    digest: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    digest: String,
    result: Value,
    at: Timestamp,
}

/// What a call's key says.
pub(crate) enum Seen {
    /// There is no key.
    NoKey,
    /// The key is new.
    New(Once),
    /// The key was used for the same call; this came of it.
    Before(Value),
}

/// Looks up the key of a call.
///
/// # Errors
/// A conflict, when the key was used with other arguments.
pub(crate) async fn look(
    tx: &mut ReadTx<'_>,
    principal: &Principal,
    tool: &str,
    arguments: &Map<String, Value>,
    now: Timestamp,
) -> Result<Seen, DomainError> {
    let Some(key) = arguments.get("idempotency_key").and_then(Value::as_str) else {
        return Ok(Seen::NoKey);
    };
    let owner = principal.facts().user.as_str();
    let hash = |value: Value| hexadecimal(&sha256(&canonical(&value)));
    let once = Once {
        id: hash(serde_json::json!([owner, tool, key])),
        digest: hash(Value::Object(arguments.clone())),
    };
    let Some(found) = tx.records(KIND).find(&once.id).await? else {
        return Ok(Seen::New(once));
    };
    let kept: Kept = found.parse()?;
    if now.as_millis() - kept.at.as_millis() > KEPT_MS {
        return Ok(Seen::New(once));
    }
    if kept.digest != once.digest {
        return Err(DomainError::Conflict(format!(
            "the idempotency_key \"{key}\" was used with other arguments; choose another one"
        )));
    }
    Ok(Seen::Before(kept.result))
}

/// The answer to a call that was made before: what came of it then, and that it is so.
///
/// # Errors
/// When the result is no JSON.
pub(crate) fn replayed(mut result: Value) -> Result<ToolResult, DomainError> {
    if let Some(map) = result.as_object_mut() {
        map.insert("replayed".to_owned(), true.into());
    }
    ToolResult::structured(&result)
}

/// The answer to a call that touched these records, remembered under its key if it has one.
///
/// # Errors
/// A conflict, when another call with the key was faster.
pub(crate) async fn answer(
    tx: &mut TenantTx<'_>,
    once: Option<&Once>,
    result: impl Into<Value>,
    ids: impl IntoIterator<Item = String>,
) -> Result<ToolResult, DomainError> {
    let result = result.into();
    if let Some(once) = once {
        keep(tx, once, &result).await?;
    }
    Ok(ToolResult::structured(&result)?.touching(ids))
}

/// Remembers what came of a call.
///
/// # Errors
/// A conflict, when another call with the key was faster.
async fn keep(tx: &mut TenantTx<'_>, once: &Once, result: &Value) -> Result<(), DomainError> {
    let kept = Kept {
        digest: once.digest.clone(),
        result: result.clone(),
        at: tx.now(),
    };
    let draft = Draft::of(&kept)?;
    if tx
        .records(KIND)
        .update(&once.id, &draft, None, "once")
        .await?
        .is_none()
    {
        tx.records(KIND).insert(&once.id, &draft, "once").await?;
    }
    Ok(())
}
