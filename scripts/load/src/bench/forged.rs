//! Forged access tokens: what a flood of them costs whoever calls with a good one.
//!
//! In: our binary, and a provider that is two documents on a port of ours. Out: calls a second of people with good tokens,
//! with and without 1 000 forged ones a second beside them, over connections that stay and over one for each token. Each
//! forged token is another one, right in every claim and in the name of its key, so that nothing but its signature gives it
//! away. They come from one address, so after the first of them the limit of failed sign-ins answers most, and their signature
//! is not looked at; the notes count both.
//!
//! The floor meets the same flood in the same run. It gives our bytes, the refusal as well, and looks at nothing: what the
//! flood takes from the calls there, the machine takes.
//!
//! The honest never sleep (`--awake`). A client that sleeps is woken by the server's own core, and beside a flood of fresh
//! connections that takes an interrupt more often: such a client measures the machine's wake-ups as well. That figure is
//! printed below the others, without a target.

use super::{Client, Samples, Settings, progress, start_floor};
use crate::flood::{self, Flood, Kind};
use crate::generator::Outcome;
use crate::ours::{self, READ_TOOL};
use crate::process::{Running, arguments, ask, cpu_ns, free_port, wait_for_port};
use crate::report::{Row, Section, Target as Goal};
use crate::tokens::Provider;
use crate::wire::{Call, Era, FIRST_ID, Failure, Target, call_once, excerpt, exchange, result_text};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Connections of the honest.
const CONNECTIONS: usize = 64;
/// Who floods while the honest are measured.
const FLOODS: [Option<Kind>; 3] = [None, Some(Kind::Kept), Some(Kind::Fresh)];
/// For one call that is not measured.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who the honest are: with which server, and whether they sleep until a reply comes.
const HONEST: [(&str, Client); 3] = [
    ("ours", Client::Awake),
    ("the floor", Client::Awake),
    ("ours", Client::Asleep),
];

/// A server that is flooded.
struct Side {
    name: &'static str,
    running: Running,
    url: String,
}

/// Measures the section.
pub(super) fn measure(settings: &Settings) -> Result<Section, Failure> {
    let mut section = Section::of(
        "Forged access tokens, 1 000 a second",
        "with them",
        "without them",
    );
    if settings.leaves_out(&mut section) {
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
    let ours = ours(settings, &product)?;
    let token = provider.good_token(&ours.url);
    let floor = floor(settings, &ours.url, &token, &provider)?;
    let sides = [ours, floor];

    let mut samples = Samples::default();
    let mut sent: BTreeMap<(&str, &str), Vec<flood::Outcome>> = BTreeMap::new();
    for round in 0..settings.rounds() {
        progress(&format!(
            "forged tokens: round {} of {}",
            round + 1,
            settings.rounds()
        ));
        // The order turns, as everywhere.
        for turn in 0..FLOODS.len() {
            let Some(&flooded) = FLOODS.get((turn + round) % FLOODS.len()) else {
                continue;
            };
            for (name, client) in HONEST {
                let Some(side) = sides.iter().find(|side| side.name == name) else {
                    continue;
                };
                let flood = match flooded {
                    Some(kind) => Some(Flood::start(settings.cores.load, kind, &side.url, &provider)?),
                    None => None,
                };
                let found = honest(settings, side, client, &token);
                let with = flooded.map_or("alone", Kind::name);
                if let Some(flood) = flood {
                    sent.entry((with, side.name)).or_default().push(flood.stop()?);
                }
                let found = found?;
                let mut add = |name: &str, value: f64| {
                    samples.add(format!("{name} {with} {} {}", side.name, client.name()), value);
                };
                let cpu_us = found.server_cpu_us.unwrap_or(0.0);
                add("rate", found.per_second);
                add("p50", found.spread.p50_us);
                add("p99", found.spread.p99_us);
                add("cpu", cpu_us);
                add("server", cpu_us * found.per_second / 1e6);
                add("generator", found.generator_cpu_share);
            }
        }
    }
    rows(&mut section, &samples);
    section.notes.push(
        "the server has one core, the honest share the other with the flood. `awake`: the honest look for replies without a pause, \
         so no server has to wake them. `asleep`: they sleep until a reply comes, and the server's core wakes theirs, by an \
         interrupt wherever that core has gone to rest. Beside fresh connections that is the case more often, and on a virtual \
         machine each takes microseconds of the server's core: compare CPU of the server a call. The floor, which looks at no token, shows what accepting, answering and \
         closing 1 000 connections a second takes by itself"
            .to_owned(),
    );
    for kind in [Kind::Kept, Kind::Fresh] {
        for side in &sides {
            let each_us = one_token_us(settings, kind, side, &provider)?;
            section.notes.push(format!(
                "over {} connections, CPU of {} for a forged token when nobody else calls: {each_us:.0} µs",
                kind.name(),
                side.name,
            ));
        }
    }
    for ((kind, side), outcomes) in &sent {
        note_flood(&mut section, kind, side, outcomes);
    }
    for side in sides {
        side.running.stop();
    }
    std::fs::remove_dir_all(product.data())?;
    Ok(section)
}

/// Our server, which knows the caller and has something to read.
fn ours(settings: &Settings, product: &ours::Server) -> Result<Side, Failure> {
    let port = free_port()?;
    let command = product.serve(settings.cores.tested, port);
    let mut running = Running::start("the server", command, &settings.log("server-forged"))?;
    wait_for_port(&mut running, port)?;
    Ok(Side {
        name: "ours",
        running,
        url: format!("http://127.0.0.1:{port}{}", ours::TOKEN_PATH),
    })
}

/// The floor, with the bytes that ours answers a good token and a forged one with.
fn floor(settings: &Settings, ours: &str, token: &str, provider: &Provider) -> Result<Side, Failure> {
    let target = Target::parse(ours, Some(token.to_owned()))?;
    let content = r#"{"key":"bench","content":"A short note."}"#;
    call_once(
        &target,
        &Call::tool(Era::Modern, ours::WRITE_TOOL, content),
        PATIENCE,
    )?;
    let read = Call::tool(Era::Modern, READ_TOOL, READ_ARGUMENTS);
    let reply = result_text(&call_once(&target, &read, PATIENCE)?)?;
    let forged = Target::parse(ours, Some(provider.forged_token(ours, 0)))?;
    let request = Call::list(Era::Modern).request(&forged, FIRST_ID);
    let (status, refusal) = exchange(&mut forged.connect()?, &request, PATIENCE)?;
    if status != 401 {
        return Err(format!("a forged token got HTTP {status}: {}", excerpt(&refusal)).into());
    }
    let kept = |name: &str, bytes: &[u8]| -> Result<PathBuf, Failure> {
        let file = settings.work.join(name);
        std::fs::write(&file, bytes)?;
        Ok(file)
    };
    let reply = kept("reply-forged-read.json", reply.as_bytes())?;
    let refusal = kept("reply-forged-refusal", &refusal)?;
    let words = arguments![
        "--reply",
        format!("{READ_TOOL}={}", reply.display()),
        "--refusal",
        refusal
    ];
    let (running, port) = start_floor(settings, "floor-forged", settings.cores.tested, &words)?;
    Ok(Side {
        name: "the floor",
        running,
        url: format!("http://127.0.0.1:{port}{}", ours::TOKEN_PATH),
    })
}

/// Says what a flood was answered.
fn note_flood(section: &mut Section, kind: &str, side: &str, outcomes: &[flood::Outcome]) {
    let sum = |of: fn(&flood::Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let mean = |of: fn(&flood::Outcome) -> f64| {
        outcomes.iter().map(of).sum::<f64>() / (outcomes.len().max(1) as f64)
    };
    let accepted = sum(|found| found.accepted);
    if accepted > 0 {
        section.fail(format!("{accepted} forged tokens were accepted"));
    }
    section.notes.push(format!(
        "forged tokens sent to {side} a second over {kind} connections: {:.0}; answered 401: {}, 429: {}, 503: {}; CPU of \
         their sender {:.0} µs each",
        mean(|found| found.per_second),
        sum(|found| found.refused),
        sum(|found| found.limited),
        sum(|found| found.busy),
        mean(|found| found.own_cpu_us),
    ));
}

/// Samples become lines.
fn rows(section: &mut Section, samples: &Samples) {
    for kind in [Kind::Kept, Kind::Fresh] {
        for (side, client) in HONEST {
            for (figure, name) in [
                ("calls/s", "rate"),
                ("p50 µs", "p50"),
                ("p99 µs", "p99"),
                // Steadier than calls/s where the machine does other things, too.
                ("CPU µs of the server a call", "cpu"),
                ("share of its core that the server used", "server"),
                ("share of its core that the generator used", "generator"),
            ] {
                let goal = match (side, client, name) {
                    ("ours", Client::Awake, "rate") => Goal::RatioAtLeast(0.9),
                    _ => Goal::None,
                };
                let figure = match name {
                    "rate" => format!(
                        "{side}, 64 connections read, {}; {} ones flood: {figure}",
                        client.name(),
                        kind.name()
                    ),
                    _ => format!("  {figure}"),
                };
                let with = |with: &str| samples.get(&format!("{name} {with} {side} {}", client.name()));
                section
                    .rows
                    .push(Row::new(figure, with(kind.name()), with("alone"), goal));
            }
        }
    }
}

/// Microseconds of a server's CPU for each forged token, with nobody else there.
fn one_token_us(settings: &Settings, kind: Kind, side: &Side, provider: &Provider) -> Result<f64, Failure> {
    let pid = side.running.pid();
    let flood = Flood::start(settings.cores.load, kind, &side.url, provider)?;
    let (from, used_ns) = (Instant::now(), cpu_ns(pid)?);
    std::thread::sleep(Duration::from_secs(if settings.quick { 1 } else { 3 }));
    let used_ns = cpu_ns(pid)?.saturating_sub(used_ns);
    let seconds = from.elapsed().as_secs_f64();
    let outcome = flood.stop()?;
    Ok(used_ns as f64 / 1_000.0 / (outcome.per_second * seconds).max(1.0))
}

/// What the honest read.
const READ_ARGUMENTS: &str = r#"{"key":"bench"}"#;

fn honest(settings: &Settings, side: &Side, client: Client, token: &str) -> Result<Outcome, Failure> {
    let (seconds, warm_up) = if settings.quick {
        ("1.5", "0.3")
    } else {
        ("4", "0.7")
    };
    let mut words = arguments![
        "run",
        "--url",
        side.url.clone(),
        "--key",
        token,
        "--method",
        "tools/call",
        "--tool",
        READ_TOOL,
        "--arguments",
        READ_ARGUMENTS,
        "--connections",
        CONNECTIONS.to_string(),
        "--seconds",
        seconds,
        "--warm-up",
        warm_up,
        "--era",
        Era::Modern.name(),
        "--pid",
        side.running.pid().to_string(),
    ];
    words.extend(client.words());
    ask(settings.cores.load, &words)
}
