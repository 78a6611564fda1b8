//! Tools that reviews opened for a while: which review lets a person call a tool now.
//!
//! One record for each person and tool, under an id that is made of both, so that a call finds it by its key.

use serde::{Deserialize, Serialize};

use super::{Review, ReviewStatus};
use crate::{
    store::{Draft, Record, StoreError, TenantTx},
    vocabulary::{EditionName, Timestamp, ToolName, UserId, hexadecimal, sha256},
};

/// The kind of record that says it.
const KIND: &str = "_standing";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    review: String,
    from: Timestamp,
    until: Timestamp,
    revoked: bool,
}

impl Standing {
    fn holds(&self, now: Timestamp) -> bool {
        !self.revoked && self.from <= now && now < self.until
    }
}

fn id_of(user: &UserId, edition: &EditionName, tool: &ToolName) -> String {
    hexadecimal(&sha256(&format!("{user}\n{edition}\n{tool}")))
}

/// Opens or closes a tool as its review says now. Of two reviews of one person and tool the newer one holds.
pub(super) async fn follow(tx: &mut TenantTx<'_>, review: &Review, actor: &str) -> Result<(), StoreError> {
    let id = id_of(&review.requester, &review.edition, &review.tool);
    let before = tx.records(KIND).find(&id).await?;
    let known = before.as_ref().map(Record::parse::<Standing>).transpose()?;
    let next = match review.status {
        ReviewStatus::Approved => Standing {
            review: review.id.clone(),
            from: review.runs_from.unwrap_or_else(|| tx.now()),
            until: review.expires_at,
            revoked: false,
        },
        ReviewStatus::Revoked => match known {
            Some(known) if known.review == review.id => Standing {
                revoked: true,
                ..known
            },
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    let draft = Draft::of(&next)?;
    let records = &mut tx.records(KIND);
    match before {
        Some(_) => records.update(&id, &draft, None, actor).await.map(drop),
        None => records.insert(&id, &draft, actor).await.map(drop),
    }
}

/// The review that lets a person call a tool now.
pub(crate) async fn find(
    tx: &mut TenantTx<'_>,
    user: &UserId,
    edition: &EditionName,
    tool: &ToolName,
) -> Result<Option<String>, StoreError> {
    let Some(record) = tx.records(KIND).find(&id_of(user, edition, tool)).await? else {
        return Ok(None);
    };
    let standing = record.parse::<Standing>()?;
    Ok(standing.holds(tx.now()).then_some(standing.review))
}

/// Whether the tool is still open by that review.
pub(crate) async fn stands(
    tx: &mut TenantTx<'_>,
    review: &str,
    user: &UserId,
    edition: &EditionName,
    tool: &ToolName,
) -> Result<bool, StoreError> {
    Ok(find(tx, user, edition, tool)
        .await?
        .is_some_and(|found| found == review))
}

/// Removes what was opened and not touched since a moment, at most `most`; gives how many.
pub(super) async fn sweep(tx: &mut TenantTx<'_>, since: Timestamp, most: u32) -> Result<usize, StoreError> {
    tx.records(KIND).purge_unchanged(since, most).await
}
