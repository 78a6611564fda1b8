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
}

impl Settings {
    fn rounds(&self) -> usize {
        if self.quick { 3 } else { 5 }
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
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => settings.quick = true,
            Long("against-itself") => settings.against_itself = true,
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

fn run(settings: &Settings, names: &[String]) -> Result<(), Failure> {
    let from = Instant::now();
    // Read before the first load: afterwards the load average is our own.
    let machine = machine(settings);
    let busy = load_average();
    if busy > BUSY {
        progress(&format!(
            "the load average is {busy} before the run: something else is at work, and it will show in p99"
        ));
    }
    let mut done: BTreeMap<&str, Section> = BTreeMap::new();
    let mut failures = Vec::new();
    for name in names {
        let section = match name.as_str() {
            "server" => server::measure(settings),
            "forged" => forged::measure(settings),
            "bridge" => bridge::measure(settings),
            "search" => search::measure(settings),
            "workspace" => workspace::measure(settings),
            "flows" => flows::measure(settings),
            other => {
                let all = "server, forged, bridge, search, workspace, flows, all";
                return Err(format!("there is no section `{other}`: {all}").into());
            }
        };
        match section {
            Ok(section) => {
                failures.extend(section.failed.iter().map(|said| format!("{name}: {said}")));
                done.insert(name, section);
            }
            Err(e) => {
                progress(&format!("{name}: failed: {e}"));
                failures.push(format!("{name}: {e}"));
            }
        }
    }

    let mut out = std::io::stdout().lock();
    for name in names {
        if let Some(section) = done.get(name.as_str()) {
            write!(out, "{}", section.table())?;
        }
    }
    writeln!(out, "\n{machine}")?;
    if busy > BUSY {
        writeln!(
            out,
            "The machine was busy before the run (load average {busy}): take p99 and fairness with care."
        )?;
    }
    if settings.against_itself {
        writeln!(
            out,
            "This was the yardstick against itself: every ratio that is not 1 is noise."
        )?;
    }
    for (name, section) in &done {
        for reason in &section.not_measured {
            writeln!(out, "not measured ({name}): {reason}")?;
        }
    }
    for failure in &failures {
        writeln!(out, "FAILED {failure}")?;
    }
    let file = settings.work.join("latest.json");
    let whole = serde_json::json!({
        "machine": machine,
        "load_average_before": busy,
        "quick": settings.quick,
        "against_itself": settings.against_itself,
        "seconds": from.elapsed().as_secs(),
        "sections": done.iter().map(|(name, section)| ((*name).to_owned(), section.json())).collect::<BTreeMap<_, _>>(),
        "failures": failures,
    });
    std::fs::write(&file, serde_json::to_string_pretty(&whole)?)?;
    writeln!(
        out,
        "{} s; for machines: {}",
        from.elapsed().as_secs(),
        file.display()
    )?;
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!("{} failures, named above", failures.len()).into())
    }
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
    let port = crate::process::free_port()?;
    let mut command: Command = crate::process::pinned(core, std::env::current_exe()?);
    command
        .args(["floor", "--listen", &format!("127.0.0.1:{port}")])
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
