//! What the ways of calling a tool cost beside each other: a REST API as a tool, a confirmation, discovery mode.
//!
//! In: our server, and a REST API that answers at once. Out: rows whose two sides were measured in turn by the same simple
//! client, with one connection for latency and with several for calls a second.

use super::{Samples, Settings, progress, start_floor};
use crate::ours::{self, READ_TOOL, WRITE_TOOL};
use crate::process::{Running, free_port, wait_for_port};
use crate::report::{Row, Section, Target as Goal};
use crate::stats::median;
use crate::wire::{
    Call, Era, FIRST_ID, Failure, Target, call_once, check, excerpt, exchange, tool_result, with,
};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Connections of the figures of calls a second.
const SEVERAL: usize = 16;
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the REST API is called in the catalogue.
const REST: &str = "rest";

/// One thing that a client does over and over on its connection; the number is different every time.
type Action<'a> = Box<dyn Fn(&mut TcpStream, usize) -> Result<(), Failure> + Sync + 'a>;

/// A figure: ours, and what it stands beside.
struct Pair<'a> {
    name: &'static str,
    beside: &'static str,
    targets: [&'a Target; 2],
    actions: [Action<'a>; 2],
}

/// Adds the rows.
pub(super) fn measure(settings: &Settings, section: &mut Section) -> Result<(), Failure> {
    let (upstream, port) = start_floor(settings, "rest", settings.cores.load, &[])?;
    let data = settings.folder("data-tools")?;
    let file = data.join("rest.toml");
    std::fs::write(&file, catalogue(port))?;
    let product = ours::Server::new(
        &settings.server,
        &data,
        None,
        &format!("[server]\ncatalogue = [{file:?}]\n"),
    )?;
    let key = |edition: &str, options: &[&str]| product.mint_for(edition, options);
    let rest_key = key(REST, &[])?.secret;
    let plain_key = key(ours::EDITION, &[])?.secret;
    let asking_key = key(ours::EDITION, &["--confirm", "preview"])?.secret;
    let own_port = free_port()?;
    let mut running = Running::start(
        "the server",
        product.serve(settings.cores.tested, own_port),
        &settings.log("server-tools"),
    )?;
    wait_for_port(&mut running, own_port)?;
    let at = |path: &str, key: &str| {
        Target::parse(
            &format!("http://127.0.0.1:{own_port}/{path}"),
            Some(key.to_owned()),
        )
    };
    let rest = at(&format!("{REST}/mcp"), &rest_key)?;
    let direct = Target::parse(&format!("http://127.0.0.1:{port}/v1/leads/7"), None)?;
    let plain = at(&format!("{}/mcp", ours::EDITION), &plain_key)?;
    let asking = at(&format!("{}/mcp", ours::EDITION), &asking_key)?;
    let discover = at(&format!("{}/mcp?mode=discover", ours::EDITION), &plain_key)?;
    // What is read below.
    let write = Call::tool(Era::Modern, WRITE_TOOL, r#"{"key":"tools","content":"x"}"#);
    call_once(&plain, &write, PATIENCE)?;
    let read = json!({ "key": "tools" });
    let pairs = [
        Pair {
            name: "REST API as a tool",
            beside: "the same API called directly",
            targets: [&rest, &direct],
            actions: [
                calls(&rest, "lead", |_| json!({ "id": "7" })),
                Box::new(|stream, _| get(stream, &direct)),
            ],
        },
        Pair {
            name: "write, previewed and confirmed",
            beside: "the same write at once",
            targets: [&asking, &plain],
            actions: [
                Box::new(|stream, number| confirmed(stream, &asking, number)),
                calls(&plain, WRITE_TOOL, |number| memory("plain", number)),
            ],
        },
        Pair {
            name: "call through call_tool",
            beside: "the tool called by its name",
            targets: [&discover, &plain],
            actions: [
                calls(
                    &discover,
                    "call_tool",
                    |_| json!({ "name": READ_TOOL, "arguments": read }),
                ),
                calls(&plain, READ_TOOL, |_| read.clone()),
            ],
        },
        Pair {
            name: "tools/list in discovery mode",
            beside: "the whole list",
            targets: [&discover, &plain],
            actions: [
                Box::new(|stream, _| list(stream, &discover)),
                Box::new(|stream, _| list(stream, &plain)),
            ],
        },
    ];
    let mut samples = Samples::default();
    for round in 0..settings.rounds() {
        for pair in &pairs {
            progress(&format!(
                "tools: round {} of {}, {}",
                round + 1,
                settings.rounds(),
                pair.name
            ));
            for turn in 0..2 {
                let side = (turn + round) % 2;
                let (Some(target), Some(action)) = (pair.targets.get(side), pair.actions.get(side)) else {
                    continue;
                };
                for connections in [1, SEVERAL] {
                    let took_us = drive(settings, target, action, connections)
                        .map_err(|e| format!("{}, side {side}: {e}", pair.name))?;
                    samples.add(format!("{} {side} {connections}", pair.name), took_us);
                }
            }
        }
    }
    for pair in &pairs {
        let side =
            |side: usize, connections: usize| samples.get(&format!("{} {side} {connections}", pair.name));
        let figure = format!("{}, one connection: p50 µs", pair.name);
        section
            .rows
            .push(Row::new(figure, side(0, 1), side(1, 1), Goal::None));
        let per_second = |samples: Vec<f64>| samples.into_iter().map(|us| 1e6 / us.max(0.001)).collect();
        section.rows.push(Row::new(
            format!("  {SEVERAL} connections: calls/s"),
            per_second(side(0, SEVERAL)),
            per_second(side(1, SEVERAL)),
            Goal::None,
        ));
        section
            .notes
            .push(format!("{}: the other side is {}", pair.name, pair.beside));
    }
    let tokens = |target: &Target| -> Result<Vec<f64>, Failure> {
        let bytes = call_once(target, &Call::list(Era::Modern), PATIENCE)?.len();
        Ok(vec![bytes as f64 / 4.0])
    };
    section.rows.push(Row::new(
        "  its estimated tokens (bytes / 4)",
        tokens(&discover)?,
        tokens(&plain)?,
        Goal::AtMost(1_200.0),
    ));
    running.stop();
    upstream.stop();
    std::fs::remove_dir_all(&data)?;
    Ok(())
}

fn catalogue(port: u16) -> String {
    format!(
        r#"format = 1
edition = {{ name = "{REST}", title = "Leads", instructions = "Leads.", key_prefix = "rest_" }}
scopes = {{ "leads:read" = {{ title = "Read leads" }} }}
upstream.leads = {{ base_url = "http://127.0.0.1:{port}", allow_private = true }}
[[tool]]
name = "lead"
scope = "leads:read"
effect = "read"
input = {{ id = {{ type = "string", required = true }} }}
http = {{ upstream = "leads", method = "GET", path = "/v1/leads/{{id}}" }}
"#
    )
}

fn memory(prefix: &str, number: usize) -> Value {
    json!({ "key": format!("{prefix}-{number}"), "content": "A note, as an assistant would keep it." })
}

fn calls<'a>(
    target: &'a Target,
    tool: &'a str,
    arguments: impl Fn(usize) -> Value + Sync + 'a,
) -> Action<'a> {
    Box::new(move |stream, number| call(stream, target, tool, &arguments(number)).map(drop))
}

fn call(stream: &mut TcpStream, target: &Target, tool: &str, arguments: &Value) -> Result<Value, Failure> {
    let call = Call::tool(Era::Modern, tool, &arguments.to_string());
    tool_result(&answered(stream, target, &call)?)
}

fn list(stream: &mut TcpStream, target: &Target) -> Result<(), Failure> {
    answered(stream, target, &Call::list(Era::Modern)).map(drop)
}

fn answered(stream: &mut TcpStream, target: &Target, call: &Call) -> Result<Vec<u8>, Failure> {
    let (status, body) = exchange(stream, &call.request(target, FIRST_ID), PATIENCE)?;
    if status != 200 {
        return Err(format!("HTTP {status}: {}", excerpt(&body)).into());
    }
    check(&body, FIRST_ID)?;
    Ok(body)
}

fn get(stream: &mut TcpStream, target: &Target) -> Result<(), Failure> {
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\naccept: application/json\r\n\r\n",
        target.path, target.authority
    );
    match exchange(stream, request.as_bytes(), PATIENCE)? {
        (200, _) => Ok(()),
        (status, body) => Err(format!("HTTP {status}: {}", excerpt(&body)).into()),
    }
}

/// Both steps.
fn confirmed(stream: &mut TcpStream, target: &Target, number: usize) -> Result<(), Failure> {
    let asked = memory("asked", number);
    let preview = call(stream, target, WRITE_TOOL, &asked)?;
    let token = preview.get("confirmation_token").cloned();
    let token = token.ok_or_else(|| format!("no token: {preview}"))?;
    let arguments = with(&asked, "confirmation_token", token);
    let done = call(stream, target, WRITE_TOOL, &arguments)?;
    match done.get("status") {
        Some(status) if status == "done" => Ok(()),
        _ => Err(format!("not confirmed: {done}").into()),
    }
}

/// Has every connection act again and again. With one connection the median time of an action in microseconds, with more
/// the time for which an action took the whole side.
fn drive(
    settings: &Settings,
    target: &Target,
    action: &Action<'_>,
    connections: usize,
) -> Result<f64, Failure> {
    let lasting = Duration::from_millis(if settings.quick { 300 } else { 1_000 });
    let warm_up = lasting / 4;
    let all = Mutex::new(Vec::new());
    let from = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|client| {
                scope.spawn({
                    let all = &all;
                    move || -> Result<(), Failure> {
                        let mut stream = target.connect()?;
                        let mut took_us = Vec::new();
                        let mut number = client;
                        while from.elapsed() < warm_up + lasting {
                            let begun = Instant::now();
                            action(&mut stream, number)?;
                            number += connections;
                            if begun.duration_since(from) >= warm_up {
                                took_us.push(begun.elapsed().as_secs_f64() * 1e6);
                            }
                        }
                        all.lock().map_err(|_| "a client panicked")?.extend(took_us);
                        Ok(())
                    }
                })
            })
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| Failure::from("a client panicked"))?)
    })?;
    let took_us = all.into_inner().map_err(|_| "a client panicked")?;
    if connections == 1 {
        return median(&took_us).ok_or_else(|| "nothing was answered in time".into());
    }
    Ok(lasting.as_secs_f64() * 1e6 / (took_us.len() as f64).max(1.0))
}
