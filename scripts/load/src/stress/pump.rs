//! A host that holds its bridge to the first promise: every request is answered, exactly once, with its own answer.
//!
//! In: numbered calls. Out: how each ended ([`Ended`]), and a sentence for each broken promise. A thread reads; the caller
//! writes and waits. Notifications of the server are passed over.

use crate::wire::{Call, Era, FIRST_ID, Failure, LEGACY};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A bridge that answers nothing for this long, although something is due, has lost a request.
const PATIENCE: Duration = Duration::from_secs(60);
/// Broken promises are told one by one up to here; one is enough to fail.
const TOLD: usize = 5;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With its result.
    Result,
    /// With an error of this code; whether the request may have reached the server, if the error says so.
    Error { code: i64, sent: Option<bool> },
}

/// A started bridge with its requests.
pub(crate) struct Pump {
    child: Child,
    input: Option<ChildStdin>,
    state: Arc<(Mutex<State>, Condvar)>,
    reader: Option<std::thread::JoinHandle<()>>,
    era: Era,
}

#[derive(Default)]
struct State {
    /// Requests without an answer, and how long the text of the answer must be, if it is not the number.
    open: HashMap<u64, Option<usize>>,
    ended: Vec<(u64, Ended)>,
    broken: Vec<String>,
    /// stdout has ended.
    over: bool,
}

#[derive(Deserialize)]
struct Line<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<ErrorReply>,
}

#[derive(Deserialize)]
struct ErrorReply {
    code: i64,
    #[serde(default)]
    data: ErrorData,
}

#[derive(Deserialize, Default)]
struct ErrorData {
    sent: Option<bool>,
}

impl Pump {
    /// Starts the bridge before `url` and shakes hands if the era has that.
    pub(crate) fn start(
        bridge: &std::path::Path,
        url: &str,
        variables: &[(&str, String)],
        era: Era,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(bridge);
        command
            .env_clear()
            .env("FOOTBRIDGE_URL", url)
            .env("FOOTBRIDGE_LOG", "off");
        for kept in ["PATH", "HOME"] {
            command.envs(std::env::var_os(kept).map(|value| (kept, value)));
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", bridge.display()))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("the bridge has no stdout")?;
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let shared = Arc::clone(&state);
        let reader =
            std::thread::spawn(move || read_lines(BufReader::with_capacity(256 * 1024, output), &shared));
        let mut pump = Self {
            child,
            input,
            state,
            reader: Some(reader),
            era,
        };
        if era == Era::Legacy {
            pump.shake_hands()?;
        }
        Ok(pump)
    }

    fn shake_hands(&mut self) -> Result<(), Failure> {
        // Number 0; its answer has no text of its own.
        self.lock().open.insert(FIRST_ID, Some(0));
        self.write(&format!(
            r#"{{"jsonrpc":"2.0","id":{FIRST_ID},"method":"initialize","params":{{"protocolVersion":"{LEGACY}","capabilities":{{}},"clientInfo":{{"name":"footbridge-load","version":"0"}}}}}}"#
        ))?;
        self.wait_until(0)?;
        match self.take_ended().first() {
            Some((_, Ended::Result)) => {
                self.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            }
            other => Err(format!("the handshake failed: {other:?}").into()),
        }
    }

    /// Process id of the bridge.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends call `n` (1 and up) of `tool`; a reply of `bytes` is asked for and expected if there are any.
    pub(crate) fn send(&mut self, tool: &str, n: u64, bytes: Option<usize>) -> Result<(), Failure> {
        let arguments = match bytes {
            Some(bytes) => format!(r#"{{"n":{n},"bytes":{bytes}}}"#),
            None => format!(r#"{{"n":{n}}}"#),
        };
        let line = Call::tool(self.era, tool, &arguments).body(FIRST_ID + n);
        self.lock().open.insert(FIRST_ID + n, bytes);
        self.write(&line)
    }

    /// Waits until no more than `most` requests are without an answer.
    pub(crate) fn wait_until(&mut self, most: usize) -> Result<(), Failure> {
        let (state, changed) = &*self.state;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = state.open.len();
        let mut since = Instant::now();
        while state.open.len() > most {
            if state.over {
                return Err(format!(
                    "the bridge ended with {} requests without an answer",
                    state.open.len()
                )
                .into());
            }
            if state.open.len() != due {
                (due, since) = (state.open.len(), Instant::now());
            } else if since.elapsed() > PATIENCE {
                return Err(format!("no answer for {} s, and {due} are due", PATIENCE.as_secs()).into());
            }
            state = changed
                .wait_timeout(state, Duration::from_millis(100))
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
        Ok(())
    }

    /// How calls ended since the last time this was asked, by their numbers.
    pub(crate) fn take_ended(&self) -> Vec<(u64, Ended)> {
        std::mem::take(&mut self.lock().ended)
    }

    /// Closes stdin, waits for the end, and returns every promise that was broken until then.
    pub(crate) fn end(mut self) -> Result<Vec<String>, Failure> {
        drop(self.input.take());
        if let Some(reader) = self.reader.take() {
            // It ends with the bridge's stdout.
            let _ = reader.join();
        }
        let status = self.child.wait()?;
        let mut broken = std::mem::take(&mut self.lock().broken);
        if !status.success() {
            broken.push(format!("the bridge ended with {status}"));
        }
        let told = broken.len();
        broken.truncate(TOLD);
        if told > TOLD {
            broken.push(format!("… {} more of that kind", told - TOLD));
        }
        Ok(broken)
    }

    fn write(&mut self, line: &str) -> Result<(), Failure> {
        let input = self.input.as_mut().ok_or("stdin is closed already")?;
        input
            .write_all(format!("{line}\n").as_bytes())
            .map_err(|e| format!("the bridge closed its stdin: {e}").into())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(mut output: impl BufRead, shared: &(Mutex<State>, Condvar)) {
    let (state, changed) = shared;
    let mut line = Vec::new();
    loop {
        line.clear();
        let over = output
            .read_until(b'\n', &mut line)
            .map_or(true, |bytes| bytes == 0);
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if over {
            state.over = true;
        } else {
            state.take(&line);
        }
        changed.notify_all();
        if over {
            return;
        }
    }
}

impl State {
    /// Books one line.
    fn take(&mut self, line: &[u8]) {
        let line = match serde_json::from_slice::<Line<'_>>(line) {
            Ok(line) => line,
            Err(error) => return self.broken.push(format!("a line that cannot be read: {error}")),
        };
        if line.method.is_some() {
            return;
        }
        let Some(id) = line.id else {
            return self.broken.push("an answer without an id".to_owned());
        };
        let Some(expected) = self.open.remove(&id) else {
            return self
                .broken
                .push(format!("a second answer to {id}, or one that nobody asked for"));
        };
        let n = id - FIRST_ID.min(id);
        let ended = match (line.result, line.error) {
            (Some(result), None) => {
                if !is_own(result.get(), n, expected) {
                    self.broken
                        .push(format!("call {n} got an answer that is not its own"));
                }
                Ended::Result
            }
            (None, Some(error)) => Ended::Error {
                code: error.code,
                sent: error.data.sent,
            },
            _ => {
                return self
                    .broken
                    .push(format!("the answer to {n} is neither a result nor an error"));
            }
        };
        self.ended.push((n, ended));
    }
}

/// Whether a result is the one that call `n` was to get.
fn is_own(result: &str, n: u64, bytes: Option<usize>) -> bool {
    match bytes {
        None => result.contains(&format!(r#""text":"{n}""#)),
        // The envelope around the text is about a hundred bytes.
        Some(bytes) => result.len() >= bytes,
    }
}

/// Results, and errors by code.
pub(crate) fn tally(ended: &[(u64, Ended)]) -> (usize, BTreeMap<i64, usize>) {
    let mut errors = BTreeMap::new();
    let mut results = 0;
    for (_, ended) in ended {
        match ended {
            Ended::Result => results += 1,
            Ended::Error { code, .. } => *errors.entry(*code).or_insert(0) += 1,
        }
    }
    (results, errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[&str]) -> State {
        let mut state = State::default();
        state.open.extend([(FIRST_ID + 1, None), (FIRST_ID + 2, None)]);
        for line in lines {
            state.take(line.as_bytes());
        }
        state
    }

    #[test]
    fn each_broken_promise_is_seen() {
        let first = r#"{"jsonrpc":"2.0","id":100000001,"result":{"content":[{"type":"text","text":"1"}]}}"#;
        assert!(after(&[first]).broken.is_empty());
        for lines in [
            [first, first].as_slice(),
            &[r#"{"jsonrpc":"2.0","id":100000009,"result":{}}"#],
            &[r#"{"jsonrpc":"2.0","id":100000002,"result":{"content":[{"type":"text","text":"1"}]}}"#],
            &[r#"{"jsonrpc":"2.0","id":100000002}"#],
            &[r#"{"jsonrpc":"2.0","result":{}}"#],
            &["noise"],
        ] {
            assert_eq!(after(lines).broken.len(), 1, "{lines:?}");
        }
    }

    #[test]
    fn an_error_is_an_answer_and_says_whether_anything_was_sent() {
        let state = after(&[
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":100000002,"error":{"code":-31003,"message":"m","data":{"source":"bridge","sent":true}}}"#,
        ]);
        assert!(state.broken.is_empty());
        let lost = Ended::Error {
            code: -31003,
            sent: Some(true),
        };
        assert_eq!(state.ended, [(2, lost)]);
    }
}
