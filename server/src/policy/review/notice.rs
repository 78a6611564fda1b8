//! Who is told of a review, and what (catalogue.md §2.9).

use serde_json::json;

use super::{Review, ReviewStatus, ReviewType};
use crate::{
    outbox::{Event, Letter, Recipients, announce},
    store::{StoreError, TenantTx},
};

/// Where reviews are answered.
const PAGE: &str = "/console/reviews";

/// Tells those who are asked, or whoever asked, where the review stands now.
pub(super) async fn tell(tx: &mut TenantTx<'_>, review: &Review) -> Result<(), StoreError> {
    let requester = tx.users().find(&review.requester).await?;
    let requester = requester.map_or_else(|| review.requester.to_string(), |user| user.email);
    let Some((subject, text, to)) = written(review, &requester) else {
        return Ok(());
    };
    let event = format!("review.{}", review.status.as_str().to_lowercase());
    let data = json!({
        "review_id": review.id,
        "status": review.status,
        "edition": review.edition,
        "tool": review.tool,
        "requester": requester,
        "summary": review.summary,
        "groups": review.groups,
        "min_approvals": review.min_approvals,
        "forced": review.forced,
        "self_approved": review.self_approved,
        "type": review.kind,
        "runs_from": review.runs_from,
        "expires_at": review.expires_at,
        "rejection_reason": review.rejection_reason,
    });
    let letter = Letter {
        subject,
        text,
        path: PAGE.to_owned(),
    };
    let event = Event::new(&event, tx.now(), data, letter, to);
    announce(tx, event).await
}

/// Subject, text and readers; nothing for a state that only passes through.
fn written(review: &Review, requester: &str) -> Option<(String, String, Recipients)> {
    let (tool, summary, until) = (&review.tool, &review.summary, review.expires_at);
    let back = Recipients::Person(review.requester.clone());
    Some(match review.status {
        ReviewStatus::Pending => {
            let asked = review.groups.iter().map(|vote| &vote.group);
            let mut groups: Vec<_> = asked.chain(&review.force_groups).cloned().collect();
            groups.sort();
            groups.dedup();
            (
                format!("Review asked for: {summary}"),
                format!(
                    "{requester} asks to run {tool}:\n\n{summary}\n\nIt runs only if it is approved before {until}. \
                     What it would change is shown here, where you approve or reject it:"
                ),
                Recipients::Groups {
                    groups,
                    but: review.requester.clone(),
                },
            )
        }
        ReviewStatus::Approved => {
            let from = review
                .runs_from
                .map(|from| format!("from {from} on and "))
                .unwrap_or_default();
            let then = match review.kind {
                ReviewType::Onetime => format!("Repeat it {from}before {until} to have it run."),
                ReviewType::Jit => format!(
                    "You may call {tool} {from}until {until}; each call shows what it would do first."
                ),
            };
            (
                format!("Approved: {summary}"),
                format!("Your call of {tool} was approved:\n\n{summary}\n\n{then}"),
                back,
            )
        }
        ReviewStatus::Revoked => (
            format!("Revoked: {summary}"),
            format!("You may not call {tool} without a new review any more.\n\n{summary}"),
            back,
        ),
        ReviewStatus::Rejected => {
            let why = review
                .rejection_reason
                .as_deref()
                .unwrap_or("No reason was given.");
            (
                format!("Rejected: {summary}"),
                format!("Your call of {tool} was rejected and does not run:\n\n{summary}\n\n{why}"),
                back,
            )
        }
        ReviewStatus::Expired => (
            format!("Not run: {summary}"),
            format!("Your call of {tool} was not run: its review is over.\n\n{summary}"),
            back,
        ),
        ReviewStatus::Executed => (
            format!("Done: {summary}"),
            format!("{tool} was run as approved.\n\n{summary}"),
            Recipients::Nobody,
        ),
        ReviewStatus::Processing => return None,
    })
}
