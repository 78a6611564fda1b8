//! `bench`: all figures of design.md's "Numbers to reach", side by side in one run.
//!
//! In: the binaries. Out: tables, `latest.json`, and the names of what was not measured. Rounds are interleaved and their
//! order turns, so that a machine that gets slower hits both sides. Slowness never fails a run; an error does.

mod bridge;
mod flows;
mod forged;
mod search;
mod server;
mod server_rows;
mod tools;
mod workspace;

use crate::process::{Cores, raise_open_files, say, wait_for_port};
use crate::report::Section;
use crate::wire::Failure;
use lexopt::prelude::*;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What a client does until a reply comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    /// It looks for it without a pause, so that no server has to wake it.
    Awake,
    Asleep,
}

impl Client {
    fn name(self) -> &'static str {
        match self {
            Self::Awake => "awake",
            Self::Asleep => "asleep",
        }
    }

    /// What the generator is told.
    fn words(self) -> Option<OsString> {
        (self == Self::Awake).then(|| "--awake".into())
    }
}

/// A load average above this means that the machine is not ours alone.
const BUSY: f64 = 0.7;

/// What a bench was asked for.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Fewer rounds, shorter ones.
    quick: bool,
    /// Both sides are the yardstick: shows how much of a ratio is noise.
    against_itself: bool,
    /// Folder for data, logs and results.
    work: PathBuf,
    /// The server's binary.
    server: PathBuf,
    /// The bridge's binary.
    bridge: PathBuf,
    /// The bridge without its optional parts, for its size.
    bridge_lean: Option<PathBuf>,
    /// The compiled `least.c`.
    least: PathBuf,
    /// Other bridges: name and script for node.
    peers: Vec<(String, PathBuf)>,
    /// Why there are none.
    no_peers: Option<String>,
    /// Which core does what.
    cores: Cores,
    /// Open files this process and its children may have.
    open_files: u64,
    /// Filled workspaces stay where they are, and are taken up again.
    keep: bool,
    /// The one engine that workspaces are measured on; both, if it is not said.
    engine: Option<Engine>,
    /// Rounds, if not as many as usual.
    rounds: Option<usize>,
}

/// Where a workspace is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

impl Settings {
    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 })
    }

    /// The engines that workspaces are measured on.
    fn engines(&self) -> Vec<Engine> {
        self.engine.map_or_else(|| Engine::ALL.to_vec(), |one| vec![one])
    }

    /// A fresh folder of its own under the work folder.
    fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.work.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.work.join(format!("{name}.log"))
    }

    /// Whether a section of our server alone is not measured; it says why.
    fn leaves_out(&self, section: &mut Section) -> bool {
        let itself = || {
            self.against_itself
                .then(|| "there is no yardstick to set against itself".to_owned())
        };
        let reason = itself().or_else(|| self.missing(&self.server));
        let is_left_out = reason.is_some();
        section
            .not_measured
            .extend(reason.map(|reason| format!("everything: {reason}")));
        is_left_out
    }

    fn missing(&self, binary: &Path) -> Option<String> {
        (!self.against_itself && !binary.is_file()).then(|| format!("{} does not exist", binary.display()))
    }
}

/// Reads the options and runs the sections.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let mut sections = Vec::new();
    let mut settings = Settings {
        quick: false,
        against_itself: false,
        work: PathBuf::from("target/bench"),
        server: PathBuf::from("target/release/footbridge-server"),
        bridge: PathBuf::from("target/release/footbridge"),
        bridge_lean: None,
        least: PathBuf::from("target/load/least"),
        peers: Vec::new(),
        no_peers: None,
        cores: Cores::choose(),
        open_files: raise_open_files(),
        keep: false,
        engine: None,
        rounds: None,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => settings.quick = true,
            Long("against-itself") => settings.against_itself = true,
            Long("keep") => settings.keep = true,
            Long("rounds") => settings.rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
            Long("engine") => {
                settings.engine = Some(match parser.value()?.string()?.as_str() {
                    "sqlite" => Engine::Sqlite,
                    "postgres" => Engine::Postgres,
                    other => return Err(format!("there is no engine `{other}`: sqlite, postgres").into()),
                });
            }
            Long("work") => settings.work = parser.value()?.into(),
            Long("server") => settings.server = parser.value()?.into(),
            Long("bridge") => settings.bridge = parser.value()?.into(),
            Long("bridge-lean") => settings.bridge_lean = Some(parser.value()?.into()),
            Long("least") => settings.least = parser.value()?.into(),
            Long("peer") => {
                let (name, script) = crate::pair(&parser.value()?.string()?)?;
                settings.peers.push((name, script.into()));
            }
            Long("no-peers") => settings.no_peers = Some(parser.value()?.string()?),
            Value(name) => sections.push(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if sections.is_empty() || sections.iter().any(|name| name == "all") {
        sections = ["server", "forged", "bridge", "search", "workspace", "flows"]
            .map(str::to_owned)
            .to_vec();
    }
    std::fs::create_dir_all(&settings.work)?;
    run(&settings, &sections)
}

/// What was measured so far. A section is printed and kept when it ends: a run that is broken off loses none before.
struct Report {
    machine: String,
    busy: f64,
    quick: bool,
    against_itself: bool,
    from: Instant,
    file: PathBuf,
    done: BTreeMap<String, Section>,
    failures: Vec<String>,
}

impl Report {
    /// Of a run that begins now.
    fn new(settings: &Settings) -> Self {
        Self {
            // Read before the first load: afterwards the load average is our own.
            machine: machine(settings),
            busy: load_average(),
            quick: settings.quick,
            against_itself: settings.against_itself,
            from: Instant::now(),
            file: settings.work.join("latest.json"),
            done: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    fn add(&mut self, name: &str, section: Section) -> Result<(), Failure> {
        write!(std::io::stdout().lock(), "{}", section.table())?;
        self.failures
            .extend(section.failed.iter().map(|said| format!("{name}: {said}")));
        self.done.insert(name.to_owned(), section);
        self.save()
    }

    fn fail(&mut self, name: &str, why: &Failure) -> Result<(), Failure> {
        progress(&format!("{name}: failed: {why}"));
        self.failures.push(format!("{name}: {why}"));
        self.save()
    }

    fn save(&self) -> Result<(), Failure> {
        let whole = serde_json::json!({
            "machine": self.machine,
            "load_average_before": self.busy,
            "quick": self.quick,
            "against_itself": self.against_itself,
            "seconds": self.from.elapsed().as_secs(),
            "sections": self.done.iter().map(|(name, section)| (name.clone(), section.json())).collect::<BTreeMap<_, _>>(),
            "failures": self.failures,
        });
        Ok(std::fs::write(&self.file, serde_json::to_string_pretty(&whole)?)?)
    }

    /// What stands below all the tables.
    fn end(&self) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{}", self.machine)?;
        if self.busy > BUSY {
            writeln!(
                out,
                "The machine was busy before the run (load average {}): take p99 and fairness with care.",
                self.busy
            )?;
        }
        if self.against_itself {
            writeln!(
                out,
                "This was the yardstick against itself: every ratio that is not 1 is noise."
            )?;
        }
        for (name, section) in &self.done {
            for reason in &section.not_measured {
                writeln!(out, "not measured ({name}): {reason}")?;
            }
        }
        for failure in &self.failures {
            writeln!(out, "FAILED {failure}")?;
        }
        self.save()?;
        writeln!(
            out,
            "{} s; for machines: {}",
            self.from.elapsed().as_secs(),
            self.file.display()
        )?;
        if self.failures.is_empty() {
            Ok(())
        } else {
            Err(format!("{} failures, named above", self.failures.len()).into())
        }
    }
}

fn run(settings: &Settings, names: &[String]) -> Result<(), Failure> {
    let mut report = Report::new(settings);
    if report.busy > BUSY {
        progress(&format!(
            "the load average is {} before the run: something else is at work, and it will show in p99",
            report.busy
        ));
    }
    for name in names {
        let section = match name.as_str() {
            "server" => server::measure(settings),
            "forged" => forged::measure(settings),
            "bridge" => bridge::measure(settings),
            "search" => search::measure(settings),
            "workspace" => {
                on_engines(settings, &mut report, name, workspace::measure)?;
                continue;
            }
            "flows" => {
                on_engines(settings, &mut report, name, flows::measure)?;
                continue;
            }
            other => {
                let all = "server, forged, bridge, search, workspace, flows, all";
                return Err(format!("there is no section `{other}`: {all}").into());
            }
        };
        match section {
            Ok(section) => report.add(name, section)?,
            Err(e) => report.fail(name, &e)?,
        }
    }
    report.end()
}

/// A section of each engine by itself.
fn on_engines(
    settings: &Settings,
    report: &mut Report,
    name: &str,
    measure: fn(&Settings, Engine) -> Result<Section, Failure>,
) -> Result<(), Failure> {
    for engine in settings.engines() {
        let name = format!("{name} on {}", engine.name());
        match measure(settings, engine) {
            Ok(section) => report.add(&name, section)?,
            Err(e) => report.fail(&name, &e)?,
        }
    }
    Ok(())
}

/// One line about what this ran on.
fn machine(settings: &Settings) -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches(['\t', ' ', ':']);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let apart = if settings.cores.apart() {
        "tested side on core 0, load on core 1"
    } else {
        "nothing pinned"
    };
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, Linux {}, {apart}", kernel.trim())
}

/// Processes that wanted to run during the last minute.
fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or(0.0)
}

/// One line about what is going on, on stderr.
pub(crate) fn progress(text: &str) {
    say("bench", text);
}

/// A floor or stub with `arguments`, ready to serve, and its port.
fn start_floor(
    settings: &Settings,
    name: &str,
    core: Option<usize>,
    arguments: &[OsString],
) -> Result<(crate::process::Running, u16), Failure> {
    start_own(settings, "floor", name, core, arguments)
}

/// One of the servers that this program is itself, ready to serve, and its port.
fn start_own(
    settings: &Settings,
    kind: &str,
    name: &str,
    core: Option<usize>,
    arguments: &[OsString],
) -> Result<(crate::process::Running, u16), Failure> {
    let port = crate::process::free_port()?;
    let mut command: Command = crate::process::pinned(core, std::env::current_exe()?);
    command
        .args([kind, "--listen", &format!("127.0.0.1:{port}")])
        .args(arguments);
    let mut running = crate::process::Running::start(name, command, &settings.log(name))?;
    wait_for_port(&mut running, port)?;
    Ok((running, port))
}

/// Samples by name, in the order of the rounds.
#[derive(Default)]
struct Samples(BTreeMap<String, Vec<f64>>);

impl Samples {
    fn add(&mut self, name: impl Into<String>, value: f64) {
        self.0.entry(name.into()).or_default().push(value);
    }

    /// All samples of a name; none if it was never measured.
    fn get(&self, name: &str) -> Vec<f64> {
        self.0.get(name).cloned().unwrap_or_default()
    }
}
