//! Load, floor and yardsticks for `scripts/bench`; the proofs of `scripts/crash`, `scripts/slow-clients` and `scripts/stress`.
//!
//! ```text
//! floor | stub  a server that does the least (floor.rs)      run    closed-loop load (generator.rs)
//! idle          the price of idle connections (idle.rs)      bridge every figure of one bridge (bridge.rs)
//! direct        the same without a bridge (direct.rs)        bench  all of it, side by side (bench/)
//! crash         kill -9 under load (crash/)                  slow   clients that never finish (slow.rs)
//! stress        a bridge when everything fails (stress/)          replicas  several servers on one store (replicas/)
//! rmcp          a server made with rmcp (rmcp_peer.rs)
//! ```
//!
//! Everything stays on the loopback. `ours.rs` holds the product's command lines.

mod bench;
mod bridge;
mod corpus;
mod crash;
mod direct;
mod flood;
mod floor;
mod generator;
mod host;
mod idle;
mod ours;
mod process;
mod replicas;
mod report;
#[cfg(feature = "rmcp")]
mod rmcp_peer;
mod slow;
mod stats;
mod stress;
mod tls;
mod tokens;
mod wire;

use crate::bridge::{Effort, Upstreams};
use crate::host::Recipe;
use crate::wire::{Call, Era, Failure, Target};
use lexopt::prelude::*;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
footbridge-load floor|stub --listen ADDR [--threads N] [--list FILE | --list-bytes N] [--reply TOOL=FILE]... [--refusal FILE] [--legacy-only]
                    [--tls CERT KEY]
footbridge-load rmcp --listen ADDR --list FILE [--reply TOOL=FILE]...   (with the feature `rmcp`)
footbridge-load run --url URL [--key KEY] --method tools/list|tools/call [--tool NAME --arguments JSON]... --connections N --seconds S
                    [--warm-up S] [--era modern|legacy] [--most-calls N] [--pid SERVER] [--awake]
footbridge-load idle --url URL [--key KEY] [--tool NAME --arguments JSON] --connections N --pid SERVER
footbridge-load bridge --bin PATH [--arg TEXT]... [--env NAME=VALUE]... --url URL [--legacy-url URL] [--tls-url URL --tls-ca FILE] [--quick]
footbridge-load direct --url URL [--quick]
footbridge-load flood URL kept|fresh   (the bench calls it: tokens on stdin)
footbridge-load bench server|forged|bridge|search|workspace|flows|all ...   (scripts/bench calls it)
footbridge-load crash [--rounds N] [--server PATH] [--work DIR] [--store URL] [--seed N]   (scripts/crash calls it)
footbridge-load replicas --cluster DIR --postgres BIN [...]   (scripts/replicas calls it)
footbridge-load slow [--server PATH] [--work DIR] [--each N]   (scripts/slow-clients calls it)
footbridge-load stress [--bridge PATH] [--quick]   (scripts/stress calls it)
";

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("footbridge-load: {e}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<(), Failure> {
    let mut parser = lexopt::Parser::from_env();
    let Some(Value(command)) = parser.next()? else {
        return Err(USAGE.into());
    };
    match command.string()?.as_str() {
        "floor" | "stub" => floor::serve(served(parser)?),
        #[cfg(feature = "rmcp")]
        "rmcp" => rmcp_peer::serve(&served(parser)?),
        "run" => load(parser),
        "flood" => print_json(&flood::run(
            &parser.value()?.string()?,
            flood::Kind::parse(&parser.value()?.string()?)?,
        )?),
        "idle" => idle_connections(parser),
        "bridge" => one_bridge(parser),
        "direct" => no_bridge(parser),
        "bench" => bench::main(parser),
        "crash" => crash::main(parser),
        "replicas" => replicas::main(parser),
        "slow" => slow::main(parser),
        "stress" => stress::main(parser),
        _ => Err(USAGE.into()),
    }
}

/// Prints a value as one line of JSON.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{}", serde_json::to_string(value)?)?;
    Ok(())
}

fn pair(text: &str) -> Result<(String, String), Failure> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` must be NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What a floor, a stub or a peer is to serve.
fn served(mut parser: lexopt::Parser) -> Result<floor::Options, Failure> {
    let mut options = floor::Options {
        listen: "127.0.0.1:0".to_owned(),
        threads: 1,
        list_bytes: 40_000,
        ..Default::default()
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => options.listen = parser.value()?.string()?,
            Long("threads") => options.threads = parser.value()?.parse()?,
            Long("list") => options.list_file = Some(parser.value()?.into()),
            Long("refusal") => options.refusal_file = Some(parser.value()?.into()),
            Long("list-bytes") => options.list_bytes = parser.value()?.parse()?,
            Long("reply") => {
                let (tool, file) = pair(&parser.value()?.string()?)?;
                options.replies.push((tool, file.into()));
            }
            Long("legacy-only") => options.legacy_only = true,
            Long("tls") => options.tls = Some((parser.value()?.into(), parser.value()?.into())),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

/// Options `run` and `idle` share.
#[derive(Default)]
struct Traffic {
    url: String,
    key: Option<String>,
    method: String,
    tools: Vec<String>,
    arguments: Vec<String>,
    connections: usize,
    seconds: f64,
    warm_up: f64,
    most_calls: Option<u64>,
    pid: Option<u32>,
    awake: bool,
    era: Option<Era>,
}

impl Traffic {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, Failure> {
        let mut found = Self {
            method: "tools/call".to_owned(),
            connections: 1,
            seconds: 2.0,
            ..Self::default()
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("url") => found.url = parser.value()?.string()?,
                Long("key") => found.key = Some(parser.value()?.string()?),
                Long("method") => found.method = parser.value()?.string()?,
                Long("tool") => found.tools.push(parser.value()?.string()?),
                Long("arguments") => found.arguments.push(parser.value()?.string()?),
                Long("connections") => found.connections = parser.value()?.parse()?,
                Long("seconds") => found.seconds = parser.value()?.parse()?,
                Long("warm-up") => found.warm_up = parser.value()?.parse()?,
                Long("most-calls") => found.most_calls = Some(parser.value()?.parse()?),
                Long("pid") => found.pid = Some(parser.value()?.parse()?),
                Long("awake") => found.awake = true,
                Long("era") => found.era = Some(Era::parse(&parser.value()?.string()?)?),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(found)
    }

    /// The calls to make in turn: one for each `--tool` with its `--arguments`.
    fn calls(&self) -> Result<Vec<Call>, Failure> {
        let era = self.era.unwrap_or(Era::Modern);
        if self.method != "tools/call" {
            return Ok(vec![Call {
                method: self.method.clone(),
                tool: None,
                arguments: "{}".to_owned(),
                era,
            }]);
        }
        if self.tools.is_empty() || self.tools.len() != self.arguments.len() {
            return Err("tools/call needs --tool and --arguments, as many of one as of the other".into());
        }
        Ok(self
            .tools
            .iter()
            .zip(&self.arguments)
            .map(|(tool, arguments)| Call::tool(era, tool, arguments))
            .collect())
    }
}

fn load(parser: lexopt::Parser) -> Result<(), Failure> {
    let traffic = Traffic::parse(parser)?;
    process::raise_open_files();
    let outcome = generator::run(&generator::Plan {
        target: Target::parse(&traffic.url, traffic.key.clone())?,
        calls: traffic.calls()?,
        connections: traffic.connections,
        measure: Duration::from_secs_f64(traffic.seconds),
        warm_up: Duration::from_secs_f64(traffic.warm_up),
        most_calls: traffic.most_calls,
        pid: traffic.pid,
        awake: traffic.awake,
    })?;
    print_json(&outcome)?;
    match outcome.first_error {
        Some(reason) => Err(format!("{} calls failed, the first: {reason}", outcome.errors).into()),
        None => Ok(()),
    }
}

fn idle_connections(parser: lexopt::Parser) -> Result<(), Failure> {
    let traffic = Traffic::parse(parser)?;
    process::raise_open_files();
    let call = traffic.calls()?.into_iter().next().ok_or("nothing to call")?;
    let pid = traffic.pid.ok_or("--pid is missing")?;
    print_json(&idle::run(
        &Target::parse(&traffic.url, traffic.key.clone())?,
        &call,
        traffic.connections,
        pid,
    )?)
}

fn one_bridge(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let (mut recipe, mut upstreams, mut effort) = (Recipe::default(), Upstreams::default(), Effort::FULL);
    let (mut tls_url, mut tls_ca) = (None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("bin") => recipe.program = parser.value()?.string()?,
            Long("arg") => recipe.arguments.push(parser.value()?.string()?),
            Long("env") => recipe.variables.push(pair(&parser.value()?.string()?)?),
            Long("url") => upstreams.url = parser.value()?.string()?,
            Long("legacy-url") => upstreams.legacy_url = Some(parser.value()?.string()?),
            Long("tls-url") => tls_url = Some(parser.value()?.string()?),
            Long("tls-ca") => tls_ca = Some(parser.value()?.string()?),
            Long("quick") => effort = Effort::QUICK,
            other => return Err(other.unexpected().into()),
        }
    }
    upstreams.tls = tls_url.zip(tls_ca);
    print_json(&bridge::measure(&recipe, &upstreams, effort))
}

fn no_bridge(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let (mut url, mut effort) = (String::new(), Effort::FULL);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("url") => url = parser.value()?.string()?,
            Long("quick") => effort = Effort::QUICK,
            other => return Err(other.unexpected().into()),
        }
    }
    print_json(&bridge::measure_direct(&url, effort))
}
