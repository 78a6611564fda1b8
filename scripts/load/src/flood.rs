//! `flood`: tokens nobody signed, at a steady pace, from a process of its own on the load's core.
//!
//! In: tokens, one a line, on stdin. Out: when stdin ends, what they were answered. The tokens are made beforehand by
//! whoever starts this: making them must not be part of the load.

use crate::process::pinned;
use crate::tokens::Provider;
use crate::wire::{Call, Era, FIRST_ID, Failure, Target, exchange};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read, Write};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Tokens a second.
const PER_SECOND: u64 = 1000;
/// Connections that carry them: at this pace each waits far longer than an answer takes.
const CONNECTIONS: u64 = 8;
/// Tokens that are made; when all were sent the first comes again. The server remembers none of them.
const TOKENS: u64 = 2000;
const PATIENCE: Duration = Duration::from_secs(10);

/// What the forged tokens were answered.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Sent a second.
    pub(crate) per_second: f64,
    /// HTTP 401.
    pub(crate) refused: u64,
    /// HTTP 429.
    pub(crate) limited: u64,
    /// HTTP 503.
    pub(crate) busy: u64,
    /// Anything else: a hole.
    pub(crate) accepted: u64,
}

/// A flood that runs.
pub(crate) struct Flood {
    child: Child,
}

impl Flood {
    /// Begins.
    pub(crate) fn start(core: Option<usize>, url: &str, provider: &Provider) -> Result<Self, Failure> {
        let mut child = pinned(core, std::env::current_exe()?)
            .args(["flood", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let tokens: String = (0..TOKENS)
            .map(|number| provider.forged_token(url, number) + "\n")
            .collect();
        let input = child.stdin.as_mut().ok_or("the flood has no stdin")?;
        input.write_all(tokens.as_bytes())?;
        input.write_all(b"\n")?;
        input.flush()?;
        // Under way before anybody measures.
        std::thread::sleep(Duration::from_millis(300));
        Ok(Self { child })
    }

    /// Ends, and tells.
    pub(crate) fn stop(mut self) -> Result<Outcome, Failure> {
        drop(self.child.stdin.take());
        let done = self.child.wait_with_output()?;
        if !done.status.success() {
            return Err(format!("the flood ended with {}", done.status).into());
        }
        Ok(serde_json::from_slice(&done.stdout)?)
    }
}

/// The process itself.
pub(crate) fn run(url: &str) -> Result<Outcome, Failure> {
    let mut tokens = Vec::new();
    let mut input = std::io::stdin().lock();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        tokens.push(line.trim().to_owned());
    }
    let stop = AtomicBool::new(false);
    let from = Instant::now();
    let outcomes = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                scope.spawn({
                    let (tokens, stop) = (&tokens, &stop);
                    move || send(url, tokens, number, stop)
                })
            })
            .collect();
        // Until whoever started this closes the pipe.
        let _ = input.read_to_end(&mut Vec::new());
        stop.store(true, Ordering::Relaxed);
        senders
            .into_iter()
            .map(|sender| sender.join().map_err(|_| "a sender panicked")?)
            .collect::<Result<Vec<Outcome>, Failure>>()
    })?;
    let mut all = outcomes.into_iter().fold(Outcome::default(), |sum, one| Outcome {
        per_second: 0.0,
        refused: sum.refused + one.refused,
        limited: sum.limited + one.limited,
        busy: sum.busy + one.busy,
        accepted: sum.accepted + one.accepted,
    });
    let sent = all.refused + all.limited + all.busy + all.accepted;
    all.per_second = sent as f64 / from.elapsed().as_secs_f64();
    Ok(all)
}

fn send(url: &str, tokens: &[String], number: u64, stop: &AtomicBool) -> Result<Outcome, Failure> {
    let call = Call::list(Era::Modern);
    let pause = Duration::from_nanos(1_000_000_000 * CONNECTIONS / PER_SECOND);
    let mut found = Outcome::default();
    let mut stream = Target::parse(url, None)?.connect()?;
    let mut next = Instant::now() + pause * u32::try_from(number)? / u32::try_from(CONNECTIONS)?;
    for token in tokens
        .iter()
        .skip(usize::try_from(number)?)
        .step_by(usize::try_from(CONNECTIONS)?)
        .cycle()
    {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next += pause;
        let target = Target::parse(url, Some(token.clone()))?;
        let (status, _) = exchange(&mut stream, &call.request(&target, FIRST_ID), PATIENCE)?;
        match status {
            401 => found.refused += 1,
            429 => found.limited += 1,
            503 => found.busy += 1,
            _ => found.accepted += 1,
        }
    }
    Ok(found)
}
