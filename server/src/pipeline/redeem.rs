//! Rooms 9 and 10 for planned tools: a plan is carried out, with or without a yes before it, and whatever belongs
//! together commits together.
//!
//! An effect inside the store is one commit with its audit event, the end of the waiting call and the result that is
//! kept. An effect outside has three: taken with an intent row; the effect; its end. A crash after the first leaves
//! a row that says so, and the effect is not tried a second time.

use std::{borrow::Cow, sync::Arc};

use futures_util::FutureExt;

use super::{
    CallError, House,
    consent::{Redeemed, Visit, Yes},
    doors::{CHANGED, Kept},
    run::{End, bounded, check_result},
    unknown_outcome,
};
use crate::{
    audit::{Draft, EntrustedEntry, note_result},
    catalogue::Arguments,
    domain::{Applier, Apply, DomainError, Plan, PlanCall, PlanSource, TenantStore, ToolResult},
    limits::Slot,
    policy::{
        self, Decision, Permit, Verdict,
        review::{self, ReviewStatus},
    },
    store::{AuditRecord, AuditStatus, Pending, PendingState, StoreError, TenantTx},
    telemetry::Room,
    vocabulary::{Consent, Timestamp, hexadecimal},
};

/// The review that allowed a call.
type ReviewId = String;

const LOOK_FIRST: &str = "look whether the change was made before you try again";

/// What a token led to, before anything outside the store happens.
enum Judged {
    Over(Redeemed),
    /// Taken: this call carries it out.
    Taken(Permit, Plan, Timestamp, Option<ReviewId>),
}

impl House {
    /// Carries out a call that needs no yes.
    pub(super) async fn run_planned(
        &self,
        visit: &Visit,
        permit: Permit,
        arguments: Arguments,
        draft: &mut Draft,
        slot: Slot,
    ) -> Result<ToolResult, CallError> {
        let tool = visit.tool.digest();
        match &visit.planned.apply {
            Applier::Inside(apply) => {
                let (plan, apply) = (visit.planned.plan.clone(), Arc::clone(apply));
                let call = visit.plan_call(arguments.into_value(), visit.now)?;
                let mut apply_with = visit.applying(permit, Plan::default(), false, visit.now);
                let event = draft.entrust(AuditStatus::Allow);
                let tenant = visit.grant.principal().tenant();
                let store = visit.rooms.enter(Room::Store);
                let inside = store.inside();
                let work = self.store.write(tenant, move |tx| {
                    async move {
                        let domain = inside.enter(Room::Domain);
                        apply_with.plan = plan_within(&plan, tx, call).await?;
                        let digest = apply_with.plan.digest(&tool);
                        let result = apply(tx, apply_with).await?;
                        domain.leave();
                        record(tx, event, (&digest, None), &result)?;
                        Ok(result)
                    }
                    .boxed()
                });
                let result = self.bounded(visit, work).await?;
                store.leave();
                draft.already_written(AuditStatus::Allow);
                check_result(&result)?;
                Ok(result)
            }
            Applier::Outside(apply) => {
                let plan = self.plan(visit, arguments.into_value()).await?;
                draft.plan(&plan.digest(&tool));
                let tenant = visit.grant.principal().tenant();
                if let Some(intent) = draft.to_record(AuditStatus::Intent) {
                    let _audit = visit.rooms.enter(Room::Audit);
                    self.store.append_audit_durable(tenant, intent).await?;
                }
                draft.require_durable();
                let store = TenantStore::new(self.store.clone(), tenant.clone());
                let work = apply(store, visit.applying(permit, plan, false, visit.now));
                let work = visit.rooms.clone().within(Room::Domain, work);
                let result = self.apart(visit, slot, work).await?;
                draft.result(&result);
                check_result(&result)?;
                Ok(result)
            }
        }
    }

    /// Brings a yes to its row, and carries the call out if the row lets it.
    pub(super) async fn redeem(
        &self,
        visit: &Visit,
        decision: Decision,
        yes: Yes,
        draft: &mut Draft,
        slot: Slot,
    ) -> Result<Redeemed, CallError> {
        let tenant = visit.grant.principal().tenant().clone();
        let token_hash = yes.token_hash;
        let binding = visit.row_binding(&token_hash);
        let judge = Judge {
            visit: visit.clone(),
            decision,
            yes,
            planned: None,
        };
        match &visit.planned.apply {
            Applier::Inside(apply) => {
                let (apply, seal_key) = (Arc::clone(apply), Arc::clone(&visit.seal_key));
                let (progress, cancelled) = (visit.progress.clone(), visit.cancelled.clone());
                let event = draft.entrust(AuditStatus::Allow);
                let store = visit.rooms.enter(Room::Store);
                let inside = store.inside();
                let work = self.store.write(&tenant, move |tx| {
                    async move {
                        let judging = inside.enter(Room::Policy);
                        let (permit, plan, now, reviewed) = match judge.row(tx, None).await? {
                            Judged::Over(over) => return Ok(over),
                            Judged::Taken(permit, plan, now, reviewed) => (permit, plan, now, reviewed),
                        };
                        judging.leave();
                        let digest = plan.digest(&permit.tool().digest());
                        let call = Apply {
                            permit,
                            plan,
                            agreed: true,
                            progress,
                            cancelled,
                            now,
                        };
                        let domain = inside.enter(Room::Domain);
                        let result = apply(tx, call).await?;
                        domain.leave();
                        if let Some(id) = &reviewed {
                            review::follow(tx, id, ReviewStatus::Executed, None).await?;
                        }
                        record(tx, event, (&digest, reviewed), &result)?;
                        let kept = seal_key
                            .seal_row(&binding, &Kept::from(&result))
                            .map_err(DomainError::internal)?;
                        tx.pending_calls().finish(&token_hash, &kept).await?;
                        Ok::<_, DomainError>(Redeemed::Applied(result))
                    }
                    .boxed()
                });
                let redeemed = self.bounded(visit, work).await?;
                store.leave();
                if let Redeemed::Applied(result) = &redeemed {
                    draft.already_written(AuditStatus::Allow);
                    check_result(result)?;
                }
                Ok(redeemed)
            }
            Applier::Outside(apply) => {
                let intent = draft.to_record(AuditStatus::Intent);
                let judge = self.with_plan(judge).await?;
                let taking = visit.rooms.enter(Room::Store);
                let inside = taking.inside();
                let work = self.store.write(&tenant, move |tx| {
                    async move {
                        let _policy = inside.enter(Room::Policy);
                        judge.row(tx, intent).await
                    }
                    .boxed()
                });
                let (permit, plan, now, reviewed) = match self.bounded(visit, work).await? {
                    Judged::Over(over) => return Ok(over),
                    Judged::Taken(permit, plan, now, reviewed) => (permit, plan, now, reviewed),
                };
                taking.leave();
                if let Some(id) = &reviewed {
                    draft.review(id);
                }
                draft.plan(&plan.digest(&visit.tool.digest()));
                draft.require_durable();
                let reference = draft.reference().unwrap_or_default().to_owned();
                let store = TenantStore::new(self.store.clone(), tenant.clone());
                let work = apply(store.clone(), visit.applying(permit, plan, true, now));
                let rooms = visit.rooms.clone();
                let work = rooms.clone().within(Room::Domain, work);
                let seal_key = Arc::clone(&visit.seal_key);
                // Whoever stops waiting: what was begun ends, and its row knows how.
                let work = async move {
                    let result = work.await;
                    let kept = match &result {
                        Ok(result) => Some(
                            seal_key
                                .seal_row(&binding, &Kept::from(result))
                                .map_err(DomainError::internal)?,
                        ),
                        Err(DomainError::Store(_) | DomainError::Internal(_) | DomainError::Cancelled) => {
                            // It may have taken effect: nobody tries it again with this token.
                            return result;
                        }
                        Err(_) => None,
                    };
                    let _store = rooms.enter(Room::Store);
                    store
                        .write(move |tx| {
                            async move {
                                let ended = match kept {
                                    Some(kept) => {
                                        tx.pending_calls().finish(&token_hash, &kept).await?;
                                        ReviewStatus::Executed
                                    }
                                    None => {
                                        tx.pending_calls().give_back(&token_hash).await?;
                                        ReviewStatus::Approved
                                    }
                                };
                                match &reviewed {
                                    Some(id) => review::follow(tx, id, ended, None).await,
                                    None => Ok(()),
                                }
                            }
                            .boxed()
                        })
                        .await
                        .map_err(|error| unknown_outcome(&error, &reference))?;
                    result
                };
                let result = self.apart(visit, slot, work).await?;
                draft.result(&result);
                check_result(&result)?;
                Ok(Redeemed::Applied(result))
            }
        }
    }

    /// Makes the plan again where that takes another system, before any row is held.
    async fn with_plan(&self, judge: Judge) -> Result<Judge, CallError> {
        let visit = &judge.visit;
        if matches!(visit.planned.plan, PlanSource::Store(_)) {
            return Ok(judge);
        }
        let token_hash = judge.yes.token_hash;
        let tenant = visit.grant.principal().tenant();
        let asked = judge.yes.asked.clone();
        let look = self.store.write(tenant, move |tx| {
            async move {
                let row = tx.pending_calls().hold(&token_hash).await?;
                let ready = matches!(policy::verdict(row.as_ref(), &asked, tx.now()), Verdict::Ready);
                Ok::<_, DomainError>(row.filter(|_| ready))
            }
            .boxed()
        });
        let row = self.bounded(visit, look).await?;
        let Some(remembered) = row.as_ref().and_then(|row| visit.remembered(row)) else {
            return Ok(judge);
        };
        let planned_at = Timestamp(remembered.planned_ms);
        let plan = self.plan_at(visit, remembered.arguments, planned_at).await?;
        Ok(Judge {
            planned: Some(plan),
            ..judge
        })
    }

    /// Waits for work of the store's own, which goes on if nobody waits.
    async fn bounded<T>(
        &self,
        visit: &Visit,
        work: impl Future<Output = Result<T, DomainError>>,
    ) -> Result<T, CallError> {
        match bounded(visit.limit, work).await {
            End::Returned(result) => Ok(result?),
            End::Panicked => Err(CallError::Panicked),
            End::TimedOut => Err(CallError::Timeout {
                limit_seconds: visit.limit.as_secs(),
                effect: LOOK_FIRST,
            }),
        }
    }

    /// Waits for work on a task of its own.
    async fn apart(
        &self,
        visit: &Visit,
        slot: Slot,
        work: impl Future<Output = Result<ToolResult, DomainError>> + Send + 'static,
    ) -> Result<ToolResult, CallError> {
        let task = tokio::spawn(async move {
            let _slot = slot;
            work.await
        });
        match tokio::time::timeout(visit.limit, task).await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(_)) => Err(CallError::Panicked),
            Err(_) => {
                visit.cancelled.cancel();
                Err(CallError::Timeout {
                    limit_seconds: visit.limit.as_secs(),
                    effect: "part of the work may have been done",
                })
            }
        }
    }
}

fn allowed_by(mut event: AuditRecord, review: Option<ReviewId>) -> AuditRecord {
    event.review_id = review.map(Cow::Owned);
    event
}

/// The event commits with the effect or not at all.
fn record(
    tx: &mut TenantTx<'_>,
    event: EntrustedEntry,
    (plan, review): (&[u8; 32], Option<ReviewId>),
    result: &ToolResult,
) -> Result<(), StoreError> {
    event.write(tx, |event| {
        event.review_id = review.map(Cow::Owned);
        event.plan_digest = Some(Cow::Owned(hexadecimal(plan)));
        note_result(event, result);
    })
}

/// A plan inside a transaction. Only the store can be asked there: a system that answers slowly would hold up every
/// other writer.
async fn plan_within(
    source: &PlanSource,
    tx: &mut TenantTx<'_>,
    call: PlanCall,
) -> Result<Plan, DomainError> {
    match source {
        PlanSource::Store(plan) => plan(&mut tx.reading(), call).await,
        PlanSource::Remote(_) => Err(DomainError::Conflict(
            "the confirmation was decided this very moment; call again with the same token".to_owned(),
        )),
    }
}

/// What judges a row inside a transaction.
struct Judge {
    visit: Visit,
    decision: Decision,
    yes: Yes,
    /// The plan that was made again before the transaction, where another system had to be asked.
    planned: Option<Plan>,
}

impl Judge {
    /// Holds the row, looks what the yes is worth, plans again, and takes the row if the plan is still the same.
    async fn row(self, tx: &mut TenantTx<'_>, intent: Option<AuditRecord>) -> Result<Judged, DomainError> {
        let Self {
            visit,
            decision,
            yes,
            planned,
        } = self;
        let over = |redeemed| Ok(Judged::Over(redeemed));
        let row = tx.pending_calls().hold(&yes.token_hash).await?;
        let verdict = policy::verdict(row.as_ref(), &yes.asked, tx.now());
        let Some(row) = row else {
            return over(fresh(verdict, None));
        };
        match verdict {
            Verdict::Ready => {}
            Verdict::Waiting => return over(Redeemed::Waiting(row)),
            Verdict::Declined => return over(Redeemed::Declined),
            Verdict::Begun => return over(Redeemed::Begun),
            Verdict::Replay => return over(Redeemed::Replay(row)),
            // Whose row it is not, learns nothing of it.
            Verdict::Unknown => return over(fresh(verdict, None)),
            Verdict::Used | Verdict::Expired | Verdict::ArgumentsChanged => {
                return over(fresh(verdict, Some((&visit, &row))));
            }
        }
        let Some(remembered) = visit.remembered(&row) else {
            return over(fresh(Verdict::Unknown, None));
        };
        let facts = visit.grant.principal().facts();
        let reviewed = match (row.need, &visit.open_by) {
            (Consent::Review, _) => {
                let review = review::find(tx, &row.code).await?;
                // Approved for later.
                if review
                    .and_then(|(review, _)| review.runs_from)
                    .is_some_and(|from| tx.now() < from)
                {
                    return over(Redeemed::Waiting(row));
                }
                Some(row.code.clone())
            }
            (_, Some(open_by)) => {
                if !review::stands(tx, open_by, &facts.user, &facts.edition, &visit.tool.name).await? {
                    return Err(DomainError::Conflict(
                        "the review that opened this tool was closed this very moment; call again without the token"
                            .to_owned(),
                    ));
                }
                Some(open_by.clone())
            }
            (_, None) => None,
        };
        // The stored arguments, whatever was sent beside the token: what runs is what was shown.
        let planned_at = Timestamp(remembered.planned_ms);
        let call = visit.plan_call(remembered.arguments.clone(), planned_at)?;
        let plan = match planned {
            Some(plan) => plan,
            None => plan_within(&visit.planned.plan, tx, call).await?,
        };
        if plan.digest(&visit.tool.digest()) != row.plan_digest {
            tx.pending_calls()
                .end(&yes.token_hash, PendingState::Superseded)
                .await?;
            if let Some(id) = &reviewed {
                let why = "the record changed since the preview";
                review::follow(tx, id, ReviewStatus::Expired, Some(why)).await?;
            }
            return over(Redeemed::Fresh {
                reason: CHANGED,
                remembered: Some(remembered),
            });
        }
        let Some(taken) = tx.pending_calls().take(&yes.token_hash).await? else {
            return over(Redeemed::Begun);
        };
        let permit = match decision {
            Decision::Run(permit) => permit,
            Decision::Ask(question) => question.settle(taken),
        };
        // With an intent the effect lies outside, and others see the row meanwhile.
        if let Some(mut intent) = intent {
            intent.plan_digest = Some(Cow::Owned(hexadecimal(&row.plan_digest)));
            tx.audit(allowed_by(intent, reviewed.clone()))?;
            if let Some(id) = &reviewed {
                review::follow(tx, id, ReviewStatus::Processing, None).await?;
            }
        }
        Ok(Judged::Taken(permit, plan, planned_at, reviewed))
    }
}

fn fresh(verdict: Verdict, own: Option<(&Visit, &Pending)>) -> Redeemed {
    Redeemed::Fresh {
        reason: verdict.reason().unwrap_or("token_unknown"),
        remembered: own.and_then(|(visit, row)| visit.remembered(row)),
    }
}
