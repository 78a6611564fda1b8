//! `crash`: kills the server under load, again and again, and looks whether anything that was promised is missing.
//!
//! In: the server's binary. Out: a summary, and the violations by name (security.md A1, D1). Each round starts the server on
//! the data of the rounds before, checks what the last crash left, loads it, and ends it with SIGKILL at a random moment.

mod ledger;
mod load;
pub(crate) mod rows;

use crate::corpus::Dice;
use crate::ours::{self, FILE_TOOL, Head, Key, READ_TOOL, WRITE_TOOL};
use crate::process::{Running, free_port, say, wait_for_port};
use crate::wire::{Failure, Target};
use ledger::Ledger;
use lexopt::prelude::*;
use load::{Clients, Round, look};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// The load lives this long, in milliseconds: sometimes not long enough for one answer.
const LIFE_MS: std::ops::RangeInclusive<usize> = 3..=200;
/// One round in so many also crashes a server that is still starting.
const CRASHED_START_EVERY: u64 = 10;
/// A start is crashed after at most so many milliseconds.
const START_MS: usize = 25;
/// Rows of reads are gathered for 20 ms (design.md D9); a busy machine is granted as much again. What is gathered then waits
/// for the commit under way and for its own, so a crash may take them for two commits more.
const GATHERING: Duration = Duration::from_millis(40);
/// PostgreSQL finishes what it was sent before it notices that its client is gone.
const POSTGRES_NOTICES: Duration = Duration::from_millis(200);

/// What was asked for.
struct Options {
    rounds: u64,
    server: PathBuf,
    work: PathBuf,
    store: Option<String>,
    seed: u64,
}

/// What all rounds together found.
#[derive(Default)]
struct Tally {
    crashed_starts: u64,
    answered: u64,
    cut_off: (u64, u64),
    reads: u64,
    lost_reads: (u64, Duration),
    rows: u64,
    violations: Vec<String>,
}

/// Reads the options and crashes.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let mut options = Options {
        rounds: 100,
        server: PathBuf::from("target/release/footbridge-server"),
        work: PathBuf::from("target/crash"),
        store: None,
        seed: now.as_secs(),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("server") => options.server = parser.value()?.into(),
            Long("work") => options.work = parser.value()?.into(),
            Long("store") => options.store = Some(parser.value()?.string()?),
            Long("seed") => options.seed = parser.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let data = options.work.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    std::fs::create_dir_all(&data)?;
    let from = Instant::now();
    let mut proof = Proof::prepare(&options, &data)?;
    let said = proof.run(&options);
    summary(&options, &proof, from.elapsed())?;
    said?;
    match proof.tally.violations.len() {
        0 => Ok(std::fs::remove_dir_all(&data)?),
        count => Err(format!(
            "{count} violations, named above; the data are in {}",
            data.display()
        )
        .into()),
    }
}

/// A server that serves.
struct Serving {
    running: Running,
    /// For the clients under load.
    load: Target,
    /// For the questions afterwards; with another key, so that their rows in the log are told from the clients'.
    look: Target,
}

/// A server's data, and what is known of them.
struct Proof {
    product: ours::Server,
    load_key: Key,
    look_key: Key,
    log: PathBuf,
    dice: Dice,
    clients: Clients,
    ledger: Ledger,
    head: Head,
    tally: Tally,
}

impl Proof {
    fn prepare(options: &Options, data: &Path) -> Result<Self, Failure> {
        let product = ours::Server::new(&options.server, data, options.store.clone(), "")?;
        Ok(Self {
            load_key: product.mint()?,
            look_key: product.mint()?,
            log: options.work.join("server.log"),
            dice: Dice::new(options.seed),
            clients: Clients::default(),
            ledger: Ledger::default(),
            head: product.verify(None)?,
            tally: Tally::default(),
            product,
        })
    }

    /// All rounds, then a last look at everything and a quiet end.
    fn run(&mut self, options: &Options) -> Result<(), Failure> {
        let patience = options.store.as_ref().map(|_| POSTGRES_NOTICES);
        let mut serving = self.start()?;
        for number in 1..=options.rounds {
            let keys = self.some_keys();
            let life = LIFE_MS.start() + self.dice.below(LIFE_MS.end() - LIFE_MS.start());
            let life = Duration::from_millis(life as u64);
            let Serving { running, load, .. } = serving;
            let round = self.clients.run(running, &load, keys, life, &mut self.dice)?;
            self.listen("under load")?;
            std::thread::sleep(patience.unwrap_or_default());
            if number % CRASHED_START_EVERY == 0 {
                self.crash_a_start()?;
            }
            serving = self.start()?;
            self.settle(&serving.look, &round)?;
            if !self.tally.violations.is_empty() {
                return Ok(());
            }
            if number % 10 == 0 {
                let Tally {
                    answered,
                    cut_off,
                    rows,
                    ..
                } = &self.tally;
                let (cut, there) = cut_off;
                say(
                    "crash",
                    &format!(
                        "round {number} of {}: {answered} answered writes, {cut} cut off ({there} of them there), {rows} audit rows, no violation",
                        options.rounds
                    ),
                );
            }
        }
        say("crash", "a last look at everything");
        self.last_look(serving)
    }

    /// Starts a server on what there is.
    fn start(&mut self) -> Result<Serving, Failure> {
        let port = free_port()?;
        let mut running = Running::start("the server", self.product.serve(None, port), &self.log)?;
        wait_for_port(&mut running, port).map_err(|e| {
            format!(
                "{e}; it said: {}",
                std::fs::read_to_string(&self.log).unwrap_or_default()
            )
        })?;
        Ok(Serving {
            running,
            load: ours::Server::target(port, &self.load_key.secret)?,
            look: ours::Server::target(port, &self.look_key.secret)?,
        })
    }

    /// Crashes a server before it serves, while it may be repairing what the last crash left.
    fn crash_a_start(&mut self) -> Result<(), Failure> {
        let command = self.product.serve(None, free_port()?);
        let running = Running::start("the starting server", command, &self.log)?;
        std::thread::sleep(Duration::from_millis(self.dice.below(START_MS) as u64));
        running.kill()?;
        self.tally.crashed_starts += 1;
        self.listen("while starting")
    }

    /// Looks into the server's log: a warning there is a complaint about what a crash left.
    fn listen(&mut self, when: &str) -> Result<(), Failure> {
        let said = std::fs::read_to_string(&self.log)?;
        let complaint = said.lines().find(|line| {
            [" WARN ", " ERROR ", "panicked"]
                .iter()
                .any(|word| line.contains(word))
        });
        if let Some(line) = complaint {
            self.tally
                .violations
                .push(format!("the server complained {when}: {line}"));
        }
        Ok(())
    }

    /// Up to a thousand settled keys from a random place on, the next to read last.
    fn some_keys(&mut self) -> Vec<String> {
        let mut keys = self.ledger.keys_of(WRITE_TOOL);
        let middle = self.dice.below(keys.len());
        keys.rotate_left(middle);
        keys.truncate(1_000);
        keys
    }

    /// Sets what is there beside what was answered.
    fn settle(&mut self, target: &Target, round: &Round) -> Result<(), Failure> {
        let before = self.head.clone();
        self.head = self.product.verify(Some(&before))?;
        let added = self
            .head
            .seq
            .checked_sub(before.seq)
            .ok_or("the audit log got shorter")?;
        let mut rows = if added == 0 {
            Vec::new()
        } else {
            rows::parse(&self.product.audit(added)?)?
        };
        if rows.len() as u64 != added || rows.first().is_some_and(|row| row.seq != before.seq + 1) {
            return Err(format!("{} rows were read where {added} had been added", rows.len()).into());
        }
        rows.retain(|row| row.caller != self.look_key.id);
        let mut keys: Vec<String> = round
            .attempts
            .iter()
            .filter(|attempt| attempt.tool == WRITE_TOOL)
            .map(|attempt| attempt.key.clone())
            .collect();
        keys.sort();
        keys.dedup();
        let mut found = look(target, &keys)?;
        found.extend(self.files()?);
        let verdict = self.ledger.settle(&round.attempts, &found, &rows, round.killed);

        let tally = &mut self.tally;
        tally.rows += rows.len() as u64;
        tally.answered += verdict.answered_writes;
        tally.cut_off.0 += verdict.cut_off.0;
        tally.cut_off.1 += verdict.cut_off.1;
        let answered_read =
            |attempt: &&ledger::Attempt| attempt.tool == READ_TOOL && attempt.answered.is_some();
        tally.reads += round.attempts.iter().filter(answered_read).count() as u64;
        tally.lost_reads.0 += verdict.lost_reads.0;
        tally.lost_reads.1 = tally.lost_reads.1.max(verdict.lost_reads.1);
        tally.violations.extend(verdict.violations);
        let early = verdict.lost_reads.1;
        if early > GATHERING + 2 * verdict.slowest_write {
            tally.violations.push(format!(
                "the row of a read is lost that was answered {} ms before the crash; no write took longer than {} ms",
                early.as_millis(),
                verdict.slowest_write.as_millis()
            ));
        }
        self.listen("after a crash")
    }

    /// Everything that was ever settled must still be there, the log whole, and the end orderly.
    fn last_look(&mut self, serving: Serving) -> Result<(), Failure> {
        let mut found = look(&serving.look, &self.ledger.keys_of(WRITE_TOOL))?;
        found.extend(self.files()?);
        self.tally.violations.extend(self.ledger.missing(&found));
        serving.running.end()?;
        self.listen("at the end")?;
        self.head = self.product.verify(Some(&self.head))?;
        Ok(())
    }

    /// The files of the inbox by the name they were given, which follows the time in their own.
    fn files(&self) -> Result<HashMap<String, String>, Failure> {
        let mut found = HashMap::new();
        let inbox = self.product.inbox();
        if !inbox.exists() {
            return Ok(found);
        }
        for folder in std::fs::read_dir(inbox)? {
            let folder = folder?.path();
            if !folder.is_dir() {
                continue;
            }
            for file in std::fs::read_dir(folder)? {
                let file = file?;
                let name = file.file_name().to_string_lossy().into_owned();
                // A hidden file is one whose writing a crash cut off; it is nobody's effect.
                let Some((_, given)) = name.split_once('-').filter(|_| !name.starts_with('.')) else {
                    continue;
                };
                let text = std::fs::read_to_string(file.path())?;
                let given = given.trim_end_matches(".txt").to_owned();
                if found.insert(given, text).is_some() {
                    return Err(format!("one {FILE_TOOL} left two files: {name}").into());
                }
            }
        }
        Ok(found)
    }
}

fn summary(options: &Options, proof: &Proof, took: Duration) -> Result<(), Failure> {
    let Tally {
        crashed_starts,
        answered,
        cut_off,
        reads,
        lost_reads,
        rows,
        violations,
    } = &proof.tally;
    let mut out = std::io::stdout().lock();
    for violation in violations {
        writeln!(out, "VIOLATION {violation}")?;
    }
    let store = if options.store.is_some() {
        "PostgreSQL"
    } else {
        "SQLite"
    };
    writeln!(out, "store                {store}")?;
    writeln!(
        out,
        "rounds               {} (and {crashed_starts} starts crashed)",
        options.rounds
    )?;
    writeln!(out, "acknowledged writes  {answered}")?;
    writeln!(
        out,
        "writes cut off       {}, of which {} took effect",
        cut_off.0, cut_off.1
    )?;
    let (lost, earliest) = (lost_reads.0, lost_reads.1.as_secs_f64() * 1e3);
    writeln!(
        out,
        "acknowledged reads   {reads}, of which {lost} lost their row, at most {earliest:.1} ms before the crash"
    )?;
    writeln!(
        out,
        "audit rows           {rows} of these calls; the log's head is {}:{:.12}…",
        proof.head.seq, proof.head.hash
    )?;
    writeln!(out, "seed                 {}", options.seed)?;
    writeln!(out, "violations           {}", violations.len())?;
    writeln!(out, "{:.0} s", took.as_secs_f64())?;
    Ok(())
}
