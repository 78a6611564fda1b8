//! One call in a session, from POST to response, with the questions the server asks on the way (protocol.md X-42, X-09,
//! X-10, X-46).
//!
//! A call belongs to the host's request it is carried for, and to nobody while it is parked. Dropping one without an answer
//! calls it off.

use std::sync::Arc;

use bytes::Bytes;
use footbridge_protocol::jsonrpc::{
    Message, Notification, OwnedId, ResponseBody, Rules, decode, write_notification,
};
use hyper::Method;
use serde_json::value::RawValue;

use super::ask::Question;
use super::replies::{Replies, broken};
use super::request::Asked;
use super::session::Session;
use super::{Failure, changes, own};
use crate::cross::object::Object;
use crate::cross::splice::{Taken, kept};
use crate::exchange::Shared;
use crate::log;
use crate::stdio::Line;

/// Questions of one call that may be open. A server that asks more is told that it cannot.
const QUESTIONS: usize = 64;

/// A call under way.
pub(super) struct Call {
    shared: Arc<Shared>,
    pub(super) session: Arc<Session>,
    /// Its id in the session.
    id: OwnedId,
    /// The host may be asked something for it.
    may_ask: bool,
    /// The token its progress comes under.
    token: Option<OwnedId>,
    replies: Option<Replies>,
    /// What the server has asked and nobody has answered.
    questions: Vec<Question>,
    asked: u64,
    /// How it ended, if it did while it was parked.
    ended: Option<Result<Answer, Failure>>,
}

/// How a server answered.
pub(super) type Answer = Result<Taken, Box<RawValue>>;

/// The host's request a call is carried for.
#[derive(Clone, Copy)]
pub(super) struct Host<'h> {
    token: Option<&'h OwnedId>,
    level: Option<&'h str>,
}

impl<'h> Host<'h> {
    pub(super) fn of(asked: &'h Asked) -> Host<'h> {
        Host {
            token: asked.token.as_ref(),
            level: asked.level.as_deref(),
        }
    }
}

/// Where a call has got to.
pub(super) enum Step {
    Answered(Answer),
    /// There are questions.
    Asking(Box<Call>),
}

impl Call {
    /// Sends the call and reads the head of the reply.
    pub(super) async fn send(
        shared: &Arc<Shared>,
        session: &Arc<Session>,
        asked: &Asked,
    ) -> Result<Box<Call>, Failure> {
        let id = session.next_id();
        let body = Bytes::from(asked.to_body(&id));
        let late = session.expect(&id);
        session.begin(&id);
        let mut call = Box::new(Call {
            shared: Arc::clone(shared),
            session: Arc::clone(session),
            id,
            may_ask: asked.may_ask(),
            token: asked.token.clone(),
            replies: None,
            questions: Vec::new(),
            asked: 0,
            ended: None,
        });
        let headers = session.headers();
        let opening = async {
            let reply = shared.upstream.send(&Method::POST, &headers, &body).await?;
            own::take_up(shared, session, reply, late).await
        };
        match opening.await {
            Ok(replies) => {
                call.replies = Some(replies);
                Ok(call)
            }
            Err(failure) => Err(call.failed(failure)),
        }
    }

    /// Carries the call on until it is answered or asks something.
    pub(super) async fn advance(mut self: Box<Self>, host: Host<'_>) -> Result<Step, Failure> {
        if let Some(ended) = self.ended.take() {
            return ended.map(Step::Answered);
        }
        loop {
            let arrived = match &mut self.replies {
                Some(replies) => replies.arrived(),
                None => Ok(None),
            };
            let message = match arrived {
                Ok(Some(message)) => message,
                Ok(None) if !self.questions.is_empty() => return Ok(Step::Asking(self)),
                Ok(None) => self.next().await?,
                Err(error) => return Err(self.failed(error.into())),
            };
            if let Some(answer) = self.take(message, Some(host)).await? {
                return Ok(Step::Answered(answer));
            }
        }
    }

    /// Reads on while nobody waits for it, and keeps how it ends. Never returns; may be dropped at any time.
    pub(super) async fn doze(&mut self) {
        while self.ended.is_none() {
            let taken = match self.next().await {
                Ok(message) => self.take(message, None).await,
                Err(failure) => Err(failure),
            };
            self.ended = match taken {
                Ok(answer) => answer.map(Ok),
                Err(failure) => Some(Err(failure)),
            };
        }
        std::future::pending::<()>().await;
    }

    /// What is open.
    pub(super) fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Gives the server the host's answers. Questions without one stay open.
    pub(super) async fn answer(&mut self, responses: &Object<'_>) -> Result<(), Failure> {
        if self.ended.is_some() {
            return Ok(());
        }
        let mut open = Vec::new();
        for question in std::mem::take(&mut self.questions) {
            match (responses.get(&question.key), &question.id) {
                (Some(response), Some(id)) => {
                    if let Err(failure) = own::answer(&self.shared, &self.session, id, response).await {
                        // Whatever failed, the call itself had begun.
                        return Err(self.failed(failure.after_the_fact()));
                    }
                }
                _ => open.push(question),
            }
        }
        self.questions = open;
        Ok(())
    }

    async fn next(&mut self) -> Result<Vec<u8>, Failure> {
        let next = match &mut self.replies {
            Some(replies) => replies.next(&self.shared, Some(&self.session)).await,
            None => Ok(None),
        };
        match next {
            Ok(Some(message)) => Ok(message),
            Ok(None) => {
                let ended = self
                    .replies
                    .as_ref()
                    .map_or_else(|| broken("The server has answered already"), Replies::ended);
                Err(self.failed(ended.into()))
            }
            Err(failure) => Err(self.failed(failure)),
        }
    }

    /// Does what a message asks for; returns the answer if it was that.
    async fn take(&mut self, data: Vec<u8>, host: Option<Host<'_>>) -> Result<Option<Answer>, Failure> {
        let data = kept(data);
        match decode(&data, &Rules::BRIDGE) {
            Ok(Message::Response(response)) if response.id.is_some_and(|id| self.id == id) => {
                self.session.settle(&self.id);
                if let Some(replies) = self.replies.take() {
                    replies.finish();
                }
                return Ok(Some(match response.body {
                    ResponseBody::Result(result) => Ok(Taken::of(&data, result)),
                    ResponseBody::Error(error) => Err(error.to_owned()),
                }));
            }
            Ok(Message::Response(_)) => log::debug(format_args!("dropped a response to another request")),
            Ok(Message::Request(request)) => {
                let question = Question::read(&request, self.asked, &self.session.declared)
                    .filter(|_| self.may_ask && self.questions.len() < QUESTIONS);
                match question {
                    Some(question) => {
                        self.asked += 1;
                        self.questions.push(question);
                    }
                    None => own::turn_away(&self.shared, &self.session, &request),
                }
            }
            Ok(Message::Notification(notification)) => self.hear(&notification, &data, host).await,
            Err(error) => {
                let error = broken(&format!(
                    "The server sent something that is no JSON-RPC message: {error}"
                ));
                return Err(self.failed(error.into()));
            }
        }
        Ok(None)
    }

    async fn hear(&mut self, notification: &Notification<'_>, data: &[u8], host: Option<Host<'_>>) {
        let line = match notification.method.as_ref() {
            "notifications/progress" => self.progress(notification, data, host),
            "notifications/message" => host
                .filter(|host| wants_level(host.level, notification))
                .map(|_| Line::new(data.to_vec())),
            // The server takes a question back.
            "notifications/cancelled" => {
                if let Ok(Some(id)) = notification.params.request_id() {
                    self.questions
                        .retain(|question| question.id.as_ref().is_none_or(|asked| *asked != id));
                }
                None
            }
            _ => {
                changes::changed(&self.shared, &self.session, notification).await;
                None
            }
        };
        if let Some(line) = line {
            // A host that is gone ends the program elsewhere.
            let _ = self.shared.output.send(line).await;
        }
    }

    /// Progress of this call, under the token of the request it is carried for.
    fn progress(&self, notification: &Notification<'_>, data: &[u8], host: Option<Host<'_>>) -> Option<Line> {
        let token = host?.token?;
        let found = notification.params.progress_token().ok().flatten()?;
        let own = self.token.as_ref()?;
        if *own != found {
            return None;
        }
        if own == token {
            return Some(Line::new(data.to_vec()));
        }
        let mut params = Object::read(notification.params.raw()?.get())?;
        params.set("progressToken", token.as_raw());
        let mut out = Vec::with_capacity(data.len() + 32);
        write_notification(&mut out, &notification.method, Some(params.to_text().as_bytes()));
        Some(Line::new(out))
    }

    /// Notes that a failure ends the call. If the server may still be at work, dropping the call will tell it.
    fn failed(&self, failure: Failure) -> Failure {
        if !failure.leaves_work() {
            self.session.settle(&self.id);
        }
        failure
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.session.settle(&self.id) || self.session.is_gone() {
            return;
        }
        let (shared, id) = (Arc::clone(&self.shared), self.id.clone());
        let headers = self.session.headers();
        tokio::spawn(async move { own::cancel(&shared, &headers, &id).await });
    }
}

/// Says whether a request that asked for messages from `wanted` up is to get this one (X-08). One that asked for none gets
/// none.
fn wants_level(wanted: Option<&str>, notification: &Notification<'_>) -> bool {
    let rank = |level: &str| crate::cross::LEVELS.iter().position(|known| *known == level);
    let level = notification.params.level().ok().flatten();
    match (wanted, level) {
        (Some(wanted), Some(level)) => rank(&level) >= rank(wanted),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_that_were_asked_for_pass() {
        let passes = |wanted: Option<&str>, level: &str| {
            let text = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"{level}","data":1}}}}"#
            );
            let Ok(Message::Notification(notification)) = decode(text.as_bytes(), &Rules::BRIDGE) else {
                panic!("no notification")
            };
            wants_level(wanted, &notification)
        };
        assert!(passes(Some("warning"), "warning") && passes(Some("debug"), "emergency"));
        assert!(!passes(Some("warning"), "notice") && !passes(None, "emergency"));
    }
}
