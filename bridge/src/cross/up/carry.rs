//! One modern request, from the host's line to the line that answers it (protocol.md ).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::codes;
use footbridge_protocol::jsonrpc::{
    ErrorObject, ErrorView, Message, OwnedId, Rules, decode, write_result, write_result_with,
};
use hyper::StatusCode;
use serde_json::json;
use serde_json::value::RawValue;

use super::ask::{Question, input_required, is_accepted};
use super::call::{Call, Host, Step};
use super::park::{Parked, Wrong};
use super::request::{Asked, Retry};
use super::session::{Session, Slot};
use super::{Failure, Up, answer, listen, park, replies};
use crate::cross::object::Object;
use crate::cross::splice::Taken;
use crate::error::{BridgeError, quote};
use crate::exchange::Shared;
use crate::log;
use crate::pause::{Backoff, jittered};
use crate::seconds::Seconds;
use crate::stdio::Line;

/// Pause before a lost request is sent again (B-41).
const RESEND_PAUSE: Duration = Duration::from_millis(200);

/// A modern request on its way to a handshake-era server.
pub(super) struct Crossing {
    pub(super) shared: Arc<Shared>,
    pub(super) up: Arc<Up>,
    pub(super) id: OwnedId,
    /// The host's line.
    pub(super) body: Bytes,
}

impl Crossing {
    /// Carries the request and writes its answer. Dropping it cancels the request and writes nothing more.
    pub(super) async fn run(self) {
        let asked = match decode(&self.body, &Rules::BRIDGE) {
            Ok(Message::Request(request)) => Asked::read(&request).map_err(|error| Failure::refuse(&error)),
            _ => return,
        };
        let outcome = match asked {
            Err(failure) => Err(failure),
            Ok(asked) if asked.method == "subscriptions/listen" => self.listen(&asked).await,
            Ok(asked) => {
                let limit = self.shared.call_limit;
                let carried = self
                    .shared
                    .alarm
                    .within(limit, Box::pin(self.carry(&asked)))
                    .await;
                carried.unwrap_or_else(|_| {
                    Err(BridgeError::timeout(format!(
                        "The request was given up after {} s; whether it took effect is unknown. Check that before you \
                         repeat it, or raise the limit for a call",
                        Seconds(limit)
                    ))
                    .into())
                })
            }
        };
        let line = match outcome {
            Ok(line) => line,
            Err(failure) => {
                let id = quote(self.id.as_raw().as_bytes(), 64);
                log::debug(format_args!("request {id} failed: {}", failure.message()));
                match failure.to_line(self.id.as_id()) {
                    Some(line) => line,
                    None => return,
                }
            }
        };
        // A host that is gone ends the program elsewhere.
        let _ = self.shared.output.send(line).await;
    }

    async fn listen(&self, asked: &Asked) -> Result<Line, Failure> {
        let slot = self.up.slot(&asked.declared)?;
        listen::run(&slot, &self.shared, asked).await
    }

    async fn carry(&self, asked: &Asked) -> Result<Line, Failure> {
        if let Some(retry) = asked.retry.as_ref().filter(|_| asked.may_ask()) {
            return self.take_up(asked, retry).await;
        }
        let slot = self.up.slot(&asked.declared)?;
        if asked.method == "server/discover" {
            let session = slot.session(&self.shared, asked.client_info.as_deref()).await?;
            return Ok(self.result(&answer::discovered(&session.facts)));
        }
        self.call(&slot, asked, &[]).await
    }

    /// Makes the call. `visited` are pages the user has agreed to visit for it.
    async fn call(&self, slot: &Arc<Slot>, asked: &Asked, visited: &[Question]) -> Result<Line, Failure> {
        let mut again = true;
        let mut backoff = Backoff::new();
        loop {
            let session = slot.session(&self.shared, asked.client_info.as_deref()).await?;
            session.set_level(&self.shared, asked.level.as_deref()).await;
            let attempt = self.attempt(&session, asked).await;
            match attempt {
                // A 404 means that the request was not looked at (B-43).
                Err(Failure::SessionLost) if again => again = false,
                Err(Failure::Bridge(error)) if again && error.is_loss() && asked.is_repeatable() => {
                    log::info(format_args!("sending a request again: {}", error.message()));
                    again = false;
                    tokio::time::sleep(jittered(RESEND_PAUSE)).await;
                }
                // Refused for now: nothing was done, or what was may be done again (M-11).
                Err(Failure::Busy { pause, status, .. })
                    if again && (status == StatusCode::TOO_MANY_REQUESTS || asked.is_repeatable()) =>
                {
                    again = false;
                    tokio::time::sleep(pause).await;
                }
                Ok(Step::Answered(Err(error))) => match self.visits(&session, asked, &error)? {
                    // The user is still busy there: asking twice would not help.
                    Some(visits)
                        if visits
                            .iter()
                            .all(|visit| visited.iter().any(|known| known.is_same(visit))) =>
                    {
                        let _ = tokio::time::timeout(backoff.next(), session.visited.notified()).await;
                    }
                    Some(visits) => return self.park(asked, Parked::Visits(visits)),
                    None => return Err(self.refused(asked, &error)),
                },
                Ok(step) => return self.conclude(&session, asked, step),
                Err(failure) => return Err(self.translated(asked, failure)),
            }
        }
    }

    async fn attempt(&self, session: &Arc<Session>, asked: &Asked) -> Result<Step, Failure> {
        match Call::send(&self.shared, session, asked).await {
            Ok(call) => call.advance(Host::of(asked)).await,
            // With whatever status it came, an error of the server is an answer.
            Err(Failure::Refused(error)) => Ok(Step::Answered(Err(error))),
            Err(failure) => Err(failure),
        }
    }

    /// The host has come back with a handle.
    async fn take_up(&self, asked: &Asked, retry: &Retry) -> Result<Line, Failure> {
        let responses = retry
            .responses
            .as_deref()
            .and_then(Object::read)
            .unwrap_or_default();
        if responses
            .iter()
            .any(|(_, response)| Object::read(response).is_none())
        {
            return Err(Failure::refuse(&ErrorObject::new(
                codes::INVALID_PARAMS,
                "Every member of `params.inputResponses` must be an object.",
            )));
        }
        let redeemed = self
            .up
            .parking
            .redeem(&retry.state, asked.digest(&self.up.keys))
            .await;
        match redeemed.map_err(|wrong| spent(&wrong))? {
            Parked::Call(mut call) => {
                let session = Arc::clone(&call.session);
                if session.is_gone() {
                    return Err(BridgeError::reply_lost(
                        "The server has dropped the session this call ran in; whether the call took effect is unknown. \
                         Check that before you repeat it",
                    )
                    .into());
                }
                call.answer(&responses).await?;
                let step = call.advance(Host::of(asked)).await?;
                self.conclude(&session, asked, step)
            }
            Parked::Visits(visits) => {
                let answers: Vec<Option<&str>> =
                    visits.iter().map(|visit| responses.get(&visit.key)).collect();
                if answers.contains(&None) {
                    return self.park(asked, Parked::Visits(visits));
                }
                if !answers.into_iter().flatten().all(is_accepted) {
                    return Err(BridgeError::no_translation(false, "The server wants a page visited before this call, and that was declined. The call was not made",
                    )
                    .into());
                }
                let slot = self.up.slot(&asked.declared)?;
                self.call(&slot, asked, &visits).await
            }
        }
    }

    /// Turns where a call has got to into the host's result.
    fn conclude(&self, session: &Session, asked: &Asked, step: Step) -> Result<Line, Failure> {
        match step {
            Step::Asking(call) => self.park(asked, Parked::Call(call)),
            Step::Answered(Ok(result)) => Ok(self.completed(&asked.method, &result, session)),
            Step::Answered(Err(error)) => match self.visits(session, asked, &error)? {
                Some(visits) => self.park(asked, Parked::Visits(visits)),
                None => Err(self.refused(asked, &error)),
            },
        }
    }

    /// The line with this result.
    fn result(&self, result: &str) -> Line {
        let mut line = Vec::with_capacity(result.len() + 64);
        write_result(&mut line, self.id.as_id(), result.as_bytes());
        Line::new(line)
    }

    /// The line with what the server's result becomes.
    fn completed(&self, method: &str, result: &Taken, session: &Session) -> Line {
        let mut holes = result.holes();
        let mut line = holes.room();
        let completed = answer::complete(method, result.text(), &session.facts);
        write_result_with(&mut line, self.id.as_id(), |out| match completed {
            Some(completed) => completed.write(out, &mut holes),
            // No revision allows that, and there is no place to add to.
            None => holes.write(out, result.text()),
        });
        holes.into_line(line)
    }

    /// The pages an error of the server sends the user to, if it does.
    fn visits(
        &self,
        session: &Session,
        asked: &Asked,
        error: &RawValue,
    ) -> Result<Option<Vec<Question>>, Failure> {
        let Some(view) =
            ErrorView::read(error).filter(|view| view.code == codes::LEGACY_URL_ELICITATION_REQUIRED)
        else {
            return Ok(None);
        };
        if !asked.may_ask() {
            return Ok(None);
        }
        if session.declared.pointer("/elicitation/url").is_none() {
            let needed = json!({ "requiredCapabilities": { "elicitation": { "url": {} } } });
            let message = "The server wants a page visited before this call, which this client cannot show.";
            return Err(Failure::refuse(
                &ErrorObject::new(codes::MISSING_CLIENT_CAPABILITY, message).with_data(&needed),
            ));
        }
        let data = view.data.map_or("{}", |data| data.get());
        Ok(Question::read_visits(data, &session.declared))
    }

    /// Puts the questions to the host.
    fn park(&self, asked: &Asked, parked: Parked) -> Result<Line, Failure> {
        let begun = matches!(parked, Parked::Call(_));
        let Some(handle) = park::handle() else {
            return Err(
                BridgeError::no_translation(false, "The system has no random numbers to give").into(),
            );
        };
        let result = match &parked {
            Parked::Call(call) => input_required(call.questions().iter(), &handle),
            Parked::Visits(visits) => input_required(visits.iter(), &handle),
        };
        if self.up.parking.park(handle, asked.digest(&self.up.keys), parked) {
            return Ok(self.result(&result));
        }
        Err(if begun {
            BridgeError::reply_lost(
                "Too many calls wait for answers already, so this one was called off; whether it took effect is unknown. \
                 Answer those that are due first",
            )
        } else {
            BridgeError::too_large("Too many calls wait for answers already. Answer those that are due first")
        }
        .into())
    }

    /// A failure with the server's error in it, if there is one, in codes the host knows.
    fn translated(&self, asked: &Asked, failure: Failure) -> Failure {
        match failure {
            Failure::Busy { refusal, .. } => self.translated(asked, *refusal),
            Failure::Refused(error) => self.refused(asked, &error),
            failure => failure,
        }
    }

    fn refused(&self, asked: &Asked, error: &RawValue) -> Failure {
        let uri = Object::read(&asked.params).and_then(|params| params.text("uri"));
        match RawValue::from_string(answer::error(error, uri.as_deref())) {
            Ok(error) => Failure::Refused(error),
            Err(_) => replies::broken("The server's error cannot be read").into(),
        }
    }
}

/// The error for a handle that is not redeemed.
fn spent(wrong: &Wrong) -> Failure {
    BridgeError::spent_state(match wrong {
        Wrong::Unknown => {
            "`params.requestState` is unknown, used already, or older than 10 minutes. The call it belongs to may have taken \
             effect; check that before you make it anew"
        }
        Wrong::Params => {
            "`params.requestState` belongs to a call with other parameters, which is still waiting. Repeat that call's \
             parameters with its answers"
        }
    })
    .into()
}
