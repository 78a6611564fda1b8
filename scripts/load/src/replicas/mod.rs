//! `replicas`: three servers on one PostgreSQL behind a plain balancer, and what an operator does to them.
//!
//! In: the server's binary and a cluster's folder. Out: what was counted, and the broken promises by name (design.md D10,
//! security.md S12, D2): a revoked key and a changed catalogue within a second everywhere; a rolling restart under load that
//! loses no call and no audit row; a PostgreSQL that dies under load and returns; one byte changed in the log.

mod balancer;
mod cluster;
mod traffic;

use crate::crash::rows;
use crate::ours::{self, READ_TOOL, WRITE_TOOL};
use crate::process::{Running, free_port, say, wait_for_port};
use crate::stats::median;
use crate::wire::{Call, Era, FIRST_ID, Failure, Target, call_once, exchange, tool_result};
use balancer::Balancer;
use cluster::Cluster;
use lexopt::prelude::*;
use serde_json::json;
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use traffic::{Fate, Log, SHARED, Traffic, shared_key};

/// Servers.
const REPLICAS: usize = 3;
/// What must have reached every replica by then (design.md D10).
const WITHIN: Duration = Duration::from_secs(1);
/// The longest that a read's row waits for its group (design.md D9).
const GROUP_COMMIT: Duration = Duration::from_millis(20);
/// Several probes of the balancer: it is out before new work is refused.
const DRAIN_DELAY_MS: u64 = 1_000;
/// For one call that is not under load.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the load runs before, between and after what is done to the servers.
const QUIET: Duration = Duration::from_millis(1_500);
/// How long PostgreSQL stays away.
const AWAY: Duration = Duration::from_secs(2);
/// How long everything may take to be well again without anybody's help.
const RECOVERY: Duration = Duration::from_secs(10);
/// An edition that the catalogue gets while the servers run.
const EXTRA: &str = "format = 1\n[edition]\nname = \"extra\"\ntitle = \"Extra\"\ninstructions = \"More.\"\nkey_prefix = \"extra_sk_\"\n[scopes.recall]\ntitle = \"Recall\"\n";

struct Options {
    server: PathBuf,
    work: PathBuf,
    cluster: PathBuf,
    postgres: PathBuf,
    postgres_user: Option<String>,
    per_second: u32,
    rounds: u32,
}

/// Reads the options and runs every part.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let mut options = Options {
        server: PathBuf::from("target/release/footbridge-server"),
        work: PathBuf::from("target/replicas"),
        cluster: PathBuf::new(),
        postgres: PathBuf::new(),
        postgres_user: None,
        per_second: 1_000,
        rounds: 1,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("server") => options.server = parser.value()?.into(),
            Long("work") => options.work = parser.value()?.into(),
            Long("cluster") => options.cluster = parser.value()?.into(),
            Long("postgres") => options.postgres = parser.value()?.into(),
            Long("postgres-user") => options.postgres_user = Some(parser.value()?.string()?),
            Long("per-second") => options.per_second = parser.value()?.parse()?,
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let data = options.work.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    std::fs::create_dir_all(&data)?;
    let from = Instant::now();
    let log = options.work.join("postgres.log");
    let mut cluster = Cluster::new(
        &options.cluster,
        &options.postgres,
        options.postgres_user.clone(),
        &log,
    );
    cluster.start()?;
    let mut town = Town::build(&options, &data, cluster)?;
    let said = town.everything(&options);
    let mut out = std::io::stdout().lock();
    for line in &town.report {
        writeln!(out, "{line}")?;
    }
    for violation in &town.violations {
        writeln!(out, "VIOLATION {violation}")?;
    }
    writeln!(
        out,
        "violations: {}; {:.0} s",
        town.violations.len(),
        from.elapsed().as_secs_f64()
    )?;
    said?;
    match town.violations.len() {
        0 => Ok(()),
        count => Err(format!(
            "{count} violations, named above; the servers' logs are in {}",
            options.work.display()
        )
        .into()),
    }
}

/// The servers and what is in front of and behind them.
struct Town {
    product: ours::Server,
    replicas: Vec<Option<Running>>,
    ports: Vec<u16>,
    balancer: Balancer,
    cluster: Cluster,
    key: ours::Key,
    /// Through the balancer.
    target: Target,
    work: PathBuf,
    report: Vec<String>,
    violations: Vec<String>,
}

impl Town {
    fn build(options: &Options, data: &Path, cluster: Cluster) -> Result<Self, Failure> {
        let catalogue = data.join("catalogue");
        std::fs::create_dir_all(&catalogue)?;
        let settings = format!("drain_delay_ms = {DRAIN_DELAY_MS}\n[server]\ncatalogue = [{catalogue:?}]\n");
        let product = ours::Server::new(&options.server, data, Some(cluster.url()), &settings)?;
        let key = product.mint()?;
        let ports = (0..REPLICAS)
            .map(|_| free_port())
            .collect::<Result<Vec<_>, _>>()?;
        let balancer = Balancer::start(&ports)?;
        let target = ours::Server::target(balancer.port(), &key.secret)?;
        let mut town = Self {
            product,
            replicas: (0..REPLICAS).map(|_| None).collect(),
            ports,
            balancer,
            cluster,
            key,
            target,
            work: options.work.clone(),
            report: Vec::new(),
            violations: Vec::new(),
        };
        for at in 0..REPLICAS {
            town.start(at)?;
        }
        for number in 0..SHARED {
            let arguments = json!({ "key": shared_key(number), "content": "shared" }).to_string();
            call_once(
                &town.target,
                &Call::tool(Era::Modern, WRITE_TOOL, &arguments),
                PATIENCE,
            )?;
        }
        Ok(town)
    }

    fn start(&mut self, at: usize) -> Result<(), Failure> {
        let port = *self.ports.get(at).ok_or("no such replica")?;
        let log = self.work.join(format!("server-{at}.log"));
        let mut running = Running::start("the server", self.product.serve(None, port), &log)?;
        wait_for_port(&mut running, port)
            .map_err(|e| format!("{e}: {}", std::fs::read_to_string(&log).unwrap_or_default()))?;
        if let Some(place) = self.replicas.get_mut(at) {
            *place = Some(running);
        }
        self.until(RECOVERY, "the balancer takes the replica in", |town| {
            town.balancer.ready().get(at) == Some(&true)
        })
    }

    fn until(&self, limit: Duration, what: &str, reached: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let from = Instant::now();
        while !reached(self) {
            if from.elapsed() > limit {
                return Err(format!("not within {} s: {what}", limit.as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn everything(&mut self, options: &Options) -> Result<(), Failure> {
        self.revocation()?;
        self.catalogue()?;
        for round in 1..=options.rounds {
            self.rolling_restart(options, round)?;
        }
        self.lost_database(options)?;
        self.one_byte()?;
        for replica in self.replicas.drain(..).flatten() {
            replica.end()?;
        }
        Ok(())
    }

    /// A revoked key opens no replica one second later.
    fn revocation(&mut self) -> Result<(), Failure> {
        let doomed = self.product.mint()?;
        let call = Call::tool(
            Era::Modern,
            READ_TOOL,
            &json!({ "key": shared_key(0) }).to_string(),
        );
        let targets = self.each(&doomed.secret)?;
        for target in &targets {
            call_once(target, &call, PATIENCE)?;
        }
        self.product.revoke(&doomed.id)?;
        let from = Instant::now();
        let mut slowest = Duration::ZERO;
        for target in &targets {
            loop {
                let mut stream = target.connect()?;
                let (status, _) = exchange(&mut stream, &call.request(target, FIRST_ID), PATIENCE)?;
                slowest = slowest.max(from.elapsed());
                if status == 401 {
                    break;
                }
                if from.elapsed() > WITHIN {
                    self.violations
                        .push(format!("a revoked key still opens {}", target.authority));
                    break;
                }
            }
        }
        self.report.push(format!(
            "revoked key: refused by all {REPLICAS} replicas {} ms after `key revoke` returned",
            slowest.as_millis()
        ));
        Ok(())
    }

    /// A new edition is served by every replica one second after `catalogue reload`.
    fn catalogue(&mut self) -> Result<(), Failure> {
        let file = self.product.data().join("catalogue/extra.toml");
        std::fs::write(file, EXTRA)?;
        let urls: Vec<Target> = self
            .ports
            .iter()
            .map(|port| {
                Target::parse(
                    &format!("http://127.0.0.1:{port}/extra/mcp"),
                    Some(self.key.secret.clone()),
                )
            })
            .collect::<Result<_, _>>()?;
        let status = |target: &Target| -> Result<u16, Failure> {
            let mut stream = target.connect()?;
            Ok(exchange(
                &mut stream,
                &Call::list(Era::Modern).request(target, FIRST_ID),
                PATIENCE,
            )?
            .0)
        };
        for target in &urls {
            if status(target)? != 404 {
                self.violations.push(format!(
                    "{} serves an edition that nobody loaded",
                    target.authority
                ));
            }
        }
        self.product.reload_catalogue()?;
        let from = Instant::now();
        let mut slowest = Duration::ZERO;
        for target in &urls {
            // The key is for another edition: 401, where there was nothing.
            while status(target)? == 404 {
                if from.elapsed() > WITHIN {
                    self.violations
                        .push(format!("{} did not read its catalogue again", target.authority));
                    break;
                }
            }
            slowest = slowest.max(from.elapsed());
        }
        self.report.push(format!(
            "new edition: served by all {REPLICAS} replicas {} ms after `catalogue reload` returned",
            slowest.as_millis()
        ));
        Ok(())
    }

    /// Each replica in turn ends and starts again under load.
    fn rolling_restart(&mut self, options: &Options, round: u32) -> Result<(), Failure> {
        let before = self.product.verify(None)?;
        let (answered_before, retried_before) = (self.balancer.answered(), self.balancer.retried());
        let traffic = Traffic::start(&self.target, &format!("roll-{round}"), options.per_second);
        std::thread::sleep(QUIET);
        for at in 0..REPLICAS {
            say("replicas", &format!("restarting replica {at}"));
            let running = self
                .replicas
                .get_mut(at)
                .and_then(Option::take)
                .ok_or("the replica is gone")?;
            running.end()?;
            self.start(at)?;
            std::thread::sleep(QUIET);
        }
        let log = traffic.stop()?;
        let failed = self.failures("rolling restart", &log, |_| false);
        let missing = self.missing_rows(&before, &log)?;
        let shares: Vec<String> = self
            .balancer
            .answered()
            .iter()
            .zip(answered_before)
            .map(|(now, before)| (now - before).to_string())
            .collect();
        self.report.push(format!(
            "rolling restart of {REPLICAS} replicas: {} calls at {:.0}/s of {}/s asked for ({} by replica), p50 {:.1} ms, \
             slowest {:.0} ms; {failed} failed, {} given to another replica, {missing} audit rows missing, `audit verify` passes",
            log.made.len(),
            log.made.len() as f64 / log.lasted.as_secs_f64(),
            options.per_second,
            shares.join(" + "),
            log.median_ms(),
            log.slowest_ms(),
            self.balancer.retried() - retried_before,
        ));
        Ok(())
    }

    /// Notes every call whose fate is neither success nor excused.
    fn failures(&mut self, when: &str, log: &Log, excused: impl Fn(&Fate) -> bool) -> usize {
        let bad = log
            .made
            .iter()
            .filter(|made| made.fate != Fate::Done && !excused(&made.fate));
        let mut kinds: HashMap<String, usize> = HashMap::new();
        for made in bad {
            *kinds.entry(format!("{:?}", made.fate)).or_default() += 1;
        }
        for (kind, count) in &kinds {
            self.violations.push(format!("{when}: {count} calls: {kind}"));
        }
        kinds.values().sum()
    }

    /// Answered calls without a row in the log. Rows of reads are committed in groups, so that the last ones may come after
    /// their answers: only what is still missing `WITHIN` that time is lost.
    fn missing_rows(&mut self, before: &ours::Head, log: &Log) -> Result<usize, Failure> {
        let from = Instant::now();
        let mut missing = self.rows_missing_now(before, log)?;
        while missing > 0 && from.elapsed() < WITHIN {
            std::thread::sleep(GROUP_COMMIT);
            missing = self.rows_missing_now(before, log)?;
        }
        if missing > 0 {
            self.violations
                .push(format!("{missing} answered calls have no row in the log"));
        }
        Ok(missing)
    }

    fn rows_missing_now(&self, before: &ours::Head, log: &Log) -> Result<usize, Failure> {
        let now = self.product.verify(Some(before))?;
        let added = now
            .seq
            .checked_sub(before.seq)
            .ok_or("the audit log got shorter")?;
        let mut rows: HashMap<String, usize> = HashMap::new();
        for row in rows::parse(&self.product.audit(added)?)? {
            if row.caller == self.key.id && row.status == rows::ALLOW {
                *rows.entry(row.digest).or_default() += 1;
            }
        }
        let answered = |made: &&traffic::Made| made.fate == Fate::Done;
        let mut missing = 0;
        let mut reads = 0;
        for made in log.made.iter().filter(answered) {
            match &made.wrote {
                None => reads += 1,
                Some(key) => {
                    let digest = rows::digest(&json!({ "key": key, "content": key }));
                    missing += usize::from(!rows.contains_key(&digest));
                }
            }
        }
        let shared = (0..SHARED).map(|number| rows::digest(&json!({ "key": shared_key(number) })));
        let read_rows: usize = shared.filter_map(|digest| rows.get(&digest)).sum();
        Ok(missing + usize::saturating_sub(reads, read_rows))
    }

    /// PostgreSQL is killed under load and returns.
    fn lost_database(&mut self, options: &Options) -> Result<(), Failure> {
        let before = self.product.verify(None)?;
        let traffic = Traffic::start(&self.target, "lost", options.per_second);
        std::thread::sleep(QUIET);
        self.cluster.kill()?;
        std::thread::sleep(AWAY);
        if self.balancer.ready().contains(&true) {
            self.violations
                .push("a replica says that it is ready although the database is gone".to_owned());
        }
        self.cluster.start()?;
        let returned = Instant::now();
        self.until(RECOVERY, "the replicas are ready again", |town| {
            !town.balancer.ready().contains(&false)
        })?;
        let recovery = returned.elapsed();
        std::thread::sleep(QUIET);
        let log = traffic.stop()?;
        self.failures("the database was gone", &log, |fate| {
            matches!(fate, Fate::NotRun | Fate::Unknown)
        });
        // What ends well after the return, without a restart of any server, ends the outage.
        let after = call_once(
            &self.target,
            &Call::tool(
                Era::Modern,
                READ_TOOL,
                &json!({ "key": shared_key(0) }).to_string(),
            ),
            PATIENCE,
        );
        if let Err(e) = after {
            self.violations.push(format!("after the return: {e}"));
        }
        for replica in self.replicas.iter_mut().flatten() {
            replica.alive()?;
        }
        let missing = self.missing_writes(&before, &log)?;
        let count = |wanted: &Fate| log.made.iter().filter(|made| made.fate == *wanted).count();
        self.report.push(format!(
            "kill -9 of PostgreSQL: {} calls, {} of them 503 with Retry-After ({} of unknown outcome, and said so), slowest {:.0} ms; \
             ready {} ms after its return, no server restarted; {missing} acknowledged writes lost, `audit verify` passes",
            log.made.len(),
            count(&Fate::NotRun) + count(&Fate::Unknown),
            count(&Fate::Unknown),
            log.slowest_ms(),
            recovery.as_millis(),
        ));
        if count(&Fate::NotRun) == 0 {
            self.violations
                .push("nobody noticed that the database was gone".to_owned());
        }
        Ok(())
    }

    /// Acknowledged writes that are not there, and writes that are there although they were said not to have run.
    fn missing_writes(&mut self, before: &ours::Head, log: &Log) -> Result<usize, Failure> {
        self.product.verify(Some(before))?;
        let mut stream = self.target.connect()?;
        let mut missing = 0;
        for made in &log.made {
            let Some(key) = &made.wrote else { continue };
            let expected = match made.fate {
                Fate::Done => true,
                Fate::NotRun => false,
                Fate::Unknown | Fate::Failed(_) => continue,
            };
            let call = Call::tool(Era::Modern, READ_TOOL, &json!({ "key": key }).to_string());
            let (_, body) = exchange(&mut stream, &call.request(&self.target, FIRST_ID), PATIENCE)?;
            let found = tool_result(&body)
                .ok()
                .and_then(|said| said.pointer("/memory/content").cloned());
            match (expected, found == Some(json!(key))) {
                (true, false) => {
                    missing += 1;
                    self.violations
                        .push(format!("the acknowledged write `{key}` is lost"));
                }
                (false, true) => {
                    self.violations
                        .push(format!("`{key}` was said not to have run, and is there"));
                }
                _ => {}
            }
        }
        Ok(missing)
    }

    /// One byte changed in one row of the log is found, and its row named.
    fn one_byte(&mut self) -> Result<(), Failure> {
        let head = self.product.verify(None)?;
        let row = head.seq / 2;
        let change = |from: &str, to: &str| {
            format!(
                "UPDATE audit_log SET body = replace(body, '{from}', '{to}') WHERE tenant_id = 'local' AND seq = {row}"
            )
        };
        self.cluster.sql(&change("memory_", "nemory_"))?;
        match self.product.verify(None) {
            Ok(_) => self
                .violations
                .push("one byte of the log was changed, and `audit verify` passed".to_owned()),
            Err(said) if said.to_string().contains(&row.to_string()) => {
                self.report.push(format!(
                    "one byte changed in row {row} of {}: `audit verify` fails and names it",
                    head.seq
                ));
            }
            Err(said) => self
                .violations
                .push(format!("row {row} was changed; `audit verify` said: {said}")),
        }
        self.cluster.sql(&change("nemory_", "memory_"))?;
        if self.product.verify(Some(&head)).is_err() {
            self.violations
                .push("the row was changed back, and `audit verify` still fails".to_owned());
        }
        Ok(())
    }

    fn each(&self, key: &str) -> Result<Vec<Target>, Failure> {
        self.ports
            .iter()
            .map(|port| ours::Server::target(*port, key))
            .collect()
    }
}

impl Log {
    fn median_ms(&self) -> f64 {
        let took: Vec<f64> = self
            .made
            .iter()
            .map(|made| made.took.as_secs_f64() * 1e3)
            .collect();
        median(&took).unwrap_or(0.0)
    }

    fn slowest_ms(&self) -> f64 {
        self.made
            .iter()
            .map(|made| made.took.as_secs_f64() * 1e3)
            .fold(0.0, f64::max)
    }
}
