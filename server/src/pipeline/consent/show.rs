//! What is shown of a call before it runs: its plan, made on what is there now, and remembered beside a token.

use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::{Visit, internal};
use crate::{
    audit::Draft,
    domain::{DomainError, Plan, PlanSource, Preview, ToolResult},
    pipeline::{
        Answer, CallError, House, binding,
        doors::{self, Door, Shown},
        run::{End, bounded},
    },
    policy::{
        self, Remembered, Token,
        review::{self, REVIEW_LIFETIME_MS, Review},
    },
    store::{AuditStatus, NewPending, PENDING_LIFETIME_MS, Pending},
    telemetry::Room,
    vocabulary::{Consent, Timestamp, canonical, sha256},
};

/// Calls of one person that may wait for a review at once: more would drown their reviewers.
const MOST_UNDER_REVIEW: i64 = 50;

/// Why a preview is shown, when it is not the first.
#[derive(Default)]
pub(super) struct Again {
    pub(super) reason: Option<&'static str>,
    pub(super) earlier: Option<Preview>,
}

impl House {
    /// Shows a call that waits for somebody else, as it was first shown.
    pub(super) async fn show_waiting(
        &self,
        visit: &Visit,
        row: &Pending,
        reason: Option<&'static str>,
        draft: &mut Draft,
    ) -> Result<Answer, CallError> {
        draft.status(AuditStatus::PendingReview);
        let remembered = visit.remembered(row);
        let shown = Shown {
            preview: remembered.as_ref().map(|r| &r.preview),
            reason,
            expires_at: row.expires_at,
            called_as: &visit.called_as,
        };
        if row.need != Consent::Review {
            return doors::elsewhere(&shown, &row.code, visit.approve_at.as_deref()).map(Answer::Done);
        }
        draft.review(&row.code);
        let review = self.find_review(visit, row.code.clone()).await?;
        doors::review(&shown, &row.code, review.as_ref()).map(|shown| under_review(shown, &row.code))
    }

    /// Plans, remembers the plan and shows it.
    pub(super) async fn preview(
        &self,
        visit: &Visit,
        arguments: Value,
        again: Again,
        door: Door,
        draft: &mut Draft,
    ) -> Result<Answer, CallError> {
        visit.fare.pay()?;
        draft.status(AuditStatus::Preview);
        let canonical = canonical(&arguments);
        let plan = self.plan(visit, arguments.clone()).await?;
        let plan_digest = plan.digest(&visit.tool.digest());
        draft.plan(&plan_digest);
        let mut preview = Preview::from(&plan);
        if let Some(earlier) = &again.earlier {
            preview = preview.marked_against(earlier);
        }
        let facts = visit.grant.principal().facts();
        let review = (visit.need == Consent::Review).then(|| visit.new_review(preview.summary()));
        // A review's id is what its caller comes back with: it opens nothing before others have approved.
        let token = match &review {
            Some(review) => Token::from_caller(&review.id),
            None => Token::new().map_err(internal)?,
        };
        if let Some(open_by) = &visit.open_by {
            draft.review(open_by);
        }
        if let Some(review) = &review {
            draft.status(AuditStatus::PendingReview);
            draft.review(&review.id);
        }
        let remembered = Remembered {
            arguments,
            preview,
            planned_ms: visit.now.as_millis(),
        };
        let token_hash = token.hash();
        let new = NewPending {
            token_hash,
            code: match &review {
                Some(review) => review.id.clone(),
                None => policy::new_code().map_err(internal)?,
            },
            lifetime_ms: match &review {
                Some(_) => REVIEW_LIFETIME_MS,
                None => PENDING_LIFETIME_MS,
            },
            user: facts.user.clone(),
            edition: facts.edition.clone(),
            tool: visit.tool.name.clone(),
            args_digest: sha256(&canonical),
            plan_digest,
            // A token that somebody made up is shown a preview even where none is needed.
            need: visit.need.max(Consent::Confirm),
            sealed: visit
                .seal_key
                .seal_row(&visit.row_binding(&token_hash), &remembered)
                .map_err(internal)?,
        };
        let code = new.code.clone();
        let status = match review {
            Some(_) => AuditStatus::PendingReview,
            None => AuditStatus::Preview,
        };
        let event = draft.entrust(status);
        let kept = review.clone();
        let remembering = visit.rooms.enter(Room::Store);
        let expires_at = self
            .store
            .write(&facts.tenant, move |tx| {
                async move {
                    event.write(tx, |_| {})?;
                    if let Some(review) = &kept {
                        if tx.pending_calls().under_review(&review.requester).await? >= MOST_UNDER_REVIEW {
                            return Err(too_many_reviews());
                        }
                        review::keep(tx, review).await?;
                    }
                    Ok(tx.pending_calls().insert(&new).await?)
                }
                .boxed()
            })
            .await?;
        remembering.leave();
        draft.already_written(status);
        let shown = Shown {
            preview: Some(&remembered.preview),
            reason: again.reason,
            expires_at,
            called_as: &visit.called_as,
        };
        match door {
            Door::Question => {
                let state = json!(token.reveal());
                let binding = binding(facts, &visit.tool, &canonical);
                let sealed = visit
                    .seal_key
                    .seal(&binding, 1, state, visit.now)
                    .map_err(internal)?;
                Ok(Answer::InputRequired {
                    requests: vec![doors::question(&shown)],
                    request_state: Some(sealed),
                })
            }
            Door::Token => doors::token(&shown, &token).map(Answer::Done),
            Door::Elsewhere => match &review {
                Some(review) => {
                    doors::review(&shown, &code, Some(review)).map(|shown| under_review(shown, &code))
                }
                None => doors::elsewhere(&shown, &code, visit.approve_at.as_deref()).map(Answer::Done),
            },
        }
    }

    async fn find_review(&self, visit: &Visit, id: String) -> Result<Option<Review>, CallError> {
        let tenant = visit.grant.principal().tenant();
        let found = self
            .store
            .read(tenant, move |tx| {
                async move { review::find(tx, &id).await }.boxed()
            })
            .await?;
        Ok(found.map(|(review, _)| review))
    }

    /// Plans on one snapshot of the store.
    pub(in crate::pipeline) async fn plan(&self, visit: &Visit, arguments: Value) -> Result<Plan, CallError> {
        self.plan_at(visit, arguments, visit.now).await
    }

    /// The same for an earlier moment.
    pub(in crate::pipeline) async fn plan_at(
        &self,
        visit: &Visit,
        arguments: Value,
        now: Timestamp,
    ) -> Result<Plan, CallError> {
        let call = visit.plan_call(arguments, now)?;
        let work = match &visit.planned.plan {
            PlanSource::Store(plan) => {
                let plan = Arc::clone(plan);
                let tenant = visit.grant.principal().tenant();
                let store = visit.rooms.enter(Room::Store);
                let inside = store.inside();
                let work = self.store.read(tenant, move |tx| {
                    async move {
                        let _domain = inside.enter(Room::Domain);
                        plan(&mut tx.reading(), call).await
                    }
                    .boxed()
                });
                work.map(|planned| {
                    store.leave();
                    planned
                })
                .boxed()
            }
            PlanSource::Remote(plan) => visit.rooms.clone().within(Room::Domain, plan(call)),
        };
        match bounded(visit.limit, work).await {
            End::Returned(result) => Ok(result?),
            End::Panicked => Err(CallError::Panicked),
            End::TimedOut => Err(CallError::Timeout {
                limit_seconds: visit.limit.as_secs(),
                effect: "nothing was changed",
            }),
        }
    }

    /// What a call without a token came back for, when a person answers elsewhere.
    pub(super) async fn same_call(
        &self,
        visit: &Visit,
        args_digest: [u8; 32],
    ) -> Result<Option<Pending>, CallError> {
        let facts = visit.grant.principal().facts();
        let (user, edition, tool) = (facts.user.clone(), facts.edition.clone(), visit.tool.name.clone());
        let found = self.store.read(&facts.tenant, move |tx| {
            async move {
                tx.pending_calls()
                    .find_same(&user, &edition, &tool, &args_digest)
                    .await
            }
            .boxed()
        });
        Ok(found.await?)
    }
}

/// Marks the answer as that of a call which others must approve.
fn under_review(shown: ToolResult, id: &str) -> Answer {
    Answer::Done(ToolResult {
        under_review: Some(id.to_owned()),
        ..shown
    })
}

fn too_many_reviews() -> DomainError {
    DomainError::Rule(format!(
        "{MOST_UNDER_REVIEW} of your calls wait for their review already; have some of them answered first"
    ))
}
