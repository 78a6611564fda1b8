//! Reviews: who sees them, and whose answer counts (catalogue.md §2.9).

use futures_util::FutureExt;
use serde::Serialize;

use super::{Actor, OperateError, actor::Standing, approvals::Waiting, logged, note};
pub use crate::policy::review::{Review, ReviewStatus, ReviewType, TimeWindow};
use crate::{
    domain::Preview,
    policy::{
        RULES, SealKey, TenantRules,
        review::{self, Approval, Reviewer},
    },
    store::{PendingState, Store, TenantTx},
    vocabulary::{Role, TenantId, UserId, sha256},
};

/// Reviews that are listed at once.
const MOST_LISTED: u32 = 200;
/// Longest reason of a rejection, in characters.
const LONGEST_REASON: usize = 500;

/// A review with what it is about.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// The review, its status as of now.
    #[serde(flatten)]
    pub review: Review,
    /// What the call would do, while it waits.
    pub preview: Option<Preview>,
}

/// What somebody answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Yes, for their groups, or alone.
    Approve {
        /// Alone, without the other groups.
        force: bool,
        /// To be run in this part of a day only.
        window: Option<TimeWindow>,
    },
    /// No.
    Reject {
        /// Why.
        reason: Option<String>,
    },
    /// What the review opened for a while is closed.
    Revoke,
}

/// Whether somebody is shown a review. The operator is shown all.
fn sees(who: Option<&Reviewer>, review: &Review) -> bool {
    who.is_none_or(|who| {
        who.role.is_admin()
            || who.role == Role::Auditor
            || who.user == review.requester
            || review.groups.iter().any(|vote| who.groups.contains(&vote.group))
            || review.force_groups.iter().any(|group| who.groups.contains(group))
    })
}

/// Somebody's role and groups, as the store has them now.
fn reviewer(standing: &Standing) -> Option<Reviewer> {
    standing.user().map(|user| Reviewer {
        user: user.id.clone(),
        role: user.role,
        groups: user.groups.clone(),
    })
}

/// The reviews that somebody may see, the newest first; the operator sees all.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(store: &Store, tenant: &TenantId, by: &Actor) -> Result<Vec<Review>, OperateError> {
    let by = by.clone();
    store
        .read(tenant, move |tx| {
            async move {
                let who = reviewer(&by.standing(tx).await?);
                let mut all = review::list(tx, MOST_LISTED).await?;
                all.retain(|review| sees(who.as_ref(), review));
                for review in &mut all {
                    review.status = review.status_at(tx.now());
                }
                Ok(all)
            }
            .boxed()
        })
        .await
}

/// One review, with what its call would do.
///
/// # Errors
/// When there is none of that id that they may see, or the store cannot be read.
pub async fn show(
    store: &Store,
    tenant: &TenantId,
    id: &str,
    by: &Actor,
    key: &SealKey,
) -> Result<Shown, OperateError> {
    let (id, by) = (id.to_owned(), by.clone());
    let (review, row) = store
        .read(tenant, move |tx| {
            async move {
                let who = reviewer(&by.standing(tx).await?);
                let found = review::find(tx, &id).await?.map(|(review, _)| review);
                let found = found.filter(|review| sees(who.as_ref(), review));
                let mut review = found.ok_or_else(|| unknown(&id))?;
                review.status = review.status_at(tx.now());
                Ok::<_, OperateError>((review, tx.pending_calls().find_code(&id).await?))
            }
            .boxed()
        })
        .await?;
    let preview = row.and_then(|row| Waiting::of(row, tenant, key).preview);
    Ok(Shown { review, preview })
}

/// Writes down an answer. When enough have said yes, the call may come back.
///
/// # Errors
/// When there is no such review, or the answer does not count.
pub async fn answer(
    store: &Store,
    tenant: &TenantId,
    id: &str,
    by: &UserId,
    answer: Answer,
) -> Result<Review, OperateError> {
    let (id, by) = (id.to_owned(), Actor::Person(by.clone()));
    store
        .write(tenant, move |tx| {
            async move {
                let standing = by.standing(tx).await?;
                let who = reviewer(&standing).ok_or_else(|| unknown(&id))?;
                let found = review::find(tx, &id).await?;
                let found = found.filter(|(review, _)| sees(Some(&who), review));
                let (before, version) = found.ok_or_else(|| unknown(&id))?;
                let own_calls = tx.settings().get::<TenantRules>(RULES).await?;
                let own_calls = own_calls.is_some_and(|rules| rules.admin_self_approval);
                let after = answered(tx, before.clone(), &who, answer, own_calls)?;
                review::change(tx, &after, before.status, version, who.user.as_str()).await?;
                let command = settle_call(tx, &after, &who).await?;
                note(tx, &standing, command, &id, logged(&before), logged(&after));
                Ok(after)
            }
            .boxed()
        })
        .await
}

/// Has the waiting call follow its review; gives what the change log calls that.
async fn settle_call(
    tx: &mut TenantTx<'_>,
    review: &Review,
    who: &Reviewer,
) -> Result<&'static str, OperateError> {
    let token_hash = sha256(&review.id);
    Ok(match review.status {
        ReviewStatus::Rejected => {
            if !tx
                .pending_calls()
                .end(&token_hash, PendingState::Declined)
                .await?
            {
                return Err(taken());
            }
            "review.reject"
        }
        ReviewStatus::Revoked => {
            // It may have run long ago: what was opened is closed all the same.
            tx.pending_calls()
                .end(&token_hash, PendingState::Declined)
                .await?;
            "review.revoke"
        }
        ReviewStatus::Approved => {
            let lasts_ms = review.expires_at.as_millis().saturating_sub(tx.now().as_millis());
            let by = who.user.as_str();
            if !tx.pending_calls().decide(&review.id, true, by, lasts_ms).await? {
                return Err(taken());
            }
            if review.self_approved {
                "review.self_approve"
            } else {
                "review.approve"
            }
        }
        _ => "review.approve",
    })
}

fn answered(
    tx: &TenantTx<'_>,
    review: Review,
    who: &Reviewer,
    answer: Answer,
    own_calls: bool,
) -> Result<Review, OperateError> {
    let now = tx.now();
    let after = match answer {
        Answer::Approve { force, window } => {
            let how = Approval {
                force,
                window,
                own_calls,
            };
            review.approve(who, how, now)
        }
        Answer::Reject { reason } => {
            let reason = reason.map(|text| text.chars().take(LONGEST_REASON).collect());
            review.reject(who, reason, now)
        }
        Answer::Revoke => review.revoke(who, now),
    };
    after.map_err(|refused| OperateError::Rule(refused.to_string()))
}

fn unknown(id: &str) -> OperateError {
    OperateError::NotFound(format!("there is no review `{id}`; see `review list`"))
}

fn taken() -> OperateError {
    OperateError::Rule("the call of this review is gone, or is being carried out".to_owned())
}
