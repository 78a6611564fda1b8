//! A call whose client can be asked while it runs: each question is put at once, and the call walks through all rooms
//! again with the answer, as if the client had brought it.
//!
//! So a question has one meaning in both eras, and rights are judged anew in every round.

use serde_json::{Value, value::RawValue};

use super::{Answer, AskClient, Asking, CallError, House, MOST_ROUNDS, ToolCall, Wanted};
use crate::{access::Principal, domain::DomainError};

impl House {
    pub(super) async fn converse(
        &self,
        wanted: Wanted,
        principal: &Principal,
        call: ToolCall<'_>,
        client: &dyn AskClient,
    ) -> Result<Answer, CallError> {
        let mut principal = principal.clone();
        let mut answers: Option<Box<RawValue>> = None;
        let mut state: Option<String> = None;
        for _ in 0..=MOST_ROUNDS {
            let round = ToolCall {
                input_responses: answers.as_deref(),
                request_state: state.as_deref(),
                asking: Asking::InResult,
                ..call.again()
            };
            let (requests, sealed) = match self.call_once(wanted, &principal, round).await? {
                Answer::InputRequired {
                    requests,
                    request_state,
                } => (requests, request_state),
                done => return Ok(done),
            };
            match client.ask(&requests).await {
                Ok((found, now)) => {
                    let found = serde_json::value::to_raw_value(&Value::Object(found));
                    answers = Some(found.map_err(|e| CallError::Domain(DomainError::internal(e)))?);
                    state = sealed;
                    principal = now;
                }
                Err(why) => {
                    // What can be confirmed another way still can be.
                    let otherwise = ToolCall {
                        asking: Asking::Never,
                        ..call.again()
                    };
                    return match self.call_once(wanted, &principal, otherwise).await {
                        Err(CallError::CannotAsk) => Err(CallError::NoAnswer(why)),
                        other => other,
                    };
                }
            }
        }
        Err(CallError::Params(format!(
            "the call asked {MOST_ROUNDS} times without coming to an end"
        )))
    }
}
