//! Reviews as the store keeps them: records of a kind of their own, beside the waiting calls of the same ids.

use super::{Review, ReviewStatus, ReviewType, notice, standing};
use crate::{
    store::{Actor, Draft, NewChange, Record, RecordQuery, StoreError, TenantTx},
    vocabulary::{Timestamp, UserId},
};

/// The kind of record that reviews are kept as.
const KIND: &str = "_review";

/// Keeps a new review, beside the waiting call of the same id.
///
/// # Errors
/// When the store refuses.
pub async fn keep(tx: &mut TenantTx<'_>, review: &Review) -> Result<(), StoreError> {
    let actor = review.requester.to_string();
    tx.records(KIND)
        .insert(&review.id, &Draft::of(review)?, &actor)
        .await?;
    notice::tell(tx, review).await
}

/// The review of that id, with the version to give to [`change`].
///
/// # Errors
/// When the store cannot be read.
pub async fn find(tx: &mut TenantTx<'_>, id: &str) -> Result<Option<(Review, u32)>, StoreError> {
    let found = tx.records(KIND).find(id).await?;
    found
        .map(|record| Ok((record.parse()?, record.version)))
        .transpose()
}

/// Writes down what became of a review that stood at `before`, and tells those whom it concerns;
/// [`StoreError::Conflict`] when somebody else was first.
///
/// # Errors
/// When the store refuses.
pub async fn change(
    tx: &mut TenantTx<'_>,
    review: &Review,
    before: ReviewStatus,
    version: u32,
    actor: &str,
) -> Result<(), StoreError> {
    tx.records(KIND)
        .update(&review.id, &Draft::of(review)?, Some(version), actor)
        .await?;
    if review.status == before {
        return Ok(());
    }
    if review.kind == ReviewType::Jit {
        standing::follow(tx, review, actor).await?;
    }
    notice::tell(tx, review).await
}

/// The newest reviews.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(tx: &mut TenantTx<'_>, limit: u32) -> Result<Vec<Review>, StoreError> {
    let query = RecordQuery {
        limit,
        ..RecordQuery::default()
    };
    let page = tx.records(KIND).list(&query).await?;
    page.records.iter().map(Record::parse).collect()
}

/// Removes reviews that nothing happened to since a moment, at most `most` of them; gives how many. They are evidence of
/// calls, so they go when the rows of those calls do.
///
/// # Errors
/// When the store refuses.
pub async fn sweep(tx: &mut TenantTx<'_>, since: Timestamp, most: u32) -> Result<usize, StoreError> {
    let gone = tx.records(KIND).purge_unchanged(since, most).await?;
    Ok(gone + standing::sweep(tx, since, most).await?)
}

/// Moves a review to what its waiting call has become, where the table of states has a way. What opened its tool for a
/// while stays open, whatever becomes of one call.
pub(crate) async fn follow(
    tx: &mut TenantTx<'_>,
    id: &str,
    next: ReviewStatus,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let Some((mut review, version)) = find(tx, id).await? else {
        return Ok(());
    };
    if review.kind == ReviewType::Jit || !review.status.may_become(next) {
        return Ok(());
    }
    let before = std::mem::replace(&mut review.status, next);
    review.rejection_reason = reason.map(str::to_owned);
    change(tx, &review, before, version, "engine").await
}

/// Its requester takes a review back. `false`: it is not theirs, or it was answered.
///
/// # Errors
/// When the store refuses.
pub(crate) async fn withdraw(
    tx: &mut TenantTx<'_>,
    id: &str,
    requester: &UserId,
) -> Result<bool, StoreError> {
    let Some((before, version)) = find(tx, id).await? else {
        return Ok(false);
    };
    let open = matches!(
        before.status_at(tx.now()),
        ReviewStatus::Pending | ReviewStatus::Approved
    );
    if before.requester != *requester
        || before.kind == ReviewType::Jit && before.status != ReviewStatus::Pending
        || !open
    {
        return Ok(false);
    }
    let after = Review {
        status: ReviewStatus::Rejected,
        rejection_reason: Some("taken back by its caller".to_owned()),
        ..before.clone()
    };
    change(tx, &after, before.status, version, requester.as_str()).await?;
    let mut logged = NewChange::new(Actor::person(requester.clone()), "review.reject", "review", id);
    logged.before = serde_json::to_value(&before).ok();
    logged.after = serde_json::to_value(&after).ok();
    tx.log_change(logged);
    Ok(true)
}
