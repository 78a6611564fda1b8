//! A modern host in front of a handshake-era server, carried only if the person has asked for it (protocol.md §4.2).
//!
//! In comes a modern request as the host wrote it; out goes one line that answers it. In between the bridge keeps a session
//! ([`session`]), speaks the older revision in it ([`request`], [`call`], [`own`]), hands what the server asks back to the
//! host ([`ask`], [`park`]), gives answers the shape the host knows ([`answer`]) and passes changes on ([`changes`],
//! [`listen`]).
//!
//! State that a server keeps in a session (open documents, sign-ins) is shared by all of the host's conversations here (X-47).

mod answer;
mod ask;
mod call;
mod changes;
pub(crate) mod era;
mod listen;
mod object;
mod own;
mod park;
mod replies;
mod request;
mod session;

use std::hash::RandomState;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::codes;
use footbridge_protocol::jsonrpc::{ErrorObject, ErrorView, Message, OwnedId, Rules, decode, write_result};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::error::{BridgeError, quote};
use crate::exchange::Shared;
use crate::log;
use crate::options::TRANSLATE_VARIABLE;
use crate::pause::{Backoff, jittered};
use crate::stdio::Line;
use tokio::task::JoinSet;

use ask::{Question, input_required, is_accepted};
use call::{Call, Host, Step};
use object::Object;
use park::{Parked, Parking, Wrong};
use request::{Asked, Retry};
use session::{Session, Slot};

/// Sets of capabilities that get a session (X-41).
const SESSIONS: usize = 4;
/// Pause before a lost request is sent again (B-41).
const RESEND_PAUSE: Duration = Duration::from_millis(200);

/// What the crossing keeps for the life of the process.
#[derive(Default)]
pub(crate) struct Up {
    slots: Mutex<Vec<Arc<Slot>>>,
    parking: Parking,
    /// Makes digests that mean nothing outside this process.
    keys: RandomState,
}

/// A modern request on its way to a handshake-era server.
struct Crossing {
    shared: Arc<Shared>,
    up: Arc<Up>,
    id: OwnedId,
    /// The host's line.
    body: Bytes,
}

/// Why there is no result.
enum Failure {
    /// In our words.
    Bridge(BridgeError),
    /// The value of `error`, the server's or what a modern server would say.
    Refused(Box<RawValue>),
    /// The server no longer knows the session, and has not looked at the request.
    SessionLost,
    /// The host has been told.
    Settled,
}

impl From<BridgeError> for Failure {
    fn from(error: BridgeError) -> Failure {
        Failure::Bridge(error)
    }
}

impl Failure {
    fn refuse(error: &ErrorObject) -> Failure {
        let mut members = json!({ "code": error.code, "message": error.message });
        if let (Some(members), Some(data)) = (members.as_object_mut(), &error.data) {
            members.insert(
                "data".to_owned(),
                serde_json::from_str(data.get()).unwrap_or_default(),
            );
        }
        match serde_json::value::to_raw_value(&members) {
            Ok(raw) => Failure::Refused(raw),
            Err(_) => Failure::Bridge(BridgeError::invalid(error.code, error.message.clone())),
        }
    }

    /// Says whether the server may still be at work on the request.
    fn leaves_work(&self) -> bool {
        matches!(self, Failure::Bridge(error) if error.leaves_work())
    }

    /// The same failure of something that followed a call: what the call has done stays unknown.
    fn after_the_fact(self) -> Failure {
        match self {
            Failure::Bridge(error) if error.leaves_work() => Failure::Bridge(error),
            failure => Failure::Bridge(BridgeError::reply_lost(format!(
                "The call was cut off while its question was answered ({}); whether it took effect is unknown. Check that \
                 before you repeat it",
                failure.message().trim_end_matches('.')
            ))),
        }
    }

    /// The cause, for stderr.
    fn message(&self) -> String {
        match self {
            Failure::Bridge(error) => error.message().to_owned(),
            Failure::Refused(error) => ErrorView::read(error).map_or_else(String::new, |error| {
                format!(
                    "the server answered {}: {}",
                    error.code,
                    quote(error.message.as_bytes(), 200)
                )
            }),
            Failure::SessionLost => "the server has dropped the session".to_owned(),
            Failure::Settled => String::new(),
        }
    }
}

impl Up {
    /// The slot for a set of capabilities, which is made if there is room.
    fn slot(&self, declared: &Value) -> Result<Arc<Slot>, Failure> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.iter().find(|slot| slot.is_for(declared)) {
            return Ok(Arc::clone(slot));
        }
        if slots.len() >= SESSIONS {
            return Err(BridgeError::no_translation(format!(
                "The client has declared more than {SESSIONS} different sets of capabilities, and each needs a session with \
                 this server. Restart the client"
            ))
            .into());
        }
        let slot = Arc::new(Slot::new(declared.clone()));
        slots.push(Arc::clone(&slot));
        Ok(slot)
    }

    /// Calls off what is open and ends every session.
    pub(crate) fn say_goodbye(&self, shared: &Arc<Shared>, goodbyes: &mut JoinSet<()>) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for session in slots.iter().filter_map(|slot| slot.open_now()) {
            let (shared, open) = (Arc::clone(shared), session.take_open());
            goodbyes.spawn(async move { session.close(&shared, open).await });
        }
    }
}

/// Carries a modern request to a handshake-era server if that was asked for; otherwise says at once that it cannot be, which
/// makes a client of both eras fall back to `initialize` (X-40).
pub(crate) async fn take_over(shared: &Arc<Shared>, id: OwnedId, body: Bytes) {
    if let Some(up) = &shared.up {
        let crossing = Crossing {
            shared: Arc::clone(shared),
            up: Arc::clone(up),
            id,
            body,
        };
        return crossing.run().await;
    }
    let error = BridgeError::no_translation(format!(
        "`{}` only knows revisions with a handshake: use `initialize`. For a client that cannot, set {TRANSLATE_VARIABLE} \
         to 1",
        shared.upstream.place()
    ));
    // A host that is gone ends the program elsewhere.
    let _ = shared.output.send(error.to_line(Some(id.as_id()))).await;
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

impl Crossing {
    /// Carries the request and writes its answer. Dropping it cancels the request and writes nothing more.
    async fn run(self) {
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
                        limit.as_secs_f64()
                    ))
                    .into())
                })
            }
        };
        let mut out = Vec::new();
        let line = match outcome {
            Ok(result) => {
                out.reserve(result.len() + 64);
                write_result(&mut out, self.id.as_id(), result.as_bytes());
                Line::new(out)
            }
            Err(Failure::Settled) => return,
            Err(failure) => {
                let id = quote(self.id.as_raw().as_bytes(), 64);
                log::debug(format_args!("request {id} failed: {}", failure.message()));
                match failure {
                    Failure::Bridge(error) => error.to_line(Some(self.id.as_id())),
                    Failure::Refused(error) => {
                        out.extend_from_slice(
                            format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, self.id.as_raw())
                                .as_bytes(),
                        );
                        Line::new(out)
                    }
                    Failure::SessionLost | Failure::Settled => BridgeError::no_connection(
                        "The server drops every session it opens. Its operator has to correct that",
                    )
                    .to_line(Some(self.id.as_id())),
                }
            }
        };
        // A host that is gone ends the program elsewhere.
        let _ = self.shared.output.send(line).await;
    }

    async fn listen(&self, asked: &Asked) -> Result<String, Failure> {
        let slot = self.up.slot(&asked.declared)?;
        listen::run(&slot, &self.shared, asked).await
    }

    async fn carry(&self, asked: &Asked) -> Result<String, Failure> {
        if let Some(retry) = asked.retry.as_ref().filter(|_| asked.may_ask()) {
            return self.take_up(asked, retry).await;
        }
        let slot = self.up.slot(&asked.declared)?;
        if asked.method == "server/discover" {
            let session = slot.session(&self.shared, asked.client_info.as_deref()).await?;
            return Ok(answer::discovered(&session.facts));
        }
        self.call(&slot, asked, &[]).await
    }

    /// Makes the call. `visited` are pages the user has agreed to visit for it.
    async fn call(&self, slot: &Arc<Slot>, asked: &Asked, visited: &[Question]) -> Result<String, Failure> {
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
                Ok((Step::Answered(Err(error)), _)) => match self.visits(&session, asked, &error)? {
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
                Ok((step, call)) => return self.conclude(&session, asked, step, call),
                Err(Failure::Refused(error)) => return Err(self.refused(asked, &error)),
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn attempt(&self, session: &Arc<Session>, asked: &Asked) -> Result<(Step, Option<Call>), Failure> {
        match Call::send(&self.shared, session, asked).await {
            Ok(mut call) => {
                let step = call.advance(Host::of(asked)).await?;
                Ok((step, Some(call)))
            }
            // With whatever status it came, an error of the server is an answer.
            Err(Failure::Refused(error)) => Ok((Step::Answered(Err(error)), None)),
            Err(failure) => Err(failure),
        }
    }

    /// The host has come back with a handle.
    async fn take_up(&self, asked: &Asked, retry: &Retry) -> Result<String, Failure> {
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
                self.conclude(&session, asked, step, Some(*call))
            }
            Parked::Visits(visits) => {
                let answers: Vec<Option<&str>> =
                    visits.iter().map(|visit| responses.get(&visit.key)).collect();
                if answers.contains(&None) {
                    return self.park(asked, Parked::Visits(visits));
                }
                if !answers.into_iter().flatten().all(is_accepted) {
                    return Err(BridgeError::no_translation(
                        "The server wants a page visited before this call, and that was declined. The call was not made",
                    )
                    .into());
                }
                let slot = self.up.slot(&asked.declared)?;
                self.call(&slot, asked, &visits).await
            }
        }
    }

    /// Turns where a call has got to into the host's result.
    fn conclude(
        &self,
        session: &Session,
        asked: &Asked,
        step: Step,
        call: Option<Call>,
    ) -> Result<String, Failure> {
        match (step, call) {
            (Step::Asking, Some(call)) => self.park(asked, Parked::Call(Box::new(call))),
            (Step::Answered(Ok(result)), _) => {
                Ok(answer::complete(&asked.method, result.get(), &session.facts))
            }
            (Step::Answered(Err(error)), _) => match self.visits(session, asked, &error)? {
                Some(visits) => self.park(asked, Parked::Visits(visits)),
                None => Err(self.refused(asked, &error)),
            },
            // Invariant: only a call that is there asks.
            (Step::Asking, None) => Err(Failure::Settled),
        }
    }

    /// The pages an error of the server sends the user to, if it does (X-45).
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
    fn park(&self, asked: &Asked, parked: Parked) -> Result<String, Failure> {
        let begun = matches!(parked, Parked::Call(_));
        let Some(handle) = park::handle() else {
            return Err(BridgeError::no_translation("The system has no random numbers to give").into());
        };
        let result = match &parked {
            Parked::Call(call) => input_required(call.questions().iter(), &handle),
            Parked::Visits(visits) => input_required(visits.iter(), &handle),
        };
        if self.up.parking.park(handle, asked.digest(&self.up.keys), parked) {
            return Ok(result);
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

    fn refused(&self, asked: &Asked, error: &RawValue) -> Failure {
        let uri = Object::read(&asked.params).and_then(|params| params.text("uri"));
        match RawValue::from_string(answer::error(error, uri.as_deref())) {
            Ok(error) => Failure::Refused(error),
            Err(_) => replies::broken("The server's error cannot be read").into(),
        }
    }
}
