//! Answers for a call that needs some: asked of the host, counted, paced (protocol.md X-25 to X-30).

use std::collections::HashMap;
use std::time::Duration;

use footbridge_protocol::jsonrpc::write_notification;

use super::asks::tell;
use super::call::{Call, Step};
use super::question::Entry;
use crate::cross::object::{Object, quoted};
use crate::error::BridgeError;
use crate::pause::Backoff;
use crate::stdio::{Line, Output};

/// Rounds in which the host is asked something (X-26).
const MOST_ROUNDS: u32 = 10;
/// What is said for a person who said nothing (X-27).
const CANCELLED: &str = r#"{"action":"cancel"}"#;

/// What one call remembers over its rounds. Dropping it ends the visits.
pub(super) struct Rounds {
    asked: u32,
    /// Pause before the next retry that brings no answers. The first one follows at once.
    idle: Option<Backoff>,
    /// Pause before the next answer that repeats an earlier one.
    repeating: Backoff,
    visits: Visits,
}

/// Pages the host's user has agreed to visit.
struct Visits {
    output: Output,
    /// By address: the id of the elicitation and the host's answer.
    accepted: HashMap<String, (String, String)>,
}

impl Rounds {
    pub(super) fn new(output: Output) -> Rounds {
        Rounds {
            asked: 0,
            idle: None,
            repeating: Backoff::new(),
            visits: Visits {
                output,
                accepted: HashMap::new(),
            },
        }
    }

    /// Waits before a retry that has nothing new to say (X-26).
    pub(super) async fn pause(&mut self) {
        let pause = match &mut self.idle {
            None => Duration::ZERO,
            Some(backoff) => backoff.next(),
        };
        self.idle.get_or_insert_with(Backoff::new);
        tokio::time::sleep(pause).await;
    }

    /// Gathers an answer for each entry; returns the raw object of answers by key, or how the call ends instead.
    pub(super) async fn answers(&mut self, call: &Call, entries: &[Entry]) -> Result<String, Step> {
        let (asks, handshake, output) = (call.asks(), call.handshake(), call.output());
        let mut answers = Vec::with_capacity(entries.len());
        let mut questions = Vec::new();
        for entry in entries {
            if let Some((_, earlier)) = entry.url().and_then(|url| self.visits.accepted.get(&url)) {
                // The user is still busy there.
                answers.push((entry.key.as_str(), earlier.clone()));
                continue;
            }
            let question = entry
                .translate(handshake.revision, handshake.abilities, || asks.name())
                .map_err(|error| call.failed(&error))?;
            questions.push((entry, question));
        }
        if questions.is_empty() {
            tokio::time::sleep(self.repeating.next()).await;
            return Ok(object(&answers));
        }
        self.asked += 1;
        self.idle = None;
        if self.asked > MOST_ROUNDS {
            return Err(call.failed(&BridgeError::no_translation(
                true,
                format!(
                    "The server asked more than {MOST_ROUNDS} times for one call. Its operator has to correct that"
                ),
            )));
        }
        let mut open = Vec::with_capacity(questions.len());
        for (entry, question) in &questions {
            let ask = asks.ask(output, &entry.method, question.params.as_deref()).await;
            open.push(ask.map_err(|_| Step::Gone)?);
        }
        for ((entry, question), mut ask) in questions.into_iter().zip(open) {
            let line = ask.answer().await;
            let answer = if entry.is_elicitation() {
                person(&line)
            } else {
                program(call, &line)?
            };
            if let Some((url, name)) = question.visit
                && is_accept(&answer)
            {
                self.visits.accepted.insert(url, (name, answer.clone()));
            }
            answers.push((entry.key.as_str(), answer));
        }
        Ok(object(&answers))
    }

    /// Announces that the visits are over: the call has ended.
    pub(super) async fn finish(&mut self) {
        for line in self.visits.announcements() {
            let _ = self.visits.output.send(Line::new(line)).await;
        }
    }
}

impl Visits {
    fn announcements(&mut self) -> Vec<Vec<u8>> {
        self.accepted
            .drain()
            .map(|(_, (name, _))| {
                let params = format!(r#"{{"elicitationId":{}}}"#, quoted(&name));
                let mut line = Vec::with_capacity(160);
                write_notification(
                    &mut line,
                    "notifications/elicitation/complete",
                    Some(params.as_bytes()),
                );
                line
            })
            .collect()
    }
}

impl Drop for Visits {
    fn drop(&mut self) {
        for line in self.announcements() {
            tell(&self.output, line);
        }
    }
}

/// A person's answer. Whatever is no answer is a cancellation, never a yes or a no (X-27).
fn person(line: &[u8]) -> String {
    Object::within(line, "result")
        .and_then(|within| within.object)
        .filter(|answer| {
            matches!(
                answer.text("action").as_deref(),
                Some("accept" | "decline" | "cancel")
            )
        })
        .map_or_else(|| CANCELLED.to_owned(), |answer| answer.to_text())
}

/// The answer of the host itself. Its error ends the call.
fn program(call: &Call, line: &[u8]) -> Result<String, Step> {
    let within = Object::within(line, "result").unwrap_or_default();
    match (within.object, within.error) {
        (Some(answer), None) => Ok(answer.to_text()),
        (_, Some(error)) => Err(call.refused(error.get())),
        (None, None) => Err(call.failed(&BridgeError::no_translation(
            true,
            "The client's answer to a question of the server cannot be read. Update the client",
        ))),
    }
}

fn is_accept(answer: &str) -> bool {
    Object::read(answer).is_some_and(|answer| answer.text("action").as_deref() == Some("accept"))
}

fn object(answers: &[(&str, String)]) -> String {
    let mut object = Object::default();
    for (key, answer) in answers {
        object.set(key, answer.as_str());
    }
    object.to_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x27_nothing_is_answered_in_a_persons_name() {
        for (line, answer) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{"n":1.50}}}"#,
                r#"{"action":"accept","content":{"n":1.50}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"action":"decline"}}"#,
                r#"{"action":"decline"}"#,
            ),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"action":"yes"}}"#, CANCELLED),
            (r#"{"jsonrpc":"2.0","id":1,"result":true}"#, CANCELLED),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}"#,
                CANCELLED,
            ),
            ("", CANCELLED),
        ] {
            assert_eq!(person(line.as_bytes()), answer, "{line}");
        }
    }
}
