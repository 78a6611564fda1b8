//! Forged access tokens: what a flood of them costs whoever calls with a good one.
//!
//! In: our binary, and a provider that is two documents on a port of ours. Out: calls a second of people with good tokens,
//! with and without 1 000 forged ones a second beside them. Each forged token is another one, right in every claim and in
//! the name of its key, so that nothing but its signature gives it away: the most expensive kind there is.

use super::{Samples, Settings, progress};
use crate::flood;
use crate::generator::Outcome;
use crate::ours::{self, READ_TOOL};
use crate::process::{Running, arguments, ask, free_port, wait_for_port};
use crate::report::{Row, Section, Target as Goal};
use crate::tokens::Provider;
use crate::wire::{Call, Era, Failure, Target, call_once};
use std::time::Duration;

/// Connections of the honest.
const CONNECTIONS: usize = 64;
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
        for turn in 0..2 {
            let flooded = (turn + round) % 2 == 1;
            let flood = match flooded {
                true => Some(flood::Flood::start(settings.cores.load, &url, &provider)?),
                false => None,
            };
            let found = honest(settings, &url, &token, running.pid());
            if let Some(flood) = flood {
                sent.push(flood.stop()?);
            }
            let found = found?;
            let side = if flooded { "flooded" } else { "alone" };
            samples.add(format!("rate {side}"), found.per_second);
            samples.add(format!("p50 {side}"), found.spread.p50_us);
            samples.add(format!("p99 {side}"), found.spread.p99_us);
        }
    }
    running.stop();
    for (figure, name, goal) in [
        (
            "tools/call read with a token, 64 connections: calls/s",
            "rate",
            Goal::RatioAtLeast(0.9),
        ),
        ("  p50 µs", "p50", Goal::None),
        ("  p99 µs", "p99", Goal::None),
    ] {
        let side = |side: &str| samples.get(&format!("{name} {side}"));
        section
            .rows
            .push(Row::new(figure, side("flooded"), side("alone"), goal));
    }
    for outcome in sent {
        if outcome.accepted > 0 {
            section.fail(format!("{} forged tokens were accepted", outcome.accepted));
        }
        section.notes.push(format!(
            "forged tokens sent a second: {:.0}; answered 401: {}, 429: {}, 503: {}",
            outcome.per_second, outcome.refused, outcome.limited, outcome.busy
        ));
    }
    std::fs::remove_dir_all(product.data())?;
    Ok(section)
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
