//! `flood`: tokens nobody signed, at a steady pace, from a process of its own on the load's core.
//!
//! In: tokens, one a line, on stdin. Out: when stdin ends, what they were answered. The tokens are made beforehand by
//! whoever starts this: making them must not be part of the load.
//!
//! It shares the load's core with the generator of the honest, and whatever it takes there would look like the server's
//! slowness. So one thread sleeps on the clock alone: at each tick it takes the answers that have come meanwhile and sends
//! the next few tokens. Nor does the server have to wake anybody for an answer, which costs more than the answer on a
//! machine where both live, and nothing where they do not. That several tokens come at once changes little for a server
//! that is busy with the honest: it finds together what came while it worked, however that was spaced.

use crate::process::{cpu_ns, pinned};
use crate::tokens::Provider;
use crate::wire::{Call, Era, FIRST_ID, Failure, Target, receive};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Tokens a second.
const PER_SECOND: u32 = 1000;
/// Tokens that are sent at one tick.
const AT_ONCE: u32 = 8;
/// Tokens that are made; when all were sent the first comes again. The server remembers none of them.
const TOKENS: u64 = 2000;
const PATIENCE: Duration = Duration::from_secs(10);

/// What carries the tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A few connections that stay.
    Kept,
    /// A connection for each token.
    Fresh,
}

impl Kind {
    /// Reads `kept` or `fresh`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        match text {
            "kept" => Ok(Self::Kept),
            "fresh" => Ok(Self::Fresh),
            other => Err(format!("a flood is `kept` or `fresh`, not `{other}`").into()),
        }
    }

    /// Its name here and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Fresh => "fresh",
        }
    }
}

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
    /// CPU of this process for each, in microseconds: what the load's core has less for whoever is measured beside it.
    pub(crate) own_cpu_us: f64,
}

/// A flood that runs.
pub(crate) struct Flood {
    child: Child,
}

impl Flood {
    /// Begins.
    pub(crate) fn start(
        core: Option<usize>,
        kind: Kind,
        url: &str,
        provider: &Provider,
    ) -> Result<Self, Failure> {
        let mut child = pinned(core, std::env::current_exe()?)
            .args(["flood", url, kind.name()])
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
pub(crate) fn run(url: &str, kind: Kind) -> Result<Outcome, Failure> {
    let call = Call::list(Era::Modern);
    let target = Target::parse(url, None)?;
    let mut requests = Vec::new();
    let mut input = std::io::stdin().lock();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        let with_token = Target::parse(url, Some(line.trim().to_owned()))?;
        requests.push(call.request(&with_token, FIRST_ID));
    }
    drop(input);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Until whoever started this closes the pipe.
            let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
            stop.store(true, Ordering::Relaxed);
        });
        send(&target, kind, &requests, &stop)
    })
}

fn send(target: &Target, kind: Kind, requests: &[Vec<u8>], stop: &AtomicBool) -> Result<Outcome, Failure> {
    let mut found = Outcome::default();
    let mut under_way: Vec<TcpStream> = Vec::new();
    let mut next = requests.iter().cycle();
    let (from, own_ns) = (Instant::now(), cpu_ns(std::process::id())?);
    let mut tick = from;
    while !stop.load(Ordering::Relaxed) {
        tick += Duration::from_secs(1) * AT_ONCE / PER_SECOND;
        std::thread::sleep(tick.saturating_duration_since(Instant::now()));
        let mut kept = Vec::new();
        for mut stream in under_way.drain(..) {
            found.count(receive(&mut stream, PATIENCE)?.0);
            if kind == Kind::Kept {
                kept.push(stream);
            }
        }
        for request in next.by_ref().take(AT_ONCE.try_into()?) {
            let mut stream = match kept.pop() {
                Some(stream) => stream,
                None => target.connect()?,
            };
            stream.write_all(request)?;
            under_way.push(stream);
        }
    }
    for mut stream in under_way {
        found.count(receive(&mut stream, PATIENCE)?.0);
    }
    let sent = (found.refused + found.limited + found.busy + found.accepted).max(1) as f64;
    found.per_second = sent / from.elapsed().as_secs_f64();
    found.own_cpu_us = cpu_ns(std::process::id())?.saturating_sub(own_ns) as f64 / 1_000.0 / sent;
    Ok(found)
}

impl Outcome {
    fn count(&mut self, status: u16) {
        match status {
            401 => self.refused += 1,
            429 => self.limited += 1,
            503 => self.busy += 1,
            _ => self.accepted += 1,
        }
    }
}
