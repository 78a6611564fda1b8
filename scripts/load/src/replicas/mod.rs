//! `replicas`: three servers on one PostgreSQL behind a plain balancer, and what an operator does to them.
//!
//! In: the server's binary and a cluster's folder. Out: what was counted, and the broken promises by name (design.md D10,
//! security.md S12, D2): a revoked key and a changed catalogue within a second everywhere; a monthly cap that is exact; one
//! confirmation that takes effect once; a rolling restart under load that loses no call and no audit row; a PostgreSQL that dies under load and returns; one byte
//! changed in the log.

mod balancer;
mod cap;
pub(crate) mod cluster;
mod confirm;
mod orders;
mod outage;
mod rolling;
mod town;
mod traffic;

use crate::wire::Failure;
use cluster::Cluster;
use lexopt::prelude::*;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use town::Town;

/// Servers.
const REPLICAS: usize = 3;
/// For one call that is not under load.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the load runs before, between and after what is done to the servers.
const QUIET: Duration = Duration::from_millis(1_500);
/// How long everything may take to be well again without anybody's help.
const RECOVERY: Duration = Duration::from_secs(10);

struct Options {
    server: PathBuf,
    work: PathBuf,
    cluster: PathBuf,
    postgres: PathBuf,
    postgres_user: Option<String>,
    per_second: u32,
    rounds: u32,
    confirmations: u32,
}

pub(crate) fn main(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let mut options = Options {
        server: PathBuf::from("target/release/footbridge-server"),
        work: PathBuf::from("target/replicas"),
        cluster: PathBuf::new(),
        postgres: PathBuf::new(),
        postgres_user: None,
        per_second: 1_000,
        rounds: 1,
        confirmations: 10_000,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("server") => options.server = parser.value()?.into(),
            Long("work") => options.work = parser.value()?.into(),
            Long("cluster") => options.cluster = parser.value()?.into(),
            Long("postgres") => options.postgres = parser.value()?.into(),
            Long("postgres-user") => options.postgres_user = Some(parser.value()?.string()?),
            Long("per-second") => options.per_second = parser.value()?.parse()?,
            Long("confirmations") => options.confirmations = parser.value()?.parse()?,
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
    let mut town = Town::build(&options.server, &options.work, &data, cluster)?;
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

impl Town {
    fn everything(&mut self, options: &Options) -> Result<(), Failure> {
        self.revocation()?;
        self.catalogue()?;
        self.monthly_cap()?;
        self.one_token(options.confirmations)?;
        for round in 1..=options.rounds {
            self.rolling_restart(options.per_second, round)?;
        }
        self.lost_database(options.per_second)?;
        self.one_byte()?;
        for replica in self.replicas.drain(..).flatten() {
            replica.end()?;
        }
        Ok(())
    }
}
