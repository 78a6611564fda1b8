//! `stress`: what must hold when everything goes wrong at once, with figures.
//!
//! In: the bridge's binary. Out: one line a promise with what was counted, and a failure if any was broken. Four trials: a
//! crowd in flight at once, a crowd against the default limits, a gigabyte in large replies of both shapes, and a server that dies and
//! returns over and over under load, for each pair of eras. [`server`] is that server, [`pump`] the host.

mod pump;
mod server;

use crate::process::{Memory, memory_kb, raise_open_files, say};
use crate::wire::{Era, Failure};
use lexopt::prelude::*;
use pump::{Ended, Pump, tally};
use server::{Chaos, Speaks};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Calls in flight at once; fewer only where the machine allows no so many open files.
const CROWD: usize = 10_000;
/// Files that are open besides one for each call.
const OTHER_FILES: u64 = 200;
/// Bytes of the text in a large reply.
const LARGE_BYTES: usize = 10_000_000;
/// What the bridge may need beyond one message (design.md, numbers to reach).
const BESIDE_MESSAGE_KB: u64 = 6 * 1024;
/// Messages that memory may hold at the peak: one, and the hole that glibc leaves in its heap where the last one was. An
/// event is held twice for a moment besides: as the line that arrived, and as the data without the field's name.
const COPIES: u64 = 2;
const STREAM_COPIES: u64 = 3;
/// How much memory may differ between early and late in a restart's trial. An allocator keeps a little.
const FLAT_KB: u64 = 1024;
/// Calls in flight while the server dies and returns.
const BUSY: usize = 32;
/// Open files beside a connection a call: pipes, the reactor, a stream or two.
const FLAT_FILES: usize = 24;
/// A server lives for so many milliseconds at most, and is away for so many at most. Both vary.
const LIFE_MS: u64 = 24;
const AWAY_MS: u64 = 8;
/// A host that was refused does not try again at once.
const AFTER_ERROR: Duration = Duration::from_millis(1);
/// For a process to come to rest before it is looked at.
const REST: Duration = Duration::from_millis(400);

/// How much is done.
struct Effort {
    large_replies: u64,
    restarts: u64,
}

/// What was counted, and which promises were broken.
#[derive(Default)]
struct Findings {
    broken: usize,
}

impl Findings {
    /// Runs one trial; one that cannot go on has failed, and the next one is run all the same.
    fn trial(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Self, &str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        say("stress", name);
        match work(self, name) {
            Ok(()) => Ok(()),
            Err(error) => self.note(false, name, &error.to_string()),
        }
    }

    /// One line: a promise, what was counted, and whether it was kept.
    fn note(&mut self, kept: bool, trial: &str, what: &str) -> Result<(), Failure> {
        self.broken += usize::from(!kept);
        let word = if kept { "ok  " } else { "FAIL" };
        Ok(writeln!(std::io::stdout(), "{word}  {trial}: {what}")?)
    }

    /// The promises that the host itself keeps watch over.
    fn end(&mut self, trial: &str, calls: usize, pump: Pump) -> Result<(), Failure> {
        let broken = pump.end()?;
        self.note(
            broken.is_empty(),
            trial,
            &format!("{calls} requests, each answered exactly once, with its own answer"),
        )?;
        for each in broken {
            self.note(false, trial, &each)?;
        }
        Ok(())
    }
}

/// Reads the options and runs the trials.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let mut bridge = PathBuf::from("target/release/footbridge");
    let mut effort = Effort {
        large_replies: 100,
        restarts: 1_000,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("bridge") => bridge = parser.value()?.into(),
            Long("quick") => {
                effort = Effort {
                    large_replies: 30,
                    restarts: 200,
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let files = raise_open_files().saturating_sub(OTHER_FILES);
    let crowd = usize::try_from(files)?.min(CROWD);
    if crowd < CROWD {
        say(
            "stress",
            &format!("only {crowd} calls at once: this machine allows no more open files"),
        );
    }
    let mut findings = Findings::default();
    findings.trial("at once", |findings, trial| {
        at_once(findings, trial, &bridge, crowd)
    })?;
    findings.trial("beyond the limits", |findings, trial| {
        beyond_limits(findings, trial, &bridge)
    })?;
    for tool in ["big", "stream"] {
        findings.trial(&format!("large replies, {tool}"), |findings, trial| {
            large_replies(findings, trial, &bridge, tool, effort.large_replies / 2)
        })?;
    }
    for crossing in &CROSSINGS {
        findings.trial(&format!("restarts, {}", crossing.name), |findings, trial| {
            restarts(
                findings,
                trial,
                &bridge,
                crossing,
                effort.restarts / CROSSINGS.len() as u64,
            )
        })?;
    }
    match findings.broken {
        0 => Ok(writeln!(std::io::stdout(), "stress: every promise was kept")?),
        broken => Err(format!("{broken} promises were broken").into()),
    }
}

/// So many calls that the server answers none before it has them all.
fn at_once(findings: &mut Findings, trial: &str, bridge: &Path, crowd: usize) -> Result<(), Failure> {
    let chaos = Chaos::start(Speaks::Modern, crowd)?;
    let room = [("FOOTBRIDGE_MAX_IN_FLIGHT", crowd.to_string())];
    let mut pump = Pump::start(bridge, &chaos.url(), &room, Era::Modern)?;
    let from = Instant::now();
    for n in 1..=crowd as u64 {
        pump.send("hold", n, None)?;
    }
    pump.wait_until(0)?;
    let took = from.elapsed();
    let (results, errors) = tally(&pump.take_ended());
    let peak = memory_kb(pump.pid(), Memory::Peak)?;
    findings.note(
        results == crowd,
        trial,
        &format!(
            "{results} of {crowd} succeeded while all were in flight, {} ms, {} MB at the peak, errors {errors:?}",
            took.as_millis(),
            peak / 1024
        ),
    )?;
    findings.end(trial, crowd, pump)
}

/// More than the bridge carries by default: what it cannot hold it refuses, and says so.
fn beyond_limits(findings: &mut Findings, trial: &str, bridge: &Path) -> Result<(), Failure> {
    let chaos = Chaos::start(Speaks::Modern, 0)?;
    let mut pump = Pump::start(bridge, &chaos.url(), &[], Era::Modern)?;
    for n in 1..=CROWD as u64 {
        pump.send("work", n, None)?;
    }
    pump.wait_until(0)?;
    let ended = pump.take_ended();
    let (results, errors) = tally(&ended);
    let refused = ended.iter().filter(|(_, ended)| *ended != Ended::Result);
    let honest = refused
        .filter(|(n, ended)| {
            chaos.received(*n) > 0
                || matches!(
                    ended,
                    Ended::Error {
                        sent: None | Some(true),
                        ..
                    }
                )
        })
        .count();
    findings.note(
        honest == 0 && results > 0,
        trial,
        &format!("{results} of {CROWD} succeeded, errors {errors:?}, none of them sent"),
    )?;
    findings.end(trial, CROWD, pump)
}

/// Replies of ten megabytes, one after the other, in one shape: `big` sends JSON, `stream` an event of a stream.
fn large_replies(
    findings: &mut Findings,
    trial: &str,
    bridge: &Path,
    tool: &str,
    count: u64,
) -> Result<(), Failure> {
    let chaos = Chaos::start(Speaks::Modern, 0)?;
    let mut pump = Pump::start(bridge, &chaos.url(), &[], Era::Modern)?;
    let from = Instant::now();
    let mut early = 0;
    for n in 1..=count {
        pump.send(tool, n, Some(LARGE_BYTES))?;
        pump.wait_until(0)?;
        if n == count.div_ceil(5) {
            early = memory_kb(pump.pid(), Memory::Peak)?;
        }
    }
    let took = from.elapsed();
    let (results, errors) = tally(&pump.take_ended());
    let peak = memory_kb(pump.pid(), Memory::Peak)?;
    let message_kb = LARGE_BYTES as u64 / 1024;
    let copies = if tool == "stream" { STREAM_COPIES } else { COPIES };
    let most = message_kb * copies + BESIDE_MESSAGE_KB;
    findings.note(
        results as u64 == count,
        trial,
        &format!(
            "{results} of {count} succeeded, {} MB/s, errors {errors:?}",
            count * LARGE_BYTES as u64 / 1_000 / u64::try_from(took.as_millis())?.max(1)
        ),
    )?;
    findings.note(
        peak <= most,
        trial,
        &format!(
            "peak memory {peak} KB, {early} KB after a fifth, at most {most} KB; a message is {message_kb} KB"
        ),
    )?;
    findings.end(trial, usize::try_from(count)?, pump)
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Holdings {
    memory_kb: u64,
    files: usize,
}

impl Holdings {
    fn of(pid: u32) -> Result<Self, Failure> {
        std::thread::sleep(REST);
        Ok(Self {
            memory_kb: memory_kb(pid, Memory::Now)?,
            files: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
        })
    }
}

/// A host of one era before a server of one.
struct Crossing {
    name: &'static str,
    host: Era,
    server: Speaks,
}

const CROSSINGS: [Crossing; 4] = [
    Crossing {
        name: "modern host, modern server",
        host: Era::Modern,
        server: Speaks::Modern,
    },
    Crossing {
        name: "legacy host, legacy server",
        host: Era::Legacy,
        server: Speaks::Legacy,
    },
    Crossing {
        name: "legacy host, modern server",
        host: Era::Legacy,
        server: Speaks::Modern,
    },
    Crossing {
        name: "modern host, legacy server",
        host: Era::Modern,
        server: Speaks::Legacy,
    },
];

/// A server that dies and returns under load.
fn restarts(
    findings: &mut Findings,
    trial: &str,
    bridge: &Path,
    crossing: &Crossing,
    count: u64,
) -> Result<(), Failure> {
    let chaos = Chaos::start(crossing.server, 0)?;
    let mut variables = Vec::new();
    if crossing.host == Era::Modern && crossing.server == Speaks::Legacy {
        variables.push(("FOOTBRIDGE_TRANSLATE", "1".to_owned()));
    }
    let mut pump = Pump::start(bridge, &chaos.url(), &variables, crossing.host)?;
    let mut load = Load {
        next: 1,
        ended: Vec::new(),
    };
    // A tenth first: what the bridge holds after that is what it may hold at the end.
    let early_count = count.div_ceil(10);
    load.run(&mut pump, &chaos, early_count)?;
    let early = Holdings::of(pump.pid())?;
    load.run(&mut pump, &chaos, count - early_count)?;
    let late = Holdings::of(pump.pid())?;

    let calls = load.next - 1;
    let (results, errors) = tally(&load.ended);
    findings.note(
        results as u64 >= count,
        trial,
        &format!("{results} of {calls} calls succeeded around {count} restarts, errors {errors:?}"),
    )?;
    let twice = (1..=calls).filter(|&n| chaos.received(n) > 1).count();
    findings.note(
        twice == 0,
        trial,
        &format!("{twice} calls were received more than once"),
    )?;
    let denied = load
        .ended
        .iter()
        .filter(|(n, ended)| {
            matches!(
                ended,
                Ended::Error {
                    sent: Some(false),
                    ..
                }
            ) && chaos.received(*n) > 0
        })
        .count();
    findings.note(
        denied == 0,
        trial,
        &format!("{denied} errors said that nothing was sent, although the server had received it"),
    )?;
    findings.note(
        late.memory_kb <= early.memory_kb + FLAT_KB,
        trial,
        &format!(
            "memory after a tenth {} KB, at the end {} KB",
            early.memory_kb, late.memory_kb
        ),
    )?;
    findings.note(
        late.files <= BUSY + FLAT_FILES,
        trial,
        &format!(
            "open files after a tenth {}, at the end {}",
            early.files, late.files
        ),
    )?;
    findings.end(trial, usize::try_from(calls)?, pump)
}

/// Calls that go on while the server dies and returns.
struct Load {
    next: u64,
    ended: Vec<(u64, Ended)>,
}

impl Load {
    /// Keeps the bridge busy until the server has been restarted `count` times, then waits for every answer.
    fn run(&mut self, pump: &mut Pump, chaos: &Chaos, count: u64) -> Result<(), Failure> {
        std::thread::scope(|scope| {
            let restarting = scope.spawn(move || -> Result<(), Failure> {
                for turn in 0..count {
                    // Lives and absences of every length, the same in each run.
                    std::thread::sleep(Duration::from_millis(1 + turn * 7 % LIFE_MS));
                    chaos.restart(Duration::from_millis(turn * 5 % AWAY_MS))?;
                }
                Ok(())
            });
            while !restarting.is_finished() {
                pump.wait_until(BUSY - 1)?;
                let ended = pump.take_ended();
                if ended.iter().any(|(_, ended)| *ended != Ended::Result) {
                    std::thread::sleep(AFTER_ERROR);
                }
                self.ended.extend(ended);
                pump.send("work", self.next, None)?;
                self.next += 1;
            }
            restarting
                .join()
                .map_err(|_| "the restarting thread panicked")??;
            pump.wait_until(0)?;
            self.ended.extend(pump.take_ended());
            Ok(())
        })
    }
}
