//! The bridge beside the least, a direct client, and other bridges.
//!
//! In: binaries. Out: one row per figure of design.md. The host and the bridge share a core, the stub has the other: on a
//! machine with two cores nobody can have three.

use super::{Samples, Settings, progress, start_floor};
use crate::bridge::{BIG_REPLY_BYTES, Figures};
use crate::host::Recipe;
use crate::ours;
use crate::process::{Running, arguments, ask};
use crate::report::{Row, Section, Target};
use crate::stats::median;
use crate::tls;
use crate::wire::Failure;
use std::ffi::OsString;
use std::path::Path;

/// Bytes of the stub's list.
const LIST_BYTES: &str = "40000";

/// A way from stdio to the stub, or none at all.
struct Candidate {
    name: String,
    /// `None` is the direct client.
    recipe: Option<Recipe>,
    /// A failure of ours or of a yardstick fails the run; a peer's is only named.
    peer: bool,
    tls: bool,
}

/// The stub in its characters.
struct Stubs {
    running: Vec<Running>,
    both: String,
    legacy: String,
    tls: String,
    ca: OsString,
}

/// Measures the section.
pub(super) fn measure(settings: &Settings) -> Result<Section, Failure> {
    let mut section = Section::new(
        "Bridge (legacy host, stub that serves both eras; plain HTTP, loopback)",
        "least",
    );
    if let Some(reason) = settings.missing(&settings.bridge) {
        section.not_measured.push(format!("everything: {reason}"));
        return Ok(section);
    }
    let stubs = stubs(settings)?;
    let candidates = candidates(settings);
    let mut samples = Samples::default();
    let rounds = settings.rounds();
    for round in 0..rounds {
        // What failed once would fail again, a minute each time; the figures of this far are still worth a table.
        if !section.failed.is_empty() {
            break;
        }
        for turn in 0..candidates.len() {
            let Some(candidate) = candidates.get((turn + round) % candidates.len()) else {
                continue;
            };
            // Interpreters start slowly; more than two rounds of them would be most of the run.
            if candidate.peer && round >= 2 {
                continue;
            }
            progress(&format!(
                "bridge: round {} of {rounds}, {}",
                round + 1,
                candidate.name
            ));
            let found: Figures = ask(settings.cores.tested, &words(settings, candidate, &stubs))?;
            for (name, value) in &found.figures {
                samples.add(format!("{} {name}", candidate.name), *value);
            }
            for failure in found.failures {
                let said = format!("{}, {failure}", candidate.name);
                if !candidate.peer {
                    section.fail(said);
                    continue;
                }
                if !section.not_measured.contains(&said) {
                    section.not_measured.push(said);
                }
            }
        }
    }
    for stub in stubs.running {
        stub.stop();
    }
    rows(settings, &mut section, &samples, &candidates);
    if settings.peers.is_empty() {
        let reason = settings
            .no_peers
            .clone()
            .unwrap_or_else(|| "not asked for (--peers)".to_owned());
        section
            .not_measured
            .push(format!("mcp-remote, supergateway, mcp-proxy: {reason}"));
    }
    Ok(section)
}

fn stubs(settings: &Settings) -> Result<Stubs, Failure> {
    let (certificate, key) = (
        settings.work.join("stub-cert.pem"),
        settings.work.join("stub-key.pem"),
    );
    tls::make(&certificate, &key)?;
    let core = settings.cores.load;
    let list = || arguments!["--list-bytes", LIST_BYTES];
    let (both, both_port) = start_floor(settings, "stub", core, &list())?;
    let mut legacy_only = list();
    legacy_only.extend(arguments!["--legacy-only"]);
    let (legacy, legacy_port) = start_floor(settings, "stub-legacy", core, &legacy_only)?;
    let mut with_tls = list();
    with_tls.extend(arguments!["--tls", &certificate, &key]);
    let (secure, secure_port) = start_floor(settings, "stub-tls", core, &with_tls)?;
    Ok(Stubs {
        running: vec![both, legacy, secure],
        both: format!("http://127.0.0.1:{both_port}/mcp"),
        legacy: format!("http://127.0.0.1:{legacy_port}/mcp"),
        tls: format!("https://localhost:{secure_port}/mcp"),
        ca: certificate.into(),
    })
}

fn candidates(settings: &Settings) -> Vec<Candidate> {
    let least = Recipe {
        program: settings.least.display().to_string(),
        arguments: vec!["{url}".to_owned(), "{parallel}".to_owned()],
        variables: Vec::new(),
    };
    let own = if settings.against_itself {
        least.clone()
    } else {
        ours::bridge(&settings.bridge)
    };
    let mut all = vec![
        Candidate {
            name: "ours".to_owned(),
            recipe: Some(own),
            peer: false,
            tls: !settings.against_itself,
        },
        Candidate {
            name: "least".to_owned(),
            recipe: Some(least),
            peer: false,
            tls: false,
        },
        Candidate {
            name: "direct".to_owned(),
            recipe: None,
            peer: false,
            tls: false,
        },
    ];
    all.extend(settings.peers.iter().map(|(name, script)| Candidate {
        name: name.clone(),
        recipe: Some(peer(name, script)),
        peer: true,
        tls: false,
    }));
    all
}

/// How other bridges are started: a script of Node's by Node, any other program by itself.
fn peer(name: &str, program: &Path) -> Recipe {
    let arguments: &[&str] = match name {
        "mcp-remote" => &["{url}", "--allow-http", "--transport", "http-only"],
        "supergateway" => &["--streamableHttp", "{url}", "--logLevel", "none"],
        "mcp-proxy" => &["--transport", "streamablehttp", "{url}"],
        _ => &["{url}"],
    };
    let program = program.display().to_string();
    let mut words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    let is_script = program.ends_with(".js");
    if is_script {
        words.insert(0, program.clone());
    }
    Recipe {
        program: if is_script { "node".to_owned() } else { program },
        arguments: words,
        variables: Vec::new(),
    }
}

fn words(settings: &Settings, candidate: &Candidate, stubs: &Stubs) -> Vec<OsString> {
    let mut words = match &candidate.recipe {
        None => arguments!["direct", "--url", &stubs.both],
        Some(recipe) => {
            let mut words = arguments!["bridge", "--bin", &recipe.program, "--url", &stubs.both];
            for argument in &recipe.arguments {
                // With `=`, so that an argument that begins with a dash stays one.
                words.push(format!("--arg={argument}").into());
            }
            for (name, value) in &recipe.variables {
                words.push(format!("--env={name}={value}").into());
            }
            words.extend(arguments!["--legacy-url", &stubs.legacy]);
            if candidate.tls {
                words.extend(arguments!["--tls-url", &stubs.tls, "--tls-ca", &stubs.ca]);
            }
            words
        }
    };
    if settings.quick {
        words.push("--quick".into());
    }
    words
}

/// Samples become lines.
fn rows(settings: &Settings, section: &mut Section, samples: &Samples, candidates: &[Candidate]) {
    let of = |candidate: &str, name: &str, scale: f64| -> Vec<f64> {
        samples
            .get(&format!("{candidate} {name}"))
            .into_iter()
            .map(|value| value * scale)
            .collect()
    };
    let mut rows = Vec::new();
    let mut row = |figure: &str, name: &str, scale: f64, base: &str, target: Target| {
        let mut row = Row::new(figure, of("ours", name, scale), of(base, name, scale), target);
        for other in candidates
            .iter()
            .filter(|other| other.peer || other.name == "direct")
        {
            let values = of(&other.name, name, scale);
            if !values.is_empty() {
                row.peers.insert(other.name.clone(), values);
            }
        }
        rows.push(row);
    };
    let (kb, mb) = (1.0 / 1024.0, 1.0 / 1_048_576.0);
    let message_mb = BIG_REPLY_BYTES as f64 * mb;
    row(
        "cold start to the first `initialize` reply: ms",
        "start_ms",
        1.0,
        "least",
        Target::AtMost(2.0),
    );
    row("memory idle: MB", "idle_kb", kb, "least", Target::AtMost(3.5));
    row(
        "memory with 64 calls in flight: MB",
        "busy_kb",
        kb,
        "least",
        Target::AtMost(8.0),
    );
    row(
        "one 100-byte call: p50 µs",
        "call_p50_us",
        1.0,
        "least",
        Target::RatioAtMost(1.2),
    );
    row(
        "one 100-byte call: p99 µs",
        "call_p99_us",
        1.0,
        "least",
        Target::RatioAtMost(1.2),
    );
    row(
        "  modern host, passed through: p50 µs",
        "modern_call_p50_us",
        1.0,
        "least",
        Target::RatioAtMost(1.2),
    );
    row(
        "  modern host, passed through: p99 µs",
        "modern_call_p99_us",
        1.0,
        "least",
        Target::RatioAtMost(1.2),
    );
    row(
        "  legacy-only upstream, passed through: p50 µs",
        "legacy_call_p50_us",
        1.0,
        "least",
        Target::RatioAtMost(1.2),
    );
    row(
        "  legacy-only upstream, passed through: p99 µs",
        "legacy_call_p99_us",
        1.0,
        "least",
        Target::RatioAtMost(1.2),
    );
    row(
        "tools/list of 40 KB: p50 µs",
        "list_p50_us",
        1.0,
        "least",
        Target::RatioAtMost(1.3),
    );
    row(
        "  modern host, passed through: p50 µs",
        "modern_list_p50_us",
        1.0,
        "least",
        Target::RatioAtMost(1.3),
    );
    row(
        "  legacy-only upstream, passed through: p50 µs",
        "legacy_list_p50_us",
        1.0,
        "least",
        Target::RatioAtMost(1.3),
    );
    row(
        "calls/s, 16 in flight (base: direct client)",
        "rate_16",
        1.0,
        "direct",
        Target::RatioAtLeast(0.7),
    );
    row(
        "calls/s, 64 in flight (base: direct client)",
        "rate_64",
        1.0,
        "direct",
        Target::RatioAtLeast(1.0),
    );
    row(
        "calls/s, 16 in flight (base: least)",
        "rate_16",
        1.0,
        "least",
        Target::None,
    );
    row(
        "calls/s, 64 in flight (base: least)",
        "rate_64",
        1.0,
        "least",
        Target::None,
    );
    row(
        "CPU per 1 000 calls, one at a time: ms",
        "cpu_one_ms",
        1.0,
        "least",
        Target::RatioAtMost(1.6),
    );
    row(
        "  modern host, passed through: ms",
        "modern_cpu_one_ms",
        1.0,
        "least",
        Target::RatioAtMost(1.6),
    );
    row(
        "  legacy-only upstream, passed through: ms",
        "legacy_cpu_one_ms",
        1.0,
        "least",
        Target::RatioAtMost(1.6),
    );
    row(
        "CPU per 1 000 calls, 64 in flight: ms",
        "cpu_64_ms",
        1.0,
        "least",
        Target::RatioAtMost(1.6),
    );
    row(
        "10 MB reply: ms",
        "big_ms",
        1.0,
        "least",
        Target::RatioAtMost(2.0),
    );
    let peak = Target::AtMostBecause(message_mb + 6.0, "message + 6".to_owned());
    row("10 MB reply: peak memory MB", "big_peak_kb", kb, "least", peak);
    row(
        "1 000 calls of 200 ms at once: ms",
        "storm_ms",
        1.0,
        "least",
        Target::AtMost(300.0),
    );
    row(
        "from the end of stdin to exit: ms",
        "exit_ms",
        1.0,
        "least",
        Target::AtMost(5.0),
    );
    row(
        "binary, with sign-in, setup and doctor: MB",
        "binary_bytes",
        mb,
        "least",
        Target::AtMost(3.5),
    );
    let plain_ms = median(&of("ours", "start_ms", 1.0)).unwrap_or(0.0);
    let handshake = Target::AtMostBecause(3.0 * plain_ms, "3x the plain one".to_owned());
    row(
        "cold start with TLS, handshake included: ms",
        "tls_start_ms",
        1.0,
        "least",
        handshake,
    );

    // What moving bytes alone reaches on this machine, so that a share that is missed can be told from one that cannot be had.
    for (figure, name) in [
        (
            "calls/s of the least, 16 in flight (base: direct client)",
            "rate_16",
        ),
        (
            "calls/s of the least, 64 in flight (base: direct client)",
            "rate_64",
        ),
    ] {
        rows.push(Row::new(
            figure,
            of("least", name, 1.0),
            of("direct", name, 1.0),
            Target::None,
        ));
    }

    // A node script's own size says nothing without node.
    for row in rows.iter_mut().filter(|row| row.figure.starts_with("binary")) {
        row.peers.clear();
    }
    section.rows = rows;
    match settings.bridge_lean.as_deref().map(std::fs::metadata) {
        Some(Ok(file)) => section.rows.push(Row::new(
            "binary, without them: MB",
            vec![file.len() as f64 * mb],
            Vec::new(),
            Target::AtMost(2.2),
        )),
        _ => section
            .not_measured
            .push("binary without sign-in, setup and doctor: no such build was given".to_owned()),
    }
    if settings.against_itself {
        section
            .not_measured
            .push("cold start with TLS: the least speaks none".to_owned());
    }
    let is_static = settings.bridge.to_string_lossy().contains("-linux-musl");
    section.notes.push(
        match is_static {
            true => "the bridge is the static build that ships for Linux (musl)",
            false => "the bridge is linked to this machine's C library; what ships for Linux is static",
        }
        .to_owned(),
    );
    section.notes.push(
        "the least has as many threads as calls in flight; the direct client is hyper, HTTP/1.1, one thread"
            .to_owned(),
    );
}
