//! The server beside the floor.
//!
//! In: our binary. Out: CPU per call, latency, fairness, memory, start. The floor serves the very bytes our server gave for
//! the same requests, so a ratio is the price of keys, scopes, schema, caps and audit, and of nothing else.

use super::{Client, Samples, Settings, progress, start_own};
use crate::generator::{CONNECTION_MARK, Outcome};
use crate::idle;
use crate::ours::{self, READ_TOOL, WRITE_TOOL};
use crate::process::{Memory, Running, arguments, ask, free_port, memory_kb, wait_for_port};
use crate::report::Section;
use crate::stats::median;
use crate::wire::{Call, Era, Failure, Target, call_once, result_text};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Connections of the main figures.
const CONNECTIONS: usize = 64;
/// Connections of the fairness figure.
const MANY_CONNECTIONS: usize = 256;
/// Connections that only wait.
const IDLE_CONNECTIONS: usize = 10_000;
/// Keys in the store for the figures that name them.
const KEYS: usize = 10_000;
/// Minting them one command at a time may take this long.
const MINTING: Duration = Duration::from_secs(120);
/// After this long nothing is held only because it was needed a moment ago.
const QUIET: Duration = Duration::from_secs(12);
/// For one call that is not measured.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server that is made with another library: what it is called, and whether this program can be it.
pub(super) const PEER: &str = "rmcp";
const HAS_PEER: bool = cfg!(feature = "rmcp");

/// A server under measurement.
struct Side {
    name: &'static str,
    running: Running,
    target: Target,
}

/// How both sides are started.
struct Starter<'a> {
    settings: &'a Settings,
    product: ours::Server,
    key: String,
    floor_arguments: Vec<OsString>,
}

impl Starter<'_> {
    fn ours(&self) -> Result<Side, Failure> {
        if self.settings.against_itself {
            return self.floor_as("ours");
        }
        let (running, target) = self.ours_started()?;
        Ok(Side {
            name: "ours",
            running,
            target,
        })
    }

    fn ours_started(&self) -> Result<(Running, Target), Failure> {
        let port = free_port()?;
        let command = self.product.serve(self.settings.cores.tested, port);
        let mut running = Running::start("the server", command, &self.settings.log("server"))?;
        wait_for_port(&mut running, port)?;
        Ok((running, ours::Server::target(port, &self.key)?))
    }

    fn floor(&self) -> Result<Side, Failure> {
        self.floor_as("floor")
    }

    fn floor_as(&self, name: &'static str) -> Result<Side, Failure> {
        self.own("floor", name)
    }

    /// The peer, where this program has one.
    fn peer(&self) -> Option<Result<Side, Failure>> {
        (HAS_PEER && !self.settings.against_itself).then(|| self.own(PEER, PEER))
    }

    fn own(&self, kind: &str, name: &'static str) -> Result<Side, Failure> {
        let settings = self.settings;
        let (running, port) = start_own(settings, kind, name, settings.cores.tested, &self.floor_arguments)?;
        // Neither reads a key, but both read the bytes of one.
        Ok(Side {
            name,
            running,
            target: Target::parse(&format!("http://127.0.0.1:{port}/mcp"), Some(self.key.clone()))?,
        })
    }
}

/// One load, run on each side in each round.
struct Load {
    name: &'static str,
    call: Call,
    connections: usize,
    client: Client,
}

fn read_call(era: Era) -> Call {
    Call::tool(era, READ_TOOL, &format!(r#"{{"key":"bench-{CONNECTION_MARK}"}}"#))
}

fn write_call(era: Era) -> Call {
    let content = "A note of two hundred bytes, as an assistant would keep it. ".repeat(4);
    let content = content.get(..200).unwrap_or_default();
    Call::tool(
        era,
        WRITE_TOOL,
        &format!(r#"{{"key":"bench-{CONNECTION_MARK}","content":"{content}"}}"#),
    )
}

/// The same call as one certain connection makes it.
fn of_connection(call: &Call, number: usize) -> Call {
    Call {
        arguments: call.arguments.replace(CONNECTION_MARK, &format!("{number:05}")),
        ..call.clone()
    }
}

fn loads() -> Vec<Load> {
    let load = |name, call, connections, client| Load {
        name,
        call,
        connections,
        client,
    };
    let read = || read_call(Era::Modern);
    let write = || write_call(Era::Modern);
    vec![
        load("read", read(), CONNECTIONS, Client::Awake),
        load("read asleep", read(), CONNECTIONS, Client::Asleep),
        load("read legacy", read_call(Era::Legacy), CONNECTIONS, Client::Awake),
        load("write", write(), CONNECTIONS, Client::Awake),
        load("list", Call::list(Era::Modern), CONNECTIONS, Client::Awake),
        load("read alone", read(), 1, Client::Asleep),
        load("write alone", write(), 1, Client::Asleep),
        load("read many", read(), MANY_CONNECTIONS, Client::Asleep),
        load("write many", write(), MANY_CONNECTIONS, Client::Asleep),
    ]
}

/// Measures the section.
pub(super) fn measure(settings: &Settings) -> Result<Section, Failure> {
    let mut section = Section::new("Server (one core for the server, one for the load)", "floor");
    section
        .not_measured
        .push("three replicas on one PostgreSQL: the figure needs more cores than two".to_owned());
    if !HAS_PEER {
        section
            .not_measured
            .push("calls/s against rmcp (≥ 1.3x): not asked for (--peers)".to_owned());
    }
    if let Some(reason) = settings.missing(&settings.server) {
        section.not_measured.push(format!("everything: {reason}"));
        return Ok(section);
    }
    let product = ours::Server::new(&settings.server, &settings.folder("data-server")?, None, "")?;
    let mut starter = Starter {
        settings,
        product,
        key: "fbk_benchmark_of_the_floor".to_owned(),
        floor_arguments: Vec::new(),
    };
    let mut keys = 0;
    if !settings.against_itself {
        starter.key = starter.product.mint()?.secret;
        keys = 1 + mint_many(&starter, &mut section)?;
    }
    let list_bytes = capture(&mut starter, settings)?;
    let mut samples = Samples::default();
    starts(&starter, &mut samples)?;
    sides(&starter, &mut samples, &mut section)?;
    if let Err(e) = idle_price(&starter, &mut samples) {
        let files = settings.open_files;
        if files < IDLE_CONNECTIONS as u64 + 100 {
            let reason = format!("only {files} files may be open (ulimit -n)");
            section
                .not_measured
                .push(format!("10 000 idle connections: {reason}: {e}"));
        } else {
            section.fail(format!("idle connections: {e}"));
        }
    }
    super::server_rows::rows(&mut section, &samples, keys, list_bytes);
    if !settings.against_itself
        && let Err(e) = super::tools::measure(settings, &mut section)
    {
        section.fail(format!("ways of calling a tool: {e}"));
    }
    std::fs::remove_dir_all(starter.product.data())?;
    Ok(section)
}

/// Fills the store with keys, as many as the time allows; returns how many.
fn mint_many(starter: &Starter<'_>, section: &mut Section) -> Result<usize, Failure> {
    if starter.settings.quick {
        section
            .not_measured
            .push("memory and start with 10 000 keys: --quick mints one".to_owned());
        return Ok(0);
    }
    progress(&format!(
        "server: minting up to {KEYS} keys, {} s at most",
        MINTING.as_secs()
    ));
    let until = Instant::now() + MINTING;
    let mut minted = 0;
    while minted < KEYS && Instant::now() < until {
        starter.product.mint()?;
        minted += 1;
    }
    if minted < KEYS {
        section.not_measured.push(format!(
            "memory and start with 10 000 keys: {minted} were minted in time"
        ));
    }
    Ok(minted)
}

/// Asks our server once for each reply and hands the bytes to the floor; returns the length of the list, if it is ours.
fn capture(starter: &mut Starter<'_>, settings: &Settings) -> Result<Option<usize>, Failure> {
    if settings.against_itself {
        return Ok(None);
    }
    progress("server: taking the replies the floor will give");
    let (running, target) = starter.ours_started()?;
    let write = write_call(Era::Modern);
    for number in 0..MANY_CONNECTIONS {
        call_once(&target, &of_connection(&write, number), PATIENCE)?;
    }
    let mut files: Vec<(&str, PathBuf, usize)> = Vec::new();
    for (name, call) in [
        ("list", Call::list(Era::Modern)),
        (READ_TOOL, of_connection(&read_call(Era::Modern), 0)),
        (WRITE_TOOL, of_connection(&write, 0)),
    ] {
        let result = result_text(&call_once(&target, &call, PATIENCE)?)?;
        let file = settings.work.join(format!("reply-{name}.json"));
        std::fs::write(&file, &result)?;
        files.push((name, file, result.len()));
    }
    running.stop();
    let mut list_bytes = None;
    for (name, file, bytes) in files {
        if name == "list" {
            list_bytes = Some(bytes);
            starter.floor_arguments.extend(arguments!["--list", file]);
        } else {
            starter
                .floor_arguments
                .extend(arguments!["--reply", format!("{name}={}", file.display())]);
        }
    }
    Ok(list_bytes)
}

/// Time from spawn to the first 200, and the memory of a server that has served one list.
fn starts(starter: &Starter<'_>, samples: &mut Samples) -> Result<(), Failure> {
    let count = if starter.settings.quick { 5 } else { 15 };
    progress(&format!("server: {count} starts of each side"));
    let list = Call::list(Era::Modern);
    for _ in 0..count {
        for start in [Starter::ours, Starter::floor] {
            let from = Instant::now();
            let side = start(starter)?;
            call_once(&side.target, &list, PATIENCE)?;
            samples.add(format!("start {}", side.name), from.elapsed().as_secs_f64() * 1e3);
            std::thread::sleep(Duration::from_millis(100));
            add_memory(samples, "idle", &side)?;
            side.running.stop();
        }
    }
    Ok(())
}

/// Resident memory of a side, and the part of it that is its own.
fn add_memory(samples: &mut Samples, name: &str, side: &Side) -> Result<(), Failure> {
    for (what, name) in [
        (Memory::Now, name.to_owned()),
        (Memory::Own, format!("{name} own")),
    ] {
        let kb = memory_kb(side.running.pid(), what)?;
        samples.add(format!("{name} {}", side.name), kb as f64 / 1024.0);
    }
    Ok(())
}

/// The rounds.
fn sides(starter: &Starter<'_>, samples: &mut Samples, section: &mut Section) -> Result<(), Failure> {
    let settings = starter.settings;
    let mut sides = vec![starter.ours()?, starter.floor()?];
    let peer = starter.peer().transpose();
    match peer {
        Ok(peer) => sides.extend(peer),
        Err(e) => section.not_measured.push(format!("{PEER}: {e}")),
    }
    let mut loads = loads();
    let rounds = settings.rounds();
    for round in 0..rounds {
        samples.add("sync", one_fdatasync_us(&settings.work)?);
        let mut broken = Vec::new();
        for load in &loads {
            progress(&format!("server: round {} of {rounds}, {}", round + 1, load.name));
            // The order turns: whoever goes second meets warmer or busier machines in turn.
            for turn in 0..sides.len() {
                let Some(side) = sides.get((turn + round) % sides.len()) else {
                    continue;
                };
                let found = match one_load(settings, side, load) {
                    Ok(found) => found,
                    // A peer's failure is named; it is no failure of this run.
                    Err(e) if side.name == PEER => {
                        let said = e.to_string();
                        if !section.not_measured.contains(&said) {
                            section.not_measured.push(said);
                        }
                        continue;
                    }
                    Err(e) => {
                        section.fail(e.to_string());
                        broken.push(load.name);
                        break;
                    }
                };
                let mut add = |what: &str, value: f64| {
                    samples.add(format!("{} {what} {}", load.name, side.name), value);
                };
                add("rate", found.per_second);
                add("p50", found.spread.p50_us);
                add("p99", found.spread.p99_us);
                add("fair", found.spread.p99_us / found.spread.p50_us.max(0.001));
                let cpu_us = found.server_cpu_us.unwrap_or(0.0);
                add("cpu", cpu_us);
                add("server", cpu_us * found.per_second / 1e6);
            }
        }
        // A load that fails on one side fails again; the others are still worth their figures.
        loads.retain(|load| !broken.contains(&load.name));
    }
    for side in &sides {
        add_memory(samples, "after", side)?;
    }
    if !starter.settings.quick {
        std::thread::sleep(QUIET);
        for side in &sides {
            add_memory(samples, "after quiet", side)?;
        }
    }
    for side in sides {
        side.running.stop();
    }
    Ok(())
}

fn one_load(settings: &Settings, side: &Side, load: &Load) -> Result<Outcome, Failure> {
    let (seconds, warm_up) = if settings.quick {
        ("0.8", "0.2")
    } else {
        ("3", "0.7")
    };
    let mut words = arguments![
        "run",
        "--url",
        format!("http://{}{}", side.target.authority, side.target.path),
        "--key",
        side.target.key.clone().unwrap_or_default(),
        "--method",
        load.call.method.clone(),
        "--connections",
        load.connections.to_string(),
        "--seconds",
        seconds,
        "--warm-up",
        warm_up,
        "--era",
        load.call.era.name(),
        "--pid",
        side.running.pid().to_string(),
    ];
    if let Some(tool) = &load.call.tool {
        words.extend(arguments![
            "--tool",
            tool.clone(),
            "--arguments",
            load.call.arguments.clone()
        ]);
    }
    words.extend(load.client.words());
    ask(settings.cores.load, &words).map_err(|e| format!("{} on {}: {e}", load.name, side.name).into())
}

/// What idle connections cost, each side fresh: memory that earlier load left behind would hide them.
fn idle_price(starter: &Starter<'_>, samples: &mut Samples) -> Result<(), Failure> {
    progress(&format!("server: {IDLE_CONNECTIONS} idle connections"));
    for start in [Starter::ours, Starter::floor] {
        let side = start(starter)?;
        let call = of_connection(&read_call(Era::Modern), 0);
        let words = arguments![
            "idle",
            "--url",
            format!("http://{}{}", side.target.authority, side.target.path),
            "--key",
            side.target.key.clone().unwrap_or_default(),
            "--tool",
            call.tool.clone().unwrap_or_default(),
            "--arguments",
            call.arguments.clone(),
            "--connections",
            IDLE_CONNECTIONS.to_string(),
            "--pid",
            side.running.pid().to_string(),
        ];
        let found: idle::Outcome = ask(starter.settings.cores.load, &words)?;
        samples.add(format!("idle each {}", side.name), found.each_kb);
        side.running.stop();
    }
    Ok(())
}

/// Median microseconds of a small append and its `fdatasync`, where the store lies.
fn one_fdatasync_us(folder: &Path) -> Result<f64, Failure> {
    let path = folder.join("fdatasync");
    let mut file = File::create(&path)?;
    let mut took_us = Vec::new();
    for _ in 0..100 {
        file.write_all(&[0; 4096])?;
        let from = Instant::now();
        file.sync_data()?;
        took_us.push(from.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(path)?;
    Ok(median(&took_us).unwrap_or(0.0))
}
