//! Room 8 for tools that plan before they act: which door a call goes through, and what its answer is
//! (catalogue.md §2.8).
//!
//! | A call that | goes |
//! |---|---|
//! | needs no yes | straight through: planned and carried out in one go |
//! | needs one, from a client that can ask its user | back as a question, with a sealed state (door C) |
//! | needs one, from any other | back as a preview with a token (door A) |
//! | needs a person's, from any other | back with a code that is approved elsewhere (door D) |
//! | brings a token, or an answer with its state | to [`redeem`](super::redeem) |

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    Answer, Asking, CallError, House, ToolCall,
    doors::{self, Door, Shown},
    fare::Fare,
    run::{End, bounded},
};
use crate::{
    access::Grant,
    audit::Draft,
    catalogue::{ArgumentError, Edition, TOKEN_ARGUMENT, Tool},
    domain::{Apply, DomainError, Plan, PlanCall, PlanSource, Planned, Preview, Progress},
    limits::Slot,
    policy::{
        self, Asked, Decision, Permit, Remembered, SealKey, StateError, Token,
        review::{self, REVIEW_LIFETIME_MS, Review},
    },
    store::{AuditStatus, NewPending, PENDING_LIFETIME_MS, Pending, PendingState},
    vocabulary::{Consent, Timestamp, new_id, sha256},
};

/// Calls of one person that may wait for a review at once: more would drown their reviewers.
const MOST_UNDER_REVIEW: i64 = 50;

/// What stays the same for the whole of one call.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) edition: Arc<Edition>,
    pub(super) tool: Arc<Tool>,
    pub(super) grant: Grant,
    pub(super) planned: Planned,
    pub(super) limit: Duration,
    pub(super) now: Timestamp,
    pub(super) progress: Progress,
    pub(super) cancelled: CancellationToken,
    pub(super) seal_key: Arc<SealKey>,
    need: Consent,
    /// What the call costs.
    fare: Fare,
    /// The name as the caller spells it.
    called_as: String,
    can_elicit: bool,
    approve_at: Option<String>,
}

/// A yes on its way to the store.
pub(super) struct Yes {
    pub(super) token_hash: [u8; 32],
    pub(super) asked: Asked,
}

/// Why a preview is shown, when it is not the first.
#[derive(Default)]
struct Again {
    reason: Option<&'static str>,
    earlier: Option<Preview>,
}

/// What a token, or its absence, led to.
pub(super) enum Redeemed {
    /// Carried out, and its audit event written.
    Applied(crate::domain::ToolResult),
    /// It was carried out before.
    Replay(Pending),
    /// A person has not answered yet.
    Waiting(Pending),
    /// A person said no.
    Declined,
    /// Begun, and not known to be over.
    Begun,
    /// A new preview is due.
    Fresh {
        reason: &'static str,
        /// What the earlier one remembered, when it is the caller's own.
        remembered: Option<Remembered<Preview>>,
    },
}

impl House {
    /// Walks a call of a planned tool through the rest of the rooms.
    pub(super) async fn consent(
        &self,
        visit: Visit,
        decision: Decision,
        mut value: Value,
        call: &ToolCall<'_>,
        draft: &mut Draft,
        slot: Slot,
    ) -> Result<Answer, CallError> {
        let token = take_token(&mut value)?;
        let canonical = crate::vocabulary::canonical(&value);
        draft.arguments(&canonical);
        let args_digest = sha256(&canonical);
        let facts = visit.grant.principal().facts();
        let round = self.open_round(|| super::binding(facts, &visit.tool, &canonical), call, visit.now)?;
        let asked = Asked {
            user: facts.user.clone(),
            edition: facts.edition.clone(),
            tool: visit.tool.name.clone(),
            args_digest: Some(args_digest),
            need: visit.need,
            elicited: false,
        };

        // Door C: the state says which call, the answer says yes or no.
        if let Some(state) = round.state {
            let token = serde_json::from_value::<Token>(state)
                .map_err(|_| CallError::Params(StateError.to_string()))?;
            let token_hash = token.hash();
            return match answer_of(&round.answers)? {
                Some(true) => {
                    let asked = Asked {
                        elicited: true,
                        ..asked
                    };
                    let yes = Yes { token_hash, asked };
                    let settled = self.settle(visit, decision, yes, value, Door::Question, draft, slot);
                    Box::pin(settled).await
                }
                Some(false) => Box::pin(self.decline(&visit, token_hash, draft)).await,
                None => {
                    let again = Again::default();
                    Box::pin(self.preview(&visit, value, again, Door::Question, draft)).await
                }
            };
        }
        if let Some(token) = token {
            let alone = value.as_object().is_some_and(Map::is_empty);
            let asked = Asked {
                args_digest: (!alone).then_some(args_digest),
                ..asked
            };
            let yes = Yes {
                token_hash: token.hash(),
                asked,
            };
            // Whoever speaks in tokens is answered with tokens, where a token will do.
            let door = match visit.need {
                Consent::Auto | Consent::Confirm => Door::Token,
                Consent::Human | Consent::Review => visit.door(),
            };
            return Box::pin(self.settle(visit, decision, yes, value, door, draft, slot)).await;
        }
        let permit = match decision {
            Decision::Run(permit) => permit,
            Decision::Ask(_) => {
                let door = visit.door();
                if door == Door::Elsewhere
                    && let Some(row) = Box::pin(self.same_call(&visit, args_digest)).await?
                {
                    let yes = Yes {
                        token_hash: row.token_hash,
                        asked,
                    };
                    return Box::pin(self.settle(visit, decision, yes, value, door, draft, slot)).await;
                }
                return Box::pin(self.preview(&visit, value, Again::default(), door, draft)).await;
            }
        };
        let arguments = visit.tool.input.check(value)?;
        visit.fare.pay()?;
        let result = self.run_planned(&visit, permit, arguments, draft, slot).await?;
        Ok(Answer::Done(result))
    }

    /// Brings a yes to the store and says what became of it.
    #[allow(
        clippy::too_many_arguments,
        reason = "each is one thing that the call brought along"
    )]
    async fn settle(
        &self,
        visit: Visit,
        decision: Decision,
        yes: Yes,
        sent: Value,
        door: Door,
        draft: &mut Draft,
        slot: Slot,
    ) -> Result<Answer, CallError> {
        let token_hash = yes.token_hash;
        match self.redeem(&visit, decision, yes, draft, slot).await? {
            Redeemed::Applied(result) => Ok(Answer::Done(doors::done(result, false)?)),
            Redeemed::Replay(row) => {
                let kept = visit.kept_result(&row)?;
                Ok(Answer::Done(doors::done(kept, true)?))
            }
            Redeemed::Waiting(row) if door == Door::Elsewhere && row.need == visit.need => {
                self.show_waiting(&visit, &row, None, draft).await
            }
            Redeemed::Waiting(row) => {
                let remembered = visit.remembered(&row);
                let arguments = remembered.map_or(sent, |r| r.arguments);
                self.preview(&visit, arguments, Again::default(), door, draft)
                    .await
            }
            Redeemed::Declined => {
                // Said once; whoever asks again after that, asks anew.
                self.end_call(&visit, token_hash, PendingState::Superseded).await?;
                draft.status(AuditStatus::Declined);
                doors::declined().map(Answer::Done)
            }
            Redeemed::Begun => Err(CallError::Domain(DomainError::Conflict(
                "this confirmation is being carried out, or was cut off while it was; look whether the change was \
                 made before you call again without the token"
                    .to_owned(),
            ))),
            Redeemed::Fresh { reason, remembered } => {
                let (stored, earlier) = remembered.map(|r| (r.arguments, r.preview)).unzip();
                let alone = sent.as_object().is_some_and(Map::is_empty);
                let arguments = match stored {
                    Some(stored) if alone => stored,
                    _ => sent,
                };
                // Whoever made a token up adds nothing to the calls that wait already.
                if door == Door::Elsewhere
                    && let Some(row) = self.same_call(&visit, digest_of(&arguments)).await?
                    && row.state == PendingState::Pending
                    && row.need == visit.need
                {
                    return self.show_waiting(&visit, &row, Some(reason), draft).await;
                }
                // Only what the record did to the plan is marked; other arguments are no surprise to who sent them.
                let earlier = earlier.filter(|_| reason == doors::CHANGED);
                let again = Again {
                    reason: Some(reason),
                    earlier,
                };
                self.preview(&visit, arguments, again, door, draft).await
            }
        }
    }

    /// Shows a call that waits for somebody else, as it was first shown.
    async fn show_waiting(
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
        doors::review(&shown, &row.code, review.as_ref()).map(Answer::Done)
    }

    /// Plans, remembers the plan and shows it.
    async fn preview(
        &self,
        visit: &Visit,
        arguments: Value,
        again: Again,
        door: Door,
        draft: &mut Draft,
    ) -> Result<Answer, CallError> {
        visit.fare.pay()?;
        draft.status(AuditStatus::Preview);
        let canonical = crate::vocabulary::canonical(&arguments);
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
        let event = draft.to_record(status);
        let kept = review.clone();
        let expires_at = self
            .store
            .write(&facts.tenant, move |tx| {
                async move {
                    if let Some(event) = event {
                        tx.audit(event)?;
                    }
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
                let binding = super::binding(facts, &visit.tool, &canonical);
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
                Some(review) => doors::review(&shown, &code, Some(review)).map(Answer::Done),
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
    pub(super) async fn plan(&self, visit: &Visit, arguments: Value) -> Result<Plan, CallError> {
        self.plan_at(visit, arguments, visit.now).await
    }

    /// The same for an earlier moment.
    pub(super) async fn plan_at(
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
                let work = self.store.read(tenant, move |tx| {
                    async move { plan(&mut tx.reading(), call).await }.boxed()
                });
                work.boxed()
            }
            PlanSource::Remote(plan) => plan(call),
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

    async fn decline(
        &self,
        visit: &Visit,
        token_hash: [u8; 32],
        draft: &mut Draft,
    ) -> Result<Answer, CallError> {
        self.end_call(visit, token_hash, PendingState::Declined).await?;
        draft.status(AuditStatus::Declined);
        doors::declined().map(Answer::Done)
    }

    async fn end_call(
        &self,
        visit: &Visit,
        token_hash: [u8; 32],
        state: PendingState,
    ) -> Result<(), CallError> {
        let tenant = visit.grant.principal().tenant();
        self.store
            .write(tenant, move |tx| {
                async move { tx.pending_calls().end(&token_hash, state).await }.boxed()
            })
            .await?;
        Ok(())
    }

    /// What a call without a token came back for, when a person answers elsewhere.
    async fn same_call(&self, visit: &Visit, args_digest: [u8; 32]) -> Result<Option<Pending>, CallError> {
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

impl Visit {
    #[allow(
        clippy::too_many_arguments,
        reason = "each is one thing that the hall knows of the call"
    )]
    pub(super) fn new(
        house: &House,
        edition: &Arc<Edition>,
        grant: &Grant,
        planned: &Planned,
        need: Consent,
        call: &ToolCall<'_>,
        fare: Fare,
        now: Timestamp,
    ) -> Self {
        let tool = Arc::clone(grant.tool());
        Self {
            edition: Arc::clone(edition),
            grant: grant.clone(),
            planned: planned.clone(),
            limit: tool
                .timeout_seconds
                .map_or(house.call_timeout, Duration::from_secs),
            now,
            progress: call.progress.clone(),
            cancelled: call.cancelled.clone(),
            seal_key: Arc::clone(&house.seal_key),
            need,
            fare,
            called_as: call.name.to_owned(),
            can_elicit: !matches!(call.asking, Asking::Never) && has_forms(&call.capabilities),
            approve_at: call.approve_at.map(str::to_owned),
            tool,
        }
    }

    fn door(&self) -> Door {
        match self.need {
            Consent::Review => Door::Elsewhere,
            _ if self.can_elicit => Door::Question,
            Consent::Human => Door::Elsewhere,
            Consent::Auto | Consent::Confirm => Door::Token,
        }
    }

    fn new_review(&self, summary: &str) -> Review {
        let facts = self.grant.principal().facts();
        let call = (facts.edition.clone(), self.tool.name.clone(), facts.user.clone());
        let id = new_id("rev", self.now);
        Review::new(id, call, summary.to_owned(), &self.tool.review, self.now)
    }

    /// What carries a plan out.
    pub(super) fn applying(&self, permit: Permit, plan: Plan, agreed: bool, now: Timestamp) -> Apply {
        Apply {
            permit,
            plan,
            agreed,
            progress: self.progress.clone(),
            cancelled: self.cancelled.clone(),
            now,
        }
    }

    /// What a planning handler works on.
    pub(super) fn plan_call(&self, arguments: Value, now: Timestamp) -> Result<PlanCall, ArgumentError> {
        Ok(PlanCall {
            grant: self.grant.clone(),
            edition: Arc::clone(&self.edition),
            arguments: self.tool.input.check(arguments)?,
            now,
        })
    }

    /// What a row's sealed parts are bound to.
    pub(super) fn row_binding(&self, token_hash: &[u8; 32]) -> String {
        policy::row_binding(self.grant.principal().tenant(), token_hash)
    }

    /// What was sealed beside a row; nothing when the key was changed since.
    pub(super) fn remembered(&self, row: &Pending) -> Option<Remembered<Preview>> {
        let binding = self.row_binding(&row.token_hash);
        self.seal_key.open_row(&binding, &row.sealed).ok()
    }

    fn kept_result(&self, row: &Pending) -> Result<crate::domain::ToolResult, CallError> {
        let binding = self.row_binding(&row.token_hash);
        let bytes = row.result.as_deref().unwrap_or_default();
        let kept: doors::Kept = self.seal_key.open_row(&binding, bytes).map_err(internal)?;
        kept.try_into().map_err(CallError::Domain)
    }
}

/// SHA-256 of arguments in canonical form.
fn digest_of(arguments: &Value) -> [u8; 32] {
    sha256(&crate::vocabulary::canonical(arguments))
}

fn too_many_reviews() -> DomainError {
    DomainError::Rule(format!(
        "{MOST_UNDER_REVIEW} of your calls wait for their review already; have some of them answered first"
    ))
}

/// Our own fault.
pub(super) fn internal(error: StateError) -> CallError {
    CallError::Domain(DomainError::internal(error))
}

/// Takes the token out of the arguments: it is none of the tool's. An empty one is none at all, because some models
/// fill in every optional field.
fn take_token(value: &mut Value) -> Result<Option<Token>, ArgumentError> {
    match value
        .as_object_mut()
        .and_then(|map| map.shift_remove(TOKEN_ARGUMENT))
    {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(Token::from_caller(text.trim()))),
        Some(_) => Err(ArgumentError::one(format!("{TOKEN_ARGUMENT}: must be a string"))),
    }
}

/// Whether the client can show its user a form: `elicitation: {}` says so as much as `elicitation: {form: {}}`.
fn has_forms(capabilities: &Map<String, Value>) -> bool {
    capabilities
        .get("elicitation")
        .and_then(Value::as_object)
        .is_some_and(|modes| modes.is_empty() || modes.contains_key("form"))
}

/// Yes or no; `None` when there is no answer that fits the form, so that it is asked again (protocol.md S-86, S-87).
fn answer_of(answers: &Map<String, Value>) -> Result<Option<bool>, CallError> {
    let Some(answer) = answers.get(doors::QUESTION) else {
        return Ok(None);
    };
    match answer.get("action").and_then(Value::as_str) {
        Some("accept") => Ok(answer
            .pointer(&format!("/content/{}", doors::QUESTION))
            .and_then(Value::as_bool)),
        Some("decline" | "cancel") => Ok(Some(false)),
        _ => Err(CallError::Params(format!(
            "inputResponses.{}: must have an `action` of accept, decline or cancel",
            doors::QUESTION
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_only_in_the_form_that_was_asked_for() {
        let of = |answer: Value| answer_of(&Map::from_iter([("confirm".to_owned(), answer)]));
        assert_eq!(
            of(json!({"action": "accept", "content": {"confirm": true}})).unwrap(),
            Some(true)
        );
        assert_eq!(
            of(json!({"action": "accept", "content": {"confirm": false}})).unwrap(),
            Some(false)
        );
        for unfit in [
            json!({"action": "accept"}),
            json!({"action": "accept", "content": {"confirm": "true"}}),
        ] {
            assert_eq!(of(unfit).unwrap(), None);
        }
        for no in ["decline", "cancel"] {
            assert_eq!(
                of(json!({"action": no, "content": {"confirm": true}})).unwrap(),
                Some(false)
            );
        }
        assert!(of(json!({"action": "yes"})).is_err());
        assert!(of(json!(true)).is_err());
        assert_eq!(answer_of(&Map::new()).unwrap(), None);
    }

    #[test]
    fn forms_are_declared_by_name_or_by_nothing() {
        let has = |capabilities: Value| has_forms(capabilities.as_object().unwrap());
        assert!(has(json!({"elicitation": {}})) && has(json!({"elicitation": {"form": {}, "url": {}}})));
        assert!(!has(json!({"elicitation": {"url": {}}})) && !has(json!({})));
    }

    #[test]
    fn the_token_is_taken_out_of_the_arguments() {
        let mut value = json!({"a": 1, "confirmation_token": " cft_x "});
        let token = take_token(&mut value).unwrap();
        assert_eq!(token, Some(Token::from_caller("cft_x")));
        assert_eq!(value, json!({"a": 1}));
        for none in [
            json!({}),
            json!({"confirmation_token": ""}),
            json!({"confirmation_token": null}),
        ] {
            assert_eq!(take_token(&mut none.clone()).unwrap(), None);
        }
        assert!(take_token(&mut json!({"confirmation_token": 7})).is_err());
    }
}
