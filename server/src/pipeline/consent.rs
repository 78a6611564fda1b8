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

mod show;
mod visit;

use futures_util::FutureExt;
use serde_json::{Map, Value};

pub(super) use visit::Visit;

use self::show::Again;
use super::{
    Answer, CallError, House, ToolCall,
    doors::{self, Door},
};
use crate::{
    audit::Draft,
    catalogue::{ArgumentError, TOKEN_ARGUMENT},
    domain::{DomainError, Preview},
    limits::Slot,
    policy::{Asked, Decision, Remembered, StateError, Token},
    store::{AuditStatus, Pending, PendingState},
    telemetry::Room,
    vocabulary::{Consent, sha256},
};

/// A yes on its way to the store.
pub(super) struct Yes {
    pub(super) token_hash: [u8; 32],
    pub(super) asked: Asked,
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
        let checking = visit.rooms.enter(Room::Arguments);
        let arguments = visit.tool.input.check(value)?;
        checking.leave();
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
                    // A call that sent its token alone lacks nothing but the token's row.
                    None if alone && visit.tool.input.check(sent.clone()).is_err() => {
                        return Err(ArgumentError::one(format!(
                            "{TOKEN_ARGUMENT}: is not known, or its time is over; call again with the arguments, \
                             for a new preview"
                        ))
                        .into());
                    }
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
}

/// SHA-256 of arguments in canonical form.
fn digest_of(arguments: &Value) -> [u8; 32] {
    sha256(&crate::vocabulary::canonical(arguments))
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
    use serde_json::json;

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
