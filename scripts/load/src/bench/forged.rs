//! Forged access tokens: what a flood of them costs whoever calls with a good one.
//!
//! In: our binary, and a provider that is two documents on a port of ours. Out: calls a second of people with good tokens,
//! with and without 1 000 forged ones a second beside them, over connections that stay and over one for each token. Each
//! forged token is another one, right in every claim and in the name of its key, so that nothing but its signature gives it
//! away: the most expensive kind there is.

use super::{Samples, Settings, progress};
use crate::flood::{Flood, Kind};
use crate::generator::Outcome;
use crate::ours::{self, READ_TOOL};
use crate::process::{Running, arguments, ask, cpu_ns, free_port, wait_for_port};
use crate::report::{Row, Section, Target as Goal};
use crate::tokens::Provider;
use crate::wire::{Call, Era, Failure, Target, call_once};
use std::time::{Duration, Instant};

/// Connections of the honest.
const CONNECTIONS: usize = 64;
/// Who floods while the honest are measured.
const SIDES: [Option<Kind>; 3] = [None, Some(Kind::Kept), Some(Kind::Fresh)];
/// For one call that is not measured.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures the section.
pub(super) fn measure(settings: &Settings) -> Result<Section, Failure> {
    let mut section = Section::new("Forged access tokens, 1 000 a second", "without them");
    if settings.against_itself {
        section
            .not_measured
            .push("everything: both sides are ours here".to_owned());
        return Ok(section);
    }
    if let Some(reason) = settings.missing(&settings.server) {
        section.not_measured.push(format!("everything: {reason}"));
        return Ok(section);
    }
    let product = ours::Server::new(
        &settings.server,
        &settings.folder("data-forged")?,
        None,
        "[oauth]\nrequests_per_minute = 100000000\n",
    )?;
    let provider = Provider::start()?;
    product.take_tokens_of(&provider.issuer)?;
    let port = free_port()?;
    let command = product.serve(settings.cores.tested, port);
    let mut running = Running::start("the server", command, &settings.log("server-forged"))?;
    wait_for_port(&mut running, port)?;

    let url = format!("http://127.0.0.1:{port}{}", ours::TOKEN_PATH);
    let token = provider.good_token(&url);
    let target = Target::parse(&url, Some(token.clone()))?;
    let content = r#"{"key":"bench","content":"A short note."}"#;
    call_once(
        &target,
        &Call::tool(Era::Modern, ours::WRITE_TOOL, content),
        PATIENCE,
    )?;

    let mut samples = Samples::default();
    let mut sent = Vec::new();
    for round in 0..settings.rounds() {
        progress(&format!(
            "forged tokens: round {} of {}",
            round + 1,
            settings.rounds()
        ));
        // The order turns, as everywhere.
        for turn in 0..SIDES.len() {
            let Some(&flooded) = SIDES.get((turn + round) % SIDES.len()) else {
                continue;
            };
            let flood = match flooded {
                Some(kind) => Some(Flood::start(settings.cores.load, kind, &url, &provider)?),
                None => None,
            };
            let found = honest(settings, &url, &token, running.pid());
            if let (Some(flood), Some(kind)) = (flood, flooded) {
                sent.push((kind, flood.stop()?));
            }
            let found = found?;
            let side = flooded.map_or("alone", Kind::name);
            let mut add = |name: &str, value: f64| samples.add(format!("{name} {side}"), value);
            add("rate", found.per_second);
            add("p50", found.spread.p50_us);
            add("p99", found.spread.p99_us);
            add("cpu", found.server_cpu_us.unwrap_or(0.0));
            add("generator", found.generator_cpu_share);
        }
    }
    for kind in [Kind::Kept, Kind::Fresh] {
        let each_us = one_token_us(settings, kind, &url, &provider, running.pid())?;
        section.notes.push(format!(
            "over {} connections, CPU of the server for a forged token when nobody else calls: {each_us:.0} µs",
            kind.name()
        ));
    }
    running.stop();
    rows(&mut section, &samples);
    for (kind, outcome) in sent {
        if outcome.accepted > 0 {
            section.fail(format!("{} forged tokens were accepted", outcome.accepted));
        }
        section.notes.push(format!(
            "forged tokens sent a second over {} connections: {:.0}; answered 401: {}, 429: {}, 503: {}; CPU of their sender {:.0} µs each",
            kind.name(),
            outcome.per_second,
            outcome.refused,
            outcome.limited,
            outcome.busy,
            outcome.own_cpu_us
        ));
    }
    std::fs::remove_dir_all(product.data())?;
    Ok(section)
}

/// Samples become lines.
fn rows(section: &mut Section, samples: &Samples) {
    for kind in [Kind::Kept, Kind::Fresh] {
        for (figure, name, goal) in [
            ("calls/s", "rate", Goal::RatioAtLeast(0.9)),
            ("p50 µs", "p50", Goal::None),
            ("p99 µs", "p99", Goal::None),
            // Steadier than calls/s where the machine does other things, too.
            ("CPU µs of the server a call", "cpu", Goal::None),
            (
                "share of its core that the generator used",
                "generator",
                Goal::None,
            ),
        ] {
            let figure = match name {
                "rate" => format!(
                    "read with a token, 64 connections, {} ones flood: {figure}",
                    kind.name()
                ),
                _ => format!("  {figure}"),
            };
            let side = |side: &str| samples.get(&format!("{name} {side}"));
            section
                .rows
                .push(Row::new(figure, side(kind.name()), side("alone"), goal));
        }
    }
}

/// Microseconds of the server's CPU for each forged token, with nobody else there.
fn one_token_us(
    settings: &Settings,
    kind: Kind,
    url: &str,
    provider: &Provider,
    pid: u32,
) -> Result<f64, Failure> {
    let flood = Flood::start(settings.cores.load, kind, url, provider)?;
    let (from, used_ns) = (Instant::now(), cpu_ns(pid)?);
    std::thread::sleep(Duration::from_secs(if settings.quick { 1 } else { 3 }));
    let used_ns = cpu_ns(pid)?.saturating_sub(used_ns);
    let seconds = from.elapsed().as_secs_f64();
    let outcome = flood.stop()?;
    Ok(used_ns as f64 / 1_000.0 / (outcome.per_second * seconds).max(1.0))
}

fn honest(settings: &Settings, url: &str, token: &str, pid: u32) -> Result<Outcome, Failure> {
    let (seconds, warm_up) = if settings.quick {
        ("1.5", "0.3")
    } else {
        ("4", "0.7")
    };
    let words = arguments![
        "run",
        "--url",
        url,
        "--key",
        token,
        "--method",
        "tools/call",
        "--tool",
        READ_TOOL,
        "--arguments",
        r#"{"key":"bench"}"#,
        "--connections",
        CONNECTIONS.to_string(),
        "--seconds",
        seconds,
        "--warm-up",
        warm_up,
        "--era",
        Era::Modern.name(),
        "--pid",
        pid.to_string(),
    ];
    ask(settings.cores.load, &words)
}
