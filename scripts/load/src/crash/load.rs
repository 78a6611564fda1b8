//! The calls of a round: several clients at full speed, each on a keep-alive connection, until the server is gone.
//!
//! In: an endpoint and the moment of the crash. Out: every attempt with the moments of its request and its answer. An answer
//! that is not a success, or a connection that breaks while the server lives, fails the run.

use super::ledger::Attempt;
use super::rows::digest;
use crate::corpus::Dice;
use crate::ours::{FILE_TOOL, READ_TOOL, WRITE_TOOL};
use crate::process::Running;
use crate::wire::{Call, Era, FIRST_ID, Failure, Target, check, excerpt, exchange, tool_result};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Clients that write memories.
const WRITERS: usize = 5;
/// Clients that write the same few memories as others do.
const SHARED_KEYS: usize = 4;
/// Connections that read everything back.
const LOOKING: usize = 4;
/// For one answer; only a server that hangs needs it.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the clients remember from round to round.
#[derive(Default)]
pub(super) struct Clients {
    round: u64,
    /// Memories that each writer has begun.
    begun: [u64; WRITERS],
}

/// A round that ended in a crash.
pub(super) struct Round {
    /// All attempts of all clients.
    pub(super) attempts: Vec<Attempt>,
    /// The moment of the crash.
    pub(super) killed: Instant,
}

/// What one client does.
enum Role {
    /// Writes memories: its own, new and old, and those it shares.
    Writer { number: usize, begun: u64 },
    /// Writes files.
    Filer,
    /// Reads these memories, one after the other.
    Reader(Vec<String>),
}

impl Clients {
    /// Lets the clients loose on a server and kills it after `life`. `known` are keys to read.
    pub(super) fn run(
        &mut self,
        server: Running,
        target: &Target,
        known: Vec<String>,
        life: Duration,
        dice: &mut Dice,
    ) -> Result<Round, Failure> {
        self.round += 1;
        let writers = self.begun.iter().enumerate();
        let mut roles: Vec<Role> = writers
            .map(|(number, &begun)| Role::Writer { number, begun })
            .collect();
        roles.push(Role::Filer);
        roles.push(Role::Reader(known));
        let clients = roles
            .into_iter()
            .map(|role| Client::open(target, role, self.round, Dice::new(dice.below(usize::MAX) as u64)))
            .collect::<Result<Vec<_>, _>>()?;

        let dying = AtomicBool::new(false);
        let (killed, clients) = std::thread::scope(|scope| -> Result<_, Failure> {
            let threads: Vec<_> = clients
                .into_iter()
                .map(|client| scope.spawn(|| client.run(&dying)))
                .collect();
            std::thread::sleep(life);
            dying.store(true, Ordering::SeqCst);
            let killed = Instant::now();
            server.kill()?;
            let joined = threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| "a client panicked")?)
                .collect::<Result<Vec<_>, Failure>>()?;
            Ok((killed, joined))
        })?;
        let mut attempts = Vec::new();
        for client in clients {
            if let Role::Writer { number, begun } = client.role
                && let Some(kept) = self.begun.get_mut(number)
            {
                *kept = begun;
            }
            attempts.extend(client.attempts);
        }
        Ok(Round { attempts, killed })
    }
}

/// One client with its connection.
struct Client {
    role: Role,
    round: u64,
    dice: Dice,
    target: Target,
    stream: TcpStream,
    attempts: Vec<Attempt>,
}

impl Client {
    fn open(target: &Target, role: Role, round: u64, dice: Dice) -> Result<Self, Failure> {
        Ok(Self {
            role,
            round,
            dice,
            target: target.clone(),
            stream: target.connect()?,
            attempts: Vec::new(),
        })
    }

    /// Calls until the server is gone, or until there is nothing left to read.
    fn run(mut self, dying: &AtomicBool) -> Result<Self, Failure> {
        let mut number = 0;
        while let Some((tool, key, arguments)) = self.next(number) {
            number += 1;
            let call = Call::tool(Era::Modern, tool, &arguments.to_string());
            let mut attempt = Attempt {
                tool,
                key,
                content: text_of(&arguments, "content"),
                digest: digest(&arguments),
                begun: Instant::now(),
                answered: None,
            };
            let request = call.request(&self.target, FIRST_ID);
            match exchange(&mut self.stream, &request, PATIENCE) {
                Ok((status, body)) => {
                    let at = Instant::now();
                    let said = success(status, &body)?;
                    let named = if tool == FILE_TOOL {
                        text_of(&said, "path")
                    } else {
                        let memory = said.get("memory").ok_or("the answer has no `memory`")?;
                        if tool == READ_TOOL {
                            attempt.content = text_of(memory, "content");
                        }
                        text_of(memory, "id")
                    };
                    attempt.answered = Some((at, named));
                    self.attempts.push(attempt);
                }
                Err(_) if dying.load(Ordering::SeqCst) => {
                    self.attempts.push(attempt);
                    break;
                }
                Err(e) => return Err(format!("{tool}, while the server lived: {e}").into()),
            }
        }
        Ok(self)
    }

    /// Tool, key and arguments of the next call.
    fn next(&mut self, number: usize) -> Option<(&'static str, String, Value)> {
        let round = self.round;
        match &mut self.role {
            Role::Reader(keys) => {
                let key = keys.pop()?;
                let arguments = json!({ "key": key });
                Some((READ_TOOL, key, arguments))
            }
            Role::Filer => {
                let name = format!("note-{round}-{number}");
                let content = content(&format!("round {round} file {number}"), &mut self.dice);
                let arguments = json!({ "filename": name, "extension": ".txt", "content": content });
                Some((FILE_TOOL, name, arguments))
            }
            Role::Writer {
                number: writer,
                begun,
            } => {
                let key = match number % 4 {
                    3 => format!("crash/shared/{}", self.dice.below(SHARED_KEYS)),
                    2 if *begun > 0 => {
                        let old = self.dice.below(usize::try_from(*begun).unwrap_or(1));
                        format!("crash/writer-{writer}/{old}")
                    }
                    _ => {
                        *begun += 1;
                        format!("crash/writer-{writer}/{}", *begun - 1)
                    }
                };
                let mark = format!("round {round} writer {writer} number {number}");
                let arguments = json!({ "key": key, "content": content(&mark, &mut self.dice) });
                Some((WRITE_TOOL, key, arguments))
            }
        }
    }
}

/// A text that begins with its mark: mostly short, sometimes of several pages of the store.
fn content(mark: &str, dice: &mut Dice) -> String {
    let words = if dice.below(16) == 0 { 4_000 } else { 40 };
    format!("{mark} |{}", " word".repeat(1 + dice.below(words)))
}

fn text_of(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The structured result of an answer, which must be a success.
fn success(status: u16, body: &[u8]) -> Result<Value, Failure> {
    if status != 200 {
        return Err(format!("HTTP {status}: {}", excerpt(body)).into());
    }
    check(body, FIRST_ID)?;
    tool_result(body)
}

/// Reads memories back, on several connections; one that does not exist is left out.
pub(super) fn look(target: &Target, keys: &[String]) -> Result<HashMap<String, String>, Failure> {
    let share = keys.len().div_ceil(LOOKING).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = keys
            .chunks(share)
            .map(|keys| scope.spawn(|| look_alone(target, keys)))
            .collect();
        let mut found = HashMap::new();
        for thread in threads {
            found.extend(thread.join().map_err(|_| "a reader panicked")??);
        }
        Ok(found)
    })
}

fn look_alone(target: &Target, keys: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut stream = target.connect()?;
    let mut found = Vec::new();
    for key in keys {
        let call = Call::tool(Era::Modern, READ_TOOL, &json!({ "key": key }).to_string());
        let (status, body) = exchange(&mut stream, &call.request(target, FIRST_ID), PATIENCE)?;
        if is_missing(&body) {
            continue;
        }
        let said = success(status, &body).map_err(|e| format!("reading `{key}` back: {e}"))?;
        let memory = said.get("memory").ok_or("the answer has no `memory`")?;
        found.push((key.clone(), text_of(memory, "content")));
    }
    Ok(found)
}

/// Whether an answer says that there is no such memory.
fn is_missing(body: &[u8]) -> bool {
    let reply: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = reply.pointer("/result/content/0/text").and_then(Value::as_str);
    let failed = reply.pointer("/result/isError") == Some(&Value::Bool(true));
    failed && text.is_some_and(|text| text.starts_with("404 "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_that_names_a_404_means_that_there_is_nothing() {
        let reply = |text: &str, failed: bool| {
            let result = json!({ "content": [{ "type": "text", "text": text }], "isError": failed });
            json!({ "jsonrpc": "2.0", "id": FIRST_ID, "result": result }).to_string()
        };
        assert!(is_missing(reply("404 Not Found: memory k", true).as_bytes()));
        assert!(!is_missing(reply("404 Not Found: memory k", false).as_bytes()));
        assert!(!is_missing(reply("503 Service Unavailable: x", true).as_bytes()));
        assert!(success(200, reply("503", true).as_bytes()).is_err());
    }
}
