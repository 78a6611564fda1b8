//! A host as a bridge sees it: a process that writes lines and reads lines.
//!
//! In: how to start a bridge. Out: its replies, checked. A watchdog ends a bridge that has gone silent, so that a broken
//! peer costs a failed figure and not an evening.

use crate::wire::{Call, Era, FIRST_ID, Failure, LEGACY, check};
use serde::Deserialize;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How a bridge is started. `{url}`, `{parallel}` and `{ca}` in its arguments and variables are filled in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recipe {
    /// Program.
    pub(crate) program: String,
    /// Arguments.
    pub(crate) arguments: Vec<String>,
    /// Environment on top of an empty one (`PATH` and `HOME` are kept: interpreters need them).
    pub(crate) variables: Vec<(String, String)>,
}

/// What a recipe's placeholders stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Upstream.
    pub(crate) url: String,
    /// Calls that will be in flight at once; only the yardstick needs to know.
    pub(crate) parallel: usize,
    /// Certificate to trust.
    pub(crate) ca: String,
}

impl Place {
    fn fill(&self, text: &str) -> String {
        text.replace("{url}", &self.url)
            .replace("{parallel}", &self.parallel.to_string())
            .replace("{ca}", &self.ca)
    }
}

/// A started bridge and the two pipes to it.
pub(crate) struct Host {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    line: Vec<u8>,
    next_id: u64,
    era: Era,
    _watchdog: Sender<()>,
}

/// Members that tell a reply from what else a bridge may write.
#[derive(Deserialize)]
struct Kind {
    id: Option<serde_json::Value>,
    method: Option<String>,
}

impl Host {
    /// Starts a bridge that is ended by force after `limit`.
    pub(crate) fn start(recipe: &Recipe, place: &Place, era: Era, limit: Duration) -> Result<Self, Failure> {
        let mut command = Command::new(&recipe.program);
        command
            .args(recipe.arguments.iter().map(|text| place.fill(text)))
            .env_clear();
        for kept in ["PATH", "HOME"] {
            command.envs(std::env::var_os(kept).map(|value| (kept, value)));
        }
        // A variable with nothing to say is left out: an empty path is not the same as none.
        let filled = recipe
            .variables
            .iter()
            .map(|(name, value)| (name, place.fill(value)));
        command.envs(filled.filter(|(_, value)| !value.is_empty()));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", recipe.program))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("the bridge has no stdout")?;
        let (watchdog, over) = channel();
        watch(child.id(), limit, over);
        Ok(Self {
            child,
            input,
            output: BufReader::with_capacity(256 * 1024, output),
            line: Vec::new(),
            next_id: FIRST_ID,
            era,
            _watchdog: watchdog,
        })
    }

    /// Process id of the bridge.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first exchange of a session: `initialize`, or `server/discover` in the modern era.
    pub(crate) fn open(&mut self) -> Result<(), Failure> {
        let id = self.take_id();
        let line = match self.era {
            Era::Legacy => format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"{LEGACY}","capabilities":{{}},"clientInfo":{{"name":"footbridge-load","version":"0"}}}}}}"#
            ),
            Era::Modern => {
                let discover = Call {
                    method: "server/discover".to_owned(),
                    tool: None,
                    arguments: String::new(),
                    era: Era::Modern,
                };
                discover.body(id)
            }
        };
        self.write_line(&line)?;
        let reply = self.read_reply()?;
        check(reply, id).map_err(Failure::from)
    }

    /// `open` and what a host says after it.
    pub(crate) fn handshake(&mut self) -> Result<(), Failure> {
        self.open()?;
        if self.era == Era::Legacy {
            self.write_line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)?;
        }
        Ok(())
    }

    /// One call, waited for; returns the time between the line written and the line read. The reply is checked after that.
    pub(crate) fn call(&mut self, call: &Call) -> Result<Duration, Failure> {
        let id = self.take_id();
        let line = call.body(id);
        let from = Instant::now();
        self.write_line(&line)?;
        self.read_reply()?;
        let took = from.elapsed();
        check(&self.line, id)?;
        Ok(took)
    }

    /// Keeps `in_flight` calls going for `measure` after `warm_up`; returns calls per second and what `cpu` counted meanwhile.
    pub(crate) fn flood(
        &mut self,
        call: &Call,
        in_flight: usize,
        warm_up: Duration,
        measure: Duration,
        cpu: impl Fn() -> Result<u64, Failure>,
    ) -> Result<Flood, Failure> {
        let mut open: VecDeque<u64> = VecDeque::with_capacity(in_flight);
        for _ in 0..in_flight {
            let id = self.take_id();
            self.write_line(&call.body(id))?;
            open.push_back(id);
        }
        let warm_until = Instant::now() + warm_up;
        let mut window: Option<(Instant, u64)> = None;
        let mut calls = 0_u64;
        let flood = loop {
            self.close_one(&mut open)?;
            let now = Instant::now();
            match window {
                None if now >= warm_until => window = Some((now, cpu()?)),
                None => {}
                Some((from, cpu_from)) => {
                    calls += 1;
                    let elapsed = now - from;
                    if elapsed >= measure {
                        break Flood {
                            calls,
                            per_second: calls as f64 / elapsed.as_secs_f64(),
                            cpu_ns: cpu()? - cpu_from,
                        };
                    }
                }
            }
            let id = self.take_id();
            self.write_line(&call.body(id))?;
            open.push_back(id);
        };
        while !open.is_empty() {
            self.close_one(&mut open)?;
        }
        Ok(flood)
    }

    /// Writes `count` calls from a thread of their own, so that neither pipe waits for the other, and reads all replies.
    /// `meanwhile` runs once the last line is written.
    pub(crate) fn all_at_once(
        &mut self,
        call: &Call,
        count: usize,
        meanwhile: impl FnOnce(u32) -> Result<(), Failure> + Send,
    ) -> Result<Duration, Failure> {
        let ids: Vec<u64> = (0..count).map(|_| self.take_id()).collect();
        let lines: String = ids.iter().map(|&id| call.body(id) + "\n").collect();
        let mut open = VecDeque::from(ids);
        let mut input = self.input.take().ok_or("stdin is closed already")?;
        let pid = self.pid();
        let from = Instant::now();
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || -> Result<ChildStdin, Failure> {
                input.write_all(lines.as_bytes())?;
                meanwhile(pid)?;
                Ok(input)
            });
            while !open.is_empty() {
                self.close_one(&mut open)?;
            }
            let took = from.elapsed();
            self.input = Some(writer.join().map_err(|_| "the writing thread panicked")??);
            Ok(took)
        })
    }

    /// Closes stdin and waits for the process; returns how long that took.
    pub(crate) fn end(mut self) -> Result<Duration, Failure> {
        let from = Instant::now();
        drop(self.input.take());
        let status = self.child.wait()?;
        let took = from.elapsed();
        if status.success() {
            Ok(took)
        } else {
            Err(format!("the bridge ended with {status}").into())
        }
    }

    /// Reads one reply, which must belong to an open call.
    fn close_one(&mut self, open: &mut VecDeque<u64>) -> Result<(), Failure> {
        let id = Self::reply_id(self.read_reply()?)?;
        let at = open
            .iter()
            .position(|&waiting| waiting == id)
            .ok_or_else(|| format!("a reply to {id}, which is not open"))?;
        open.remove(at);
        check(&self.line, id).map_err(Failure::from)
    }

    fn reply_id(line: &[u8]) -> Result<u64, Failure> {
        let kind: Kind = serde_json::from_slice(line)?;
        kind.id
            .and_then(|id| id.as_u64())
            .ok_or_else(|| "a reply without a readable id".into())
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// One write a line, as hosts do it.
    fn write_line(&mut self, line: &str) -> Result<(), Failure> {
        let input = self.input.as_mut().ok_or("stdin is closed already")?;
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        input
            .write_all(&bytes)
            .map_err(|e| format!("the bridge closed its stdin: {e}").into())
    }

    /// The next line that is a reply; notifications and the server's own requests are passed over.
    fn read_reply(&mut self) -> Result<&[u8], Failure> {
        loop {
            self.line.clear();
            if self.output.read_until(b'\n', &mut self.line)? == 0 {
                return Err("the bridge closed its stdout, or was silent for too long".into());
            }
            // Replies of this protocol say `"method"` nowhere near their beginning; only a line that does is parsed here.
            let start = self.line.get(..200).unwrap_or(&self.line);
            if memchr::memmem::find(start, br#""method""#).is_none() {
                return Ok(&self.line);
            }
            if serde_json::from_slice::<Kind>(&self.line)?.method.is_none() {
                return Ok(&self.line);
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a flood found.
pub(crate) struct Flood {
    /// Calls completed.
    pub(crate) calls: u64,
    /// Calls per second.
    pub(crate) per_second: f64,
    /// CPU time counted around them.
    pub(crate) cpu_ns: u64,
}

/// Ends process `pid` after `limit` unless the guard at the other end of `over` is dropped first.
fn watch(pid: u32, limit: Duration, over: Receiver<()>) {
    std::thread::spawn(move || {
        if over.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            crate::process::terminate(pid);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let place = Place {
            url: "http://h/mcp".to_owned(),
            parallel: 64,
            ca: "/ca.pem".to_owned(),
        };
        assert_eq!(
            place.fill("--to={url} {parallel} {ca}"),
            "--to=http://h/mcp 64 /ca.pem"
        );
    }
}
