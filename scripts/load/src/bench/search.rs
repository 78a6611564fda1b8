//! Synchronising and searching, through the tools a client would call.
//!
//! In: our binary and generated Markdown. Out: seconds to take in 10 000 files, seconds to see that nothing changed, and the
//! spread of searches over 100 000 chunks. Beside the sync stands the time to read the same files and do nothing with them.

use super::{Samples, Settings, progress};
use crate::corpus::{Dice, Vocabulary, write_notes, write_sections};
use crate::generator::Outcome;
use crate::ours;
use crate::process::{Running, arguments, ask, free_port, wait_for_port};
use crate::report::{Row, Section, Target as Goal};
use crate::wire::{Call, Era, Failure, Target, call_once, tool_result};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Files of the sync figures.
const FILES: usize = 10_000;
/// Chunks of the search figures, and their number with `--quick`.
const CHUNKS: (usize, usize) = (100_000, 10_000);
/// For a sync to end, whatever the call limit of the server says.
const PATIENCE: Duration = Duration::from_secs(600);
/// Queries of each kind.
const QUERIES: usize = 100;

/// A server of ours with a source, and the key to it.
struct Started {
    running: Running,
    target: Target,
}

fn start(settings: &Settings, name: &str, source: &Path) -> Result<Started, Failure> {
    let data = settings.folder(&format!("data-{name}"))?;
    let product = ours::Server::new(&settings.server, &data, None, "")?;
    let key = product.mint()?.secret;
    product.add_source(name, source)?;
    let port = free_port()?;
    let mut running = Running::start(
        "the server",
        product.serve(settings.cores.tested, port),
        &settings.log(name),
    )?;
    wait_for_port(&mut running, port)?;
    Ok(Started {
        running,
        target: ours::Server::target(port, &key)?,
    })
}

/// Measures the section.
pub(super) fn measure(settings: &Settings) -> Result<Section, Failure> {
    let mut section = Section::new("Search (context edition, embedded store)", "read only");
    if settings.against_itself {
        section
            .not_measured
            .push("everything: there is no yardstick to set against itself".to_owned());
        return Ok(section);
    }
    if let Some(reason) = settings.missing(&settings.server) {
        section.not_measured.push(format!("everything: {reason}"));
        return Ok(section);
    }
    sync(settings, &mut section)?;
    search(settings, &mut section)?;
    Ok(section)
}

fn sync(settings: &Settings, section: &mut Section) -> Result<(), Failure> {
    let folder = settings.folder("notes")?;
    progress(&format!("search: writing {FILES} Markdown files"));
    let bytes = write_notes(&folder, FILES)?;
    let mut samples = Samples::default();
    let rounds = if settings.quick { 1 } else { 3 };
    for round in 0..rounds {
        progress(&format!(
            "search: sync of {FILES} files, round {} of {rounds}",
            round + 1
        ));
        samples.add("read", read_all(&folder)?);
        let started = start(settings, "sync", &folder)?;
        let from = Instant::now();
        let added = sync_and_wait(&started.target, |status| {
            number(status, "entities") >= FILES as u64
        })?;
        samples.add("cold", from.elapsed().as_secs_f64());
        if number(&added, "entities") != FILES as u64 {
            return Err(format!("{FILES} files were to be synchronised, the server says {added}").into());
        }
        for _ in 0..3 {
            samples.add("look", look_at_all(&folder)?);
            samples.add("unchanged", sync_unchanged(&started.target)?);
        }
        started.running.stop();
    }
    std::fs::remove_dir_all(settings.work.join("data-sync"))?;
    std::fs::remove_dir_all(&folder)?;
    let mut row = |figure: &str, ours: &str, base: &str, most: f64| {
        section.rows.push(Row::new(
            figure,
            samples.get(ours),
            samples.get(base),
            Goal::AtMost(most),
        ));
    };
    row(
        &format!(
            "sync of {FILES} Markdown files ({:.0} MB), cold: s",
            bytes as f64 / 1e6
        ),
        "cold",
        "read",
        20.0,
    );
    row("the same, unchanged: s", "unchanged", "look", 1.0);
    section.notes.push(
        "read only: the files are read and forgotten; for unchanged, their size and time are looked at"
            .to_owned(),
    );
    Ok(())
}

fn search(settings: &Settings, section: &mut Section) -> Result<(), Failure> {
    let wanted = if settings.quick { CHUNKS.1 } else { CHUNKS.0 };
    let folder = settings.folder("sections")?;
    progress(&format!("search: writing {wanted} sections"));
    write_sections(&folder, wanted)?;
    let started = start(settings, "search", &folder)?;
    progress("search: taking them in");
    let status = sync_and_wait(&started.target, |status| {
        number(status, "chunks") >= wanted as u64 * 9 / 10
    })?;
    let chunks = number(&status, "chunks");
    section.notes.push(format!("{chunks} chunks were searched"));
    if settings.quick {
        section.not_measured.push(format!(
            "search over {} chunks: --quick searches {chunks}",
            CHUNKS.0
        ));
    }

    let vocabulary = Vocabulary::new();
    let mut dice = Dice::new(17);
    let mut samples = Samples::default();
    let kinds: [(&str, [usize; 2], usize); 4] = [
        ("the 20 most frequent words, one at a time", [0, 20], 1),
        ("three frequent words", [0, 100], 3),
        ("two words of the middle", [100, 3_000], 2),
        ("two rare words", [3_000, 30_000], 2),
    ];
    let mut everything = Vec::new();
    let mut queries: Vec<(&str, Vec<Call>)> = Vec::new();
    for (kind, [from, to], words) in kinds {
        let calls: Vec<Call> = (0..QUERIES)
            .map(|n| {
                let rank = |dice: &mut Dice| {
                    if words == 1 {
                        from + n % (to - from)
                    } else {
                        from + dice.below(to - from)
                    }
                };
                let text: Vec<&str> = (0..words).map(|_| vocabulary.rank(rank(&mut dice))).collect();
                Call::tool(
                    Era::Modern,
                    "search",
                    &json!({ "query": text.join(" "), "limit": 10 }).to_string(),
                )
            })
            .collect();
        // An empty answer is quick; a kind that finds nothing would flatter.
        if let Some(first) = calls.first() {
            let found = tool_result(&call_once(&started.target, first, PATIENCE)?)?;
            if found
                .get("results")
                .and_then(Value::as_array)
                .is_none_or(Vec::is_empty)
            {
                return Err(format!("a search for {kind} found nothing: {}", first.arguments).into());
            }
        }
        everything.extend(calls.iter().cloned());
        queries.push((kind, calls));
    }
    queries.push(("all of these", everything));
    let rounds = settings.rounds();
    for round in 0..rounds {
        for (kind, calls) in &queries {
            progress(&format!("search: round {} of {rounds}, {kind}", round + 1));
            let found = run_queries(settings, &started, calls)?;
            samples.add(format!("{kind} p50"), found.spread.p50_us / 1e3);
            samples.add(format!("{kind} p99"), found.spread.p99_us / 1e3);
        }
    }
    started.running.stop();
    std::fs::remove_dir_all(settings.work.join("data-search"))?;
    std::fs::remove_dir_all(&folder)?;
    for (kind, _) in &queries {
        for (share, most) in [("p50", 5.0), ("p99", 20.0)] {
            let ours = samples.get(&format!("{kind} {share}"));
            section.rows.push(Row::new(
                format!("search, {kind}: {share} ms"),
                ours,
                Vec::new(),
                Goal::AtMost(most),
            ));
        }
    }
    Ok(())
}

/// Every query three times, one at a time.
fn run_queries(settings: &Settings, started: &Started, calls: &[Call]) -> Result<Outcome, Failure> {
    let target = &started.target;
    let mut words = arguments![
        "run",
        "--url",
        format!("http://{}{}", target.authority, target.path),
        "--key",
        target.key.clone().unwrap_or_default(),
        "--connections",
        "1",
        "--seconds",
        "60",
        "--most-calls",
        (calls.len() * 3).to_string(),
    ];
    for call in calls {
        words.extend(arguments![
            "--tool",
            "search",
            "--arguments",
            call.arguments.clone()
        ]);
    }
    ask(settings.cores.load, &words)
}

/// Calls `sync` and waits until `done` says so of the source's status; a call limit of the server is no error as long as
/// the work goes on.
fn sync_and_wait(target: &Target, done: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
    let until = Instant::now() + PATIENCE;
    let asked = call_once(target, &Call::tool(Era::Modern, "sync", "{}"), PATIENCE);
    loop {
        let reply = call_once(target, &Call::tool(Era::Modern, "sync_status", "{}"), PATIENCE)?;
        let status = tool_result(&reply)?
            .pointer("/connectors/0")
            .cloned()
            .unwrap_or(Value::Null);
        let ended = status.get("last_sync").is_some_and(|at| !at.is_null());
        if ended && done(&status) {
            return Ok(status);
        }
        if Instant::now() > until {
            let said = asked
                .err()
                .map_or_else(String::new, |e| format!("; the call said: {e}"));
            return Err(format!(
                "the sync has not ended in {} s, its status is {status}{said}",
                PATIENCE.as_secs()
            )
            .into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Calls `sync` where nothing changed, again if the server was at it by itself, and returns the seconds it took. Its reply
/// must say that it looked and found nothing: the figure would be that of a refusal otherwise.
fn sync_unchanged(target: &Target) -> Result<f64, Failure> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let from = Instant::now();
        let reply = call_once(target, &Call::tool(Era::Modern, "sync", "{}"), PATIENCE)?;
        let took = from.elapsed();
        let said = tool_result(&reply)?;
        if said.get("skipped") == Some(&Value::Bool(true)) {
            std::thread::sleep(Duration::from_millis(200));
            continue;
        }
        let unchanged = |report: &Value| {
            let errors = report.get("errors").and_then(Value::as_array);
            ["added", "updated", "removed"]
                .iter()
                .all(|what| number(report, what) == 0)
                && errors.is_some_and(Vec::is_empty)
        };
        let reports = said.get("connectors").and_then(Value::as_array);
        let looked = reports.is_some_and(|all| !all.is_empty() && all.iter().all(unchanged));
        if !looked || said.get("running").is_some() {
            return Err(format!("`sync` did not find the notes unchanged: {said}").into());
        }
        return Ok(took.as_secs_f64());
    }
    Err("the server is always synchronising by itself".into())
}

fn number(status: &Value, name: &str) -> u64 {
    status.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// Seconds to read every file once.
fn read_all(folder: &Path) -> Result<f64, Failure> {
    timed_walk(folder, |file| Ok(std::fs::read(file)?.len() as u64))
}

/// Seconds to ask every file for its size and time.
fn look_at_all(folder: &Path) -> Result<f64, Failure> {
    timed_walk(folder, |file| Ok(std::fs::metadata(file)?.len()))
}

fn timed_walk(folder: &Path, visit: impl Fn(&Path) -> Result<u64, Failure>) -> Result<f64, Failure> {
    let from = Instant::now();
    let mut bytes = 0;
    for place in std::fs::read_dir(folder)? {
        for file in std::fs::read_dir(place?.path())? {
            bytes += visit(&file?.path())?;
        }
    }
    std::hint::black_box(bytes);
    Ok(from.elapsed().as_secs_f64())
}
